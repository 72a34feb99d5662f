"""A file of bins -> arrays of NumPy, ``.npz``; no pickles inside."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chromeprep.format import ChromeBins, schema


def npz_arrays(data: ChromeBins) -> dict[str, NDArray[Any]]:
    """Return the arrays by name.

    Returns
    -------
    dict
        ``signal`` (genes, marks, bins); every column of ``/genes`` under its name, extra ones too;
        ``mark`` and ``units`` (marks,); ``bin_start`` (bins,), bp from the TSS; ``attributes``, the
        attributes of the root as one text of JSON.
    """
    genes = {
        entry.name: getattr(data.genes, entry.name)
        for entry in fields(data.genes)
        if entry.name != "extra"
    }
    attributes = {
        entry.name: _json(getattr(data.attributes, entry.field)) for entry in schema.ATTRIBUTES
    }
    own = {
        "signal": data.signal,
        **genes,
        "mark": data.marks.mark,
        "units": data.marks.units,
        "bin_start": data.bin_starts,
        "attributes": np.array(json.dumps(attributes)),
    }
    extra = {name: values for name, values in data.genes.extra.items() if name not in own}
    return {name: _plain(values) for name, values in (own | extra).items()}


def write_npz(data: ChromeBins, target: Path) -> None:
    """Write the arrays, compressed; `target` is replaced if it exists.

    Not by `numpy.savez_compressed`, whose own arguments extra columns might be named as.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in npz_arrays(data).items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980, so that the same gives the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as handle:
                np.lib.format.write_array(handle, values, allow_pickle=False)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    # Strings of one width: an array of objects could be read only with allow_pickle.
    return values.astype(str) if values.dtype.kind == "O" else values


def _json(value: object) -> object:
    return None if isinstance(value, float) and np.isnan(value) else value
