"""How loops are compiled: three decorators over numba's, the same everywhere.

Compiled code is kept beside the source, or where ``NUMBA_CACHE_DIR`` says, so that only the first
call on a machine waits for it. A change in one file does not compile those anew that call it: after
changing a kernel, ``make clean-kernels``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a loop that makes no arrays of its own, and runs without the interpreter's lock.

    Its arrays are borrowed from the caller: without counting references to them on every call of
    another kernel, counting reads is seven times as fast.
    """
    return numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small piece of a kernel, copied into every kernel that calls it."""
    return numba.njit(
        nogil=True, cache=True, error_model="numpy", _nrt=False, inline="always"
    )(function)  # fmt: skip


def allocating(function: Callable[..., Any]) -> Any:
    """Compile a function that makes arrays, and runs without the interpreter's lock."""
    return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
