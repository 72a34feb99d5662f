"""Where things are in a bigWig file: header, chromosomes, and the index of its blocks of data.

Source: Kent et al., "BigWig and BigBed: enabling browsing of large distributed datasets",
Bioinformatics 26(17), 2010, supplementary tables 5 to 16.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self, cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import check_file

_MAGIC = 0x888FFC26
_BIGBED_MAGIC = 0x8789F2EB
_TREE_MAGIC = 0x78CA8C91
_INDEX_MAGIC = 0x2468ACE0
_MAGIC_BYTES = 4

_HEADER = struct.Struct("<IHHQQQHHQQIQ")
_TREE_HEADER = struct.Struct("<IIIIQQ")
_INDEX_HEADER = struct.Struct("<IIQIIIIQII")
_NODE = struct.Struct("<BBH")
_COUNT = struct.Struct("<Q")

_BRANCH = np.dtype([("range", "<u4", 4), ("child", "<u8")])
_LEAF = np.dtype(
    [("chrom", "<u4"), ("start", "<u4"), ("last", "<u4"), ("end", "<u4"),
     ("offset", "<u8"), ("size", "<u8")]
)  # fmt: skip

_MOST_LETTERS = 1 << 16  # of a chromosome's name
_MOST_BUFFER = 1 << 20  # what a header may have allocated for a block before it is inflated
_COMPLETE = "is the download complete?"
_IsalError = cast(type[Exception], isal_zlib.error)


class DamagedError(Exception):
    """Bytes are not what the format says; what of, is told by who catches it."""


class Blocks(NamedTuple):
    """The blocks of data, by chromosome and first base.

    Attributes
    ----------
    chrom
        Number of the chromosome, as the file numbers them, shape (blocks,).
    start, end
        Bases within which the block has values.
    offset, size
        Its bytes in the file.
    reach
        The largest `end` of the chromosome's blocks up to and with this one.
    """

    chrom: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    reach: NDArray[np.int64]

    def overlapping(
        self, chrom: int, first: NDArray[np.int64], end: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows, low and high, among which all blocks are that overlap intervals."""
        low, high = np.searchsorted(self.chrom, [chrom, chrom + 1])
        lows = low + np.searchsorted(self.reach[low:high], first, side="right")
        highs = low + np.searchsorted(self.start[low:high], end, side="left")
        return lows, np.maximum(lows, highs)


class BigWigFile:
    """An open bigWig; made with `open_bigwig`.

    Attributes
    ----------
    path
        The file.
    chromosomes
        Name -> (number in the file, length in bp).
    blocks
        Its blocks of data.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._n_bytes = os.fstat(handle).st_size
        header = _HEADER.unpack(self._bytes(0, _HEADER.size))
        _, _, _, tree, data, index, *_, buffer, _ = header
        self._buffer = min(buffer, _MOST_BUFFER)
        self.chromosomes = self._read_chromosomes(tree)
        self.blocks = self._read_index(index, data)

    def read_blocks(self, rows: NDArray[np.int64]) -> Iterator[bytes]:
        """Yield the contents of blocks, inflated where they are compressed.

        Raises
        ------
        DamagedError
            Where a block's data do not fit their checksum.
        """
        offsets, sizes = self.blocks.offset[rows], self.blocks.size[rows]
        # Blocks lie one after another nearly always: one call reads a run of them.
        breaks = np.flatnonzero(offsets[1:] != offsets[:-1] + sizes[:-1]) + 1
        for run in np.split(np.arange(len(rows)), breaks):
            start = int(offsets[run[0]])
            data = memoryview(self._bytes(start, int(offsets[run[-1]] + sizes[run[-1]]) - start))
            for at, size in zip((offsets[run] - start).tolist(), sizes[run].tolist(), strict=True):
                part = data[at : at + size]
                if not self._buffer:
                    yield bytes(part)
                    continue
                try:
                    yield isal_zlib.decompress(part, bufsize=self._buffer)
                except _IsalError as error:
                    raise DamagedError(str(error)) from error

    def _bytes(self, offset: int, size: int) -> bytes:
        if offset + size > self._n_bytes:
            raise DamagedError("it points beyond the end of the file")
        data = os.pread(self._handle, size, offset)
        while len(data) < size:  # a call may give less than it was asked for
            more = os.pread(self._handle, size - len(data), offset + len(data))
            if not more:
                raise DamagedError("the file became shorter")
            data += more
        return data

    def _read_chromosomes(self, offset: int) -> dict[str, tuple[int, int]]:
        header = _TREE_HEADER.unpack(self._bytes(offset, _TREE_HEADER.size))
        magic, _, n_letters, n_value, count, _ = header
        if magic != _TREE_MAGIC or n_value != 8 or not 0 < n_letters <= _MOST_LETTERS:
            raise DamagedError("there is no list of chromosomes where it should be")
        leaf = np.dtype([("name", f"V{n_letters}"), ("number", "<u4"), ("length", "<u4")])
        branch = np.dtype([("name", f"V{n_letters}"), ("child", "<u8")])
        found: dict[str, tuple[int, int]] = {}
        for node in self._leaves(offset + _TREE_HEADER.size, leaf, branch):
            for name, number, length in node.tolist():
                found[bytes(name).rstrip(b"\0").decode()] = (number, length)
        numbers = {number for number, _ in found.values()}
        if len(found) != count or len(numbers) != count:
            raise DamagedError("its list of chromosomes contradicts itself")
        return found

    def _read_index(self, offset: int, data: int) -> Blocks:
        if not offset and data + _COUNT.size + _MAGIC_BYTES == self._n_bytes:
            none = np.zeros(0, dtype=np.int64)  # so libBigWig writes a track without values
            return Blocks(none, none, none, none, none, none)
        header = _INDEX_HEADER.unpack(self._bytes(offset, _INDEX_HEADER.size))
        if header[0] != _INDEX_MAGIC:
            raise DamagedError("there is no index where it should be")
        nodes = list(self._leaves(offset + _INDEX_HEADER.size, _LEAF, _BRANCH))
        found = np.concatenate(nodes) if nodes else np.zeros(0, dtype=_LEAF)
        found = found[np.lexsort((found["start"], found["chrom"]))]
        # Both places say how many blocks there are; a file that puts else there is no reason to
        # refuse it.
        (count,) = _COUNT.unpack(self._bytes(data, _COUNT.size))
        if header[2] == count != len(found):
            raise DamagedError(f"its index has {len(found):,} blocks instead of {count:,}")
        known = np.array([number for number, _ in self.chromosomes.values()], dtype=np.int64)
        if (
            not np.isin(found["chrom"], known).all()
            or (found["chrom"] != found["last"]).any()
            or (found["end"] < found["start"]).any()
            or (found["size"] > self._n_bytes).any()
            or (found["offset"] > self._n_bytes - found["size"]).any()
        ):
            raise DamagedError("its index contradicts itself")
        chrom, start, end, place, size = (
            found[name].astype(np.int64) for name in ("chrom", "start", "end", "offset", "size")
        )
        # Bases have 32 bits, so that one running maximum serves all chromosomes, counted from 0.
        rank = np.cumsum(np.diff(chrom, prepend=chrom[:1]) != 0) << 32
        reach = np.maximum.accumulate(rank + end) - rank
        return Blocks(chrom, start, end, place, size, reach)

    def _leaves(
        self, root: int, leaf: np.dtype[np.void], branch: np.dtype[np.void]
    ) -> Iterator[NDArray[np.void]]:
        """Yield the leaves of a tree from left to right, each node an array of its items."""
        left = self._n_bytes  # damaged trees may meet their own nodes again
        waiting = [root]
        while waiting:
            offset = waiting.pop()
            is_leaf, _, count = _NODE.unpack(self._bytes(offset, _NODE.size))
            if is_leaf > 1:
                raise DamagedError("a tree has a node that is none")
            kind = leaf if is_leaf else branch
            size = count * kind.itemsize
            left -= size + _NODE.size
            if left < 0:
                raise DamagedError("a tree has no end")
            items = np.frombuffer(self._bytes(offset + _NODE.size, size), dtype=kind)
            if is_leaf:
                yield items
            else:
                waiting.extend(items["child"][::-1].tolist())

    @classmethod
    def opened(cls, path: Path, handle: int) -> Self:
        """Read what says where things are.

        Raises
        ------
        SignalError
            Where that is damaged.
        """
        try:
            return cls(path, handle)
        except (DamagedError, UnicodeDecodeError) as error:
            why = (
                str(error) if isinstance(error, DamagedError) else "a chromosome's name is no text"
            )
            raise SignalError(
                f"damaged bigWig: its header or index cannot be read ({why})",
                path=path,
                hint=_COMPLETE,
            ) from error


@contextmanager
def open_bigwig(path: Path) -> Iterator[BigWigFile]:
    """Open a bigWig for the time of a block.

    Raises
    ------
    SignalError
        Where it is missing, of another kind, truncated, or where its header or index is damaged.
    """
    check_file(path, "--bigwig")
    _check_ends(path)
    try:
        with path.open("rb", buffering=0) as handle:
            yield BigWigFile.opened(path, handle.fileno())
    except OSError as error:
        raise SignalError(f"cannot be read: {error.strerror or error}", path=path) from error


def _check_ends(path: Path) -> None:
    with path.open("rb") as handle:
        first = handle.read(_MAGIC_BYTES)
        handle.seek(-min(_MAGIC_BYTES, path.stat().st_size), os.SEEK_END)
        last = handle.read(_MAGIC_BYTES)
    numbers = {int.from_bytes(first, "little"), int.from_bytes(first, "big")}
    if _MAGIC not in numbers:
        what = "a bigBed" if _BIGBED_MAGIC in numbers else "not a bigWig"
        raise SignalError(f"is {what}; expected a bigWig", path=path)
    if last != first or path.stat().st_size <= _HEADER.size:
        raise SignalError(
            "truncated bigWig: its end mark is missing",
            path=path,
            hint="is the copy or download complete?",
        )
    if int.from_bytes(first, "little") != _MAGIC:
        raise SignalError(
            "is a bigWig of a big-endian machine, which is not read",
            path=path,
            hint="convert it with bigWigToWig and wigToBigWig",
        )
