"""Which bases of the genome are exons of which gene?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.annotation import of_type
from chromeprep.chromosomes import reconcile
from chromeprep.errors import AnnotationError, MismatchError, shorten
from chromeprep.format.model import Strings, strings
from chromeprep.gtf import read_features

_log = logging.getLogger(__name__)

_STRANDS = ("+", "-", ".")


class Exons(NamedTuple):
    """Genes of a GTF and the union of the exons of each; positions 0-based, half-open.

    Attributes
    ----------
    gene_id, gene_name, length_bp
        Of each gene, in the order of the file; the length is that of the union. Shape (genes,).
    chromosomes
        Names, as the GTF has them.
    gene, chrom, strand, start, end
        Of each interval, shape (intervals,): rows of the genes and of `chromosomes`, strand 0, 1
        or 2 (+, - and none), and the first base and one past the last.
    """

    gene_id: Strings
    gene_name: Strings
    length_bp: NDArray[np.int64]
    chromosomes: tuple[str, ...]
    gene: NDArray[np.int32]
    chrom: NDArray[np.int32]
    strand: NDArray[np.int8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


class Segments(NamedTuple):
    """Stretches of the chromosomes of a BAM file over which the set of genes is the same.

    Segments of a chromosome do not overlap and are sorted. Those of chromosome `c` and strand `s`
    are rows ``group[c * n_strands + s]`` to ``group[c * n_strands + s + 1]``; the genes of segment
    `i` are ``genes[offset[i]:offset[i + 1]]``.
    """

    n_strands: int
    group: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    offset: NDArray[np.int64]
    genes: NDArray[np.int32]


def read_exons(path: str | Path, gene_types: Sequence[str] = ("any",)) -> Exons:
    """Read the exon lines of a GTF, plain or gzipped.

    All exons of one gene id are exons of one gene, wherever they are.

    Parameters
    ----------
    path
        The file; only its ``exon`` lines are used.
    gene_types
        Values of ``gene_type`` or ``gene_biotype`` to keep; ``any`` keeps all.

    Raises
    ------
    AnnotationError
        Where a line is malformed, there are no exon lines, or no gene is of a wanted type.
    """
    source = Path(path)
    rows: dict[str, int] = {}
    names: list[str] = []
    types: list[str] = []
    chromosomes: dict[str, int] = {}
    found: list[tuple[int, int, int, int, int]] = []
    for line in read_features(source, b"exon"):
        row = rows.setdefault(line.gene_id, len(rows))
        if row == len(names):
            names.append(line.gene_name)
            types.append(line.gene_type)
        chrom = chromosomes.setdefault(line.chrom, len(chromosomes))
        found.append((row, chrom, _STRANDS.index(line.strand), line.start, line.end))
    if not found:
        raise AnnotationError(
            "has no exon lines, so reads cannot be counted in exons",
            path=source,
            hint="give the whole annotation, not its gene lines only",
        )
    table = np.array(found, dtype=np.int64)
    kept = np.array(of_type(types, gene_types, source), dtype=bool)
    table = table[kept[table[:, 0]]]
    table[:, 0] = (np.cumsum(kept) - 1)[table[:, 0]]
    merged = _merge(table)
    n_genes = int(kept.sum())
    _warn_of_places(source, merged, n_genes)
    length = np.zeros(n_genes, dtype=np.int64)
    np.add.at(length, merged[:, 0], merged[:, 4] - merged[:, 3])
    return Exons(
        gene_id=strings(list(rows))[kept],
        gene_name=strings(names)[kept],
        length_bp=length,
        chromosomes=tuple(chromosomes),
        gene=merged[:, 0].astype(np.int32),
        chrom=merged[:, 1].astype(np.int32),
        strand=merged[:, 2].astype(np.int8),
        start=merged[:, 3].copy(),
        end=merged[:, 4].copy(),
    )


def segments(
    exons: Exons, references: Sequence[str], *, stranded: bool, path: str | Path, gtf: str | Path
) -> Segments:
    """Cut the exons into segments, for the chromosomes of a BAM file in its order.

    Parameters
    ----------
    exons
        Of `read_exons`.
    references
        Names of the chromosomes in the BAM; ``1`` and ``chr1`` are the same one.
    stranded
        Keep the strands apart (+ first); exons without a strand are on neither. Without it both
        are one.
    path, gtf
        For messages.

    Raises
    ------
    MismatchError
        Where the BAM has none of the chromosomes.
    """
    names = reconcile(references, exons.chromosomes)
    if not names:
        raise MismatchError(
            f"no chromosome in common: {path} has {shorten(references, 5)}; the exons of {gtf} are "
            f"on {shorten(exons.chromosomes, 5)}",
            hint="are both of the same species and assembly?",
        )
    n_strands = 2 if stranded else 1
    if stranded and (exons.strand == 2).any():
        _log.warning("%s: exons without a strand take no part in stranded counting", gtf)
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for name in references:
        chrom = exons.chromosomes.index(names[name]) if name in names else -1
        for strand in range(n_strands):
            mine = exons.chrom == chrom
            if stranded:
                mine &= exons.strand == strand
            parts.append(_cut(exons.start[mine], exons.end[mine], exons.gene[mine]))
    empty = np.zeros(0, dtype=np.int64)
    start, end, count, genes = (
        np.concatenate([empty, *(part[column] for part in parts)]) for column in range(4)
    )
    return Segments(
        n_strands,
        np.cumsum([0, *(len(part[0]) for part in parts)], dtype=np.int64),
        start,
        end,
        np.cumsum(np.append(0, count), dtype=np.int64),
        genes.astype(np.int32),
    )


def _merge(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Merge the intervals of each (gene, chromosome, strand) that overlap or touch."""
    table = table[np.lexsort((table[:, 4], table[:, 3], table[:, 2], table[:, 1], table[:, 0]))]
    merged: list[list[int]] = []
    for row in table.tolist():
        if merged and merged[-1][:3] == row[:3] and row[3] <= merged[-1][4]:
            merged[-1][4] = max(merged[-1][4], row[4])
        else:
            merged.append(row)
    return np.array(merged, dtype=np.int64).reshape(-1, 5)


def _cut(
    start: NDArray[np.int64], end: NDArray[np.int64], gene: NDArray[np.int32]
) -> tuple[NDArray[np.int64], ...]:
    """Return start, end and number of genes of the segments, and their genes one after another."""
    edges = np.unique(np.concatenate([start, end]))
    first, last = np.searchsorted(edges, start), np.searchsorted(edges, end)
    width = last - first
    # Row of the segment for each pair of (interval, segment in it).
    within = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
    segment = np.repeat(first, width) + within
    genes = np.repeat(gene, width)
    # A gene on both strands stands in a segment twice where strands are one.
    pairs = np.unique(np.stack([segment, genes.astype(np.int64)]), axis=1)
    rows, count = np.unique(pairs[0], return_counts=True)
    return edges[rows], edges[rows + 1] if len(rows) else edges[rows], count, pairs[1]


def _warn_of_places(path: Path, merged: NDArray[np.int64], n_genes: int) -> None:
    places = np.unique(merged[:, :3], axis=0)
    more = int((np.bincount(places[:, 0], minlength=n_genes) > 1).sum())
    if more:
        _log.info(
            "%s: %s of %s genes have exons on several chromosomes or strands; all of them count",
            path, f"{more:,}", f"{n_genes:,}",
        )  # fmt: skip
