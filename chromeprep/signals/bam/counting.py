"""Which blocks of a BAM are read, in which thread, and how their records are counted."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.bam import kernels as kernel
from chromeprep.signals.bam.index import BamIndex
from chromeprep.signals.base import Tick
from chromeprep.signals.bgzf import find_blocks, inflate, inflate_ahead, inflate_copy
from chromeprep.signals.reads import ReadRule
from chromeprep.signals.targets import Targets

_CHUNK_BYTES = 256 << 10  # compressed, inflated at a time: what comes of it stays in the cache
_GO_ON_BYTES = 1  # a block at a time where alignments go on longer than the index says
_NEAR_BYTES = 32 << 10  # about two blocks: places this close in the file are read as one
_SIZE_AND_PLACE = struct.Struct("<3i")  # how a record begins: its size, chromosome and first base


class _Stretch(NamedTuple):
    """Consecutive alignments of a file, and the windows that they may count in."""

    begin: int  # virtual offset of the first alignment
    n_bytes: int  # compressed, as far as the index knows
    before: int  # base that the first alignment begins before
    reference: int  # number of the chromosome in the file
    beyond: int  # base to stop at
    low: int
    high: int


class BamCounter:
    """Counts the alignments of one file.

    Parameters
    ----------
    path
        For messages.
    rule
        How reads are counted.
    data
        The file, as bytes.
    chromosomes
        Names in the order of its header.
    targets
        The windows.
    """

    def __init__(
        self,
        path: Path,
        rule: ReadRule,
        data: NDArray[np.uint8],
        chromosomes: list[str],
        targets: Targets,
    ) -> None:
        self._path = path
        self._rule = rule
        self._data = data
        self._targets = targets
        self._references = {name: number for number, name in enumerate(chromosomes)}
        wanted = {name: number for number, name in enumerate(targets.chromosomes)}
        self._chrom_of = np.array([wanted.get(name, -1) for name in chromosomes], dtype=np.int64)
        self._counts = np.zeros((targets.n_windows, targets.n_bins), dtype=np.int32)
        extend = -1 if rule.extend_bp is None else rule.extend_bp
        self._how = (
            rule.code, extend, rule.min_mapq, rule.exclude_flags, targets.lengths, targets.offsets,
            targets.starts, targets.tiles, targets.tile_offsets, targets.bin_size_bp, self._counts,
        )  # fmt: skip

    def values(self) -> NDArray[np.int32] | NDArray[np.float64]:
        """Return the bins, shape (windows, bins), in the caller's order of the windows."""
        counts = self._targets.in_order(self._counts)
        return counts / self._targets.bin_size_bp if self._rule.count == "coverage" else counts

    def read_whole(self, block: int, rest: bytes, threads: int, tick: Tick) -> tuple[int, int]:
        """Read every alignment, and return how many were counted and how many are mapped.

        Parameters
        ----------
        block
            Offset of the first block to read.
        rest
            What comes before it, inflated.
        """
        tally = np.zeros(3, dtype=np.int64)
        left = np.frombuffer(rest, dtype=np.uint8)
        place = 0
        tick(block / len(self._data))
        for part, n_bytes in inflate_ahead(self._data, block, _CHUNK_BYTES, threads, self._path):
            left = np.concatenate((left, part)) if len(left) else part
            at = self._count(left, 0, tally)
            if tally[kernel.STATE] == kernel.DAMAGED:
                raise self._damaged(f"after byte {place:,}")
            left = left[at:]
            place += n_bytes
            tick(n_bytes / len(self._data))
        if len(left):
            raise self._damaged("the last one is cut off")
        return int(tally[kernel.COUNTED]), int(tally[kernel.MAPPED])

    def read_under_windows(self, index: BamIndex, threads: int, tick: Tick) -> None:
        """Read the alignments that the index leads to."""
        stretches = list(self._stretches(index))
        total = sum(stretch.n_bytes for stretch in stretches)
        if not stretches:
            tick(1.0)

        def read(share: list[_Stretch]) -> None:
            with self._path.open("rb", buffering=0) as file:
                for stretch in share:
                    self._read_stretch(file.fileno(), stretch, index)
                    tick(stretch.n_bytes / total)

        if threads == 1:
            read(stretches)
            return
        with ThreadPoolExecutor(threads) as pool:
            # Each has windows of its own, so the threads never write to the same bin.
            work = [pool.submit(read, share) for share in _shares(stretches, 8 * threads)]
            try:
                for future in work:
                    future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _stretches(self, index: BamIndex) -> Iterator[_Stretch]:
        """Yield what of the file is to be read, places that lie close together as one."""
        targets, reach = self._targets, self._rule.reach_bp
        for chrom, name in enumerate(targets.chromosomes):
            reference = self._references[name]
            tiles, runs = index.tiles[reference], targets.runs(chrom)
            first = np.maximum(runs.first - reach, 0) >> index.shift
            some = first < len(tiles)  # no alignment lies beyond
            if not some.any():
                continue
            begins = tiles[first[some]]
            # The last tile is seldom wanted whole: it is read on from its start as far as needed.
            beyond = runs.end[some] + reach
            after = beyond >> index.shift
            ends = np.append(tiles, index.ends[reference])[np.minimum(after, len(tiles))]
            done = (np.maximum.accumulate(np.maximum(begins, ends)) >> 16) + 1
            far = (begins[1:] >> 16) > done[:-1] + _NEAR_BYTES
            heads = np.append(0, np.flatnonzero(far) + 1)
            lasts = np.append(heads[1:] - 1, len(begins) - 1)
            begins = begins[heads]
            # Tiles without alignments share the offset of their neighbours.
            before = np.searchsorted(tiles, begins, side="right") << index.shift
            columns = (
                begins, done[lasts] - (begins >> 16), before, beyond[lasts],
                runs.low[some][heads], runs.high[some][lasts],
            )  # fmt: skip
            at, n_bytes, until, *rest = (column.tolist() for column in columns)
            yield from map(_Stretch, at, n_bytes, until, repeat(reference), *rest)

    def _read_stretch(self, file: int, stretch: _Stretch, index: BamIndex) -> None:
        data, path = self._data, self._path
        tally = np.zeros(3, dtype=np.int64)
        block, at = stretch.begin >> 16, stretch.begin & 0xFFFF
        end = block + stretch.n_bytes
        left = np.empty(0, dtype=np.uint8)
        begun = False
        while block < len(data):
            n_bytes = min(end - block, _CHUNK_BYTES) if block < end else _GO_ON_BYTES
            found = inflate_copy(file, block, n_bytes)
            if found is None:
                try:
                    blocks = find_blocks(data, block, n_bytes, path)
                except SignalError as error:
                    raise error if begun else self._misfit(index) from error
                found = inflate(data, blocks, path), blocks.end
            part, block = found
            if begun:
                left, at = np.concatenate((left[at:], part)) if at < len(left) else part, 0
            elif _fits(part, at, stretch):
                left, begun = part, True
            else:
                raise self._misfit(index)
            at = self._count(left, at, tally, stretch)
            if tally[kernel.STATE] == kernel.DAMAGED:
                raise self._damaged(f"between bytes {stretch.begin >> 16:,} and {block:,}")
            if tally[kernel.STATE] == kernel.DONE:
                return
        if at < len(left):
            raise self._damaged("the last one is cut off")

    def _count(
        self,
        data: NDArray[np.uint8],
        at: int,
        tally: NDArray[np.int64],
        stretch: _Stretch | None = None,
    ) -> int:
        within = (-1, 0, 0, 0) if stretch is None else stretch[3:]
        return int(kernel.count_records(data, at, self._chrom_of, *within, *self._how, tally))

    def _damaged(self, what: str) -> SignalError:
        return SignalError(
            f"damaged BAM: an alignment cannot be read ({what})",
            path=self._path,
            hint=f"check it: samtools quickcheck -v {self._path}; samtools view -c {self._path}",
        )

    def _misfit(self, index: BamIndex) -> SignalError:
        return SignalError(
            f"its index {index.path.name} does not fit the file: no alignment begins where it says",
            path=self._path,
            hint=f"samtools index {self._path}",
        )


def _fits(data: NDArray[np.uint8], at: int, stretch: _Stretch) -> bool:
    """Say whether an alignment of the right chromosome begins where the index says."""
    if at + 36 > len(data):
        # Cut off by the end of what was read: what follows will tell.
        return at < max(len(data), 1)
    size, reference, first = _SIZE_AND_PLACE.unpack_from(cast(Any, data), at)
    return bool(size >= 32 and reference == stretch.reference and 0 <= first < stretch.before)


def _shares(stretches: list[_Stretch], count: int) -> list[list[_Stretch]]:
    """Cut a list of stretches into at most `count` lists of about as many bytes each."""
    total = sum(stretch.n_bytes for stretch in stretches)
    shares: list[list[_Stretch]] = []
    filled = 0
    for stretch in stretches:
        if not shares or filled >= len(shares) * total / count:
            shares.append([])
        shares[-1].append(stretch)
        filled += stretch.n_bytes
    return shares
