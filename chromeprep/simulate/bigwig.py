"""How are sequenced fragments written as a bigWig of -log10 p, as Roadmap's tracks are?"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from chromeprep.simulate.assay import Fragments
from chromeprep.simulate.config import STEP_BP

EXTENDED_BP = 200
"""Fragments are taken to be this long, centred where they are, as a peak caller would."""


def write_bigwig(path: Path, fragments: Fragments, chromosomes: dict[str, int]) -> int:
    """Write -log10 of the Poisson probability of each step's pile-up, by runs of one value.

    The background rate is the mean pile-up; steps that no fragment covers are left out.

    Returns
    -------
    int
        Runs written.
    """
    piles = [pile_up(fragments, index, length) for index, length in enumerate(chromosomes.values())]
    rate = float(np.concatenate(piles).mean())
    table = minus_log10_p(rate, max(int(pile.max()) for pile in piles))
    total = 0
    track = pyBigWig.open(str(path), "w")
    try:
        track.addHeader(list(chromosomes.items()), maxZooms=4)
        for (name, length), pile in zip(chromosomes.items(), piles, strict=True):
            values = np.round(table[pile], 3)
            firsts = np.flatnonzero(np.diff(values, prepend=np.nan))
            starts = firsts * STEP_BP
            ends = np.minimum(np.append(firsts[1:], len(values)) * STEP_BP, length)
            kept = values[firsts] > 0
            if not kept.any():
                continue
            track.addEntries(
                [name] * int(kept.sum()), starts[kept], ends=ends[kept], values=values[firsts][kept]
            )
            total += int(kept.sum())
    finally:
        track.close()
    return total


def pile_up(fragments: Fragments, chrom: int, length: int) -> NDArray[np.int64]:
    """Count the extended fragments over each step of a chromosome: (steps,)."""
    here = fragments.chrom == chrom
    middle = (fragments.start[here] + fragments.end[here]) // 2
    n_steps = -(-length // STEP_BP)
    first = np.maximum(middle - EXTENDED_BP // 2, 0) // STEP_BP
    last = np.minimum(first + EXTENDED_BP // STEP_BP, n_steps)
    changes = np.bincount(first, minlength=n_steps + 1) - np.bincount(last, minlength=n_steps + 1)
    return np.cumsum(changes[:n_steps])


def minus_log10_p(rate: float, most: int) -> NDArray[np.float64]:
    """Tabulate -log10 P(X >= k) for k = 0 … `most`, X Poisson of mean `rate`.

    Examples
    --------
    >>> minus_log10_p(1.0, 2).round(3).tolist()
    [0.0, 0.199, 0.578]
    """
    top = most + 60 + 2 * math.ceil(rate)  # beyond, the terms no longer count
    terms = np.array([k * math.log(rate) - rate - math.lgamma(k + 1) for k in range(top + 1)])
    tails = np.logaddexp.accumulate(terms[::-1])[::-1][: most + 1]
    result: NDArray[np.float64] = np.maximum(-tails / math.log(10), 0.0)
    return result
