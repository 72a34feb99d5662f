"""GTF -> table of genes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from chromeprep.errors import AnnotationError, did_you_mean, shorten
from chromeprep.format.model import GeneTable
from chromeprep.gtf import GtfGenes, read_genes

_log = logging.getLogger(__name__)


class Annotation(NamedTuple):
    """Genes of a GTF.

    Attributes
    ----------
    genes
        In file order, of the wanted types.
    feature
        What the genes were read from: ``gene``, ``transcript`` or ``exon`` lines.
    n_all
        Genes of every type.
    n_par_y
        Copies on the Y of pseudo-autosomal genes, dropped.
    n_unstranded
        Genes without a strand, and so without a TSS, dropped.
    """

    genes: GeneTable
    feature: str
    n_all: int
    n_par_y: int
    n_unstranded: int


def read_gtf(path: str | Path, gene_types: Sequence[str] = ("protein_coding",)) -> Annotation:
    """Read the genes of a GTF, plain or gzipped.

    Genes come from ``gene`` lines where there are any, else from ``transcript``, else from ``exon``
    lines, from the first base of any to the last. Only lines of that feature are parsed; of all the
    others the number of columns is checked.

    Parameters
    ----------
    path
        The file, from GENCODE, Ensembl, RefSeq or anyone.
    gene_types
        Values of ``gene_type`` or ``gene_biotype`` to keep; empty or ``any`` keeps all. Where
        the file has neither attribute all genes are kept.

    Raises
    ------
    AnnotationError
        Where a line is malformed, an id stands on several chromosomes or strands, or no gene is of
        a wanted type.
    """
    return annotate(read_genes(Path(path)), gene_types, Path(path))


def annotate(found: GtfGenes, gene_types: Sequence[str], path: Path) -> Annotation:
    """Return the genes of the wanted types of a GTF that has been read; see `read_gtf`."""
    wanted = of_type(found.gene_type, gene_types, path)
    table = GeneTable.build(
        gene_id=list(compress(found.gene_id, wanted)),
        gene_name=list(compress(found.gene_name, wanted)),
        gene_type=list(compress(found.gene_type, wanted)),
        chrom=list(compress(found.chrom, wanted)),
        start=list(compress(found.start, wanted)),
        end=list(compress(found.end, wanted)),
        strand=list(compress(found.strand, wanted)),
    )
    return Annotation(table, found.feature, len(found.gene_id), found.n_par_y, found.n_unstranded)


def of_type(gene_types: Sequence[str], wanted: Sequence[str], path: Path) -> list[bool]:
    """Say of each gene whether its type is a wanted one, as `read_gtf` chooses them.

    Raises
    ------
    AnnotationError
        Where no gene is of a wanted type.
    """
    if not wanted or "any" in wanted:
        return [True] * len(gene_types)
    known = sorted(set(gene_types) - {""})
    if not known:
        _log.info(
            "%s: has neither gene_type nor gene_biotype; all %s genes are kept",
            path,
            f"{len(gene_types):,}",
        )
        return [True] * len(gene_types)
    for name in wanted:
        if name not in known:
            raise AnnotationError(
                f"no gene of type '{name}'; {did_you_mean(name, known)}",
                path=path,
                hint=f"--gene-type any keeps all; there are {shorten(known)}",
            )
    return [name in wanted for name in gene_types]
