"""TransferChrome: dense convolutions, distance to the TSS, self-attention (Chen et al. 2022).

Chen et al. 2022, "TransferChrome", Frontiers in Genetics 13, "Design of neural network model".
Where the paper is silent the choice is an option; ``docs/paper.md`` lists all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from chromemodel.models.base import ChromeNet
from chromemodel.models.blocks import (
    ConvLayer,
    DenseBlock,
    MaxPool,
    Position,
    SelfAttention,
    join_channels,
    linear_layers,
    position_channels,
)
from chromemodel.models.folded import FoldedTransferChrome


@dataclass(frozen=True)
class TransferChromeConfig:
    """Options of TransferChrome; the defaults are the paper's, or our reading of it.

    Parameters
    ----------
    dense_kernels
        Kernels of the layers of the dense block; empty for no block.
    dense_width, width
        Width of the convolutions in the dense block and after it, in bins; odd.
    kernels
        Kernels of the convolution after the dense block.
    convolutions
        How many such convolutions follow one another.
    dropout
        After each convolution.
    relu_first
        ReLU before each convolution of the dense block in place of after it.
    batch_norm
        Batch normalisation before the ReLU of each convolution; the paper has none.
    pool
        Bins that max-pooling takes together.
    position
        What is concatenated after pooling: ``distance`` (to the TSS, 0 to 1), ``signed``,
        ``sinusoidal``, ``none``.
    position_channels
        Number of channels, for ``sinusoidal`` only.
    attention_layers, attention_scale, attention_residual
        Number of layers; scores divided by the root of the width; input added to the output.
    features
        Length of the feature vector.
    feature_relu
        ReLU after the linear layer that makes it.
    label_widths
        Widths between the linear layers of the label head (three layers: two widths).
    domain_widths
        Widths between the linear layers of the domain head (two layers: one width).
    """

    dense_kernels: tuple[int, ...] = (32, 16, 8)
    dense_width: int = 5
    kernels: int = 50
    convolutions: int = 1
    width: int = 5
    dropout: float = 0.4
    relu_first: bool = False
    batch_norm: bool = False
    pool: int = 2
    position: Position = "distance"
    position_channels: int = 16
    attention_layers: int = 2
    attention_scale: bool = False
    attention_residual: bool = False
    features: int = 128
    feature_relu: bool = False
    label_widths: tuple[int, ...] = (64, 16)
    domain_widths: tuple[int, ...] = (64,)

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            least = 0 if entry.name == "attention_layers" else 1
            numbers = value if isinstance(value, tuple) else (value,)
            for number in numbers:
                if type(number) is int and number < least:
                    raise ValueError(f"{entry.name} is {number}, expected {least} or more")
        for name in ("dense_width", "width"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected an odd number")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected [0, 1)")


class TransferChrome(ChromeNet):
    """TransferChrome for any number of marks and bins.

    Parameters
    ----------
    config
        Its options.
    n_marks, n_bins
        The shape of a gene's signal; with an odd number of bins the last pooled position has one
        bin.

    Raises
    ------
    ValueError
        Where there are fewer bins than max-pooling takes together.

    Examples
    --------
    >>> model = TransferChrome(TransferChromeConfig(), n_marks=5, n_bins=200)
    >>> model(torch.zeros(3, 5, 200)).shape
    torch.Size([3, 2])
    """

    Config = TransferChromeConfig
    positions: Tensor

    def __init__(self, config: TransferChromeConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        if n_marks < 1:
            raise ValueError(f"transferchrome needs a mark, got {n_marks}")
        if n_bins < config.pool:
            raise ValueError(
                f"transferchrome pools {config.pool} bins into one position; "
                f"a gene has only {n_bins}"
            )
        self.config = config
        self.n_features = config.features
        self.dense = DenseBlock(
            n_marks,
            config.dense_kernels,
            config.dense_width,
            config.dropout,
            relu_first=config.relu_first,
            batch_norm=config.batch_norm,
        )

        def convolution(channels: int) -> ConvLayer:
            return ConvLayer(
                channels, config.kernels, config.width, config.dropout,
                batch_norm=config.batch_norm,
            )  # fmt: skip

        self.conv = convolution(self.dense.out_channels)
        self.further = nn.Sequential(
            *(convolution(config.kernels) for _ in range(config.convolutions - 1))
        )
        self.pool = MaxPool(config.pool)
        positions = position_channels(
            config.position, n_bins, config.pool, config.position_channels
        )
        self.register_buffer("positions", positions, persistent=False)
        channels = config.kernels + positions.shape[0]
        self.attention = nn.Sequential(
            *(
                SelfAttention(
                    channels, scale=config.attention_scale, residual=config.attention_residual
                )
                for _ in range(config.attention_layers)
            )
        )
        self.project = nn.Linear(channels * positions.shape[1], config.features)
        self.label = linear_layers((config.features, *config.label_widths, 2))

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, features)."""
        x = self.pool(self.further(self.conv(self.dense(x))))
        x = join_channels([x, self.positions.to(x.dtype).expand(x.shape[0], -1, -1)])
        out: Tensor = self.project(self.attention(x).flatten(1))
        return torch.relu(out) if self.config.feature_relu else out

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        logits: Tensor = self.label(features)
        return logits

    def folded(self, dtype: torch.dtype) -> ChromeNet:
        """Return `FoldedTransferChrome`."""
        return FoldedTransferChrome(self, dtype)

    def domain_head(self) -> nn.Module:
        """Return two linear layers (more or fewer by ``domain_widths``)."""
        return linear_layers((self.config.features, *self.config.domain_widths, 2))
