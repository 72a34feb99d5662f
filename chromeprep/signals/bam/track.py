"""BAM -> reads counted in bins: the file, its header and its index."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.bam.counting import BamCounter
from chromeprep.signals.bam.index import BamIndex, find_index, read_index
from chromeprep.signals.base import Tick, TrackBins, TrackInfo, check_file, no_tick
from chromeprep.signals.bgzf import BLOCK_MAGIC, find_blocks, has_end_mark, inflate, is_bgzf, mapped
from chromeprep.signals.reads import DEFAULT_RULE, ReadRule
from chromeprep.signals.targets import Targets

_MAGIC = b"BAM\1"
_CRAM_MAGIC = b"CRAM"
_SAM_HEADERS = (b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t")
_CLOCK_S = 2  # copies made together may lie this far apart

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BamHeader:
    """Chromosomes of a BAM and where its alignments begin.

    Attributes
    ----------
    chromosomes
        Name -> length, in the order of the file.
    block
        Offset of the first block that was not inflated for the header.
    rest
        What was inflated beyond the header.
    """

    chromosomes: dict[str, int]
    block: int
    rest: bytes


@dataclass(frozen=True)
class BamTrack:
    """A BAM file; with an index beside it only what lies under the windows is read.

    Parameters
    ----------
    path
        The file; where it has no index (BAI or CSI), it may be in any order.
    rule
        How reads are counted.
    """

    path: Path
    rule: ReadRule = DEFAULT_RULE
    kind: ClassVar[str] = "BAM"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        with self._open() as (data, header):
            index = self._index(data, header)
        if index is None:
            if not self.rule.total:
                _log.info("%s: has no index, so the whole file is read", self.path)
        elif index.path.stat().st_mtime < self.path.stat().st_mtime - _CLOCK_S:
            _log.warning(
                "%s: its index is older than the file; if that has changed since, index it again: "
                "samtools index %s", self.path, self.path,
            )  # fmt: skip
        return TrackInfo(header.chromosomes, "reads", self.rule.words())

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows; see `chromeprep.signals.base.Track`."""
        with self._open() as (data, header):
            index = self._index(data, header)
            counter = BamCounter(self.path, self.rule, data, list(header.chromosomes), targets)
            if index is None or self.rule.total:
                n_counted, n_mapped = counter.read_whole(header.block, header.rest, threads, tick)
            else:
                counter.read_under_windows(index, threads, tick)
                n_counted, n_mapped = -1, index.n_mapped
        return TrackBins(counter.values(), n_counted, n_mapped)

    @contextmanager
    def _open(self) -> Iterator[tuple[NDArray[np.uint8], BamHeader]]:
        check_file(self.path, "--bam")
        with mapped(self.path) as data:
            cut_short = data[:4].tobytes() == BLOCK_MAGIC and not has_end_mark(data)
            if not is_bgzf(data) and not cut_short:
                raise self._no_bam(data[:4].tobytes())
            if cut_short:
                raise SignalError(
                    "truncated BAM: its end-of-file mark is missing",
                    path=self.path,
                    hint="is the copy or download complete? samtools quickcheck -v FILE",
                )
            yield data, self._header(data)

    def _no_bam(self, first: bytes) -> SignalError:
        if first == _CRAM_MAGIC:
            return SignalError("is a CRAM, not a BAM", path=self.path, hint="give it with --cram")
        if first in _SAM_HEADERS:
            return SignalError(
                "is not a BAM file but another kind of alignments (SAM, as text)",
                path=self.path,
                hint=f"samtools sort -o sorted.bam {self.path} && samtools index sorted.bam",
            )
        return SignalError(
            "is not a BAM file", path=self.path, hint="samtools view -b makes one of SAM or CRAM"
        )

    def _header(self, data: NDArray[np.uint8]) -> BamHeader:
        held = b""
        block = 0
        while True:
            header, need = parse_header(held)
            if header is not None:
                break
            if need < 0 or block >= len(data):
                raise self._no_bam(held[:4])
            blocks = find_blocks(data, block, max(need - len(held), 1) // 4, self.path)
            block = blocks.end
            held += inflate(data, blocks, self.path).tobytes()
        if not header:
            raise SignalError("the BAM header names no chromosome", path=self.path)
        return BamHeader(header, block, held[need:])

    def _index(self, data: NDArray[np.uint8], header: BamHeader) -> BamIndex | None:
        path = find_index(self.path)
        if path is None:
            return None
        index = read_index(path, self.path)
        hint = f"samtools index {self.path}"
        # An index of another file would be believed, and counts come out wrong without a word.
        if len(index.tiles) != len(header.chromosomes):
            raise SignalError(
                f"its index {path.name} is of another file: it has {len(index.tiles):,} "
                f"chromosomes, the BAM {len(header.chromosomes):,}",
                path=self.path,
                hint=hint,
            )
        last = max(int(index.ends.max()), *(int(row.max()) for row in index.tiles if len(row)), 0)
        if last >> 16 > len(data):
            raise SignalError(
                f"its index {path.name} does not fit the file: it goes on to byte {last >> 16:,}, "
                f"the BAM has {len(data):,}",
                path=self.path,
                hint=hint,
            )
        return index


def parse_header(data: bytes) -> tuple[dict[str, int] | None, int]:
    """Read the header of a BAM from its first bytes, inflated.

    Returns
    -------
    dict or None
        Name -> length of each chromosome; None where the header goes on, or is none.
    int
        Where the header ends; without it the bytes that are needed, or -1 where this is no BAM.
    """

    def number(at: int) -> int:
        return int.from_bytes(data[at : at + 4], "little", signed=True)

    if len(data) < 12:
        return None, -1 if not _MAGIC.startswith(data[:4]) else 12
    if data[:4] != _MAGIC or number(4) < 0:
        return None, -1
    at = 8 + number(4)
    if at + 4 > len(data):
        return None, at + 4
    count = number(at)
    at += 4
    chromosomes: dict[str, int] = {}
    for _ in range(count):
        if at + 4 > len(data):
            return None, at + 4
        size = number(at)
        if size < 1:
            return None, -1
        if at + 8 + size > len(data):
            return None, at + 8 + size
        name = data[at + 4 : at + 3 + size].decode("utf-8", "replace")
        chromosomes[name] = number(at + 4 + size)
        at += 8 + size
    return chromosomes, at
