"""The windows wanted of a track, laid out so that those under an interval are found at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", bound=np.generic)

TILE_SHIFT = 14  # tiles of 16,384 bases, as in the linear index of BAM


class Span(NamedTuple):
    """A run of windows of one chromosome that overlap or nearly touch.

    Attributes
    ----------
    chrom
        Number of the chromosome in `Targets.chromosomes`.
    first, end
        Bases that the windows reach, inside the chromosome, 0-based half-open.
    low, high
        The windows, as rows of `Targets.starts`.
    """

    chrom: int
    first: int
    end: int
    low: int
    high: int


class Runs(NamedTuple):
    """Spans of one chromosome, by position: the columns of `Span`, each of shape (spans,)."""

    first: NDArray[np.int64]
    end: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


class Targets(NamedTuple):
    """Windows by chromosome and position; made with `build`.

    Attributes
    ----------
    chromosomes
        Names, in the order of their first window.
    lengths
        Of the chromosomes in bp, shape (chromosomes,).
    offsets
        Rows of `starts` that belong to chromosome c: ``offsets[c]`` up to ``offsets[c + 1]``.
    starts
        First base of each window, ascending in each chromosome, shape (windows,); windows may
        overlap and leave the chromosome.
    order
        Row of each window in the caller's order, shape (windows,).
    tiles
        The first window that ends beyond the start of each tile of 16 kb; the tiles of chromosome
        c begin at ``tile_offsets[c]``.
    tile_offsets
        Shape (chromosomes + 1,).
    n_bins, bin_size_bp
        Of every window.
    """

    chromosomes: tuple[str, ...]
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    order: NDArray[np.int64]
    tiles: NDArray[np.int64]
    tile_offsets: NDArray[np.int64]
    n_bins: int
    bin_size_bp: int

    @classmethod
    def build(
        cls,
        chrom: Sequence[str] | NDArray[np.object_],
        starts: NDArray[np.int64],
        lengths: Mapping[str, int],
        n_bins: int,
        bin_size_bp: int,
    ) -> Self:
        """Lay windows out.

        Parameters
        ----------
        chrom
            Chromosome of each window, as the track names it, shape (windows,).
        starts
            First base of each window, 0-based, shape (windows,), in any order.
        lengths
            Of each chromosome in bp.

        Examples
        --------
        >>> lengths = {"1": 99, "2": 50}
        >>> targets = Targets.build(["2", "1", "1"], np.array([5, 70, 10]), lengths, 2, 10)
        >>> targets.chromosomes, targets.starts.tolist(), targets.order.tolist()
        (('2', '1'), [5, 10, 70], [0, 2, 1])
        """
        names = tuple(dict.fromkeys(str(name) for name in chrom))
        numbers = {name: number for number, name in enumerate(names)}
        codes = np.array([numbers[str(name)] for name in chrom], dtype=np.int64)
        order = np.lexsort((starts, codes)).astype(np.int64)
        offsets = np.searchsorted(codes[order], np.arange(len(names) + 1)).astype(np.int64)
        ordered = np.asarray(starts, dtype=np.int64)[order]
        sizes = np.array([lengths[name] for name in names], dtype=np.int64)
        width = n_bins * bin_size_bp
        tiles = []
        for low, high, size in zip(offsets[:-1], offsets[1:], sizes, strict=True):
            edges = np.arange((size >> TILE_SHIFT) + 1) << TILE_SHIFT
            tiles.append(low + np.searchsorted(ordered[low:high] + width, edges, side="right"))
        counts = np.array([0, *map(len, tiles)], dtype=np.int64)
        return cls(
            names,
            sizes,
            offsets,
            ordered,
            order,
            np.concatenate(tiles).astype(np.int64) if tiles else np.zeros(0, dtype=np.int64),
            np.cumsum(counts),
            n_bins,
            bin_size_bp,
        )

    @property
    def n_windows(self) -> int:
        """How many windows there are."""
        return len(self.starts)

    @property
    def width_bp(self) -> int:
        """Bases of a window."""
        return self.n_bins * self.bin_size_bp

    def spans(self, gap_bp: int = 0) -> Iterator[Span]:
        """Yield runs of windows at most `gap_bp` apart, by chromosome and position.

        Windows wholly outside their chromosome are in no span.

        Examples
        --------
        >>> targets = Targets.build(["1"] * 3, np.array([300, 0, 50]), {"1": 310}, 10, 10)
        >>> for span in targets.spans():
        ...     print(span)
        Span(chrom=0, first=0, end=150, low=0, high=2)
        Span(chrom=0, first=300, end=310, low=2, high=3)
        """
        for chrom in range(len(self.chromosomes)):
            columns = (column.tolist() for column in self.runs(chrom, gap_bp))
            yield from map(Span._make, zip(repeat(chrom), *columns, strict=False))

    def runs(self, chrom: int, gap_bp: int = 0) -> Runs:
        """Return the spans of a chromosome as columns; see `spans`.

        Parameters
        ----------
        chrom
            Number of the chromosome in `chromosomes`.
        """
        low, high = int(self.offsets[chrom]), int(self.offsets[chrom + 1])
        length, starts = self.lengths[chrom], self.starts[low:high]
        rows = low + np.flatnonzero((starts < length) & (starts + self.width_bp > 0))
        starts = self.starts[rows]
        apart = np.diff(starts) > self.width_bp + gap_bp
        begins = np.flatnonzero(np.concatenate((np.ones(min(len(rows), 1), dtype=bool), apart)))
        lasts = np.append(begins[1:], len(rows))[: len(begins)] - 1
        return Runs(
            np.maximum(starts[begins], 0),
            np.minimum(starts[lasts] + self.width_bp, length),
            rows[begins],
            rows[lasts] + 1,
        )

    def in_order(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """Return values of shape (windows, bins) from the order here to the caller's."""
        out = np.empty_like(values)
        out[self.order] = values
        return out

    def bins_inside(self) -> NDArray[np.bool_]:
        """Say which bins touch their chromosome, shape (windows, bins), in the order here."""
        edges = self.starts[:, None] + np.arange(self.n_bins) * self.bin_size_bp
        lengths = np.repeat(self.lengths, np.diff(self.offsets))[:, None]
        return np.asarray((edges + self.bin_size_bp > 0) & (edges < lengths))
