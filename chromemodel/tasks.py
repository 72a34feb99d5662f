"""What is predicted of a gene: whether it is high, or how much it is expressed?

A task is all that differs between the two: which genes can be learned from and what of them, the
loss, what chooses the epoch, what an answer is, its scores and what stands beside them. A network
has two outputs for either (`ChromeNet.classify`). Their difference is the log odds of high
expression, or the expression itself on a scale where the training genes have mean 0 and variance 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from chromemodel.config import TaskConfig, TaskName
from chromemodel.data.dataset import check_classes
from chromemodel.evaluate.baselines import LOGISTIC, RIDGE, fit_logistic, fit_ridge
from chromemodel.evaluate.lookup import Lookup, source_expression, source_log1p
from chromemodel.evaluate.metrics import Score, auroc, binary_metrics, call_notes
from chromemodel.evaluate.regression import (
    bootstrap_regression,
    pearson,
    regression_metrics,
    varies,
)
from chromemodel.evaluate.subsets import VARIABLE, Subset, gene_subsets
from chromemodel.evaluate.uncertainty import bootstrap
from chromemodel.models.base import Labelled
from chromeprep.errors import ChromeError, InputError
from chromeprep.format import GeneTable

MEAN = "mean of the training genes (no model)"

#: Answers (genes,) for signal (genes, marks, bins).
Answering = Callable[[NDArray[np.float32]], NDArray[Any]]


class Task(ABC):
    """What is learned and said of genes; arrays are (genes,)."""

    #: What of a gene is learned, also with its article, and what genes without metrics lack.
    learned: ClassVar[str]
    a_learned: ClassVar[str]
    lacking: ClassVar[str]
    #: What chooses the epoch, and its column in ``history.csv``.
    metric: ClassVar[str]
    column: ClassVar[str]
    #: The linear model that stands beside every other, in words and by its name.
    baseline: ClassVar[str]
    baseline_model: ClassVar[str]

    @property
    @abstractmethod
    def config(self) -> TaskConfig:
        """What a run keeps of it."""

    @abstractmethod
    def known(self, genes: GeneTable) -> NDArray[np.bool_]:
        """Return of which genes it is known what is learned."""

    @abstractmethod
    def check(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        words: str,
        path: str | Path,
        hint: str | None = None,
    ) -> None:
        """Refuse some genes of a file, named in words, that cannot be trained or scored on.

        Raises
        ------
        InputError
            It says what they lack.
        """

    @abstractmethod
    def can_score(self, genes: GeneTable, rows: NDArray[np.bool_]) -> bool:
        """Return whether the metrics of some known genes exist."""

    def fitted(self, genes: GeneTable, rows: NDArray[np.bool_]) -> Task:
        """Return the task with what it keeps of the training genes; of these alone."""
        return self

    @abstractmethod
    def truth(self, genes: GeneTable) -> NDArray[Any]:
        """Return what a model learns of each gene; it means nothing where it is not known."""

    @abstractmethod
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of logits (genes, 2)."""

    @abstractmethod
    def selection(self, logits: Tensor, y: Tensor) -> float:
        """Return `metric` of logits (genes, 2): the highest chooses the epoch."""

    @abstractmethod
    def answer(self, logits: Tensor) -> Tensor:
        """Return what is said of genes by logits (genes, 2)."""

    @abstractmethod
    def fit_baseline(self, genes: Labelled, held_out: Labelled | None) -> Answering:
        """Fit the linear model that stands beside every other."""

    @abstractmethod
    def lookup(self, near: Sequence[GeneTable], merged: GeneTable, far: GeneTable) -> Lookup:
        """Return what the sources' genes, each file's and merged, say of a target's."""

    @abstractmethod
    def subsets(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        before: NDArray[np.int8] | None,
        variable: NDArray[np.bool_] | None,
        certain: NDArray[np.bool_] | None,
    ) -> list[Subset]:
        """Return some genes, and of them those worth a score of their own, as `gene_subsets`."""

    def trivial(self, count: int) -> list[tuple[str, NDArray[Any]]]:
        """Return what is said of so many genes by looking at none, by name."""
        return []

    def notes(self, model: str, words: str, answer: NDArray[Any]) -> tuple[str, ...]:
        """Return what a reader must know of the answers for genes that are named in words."""
        return ()

    @abstractmethod
    def score(
        self,
        model: str,
        part: str,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        answer: NDArray[Any],
        replicates: int = 0,
    ) -> Score:
        """Score the answers for some known genes; with an interval where there are replicates."""

    def score_parts(
        self,
        model: str,
        genes: GeneTable,
        answer: NDArray[Any],
        parts: NDArray[Any],
        names: Sequence[str],
    ) -> list[Score]:
        """Score the known genes of each part by name; parts without metrics are left out."""
        chosen = [(name, (parts == name) & self.known(genes)) for name in names]
        return [
            self.score(model, name, genes, rows, answer)
            for name, rows in chosen
            if self.can_score(genes, rows)
        ]


@dataclass(frozen=True)
class Classification(Task):
    """Genes are high (1) or low (0); the answer is the probability of high."""

    learned = "label"
    a_learned = "a label"
    lacking = "labels of both classes"
    metric = "AUROC"
    column = "validation_auroc"
    baseline = LOGISTIC
    baseline_model = "logistic"

    @property
    def config(self) -> TaskConfig:
        """What a run keeps of it: nothing."""
        return TaskConfig()

    def known(self, genes: GeneTable) -> NDArray[np.bool_]:
        """Return which genes have a label."""
        return np.asarray(genes.label >= 0)

    def check(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        words: str,
        path: str | Path,
        hint: str | None = None,
    ) -> None:
        """Refuse genes that do not hold both classes, as `check_classes`."""
        check_classes(genes.label, rows, words, path, hint)

    def can_score(self, genes: GeneTable, rows: NDArray[np.bool_]) -> bool:
        """Return whether both classes are there."""
        return len(np.unique(genes.label[rows])) == 2

    def truth(self, genes: GeneTable) -> NDArray[np.int8]:
        """Return the labels, 0 or 1."""
        return genes.label

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross entropy."""
        return cross_entropy(logits, y)

    def selection(self, logits: Tensor, y: Tensor) -> float:
        """Return the AUROC."""
        return auroc(y.cpu().numpy(), self.answer(logits).cpu().numpy())

    def answer(self, logits: Tensor) -> Tensor:
        """Return the probability of class 1."""
        return torch.softmax(logits, dim=1)[:, 1]

    def fit_baseline(self, genes: Labelled, held_out: Labelled | None) -> Answering:
        """Fit a logistic regression."""
        return fit_logistic(genes.signal, genes.label, held_out).probability

    def lookup(self, near: Sequence[GeneTable], merged: GeneTable, far: GeneTable) -> Lookup:
        """Return the rank of the genes in the source, as `source_expression`."""
        return source_expression(merged, far)

    def subsets(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        before: NDArray[np.int8] | None,
        variable: NDArray[np.bool_] | None,
        certain: NDArray[np.bool_] | None,
    ) -> list[Subset]:
        """Return the genes and their subsets by label, panel and certainty."""
        return gene_subsets(np.where(rows, genes.label, -1), before, variable, certain)

    def notes(self, model: str, words: str, answer: NDArray[Any]) -> tuple[str, ...]:
        """Say where all genes are called alike."""
        return call_notes(model, words, answer)

    def score(
        self,
        model: str,
        part: str,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        answer: NDArray[Any],
        replicates: int = 0,
    ) -> Score:
        """Score probabilities by `binary_metrics`."""
        label, said = genes.label[rows], answer[rows]
        interval = bootstrap(label, said, replicates=replicates) if replicates else None
        return Score(model, part, binary_metrics(label, said), interval)


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
    metric = "Pearson"
    column = "validation_pearson"
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
        """Return Pearson's correlation."""
        return pearson(y.cpu().numpy(), _difference(logits).cpu().numpy())

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


CLASSIFICATION = Classification()


def task_of(config: TaskConfig) -> Task:
    """Return the task of a run."""
    if config.name == "classification":
        return CLASSIFICATION
    return Regression(config.mean, config.deviation)


def check_classifies(name: TaskName, run: Path, what: str) -> None:
    """Refuse the run of a regression for what works on classes only.

    Raises
    ------
    ChromeError
        It says ``what``.
    """
    if name != "classification":
        raise ChromeError(
            f"is a run of --task {name}; {what} needs one of --task classification",
            path=run,
            hint="`chromemodel evaluate` scores it",
        )


def _difference(logits: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]
