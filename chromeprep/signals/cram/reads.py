"""Reads as pysam gives them -> arrays -> counts in bins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import kernel
from chromeprep.signals.read_kernels import REVERSE, add_read, read_interval

if TYPE_CHECKING:
    import pysam

_BATCH = 50_000  # reads
_FIELDS = 8  # of a read, as `_fields` gives them
_GAPS = (2, 3)  # D and N
_ON_THE_REFERENCE = (0, 2, 3, 7, 8)  # M D N = X
_READ, _PART = 0, 1
_UNMAPPED = 0x4


def batches(
    reads: Iterator[pysam.AlignedSegment], *, by_parts: bool
) -> Iterator[NDArray[np.int64]]:
    """Yield the fields of reads for `add_alignments`, shape (reads, 8).

    Parameters
    ----------
    reads
        Alignments, in any order.
    by_parts
        Give those with gaps as one without bases and its parts between the gaps.
    """
    rows = _parts(reads) if by_parts else map(_fields, reads)
    row = np.dtype((np.int64, _FIELDS))
    while len(batch := np.fromiter(islice(rows, _BATCH), dtype=row)):
        yield cast(NDArray[np.int64], batch)


def _fields(read: pysam.AlignedSegment) -> tuple[int, ...]:
    first = read.reference_start
    end = read.reference_end
    if end is None:  # unmapped, or without a CIGAR: counts at its first base
        end = first + 1
    elif end <= first + 1 and not _covers_a_base(read):
        end = first
    chrom = read.reference_id
    # Where the mates' fields were not asked for, these say that there is none.
    mate = read.next_reference_start if read.next_reference_id == chrom else -1
    return chrom, first, end, read.flag, read.mapping_quality, mate, read.template_length, _READ


def _parts(reads: Iterator[pysam.AlignedSegment]) -> Iterator[tuple[int, ...]]:
    """Yield the fields of reads; those with gaps as one without bases, and its parts."""
    for read in reads:
        fields = _fields(read)
        cigar = read.cigartuples
        if cigar is None or not any(what in _GAPS for what, _ in cigar):
            yield fields
            continue
        chrom, first, _, flag, *others, _ = fields
        yield chrom, first, first, flag, *others, _READ
        for begin, end in read.get_blocks():
            yield chrom, begin, end, flag, *others, _PART


def _covers_a_base(read: pysam.AlignedSegment) -> bool:
    # htslib gives an alignment that is all clips and insertions a length of 1.
    return any(operation in _ON_THE_REFERENCE for operation, _ in read.cigartuples or ())


@kernel
def add_alignments(
    reads: NDArray[np.int64],
    chrom_of: NDArray[np.int64],
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
) -> tuple[int, int]:
    """Add reads to the bins.

    Parameters
    ----------
    reads
        Of each: chromosome of the file, first base, end, flags, mapping quality, first base of the
        mate (-1 where it is elsewhere), TLEN, and whether it is a part of the read before it;
        shape (reads, 8).
    chrom_of
        Number in `Targets` of each chromosome of the file, -1 where no window is.
    low, high
        Windows that may be written to; all those of the read's chromosome where `low` is negative.

    Returns
    -------
    tuple
        How many passed the filters, and how many are mapped.
    """
    counted = mapped = 0
    all_windows = low < 0
    for i in range(len(reads)):
        reference, first, end, flag = reads[i, 0], reads[i, 1], reads[i, 2], reads[i, 3]
        quality, mate, template, part = reads[i, 4], reads[i, 5], reads[i, 6], reads[i, 7]
        mapped += part == _READ and not flag & _UNMAPPED
        if reference < 0 or first < 0 or flag & exclude or quality < min_mapq:
            continue
        if part == _READ:
            a, b = read_interval(first, first + 1, flag, mate, template, extend)
            if b <= a:
                continue
            counted += 1
        chrom = chrom_of[reference]
        if chrom < 0:
            continue
        if all_windows:
            low, high = offsets[chrom], offsets[chrom + 1]
        first, end = read_interval(first, end, flag, mate, template, extend)
        add_read(
            first, end, flag & REVERSE != 0, code, lengths[chrom],
            low, high, starts, tiles, tile_offsets[chrom], size, counts,
        )  # fmt: skip
    return counted, mapped
