"""What can go wrong that a user can mend.

Every error raised on purpose by either package is one of these; the command line prints its
message and exits with 1. Anything else that escapes is a bug.

::

    ChromeError               anything a user can mend
    ├── InputError            one input is wrong
    │   ├── AnnotationError   a GTF or BED file
    │   ├── SignalError       a BAM or bigWig file
    │   ├── ExpressionError   an expression table
    │   ├── FormatError       an HDF5 file of bins or a panel
    │   └── RunError          a folder that `chromemodel` wrote
    ├── MismatchError         two inputs do not fit each other
    └── OutputError           a result cannot be written

A message names the file, the place in it, what was found and what was expected; ``hint`` says the
way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "AnnotationError",
    "ChromeError",
    "ExpressionError",
    "FormatError",
    "InputError",
    "MismatchError",
    "OutputError",
    "RunError",
    "SignalError",
    "did_you_mean",
    "shorten",
]


class ChromeError(Exception):
    """A failure that the user can mend.

    Parameters
    ----------
    message
        What is wrong, in one sentence.
    path
        The file it is about; put in front of the message.
    line
        The line of that file, counted from 1.
    hint
        The way out, printed on a line of its own.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.path = None if path is None else Path(path)
        self.line = line
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        place = "" if self.path is None else f"{self.path}: "
        if self.line is not None:
            place += f"line {self.line}: "
        hint = "" if self.hint is None else f"\n  {self.hint}"
        return f"{place}{self.message}{hint}"


class InputError(ChromeError):
    """One input is wrong."""


class AnnotationError(InputError):
    """A GTF, BED or gene list is wrong."""


class SignalError(InputError):
    """A file of reads or of signal is wrong: BAM, CRAM, tagAlign, BED, bedGraph, bigWig."""


class ExpressionError(InputError):
    """An expression table is wrong."""


class FormatError(InputError):
    """An HDF5 file of bins, or a panel, does not follow ``docs/format.md`` or ``docs/panel.md``."""


class RunError(InputError):
    """A run folder is incomplete or not one."""


class MismatchError(ChromeError):
    """Two inputs do not fit each other."""


class OutputError(ChromeError):
    """A result cannot be written where it should go."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Say which known names are nearest to a wrong one.

    Returns
    -------
    str
        ``"did you mean 'H3K4me3'?"``, or the known names where none is near.

    Examples
    --------
    >>> did_you_mean("H3K4m3", ["H3K4me3", "H3K36me3", "Input"])
    "did you mean 'H3K4me3'?"
    >>> did_you_mean("x", ["E003", "E116"])
    'there are E003, E116'
    """
    names = list(known)
    lowered = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(wrong.lower(), list(lowered), n=1, cutoff=0.6)
    if near:
        return f"did you mean '{lowered[near[0]]}'?"
    if not names:
        return "there are none"
    return f"there are {shorten(names)}"


def shorten(names: Iterable[str], most: int = 10) -> str:
    """Join names with commas, at most `most` of them.

    Examples
    --------
    >>> shorten(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    listed = [str(name) for name in names]
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most} more"
