"""Signals wait for the end of a step, and only there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from chromemodel.train.interrupts import SIGNALS, held_back


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_waits_until_it_is_let_through() -> None:
    seen: list[str] = []

    def steps() -> None:
        with held_back() as let_through:
            let_through()
            signal.raise_signal(signal.SIGINT)
            seen.append("step")
            let_through()
            seen.append("next step")

    with pytest.raises(KeyboardInterrupt):
        steps()
    assert seen == ["step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_through_at_the_end_of_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_does_not_wait() -> None:
    seen: list[str] = []

    def steps() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            seen.append("first")
            signal.raise_signal(signal.SIGINT)
            seen.append("second")

    with pytest.raises(KeyboardInterrupt):
        steps()
    assert seen == ["first"]


def test_what_python_does_not_handle_is_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with held_back():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_handle_none() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with held_back() as let_through:
                let_through()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures
