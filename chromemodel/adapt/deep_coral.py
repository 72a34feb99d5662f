"""Deep CORAL: features with the same covariance in source and target.

Sun and Saenko 2016, "Deep CORAL: correlation alignment for deep domain adaptation", ECCV Workshops.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.adapt.parts import both_features, check_weight
from chromemodel.models.base import ChromeNet


@dataclass(frozen=True)
class DeepCoralConfig:
    """Options of Deep CORAL.

    Parameters
    ----------
    coral_weight
        What the CORAL loss is multiplied by.
    """

    coral_weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight("coral_weight", self.coral_weight)


class DeepCoral(Method):
    """The loss of the source's labels, and `coral_loss` of the features."""

    Config = DeepCoralConfig
    uses_target = True
    columns = ("label_loss", "coral_loss")

    def __init__(self, config: DeepCoralConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the labels' loss plus the weighted CORAL loss."""
        source, target = both_features(model, batch)
        label_loss = batch.label_loss(model.classify(source))
        coral = coral_loss(source, target)
        total = label_loss + self.config.coral_weight * coral
        return Loss(total, (label_loss.detach(), coral.detach()))


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """Return ``|C_S - C_T|^2 / (4 d^2)``, C the covariance matrices (paper, Eqs. 1-3).

    Parameters
    ----------
    source, target
        Features, (genes, d) and (target genes, d).

    Returns
    -------
    Tensor
        One number, 0 or more.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[-1.0], [1.0]])
    >>> coral_loss(x, 2 * x)  # variances of 2 and 8
    tensor(9.)
    """
    difference = covariance(source) - covariance(target)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def covariance(features: Tensor) -> Tensor:
    """Return the covariance (d, d) of features (genes, d), by genes - 1; 0 for one gene."""
    centred = features - features.mean(0)
    return centred.T @ centred / max(len(features) - 1, 1)
