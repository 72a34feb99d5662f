"""What is wrong with a line of BED, or with a file that should be of such lines."""

from __future__ import annotations

from pathlib import Path

from chromeprep.errors import SignalError
from chromeprep.signals.base import check_file
from chromeprep.signals.text.blocks import first_bytes

STRAND_HINT = (
    "counting 5' bases and extending reads need the strand; "
    "overlap and coverage without extension do not"
)

_FIRST_BYTES = 1 << 16
_LINES_LOOKED_AT = 100
_SHOWN = 60  # letters of a line or field in a message
_HEADINGS = ("#", "track", "browser")
_SAM_HEADERS = ("@HD", "@SQ", "@RG", "@PG", "@CO")

# How files of other kinds begin, once unpacked, what they are and the way out.
_OTHERS = (
    (b"BAM\1", "a BAM file", "give it with --bam"),
    (b"CRAM", "a CRAM file", "give it with --cram"),
    (b"\x26\xfc\x8f\x88", "a bigWig file", "give it with --bigwig"),
    (b"\x88\x8f\xfc\x26", "a bigWig file", "give it with --bigwig"),
    (b"\xeb\xf2\x89\x87", "a bigBed file", "unpack it: bigBedToBed FILE reads.bed"),
    (b"\x87\x89\xf2\xeb", "a bigBed file", "unpack it: bigBedToBed FILE reads.bed"),
    (b"\x89HDF", "an HDF5 file", None),
    (b"PK\3\4", "a ZIP archive", "unpack it, or pack it with gzip instead"),
    (b"BZh", "packed with bzip2", "unpack it, or pack it with gzip instead"),
    (b"\xfd7zXZ", "packed with xz", "unpack it, or pack it with gzip instead"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it, or pack it with gzip instead"),
    (b"\x1f\x8b", "packed by gzip twice", "unpack it once: zcat FILE > FILE2"),
)


def split_line(line: str) -> list[str]:
    r"""Split a line of BED into its fields, at single tabs or at any spaces.

    Examples
    --------
    >>> split_line("chr1\t5\t9\tmy read"), split_line("chr1  5 9")
    (['chr1', '5', '9', 'my read'], ['chr1', '5', '9'])
    """
    tab, space = line.find("\t"), line.find(" ")
    by_tabs = tab >= 0 and (space < 0 or tab < space)
    return line.split("\t") if by_tabs else line.split(" ")[:1] + line.split(" ", 1)[-1].split()


def find_fault(line: str, *, needs_strand: bool = False) -> tuple[str, str | None] | None:
    """Say what is wrong with a line, and the way out where there is one; None for a good one.

    Examples
    --------
    >>> find_fault("chr1 5 9") is None, find_fault("chr1 5 x")
    (True, ("its end is 'x'; expected a whole number", None))
    """
    fields = split_line(line)
    if not fields[0]:
        return "begins with no chromosome name", None
    if any(letter < " " for letter in fields[0]):
        return f"its chromosome {fields[0][:_SHOWN]!r} is no text", None
    if "\t" in line and "\t" not in line[len(fields[0]) : len(fields[0]) + 1]:
        return "its fields are separated by both tabs and spaces", None
    if len(fields) < 3:
        found = line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
        return f"found {found!r}; expected chromosome, start and end", None
    for what, value in zip(("start", "end"), fields[1:3], strict=True):
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            return f"its {what} is {value[:_SHOWN]!r}; expected a whole number", None
    start, end = int(fields[1]), int(fields[2])
    if end < start:
        return f"it ends ({end:,}) before it starts ({start:,})", None
    if needs_strand and (len(fields) < 6 or fields[5] not in ("+", "-")):
        found = "no column 6" if len(fields) < 6 else f"{fields[5][:_SHOWN]!r} in column 6"
        return f"has no strand: {found}; expected + or -", STRAND_HINT
    return None


def check_beginning(path: Path, kind: str, option: str, *, needs_strand: bool) -> None:
    """Check that a file begins with lines of BED.

    Raises
    ------
    SignalError
        Where it cannot be read or is of another kind; of some the message says which.
    """
    check_file(path, option)
    data = first_bytes(path, _FIRST_BYTES)
    for magic, what, hint in _OTHERS:
        if data.startswith(magic):
            raise SignalError(f"is {what}; expected {kind}", path=path, hint=hint)
    if b"\0" in data:
        raise SignalError(f"is not a text file (it holds zero bytes); expected {kind}", path=path)
    whole = len(data) < _FIRST_BYTES - 3  # a byte order mark was cut off
    lines = data.decode(errors="replace").split("\n")
    number, rows = 0, []
    for number, line in enumerate(lines if whole else lines[:-1], start=1):
        line = line.rstrip("\r")
        first = line.split(maxsplit=1)[0] if line.strip() else ""
        if first == "track" and "type=bedGraph" in line:
            raise _bedgraph(path, kind, "a track line says so")
        if first in ("fixedStep", "variableStep"):
            raise SignalError(
                f"is a wiggle file; expected {kind}",
                path=path,
                hint="make a bigWig of it (wigToBigWig) and give that with --bigwig",
            )
        if first in _SAM_HEADERS:
            raise SignalError(
                f"is a SAM file; expected {kind}",
                path=path,
                hint="samtools sort -o reads.bam FILE && samtools index reads.bam, then --bam",
            )
        if not first or first.startswith("#") or first in _HEADINGS:
            continue
        fault = find_fault(line, needs_strand=needs_strand)
        if fault is not None:
            raise SignalError(
                f"{fault[0]} (is the file {kind}?)", path=path, line=number, hint=fault[1]
            )
        rows.append(split_line(line))
        if len(rows) == _LINES_LOOKED_AT:
            break
    if not rows and whole:
        raise SignalError("has no line with an interval", path=path)
    if rows and all(len(row) == 4 and _is_number(row[3]) for row in rows):
        raise _bedgraph(path, kind, "its lines have four columns, the fourth a number")


def _bedgraph(path: Path, kind: str, why: str) -> SignalError:
    return SignalError(
        f"is a bedGraph, not {kind}: {why}",
        path=path,
        hint="give it with --bedgraph; if it is a list of reads named by numbers, "
        "cut the names off: cut -f1-3",
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
