"""What does a benchmark's folder hold: what was asked, and which runs are finished?

``benchmark.json`` is the `BenchmarkSpec`; ``runs/KEY`` a run folder, ``runs/KEY.json`` its
`Record`, ``runs/KEY.log`` what it said.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from chromemodel.benchmark.jobs import RUNS, Job, plan_jobs
from chromemodel.benchmark.rows import RESULTS
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.config import RunConfig
from chromemodel.fusion.store import FUSION
from chromemodel.serial import from_json, to_json
from chromemodel.train.checkpoint import (
    CONFIG,
    HISTORY,
    METRICS,
    PREDICTIONS,
    SOURCE_ONLY,
    WEIGHTS,
    read_config,
)
from chromemodel.train.resume import checkpoint_folder, remove_checkpoints
from chromemodel.train.single import full_component
from chromeprep.errors import ChromeError, OutputError, RunError
from chromeprep.format import atomic_file

BENCHMARK = "benchmark.json"
FORMAT, VERSION = "chromemodel-benchmark", 1
TUNING = "tuning.csv"
_PARTS = (CONFIG, WEIGHTS, HISTORY, METRICS, PREDICTIONS)


@dataclass(frozen=True)
class Candidate:
    """Settings that tuning tried.

    ``changed`` is what differs from the best before; ``weight`` is that option of the method, where
    it is one. ``validation_auroc`` is None where training diverged.
    """

    changed: str
    lr: float
    batch_size: int
    weight: float | None
    validation_auroc: float | None
    chosen: bool = False


@dataclass(frozen=True)
class Record:
    """What is known of a finished run beside its folder.

    ``job`` is what was asked; `trained` says what was trained, another where it was tuned.
    """

    seconds: float
    job: Job
    candidates: tuple[Candidate, ...] = ()


class Folder:
    """The folder of a benchmark.

    Parameters
    ----------
    path
        It may be missing, empty or a benchmark's.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def run(self, job: Job) -> Path:
        """Return where a run's folder is."""
        return self.path.absolute() / RUNS / job.key

    def record(self, job: Job) -> Path:
        """Return where the record of a run is."""
        return self.run(job).with_name(f"seed-{job.seed}.json")

    def log(self, job: Job) -> Path:
        """Return where the log of a run is."""
        return self.run(job).with_name(f"seed-{job.seed}.log")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, and keep other benchmarks out of it; a new one that stays empty goes.

        Raises
        ------
        OutputError
            Where it cannot be made or is not ours, or another benchmark works there.
        """
        new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OutputError("is a file, not a folder", path=self.path) from None
        except OSError as error:
            raise OutputError(f"cannot be made: {error.strerror}", path=self.path) from error
        if not (self.path / BENCHMARK).is_file() and any(self.path.iterdir()):
            raise OutputError(
                "is a folder, but not one of `chromemodel benchmark`; nothing is written there",
                path=self.path,
                hint="choose another -o",
            )
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise OutputError("cannot be written to", path=self.path)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    "another `chromemodel benchmark` is at work there", path=self.path,
                    hint="wait for it, or choose another -o",
                ) from None  # fmt: skip
            except OSError:  # a file system without locks
                pass
            self.sweep()
            yield
        finally:
            self.sweep()
            os.close(handle)
            if new:
                with suppress(OSError):
                    self.path.rmdir()

    def sweep(self) -> None:
        """Remove what workers that were stopped left half-written."""
        for part in (self.path / RUNS).rglob(".*.part*"):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)

    def read_spec(self) -> BenchmarkSpec | None:
        """Return what the benchmark was asked so far, None where it is a new one.

        Raises
        ------
        RunError
            Where ``benchmark.json`` is damaged or from a later version.
        """
        path = self.path / BENCHMARK
        if not path.exists():
            return None
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(document, dict) or document.get("format") != FORMAT:
                raise RunError(f"key 'format' is not '{FORMAT}'", path=path)
            if document.get("version") != VERSION:
                raise RunError(
                    f"has version {document.get('version')}; this chromemodel reads {VERSION}",
                    path=path,
                    hint="choose another -o",
                )
            return from_json(BenchmarkSpec, document.get("spec"))
        except (OSError, ValueError) as error:
            raise RunError(f"cannot be read: {error}", path=path) from error

    def write_spec(self, spec: BenchmarkSpec) -> None:
        """Write what the benchmark was asked."""
        document = {"format": FORMAT, "version": VERSION, "spec": to_json(spec)}
        _write_json(self.path / BENCHMARK, document)

    def clear(self, spec: BenchmarkSpec) -> None:
        """Remove the runs of a benchmark, their records and logs, and its results."""
        for job in plan_jobs(spec):
            folder = self.run(job)
            shutil.rmtree(folder, ignore_errors=True)
            remove_checkpoints(checkpoint_folder(folder))
            for beside in (self.record(job), self.log(job)):
                beside.unlink(missing_ok=True)
            for parent in folder.parents[:4]:
                with suppress(OSError):
                    parent.rmdir()
        for name in (RESULTS, TUNING, BENCHMARK):
            (self.path / name).unlink(missing_ok=True)

    def write_record(self, record: Record) -> None:
        """Write what is known of a finished run beside it."""
        _write_json(self.record(record.job), to_json(record))

    def finished(self, job: Job) -> Record | None:
        """Return the record of a run that is complete and was made as asked, else None."""
        folder = self.run(job)
        parts = _PARTS if job.panel is None else (*_PARTS, FUSION)
        needed = [folder / name for name in parts]
        if job.method == "cross":
            needed += [folder / SOURCE_ONLY / name for name in parts]
        if not all(path.is_file() for path in needed):
            return None
        try:
            record = from_json(Record, json.loads(self.record(job).read_text(encoding="utf-8")))
            config = read_config(folder)
        except (OSError, ValueError, ChromeError):
            return None
        return record if _made(record, job) and _agrees(config, trained(record)) else None


def trained(record: Record) -> Job:
    """Return the job with the settings that were trained in the end: those tuning chose."""
    job = record.job
    for one in record.candidates:
        if one.chosen:
            job = replace(job, training=replace(job.training, lr=one.lr, batch_size=one.batch_size))
            if one.weight is not None:
                options = job.method_options | {one.changed: one.weight}
                job = replace(job, method_options=options)
    return job


def _made(record: Record, job: Job) -> bool:
    """Say whether a run was asked for as now; where its files lie does not matter."""

    def bare(one: Job) -> Job:
        # What a file calls its cell type is in its digest.
        source, target = (replace(c, path="", file_says="") for c in (one.source, one.target))
        panel = None if one.panel is None else replace(one.panel, path="")
        return replace(one, source=source, target=target, panel=panel)

    return bare(record.job) == bare(job)


def _agrees(config: RunConfig, job: Job) -> bool:
    component = full_component(job.model, {})
    return (
        config.kind == ("adapt" if job.adapts else "train")
        and to_json(config.model) == to_json(component)
        and config.method.name == job.adaptation
        and all(config.method.options.get(k) == v for k, v in job.method_options.items())
        and config.training == job.training
        and config.split.asked == job.split
        and config.normalisation.rule == job.normalise
        and config.normalisation.transform == job.transform
        and (config.layout.marks == job.marks if job.marks else not config.layout.marks_named)
        and config.layout.window_named == (job.window_bp is not None)
        and job.window_bp in (None, config.layout.flank_bp)
        and (None if config.panel is None else config.panel.digest)
        == (None if job.panel is None else job.panel.digest)
    )


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
