"""How are ranks, correlations, AUC and means taken where values may be unknown (NaN)?

All of it is quiet on what has no answer: NaN comes back, no warning.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Spread(NamedTuple):
    """Mean over genes and its standard error, each of shape (bins,)."""

    mean: Floats
    error: Floats


def ranks(values: NDArray[np.floating]) -> Floats:
    """Rank values from 1 up; equal values share the mean of their ranks.

    Parameters
    ----------
    values
        Shape (n,), without NaN.

    Examples
    --------
    >>> ranks(np.array([0.0, 5.0, 0.0, 7.0]))
    array([1.5, 3. , 1.5, 4. ])
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared = last - (counts - 1) / 2
    return np.asarray(shared[inverse], dtype=np.float64)


def spearman(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Correlate the ranks of two measurements of the same genes, over those known in both.

    Returns
    -------
    float
        NaN with fewer than three genes, or where one of them is the same in all.

    Examples
    --------
    >>> spearman(np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.0, 4.0, 9.0, 0.0]))
    1.0
    """
    known = ~(np.isnan(one) | np.isnan(other))
    if known.sum() < 3:
        return float("nan")
    return _pearson(ranks(one[known]), ranks(other[known]))


def spearman_by_bin(values: NDArray[np.floating], other: NDArray[np.floating]) -> Floats:
    """Correlate each bin with one value a gene.

    Parameters
    ----------
    values
        Shape (genes, bins).
    other
        Shape (genes,).

    Returns
    -------
    ndarray
        Shape (bins,).
    """
    genes = ~np.isnan(other)
    other, values = other[genes], values[genes]
    other_ranks = ranks(other)
    found = np.full(values.shape[1], np.nan)
    for index, column in enumerate(values.T):
        if np.isnan(column).any():
            found[index] = spearman(column, other)
        elif len(column) >= 3:
            found[index] = _pearson(ranks(column), other_ranks)
    return found


def _pearson(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    if scale == 0:
        return float("nan")
    return float(np.clip((one * other).sum() / scale, -1, 1))


def auc(values: NDArray[np.floating], label: NDArray[np.integer]) -> float:
    """Say how likely a gene labelled 1 has the larger value than one labelled 0; ties count half.

    Parameters
    ----------
    values
        Shape (genes,); genes without a value are left out.
    label
        Shape (genes,): 1, 0; others are left out.

    Returns
    -------
    float
        0.5 where the value says nothing; NaN where one of the labels is missing.

    Examples
    --------
    >>> auc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 0, 1, 1]))
    0.875
    """
    used = (label >= 0) & ~np.isnan(values)
    high = label[used] == 1
    n_high, n_low = int(high.sum()), int((~high).sum())
    if not n_high or not n_low:
        return float("nan")
    total = ranks(values[used])[high].sum()
    return float((total - n_high * (n_high + 1) / 2) / (n_high * n_low))


def mean_known(values: NDArray[np.floating], axis: int) -> Floats:
    """Average what is known along an axis; NaN where nothing is."""
    known = ~np.isnan(values)
    counts = known.sum(axis=axis)
    totals = np.where(known, values, 0).sum(axis=axis, dtype=np.float64)
    mean = np.divide(totals, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return np.asarray(mean, dtype=np.float64)


def spread(values: NDArray[np.floating]) -> Spread:
    """Average over genes, with the standard error of the mean (divisor n - 1).

    Parameters
    ----------
    values
        Shape (genes, bins); NaN is left out.

    Returns
    -------
    Spread
        ``error`` is NaN in bins known in fewer than two genes.
    """
    mean = mean_known(values, 0)
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    squares = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0, dtype=np.float64)
    degrees = (counts - 1.0) * counts
    squares = np.divide(squares, degrees, out=np.full(counts.shape, np.nan), where=counts > 1)
    return Spread(mean, np.sqrt(squares))


def pooled_rows(values: NDArray[np.floating], groups: list[NDArray[np.intp]]) -> Floats:
    """Average genes within groups: (genes, bins) -> (groups, bins)."""
    rows = [mean_known(values[group], 0) for group in groups]
    return np.stack(rows) if rows else np.empty((0, values.shape[1]))


def quantile_groups(order: NDArray[np.intp], most: int) -> list[NDArray[np.intp]]:
    """Cut genes in a given order into groups of nearly equal size, at most `most` of them.

    Examples
    --------
    >>> [group.tolist() for group in quantile_groups(np.array([4, 2, 0, 1, 3]), 2)]
    [[4, 2, 0], [1, 3]]
    """
    return list(np.array_split(order, min(most, len(order)))) if len(order) else []
