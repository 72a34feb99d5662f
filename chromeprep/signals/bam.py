"""BAM -> counts of alignments in bins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
                starts.append(first)
                # Without a CIGAR there is no end; such an alignment counts at its first base.
                ends.append(max(read.reference_end or 0, first + 1))
        except (OSError, ValueError) as error:
            raise SignalError(
                f"damaged BAM: cannot read {chrom}:{start + 1:,}-{end:,}",
                path=self.path,
                hint="check it: samtools quickcheck -v FILE",
            ) from error
        return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)

    @contextmanager
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
            with bam:
                self._check(bam)
                yield bam
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
        if bam.has_index():
            return
        order = bam.header.to_dict().get("HD", {}).get("SO", "unknown")
        if order in ("unsorted", "queryname"):
            raise SignalError(
                f"is not sorted by coordinate (sort order: {order})",
                path=self.path,
                hint=f"samtools sort -o sorted.bam {self.path} && samtools index sorted.bam",
            )
        raise SignalError(
            f"has no index ({self.path.name}.bai or .csi)",
            path=self.path,
            hint=f"samtools index {self.path}",
        )
