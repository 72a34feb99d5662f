"""CRAM -> reads counted in bins."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import Tick, TrackBins, TrackInfo, check_file, no_tick
from chromeprep.signals.cram.reads import add_alignments, batches
from chromeprep.signals.cram.references import no_downloads
from chromeprep.signals.reads import DEFAULT_RULE, ReadRule
from chromeprep.signals.targets import Targets

if TYPE_CHECKING:
    import pysam

# FLAG, RNAME, POS, MAPQ and CIGAR, as htslib numbers them; and RNEXT, PNEXT and TLEN. Bases are not
# decoded, so that a CRAM is read without its reference; but in slices with reads of several
# chromosomes htslib loads it for TLEN too, though it does not look at it.
_ALIGNMENT_FIELDS, _MATE_FIELDS = 0x3E, 0x1C0

_NEAR_BP = 50_000  # windows this close are read in one go: slices hold 10,000 reads
_END_BYTES = 38  # of the container that ends a file; 30 in version 2.1
_END_MARK = b"\xff\xff\xff\xff\x0f\xe0EOF"
_CLOCK_S = 2  # copies made together may lie this far apart
_COMPLETE = "is the copy or download complete? samtools quickcheck -v FILE"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CramTrack:
    """A CRAM file; with an index beside it only what lies under the windows is read.

    The reference is needed only where `rule` extends reads and the CRAM has slices with reads of
    several chromosomes, as small files and unsorted ones have. It is never downloaded.

    Parameters
    ----------
    path
        The file; where it has no index (CRAI), it may be in any order.
    rule
        How reads are counted.
    reference
        FASTA that the CRAM was made with, its index (FAI) beside it.
    """

    path: Path
    rule: ReadRule = DEFAULT_RULE
    reference: Path | None = None
    kind: ClassVar[str] = "CRAM"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        with self._open(1) as cram:
            chromosomes = dict(zip(cram.references, cram.lengths, strict=True))
            indexed = self._has_index(cram)
        index = self._index()
        if not indexed and not self.rule.total:
            _log.info("%s: has no index, so the whole file is read", self.path)
        if index is not None and index.stat().st_mtime < self.path.stat().st_mtime - _CLOCK_S:
            _log.warning(
                "%s: its index is older than the file; if that has changed since, index it again: "
                "samtools index %s", self.path, self.path,
            )  # fmt: skip
        if not chromosomes:
            raise SignalError("the CRAM header names no chromosome", path=self.path)
        return TrackInfo(chromosomes, "reads", self.rule.words())

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows; see `chromeprep.signals.base.Track`."""
        counts = np.zeros((targets.n_windows, targets.n_bins), dtype=np.int32)
        with self._open(threads) as cram:
            if self.rule.total or not self._has_index(cram):
                n_counted, n_mapped = self._count_whole(cram, targets, counts, tick)
            else:
                self._count_under_windows(cram, targets, counts, tick)
                n_counted = n_mapped = -1
        values = counts.astype(np.float64)
        if self.rule.count == "coverage":
            values /= targets.bin_size_bp
        return TrackBins(targets.in_order(values), n_counted, n_mapped)

    def _count_whole(
        self, cram: pysam.AlignmentFile, targets: Targets, counts: NDArray[np.int32], tick: Tick
    ) -> tuple[int, int]:
        n_counted = n_mapped = 0
        # Nothing says how far into the file one is; in a sorted one, the place in the genome does.
        ends = np.cumsum([0, *cram.lengths])
        done = 0.0
        with self._damage_named("the file"):
            for batch in batches(cram.fetch(until_eof=True), by_parts=self._by_parts):
                counted, mapped = self._count(cram, batch, targets, -1, -1, counts)
                n_counted += counted
                n_mapped += mapped
                chrom, first = batch[-1, :2].tolist()
                place = (ends[chrom] + first) / max(ends[-1], 1) if chrom >= 0 else 1.0
                if place > done:
                    tick(min(place, 1.0) - done)
                    done = min(place, 1.0)
        tick(1.0 - done)
        return n_counted, n_mapped

    def _count_under_windows(
        self, cram: pysam.AlignmentFile, targets: Targets, counts: NDArray[np.int32], tick: Tick
    ) -> None:
        spans = list(targets.spans(_NEAR_BP))
        reach = self.rule.reach_bp
        for span in spans:
            name = targets.chromosomes[span.chrom]
            first = max(span.first - reach, 0)
            end = min(span.end + reach, int(targets.lengths[span.chrom]))
            with self._damage_named(f"{name}:{first + 1:,}-{end:,}"):
                for batch in batches(cram.fetch(name, first, end), by_parts=self._by_parts):
                    self._count(cram, batch, targets, span.low, span.high, counts)
            tick(1 / len(spans))

    def _count(
        self,
        cram: pysam.AlignmentFile,
        batch: NDArray[np.int64],
        targets: Targets,
        low: int,
        high: int,
        counts: NDArray[np.int32],
    ) -> tuple[int, int]:
        """Add reads to the bins and return how many passed the filters and how many are mapped."""
        numbers = {name: number for number, name in enumerate(targets.chromosomes)}
        chrom_of = np.array([numbers.get(name, -1) for name in cram.references], dtype=np.int64)
        rule = self.rule
        counted, mapped = add_alignments(
            batch, chrom_of, low, high,
            rule.code, -1 if rule.extend_bp is None else rule.extend_bp,
            rule.min_mapq, rule.exclude_flags,
            targets.lengths, targets.offsets, targets.starts, targets.tiles, targets.tile_offsets,
            targets.bin_size_bp, counts,
        )  # fmt: skip
        return int(counted), int(mapped)

    @property
    def _by_parts(self) -> bool:
        return self.rule.count == "coverage" and self.rule.extend_bp is None

    def _index(self) -> Path | None:
        """Return the index in the order in which htslib looks for one."""
        names = (f"{self.path}.crai", f"{self.path.with_suffix('')}.crai")
        return next((Path(name) for name in names if Path(name).exists()), None)

    def _has_index(self, cram: pysam.AlignmentFile) -> bool:
        index = self._index()
        if index is not None and not cram.has_index():
            raise SignalError(
                f"its index {index.name} is damaged",
                path=self.path,
                hint=f"samtools index {self.path}",
            )
        return index is not None

    @contextmanager
    def _damage_named(self, where: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if self.rule.extend_bp is not None and self._is_sound():
                raise self._no_reference() from error
            raise SignalError(
                f"damaged CRAM or index: cannot read {where}", path=self.path, hint=_COMPLETE
            ) from error

    def _is_sound(self) -> bool:
        """Say whether all reads can be decoded where their mates' fields are left out."""
        try:
            with replace(self, rule=replace(self.rule, extend_bp=None))._open(1) as cram:
                for _ in cram.fetch(until_eof=True):
                    pass
        except (OSError, ValueError, SignalError):
            return False
        return True

    def _no_reference(self) -> SignalError:
        way = f"or make a BAM of it where the reference is: samtools view -b {self.path}"
        if self.reference is None:
            return SignalError(
                "fragment lengths cannot be read without the reference, as it has reads of several "
                "chromosomes side by side",
                path=self.path,
                hint=f"give the FASTA that it was made with: --reference FASTA; {way}",
            )
        return SignalError(
            f"its reads do not fit the reference {self.reference}",
            path=self.path,
            hint=f"give the FASTA that it was made with; {way}",
        )

    def _check_reference(self) -> None:
        if self.reference is None:
            return
        check_file(self.reference, "--reference")
        if not Path(f"{self.reference}.fai").exists():
            # htslib would write one beside it.
            raise SignalError(
                f"has no index ({self.reference.name}.fai)",
                path=self.reference,
                hint=f"samtools faidx {self.reference}",
            )

    @contextmanager
    def _open(self, threads: int) -> Iterator[pysam.AlignmentFile]:
        import pysam

        check_file(self.path, "--cram")
        self._check_magic()
        self._check_reference()
        # The messages below say what htslib would print besides.
        verbosity = pysam.set_verbosity(0)
        fields = _ALIGNMENT_FIELDS
        if self.rule.extend_bp is not None:
            fields |= _MATE_FIELDS
        try:
            try:
                cram = pysam.AlignmentFile(
                    str(self.path),
                    "rc",
                    threads=threads,
                    reference_filename=None if self.reference is None else str(self.reference),
                    format_options=[f"required_fields={fields:#x}"],
                )
            except (OSError, ValueError) as error:
                raise SignalError(
                    f"damaged CRAM: its header cannot be read ({error})",
                    path=self.path,
                    hint=_COMPLETE,
                ) from error
            try:
                with no_downloads():
                    yield cram
            finally:
                # Closing a damaged file fails once more, after the error that says so.
                with suppress(OSError):
                    cram.close()
        finally:
            pysam.set_verbosity(verbosity)

    def _check_magic(self) -> None:
        with self.path.open("rb") as handle:
            magic = handle.read(4)
            major, minor = handle.read(2).ljust(2, b"\0")
            handle.seek(-min(_END_BYTES, self.path.stat().st_size), os.SEEK_END)
            end = handle.read()
        if magic == b"CRAM":
            # Version 2.0 had no such mark.
            if (major, minor) > (2, 0) and _END_MARK not in end:
                raise SignalError(
                    "truncated CRAM: its end-of-file mark is missing",
                    path=self.path,
                    hint=_COMPLETE,
                )
            return
        hint = "samtools view -C makes one"
        if magic[:2] == b"\x1f\x8b":
            hint = "if it is a BAM, give it with --bam"
        raise SignalError("is not a CRAM file", path=self.path, hint=hint)
