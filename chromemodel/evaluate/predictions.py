"""What does a model say of each gene, and how is it written down?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from chromemodel.config import Precision
from chromemodel.evaluate.metrics import call
from chromemodel.fusion.combine import Told
from chromemodel.models.base import ChromeNet
from chromemodel.tasks import CLASSIFICATION, Regression, Task
from chromemodel.train.loop import predict_logits
from chromemodel.train.store import Signals
from chromeprep.format import GeneTable

# Fewer held-out genes than this rank epochs by chance: the AUROC of 50 is known to about 0.08.
FEW_GENES = 50
_GENE = ("gene_id", "gene_name", "chrom", "tss", "strand")
COLUMNS = (*_GENE, "probability", "call", "label")
#: Of a regression.
EXPRESSION_COLUMNS = (*_GENE, "predicted_log1p_expression", "log1p_expression")
#: More of them, of a run with a panel beside the marks.
TOLD = ("uncertain", "marks_probability", "panel_probability")


class Predictions(NamedTuple):
    """What is said of each gene.

    Attributes
    ----------
    genes
        Of the file.
    probability
        Shape (genes,), of label 1.
    part
        Shape (genes,): the part of each gene, or None.
    told
        What marks and panel said, where a panel stands beside the marks; `probability` is its.
    """

    genes: GeneTable
    probability: NDArray[np.float32]
    part: NDArray[np.object_] | None = None
    told: Told | None = None

    def lines(self) -> Iterator[str]:
        """Return the lines of a tab-separated table, the header first.

        Probabilities have the digits that give the same float32 again; ``tss`` is 0-based.
        ``panel_probability`` is empty where the panel does not know the gene.
        """
        more = () if self.told is None else TOLD
        part = () if self.part is None else ("part",)
        yield "\t".join((*COLUMNS, *more, *part)) + "\n"
        genes = self.genes
        calls = call(self.probability)
        for row in range(len(genes)):
            fields = [
                *_which(genes, row),
                np.float32(self.probability[row]),
                calls[row],
                genes.label[row],
            ]
            if self.told is not None:
                said = self.told.panel[row]
                fields += [int(self.told.uncertain[row]), self.told.marks[row]]
                fields.append("" if np.isnan(said) else said)
            if self.part is not None:
                fields.append(self.part[row])
            yield "\t".join(str(field) for field in fields) + "\n"

    @property
    def answer(self) -> NDArray[np.float32]:
        """What is said of each gene, the probability."""
        return self.probability

    def write(self, path: Path) -> None:
        """Write the table; UTF-8."""
        _write(path, self.lines())


class ExpressionPredictions(NamedTuple):
    """What a regression says of each gene.

    Attributes
    ----------
    genes
        Of the file.
    log1p_expression
        Shape (genes,): the predicted log(1 + expression).
    part
        Shape (genes,): the part of each gene, or None.
    """

    genes: GeneTable
    log1p_expression: NDArray[np.float32]
    part: NDArray[np.object_] | None = None

    @property
    def answer(self) -> NDArray[np.float32]:
        """What is said of each gene, the predicted value."""
        return self.log1p_expression

    def lines(self) -> Iterator[str]:
        """Return the lines of a tab-separated table, the header first.

        Numbers have the digits that give the same float again; ``tss`` is 0-based. The measured
        value is empty where it is unknown.
        """
        part = () if self.part is None else ("part",)
        yield "\t".join((*EXPRESSION_COLUMNS, *part)) + "\n"
        genes = self.genes
        # A file to predict may hold what nobody can take the logarithm of.
        measured = np.log1p(np.where(genes.expression >= 0, genes.expression, np.nan))
        for row in range(len(genes)):
            fields = [
                *_which(genes, row),
                np.float32(self.log1p_expression[row]),
                "" if np.isnan(measured[row]) else measured[row],
            ]
            if self.part is not None:
                fields.append(self.part[row])
            yield "\t".join(str(field) for field in fields) + "\n"

    def write(self, path: Path) -> None:
        """Write the table; UTF-8."""
        _write(path, self.lines())


def predictions_of(
    task: Task,
    genes: GeneTable,
    answer: NDArray[np.float32],
    part: NDArray[np.object_] | None = None,
) -> Predictions | ExpressionPredictions:
    """Return the table of a task's answers (genes,)."""
    if isinstance(task, Regression):
        return ExpressionPredictions(genes, answer, part)
    return Predictions(genes, answer, part)


def _which(genes: GeneTable, row: int) -> tuple[object, ...]:
    """Return what tells which gene it is: the first columns of every table."""
    return (
        genes.gene_id[row], genes.gene_name[row], genes.chrom[row], genes.tss[row],
        genes.strand[row],
    )  # fmt: skip


def _write(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.writelines(lines)


def selection_notes(held_out: int) -> tuple[str, ...]:
    """Return a note where few genes, but some, chose the epoch."""
    if not 0 < held_out < FEW_GENES:
        return ()
    return (f"only {held_out} validation genes: the choice of the epoch is noise",)


def predict_answer(
    model: ChromeNet,
    signal: NDArray[np.float32] | Signals,
    device: torch.device,
    task: Task = CLASSIFICATION,
    precision: Precision = "float32",
) -> NDArray[np.float32]:
    """Return a task's answer (genes,) for normalised signal (genes, marks, bins).

    It is the probability of label 1, or the log(1 + expression). The model must be on the device.
    """
    x: Signals
    if isinstance(signal, np.ndarray):
        x = torch.from_numpy(np.ascontiguousarray(signal)).to(device)
    else:
        x = signal
    return task.answer(predict_logits(model, x, precision)).cpu().numpy()
