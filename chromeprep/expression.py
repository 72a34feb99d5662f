"""Expression tables, their join to genes, and the median label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import ExpressionError, did_you_mean, shorten
from chromeprep.format.ids import cut_version, is_par_y
from chromeprep.format.schema import UNKNOWN_LABEL
from chromeprep.textfiles import read_lines

_MISSING = {"", "na", "nan", "n/a", "null", "."}


class ExpressionColumn(NamedTuple):
    """One column of an expression table.

    Attributes
    ----------
    values
        Gene id, version cut, to value; genes without a value are not there.
    column
        Its name.
    n_missing
        Rows whose value was NA or empty.
    n_par_y
        Rows of copies on the Y of pseudo-autosomal genes, dropped.
    """

    values: Mapping[str, float]
    column: str
    n_missing: int
    n_par_y: int


class Labels(NamedTuple):
    """Labels and the threshold they were cut at; see `median_labels`."""

    label: NDArray[np.int8]
    threshold: float


def read_expression(
    path: str | Path, column: str | None = None, cell_type: str | None = None
) -> ExpressionColumn:
    """Read one column of a table with a header, gene ids in the first column.

    Fields are separated by tabs, or by commas where the header has no tab; plain or gzipped. A
    header one field shorter than the rows (as R writes) and empty fields at the ends of rows (as
    REMC's tables have) are understood.

    Parameters
    ----------
    path
        The table.
    column
        The name of the column; by default that of `cell_type`, or the only one there is.
    cell_type
        Taken for the column's name where `column` is not given.

    Raises
    ------
    ExpressionError
        Where there is no such column, a value is not a number, or an id stands in two rows.
    """
    source = Path(path)
    lines = read_lines(source, ExpressionError)
    header = next(((number, line) for number, line in lines if line.strip()), None)
    if header is None:
        raise ExpressionError("is empty", path=source)
    separator = "\t" if "\t" in header[1] else ","
    names = _split(header[1], separator)
    rows = [(number, _split(line, separator)) for number, line in lines if line.strip()]
    if not rows:
        raise ExpressionError("has a header but no rows", path=source)
    width = max(len(fields) for _, fields in rows)
    # R leaves the header of the row names out.
    columns = names if len(names) == width - 1 else names[1:]
    _refuse_headerless(source, header[0], names)
    chosen = _choose(source, columns, column, cell_type)
    return _values(source, rows, chosen, 1 + columns.index(chosen))


def join_expression(
    gene_ids: NDArray[np.object_], values: Mapping[str, float]
) -> NDArray[np.float64]:
    """Look up each gene, versions cut; NaN where the table does not know it.

    Examples
    --------
    >>> ids = np.array(["ENSG00000000003.10", "ENSG00000000005.5"], dtype=object)
    >>> join_expression(ids, {"ENSG00000000003": 2.0})
    array([ 2., nan])
    """
    nan = float("nan")
    return np.array([values.get(cut_version(name), nan) for name in gene_ids], dtype=np.float64)


def median_labels(expression: NDArray[np.float64]) -> Labels:
    """Label genes 1 where expression is at least the median of all, else 0.

    Parameters
    ----------
    expression
        Shape (genes,); NaN, unknown, takes no part and gets label -1.

    References
    ----------
    Chen, Xie, Wen 2022, "Data collection and processing".

    Examples
    --------
    >>> median_labels(np.array([0.0, 1.0, 5.0, np.nan]))
    Labels(label=array([ 0,  1,  1, -1], dtype=int8), threshold=1.0)
    """
    known = ~np.isnan(expression)
    threshold = float(np.median(expression[known])) if known.any() else float("nan")
    label = np.where(known, expression >= threshold, UNKNOWN_LABEL).astype(np.int8)
    return Labels(label, threshold)


def _split(line: str, separator: str) -> list[str]:
    fields = [field.strip().strip('"') for field in line.split(separator)]
    while len(fields) > 1 and not fields[-1]:
        fields.pop()
    return fields


def _refuse_headerless(path: Path, line: int, names: list[str]) -> None:
    if re.fullmatch(r"ENS[A-Z]*\d{10,11}(\.\d+)?", names[0]) and len(names) > 1:
        raise ExpressionError(
            f"the first line should name the columns, but starts with the gene {names[0]}",
            path=path,
            line=line,
            hint="put a header before it, such as: gene_id<TAB>RPKM",
        )


def _choose(path: Path, columns: list[str], column: str | None, cell_type: str | None) -> str:
    if column is not None:
        if column not in columns:
            raise ExpressionError(
                f"no column '{column}'; {did_you_mean(column, columns)}", path=path
            )
        return column
    if cell_type is not None and cell_type in columns:
        return cell_type
    if len(columns) == 1:
        return columns[0]
    wanted = "" if cell_type is None else f", none of them named as the cell type '{cell_type}'"
    raise ExpressionError(
        f"has {len(columns)} columns{wanted}: {shorten(columns)}",
        path=path,
        hint="choose one with --expression-column NAME",
    )


def _values(
    path: Path, rows: list[tuple[int, list[str]]], column: str, index: int
) -> ExpressionColumn:
    values: dict[str, float] = {}
    lines: dict[str, int] = {}
    n_missing = n_par_y = 0
    for number, fields in rows:
        if is_par_y(fields[0]):
            n_par_y += 1
            continue
        gene = cut_version(fields[0])
        if gene in lines:
            raise ExpressionError(
                f"gene {gene} stands in two rows, lines {lines[gene]} and {number}",
                path=path,
                hint="keep one row a gene",
            )
        lines[gene] = number
        text = fields[index] if index < len(fields) else ""
        if text.lower() in _MISSING:
            n_missing += 1
            continue
        try:
            value = float(text)
        except ValueError:
            value = float("inf")
        if not np.isfinite(value):
            raise ExpressionError(
                f"column '{column}' of gene {gene}: '{text}' is not a number",
                path=path,
                line=number,
            )
        values[gene] = value
    return ExpressionColumn(values, column, n_missing, n_par_y)
