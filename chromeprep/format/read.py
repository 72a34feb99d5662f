"""File of bins (``docs/format.md``) -> memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import FormatError
from chromeprep.format import schema
from chromeprep.format.model import ChromeBins, Description, FileAttributes, GeneTable, MarkTable


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
        stored = _dataset(file, "signal")
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


@contextlib.contextmanager
def open_bins(path: str | Path) -> Iterator[h5py.File]:
    """Open a file of bins for reading and check that this version can read it.

    Errors that h5py raises inside the block come out as `FormatError` with the path.
    """
    source = Path(path)
    if not source.exists():
        raise FormatError("no such file", path=source)
    if source.is_dir():
        raise FormatError("is a folder, not a file of bins", path=source)
    try:
        with h5py.File(source, "r") as file:
            _check_version(file)
            yield file
    except FormatError as error:
        if error.path is None:
            raise FormatError(error.message, path=source, hint=error.hint) from error
        raise
    except PermissionError as error:
        raise FormatError("cannot be read: permission denied", path=source) from error
    except (OSError, RuntimeError, KeyError) as error:
        if not h5py.is_hdf5(source):
            raise FormatError(
                "is not an HDF5 file", path=source, hint="make one with `chromeprep bin`"
            ) from error
        raise FormatError(f"damaged: {error}", path=source, hint="bin the tracks again") from error


def _check_version(file: h5py.File) -> None:
    found = file.attrs.get("format")
    if not isinstance(found, str) or found != schema.FORMAT:
        raise FormatError(
            f"is an HDF5 file, but not one of bins: attribute 'format' is {found!r}, "
            f"expected {schema.FORMAT!r}",
            hint="make one with `chromeprep bin`",
        )
    version = _convert(int, "format-version", file.attrs.get("format-version", 0))
    if version > schema.FORMAT_VERSION:
        raise FormatError(
            f"has format version {version}; this chromeprep reads up to {schema.FORMAT_VERSION}",
            hint="upgrade transferchrome",
        )
    if version < 1:
        raise FormatError(f"has format version {version}; the first one is 1")


def _description(file: h5py.File) -> Description:
    values: dict[str, Any] = {}
    for attribute in schema.ATTRIBUTES:
        if attribute.name not in file.attrs:
            if attribute.optional:
                continue
            raise FormatError(f"attribute '{attribute.name}' is missing")
        convert = {"string": str, "int": int, "float": float}[attribute.kind]
        values[attribute.field] = _convert(convert, attribute.name, file.attrs[attribute.name])
    chromosomes = _table(file, "chromosomes")
    return Description(
        attributes=FileAttributes(**values),
        genes=GeneTable(**_table(file, "genes")),
        marks=MarkTable(**_table(file, "marks")),
        chromosomes={
            str(name): int(length)
            for name, length in zip(chromosomes["name"], chromosomes["length"], strict=True)
        },
        provenance=tuple(str(line) for line in _column(_dataset(file, "provenance"))),
    )


def _convert(convert: Callable[[Any], Any], name: str, value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError):
        raise FormatError(
            f"attribute '{name}' is {value!r}, which cannot be read as {convert.__name__}"
        ) from None


def _table(file: h5py.File, name: str) -> dict[str, Any]:
    table = schema.table(name)
    if not isinstance(file.get(name), h5py.Group):
        raise FormatError(f"group /{name} is missing")
    columns: dict[str, Any] = {}
    for column in table.columns:
        values = _column(_dataset(file, f"{name}/{column.name}"))
        text = values.dtype.kind == "O"
        if text != (column.dtype == "string") or not (text or values.dtype.kind in "biuf"):
            found = "string" if text else values.dtype
            raise FormatError(f"/{name}/{column.name} is {found}, should be {column.dtype}")
        columns[column.name] = values if text else values.astype(column.dtype, copy=False)
    known = {column.name for column in table.columns}
    extra = {key: _extra_column(file[name][key]) for key in file[name] if key not in known}
    extra = {key: value for key, value in extra.items() if value is not None}
    lengths = {key: len(value) for key, value in (columns | extra).items()}
    if len(set(lengths.values())) > 1:
        raise FormatError(f"the columns of /{name} differ in length: {lengths}")
    if name in ("genes", "marks"):
        columns["extra"] = extra
    return columns


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"dataset /{name} is missing")
    return found


def _extra_column(item: Any) -> NDArray[Any] | None:
    """Read a column of someone else's; None where AnnData has an encoding that we do not know."""
    if isinstance(item, h5py.Dataset):
        return _column(item) if item.ndim == 1 else None
    if item.attrs.get("encoding-type") != "categorical":
        return None
    codes, categories = item["codes"][:], _column(item["categories"])
    if categories.dtype.kind != "O":
        return None
    return np.asarray(np.append(categories, "")[codes])  # code -1, missing, takes the last


def _column(dataset: h5py.Dataset) -> NDArray[Any]:
    if dataset.ndim != 1:
        raise FormatError(f"{dataset.name} has {dataset.ndim} dimensions, should have 1")
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return np.asarray(dataset.asstr()[:], dtype=object)
    return np.asarray(dataset[:])
