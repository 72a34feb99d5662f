"""A file of bins -> AnnData's own file, ``.h5ad``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chromeprep.errors import OutputError
from chromeprep.format import ChromeBins, schema
from chromeprep.format.views import to_anndata


def check_anndata(target: Path) -> None:
    """Raise `OutputError` where the package is not installed."""
    try:
        import anndata  # noqa: F401
    except ImportError:
        raise OutputError(
            "AnnData files need the package anndata",
            path=target,
            hint="install it: pip install anndata, or '.[views]' in a clone of this project",
        ) from None


def write_h5ad(source: Path, data: ChromeBins, target: Path) -> None:
    """Write obs (genes), var (marks), ``obsm["signal"]`` (genes, marks, bins) and ``uns``.

    ``uns["chromebins"]`` holds the attributes of the file by their names, ``bin-start`` and
    ``provenance``.

    Parameters
    ----------
    source
        The file of bins.
    data
        What it holds.
    target
        Replaced if it exists.
    """
    adata = to_anndata(source)
    adata.uns["chromebins"] = {
        **{entry.name: getattr(data.attributes, entry.field) for entry in schema.ATTRIBUTES},
        "bin-start": data.bin_starts,
        "provenance": np.array(data.provenance, dtype=object),
    }
    # Without conversion a column of few different values becomes a categorical.
    adata.write_h5ad(target, convert_strings_to_categoricals=False, compression="gzip")
