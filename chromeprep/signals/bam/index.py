"""BAI and CSI -> where in a BAM file to begin reading for a place in the genome.

Source: SAM/BAM format specification, section 5.2 (BAI); CSI specification, version 1.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from chromeprep.errors import SignalError

_BAI, _CSI = b"BAI\1", b"CSI\1"
_GZIP_MAGIC = b"\x1f\x8b"
_BAI_SHIFT, _BAI_DEPTH = 14, 5
_LEAST_SHIFT = 8  # smaller tiles would be a lot of memory and no use
_BASE_BITS = 31  # of a place in a chromosome
_IsalError = cast(type[Exception], isal_zlib.error)


class BamIndex(NamedTuple):
    """What is used of an index.

    Attributes
    ----------
    path
        Of the index.
    shift
        A tile has ``1 << shift`` bases.
    tiles
        For each chromosome the virtual offsets at which to begin reading for each tile, ascending;
        empty where it has no alignment. An alignment that overlaps a tile begins there or later.
    ends
        For each chromosome the virtual offset beyond its last alignment, shape (chromosomes,).
    n_mapped
        Mapped alignments in the file; -1 where the index does not say.
    """

    path: Path
    shift: int
    tiles: tuple[NDArray[np.int64], ...]
    ends: NDArray[np.int64]
    n_mapped: int


def find_index(bam: Path) -> Path | None:
    """Return the index beside a BAM, looked for in the order in which htslib does."""
    stem = bam.with_suffix("")
    names = [f"{bam}.csi", f"{bam}.bai", f"{stem}.csi", f"{stem}.bai"]
    return next((Path(name) for name in names if Path(name).exists()), None)


def read_index(path: Path, bam: Path) -> BamIndex:
    """Read the index `path` of the file `bam`.

    Raises
    ------
    SignalError
        Where it is damaged.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _damaged(path, bam) from error
    return _read(path, bam, status.st_mtime_ns, status.st_size)


def _damaged(path: Path, bam: Path) -> SignalError:
    return SignalError(f"its index {path.name} is damaged", path=bam, hint=f"samtools index {bam}")


@lru_cache(maxsize=16)  # it is asked for when a file is looked at, and again when it is read
def _read(path: Path, bam: Path, mtime_ns: int, size: int) -> BamIndex:
    damaged = _damaged(path, bam)
    try:
        raw = path.read_bytes()
        if raw[:2] == _GZIP_MAGIC:
            raw = igzip.decompress(raw)
    except (OSError, EOFError, _IsalError) as error:
        raise damaged from error
    if raw[:4] == _BAI and len(raw) >= 8:
        shift, depth, at = _BAI_SHIFT, _BAI_DEPTH, 4
    elif raw[:4] == _CSI and len(raw) >= 20:
        shift, depth, extra = (int(value) for value in np.frombuffer(raw[4:16], dtype="<i4"))
        at = 16 + extra
        if not (
            _LEAST_SHIFT <= shift < _BASE_BITS
            and 0 < depth < 12
            and extra >= 0
            and at + 4 <= len(raw)
        ):
            raise damaged
    else:
        raise damaged
    count = int.from_bytes(raw[at : at + 4], "little")
    # Every chromosome takes four bytes at least.
    if count > (len(raw) - at - 4) // 4:
        raise damaged
    try:
        chromosomes, n_mapped = _walk(raw[at + 4 :], count, shift, depth, csi=raw[:4] == _CSI)
    except _DamagedError:
        raise damaged from None
    tiles = []
    for one in chromosomes:
        n_tiles = int(
            max(np.max(one.tile + one.width, initial=0), np.max(one.bin_tile + 1, initial=0))
        )
        linear = np.zeros(min(n_tiles, 1 << (_BASE_BITS - shift)), dtype=np.int64)
        if np.any(one.tile >= len(linear)) or np.any(one.bin_tile >= len(linear)):
            raise damaged
        linear[one.tile] = one.offset
        said = linear[linear != 0]
        if len(said) and (said[0] < one.first or said[-1] > one.end or np.any(np.diff(said) < 0)):
            raise damaged
        # Where nothing is said of a tile, what overlaps it comes after what overlaps those before.
        linear[linear == 0] = one.first
        linear = np.maximum.accumulate(linear)
        # Unmapped reads that lie with their mates are in the bins, but of old samtools not in the
        # linear index.
        np.minimum.at(linear, one.bin_tile, one.bin_offset)
        tiles.append(np.minimum.accumulate(linear[::-1])[::-1])
    ends = np.array([one.end for one in chromosomes], dtype=np.int64)
    return BamIndex(path, shift, tuple(tiles), ends, n_mapped)


class _DamagedError(Exception):
    """The index is not what the specification says."""


class _Chromosome(NamedTuple):
    """What an index says of a chromosome, shapes (rows,) and (bins,).

    ``offset`` is where to begin for ``tile``, and the `width` tiles from it have it in common;
    ``bin_offset`` is the first offset of the bin that begins with ``bin_tile``. All alignments lie
    from ``first`` to ``end``, 0 where there are none.
    """

    tile: NDArray[np.int64]
    width: NDArray[np.int64]
    offset: NDArray[np.int64]
    bin_tile: NDArray[np.int64]
    bin_offset: NDArray[np.int64]
    first: int
    end: int


def _walk(
    data: bytes, n_chrom: int, shift: int, depth: int, *, csi: bool
) -> tuple[list[_Chromosome], int]:
    """Take an index apart, from behind its number of chromosomes; and count the mapped reads.

    Only the steps from bin to bin are loops of Python.

    Raises
    ------
    _DamagedError
    """
    words = memoryview(data)[: len(data) // 4 * 4].cast("I")  # all in it are words, or pairs
    table = np.frombuffer(words, dtype="<u4")
    pairs = _Pairs(table)
    size = len(words)
    head = 4 if csi else 2
    most = size - head + 1  # words of a bin before its chunks must lie below
    pseudo = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
    chromosomes: list[_Chromosome] = []
    at = n_mapped = n_pseudo = n_used = 0
    for _ in range(n_chrom):
        if at >= size:
            raise _DamagedError
        n_bins = words[at]
        at += 1
        places = []
        for _ in range(n_bins):
            if at >= most:
                raise _DamagedError
            places.append(at)
            at += head + 4 * words[at + head - 1]
        if at > size:
            raise _DamagedError
        bins = np.array(places, dtype=np.int64)
        numbers, counts = table[bins].astype(np.int64), table[bins + head - 1].astype(np.int64)
        real = numbers != pseudo
        for place in bins[~real & (counts == 2)].tolist():
            n_mapped += int(pairs.at(place + head + 4))
            n_pseudo += 1
        one = _bins(pairs, numbers[real], bins[real] + head, counts[real], depth, csi=csi)
        if not csi:
            if at >= size or at + 1 + 2 * words[at] > size:
                raise _DamagedError
            linear = pairs.at(at + 1 + 2 * np.arange(words[at]))
            at += 1 + 2 * len(linear)
            every = np.arange(len(linear))
            one = one._replace(tile=every, width=np.ones_like(every), offset=linear)
        n_used += one.end > 0
        chromosomes.append(one)
    # A chromosome without alignments may lack the pseudo-bin that counts them.
    return chromosomes, n_mapped if n_pseudo >= n_used else -1


def _bins(
    pairs: _Pairs,
    numbers: NDArray[np.int64],
    chunks: NDArray[np.int64],
    counts: NDArray[np.int64],
    depth: int,
    *,
    csi: bool,
) -> _Chromosome:
    """Return what the bins of a chromosome say; ``chunks`` are the places of their first ones."""
    levels = np.array([((1 << 3 * level) - 1) // 7 for level in range(depth + 2)], dtype=np.int64)
    if np.any(numbers >= levels[-1]):
        raise _DamagedError
    level = np.searchsorted(levels, numbers, side="right") - 1
    tile = (numbers - levels[level]) << 3 * (depth - level)
    width = np.left_shift(1, 3 * (depth - level))
    some = counts > 0
    edges = np.cumsum(counts[some]) - counts[some]
    places = np.repeat(chunks[some] - 4 * edges, counts[some]) + 4 * np.arange(counts.sum())
    first, end = pairs.at(places), pairs.at(places + 2)
    if np.any(first < 0) or np.any(end < first):
        raise _DamagedError
    return _Chromosome(
        tile,
        width,
        # The offset of a bin is that of its first tile, whatever the size of the bin.
        pairs.at(chunks - 3) if csi else tile,
        tile[some],
        np.minimum.reduceat(first, edges) if len(edges) else first,
        int(first.min()) if len(first) else 0,
        int(end.max(initial=0)),
    )


class _Pairs:
    """Signed numbers of two words, at any word."""

    def __init__(self, words: NDArray[np.uint32]) -> None:
        self._words = words

    def at(self, place: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Return the numbers at places."""
        low, high = self._words[place].astype(np.int64), self._words[place + 1].astype(np.int64)
        return np.asarray(low | high << 32)
