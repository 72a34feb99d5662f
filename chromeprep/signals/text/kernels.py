"""How lines of BED-like text are taken apart: names of chromosomes looked up, numbers and fields.

The compiled functions work on a block of whole lines, an array of bytes that ends in a newline, and
return positions in it; none looks beyond the newline at the end of its line.

Which chromosomes a file has is known only when it has been read. So compiled code meets names that
it cannot know: it stops at them, Python adds them to the `ChromosomeNames` of the reading, and the
compiled code is called again from that line. That happens once a name, and keeps the rules for
``chr1`` and ``1`` in one place::

    names = ChromosomeNames(path, targets.chromosomes)
    table = names.table()
    while position < len(block):
        position, status = kernel(block, position, ..., *table)  # uses find_name()
        if status == NEW_NAME:
            names.add(bytes(block[position : name_end(block, position)]))
            table = names.table()
    names.check()

In the kernel, compare with the name of the line before first: in sorted files it is the same nearly
always, and no lookup is needed. The loop over all lines does that, and takes numbers apart, without
calling the functions below, which cost more than they do; they are for the rarer lines.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.chromosomes import natural_key
from chromeprep.compiled import kernel
from chromeprep.errors import MismatchError, SignalError, shorten
from chromeprep.format.ids import bare_chromosome

TAB, NEWLINE, RETURN, SPACE, HASH = 9, 10, 13, 32, 35
PLUS, COMMA, MINUS = 43, 44, 45
ZERO, NINE = 48, 9  # a byte less ZERO is 0 to NINE where it is a digit
MAX_DIGITS = 18  # of a number that fits 64 bits
UNKNOWN = -2  # a name that is not in the table
UNWANTED = -1  # a name that no window is on

_TRACK = np.frombuffer(b"track", dtype=np.uint8)
_BROWSER = np.frombuffer(b"browser", dtype=np.uint8)

_log = logging.getLogger(__name__)


class NameTable(NamedTuple):
    """Names with their chromosomes, as a hash table for `find_name`.

    Attributes
    ----------
    slots
        Number of the name in each slot, -1 where there is none; their count is a power of two.
    offsets
        Bytes of name n in `letters`: ``offsets[n]`` up to ``offsets[n + 1]``.
    letters
        All names, end to end.
    codes
        Number of the name's chromosome among those wanted, or `UNWANTED`.
    """

    slots: NDArray[np.int64]
    offsets: NDArray[np.int64]
    letters: NDArray[np.uint8]
    codes: NDArray[np.int64]


class ChromosomeNames:
    """The names that a file was found to have, and which of the wanted chromosomes they are.

    Parameters
    ----------
    path
        The file.
    wanted
        Names of the chromosomes with windows, in the order of their numbers.

    Examples
    --------
    >>> names = ChromosomeNames(Path("E003.bed"), ["1", "MT"])
    >>> [names.add(name) for name in (b"chr1", b"chr2", b"chrM")]
    [0, -1, 1]
    """

    def __init__(self, path: Path, wanted: Sequence[str]) -> None:
        self.path = path
        self._wanted = tuple(wanted)
        self._exact = {name: number for number, name in enumerate(wanted)}
        # Of several spellings among those wanted, the first stands for the others.
        self._plain = {
            bare_chromosome(name): number for number, name in reversed(list(enumerate(wanted)))
        }
        self._codes: dict[bytes, int] = {}
        self._spelled: dict[int, str] = {}

    def add(self, name: bytes) -> int:
        """Take a name up and return the number of its chromosome, or `UNWANTED`.

        Raises
        ------
        SignalError
            Where the file has the chromosome in another spelling too.
        """
        text = name.decode(errors="backslashreplace")
        code = self._exact.get(text, self._plain.get(bare_chromosome(text), UNWANTED))
        if code != UNWANTED:
            other = self._spelled.setdefault(code, text)
            if other != text:
                raise SignalError(
                    f"has both '{other}' and '{text}', which are one chromosome",
                    path=self.path,
                    hint="leave the lines of one out, or give both the same name",
                )
        self._codes[name] = code
        return code

    def table(self) -> NameTable:
        """Return the names for compiled code."""
        size = 64
        while size < 4 * len(self._codes):
            size *= 2
        slots = np.full(size, -1, dtype=np.int64)
        for number, name in enumerate(self._codes):
            slot = 0
            for letter in name:
                slot = (slot * 31 + letter) & 0xFFFFFFFF
            slot &= size - 1
            while slots[slot] >= 0:
                slot = (slot + 1) & (size - 1)
            slots[slot] = number
        lengths = [len(name) for name in self._codes]
        return NameTable(
            slots,
            np.cumsum([0, *lengths]).astype(np.int64),
            np.frombuffer(b"".join(self._codes), dtype=np.uint8),
            np.array(list(self._codes.values()), dtype=np.int64),
        )

    def check(self) -> None:
        """Warn of wanted chromosomes that the file does not have.

        Raises
        ------
        MismatchError
            Where it has none of them.
        """
        have = [name.decode(errors="backslashreplace") for name in self._codes]
        have.sort(key=natural_key)
        if not self._wanted:
            return
        if not self._spelled:
            raise MismatchError(
                f"has none of the chromosomes wanted ({shorten(self._wanted)}): "
                + (f"its lines are of {shorten(have)}" if have else "it has no lines"),
                path=self.path,
                hint="is it of the same species and assembly as the annotation?",
            )
        plain = {bare_chromosome(name) for name in have}
        missing = [name for name in self._wanted if bare_chromosome(name) not in plain]
        if missing:
            _log.warning(
                "%s: has no line on %s",
                self.path, shorten(sorted(missing, key=natural_key)),
            )  # fmt: skip


@kernel
def name_end(text: NDArray[np.uint8], position: int) -> int:
    """Return where the field at `position` ends, at a tab, space or line end."""
    while text[position] > SPACE:
        position += 1
    return position


@kernel
def same_name(
    text: NDArray[np.uint8], position: int, letters: NDArray[np.uint8], low: int, n: int
) -> bool:
    """Say whether the field at `position` is ``letters[low : low + n]``, and no more.

    That may be the name of an earlier line of the same block; it holds no newline.
    """
    for i in range(n):
        if text[position + i] != letters[low + i]:
            return False
    return bool(text[position + n] <= SPACE)


@kernel
def find_name(
    text: NDArray[np.uint8],
    first: int,
    end: int,
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    letters: NDArray[np.uint8],
    codes: NDArray[np.int64],
) -> int:
    """Return the chromosome of the name at ``[first, end)``, `UNWANTED` or `UNKNOWN`.

    The last four arguments are those of `NameTable`.
    """
    slot = 0
    for i in range(first, end):
        slot = (slot * 31 + text[i]) & 0xFFFFFFFF
    mask = len(slots) - 1
    slot &= mask
    while slots[slot] >= 0:
        number = slots[slot]
        low = offsets[number]
        if offsets[number + 1] - low == end - first:
            i = 0
            while i < end - first and letters[low + i] == text[first + i]:
                i += 1
            if i == end - first:
                return int(codes[number])
        slot = (slot + 1) & mask
    return UNKNOWN


@kernel
def line_end(text: NDArray[np.uint8], position: int) -> int:
    """Return the position of the next newline, `position` itself where it stands there."""
    while text[position] != NEWLINE:
        position += 1
    return position


@kernel
def is_heading(text: NDArray[np.uint8], position: int) -> bool:
    """Say whether the line at `position` is blank, a comment, a ``track`` or ``browser`` line."""
    if text[position] == HASH:
        return True
    for word in (_TRACK, _BROWSER):
        if same_name(text, position, word, 0, len(word)):
            return True
    while text[position] <= SPACE and text[position] != NEWLINE:
        position += 1
    return bool(text[position] == NEWLINE)


@kernel
def skip_separator(text: NDArray[np.uint8], position: int) -> int:
    """Return where the next field begins: after one tab, or after any spaces.

    At a line end, and where no separator stands, `position` comes back.
    """
    if text[position] == TAB:
        return position + 1
    while text[position] == SPACE:
        position += 1
    return position


@kernel
def skip_field(text: NDArray[np.uint8], position: int, separator: int) -> int:
    """Return where the field at `position` ends: at the next `separator` or line end.

    Where the line's separator is the tab, a field may be empty or hold spaces.
    """
    while text[position] != separator and text[position] != NEWLINE:
        position += 1
    if text[position] == NEWLINE and text[position - 1] == RETURN:
        return position - 1
    return position


@kernel
def parse_number(text: NDArray[np.uint8], position: int) -> tuple[int, int]:
    """Return the whole number at `position` and where it ends; -1 where none stands there."""
    value = 0
    first = position
    digit = text[position] - ZERO
    while 0 <= digit <= NINE:
        value = value * 10 + digit
        position += 1
        digit = text[position] - ZERO
    if position == first or position - first > MAX_DIGITS:
        return -1, first
    return value, position
