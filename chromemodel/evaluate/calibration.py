"""Do probabilities mean what they say: of the genes given 0.8, are 80 % high?"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10

BinRule = Literal["width", "mass"]


class Calibration(NamedTuple):
    """Bins of probability that hold genes, in rising order, each array of shape (bins,).

    ``edges`` has one more entry than there were bins asked for, empty ones included.
    """

    genes: NDArray[np.int64]
    probability: NDArray[np.float64]
    positive_share: NDArray[np.float64]
    edges: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by genes."""
        distance = np.abs(self.probability - self.positive_share)
        return float(np.average(distance, weights=self.genes))


def calibration(
    label: NDArray[Any], probability: NDArray[Any], bins: int = BINS, rule: BinRule = "width"
) -> Calibration:
    """Compare mean probability and share of high genes, bin by bin.

    Parameters
    ----------
    label, probability
        Shape (genes,): 0 or 1, and the probability of 1.
    bins
        How many.
    rule
        ``width``: bins of equal width, closed on the left and the last on both sides. ``mass``:
        of equally many genes, as far as equal probabilities, which stay together, allow.

    References
    ----------
    Naeini, Cooper, Hauskrecht 2015, AAAI, in its form for the probability of one class.

    Examples
    --------
    >>> found = calibration(np.array([0, 1, 1]), np.array([0.1, 0.9, 0.96]), bins=2)
    >>> found.genes, found.positive_share, round(found.error, 3)
    (array([1, 2]), array([0., 1.]), 0.08)
    """
    exact = np.asarray(probability, dtype=np.float64)
    edges = equal_edges(bins)
    if rule == "mass":
        edges = np.quantile(exact, edges)
    place = bin_of(exact, edges)
    genes = np.bincount(place, minlength=bins)
    filled = genes > 0
    total = np.bincount(place, exact, minlength=bins)[filled]
    high = np.bincount(place, np.asarray(label, dtype=np.float64), minlength=bins)[filled]
    genes = genes[filled]
    return Calibration(genes, total / genes, high / genes, edges)


def equal_edges(bins: int = BINS) -> NDArray[np.float64]:
    """Return the edges (bins + 1,) of bins of equal width; as decimals are written, 0.3 is one."""
    return np.arange(bins + 1) / bins


def bin_of(probability: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin (genes,) of each probability, from 0."""
    return np.searchsorted(edges[1:-1], probability, side="right").astype(np.int64)
