"""How does signal with few different values take a byte or two a value, and lose nothing?

Counts and calls have few different values, and so they have after any normalisation: it gives
equal values of a mark in a file an equal value. A code stands for each, and a table says what it is
worth to the model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.data.normalise import Signal

#: How many different values of a mark in a file codes of two bytes tell apart.
MOST = 2**16
# So many are looked at before all are sorted.
_GLANCE = 200_000

Codes = NDArray[np.uint8] | NDArray[np.uint16]


class Coded(NamedTuple):
    """Signal in codes: (genes, marks, bins) of one or two bytes, and the value of each by mark."""

    codes: Codes
    tables: tuple[Signal, ...]

    def decoded(self) -> Signal:
        """Return the signal, (genes, marks, bins)."""
        return np.stack(
            [table[self.codes[:, mark]] for mark, table in enumerate(self.tables)], axis=1
        )


def encode(raw: Signal, signal: Signal) -> Coded | int:
    """Return normalised signal in codes; or the first mark that has too many values for it.

    Parameters
    ----------
    raw, signal
        Of a file before and after normalisation, (genes, marks, bins) both.

    Examples
    --------
    >>> raw = np.array([[[0, 3, 0]], [[7, 0, np.nan]]], dtype=np.float32)
    >>> coded = encode(raw, np.nan_to_num(raw / 2))
    >>> coded.codes.dtype.name, coded.codes[0].tolist(), coded.decoded()[0].tolist()
    ('uint8', [[0, 3, 0]], [[0.0, 1.5, 0.0]])
    """
    found, tables = [], []
    for mark in range(raw.shape[1]):
        after = signal[:, mark]
        own = _codes(raw[:, mark])
        if own is None:
            return mark
        table = np.zeros(int(own.max(initial=0)) + 1, dtype=np.float32)
        table[own] = after
        # Compared as bits, for 0 and -0 are equal and yet two values.
        if not np.array_equal(table[own].view(np.uint32), after.view(np.uint32)):
            return mark
        found.append(own)
        tables.append(table)
    codes = np.stack(found, axis=1)
    small = all(len(table) <= 256 for table in tables)
    return Coded(codes.astype(np.uint8) if small else codes, tuple(tables))


def _codes(values: Signal) -> NDArray[np.uint16] | None:
    """Return a code (genes, bins) for each value of a mark; None where there are too many."""
    known = ~np.isnan(values)
    least, most = (way(values, where=known, initial=0) for way in (np.min, np.max))
    # A whole number is its own code; the one after the largest is that of NaN.
    if least >= 0 and most < MOST - 1:
        codes = np.where(known, values, most + 1).astype(np.uint16)
        if np.array_equal(codes[known], values[known]):
            return codes
    if len(np.unique(values.reshape(-1)[:_GLANCE])) > MOST:
        return None
    different = np.unique(values)
    if len(different) > MOST:
        return None
    return np.searchsorted(different, values).astype(np.uint16)
