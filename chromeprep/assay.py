"""Replicates and controls of a mark -> the value of each bin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import MismatchError, SignalError
from chromeprep.signals import Track, TrackBins, TrackInfo

Scale = Literal["none", "cpm", "rpkm"]
ControlRule = Literal["subtract", "log2"]

READS = "reads"


@dataclass(frozen=True)
class Assay:
    """The files of one mark.

    Parameters
    ----------
    mark
        Its name.
    tracks
        Replicates: reads are added, signals averaged. One at least, all of reads or all of signal.
    controls
        Input DNA, of the same kind; replicates of it too.
    """

    mark: str
    tracks: tuple[Track, ...]
    controls: tuple[Track, ...] = ()

    @property
    def files(self) -> tuple[Track, ...]:
        """All files, controls last."""
        return self.tracks + self.controls


@dataclass(frozen=True)
class Combination:
    """What is made of replicates and controls.

    Parameters
    ----------
    scale
        Of reads: ``none``; ``cpm``, per million counted reads; ``rpkm``, per million and per
        kilobase of the bin. The reads of all replicates count, after the filters.
    control
        ``subtract``: the control is taken off; ``log2``: the base-2 logarithm of the ratio. A
        control of reads is first scaled to the depth of the mark, one of signal is taken as it is.
    pseudocount
        Added to both sides of a ratio.
    """

    scale: Scale = "none"
    control: ControlRule = "subtract"
    pseudocount: float = 1.0


class Combined(NamedTuple):
    """The signal of a mark and what the file of bins says of it.

    Attributes
    ----------
    values
        Shape (genes, bins).
    n_counted
        Reads that the mark was scaled by, -1 where none were.
    n_mapped
        Mapped alignments of its files, -1 where unknown.
    scale_factor
        What its reads were multiplied by.
    control_factor
        What the reads or signal of its control were multiplied by, NaN where it has none.
    """

    values: NDArray[np.float32]
    n_counted: int
    n_mapped: int
    scale_factor: float
    control_factor: float


def check_assay(assay: Assay, infos: Sequence[TrackInfo]) -> str:
    """Return the units of an assay's files.

    Parameters
    ----------
    assay
        The assay.
    infos
        Of its files, in the order of `Assay.files`.

    Raises
    ------
    MismatchError
        Where some hold reads and others signal.
    """
    for track, info in zip(assay.files, infos, strict=True):
        if info.units != infos[0].units:
            raise MismatchError(
                f"holds {info.units}, {assay.files[0].path} of the same mark {infos[0].units}",
                path=track.path,
                hint="replicates and controls must be of one kind: all reads, or all signal",
            )
    return infos[0].units


def combine(
    assay: Assay, bins: Sequence[TrackBins], units: str, how: Combination, bin_size_bp: int
) -> Combined:
    """Put replicates and controls together.

    Parameters
    ----------
    assay
        The assay.
    bins
        Of its files, in the order of `Assay.files`, values of shape (genes, bins).
    units
        ``reads`` or another.
    how
        Scaling and what is done with a control.

    Raises
    ------
    SignalError
        Where nothing is there to scale by, or a ratio of signals cannot be taken.
    """
    own, controls = bins[: len(assay.tracks)], bins[len(assay.tracks) :]
    mapped = [entry.n_mapped for entry in own]
    n_mapped = -1 if -1 in mapped else sum(mapped)
    n_counted, scale_factor = -1, 1.0
    values = _pool(own, units)
    if units == READS and (how.scale != "none" or controls):
        n_counted = _depth(assay.tracks, own)
        if how.scale != "none":
            scale_factor = 1e6 / n_counted
            if how.scale == "rpkm":
                scale_factor *= 1000 / bin_size_bp
    control_factor = float("nan")
    if scale_factor != 1:
        values = values * scale_factor
    if controls:
        control_factor = n_counted / _depth(assay.controls, controls) if units == READS else 1.0
        background = _pool(controls, units) * (control_factor * scale_factor)
        if how.control == "subtract":
            values = values - background
        else:
            values = _log2_ratio(assay, values, background, how.pseudocount)
    return Combined(values.astype(np.float32), n_counted, n_mapped, scale_factor, control_factor)


def units_in_words(units: str, how: Combination, *, controlled: bool) -> str:
    """Say the units of a mark.

    Examples
    --------
    >>> units_in_words("reads", Combination(scale="cpm"), controlled=True)
    'cpm, control subtracted'
    >>> units_in_words("signal", Combination(control="log2"), controlled=True)
    'log2 of signal over control'
    """
    if units == READS and how.scale != "none":
        units = how.scale
    if not controlled:
        return units
    return f"{units}, control subtracted" if how.control == "subtract" else (
        f"log2 of {units} over control"
    )  # fmt: skip


def rule_in_words(rule: str, units: str, how: Combination, assay: Assay) -> str:
    """Say how a bin of a mark gets its value, from the rule of its files on."""
    if len(assay.tracks) > 1:
        rule += f"; {len(assay.tracks)} replicates {'added' if units == READS else 'averaged'}"
    if assay.controls:
        depth = ", scaled to the depth of the mark" if units == READS else ""
        rule += f"; control of {len(assay.controls)} file{'s' * (len(assay.controls) > 1)}{depth}, "
        rule += (
            "subtracted"
            if how.control == "subtract"
            else f"log2 ratio with pseudocount {how.pseudocount:g}"
        )
    return rule


def _pool(bins: Sequence[TrackBins], units: str) -> NDArray[Any]:
    if len(bins) == 1:
        return bins[0].values
    stacked = np.stack([entry.values for entry in bins])
    if units == READS:
        return np.asarray(stacked.sum(axis=0))
    # A bin that one replicate does not cover is known from the others.
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    sums = np.where(known, stacked, 0).sum(axis=0)
    means = np.full(sums.shape, np.nan)
    np.divide(sums, count, out=means, where=count > 0)
    return means


def _depth(tracks: Sequence[Track], bins: Sequence[TrackBins]) -> int:
    depth = sum(entry.n_counted for entry in bins)
    if depth < 1:
        raise SignalError(
            "has no read that passes the filters, so nothing can be scaled by their number",
            path=tracks[0].path,
            hint="see --min-mapq and --exclude-flags, or `samtools view -c`",
        )
    return depth


def _log2_ratio(
    assay: Assay,
    values: NDArray[Any],
    background: NDArray[np.float64],
    pseudocount: float,
) -> NDArray[np.float64]:
    above, below = values + pseudocount, background + pseudocount
    wrong = (above <= 0) | (below <= 0)
    if wrong.any():
        least = float(min(np.nanmin(values), np.nanmin(background)))
        raise SignalError(
            f"no log2 ratio can be taken: {assay.mark} or its control goes down to {least:g}, and "
            f"the pseudocount is {pseudocount:g}",
            path=assay.tracks[0].path,
            hint="give a larger --pseudocount, or --control-rule subtract",
        )
    return np.asarray(np.log2(above / below))
