"""What is the spread of a mark's signal over all genes and bins?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class MarkStatistics(NamedTuple):
    """Summary of one mark; NaN values are left out; all NaN where nothing is left."""

    mean: float
    std: float
    p50: float
    p99: float
    fraction_nonzero: float


def mark_statistics(values: NDArray[np.float32]) -> MarkStatistics:
    """Summarise the signal of one mark, in double precision.

    Parameters
    ----------
    values
        Shape (genes, bins) or any other; NaN is left out.

    Examples
    --------
    >>> mark_statistics(np.array([0, 0, 2, 2, np.nan], dtype=np.float32))
    MarkStatistics(mean=1.0, std=1.0, p50=1.0, p99=2.0, fraction_nonzero=0.5)
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if not known.size:
        return MarkStatistics(*[float("nan")] * 5)
    p50, p99 = np.percentile(known, [50, 99])
    return MarkStatistics(
        mean=float(known.mean()),
        std=float(known.std()),
        p50=float(p50),
        p99=float(p99),
        fraction_nonzero=float(np.count_nonzero(known) / known.size),
    )
