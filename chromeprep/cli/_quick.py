"""Getting numba ready without what the kernels do not need."""

from __future__ import annotations

import sys


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
