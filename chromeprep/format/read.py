"""File of bins (``docs/format.md``) -> memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from chromeprep.errors import FormatError
from chromeprep.format import schema
from chromeprep.format.model import ChromeBins, Description, FileAttributes, GeneTable, MarkTable
from chromeprep.format.opening import BINS, open_kind
from chromeprep.format.tables import find_dataset, read_attributes, read_lines, read_table


def read_bins(path: str | Path) -> ChromeBins:
    """Read a whole file of bins.

    Returns
    -------
    ChromeBins
        With ``signal`` of shape (genes, marks, bins).

    Raises
    ------
    FormatError
        Where the file is none of ours, newer than this version can read, damaged or incomplete.
    """
    with open_bins(path) as file:
        description = _description(file)
        stored = find_dataset(file, "signal")
        if stored.dtype.kind not in "iuf":
            raise FormatError(f"/signal is {stored.dtype}, should be float32")
        signal = np.empty(stored.shape, dtype=np.float32)
        expected = (
            len(description.genes),
            len(description.marks),
            description.attributes.n_bins,
        )
        if signal.shape != expected:
            raise FormatError(f"/signal has shape {signal.shape}, the tables say {expected}")
        if signal.size:
            file["signal"].read_direct(signal)
    return ChromeBins(**vars(description), signal=signal)


def read_description(path: str | Path) -> Description:
    """Read all of a file but its signal: quick for a file of any size.

    Raises
    ------
    FormatError
        As `read_bins`.
    """
    with open_bins(path) as file:
        return _description(file)


def read_signal_shape(path: str | Path) -> tuple[int, int, int]:
    """Read how many genes, marks and bins a file has, and nothing else.

    Raises
    ------
    FormatError
        As `read_bins`.
    """
    with open_bins(path) as file:
        shape = find_dataset(file, "signal").shape
    if len(shape) != 3:
        raise FormatError(f"/signal has shape {shape}, should be (genes, marks, bins)", path=path)
    genes, marks, bins = shape
    return genes, marks, bins


@contextlib.contextmanager
def open_bins(path: str | Path) -> Iterator[h5py.File]:
    """Open a file of bins for reading and check that this version can read it.

    Errors that h5py raises inside the block come out as `FormatError` with the path.
    """
    with open_kind(path, BINS) as file:
        yield file


def _description(file: h5py.File) -> Description:
    chromosomes = read_table(file, schema.table("chromosomes")).declared
    genes, marks = (read_table(file, schema.table(name)) for name in ("genes", "marks"))
    return Description(
        attributes=FileAttributes(**read_attributes(file, schema.ATTRIBUTES)),
        genes=GeneTable(**genes.declared, extra=genes.extra),
        marks=MarkTable(**marks.declared, extra=marks.extra),
        chromosomes={
            str(name): int(length)
            for name, length in zip(chromosomes["name"], chromosomes["length"], strict=True)
        },
        provenance=read_lines(file, "provenance"),
    )
