"""Every engine comes to the same, on files of every kind and under every rule."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.errors import ChromeError, MismatchError, OutputError, SignalError
from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import Track, TrackBins
from chromeprep.signals.bigwig.track import BigWigTrack
from chromeprep.signals.cram.track import CramTrack
from chromeprep.signals.engines import by_pysam as engine_pysam
from chromeprep.signals.engines.choose import ENGINES, with_engine
from chromeprep.signals.reads import COUNT_RULES, ReadRule
from chromeprep.signals.targets import Targets
from chromeprep.signals.text.bed import BedTrack, TagAlignTrack
from chromeprep.signals.text.bedgraph import BedGraphTrack

HAS_BEDTOOLS = shutil.which("bedtools") is not None
OTHERS = [
    "pysam",
    pytest.param(
        "bedtools",
        marks=pytest.mark.skipif(not HAS_BEDTOOLS, reason="needs the bedtools program"),
    ),
]
INSTALLED = [engine for engine in ENGINES if engine != "bedtools" or HAS_BEDTOOLS]

LENGTHS = {"chr1": 3000, "chr2": 700, "chr3": 400}  # no read lies on the last
CIGARS = [
    "36M", "36M", "1M", "10M500N10M", "5S20M6S", "10M3D10M", "10M4I10M", "3H30M2H", "10S", "8I",
    None, "2M1200N2M", "20=3X", "5M2P5M", "1S1M1S", "150M", "5M1D5M3N5M", "4S6D4S",
    "3S1D3S", "7D",
]  # fmt: skip
SINGLE = [0, 16, 0x4, 0x4 | 0x10, 0x100, 0x200, 0x400, 0x800, 0x1 | 0x8 | 0x40, 0x1 | 0x10]
# Proper or not, either strand, first, second, both or neither of a pair, its mate mapped or not.
PAIRED = [
    0x1 | proper | strand | part | mate
    for proper, strand, part, mate in product(
        (0, 0x2, 0x2), (0, 0x10), (0, 0x40, 0x80, 0xC0), (0, 0, 0x8)
    )
]
RULES = [
    ReadRule(count, extend, mapq, flags, total)
    for count, extend, (mapq, flags, total) in product(
        COUNT_RULES,
        (None, 1, 150, 2500),
        ((0, 0xF04, False), (30, 0xF04, True), (0, 0x0, False), (1, 0x14, True)),
    )
]


def a_read(make: Any, rng: random.Random) -> Any:
    chrom = rng.choice(["chr1", "chr1", "chr2"])
    length = LENGTHS[chrom]
    start = rng.choice([0, 1, length - 1, length - 36, 100 * rng.randrange(length // 100),
                        rng.randrange(length), rng.randrange(length)])  # fmt: skip
    read = make.Read(chrom, start, rng.choice(CIGARS), rng.choice(SINGLE), rng.choice([0, 1, 30]))
    if rng.random() < 0.5:
        return read
    # Anywhere from dovetailed to too far away for a fragment, or on another chromosome.
    other = rng.choice([chrom] * 5 + ["chr2"])
    place = min(max(start + rng.choice([-30, 0, 5, 200, -200, 2500]), 0), LENGTHS[other] - 1)
    template = rng.choice([0, 1, -60, 250, -250, 2000, -2000, 2001, place - start + 36])
    return read._replace(flag=rng.choice(PAIRED), mate=(other, place), template=template)


def windows(rng: random.Random, n_bins: int, size: int) -> tuple[list[str], list[int]]:
    """Far apart, overlapping, the same twice, over both ends, wholly outside, out of order."""
    width = n_bins * size
    starts = [rng.randrange(-width, 3000 + width) for _ in range(8)]
    starts += [starts[0], starts[1] + width, starts[2] + size // 2, -width // 2, 3000 - width // 2]
    chrom = ["chr1"] * len(starts) + ["chr2", "chr2", "chr3", "chr2"]
    starts += [-size, 650, 20, 600]
    order = list(range(len(starts)))
    rng.shuffle(order)
    return [chrom[row] for row in order], [starts[row] for row in order]


def some_targets(rng: random.Random, lengths: Mapping[str, int] = LENGTHS) -> Targets:
    n_bins, size = rng.choice([1, 4, 9]), rng.choice([1, 7, 50, 100])
    chrom, starts = windows(rng, n_bins, size)
    return Targets.build(chrom, np.array(starts), lengths, n_bins, size)


def same(track: Track, engine: str, targets: Targets, *, exact: bool = True) -> TrackBins:
    """Compare an engine with the fast one, and return what both found."""
    other = with_engine(track, engine)
    assert other.info() == track.info()
    assert (other.path, other.kind) == (track.path, track.kind)
    expected = track.read(targets)
    shares: list[float] = []
    found = other.read(targets, threads=2, tick=shares.append)
    assert found.values.dtype in (np.float64, np.int32)
    np.testing.assert_allclose(found.values, expected.values, rtol=0 if exact else 1e-12, atol=0)
    assert found[1:] == expected[1:]
    assert sum(shares) == pytest.approx(1)
    return found


def reads_as(kind: str, make: Any, rng: random.Random) -> Path:
    """Write reads as BAM or CRAM, sorted and with an index, or neither."""
    import pysam

    reads = [a_read(make, rng) for _ in range(300)]
    if "CRAM" in kind:  # which holds no sequence without a CIGAR
        reads = [read for read in reads if read.cigar is not None]
    in_order = "loose" not in kind
    order = "coordinate" if in_order else "unsorted"
    bam: Path = make.bam(reads, LENGTHS, sort=in_order, index=in_order, order=order)
    if "CRAM" not in kind:
        return bam
    cram = bam.with_suffix(".cram")
    way = ["-C", "--output-fmt-option", "no_ref=1", "-o", str(cram), str(bam)]
    pysam.view(*way, catch_stdout=False)
    if in_order:
        pysam.index(str(cram))
    return cram


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("kind", ["BAM", "loose BAM", "CRAM", "loose CRAM"])
@pytest.mark.parametrize("seed", range(3))
def test_reads(workshop: Any, engine: str, kind: str, seed: int) -> None:
    rng = random.Random(seed)
    path = reads_as(kind, workshop, rng)
    rules = RULES if engine == "pysam" else rng.sample(RULES, 8)
    total = 0.0
    for rule in rules:
        track = CramTrack(path, rule) if "CRAM" in kind else BamTrack(path, rule)
        total += same(track, engine, some_targets(rng)).values.sum()
    assert total > 0


READ = st.tuples(
    st.integers(0, 299),
    st.sampled_from(CIGARS),
    st.sampled_from(SINGLE + PAIRED),
    st.sampled_from([0, 30]),
    st.none() | st.tuples(st.just("chr1"), st.integers(0, 299)),
    st.integers(-310, 310),
)


@settings(max_examples=60)
@given(
    reads=st.lists(READ, max_size=8),
    starts=st.lists(st.integers(-60, 320), min_size=1, max_size=4),
    size=st.integers(1, 40),
    n_bins=st.integers(1, 5),
    rule=st.sampled_from(RULES),
)
def test_few_reads(
    workshop_in: Any,
    tmp_path_factory: Any,
    reads: Any,
    starts: list[int],
    size: int,
    n_bins: int,
    rule: ReadRule,
) -> None:
    make = workshop_in(tmp_path_factory.mktemp("bam"))
    bam = make.bam([make.Read("chr1", *rest) for rest in reads], {"chr1": 300, "chr2": 10})
    targets = Targets.build(["chr1"] * len(starts), np.array(starts), {"chr1": 300}, n_bins, size)
    for engine in INSTALLED[1:]:
        same(BamTrack(bam, rule), engine, targets)


def bed_text(rng: random.Random, count: int) -> str:
    lines = ["# made up", "track name=reads", ""]
    for number in range(count):
        chrom = rng.choice(["chr1", "chr1", "chr2", "chrUn"])
        length = LENGTHS.get(chrom, 100)
        start = rng.choice([0, length - 1, rng.randrange(length), rng.randrange(length)])
        size = rng.choice([0, 1, 36, 36, 200, 3000])
        fields = [chrom, str(start), str(start + size), f"r{number}", "0", rng.choice("+-")]
        if size > 36 and rng.random() < 0.7:
            fields += [str(start), str(start), "0", "3", f"5,6,{size - 20},", "0,10,20,"]
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("name", ["reads.bed", "reads.bed.gz"])
def test_bed(workshop: Any, engine: str, name: str) -> None:
    rng = random.Random(3)
    path = workshop.text(name, bed_text(rng, 400))
    for count, extend in product(COUNT_RULES, (None, 1, 150)):
        rule = ReadRule(count, extend)
        kind = rng.choice([BedTrack, TagAlignTrack])
        assert same(kind(path, rule), engine, some_targets(rng)).values.sum() > 0


def runs(rng: random.Random) -> list[tuple[str, int, int, float]]:
    made = []
    for chrom, length in LENGTHS.items():
        at = rng.choice([0, 5])
        while at < length and chrom != "chr3":
            end = min(length, at + rng.choice([1, 3, 25, 200]))
            made.append((chrom, at, end, rng.choice([0.0, -1.5, 0.1, rng.random() * 50, 1e6])))
            at = end + rng.choice([0, 0, 1, 30, 400])
    return made


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("uncovered", ["zero", "nan"])
@pytest.mark.parametrize("seed", range(3))
def test_signals(workshop: Any, engine: str, uncovered: Any, seed: int) -> None:
    rng = random.Random(seed)
    made = runs(rng)
    bigwig = workshop.bigwig(made, LENGTHS)
    rng.shuffle(made)
    lines = [f"{chrom}\t{first}\t{end}\t{value!r}" for chrom, first, end, value in made]
    lines.insert(1, "chr3\t5\t15\tnan\nchrUn 1 2 3")
    text = workshop.text("signal.bedgraph", "track type=bedGraph\n" + "\n".join(lines) + "\n")
    targets = some_targets(rng)
    found = [
        same(track, engine, targets, exact=False).values
        for track in (BigWigTrack(bigwig, uncovered), BedGraphTrack(text, uncovered))
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    assert np.nansum(found[0]) != 0


def test_the_fast_engine_is_the_track_itself(tmp_path: Path) -> None:
    track = BedTrack(tmp_path / "reads.bed")
    assert with_engine(track, "fast") is track
    with pytest.raises(ValueError, match="unknown engine 'samtools'; there are fast, pysam"):
        with_engine(track, "samtools")


@pytest.mark.parametrize("engine", OTHERS)
def test_no_windows(workshop: Any, engine: str) -> None:
    bam = workshop.bam([workshop.Read("chr1", 5)], LENGTHS)
    outside = Targets.build(["chr1"], np.array([5000]), LENGTHS, 2, 10)
    none = Targets.build([], np.zeros(0, dtype=np.int64), LENGTHS, 2, 10)
    for track in (BamTrack(bam), BigWigTrack(workshop.bigwig([("chr1", 0, 9, 1.0)], LENGTHS))):
        assert same(track, engine, outside).values.tolist() == [[0, 0]]
        assert with_engine(track, engine).read(none).values.shape == (0, 2)


@pytest.fixture
def no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have temporary files made in a folder, and return what checks that all are gone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def check() -> None:
        assert list(folder.iterdir()) == []

    return check


WRONG: Sequence[tuple[type[Any], str, bytes, type[ChromeError], str]] = [
    (BedTrack, "x.bed", b"chr1\t5\t9\nchr1\t9\n", SignalError, "line 2: found 'chr1.t9'"),
    (BedTrack, "x.bed", b"chr1\t9\t5\n", SignalError, "line 1: it ends"),
    (BedTrack, "x.bed", b"chr1\t3000\t3005\n", SignalError, "beyond the end of chr1 .3,000 bp"),
    (BedTrack, "x.bed", b"chr9\t1\t5\n", MismatchError, "has none of the chromosomes wanted"),
    (BedTrack, "x.bed", b"\tchr1\t1\t5\n", SignalError, "line 1: begins with no chromosome"),
    (BedGraphTrack, "x.bdg", b"chr1\t1\t5\t1\nchr1\t7\t8\n", SignalError, "line 2: found"),
    (BedGraphTrack, "x.bdg", b"chr1\t1\t5\tx\n", SignalError, "line 1: found"),
    (BedGraphTrack, "x.bdg", b"chr1\t1\t5\tinf\n", SignalError, "has an infinite value"),
    (BedGraphTrack, "x.bdg", b"chr1\t5\t5\t1\n", SignalError, "line 1: found"),
    (BedGraphTrack, "x.bdg", b"chr1\t1\t3001\t1\n", SignalError, "beyond the end of chr1"),
    (BedGraphTrack, "x.bdg", b"chr1\t5\t20\t1\nchr1\t0\t9\t2\n", SignalError, "than one value"),
]


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize(("kind", "name", "data", "error", "message"), WRONG)
def test_wrong_lines(
    workshop: Any,
    no_traces: Callable[[], None],
    engine: str,
    kind: type[Any],
    name: str,
    data: bytes,
    error: type[ChromeError],
    message: str,
) -> None:
    track = kind(workshop.text(name, data))
    targets = Targets.build(["chr1"], np.array([0]), LENGTHS, 2, 10)
    with pytest.raises(error, match=message) as caught:
        with_engine(track, engine).read(targets)
    assert str(caught.value).startswith(f"{track.path}: ")
    no_traces()


@pytest.mark.parametrize("engine", OTHERS)
def test_damage(
    workshop: Any,
    no_traces: Callable[[], None],
    capfd: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    rng = random.Random(1)
    reads = [workshop.Read("chr1", rng.randrange(2900), f"{rng.randrange(1, 90)}M")
             for _ in range(30_000)]  # fmt: skip
    bam = workshop.bam(reads, LENGTHS)
    data = bam.read_bytes()
    half = len(data) // 2
    bam.write_bytes(data[:half] + rng.randbytes(300) + data[half + 300 :])
    targets = Targets.build(["chr1"], np.array([0]), LENGTHS, 300, 10)
    with pytest.raises(SignalError, match="cannot be read with pysam"):
        with_engine(BamTrack(bam), engine).read(targets)
    bigwig = workshop.bigwig([("chr1", 40, 50, float("inf"))], LENGTHS)
    with pytest.raises(SignalError, match="has an infinite value at chr1:41;"):
        with_engine(BigWigTrack(bigwig), engine).read(targets)
    no_traces()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("engine", OTHERS)
def test_reading_stops_when_told(workshop: Any, no_traces: Callable[[], None], engine: str) -> None:
    class StopError(Exception):
        pass

    def tick(share: float) -> None:
        raise StopError

    bam = workshop.bam([workshop.Read("chr1", 5)], LENGTHS)
    targets = Targets.build(["chr1"], np.array([0]), LENGTHS, 2, 10)
    with pytest.raises(StopError):
        with_engine(BamTrack(bam), engine).read(targets, tick=tick)
    no_traces()


@pytest.mark.parametrize("engine", OTHERS)
def test_many_tracks_at_a_time(
    workshop: Any, no_traces: Callable[[], None], capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    rng = random.Random(2)
    targets = some_targets(rng)
    tracks: list[Track] = []
    for number in range(6):
        reads = [a_read(workshop, rng) for _ in range(100)]
        tracks.append(BamTrack(workshop.bam(reads, LENGTHS, f"{number}.bam")))
        tracks.append(BigWigTrack(workshop.bigwig(runs(rng), LENGTHS, f"{number}.bw")))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda track: with_engine(track, engine).read(targets), tracks))
    for track, bins in zip(tracks, found, strict=True):
        np.testing.assert_allclose(bins.values, track.read(targets).values, rtol=1e-12)
    no_traces()
    print("still there", file=sys.stderr)
    assert capfd.readouterr() == ("", "still there\n")


def test_many_reads_are_counted_in_parts(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    bam = workshop.bam([a_read(workshop, rng) for _ in range(200)], LENGTHS)
    monkeypatch.setattr(engine_pysam, "_PIECES_AT_A_TIME", 7)
    for count in COUNT_RULES:
        same(BamTrack(bam, ReadRule(count)), "pysam", some_targets(rng))


def test_bedtools_that_is_not_there(
    workshop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bam = workshop.bam([workshop.Read("chr1", 5)], LENGTHS)
    track = with_engine(BamTrack(bam), "bedtools")
    monkeypatch.setenv("PATH", str(tmp_path))
    targets = Targets.build(["chr1"], np.array([0]), LENGTHS, 2, 10)
    for call in (track.info, lambda: track.read(targets)):
        with pytest.raises(SignalError, match="program is not on PATH\n  install it: apt install"):
            call()


@pytest.mark.skipif(not HAS_BEDTOOLS, reason="needs the bedtools program")
@pytest.mark.parametrize("how", ["cut", "none", "complaint"])
def test_bedtools_that_fails(
    workshop: Any,
    no_traces: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: str,
) -> None:
    import pybedtools  # noqa: F401  # it asks the true program what it can do

    folder = workshop.folder / "bin"
    folder.mkdir()
    script = {
        "cut": f'{shutil.which("bedtools")} "$@" | head -n 3',
        "none": "kill -9 $$",
        "complaint": "echo 'no room' >&2; exit 1",
    }[how]
    program = folder / "bedtools"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    bam = workshop.bam([workshop.Read("chr1", 5)], LENGTHS)
    targets = Targets.build(["chr1"], np.array([0]), LENGTHS, 20, 10)
    message = "bedtools failed" if how == "complaint" else "bedtools ended before its work was done"
    with pytest.raises(OutputError, match=message):
        with_engine(BamTrack(bam), "bedtools").read(targets)
    no_traces()
    assert capfd.readouterr().out == ""


@pytest.mark.skipif(not HAS_BEDTOOLS, reason="needs the bedtools program")
def test_nowhere_to_write(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bam = workshop.bam([workshop.Read("chr1", 5)], LENGTHS)
    monkeypatch.setattr(tempfile, "tempdir", str(workshop.folder / "absent"))
    targets = Targets.build(["chr1"], np.array([0]), LENGTHS, 2, 10)
    with pytest.raises(OutputError, match="temporary files cannot be written") as caught:
        with_engine(BamTrack(bam), "bedtools").read(targets)
    assert "TMPDIR" in str(caught.value)


@pytest.mark.parametrize("engine", OTHERS)
def test_real_reads(real_data: Path, engine: str) -> None:
    rng = np.random.default_rng(7)
    for name, low, high in [
        ("chr21_three_marks/H3K4me3", 40_000_000, 48_100_000),
        ("chr21_three_marks/H3K36me3", 40_000_000, 48_100_000),
        ("K562_chr1/K562_Input", 22_500_000, 25_000_000),
    ]:
        bam = real_data / "bam" / f"{name}.bam"
        lengths = BamTrack(bam).info().chromosomes
        assert lengths is not None
        chrom = "chr21" if "21" in name else "chr1"
        starts = rng.integers(low, high, 40)
        targets = Targets.build([chrom] * 40, starts, lengths, 200, 100)
        for rule in (
            ReadRule(),
            ReadRule("coverage", min_mapq=10, total=True),
            ReadRule("five-prime", exclude_flags=0x4),
            ReadRule("overlap", 200),
        ):
            assert same(BamTrack(bam, rule), engine, targets).values.sum() > 0


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("uncovered", ["zero", "nan"])
def test_real_signals(real_data: Path, engine: str, uncovered: Any) -> None:
    rng = np.random.default_rng(7)
    for name in (
        "pilot/E003-H3K4me3.pilot.neglog10p.hg19.bw",
        "genomewide/E116-H3K27me3.calls200bp.hg19.bw",
    ):
        track = BigWigTrack(real_data / "bigwig" / name, uncovered)
        lengths = track.info().chromosomes
        assert lengths is not None
        starts = rng.integers(32_000_000, 36_000_000, 60)  # of chr21 the pilot has 32.7-34.4 Mb
        targets = Targets.build(["chr21"] * 60, starts, lengths, 200, 100)
        found = same(track, engine, targets, exact=False).values
        assert np.nansum(found) > 0
