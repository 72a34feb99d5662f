"""MCC: predictions of the target that do not confuse the classes.

Jin, Wang, Long and Wang 2020, "Minimum class confusion for versatile domain adaptation", ECCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.adapt.cdan import certainty
from chromemodel.adapt.parts import both_features, check_weight
from chromemodel.models.base import ChromeNet

#: A class of less probability than this, summed over a batch, is not divided by.
LEAST = 1e-12


@dataclass(frozen=True)
class ClassConfusionConfig:
    """Options of MCC.

    Parameters
    ----------
    mcc_weight
        What the class confusion is multiplied by.
    temperature
        Logits are divided by it; above 1 certain predictions count less.
    """

    mcc_weight: float = 1.0
    temperature: float = 2.5

    def __post_init__(self) -> None:
        check_weight("mcc_weight", self.mcc_weight)
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature is {self.temperature}, expected more than 0")


class ClassConfusion(Method):
    """Cross entropy of the source's labels, and `class_confusion` of the target's logits."""

    Config = ClassConfusionConfig
    uses_target = True
    columns = ("label_loss", "mcc_loss")

    def __init__(self, config: ClassConfusionConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the cross entropy plus the weighted class confusion."""
        source, target = both_features(model, batch)
        label_loss = cross_entropy(model.classify(source), batch.y)
        confusion = class_confusion(model.classify(target), self.config.temperature)
        total = label_loss + self.config.mcc_weight * confusion
        return Loss(total, (label_loss.detach(), confusion.detach()))


def class_confusion(logits: Tensor, temperature: float) -> Tensor:
    """Return the mean, over classes, of how much each is confused with others (paper, Eqs. 2-6).

    With Y the softmax of the scaled logits and W the genes' weights by entropy, the confusion of
    classes is ``C = Y^T W Y``, its rows divided by their sums; what is off the diagonal counts.

    Parameters
    ----------
    logits
        (genes, classes), of the target.
    temperature
        As in `ClassConfusionConfig`.

    Returns
    -------
    Tensor
        One number, 0 (no confusion) to 1 - 1 / classes (all genes the same).

    Examples
    --------
    >>> class_confusion(torch.tensor([[9.0, -9.0], [-9.0, 9.0]]), 1.0).round(decimals=4)
    tensor(0.)
    >>> class_confusion(torch.zeros(3, 2), 1.0)
    tensor(0.5000)
    """
    probability = torch.softmax(logits / temperature, dim=1)
    # The weights are taken as given, as in the authors' code.
    weights = certainty(probability.detach())
    confusion = probability.T @ (weights[:, None] * probability)
    confusion = confusion / confusion.sum(1, keepdim=True).clamp_min(LEAST)
    return (confusion.sum() - confusion.trace()) / len(confusion)
