"""How do several trainings run at the same time, each in a process of its own?

A signal that ends this process ends the others as SIGTERM does: each finishes its step and keeps
its checkpoint.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, NamedTuple

from chromemodel.train.loop import Epoch
from chromeprep.errors import ChromeError


class Call(NamedTuple):
    """A function at the top of a module, which takes ``on_epoch``, and its arguments."""

    function: Callable[..., object]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


def run_calls(
    calls: Sequence[Call], processes: int, on_epoch: Callable[[int, Epoch], None]
) -> dict[int, ChromeError]:
    """Carry calls out, so many at a time, in order.

    Parameters
    ----------
    on_epoch
        Called here with the number of a call and what that said of an epoch.

    Returns
    -------
    dict
        The errors of those calls that failed, by their number.
    """
    waiting = list(reversed(list(enumerate(calls))))
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    errors: dict[int, ChromeError] = {}
    spawn = get_context("spawn")
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                number, call = waiting.pop()
                ours, theirs = spawn.Pipe(duplex=False)
                process = spawn.Process(target=_carry_out, args=(call, theirs))
                process.start()
                theirs.close()
                running[ours] = (number, process)
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                number, process = running[connection]
                try:
                    said = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    del running[connection]
                    if process.exitcode and number not in errors:
                        code = process.exitcode
                        errors[number] = ChromeError(
                            f"its process ended with exit code {code}"
                            if code > 0
                            else f"its process was killed by signal {-code}; out of memory?"
                        )
                    continue
                if isinstance(said, ChromeError):
                    errors[number] = said
                else:
                    on_epoch(number, said)
    finally:
        for _, process in running.values():
            process.terminate()
        for connection, (_, process) in running.items():
            process.join()
            connection.close()
    return errors


def _carry_out(call: Call, answers: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches our parent, which ends us
    signal.signal(signal.SIGTERM, _end)
    try:
        call.function(*call.arguments, **call.keywords, on_epoch=answers.send)
    except ChromeError as error:
        answers.send(error)
        sys.exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
