"""How does Ctrl-C wait for the end of a step?"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Hold SIGINT and SIGTERM back inside the block; the function given lets them through.

    What a signal does then is what it did before: an interrupt raises `KeyboardInterrupt`. A second
    signal is not held back. Signals that no function of Python handles are left alone, and so are
    all of them in other threads than the main one, which alone can handle any.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = {number: handler for number, handler in before.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        mine = {}
    waiting: list[tuple[int, FrameType | None]] = []

    def give_back() -> None:
        for number, handler in mine.items():
            signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        give_back()
        waiting.append((number, frame))

    def let_through() -> None:
        if waiting:
            number, frame = waiting.pop()
            mine[signal.Signals(number)](number, frame)

    for number in mine:
        signal.signal(number, hold)
    try:
        yield let_through
    finally:
        give_back()
        let_through()
