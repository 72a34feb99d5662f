"""What each read of a file stands for, in plain Python, for the engines that check the fast one.

Nothing here is shared with the compiled readers, so that a slip in one of the two shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chromeprep.errors import SignalError
from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import Tick, check_file
from chromeprep.signals.cram.references import no_downloads
from chromeprep.signals.cram.track import CramTrack
from chromeprep.signals.reads import MAX_FRAGMENT_BP, ReadRule
from chromeprep.signals.targets import Targets
from chromeprep.signals.text.bed import BedTrack
from chromeprep.signals.text.bed_lines import find_fault, split_line
from chromeprep.signals.text.kernels import ChromosomeNames
from chromeprep.textfiles import read_lines

if TYPE_CHECKING:
    import pysam

# Number of the chromosome in the `Targets`, first base, end; inside the chromosome, never empty.
Piece = tuple[int, int, int]

_ON_THE_REFERENCE = (0, 2, 3, 7, 8)  # M D N = X
# FLAG, RNAME, POS, MAPQ and CIGAR, and RNEXT, PNEXT and TLEN besides: where a CRAM is asked for no
# bases, it is read without its reference.
_ALIGNMENT_FIELDS, _MATE_FIELDS = 0x03E, 0x1C0
_READS_A_STEP = 100_000
_BED12_FIELDS = 12


@dataclass
class Tally:
    """What was met on the way; -1 where the whole file was not read.

    Attributes
    ----------
    counted
        Reads, or fragments, that passed the filters.
    mapped
        Mapped alignments.
    """

    counted: int = -1
    mapped: int = -1


def pieces_of(
    track: BamTrack | CramTrack | BedTrack,
    targets: Targets,
    tally: Tally,
    threads: int,
    tick: Tick,
) -> Iterator[Piece]:
    """Yield what the reads of a file stand for, each once.

    Of an indexed BAM or CRAM only the reads round the windows are looked at, unless the rule asks
    for their total.

    Raises
    ------
    SignalError
        Where the file is damaged or a line is wrong.
    MismatchError
        Where no line of a BED lies on any chromosome with windows.
    """
    if isinstance(track, BedTrack):
        yield from _bed_pieces(track, targets, tally, tick)
    else:
        yield from _alignment_pieces(track, targets, tally, threads, tick)


def passes(read: pysam.AlignedSegment, rule: ReadRule) -> bool:
    """Say whether an alignment is counted at all."""
    return (
        read.reference_id >= 0
        and read.reference_start >= 0
        and not read.flag & rule.exclude_flags
        and read.mapping_quality >= rule.min_mapq
        # The second of a pair is in the fragment that the first one stands for.
        and not (rule.extend_bp is not None and is_in_pair(read) and not read.is_read1)
    )


def is_in_pair(read: pysam.AlignedSegment) -> bool:
    """Say whether a read and its mate are the ends of one fragment."""
    return (
        read.is_paired
        and read.is_proper_pair
        and not read.mate_is_unmapped
        and read.next_reference_id == read.reference_id
        and read.next_reference_start >= 0
        and 0 < abs(read.template_length) <= MAX_FRAGMENT_BP
    )


def intervals(read: pysam.AlignedSegment, rule: ReadRule) -> list[tuple[int, int]]:
    """Return what an alignment that passes stands for, which may leave the chromosome.

    Examples
    --------
    >>> import pysam
    >>> read = pysam.AlignedSegment()
    >>> read.flag, read.reference_start, read.cigarstring = 16, 100, "10M50N10M"
    >>> intervals(read, ReadRule()), intervals(read, ReadRule(count="coverage"))
    ([(100, 170)], [(100, 110), (160, 170)])
    >>> intervals(read, ReadRule(count="five-prime")), intervals(read, ReadRule(extend_bp=150))
    ([(169, 170)], [(20, 170)])
    """
    first = read.reference_start
    cigar = read.cigartuples
    if read.is_unmapped or not cigar:  # nobody knows where it ends: it counts at its first base
        blocks = [(first, first + 1)]
        end = first + 1
    else:
        blocks = read.get_blocks()
        end = first + sum(size for what, size in cigar if what in _ON_THE_REFERENCE)
    if end == first:  # nothing but clips and insertions
        return []
    if rule.extend_bp is None:
        if rule.count == "coverage":
            return blocks
    elif is_in_pair(read):
        first = min(first, read.next_reference_start)
        end = first + abs(read.template_length)
    elif read.is_reverse:
        first = min(first, end - rule.extend_bp)
    else:
        end = max(end, first + rule.extend_bp)
    if rule.count == "five-prime":
        return [(end - 1, end) if read.is_reverse else (first, first + 1)]
    return [(first, end)]


def _alignment_pieces(
    track: BamTrack | CramTrack, targets: Targets, tally: Tally, threads: int, tick: Tick
) -> Iterator[Piece]:
    wanted = {name: number for number, name in enumerate(targets.chromosomes)}
    with _opened(track, threads) as file:
        whole = track.rule.total or not file.has_index()
        if whole:
            tally.counted = tally.mapped = 0
            reads = _all_reads(file, track, tick)
        else:
            if file.is_bam:
                tally.mapped = file.mapped
            reads = _reads_round_windows(file, targets, track.rule.reach_bp, tick)
        numbers = [wanted.get(name) for name in file.references]
        for read in reads:
            if whole:
                tally.mapped += not read.is_unmapped
            if not passes(read, track.rule):
                continue
            if whole:
                tally.counted += 1
            number = numbers[read.reference_id]
            if number is not None:
                length = int(targets.lengths[number])
                for first, end in intervals(read, track.rule):
                    if max(first, 0) < min(end, length):
                        yield number, max(first, 0), min(end, length)


def _all_reads(
    file: pysam.AlignmentFile, track: BamTrack | CramTrack, tick: Tick
) -> Iterator[pysam.AlignedSegment]:
    size = track.path.stat().st_size
    done = 0.0
    for number, read in enumerate(file.fetch(until_eof=True), start=1):
        yield read
        if number % _READS_A_STEP == 0:
            share = min((file.tell() >> 16) / size, 1.0) if file.is_bam else 0.0
            tick(max(share - done, 0.0))
            done = max(share, done)
    tick(1.0 - done)


def _reads_round_windows(
    file: pysam.AlignmentFile, targets: Targets, reach_bp: int, tick: Tick
) -> Iterator[pysam.AlignedSegment]:
    spans = list(targets.spans())
    last_chrom, last_end = -1, 0
    for span in spans:
        first, end = max(span.first - reach_bp, 0), span.end + reach_bp
        seen = last_end if span.chrom == last_chrom else 0
        for read in file.fetch(targets.chromosomes[span.chrom], first, end):
            # One that begins before the end of the place before was met there.
            if read.reference_start >= seen:
                yield read
        last_chrom, last_end = span.chrom, end
        tick(1 / len(spans))
    if not spans:
        tick(1.0)


@contextmanager
def _opened(track: BamTrack | CramTrack, threads: int) -> Iterator[pysam.AlignmentFile]:
    import pysam

    check_file(track.path, "--cram" if isinstance(track, CramTrack) else "--bam")
    hint = f"samtools quickcheck -v {track.path}, and index it again: samtools index {track.path}"
    options: dict[str, Any] = {}
    if isinstance(track, CramTrack):
        fields = _ALIGNMENT_FIELDS
        if track.rule.extend_bp is not None:
            fields |= _MATE_FIELDS
            hint += "; or give the FASTA that it was made with: --reference FASTA"
        options["format_options"] = [f"required_fields={fields:#x}"]
        if track.reference is not None:
            options["reference_filename"] = str(track.reference)
    verbosity = pysam.set_verbosity(0)  # the message below says what htslib would print
    try:
        with (
            no_downloads(),
            pysam.AlignmentFile(str(track.path), "rb", threads=threads, **options) as file,
        ):
            yield file
    except (OSError, ValueError) as error:
        raise SignalError(
            f"cannot be read with pysam ({error})", path=track.path, hint=hint
        ) from error
    finally:
        pysam.set_verbosity(verbosity)


def _bed_pieces(track: BedTrack, targets: Targets, tally: Tally, tick: Tick) -> Iterator[Piece]:
    rule = track.rule
    needs_strand = rule.extend_bp is not None or rule.count == "five-prime"
    names = ChromosomeNames(track.path, targets.chromosomes)
    known: dict[str, int] = {}
    n_reads = 0
    for number, line in read_lines(track.path, SignalError):
        if number % _READS_A_STEP == 0:
            tick(0.0)
        fields = split_line(line) if line.strip() else [""]
        if line.startswith("#") or fields[0] in ("", "track", "browser"):
            if not fields[0] and line.strip():
                raise SignalError("begins with no chromosome name", path=track.path, line=number)
            continue
        fault = find_fault(line, needs_strand=needs_strand)
        if fault is not None:
            raise SignalError(fault[0], path=track.path, line=number, hint=fault[1])
        first, end = int(fields[1]), int(fields[2])
        chrom = fields[0]
        if chrom not in known:
            known[chrom] = names.add(chrom.encode())
        if first == end:
            continue
        n_reads += 1
        if known[chrom] < 0:
            continue
        length = int(targets.lengths[known[chrom]])
        if first >= length:
            raise SignalError(
                f"starts at {first:,}, beyond the end of {chrom} ({length:,} bp)",
                path=track.path,
                line=number,
            )
        on_minus = needs_strand and fields[5] == "-"
        for a, b in _bed_intervals(fields, first, end, on_minus, rule):
            if max(a, 0) < min(b, length):
                yield known[chrom], max(a, 0), min(b, length)
    names.check()
    tally.counted = tally.mapped = n_reads
    tick(1.0)


def _bed_intervals(
    fields: list[str], first: int, end: int, on_minus: bool, rule: ReadRule
) -> list[tuple[int, int]]:
    if rule.extend_bp is None:
        if rule.count == "coverage" and len(fields) >= _BED12_FIELDS:
            count = int(fields[9])
            sizes, offsets = (fields[column].split(",")[:count] for column in (10, 11))
            parts = zip(map(int, offsets), map(int, sizes), strict=True)
            return [(first + offset, first + offset + size) for offset, size in parts]
    elif on_minus:
        first = min(first, end - rule.extend_bp)
    else:
        end = max(end, first + rule.extend_bp)
    if rule.count == "five-prime":
        return [(end - 1, end) if on_minus else (first, first + 1)]
    return [(first, end)]
