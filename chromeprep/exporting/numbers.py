"""Numbers as text: float32 in as few digits as read back the same, whole ones without a point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def texts(values: NDArray[np.float32]) -> NDArray[Any]:
    """Return values as strings of the same shape; NaN is empty.

    Examples
    --------
    >>> texts(np.array([3, 0.1, np.nan, 1e-7], dtype=np.float32)).tolist()
    ['3', '0.1', '', '1e-07']
    """
    unique, where = np.unique(values, return_inverse=True)
    written = np.array([_text(value) for value in unique], dtype=object)
    return np.asarray(written[where.reshape(values.shape)])


def _text(value: np.float32) -> str:
    if np.isnan(value):
        return ""
    if abs(value) < 2**24 and value == int(value):
        return str(int(value))
    return str(value)
