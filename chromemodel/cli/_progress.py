"""How far is a benchmark, what runs now, and how long will it take? Told on stderr."""

from __future__ import annotations

import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from chromemodel.benchmark.jobs import Job
    from chromemodel.benchmark.run import Plan
    from chromemodel.benchmark.worker import Event


#: Seconds between two lines on a terminal where only an epoch ended.
_PAUSE = 0.2


class Running:
    """A run that is under way, when it began, and its last word."""

    def __init__(self, job: Job, started: float) -> None:
        self.job, self.started = job, started
        self.event: Event | None = None


class Progress:
    """Listens to a benchmark: one line rewritten on a terminal, else one for each finished run.

    Parameters
    ----------
    processes
        How many runs there are at the same time.
    stream
        Where to write; stderr by default.
    clock
        Seconds from any moment.
    """

    def __init__(
        self,
        processes: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.processes = processes
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.clock = clock
        self.done = self.failed = self.total = 0
        self.drawn = -_PAUSE
        self.waiting: list[Job] = []
        self.running: dict[str, Running] = {}
        self._seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._rates: list[float] = []

    def __call__(self, told: Plan | tuple[Job, Event, int]) -> None:
        """Tell of the plan, or of an event."""
        if len(told) == 2:
            self._begin(told)
        else:
            job, event, _ = told
            self._hear(job, event)
            if event.kind == "epoch" and self.clock() - self.drawn < _PAUSE:
                return
        if self.live:
            self.drawn = self.clock()
            self._line()

    def close(self) -> None:
        """End the line."""
        if self.live and self.total:
            click.echo("", file=self.stream)

    def seconds_left(self) -> float | None:
        """Return a guess of how long the rest takes; None where nothing is known.

        A model's runs take what those of the same model and method took on average; where there is
        none yet, its epochs or a guess beside the other models.
        """
        now = self.clock()
        rest = [self._expected(job) for job in self.waiting]
        for one in self.running.values():
            whole, spent = self._expected(one.job, one), now - one.started
            rest.append(None if whole is None else max(whole - spent, 0.0))
        known = [value for value in rest if value is not None]
        if len(known) < len(rest):
            return None
        return max([sum(known) / self.processes, *known], default=0.0)

    def _begin(self, plan: Plan) -> None:
        self.waiting = list(plan.jobs)
        self.total = len(plan.jobs) + len(plan.kept)
        self.done = len(plan.kept)
        for job, seconds in plan.kept:
            self._learn(job, seconds)
        kept = f", {self.done} of them finished earlier and kept" if self.done else ""
        noun = "run" if self.total == 1 else "runs"
        click.echo(f"{self.total} {noun}{kept}; {self.processes} at a time", file=self.stream)

    def _hear(self, job: Job, event: Event) -> None:
        if event.kind == "ready":
            self.waiting = [one for one in self.waiting if one.key != job.key]
            self.running[job.key] = Running(job, self.clock())
        elif event.kind == "epoch":
            self.running[job.key].event = event
        else:
            seconds = self.clock() - self.running.pop(job.key).started
            self.done += event.kind == "done"
            self.failed += event.kind == "failed"
            if event.kind == "done":
                self._learn(job, seconds)
            if not self.live or event.kind == "failed":
                self._tell_end(job, event, seconds)

    def _tell_end(self, job: Job, event: Event, seconds: float) -> None:
        words = f"{self.done + self.failed}/{self.total} {job.words}: "
        words += "done" if event.kind == "done" else f"FAILED: {event.message}"
        left = self.seconds_left()
        words += f" ({duration(seconds)}"
        words += f"; {duration(left)} left)" if left else ")"
        start = "\r\033[K" if self.live else ""
        click.echo(start + words, file=self.stream)

    def _learn(self, job: Job, seconds: float) -> None:
        self._seconds[job.model, job.method].append(seconds)
        self._rates.append(seconds / job.cost)

    def _expected(self, job: Job, running: Running | None = None) -> float | None:
        seconds = self._seconds.get((job.model, job.method))
        if seconds:
            return sum(seconds) / len(seconds)
        if running is None:
            alike = (job.model, job.method)
            same = (r for r in self.running.values() if (r.job.model, r.job.method) == alike)
            running = next((one for one in same if one.event is not None), None)
        if running is not None and running.event is not None and running.event.epochs:
            spent = self.clock() - running.started
            return spent * running.event.epochs / max(running.event.epoch, 1)
        if self._rates:
            return job.cost * sum(self._rates) / len(self._rates)
        return None

    def _line(self) -> None:
        words = f"{self.done + self.failed}/{self.total} runs"
        if self.failed:
            words += f", {self.failed} failed"
        left = self.seconds_left()
        if left:
            words += f", {duration(left)} left"
        for one in self.running.values():
            words += f" | {one.job.words}"
            if one.event is not None:
                phase = f"{one.event.phase} " if one.event.phase else ""
                words += f", {phase}epoch {one.event.epoch}/{one.event.epochs}"
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\033[K{words[:width]}", file=self.stream, nl=False)


def duration(seconds: float) -> str:
    """Return a time in words.

    Examples
    --------
    >>> duration(7.4), duration(260), duration(9000)
    ('7 s', '4 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
