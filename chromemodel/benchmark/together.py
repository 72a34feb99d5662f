"""Which runs of a benchmark train at the same time in one process, and how do they?

Those of one model, each on one cell type, where `quicker_together` says so: on a GPU.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from chromemodel.benchmark.folder import Folder, Record
from chromemodel.benchmark.jobs import Job
from chromemodel.benchmark.worker import Event
from chromemodel.models import MODELS
from chromemodel.train.device import pick_device
from chromemodel.train.loop import Epoch
from chromemodel.train.many import quicker_together
from chromemodel.train.single import Training, train_steps
from chromemodel.train.together import train_together
from chromeprep.errors import ChromeError

Listener = Callable[[Job, Event, int], None]


def grouped(jobs: Iterable[Job]) -> tuple[list[list[Job]], list[Job]]:
    """Return the jobs that train together, by model, and those that have processes of their own."""
    groups: dict[str, list[Job]] = defaultdict(list)
    rest: list[Job] = []
    for job in jobs:
        deep = MODELS.entry(job.model).fitter == "torch" and not job.adapts and not job.tune
        if deep and quicker_together(pick_device(job.training.device)):
            groups[job.model].append(job)
        else:
            rest.append(job)
    return list(groups.values()), rest


def run_together(folder: Folder, jobs: list[Job], listener: Listener) -> None:
    """Train, and write runs and records; the listener hears as of `run_jobs`.

    The seconds of a record are the run's share of the whole.
    """
    started = time.perf_counter()
    process = os.getpid()
    for job in jobs:
        listener(job, Event("ready"), process)

    def training_of(job: Job) -> Training:
        def tell(row: Epoch) -> None:
            listener(job, Event("epoch", row.epoch, job.training.epochs), process)

        out = folder.run(job)
        return train_steps(
            job.source.path, out, model=job.model, marks=job.marks, window_bp=job.window_bp,
            normalise=job.normalise, transform=job.transform, split=job.split,
            training=job.training, panel=None if job.panel is None else job.panel.choice,
            baseline=False, force=True, command=job.command(out), on_epoch=tell,
        )  # fmt: skip

    found = train_together([training_of(job) for job in jobs], jobs[0].training.threads)
    share = round((time.perf_counter() - started) / len(jobs), 3)
    for job, one in zip(jobs, found, strict=True):
        if isinstance(one, ChromeError):
            message = " ".join(str(one).replace("\n", ";").split())
            listener(job, Event("failed", message=message), process)
        else:
            folder.write_record(Record(share, job, ()))
            listener(job, Event("done"), process)
