"""How can a model be fitted to a cell type without labels? One file a method, one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chromemodel.config import build_options
from chromemodel.registry import Registry

if TYPE_CHECKING:
    from chromemodel.adapt.base import Method
    from chromemodel.models.base import ChromeNet

__all__ = ["METHODS", "create_method"]

METHODS: Registry[type[Method]] = Registry("method")
METHODS.register(
    "source_only",
    "chromemodel.adapt.source_only:SourceOnly",
    summary="cross entropy of the source's labels; the target is not looked at",
)
METHODS.register(
    "dann",
    "chromemodel.adapt.dann:DomainAdversarial",
    summary="features that do not tell source from target (gradient reversal)",
    reference="Ganin and Lempitsky 2015, ICML; as in TransferChrome, Chen et al. 2022",
)


def create_method(name: str, options: Mapping[str, Any], model: ChromeNet) -> Method:
    """Make a method for a model, with fresh weights where it has any.

    Raises
    ------
    ValueError
        Where the name or an option is unknown or wrong.
    """
    cls = METHODS.load(name)
    return cls(build_options(cls.Config, options), model)
