"""What does a model say of each gene, and how is it written down?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from chromemodel.evaluate.metrics import call
from chromemodel.fusion.combine import Told
from chromemodel.models.base import ChromeNet
from chromemodel.train.loop import high_probability, predict_logits
from chromeprep.format import GeneTable

# Fewer held-out genes than this rank epochs by chance: the AUROC of 50 is known to about 0.08.
FEW_GENES = 50
COLUMNS = ("gene_id", "gene_name", "chrom", "tss", "strand", "probability", "call", "label")
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
                genes.gene_id[row],
                genes.gene_name[row],
                genes.chrom[row],
                genes.tss[row],
                genes.strand[row],
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

    def write(self, path: Path) -> None:
        """Write the table; UTF-8."""
        with path.open("w", encoding="utf-8", newline="") as handle:
            handle.writelines(self.lines())


def call_notes(model: str, genes: str, probability: NDArray[np.float32]) -> tuple[str, ...]:
    """Return a note where all genes, in words, are called alike.

    Examples
    --------
    >>> call_notes("m", "test genes", np.array([0.6, 0.9], dtype=np.float32))
    ('m: all 2 test genes are called high; the calls tell nothing',)
    """
    calls = call(probability)
    if not len(calls) or calls.min() != calls.max():
        return ()
    called = "high" if calls[0] else "low"
    return (f"{model}: all {len(calls)} {genes} are called {called}; the calls tell nothing",)


def selection_notes(held_out: int) -> tuple[str, ...]:
    """Return a note where few genes, but some, chose the epoch."""
    if not 0 < held_out < FEW_GENES:
        return ()
    return (f"only {held_out} validation genes: the choice of the epoch is noise",)


def predict_probability(
    model: ChromeNet, signal: NDArray[np.float32], device: torch.device
) -> NDArray[np.float32]:
    """Return the probability (genes,) of label 1 of normalised signal (genes, marks, bins).

    The model must be on the device.
    """
    x = torch.from_numpy(np.ascontiguousarray(signal)).to(device)
    return high_probability(predict_logits(model, x)).cpu().numpy()
