"""CRNN: two 2-D convolutions and an LSTM over the bins (Zhu et al. 2018).

Zhu, Kesseli, Nykter and Huttunen 2018, "Predicting gene expression levels from histone modification
signals with convolutional recurrent neural networks", EMBEC & NBC 2017; settings as in the authors'
published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chromemodel.models.base import ChromeNet, check_marks, check_options, two_logits
from chromemodel.models.blocks import Dropout, linear_layers
from chromemodel.models.keras_blocks import SameConv2d


@dataclass(frozen=True)
class CrnnConfig:
    """Options of the CRNN; the defaults are the authors'.

    Parameters
    ----------
    kernels, width
        Of each of the two convolutions: kernels, and the side of their squares of bins and marks.
    units
        Of the LSTM.
    dropout
        After each convolution, on the LSTM's input and on its last output.
    widths
        Of the linear layers before the last.
    """

    kernels: int = 32
    width: int = 3
    units: int = 32
    dropout: float = 0.5
    widths: tuple[int, ...] = (100, 20)

    def __post_init__(self) -> None:
        check_options(self)
        if not self.widths:
            raise ValueError("widths is empty, expected at least one width")


class Crnn(ChromeNet):
    """CRNN for any number of marks and bins.

    Examples
    --------
    >>> Crnn(CrnnConfig(), n_marks=5, n_bins=100).lstm.input_size
    160
    """

    Config = CrnnConfig

    def __init__(self, config: CrnnConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("crnn", n_marks)
        self.convs = nn.Sequential(
            SameConv2d(1, config.kernels, config.width),
            nn.ReLU(),
            Dropout(config.dropout),
            SameConv2d(config.kernels, config.kernels, config.width),
            nn.ReLU(),
            Dropout(config.dropout),
        )
        self.lstm = nn.LSTM(config.kernels * n_marks, config.units, batch_first=True)
        self.dropout = Dropout(config.dropout)
        self.hidden = nn.Sequential(*linear_layers((config.units, *config.widths)), nn.ReLU())
        self.n_features = config.widths[-1]
        self.label = nn.Linear(self.n_features, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, 20)."""
        maps = self.convs(x.transpose(1, 2)[:, None])
        # (genes, kernels, bins, marks) -> at each bin the kernels of all marks.
        steps = maps.permute(0, 2, 1, 3).flatten(2)
        # One mask for all bins of a gene, as Keras drops out the input of an LSTM.
        mask = self.dropout(torch.ones_like(steps[:, :1]))
        last = self.lstm(steps * mask)[1][0][0]
        out: Tensor = self.hidden(self.dropout(last))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(self.label(features))
