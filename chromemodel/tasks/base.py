"""In what do tasks differ?"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.config import TaskConfig
from chromemodel.evaluate.lookup import Lookup
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.subsets import Subset
from chromemodel.evaluate.uncertainty import Difference
from chromemodel.models.base import Labelled
from chromeprep.format import GeneTable

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

    def agreement(
        self, near: GeneTable, far: GeneTable, rows: NDArray[np.bool_] | None = None
    ) -> float:
        """Return the share of some of a target's genes with the source's label, NaN without."""
        return math.nan

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

    @abstractmethod
    def compare(
        self,
        genes: GeneTable,
        rows: NDArray[np.bool_],
        first: NDArray[Any],
        second: NDArray[Any],
        replicates: int,
    ) -> Difference:
        """Hold the answers of two models for some known genes against each other."""

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
