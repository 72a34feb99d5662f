"""How can a model be fitted to a cell type without labels? One file a method, one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chromemodel.registry import Registry
from chromemodel.serial import build_options

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
METHODS.register(
    "cdan",
    "chromemodel.adapt.cdan:ConditionalAdversarial",
    summary="as dann, of features and predictions together; entropy=true for CDAN+E",
    reference="Long et al. 2018, NeurIPS 31",
    tasks=("classification",),
)
METHODS.register(
    "deep_coral",
    "chromemodel.adapt.deep_coral:DeepCoral",
    summary="features of the same covariance in source and target",
    reference="Sun and Saenko 2016, ECCV Workshops",
)
METHODS.register(
    "mmd",
    "chromemodel.adapt.mmd:MeanDiscrepancy",
    summary="features of the same distribution by several Gaussian kernels, as DAN",
    reference="Long et al. 2015, ICML",
)
METHODS.register(
    "mcc",
    "chromemodel.adapt.mcc:ClassConfusion",
    summary="predictions of the target that do not confuse the classes",
    reference="Jin et al. 2020, ECCV",
    tasks=("classification",),
)
METHODS.register(
    "self_training",
    "chromemodel.adapt.self_training:SelfTraining",
    summary="confident predictions of the target are trained on as labels",
    reference="Lee 2013, ICML Workshops; threshold as Sohn et al. 2020, NeurIPS 33",
    tasks=("classification",),
)
METHODS.register(
    "adabn",
    "chromemodel.adapt.adabn:AdaptiveNorm",
    summary="batch normalisation by the target's statistics; the model needs batch_norm=true",
    reference="Li et al. 2018, Pattern Recognition 80",
)


def create_method(name: str, options: Mapping[str, Any], model: ChromeNet) -> Method:
    """Make a method for a model, with fresh weights where it has any.

    Raises
    ------
    ValueError
        Where the name or an option is unknown or wrong.
    ChromeError
        Where the method cannot work on the model.
    """
    cls = METHODS.load(name)
    return cls(build_options(cls.Config, options), model)
