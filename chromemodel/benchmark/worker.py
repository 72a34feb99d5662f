"""A process that runs one job after another: ``python -m chromemodel.benchmark.worker``.

It reads a `Task` a line on stdin and answers with an `Event` a line on stdout; torch is imported
once. What a run logs goes to the file that its task names. The end of stdin ends it at once, even
in the middle of a run: where the benchmark dies, no worker stays behind.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from chromemodel.benchmark.folder import Candidate, Folder, Record, trained
from chromemodel.benchmark.jobs import Job
from chromemodel.serial import from_json, to_json
from chromeprep.errors import ChromeError


@dataclass(frozen=True)
class Task:
    """A job and the folder of its benchmark."""

    folder: str
    job: Job


@dataclass(frozen=True)
class Event:
    """What a worker says.

    ``ready`` once, when it can take jobs; ``epoch`` with its number, of how many and of what;
    ``done`` or ``failed``, with why, at the end of a job.
    """

    kind: Literal["ready", "epoch", "done", "failed"]
    epoch: int = 0
    epochs: int = 0
    phase: str = ""
    message: str = ""


def main() -> None:
    """Serve until stdin ends."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the benchmark, which ends us
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what a library prints must not come between the answers
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    warm_up()
    say(answers, Event("ready"))
    while True:
        task = from_json(Task, json.loads(tasks.get()))
        say(answers, serve(task, answers))


def warm_up() -> None:
    """Import what is imported on first use, so that the first run takes no longer than others."""
    import numpy as np
    import torch

    import chromemodel.adapt.protocol  # noqa: F401
    from chromemodel.config import TrainConfig
    from chromemodel.evaluate.metrics import binary_metrics
    from chromemodel.train.loop import make_optimizer

    make_optimizer([torch.nn.Parameter(torch.zeros(1))], TrainConfig())
    binary_metrics(np.array([0, 1]), np.array([0.0, 1.0]))


def say(answers: TextIO, event: Event) -> None:
    """Send an event."""
    answers.write(json.dumps(to_json(event)) + "\n")
    answers.flush()


def serve(task: Task, answers: TextIO) -> Event:
    """Run a job; whatever is wrong with it becomes the answer."""
    folder, job = Folder(task.folder), task.job
    with logging_to(folder.log(job)):
        try:
            perform(folder, job, answers)
        except ChromeError as error:
            print(f"error: {error}", file=sys.stderr)
            return Event("failed", message=" ".join(str(error).replace("\n", ";").split()))
        except Exception as error:
            traceback.print_exc()
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Event("failed", message=text)
    return Event("done")


def perform(folder: Folder, job: Job, answers: TextIO) -> None:
    """Tune, train and write a run and its record."""
    from chromemodel.adapt.protocol import adapt_model
    from chromemodel.benchmark.tune import tune_job
    from chromemodel.models import MODELS
    from chromemodel.train.loop import Epoch
    from chromemodel.train.single import train_model

    started = time.perf_counter()
    deep = MODELS.entry(job.model).fitter == "torch"

    def tell(phase: str, row: Epoch) -> None:
        say(answers, Event("epoch", row.epoch, job.training.epochs, phase))

    candidates: tuple[Candidate, ...] = ()
    if job.tune and deep:
        candidates = tune_job(job, tell, folder.run(job))
    chosen = trained(Record(0.0, job, candidates))
    out, panel = folder.run(job), None if job.panel is None else job.panel.choice
    command = chosen.command(out)
    if job.adapts:
        adapt_model(
            job.source.path, job.target.path, out, method=job.adaptation,
            method_options=chosen.method_options, model=job.model, marks=job.marks,
            window_bp=job.window_bp, normalise=job.normalise, transform=job.transform,
            split=job.split, training=chosen.training, panel=panel, baseline=False, force=True,
            command=command, on_epoch=tell,
        )  # fmt: skip
    else:
        train_model(
            job.source.path, out, model=job.model, marks=job.marks, window_bp=job.window_bp,
            normalise=job.normalise, transform=job.transform, split=job.split,
            training=chosen.training, panel=panel, baseline=False, force=True, command=command,
            on_epoch=lambda row: tell("", row),
        )  # fmt: skip
    folder.write_record(Record(round(time.perf_counter() - started, 3), job, candidates))


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Send stdout and stderr of the process to a file; remove it if nothing was said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = os.dup(2)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    sys.stderr.flush()
    os.dup2(handle, 2)
    os.dup2(handle, 1)
    os.close(handle)
    faulthandler.enable()  # where it crashes, the log says where
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.dup2(before, 1)
        os.close(before)
        if not path.stat().st_size:
            path.unlink()


def _listen(tasks: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line)
    os._exit(1)


if __name__ == "__main__":
    main()
