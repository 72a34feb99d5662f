"""AttentiveChrome: an LSTM and attention over bins, then over marks (Singh et al. 2017).

Singh, Lanchantin, Sekhon and Qi 2017, "Attend and predict: understanding gene regulation by
selective attention on chromatin", NeurIPS 30; the five variants are those of its table of models.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

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


@dataclass(frozen=True)
class AttentiveChromeConfig:
    """Options of AttentiveChrome and its variants; the defaults are the authors'.

    Parameters
    ----------
    bin_units
        Units of the LSTM over bins, in each direction.
    mark_units
        Units of the LSTM over marks, in each direction.
    """

    bin_units: int = 32
    mark_units: int = 16

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class BinLstmConfig:
    """Options of the variants without an LSTM over marks.

    Parameters
    ----------
    bin_units
        Units of the LSTM over bins, in each direction.
    """

    bin_units: int = 32

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class CnnAttentionConfig:
    """Options of CNN-Attn: the convolution of DeepChrome.

    Parameters
    ----------
    kernels, width
        Of the convolution, width in bins.
    dropout
        After it.
    """

    kernels: int = 50
    width: int = 10
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_options(self)


class AttentionWeights(NamedTuple):
    """Where a model looked; each row of the last dimension sums to 1.

    ``bins`` has shape (genes, marks, bins), or (genes, 1, positions) where marks are seen together;
    ``marks`` (genes, marks). None where a model has no such attention.
    """

    bins: Tensor | None
    marks: Tensor | None


class ContextAttention(nn.Module):
    """Attention by a learned context vector: ``softmax(h c)`` weighs the vectors h.

    Examples
    --------
    >>> summary, weights = ContextAttention(4)(torch.zeros(2, 3, 4))
    >>> summary.shape, weights[0]
    (torch.Size([2, 4]), tensor([0.3333, 0.3333, 0.3333], grad_fn=<SelectBackward0>))
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context = nn.Parameter(torch.empty(channels).uniform_(-0.1, 0.1))

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum (genes, channels) of steps (genes, steps, channels), and the weights."""
        weights = torch.softmax(steps @ self.context, dim=1)
        return (weights[:, None] @ steps)[:, 0], weights


class AttentiveNet(ChromeNet):
    """What the model and its variants share: one logit, and attention that can be asked for."""

    def __init__(self, name: str, n_features: int, config: object, n_marks: int, n_bins: int):
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks(name, n_marks)
        self.n_features = n_features
        self.label = nn.Linear(n_features, 1)

    @abstractmethod
    def attend(self, x: Tensor) -> tuple[Tensor, AttentionWeights]:
        """Return the features (genes, n_features) of signal, and where the model looked."""

    def attention(self, x: Tensor) -> AttentionWeights:
        """Return where the model looks in signal (genes, marks, bins); without gradient."""
        with torch.no_grad():
            return self.attend(x)[1]

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, n_features)."""
        return self.attend(x)[0]

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(self.label(features))


class BinEncoder(nn.Module):
    """A bidirectional LSTM over bins and attention: (genes, bins, channels) -> (genes, 2 units)."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, units, batch_first=True, bidirectional=True)
        self.attention = ContextAttention(2 * units)

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summary (genes, 2 units) and the weights (genes, steps)."""
        summary, weights = self.attention(self.lstm(steps)[0])
        return summary, weights


class MarkEncoders(nn.ModuleList):
    """One `BinEncoder` a mark: signal (genes, marks, bins) -> (genes, marks, 2 units)."""

    def __init__(self, n_marks: int, units: int) -> None:
        super().__init__(BinEncoder(1, units) for _ in range(n_marks))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summaries of the marks, and the weights (genes, marks, bins)."""
        pairs = [encoder(x[:, mark, :, None]) for mark, encoder in enumerate(self)]
        return torch.stack([p[0] for p in pairs], 1), torch.stack([p[1] for p in pairs], 1)


class AttentiveChrome(AttentiveNet):
    """AttentiveChrome, in the table of its paper LSTM-α,β.

    Examples
    --------
    >>> model = AttentiveChrome(AttentiveChromeConfig(), n_marks=5, n_bins=20)
    >>> weights = model.attention(torch.zeros(3, 5, 20))
    >>> weights.bins.shape, weights.marks.shape
    (torch.Size([3, 5, 20]), torch.Size([3, 5]))
    """

    Config = AttentiveChromeConfig

    def __init__(self, config: AttentiveChromeConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__("attentivechrome", 2 * config.mark_units, config, n_marks, n_bins)
        self.bins = MarkEncoders(n_marks, config.bin_units)
        self.marks = BinEncoder(2 * config.bin_units, config.mark_units)

    def attend(self, x: Tensor) -> tuple[Tensor, AttentionWeights]:
        """Return the features (genes, 32) and both levels of attention."""
        marks, alpha = self.bins(x)
        features, beta = self.marks(marks)
        return features, AttentionWeights(alpha, beta)


class LstmAlpha(AttentiveNet):
    """LSTM-α: an LSTM and attention for each mark; their summaries side by side, linear."""

    Config = BinLstmConfig

    def __init__(self, config: BinLstmConfig, *, n_marks: int, n_bins: int) -> None:
        features = 2 * config.bin_units * n_marks
        super().__init__("attentivechrome.lstm_alpha", features, config, n_marks, n_bins)
        self.bins = MarkEncoders(n_marks, config.bin_units)

    def attend(self, x: Tensor) -> tuple[Tensor, AttentionWeights]:
        """Return the features (genes, 64 marks) and the attention to bins."""
        marks, alpha = self.bins(x)
        return marks.flatten(1), AttentionWeights(alpha, None)


class LstmAttention(AttentiveNet):
    """LSTM-Attn: one LSTM over the bins of all marks together, and attention."""

    Config = BinLstmConfig

    def __init__(self, config: BinLstmConfig, *, n_marks: int, n_bins: int) -> None:
        features = 2 * config.bin_units
        super().__init__("attentivechrome.lstm_attn", features, config, n_marks, n_bins)
        self.bins = BinEncoder(n_marks, config.bin_units)

    def attend(self, x: Tensor) -> tuple[Tensor, AttentionWeights]:
        """Return the features (genes, 64) and the attention to bins, of all marks together."""
        features, alpha = self.bins(x.transpose(1, 2))
        return features, AttentionWeights(alpha[:, None], None)


class Lstm(AttentiveNet):
    """LSTM: one LSTM over the bins of all marks together; the last output of each direction."""

    Config = BinLstmConfig

    def __init__(self, config: BinLstmConfig, *, n_marks: int, n_bins: int) -> None:
        features = 2 * config.bin_units
        super().__init__("attentivechrome.lstm", features, config, n_marks, n_bins)
        self.lstm = nn.LSTM(n_marks, config.bin_units, batch_first=True, bidirectional=True)

    def attend(self, x: Tensor) -> tuple[Tensor, AttentionWeights]:
        """Return the features (genes, 64); there is no attention."""
        last = self.lstm(x.transpose(1, 2))[1][0]
        return last.transpose(0, 1).flatten(1), AttentionWeights(None, None)


class CnnAttention(AttentiveNet):
    """CNN-Attn: the convolution of DeepChrome without its pooling, and attention."""

    Config = CnnAttentionConfig

    def __init__(self, config: CnnAttentionConfig, *, n_marks: int, n_bins: int) -> None:
        name = "attentivechrome.cnn_attn"
        super().__init__(name, config.kernels, config, n_marks, n_bins)
        check_bins(name, n_bins, config.width, "a convolution without padding")
        self.conv = nn.Conv1d(n_marks, config.kernels, config.width)
        self.dropout = Dropout(config.dropout)
        self.bins = ContextAttention(config.kernels)

    def attend(self, x: Tensor) -> tuple[Tensor, AttentionWeights]:
        """Return the features (genes, 50) and the attention to the convolution's positions."""
        features, alpha = self.bins(self.dropout(torch.relu(self.conv(x))).transpose(1, 2))
        return features, AttentionWeights(alpha[:, None], None)
