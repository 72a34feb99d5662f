"""Self-training: genes of the target that are predicted with confidence are trained on as labelled.

Lee 2013, "Pseudo-label", ICML Workshop on Challenges in Representation Learning; the threshold is
that of Sohn et al. 2020, "FixMatch", NeurIPS 33, without its augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.adapt.parts import both_features, check_weight, target_of
from chromemodel.models.base import ChromeNet


@dataclass(frozen=True)
class SelfTrainingConfig:
    """Options of self-training.

    Parameters
    ----------
    pseudo_weight
        What the cross entropy of the pseudo-labels is multiplied by, once warm.
    threshold
        The least probability of the likelier class with which a gene takes part.
    start, full
        The progress of training (0 to 1) at which the weight begins to rise from 0, and at which
        it is whole.
    """

    pseudo_weight: float = 1.0
    threshold: float = 0.8
    start: float = 0.1
    full: float = 0.5

    def __post_init__(self) -> None:
        check_weight("pseudo_weight", self.pseudo_weight)
        if not 0.5 <= self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold}, expected [0.5, 1)")
        if not 0 <= self.start <= self.full <= 1:
            raise ValueError(
                f"start and full are {self.start} and {self.full}, expected 0 <= start <= full <= 1"
            )


class SelfTraining(Method):
    """Cross entropy of the source's labels, and of the target's pseudo-labels.

    A pseudo-label is the class that the model as it is, without dropout, finds likelier.
    """

    Config = SelfTrainingConfig
    uses_target = True
    columns = ("label_loss", "pseudo_loss", "pseudo_share", "pseudo_high", "pseudo_weight")

    def __init__(self, config: SelfTrainingConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        self.config = config

    def weight(self, progress: float) -> float:
        """Return the weight at a progress of 0 to 1: 0, then a line, then whole (Lee, Eq. 16)."""
        start, full = self.config.start, self.config.full
        if progress >= full:
            return self.config.pseudo_weight
        return self.config.pseudo_weight * max(0.0, progress - start) / (full - start)

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the cross entropy plus the weighted one of the pseudo-labels.

        ``pseudo_share`` and ``pseudo_high`` are the shares of the target genes that have a
        pseudo-label, and have that of high expression.
        """
        weight = self.weight(progress)
        source, target = both_features(model, batch)
        label_loss = cross_entropy(model.classify(source), batch.y)
        probability = predicted(model, target_of(batch))
        label, sure = pseudo_labels(probability, self.config.threshold)
        pseudo_loss = pseudo_label_loss(model.classify(target), label, sure)
        shares = sure.float().mean(), (sure & (label == 1)).float().mean()
        terms = (label_loss, pseudo_loss, *shares, source.new_tensor(weight))
        return Loss(label_loss + weight * pseudo_loss, tuple(term.detach() for term in terms))


def predicted(model: ChromeNet, x: Tensor) -> Tensor:
    """Return the probabilities (genes, 2) that a model in training gives without dropout."""
    training = model.training
    model.eval()
    with torch.no_grad():
        probability = torch.softmax(model(x), dim=1)
    model.train(training)
    return probability


def pseudo_labels(probability: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return the likelier class (genes,) and whether it reaches the threshold.

    Examples
    --------
    >>> pseudo_labels(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), 0.8)
    (tensor([0, 1]), tensor([ True, False]))
    """
    best, label = probability.max(dim=1)
    return label, best >= threshold


def pseudo_label_loss(logits: Tensor, label: Tensor, sure: Tensor) -> Tensor:
    """Return the cross entropy of sure genes, divided by the number of all (FixMatch, Eq. 4)."""
    return (cross_entropy(logits, label, reduction="none") * sure).mean()
