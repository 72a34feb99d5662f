"""What a read stands for and what it adds to the bins, under a `ReadRule`, compiled.

`code` and `extend` are those of the rule: the number of the count rule, and the length to extend
to, -1 where reads are not extended. The other arguments are those of `chromeprep.signals.kernels`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import inlined
from chromeprep.signals.kernels import add_bases, add_overlap
from chromeprep.signals.reads import COUNT_RULES, MAX_FRAGMENT_BP

OVERLAP = COUNT_RULES.index("overlap")
FIVE_PRIME = COUNT_RULES.index("five-prime")
COVERAGE = COUNT_RULES.index("coverage")

PAIRED, PROPER, MATE_UNMAPPED, REVERSE, FIRST_OF_PAIR = 0x1, 0x2, 0x8, 0x10, 0x40
_FRAGMENT = PAIRED | PROPER


@inlined
def read_interval(
    first: int, end: int, flag: int, mate: int, template: int, extend: int
) -> tuple[int, int]:
    """Return the interval that a read stands for; an empty one where it is not to be counted.

    Parameters
    ----------
    first, end
        Span of the alignment on the reference.
    flag
        SAM flags; of a BED line 0x10 on the minus strand, else 0.
    mate
        First base of the mate's alignment, -1 where it is on another chromosome.
    template
        TLEN.
    """
    if extend < 0 or end <= first:
        return first, end
    length = abs(template)
    paired = flag & _FRAGMENT == _FRAGMENT and not flag & MATE_UNMAPPED and mate >= 0
    if paired and 0 < length <= MAX_FRAGMENT_BP:
        if not flag & FIRST_OF_PAIR:
            return first, first
        start = min(first, mate)
        return start, start + length
    if flag & REVERSE:
        return min(first, end - extend), end
    return first, max(end, first + extend)


@inlined
def add_read(
    first: int,
    end: int,
    reverse: bool,
    code: int,
    length: int,
    low: int,
    high: int,
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile: int,
    size: int,
    counts: NDArray[np.int32],
) -> None:
    """Add an interval without gaps to the bins; `length` is that of the chromosome."""
    if end <= first:
        return
    if code == FIVE_PRIME:
        first = end - 1 if reverse else first
        end = first + 1
    # Aligners let reads hang over the end, and extension does too; nothing is there to count.
    first, end = max(first, 0), min(end, length)
    if end <= first:
        return
    if code == COVERAGE:
        add_bases(first, end, low, high, starts, tiles, tile, size, counts)
    else:
        add_overlap(first, end, low, high, starts, tiles, tile, size, counts)
