"""Tracks read by pysam, pyBigWig and plain Python, to check the fast readers against.

One read, line or window at a time, without compiled code of the project's own: slow, and easy to
follow.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import Tick, Track, TrackBins
from chromeprep.signals.bigwig.track import BigWigTrack
from chromeprep.signals.cram.track import CramTrack
from chromeprep.signals.engines.reads import Piece, Tally, pieces_of
from chromeprep.signals.means import Uncovered, infinite, overlap
from chromeprep.signals.targets import Targets
from chromeprep.signals.text.bed import BedTrack
from chromeprep.signals.text.bedgraph import BedGraphTrack
from chromeprep.signals.text.kernels import ChromosomeNames
from chromeprep.textfiles import read_lines

_PIECES_AT_A_TIME = 1 << 20
_LINES_A_STEP = 100_000

# Of a chromosome (number in the `Targets`, first base, end) the value of each base, NaN where there
# is none.
_Values = Callable[[int, int, int], NDArray[np.float32]]


def read_with_pysam(track: Track, targets: Targets, threads: int, tick: Tick) -> TrackBins:
    """Read all windows of a track; see `chromeprep.signals.base.Track`."""
    if isinstance(track, BigWigTrack):
        with open_bigwig(track) as file:

            def values(chrom: int, first: int, end: int) -> NDArray[np.float32]:
                name = targets.chromosomes[chrom]
                try:
                    return np.asarray(file.values(name, first, end, numpy=True), dtype=np.float32)
                except (RuntimeError, OverflowError) as error:
                    raise damaged_bigwig(track, f"{name}:{first + 1:,}-{end:,}") from error

            return TrackBins(_means(track, values, targets, track.uncovered, tick))
    if isinstance(track, BedGraphTrack):
        runs = _read_runs(track, targets, tick)

        def run_values(chrom: int, first: int, end: int) -> NDArray[np.float32]:
            return runs[chrom].values(first, end, track, targets.chromosomes[chrom])

        return TrackBins(_means(track, run_values, targets, track.uncovered, lambda share: None))
    if isinstance(track, BamTrack | CramTrack | BedTrack):
        tally = Tally()
        found = pieces_of(track, targets, tally, threads, tick)
        by_bases = track.rule.count == "coverage"
        bins = _count(found, targets, by_bases=by_bases).astype(np.float64)
        if by_bases:
            bins /= targets.bin_size_bp
        return TrackBins(targets.in_order(bins), tally.counted, tally.mapped)
    raise TypeError(f"no way to read a {track.kind} with pysam")


def _count(found: Iterator[Piece], targets: Targets, *, by_bases: bool) -> NDArray[np.int64]:
    """Count the intervals that touch each bin, or their bases in it, shape (windows, bins)."""
    sums = np.zeros((targets.n_windows, targets.n_bins), dtype=np.int64)
    firsts: dict[int, array[int]] = {}
    ends: dict[int, array[int]] = {}

    def flush() -> None:
        for chrom in firsts:
            low, high = targets.offsets[chrom], targets.offsets[chrom + 1]
            bins = np.arange(targets.n_bins + 1) * targets.bin_size_bp
            edges = targets.starts[low:high, np.newaxis] + bins
            first = np.sort(np.array(firsts[chrom], dtype=np.int64))
            end = np.sort(np.array(ends[chrom], dtype=np.int64))
            if by_bases:
                sums[low:high] += np.diff(_bases_before(edges, first, end), axis=1)
            else:
                # Begun before the bin's end, less those ended before its start.
                begun = np.searchsorted(first, edges[:, 1:], side="left")
                sums[low:high] += begun - np.searchsorted(end, edges[:, :-1], side="right")
        firsts.clear()
        ends.clear()

    for number, (chrom, first, end) in enumerate(found, start=1):
        firsts.setdefault(chrom, array("q")).append(first)
        ends.setdefault(chrom, array("q")).append(end)
        if number % _PIECES_AT_A_TIME == 0:
            flush()
    flush()
    return sums


def _bases_before(
    places: NDArray[np.int64], first: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many bases of intervals lie before each place.

    Parameters
    ----------
    first, end
        Of the intervals, each sorted by itself.

    Examples
    --------
    >>> _bases_before(np.array([0, 12, 15, 40]), np.array([10, 14]), np.array([20, 30]))
    array([ 0,  2,  6, 26])
    """

    def distances(edges: NDArray[np.int64]) -> NDArray[np.int64]:
        passed = np.searchsorted(edges, places)
        total: NDArray[np.int64] = passed * places - np.concatenate(([0], np.cumsum(edges)))[passed]
        return total

    return distances(first) - distances(end)


def _means(
    track: Track, values: _Values, targets: Targets, uncovered: Uncovered, tick: Tick
) -> NDArray[np.float64]:
    """Return the mean of each bin, in the caller's order of the windows."""
    bins = np.zeros((targets.n_windows, targets.n_bins))
    for chrom, length in enumerate(targets.lengths.tolist()):
        for row in range(targets.offsets[chrom], targets.offsets[chrom + 1]):
            start = int(targets.starts[row])
            first, end = max(start, 0), min(start + targets.width_bp, length)
            if first < end:
                window = np.full(targets.width_bp, np.nan)
                window[first - start : end - start] = values(chrom, first, end)
                if np.isinf(window).any():
                    place = start + int(np.isinf(window).argmax()) + 1
                    raise infinite(track.path, f"{targets.chromosomes[chrom]}:{place:,}")
                bases = window.reshape(targets.n_bins, targets.bin_size_bp)
                sums = np.nansum(bases, axis=1)
                counts = (~np.isnan(bases)).sum(axis=1)
                if uncovered == "zero":
                    bins[row] = sums / targets.bin_size_bp
                else:
                    bins[row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
                # A bin wholly outside is 0 whatever `uncovered` says.
                bins[row, : (first - start) // targets.bin_size_bp] = 0
                bins[row, -((start - end) // targets.bin_size_bp) :] = 0
            tick(1 / targets.n_windows)
    return targets.in_order(bins)


@contextmanager
def open_bigwig(track: BigWigTrack) -> Iterator[Any]:
    """Open a bigWig with pyBigWig for the time of a block."""
    import pyBigWig

    track.info()  # pyBigWig crashes on some damaged files, so they must not get that far
    try:
        file = pyBigWig.open(str(track.path))
    except RuntimeError as error:
        raise damaged_bigwig(track, "its header or index") from error
    try:
        yield file
    finally:
        file.close()


def damaged_bigwig(track: BigWigTrack, what: str) -> SignalError:
    """Make the error for a place that pyBigWig cannot read."""
    return SignalError(
        f"damaged bigWig: cannot read {what}", path=track.path, hint="is the download complete?"
    )


class _Runs(NamedTuple):
    """The intervals with a value of one chromosome, sorted by their first base."""

    first: NDArray[np.int64]
    end: NDArray[np.int64]
    value: NDArray[np.float32]
    reach: NDArray[np.int64]  # the largest end so far

    @classmethod
    def sort(cls, first: array[int], end: array[int], value: array[float]) -> Self:
        order = np.argsort(first, kind="stable")
        ends = np.array(end, dtype=np.int64)[order]
        return cls(
            np.array(first, dtype=np.int64)[order],
            ends,
            np.array(value, dtype=np.float32)[order],
            np.maximum.accumulate(ends) if len(ends) else ends,
        )

    def values(self, first: int, end: int, track: Track, name: str) -> NDArray[np.float32]:
        bases = np.full(end - first, np.nan, dtype=np.float32)
        low = int(np.searchsorted(self.reach, first, side="right"))
        high = int(np.searchsorted(self.first, end, side="left"))
        for row in range(low, high):
            if row > low and self.first[row] < self.reach[row - 1]:
                place = f"{name}:{self.first[row] + 1:,}-{self.reach[row - 1]:,}"
                raise overlap(track.path, place)
            begin, stop = max(self.first[row] - first, 0), max(self.end[row] - first, 0)
            bases[begin:stop] = self.value[row]
        return bases


class Line(NamedTuple):
    """A line of a bedGraph on a chromosome with windows, whose number in the `Targets` it has."""

    chrom: int
    first: int
    end: int
    value: float


def bedgraph_lines(track: BedGraphTrack, targets: Targets, tick: Tick) -> Iterator[Line]:
    """Yield the lines with a value; those of NaN are left out.

    Raises
    ------
    SignalError
        Where a line is wrong.
    MismatchError
        Where no line lies on any chromosome with windows.
    """
    names = ChromosomeNames(track.path, targets.chromosomes)
    known: dict[str, int] = {}
    for number, text in read_lines(track.path, SignalError):
        if number % _LINES_A_STEP == 0:
            tick(0.0)
        fields = text.split()
        if not fields or text.startswith("#") or fields[0] in ("track", "browser"):
            continue
        try:
            name, first, end = fields[0], int(fields[1]), int(fields[2])
            value = float(np.float32(float(fields[3])))
            if len(fields) != 4 or not 0 <= first < end:
                raise ValueError
        except (ValueError, IndexError) as error:
            raise SignalError(
                f"found {text[:60]!r}; expected chromosome, start, end and value",
                path=track.path,
                line=number,
            ) from error
        if np.isinf(value):
            raise infinite(track.path, f"{name}:{first + 1:,}", number)
        if name not in known:
            known[name] = names.add(name.encode())
        chrom = known[name]
        if chrom < 0:
            continue
        if end > targets.lengths[chrom]:
            length = f"{name} ({targets.lengths[chrom]:,} bp)"
            raise SignalError(
                f"ends at {end:,}, beyond the end of {length}", path=track.path, line=number
            )
        if not np.isnan(value):
            yield Line(chrom, first, end, value)
    names.check()
    tick(1.0)


def _read_runs(track: BedGraphTrack, targets: Targets, tick: Tick) -> list[_Runs]:
    runs = [(array("q"), array("q"), array("f")) for _ in targets.chromosomes]
    for line in bedgraph_lines(track, targets, tick):
        first, end, value = runs[line.chrom]
        first.append(line.first)
        end.append(line.end)
        value.append(line.value)
    return [_Runs.sort(*columns) for columns in runs]
