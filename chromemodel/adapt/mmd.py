"""MMD: features of source and target with the same mean in the space of several Gaussian kernels.

Long, Cao, Wang and Jordan 2015, "Learning transferable features with deep adaptation networks"
(DAN), ICML; the statistic is that of Gretton et al. 2012, JMLR 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.adapt.parts import both_features, check_weight
from chromemodel.models.base import ChromeNet


@dataclass(frozen=True)
class MeanDiscrepancyConfig:
    """Options of MMD.

    Parameters
    ----------
    mmd_weight
        What the squared discrepancy is multiplied by.
    octaves
        Bandwidths run from ``2**-octaves`` to ``2**octaves`` times the median of the squared
        distances in the batch, in steps of the square root of 2: ``4 * octaves + 1`` kernels.
    """

    mmd_weight: float = 1.0
    octaves: int = 8

    def __post_init__(self) -> None:
        check_weight("mmd_weight", self.mmd_weight)
        if not 0 <= self.octaves <= 32:
            raise ValueError(f"octaves is {self.octaves}, expected 0 to 32")


class MeanDiscrepancy(Method):
    """The loss of the source's labels, and `mmd_loss` of the features."""

    Config = MeanDiscrepancyConfig
    uses_target = True
    columns = ("label_loss", "mmd_loss")

    def __init__(self, config: MeanDiscrepancyConfig, model: ChromeNet) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the labels' loss plus the weighted squared discrepancy."""
        source, target = both_features(model, batch)
        label_loss = batch.label_loss(model.classify(source))
        mmd = mmd_loss(source, target, self.config.octaves)
        total = label_loss + self.config.mmd_weight * mmd
        return Loss(total, (label_loss.detach(), mmd.detach()))


def mmd_loss(source: Tensor, target: Tensor, octaves: int = 8) -> Tensor:
    """Return the squared maximum mean discrepancy, ``mean k_ss + mean k_tt - 2 mean k_st``.

    k is the mean of kernels ``exp(-|x - y|^2 / b)``, b by `bandwidths`; the means are over all
    pairs, a gene with itself among them, so that it is 0 for equal features and never negative.

    Parameters
    ----------
    source, target
        Features, (genes, d) and (target genes, d).
    octaves
        As in `MeanDiscrepancyConfig`.

    Returns
    -------
    Tensor
        One number, 0 to 2.
    """
    both, n = torch.cat([source, target]), len(source)
    # Not by matrix products, which lose small distances between far features.
    mode = "donot_use_mm_for_euclid_dist"
    squared = torch.cdist(both, both, compute_mode=mode).square()
    widths = bandwidths(squared.detach(), octaves)
    kernel = torch.exp(-squared / widths[:, None, None]).mean(0)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def bandwidths(squared: Tensor, octaves: int) -> Tensor:
    """Return the bandwidths for squared distances (genes, genes) of both domains together.

    The middle one is the median over all pairs of two genes (the lower of two in the middle); it is
    1 where that median is 0.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> bandwidths(torch.cdist(x, x) ** 2, 1)
    tensor([2.0000, 2.8284, 4.0000, 5.6569, 8.0000])
    """
    pairs = torch.ones_like(squared, dtype=torch.bool).triu(1)
    median = squared[pairs].median()
    median = torch.where(median > 0, median, torch.ones_like(median))
    steps = torch.arange(-2 * octaves, 2 * octaves + 1, device=squared.device)
    return median * 2 ** (steps.to(squared.dtype) / 2)
