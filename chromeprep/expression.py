"""Expression tables, their join to genes, and the median label."""

from __future__ import annotations

import csv
import math
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
    lines = [entry for entry in read_lines(source, ExpressionError) if entry[1].strip()]
    if not lines:
        raise ExpressionError("is empty", path=source)
    # A header of one name, as R writes it for one column, has no separator.
    separator = "\t" if any("\t" in line for _, line in lines[:2]) else ","
    (header, names), *rows = [(number, _split(line, separator)) for number, line in lines]
    _refuse_headerless(source, header, names)
    if not rows:
        raise ExpressionError("has a header but no rows", path=source)
    # R leaves the header of the row names out.
    columns = names if len(rows[0][1]) == len(names) + 1 else names[1:]
    if not columns:
        raise ExpressionError(
            "has one column only; expected gene ids and values, separated by tabs or commas",
            path=source,
            line=header,
        )
    chosen = _choose(source, columns, column, cell_type)
    return _values(source, rows, chosen, columns)


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
    # A quoted field may hold the separator.
    raw = next(csv.reader([line], delimiter=separator)) if '"' in line else line.split(separator)
    fields = [field.strip() for field in raw]
    while len(fields) > 1 and not fields[-1]:
        fields.pop()
    return fields


def _refuse_headerless(path: Path, line: int, names: list[str]) -> None:
    if len(names) == 1:
        return
    # Samples may be named 1, 2, 3, but not 23.265.
    numbers = all(map(_is_number, names[1:])) and not all(name.isdigit() for name in names[1:])
    if numbers or re.fullmatch(r"ENS[A-Z]*\d{10,11}(\.\d+)?(_PAR_Y)?", names[0]):
        raise ExpressionError(
            f"the first line should name the columns, but holds the gene {names[0]}",
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
        return _once(path, columns, column)
    if cell_type is not None and cell_type in columns:
        return _once(path, columns, cell_type)
    if len(columns) == 1:
        return columns[0]
    wanted = "" if cell_type is None else f", none of them named as the cell type '{cell_type}'"
    raise ExpressionError(
        f"has {len(columns)} columns{wanted}: {shorten(columns)}",
        path=path,
        hint="choose one with --expression-column NAME",
    )


def _once(path: Path, columns: list[str], column: str) -> str:
    if columns.count(column) > 1:
        raise ExpressionError(f"has {columns.count(column)} columns named '{column}'", path=path)
    return column


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _values(
    path: Path, rows: list[tuple[int, list[str]]], column: str, columns: list[str]
) -> ExpressionColumn:
    index = 1 + columns.index(column)
    values: dict[str, float] = {}
    lines: dict[str, int] = {}
    n_missing = n_par_y = 0
    for number, fields in rows:
        if len(fields) > 1 + len(columns):
            raise ExpressionError(
                f"has {len(fields)} fields, the header names {1 + len(columns)}",
                path=path,
                line=number,
            )
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
        if not _is_number(text):
            raise ExpressionError(
                f"column '{column}' of gene {gene}: '{text}' is not a number",
                path=path,
                line=number,
            )
        values[gene] = float(text)
    return ExpressionColumn(values, column, n_missing, n_par_y)
