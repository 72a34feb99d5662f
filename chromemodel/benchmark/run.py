"""How does a benchmark run, go on after an interrupt, and end?"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chromemodel.benchmark.collect import Collector
from chromemodel.benchmark.folder import TUNING, Folder, Record
from chromemodel.benchmark.inputs import file_digest
from chromemodel.benchmark.jobs import Job
from chromemodel.benchmark.merged import merged
from chromemodel.benchmark.pool import run_jobs
from chromemodel.benchmark.report import write_report
from chromemodel.benchmark.rows import RESULTS, Failure, Row, write_rows
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.worker import Event
from chromeprep.errors import ChromeError, FormatError, MismatchError
from chromeprep.format import atomic_file

logger = logging.getLogger(__name__)


class Plan(NamedTuple):
    """What is to be run, and what is kept with the seconds it took."""

    jobs: list[Job]
    kept: list[tuple[Job, float]]


class Benchmarked(NamedTuple):
    """What a benchmark gives back; ``written`` are results, tables and figures."""

    spec: BenchmarkSpec
    rows: list[Row]
    failures: list[Failure]
    kept: int
    run: int
    written: list[Path]


#: Told of each event of a job and its worker's process id; before the first, of the plan.
Listener = Callable[[Plan | tuple[Job, Event, int]], None]


def run_benchmark(
    spec: BenchmarkSpec,
    out: str | Path,
    *,
    processes: int = 1,
    force: bool = False,
    listener: Listener = lambda event: None,
) -> Benchmarked:
    """Run what a benchmark lacks and write its results, tables and figures.

    Finished runs are kept; those that failed are tried again. ``results.csv`` is written after
    each run.

    Parameters
    ----------
    spec
        What is asked; its files are checked and have digests (`chromemodel.benchmark.inputs`).
    out
        Folder of the benchmark, new or its own.
    processes
        How many runs at the same time, each in one thread.
    force
        Remove the runs that are there and begin anew.
    listener
        For progress.

    Raises
    ------
    OutputError
        Where the folder is not one of a benchmark, or cannot be written.
    MismatchError
        Where it holds another benchmark than is asked.
    RunError
        Where its ``benchmark.json`` is damaged.
    """
    folder = Folder(out)
    with folder.opened():
        before = folder.read_spec()
        if force and before is not None:
            folder.clear(before)
            before = None
        both = merged(folder.path, before, spec)
        _check_others(both, spec)
        folder.write_spec(both)
        return _run(folder, both, processes, listener)


def _check_others(both: BenchmarkSpec, asked: BenchmarkSpec) -> None:
    """Check the files of cell types that were asked for earlier only."""
    for one in both.cell_types:
        if one not in asked.cell_types and file_digest(Path(one.path)) != one.digest:
            raise MismatchError(
                f"has other content than when cell type {one.name} was run",
                path=one.path,
                hint="put the old file back, choose another -o, or begin anew with --force",
            )


def _run(folder: Folder, spec: BenchmarkSpec, processes: int, listener: Listener) -> Benchmarked:
    collector = Collector(folder, spec)
    failures: dict[str, Failure] = {}
    kept: list[tuple[Job, float]] = []
    jobs: list[Job] = []
    for job in collector.jobs.values():
        record = folder.finished(job)
        try:
            if record is not None:
                collector.add(job, record)
                kept.append((job, record.seconds))
        except FormatError as error:
            logger.warning("warning: %s\n  it is run again", error)
            record = None
        if record is None:
            jobs.append(job)
    jobs.sort(key=lambda job: -job.cost)
    listener(Plan(jobs, kept))

    def write() -> list[Row]:
        rows = collector.rows()
        with atomic_file(folder.path / RESULTS) as temporary:
            write_rows(temporary, rows)
        if spec.tune:
            with atomic_file(folder.path / TUNING) as temporary:
                write_tuning(temporary, collector)
        return rows

    def hear(job: Job, event: Event, worker: int) -> None:
        if event.kind == "done":
            record = folder.finished(job)
            try:
                if record is None:
                    raise ChromeError("the run folder is not what was asked for")
                collector.add(job, record)
            except ChromeError as error:
                event = Event("failed", message=str(error))
            else:
                write()
        if event.kind == "failed":
            failures[job.key] = failure_of(job, event.message)
        listener((job, event, worker))

    write()
    try:
        rest = jobs
        if spec.device != "cpu":
            # Not at the top: on a CPU only the workers import torch.
            from chromemodel.benchmark.together import grouped, run_together

            groups, rest = grouped(jobs)
            for group in groups:
                run_together(folder, group, hear)
        run_jobs(folder.path.absolute(), rest, processes, hear)
    finally:
        rows = write()
    for note in collector.notes:
        logger.info("%s", note)
    order = [failures[key] for key in collector.jobs if key in failures]
    spoken = [collector.spoken[key] for key in sorted(collector.spoken)]
    report = write_report(folder.path, spec, rows, order, spoken)
    return Benchmarked(spec, rows, order, len(kept), len(jobs), [folder.path / RESULTS, *report])


def failure_of(job: Job, message: str) -> Failure:
    """Return a run that came to nothing, with why."""
    return Failure(
        job.key, job.model, job.method, job.source.name, job.target.name, job.seed, message
    )


def write_tuning(path: Path, collector: Collector) -> None:
    """Write which settings were tried for each run, and which were chosen."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(
            ["model", "method", "source", "target", "seed", "changed", "lr", "batch_size",
             "weight", "validation_auroc", "chosen"]
        )  # fmt: skip
        for key, job in collector.jobs.items():
            record: Record | None = collector.records.get(key)
            for one in record.candidates if record is not None else ():
                writer.writerow(
                    [job.model, job.method, job.source.name, job.target.name, job.seed,
                     one.changed, one.lr, one.batch_size, one.weight, one.validation_auroc,
                     "yes" if one.chosen else "no"]
                )  # fmt: skip
