"""Memory -> file of bins (``docs/format.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from chromeprep._version import __version__
from chromeprep.format import schema
from chromeprep.format.atomic import atomic_file
from chromeprep.format.model import ChromeBins, Description

_TEXT = h5py.string_dtype()
_BLOCK_BYTES = 4 << 20


def write_bins(path: str | Path, data: ChromeBins) -> None:
    """Write a file of bins beside `path` and rename it to `path`, replacing what is there.

    Parameters
    ----------
    path
        The target, by custom ``CELLTYPE.h5``.
    data
        ``data.signal`` of shape (genes, marks, bins) must fit the tables.

    Raises
    ------
    ValueError
        Where the shapes do not fit, or there is nothing to write.
    OutputError
        Where the system refuses to write.
    """
    expected = (len(data.genes), len(data.marks), data.attributes.n_bins)
    if data.signal.shape != expected:
        raise ValueError(f"signal has shape {data.signal.shape}, the tables say {expected}")
    if not data.signal.size:
        raise ValueError(f"signal has shape {data.signal.shape}: nothing to write")
    with atomic_file(path) as temporary:
        temporary.write_bytes(_image(data))


def _image(data: ChromeBins) -> bytes:
    # In memory first: where the disk is full, HDF5 leaves the process in a state that crashes.
    with h5py.File(
        "in memory", "w", driver="core", backing_store=False, block_size=_BLOCK_BYTES
    ) as file:
        _write_attributes(file, data)
        _write_scales(file, data)
        for table in schema.TABLES:
            _write_table(file, table, table_columns(data, table.name))
        _write_signal(file, data.signal)
        _write_anndata_links(file)
        file.create_dataset("provenance", data=np.array(data.provenance, object), dtype=_TEXT)
        file.flush()
        return bytes(file.id.get_file_image())


def table_columns(data: Description, name: str) -> dict[str, NDArray[Any]]:
    """Return the columns of a table as they stand in the file, extra ones last."""
    if name == "bins":
        starts = data.bin_starts
        return {
            "name": np.array([str(start) for start in starts], dtype=object),
            "start": starts,
            "end": starts + data.attributes.bin_size_bp,
        }
    if name == "chromosomes":
        return {
            "name": np.array(list(data.chromosomes), dtype=object),
            "length": np.array(list(data.chromosomes.values()), dtype=np.int64),
        }
    rows: Any = data.genes if name == "genes" else data.marks
    columns = {column.name: getattr(rows, column.name) for column in schema.table(name).columns}
    return columns | dict(rows.extra)


def _write_attributes(file: h5py.File, data: ChromeBins) -> None:
    file.attrs["format"] = schema.FORMAT
    file.attrs["format-version"] = schema.FORMAT_VERSION
    file.attrs["generated-by"] = f"chromeprep {__version__}"
    file.attrs["creation-date"] = datetime.now(UTC).isoformat(timespec="seconds")
    for attribute in schema.ATTRIBUTES:
        file.attrs[attribute.name] = getattr(data.attributes, attribute.field)


def _write_scales(file: h5py.File, data: ChromeBins) -> None:
    values = {
        "gene": data.genes.gene_id,
        "mark": data.marks.mark,
        "bin": data.bin_starts,
    }
    for name, value in values.items():
        _column(file, name, value).make_scale(name)
    file["bin"].attrs["units"] = "bp"


def _write_table(file: h5py.File, table: schema.Table, columns: Mapping[str, NDArray[Any]]) -> None:
    group = file.create_group(table.name)
    index = table.columns[0].name
    group.attrs["encoding-type"] = "dataframe"
    group.attrs["encoding-version"] = "0.2.0"
    group.attrs["_index"] = index
    order = [name for name in columns if name != index]
    group.attrs.create("column-order", order, dtype=_TEXT)
    declared = {column.name: column for column in table.columns}
    for name, value in columns.items():
        declaration = declared.get(name)
        fill = None if declaration is None else declaration.fill
        dataset = _column(group, name, value, fill)
        if declaration is not None and declaration.units is not None:
            dataset.attrs["units"] = declaration.units
        if table.dim is not None:
            dataset.dims[0].attach_scale(file[table.dim])


def _column(
    group: h5py.Group, name: str, value: NDArray[Any], fill: float | None = None
) -> h5py.Dataset:
    text = value.dtype.kind in "OUS"
    dataset = group.create_dataset(
        name, data=value, dtype=_TEXT if text else value.dtype, fillvalue=fill
    )
    dataset.attrs["encoding-type"] = "string-array" if text else "array"
    dataset.attrs["encoding-version"] = "0.2.0"
    return dataset


def _write_signal(file: h5py.File, signal: NDArray[np.float32]) -> None:
    genes, marks, bins = signal.shape
    dataset = file.create_dataset(
        "signal",
        data=np.ascontiguousarray(signal, dtype=np.float32),
        chunks=(max(1, min(schema.SIGNAL_CHUNK_GENES, genes)), max(1, marks), max(1, bins)),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
        fletcher32=True,
        fillvalue=np.nan,
    )
    dataset.attrs["encoding-type"] = "array"
    dataset.attrs["encoding-version"] = "0.2.0"
    dataset.attrs["units"] = "see /marks/units"
    for axis, name in enumerate(schema.SIGNAL_DIMS):
        dataset.dims[axis].attach_scale(file[name])


def _write_anndata_links(file: h5py.File) -> None:
    # Hard links: the same bytes under the names that AnnData looks for.
    group = file.create_group("anndata")
    group.attrs["encoding-type"] = "anndata"
    group.attrs["encoding-version"] = "0.1.0"
    group["obs"] = file["genes"]
    group["var"] = file["marks"]
    matrices = group.create_group("obsm")
    matrices.attrs["encoding-type"] = "dict"
    matrices.attrs["encoding-version"] = "0.1.0"
    matrices["signal"] = file["signal"]
