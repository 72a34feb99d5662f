"""How near does predicted log(1 + expression) come to what was measured, and how sure is that?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.metrics import Interval
from chromemodel.evaluate.uncertainty import LEVEL, REPLICATES, Difference
from chromeprep.errors import InputError

Floats = NDArray[np.float64]

# Replicates at a time: some ten arrays of (chunk, genes) have to fit the memory.
_CHUNK_VALUES = 1_000_000


class RegressionMetrics(NamedTuple):
    """Scores of some genes.

    Attributes
    ----------
    genes
        Number of genes whose expression is known.
    pearson
        Pearson's correlation of predicted and measured values, -1 to 1; 0 where all predictions
        are the same.
    spearman
        The same of their ranks, equal values sharing the middle of theirs.
    r2
        Coefficient of determination, ``1 - SSE / SST``: 1 is best, 0 is always saying the mean of
        these genes, and less is worse than that. Unlike the correlations it counts a wrong scale.
    rmse
        Root of the mean squared error, in units of log(1 + expression).
    """

    genes: int
    pearson: float
    spearman: float
    r2: float
    rmse: float


def regression_metrics(truth: NDArray[Any], predicted: NDArray[Any]) -> RegressionMetrics:
    """Score predictions (genes,) against measured values (genes,).

    Raises
    ------
    InputError
        Where there are fewer than two genes, all have one value, or a number is none.

    Examples
    --------
    >>> found = regression_metrics(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 3.0, 2.0]))
    >>> round(found.pearson, 3), round(found.r2, 3), round(found.rmse, 3)
    (0.8, 0.6, 0.707)
    """
    pair = _checked(truth, predicted)
    found = _metrics(np.ones((1, len(truth))), *pair)[0].tolist()
    return RegressionMetrics(len(truth), *found)


def r_squared(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the coefficient of determination of predictions (genes,).

    Raises
    ------
    InputError
        As `regression_metrics`.
    """
    measured, said = _checked(truth, predicted)
    return float(1 - ((measured - said) ** 2).sum() / ((measured - measured.mean()) ** 2).sum())


def varies(truth: NDArray[Any]) -> bool:
    """Return whether values (genes,) can score anything: there are two different ones."""
    return len(truth) > 1 and bool(truth.min() < truth.max())


def bootstrap_regression(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of every metric over samples of the genes.

    Parameters
    ----------
    truth, predicted
        Shape (genes,), as for `regression_metrics`.
    replicates
        How many samples of as many genes, with replacement; one without two different values is
        drawn anew.
    level
        Share of the replicates inside the interval.
    seed
        The same seed draws the same genes, so that intervals of models can be held together.

    Raises
    ------
    InputError
        As `regression_metrics`.
    """
    pair = _checked(truth, predicted)
    drawn = _draws(pair[0], replicates, seed)
    values = np.concatenate([_metrics(counts, *pair) for counts in drawn])
    return _interval(values, len(truth), level)


def compare_regressions(
    truth: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference:
    """Compare two models' predictions (genes,) of the same genes; each sample serves both.

    Parameters as for `bootstrap_regression`; no replicates, no interval.

    Raises
    ------
    InputError
        As `regression_metrics`.
    """
    one, other = (regression_metrics(truth, predicted) for predicted in (first, second))
    gaps = (a - b for a, b in zip(one[1:], other[1:], strict=True))
    value = RegressionMetrics(len(truth), *gaps)
    if not replicates:
        return Difference(value, None)
    pairs = [_checked(truth, predicted) for predicted in (first, second)]
    values = []
    for counts in _draws(pairs[0][0], replicates, seed):
        a, b = (_metrics(counts, *pair) for pair in pairs)
        values.append(a - b)
    return Difference(value, _interval(np.concatenate(values), len(truth), level))


def _interval(values: Floats, genes: int, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    ends = [RegressionMetrics(genes, *end.tolist()) for end in (low, high)]
    return Interval(ends[0], ends[1], level, len(values))


def _checked(truth: NDArray[Any], predicted: NDArray[Any]) -> tuple[Floats, Floats]:
    for name, values in (("measured", truth), ("predicted", predicted)):
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise InputError(f"{wrong} of {len(values)} {name} values are no numbers")
    if not varies(truth):
        raise InputError(
            f"a correlation needs genes of different expression; {len(truth)} genes have one value"
        )
    return truth.astype(np.float64), predicted.astype(np.float64)


def _metrics(counts: Floats, truth: Floats, predicted: Floats) -> Floats:
    """Return the metrics but the number (replicates, 4) of genes that count so often.

    ``counts`` are (replicates, genes).
    """
    total = counts.sum(axis=1)
    squared_error = counts @ (truth - predicted) ** 2
    centred = truth - truth.mean()
    spread = counts @ centred**2 - (counts @ centred) ** 2 / total
    ranks = (_ranks(counts, values) for values in (truth, predicted))
    return np.stack(
        [
            _correlation(counts, truth, predicted),
            _correlation(counts, *ranks),
            1 - squared_error / spread,
            np.sqrt(squared_error / total),
        ],
        axis=1,
    )


def _correlation(counts: Floats, one: Floats, other: Floats) -> Floats:
    """Return Pearson's correlation (replicates,) of series (genes,) or (replicates, genes)."""
    total = counts.sum(axis=1, keepdims=True)
    centred = [x - (counts * x).sum(axis=1, keepdims=True) / total for x in (one, other)]
    both = (counts * centred[0] * centred[1]).sum(axis=1)
    squares = [(counts * x**2).sum(axis=1) for x in centred]
    # What is left of a constant after its mean is taken off is rounding.
    least = [(1e-12 * (1 + np.abs(x).max())) ** 2 * total[:, 0] for x in (one, other)]
    alike = (squares[0] <= least[0]) | (squares[1] <= least[1])
    root = np.sqrt(np.where(alike, 1.0, squares[0] * squares[1]))
    return np.where(alike, 0.0, np.clip(both / root, -1, 1))


def _ranks(counts: Floats, values: Floats) -> Floats:
    """Return the rank of each value (replicates, genes) where genes count so often.

    Equal values share the middle of their ranks, from 1.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    group = np.add.reduceat(counts[:, order], np.flatnonzero(new), axis=1)
    middle = group.cumsum(axis=1) - (group - 1) / 2
    ranks = np.empty_like(counts)
    ranks[:, order] = middle[:, new.cumsum() - 1]
    return ranks


def _draws(truth: Floats, replicates: int, seed: int) -> Iterator[Floats]:
    """Yield how often each gene is drawn, (some replicates, genes), until there are enough."""
    rng = np.random.default_rng(seed)
    genes = len(truth)
    chunk = max(1, _CHUNK_VALUES // genes)
    for start in range(0, replicates, chunk):
        counts = np.empty((min(chunk, replicates - start), genes))
        for row in counts:
            drawn = rng.integers(genes, size=genes)
            while not varies(truth[drawn]):
                drawn = rng.integers(genes, size=genes)
            row[:] = np.bincount(drawn, minlength=genes)
        yield counts
