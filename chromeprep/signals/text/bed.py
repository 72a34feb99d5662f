"""BED and tagAlign -> reads counted in bins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import Tick, TrackBins, TrackInfo, check_file, no_tick
from chromeprep.signals.reads import DEFAULT_RULE, ReadRule
from chromeprep.signals.targets import Targets
from chromeprep.signals.text import bed_kernels as kernel
from chromeprep.signals.text.bed_lines import check_beginning, find_fault, split_line
from chromeprep.signals.text.blocks import is_complete, open_blocks
from chromeprep.signals.text.kernels import ChromosomeNames, name_end

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BedTrack:
    """A BED file, each line a read; plain or packed by gzip or bgzip, in any order.

    The whole file is read. Of a line, chromosome, start and end count, the strand (column 6) where
    the rule needs it, and for the coverage the blocks of BED12, whose gaps are left out as
    ``bedtools -split`` does. Intervals without a base (start = end) are no reads and count nowhere.

    Parameters
    ----------
    path
        The file.
    rule
        How reads are counted; flags and mapping quality are not in such files.
    """

    path: Path
    rule: ReadRule = DEFAULT_RULE
    kind: ClassVar[str] = "BED"
    option: ClassVar[str] = "--bed"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        check_beginning(self.path, self.kind, self.option, needs_strand=self._needs_strand)
        if not is_complete(self.path):
            _log.warning(
                "%s: the mark at the end of every bgzip file is missing; is the download complete?",
                self.path,
            )  # fmt: skip
        return TrackInfo(None, "reads", self.rule.words(flags=False))

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows; see `chromeprep.signals.base.Track`.

        Raises
        ------
        SignalError
            Where the file is damaged, a line is wrong, or a read begins beyond its chromosome.
        MismatchError
            Where no line lies on any chromosome with windows.
        """
        check_file(self.path, self.option)
        names = ChromosomeNames(self.path, targets.chromosomes)
        tally = np.zeros(3, dtype=np.int64)  # see LINES, READS and EMPTY of the kernel
        counts = np.zeros((targets.n_windows, targets.n_bins), dtype=np.int32)
        count = self._counter(targets, names, tally, counts)
        with open_blocks(self.path, threads=threads, tick=tick) as blocks:
            for block in blocks:
                count(block)
        names.check()
        if tally[kernel.EMPTY]:
            _log.warning(
                "%s: left out %s intervals without a base (start = end)",
                self.path, f"{tally[kernel.EMPTY]:,}",
            )  # fmt: skip
        values = counts.astype(np.float64)
        if self.rule.count == "coverage":
            values /= targets.bin_size_bp
        n_reads = int(tally[kernel.READS])
        return TrackBins(targets.in_order(values), n_reads, n_reads)

    @property
    def _needs_strand(self) -> bool:
        return self.rule.extend_bp is not None or self.rule.count == "five-prime"

    def _counter(
        self,
        targets: Targets,
        names: ChromosomeNames,
        tally: NDArray[np.int64],
        counts: NDArray[np.int32],
    ) -> Callable[[NDArray[np.uint8]], None]:
        """Return what adds the reads of a block to `counts` and `tally`."""
        table = names.table()
        extend = -1 if self.rule.extend_bp is None else self.rule.extend_bp
        layout = (
            self.rule.code, extend,
            targets.lengths, targets.offsets, targets.starts, targets.tiles, targets.tile_offsets,
            targets.bin_size_bp, counts,
        )  # fmt: skip

        def count(block: NDArray[np.uint8]) -> None:
            nonlocal table
            position, why = 0, kernel.NEW_NAME
            while why != kernel.DONE:
                position, why = kernel.count_lines(block, position, tally, *table, *layout)
                if why == kernel.WRONG:
                    end = position + block[position:].tobytes().index(b"\n")
                    line = block[position:end].tobytes().decode(errors="replace").rstrip("\r")
                    self._fail(line, int(tally[kernel.LINES]) + 1, targets, names)
                if why == kernel.NEW_NAME:
                    names.add(block[position : name_end(block, position)].tobytes())
                    table = names.table()

        return count

    def _fail(self, line: str, number: int, targets: Targets, names: ChromosomeNames) -> NoReturn:
        """Raise the error that says what is wrong with a line."""
        fault = find_fault(line, needs_strand=self._needs_strand)
        if fault is not None:
            raise SignalError(fault[0], path=self.path, line=number, hint=fault[1])
        chrom, start = split_line(line)[:2]
        code = names.add(chrom.encode())
        if code >= 0 and int(start) >= targets.lengths[code]:
            length = int(targets.lengths[code])
            raise SignalError(
                f"starts at {int(start):,}, beyond the end of {chrom} ({length:,} bp)",
                path=self.path,
                line=number,
                hint="is it of the same assembly as the other inputs?",
            )
        raise SignalError(
            "its blocks (columns 10 to 12: count, sizes, starts) are not parts of the interval",
            path=self.path,
            line=number,
        )


@dataclass(frozen=True)
class TagAlignTrack(BedTrack):
    """A tagAlign file: BED of six columns, as ENCODE and Roadmap Epigenomics give aligned reads."""

    kind: ClassVar[str] = "tagAlign"
    option: ClassVar[str] = "--tagalign"
