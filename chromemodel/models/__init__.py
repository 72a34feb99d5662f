"""Which models are there? One file a model, one line here to register it.

>>> from chromemodel.models import MODELS, create_model
>>> model = create_model("transferchrome", {"features": 16}, n_marks=5, n_bins=200)
>>> model.n_features
16
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chromemodel.config import build_options
from chromemodel.registry import Registry

if TYPE_CHECKING:
    from chromemodel.models.base import ChromeNet

__all__ = ["MODELS", "create_model"]

MODELS: Registry[type[ChromeNet]] = Registry("model")
MODELS.register(
    "transferchrome",
    "chromemodel.models.transferchrome:TransferChrome",
    summary="dense convolutions, distance to the TSS, two layers of self-attention",
    reference="Chen et al. 2022, Front. Genet. 13",
)


def create_model(name: str, options: Mapping[str, Any], *, n_marks: int, n_bins: int) -> ChromeNet:
    """Make a model with fresh weights from torch's random state.

    Parameters
    ----------
    name
        A registered model.
    options
        Some fields of its ``Config``; the rest are defaults.
    n_marks, n_bins
        The shape of a gene's signal.

    Raises
    ------
    ValueError
        Where the name or an option is unknown or wrong, or the windows are too small.
    """
    cls = MODELS.load(name)
    return cls(build_options(cls.Config, options), n_marks=n_marks, n_bins=n_bins)
