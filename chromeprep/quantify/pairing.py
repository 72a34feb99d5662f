"""Ends of pairs -> their mates, and the fate of each pair, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import allocating, kernel
from chromeprep.quantify.fates import AMBIGUOUS, ASSIGNED, LOW_QUALITY, NO_GENE, PASSED, UNMAPPED


@allocating
def match(
    order: NDArray[np.int64],
    key1: NDArray[np.uint64],
    key2: NDArray[np.uint64],
    end: NDArray[np.int8],
) -> NDArray[np.int64]:
    """Find the mate of each end; -1 where it is not there.

    `order` sorts the ends by their keys and then by `end`. Where several pairs have the same key,
    the first end goes with the first mate.
    """
    mate = np.full(len(order), -1, dtype=np.int64)
    low = 0
    while low < len(order):
        high = low
        n_first = 0
        while (
            high < len(order)
            and key1[order[high]] == key1[order[low]]
            and key2[order[high]] == key2[order[low]]
        ):
            n_first += end[order[high]] == 0
            high += 1
        for step in range(min(n_first, high - low - n_first)):
            one, two = order[low + step], order[low + n_first + step]
            mate[one], mate[two] = two, one
        low = high
    return mate


@kernel
def settle(
    rows: NDArray[np.int64],
    mate: NDArray[np.int64],
    mapq: NDArray[np.int16],
    against: NDArray[np.int8],
    unmapped: NDArray[np.bool_],
    first_hit: NDArray[np.int64],
    hits: NDArray[np.int32],
    min_mapq: int,
    counts: NDArray[np.int64],
    tally: NDArray[np.int64],
) -> None:
    """Count fragments: `rows` has one end of each, of pairs the one that comes later in the file.

    A gene that both ends hit goes before one that a single end hits. Where there is more than one
    reason to leave a fragment out, the one is named that featureCounts would: it looks at the
    later end first.
    """
    for one in rows:
        two = mate[one]
        quality = mapq[one] if two < 0 else max(mapq[one], mapq[two])
        last = PASSED if two < 0 else against[two]
        if unmapped[one]:
            fate = UNMAPPED
        elif against[one] != PASSED:
            fate = against[one]
        elif quality < min_mapq:
            fate = LOW_QUALITY
        elif last != PASSED:
            fate = last
        else:
            best = best_gene = n_best = 0
            for at in range(first_hit[one], first_hit[one + 1]):
                votes = 1
                if two >= 0:
                    for other in range(first_hit[two], first_hit[two + 1]):
                        votes += hits[other] == hits[at]
                if votes > best:
                    best, best_gene, n_best = votes, hits[at], 1
                elif votes == best:
                    n_best += 1
            if two >= 0 and best < 2:
                for at in range(first_hit[two], first_hit[two + 1]):
                    best, best_gene, n_best = 1, hits[at], n_best + 1
            if n_best == 0:
                fate = NO_GENE
            elif n_best == 1:
                fate = ASSIGNED
                counts[best_gene] += 1
            else:
                fate = AMBIGUOUS
        tally[fate] += 1
