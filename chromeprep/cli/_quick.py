"""What makes a program of ours that reads files in threads and then ends start and end sooner."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chromeprep.compiled import leave_out

_SWITCH_S = 0.0005


@contextmanager
def short_program() -> Iterator[None]:
    """Set the interpreter up for the time of a block.

    - numba is imported without what it looks for and we do not need.
    - Python does not look for cycles, a tenth of the start-up of `bin`: tens of thousands of genes
      that are read once are no garbage.
    - A thread that inflates waits half a millisecond, not five, for one that imports or parses.
    """
    leave_out("scipy", "yaml")
    enabled, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if enabled:
            # Or all that was made meanwhile would be looked through now, just before the end.
            gc.freeze()
            gc.enable()
