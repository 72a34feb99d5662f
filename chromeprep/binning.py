"""Genes x tracks -> signal of shape (genes, marks, bins)."""

from __future__ import annotations

import signal as signals_of_the_system
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import ChromeError
from chromeprep.format.model import GeneTable
from chromeprep.signals import Track
from chromeprep.windows import Windows, by_chromosome

Progress = Callable[[int, int], None]


class _Task(NamedTuple):
    """One chromosome of one track."""

    mark: int
    rows: NDArray[np.int64]
    track: Track
    chrom: str
    starts: NDArray[np.int64]
    windows: Windows


def bin_signal(
    genes: GeneTable,
    windows: Windows,
    tracks: Sequence[Track],
    names: Sequence[Mapping[str, str]],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Read the signal of every track in the bins of every gene, in transcript direction.

    Parameters
    ----------
    genes
        In the order wanted.
    windows
        Their width and bins.
    tracks
        One a mark, in the order wanted.
    names
        For each track, chromosome of the genes -> name in that track; must hold all of them.
    threads
        Processes that read at a time.
    progress
        Called with (tasks done, tasks in all) after each chromosome of each track.

    Returns
    -------
    ndarray of float32, shape (genes, marks, bins)
        Bin 0 lies farthest upstream of the TSS.

    Raises
    ------
    SignalError
        Where a track cannot be read.
    ChromeError
        Where one of several processes was killed.
    """
    signal = np.zeros((len(genes), len(tracks), windows.n_bins), dtype=np.float32)
    starts = windows.starts(genes)
    reverse = genes.strand == "-"
    chromosomes = by_chromosome(genes.chrom)
    tasks = [
        _Task(mark, rows, track, names[mark][chrom], starts[rows], windows)
        for mark, track in enumerate(tracks)
        for chrom, rows in chromosomes.items()
    ]
    # The long ones first, so that no process is left with one at the end.
    tasks.sort(key=lambda task: -len(task.rows))
    for done, (task, bins) in enumerate(_run(tasks, threads), start=1):
        flip = reverse[task.rows]
        bins[flip] = bins[flip, ::-1]
        signal[task.rows, task.mark] = bins
        if progress is not None:
            progress(done, len(tasks))
    return signal


def _run(tasks: list[_Task], threads: int) -> Iterator[tuple[_Task, NDArray[np.float32]]]:
    if threads <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, _read(task)
        return
    # Spawned, not forked: a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(
        max_workers=min(threads, len(tasks)),
        mp_context=get_context("spawn"),
        initializer=_leave_interrupts_to_the_parent,
    )
    finished = False
    try:
        futures = {pool.submit(_read, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
        finished = True
    except BrokenProcessPool as error:
        raise ChromeError(
            "a process that was reading the signal was killed",
            hint="out of memory, perhaps: try a smaller --threads",
        ) from error
    finally:
        if not finished:
            # After an error or an interrupt nobody wants to wait for what is being read.
            for process in list((pool._processes or {}).values()):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _read(task: _Task) -> NDArray[np.float32]:
    windows = task.windows
    return task.track.read_bins(task.chrom, task.starts, windows.n_bins, windows.bin_size_bp)


def _leave_interrupts_to_the_parent() -> None:
    signals_of_the_system.signal(signals_of_the_system.SIGINT, signals_of_the_system.SIG_IGN)
