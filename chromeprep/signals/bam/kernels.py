"""BAM records, inflated, -> counts in bins: the compiled loop.

Source: SAM/BAM format specification, sections 4.2 and 4.2.2 (alignments with more than 65,535
CIGAR operations).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import inlined, kernel
from chromeprep.signals.kernels import add_bases
from chromeprep.signals.numbers import i32, u8, u16, u32
from chromeprep.signals.read_kernels import COVERAGE, REVERSE, add_read, read_interval

# What `count_records` stopped for.
MORE, DONE, DAMAGED = 0, 1, 2
# What it counts besides, in `tally`.
COUNTED, MAPPED, STATE = 0, 1, 2

_FIXED = 32  # bytes of a record before the name, its size not counted
_LARGEST = 1 << 28
_UNMAPPED = 0x4
_SPANS_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], dtype=np.int64)
_IS_MATCH = np.array([1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], dtype=np.int64)
_SOFT_CLIP, _GAP = 4, 3
_TAG_BYTES = np.zeros(128, dtype=np.int64)
for _kind, _bytes in zip("AcCsSiIf", (1, 1, 1, 2, 2, 4, 4, 4), strict=True):
    _TAG_BYTES[ord(_kind)] = _bytes


@inlined
def _cigar(data: NDArray[np.uint8], record: int, end: int) -> tuple[int, int]:
    """Return where the CIGAR of a record is and how many operations it has."""
    at: int = record + _FIXED + u8(data, record + 8)
    count = u16(data, record + 12)
    bases = i32(data, record + 16)
    if count != 2 or u32(data, at) != bases << 4 | _SOFT_CLIP or u8(data, at + 4) & 15 != _GAP:
        return at, count
    # A placeholder: the CIGAR was too long for its place and stands in the tag CG.
    tag = at + 8 + (bases + 1) // 2 + bases
    while tag + 3 < end:
        kind = u8(data, tag + 2)
        value = tag + 3
        if kind == ord("B"):
            n_values = u32(data, value + 1) if value + 5 <= end else 0
            if u8(data, tag) == ord("C") and u8(data, tag + 1) == ord("G"):
                return (value + 5, n_values) if value + 5 + 4 * n_values <= end else (at, count)
            tag = value + 5 + n_values * _TAG_BYTES[u8(data, value) & 127]
        elif kind == ord("Z") or kind == ord("H"):
            while value < end and u8(data, value) != 0:
                value += 1
            tag = value + 1
        else:
            tag = value + max(_TAG_BYTES[kind & 127], 1)
    return at, count


@kernel
def count_records(
    data: NDArray[np.uint8],
    at: int,
    chrom_of: NDArray[np.int64],
    only: int,
    beyond: int,
    low: int,
    high: int,
    code: int,
    extend: int,
    min_mapq: int,
    exclude: int,
    lengths: NDArray[np.int64],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile_offsets: NDArray[np.int64],
    size: int,
    counts: NDArray[np.int32],
    tally: NDArray[np.int64],
) -> int:
    """Count the records of `data` from `at` on.

    Parameters
    ----------
    data
        Inflated records; the last may be cut off.
    chrom_of
        Number in `Targets` of each chromosome of the file, -1 where no window is.
    only, beyond
        Stop at an alignment of another chromosome of the file than `only` or at base `beyond` or
        later; all are read where `only` is negative.
    low, high
        Windows that may be written to where `only` is not negative.
    code, extend, min_mapq, exclude
        The `ReadRule`.
    lengths … counts
        Of `Targets`.
    tally
        Reads that passed the filters, mapped alignments, and what it stopped for.

    Returns
    -------
    int
        Where the first record begins that was not read.
    """
    n_bytes = len(data)
    tally[STATE] = MORE
    while at + 4 + _FIXED <= n_bytes:
        length = u32(data, at)
        record = at + 4
        if length < _FIXED or length > _LARGEST:
            tally[STATE] = DAMAGED
            return at
        end_of_record = record + length
        if end_of_record > n_bytes:
            return at
        reference = i32(data, record)
        first = i32(data, record + 4)
        if only >= 0 and (reference != only or first >= beyond):
            tally[STATE] = DONE
            return at
        n_operations = u16(data, record + 12)
        if (
            reference >= len(chrom_of)
            or reference < -1
            or first < -1
            or _FIXED + u8(data, record + 8) + 4 * n_operations > length
        ):
            tally[STATE] = DAMAGED
            return at
        at = end_of_record
        flag = u16(data, record + 14)
        if not flag & _UNMAPPED:
            tally[MAPPED] += 1
        if reference < 0 or first < 0 or flag & exclude or u8(data, record + 9) < min_mapq:
            continue
        mate = np.int64(-1)
        template = np.int64(0)
        if extend >= 0:
            if i32(data, record + 20) == reference:
                mate = i32(data, record + 24)
            template = i32(data, record + 28)
            a, b = read_interval(first, first + 1, flag, mate, template, extend)
            if b <= a:
                continue
        tally[COUNTED] += 1
        chrom = chrom_of[reference]
        if chrom < 0:
            continue
        if only < 0:
            low, high = offsets[chrom], offsets[chrom + 1]
        cigar, n_operations = _cigar(data, record, end_of_record)
        end = first
        for operation in range(cigar, cigar + 4 * n_operations, 4):
            value = u32(data, operation)
            end += (value >> 4) * _SPANS_REFERENCE[value & 15]
        endless = n_operations == 0 or flag & _UNMAPPED != 0
        if endless:
            end = first + 1  # nobody knows where it ends: it counts at its first base
        if code != COVERAGE or extend >= 0 or endless:
            first, end = read_interval(first, end, flag, mate, template, extend)
            add_read(first, end, flag & REVERSE != 0, code, lengths[chrom], low, high, starts,
                     tiles, tile_offsets[chrom], size, counts)  # fmt: skip
            continue
        for operation in range(cigar, cigar + 4 * n_operations, 4):
            value = u32(data, operation)
            end = min(first + (value >> 4) * _SPANS_REFERENCE[value & 15], lengths[chrom])
            if _IS_MATCH[value & 15] and end > first:
                add_bases(first, end, low, high, starts, tiles, tile_offsets[chrom], size, counts)
            first = max(first, end)
    return at
