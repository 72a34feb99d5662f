"""How do models written for Keras pad, and how do they attend to near bins?

ConvChrome and DeepEpi were written with Keras: convolutions of even width keep the length, and
their self-attention sees a few bins to either side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from chromemodel.models.blocks import Dropout


class SameConv1d(nn.Conv1d):
    """Convolution that keeps the length for any width: (genes, channels, bins) -> the same.

    Of the ``width - 1`` zeros the smaller half stands in front, as Keras's ``same`` has it.

    Examples
    --------
    >>> SameConv1d(5, 30, 2)(torch.zeros(1, 5, 7)).shape
    torch.Size([1, 30, 7])
    """

    def __init__(self, channels: int, kernels: int, width: int) -> None:
        super().__init__(channels, kernels, width)
        self.padded = ((width - 1) // 2, width - 1 - (width - 1) // 2)

    def forward(self, input: Tensor) -> Tensor:
        """Return (genes, kernels, bins)."""
        return super().forward(pad(input, self.padded))


class SameConv2d(nn.Conv2d):
    """Convolution that keeps both lengths: (genes, channels, bins, marks) -> the same."""

    def __init__(self, channels: int, kernels: int, width: int) -> None:
        super().__init__(channels, kernels, width)
        before, after = (width - 1) // 2, width - 1 - (width - 1) // 2
        self.padded = (before, after, before, after)

    def forward(self, input: Tensor) -> Tensor:
        """Return (genes, kernels, bins, marks)."""
        return super().forward(pad(input, self.padded))


class LocalSelfAttention(nn.Module):
    """Self-attention of a bin to its neighbours: ``softmax(x W x' + b) x`` within a window.

    The multiplicative kind of the package keras-self-attention: bin t sees the `width` bins from
    ``t - width // 2`` on. The bias is one number and does not change the softmax; it is kept so
    that the weights are those of the original.

    Parameters
    ----------
    channels
        Channels in and out.
    width
        Bins that a bin sees, itself among them.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.xavier_normal_(self.weight)
        self.width = width

    def attention(self, x: Tensor) -> Tensor:
        """Return how much bin i takes from bin j of x (genes, bins, channels): (genes, i, j)."""
        scores = x @ self.weight @ x.transpose(1, 2) + self.bias
        index = torch.arange(x.shape[1], device=x.device)
        first = (index - self.width // 2)[:, None]
        near = (index >= first) & (index < first + self.width)
        return torch.softmax(scores.masked_fill(~near, -torch.inf), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (genes, bins, channels), as the input."""
        return self.attention(x) @ x


def conv_stack(
    channels: int, kernels: tuple[int, ...], widths: tuple[int, ...], dropouts: tuple[float, ...]
) -> list[nn.Module]:
    """Return convolutions that keep the length, each with ReLU and dropout behind it."""
    layers: list[nn.Module] = []
    for count, width, dropout in zip(kernels, widths, dropouts, strict=True):
        layers += [SameConv1d(channels, count, width), nn.ReLU(), Dropout(dropout)]
        channels = count
    return layers
