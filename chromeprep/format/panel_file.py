"""Panel in memory <-> panel file (``docs/panel.md``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import FormatError
from chromeprep.format import panel_schema as schema
from chromeprep.format.atomic import atomic_file
from chromeprep.format.opening import PANEL, open_kind
from chromeprep.format.panel import GeneSummary, Panel
from chromeprep.format.tables import (
    find_dataset,
    read_attributes,
    read_lines,
    read_table,
    write_column,
    write_head,
    write_lines,
    write_table,
)

#: Name under /anndata -> what it is a hard link to.
ANNDATA_LINKS = {
    "X": "expression",
    "obs": "genes",
    "var": "cell_types",
    "varp/correlation": "correlation",
}


def write_panel(path: str | Path, panel: Panel) -> None:
    """Write a panel file beside `path` and rename it to `path`, replacing what is there.

    Raises
    ------
    OutputError
        Where the system refuses to write.
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(_image(panel))


def read_panel(path: str | Path) -> Panel:
    """Read a panel file.

    Raises
    ------
    FormatError
        Where the file is no panel, newer than this version can read, damaged or incomplete, or
        holds expression that is negative, NaN or infinite.
    """
    with open_kind(path, PANEL) as file:
        attributes = read_attributes(file, schema.ATTRIBUTES)
        _check_rules(attributes)
        genes, cells = (read_table(file, table).declared for table in schema.TABLES)
        shape = len(genes["gene_id"]), len(cells["cell_type"])
        expression = _matrix(file, "expression", shape).astype(np.float32)
        if not (np.isfinite(expression).all() and (expression >= 0).all()):
            raise FormatError("/expression should be finite and not negative")
        for names in (genes["gene_id"], cells["cell_type"]):
            if len(set(names)) != len(names):
                raise FormatError("ids of genes and names of cell types should be unique")
        return Panel(
            gene_id=genes["gene_id"],
            gene_name=genes["gene_name"],
            cell_type=cells["cell_type"],
            source=cells["source"],
            expression=expression,
            threshold=cells["threshold"],
            correlation=_matrix(file, "correlation", (shape[1], shape[1])).astype(np.float64),
            summary=GeneSummary(*(genes[name] for name in GeneSummary._fields)),
            gene_keys=attributes["gene_keys"],
            near_duplicate=attributes["near_duplicate"],
            provenance=read_lines(file, "provenance"),
        )


def _check_rules(attributes: dict[str, Any]) -> None:
    """Refuse what would be read as something else than it is."""
    for name, allowed in (
        ("label-rule", (schema.LABEL_RULE,)),
        ("correlation-rule", (schema.CORRELATION_RULE,)),
        ("gene-keys", schema.GENE_KEYS),
    ):
        found = attributes[name.replace("-", "_")]
        if found not in allowed:
            raise FormatError(
                f"attribute '{name}' is '{found}', should be one of {', '.join(allowed)}"
            )


def _matrix(file: h5py.File, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    stored = find_dataset(file, name)
    if stored.dtype.kind not in "iuf":
        raise FormatError(f"/{name} is {stored.dtype}, should hold numbers")
    if stored.shape != shape:
        raise FormatError(f"/{name} has shape {stored.shape}, the tables say {shape}")
    return np.asarray(stored[...])


def _image(panel: Panel) -> bytes:
    # In memory first: where the disk is full, HDF5 leaves the process in a state that crashes.
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        write_head(file, schema.FORMAT, schema.FORMAT_VERSION)
        values = {
            "gene-keys": panel.gene_keys,
            "label-rule": schema.LABEL_RULE,
            "correlation-rule": schema.CORRELATION_RULE,
            "near-duplicate": float(panel.near_duplicate),
        }
        for attribute in schema.ATTRIBUTES:
            file.attrs[attribute.name] = values[attribute.name]
        genes = {"gene_id": panel.gene_id, "gene_name": panel.gene_name}
        columns: tuple[dict[str, NDArray[Any]], ...] = (
            {**genes, **panel.summary._asdict()},
            {
                "cell_type": panel.cell_type,
                "source": panel.source,
                "threshold": panel.threshold,
            },
        )
        for name, scale in (("gene", panel.gene_id), ("cell_type", panel.cell_type)):
            write_column(file, name, scale).make_scale(name)
        for table, content in zip(schema.TABLES, columns, strict=True):
            write_table(file, table, content)
        _write_matrix(file, "expression", panel.expression, schema.EXPRESSION_DIMS)
        _write_matrix(file, "correlation", panel.correlation, schema.CORRELATION_DIMS)
        _link_anndata(file)
        write_lines(file, "provenance", panel.provenance)
        file.flush()
        return bytes(file.id.get_file_image())


def _write_matrix(file: h5py.File, name: str, values: NDArray[Any], dims: tuple[str, str]) -> None:
    rows = min(schema.EXPRESSION_CHUNK_GENES, len(values))
    dataset = file.create_dataset(
        name,
        data=values,
        chunks=(rows, values.shape[1]),
        compression="gzip",
        shuffle=True,
        fletcher32=True,
    )
    dataset.attrs["encoding-type"] = "array"
    dataset.attrs["encoding-version"] = "0.2.0"
    for axis, dim in enumerate(dims):
        dataset.dims[axis].attach_scale(file[dim])


def _link_anndata(file: h5py.File) -> None:
    # Hard links: the same bytes under the names that AnnData looks for.
    group = file.create_group("anndata")
    group.attrs["encoding-type"] = "anndata"
    group.attrs["encoding-version"] = "0.1.0"
    pairwise = group.create_group("varp")
    pairwise.attrs["encoding-type"] = "dict"
    pairwise.attrs["encoding-version"] = "0.1.0"
    for link, target in ANNDATA_LINKS.items():
        group[link] = file[target]
