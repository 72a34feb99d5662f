"""BAM -> fragments of each gene, in one pass that holds only the ends still without their mate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.quantify import kernels, pairing
from chromeprep.quantify.exons import Exons, segments
from chromeprep.quantify.fates import REASONS
from chromeprep.signals.bam.track import parse_header
from chromeprep.signals.base import check_file
from chromeprep.signals.bgzf import has_end_mark, inflate_ahead, is_bgzf, mapped

Strandedness = Literal["unstranded", "forward", "reverse"]

_CHUNK_BYTES = 1 << 20  # compressed; some 4 MiB of records


@dataclass(frozen=True)
class CountRule:
    """How fragments are counted.

    Parameters
    ----------
    strandedness
        ``forward``: a read (of a pair the first one) is on the strand of its gene; ``reverse``: on
        the other one; ``unstranded``: strands are not looked at.
    min_mapq
        Fragments are left out where no end has at least this mapping quality.
    ignore_duplicates
        Leave out fragments with an end that is flagged as a duplicate.
    """

    strandedness: Strandedness = "unstranded"
    min_mapq: int = 0
    ignore_duplicates: bool = False


class Counts(NamedTuple):
    """What was counted in one BAM file.

    Attributes
    ----------
    fragments
        Fragments of each gene, shape (genes,); a read without a mate is one.
    fates
        Fragments by what became of them, in the words of featureCounts.
    n_with_nh, n_without_nh
        Primary alignments with an NH tag (how many places the read maps to) and without one.
    """

    fragments: NDArray[np.int64]
    fates: dict[str, int]
    n_with_nh: int
    n_without_nh: int


class _Ends(NamedTuple):
    """Ends of pairs; the fields are those that `kernels.scan` returns."""

    key1: NDArray[np.uint64]
    key2: NDArray[np.uint64]
    end: NDArray[np.int8]
    mapq: NDArray[np.int16]
    against: NDArray[np.int8]
    unmapped: NDArray[np.bool_]
    first_hit: NDArray[np.int64]
    hits: NDArray[np.int32]

    def joined(self, other: _Ends) -> _Ends:
        """Return these ends and then those of another."""
        return _Ends(
            np.concatenate([self.key1, other.key1]),
            np.concatenate([self.key2, other.key2]),
            np.concatenate([self.end, other.end]),
            np.concatenate([self.mapq, other.mapq]),
            np.concatenate([self.against, other.against]),
            np.concatenate([self.unmapped, other.unmapped]),
            np.concatenate([self.first_hit[:-1], other.first_hit + len(self.hits)]),
            np.concatenate([self.hits, other.hits]),
        )

    def kept(self, keep: NDArray[np.bool_]) -> _Ends:
        """Return the ends of a mask."""
        n_hits = np.diff(self.first_hit)
        return _Ends(
            self.key1[keep],
            self.key2[keep],
            self.end[keep],
            self.mapq[keep],
            self.against[keep],
            self.unmapped[keep],
            np.append(0, np.cumsum(n_hits[keep])).astype(np.int64),
            self.hits[np.repeat(keep, n_hits)],
        )


def count_bam(
    path: str | Path,
    exons: Exons,
    gtf: str | Path,
    rule: CountRule | None = None,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Count the fragments of a BAM file that overlap the exons of exactly one gene.

    The rules are those of ``featureCounts --primary`` (with ``-p --countReadPairs`` where reads
    are paired), and the counts are the same, but for supplementary alignments: these are parts of
    a read and not counted as reads of their own.

    Parameters
    ----------
    path
        Of any order, without an index. Mates are found by their names and positions.
    exons
        Of `read_exons`.
    gtf
        Where they come from, for messages.
    rule
        How to count.
    threads
        Threads that decompress.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    SignalError
        Where the file is no BAM, or damaged.
    MismatchError
        Where it has none of the chromosomes of the exons.
    """
    rule = CountRule() if rule is None else rule
    source = Path(path)
    count = np.zeros(len(exons.gene_id), dtype=np.int64)
    tally = np.zeros(len(REASONS), dtype=np.int64)
    totals = np.zeros(2, dtype=np.int64)
    chunks = _chunks(source, threads, progress)
    references, rest = _header(source, chunks)
    stranded = rule.strandedness != "unstranded"
    index = segments(exons, references, stranded=stranded, path=source, gtf=gtf)
    waiting = _Ends(
        np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int8),
        np.empty(0, np.int16), np.empty(0, np.int8), np.empty(0, np.bool_),
        np.zeros(1, np.int64), np.empty(0, np.int32),
    )  # fmt: skip
    while True:
        at, *columns = kernels.scan(
            rest, *index, rule.strandedness == "reverse", rule.min_mapq, rule.ignore_duplicates,
            count, tally, totals,
        )  # fmt: skip
        if at < 0:
            raise _damaged(source)
        ends = _Ends(*columns)
        if len(ends.end):
            waiting = _settle_pairs(waiting.joined(ends), rule.min_mapq, count, tally)
        chunk = next(chunks, None)
        if chunk is None:
            break
        rest = np.concatenate([rest[at:], chunk])
    if at != len(rest):
        raise _damaged(source)
    alone = np.full(len(waiting.end), -1, dtype=np.int64)
    rows = np.arange(len(waiting.end), dtype=np.int64)
    pairing.settle(rows, alone, *_settled(waiting), rule.min_mapq, count, tally)
    fates = dict(zip(REASONS, tally.tolist(), strict=True))
    return Counts(count, fates, int(totals[0]), int(totals[1]))


def _settle_pairs(
    ends: _Ends, min_mapq: int, count: NDArray[np.int64], tally: NDArray[np.int64]
) -> _Ends:
    """Count the pairs that are complete and return the ends that still wait."""
    order = np.lexsort((ends.end, ends.key2, ends.key1))
    mate = pairing.match(order, ends.key1, ends.key2, ends.end)
    # Rows are in the order of the file: one row for each pair, that of the end that came later.
    later = np.flatnonzero(mate >= 0)
    later = later[mate[later] < later]
    pairing.settle(later, mate, *_settled(ends), min_mapq, count, tally)
    return ends.kept(mate < 0)


def _settled(
    ends: _Ends,
) -> tuple[
    NDArray[np.int16], NDArray[np.int8], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int32]
]:  # fmt: skip
    return ends.mapq, ends.against, ends.unmapped, ends.first_hit, ends.hits


def _chunks(
    path: Path, threads: int, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.uint8]]:
    """Yield what the file holds, inflated, a few chunks ahead of their use."""
    check_file(path, "--bam")
    with mapped(path) as data:
        if not is_bgzf(data):
            kind = "a CRAM file" if data[:4].tobytes() == b"CRAM" else "not a BAM file"
            raise SignalError(
                f"is {kind}, expected BAM",
                path=path,
                hint=f"samtools view -b -o reads.bam {path}",
            )
        if not has_end_mark(data):
            raise SignalError(
                "truncated BAM: its end-of-file mark is missing",
                path=path,
                hint=f"is the copy or download complete? samtools quickcheck -v {path}",
            )
        done = 0
        for chunk, n_bytes in inflate_ahead(data, 0, _CHUNK_BYTES, threads, path):
            yield chunk
            done += n_bytes
            if progress is not None:
                progress(done, len(data))


def _header(path: Path, chunks: Iterator[NDArray[np.uint8]]) -> tuple[list[str], NDArray[np.uint8]]:
    """Read the names of the chromosomes; return what follows the header too."""
    held = b""
    for chunk in chunks:
        held += chunk.tobytes()
        chromosomes, at = parse_header(held)
        if chromosomes is not None:
            return list(chromosomes), np.frombuffer(held[at:], dtype=np.uint8)
        if at < 0:
            raise SignalError(
                "is not a BAM file", path=path, hint=f"samtools view -b -o reads.bam {path}"
            )
    raise _damaged(path)


def _damaged(path: Path) -> SignalError:
    return SignalError(
        "damaged BAM: its records do not follow one another",
        path=path,
        hint=f"check it: samtools quickcheck -v {path}",
    )
