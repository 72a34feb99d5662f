"""How sure is a metric, and the difference of two models on the same genes?

Genes are what is drawn: the intervals tell how another sample of genes of the same kind would have
come out. They do not tell how another seed of the training would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.calibration import bin_of, equal_edges
from chromemodel.evaluate.metrics import Interval, Metrics, auroc, binary_metrics, call

if TYPE_CHECKING:
    from chromemodel.evaluate.regression import RegressionMetrics

REPLICATES = 1000
LEVEL = 0.95

# Replicates at a time: some ten arrays of (chunk, genes) have to fit the cache and the memory.
_CHUNK_VALUES = 1_000_000


class Difference(NamedTuple):
    """Two models on the same genes, ``first`` minus ``second``.

    Attributes
    ----------
    value
        Difference of each metric; ``genes`` and ``positive_share`` are those of both.
    interval
        Percentile interval of it, by the paired bootstrap, or None.
    delong_p
        Two-sided p-value of DeLong's test that both have the same AUROC; None of a regression.
    """

    value: Metrics | RegressionMetrics
    interval: Interval | None
    delong_p: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one flat object, the interval in an object of its own."""
        interval = None if self.interval is None else self.interval.to_json()
        tested = {} if self.delong_p is None else {"delong_p": self.delong_p}
        return {**self.value._asdict(), **tested, "interval": interval}


class DeLong(NamedTuple):
    """DeLong's test: both AUROC, their covariance (2, 2), z and the two-sided p-value."""

    auroc: tuple[float, float]
    covariance: NDArray[np.float64]
    z: float
    p: float


def bootstrap(
    label: NDArray[Any],
    probability: NDArray[Any],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    stratified: bool = True,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of every metric.

    Parameters
    ----------
    label, probability
        Shape (genes,), as for `binary_metrics`.
    replicates
        How many samples of as many genes, with replacement.
    level
        Share of the replicates inside the interval.
    stratified
        Draw high and low genes each in their own number: a median label sets the share of high
        genes, it is not chance. Else all are drawn together, and a sample of one class is drawn
        anew.
    seed
        The same seed draws the same genes, so that intervals of models can be held together.

    Raises
    ------
    InputError
        As `binary_metrics`.

    References
    ----------
    Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.

    Examples
    --------
    >>> label = np.arange(200) % 2
    >>> probability = 0.25 * label + np.linspace(0, 0.7, 200)
    >>> found = bootstrap(label, probability)
    >>> found.low.auroc < auroc(label, probability) < found.high.auroc
    True
    """
    binary_metrics(label, probability)
    ranked = Ranked(label, probability)
    drawn = _draws(label, replicates, stratified, seed)
    return _interval(np.concatenate([ranked.metrics(counts) for counts in drawn]), level)


def compare_models(
    label: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    stratified: bool = True,
    seed: int = 0,
) -> Difference:
    """Compare two models' probabilities (genes,) of the same genes; each sample serves both.

    Parameters as for `bootstrap`; no replicates, no interval.

    Raises
    ------
    InputError
        As `binary_metrics`.
    """
    found = [binary_metrics(label, probability) for probability in (first, second)]
    value = Metrics(*(a - b for a, b in zip(*found, strict=True)))
    value = value._replace(genes=len(label), positive_share=found[0].positive_share)
    interval = None
    if replicates:
        ranked = [Ranked(label, probability) for probability in (first, second)]
        differences = []
        for counts in _draws(label, replicates, stratified, seed):
            a, b = (one.metrics(counts) for one in ranked)
            a[:, _COMPARED] -= b[:, _COMPARED]
            differences.append(a)
        interval = _interval(np.concatenate(differences), level)
    return Difference(value, interval, delong(label, first, second).p)


def delong(label: NDArray[Any], first: NDArray[Any], second: NDArray[Any]) -> DeLong:
    """Test whether two models' scores (genes,) of the same genes have the same AUROC.

    Raises
    ------
    InputError
        As `auroc`.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44:837; by midranks, in n log n: Sun and Xu
    2014, IEEE Signal Processing Letters 21:1389.

    Examples
    --------
    >>> label = np.array([0, 0, 0, 1, 1, 1])
    >>> found = delong(label, np.array([1, 2, 4, 3, 5, 6]), np.array([3, 4, 5, 1, 2, 6]))
    >>> [round(area, 3) for area in found.auroc], round(found.p, 3)
    ([0.889, 0.333], 0.077)
    """
    areas, of_high, of_low = [], [], []
    high = label == 1
    for score in (first, second):
        auroc(label, score)
        together = _midranks(score)
        # Share of the low genes below each high gene, and of the high above each low.
        below = (together[high] - _midranks(score[high])) / (~high).sum()
        above = 1 - (together[~high] - _midranks(score[~high])) / high.sum()
        areas.append(float(below.mean()))
        of_high.append(below)
        of_low.append(above)
    covariance = _covariance(of_high) + _covariance(of_low)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    gap = areas[0] - areas[1]
    if abs(gap) < 1e-12:  # the same ranks, say, with no variance at all
        z = 0.0
    else:
        z = gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)
    return DeLong((areas[0], areas[1]), covariance, z, math.erfc(abs(z) / math.sqrt(2)))


_COMPARED = slice(Metrics._fields.index("positive_share") + 1, None)


class Ranked:
    """Genes by falling probability, made ready for the metrics of many samples of them."""

    def __init__(self, label: NDArray[Any], probability: NDArray[Any]) -> None:
        exact = np.asarray(probability, dtype=np.float64)
        self.order = np.argsort(-exact, kind="stable")
        ordered, self.high = exact[self.order], (label == 1)[self.order]
        new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self.ties = None if new.all() else np.flatnonzero(new)
        # As many are called as the calls say, and those are the first.
        self.called = int(call(np.asarray(probability)).sum())
        self.error = np.where(self.high, 1 - ordered, -ordered)
        place = bin_of(ordered, equal_edges())
        self.bins = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))

    def metrics(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the metrics (replicates, fields) where genes count so often (replicates, genes).

        Columns in the order of the fields of `Metrics`.
        """
        weight = counts[:, self.order]
        high, total = weight * self.high, weight.sum(axis=1)
        positives = high.sum(axis=1)
        negatives = total - positives
        called, right = (part[:, : self.called].sum(axis=1) for part in (weight, high))
        missed, wrong = positives - right, called - right
        brier = weight @ self.error**2 / total
        ece = np.abs(np.add.reduceat(weight * self.error, self.bins, axis=1)).sum(axis=1) / total
        if self.ties is not None:
            high, weight = (np.add.reduceat(part, self.ties, axis=1) for part in (high, weight))
        above, ranked = high.cumsum(axis=1), weight.cumsum(axis=1)
        # A low gene loses to the high ones above it, and half to those of its own rank.
        won = ((weight - high) * (above - 0.5 * high)).sum(axis=1)
        # Genes before the first that counts have no precision, and no share in it.
        precision = above / np.maximum(ranked, 1)
        margin = called * positives * (total - called) * negatives
        determinant = right * (negatives - wrong) - wrong * missed
        return np.stack(
            [
                total,
                positives / total,
                won / (positives * negatives),
                (high * precision).sum(axis=1) / positives,
                (right + negatives - wrong) / total,
                2 * right / (called + positives),
                np.where(margin > 0, determinant / np.sqrt(np.maximum(margin, 1)), 0.0),
                brier,
                ece,
            ],
            axis=1,
        )


def _draws(
    label: NDArray[Any], replicates: int, stratified: bool, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield how often each gene is drawn, (some replicates, genes), until there are enough."""
    rng = np.random.default_rng(seed)
    high, genes = np.asarray(label == 1), len(label)
    groups = [np.flatnonzero(high), np.flatnonzero(~high)] if stratified else [np.arange(genes)]
    chunk = max(1, _CHUNK_VALUES // genes)
    for start in range(0, replicates, chunk):
        counts = np.empty((min(chunk, replicates - start), genes))
        for row in counts:
            while True:
                for group in groups:
                    drawn = rng.integers(len(group), size=len(group))
                    row[group] = np.bincount(drawn, minlength=len(group))
                if 0 < row[high].sum() < genes:
                    break
        yield counts


def _interval(values: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(_metrics(low), _metrics(high), level, len(values))


def _metrics(values: NDArray[np.float64]) -> Metrics:
    numbers = values.tolist()
    return Metrics(round(numbers[0]), *numbers[1:])


def _midranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the middle of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)


def _covariance(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the covariance (2, 2) of two means; of one gene alone it is taken for 0."""
    genes = len(parts[0])
    return np.cov(np.stack(parts)) / genes if genes > 1 else np.zeros((2, 2))
