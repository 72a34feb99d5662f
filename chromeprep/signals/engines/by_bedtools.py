"""Tracks counted by bedtools, through pybedtools, to check the fast readers against.

Bins and reads are written as BED, a chromosome at a time, and bedtools finds what overlaps what.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import OutputError, SignalError
from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import Tick, Track, TrackBins
from chromeprep.signals.bigwig.track import BigWigTrack
from chromeprep.signals.cram.track import CramTrack
from chromeprep.signals.engines.by_pysam import bedgraph_lines, damaged_bigwig, open_bigwig
from chromeprep.signals.engines.reads import Tally, pieces_of
from chromeprep.signals.means import Sums, infinite
from chromeprep.signals.targets import Targets
from chromeprep.signals.text.bed import BedTrack
from chromeprep.signals.text.bedgraph import BedGraphTrack

_LINES_AT_A_TIME = 1 << 16
_CHROMOSOME = "chromosome"  # of which each pair of files holds one, whatever its name


def check_bedtools(track: Track) -> None:
    """Raise `SignalError` where the program is not there."""
    if shutil.which("bedtools") is None:
        raise SignalError(
            "cannot be read with bedtools: the program is not on PATH",
            path=track.path,
            hint="install it: apt install bedtools, or conda install -c bioconda bedtools; "
            "or read with --engine fast",
        )


def read_with_bedtools(track: Track, targets: Targets, threads: int, tick: Tick) -> TrackBins:
    """Read all windows of a track; see `chromeprep.signals.base.Track`."""
    check_bedtools(track)
    try:
        with TemporaryDirectory(prefix="chromeprep-") as folder:
            return _read(track, targets, _Features(Path(folder), targets), threads, tick)
    except OSError as error:
        raise OutputError(
            f"temporary files cannot be written: {error.strerror or error}",
            path=error.filename,
            hint="name a folder with more room in the environment variable TMPDIR",
        ) from error


def _read(
    track: Track, targets: Targets, features: _Features, threads: int, tick: Tick
) -> TrackBins:
    if isinstance(track, BamTrack | CramTrack | BedTrack):
        tally = Tally()
        for chrom, first, end in pieces_of(track, targets, tally, threads, tick):
            features.add(chrom, f"{first}\t{end}\t1")
        if track.rule.count == "coverage":
            sums = np.zeros((targets.n_windows, targets.n_bins))
            for rows, values, bases in features.overlaps():
                np.add.at(sums.reshape(-1), rows, values * bases)
            return _reads(targets, sums / targets.bin_size_bp, tally)
        return _reads(targets, features.counts(), tally)
    if isinstance(track, BedGraphTrack | BigWigTrack):
        found = (
            bedgraph_lines(track, targets, tick)
            if isinstance(track, BedGraphTrack)
            else _bigwig_intervals(track, targets, tick)
        )
        for chrom, first, end, value in found:
            features.add(chrom, f"{first}\t{end}\t{value!r}")
        total = Sums(targets, track.uncovered, track.path)
        for rows, values, bases in features.overlaps():
            np.add.at(total.sums.reshape(-1), rows, values * bases)
            np.add.at(total.covered.reshape(-1), rows, bases)
        return TrackBins(total.means())
    raise TypeError(f"no way to read a {track.kind} with bedtools")


def _reads(targets: Targets, bins: NDArray[np.float64], tally: Tally) -> TrackBins:
    return TrackBins(targets.in_order(bins), tally.counted, tally.mapped)


def _bigwig_intervals(
    track: BigWigTrack, targets: Targets, tick: Tick
) -> Iterator[tuple[int, int, int, float]]:
    spans = list(targets.spans())
    with open_bigwig(track) as file:
        for span in spans:
            name = targets.chromosomes[span.chrom]
            try:
                found = file.intervals(name, span.first, span.end) or ()
            except (RuntimeError, OverflowError) as error:
                place = f"{name}:{span.first + 1:,}-{span.end:,}"
                raise damaged_bigwig(track, place) from error
            for first, end, value in found:
                if np.isinf(value):
                    raise infinite(track.path, f"{name}:{max(first, span.first) + 1:,}")
                if not np.isnan(value):
                    # The next span has the rest of it.
                    yield span.chrom, max(first, span.first), min(end, span.end), value
            tick(1 / len(spans))
    if not spans:
        tick(1.0)


class _Features:
    """Intervals with values, kept as a file of BED for each chromosome.

    Parameters
    ----------
    folder
        Where the files are written.
    targets
        The windows whose bins they are laid over.
    """

    def __init__(self, folder: Path, targets: Targets) -> None:
        self._folder = folder
        self._targets = targets
        self._waiting: dict[int, list[str]] = {}
        self._n_waiting = 0

    def add(self, chrom: int, columns: str) -> None:
        """Add an interval: start, end and value."""
        self._waiting.setdefault(chrom, []).append(f"{_CHROMOSOME}\t{columns}\n")
        self._n_waiting += 1
        if self._n_waiting == _LINES_AT_A_TIME:
            self._flush()

    def counts(self) -> NDArray[np.float64]:
        """Return how many intervals touch each bin, shape (windows, bins)."""
        counts = np.zeros((self._targets.n_windows, self._targets.n_bins))
        for found in self._intersections(columns=(3, 4), c=True):
            rows, numbers = found.T
            counts.reshape(-1)[rows.astype(np.int64)] = numbers
        return counts

    def overlaps(
        self,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]]:
        """Yield bins, values and bases in common, of all intervals that touch bins.

        Bins are numbered through all windows.
        """
        for found in self._intersections(columns=(3, 7, 8), wo=True):
            rows, values, bases = found.T
            yield rows.astype(np.int64), values, bases.astype(np.int64)

    def _intersections(
        self, columns: tuple[int, ...], **how: bool
    ) -> Iterator[NDArray[np.float64]]:
        """Yield columns of what bedtools finds for the bins of each chromosome."""
        import pybedtools

        self._flush()
        bins, found = self._folder / "bins.bed", self._folder / "found.bed"
        for chrom in range(len(self._targets.chromosomes)):
            features = self._file(chrom)
            if not features.exists():
                continue
            end_mark = self._write_bins(bins, chrom)
            with features.open("a") as handle:
                handle.write(f"{_CHROMOSOME}\t{end_mark}\t{end_mark + 1}\t1\n")
            try:
                # With a name for the output, pybedtools makes no temporary files of its own.
                pybedtools.BedTool(str(bins)).intersect(str(features), output=str(found), **how)
            except pybedtools.helpers.BEDToolsError as error:
                raise OutputError(f"bedtools failed: {error}") from error
            yield _read_columns(found, columns)
            features.unlink()

    def _write_bins(self, path: Path, chrom: int) -> int:
        """Write the bins of a chromosome, and one more beyond its end; return where that is."""
        targets = self._targets
        length, size, n_bins = int(targets.lengths[chrom]), targets.bin_size_bp, targets.n_bins
        end_mark = length + 10
        with path.open("w") as handle:
            for row in range(targets.offsets[chrom], targets.offsets[chrom + 1]):
                start = int(targets.starts[row])
                for b in range(n_bins):
                    first, end = max(start + b * size, 0), min(start + (b + 1) * size, length)
                    if first < end:
                        handle.write(f"{_CHROMOSOME}\t{first}\t{end}\t{row * n_bins + b}\n")
            handle.write(f"{_CHROMOSOME}\t{end_mark}\t{end_mark + 1}\t-1\n")
        return end_mark

    def _file(self, chrom: int) -> Path:
        return self._folder / f"{chrom}.bed"

    def _flush(self) -> None:
        for chrom, lines in self._waiting.items():
            with self._file(chrom).open("a") as handle:
                handle.writelines(lines)
        self._waiting.clear()
        self._n_waiting = 0


def _read_columns(path: Path, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Read columns of what bedtools wrote, without the end mark."""
    rows: NDArray[np.float64] = np.zeros((0, len(columns)))
    if path.stat().st_size:
        with suppress(ValueError):  # of a line that is cut off
            rows = np.loadtxt(path, usecols=columns, delimiter="\t", ndmin=2)
    # pybedtools takes no notice of a program that was killed or found the disk full.
    if not len(rows) or rows[-1].tolist() != [-1.0, *([1.0] * (len(columns) - 1))]:
        raise OutputError(
            "bedtools ended before its work was done: too little memory, or room for temporary "
            f"files in {path.parent.parent}?",
            hint="name a folder with more room in the environment variable TMPDIR; "
            "or read with --engine pysam",
        )
    return rows[:-1]
