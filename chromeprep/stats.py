"""What is the spread of a mark's signal over all genes and bins?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PART = 1 << 16  # values


class MarkStatistics(NamedTuple):
    """Summary of one mark; NaN values are left out; all NaN where nothing is left."""

    mean: float
    std: float
    p50: float
    p99: float
    fraction_nonzero: float


def mark_statistics(values: NDArray[np.float32]) -> MarkStatistics:
    """Summarise the signal of one mark, in double precision.

    Parameters
    ----------
    values
        Shape (genes, bins) or any other; NaN is left out.

    Examples
    --------
    >>> mark_statistics(np.array([0, 0, 2, 2, np.nan], dtype=np.float32))
    MarkStatistics(mean=1.0, std=1.0, p50=1.0, p99=2.0, fraction_nonzero=0.5)
    """
    missing = np.isnan(values)
    known = values[~missing] if missing.any() else values.flatten()
    if not known.size:
        return MarkStatistics(*[float("nan")] * 5)
    # In the order of the file: sums depend on it in their last digits.
    mean = float(known.mean(dtype=np.float64))
    std = math.sqrt(_squares(known, mean) / known.size)
    p50, p99 = _percentiles(known, (50, 99))
    return MarkStatistics(
        mean, std, p50, p99, fraction_nonzero=float(np.count_nonzero(known) / known.size)
    )


def _percentiles(known: NDArray[np.float32], wanted: tuple[int, ...]) -> list[float]:
    """Return percentiles as `numpy.percentile` of doubles does, and leave the values in disorder.

    Only the value below each, the smallest first, is put in its place, and no copy is made.
    """
    found = []
    done = 0
    for percent in wanted:
        place = percent / 100 * (known.size - 1)
        rank = math.floor(place)
        known[done:].partition(rank - done)
        low = high = float(known[rank])
        if rank < place:
            high = float(known[rank + 1 :].min())
        found.append(low + (high - low) * (place - rank))
        done = rank
    return found


def _squares(known: NDArray[np.float32], mean: float) -> float:
    """Return the sum of squared differences from the mean, a part that fits the cache at a time.

    Without BLAS, whose threads cost more than they help with parts so small, and add up in another
    order on another number of processors.
    """
    total = 0.0
    for start in range(0, known.size, _PART):
        difference = known[start : start + _PART] - np.float64(mean)
        total += float(np.square(difference, out=difference).sum())
    return total
