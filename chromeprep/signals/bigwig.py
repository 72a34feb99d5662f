"""bigWig -> mean signal in bins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import TrackInfo, check_file, quiet_stderr

_MAGIC = 0x888FFC26
_BIGBED_MAGIC = 0x8789F2EB
_MAGIC_BYTES = 4


@dataclass(frozen=True)
class BigWigTrack:
    """A bigWig file; a bin's value is the mean over its bases.

    Parameters
    ----------
    path
        The file.
    uncovered
        ``zero``: bases without a value count as 0. ``nan``: they are left out of the mean, and a
        bin without any is NaN.
    """

    path: Path
    uncovered: Literal["zero", "nan"] = "zero"
    kind: ClassVar[str] = "bigWig"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        with self._open() as track:
            chromosomes = {str(name): int(size) for name, size in (track.chroms() or {}).items()}
        if not chromosomes:
            raise SignalError("the bigWig holds no chromosome", path=self.path)
        bases = "all bases, uncovered as 0" if self.uncovered == "zero" else "covered bases"
        return TrackInfo(chromosomes, "signal", f"mean over {bases}", -1)

    def read_bins(
        self, chrom: str, starts: NDArray[np.int64], n_bins: int, bin_size_bp: int
    ) -> NDArray[np.float32]:
        """Read windows of one chromosome; see `chromeprep.signals.base.Track`."""
        width = n_bins * bin_size_bp
        bins = np.zeros((len(starts), n_bins), dtype=np.float32)
        with self._open() as track:
            length = int(track.chroms(chrom))
            for row, start in enumerate(starts.tolist()):
                values = np.zeros(width, dtype=np.float32)
                inside = slice(max(0, -start), min(width, length - start))
                if inside.start < inside.stop:
                    values[: inside.start] = values[inside.stop :] = np.nan
                    values[inside] = self._values(
                        track, chrom, start + inside.start, start + inside.stop
                    )
                    if np.isinf(values).any():
                        raise self._infinite(chrom, start + int(np.isinf(values).argmax()))
                    bins[row] = self._means(values.reshape(n_bins, bin_size_bp))
                    # A bin wholly outside is 0 whatever `uncovered` says.
                    bins[row, : inside.start // bin_size_bp] = 0
                    bins[row, -(-inside.stop // bin_size_bp) :] = 0
        return bins

    def _means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        known = ~np.isnan(values)
        sums = np.where(known, values, 0).sum(axis=1, dtype=np.float64)
        if self.uncovered == "zero":
            return np.asarray(sums / values.shape[1], dtype=np.float32)
        counts = known.sum(axis=1)
        means = np.full(len(values), np.nan, dtype=np.float32)
        np.divide(sums, counts, out=means, where=counts > 0, casting="same_kind")
        return means

    def _values(self, track: Any, chrom: str, start: int, end: int) -> NDArray[np.float32]:
        try:
            return np.asarray(track.values(chrom, start, end, numpy=True), dtype=np.float32)
        except (RuntimeError, OverflowError) as error:
            raise SignalError(
                f"damaged bigWig: cannot read {chrom}:{start + 1:,}-{end:,}",
                path=self.path,
                hint="is the download complete?",
            ) from error

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import pyBigWig

        check_file(self.path, "--bigwig")
        self._check_ends()
        with quiet_stderr():  # libBigWig prints its own lines beside the errors raised here
            try:
                track = pyBigWig.open(str(self.path))
            except RuntimeError as error:
                raise SignalError(
                    "damaged bigWig: its header or index cannot be read",
                    path=self.path,
                    hint="is the download complete?",
                ) from error
            try:
                yield track
            finally:
                track.close()

    def _check_ends(self) -> None:
        with self.path.open("rb") as handle:
            first = handle.read(_MAGIC_BYTES)
            handle.seek(-min(_MAGIC_BYTES, self.path.stat().st_size), os.SEEK_END)
            last = handle.read(_MAGIC_BYTES)
        numbers = {int.from_bytes(first, "little"), int.from_bytes(first, "big")}
        if _MAGIC not in numbers:
            what = "a bigBed" if _BIGBED_MAGIC in numbers else "not a bigWig"
            raise SignalError(f"is {what}; expected a bigWig", path=self.path)
        # libBigWig crashes on some truncated files, so they must not get that far.
        if last != first or self.path.stat().st_size <= _MAGIC_BYTES:
            raise SignalError(
                "truncated bigWig: its end mark is missing",
                path=self.path,
                hint="is the copy or download complete?",
            )

    def _infinite(self, chrom: str, position: int) -> SignalError:
        return SignalError(
            f"has an infinite value at {chrom}:{position + 1:,}; no mean can be taken over it",
            path=self.path,
            hint="cap the track's values, such as -log10 p, at a number",
        )
