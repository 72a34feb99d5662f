"""How do several jobs run at the same time, so that one which crashes takes no other with it?

Each worker is a process of its own (`chromemodel.benchmark.worker`); one that dies fails the run
it was at and is replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from chromemodel.benchmark.jobs import Job
from chromemodel.benchmark.worker import Event, Task
from chromemodel.serial import from_json, to_json
from chromeprep.errors import ChromeError

_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}


class Worker:
    """A process and the job it is at; its events go to a queue, None at its end."""

    def __init__(self, events: queue.SimpleQueue[tuple[Worker, Event | None]]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chromemodel.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | _ENVIRONMENT,
        )
        self.ready = False
        self.job: Job | None = None
        self.events = events
        threading.Thread(target=self._listen, daemon=True).start()

    def give(self, folder: Path, job: Job) -> None:
        """Give a job to a worker that is ready; that it died is told by its end, not here."""
        self.job = job
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(to_json(Task(str(folder), job))) + "\n")
            self.process.stdin.flush()

    def end(self) -> str:
        """Stop the process and say how it ended."""
        self.process.kill()
        code = self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        return ended(code)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines, contextlib.suppress(ValueError):
            for line in lines:
                self.events.put((self, from_json(Event, json.loads(line))))
        self.process.wait()
        self.events.put((self, None))


def run_jobs(
    folder: Path,
    jobs: Iterable[Job],
    processes: int,
    listener: Callable[[Job, Event, int], None],
) -> None:
    """Run jobs in worker processes, in order as workers are free.

    Parameters
    ----------
    folder
        Of the benchmark.
    jobs
        What is to be done.
    processes
        How many at the same time.
    listener
        Called in this thread with each event of a job and its worker's process id: ``ready`` when
        the job begins, ``epoch``, and at its end ``done`` or ``failed``.

    Raises
    ------
    ChromeError
        Where a worker ends before it can take a job.
    """
    waiting = list(reversed(list(jobs)))
    events: queue.SimpleQueue[tuple[Worker, Event | None]] = queue.SimpleQueue()
    workers: set[Worker] = set()
    try:
        for _ in range(min(processes, len(waiting))):
            workers.add(Worker(events))
        while workers:
            worker, event = events.get()
            if worker not in workers:  # it was ended, its job done
                continue
            if event is None:
                workers.discard(worker)
                how = worker.end()
                if not worker.ready:
                    raise ChromeError(
                        f"a process for the runs could not start: {how}",
                        hint="what it said is above; fewer -p need less memory",
                    )
                if worker.job is not None:
                    listener(worker.job, Event("failed", message=how), worker.process.pid)
                if waiting:
                    workers.add(Worker(events))
                continue
            if event.kind == "ready":
                worker.ready = True
            elif worker.job is not None:
                listener(worker.job, event, worker.process.pid)
            if event.kind != "epoch":
                worker.job = None
                if waiting:
                    job = waiting.pop()
                    listener(job, Event("ready"), worker.process.pid)
                    worker.give(folder, job)
                else:
                    workers.discard(worker)
                    worker.end()
    finally:
        for worker in workers:
            worker.end()


def ended(code: int) -> str:
    """Say how a process ended.

    Examples
    --------
    >>> ended(-9), ended(1)
    ('killed by signal 9 (SIGKILL); out of memory?', 'its process ended with exit code 1')
    """
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    memory = "; out of memory?" if -code == signal.SIGKILL else ""
    return f"killed by signal {-code} ({name}){memory}"
