"""How sums over the bases of bins become means, for tracks that hold a value for each base."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.targets import Targets

Uncovered = Literal["zero", "nan"]


class Sums:
    """What the intervals of a track add up to, and the rule for what they leave uncovered.

    Parameters
    ----------
    targets
        The windows.
    uncovered
        ``zero``: bases without a value count as 0. ``nan``: they are left out of the mean, and a
        bin without any is NaN.
    path
        The file, for messages.

    Attributes
    ----------
    sums
        Of the values over the bases of each bin, shape (windows, bins), in the order of `targets`.
    covered
        Bases with a value, of the same shape.

    Examples
    --------
    >>> targets = Targets.build(["1"], np.array([0]), {"1": 30}, n_bins=4, bin_size_bp=10)
    >>> sums = Sums(targets, "nan", Path("E003.bw"))
    >>> sums.sums[0, 0], sums.covered[0, 0] = 12.0, 4
    >>> sums.means()
    array([[ 3., nan, nan,  0.]])
    """

    def __init__(self, targets: Targets, uncovered: Uncovered, path: Path) -> None:
        self.targets = targets
        self.uncovered = uncovered
        self.path = path
        shape = (targets.n_windows, targets.n_bins)
        self.sums = np.zeros(shape, dtype=np.float64)
        self.covered = np.zeros(shape, dtype=np.int32)

    def check(self) -> None:
        """Raise `SignalError` where a bin has more values than bases."""
        # Counts that left the range of 32 bits are negative.
        wrong = self.covered.view(np.uint32) > self.targets.bin_size_bp
        if wrong.any():
            row, b = (int(index[0]) for index in np.nonzero(wrong))
            chrom = int(np.searchsorted(self.targets.offsets, row, side="right")) - 1
            first = max(0, int(self.targets.starts[row]) + b * self.targets.bin_size_bp)
            end = first + self.targets.bin_size_bp
            raise overlap(self.path, f"{self.targets.chromosomes[chrom]}:{first + 1:,}-{end:,}")

    def means(self) -> NDArray[np.float64]:
        """Return the mean of each bin, in the caller's order; the sums are used up.

        A bin wholly outside its chromosome is 0, whatever is said of uncovered bases.

        Raises
        ------
        SignalError
            Where a bin has more values than bases.
        """
        self.check()
        means = self.sums
        if self.uncovered == "zero":
            means /= self.targets.bin_size_bp
        else:
            means[self.covered == 0] = np.nan
            np.divide(means, self.covered, out=means, where=self.covered > 0)
        means[~self.targets.bins_inside()] = 0
        return self.targets.in_order(means)


def mean_rule(uncovered: Uncovered) -> str:
    """Say in words how a bin gets its value."""
    bases = "all bases, uncovered as 0" if uncovered == "zero" else "covered bases"
    return f"mean over {bases}"


def infinite(path: Path, place: str, line: int | None = None) -> SignalError:
    """Make the error for an infinite value at `place`."""
    return SignalError(
        f"has an infinite value at {place}; no mean can be taken over it",
        path=path,
        line=line,
        hint="cap the track's values, such as -log10 p, at a number",
    )


def overlap(path: Path, place: str) -> SignalError:
    """Make the error for bases of `place` that have several values."""
    return SignalError(
        f"has more than one value for bases of {place}",
        path=path,
        hint="a track holds one value for each base; merge the overlapping intervals first",
    )
