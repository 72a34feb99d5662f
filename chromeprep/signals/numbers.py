"""Little-endian numbers at any place of a run of bytes, compiled to single loads.

The places are made unsigned first: the check for negative ones would keep the compiler from
putting the bytes together. No place may lie beyond the end of the bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import inlined

_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_8, _16, _24 = np.uint32(8), np.uint32(16), np.uint32(24)


@inlined
def u8(data: NDArray[np.uint8], at: int) -> int:
    """Read a byte."""
    value: Any = np.int64(data[np.uint64(at)])
    return value  # type: ignore[no-any-return]


@inlined
def u16(data: NDArray[np.uint8], at: int) -> int:
    """Read an unsigned number of 2 bytes."""
    place = np.uint64(at)
    value: Any = np.int64(np.uint32(data[place]) | np.uint32(data[place + _1]) << _8)
    return value  # type: ignore[no-any-return]


@inlined
def u32(data: NDArray[np.uint8], at: int) -> int:
    """Read an unsigned number of 4 bytes."""
    place = np.uint64(at)
    value: Any = np.int64(
        np.uint32(data[place])
        | np.uint32(data[place + _1]) << _8
        | np.uint32(data[place + _2]) << _16
        | np.uint32(data[place + _3]) << _24
    )
    return value  # type: ignore[no-any-return]


@inlined
def i32(data: NDArray[np.uint8], at: int) -> int:
    """Read a signed number of 4 bytes."""
    value: Any = np.int64(np.int32(u32(data, at)))
    return value  # type: ignore[no-any-return]
