"""Which blocks of a BAM are read, in which thread, and how their records are counted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import compress, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.bam import kernels as kernel
from chromeprep.signals.bam.index import BamIndex
from chromeprep.signals.base import Tick
from chromeprep.signals.bgzf import find_blocks, inflate, inflate_ahead
from chromeprep.signals.reads import ReadRule
from chromeprep.signals.targets import Span, Targets

_CHUNK_BYTES = 256 << 10  # compressed, inflated at a time: what comes of it stays in the cache
_GO_ON_BYTES = 1  # a block at a time where alignments go on longer than the index says
_NEAR_BYTES = 32 << 10  # about two blocks: places this close in the file are read as one


class _Stretch(NamedTuple):
    """Consecutive alignments of a file, and the windows that they may count in."""

    begin: int  # virtual offset of the first alignment
    n_bytes: int  # compressed, as far as the index knows
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
            for stretch in share:
                self._read_stretch(stretch, index)
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
        for chrom, group in groupby(self._targets.spans(), key=lambda span: span.chrom):
            reference = self._references[self._targets.chromosomes[chrom]]
            last: _Stretch | None = None
            for span, beyond, begin, end in self._places(list(group), index, reference):
                n_bytes = max((end >> 16) - (begin >> 16), 0) + 1
                if last is not None:
                    done = (last.begin >> 16) + last.n_bytes
                    if begin >> 16 <= done + _NEAR_BYTES:
                        n_bytes = max((end >> 16) + 1, done) - (last.begin >> 16)
                        last = last._replace(n_bytes=n_bytes, beyond=beyond, high=span.high)
                        continue
                    yield last
                last = _Stretch(begin, n_bytes, reference, beyond, span.low, span.high)
            if last is not None:
                yield last

    def _places(
        self, spans: list[Span], index: BamIndex, reference: int
    ) -> Iterator[tuple[Span, int, int, int]]:
        """Yield spans of a chromosome, base to stop at, virtual offsets to begin and to end at."""
        tiles, reach = index.tiles[reference], self._rule.reach_bp
        first = np.maximum(np.array([span.first for span in spans]) - reach, 0) >> index.shift
        beyond = np.array([span.end for span in spans]) + reach
        # The last tile is seldom wanted whole: it is read on from its start as far as needed.
        after = beyond >> index.shift
        ends = np.full(len(spans), index.ends[reference])
        ends[after < len(tiles)] = tiles[after[after < len(tiles)]]
        some = first < len(tiles)  # no alignment lies beyond
        begins = tiles[first[some]].tolist()
        return zip(
            compress(spans, some), beyond[some].tolist(), begins, ends[some].tolist(), strict=True
        )

    def _read_stretch(self, stretch: _Stretch, index: BamIndex) -> None:
        data, path = self._data, self._path
        tally = np.zeros(3, dtype=np.int64)
        block, skip = stretch.begin >> 16, stretch.begin & 0xFFFF
        end = block + stretch.n_bytes
        left = np.empty(0, dtype=np.uint8)
        begun = False
        while block < len(data):
            n_bytes = min(end - block, _CHUNK_BYTES) if block < end else _GO_ON_BYTES
            try:
                blocks = find_blocks(data, block, n_bytes, path)
            except SignalError as error:
                raise error if begun else self._misfit(index) from error
            part = inflate(data, blocks, path)
            block = blocks.ends[-1]
            left = np.concatenate((left, part)) if len(left) else part
            if not begun:
                if skip >= max(len(left), 1):
                    raise self._misfit(index)
                if not self._fits(left, skip, stretch, index):
                    raise self._misfit(index)
                left, begun = left[skip:], True
            at = self._count(left, 0, tally, stretch)
            if tally[kernel.STATE] == kernel.DAMAGED:
                raise self._damaged(f"between bytes {stretch.begin >> 16:,} and {block:,}")
            if tally[kernel.STATE] == kernel.DONE:
                return
            left = left[at:]
        if len(left):
            raise self._damaged("the last one is cut off")

    def _fits(self, data: NDArray[np.uint8], at: int, stretch: _Stretch, index: BamIndex) -> bool:
        """Say whether an alignment of the right chromosome begins where the index says."""
        if at + 36 > len(data):
            return True  # cut off by the end of what was read: what follows will tell
        size, reference, first = (int(value) for value in data[at : at + 12].view("<i4"))
        if size < 32 or reference != stretch.reference or first < 0:
            return False
        # Tiles without alignments share the offset of their neighbours.
        tiles = index.tiles[reference]
        last = int(np.searchsorted(tiles, stretch.begin, side="right")) - 1
        return first >> index.shift <= last

    def _count(
        self,
        data: NDArray[np.uint8],
        at: int,
        tally: NDArray[np.int64],
        stretch: _Stretch | None = None,
    ) -> int:
        rule, targets = self._rule, self._targets
        only, beyond, low, high = (
            (-1, 0, 0, 0)
            if stretch is None
            else (stretch.reference, stretch.beyond, stretch.low, stretch.high)
        )
        extend = -1 if rule.extend_bp is None else rule.extend_bp
        return int(
            kernel.count_records(
                data, at, self._chrom_of, only, beyond, low, high, rule.code, extend,
                rule.min_mapq, rule.exclude_flags, targets.lengths, targets.offsets,
                targets.starts, targets.tiles, targets.tile_offsets, targets.bin_size_bp,
                self._counts, tally,
            )
        )  # fmt: skip

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
