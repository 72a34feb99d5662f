"""How the blocks of a bigWig become sums over bins: the compiled loops over their items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import allocating, kernel
from chromeprep.signals.kernels import first_window

# What `add_blocks` came to: all is well, or the block at which it stopped is damaged, has items
# out of order or that overlap, or has an infinite value.
DONE, DAMAGED, OVERLAP, INFINITE = 0, 1, 2, 3

_HEADER = 6  # words: chromosome, first base, end, step, span, (kind, reserved, count of items)
_BEDGRAPH, _VARIABLE, _FIXED = 1, 2, 3
_MOST_ITEMS = 1 << 16


@allocating
def add_blocks(
    words: NDArray[np.uint32],
    numbers: NDArray[np.float32],
    edges: NDArray[np.int64],
    chrom: int,
    length: int,
    low: int,
    high: int,
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile: int,
    size: int,
    sums: NDArray[np.float64],
    covered: NDArray[np.int32],
) -> tuple[int, int, int]:
    """Add the items of blocks to the bins of windows `low` up to `high`.

    Parameters
    ----------
    words, numbers
        The inflated blocks, one after another; both are the same bytes.
    edges
        Words of block k: ``edges[k]`` up to ``edges[k + 1]``.
    chrom
        Number of the chromosome that the blocks must be of.
    length
        Its length; what lies beyond is left out.
    low, high, starts, tiles, tile, size, sums, covered
        As in `chromeprep.signals.kernels`.

    Returns
    -------
    tuple
        How it ended, the block and the base at which.
    """
    width = sums.shape[1] * size
    firsts = np.empty(_MOST_ITEMS, dtype=np.int64)
    ends = np.empty(_MOST_ITEMS, dtype=np.int64)
    for k in range(len(edges) - 1):
        at = edges[k]
        room = edges[k + 1] - at - _HEADER
        if room < 0 or words[at] != chrom:
            return DAMAGED, k, 0
        kind = words[at + 5] & 0xFF
        count = np.int64(words[at + 5] >> 16)
        if kind < _BEDGRAPH or kind > _FIXED or count * (4 - kind) > room:
            return DAMAGED, k, 0
        place, step, span = (
            np.int64(words[at + 1]),
            np.int64(words[at + 3]),
            np.int64(words[at + 4]),
        )
        at += _HEADER
        if kind == _FIXED:
            stride = 1
            for i in range(count):
                firsts[i] = place + i * step
                ends[i] = firsts[i] + span
        elif kind == _VARIABLE:
            stride = 2
            for i in range(count):
                firsts[i] = words[at + 2 * i]
                ends[i] = firsts[i] + span
        else:
            stride = 3
            for i in range(count):
                firsts[i] = words[at + 3 * i]
                ends[i] = words[at + 3 * i + 1]
                if ends[i] < firsts[i]:
                    return DAMAGED, k, firsts[i]
        for i in range(1, count):
            if firsts[i] < ends[i - 1]:
                return OVERLAP, k, firsts[i]
        if count == 0 or firsts[0] >= length:
            continue
        values = numbers[at + stride - 1 :]
        row = first_window(firsts[0], low, high, starts, tiles, tile, width)
        item = 0
        while row < high and starts[row] < ends[count - 1]:
            # Windows ascend: no later one needs an item before this one's first.
            item += np.searchsorted(ends[item:count], starts[row], side="right")
            wrong = _add_items(
                firsts[item:count], ends[item:count], values[item * stride :], stride, length,
                starts[row], size, sums[row], covered[row],
            )  # fmt: skip
            if wrong >= 0:
                return INFINITE, k, wrong
            row += 1
    return DONE, 0, 0


@kernel
def _add_items(
    firsts: NDArray[np.int64],
    ends: NDArray[np.int64],
    values: NDArray[np.float32],
    stride: int,
    length: int,
    start: int,
    size: int,
    sums: NDArray[np.float64],
    covered: NDArray[np.int32],
) -> int:
    """Add items, in order, to the bins of a window; return a base with an infinite value or -1."""
    limit = min(length, start + len(sums) * size)
    b = np.int64(-1)  # the bin of the item before, and where it ends
    edge = np.int64(start)
    total, count = 0.0, np.int64(0)  # of that bin; kept out of memory while items stay in it
    for i in range(len(firsts)):
        here, end = max(firsts[i], start), min(ends[i], limit)
        if here >= limit:
            break
        value = np.float64(values[i * stride])
        if value - value != 0.0:  # where it is not finite
            if np.isnan(value) or here >= end:
                continue
            return int(here)
        while here < end:
            if here >= edge:
                if b >= 0:
                    sums[b], covered[b] = total, count
                b = b + 1 if here < edge + size else (here - start) // size
                edge = start + (b + 1) * size
                total, count = sums[b], np.int64(covered[b])
            stop = min(end, edge)
            total += value * (stop - here)
            count += stop - here
            here = stop
    if b >= 0:
        sums[b], covered[b] = total, count
    return -1
