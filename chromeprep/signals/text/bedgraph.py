"""bedGraph -> mean signal in bins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError, shorten
from chromeprep.signals.base import Tick, TrackBins, TrackInfo, check_file, no_tick
from chromeprep.signals.kernels import add_signal
from chromeprep.signals.means import Sums, Uncovered, infinite, mean_rule
from chromeprep.signals.targets import Targets
from chromeprep.signals.text import bedgraph_kernels as kernel
from chromeprep.signals.text.blocks import first_bytes, is_complete, open_blocks
from chromeprep.signals.text.kernels import MAX_DIGITS, UNWANTED, ChromosomeNames, name_end

_FIRST_BYTES = 1 << 16
_SHOWN = 60  # letters of a line or field in a message
_HEADINGS = ("track", "browser")
_FORM = "expected chromosome, start, end and value"
_BIGWIG_MAGICS = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")

_log = logging.getLogger(__name__)


class Interval(NamedTuple):
    """A line: 0-based half-open, with a value of single precision, as bigWig has it; may be NaN."""

    chrom: str
    start: int
    end: int
    value: float


@dataclass(frozen=True)
class BedGraphTrack:
    """A bedGraph, plain or packed by gzip or bgzip, in any order; a bin is the mean over its bases.

    The whole file is read and every line checked. Values are rounded to single precision, so that
    the file and a bigWig made of it give the same.

    Parameters
    ----------
    path
        The file.
    uncovered
        ``zero``: bases without a value count as 0. ``nan``: they are left out of the mean, and a
        bin without any is NaN. Bases of a bin that lie outside the chromosome are without a value.
    """

    path: Path
    uncovered: Uncovered = "zero"
    kind: ClassVar[str] = "bedGraph"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`.

        The first line with an interval is checked; the others are when the file is read.
        """
        check_file(self.path, "--bedgraph")
        data = first_bytes(self.path, _FIRST_BYTES)
        if data.startswith(_BIGWIG_MAGICS):
            raise SignalError(
                "is a bigWig; expected a bedGraph", path=self.path, hint="give it with --bigwig"
            )
        if b"\0" in data:
            raise SignalError(
                "is not a text file (it holds zero bytes); expected a bedGraph", path=self.path
            )
        whole = len(data) < _FIRST_BYTES - 3  # a byte order mark was cut off
        lines = data.split(b"\n")
        for number, line in enumerate(lines if whole else lines[:-1], start=1):
            if self._parse(line, number) is not None:
                break
        else:
            if whole:
                raise SignalError("has no line with a value", path=self.path)
        if not is_complete(self.path):
            _log.warning(
                "%s: the mark at the end of every bgzip file is missing; is the download complete?",
                self.path,
            )  # fmt: skip
        return TrackInfo(None, "signal", mean_rule(self.uncovered))

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows; see `chromeprep.signals.base.Track`.

        Raises
        ------
        SignalError
            Where the file is damaged, a line is wrong or reaches beyond its chromosome, or a base
            has several values.
        MismatchError
            Where no line lies on any chromosome with windows.
        """
        check_file(self.path, "--bedgraph")
        sums = Sums(targets, self.uncovered, self.path)
        names = ChromosomeNames(self.path, targets.chromosomes)
        add = self._adder(targets, names, sums)
        with open_blocks(self.path, threads=threads, tick=tick) as blocks:
            for block in blocks:
                add(block)
        names.check()
        return TrackBins(sums.means())

    def _adder(
        self, targets: Targets, names: ChromosomeNames, sums: Sums
    ) -> Callable[[NDArray[np.uint8]], None]:
        """Return what adds the lines of a block."""
        table = names.table()
        lines = np.zeros(1, dtype=np.int64)
        layout = (
            targets.lengths, targets.offsets, targets.starts, targets.tiles, targets.tile_offsets,
            targets.bin_size_bp, sums.sums, sums.covered,
        )  # fmt: skip

        def add(block: NDArray[np.uint8]) -> None:
            nonlocal table
            position = 0
            while True:
                position, why = kernel.add_lines(block, position, lines, *table, *layout)
                if why == kernel.DONE:
                    return
                if why == kernel.NEW_NAME:
                    names.add(block[position : name_end(block, position)].tobytes())
                    table = names.table()
                    continue
                end = position + block[position:].tobytes().index(b"\n")
                lines[0] += 1
                number = int(lines[0])
                interval = self._parse(block[position:end].tobytes(), number)
                if interval is not None:
                    self._add(interval, number, targets, names, sums)
                    table = names.table()
                position = end + 1

        return add

    def _add(
        self, line: Interval, number: int, targets: Targets, names: ChromosomeNames, sums: Sums
    ) -> None:
        """Add a line that the compiled loop left to be read here."""
        chrom = names.add(line.chrom.encode())
        if chrom == UNWANTED:
            return
        length = int(targets.lengths[chrom])
        if line.end > length:
            raise SignalError(
                f"ends at {line.end:,}, beyond the end of {line.chrom} ({length:,} bp)",
                path=self.path,
                line=number,
                hint="is it of the same assembly as the other inputs?",
            )
        if not np.isnan(line.value):
            add_signal(
                line.start, line.end, line.value,
                targets.offsets[chrom], targets.offsets[chrom + 1], targets.starts, targets.tiles,
                targets.tile_offsets[chrom], targets.bin_size_bp, sums.sums, sums.covered,
            )  # fmt: skip

    def _parse(self, line: bytes, number: int) -> Interval | None:
        """Read a line; None where it holds no interval."""

        def fault(message: str, hint: str | None = None) -> SignalError:
            return SignalError(message, path=self.path, line=number, hint=hint)

        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise fault("is not a text file in UTF-8") from error
        fields = text.split()
        if not fields or fields[0].startswith("#") or fields[0] in _HEADINGS:
            return None
        if fields[0] in ("fixedStep", "variableStep"):
            raise fault(
                "is a wiggle file; expected a bedGraph",
                "make a bigWig of it (wigToBigWig) and give that with --bigwig",
            )
        if len(fields) != 4:
            found = f"found {len(fields)} fields ({shorten(fields, 4)[:_SHOWN]})"
            raise fault(
                f"{found}; {_FORM}",
                "intervals of reads are BED or tagAlign; of other tables take four columns: cut -f"
                if len(fields) > 4
                else None,
            )
        chrom, start, end, value = fields
        for what, token in (("start", start), ("end", end)):
            if not (token.isascii() and token.isdigit() and len(token) <= MAX_DIGITS):
                raise fault(f"its {what} is {token[:_SHOWN]!r}; expected a whole number")
        if int(end) <= int(start):
            raise fault(f"its end ({end}) is not beyond its start ({start})")
        try:
            if not value.isascii() or "_" in value:  # which Python would take
                raise ValueError
            double = float(value)
        except ValueError:
            raise fault(f"its value is {value[:_SHOWN]!r}; expected a number") from None
        with np.errstate(over="ignore"):
            single = float(np.float32(double))
        if np.isinf(double):
            raise infinite(self.path, f"{chrom}:{int(start) + 1:,}", number)
        if np.isinf(single):
            raise fault(
                f"its value is {value[:_SHOWN]}, beyond what single precision holds",
                "cap the track's values at a number",
            )
        return Interval(chrom, int(start), int(end), single)
