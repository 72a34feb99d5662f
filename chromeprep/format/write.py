"""Memory -> file of bins (``docs/format.md``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from chromeprep.format import schema
from chromeprep.format.atomic import atomic_file
from chromeprep.format.model import ChromeBins, Description
from chromeprep.format.packing import LEVEL, pack
from chromeprep.format.tables import write_column, write_head, write_lines, write_table

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
            write_table(file, table, table_columns(data, table.name))
        _write_signal(file, data.signal)
        _write_anndata_links(file)
        write_lines(file, "provenance", data.provenance)
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
    write_head(file, schema.FORMAT, schema.FORMAT_VERSION)
    for attribute in schema.ATTRIBUTES:
        file.attrs[attribute.name] = getattr(data.attributes, attribute.field)


def _write_scales(file: h5py.File, data: ChromeBins) -> None:
    values = {
        "gene": data.genes.gene_id,
        "mark": data.marks.mark,
        "bin": data.bin_starts,
    }
    for name, value in values.items():
        write_column(file, name, value).make_scale(name)
    file["bin"].attrs["units"] = "bp"


def _write_signal(file: h5py.File, signal: NDArray[np.float32]) -> None:
    genes, marks, bins = signal.shape
    chunk = (min(schema.SIGNAL_CHUNK_GENES, genes), marks, bins)
    dataset = file.create_dataset(
        "signal",
        shape=signal.shape,
        dtype="<f4",
        chunks=chunk,
        compression="gzip",
        compression_opts=LEVEL,
        shuffle=True,
        fletcher32=True,
        fillvalue=np.nan,
    )

    for start in range(0, genes, chunk[0]):
        rows = signal[start : start + chunk[0]]
        if len(rows) < chunk[0]:  # the last chunk is stored whole
            missing = np.full((chunk[0] - len(rows), marks, bins), np.nan, dtype=rows.dtype)
            rows = np.concatenate((rows, missing))
        dataset.id.write_direct_chunk((start, 0, 0), pack(rows))
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
