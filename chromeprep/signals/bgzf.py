"""BGZF, the blocked gzip of BAM and bgzip: finding blocks, and inflating them with their checksums.

Source: SAM/BAM format specification, section 4.1.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from chromeprep.errors import SignalError

BLOCK_MAGIC = b"\x1f\x8b\x08\x04"
END_OF_FILE = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

# Magic number, six bytes that do not matter here, then the place of the block's last byte where
# the one extra field is by custom the only one: bytes of extra fields; its name and its length.
_HEADER = struct.Struct("<4s6x6sH")
_BY_CUSTOM = b"\6\0BC\2\0"
_TAIL_BYTES = 8
_USUAL_BYTES, _MOST_BYTES = 32 << 10, 64 << 10  # of a block
_ERRORS = (EOFError, OSError, cast(type[Exception], isal_zlib.error))
_COMPLETE = "is the copy or download complete?"


class Blocks(NamedTuple):
    """Consecutive BGZF blocks of a file.

    Attributes
    ----------
    starts
        Offset of each block in the file.
    end
        One past the last byte of the last.
    """

    starts: list[int]
    end: int


@contextmanager
def mapped(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Map a file into memory for the time of a block, read only."""
    try:
        with path.open("rb") as handle:
            view = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise SignalError(f"cannot be read: {error.strerror or error}", path=path) from error
    # Not closed by hand: arrays made from it may outlive the block, and it goes with the last.
    yield np.frombuffer(view, dtype=np.uint8)


def is_bgzf(data: NDArray[np.uint8]) -> bool:
    """Say whether a file begins with a BGZF block."""
    return _block_end(_bytes_of(data), 0) > 0


def has_end_mark(data: NDArray[np.uint8]) -> bool:
    """Say whether a file ends in the empty block that marks a complete file."""
    return data[-len(END_OF_FILE) :].tobytes() == END_OF_FILE


def find_blocks(
    data: NDArray[np.uint8], start: int, n_bytes: int, path: Path, end: int | None = None
) -> Blocks:
    """Find the blocks from `start` on that begin within the next `n_bytes`.

    Parameters
    ----------
    data
        The file.
    start
        Where a block begins.
    n_bytes
        At least one block is found where the file does not end at `start`.
    path
        For messages.
    end
        Where to stop looking; by default the end of the file.

    Raises
    ------
    SignalError
        Where there is no whole block.
    """
    limit = min(start + max(n_bytes, 1), len(data) if end is None else min(end, len(data)))
    view = _bytes_of(data)
    starts = []
    at = start
    while at < limit:
        after = _block_end(view, at)
        if not after:
            raise SignalError(
                f"damaged BGZF: no whole block at byte {at:,}", path=path, hint=_COMPLETE
            )
        starts.append(at)
        at = after
    return Blocks(starts, at)


def inflate(data: NDArray[np.uint8], blocks: Blocks, path: Path) -> NDArray[np.uint8]:
    """Inflate blocks and check their lengths and checksums.

    Returns
    -------
    ndarray of uint8
        What the blocks hold, one after another.

    Raises
    ------
    SignalError
        Where a block is damaged; it names the block's place.
    """
    if not blocks.starts:
        return np.empty(0, dtype=np.uint8)
    try:
        held = igzip.decompress(_bytes_of(data)[blocks.starts[0] : blocks.end])
    except _ERRORS as error:
        raise _damaged(data, blocks, path) from error
    return np.frombuffer(held, dtype=np.uint8)


def inflate_copy(file: int, start: int, n_bytes: int) -> tuple[NDArray[np.uint8], int] | None:
    """Inflate the blocks from `start` on that begin within the next `n_bytes`, out of a copy.

    For a part here and a part there of a large file: to map its pages, and to unmap them all at the
    end, takes longer than to copy them.

    Parameters
    ----------
    file
        Descriptor of the file.
    start
        Where a block begins.

    Returns
    -------
    ndarray of uint8, int
        What the blocks hold, and where the last ends; None where that fails, for `find_blocks` and
        `inflate` to say why, or to do it.
    """
    for spare in (_USUAL_BYTES, _MOST_BYTES):
        copy = os.pread(file, n_bytes + spare, start)
        at = 0
        while at < n_bytes and (after := _block_end(copy, at)):
            at = after
        if at >= n_bytes:
            try:
                held = igzip.decompress(memoryview(copy)[:at])
            except _ERRORS:
                return None
            return np.frombuffer(held, dtype=np.uint8), start + at
    return None


def inflate_ahead(
    data: NDArray[np.uint8], start: int, n_bytes: int, threads: int, path: Path
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield the rest of a file in parts, and their compressed size, some parts ahead of their use.

    Parameters
    ----------
    start
        Where a block begins.
    n_bytes
        Compressed bytes of a part, about.
    threads
        That inflate; with one, nothing is done ahead.

    Raises
    ------
    SignalError
        As `find_blocks` and `inflate`.
    """

    def parts() -> Iterator[Blocks]:
        at = start
        while at < len(data):
            blocks = find_blocks(data, at, n_bytes, path)
            yield blocks
            at = blocks.end

    def size(blocks: Blocks) -> int:
        return blocks.end - blocks.starts[0]

    if threads == 1:
        for blocks in parts():
            yield inflate(data, blocks, path), size(blocks)
        return
    waiting: deque[tuple[Future[NDArray[np.uint8]], int]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for blocks in parts():
                waiting.append((pool.submit(inflate, data, blocks, path), size(blocks)))
                if len(waiting) > threads + 1:
                    part, done = waiting.popleft()
                    yield part.result(), done
            while waiting:
                part, done = waiting.popleft()
                yield part.result(), done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _damaged(data: NDArray[np.uint8], blocks: Blocks, path: Path) -> SignalError:
    """Find the block that does not inflate."""
    view = _bytes_of(data)
    start = blocks.starts[0]
    for start, end in pairwise((*blocks.starts, blocks.end)):
        try:
            igzip.decompress(view[start:end])
        except _ERRORS:
            break
    return SignalError(
        f"damaged BGZF: the block at byte {start:,} does not inflate to what its checksum says",
        path=path,
        hint=_COMPLETE,
    )


def _bytes_of(data: NDArray[np.uint8]) -> memoryview:
    return memoryview(cast(Any, data))


def _block_end(data: memoryview | bytes, at: int) -> int:
    """Return one past the end of the block at `at`, 0 where there is no whole one."""
    size = len(data)
    if at + _HEADER.size > size:
        return 0
    magic, extra, last = _HEADER.unpack_from(data, at)
    if magic != BLOCK_MAGIC:
        return 0
    extra_bytes = 6
    if extra != _BY_CUSTOM:
        extra_bytes = int.from_bytes(extra[:2], "little")
        last = _last_byte(bytes(data[at + 12 : at + 12 + extra_bytes]))
    end: int = at + 1 + last
    return end if at + 12 + extra_bytes + _TAIL_BYTES <= end <= size else 0


def _last_byte(extra: bytes) -> int:
    """Return the place of a block's last byte, from its extra field; -1 where that does not say."""
    at = 0
    while at + 4 <= len(extra):
        name, length = struct.unpack_from("<2sH", extra, at)
        if name == b"BC" and length == 2 and at + 6 <= len(extra):
            return int.from_bytes(extra[at + 4 : at + 6], "little")
        at += 4 + length
    return -1
