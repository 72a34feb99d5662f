"""BAM -> counts of alignments in bins."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.base import TrackInfo, check_file
from chromeprep.windows import merged_spans

if TYPE_CHECKING:
    import pysam

# Unmapped, secondary, QC-failed, duplicate, supplementary.
EXCLUDED_FLAGS = 0xF04

_ON_THE_REFERENCE = (0, 2, 3, 7, 8)  # M D N = X
_ALIGNMENTS_LOOKED_AT = 100_000
_CLOCK_S = 2  # copies made together may lie this far apart

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BamTrack:
    """A sorted and indexed BAM file; a bin's value is the number of alignments that overlap it.

    An alignment counts in every bin that its span on the reference touches, from its first base to
    its last, gaps included: the rule of ``bedtools multicov``.

    Parameters
    ----------
    path
        The file; its index stands beside it.
    exclude_flags
        Alignments with any of these SAM flags are left out.
    """

    path: Path
    exclude_flags: int = EXCLUDED_FLAGS
    kind: ClassVar[str] = "BAM"

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        with self._open() as bam:
            chromosomes = dict(zip(bam.references, bam.lengths, strict=True))
            mapped = int(bam.mapped)
        if not chromosomes:
            raise SignalError("the BAM header names no chromosome", path=self.path)
        index = self._index()
        if index is not None and index.stat().st_mtime < self.path.stat().st_mtime - _CLOCK_S:
            _log.warning(
                "%s: its index is older than the file; if that has changed since, index it again: "
                "samtools index %s", self.path, self.path,
            )  # fmt: skip
        rule = f"alignments overlapping the bin, gaps included, not flagged {self.exclude_flags:#x}"
        return TrackInfo(chromosomes, "reads", rule, mapped)

    def read_bins(
        self, chrom: str, starts: NDArray[np.int64], n_bins: int, bin_size_bp: int
    ) -> NDArray[np.float32]:
        """Read windows of one chromosome; see `chromeprep.signals.base.Track`."""
        counts = np.zeros((len(starts), n_bins), dtype=np.float32)
        edges = np.arange(n_bins + 1, dtype=np.int64) * bin_size_bp
        with self._open() as bam:
            length = bam.get_reference_length(chrom)
            for first, end, rows in merged_spans(starts, n_bins * bin_size_bp):
                span = max(first, 0), min(end, length)
                if span[0] >= span[1]:
                    continue
                read_starts, read_ends = self._alignments(bam, chrom, *span)
                # Some aligners let reads hang over the end; there is nothing there to count.
                read_ends = np.minimum(read_ends, length)
                window = starts[rows, np.newaxis] + edges
                # Overlapping a bin: begun before its end, less those ended before its start.
                begun = np.searchsorted(np.sort(read_starts), window[:, 1:], side="left")
                ended = np.searchsorted(np.sort(read_ends), window[:, :-1], side="right")
                counts[rows] = begun - ended
        return counts

    def _alignments(
        self, bam: pysam.AlignmentFile, chrom: str, start: int, end: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts, ends = [], []
        excluded = self.exclude_flags
        try:
            for read in bam.fetch(chrom, start, end):
                if read.flag & excluded:
                    continue
                first = read.reference_start
                last = read.reference_end
                if last is None:  # unmapped, or without a CIGAR: counts at its first base
                    last = first + 1
                elif last <= first + 1 and not _covers_a_base(read):
                    continue
                starts.append(first)
                ends.append(last)
        except (OSError, ValueError) as error:
            raise SignalError(
                f"damaged BAM or index: cannot read {chrom}:{start + 1:,}-{end:,}",
                path=self.path,
                hint=f"check it: samtools quickcheck -v {self.path}; "
                f"or index it again: samtools index {self.path}",
            ) from error
        return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)

    @contextlib.contextmanager
    def _open(self) -> Iterator[pysam.AlignmentFile]:
        import pysam

        check_file(self.path, "--bam")
        # The messages below say what htslib would print besides.
        verbosity = pysam.set_verbosity(0)
        try:
            try:
                bam = pysam.AlignmentFile(str(self.path), "rb", require_index=False)
            except (OSError, ValueError) as error:
                raise self._unreadable(error) from error
            try:
                self._check(bam)
                yield bam
            finally:
                # Closing a damaged file fails once more, after the error that says so.
                with contextlib.suppress(OSError):
                    bam.close()
        finally:
            pysam.set_verbosity(verbosity)

    def _unreadable(self, error: Exception) -> SignalError:
        if "truncated" in str(error) or "EOF" in str(error):
            return SignalError(
                "truncated BAM: its end-of-file mark is missing",
                path=self.path,
                hint="is the copy or download complete? samtools quickcheck -v FILE",
            )
        return SignalError(
            f"is not a BAM file: {error}", path=self.path, hint="samtools view -b makes one"
        )

    def _check(self, bam: pysam.AlignmentFile) -> None:
        if not bam.is_bam:
            raise SignalError(
                "is not a BAM file but another kind of alignments",
                path=self.path,
                hint=f"samtools sort -o sorted.bam {self.path} && samtools index sorted.bam",
            )
        index = self._index()
        if bam.has_index():
            self._check_index(bam, index)
            return
        if index is not None:
            raise SignalError(
                f"its index {index.name} is damaged",
                path=self.path,
                hint=f"samtools index {self.path}",
            )
        # The header's SO is no guide: bedToBam writes "unsorted" whatever the order.
        misplaced = _first_misplaced(bam)
        if misplaced is not None:
            raise SignalError(
                f"is not sorted by coordinate (alignment '{misplaced}' stands too late)",
                path=self.path,
                hint=f"samtools sort -o sorted.bam {self.path} && samtools index sorted.bam",
            )
        raise SignalError(
            f"has no index ({self.path.name}.bai or .csi)",
            path=self.path,
            hint=f"samtools index {self.path}",
        )

    def _index(self) -> Path | None:
        """Return the index in the order in which htslib looks for one."""
        stem = self.path.with_suffix("")
        names = [f"{self.path}.csi", f"{self.path}.bai", f"{stem}.csi", f"{stem}.bai"]
        return next((Path(name) for name in names if Path(name).exists()), None)

    def _check_index(self, bam: pysam.AlignmentFile, index: Path | None) -> None:
        # An index of another file would be believed, and counts come out wrong without a word.
        if index is None or index.suffix != ".bai":
            return
        with index.open("rb") as handle:
            count = int.from_bytes(handle.read(8)[4:], "little")
        if count != bam.nreferences:
            raise SignalError(
                f"its index {index.name} is of another file: it has {count:,} chromosomes, "
                f"the BAM {bam.nreferences:,}",
                path=self.path,
                hint=f"samtools index {self.path}",
            )


def _covers_a_base(read: pysam.AlignedSegment) -> bool:
    # htslib gives an alignment that is all clips and insertions a length of 1; bedtools gives it 0.
    return any(operation in _ON_THE_REFERENCE for operation, _ in read.cigartuples or ())


def _first_misplaced(bam: pysam.AlignmentFile) -> str | None:
    last = (0, -1)
    try:
        for read in itertools.islice(bam.fetch(until_eof=True), _ALIGNMENTS_LOOKED_AT):
            # Those without a position come last.
            chrom = read.reference_id if read.reference_id >= 0 else bam.nreferences
            if (chrom, read.reference_start) < last:
                return str(read.query_name)
            last = chrom, read.reference_start
    except (OSError, ValueError):
        return None
    return None
