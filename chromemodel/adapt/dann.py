"""DANN: features from which a classifier cannot tell source from target.

Ganin and Lempitsky 2015, "Unsupervised domain adaptation by backpropagation"; in TransferChrome,
"Label classification module and domain classification module" and Eq. 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.adapt.parts import (
    Schedule,
    both_features,
    check_weight,
    domain_labels,
    scheduled,
)
from chromemodel.models.base import ChromeNet
from chromemodel.models.blocks import reverse_gradient


@dataclass(frozen=True)
class DomainAdversarialConfig:
    """Options of DANN.

    Parameters
    ----------
    domain_weight
        The lambda of the gradient reversal; the paper does not give it.
    domain_schedule
        ``ganin``: lambda grows from 0 with the progress of training; ``fixed``.
    """

    domain_weight: float = 1.0
    domain_schedule: Schedule = "ganin"

    def __post_init__(self) -> None:
        check_weight("domain_weight", self.domain_weight)


class DomainAdversarial(Method):
    """The loss of the source's labels, and cross entropy of the domains behind a gradient reversal.

    The domain head learns to tell 1 (source) from 0 (target); the feature extractor gets its
    gradient times -lambda and learns to confound it.
    """

    Config = DomainAdversarialConfig
    uses_target = True
    columns = ("label_loss", "domain_loss", "domain_accuracy", "domain_weight")

    def __init__(self, config: DomainAdversarialConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        self.config = config
        self.head = model.domain_head()

    def weight(self, progress: float) -> float:
        """Return lambda at a progress of 0 to 1."""
        return scheduled(self.config.domain_weight, self.config.domain_schedule, progress)

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the sum of both losses, each a mean over its genes."""
        weight = self.weight(progress)
        source, target = both_features(model, batch)
        label_loss = batch.label_loss(model.classify(source))
        domain = domain_labels(source, target)
        logits: Tensor = self.head(reverse_gradient(torch.cat([source, target]), weight))
        domain_loss = cross_entropy(logits, domain)
        accuracy = (logits.argmax(1) == domain).float().mean()
        terms = (label_loss, domain_loss, accuracy, source.new_tensor(weight))
        return Loss(label_loss + domain_loss, tuple(term.detach() for term in terms))
