"""How much is a gene expressed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from chromemodel.config import TaskConfig
from chromemodel.evaluate.baselines import RIDGE, fit_ridge
from chromemodel.evaluate.lookup import Lookup, source_log1p
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.regression import (
    bootstrap_regression,
    compare_regressions,
    r_squared,
    regression_metrics,
    varies,
)
from chromemodel.evaluate.subsets import VARIABLE, Subset
from chromemodel.evaluate.uncertainty import Difference
from chromemodel.models.base import Labelled
from chromemodel.tasks.base import Answering, Task
from chromeprep.errors import InputError
from chromeprep.format import GeneTable

MEAN = "mean of the training genes (no model)"


@dataclass(frozen=True)
class Regression(Task):
    """Genes have log(1 + expression), natural logarithm; so has the answer.

    ``mean`` and ``deviation`` are those of the training genes.
    """

    mean: float = 0.0
    deviation: float = 1.0

    learned = "expression"
    a_learned = "an expression"
    lacking = "known expression"
    metric = "R2"
    column = "validation_r2"
    baseline = RIDGE
    baseline_model = "ridge"

    @property
    def config(self) -> TaskConfig:
        """What a run keeps of it: the scale."""
        return TaskConfig("regression", self.mean, self.deviation)

    def known(self, genes: GeneTable) -> NDArray[np.bool_]:
        """Return which genes have an expression."""
        return ~np.isnan(genes.expression)

    def check(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        words: str,
        path: str | Path,
        hint: str | None = None,
    ) -> None:
        """Refuse genes without two different values, and a file with negative ones."""
        known = self.known(genes)
        if not known.any():
            raise InputError(
                "no gene has an expression",
                path=path,
                hint=f"add it: `chromeprep label {path} --expression TABLE`",
            )
        negative = int((genes.expression < 0).sum())
        if negative:
            raise InputError(
                f"{negative:,} genes have a negative expression; its log(1 + x) is learned",
                path=path,
                hint="give RPKM, TPM or counts, not logarithms: `chromeprep label --expression`",
            )
        values = genes.expression[rows & known]
        if not varies(values):
            raise InputError(
                f"{len(values)} of the {words} have an expression, and no two another one",
                path=path,
                hint=hint,
            )

    def can_score(self, genes: GeneTable, rows: NDArray[np.bool_]) -> bool:
        """Return whether there are two different values."""
        return varies(genes.expression[rows])

    def fitted(self, genes: GeneTable, rows: NDArray[np.bool_]) -> Regression:
        """Return the task with the scale of the training genes."""
        values = np.log1p(genes.expression[rows])
        return Regression(float(values.mean()), float(values.std()))

    def truth(self, genes: GeneTable) -> NDArray[np.float32]:
        """Return the standardised log(1 + expression), NaN where unknown."""
        scaled = (np.log1p(genes.expression) - self.mean) / self.deviation
        return scaled.astype(np.float32)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error."""
        return mse_loss(_difference(logits), y)

    def selection(self, logits: Tensor, y: Tensor) -> float:
        """Return R2, which unlike a correlation counts a wrong scale."""
        return r_squared(y.cpu().numpy(), _difference(logits).cpu().numpy())

    def answer(self, logits: Tensor) -> Tensor:
        """Return the predicted log(1 + expression)."""
        return self.mean + self.deviation * _difference(logits)

    def fit_baseline(self, genes: Labelled, held_out: Labelled | None) -> Answering:
        """Fit a ridge regression."""
        fitted = fit_ridge(genes.signal, genes.label, held_out)
        return lambda signal: self.mean + self.deviation * fitted.predict(signal)

    def lookup(self, near: Sequence[GeneTable], merged: GeneTable, far: GeneTable) -> Lookup:
        """Return the genes' own value in the sources, as `source_log1p`."""
        return source_log1p(near, far, self.mean)

    def subsets(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        before: NDArray[np.int8] | None,
        variable: NDArray[np.bool_] | None,
        certain: NDArray[np.bool_] | None,
    ) -> list[Subset]:
        """Return the genes, and those that are variable in a panel."""
        known = rows & self.known(genes)
        found = [Subset("", known)]
        if variable is not None:
            found.append(Subset(VARIABLE, known & variable))
        return [one for one in found if self.can_score(genes, one.rows)]

    def trivial(self, count: int) -> list[tuple[str, NDArray[Any]]]:
        """Return the mean of the training genes, for each gene the same."""
        return [(MEAN, np.full(count, self.mean))]

    def score(
        self,
        model: str,
        part: str,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        answer: NDArray[Any],
        replicates: int = 0,
    ) -> Score:
        """Score predicted values by `regression_metrics`."""
        truth, said = np.log1p(genes.expression[rows]), answer[rows]
        interval = bootstrap_regression(truth, said, replicates=replicates) if replicates else None
        return Score(model, part, regression_metrics(truth, said), interval)

    def compare(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        first: NDArray[Any],
        second: NDArray[Any],
        replicates: int,
    ) -> Difference:
        """Compare two models by `compare_regressions`."""
        return compare_regressions(
            np.log1p(genes.expression[rows]), first[rows], second[rows], replicates=replicates
        )


def _difference(logits: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]
