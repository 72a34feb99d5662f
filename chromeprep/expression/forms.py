"""Which of the common forms does an expression table have, and where in it stands what?"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from chromeprep.errors import ExpressionError
from chromeprep.textfiles import read_lines

Line = tuple[int, str]

TABLE = "table"
HEADERLESS = "table without a header"
GCT = "GCT"
FEATURE_COUNTS = "featureCounts"
RSEM = "RSEM genes.results"
SALMON = "Salmon quant.genes.sf"
STRINGTIE = "StringTie gene abundances"
QUANTIFY = "chromeprep quantify"

# What a header begins with, in lower case, and the column to take where none is named.
_HEADERS: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    (FEATURE_COUNTS, ("geneid", "chr", "start", "end", "strand", "length"), None),
    (RSEM, ("gene_id", "transcript_id(s)", "length", "effective_length"), "TPM"),
    (SALMON, ("name", "length", "effectivelength", "tpm", "numreads"), "TPM"),
    (STRINGTIE, ("gene id", "gene name", "reference", "strand", "start", "end"), "TPM"),
    (QUANTIFY, ("gene_id", "gene_name", "length_bp", "count", "rpkm", "tpm"), "tpm"),
)
_NO_VALUES = {  # columns of these forms that are not expression
    RSEM: {"transcript_id(s)", "length", "effective_length"},
    SALMON: {"length", "effectivelength"},
    STRINGTIE: {"gene name", "reference", "strand", "start", "end"},
    QUANTIFY: {"gene_name", "length_bp"},
}
_OF_TRANSCRIPTS = ("transcript_id", "gene_id", "length", "effective_length")
SYMBOLS = {"gene_name", "gene name", "gene_symbol", "symbol", "hgnc_symbol", "description"}
# Of any table: what says something of a gene, but not how much it is expressed.
ANNOTATION = SYMBOLS | {"gene_type", "gene_biotype", "biotype", "chr", "chrom", "strand"}

_ENSEMBL_GENE = re.compile(r"ENS[A-Z]*\d{10,11}(\.\d+)?(_PAR_Y)?")
_TRANSCRIPT = re.compile(r"ENS[A-Z]*T\d{11}(\.\d+)?(\|.*)?")
_HEADER_WORD = re.compile(r"(?i)|.*(gene|id|name|symbol|ensembl).*")


class Layout(NamedTuple):
    """Where in the fields of a row stands what.

    Attributes
    ----------
    form
        One of the names above.
    columns
        Names of the columns of values, in their order; ``positions`` are their fields.
    default
        The column to take where none is named, or None.
    id_at, symbol_at, length_at
        Fields of the gene id, its symbol and its length in bp; None where there is none.
    n_fields
        Most fields of a row.
    separator
        Tab or comma.
    n_rows
        Rows, where the file says how many it has.
    """

    form: str
    columns: Sequence[str]
    positions: Sequence[int]
    n_fields: int
    separator: str
    default: str | None = None
    id_at: int = 0
    symbol_at: int | None = None
    length_at: int | None = None
    n_rows: int | None = None


def recognise(path: Path) -> tuple[Layout, Iterator[Line]]:
    """Tell the form of a table by its first lines.

    Returns
    -------
    layout
        Where what stands.
    rows
        The lines with genes, with their numbers from 1; blank ones are left out.

    Raises
    ------
    ExpressionError
        Where the table is empty, or none of these forms.
    """
    lines = (entry for entry in read_lines(path, ExpressionError) if entry[1].strip())
    first = next(lines, None)
    if first is None:
        raise ExpressionError("is empty", path=path)
    mark = first[1].split("\t")[0].strip()
    if mark in ("#1.2", "#1.3"):
        return _gct(path, mark, lines)
    if first[1].startswith("# Program:featureCounts"):
        first = next(lines, None)
        if first is None:
            raise ExpressionError("has a comment but no header and no rows", path=path)
    second = next(lines, None)
    rows: Iterator[Line] = iter(()) if second is None else chain([second], lines)
    # A header of one name, as R writes it for one column, has no separator.
    tabs = any("\t" in entry[1] for entry in (first, second) if entry is not None)
    separator = "\t" if tabs else ","
    names = split(first[1], separator)
    lowered = tuple(name.lower() for name in names)
    if lowered[: len(_OF_TRANSCRIPTS)] == _OF_TRANSCRIPTS:
        raise _of_transcripts(path, first[0], "SAMPLE.genes.results lies beside it")
    if _is_headerless(path, first[0], names):
        layout = Layout(HEADERLESS, ["value"], [1], 2, separator)
        return layout, chain([first], rows)
    if second is None:
        raise ExpressionError("has a header but no rows", path=path)
    fields = split(second[1], separator)
    for form, beginning, default in _HEADERS:
        if lowered[: len(beginning)] == beginning:
            if form == SALMON and _TRANSCRIPT.fullmatch(fields[0]):
                raise _of_transcripts(path, second[0], "`salmon quant -g` writes quant.genes.sf")
            return _of_tool(form, names, fields, separator, default), rows
    # R leaves the header of the row names out.
    if len(fields) == len(names) + 1:
        names = ["", *names]
    if len(names) < 2:
        raise ExpressionError(
            "has one column only; expected gene ids and values, separated by tabs or commas",
            path=path,
            line=first[0],
        )
    return _plain(names, separator), rows


def split(line: str, separator: str) -> list[str]:
    """Return the fields of a line without the empty ones at its end.

    Examples
    --------
    >>> split('"a, b",1,,', ",")
    ['a, b', '1']
    """
    # A quoted field may hold the separator.
    raw = next(csv.reader([line], delimiter=separator)) if '"' in line else line.split(separator)
    # Matrices may have thousands of columns, and blanks round them are rare.
    blanks = " " in line or "\t" in line.replace(separator, "") or not line.isascii()
    fields = [field.strip() for field in raw] if blanks else list(raw)
    while len(fields) > 1 and not fields[-1]:
        fields.pop()
    return fields


def is_number(text: str) -> bool:
    """Say whether a text is a finite number.

    Examples
    --------
    >>> [is_number(text) for text in ("1e-3", "inf", "1_5", "1,5")]
    [True, False, False, False]
    """
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _gct(path: Path, mark: str, lines: Iterator[Line]) -> tuple[Layout, Iterator[Line]]:
    size, header = next(lines, None), next(lines, None)
    if size is None or header is None:
        raise ExpressionError(f"is a GCT ({mark}) without a header", path=path)
    numbers = split(size[1], "\t")
    wanted = 2 if mark == "#1.2" else 4
    if len(numbers) < wanted or not all(number.isdigit() for number in numbers[:wanted]):
        raise ExpressionError(
            f"GCT {mark}: expected {wanted} whole numbers, the size of the table, "
            f"found '{size[1].strip()}'",
            path=path,
            line=size[0],
        )
    names = split(header[1], "\t")
    lowered = [name.lower() for name in names]
    if mark == "#1.3":
        first = 1 + int(numbers[2])
        for _ in range(int(numbers[3])):
            next(lines, None)
    else:
        # GTEx puts a running number before the names of its tables of one tissue.
        first = 3 if lowered[:3] == ["id", "name", "description"] else 2
    id_at = first - 2 if mark == "#1.2" else 0
    symbol = next((at for at in range(1, first) if at != id_at and lowered[at] in SYMBOLS), None)
    layout = Layout(
        GCT, names[first:], range(first, len(names)), len(names), "\t", id_at=id_at,
        symbol_at=symbol, n_rows=int(numbers[0]),
    )  # fmt: skip
    if not layout.columns:
        raise ExpressionError("is a GCT without samples", path=path, line=header[0])
    return layout, lines


def _of_tool(
    form: str, names: list[str], fields: list[str], separator: str, default: str | None
) -> Layout:
    lowered = [name.lower() for name in names]
    if form == FEATURE_COUNTS:
        # --extraAttributes puts text, such as gene_name, between the length and the counts.
        first = 6
        while first < min(len(names), len(fields)) and not is_number(fields[first]):
            first += 1
        kept = list(range(first, len(names)))
    else:
        kept = [at for at in range(1, len(names)) if lowered[at] not in _NO_VALUES[form]]
    symbol = next((at for at, name in enumerate(lowered) if name in SYMBOLS), None)
    return Layout(
        form, [names[at] for at in kept], kept, len(names), separator,
        default=default if default in names else None,
        symbol_at=symbol,
        length_at=5 if form == FEATURE_COUNTS else None,
    )  # fmt: skip


def _plain(names: list[str], separator: str) -> Layout:
    symbol = next(
        (at for at, name in enumerate(names) if at and name.lower() in SYMBOLS - {"description"}),
        None,
    )
    values = [name for name in names[1:] if name.lower() not in ANNOTATION]
    return Layout(
        TABLE, names[1:], range(1, len(names)), len(names), separator,
        default=values[0] if len(values) == 1 else None,
        symbol_at=symbol,
    )  # fmt: skip


def _is_headerless(path: Path, line: int, names: list[str]) -> bool:
    if len(names) == 1:
        return False
    gene = _ENSEMBL_GENE.fullmatch(names[0]) is not None
    numbers = all(map(is_number, names[1:]))
    # Samples may be named 1, 2, 3, but not 23.265.
    whole = all(name.isdigit() for name in names[1:])
    if len(names) == 2 and numbers and (gene or not whole):
        return True
    if len(names) == 2 and whole and not _HEADER_WORD.fullmatch(names[0]):
        raise ExpressionError(
            f"cannot tell whether the first line, '{names[0]}' and '{names[1]}', is a header or "
            "a gene",
            path=path,
            line=line,
            hint="put a header before it, such as: gene_id<TAB>RPKM",
        )
    if gene or (numbers and not whole):
        raise ExpressionError(
            f"the first line should name the columns, but holds the gene {names[0]}",
            path=path,
            line=line,
            hint="put a header before it, such as: gene_id<TAB>RPKM",
        )
    return False


def _of_transcripts(path: Path, line: int, hint: str) -> ExpressionError:
    return ExpressionError("holds transcripts, expected genes", path=path, line=line, hint=hint)
