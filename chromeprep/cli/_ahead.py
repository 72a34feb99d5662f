"""How is work done in a process of its own, while this one is busy with imports?"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, NoReturn, TypeVar

_Result = TypeVar("_Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ahead(
    work: Callable[[], _Result], meanwhile: Callable[[], object] | None = None
) -> Iterator[Callable[[], _Result]]:
    """Begin some work in a child process, and give what waits for its result.

    Where no result comes, because there can be no child or it failed or was killed, the work is
    done when it is asked for, in this process: errors are then raised as if there were no child.
    At the end of the block the child is ended.

    Parameters
    ----------
    work
        Without arguments; it logs nothing, and what it returns can be pickled.
    meanwhile
        Called in a thread while the child is waited for; its errors are nobody's business.
    """
    if not _can_fork():
        yield work
        return
    child = _Child(work, meanwhile)
    try:
        yield child.result
    finally:
        child.end()


def _can_fork() -> bool:
    """Say whether this process may go on as two.

    Locks that other threads hold stay locked in a child for ever, and numpy starts threads when it
    is imported. The libraries of macOS do not bear a fork at all.
    """
    return sys.platform == "linux" and "numpy" not in sys.modules and threading.active_count() == 1


class _Child(Generic[_Result]):
    """A process that does some work, sends what came of it and ends with 0."""

    def __init__(self, work: Callable[[], _Result], meanwhile: Callable[[], object] | None) -> None:
        self._work, self._meanwhile = work, meanwhile
        self._pid = 0
        reading, writing = os.pipe()
        self._pipe = os.fdopen(reading, "rb")
        # A Ctrl-C is for the parent, which ends its child: it must not meet our handlers there.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with suppress(OSError):  # too many processes: then there is no child
                self._pid = os.fork()
                if not self._pid:
                    _be_child(work, writing)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(writing)

    def result(self) -> _Result:
        """Wait for the result."""
        if self._meanwhile is not None:
            threading.Thread(target=_quietly, args=(self._meanwhile,)).start()
        sent = self._pipe.read()
        if not self._pid or self._wait():
            return self._work()
        found: _Result = pickle.loads(sent)
        return found

    def end(self) -> None:
        """End the process if it is still there."""
        self._pipe.close()
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._wait()

    def _wait(self) -> int:
        try:
            _, status = os.waitpid(self._pid, 0)
        except ChildProcessError:  # whoever started us wants no children waited for
            status = 1
        self._pid = 0
        return status


def _be_child(work: Callable[[], object], writing: int) -> NoReturn:
    """Do the work and leave without a word: the parent says what there is to say."""
    code = 1
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        # Whoever reads our output must not wait for a child that outlives a killed parent.
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        found = work()
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(found, pipe, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _quietly(work: Callable[[], object]) -> None:
    with suppress(Exception):
        work()
