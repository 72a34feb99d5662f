"""A file of bins -> bedGraph: the signal of a mark along the genome.

Windows of neighbouring genes overlap, and the grids of their bins differ there. A base therefore
takes the value of the bin that it lies in of the gene with the nearest TSS (of two as near, the
left one), and a base in no window is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import FormatError, MismatchError, did_you_mean
from chromeprep.exporting.numbers import texts
from chromeprep.exporting.textfile import open_text
from chromeprep.format import ChromeBins, GeneTable
from chromeprep.windows import Windows, by_chromosome, order_by_position

_log = logging.getLogger(__name__)

Positions = NDArray[np.int64]


class Territories(NamedTuple):
    """The bases of each gene's window that no other gene's TSS is nearer to, half-open."""

    starts: Positions
    ends: Positions


class Pieces(NamedTuple):
    """Stretches of one chromosome in order, none touching another of the same value.

    ``starts`` and ``ends`` have shape (pieces,), 0-based half-open; ``values`` are never NaN.
    """

    chrom: str
    starts: Positions
    ends: Positions
    values: NDArray[np.float32]


def territories(tss: Positions, windows: Positions, width_bp: int) -> Territories:
    """Cut windows where they overlap, half way between the two TSSs.

    Parameters
    ----------
    tss
        Of the genes of one chromosome, rising, none twice; shape (genes,).
    windows
        First base of each gene's window, shape (genes,).
    width_bp
        Of every window.

    Examples
    --------
    >>> territories(np.array([100, 131]), np.array([50, 81]), 100)
    Territories(starts=array([ 50, 116]), ends=array([116, 181]))
    """
    ends = windows + width_bp
    ends[:-1] = np.minimum(ends[:-1], (tss[:-1] + tss[1:]) // 2 + 1)
    starts = windows.copy()
    starts[1:] = np.maximum(starts[1:], ends[:-1])
    return Territories(starts, ends)


def check_positions(data: ChromeBins, path: Path) -> None:
    """Raise `FormatError` where genes are not placed or it is unknown how their bins stand."""
    attributes = data.attributes
    without = int((data.genes.chrom == "").sum())
    hint = "give --gtf to `chromeprep import`, or bin the tracks with `chromeprep bin`"
    if without:
        raise FormatError(
            f"does not say where {without:,} of its {len(data.genes):,} genes are, so their bins "
            "have no place on the genome",
            path=path, hint=hint,
        )  # fmt: skip
    if attributes.orientation not in ("5p-to-3p", "genome"):
        raise FormatError(
            f"has orientation '{attributes.orientation}': it is not known which end of a window "
            "is which",
            path=path, hint=hint,
        )  # fmt: skip


def mark_row(data: ChromeBins, mark: str, path: Path) -> int:
    """Return the row of a mark; raises `MismatchError` where the file has it not."""
    if mark not in data.mark_names:
        raise MismatchError(f"no mark '{mark}'; {did_you_mean(mark, data.mark_names)}", path=path)
    return data.mark_names.index(mark)


def genome_pieces(data: ChromeBins, row: int) -> Iterator[Pieces]:
    """Yield the signal of one mark along each chromosome, chromosomes by code point.

    That is the order of ``LC_ALL=C sort -k1,1 -k2,2n``, which UCSC's programs ask for. Of genes
    with the same TSS the first by id counts. Bins that are NaN are left out.

    Parameters
    ----------
    data
        With positions (`check_positions`).
    row
        Of the mark.
    """
    genes = data.genes
    values = data.signal[:, row, :]
    if data.attributes.orientation == "5p-to-3p":
        values = np.where((genes.strand == "-")[:, None], values[:, ::-1], values)
    order = _order(genes)
    for chrom, rows in sorted(by_chromosome(genes.chrom[order]).items()):
        here = order[rows]
        first = np.r_[True, np.diff(genes.tss[here]) > 0]
        yield _pieces(data, chrom, here[first], values)


def shared_tss(genes: GeneTable) -> int:
    """Count the genes that are left out because another one has the same TSS."""
    return len(genes) - len(set(zip(genes.chrom, genes.tss.tolist(), strict=True)))


def write_bedgraph(data: ChromeBins, row: int, target: Path, *, zipped: bool) -> None:
    """Write one mark; `target` is replaced if it exists."""
    with open_text(target, zipped=zipped) as handle:
        for pieces in genome_pieces(data, row):
            columns = (pieces.starts.tolist(), pieces.ends.tolist(), texts(pieces.values).tolist())
            handle.writelines(
                f"{pieces.chrom}\t{start}\t{end}\t{value}\n"
                for start, end, value in zip(*columns, strict=True)
            )


def _order(genes: GeneTable) -> NDArray[np.int64]:
    # The rows of the table themselves, ordered as the table would be.
    numbered = GeneTable.build(
        genes.gene_id, genes.chrom, genes.start, genes.end, genes.strand,
        expression=np.arange(len(genes)),
    )  # fmt: skip
    return order_by_position(numbered).expression.astype(np.int64)


def _pieces(
    data: ChromeBins, chrom: str, rows: NDArray[np.int64], values: NDArray[np.float32]
) -> Pieces:
    genes = data.genes.take(rows)
    windows = Windows(data.attributes.flank_bp, data.attributes.bin_size_bp)
    first = windows.starts(genes)
    cells = territories(genes.tss, first, windows.width_bp)
    edges = first[:, None] + np.arange(windows.n_bins + 1) * windows.bin_size_bp
    edges = np.clip(edges, cells.starts[:, None], cells.ends[:, None])
    edges = np.clip(edges, 0, data.chromosomes.get(chrom, np.iinfo(np.int64).max))
    starts, ends, found = edges[:, :-1].ravel(), edges[:, 1:].ravel(), values[rows].ravel()
    kept = (starts < ends) & ~np.isnan(found)
    starts, ends, found = starts[kept], ends[kept], found[kept]
    # Neighbours of one value are one piece.
    goes_on = (starts[1:] == ends[:-1]) & (found[1:] == found[:-1])
    begins, stops = np.r_[True, ~goes_on], np.r_[~goes_on, True]
    if not len(starts):
        begins = stops = np.zeros(0, dtype=bool)
    return Pieces(chrom, starts[begins], ends[stops], found[begins])
