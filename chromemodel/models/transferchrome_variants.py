"""Which parts of TransferChrome matter? The five variants of its Figures 5 and 6.

Chen et al. 2022, "Contributions of dense connectivity pattern and different position encoding
functions". Each is TransferChrome with other defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from chromemodel.models.blocks import Position
from chromemodel.models.transferchrome import TransferChrome, TransferChromeConfig


@dataclass(frozen=True)
class AlphaConfig(TransferChromeConfig):
    """TransferChrome_α: sinusoidal positions."""

    position: Position = "sinusoidal"


@dataclass(frozen=True)
class BetaConfig(TransferChromeConfig):
    """TransferChrome_β: no positions."""

    position: Position = "none"


@dataclass(frozen=True)
class V1Config(TransferChromeConfig):
    """TransferChrome_1: 50 kernels in each layer of the dense block."""

    dense_kernels: tuple[int, ...] = (50, 50, 50)


@dataclass(frozen=True)
class V2Config(TransferChromeConfig):
    """TransferChrome_2: one convolution of 50 kernels, no dense block."""

    dense_kernels: tuple[int, ...] = ()


@dataclass(frozen=True)
class V3Config(TransferChromeConfig):
    """TransferChrome_3: three plain convolutions of 50 kernels, no dense block."""

    dense_kernels: tuple[int, ...] = ()
    convolutions: int = 3


class TransferChromeAlpha(TransferChrome):
    """TransferChrome_α: sines and cosines of the position in place of the distance."""

    Config = AlphaConfig


class TransferChromeBeta(TransferChrome):
    """TransferChrome_β: positions are not told apart."""

    Config = BetaConfig


class TransferChromeV1(TransferChrome):
    """TransferChrome_1: a dense block of 50, 50 and 50 kernels."""

    Config = V1Config


class TransferChromeV2(TransferChrome):
    """TransferChrome_2: one convolution of 50 kernels in place of the dense block and its own."""

    Config = V2Config


class TransferChromeV3(TransferChrome):
    """TransferChrome_3: three convolutions of 50 kernels, each on the one before."""

    Config = V3Config
