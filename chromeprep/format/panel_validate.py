"""Does a panel file follow the specification? Every violation is named, not only the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from chromeprep.errors import FormatError
from chromeprep.format import panel_schema as schema
from chromeprep.format.opening import PANEL, open_kind
from chromeprep.format.panel import FEWEST_CELL_TYPES, Panel, spearman, summarise
from chromeprep.format.panel_file import ANNDATA_LINKS, read_panel
from chromeprep.format.tables import (
    attribute_violations,
    link_violations,
    matrix_violations,
    provenance_violations,
    read_column,
    scale_violations,
    table_violations,
)

_CLOSE = 1e-6


def panel_violations(path: str | Path) -> list[str]:
    """Compare a file with ``docs/panel.md``.

    Returns
    -------
    list of str
        One sentence a violation, each naming the key it is about; empty for a valid file.

    Raises
    ------
    FormatError
        Where the file cannot be opened as a panel at all.
    """
    with open_kind(path, PANEL) as file:
        found = list(_structure(file))
    try:
        panel = read_panel(path)
    except FormatError as error:
        return [*found, error.message]
    found += [*_values(panel), *provenance_violations(panel.provenance), *_scales(path, panel)]
    return list(dict.fromkeys(found))


def _structure(file: h5py.File) -> Iterator[str]:
    yield from attribute_violations(file, schema.ATTRIBUTES)
    for table in schema.TABLES:
        yield from table_violations(file, table)
    yield from scale_violations(file, schema.EXPRESSION_DIMS)
    yield from matrix_violations(file, "expression", schema.EXPRESSION_DIMS)
    yield from matrix_violations(file, "correlation", schema.CORRELATION_DIMS, "float64")
    yield from link_violations(file, ANNDATA_LINKS)


def _values(panel: Panel) -> Iterator[str]:
    if not -1 <= panel.near_duplicate <= 1:
        yield f"attribute 'near-duplicate' is {panel.near_duplicate}, should be from -1 to 1"
    if len(panel.cell_type) < FEWEST_CELL_TYPES:
        yield f"/cell_types has {len(panel.cell_type)} rows, should have {FEWEST_CELL_TYPES}"
        return
    values = panel.expression
    alike = (values == values[:1]).all(axis=0)
    if not len(values) or alike.any():
        yield "/expression: the genes of each cell type should differ"
        return
    if not np.allclose(panel.threshold, np.median(values, axis=0), rtol=_CLOSE, atol=_CLOSE):
        yield "/cell_types/threshold is not the median of /expression"
        return
    if not np.allclose(panel.correlation, spearman(values), rtol=0, atol=_CLOSE):
        yield "/correlation does not follow from /expression"
    expected = summarise(values, panel.threshold)
    for name, wanted in expected._asdict().items():
        if not np.allclose(getattr(panel.summary, name), wanted, rtol=_CLOSE, atol=_CLOSE):
            yield f"/genes/{name} does not follow from /expression"


def _scales(path: str | Path, panel: Panel) -> Iterator[str]:
    names = {"gene": panel.gene_id, "cell_type": panel.cell_type}
    with open_kind(path, PANEL) as file:
        for key, wanted in names.items():
            scale = file.get(key)
            if isinstance(scale, h5py.Dataset) and not np.array_equal(read_column(scale), wanted):
                yield f"/{key} does not hold /{key}s/{'gene_id' if key == 'gene' else key}"
