"""What makes a program of ours that reads files in threads and then ends start and end sooner."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chromeprep.compiled import leave_out

_SWITCH_S = 0.0005
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


@contextmanager
def short_program() -> Iterator[None]:
    """Set the interpreter up for the time of a block.

    - numba is imported without what it looks for and we do not need.
    - Python does not look for cycles, a tenth of the start-up of `bin`: tens of thousands of genes
      that are read once are no garbage.
    - numpy, where it is imported within, starts no threads for matrix products, which we have none
      of: they spin a while.
    - A thread that inflates waits half a millisecond, not five, for one that imports or parses.
    """
    leave_out("scipy", "yaml")
    enabled, interval = gc.isenabled(), sys.getswitchinterval()
    asked = _BLAS_THREADS in os.environ
    os.environ.setdefault(_BLAS_THREADS, "1")
    gc.disable()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if not asked:
            os.environ.pop(_BLAS_THREADS, None)
        if enabled:
            # Or all that was made meanwhile would be looked through now, just before the end.
            gc.freeze()
            gc.enable()
