"""A short program sets the interpreter up for itself, and leaves it as it was."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import pytest

from chromeprep import compiled
from chromeprep.cli._quick import short_program

THREADS = "OPENBLAS_NUM_THREADS"


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiled, "_leave_out", ())
    monkeypatch.delenv(THREADS, raising=False)
    yield
    gc.unfreeze()


def test_the_interpreter_is_as_before_afterwards() -> None:
    interval = sys.getswitchinterval()
    with short_program():
        assert not gc.isenabled()
        assert sys.getswitchinterval() < interval
        assert os.environ[THREADS] == "1"
    assert gc.isenabled()
    assert sys.getswitchinterval() == interval
    assert THREADS not in os.environ


def test_threads_that_the_user_asks_for_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS, "3")
    with short_program():
        assert os.environ[THREADS] == "3"
    assert os.environ[THREADS] == "3"


def test_what_was_made_meanwhile_is_not_looked_through() -> None:
    before = gc.get_freeze_count()
    with short_program():
        made = [[number] for number in range(10_000)]
    assert gc.get_freeze_count() >= before + len(made)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with short_program():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
