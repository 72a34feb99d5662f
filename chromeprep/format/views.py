"""A file of bins as AnnData or xarray, for those who work with these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chromeprep.format.read import open_bins


def to_anndata(path: str | Path) -> Any:
    """Open as ``anndata.AnnData``: obs are genes, var marks, ``obsm["signal"]`` the signal.

    Needs the packages of the extra ``views`` (``pip install '.[views]'`` in a clone).
    """
    from anndata.io import read_elem

    with open_bins(path) as file:
        return read_elem(file["anndata"])


def to_xarray(path: str | Path) -> Any:
    """Open as ``xarray.DataTree``: ``tree["signal"]`` has dimensions (gene, mark, bin).

    Needs the packages of the extra ``views`` (``pip install '.[views]'`` in a clone).
    """
    import xarray

    with open_bins(path):
        pass
    return xarray.open_datatree(path, engine="h5netcdf", phony_dims="sort")
