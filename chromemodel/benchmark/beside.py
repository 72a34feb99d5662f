"""What is known of genes without any model, and which of them are of interest?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.benchmark.rows import ALL, DIFFERS, PANEL_MEAN, VARIABLE
from chromemodel.evaluate.lookup import source_expression, source_label
from chromemodel.evaluate.subsets import variable_in
from chromemodel.fusion.steps import mean_rank
from chromeprep.format import GeneTable, Panel


class Beside(NamedTuple):
    """What is known of the genes of a target: arrays of shape (genes,).

    Attributes
    ----------
    genes, ids
        How many its file has, and a digest of their ids (`ids_digest`).
    lookups
        What is looked up of each gene, to be read as a probability, by name.
    source_label
        The label in the source, -1 where it has none; None where no run is carried over.
    variable
        Whether a gene is on in some cell types of the panel and off in others; None without one.
    missing
        How many genes the source's lookup does not find.
    """

    genes: int
    ids: str
    lookups: Mapping[str, NDArray[np.float64]]
    source_label: NDArray[np.int8] | None = None
    variable: NDArray[np.bool_] | None = None
    missing: int = 0

    def subsets(
        self, rows: NDArray[np.bool_], label: NDArray[Any]
    ) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Return some labelled genes (genes,), and those of them that are scored apart."""
        yield ALL, rows
        if self.variable is not None:
            yield VARIABLE, rows & self.variable
        if self.source_label is not None:
            yield DIFFERS, rows & (self.source_label >= 0) & (self.source_label != label)

    def agreement(self, rows: NDArray[np.bool_], label: NDArray[Any]) -> float:
        """Return the share of some labelled genes (genes,) that have their label in the source.

        Genes without a label there are left out; NaN where none is left.

        Examples
        --------
        >>> label = np.array([1, 0, 1])
        >>> beside = Beside(3, "", {}, np.array([1, 1, -1]))
        >>> beside.agreement(np.ones(3, bool), label)
        0.5
        """
        if self.source_label is None:
            return float("nan")
        both = rows & (self.source_label >= 0)
        same = self.source_label[both] == label[both]
        return float(same.mean()) if len(same) else float("nan")


def ids_digest(gene_id: NDArray[np.object_]) -> str:
    """Return a digest of ids (genes,), by which it is known that two tables have the same genes."""
    return blake2b("\n".join(map(str, gene_id)).encode(), digest_size=16).hexdigest()


def known_beside(genes: GeneTable, source: GeneTable | None, panel: Panel | None) -> Beside:
    """Return what is known of a target's genes; its own expression is not looked at.

    Parameters
    ----------
    genes
        Of the target.
    source
        Genes of the cell type that runs are carried over from.
    panel
        Of those that may speak.
    """
    lookups: dict[str, NDArray[np.float64]] = {}
    beside = Beside(len(genes), ids_digest(genes.gene_id), lookups)
    if source is not None:
        lookup = source_expression(source, genes)
        lookups[f"source {lookup.kind}"] = lookup.score
        missing = int((~lookup.found).sum())
        beside = beside._replace(source_label=source_label(source, genes), missing=missing)
    if panel is not None:
        lookups[PANEL_MEAN] = mean_rank(panel, genes)
        beside = beside._replace(variable=variable_in(panel, genes))
    return beside
