"""How do attributes and tables stand in an HDF5 file of any kind: written, read, checked?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from chromeprep._version import __version__
from chromeprep.errors import FormatError
from chromeprep.format.schema import Attribute, Kind, Table

TEXT = h5py.string_dtype()


def write_head(file: h5py.File, name: str, version: int) -> None:
    """Write the attributes that every kind of file has."""
    file.attrs["format"] = name
    file.attrs["format-version"] = version
    file.attrs["generated-by"] = f"chromeprep {__version__}"
    file.attrs["creation-date"] = datetime.now(UTC).isoformat(timespec="seconds")


def write_table(file: h5py.File, table: Table, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a table, as AnnData's ``dataframe``, along its dimension scale."""
    group = file.create_group(table.name)
    index = table.columns[0].name
    group.attrs["encoding-type"] = "dataframe"
    group.attrs["encoding-version"] = "0.2.0"
    group.attrs["_index"] = index
    order = [name for name in columns if name != index]
    group.attrs.create("column-order", order, dtype=TEXT)
    declared = {column.name: column for column in table.columns}
    for name, value in columns.items():
        declaration = declared.get(name)
        fill = None if declaration is None else declaration.fill
        dataset = write_column(group, name, value, fill)
        if declaration is not None and declaration.units is not None:
            dataset.attrs["units"] = declaration.units
        if table.dim is not None:
            dataset.dims[0].attach_scale(file[table.dim])


def write_column(
    group: h5py.Group, name: str, value: NDArray[Any], fill: float | None = None
) -> h5py.Dataset:
    """Write a column of numbers or strings."""
    text = value.dtype.kind in "OUS"
    dataset = group.create_dataset(
        name, data=value, dtype=TEXT if text else value.dtype, fillvalue=fill
    )
    dataset.attrs["encoding-type"] = "string-array" if text else "array"
    dataset.attrs["encoding-version"] = "0.2.0"
    return dataset


def write_lines(file: h5py.File, name: str, lines: Sequence[str]) -> None:
    """Write lines of text."""
    file.create_dataset(name, data=np.array(lines, object), dtype=TEXT)


def read_attributes(file: h5py.File, attributes: Sequence[Attribute]) -> dict[str, Any]:
    """Read attributes of the root by their declarations, under their Python names."""
    values: dict[str, Any] = {}
    for attribute in attributes:
        if attribute.name not in file.attrs:
            if attribute.optional:
                continue
            raise FormatError(f"attribute '{attribute.name}' is missing")
        convert: Callable[[Any], Any]
        convert = {"string": str, "int": int, "float": float}[attribute.kind]
        value = file.attrs[attribute.name]
        try:
            values[attribute.field] = convert(value)
        except (TypeError, ValueError):
            raise FormatError(
                f"attribute '{attribute.name}' is {value!r}, which cannot be read as "
                f"{convert.__name__}"
            ) from None
    return values


class Columns(NamedTuple):
    """Columns of a table by name: those that are declared, and those that others put there."""

    declared: dict[str, Any]
    extra: dict[str, NDArray[Any]]


def read_table(file: h5py.File, table: Table) -> Columns:
    """Read a table by its declaration."""
    name = table.name
    if not isinstance(file.get(name), h5py.Group):
        raise FormatError(f"group /{name} is missing")
    columns: dict[str, Any] = {}
    for column in table.columns:
        values = read_column(find_dataset(file, f"{name}/{column.name}"))
        text = values.dtype.kind == "O"
        if text != (column.dtype == "string") or not (text or values.dtype.kind in "biuf"):
            found = "string" if text else values.dtype
            raise FormatError(f"/{name}/{column.name} is {found}, should be {column.dtype}")
        columns[column.name] = values if text else values.astype(column.dtype, copy=False)
    known = {column.name for column in table.columns}
    others = {key: _extra_column(file[name][key]) for key in file[name] if key not in known}
    extra = {key: value for key, value in others.items() if value is not None}
    lengths = {key: len(value) for key, value in (columns | extra).items()}
    if len(set(lengths.values())) > 1:
        raise FormatError(f"the columns of /{name} differ in length: {lengths}")
    return Columns(columns, extra)


def find_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that has to be there."""
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"dataset /{name} is missing")
    return found


def read_column(dataset: h5py.Dataset) -> NDArray[Any]:
    """Read a column of numbers or strings."""
    if dataset.ndim != 1:
        raise FormatError(f"{dataset.name} has {dataset.ndim} dimensions, should have 1")
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return np.asarray(dataset.asstr()[:], dtype=object)
    return np.asarray(dataset[:])


def read_lines(file: h5py.File, name: str) -> tuple[str, ...]:
    """Read lines of text."""
    return tuple(str(line) for line in read_column(find_dataset(file, name)))


def _extra_column(item: Any) -> NDArray[Any] | None:
    """Read a column of someone else's; None where AnnData has an encoding that we do not know."""
    if isinstance(item, h5py.Dataset):
        return read_column(item) if item.ndim == 1 else None
    if item.attrs.get("encoding-type") != "categorical":
        return None
    codes, categories = item["codes"][:], read_column(item["categories"])
    if categories.dtype.kind != "O":
        return None
    return np.asarray(np.append(categories, "")[codes])  # code -1, missing, takes the last


def attribute_violations(file: h5py.File, attributes: Sequence[Attribute]) -> Iterator[str]:
    """Compare the attributes of the root with their declarations."""
    for attribute in attributes:
        if attribute.name not in file.attrs:
            if not attribute.optional:
                yield f"attribute '{attribute.name}' is missing"
        elif not _is_kind(file.attrs[attribute.name], attribute.kind):
            yield f"attribute '{attribute.name}' should be of kind {attribute.kind}"
    for name in ("generated-by", "creation-date"):
        if name not in file.attrs:
            yield f"attribute '{name}' is missing"


def table_violations(file: h5py.File, table: Table) -> Iterator[str]:
    """Compare a table with its declaration."""
    group = file.get(table.name)
    if not isinstance(group, h5py.Group):
        yield f"group /{table.name} is missing"
        return
    if group.attrs.get("encoding-type") != "dataframe":
        yield f"/{table.name}: attribute 'encoding-type' should be 'dataframe'"
    if group.attrs.get("_index") != table.columns[0].name:
        yield f"/{table.name}: attribute '_index' should be '{table.columns[0].name}'"
    if group.attrs.get("encoding-version") != "0.2.0":
        yield f"/{table.name}: attribute 'encoding-version' should be '0.2.0'"
    listed = set(np.atleast_1d(group.attrs.get("column-order", []))) | {table.columns[0].name}
    if listed != set(group):
        yield (
            f"/{table.name}: attribute 'column-order' does not list its columns: "
            f"{', '.join(sorted(listed ^ set(group)))}"
        )
    lengths = set()
    for column in table.columns:
        key = f"/{table.name}/{column.name}"
        dataset = group.get(column.name)
        if not isinstance(dataset, h5py.Dataset):
            yield f"dataset {key} is missing"
            continue
        text = h5py.check_string_dtype(dataset.dtype) is not None
        found = "string" if text else str(dataset.dtype)
        if found != column.dtype:
            yield f"{key} is {found}, should be {column.dtype}"
        encoding = "string-array" if column.dtype == "string" else "array"
        if dataset.attrs.get("encoding-type") != encoding:
            yield f"{key}: attribute 'encoding-type' should be '{encoding}'"
        if dataset.ndim != 1:
            yield f"{key} has {dataset.ndim} dimensions, should have 1"
        else:
            lengths.add(len(dataset))
    if len(lengths) > 1:
        yield f"/{table.name}: its columns differ in length: {sorted(lengths)}"


def matrix_violations(
    file: h5py.File, name: str, dims: Sequence[str], dtype: str = "float32"
) -> Iterator[str]:
    """Check how an array is stored, and that it runs along its dimension scales."""
    matrix = file.get(name)
    if not isinstance(matrix, h5py.Dataset):
        yield f"dataset /{name} is missing"
        return
    if matrix.dtype != np.dtype(dtype):
        yield f"/{name} is {matrix.dtype}, should be {dtype}"
    if matrix.compression != "gzip" or not matrix.shuffle:
        yield f"/{name} should be compressed with gzip and shuffled"
    if not matrix.fletcher32:
        yield f"/{name} has no checksum (fletcher32)"
    if matrix.ndim != len(dims):
        yield f"/{name} has {matrix.ndim} dimensions, should have {len(dims)}: {tuple(dims)}"
        return
    for axis, dim in enumerate(dims):
        scale = file.get(dim)
        if not isinstance(scale, h5py.Dataset):
            continue
        if scale not in list(matrix.dims[axis].values()):
            yield f"/{name}: dimension {axis} does not have the scale /{dim}"
        if scale.shape != matrix.shape[axis : axis + 1]:
            yield f"/{dim} has shape {scale.shape}, /{name} {matrix.shape}"


def scale_violations(file: h5py.File, names: Sequence[str]) -> Iterator[str]:
    """Check that dimension scales are there."""
    for name in names:
        if not isinstance(file.get(name), h5py.Dataset):
            yield f"dataset /{name} is missing"
        elif not file[name].is_scale:
            yield f"/{name} is not a dimension scale"


def link_violations(file: h5py.File, links: Mapping[str, str]) -> Iterator[str]:
    """Check the hard links of AnnData: name under /anndata -> what it stands for."""
    for link, target in links.items():
        if file.get(f"anndata/{link}") != file.get(target):
            yield f"/anndata/{link} is not a hard link to /{target}"


def provenance_violations(lines: Sequence[str]) -> Iterator[str]:
    """Check that each line of the provenance is a JSON object."""
    for number, line in enumerate(lines, start=1):
        try:
            valid = isinstance(json.loads(line), dict)
        except json.JSONDecodeError:
            valid = False
        if not valid:
            yield f"/provenance: entry {number} is not a JSON object"


def unique_violations(key: str, values: NDArray[np.object_]) -> Iterator[str]:
    """Check that no name stands twice."""
    if len(set(values)) != len(values):
        twice = next(value for value in values if list(values).count(value) > 1)
        yield f"{key} should be unique, but has '{twice}' more than once"


def _is_kind(value: object, kind: Kind) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "int":
        return isinstance(value, (int, np.integer))
    return isinstance(value, (float, np.floating))
