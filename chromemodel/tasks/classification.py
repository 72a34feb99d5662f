"""Is a gene high or low?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from chromemodel.config import TaskConfig
from chromemodel.data.dataset import check_classes
from chromemodel.evaluate.baselines import LOGISTIC, fit_logistic
from chromemodel.evaluate.lookup import Lookup, label_agreement, source_expression
from chromemodel.evaluate.metrics import Score, auroc, binary_metrics, call_notes
from chromemodel.evaluate.subsets import Subset, gene_subsets
from chromemodel.evaluate.uncertainty import Difference, bootstrap, compare_models
from chromemodel.models.base import Labelled
from chromemodel.tasks.base import Answering, Task
from chromeprep.format import GeneTable


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

    def agreement(
        self, near: GeneTable, far: GeneTable, rows: NDArray[np.bool_] | None = None
    ) -> float:
        """Return how often labels are those of the source, as `label_agreement`."""
        return label_agreement(near, far, rows)

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

    def compare(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        first: NDArray[Any],
        second: NDArray[Any],
        replicates: int,
    ) -> Difference:
        """Compare two models by `compare_models`."""
        return compare_models(genes.label[rows], first[rows], second[rows], replicates=replicates)
