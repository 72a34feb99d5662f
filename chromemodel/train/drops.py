"""Which dropouts does a batch meet on its way through a network?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from chromemodel.models.base import ChromeNet
from chromemodel.models.blocks import Dropout
from chromemodel.train.device import seeded


class Drop(NamedTuple):
    """A dropout of the network: a tensor laid out as its input alone, and its probability."""

    like: Tensor
    p: float


def met_dropouts(
    model: ChromeNet, x: Tensor, forward: Callable[[Tensor], Tensor] | None = None
) -> list[Drop]:
    """Return the dropouts that draw in a step with x, in order; the model's buffers may move.

    Parameters
    ----------
    model
        In training mode.
    x
        (genes, marks, bins), on the model's device.
    forward
        What of the model is asked; by default all of it.
    """
    met: list[Drop] = []

    def note(layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Dropout)
        if layer.p:
            met.append(Drop(torch.empty_like(inputs[0]), layer.p))

    layers = [layer for layer in model.modules() if isinstance(layer, Dropout)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad(), seeded(0, x.device):
            (forward or model)(x)
    finally:
        for hook in hooks:
            hook.remove()
    return met
