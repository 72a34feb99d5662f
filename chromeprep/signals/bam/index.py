"""BAI and CSI -> where in a BAM file to begin reading for a place in the genome.

Source: SAM/BAM format specification, section 5.2 (BAI); CSI specification, version 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from chromeprep.compiled import allocating
from chromeprep.errors import SignalError
from chromeprep.signals.numbers import i64, u32

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
    damaged = SignalError(
        f"its index {path.name} is damaged", path=bam, hint=f"samtools index {bam}"
    )
    try:
        raw = path.read_bytes()
        if raw[:2] == _GZIP_MAGIC:
            raw = igzip.decompress(raw)
    except (OSError, EOFError, _IsalError) as error:
        raise damaged from error
    data = np.frombuffer(raw, dtype=np.uint8)
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
    found = _walk(data, at + 4, count, shift, depth, raw[:4] == _CSI)
    rows, edges, bins, bin_edges, ends, n_mapped, good = found
    if not good:
        raise damaged
    tiles = []
    for chrom in range(count):
        tile, width, offset = rows[edges[chrom] : edges[chrom + 1]].T
        bin_tile, bin_offset = bins[bin_edges[chrom] : bin_edges[chrom + 1]].T
        first, end = ends[chrom]
        n_tiles = int(max(np.max(tile + width, initial=0), np.max(bin_tile + 1, initial=0)))
        linear = np.zeros(min(n_tiles, 1 << (_BASE_BITS - shift)), dtype=np.int64)
        if np.any(tile >= len(linear)) or np.any(bin_tile >= len(linear)):
            raise damaged
        linear[tile] = offset
        said = linear[linear != 0]
        if len(said) and (said[0] < first or said[-1] > end or np.any(np.diff(said) < 0)):
            raise damaged
        # Where nothing is said of a tile, what overlaps it comes after what overlaps those before.
        linear[linear == 0] = first
        linear = np.maximum.accumulate(linear)
        # Unmapped reads that lie with their mates are in the bins, but of old samtools not in the
        # linear index.
        np.minimum.at(linear, bin_tile, bin_offset)
        tiles.append(np.minimum.accumulate(linear[::-1])[::-1])
    return BamIndex(path, shift, tuple(tiles), ends[:, 1].copy(), int(n_mapped))


@allocating
def _walk(
    data: NDArray[np.uint8], at: int, n_chrom: int, shift: int, depth: int, csi: bool
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    int,
    bool,
]:
    """Take an index apart.

    Returns
    -------
    tuple
        Rows of (tile, number of tiles, offset), and which are of which chromosome; the bins as
        (first tile, first offset), and the same; (first, last) offset of each chromosome; the
        mapped reads; whether all is as it should be.
    """
    size = len(data)
    leaves = ((1 << 3 * depth) - 1) // 7  # number of the first bin of the smallest kind
    last = ((1 << 3 * (depth + 1)) - 1) // 7 - 1
    pseudo = last + 2
    head = 16 if csi else 8
    rows = np.empty((size // 8 + 1, 3), dtype=np.int64)
    edges = np.zeros(n_chrom + 1, dtype=np.int64)
    bins = np.empty((size // 8 + 1, 2), dtype=np.int64)
    bin_edges = np.zeros(n_chrom + 1, dtype=np.int64)
    ends = np.zeros((n_chrom, 2), dtype=np.int64)
    bad = rows[:0], edges, bins[:0], bin_edges, ends, 0, False
    n_rows, n_bin_rows, n_mapped, n_pseudo, n_used = 0, 0, 0, 0, 0
    for chrom in range(n_chrom):
        if at + 4 > size:
            return bad
        n_bins = u32(data, at)
        at += 4
        for _ in range(n_bins):
            if at + head > size:
                return bad
            number = u32(data, at)
            n_chunks = u32(data, at + head - 4)
            chunks = at + head
            at = chunks + 16 * n_chunks
            if at > size:
                return bad
            if number == pseudo:
                if n_chunks == 2:
                    n_mapped += i64(data, chunks + 16)
                    n_pseudo += 1
                continue
            if number > last:
                return bad
            begin = np.int64(-1)
            for chunk in range(chunks, at, 16):
                first = i64(data, chunk)
                if first < 0 or i64(data, chunk + 8) < first:
                    return bad
                if begin < 0 or first < begin:
                    begin = first
                if ends[chrom, 1] == 0 or first < ends[chrom, 0]:
                    ends[chrom, 0] = first
                ends[chrom, 1] = max(ends[chrom, 1], i64(data, chunk + 8))
            tile, width = number, 1
            while tile < leaves:
                tile, width = 8 * tile + 1, 8 * width
            if begin >= 0:
                bins[n_bin_rows] = tile - leaves, begin
                n_bin_rows += 1
            if csi:
                # The offset of a bin is that of its first tile, whatever the size of the bin.
                rows[n_rows] = tile - leaves, width, i64(data, chunks - 12)
                n_rows += 1
        if not csi:
            if at + 4 > size:
                return bad
            n_tiles = u32(data, at)
            at += 4
            if at + 8 * n_tiles > size:
                return bad
            for tile in range(n_tiles):
                rows[n_rows] = tile, 1, i64(data, at + 8 * tile)
                n_rows += 1
            at += 8 * n_tiles
        n_used += ends[chrom, 1] > 0
        edges[chrom + 1] = n_rows
        bin_edges[chrom + 1] = n_bin_rows
    # A chromosome without alignments may lack the pseudo-bin that counts them.
    if n_pseudo < n_used:
        n_mapped = -1
    return rows[:n_rows], edges, bins[:n_bin_rows], bin_edges, ends, n_mapped, True
