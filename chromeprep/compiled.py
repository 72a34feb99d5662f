"""How loops are compiled: three decorators over numba's, the same everywhere.

numba is imported, and the loops are compiled or read from its cache, when the first of them is
called: what needs none does not wait for it. Compiled code is kept beside the source, or where
``NUMBA_CACHE_DIR`` says, so that only the first call on a machine waits for it. A change in one
file does not compile those anew that call it: after changing a kernel, ``make clean-kernels``.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

_BORROWED = {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False}
_OWNED = {"nogil": True, "cache": True, "error_model": "numpy"}

_lock = threading.RLock()
_waiting: list[Loop] = []
_leave_out: tuple[str, ...] = ()


class Loop:
    """A function that is compiled when the first of all is called."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function, self.options = function, options
        self.compiled: Any = None
        functools.update_wrapper(self, function)
        with _lock:
            _waiting.append(self)

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function."""
        if self.compiled is None:
            load()
        return self.compiled(*arguments)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a loop that makes no arrays of its own, and runs without the interpreter's lock.

    Its arrays are borrowed from the caller: without counting references to them on every call of
    another kernel, counting reads is seven times as fast.
    """
    return Loop(function, _BORROWED)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small piece of a kernel, copied into every kernel that calls it."""
    return Loop(function, _BORROWED | {"inline": "always"})


def allocating(function: Callable[..., Any]) -> Any:
    """Compile a function that makes arrays, and runs without the interpreter's lock."""
    return Loop(function, _OWNED)


def load() -> None:
    """Import numba and make every loop ready that was defined so far."""
    with _lock:
        numba = _import_numba()
        made = {loop: numba.njit(**loop.options)(loop.function) for loop in _waiting}
        # Loops call each other by the names of their modules, where numba must find its own.
        for loop in made:
            names = loop.function.__globals__
            for name, value in list(names.items()):
                if isinstance(value, Loop):
                    names[name] = made.get(value, value.compiled)
        # Last: other threads call a loop as soon as they see it compiled.
        for loop, compiled in made.items():
            loop.compiled = compiled
        _waiting.clear()


def leave_out(*modules: str) -> None:
    """Have numba imported without modules that it looks for and our loops do not need.

    SciPy, whose BLAS is for matrix products, is half of the time, and PyYAML is for a file of
    settings. What else is compiled by numba in this process cannot use them either, so this is for
    programs of our own that start often, and no business of the library.
    """
    global _leave_out
    _leave_out = modules


def _import_numba() -> Any:
    if "numba" in sys.modules or not _leave_out:
        import numba

        return numba
    absent = [name for name in _leave_out if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        import numba
        from numba.core.registry import cpu_target

        cpu_target.target_context.refresh()  # it looks for them here, and only once
    finally:
        for name in absent:
            del sys.modules[name]
    return numba
