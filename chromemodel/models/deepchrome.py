"""DeepChrome: one convolution, pooling and a perceptron (Singh et al. 2016), and its MLP baseline.

Singh et al. 2016, "DeepChrome: deep-learning for predicting gene expression from histone
modifications", Bioinformatics 32; settings as in the authors' published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chromemodel.models.base import ChromeNet, check_bins, check_marks, check_options
from chromemodel.models.blocks import Dropout, linear_layers


@dataclass(frozen=True)
class DeepChromeConfig:
    """Options of DeepChrome; the defaults are the authors'.

    Parameters
    ----------
    kernels, width
        Of the convolution, in bins.
    pool
        Bins that max-pooling takes together; bins left over at the end are dropped.
    dropout
        After pooling.
    widths
        Of the two linear layers before the last.
    """

    kernels: int = 50
    width: int = 10
    pool: int = 5
    dropout: float = 0.5
    widths: tuple[int, ...] = (625, 125)

    def __post_init__(self) -> None:
        check_options(self)
        if not self.widths:
            raise ValueError("widths is empty, expected at least one width")


class DeepChrome(ChromeNet):
    """DeepChrome for any number of marks, and windows of ``width + pool - 1`` bins or more.

    Examples
    --------
    >>> model = DeepChrome(DeepChromeConfig(), n_marks=5, n_bins=100)
    >>> model.hidden[0].in_features
    900
    """

    Config = DeepChromeConfig

    def __init__(self, config: DeepChromeConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("deepchrome", n_marks)
        least = config.width + config.pool - 1
        check_bins("deepchrome", n_bins, least, "a convolution without padding, then pooling")
        self.n_features = config.widths[-1]
        self.conv = nn.Conv1d(n_marks, config.kernels, config.width)
        self.pool = nn.MaxPool1d(config.pool)
        self.dropout = Dropout(config.dropout)
        flat = config.kernels * ((n_bins - config.width + 1) // config.pool)
        self.hidden = linear_layers((flat, *config.widths))
        self.label = nn.Linear(config.widths[-1], 2)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, 125)."""
        pooled = self.dropout(self.pool(torch.relu(self.conv(x))).flatten(1))
        return torch.relu(self.hidden(pooled))

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        logits: Tensor = self.label(features)
        return logits


@dataclass(frozen=True)
class DeepChromeMlpConfig:
    """Options of DeepChrome's MLP.

    Parameters
    ----------
    shrink
        The hidden layer has one unit for so many inputs.
    """

    shrink: int = 2

    def __post_init__(self) -> None:
        check_options(self)


class DeepChromeMlp(ChromeNet):
    """The MLP that DeepChrome was held against: all bins, half as many tanh units, two logits.

    Examples
    --------
    >>> DeepChromeMlp(DeepChromeMlpConfig(), n_marks=5, n_bins=100).n_features
    250
    """

    Config = DeepChromeMlpConfig

    def __init__(self, config: DeepChromeMlpConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("deepchrome.mlp", n_marks)
        self.n_features = max(1, n_marks * n_bins // config.shrink)
        self.hidden = nn.Linear(n_marks * n_bins, self.n_features)
        self.label = nn.Linear(self.n_features, 2)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, marks * bins / 2)."""
        return torch.tanh(self.hidden(x.flatten(1)))

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        logits: Tensor = self.label(features)
        return logits
