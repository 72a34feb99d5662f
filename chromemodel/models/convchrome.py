"""ConvChrome: three stacks of convolutions (Hamdy et al. 2022).

Hamdy, Maghraby and Omar 2022, "ConvChrome: predicting gene expression based on histone
modifications using deep learning techniques", Current Bioinformatics 17; layers and settings as in
the notebook that the authors published.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from chromemodel.models.base import (
    ChromeNet,
    check_bins,
    check_marks,
    check_options,
    two_logits,
)
from chromemodel.models.blocks import Dropout
from chromemodel.models.keras_blocks import (
    LocalSelfAttention,
    SameConv1d,
    SameConv2d,
    conv_stack,
)


@dataclass(frozen=True)
class Cnn1dConfig:
    """Options of ConvChrome's CNN1D; the defaults are those of the authors' notebook.

    Parameters
    ----------
    kernels, conv_widths
        Of the four convolutions, in bins.
    dropouts
        After the second, third and fourth.
    pool
        Bins that max-pooling takes together, after the first.
    widths
        Of the two linear layers before the last.
    relu
        ReLU after these; the notebook has none.
    """

    kernels: tuple[int, ...] = (50, 40, 30, 20)
    conv_widths: tuple[int, ...] = (5, 3, 2, 2)
    dropouts: tuple[float, ...] = (0.4, 0.4, 0.4)
    pool: int = 2
    widths: tuple[int, ...] = (128, 64)
    relu: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        _check_lengths(self)


@dataclass(frozen=True)
class HybridConfig(Cnn1dConfig):
    """Options of ConvChrome's hybrid.

    Parameters
    ----------
    attention_width
        Bins that a bin attends to.
    """

    dropouts: tuple[float, ...] = (0.5, 0.4, 0.4)
    attention_width: int = 2


@dataclass(frozen=True)
class Cnn2dConfig:
    """Options of ConvChrome's CNN2D: convolutions of squares of bins and marks.

    Parameters
    ----------
    kernels, conv_widths
        Of the four convolutions: side of their squares.
    dropouts
        After the second, third and fourth.
    widths, last_dropout
        Of the two linear layers before the last; dropout behind them.
    """

    kernels: tuple[int, ...] = (50, 40, 30, 20)
    conv_widths: tuple[int, ...] = (5, 3, 2, 2)
    dropouts: tuple[float, ...] = (0.4, 0.4, 0.4)
    widths: tuple[int, ...] = (128, 64)
    last_dropout: float = 0.2

    def __post_init__(self) -> None:
        check_options(self)
        _check_lengths(self)


class Cnn1d(ChromeNet):
    """ConvChrome's CNN1D: convolutions over bins, linear layers.

    Examples
    --------
    >>> Cnn1d(Cnn1dConfig(), n_marks=5, n_bins=100).hidden[0].in_features
    1000
    """

    Config: ClassVar[type[Any]] = Cnn1dConfig

    def __init__(self, config: Cnn1dConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("convchrome", n_marks)
        check_bins("convchrome", n_bins, config.pool, "pooling")
        first, *others = config.kernels
        self.conv = SameConv1d(n_marks, first, config.conv_widths[0])
        self.pool = nn.MaxPool1d(config.pool)
        layers = conv_stack(first, tuple(others), config.conv_widths[1:], config.dropouts)
        self.before, self.after = nn.Sequential(*layers[:-1]), layers[-1]
        self.attend = self.attention_layer(config)
        flat = config.kernels[-1] * (n_bins // config.pool)
        self.hidden = _dense((flat, *config.widths), relu=config.relu)
        self.n_features = config.widths[-1]
        self.label = nn.Linear(self.n_features, 1)

    def attention_layer(self, config: Cnn1dConfig) -> nn.Module:
        """Return what stands before the last dropout: nothing here."""
        return nn.Identity()

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, 64)."""
        x = self.before(self.pool(torch.relu(self.conv(x))))
        x = self.attend(x.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.hidden(self.after(x).flatten(1))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(self.label(features))


class Hybrid(Cnn1d):
    """ConvChrome's hybrid: CNN1D whose last convolution's bins attend to their neighbours."""

    Config = HybridConfig

    def attention_layer(self, config: Cnn1dConfig) -> nn.Module:
        """Return self-attention to near bins."""
        assert isinstance(config, HybridConfig)
        return LocalSelfAttention(config.kernels[-1], config.attention_width)


class Cnn2d(ChromeNet):
    """ConvChrome's CNN2D: a gene is an image of bins and marks.

    Examples
    --------
    >>> Cnn2d(Cnn2dConfig(), n_marks=5, n_bins=100)(torch.zeros(1, 5, 100)).shape
    torch.Size([1, 2])
    """

    Config = Cnn2dConfig

    def __init__(self, config: Cnn2dConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("convchrome.cnn2d", n_marks)
        channels, *others = config.kernels
        layers: list[nn.Module] = [SameConv2d(1, channels, config.conv_widths[0])]
        for count, width, dropout in zip(
            others, config.conv_widths[1:], config.dropouts, strict=True
        ):
            layers += [SameConv2d(channels, count, width), nn.ReLU(), Dropout(dropout)]
            channels = count
        self.convs = nn.Sequential(*layers)
        self.hidden = _dense((channels * n_bins * n_marks, *config.widths), relu=True)
        self.dropout = Dropout(config.last_dropout)
        self.n_features = config.widths[-1]
        self.label = nn.Linear(self.n_features, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, 64)."""
        image = x.transpose(1, 2)[:, None]
        out: Tensor = self.dropout(self.hidden(self.convs(image).flatten(1)))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(self.label(features))


def _dense(widths: tuple[int, ...], *, relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU() if relu else nn.Identity()]
    return nn.Sequential(*layers)


def _check_lengths(config: Cnn1dConfig | Cnn2dConfig) -> None:
    count = len(config.kernels)
    for name, found, expected in (
        ("kernels", count, max(count, 2)),
        ("conv_widths", len(config.conv_widths), count),
        ("dropouts", len(config.dropouts), count - 1),
        ("widths", len(config.widths), max(len(config.widths), 1)),
    ):
        if found != expected:
            raise ValueError(f"{name} has {found} entries, expected {expected}")
