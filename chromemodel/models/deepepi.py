"""DeepEpi: convolutions, three LSTMs, each with self-attention to near bins (Hamdy et al. 2024).

Hamdy, Omar and Maghraby 2024, "DeepEpi: deep learning model for predicting gene expression
regulation based on epigenetic histone modifications", Current Bioinformatics 19; layers and
settings as in the notebook that the authors published.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from chromemodel.models.base import ChromeNet, check_marks, check_options, two_logits
from chromemodel.models.blocks import Dropout, linear_layers
from chromemodel.models.keras_blocks import LocalSelfAttention, conv_stack


@dataclass(frozen=True)
class DeepEpiConfig:
    """Options of DeepEpi; the defaults are those of the authors' notebook.

    Parameters
    ----------
    kernels, conv_widths, dropouts
        Of the convolutions: kernels, width in bins, dropout behind each.
    lstm_units, attention_widths
        Of the LSTMs: units, and how many bins a bin attends to afterwards.
    lstm_dropout
        After the last attention.
    widths
        Of the linear layers before the last.
    """

    kernels: tuple[int, ...] = (50, 40, 30, 20)
    conv_widths: tuple[int, ...] = (5, 3, 2, 2)
    dropouts: tuple[float, ...] = (0.4, 0.4, 0.0, 0.4)
    lstm_units: tuple[int, ...] = (32, 16, 8)
    attention_widths: tuple[int, ...] = (15, 5, 2)
    lstm_dropout: float = 0.4
    widths: tuple[int, ...] = (128, 64)

    def __post_init__(self) -> None:
        check_options(self)
        for names in (("kernels", "conv_widths", "dropouts"), ("lstm_units", "attention_widths")):
            first = len(getattr(self, names[0]))
            for name in names:
                found = len(getattr(self, name))
                if not found or found != first:
                    raise ValueError(f"{name} has {found} entries, expected {max(first, 1)}")
        if not self.widths:
            raise ValueError("widths is empty, expected at least one width")


class DeepEpi(ChromeNet):
    """DeepEpi, the variant of convolutions, LSTM and self-attention, for any marks and bins.

    Examples
    --------
    >>> DeepEpi(DeepEpiConfig(), n_marks=5, n_bins=100).hidden[0].in_features
    800
    """

    Config = DeepEpiConfig

    def __init__(self, config: DeepEpiConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("deepepi", n_marks)
        self.convs = nn.Sequential(
            *conv_stack(n_marks, config.kernels, config.conv_widths, config.dropouts)
        )
        self.lstms, self.attentions = nn.ModuleList(), nn.ModuleList()
        channels = config.kernels[-1]
        for units, width in zip(config.lstm_units, config.attention_widths, strict=True):
            self.lstms.append(nn.LSTM(channels, units, batch_first=True))
            self.attentions.append(LocalSelfAttention(units, width))
            channels = units
        self.dropout = Dropout(config.lstm_dropout)
        self.hidden = nn.Sequential(*linear_layers((channels * n_bins, *config.widths)), nn.ReLU())
        self.n_features = config.widths[-1]
        self.label = nn.Linear(self.n_features, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, 64)."""
        steps = self.convs(x).transpose(1, 2)
        for lstm, attention in zip(self.lstms, self.attentions, strict=True):
            steps = attention(lstm(steps)[0])
        out: Tensor = self.hidden(self.dropout(steps).flatten(1))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(self.label(features))
