"""Names of marks: read from file names, and put in the paper's order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# The order of Chen, Xie, Wen 2022, "Data collection and processing".
CORE_MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")

_MODIFICATION = re.compile(
    r"(?<![A-Za-z0-9])(H[1-4](?:[AB])?)([KRSTY])(\d{1,3})(me[1-3]|ac|bu|cr|ub1?|ph|pr|su)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_OTHERS = {
    "h2a.z": "H2A.Z",
    "h2az": "H2A.Z",
    "h2afz": "H2A.Z",
    "h3.3": "H3.3",
    "dnase": "DNase",
    "atac": "ATAC",
    "ctcf": "CTCF",
    "polr2a": "POLR2A",
    "ep300": "EP300",
}
_OTHER = re.compile(
    rf"(?<![A-Za-z0-9])({'|'.join(re.escape(name) for name in _OTHERS)})(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def marks_in_name(path: str | Path) -> list[str]:
    """Return the marks that a file name speaks of, in their usual spelling, each once.

    Examples
    --------
    >>> marks_in_name("data/E003-H3K4me3.pval.signal.bigwig")
    ['H3K4me3']
    >>> marks_in_name("k562_h3k27ac_vs_h3k4me1.bw")
    ['H3K27ac', 'H3K4me1']
    >>> marks_in_name("sample7.bw")
    []
    """
    # A folder may name a mark too, but only the file's own name is taken at its word.
    name = Path(path).name
    found = [
        (match.start(), f"{match[1].upper()}{match[2].upper()}{match[3]}{match[4].lower()}")
        for match in _MODIFICATION.finditer(name)
    ]
    found += [(match.start(), _OTHERS[match[1].lower()]) for match in _OTHER.finditer(name)]
    return list(dict.fromkeys(mark for _, mark in sorted(found)))


def order_marks(marks: Iterable[str]) -> list[str]:
    """Return marks in the order of a file: the five core marks as in the paper, others by name.

    Examples
    --------
    >>> order_marks(["H3K9ac", "H3K27me3", "H3K27ac", "H3K4me3"])
    ['H3K4me3', 'H3K27me3', 'H3K27ac', 'H3K9ac']
    """

    def key(mark: str) -> tuple[int, str]:
        return CORE_MARKS.index(mark) if mark in CORE_MARKS else len(CORE_MARKS), mark

    return sorted(marks, key=key)
