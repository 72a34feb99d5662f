"""Blocks are found and inflated, out of a mapped file or out of a copy, or it is said why not."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from chromeprep.errors import SignalError
from chromeprep.signals.bgzf import END_OF_FILE, find_blocks, inflate, inflate_copy, mapped

RANDOM = np.random.default_rng(0)
# What hardly compresses makes blocks as large as there are; most are much smaller.
CONTENTS = [
    RANDOM.bytes(60_000), b"", b"chromatin" * 7000, RANDOM.bytes(50_000), b"x",
    RANDOM.bytes(100) * 500, RANDOM.bytes(40_000), b"histone" * 9000,
]  # fmt: skip


def block(content: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    """Make a block, with other extra fields before and behind the one that says its size."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush()
    extra_bytes = len(before) + 6 + len(behind)
    size = 12 + extra_bytes + len(packed) + 8
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", extra_bytes)
    extra = before + b"BC\2\0" + struct.pack("<H", size - 1) + behind
    return head + extra + packed + struct.pack("<II", zlib.crc32(content), len(content))


def write(path: Path, blocks: list[bytes]) -> list[int]:
    """Write a file and return where its blocks begin, and its size."""
    path.write_bytes(b"".join(blocks))
    return np.cumsum([0, *map(len, blocks)]).tolist()


@contextmanager
def opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


@pytest.mark.parametrize(
    ("before", "behind"), [(b"", b""), (b"", b"ZZ\1\0z"), (b"AB\3\0abc", b"ZZ\0\0")]
)
def test_blocks_are_inflated_from_any_to_any(tmp_path: Path, before: bytes, behind: bytes) -> None:
    path = tmp_path / "some.gz"
    edges = write(path, [block(content, before, behind) for content in CONTENTS] + [END_OF_FILE])
    assert max(end - start for start, end in pairwise(edges)) > 59_000
    with mapped(path) as data, opened(path) as file:
        for first, start in enumerate(edges[:-1]):
            for last, end in enumerate(edges[first + 1 :], start=first + 1):
                expected = b"".join(CONTENTS[first:last])
                # A block is wanted from its first byte on.
                for n_bytes in {max(edges[last - 1] - start, 0) + 1, end - start}:
                    blocks = find_blocks(data, start, n_bytes, path)
                    assert (blocks.starts, blocks.end) == (edges[first:last], end)
                    assert inflate(data, blocks, path).tobytes() == expected
                    found = inflate_copy(file, start, n_bytes)
                    assert found is not None
                    assert found[0].tobytes() == expected
                    assert found[1] == end


def test_a_copy_that_goes_wrong_is_none(tmp_path: Path) -> None:
    path = tmp_path / "some.gz"
    blocks = [block(content) for content in CONTENTS]
    edges = write(path, blocks)
    with opened(path) as file:
        assert inflate_copy(file, 1, 10) is None  # there begins no block
        assert inflate_copy(file, edges[-2], edges[-1]) is None  # there is no more of the file
        assert inflate_copy(file, edges[-1], 1) is None
        assert inflate_copy(file, edges[-1] + 5, 1) is None
    for place in (4, 5):  # of the checksum and of the length, from the end
        damaged = bytearray(blocks[2])
        damaged[-place] ^= 1
        write(path, [*blocks[:2], bytes(damaged), *blocks[3:]])
        with mapped(path) as data, opened(path) as file:
            assert inflate_copy(file, 0, edges[2]) is not None
            assert inflate_copy(file, 0, edges[3]) is None
            found = find_blocks(data, 0, edges[3], path)
            with pytest.raises(SignalError, match=f"the block at byte {edges[2]:,} does not"):
                inflate(data, found, path)


def test_a_block_that_is_cut_off_is_no_block(tmp_path: Path) -> None:
    path = tmp_path / "some.gz"
    whole = block(CONTENTS[0])
    for size in (len(whole) - 1, 40, 17, 5):
        path.write_bytes(whole[:size])
        with mapped(path) as data, opened(path) as file:
            assert inflate_copy(file, 0, 1) is None
            with pytest.raises(SignalError, match="no whole block at byte 0"):
                find_blocks(data, 0, 1, path)
