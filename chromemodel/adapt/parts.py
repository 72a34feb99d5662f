"""What do the methods of adaptation share?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from chromemodel.adapt.base import Batch
from chromemodel.models.base import ChromeNet

TARGET, SOURCE = 0, 1

Schedule = Literal["ganin", "fixed"]


def both_features(model: ChromeNet, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the features of the source, (genes, n_features), and of the target, likewise.

    Both go through a model without batch normalisation together: no layer mixes the genes of a
    batch. With it there are two passes. The source is normalised by its own batch and moves the
    running statistics, as in training without a target; the target is normalised by the running
    statistics, as it is when it is predicted, and does not move them.

    Raises
    ------
    ValueError
        Where the batch has no target.
    """
    target = target_of(batch)
    if not norm_layers(model):
        features = model.features(torch.cat([batch.x, target]))
        return features[: len(batch.x)], features[len(batch.x) :]
    source = model.features(batch.x)
    with norms_at_rest(model):
        return source, model.features(target)


def target_of(batch: Batch) -> Tensor:
    """Return the genes of the target, (target genes, marks, bins).

    Raises
    ------
    ValueError
        Where the batch has none.
    """
    if batch.target is None:
        raise ValueError("this method needs genes of the target")
    return batch.target


def norm_layers(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers of batch normalisation, of any dimension."""
    return [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def norms_at_rest(model: nn.Module) -> Iterator[None]:
    """Inside the block, batch normalisation is by the running statistics and leaves them."""
    layers = [layer for layer in norm_layers(model) if layer.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()


def domain_labels(source: Tensor, target: Tensor) -> Tensor:
    """Return 1 for each row of the source and then 0 for each of the target.

    Examples
    --------
    >>> domain_labels(torch.zeros(2, 3), torch.zeros(1, 3))
    tensor([1, 1, 0])
    """
    labels = torch.full((len(source) + len(target),), TARGET, device=source.device)
    labels[: len(source)] = SOURCE
    return labels


def scheduled(weight: float, schedule: Schedule, progress: float) -> float:
    """Return a weight at a progress of 0 to 1.

    ``ganin``: ``2 / (1 + exp(-10 p)) - 1`` of it (Ganin and Lempitsky 2015, section 4);
    ``fixed``: all of it.

    Examples
    --------
    >>> scheduled(2.0, "ganin", 0.0), scheduled(2.0, "fixed", 0.0)
    (0.0, 2.0)
    """
    return weight if schedule == "fixed" else weight * (2 / (1 + math.exp(-10 * progress)) - 1)


def check_weight(name: str, weight: float) -> None:
    """Refuse a weight that is negative or no number.

    Raises
    ------
    ValueError
        It names the option.
    """
    if not (weight >= 0 and math.isfinite(weight)):
        raise ValueError(f"{name} is {weight}, expected 0 or more")
