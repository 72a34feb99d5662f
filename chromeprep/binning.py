"""Genes x files -> bins of each gene, in transcript direction, many files at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

from chromeprep.format.model import GeneTable
from chromeprep.signals import Targets, Track, TrackBins
from chromeprep.windows import Windows

Progress = Callable[[int, int], None]

_STEPS = 1000  # of a progress report


class TrackJob(NamedTuple):
    """A file to read.

    Attributes
    ----------
    track
        The file.
    names
        Chromosome of the genes -> name in the file; must hold all of them.
    lengths
        Name in the file -> length in bp.
    """

    track: Track
    names: Mapping[str, str]
    lengths: Mapping[str, int]


def read_tracks(
    genes: GeneTable,
    windows: Windows,
    jobs: Sequence[TrackJob],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Iterator[tuple[int, TrackBins]]:
    """Read files and yield (number of the job, its bins) as they are done.

    Parameters
    ----------
    genes
        In the order wanted.
    windows
        Their width and bins.
    jobs
        The files.
    threads
        How many may work at a time: on a file each, and where there are fewer files together.
    progress
        Called with (steps done, steps in all), from any thread but never by two at a time.

    Yields
    ------
    int, TrackBins
        The values have the shape (genes, bins); bin 0 lies farthest upstream of the TSS.

    Raises
    ------
    SignalError
        Where a file cannot be read; the other threads are then stopped.
    """
    starts = windows.starts(genes)
    reverse = genes.strand == "-"
    meter = _Meter(len(jobs), progress)

    def read(job: TrackJob, own_threads: int) -> TrackBins:
        chrom = [job.names[name] for name in genes.chrom]
        targets = Targets.build(chrom, starts, job.lengths, windows.n_bins, windows.bin_size_bp)
        bins = job.track.read(targets, threads=own_threads, tick=meter.tick)
        bins.values[reverse] = bins.values[reverse, ::-1]
        return bins

    workers = min(threads, len(jobs))
    if workers <= 1:
        for number, job in enumerate(jobs):
            yield number, read(job, threads)
        meter.finish()
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = {
            pool.submit(read, job, -(-threads // workers)): number
            for number, job in enumerate(jobs)
        }
        try:
            for future in as_completed(list(futures)):
                yield futures.pop(future), future.result()
        finally:
            # After an error or an interrupt nobody wants to wait for what is being read.
            meter.stop()
            pool.shutdown(wait=True, cancel_futures=True)
    meter.finish()


class _Stopped(Exception):  # noqa: N818 (it is no error)
    """Raised in a thread whose work nobody waits for any more."""


class _Meter:
    """Adds up what the threads have read, and stops them."""

    def __init__(self, n_jobs: int, progress: Progress | None) -> None:
        self._n_jobs = n_jobs
        self._progress = progress
        self._done = 0.0
        self._reported = 0
        self._stopped = False
        self._lock = threading.Lock()

    def tick(self, share: float) -> None:
        if self._stopped:
            raise _Stopped
        with self._lock:
            self._done += share / self._n_jobs
            steps = min(int(self._done * _STEPS), _STEPS)
            if self._progress is not None and steps > self._reported:
                self._reported = steps
                self._progress(steps, _STEPS)

    def stop(self) -> None:
        self._stopped = True

    def finish(self) -> None:
        if self._progress is not None:
            self._progress(_STEPS, _STEPS)
