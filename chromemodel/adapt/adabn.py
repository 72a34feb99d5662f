"""AdaBN: batch normalisation by the statistics of the target.

Li, Wang, Shi, Hou and Liu 2018, "Adaptive batch normalization for practical domain adaptation",
Pattern Recognition 80 (as a preprint: "Revisiting batch normalization", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.adapt.parts import norm_layers
from chromemodel.models.base import ChromeNet
from chromemodel.train.store import Signals
from chromeprep.errors import ChromeError

BATCH = 512


@dataclass(frozen=True)
class AdaptiveNormConfig:
    """It has no options."""


class AdaptiveNorm(Method):
    """Trains on the source alone; then `renormalise` with the genes that adapt.

    The epoch is chosen before that, with the statistics of the source.

    Raises
    ------
    ChromeError
        Where the model has no batch normalisation.
    """

    Config = AdaptiveNormConfig
    uses_target = True

    def __init__(self, config: AdaptiveNormConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        if not norm_layers(model):
            raise ChromeError(
                "adabn needs a model with batch normalisation; this one has none",
                hint="use --model transferchrome --set batch_norm=true",
            )

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the loss of the source's labels; the target waits for `finish`."""
        return Loss(batch.label_loss(model(batch.x)), ())

    def finish(self, model: ChromeNet, target: Signals | None) -> None:
        """Put the statistics of the target in place of those of the source."""
        if target is None:
            raise ValueError("adabn needs genes of the target")
        renormalise(model, target)


def renormalise(model: ChromeNet, x: Signals) -> None:
    """Set the running mean and variance of each batch normalisation to those of its input.

    Layer after layer in the order of computation, each over all genes at once, so that a layer's
    input is normalised already by what was found for the layers before it (paper, Algorithm 1).
    Without dropout, as in predicting. The variance is by the number of values - 1, as torch's.

    Parameters
    ----------
    model
        In evaluation mode; its running statistics change, its weights do not.
    x
        Signal, (genes, marks, bins).
    """
    for layer in _in_order(model, x[:1]):
        mean, variance = _moments(model, layer, x)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


def _in_order(model: ChromeNet, x: Tensor) -> list[_BatchNorm]:
    """Return the batch normalisations in the order in which a gene meets them."""
    met: list[_BatchNorm] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, _: met.append(layer))
        for layer in norm_layers(model)
    ]
    _call(model, x, hooks)
    return list(dict.fromkeys(met))


def _moments(model: ChromeNet, layer: _BatchNorm, x: Signals) -> tuple[Tensor, Tensor]:
    """Return mean and variance (channels,) of a layer's input over all genes and bins."""
    counts: list[int] = []
    parts: list[tuple[Tensor, Tensor]] = []

    def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
        values = inputs[0].transpose(0, 1).flatten(1)
        counts.append(values.shape[1])
        variance, mean = torch.var_mean(values, dim=1, correction=0)
        # Summed on the CPU: not every device has double precision.
        parts.append((mean.cpu().double(), variance.cpu().double()))

    _call(model, x, [layer.register_forward_pre_hook(note)])
    count = torch.tensor(counts, dtype=torch.float64)[:, None]
    means, variances = (torch.stack(column) for column in zip(*parts, strict=True))
    mean = (count * means).sum(0) / count.sum()
    squares = (count * (variances + (means - mean).square())).sum(0)
    return mean, squares / (count.sum() - 1).clamp_min(1)


def _call(model: ChromeNet, x: Signals, hooks: Sequence[RemovableHandle]) -> None:
    """Pass genes through a model in batches, then remove the hooks."""
    try:
        with torch.no_grad():
            for start in range(0, len(x), BATCH):
                model.features(x[start : start + BATCH])
    finally:
        for hook in hooks:
            hook.remove()
