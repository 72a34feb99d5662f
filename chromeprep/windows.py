"""Windows round the TSS, and the neighbour filter that keeps them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.chromosomes import natural_key
from chromeprep.format.ids import cut_version
from chromeprep.format.model import GeneTable


class Windows(NamedTuple):
    """How wide the windows are and into how many bins they are cut."""

    flank_bp: int = 10_000
    bin_size_bp: int = 100

    @property
    def n_bins(self) -> int:
        """Bins of a window."""
        return 2 * self.flank_bp // self.bin_size_bp

    @property
    def width_bp(self) -> int:
        """Bases of a window."""
        return 2 * self.flank_bp

    def starts(self, genes: GeneTable) -> NDArray[np.int64]:
        """Return the first genomic base of each gene's window, shape (genes,).

        A window covers ``[tss - flank, tss + flank)`` on + and ``[tss + 1 - flank, tss + 1 +
        flank)`` on -, so that bin b lies at the same offsets in transcript direction on both.
        """
        on_minus = np.asarray(genes.strand == "-", dtype=np.int64)
        return genes.tss - self.flank_bp + on_minus

    def bins_outside(
        self, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Count the bins that leave the chromosome, in whole or in part, shape (genes,).

        Parameters
        ----------
        starts
            As `starts` gives them, shape (genes,).
        lengths
            Of each gene's chromosome in bp, shape (genes,).

        Examples
        --------
        >>> windows = Windows(flank_bp=200, bin_size_bp=100)
        >>> windows.bins_outside(np.array([-150, 0, 650]), np.array([1000, 1000, 1000]))
        array([2, 0, 1], dtype=int32)
        """
        before = np.clip(-(starts // self.bin_size_bp), 0, self.n_bins)
        beyond = starts + self.width_bp - lengths
        after = np.clip(-(-beyond // self.bin_size_bp), 0, self.n_bins)
        return np.asarray(np.minimum(before + after, self.n_bins), dtype=np.int32)


def order_by_position(genes: GeneTable) -> GeneTable:
    """Return the genes by chromosome (1, 2, …, X, Y, M), TSS and id."""
    ranks = {name: rank for rank, name in enumerate(sorted(set(genes.chrom), key=natural_key))}
    chrom = np.array([ranks[name] for name in genes.chrom], dtype=np.int64)
    tied = _tied(genes.tss)
    ids = np.zeros(len(genes), dtype=np.int64)
    ids[tied] = _rank(list(genes.gene_id[tied]))
    return genes.take(np.lexsort((ids, genes.tss, chrom)))


def neighbour_filter(genes: GeneTable, distance_bp: int) -> NDArray[np.bool_]:
    """Say which genes are kept when those close behind a kept one are dropped.

    Along each chromosome by TSS (ties by id), the strand ignored, a gene whose TSS lies within
    `distance_bp` downstream of the previous *kept* gene's TSS is dropped.

    Parameters
    ----------
    genes
        In any order.
    distance_bp
        0 keeps all.

    Returns
    -------
    ndarray of bool, shape (genes,)
        True where the gene is kept.

    References
    ----------
    Chen, Xie, Wen 2022, "Data collection and processing".

    Examples
    --------
    >>> genes = GeneTable.build(list("abc"), ["1"] * 3, [0, 4000, 8000],
    ...                         [10, 4010, 8010], ["+"] * 3)
    >>> neighbour_filter(genes, 5000)
    array([ True, False,  True])
    """
    kept = np.ones(len(genes), dtype=bool)
    if distance_bp <= 0:
        return kept
    # The version decides only between copies of one id.
    tied = _tied(genes.tss)
    ids = np.zeros(len(genes), dtype=np.int64)
    ids[tied] = _rank([(cut_version(name), name) for name in genes.gene_id[tied]])
    for rows in by_chromosome(genes.chrom).values():
        previous = None
        for row in rows[np.lexsort((ids[rows], genes.tss[rows]))]:
            tss = int(genes.tss[row])
            if previous is not None and tss - previous <= distance_bp:
                kept[row] = False
            else:
                previous = tss
    return kept


def by_chromosome(chrom: NDArray[np.object_]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each chromosome, in the order of first appearance.

    Examples
    --------
    >>> by_chromosome(np.array(["b", "a", "b"], dtype=object))
    {'b': array([0, 2]), 'a': array([1])}
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(chrom):
        rows.setdefault(name, []).append(row)
    return {name: np.array(found, dtype=np.int64) for name, found in rows.items()}


def _tied(tss: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which values occur more than once: only there do ids decide on the order."""
    _, where, counts = np.unique(tss, return_inverse=True, return_counts=True)
    return np.asarray(counts[where] > 1)


def _rank(names: Sequence[Any]) -> NDArray[np.int64]:
    # By code point, as Python sorts, whatever numpy does with objects.
    ranks = {name: rank for rank, name in enumerate(sorted(set(names)))}
    return np.array([ranks[name] for name in names], dtype=np.int64)
