"""What are the models built of?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import torch
from torch import Tensor, nn

from chromemodel.models import cpu, stacked

Position = Literal["distance", "signed", "sinusoidal", "none"]


_given: ContextVar[Iterator[Tensor] | None] = ContextVar("_given", default=None)


class Dropout(nn.Dropout):
    """torch's dropout, with random numbers that cost a CPU less time."""

    def forward(self, input: Tensor) -> Tensor:
        """Return values set to 0 with probability p, the others divided by 1 - p, in training."""
        if not self.training or not self.p:
            return input
        given = _given.get()
        return input * (draw_factors(input, self.p) if given is None else next(given))


def draw_factors(x: Tensor, p: float) -> Tensor:
    """Return what dropout multiplies x by, drawn in the order in which x lies in memory."""
    if cpu.is_plain_cpu(x):
        return cpu.dropout_factors(x, p)
    return kept_factors(torch.empty_like(x).uniform_(), p)


def draw_many_factors(x: Tensor, p: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return `draw_factors` of x by each of the generators, (generators, *x.shape)."""
    room = x.new_empty(len(generators), x.numel())
    room = room.as_strided((len(generators), *x.shape), (x.numel(), *x.stride()))
    if cpu.is_plain_cpu(x):
        for one, generator in zip(room, generators, strict=True):
            one.copy_(cpu.dropout_factors(x, p, generator))
        return room
    for one, generator in zip(room, generators, strict=True):
        one.uniform_(generator=generator)
    return kept_factors(room, p)


def kept_factors(drawn: Tensor, p: float) -> Tensor:
    """Return 0 where a number drawn from [0, 1) is less than p, else ``1 / (1 - p)``."""
    return (drawn >= p).to(drawn.dtype).mul_(1 / (1 - p))


@contextmanager
def dropping_by(factors: Sequence[Tensor]) -> Iterator[None]:
    """Let each dropout inside the block take the next of these factors, and draw none."""
    token = _given.set(iter(factors))
    try:
        yield
    finally:
        _given.reset(token)


class ConvLayer(nn.Module):
    """Convolution that keeps the length, ReLU and dropout: (genes, channels, bins) -> the same.

    Parameters
    ----------
    channels, kernels
        Channels in and out.
    width
        Odd, so that the output lies on the bins of the input.
    dropout
        Share of single values set to 0 in training.
    relu_first
        ReLU before the convolution, as DenseNet has it, in place of after it.
    batch_norm
        Batch normalisation (Ioffe and Szegedy 2015) before the ReLU, wherever that is.
    """

    def __init__(
        self,
        channels: int,
        kernels: int,
        width: int,
        dropout: float,
        *,
        relu_first: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if width % 2 == 0:
            raise ValueError(f"a convolution of width {width} cannot be centred; choose an odd one")
        self.conv = nn.Conv1d(channels, kernels, width, padding=width // 2)
        normalised = channels if relu_first else kernels
        self.norm = nn.BatchNorm1d(normalised) if batch_norm else nn.Identity()
        self.dropout = Dropout(dropout)
        self.relu_first = relu_first

    def forward(self, x: Tensor) -> Tensor:
        """Return (genes, kernels, bins)."""
        if self.relu_first:
            out = convolve(self.conv, torch.relu(self.norm(x)))
        else:
            out = relu(self.norm(convolve(self.conv, x)))
        dropped: Tensor = self.dropout(out)
        return dropped


def relu(x: Tensor) -> Tensor:
    """Return ``relu`` of what a layer has just computed, and nobody else needs."""
    return cpu.relu(x) if cpu.is_plain_cpu(x) else torch.relu(x)


def convolve(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """Return what a convolution that keeps the length gives, the way that suits where x lies."""
    if cpu.is_plain_cpu(x):
        return cpu.convolve(cpu.channels_last(x), layer.weight, layer.bias)
    if stacked.products_suit(x):
        return stacked.convolve(x, layer.weight, layer.bias)
    out: Tensor = layer(x)
    return out


class DenseBlock(nn.Module):
    """Convolutions of which each sees the block's input and the output of all before it.

    The output is the concatenation of the input and all outputs: TransferChrome, "Dense-connected
    convolutional layer", after Huang et al. 2017.

    Examples
    --------
    >>> block = DenseBlock(5, (32, 16, 8), width=5, dropout=0.4)
    >>> block(torch.zeros(1, 5, 200)).shape
    torch.Size([1, 61, 200])
    """

    def __init__(
        self,
        channels: int,
        kernels: Sequence[int],
        width: int,
        dropout: float,
        *,
        relu_first: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for count in kernels:
            self.layers.append(
                ConvLayer(
                    channels, count, width, dropout, relu_first=relu_first, batch_norm=batch_norm
                )
            )
            channels += count
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (genes, out_channels, bins)."""
        for layer in self.layers:
            x = join_channels([x, layer(x)])
        return x


class SelfAttention(nn.Module):
    """Self-attention over positions: ``softmax(Q K^T) V``, Q and K of half the channels.

    TransferChrome, Eqs. 3-6: convolutions of width 1 give Q, K and V; scores are not scaled and
    nothing is added to the result, unless asked for.

    Parameters
    ----------
    channels
        Channels in and out; Q and K have half as many, rounded down, and at least 1.
    scale
        Divide the scores by the square root of Q's channels (Vaswani et al. 2017).
    residual
        Add the input to the output.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.query = nn.Conv1d(channels, half, 1)
        self.key = nn.Conv1d(channels, half, 1)
        self.value = nn.Conv1d(channels, channels, 1)
        self.factor = 1 / math.sqrt(half) if scale else 1.0
        self.residual = residual

    def attention(self, x: Tensor) -> Tensor:
        """Return how much position i takes from position j: (genes, i, j), rows sum to 1."""
        scores = convolve(self.query, x).transpose(1, 2) @ convolve(self.key, x)
        return torch.softmax(scores * self.factor, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (genes, channels, positions), as the input."""
        if cpu.is_plain_cpu(x):
            x = cpu.channels_last(x)
            out = cpu.attend(x, self.query, self.key, self.value, self.factor)
        else:
            out = convolve(self.value, x) @ self.attention(x).transpose(1, 2)
        return x + out if self.residual else out


class MaxPool(nn.MaxPool1d):
    """Maximum of `width` bins; an odd last bin is a position of its own and not cut off."""

    def __init__(self, width: int) -> None:
        super().__init__(width, ceil_mode=True)
        self.width = width

    def forward(self, input: Tensor) -> Tensor:
        """Return (genes, channels, positions)."""
        if cpu.is_plain_cpu(input):
            return cpu.max_pool(input, self.width)
        out: Tensor = super().forward(input)
        return out


def join_channels(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (genes, channels, bins) along the channels."""
    return cpu.concatenate(parts) if cpu.is_plain_cpu(parts[0]) else torch.cat([*parts], dim=1)


def position_channels(rule: Position, n_bins: int, pool: int, channels: int = 16) -> Tensor:
    """Return what tells pooled positions apart, shape (channels, positions).

    Parameters
    ----------
    rule
        ``distance``: 1 channel, distance of the position's centre from the TSS (the middle of the
        window) as a share of the flank, 0 to 1. ``signed``: the same, negative upstream.
        ``sinusoidal``: `channels` sines and cosines of the position's index (Vaswani et al.
        2017). ``none``: no channel.
    n_bins
        Bins of the window.
    pool
        Bins of a position; the last position may have fewer.

    Examples
    --------
    >>> position_channels("distance", 8, 2)
    tensor([[0.7500, 0.2500, 0.2500, 0.7500]])
    """
    starts = torch.arange(0, n_bins, pool, dtype=torch.float64)
    if rule == "none":
        return torch.zeros(0, len(starts))
    if rule == "sinusoidal":
        index = torch.arange(len(starts), dtype=torch.float64)
        even = torch.arange(0, channels, 2, dtype=torch.float64)
        angle = index * torch.pow(10000.0, -even / channels)[:, None]
        waves = torch.stack([angle.sin(), angle.cos()], dim=1).flatten(0, 1)
        return waves[:channels].float()
    centres = (starts + (starts + pool).clamp(max=n_bins)) / 2
    signed = (centres - n_bins / 2) / (n_bins / 2)
    return (signed.abs() if rule == "distance" else signed)[None].float()


class GradientReversal(torch.autograd.Function):
    """The identity, whose gradient is multiplied by ``-weight`` (Ganin and Lempitsky 2015)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: float) -> Tensor:
        """Return x."""
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        """Keep the weight for the way back."""
        ctx.weight = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times ``-weight``."""
        return gradients[0] * -ctx.weight, None


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """Return x; on the way back its gradient is multiplied by ``-weight``.

    Examples
    --------
    >>> x = torch.ones(2, requires_grad=True)
    >>> (3 * reverse_gradient(x, 0.5)).sum().backward()
    >>> x.grad
    tensor([-1.5000, -1.5000])
    """
    reversed_: Tensor = GradientReversal.apply(x, weight)  # type: ignore[no-untyped-call]
    return reversed_


def linear_layers(widths: Sequence[int]) -> nn.Sequential:
    """Return linear layers of these widths with ReLU between them: n widths make n - 1 layers."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
