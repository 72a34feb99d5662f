"""BGZF, the blocked gzip of BAM and bgzip: finding blocks, and inflating them with their checksums.

Source: SAM/BAM format specification, section 4.1.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from chromeprep.compiled import allocating, kernel
from chromeprep.errors import SignalError
from chromeprep.signals.numbers import u16

BLOCK_MAGIC = b"\x1f\x8b\x08\x04"
END_OF_FILE = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

_IsalError = cast(type[Exception], isal_zlib.error)
_COMPLETE = "is the copy or download complete?"


class Blocks(NamedTuple):
    """Consecutive BGZF blocks of a file.

    Attributes
    ----------
    starts
        Offset of each block in the file, shape (blocks,).
    data
        Offset of its compressed data.
    ends
        One past its last byte.
    """

    starts: NDArray[np.int64]
    data: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


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
    return bool(_block(data, 0)[1])


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
    limit = len(data) if end is None else min(end, len(data))
    starts, bodies, ends, at = _walk(data, start, min(start + max(n_bytes, 1), limit))
    if at < 0:
        place = -at - 1
        raise SignalError(
            f"damaged BGZF: no whole block at byte {place:,}", path=path, hint=_COMPLETE
        )
    return Blocks(starts, bodies, ends)


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
    if not len(blocks):
        return np.empty(0, dtype=np.uint8)
    view = memoryview(cast(Any, data))
    try:
        held = igzip.decompress(view[int(blocks.starts[0]) : int(blocks.ends[-1])])
    except (EOFError, OSError, _IsalError) as error:
        raise _damaged(data, blocks, path) from error
    return np.frombuffer(held, dtype=np.uint8)


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
            at = int(blocks.ends[-1])

    def size(blocks: Blocks) -> int:
        return int(blocks.ends[-1] - blocks.starts[0])

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
    view = memoryview(cast(Any, data))
    start = int(blocks.starts[0])
    for first, end in zip(blocks.starts.tolist(), blocks.ends.tolist(), strict=True):
        start = first
        try:
            igzip.decompress(view[first:end])
        except (EOFError, OSError, _IsalError):
            break
    return SignalError(
        f"damaged BGZF: the block at byte {start:,} does not inflate to what its checksum says",
        path=path,
        hint=_COMPLETE,
    )


@kernel
def _block(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return (offset of the compressed data, end) of the block at `at`; (0, 0) if there is none."""
    size = len(data)
    if at + 18 > size or data[at] != 31 or data[at + 1] != 139 or data[at + 2] != 8:
        return 0, 0
    if data[at + 3] != 4:
        return 0, 0
    extra = at + 12
    body = extra + u16(data, at + 10)
    if body > size:
        return 0, 0
    while extra + 4 <= body:
        length = u16(data, extra + 2)
        if data[extra] == 66 and data[extra + 1] == 67 and length == 2 and extra + 6 <= body:
            end = at + 1 + u16(data, extra + 4)
            if end > size or body + 8 > end:
                return 0, 0
            return body, end
        extra += 4 + length
    return 0, 0


@allocating
def _walk(
    data: NDArray[np.uint8], start: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Return starts, data and ends of the blocks, and where the next begins (-1 - at: damaged)."""
    starts = np.empty(max((limit - start) // 28 + 2, 2), dtype=np.int64)
    bodies = np.empty_like(starts)
    ends = np.empty_like(starts)
    count = 0
    at = start
    while at < limit:
        body, end = _block(data, at)
        if end == 0:
            at = -at - 1
            break
        starts[count], bodies[count], ends[count] = at, body, end
        count += 1
        at = end
    return starts[:count].copy(), bodies[:count].copy(), ends[:count].copy(), at
