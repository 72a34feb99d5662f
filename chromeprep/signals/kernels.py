"""What an interval adds to the bins under it: the compiled loops that all readers share.

The arguments `starts`, `tiles` and so on are those of `chromeprep.signals.targets.Targets`, of one
chromosome: `tile` is where its tiles begin. Only windows ``low`` up to ``high`` are written to, so
that threads with windows of their own can share the arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import inlined
from chromeprep.signals.targets import TILE_SHIFT


@inlined
def first_window(
    first: int,
    low: int,
    high: int,
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile: int,
    width: int,
) -> int:
    """Return the first of windows `low` to `high` that ends beyond the base `first`."""
    row: int = max(low, tiles[tile + (first >> TILE_SHIFT)])
    while row < high and starts[row] + width <= first:
        row += 1
    return row


@inlined
def first_bin(first: int, start: int, size: int) -> int:
    """Return the bin of the base `first` in the window from `start` on, 0 where it lies before."""
    if first <= start:
        return 0
    # Unsigned and of 32 bits, the division takes half the time.
    return np.int64(np.uint32(first - start) // np.uint32(size))  # type: ignore[return-value]


@inlined
def add_overlap(
    first: int,
    end: int,
    low: int,
    high: int,
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile: int,
    size: int,
    counts: NDArray[np.int32],
) -> None:
    """Add 1 to each bin that ``[first, end)`` touches.

    The interval lies inside its chromosome and is not empty.
    """
    n_bins = counts.shape[1]
    width = n_bins * size
    row = first_window(first, low, high, starts, tiles, tile, width)
    while row < high and starts[row] < end:
        b = first_bin(first, starts[row], size)
        edge = starts[row] + b * size
        while b < n_bins and edge < end:
            counts[row, b] += 1
            b += 1
            edge += size
        row += 1


@inlined
def add_bases(
    first: int,
    end: int,
    low: int,
    high: int,
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile: int,
    size: int,
    counts: NDArray[np.int32],
) -> None:
    """Add to each bin the number of its bases in ``[first, end)``.

    The interval lies inside its chromosome and is not empty.
    """
    n_bins = counts.shape[1]
    width = n_bins * size
    row = first_window(first, low, high, starts, tiles, tile, width)
    while row < high and starts[row] < end:
        b = first_bin(first, starts[row], size)
        edge = starts[row] + b * size
        while b < n_bins and edge < end:
            counts[row, b] += min(end, edge + size) - max(first, edge)
            b += 1
            edge += size
        row += 1


@inlined
def add_signal(
    first: int,
    end: int,
    value: float,
    low: int,
    high: int,
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile: int,
    size: int,
    sums: NDArray[np.float64],
    covered: NDArray[np.int32],
) -> None:
    """Add to each bin `value` for each of its bases in ``[first, end)``, and count those bases.

    The interval lies inside its chromosome and is not empty.
    """
    n_bins = sums.shape[1]
    width = n_bins * size
    row = first_window(first, low, high, starts, tiles, tile, width)
    while row < high and starts[row] < end:
        b = first_bin(first, starts[row], size)
        edge = starts[row] + b * size
        while b < n_bins and edge < end:
            bases = min(end, edge + size) - max(first, edge)
            sums[row, b] += value * bases
            covered[row, b] += bases
            b += 1
            edge += size
        row += 1
