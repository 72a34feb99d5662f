"""CDAN: an adversary that sees features together with the prediction made of them.

Long, Cao, Wang and Jordan 2018, "Conditional adversarial domain adaptation", NeurIPS 31. Where
DANN makes the features of both domains alike, CDAN does so for each class.
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
from chromemodel.models.blocks import linear_layers, reverse_gradient


@dataclass(frozen=True)
class ConditionalAdversarialConfig:
    """Options of CDAN.

    Parameters
    ----------
    domain_weight
        The lambda of the gradient reversal.
    domain_schedule
        ``ganin``: lambda grows from 0 with the progress of training; ``fixed``.
    entropy
        Genes that are predicted with certainty count more to the adversary: CDAN+E.
    head_widths
        Widths between the linear layers of the domain head.
    """

    domain_weight: float = 1.0
    domain_schedule: Schedule = "ganin"
    entropy: bool = False
    head_widths: tuple[int, ...] = (64,)

    def __post_init__(self) -> None:
        check_weight("domain_weight", self.domain_weight)
        for width in self.head_widths:
            if width < 1:
                raise ValueError(f"head_widths has {width}, expected 1 or more")


class ConditionalAdversarial(Method):
    """Cross entropy of the source's labels, and of the domains of features by prediction.

    The domain head sees the outer product of the features f and the probabilities g (`outer`),
    behind a gradient reversal of f. With ``entropy`` a gene's cross entropy is weighted by
    `certainty`. g and the weights are taken as given: no gradient goes through them.
    """

    Config = ConditionalAdversarialConfig
    uses_target = True
    columns = ("label_loss", "domain_loss", "domain_accuracy", "domain_weight")

    def __init__(self, config: ConditionalAdversarialConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        self.config = config
        self.head = linear_layers((2 * model.n_features, *config.head_widths, 2))

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the sum of both cross entropies, each a (weighted) mean over its genes."""
        weight = scheduled(self.config.domain_weight, self.config.domain_schedule, progress)
        source, target = both_features(model, batch)
        source_logits = model.classify(source)
        label_loss = cross_entropy(source_logits, batch.y)
        given = torch.softmax(source_logits.detach(), dim=1)
        with torch.no_grad():
            given_target = torch.softmax(model.classify(target), dim=1)
        pairs = torch.cat([outer(source, given), outer(target, given_target)])
        logits: Tensor = self.head(reverse_gradient(pairs, weight))
        domain = domain_labels(source, target)
        losses = cross_entropy(logits, domain, reduction="none")
        if self.config.entropy:
            losses = losses * torch.cat([certainty(given), certainty(given_target)])
        domain_loss = losses.mean()
        accuracy = (logits.argmax(1) == domain).float().mean()
        terms = (label_loss, domain_loss, accuracy, source.new_tensor(weight))
        return Loss(label_loss + domain_loss, tuple(term.detach() for term in terms))


def outer(features: Tensor, probability: Tensor) -> Tensor:
    """Return what the adversary sees: each feature times each probability (paper, Eq. 4).

    Parameters
    ----------
    features
        (genes, n_features).
    probability
        (genes, classes).

    Returns
    -------
    Tensor
        (genes, classes * n_features), the first class first.

    Examples
    --------
    >>> outer(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.75]]))
    tensor([[0.2500, 0.5000, 0.7500, 1.5000]])
    """
    return (probability[:, :, None] * features[:, None, :]).flatten(1)


def certainty(probability: Tensor) -> Tensor:
    """Return weights ``1 + exp(-H)``, H the entropy in nats, divided by their mean.

    Parameters
    ----------
    probability
        (genes, classes), of one domain.

    Returns
    -------
    Tensor
        (genes,), with a mean of 1.

    Examples
    --------
    >>> certainty(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    tensor([0.8571, 1.1429])
    """
    weights = 1 + torch.exp(-torch.special.entr(probability).sum(1))
    return weights / weights.mean()
