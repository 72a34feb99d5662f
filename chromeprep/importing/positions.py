"""Where are genes that came without positions? Looked up in a GTF; minus strands are turned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.annotation import read_gtf
from chromeprep.chromosomes import natural_key, reconcile
from chromeprep.errors import AnnotationError, MismatchError, shorten
from chromeprep.format import GeneTable
from chromeprep.format.ids import cut_version
from chromeprep.format.schema import UNKNOWN_POSITION
from chromeprep.textfiles import read_lines
from chromeprep.windows import Windows


class Placed(NamedTuple):
    """Genes with their positions.

    Attributes
    ----------
    genes
        All of them, in their order; those that the GTF lacks without position.
    known
        Which of them the GTF has, shape (genes,).
    """

    genes: GeneTable
    known: NDArray[np.bool_]


def unplaced(gene_id: list[str], gene_name: list[str]) -> GeneTable:
    """Make a table of genes whose positions are not known.

    Examples
    --------
    >>> genes = unplaced(["ENSG00000000003"], ["TSPAN6"])
    >>> genes.chrom[0], genes.strand[0], int(genes.start[0]), int(genes.tss[0])
    ('', '', -1, -1)
    """
    nowhere = np.full(len(gene_id), UNKNOWN_POSITION)
    nothing = np.full(len(gene_id), "", dtype=object)
    return GeneTable.build(gene_id, nothing, nowhere, nowhere, nothing, gene_name)


def place(genes: GeneTable, gtf: Path) -> Placed:
    """Fill in chromosome, start, end, strand and TSS, versions of gene ids cut on both sides.

    Names and types come from the GTF where the genes have none.

    Raises
    ------
    MismatchError
        Where the GTF knows none of the genes.
    """
    found = read_gtf(gtf, ("any",)).genes
    rows = {cut_version(name): row for row, name in reversed(list(enumerate(found.gene_id)))}
    where = np.array([rows.get(cut_version(name), -1) for name in genes.gene_id], dtype=np.int64)
    known = where >= 0
    if not known.any():
        raise MismatchError(
            f"knows none of the {len(genes):,} genes; its first ids are "
            f"{shorten(found.gene_id[:3])}, those of the genes {shorten(genes.gene_id[:3])}",
            path=gtf,
            hint="the genes have Ensembl ids: give an annotation of GENCODE or Ensembl",
        )
    theirs = found.take(np.maximum(where, 0))
    blank = known & (genes.gene_name == "")
    return Placed(
        replace(
            genes,
            gene_name=np.where(blank, theirs.gene_name, genes.gene_name),
            gene_type=np.where(known, theirs.gene_type, genes.gene_type),
            chrom=np.where(known, theirs.chrom, genes.chrom),
            start=np.where(known, theirs.start, genes.start),
            end=np.where(known, theirs.end, genes.end),
            strand=np.where(known, theirs.strand, genes.strand),
            tss=np.where(known, theirs.tss, genes.tss),
        ),
        known,
    )


def turned(signal: NDArray[np.float32], strand: NDArray[np.object_]) -> NDArray[np.float32]:
    """Return a signal of genome direction in transcript direction, or the other way round.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins).
    strand
        Bins of genes on ``-`` are reversed; shape (genes,).

    Examples
    --------
    >>> signal = np.arange(4, dtype=np.float32).reshape(2, 1, 2)
    >>> turned(signal, np.array(["+", "-"], dtype=object)).tolist()
    [[[0.0, 1.0]], [[3.0, 2.0]]]
    """
    out = signal.copy()
    minus = strand == "-"
    out[minus] = signal[minus][:, :, ::-1]
    return out


def read_chrom_sizes(path: Path) -> dict[str, int]:
    """Read a table of chromosome names and lengths, as UCSC's ``hg19.chrom.sizes``.

    Raises
    ------
    AnnotationError
        Where a line is not a name and a length, or a name comes twice.
    """
    sizes: dict[str, int] = {}
    for number, line in read_lines(path, AnnotationError):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) < 2 or not fields[1].isdecimal() or int(fields[1]) < 1:
            raise AnnotationError(
                "expected the name of a chromosome and its length in bp", path=path, line=number
            )
        if fields[0] in sizes:
            raise AnnotationError(f"{fields[0]} comes twice", path=path, line=number)
        sizes[fields[0]] = int(fields[1])
    if not sizes:
        raise AnnotationError("is empty", path=path)
    return sizes


def with_lengths(
    genes: GeneTable, windows: Windows, sizes: Mapping[str, int] | None, path: Path | None
) -> tuple[GeneTable, dict[str, int]]:
    """Count the bins outside, and return the lengths of the genes' chromosomes.

    Parameters
    ----------
    genes
        With or without positions.
    windows
        Of the genes.
    sizes
        Lengths of chromosomes; None where unknown. Then only bins before the first base count.
    path
        Where the sizes come from, for messages.
    """
    placed = genes.chrom != ""
    chroms = sorted(set(genes.chrom[placed]), key=natural_key)
    lengths: dict[str, int] = {}
    if sizes is not None:
        names = reconcile(chroms, sizes)
        missing = [chrom for chrom in chroms if chrom not in names]
        if missing:
            raise MismatchError(f"has no {shorten(missing)}, where genes are", path=path)
        lengths = {chrom: sizes[names[chrom]] for chrom in chroms}
    endless = np.iinfo(np.int64).max // 2
    of_genes = np.array([lengths.get(chrom, endless) for chrom in genes.chrom], dtype=np.int64)
    beyond = np.flatnonzero(placed & (genes.tss >= of_genes))
    if len(beyond):
        row = beyond[0]
        raise MismatchError(
            f"{genes.chrom[row]} has {of_genes[row]:,} bp, but gene {genes.gene_id[row]} has its "
            f"TSS at {genes.tss[row] + 1:,}",
            path=path,
            hint="are annotation and chromosome sizes of the same assembly?",
        )
    outside = windows.bins_outside(windows.starts(genes), of_genes)
    return replace(genes, bins_outside=np.where(placed, outside, 0).astype(np.int32)), lengths
