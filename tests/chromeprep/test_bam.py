"""Reads of a BAM count as samtools, bedtools and deepTools count them, and as the rule says."""

from __future__ import annotations

import logging
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import TrackBins
from chromeprep.signals.reads import COUNT_RULES, ReadRule
from chromeprep.signals.targets import Targets

needs_samtools = pytest.mark.skipif(
    shutil.which("samtools") is None, reason="needs the samtools program"
)
needs_bedtools = pytest.mark.skipif(
    not (shutil.which("bedtools") and shutil.which("samtools")),
    reason="needs the bedtools and samtools programs",
)

LENGTHS = {"chr1": 3000, "chr2": 700}
CIGARS = [
    "36M", "1M", "10M500N10M", "5S20M6S", "10M3D10M", "10M4I10M", "3H30M2H", "10S", "8I", None,
    "2M1200N2M", "20=3X", "5M2P5M", "1S1M1S", "4S1D4S", "7D",
]  # fmt: skip
FLAGS = [0, 16, 0x1 | 0x2 | 0x40, 0x1 | 0x2 | 0x10 | 0x80, 0x1 | 0x8, 0x4, 0x4 | 0x10, 0x100,
         0x200, 0x400, 0x800, 0x400 | 0x10, 0x800 | 0x200]  # fmt: skip
EXCLUDED = [0xF04, 0xF04, 0xF04, 0x4, 0x704, 0xF14]


def read(
    bam: Path,
    chrom: str | Sequence[str],
    starts: Sequence[int],
    n_bins: int,
    size: int,
    rule: ReadRule = ReadRule(),  # noqa: B008
    threads: int = 1,
) -> TrackBins:
    track = BamTrack(bam, rule)
    lengths = track.info().chromosomes
    assert lengths is not None
    names = [chrom] * len(starts) if isinstance(chrom, str) else chrom
    targets = Targets.build(names, np.array(starts, dtype=np.int64), lengths, n_bins, size)
    shares: list[float] = []
    found = track.read(targets, threads=threads, tick=shares.append)
    assert found.values.shape == (len(starts), n_bins)
    assert found.values.dtype in (np.float64, np.int32)
    assert sum(shares) <= 1 + 1e-9
    return found


def generated_reads(make: Any, rng: random.Random, count: int) -> list[Any]:
    reads = []
    for _ in range(count):
        chrom = rng.choice(["chr1", "chr1", "chr2"])
        length = LENGTHS[chrom]
        place = rng.choice([0, 1, length - 1, length - 36, rng.randrange(length),
                            rng.randrange(length), 100 * rng.randrange(length // 100)])  # fmt: skip
        flag = rng.choice(FLAGS) if rng.random() < 0.6 else rng.choice([0, 16])
        cigar = rng.choice(CIGARS) if rng.random() < 0.6 else "36M"
        reads.append(make.Read(chrom, place, cigar, flag, rng.choice([0, 1, 30, 60])))
    return reads


def generated_starts(rng: random.Random, n_bins: int, size: int) -> list[int]:
    """Far apart, touching, overlapping, the same twice, over both ends, out of order."""
    width = size * n_bins
    starts = [rng.randrange(-width, 3000 + width) for _ in range(12)]
    starts += [starts[0], starts[1] + width, starts[2] + size // 2, -width // 2, 3000 - width // 2]
    rng.shuffle(starts)
    return starts


def bins_inside(chrom: str, starts: Sequence[int], n_bins: int, size: int) -> list[Any]:
    """The bins cut at the ends of the chromosome; None for those wholly outside."""
    cut = [
        (max(start + b * size, 0), min(start + (b + 1) * size, LENGTHS[chrom]))
        for start in starts
        for b in range(n_bins)
    ]
    return [(chrom, first, end) if first < end else None for first, end in cut]


def multicov(bam: Path, bins: Sequence[Any], rule: ReadRule) -> list[int]:
    """Count with samtools and bedtools, as the specification words it."""
    filtered, bed = bam.with_suffix(".filtered.bam"), bam.with_suffix(".bed")
    wanted = ["-F", str(rule.exclude_flags), "-q", str(rule.min_mapq)]
    subprocess.run(["samtools", "view", "-b", *wanted, "-o", filtered, bam], check=True)
    subprocess.run(["samtools", "index", filtered], check=True)
    asked = sorted({place for place in bins if place is not None})
    bed.write_text("".join(f"{chrom}\t{first}\t{end}\n" for chrom, first, end in asked))
    done = subprocess.run(
        # The flags are samtools' affair: bedtools is told to keep duplicates and QC failures.
        ["bedtools", "multicov", "-D", "-F", "-bams", filtered, "-bed", bed],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    counts = {}
    for line in done.stdout.splitlines():
        chrom, first, end, count = line.split("\t")
        counts[chrom, int(first), int(end)] = int(count)
    return [0 if place is None else counts[place] for place in bins]


@needs_bedtools
@pytest.mark.parametrize("seed", range(8))
def test_overlaps_are_those_of_bedtools(workshop: Any, seed: int) -> None:
    rng = random.Random(seed)
    bam = workshop.bam(generated_reads(workshop, rng, 400), LENGTHS)
    size, n_bins = rng.choice([1, 7, 50, 100]), rng.choice([2, 6, 10])
    starts = generated_starts(rng, n_bins, size)
    rule = ReadRule(min_mapq=rng.choice([0, 0, 1, 30]), exclude_flags=rng.choice(EXCLUDED))
    for chrom in LENGTHS:
        found = read(bam, chrom, starts, n_bins, size, rule).values
        expected = multicov(bam, bins_inside(chrom, starts, n_bins, size), rule)
        np.testing.assert_array_equal(found.ravel(), expected)
        assert found.sum() > 0


READ = st.tuples(
    st.integers(0, 299), st.sampled_from(CIGARS), st.sampled_from(FLAGS), st.sampled_from([0, 30])
)


@needs_bedtools
@settings(max_examples=20)
@given(
    reads=st.lists(READ, max_size=12),
    starts=st.lists(st.integers(-60, 720), min_size=1, max_size=5),
    size=st.integers(1, 40),
    n_bins=st.integers(1, 5),
)
def test_overlaps_of_few_reads(
    workshop_in: Any, tmp_path_factory: Any, reads: Any, starts: Any, size: int, n_bins: int
) -> None:
    make = workshop_in(tmp_path_factory.mktemp("bam"))
    bam = make.bam([make.Read("chr2", *rest) for rest in reads], LENGTHS)
    found = read(bam, "chr2", starts, n_bins, size).values
    expected = multicov(bam, bins_inside("chr2", starts, n_bins, size), ReadRule())
    np.testing.assert_array_equal(found.ravel(), expected)


@needs_samtools
@pytest.mark.parametrize("seed", range(6))
def test_coverage_is_that_of_samtools(workshop: Any, seed: int) -> None:
    rng = random.Random(seed)
    # A pileup holds no read without a CIGAR, which the rule counts at its first base, and takes
    # one that is nothing but a deletion for bases.
    reads = generated_reads(workshop, rng, 400)
    reads = [entry for entry in reads if entry.cigar not in (None, "7D")]
    bam = workshop.bam(reads, LENGTHS)
    size, n_bins = rng.choice([1, 7, 50, 100]), rng.choice([2, 6])
    starts = generated_starts(rng, n_bins, size)
    # 0x704 is what bedcov leaves out; -G adds to it, -g takes away.
    excluded, flags = rng.choice(
        [(0xF04, ["-G", "0x800"]), (0x704, []), (0x4, ["-g", "0x700"]), (0xF14, ["-G", "0x810"])]
    )
    rule = ReadRule("coverage", min_mapq=rng.choice([0, 1, 30]), exclude_flags=excluded)
    bed = workshop.folder / "bins.bed"
    for chrom in LENGTHS:
        bins = bins_inside(chrom, starts, n_bins, size)
        asked = [place for place in bins if place is not None]
        bed.write_text("".join(f"{name}\t{first}\t{end}\n" for name, first, end in asked))
        done = subprocess.run(
            ["samtools", "bedcov", "-j", "-Q", str(rule.min_mapq), *flags, bed, bam],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        bases = iter(done.stdout.splitlines())
        expected = [int(next(bases).split("\t")[3]) if place else 0 for place in bins]
        found = read(bam, chrom, starts, n_bins, size, rule).values
        np.testing.assert_array_equal(found.ravel(), np.array(expected) / size)
        assert found.sum() > 0


@needs_samtools
@pytest.mark.parametrize("seed", range(3))
def test_totals_are_those_of_samtools(workshop: Any, seed: int) -> None:
    rng = random.Random(seed)
    bam = workshop.bam(generated_reads(workshop, rng, 500), LENGTHS)

    def count(*options: object) -> int:
        command = ["samtools", "view", "-c", *map(str, options), bam]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    n_mapped = count("-F", 4)
    for mapq, flags, rule in product((0, 1, 60), (0xF04, 0x4, 0x10, 0), COUNT_RULES):
        asked = ReadRule(rule, min_mapq=mapq, exclude_flags=flags)
        plain = read(bam, "chr1", [100, 2500], 3, 10, asked)
        # The reads of all chromosomes, not only of those with windows.
        total = read(bam, "chr1", [100, 2500], 3, 10, asked.with_total())
        assert total[1:] == (count("-F", flags, "-q", mapq), n_mapped)
        assert plain[1:] == (-1, n_mapped)
        np.testing.assert_array_equal(plain.values, total.values)


def stands_for(entry: Any, rule: ReadRule) -> list[int]:
    """The bases that a read counts at, one by one, or only its 5' base."""
    steps = re.findall(r"(\d+)([MIDNSHP=X])", entry.cigar or "")
    bases: list[int] = []
    at = entry.start
    for size, what in ((int(size), what) for size, what in steps):
        if what in "M=X" or (what in "DN" and (rule.count, rule.extend_bp) != ("coverage", None)):
            bases += range(at, at + size)
        at += size if what in "MDN=X" else 0
    if entry.cigar is None or entry.flag & 4:
        bases = [entry.start]
    if not bases:
        return []
    reverse = bool(entry.flag & 16)
    if rule.extend_bp is not None:
        first, end = bases[0], bases[-1] + 1
        proper = entry.flag & 0x3 == 0x3 and not entry.flag & 0x8
        close = entry.mate and entry.mate[0] == entry.chrom and 0 < abs(entry.template) <= 2000
        if proper and close:
            first = min(entry.start, entry.mate[1])
            end = first + abs(entry.template)
        elif reverse:
            first = min(first, end - rule.extend_bp)
        else:
            end = max(end, first + rule.extend_bp)
        bases = list(range(first, end))
    if rule.count == "five-prime":
        return [bases[-1] if reverse else bases[0]]
    return bases


def second_of_pair(entry: Any) -> bool:
    return (
        entry.flag & 0x3 == 0x3
        and not entry.flag & 0x48
        and entry.mate is not None
        and entry.mate[0] == entry.chrom
        and 0 < abs(entry.template) <= 2000
    )


def by_brute_force(
    reads: Sequence[Any], rule: ReadRule, chrom: str, starts: Sequence[int], n_bins: int, size: int
) -> tuple[np.ndarray[Any, Any], int]:
    """Count base by base, and return the bins and how many reads or fragments there are."""
    depth = np.zeros((len(starts), n_bins))
    n_counted = 0
    for entry in reads:
        if entry.flag & rule.exclude_flags or entry.mapq < rule.min_mapq:
            continue
        if rule.extend_bp is not None and second_of_pair(entry):
            continue
        n_counted += 1
        bases = [base for base in stands_for(entry, rule) if 0 <= base < LENGTHS[entry.chrom]]
        if entry.chrom != chrom:
            continue
        for row, start in enumerate(starts):
            inside = [(base - start) // size for base in bases if 0 <= base - start < n_bins * size]
            if rule.count == "coverage":
                np.add.at(depth[row], inside, 1 / size)
            else:
                depth[row, sorted(set(inside))] += 1
    return depth, n_counted


def a_pair(make: Any, rng: random.Random) -> list[Any]:
    """Two reads of one fragment, proper or not, near, dovetailed or too far apart."""
    first = rng.randrange(0, 2900)
    size = rng.choice([36, 150, 400, 1990, 2000, 2001, 2500, 30])
    end = min(first + size, 2999)
    second = max(end - 36, 0)
    proper = rng.choice([0x2, 0x2, 0])
    parts = rng.choice([(0x40, 0x80), (0x80, 0x40)])
    strands = rng.choice([(0x20, 0x10), (0x20, 0x10), (0x10, 0x20), (0, 0)])
    template = end - first
    quality = rng.choice([0, 30])
    return [
        make.Read("chr1", place, cigar, 0x1 | proper | part | strand, quality, ("chr1", mate), size)
        for place, mate, cigar, part, strand, size in (
            (first, second, rng.choice(["36M", "10M20N26M"]), parts[0], strands[0], template),
            (second, first, rng.choice(["36M", "6S30M"]), parts[1], strands[1], -template),
        )
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("extend", [None, 1, 36, 200, 2600])
@pytest.mark.parametrize("count", COUNT_RULES)
def test_every_rule_base_by_base(workshop: Any, count: Any, extend: int | None, seed: int) -> None:
    rng = random.Random(seed)
    reads = generated_reads(workshop, rng, 60)
    for _ in range(60):
        reads += a_pair(workshop, rng)
    bam = workshop.bam(reads, LENGTHS)
    size, n_bins = rng.choice([1, 7, 50]), rng.choice([2, 6])
    starts = generated_starts(rng, n_bins, size)
    rule = ReadRule(count, extend, rng.choice([0, 1]), rng.choice(EXCLUDED))
    for chrom in LENGTHS:
        expected, n_counted = by_brute_force(reads, rule, chrom, starts, n_bins, size)
        near = read(bam, chrom, starts, n_bins, size, rule)
        whole = read(bam, chrom, starts, n_bins, size, rule.with_total())
        np.testing.assert_allclose(near.values, expected, rtol=1e-12)
        np.testing.assert_array_equal(whole.values, near.values)
        assert whole.n_counted == n_counted


def bam_coverage(bam: Path, *options: object) -> np.ndarray[Any, Any]:
    """Give the bins of 50 bases of chr1 as deepTools counts them."""
    pytest.importorskip("deeptools")
    out = bam.with_suffix(".bedgraph")
    program = Path(sys.executable).with_name("bamCoverage")
    subprocess.run(
        [program, "-b", bam, "-o", out, "-of", "bedgraph", "-bs", "50", "-p", "1",
         "--samFlagExclude", str(0xF04), *map(str, options)],
        check=True, capture_output=True,
    )  # fmt: skip
    bins = np.zeros(60)
    for line in out.read_text().splitlines():
        chrom, first, end, value = line.split("\t")
        if chrom == "chr1":
            bins[int(first) // 50 : -(-int(end) // 50)] = float(value)
    return bins


@pytest.mark.parametrize("way", ["extend", "pairs", "five-prime"])
def test_counts_are_those_of_deeptools(workshop: Any, way: str) -> None:
    rng = random.Random(1)
    if way == "pairs":
        reads = []
        for _ in range(150):
            first, size = rng.randrange(2400), rng.randrange(80, 500)
            for place, mate, flag, length in (
                (first, first + size - 36, 0x63, size), (first + size - 36, first, 0x93, -size)
            ):  # fmt: skip
                reads.append(workshop.Read("chr1", place, "36M", flag, 30, ("chr1", mate), length))
    else:
        reads = [
            workshop.Read("chr1", rng.randrange(300, 2600), "36M", rng.choice([0, 16, 0x400]))
            for _ in range(300)
        ]
    bam = workshop.bam(reads, LENGTHS)
    rule, options = {
        "extend": (ReadRule(extend_bp=200), ["--extendReads", 200]),
        # It counts a fragment at each of its reads, so it is shown the first ones only.
        "pairs": (ReadRule(extend_bp=200), ["--extendReads", "--samFlagInclude", 64]),
        "five-prime": (ReadRule("five-prime"), ["--Offset", 1]),
    }[way]
    found = read(bam, "chr1", [0], 60, 50, rule).values[0]
    np.testing.assert_array_equal(found, bam_coverage(bam, *options))
    assert found.sum() > 100


def test_each_rule_by_hand(workshop: Any) -> None:
    make = workshop.Read
    counted = [
        make("chr1", 90, "20M"),
        make("chr1", 150, "10M100N10M"),
        make("chr1", 180, None),
        make("chr1", 250, "10M", 0x1 | 0x2 | 0x40, 0),
        make("chr1", 299, "1M", 16),
    ]
    left_out = [make("chr1", 90, "20M", flag) for flag in (0x4, 0x100, 0x200, 0x400, 0x800)]
    left_out += [make("chr1", 150, "10S"), make("chr2", 150)]
    bam = workshop.bam(counted + left_out, LENGTHS)
    # [100,150) the first; [150,200) spliced, no CIGAR; [200,250) spliced; [250,300) three.
    assert read(bam, "chr1", [100], 4, 50).values.tolist() == [[1, 2, 1, 3]]
    for flags, count in [(0x704, 2), (0x4, 5), (0xF14, 1)]:
        rule = ReadRule(exclude_flags=flags)
        assert read(bam, "chr1", [100], 1, 50, rule).values.tolist() == [[count]]
    five_prime = read(bam, "chr1", [50], 5, 50, ReadRule("five-prime"))
    assert five_prime.values.tolist() == [[1, 0, 2, 0, 2]]
    coverage = read(bam, "chr1", [100], 4, 50, ReadRule("coverage"))
    assert coverage.values.tolist() == [[10 / 50, 11 / 50, 0, 21 / 50]]
    extended = read(bam, "chr1", [100], 4, 50, ReadRule(extend_bp=60))
    assert extended.values.tolist() == [[1, 2, 3, 3]]
    assert read(bam, "chr1", [100], 4, 50, ReadRule(min_mapq=1)).values.tolist() == [[1, 2, 1, 2]]


def test_pairs_by_hand(workshop: Any) -> None:
    def pair(first: int, end: int, flags: int = 0x2) -> list[Any]:
        return [
            workshop.Read("chr1", first, "30M", 0x61 | flags, 30, ("chr1", end - 30), end - first),
            workshop.Read("chr1", end - 30, "30M", 0x91 | flags, 30, ("chr1", first), first - end),
        ]

    bam = workshop.bam(pair(100, 300) + pair(1000, 1150, 0), LENGTHS)
    rule = ReadRule(extend_bp=80, total=True)
    found = read(bam, "chr1", [100, 1000], 4, 50, rule)
    # The fragment once; the reads of the other pair, which is none, 80 bases each.
    assert found.values.tolist() == [[1, 1, 1, 1], [1, 2, 1, 0]]
    assert (found.n_counted, found.n_mapped) == (3, 4)
    five_prime = read(bam, "chr1", [100, 1000], 4, 50, ReadRule("five-prime", 80)).values
    assert five_prime.tolist() == [[1, 0, 0, 0], [1, 0, 1, 0]]
    coverage = read(bam, "chr1", [100, 1000], 4, 50, ReadRule("coverage", 80)).values
    assert coverage.tolist() == [[1, 1, 1, 1], [1, 0.6 + 0.6, 1, 0]]


def test_a_fragment_counts_far_from_its_first_read(workshop: Any) -> None:
    lengths = {"chr1": 100_000}
    reads = [
        workshop.Read("chr1", 51_964, "36M", 0x53, 30, ("chr1", 50_000), -2000),
        workshop.Read("chr1", 50_000, "36M", 0xA3, 30, ("chr1", 51_964), 2000),
        *(workshop.Read("chr1", place) for place in range(0, 100_000, 5000)),
    ]
    bam = workshop.bam(reads, lengths)
    assert read(bam, "chr1", [50_100], 1, 10, ReadRule(extend_bp=1)).values.tolist() == [[1]]
    assert read(bam, "chr1", [9_990], 1, 5, ReadRule(extend_bp=5000)).values.tolist() == [[1]]


def test_reads_that_hang_over_the_end_do_not_count_beyond_it(workshop: Any) -> None:
    bam = workshop.bam([workshop.Read("chr2", 690, "36M")], LENGTHS)
    found = read(bam, "chr2", [680, 695, 5000, -500], 4, 10).values
    assert found.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    reverse = workshop.bam([workshop.Read("chr2", 690, "36M", 16)], LENGTHS, "reverse.bam")
    # Its 5' base is nowhere.
    assert not read(reverse, "chr2", [600], 20, 10, ReadRule("five-prime")).values.any()


def test_what_a_file_of_bins_records(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    reads = [workshop.Read("chr1", 5), workshop.Read("chr1", 9, flag=0x400),
             workshop.Read("chr2", 9, flag=0x4)]  # fmt: skip
    bam = workshop.bam(reads, LENGTHS)
    with caplog.at_level(logging.INFO):
        info = BamTrack(bam).info()
    assert not caplog.records
    assert info.chromosomes == LENGTHS
    assert info.units == "reads"
    assert info.count_rule == "alignments overlapping the bin, gaps included, not flagged 0xf04"
    rule = ReadRule("coverage", 200, 10, 0x4)
    assert BamTrack(bam, rule).info().count_rule == (
        "mean depth of fragments (proper pairs once; other reads extended to 200 bp), "
        "not flagged 0x4, mapping quality at least 10"
    )
    assert read(bam, "chr1", [0], 1, 10).n_mapped == 2
