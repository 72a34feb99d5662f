"""TCN: residual blocks of dilated convolutions (after Bai et al. 2018).

Zhu et al. 2018 and Kamal et al. 2020 used temporal convolutional networks on histone marks; only
their abstracts were at hand, so this is the network of Bai, Kolter and Koltun 2018, "An empirical
evaluation of generic convolutional and recurrent networks for sequence modeling".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from chromemodel.models.base import ChromeNet, check_marks, check_options
from chromemodel.models.blocks import Dropout


@dataclass(frozen=True)
class TcnConfig:
    """Options of the TCN; all are our choices.

    Parameters
    ----------
    kernels, width
        Of each convolution, width in bins; odd unless ``causal``.
    blocks
        Residual blocks of two convolutions; block i looks ``2**i`` bins apart. Six blocks of width
        3 see 253 bins.
    dropout
        After each convolution.
    causal
        A bin sees those before it, 5' of it, and the last bin is read; else it sees both sides,
        and the mean over the bins is read.
    """

    kernels: int = 32
    width: int = 3
    blocks: int = 6
    dropout: float = 0.2
    causal: bool = True

    def __post_init__(self) -> None:
        check_options(self)
        if not self.causal and self.width % 2 == 0:
            raise ValueError(f"width is {self.width}, expected an odd number unless causal=true")


class ResidualBlock(nn.Module):
    """Two dilated convolutions with ReLU and dropout, added to their input; ReLU.

    Where the channels differ a convolution of width 1 fits the input to the output.
    """

    def __init__(self, channels: int, dilation: int, config: TcnConfig) -> None:
        super().__init__()
        kernels, width = config.kernels, config.width
        self.first = nn.Conv1d(channels, kernels, width, dilation=dilation)
        self.second = nn.Conv1d(kernels, kernels, width, dilation=dilation)
        self.shortcut = nn.Conv1d(channels, kernels, 1) if channels != kernels else nn.Identity()
        self.dropout = Dropout(config.dropout)
        reach = (width - 1) * dilation
        self.padded = (reach, 0) if config.causal else (reach // 2, reach // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (genes, kernels, bins)."""
        out = x
        for conv in (self.first, self.second):
            out = self.dropout(torch.relu(conv(pad(out, self.padded))))
        return torch.relu(out + self.shortcut(x))


class Tcn(ChromeNet):
    """Temporal convolutional network for any number of marks and bins.

    Examples
    --------
    >>> Tcn(TcnConfig(), n_marks=5, n_bins=100)(torch.zeros(3, 5, 100)).shape
    torch.Size([3, 2])
    """

    Config = TcnConfig

    def __init__(self, config: TcnConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("tcn", n_marks)
        self.causal = config.causal
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(n_marks if index == 0 else config.kernels, 2**index, config)
                for index in range(config.blocks)
            )
        )
        self.n_features = config.kernels
        self.label = nn.Linear(config.kernels, 2)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, kernels)."""
        out: Tensor = self.blocks(x)
        return out[:, :, -1] if self.causal else out.mean(2)

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        logits: Tensor = self.label(features)
        return logits
