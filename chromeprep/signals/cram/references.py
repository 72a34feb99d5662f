"""How htslib is kept from downloading reference sequences."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Guard:
    """The state of `no_downloads`, which several threads may use at a time."""

    lock = threading.Lock()
    users = 0
    before: str | None = None


@contextmanager
def no_downloads() -> Iterator[None]:
    """Keep htslib, inside the block, from asking servers for a reference.

    It asks those of the variable REF_PATH, and where that is not set one of its own. Where the
    variable names only folders, they stay in use.
    """
    with _Guard.lock:
        _Guard.users += 1
        if _Guard.users == 1:
            _Guard.before = os.environ.get("REF_PATH")
            if not _Guard.before or "://" in _Guard.before:
                os.environ["REF_PATH"] = os.devnull
    try:
        yield
    finally:
        with _Guard.lock:
            _Guard.users -= 1
            if _Guard.users == 0:
                if _Guard.before is None:
                    del os.environ["REF_PATH"]
                else:
                    os.environ["REF_PATH"] = _Guard.before
