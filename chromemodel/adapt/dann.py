"""DANN: features from which a classifier cannot tell source from target.

Ganin and Lempitsky 2015, "Unsupervised domain adaptation by backpropagation"; in TransferChrome,
"Label classification module and domain classification module" and Eq. 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.models.base import ChromeNet
from chromemodel.models.blocks import reverse_gradient

TARGET, SOURCE = 0, 1


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
    domain_schedule: Literal["ganin", "fixed"] = "ganin"

    def __post_init__(self) -> None:
        if not (self.domain_weight >= 0 and math.isfinite(self.domain_weight)):
            raise ValueError(f"domain_weight is {self.domain_weight}, expected 0 or more")


class DomainAdversarial(Method):
    """Cross entropy of the source's labels, and of the domains behind a gradient reversal.

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
        """Return lambda at a progress of 0 to 1; ``ganin``: ``2 / (1 + exp(-10 p)) - 1`` of it."""
        if self.config.domain_schedule == "fixed":
            return self.config.domain_weight
        return self.config.domain_weight * (2 / (1 + math.exp(-10 * progress)) - 1)

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the sum of both cross entropies, each a mean over its genes."""
        if batch.target is None:
            raise ValueError("dann needs genes of the target")
        weight = self.weight(progress)
        # One pass over both domains: no layer mixes the genes of a batch.
        features = model.features(torch.cat([batch.x, batch.target]))
        n_source = len(batch.x)
        label_loss = cross_entropy(model.classify(features[:n_source]), batch.y)
        domain = torch.full((len(features),), TARGET, device=features.device)
        domain[:n_source] = SOURCE
        logits: Tensor = self.head(reverse_gradient(features, weight))
        domain_loss = cross_entropy(logits, domain)
        accuracy = (logits.argmax(1) == domain).float().mean()
        terms = (label_loss, domain_loss, accuracy, features.new_tensor(weight))
        return Loss(label_loss + domain_loss, tuple(term.detach() for term in terms))
