"""bigWig -> mean signal in bins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import Tick, TrackBins, TrackInfo, no_tick
from chromeprep.signals.bigwig.format import BigWigFile, DamagedError, open_bigwig
from chromeprep.signals.means import Sums, Uncovered, infinite, mean_rule, overlap
from chromeprep.signals.targets import Targets

# Enough for the compiled loop to be worth its call, few enough to stay in the processor's cache.
_BLOCKS_PER_JOB = 32


class _Job(NamedTuple):
    """Windows `low` up to `high` of a chromosome, and the rows of the blocks under them."""

    chrom: int
    low: int
    high: int
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class BigWigTrack:
    """A bigWig file; a bin's value is the mean over its bases.

    Parameters
    ----------
    path
        The file.
    uncovered
        ``zero``: bases without a value count as 0. ``nan``: they are left out of the mean, and a
        bin without any is NaN. Bases of a bin that lie outside the chromosome are without a value.
    """

    path: Path
    uncovered: Uncovered = "zero"
    kind: ClassVar[str] = "bigWig"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        with open_bigwig(self.path) as file:
            chromosomes = {name: length for name, (_, length) in file.chromosomes.items()}
        if not chromosomes:
            raise SignalError("the bigWig holds no chromosome", path=self.path)
        return TrackInfo(chromosomes, "signal", mean_rule(self.uncovered))

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows; see `chromeprep.signals.base.Track`."""
        sums = Sums(targets, self.uncovered, self.path)
        with open_bigwig(self.path) as file:
            jobs = list(_divide(file, targets))

            def work(job: _Job) -> None:
                _add(file, targets, job, sums)
                tick(1 / len(jobs))

            _run(work, jobs, threads)
        if not jobs:
            tick(1.0)
        return TrackBins(sums.means())


def _divide(file: BigWigFile, targets: Targets) -> Iterator[_Job]:
    """Divide the windows so that each job has some blocks to inflate, and shares few of them."""
    width = targets.width_bp
    for chrom, name in enumerate(targets.chromosomes):
        if name not in file.chromosomes:
            raise SignalError(f"has no chromosome {name!r}", path=file.path)
        first_row, end_row = int(targets.offsets[chrom]), int(targets.offsets[chrom + 1])
        starts = targets.starts[first_row:end_row]
        firsts = np.maximum(starts, 0)
        ends = np.minimum(starts + width, targets.lengths[chrom])
        low, high = file.blocks.overlapping(file.chromosomes[name][0], firsts, ends)
        high = np.where(firsts < ends, high, low)
        # Blocks that the windows before do not need: windows ascend, and so do their blocks.
        needed = np.maximum.accumulate(high)
        new = needed - np.maximum(low, np.concatenate([low[:1], needed[:-1]]))
        part = np.cumsum(np.maximum(new, 0)) // _BLOCKS_PER_JOB
        for run in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(part)) + 1):
            # +1 where a window's blocks begin, -1 where they end: above 0 in between.
            base = int(low[run].min())
            change = np.zeros(int(high[run].max()) - base + 1, dtype=np.int64)
            np.add.at(change, low[run] - base, 1)
            np.add.at(change, high[run] - base, -1)
            rows = base + np.flatnonzero(np.cumsum(change))
            if len(rows):
                yield _Job(chrom, first_row + int(run[0]), first_row + int(run[-1]) + 1, rows)


def _add(file: BigWigFile, targets: Targets, job: _Job, sums: Sums) -> None:
    """Add the blocks of a job to its windows."""
    from chromeprep.signals.bigwig import kernels as kernels

    number, _ = file.chromosomes[targets.chromosomes[job.chrom]]
    parts: list[bytes] = []
    try:
        # Whole words only: of a block cut short, the last item is missed.
        parts.extend(part[: len(part) & ~3] for part in file.read_blocks(job.rows))
    except DamagedError as error:
        raise _damaged(file, targets, job, len(parts), str(error)) from error
    words = np.frombuffer(b"".join(parts), dtype=np.uint32)
    edges = np.cumsum([0, *map(len, parts)]) // 4
    ended, block, base = kernels.add_blocks(
        words,
        words.view(np.float32),
        edges,
        number,
        int(targets.lengths[job.chrom]),
        job.low,
        job.high,
        targets.starts,
        targets.tiles,
        int(targets.tile_offsets[job.chrom]),
        targets.bin_size_bp,
        sums.sums,
        sums.covered,
    )
    place = f"{targets.chromosomes[job.chrom]}:{base + 1:,}"
    if ended == kernels.INFINITE:
        raise infinite(file.path, place)
    if ended == kernels.OVERLAP:
        raise overlap(file.path, place)
    if ended == kernels.DAMAGED:
        raise _damaged(file, targets, job, block, "the block is not what its header says")


def _damaged(file: BigWigFile, targets: Targets, job: _Job, block: int, why: str) -> SignalError:
    row = job.rows[block]
    start, end = int(file.blocks.start[row]), int(file.blocks.end[row])
    return SignalError(
        f"damaged bigWig: cannot read {targets.chromosomes[job.chrom]}:{start + 1:,}-{end:,} "
        f"({why})",
        path=file.path,
        hint="is the download complete?",
    )


def _run(work: Callable[[_Job], None], jobs: list[_Job], threads: int) -> None:
    """Do all jobs; the first failure ends it."""
    if threads == 1:
        for job in jobs:
            work(job)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            futures = [pool.submit(work, job) for job in jobs]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
        for future in futures:
            if not future.cancelled():
                future.result()
