"""How lines of bedGraph become sums over bins: the compiled loop over a block of text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chromeprep.compiled import kernel
from chromeprep.signals.kernels import add_signal, first_window
from chromeprep.signals.text.kernels import (
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
)

# Why `add_lines` came back: at the end of the block, at a line with a name to be added to the
# table, or at a line that is not of the plainest form, to be read or refused by Python.
DONE, NEW_NAME, ASK = 0, 1, 2

_POINT, _E = 46, ord("e")
_LOWER = 0x20  # makes letters small
_N, _A = ord("n"), ord("a")
_MANTISSA_DIGITS = 19  # fit 64 bits
_EXPONENT_DIGITS = 4

# Powers of ten, rounded to double precision; the first 23 are exact.
_POWERS = np.array([float(f"1e{power}") for power in range(301)])
_EXACT_POWER = 22
_EXACT_MANTISSA = 1 << 53
_MARGIN = 2.0**-50


@kernel
def to_float32(mantissa: int, power: int) -> float:
    """Return ``mantissa * 10**power`` rounded to double, then single precision; NaN if unsure.

    Where both factors are exact in double precision, so is the rounding of their product or
    quotient (Clinger, "How to read floating point numbers accurately", 1990). Otherwise the double
    is known to within a few units of its last place; as rounding keeps the order, a single that is
    the same for both ends of that range is the right one.

    Parameters
    ----------
    mantissa
        The first 19 digits, or all where there are fewer. Where there are more, it is too large to
        be exact in double precision, so that nothing else must say so.
    """
    if mantissa == 0:
        return 0.0
    if abs(power) >= len(_POWERS):
        return np.nan
    factor = _POWERS[abs(power)]
    value = np.float64(mantissa)
    value = value / factor if power < 0 else value * factor
    single = np.float32(value)
    if mantissa > _EXACT_MANTISSA or abs(power) > _EXACT_POWER:
        low, high = np.float32(value * (1 - _MARGIN)), np.float32(value * (1 + _MARGIN))
        if low != high:
            return np.nan
        single = low
    return np.float64(single) if np.isfinite(single) else np.nan


@kernel
def add_lines(
    text: NDArray[np.uint8],
    position: int,
    tally: NDArray[np.int64],
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    letters: NDArray[np.uint8],
    codes: NDArray[np.int64],
    lengths: NDArray[np.int64],
    windows: NDArray[np.int64],
    starts: NDArray[np.int64],
    tiles: NDArray[np.int64],
    tile_offsets: NDArray[np.int64],
    size: int,
    sums: NDArray[np.float64],
    covered: NDArray[np.int32],
) -> tuple[int, int]:
    """Add the lines of a block to the bins, from the line at `position` on.

    Parameters
    ----------
    text
        Whole lines.
    tally
        Count of lines, shape (1,); added to.
    slots, offsets, letters, codes
        A `chromeprep.signals.text.kernels.NameTable`.
    lengths, windows, starts, tiles, tile_offsets, size
        The `chromeprep.signals.targets.Targets`; `windows` are its ``offsets``.
    sums, covered
        As in `chromeprep.signals.kernels`.

    Returns
    -------
    tuple
        Where the reading came to, and why it stopped there.
    """
    # All in one function and indices unsigned, for speed; no loop goes beyond a newline.
    at_byte = np.uint64
    width = sums.shape[1] * size
    known, n_known = 0, 0  # the name of the line before
    chrom = UNWANTED
    length = low = high = tile = 0
    row = before = 0  # the first window that ends beyond the first base of the line before
    n_bytes = len(text)
    while position < n_bytes:
        while text[at_byte(position)] == SPACE or text[at_byte(position)] == TAB:
            position += 1
        i = 0
        while i < n_known and text[at_byte(position + i)] == text[at_byte(known + i)]:
            i += 1
        if n_known == 0 or i < n_known or text[at_byte(position + n_known)] > SPACE:
            if is_heading(text, position):
                position = line_end(text, position) + 1
                tally[0] += 1
                continue
            known, at = position, name_end(text, position)
            n_known = at - known
            if n_known == 0:
                return position, ASK
            chrom = find_name(text, known, at, slots, offsets, letters, codes)
            if chrom == UNKNOWN:
                return position, NEW_NAME
            if chrom != UNWANTED:
                length, tile = lengths[chrom], tile_offsets[chrom]
                low, high = windows[chrom], windows[chrom + 1]
                row, before = low, 0
        at = position + n_known

        first = end = 0
        good = True
        for field in range(2):
            began = at
            while text[at_byte(at)] == TAB or text[at_byte(at)] == SPACE:
                at += 1
            good &= at > began
            began, number = at, 0
            digit = int(text[at_byte(at)]) - ZERO
            while 0 <= digit <= NINE:
                number = number * 10 + digit
                at += 1
                digit = int(text[at_byte(at)]) - ZERO
            good &= 0 < at - began <= MAX_DIGITS
            if field == 0:
                first = number
            end = number
        if not good or end <= first:
            return position, ASK

        began = at
        while text[at_byte(at)] == TAB or text[at_byte(at)] == SPACE:
            at += 1
        if at == began:
            return position, ASK
        negative = text[at_byte(at)] == MINUS
        at += negative or text[at_byte(at)] == PLUS
        mantissa = np.uint64(0)
        n_digits = n_read = power = 0
        point = False
        while True:
            letter = text[at_byte(at)]
            digit = int(letter) - ZERO
            if 0 <= digit <= NINE:
                n_read += 1
                if n_digits < _MANTISSA_DIGITS:
                    mantissa = mantissa * np.uint64(10) + np.uint64(digit)
                    n_digits += mantissa != 0
                    power -= point
                else:
                    power += not point
            elif letter == _POINT and not point:
                point = True
            else:
                break
            at += 1
        missing = False
        if n_read == 0:
            missing = (
                not point
                and text[at_byte(at)] | _LOWER == _N
                and text[at_byte(at + 1)] | _LOWER == _A
                and text[at_byte(at + 2)] | _LOWER == _N
            )
            if not missing:
                return position, ASK
            at += 3
        elif text[at_byte(at)] | _LOWER == _E:
            at += 1
            down = text[at_byte(at)] == MINUS
            at += down or text[at_byte(at)] == PLUS
            began, number = at, 0
            digit = int(text[at_byte(at)]) - ZERO
            while 0 <= digit <= NINE and at - began <= _EXPONENT_DIGITS:
                number = number * 10 + digit
                at += 1
                digit = int(text[at_byte(at)]) - ZERO
            if not 0 < at - began <= _EXPONENT_DIGITS:
                return position, ASK
            power += -number if down else number
        while text[at_byte(at)] == TAB or text[at_byte(at)] == SPACE or text[at_byte(at)] == RETURN:
            at += 1
        if text[at_byte(at)] != NEWLINE or (chrom != UNWANTED and end > length):
            return position, ASK

        if not missing:
            value = to_float32(mantissa, power)
            if np.isnan(value):
                return position, ASK
            if chrom != UNWANTED:
                if first < before:
                    row = first_window(first, low, high, starts, tiles, tile, width)
                while row < high and starts[row] + width <= first:
                    row += 1
                before = first
                if row < high and starts[row] < end:
                    value = -value if negative else value
                    add_signal(
                        first, end, value, row, high, starts, tiles, tile, size, sums, covered
                    )
        tally[0] += 1
        position = at + 1
    return position, DONE
