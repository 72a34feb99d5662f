"""How would anyone write TransferChrome and its training in plain torch?

The yardstick of ``benchmarks.training``: torch's own layers one after another, on the default
options of `chromemodel.models.transferchrome`, with nothing done for speed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chromemodel.models.transferchrome import TransferChrome

PREDICTION_BATCH = 512


class PlainAttention(nn.Module):
    """``softmax(Q K^T) V``, of convolutions of width 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv1d(channels, channels // 2, 1)
        self.key = nn.Conv1d(channels, channels // 2, 1)
        self.value = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (genes, channels, positions)."""
        shares = torch.softmax(self.query(x).transpose(1, 2) @ self.key(x), dim=-1)
        out: Tensor = self.value(x) @ shares.transpose(1, 2)
        return out


class PlainTransferChrome(nn.Module):
    """The paper's network; its weights come in the same order as those of `TransferChrome`."""

    distance: Tensor

    def __init__(self, n_marks: int, n_bins: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(n_marks, 32, 5, padding=2)
        self.second = nn.Conv1d(n_marks + 32, 16, 5, padding=2)
        self.third = nn.Conv1d(n_marks + 48, 8, 5, padding=2)
        self.conv = nn.Conv1d(n_marks + 56, 50, 5, padding=2)
        self.dropout = nn.Dropout(0.4)
        self.pool = nn.MaxPool1d(2)
        self.attention = nn.Sequential(PlainAttention(51), PlainAttention(51))
        self.project = nn.Linear(51 * (n_bins // 2), 128)
        self.label = nn.Sequential(
            nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2)
        )
        centres = torch.arange(1, n_bins, 2) - n_bins / 2
        self.register_buffer("distance", centres.abs() / (n_bins / 2), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, 128)."""
        for conv in (self.first, self.second, self.third):
            x = torch.cat([x, self.dropout(torch.relu(conv(x)))], dim=1)
        x = self.pool(self.dropout(torch.relu(self.conv(x))))
        x = torch.cat([x, self.distance.expand(len(x), 1, -1)], dim=1)
        out: Tensor = self.project(self.attention(x).flatten(1))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (genes, 2)."""
        out: Tensor = self.label(self.features(x))
        return out


def plain_copy(model: TransferChrome, n_marks: int, n_bins: int) -> PlainTransferChrome:
    """Return the plain writing of a model of default options, with its weights."""
    plain = PlainTransferChrome(n_marks, n_bins)
    pairs = zip(plain.state_dict(), model.state_dict().values(), strict=True)
    plain.load_state_dict({name: value.clone() for name, value in pairs})
    return plain


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, batch: int
) -> None:
    """Train on every gene once, in random order."""
    model.train()
    for rows in torch.split(torch.randperm(len(x)), batch):
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def predict(model: nn.Module, x: Tensor, batch: int = PREDICTION_BATCH) -> Tensor:
    """Return logits, (genes, 2)."""
    model.eval()

    def parts() -> Iterator[Tensor]:
        for part in torch.split(x, batch):
            yield model(part)

    with torch.no_grad():
        return torch.cat(list(parts()))
