"""How does TransferChrome predict with less work than it trains?

Attention takes means: ``O = P V`` with ``V = X W + b``, and the shares P of a position sum to 1, so
``O = (P X) W + b``. W and b are multiplied, once for all genes, into the Q and K of the next layer,
or into the linear layer behind the last, and V is never computed. What this and the rest is worth:
``docs/benchmarks.md``, "Training".
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils import skip_init

from chromemodel.models import cpu
from chromemodel.models.base import ChromeNet
from chromemodel.models.blocks import SelfAttention, convolve, join_channels

if TYPE_CHECKING:
    from chromemodel.models.transferchrome import TransferChrome

# Sums of powers of 2 within these need no shift: the largest of a row is not lost, and what they
# weigh does not overflow.
LEAST_SUM, MOST_SUM = 2.0**-60, 2.0**60


class Folded(NamedTuple):
    """A layer of attention; rows are the channels of its input and, last, what is added.

    ``query`` gives scores of powers of 2. ``value`` is None where it is a part of what follows, and
    else what is added to the input (a residual layer).
    """

    query: Tensor
    key: Tensor
    value: Tensor | None

    def to(self, dtype: torch.dtype) -> Folded:
        """Return it in another precision."""
        value = None if self.value is None else self.value.to(dtype)
        return Folded(self.query.to(dtype), self.key.to(dtype), value)


class FoldedTransferChrome(ChromeNet):
    """TransferChrome's logits on a CPU, but for rounding, without gradients.

    Parameters
    ----------
    model
        It stays as it is. Weights are copied, but for those behind the feature vectors.
    dtype
        Of the signal and of the feature vectors.
    """

    def __init__(self, model: TransferChrome, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.model, self.n_features = model, model.n_features
        self.convolutions = (Sixteens if Sixteens.suits(model) else OneByOne)(model)
        for part in self.convolutions.modules():
            if isinstance(part, nn.Conv1d):  # but no normalisation: it is as exact as in training
                part.to(dtype)
        exact, weight, bias = fold(model)
        self.layers = [layer.to(dtype) for layer in exact]
        self.weight, self.bias = weight.to(dtype), bias.to(dtype)
        ones = model.positions.new_ones(1, model.positions.shape[1])
        self.tail = torch.cat([model.positions, ones]).T.to(dtype)
        self.training = False
        self.convolutions.eval()  # but not the model, whose mode is its own

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, n_features)."""
        parts = [
            cpu.max_pool(part, self.model.config.pool).mT
            for part in self.convolutions(cpu.channels_last(x))
        ]
        widths = [*(part.shape[2] for part in parts), self.tail.shape[1]]
        z = x.new_empty(len(x), len(self.tail), sum(widths))
        *rooms, behind = torch.split(z, widths, dim=2)
        for part, room in zip(parts, rooms, strict=True):
            torch.clamp_min(part, 0, out=room)  # ReLU: what is largest stays so
        behind.copy_(self.tail)
        for layer in self.layers:
            means = attended(z, layer)
            z = means if layer.value is None else z + means @ layer.value
        out = linear(z.flatten(1), self.weight, self.bias)
        return torch.relu(out) if self.model.config.feature_relu else out

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return self.model.classify(features)


class OneByOne(nn.Module):
    """All convolutions, one after another: (genes, marks, bins) -> [(genes, kernels, bins)].

    What they give has not been through the last ReLU.
    """

    def __init__(self, model: TransferChrome) -> None:
        super().__init__()
        *before, self.last = deepcopy([model.conv, *model.further])
        self.before = nn.Sequential(deepcopy(model.dense), *before)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return one tensor, channels last."""
        return [self.last.norm(convolve(self.last.conv, self.before(x)))]


class Sixteens(nn.Module):
    """The same, with kernels in sixteens: of AVX-512 16 cost as much as 1, and 50 as 64.

    The kernels of the last convolution beyond a multiple of 16 (2 of 50) are computed where
    the convolution before it, the last of the dense block (8), leaves room: all that they make of
    that one's input. What they make of its output is added.
    """

    def __init__(self, model: TransferChrome) -> None:
        super().__init__()
        *first, inner = deepcopy([*model.dense.layers])
        self.first, self.inner_kernels = nn.ModuleList(first), inner.conv.out_channels
        last = model.conv.conv
        whole = last.out_channels // 16 * 16
        channels = inner.conv.in_channels
        assert last.bias is not None
        assert inner.conv.bias is not None
        rest, bias = last.weight[whole:], last.bias[whole:]
        self.inner = _convolution(
            torch.cat([inner.conv.weight, rest[:, :channels]]), torch.cat([inner.conv.bias, bias])
        )
        self.rest = _convolution(rest[:, channels:], torch.zeros_like(bias))
        self.whole = _convolution(last.weight[:whole], last.bias[:whole])

    @staticmethod
    def suits(model: TransferChrome) -> bool:
        """Return whether there is room, and nothing stands between the two convolutions."""
        config = model.config
        return (
            bool(config.dense_kernels)
            and 0 < config.kernels % 16 <= -config.dense_kernels[-1] % 16
            and config.kernels > 16
            and config.dense_width == config.width
            and config.convolutions == 1
            and not config.relu_first
            and not config.batch_norm
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the sixteens, and the rest, channels last."""
        for layer in self.first:
            x = join_channels([x, layer(x)])
        found = convolve(self.inner, x)
        inner = torch.relu(found[:, : self.inner_kernels])
        rest = found[:, self.inner_kernels :] + convolve(self.rest, inner)
        return [convolve(self.whole, join_channels([x, inner])), rest]


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv1d:
    """Return a convolution that keeps the length; weight (kernels, channels, width)."""
    kernels, channels, width = weight.shape
    # Without first weights: random numbers are those of training.
    layer = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv1d, channels, kernels, width, padding=width // 2
    )
    assert isinstance(layer, nn.Conv1d)
    layer.weight, layer.bias = (nn.Parameter(one.detach().clone()) for one in (weight, bias))
    return layer


def fold(model: TransferChrome) -> tuple[list[Folded], Tensor, Tensor]:
    """Return the layers of attention, and weight and bias of the linear layer, in float64.

    The weight is (features, positions times (channels + 1)).
    """
    channels = model.config.kernels + len(model.positions)
    behind = with_ones(torch.eye(channels, dtype=torch.float64), torch.zeros(channels))
    layers = []
    for layer in model.attention:
        assert isinstance(layer, SelfAttention)
        query, key, value = (
            behind @ with_ones(one.weight[..., 0], one.bias)
            for one in (layer.query, layer.key, layer.value)
        )
        query = query[:, :-1] * (layer.factor * cpu.LOG2_E)
        if layer.residual:
            value[-1, -1] = 0  # the input has its 1
        else:
            behind = value
        layers.append(Folded(query, key[:, :-1], value if layer.residual else None))
    by_channel = model.project.weight.detach().double()
    by_channel = by_channel.view(len(by_channel), channels, -1)
    weight = torch.einsum("fcp,dc->fpd", by_channel, behind[:, :-1])
    bias = model.project.bias.detach().double()
    return layers, weight.flatten(1), bias


def with_ones(weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return (channels in + 1, channels out + 1) in float64: the last channel is 1, and stays so.

    Examples
    --------
    >>> with_ones(torch.tensor([[2.0, 3.0]]), torch.tensor([5.0]))
    tensor([[2., 0.],
            [3., 0.],
            [5., 1.]], dtype=torch.float64)
    """
    found = torch.zeros(weight.shape[1] + 1, len(weight) + 1, dtype=torch.float64)
    found[:-1, :-1] = weight.detach().T
    if bias is not None:
        found[-1, :-1] = bias.detach()
    found[-1, -1] = 1
    return found


def attended(z: Tensor, layer: Folded) -> Tensor:
    """Return means of z, (genes, positions, channels + 1), by the shares of a layer.

    The last channel is 1, so its products are the sums of the powers, and become 1 again.
    """
    scores = (z @ layer.query) @ (z @ layer.key).mT
    found = scores.exp2_() @ z
    sums = found[..., -1:]
    if not (len(z) == 0 or (float(sums.min()) > LEAST_SUM and float(sums.max()) < MOST_SUM)):
        scores = (z @ layer.query) @ (z @ layer.key).mT
        scores = scores.float() if scores.dtype == torch.bfloat16 else scores
        found = cpu.powers(scores).to(z.dtype) @ z
        sums = found[..., -1:]
    # A divisor in the layout of what it divides: bfloat16 is slow with one for a whole row.
    return found.div_(sums.expand_as(found).contiguous())
