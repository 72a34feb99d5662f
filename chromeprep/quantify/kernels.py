"""Records of a BAM -> the genes that each read hits, and the fate of single ones, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import allocating, kernel
from chromeprep.quantify.fates import (
    AMBIGUOUS,
    ASSIGNED,
    DUPLICATE,
    LOW_QUALITY,
    MULTI,
    NO_GENE,
    PASSED,
    SECONDARY,
    SUPPLEMENTARY,
    UNMAPPED,
)
from chromeprep.signals.numbers import i32, u16

_FIXED = 32  # bytes of a record before its name
_PRIME = np.uint64(0x100000001B3)
_SEEDS = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


@kernel
def _n_places(data: NDArray[np.uint8], at: int, end: int) -> np.int64:
    """Return the integer NH of a record's optional fields; 0 where it is not there."""
    while at + 3 < end:
        kind = data[at + 2]
        value = at + 3
        number = np.int64(0)
        if kind == 65 or kind == 67 or kind == 99:  # A C c
            size = 1
            number = np.int64(data[value])
        elif kind == 83 or kind == 115:  # S s
            size = 2
            if value + size <= end:
                number = u16(data, value)
        elif kind == 73 or kind == 105 or kind == 102:  # I i f
            size = 4
            if value + size <= end:
                number = i32(data, value)
        elif kind == 66:  # B
            if value + 5 > end:
                break
            item = data[value]
            width = 1 if item == 67 or item == 99 else 2 if item == 83 or item == 115 else 4
            size = 5 + width * max(i32(data, value + 1), 0)
        else:  # Z H
            size = 1
            while value + size - 1 < end and data[value + size - 1] != 0:
                size += 1
        if data[at] == 78 and data[at + 1] == 72 and kind != 65 and kind != 102:  # N H
            return number
        at = value + size
    return np.int64(0)


@kernel
def _key(
    data: NDArray[np.uint8], name: int, length: int, places: tuple[int, int, int, int],
    seed: np.uint64,
) -> np.uint64:  # fmt: skip
    key = seed
    for at in range(name, name + length):
        key = (key ^ np.uint64(data[at])) * _PRIME
    for place in places:
        key = (key ^ np.uint64(place)) * _MIX
        key ^= key >> np.uint64(32)
    return key


@allocating
def _add_hits(
    first: int,
    end: int,
    low: int,
    high: int,
    seg_start: NDArray[np.int64],
    seg_end: NDArray[np.int64],
    offset: NDArray[np.int64],
    genes: NDArray[np.int32],
    hits: NDArray[np.int32],
    base: int,
    count: int,
) -> tuple[NDArray[np.int32], int]:
    """Add the genes of segments `low` to `high` that ``[first, end)`` overlaps, each once."""
    stop = high
    while low < high:  # the first segment that ends beyond `first`
        middle = (low + high) // 2
        if seg_end[middle] <= first:
            low = middle + 1
        else:
            high = middle
    while low < stop and seg_start[low] < end:
        for at in range(offset[low], offset[low + 1]):
            gene = genes[at]
            known = False
            for other in range(base, count):
                known = known or hits[other] == gene
            if not known:
                if count == len(hits):
                    larger = np.empty(2 * len(hits), dtype=np.int32)
                    larger[:count] = hits
                    hits = larger
                hits[count] = gene
                count += 1
        low += 1
    return hits, count


@allocating
def scan(
    data: NDArray[np.uint8],
    n_strands: int,
    group: NDArray[np.int64],
    seg_start: NDArray[np.int64],
    seg_end: NDArray[np.int64],
    offset: NDArray[np.int64],
    genes: NDArray[np.int32],
    reverse: bool,
    min_mapq: int,
    ignore_duplicates: bool,
    counts: NDArray[np.int64],
    tally: NDArray[np.int64],
    totals: NDArray[np.int64],
) -> tuple[
    int,
    NDArray[np.uint64],
    NDArray[np.uint64],
    NDArray[np.int8],
    NDArray[np.int16],
    NDArray[np.int8],
    NDArray[np.bool_],
    NDArray[np.int64],
    NDArray[np.int32],
]:
    """Count single reads, and give the ends of pairs to be matched.

    Parameters
    ----------
    data
        Records, the first one whole.
    n_strands, group, seg_start, seg_end, offset, genes
        Fields of `chromeprep.quantify.exons.Segments`.
    reverse
        Of stranded segments: reads are on the other strand than their gene.
    min_mapq, ignore_duplicates
        As in `chromeprep.quantify.count.CountRule`.
    counts
        Added to: fragments of each gene, shape (genes,).
    tally
        Added to: fragments of each fate, by the codes above.
    totals
        Added to: primary alignments with an NH tag, and those without.

    Returns
    -------
    at
        Where the first record that is not whole begins; ``-1 - at`` of a damaged one.
    key1, key2, end, mapq, against, unmapped, first_hit, hits
        Of the ends of pairs, shape (ends,): two hashes that are the same for the two ends only;
        0 for the first of the pair, 1 for the second; mapping quality; what is against it; both
        of the pair are unmapped; and where its genes begin in `hits` (one entry more, to close).
    """
    # Every record takes at least its fixed part and its length.
    most = len(data) // (_FIXED + 4) + 1
    key1 = np.empty(most, dtype=np.uint64)
    key2 = np.empty(most, dtype=np.uint64)
    ends = np.empty(most, dtype=np.int8)
    quality = np.empty(most, dtype=np.int16)
    against = np.empty(most, dtype=np.int8)
    unmapped = np.empty(most, dtype=np.bool_)
    first_hit = np.empty(most + 1, dtype=np.int64)
    hits = np.empty(4096, dtype=np.int32)
    n_ends = n_hits = 0
    n_references = (len(group) - 1) // n_strands
    at = 0
    while at + 4 <= len(data):
        size = i32(data, at)
        if size < _FIXED:
            at = -1 - at
            break
        stop = at + 4 + size
        if stop > len(data):
            break
        chrom, position = i32(data, at + 4), i32(data, at + 8)
        name_length, mapq = np.int64(data[at + 12]), np.int64(data[at + 13])
        n_cigar, flag = u16(data, at + 16), u16(data, at + 18)
        length = i32(data, at + 20)
        mate_chrom, mate_position = i32(data, at + 24), i32(data, at + 28)
        cigar = at + 4 + _FIXED + name_length
        tags = cigar + 4 * n_cigar + (length + 1) // 2 + length
        if length < 0 or tags > stop or chrom >= n_references:
            at = -1 - at
            break
        name = at + 4 + _FIXED
        at = stop
        if flag & 0x800:
            tally[SUPPLEMENTARY] += 1
            continue
        n_places = _n_places(data, tags, stop)
        mapped = not flag & 0x4
        if mapped and not flag & 0x100:
            totals[0 if n_places > 0 else 1] += 1
        if ignore_duplicates and flag & 0x400:
            reason = DUPLICATE
        elif mapped and n_places > 1:
            reason = MULTI
        elif mapped and flag & 0x100:
            reason = SECONDARY
        else:
            reason = PASSED
        paired = flag & 0x1
        second = paired and flag & 0x80 and not flag & 0x40
        base = n_hits
        if mapped and reason == PASSED and chrom >= 0:
            strand = 0
            if n_strands == 2:
                minus = (flag & 0x10 != 0) != (second != 0)
                strand = 1 if minus != reverse else 0
            low, high = group[chrom * n_strands + strand], group[chrom * n_strands + strand + 1]
            if low < high:
                here = position
                block = position
                for step in range(n_cigar):
                    word = i32(data, cigar + 4 * step)
                    operation, span = word & 0xF, (word >> 4) & 0xFFFFFFF
                    if operation == 0 or operation == 7 or operation == 8:  # M = X
                        here += span
                    elif operation == 2 or operation == 3:  # D N
                        if here > block:
                            hits, n_hits = _add_hits(
                                block, here, low, high, seg_start, seg_end, offset, genes, hits,
                                base, n_hits,
                            )  # fmt: skip
                        here += span
                        block = here
                if here > block:
                    hits, n_hits = _add_hits(
                        block, here, low, high, seg_start, seg_end, offset, genes, hits, base,
                        n_hits,
                    )  # fmt: skip
        if not paired:
            if not mapped:
                fate = UNMAPPED
            elif mapq < min_mapq:
                fate = LOW_QUALITY
            elif reason != PASSED:
                fate = reason
            elif n_hits == base:
                fate = NO_GENE
            elif n_hits == base + 1:
                fate = ASSIGNED
                counts[hits[base]] += 1
            else:
                fate = AMBIGUOUS
            tally[fate] += 1
            n_hits = base
            continue
        if second:
            places = (mate_chrom, mate_position, chrom, position)
        else:
            places = (chrom, position, mate_chrom, mate_position)
        key1[n_ends] = _key(data, name, name_length, places, _SEEDS[0])
        key2[n_ends] = _key(data, name, name_length, places, _SEEDS[1])
        ends[n_ends] = 1 if second else 0
        quality[n_ends] = mapq
        against[n_ends] = reason
        unmapped[n_ends] = flag & 0xC == 0xC
        first_hit[n_ends] = base
        n_ends += 1
    first_hit[n_ends] = n_hits
    return (
        at,
        key1[:n_ends].copy(),
        key2[:n_ends].copy(),
        ends[:n_ends].copy(),
        quality[:n_ends].copy(),
        against[:n_ends].copy(),
        unmapped[:n_ends].copy(),
        first_hit[: n_ends + 1].copy(),
        hits[:n_hits].copy(),
    )
