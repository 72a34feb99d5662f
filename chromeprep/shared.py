"""What the requests of one call have in common: annotation, expression table, --like; read once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from chromeprep.annotation import Annotation, annotate
from chromeprep.expression import ExpressionColumn, ExpressionTable, Ids, read_expression
from chromeprep.format import Description
from chromeprep.gtf import GtfGenes, read_genes
from chromeprep.like import read_like

_log = logging.getLogger(__name__)


class Shared:
    """Reads a file when it is first asked for, and keeps it.

    Parameters
    ----------
    many
        Several columns of an expression table will be wanted, so that the table is worth keeping.
    genes_read
        Gives the genes of the only GTF, where they are being read already.
    """

    def __init__(
        self, *, many: bool = False, genes_read: Callable[[], GtfGenes] | None = None
    ) -> None:
        self._many = many
        self._genes_read = genes_read
        self._annotations: dict[tuple[Path, tuple[str, ...]], Annotation] = {}
        self._tables: dict[Path, ExpressionTable] = {}
        self._likes: dict[tuple[Path, str | None], Description] = {}

    def annotation(self, path: Path, gene_types: Sequence[str]) -> Annotation:
        """Return the genes of a GTF; see `chromeprep.annotation.read_gtf`."""
        key = (path, tuple(gene_types))
        if key not in self._annotations:
            self._annotations[key] = self._read_annotation(path, gene_types)
        return self._annotations[key]

    def like(self, path: Path, assembly: str | None) -> Description:
        """Return all but the signal of a file of bins; see `chromeprep.like.read_like`."""
        key = (path, assembly)
        if key not in self._likes:
            self._likes[key] = read_like(path, assembly)
        return self._likes[key]

    def table(self, path: Path) -> ExpressionTable:
        """Return an expression table."""
        if path not in self._tables:
            self._tables[path] = ExpressionTable(path)
        return self._tables[path]

    def expression(
        self, path: Path, column: str | None, cell_type: str | None, ids: Ids
    ) -> ExpressionColumn:
        """Return a column of a table; see `chromeprep.expression.read_expression`."""
        if not self._many:
            return read_expression(path, column, cell_type, ids)
        return self.table(path).read(column, cell_type, ids)

    def _read_annotation(self, path: Path, gene_types: Sequence[str]) -> Annotation:
        read = self._genes_read or (lambda: read_genes(path))
        annotation = annotate(read(), gene_types, path)
        if annotation.feature != "gene":
            _log.info(
                "%s: has no gene lines; genes are made from its %ss", path, annotation.feature
            )
        if annotation.n_par_y:
            _log.info("%s: %d copies of pseudo-autosomal genes on the Y left out", path,
                      annotation.n_par_y)  # fmt: skip
        if annotation.n_unstranded:
            _log.warning("%s: %d genes without a strand, and so without a TSS, left out", path,
                         annotation.n_unstranded)  # fmt: skip
        return annotation
