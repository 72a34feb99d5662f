"""One column of an expression table, read by its form."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from chromeprep.errors import ExpressionError, did_you_mean, shorten
from chromeprep.expression import forms
from chromeprep.expression.forms import Layout, Line
from chromeprep.format.ids import cut_version
from chromeprep.gtf import is_par_y

_log = logging.getLogger(__name__)

Ids = Literal["id", "symbol"]

MISSING = {"", "na", "nan", "n/a", "null", "."}
UNITS = {
    "rpkm", "fpkm", "tpm", "cpm", "count", "counts", "expression", "value"
}  # fmt: skip
_SHOWN = 5


class ExpressionColumn(NamedTuple):
    """One column of an expression table.

    Attributes
    ----------
    values
        Gene id, version cut, or symbol, to value; genes without a value are not there.
    column
        Its name.
    n_missing
        Rows whose value was NA or empty.
    n_par_y
        Rows of copies on the Y of pseudo-autosomal genes, dropped.
    form
        What kind of table it is, such as ``GCT``; see `chromeprep.expression.forms`.
    ids
        Whether `values` go by ``id`` or by ``symbol``.
    """

    values: Mapping[str, float]
    column: str
    n_missing: int
    n_par_y: int
    form: str = forms.TABLE
    ids: Ids = "id"

    @property
    def described(self) -> str:
        """The column, and what is not plain about it: form, unit and key."""
        notes = [] if self.form in (forms.TABLE, forms.HEADERLESS) else [self.form]
        if self.form == forms.FEATURE_COUNTS:
            notes.append("counts as RPKM")
        if self.ids == "symbol":
            notes.append("by symbol")
        return f"{self.column} ({', '.join(notes)})" if notes else self.column

    @property
    def cell_type(self) -> str | None:
        """The column's name where it may be that of a cell type, as in REMC's tables."""
        matrix = self.form in (forms.TABLE, forms.GCT)
        return self.column if matrix and self.column.lower() not in UNITS else None


def read_expression(
    path: str | Path,
    column: str | None = None,
    cell_type: str | None = None,
    ids: Ids = "id",
) -> ExpressionColumn:
    """Read one column of a table, whose form is told by its first lines.

    Forms are those of `chromeprep.expression.forms`, plain or gzipped: any table of genes with a
    header, separated by tabs or commas; two columns without a header; GCT; and what featureCounts,
    RSEM, Salmon, StringTie and ``chromeprep quantify`` write. A header one field shorter than the
    rows (as R writes) and empty fields at the ends of rows (as REMC's tables have) are understood.
    Counts of featureCounts come back as RPKM, by its column of lengths. StringTie gives a row to
    each locus of a gene: these are added up.

    Parameters
    ----------
    path
        The table.
    column
        The name of the column; by default that of `cell_type`, that of the form (TPM), or the only
        one there is.
    cell_type
        Taken for the column's name where `column` is not given.
    ids
        ``id``: genes go by their ids, versions cut. ``symbol``: by the column of symbols, or the
        first one where there is none; symbols in several rows that differ are left out.

    Raises
    ------
    ExpressionError
        Where there is no such column, a value is not a number, or an id stands in two rows that
        differ.
    """
    source = Path(path)
    layout, rows = forms.recognise(source)
    chosen = choose_column(source, layout, column, cell_type)
    return read_column(source, layout, rows, chosen, ids)


def read_column(
    path: Path, layout: Layout, rows: Iterable[Line], chosen: int, ids: Ids, *, quiet: bool = False
) -> ExpressionColumn:
    """Read the column of a number from the rows of a table."""
    name, position = layout.columns[chosen], layout.positions[chosen]
    reading = _Reading(path, layout, name, position, ids, quiet)
    for row in rows:
        reading.add(row)
    return reading.finish()


def choose_column(path: Path, layout: Layout, column: str | None, cell_type: str | None) -> int:
    """Return the number of the column that `read_expression` takes."""
    columns = list(layout.columns)
    if column is not None:
        found = _named(layout, column)
        if not found:
            raise ExpressionError(
                f"no column '{column}'; {did_you_mean(column, columns)}",
                path=path,
                hint="the table has no header; leave --expression-column out"
                if layout.form == forms.HEADERLESS
                else None,
            )
        return _once(path, found, column)
    if cell_type is not None and (found := _named(layout, cell_type)):
        return _once(path, found, cell_type)
    if len(columns) == 1:
        return 0
    if layout.default is not None:
        return _once(path, _named(layout, layout.default), layout.default)
    wanted = "" if cell_type is None else f", none of them named as the cell type '{cell_type}'"
    raise ExpressionError(
        f"has {len(columns)} columns{wanted}: {shorten(columns)}",
        path=path,
        hint="choose one with --expression-column NAME",
    )


def _named(layout: Layout, name: str) -> list[int]:
    """Return which columns have a name; featureCounts' ones, paths, also by their file's name."""
    found = [at for at, column in enumerate(layout.columns) if column == name]
    if found or layout.form != forms.FEATURE_COUNTS:
        return found
    return [
        at
        for at, column in enumerate(layout.columns)
        if name in (Path(column).name, sample_name(column))
    ]


def sample_name(column: str) -> str:
    """Return the sample that a column of featureCounts, the path of a BAM, is named after.

    Examples
    --------
    >>> sample_name("/data/K562.rep1.bam")
    'K562.rep1'
    """
    return re.sub(r"\.(bam|sam|cram)$", "", Path(column).name)


def _once(path: Path, found: list[int], column: str) -> int:
    if len(found) > 1:
        raise ExpressionError(f"has {len(found)} columns named '{column}'", path=path)
    return found[0]


class _Row(NamedTuple):
    """What is kept of a gene's row: its line, the rest of it (hashed), its value."""

    line: int
    rest: int
    value: float | None


@dataclass
class _Reading:
    """The rows read so far."""

    path: Path
    layout: Layout
    column: str
    position: int
    ids: Ids
    quiet: bool
    rows: dict[str, _Row] = field(default_factory=dict)
    n_rows: int = 0
    n_missing: int = 0
    n_par_y: int = 0
    total: float = 0.0  # of counts
    same: list[str] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    unclear: set[str] = field(default_factory=set)

    def add(self, row: Line) -> None:
        """Take one line in."""
        number, text = row
        self.n_rows += 1
        fields = forms.split(text, self.layout.separator)
        if len(fields) > self.layout.n_fields:
            raise ExpressionError(
                f"has {len(fields)} fields, the header names {self.layout.n_fields}",
                path=self.path,
                line=number,
            )
        gene_id = fields[self.layout.id_at] if self.layout.id_at < len(fields) else ""
        gene = self._key(fields, gene_id)
        value = self._value(fields, gene or gene_id, number)
        if is_par_y(gene_id):
            self.n_par_y += 1
            return
        if not gene:
            return
        rest = hash(text.partition(gene_id)[2] if gene_id else text)
        known = self.rows.get(gene)
        if known is not None:
            self._again(gene, known, _Row(number, rest, value))
            return
        self.n_missing += value is None
        self.rows[gene] = _Row(number, rest, value)

    def finish(self) -> ExpressionColumn:
        """Report what was odd, and give the column."""
        wanted = self.layout.n_rows
        if not self.n_rows:
            raise ExpressionError("has a header but no rows", path=self.path)
        if wanted is not None and self.n_rows != wanted:
            raise ExpressionError(
                f"has {self.n_rows:,} rows, its second line says {wanted:,}",
                path=self.path,
                hint="is the copy or download complete?",
            )
        form = self.layout.form
        if form not in (forms.TABLE, forms.HEADERLESS) and not self.quiet:
            unit = " (counts made RPKM by the column Length)" if self.layout.length_at else ""
            _log.info("%s: is of the form %s; column %s%s", self.path, form, self.column, unit)
        if self.same:
            self._report("genes stand in several rows that are the same", self.same)
        if self.added:
            self._report("genes have several rows (loci), which were added up", self.added)
        if self.unclear:
            self._report("symbols stand in several rows that differ, and are left out",
                         self.unclear)  # fmt: skip
        scale = 1e9 / self.total if self.layout.length_at and self.total else 1.0
        values = {
            gene: row.value * scale
            for gene, row in self.rows.items()
            if row.value is not None and gene not in self.unclear
        }
        return ExpressionColumn(values, self.column, self.n_missing, self.n_par_y, form, self.ids)

    def _key(self, fields: list[str], gene_id: str) -> str:
        if self.ids == "id":
            return cut_version(gene_id)
        at = self.layout.symbol_at
        if at is None:
            return gene_id
        symbol = fields[at] if at < len(fields) else ""
        return "" if symbol.lower() in MISSING | {"-"} else symbol

    def _value(self, fields: list[str], gene: str, number: int) -> float | None:
        text = fields[self.position] if self.position < len(fields) else ""
        if text.lower() in MISSING:
            return None
        if not forms.is_number(text):
            raise ExpressionError(
                f"column '{self.column}' of gene {gene}: '{text}' is not a number",
                path=self.path,
                line=number,
            )
        value = float(text)
        if self.layout.length_at is None:
            return value
        length = fields[self.layout.length_at]
        if not forms.is_number(length) or float(length) <= 0:
            raise ExpressionError(
                f"Length of gene {gene}: '{length}' is not a number above 0",
                path=self.path,
                line=number,
            )
        self.total += value
        return value / float(length)

    def _again(self, gene: str, known: _Row, row: _Row) -> None:
        if self.layout.form == forms.STRINGTIE:
            if known.value is not None or row.value is not None:
                total = (known.value or 0.0) + (row.value or 0.0)
                self.rows[gene] = known._replace(value=total)
            self.added.add(gene)
        elif known.rest == row.rest:
            self.same.append(gene)
        elif self.ids == "symbol":
            self.unclear.add(gene)
        else:
            raise ExpressionError(
                f"gene {gene} stands in two rows, lines {known.line} and {row.line}",
                path=self.path,
                hint="keep one row a gene",
            )

    def _report(self, what: str, genes: list[str] | set[str]) -> None:
        if self.quiet:
            return
        names = sorted(set(genes))
        _log.info("%s: %s %s: %s", self.path, f"{len(names):,}", what, shorten(names, _SHOWN))
