"""What makes a short program of ours start and end sooner."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def load_numba() -> None:
    """Import numba without SciPy, in half the time: for programs of our own that start often.

    numba looks for SciPy's BLAS, which its matrix products would need and our kernels do not. In
    this process no other code compiled by numba can use them either, so this is no business of the
    library.
    """
    if "scipy" in sys.modules or "numba" in sys.modules:
        return
    sys.modules["scipy"] = None  # type: ignore[assignment]
    try:
        from numba.core.registry import cpu_target

        cpu_target.target_context.refresh()
    finally:
        del sys.modules["scipy"]


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python from looking for cycles inside the block: a tenth of the start-up of `bin`.

    Only for what reads one annotation and ends: tens of thousands of genes are no garbage.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
