"""What would the poor experiment of a simulated world look like, were its batch stranger still?

The reads of each mark are thinned and get uniform background reads, and tracks of -log10 p are
stretched and bent: another depth, another background and a gain of its own for each mark.
Expression and labels stay.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chromeprep.format import read_bins
from chromeprep.format.model import ChromeBins, MarkTable
from chromeprep.format.write import write_bins


class Reads(NamedTuple):
    """What happens to counts: which share is kept, and the background beside it.

    ``background`` is the number of reads from anywhere for each that was kept.
    """

    kept: float
    background: float


class Track(NamedTuple):
    """What happens to a track: ``gain * signal ** power``."""

    gain: float
    power: float


SHIFTS: dict[str, Reads | Track] = {
    "H3K4me3": Reads(0.5, 0.3),
    "H3K36me3": Reads(0.2, 1.0),
    "H3K27me3": Reads(0.35, 0.6),
    "H3K4me1": Track(3.0, 0.7),
    "H3K9me3": Track(0.4, 1.3),
}


def shifted(data: ChromeBins, seed: int) -> ChromeBins:
    """Return the same genes and labels with another batch's signal.

    Raises
    ------
    KeyError
        Where a mark has no shift.
    """
    rng = np.random.default_rng([seed, 1])
    signal = data.signal.copy()
    for index, mark in enumerate(data.marks.mark):
        shift = SHIFTS[str(mark)]
        values = data.signal[:, index, :].astype(np.float64)
        if isinstance(shift, Track):
            signal[:, index, :] = shift.gain * values**shift.power
        else:
            kept = rng.binomial(values.astype(np.int64), shift.kept)
            signal[:, index, :] = kept + rng.poisson(shift.background * kept.mean(), kept.shape)
    marks = MarkTable.build(data.marks.mark, signal, units=data.marks.units)
    return replace(data, signal=signal, marks=marks)


def write_shifted(source: Path, target: Path, seed: int) -> Path:
    """Write the file of another batch, unless that is done."""
    if not target.exists():
        write_bins(target, shifted(read_bins(source), seed))
    return target
