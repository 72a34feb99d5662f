"""How a large text file is read: blocks of whole lines, unpacked by a thread of its own."""

from __future__ import annotations

import gzip
import mmap
import os
import queue
import threading
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import Tick, no_tick
from chromeprep.signals.bgzf import END_OF_FILE, find_blocks, inflate

Bytes = NDArray[np.uint8]
Fill = Callable[[memoryview], int]  # reads into a buffer; how many bytes, 0 at the end of the file

# Small enough for the text to be in the processor's cache still when it is parsed.
BLOCK_BYTES = 1 << 20
_BUFFERS = 64  # at most: so much is read while numba is imported; then a few go round
_INPUT_BYTES = 1 << 19
_BGZF_BYTES = 1 << 18  # compressed, that a thread inflates at a time
_ENOUGH = 2  # threads, where one parses and another inflates
_BGZIP_BYTES = 14  # that tell bgzip from other gzip
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_IsalError = cast(type[Exception], isal_zlib.error)
_COMPLETE = "is the copy or download complete?"


def is_complete(path: Path) -> bool:
    """Say whether a file has its end-of-file mark, where it is one of bgzip that should."""
    with path.open("rb") as handle:
        if not _is_bgzip(handle.read(_BGZIP_BYTES)):
            return True
        handle.seek(-min(len(END_OF_FILE), path.stat().st_size), os.SEEK_END)
        return handle.read() == END_OF_FILE


class _StoppedError(Exception):
    """Nobody wants the blocks any more."""


@contextmanager
def open_blocks(path: Path, *, threads: int = 1, tick: Tick = no_tick) -> Iterator[Iterator[Bytes]]:
    """Read a file, plain or packed by gzip or bgzip, in blocks of whole lines.

    A block ends in a newline, the last one too, and may be looked at only until the next is asked
    for. A byte order mark is cut off. With two threads and more, the next blocks are read while the
    caller has one; more than two serve bgzip only, where blocks can be inflated side by side.

    Raises
    ------
    SignalError
        Where the file cannot be read, is damaged, or has a line that no block holds.
    """
    with ExitStack() as stack:
        fill = stack.enter_context(_opened(path, threads, tick))
        if threads == 1:
            buffer = bytearray(BLOCK_BYTES)
            blocks = _blocks(path, fill, lambda: buffer)
            yield stack.enter_context(closing(blocks))
        else:
            yield stack.enter_context(closing(_ahead(path, fill)))


def first_bytes(path: Path, count: int) -> bytes:
    """Return how the text of a file begins, unpacked, without its byte order mark."""
    parts = bytearray(count)
    with _opened(path, 1, no_tick) as fill, memoryview(parts) as view:
        size = 0
        while size < count and (got := fill(view[size:])):
            size += got
    return bytes(parts[:size]).removeprefix(_BYTE_ORDER_MARK)


def _blocks(path: Path, fill: Fill, take: Callable[[], bytearray]) -> Generator[Bytes]:
    """Yield blocks of whole lines, each in a buffer that `take` gives."""
    rest = b""  # of a line that goes on in the next block
    first = True
    more = True
    while more:
        buffer = take()
        size = len(rest)
        buffer[:size] = rest
        with memoryview(buffer) as view:
            # One byte is kept for the newline that a last line may lack.
            while more and size < len(buffer) - 1:
                got = fill(view[size:-1])
                size += got
                more = got > 0
        if not more and size and buffer[size - 1] != ord("\n"):
            buffer[size] = ord("\n")
            size += 1
        start = len(_BYTE_ORDER_MARK) if first and buffer.startswith(_BYTE_ORDER_MARK) else 0
        first = False
        end = buffer.rfind(b"\n", 0, size) + 1
        if not end and size:
            what = "a line of more than" if b"\0" not in buffer else "zero bytes and no line within"
            raise SignalError(
                f"is not a text file of intervals: it has {what} {size:,} bytes", path=path
            )
        rest = bytes(buffer[end:size])
        if end > start:
            yield np.frombuffer(buffer, dtype=np.uint8)[start:end]


def _ahead(path: Path, fill: Fill) -> Generator[Bytes]:
    """Yield blocks that another thread makes."""
    # The last that came back first: it may be in the cache still.
    free: queue.LifoQueue[bytearray | None] = queue.LifoQueue()
    made: queue.SimpleQueue[Bytes | BaseException | None] = queue.SimpleQueue()
    n_buffers = 0
    taken: deque[bytearray] = deque()  # in the order in which their blocks come out

    def take() -> bytearray:
        nonlocal n_buffers
        if n_buffers < _BUFFERS and free.empty():
            n_buffers += 1
            free.put(bytearray(BLOCK_BYTES))
        buffer = free.get()
        if buffer is None:
            raise _StoppedError
        taken.append(buffer)
        return buffer

    def make() -> None:
        try:
            for block in _blocks(path, fill, take):
                made.put(block)
            made.put(None)
        except _StoppedError:
            pass
        except BaseException as error:  # to be raised where the blocks are used
            made.put(error)

    thread = threading.Thread(target=make, name=f"read {path.name}", daemon=True)
    thread.start()
    try:
        while (block := made.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block
            free.put(taken.popleft())
    finally:
        free.put(None)
        thread.join()


@contextmanager
def _opened(path: Path, threads: int, tick: Tick) -> Iterator[Fill]:
    """Open a file for reading its text into buffers."""
    try:
        with ExitStack() as stack:
            raw = cast(BinaryIO, stack.enter_context(path.open("rb", buffering=0)))
            magic = raw.read(_BGZIP_BYTES)
            raw.seek(0)
            if not magic.startswith(_GZIP_MAGIC):
                yield _told(path, cast(Any, raw).readinto, raw, tick)
            elif threads > _ENOUGH and _is_bgzip(magic):
                yield stack.enter_context(_bgzf(path, raw, threads - 1, tick))
            else:
                # The class under igzip.open(), which would copy what this writes in place.
                reader = cast(Any, igzip)._GzipReader(raw, _INPUT_BYTES)
                yield _told(path, reader.readinto, raw, tick)
    except OSError as error:
        raise SignalError(f"cannot be read: {error.strerror or error}", path=path) from error


def _told(
    path: Path, readinto: Callable[[memoryview], int | None], raw: BinaryIO, tick: Tick
) -> Fill:
    """Tell of the progress of reading, and of damage in words."""
    total = max(path.stat().st_size, 1)
    before = 0

    def fill(buffer: memoryview) -> int:
        nonlocal before
        try:
            count = readinto(buffer) or 0
        except (EOFError, zlib.error, _IsalError, gzip.BadGzipFile) as error:
            raise SignalError(f"damaged gzip data: {error}", path=path, hint=_COMPLETE) from error
        place = min(raw.tell(), total)
        if place > before:
            tick((place - before) / total)
            before = place
        return count

    return fill


def _is_bgzip(magic: bytes) -> bool:
    """Say whether a file that begins so is of bgzip, which puts its field of gzip first."""
    return magic.startswith(_GZIP_MAGIC) and magic[3:4] == b"\4" and magic[12:14] == b"BC"


@contextmanager
def _bgzf(path: Path, raw: BinaryIO, workers: int, tick: Tick) -> Iterator[Fill]:
    """Inflate groups of blocks, several at a time."""
    view = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(view, dtype=np.uint8)
    waiting: deque[tuple[int, Future[Bytes]]] = deque()
    current = memoryview(b"")
    place = done = 0

    def fill(buffer: memoryview) -> int:
        nonlocal current, place, done
        while not current:
            while place < len(data) and len(waiting) < 2 * workers:
                blocks = find_blocks(data, place, _BGZF_BYTES, path)
                size, place = blocks.end - place, blocks.end
                waiting.append((size, pool.submit(inflate, data, blocks, path)))
            if not waiting:
                return 0
            size, future = waiting.popleft()
            current = future.result().data
            done += size
            # What was read need not stay in memory; the kernel has no other way to know.
            if hasattr(mmap, "MADV_DONTNEED"):
                view.madvise(mmap.MADV_DONTNEED, 0, done // mmap.PAGESIZE * mmap.PAGESIZE)
            tick(size / len(data))
        count = min(len(buffer), len(current))
        buffer[:count] = current[:count]
        current = current[count:]
        return count

    pool = ThreadPoolExecutor(workers)
    try:
        yield fill
    finally:
        pool.shutdown(cancel_futures=True)
