"""How lines of BED and tagAlign become counts: the compiled loop over a block of text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import kernel
from chromeprep.signals.kernels import first_window
from chromeprep.signals.read_kernels import COVERAGE, FIVE_PRIME, REVERSE, add_read, read_interval
from chromeprep.signals.text.kernels import (
    COMMA,
    MAX_DIGITS,
    MINUS,
    NEWLINE,
    NINE,
    PLUS,
    RETURN,
    SPACE,
    TAB,
    UNKNOWN,
    UNWANTED,
    ZERO,
    find_name,
    is_heading,
    line_end,
    name_end,
    parse_number,
    skip_field,
    skip_separator,
)

# Why `count_lines` came back: at the end of the block, or at a line with a name to be added to the
# table, or at one that is wrong.
DONE, NEW_NAME, WRONG = 0, 1, 2

ENDLESS = np.iinfo(np.int64).max
END_FIELD, STRAND_FIELD, BLOCKS_FIELD = 3, 6, 10  # of a line, counted from 1

# What `count_lines` counts, as indices of its argument `tally`.
LINES, READS, EMPTY = 0, 1, 2


@kernel
def count_lines(
    text: NDArray[np.uint8],
    position: int,
    tally: NDArray[np.int64],
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    letters: NDArray[np.uint8],
    codes: NDArray[np.int64],
    code: int,
    extend: int,
    lengths: NDArray[np.int64],
    windows: NDArray[np.int64],
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile_offsets: NDArray[np.int64],
    size: int,
    counts: NDArray[np.int32],
) -> tuple[int, int]:
    """Add the reads of a block to the bins, from the line at `position` on.

    Parameters
    ----------
    text
        Whole lines.
    tally
        Counts of lines, of reads and of intervals without a base; added to.
    slots, offsets, letters, codes
        A `chromeprep.signals.text_kernels.NameTable`.
    code, extend
        The rule, as for `chromeprep.signals.read_kernels`.
    lengths, windows, starts, tiles, tile_offsets, size
        The `chromeprep.signals.targets.Targets`; `windows` are its ``offsets``.
    counts
        Shape (windows, bins); added to.

    Returns
    -------
    tuple
        Where the reading came to, and why it stopped there.
    """
    # Fields are taken apart here and not in functions, and indices are unsigned, which saves asking
    # whether they count from the end: each doubles the speed.
    at_byte = np.uint64
    needs_strand = extend >= 0 or code == FIVE_PRIME
    needs_blocks = code == COVERAGE and extend < 0
    skip_to = STRAND_FIELD if needs_strand else BLOCKS_FIELD if needs_blocks else END_FIELD
    known, n_known = 0, 0  # the name of the line before
    chrom = UNWANTED
    length = low = high = tile = 0
    free_from = free_to = 0  # bases under no window, round those of a line before
    width = size * counts.shape[1]
    size_of_text = len(text)
    while position < size_of_text:
        i = 0
        while i < n_known and text[at_byte(position + i)] == text[at_byte(known + i)]:
            i += 1
        if n_known == 0 or i < n_known or text[at_byte(position + n_known)] > SPACE:
            if is_heading(text, position):
                position = line_end(text, position) + 1
                tally[LINES] += 1
                continue
            known, at = position, name_end(text, position)
            n_known = at - known
            if n_known == 0:
                return position, WRONG
            chrom = find_name(text, known, at, slots, offsets, letters, codes)
            if chrom == UNKNOWN:
                return position, NEW_NAME
            if chrom != UNWANTED:
                length = lengths[chrom]
                low, high = windows[chrom], windows[chrom + 1]
                tile = tile_offsets[chrom]
                free_from = free_to = 0
        at = position + n_known
        separator = TAB if text[at_byte(at)] == TAB else SPACE

        at += 1
        if separator == SPACE:
            while text[at_byte(at)] == SPACE:
                at += 1
        began, first = at, 0
        digit = int(text[at_byte(at)]) - ZERO
        while 0 <= digit <= NINE:
            first = first * 10 + digit
            at += 1
            digit = int(text[at_byte(at)]) - ZERO
        if at == began or at - began > MAX_DIGITS or text[at_byte(at)] != separator:
            return position, WRONG

        at += 1
        if separator == SPACE:
            while text[at_byte(at)] == SPACE:
                at += 1
        began, end = at, 0
        digit = int(text[at_byte(at)]) - ZERO
        while 0 <= digit <= NINE:
            end = end * 10 + digit
            at += 1
            digit = int(text[at_byte(at)]) - ZERO
        if at == began or at - began > MAX_DIGITS or end < first:
            return position, WRONG
        after = text[at_byte(at)]
        if after != separator and after != NEWLINE and after != RETURN:
            return position, WRONG

        reverse = False
        if skip_to > END_FIELD:
            field = END_FIELD
            while field < skip_to and text[at_byte(at)] != NEWLINE:
                if text[at_byte(at)] == separator:
                    field += 1
                    if separator == SPACE:
                        while text[at_byte(at + 1)] == SPACE:
                            at += 1
                at += 1
        if needs_strand:
            strand = text[at_byte(at)]
            reverse = strand == MINUS
            if not (reverse or strand == PLUS) or text[at_byte(at + 1)] > SPACE:
                return position, WRONG

        if first == end:
            tally[EMPTY] += 1
        else:
            tally[READS] += 1
            if chrom != UNWANTED:
                if first >= length:
                    return position, WRONG
                blocks = 0
                if needs_blocks and text[at_byte(at)] != NEWLINE:
                    blocks, sizes_at, starts_at = _find_blocks(text, at, separator)
                for _ in range(blocks):
                    bases, sizes_at = parse_number(text, sizes_at)
                    offset, starts_at = parse_number(text, starts_at)
                    if offset < 0 or bases < 0 or offset + bases > end - first:
                        return position, WRONG
                    sizes_at += text[sizes_at] == COMMA
                    starts_at += text[starts_at] == COMMA
                    part = first + offset
                    add_read(
                        part, part + bases, False, code, length,
                        low, high, starts, tiles, tile, size, counts,
                    )  # fmt: skip
                if blocks < 0:
                    return position, WRONG
                if blocks == 0:
                    part, stop = read_interval(first, end, REVERSE * reverse, -1, 0, extend)
                    if part < free_from or stop > free_to:
                        base = min(max(part, 0), length - 1)
                        row = first_window(base, low, high, starts, tiles, tile, width)
                        free_from = part
                        free_to = starts[row] if row < high else ENDLESS
                        if stop > free_to:
                            add_read(
                                part, stop, reverse, code, length,
                                low, high, starts, tiles, tile, size, counts,
                            )  # fmt: skip
        while text[at_byte(at)] != NEWLINE:
            at += 1
        position = at + 1
        tally[LINES] += 1
    return position, DONE


@kernel
def _find_blocks(text: NDArray[np.uint8], at: int, separator: int) -> tuple[int, int, int]:
    """Find the blocks of a line from its tenth field on.

    Returns
    -------
    tuple
        How many there are, 0 where the line has none, -1 where it has but their number is wrong;
        where their sizes begin; where their starts do.
    """
    count, end = parse_number(text, at)
    sizes = skip_separator(text, end if count >= 0 else skip_field(text, at, separator))
    starts = skip_separator(text, skip_field(text, sizes, separator))
    if starts == sizes or text[starts] < ZERO:  # fewer than twelve fields
        return 0, 0, 0
    if count <= 0 or text[end] != separator:
        return -1, 0, 0
    return count, sizes, starts
