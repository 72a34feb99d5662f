"""Which value has the same rank in another file?

Quantile normalisation to a reference, mark by mark. A value's rank is its mid-rank (Parzen 2004,
*Statistical Science* 19:652, "mid-distribution"): the share of smaller values and half of its own
ties. Ties so stay ties, and many exact zeros do not erase what lies above them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from chromemodel.config import Quantiles
from chromeprep.errors import RunError

Signal = NDArray[np.float32]

#: Ranks kept of a mark, evenly spaced; and in geometric steps towards each end, for the largest
#: thousandth of a signal holds much of its spread.
EVEN, ENDS = 1001, 50


def fit_quantiles(values: Signal) -> Quantiles:
    """Measure the distribution of a mark, NaN left out.

    All different values are kept where there are no more than 1,001, as of counts or calls; else
    those at 1,001 even ranks and at 50 more towards each end.

    Parameters
    ----------
    values
        Of one mark, any shape.

    Examples
    --------
    >>> fit_quantiles(np.array([0, 0, 0, 2], dtype=np.float32))
    Quantiles(level=(0.375, 0.875), value=(0.0, 2.0))
    """
    flat = values.ravel()
    ordered = np.sort(flat[~np.isnan(flat)])
    if not ordered.size:
        return Quantiles((), ())
    first = np.append(True, ordered[1:] != ordered[:-1])
    if int(first.sum()) <= EVEN:
        chosen = ordered[first]
    else:
        last = ordered.size - 1
        steps = np.geomspace(1, max(1, last / EVEN), ENDS)
        ranks = np.concatenate([np.linspace(0, last, EVEN), steps, last - steps])
        chosen = np.unique(ordered[ranks.round().astype(np.int64)])
    below = np.searchsorted(ordered, chosen, "left")
    up_to = np.searchsorted(ordered, chosen, "right")
    level = (below + up_to) / (2 * ordered.size)
    return Quantiles(tuple(level.tolist()), tuple(chosen.astype(np.float64).tolist()))


def map_quantiles(values: Signal, own: Quantiles, onto: Quantiles) -> Signal:
    """Give each value of a mark the value of the same rank elsewhere.

    The map rises and is linear between the values kept. Equal values stay equal, the order is
    kept, and NaN stays NaN. A rank below the lowest (above the highest) of `onto` gets its lowest
    (highest) value.

    Parameters
    ----------
    values
        Any shape; not changed.
    own
        Distribution of the file the values are from.
    onto
        The distribution to have; all becomes NaN where it is empty.

    Examples
    --------
    >>> source = fit_quantiles(np.array([0, 1, 2, 3], dtype=np.float32))
    >>> deeper = np.array([0, 10, 20, 30], dtype=np.float32)
    >>> map_quantiles(deeper, fit_quantiles(deeper), source).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    if not onto.value or not own.value:
        return np.full(values.shape, np.nan, dtype=np.float32)
    mapped = np.interp(own.level, onto.level, onto.value)
    found = np.interp(values, own.value, mapped).astype(np.float32)
    found[np.isnan(values)] = np.nan  # one value kept would be that of NaN, too
    return found


def write_quantiles(path: Path, marks: Sequence[str], quantiles: Sequence[Quantiles]) -> None:
    """Write distributions, two rows a mark: levels and values, in the order of `marks`."""
    tensors = {
        mark: np.array([one.level, one.value], dtype=np.float64)
        for mark, one in zip(marks, quantiles, strict=True)
    }
    save_file(tensors, path)


def read_quantiles(path: Path, marks: Sequence[str]) -> tuple[Quantiles, ...]:
    """Read what `write_quantiles` wrote.

    Raises
    ------
    RunError
        Where the file is missing, damaged, or not of these marks.
    """
    if not path.is_file():
        raise RunError(f"{path.name} is missing", path=path.parent, hint="train again")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise RunError("is cut short or damaged", path=path, hint="train again") from error
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror or error}", path=path) from error
    for mark in marks:
        if mark not in tensors or tensors[mark].ndim != 2 or len(tensors[mark]) != 2:
            raise RunError(f"does not hold the quantiles of {mark}", path=path, hint="train again")
    return tuple(Quantiles(*(tuple(row.tolist()) for row in tensors[mark])) for mark in marks)
