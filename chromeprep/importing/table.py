"""One CSV of a published layout -> genes and their counts; the first fault is named by its line."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chromeprep.errors import InputError
from chromeprep.format.ids import cut_version
from chromeprep.importing.layouts import LAYOUTS, Layout
from chromeprep.textfiles import read_blocks

_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ENSEMBL = re.compile(r"(ENS[A-Z]{0,6}\d{11}(?:\.\d+)?)(?:_(.*))?", re.DOTALL)
_DIGITS = 11
_LARGEST = float(np.finfo(np.float32).max)
_BIN = re.compile(r"(.+)_(\d+)", re.DOTALL)


class GeneRows(NamedTuple):
    """Genes of one file, in its order.

    Attributes
    ----------
    gene_id
        Ensembl ids, put together again where the file has only their last digits.
    gene_name
        Symbols; empty where the file has none.
    signal
        Read counts, shape (genes, marks, bins), marks in the file's order.
    label
        0 or 1; None where the layout has none.
    """

    gene_id: list[str]
    gene_name: list[str]
    signal: NDArray[np.float32]
    label: NDArray[np.int8] | None


class _Lines(NamedTuple):
    """Columns of a file, one entry a line."""

    first: NDArray[np.object_]
    bins: NDArray[np.int64]
    counts: NDArray[np.float32]
    label: NDArray[np.int64]


def read_table(path: Path, layout: Layout) -> GeneRows:
    """Read a table, plain or gzipped.

    Raises
    ------
    InputError
        Where a line does not follow the layout, a gene's bins are not 1 to the last in order, its
        label changes, or it comes twice.
    """
    lines = _read_lines(path, layout)
    names = lines.first
    bins_as_they_should_be = np.arange(1, layout.n_bins + 1)
    whole = not len(names) % layout.n_bins
    if layout.bin_in_id:
        # Put together and compared: far quicker than taking millions of fields apart.
        heads = [str(name).rpartition("_")[0] for name in names[:: layout.n_bins]]
        tails = [f"_{number}" for number in bins_as_they_should_be]
        expected = np.array([head + tail for head in heads for tail in tails], dtype=object)
        ordered = whole and bool((expected == names).all())
    else:
        heads = [str(name) for name in names[:: layout.n_bins]]
        ordered = (
            whole
            and bool((lines.bins.reshape(-1, layout.n_bins) == bins_as_they_should_be).all())
            and bool((names.reshape(-1, layout.n_bins) == names[:: layout.n_bins, None]).all())
        )
    if not ordered:
        raise _fault_in_order(path, layout, lines)
    ids, symbols = _ids(path, layout, heads)
    label = None
    if layout.labelled:
        of_genes = lines.label.reshape(-1, layout.n_bins)
        changes = np.flatnonzero((of_genes != of_genes[:, :1]).ravel())
        if len(changes):
            row = int(changes[0])
            raise InputError(
                f"the label of gene {heads[row // layout.n_bins]} changes from "
                f"{of_genes[row // layout.n_bins, 0]} to {lines.label[row]}",
                path=path, line=row + 1, hint="a gene has one label, the same in all of its lines",
            )  # fmt: skip
        label = of_genes[:, 0].astype(np.int8)
    signal = lines.counts.reshape(-1, layout.n_bins, len(layout.marks)).transpose(0, 2, 1)
    return GeneRows(ids, symbols, np.ascontiguousarray(signal), label)


def _read_lines(path: Path, layout: Layout) -> _Lines:
    parts: list[_Lines] = []
    done = blank = 0
    for block in read_blocks(path, InputError):
        text = block.rstrip(b"\r\n")
        if text:
            if blank:
                raise InputError("is empty", path=path, line=done + 1)
            text += b"\n"
            parsed = _parse(text, layout)
            if parsed is None:
                raise _fault_in_lines(path, layout, text, done)
            parts.append(parsed)
            done += len(parsed.first)
        blank += block.count(b"\n") - text.count(b"\n")  # allowed at the end only
    if not parts:
        raise InputError("is empty", path=path)
    return _Lines(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _parse(text: bytes, layout: Layout) -> _Lines | None:
    """Parse whole lines; None where one of them is at fault."""
    count = text.count(b"\n")
    if text.count(b",") != (layout.n_fields - 1) * count:
        return None
    counts = range(layout.first_count, layout.first_count + len(layout.marks))
    types: dict[int, type] = {0: object, **dict.fromkeys(counts, np.float64)}
    if not layout.bin_in_id:
        types[1] = np.int64
    if layout.labelled:
        types[layout.n_fields - 1] = np.int64
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = pd.read_csv(
                io.BytesIO(text), header=None, names=list(range(layout.n_fields)), dtype=types,
                na_filter=False, quoting=csv.QUOTE_NONE, skip_blank_lines=False, index_col=False,
            )  # fmt: skip
    except (ValueError, OverflowError, Warning):
        return None
    values = frame[list(counts)].to_numpy(np.float64)
    if len(frame) != count or not ((values >= 0) & (values <= _LARGEST)).all():  # nor NaN
        return None
    nothing = np.zeros(count, dtype=np.int64)
    label = frame[layout.n_fields - 1].to_numpy() if layout.labelled else nothing
    if not np.isin(label, (0, 1)).all():
        return None
    bins = nothing if layout.bin_in_id else frame[1].to_numpy()
    return _Lines(frame[0].to_numpy(dtype=object), bins, values.astype(np.float32), label)


def _fault_in_lines(path: Path, layout: Layout, text: bytes, done: int) -> InputError:
    for number, raw in enumerate(text.split(b"\n")[:-1], start=done + 1):
        line = raw.decode(errors="replace").rstrip("\r")
        fault = _fault(line, layout)
        if fault is None:
            continue
        hint = f"a line of the layout {layout.name} is: {layout.form}"
        others = [
            other.name for other in LAYOUTS.values()
            if other.name != layout.name and _fault(line, other) is None
        ]  # fmt: skip
        if others:
            hint = f"looks like {others[0]}; try --layout {others[0]}"
        elif number == 1 and not any(map(_NUMBER.fullmatch, line.split(","))):
            hint = f"looks like a header; the layout {layout.name} has none: delete the line"
        return InputError(fault, path=path, line=number, hint=hint)
    return InputError(f"cannot be read as a table of the layout {layout.name}", path=path)


def _fault(line: str, layout: Layout) -> str | None:
    """Say what is wrong with a line, by itself; None where nothing is."""
    fields = line.split(",")
    if not line.strip():
        return "is empty"
    if "\ufffd" in line:
        return "is not text in UTF-8"
    if len(fields) != layout.n_fields:
        return (
            f"has {len(fields)} field{'s' * (len(fields) != 1)} separated by commas, "
            f"expected {layout.n_fields}: {_show(line)}"
        )
    if layout.bin_in_id and not _BIN.fullmatch(fields[0]):
        return f"'{_show(fields[0])}' does not end in the number of a bin"
    if not layout.bin_in_id and not re.fullmatch(r"\d{1,18}", fields[1]):
        return f"bin '{_show(fields[1])}' is not a whole number"
    for mark, field in zip(layout.marks, fields[layout.first_count :], strict=False):
        if not _NUMBER.fullmatch(field) or float(field) > _LARGEST:
            return f"{mark} is '{_show(field)}', which is not a count of reads"
    if layout.labelled and fields[-1] not in ("0", "1"):
        return f"label is '{_show(fields[-1])}', expected 0 or 1"
    return None


def _fault_in_order(path: Path, layout: Layout, lines: _Lines) -> InputError:
    gene, expected = "", 1
    for row, name in enumerate(lines.first):
        if layout.bin_in_id:
            match = _BIN.fullmatch(name)
            if match is None:
                return _fault_in_lines(path, layout, f"{name}{',0' * 5}\n".encode(), row)
            found, number = match[1], int(match[2])
        else:
            found, number = name, int(lines.bins[row])
        if expected > 1 and found != gene:
            return InputError(
                f"gene {_show(gene)} ends with bin {expected - 1}, expected {layout.n_bins} bins",
                path=path, line=row,
                hint=f"the layout {layout.name} has {layout.n_bins} lines for each gene",
            )  # fmt: skip
        gene = found
        if number != expected:
            return InputError(
                f"gene {_show(gene)} has bin {number} where bin {expected} should be",
                path=path, line=row + 1,
                hint=f"the bins of a gene stand in order, 1 to {layout.n_bins}",
            )  # fmt: skip
        expected = 1 if expected == layout.n_bins else expected + 1
    return InputError(
        f"ends after bin {expected - 1} of gene {_show(gene)}, expected {layout.n_bins} bins",
        path=path, line=len(lines.first), hint="is the download complete?",
    )  # fmt: skip


def _ids(path: Path, layout: Layout, heads: Sequence[str]) -> tuple[list[str], list[str]]:
    ids: list[str] = []
    symbols: list[str] = []
    lines: dict[str, int] = {}
    for row, head in enumerate(heads):
        line = row * layout.n_bins + 1
        gene, symbol = _gene(head)
        if not gene:
            raise InputError(
                f"gene id '{_show(head)}' is neither an Ensembl id nor the last digits of one",
                path=path, line=line,
            )  # fmt: skip
        key = cut_version(gene)
        if key in lines:
            raise InputError(
                f"gene {gene} comes twice, first in line {lines[key]}", path=path, line=line
            )
        lines[key] = line
        ids.append(gene)
        symbols.append(symbol)
    return ids, symbols


def _gene(head: str) -> tuple[str, str]:
    """Return id and symbol; an empty id where it is none.

    Examples
    --------
    >>> _gene("000003"), _gene("ENSG00000000003_TSPAN6"), _gene("TSPAN6")
    (('ENSG00000000003', ''), ('ENSG00000000003', 'TSPAN6'), ('', ''))
    """
    if head.isascii() and head.isdigit() and len(head) <= _DIGITS:
        return f"ENSG{head.zfill(_DIGITS)}", ""
    match = _ENSEMBL.fullmatch(head)
    return ("", "") if match is None else (match[1], match[2] or "")


def _show(text: str, most: int = 80) -> str:
    # Control characters would reach the terminal.
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"
