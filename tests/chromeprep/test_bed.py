"""BED and tagAlign are counted as a plain loop and as bedtools count them."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.errors import MismatchError, SignalError
from chromeprep.signals.reads import COUNT_RULES, CountRule, ReadRule
from chromeprep.signals.targets import Targets
from chromeprep.signals.text import blocks as text_blocks
from chromeprep.signals.text.bed import BedTrack, TagAlignTrack

LENGTHS = {"chr1": 700, "chr2": 300}
RULES = [ReadRule(count, extend) for count in COUNT_RULES for extend in (None, 1, 60)]


class Line(NamedTuple):
    """A line of BED; `blocks` are (offset, bases), none for a line of six fields."""

    chrom: str
    start: int
    end: int
    strand: str = "+"
    blocks: tuple[tuple[int, int], ...] = ()

    def text(self) -> str:
        fields: list[object] = [self.chrom, self.start, self.end, "N", 1000, self.strand]
        if self.blocks:
            offsets, sizes = zip(*self.blocks, strict=True)
            fields += [self.start, self.end, 0, len(self.blocks)]
            fields += [",".join(map(str, sizes)) + ",", ",".join(map(str, offsets))]
        return "\t".join(map(str, fields)) + "\n"


class Windows(NamedTuple):
    """Windows, in any order."""

    chrom: tuple[str, ...]
    starts: tuple[int, ...]
    n_bins: int = 4
    size: int = 25

    def targets(self) -> Targets:
        starts = np.array(self.starts, dtype=np.int64)
        return Targets.build(self.chrom, starts, LENGTHS, self.n_bins, self.size)


WINDOWS = Windows(("chr2", "chr1", "chr1", "chr1", "chr1", "chr2"), (180, 640, -40, 30, 20, 250))


def expected(lines: Sequence[Line], windows: Windows, rule: ReadRule) -> np.ndarray:
    """Count base by base."""
    values = np.zeros((len(windows.starts), windows.n_bins))
    for line in lines:
        if line.start == line.end:
            continue
        spans = [(line.start, line.end)]
        if rule.extend_bp is not None:
            length = max(rule.extend_bp, line.end - line.start)
            forward = line.strand == "+"
            begin = line.start if forward else line.end - length
            spans = [(begin, begin + length)]
        if rule.count == "five-prime":
            base = spans[0][0] if line.strand == "+" else spans[0][1] - 1
            spans = [(base, base + 1)]
        elif rule.count == "coverage" and rule.extend_bp is None and line.blocks:
            spans = [(line.start + at, line.start + at + bases) for at, bases in line.blocks]
        bases = [b for span in spans for b in range(*span) if 0 <= b < LENGTHS[line.chrom]]
        for row, (chrom, start) in enumerate(zip(windows.chrom, windows.starts, strict=True)):
            if chrom != line.chrom:
                continue
            bins = [(b - start) // windows.size for b in bases]
            bins = [b for b in bins if 0 <= b < windows.n_bins]
            if rule.count == "coverage":
                np.add.at(values[row], bins, 1 / windows.size)
            else:
                values[row, list(set(bins))] += 1
    return values


@st.composite
def a_line(draw: st.DrawFn) -> Line:
    chrom = draw(st.sampled_from(list(LENGTHS)))
    start = draw(st.integers(0, LENGTHS[chrom] - 1))
    length = draw(st.integers(0, 120))
    strand = draw(st.sampled_from("+-"))
    blocks: tuple[tuple[int, int], ...] = ()
    if length > 3 and draw(st.booleans()):
        cuts = sorted(draw(st.sets(st.integers(1, length - 1), min_size=2, max_size=4)))
        cuts = [0, *cuts[: len(cuts) // 2 * 2], length]
        blocks = tuple((a, b - a) for a, b in zip(cuts[::2], cuts[1::2], strict=True))
    return Line(chrom, start, start + length, strand, blocks)


some_lines = st.lists(a_line(), min_size=1, max_size=40)
some_windows = st.builds(
    lambda rows, n, size: Windows(tuple(r[0] for r in rows), tuple(r[1] for r in rows), n, size),
    st.lists(st.tuples(st.just("chr1"), st.integers(-120, 720)), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(1, 40),
)


def some_reads(count: int, seed: int = 0) -> list[Line]:
    rng = np.random.default_rng(seed)
    lines = []
    for chrom, length in LENGTHS.items():
        for start in np.sort(rng.integers(0, length - 40, count // 2)).tolist():
            end = start + int(rng.integers(1, 40))
            lines.append(Line(chrom, start, end, "+-"[int(rng.integers(2))]))
    return lines


def write(path: Path, lines: Sequence[Line]) -> Path:
    path.write_text("".join(line.text() for line in lines))
    return path


def bgzip(source: Path, path: Path) -> Path:
    import pysam

    pysam.tabix_compress(str(source), str(path), force=True)
    return path


@given(some_lines, some_windows, st.sampled_from(RULES))
def test_every_rule_counts_as_a_plain_loop(
    lines: list[Line], windows: Windows, rule: ReadRule
) -> None:
    lines = [*lines, Line("chr1", 5, 9)]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "reads.bed"), lines)
        found = BedTrack(path, rule).read(windows.targets())
    np.testing.assert_allclose(found.values, expected(lines, windows, rule), atol=1e-12)
    n_reads = sum(line.end > line.start for line in lines)
    assert (found.n_counted, found.n_mapped) == (n_reads, n_reads)


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
@pytest.mark.parametrize(
    ("count", "command"),
    [
        ("overlap", ["intersect", "-c"]),
        ("overlap", ["coverage", "-counts"]),
        ("coverage", ["coverage", "-mean"]),
        ("coverage", ["coverage", "-mean", "-split"]),
    ],
)
def test_the_counts_are_those_of_bedtools(
    tmp_path: Path, count: CountRule, command: list[str]
) -> None:
    lines = some_reads(300)
    if "-split" in command:
        lines = [
            line._replace(blocks=((0, 3), (line.end - line.start - 2, 2)))
            for line in lines
            if line.end - line.start > 9
        ]
    starts = tuple(range(0, 700, 20))
    windows = Windows(("chr1",) * len(starts), starts, 2, 10)
    bed = tmp_path / "bins.bed"
    bed.write_text("".join(f"chr1\t{s}\t{s + 10}\n" for s in range(0, 700, 10)))
    path = write(tmp_path / "reads.bed", lines)
    out = subprocess.run(
        ["bedtools", *command, "-a", bed, "-b", path], check=True, capture_output=True, text=True
    ).stdout
    theirs = [float(line.split("\t")[-1]) for line in out.splitlines()]
    ours = BedTrack(path, ReadRule(count)).read(windows.targets()).values
    assert max(theirs) > 1
    np.testing.assert_allclose(ours.ravel(), theirs, atol=1e-6)


@pytest.mark.parametrize("block", [64, 97, 1 << 20])
def test_form_order_and_threads_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block)
    monkeypatch.setattr(text_blocks, "_BGZF_BYTES", 100)
    lines = some_reads(6000)
    shuffled = [lines[i] for i in np.random.default_rng(1).permutation(len(lines))]
    plain = write(tmp_path / "reads.bed", lines)
    data = plain.read_bytes()
    packed = tmp_path / "reads.bed.gz"
    packed.write_bytes(gzip.compress(data))
    members = tmp_path / "members.bed.gz"
    members.write_bytes(
        gzip.compress(data[:1001]) + gzip.compress(b"") + gzip.compress(data[1001:])
    )
    returns = tmp_path / "returns.bed"
    returns.write_bytes(data.replace(b"\n", b"\r\n"))
    spaces = tmp_path / "spaces.bed"
    spaces.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\t", b"  ").removesuffix(b"\n"))
    headed = tmp_path / "headed.bed"
    headed.write_bytes(
        b"browser position chr1\ntrack name=reads\n# a comment\n\n"
        + data.replace(b"\nchr2", b"\n  \n#\nchr2", 1)
    )
    paths = [plain, packed, members, returns, spaces, headed]
    paths += [bgzip(plain, tmp_path / "reads.bgz.gz"), write(tmp_path / "shuffled.bed", shuffled)]
    rule = ReadRule("five-prime", 60)
    wanted = expected(lines, WINDOWS, rule)
    for path in paths:
        for threads in (1, 2, 4):
            shares: list[float] = []
            track = TagAlignTrack(path, rule)
            track.info()
            bins = track.read(WINDOWS.targets(), threads=threads, tick=shares.append)
            np.testing.assert_array_equal(bins.values, wanted, err_msg=f"{path} {threads}")
            assert bins.n_counted == len(lines)
            assert sum(shares) == pytest.approx(1)


def test_names_match_in_the_usual_spellings(tmp_path: Path) -> None:
    path = tmp_path / "reads.bed"
    path.write_text("2\t10\t20\nMT\t10\t20\nMT\t11\t20\nGL1\t5\t6\nchr1\t10\t20\n")
    targets = Targets.build(
        ["1", "chrM", "chr2"], np.zeros(3, np.int64), {"1": 99, "chrM": 99, "chr2": 99}, 1, 50
    )
    bins = BedTrack(path).read(targets)
    assert bins.values.ravel().tolist() == [1, 2, 1]
    assert bins.n_counted == 5


def test_many_names_are_kept_apart(tmp_path: Path) -> None:
    names = [f"scaffold_{n}" for n in range(400)]
    rng = np.random.default_rng(3)
    picks = rng.integers(0, 400, 5000)
    path = tmp_path / "reads.bed"
    path.write_text("".join(f"{names[n]}\t1\t2\n" for n in picks))
    lengths = dict.fromkeys(names, 50)
    targets = Targets.build(names[::2], np.zeros(200, np.int64), lengths, 1, 50)
    found = BedTrack(path).read(targets).values.ravel()
    assert found.tolist() == np.bincount(picks, minlength=400)[::2].tolist()


def test_lines_without_a_base_count_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "reads.bed"
    path.write_text("chr1\t10\t10\nchr1\t10\t11\nchr1\t700\t700\n")
    targets = Windows(("chr1",), (0,)).targets()
    with caplog.at_level(logging.WARNING):
        bins = BedTrack(path).read(targets)
    assert bins.values.sum() == bins.n_counted == 1
    assert "2 intervals without a base" in caplog.text


def test_chromosomes_without_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "reads.bed"
    path.write_text("chr1\t10\t20\n")
    with caplog.at_level(logging.WARNING):
        BedTrack(path).read(WINDOWS.targets())
    assert [r.getMessage() for r in caplog.records] == [f"{path}: has no line on chr2"]
    path.write_text("chrI\t10\t20\nchrII\t5\t6\n")
    with pytest.raises(MismatchError, match="its lines are of chrI, chrII"):
        BedTrack(path).read(WINDOWS.targets())


GOOD = "chr1\t10\t20\tN\t0\t+\n"


@pytest.mark.parametrize(
    ("line", "rule", "message"),
    [
        ("chr1\t10", ReadRule(), r"line 3: found 'chr1\\t10'; expected chromosome, start and end"),
        ("chr1\tx\t20", ReadRule(), "line 3: its start is 'x'; expected a whole number"),
        ("chr1\t-1\t20", ReadRule(), "line 3: its start is '-1'"),
        ("chr1\t1\t2.5", ReadRule(), "line 3: its end is '2.5'"),
        ("chr1\t1\t", ReadRule(), "line 3: its end is ''"),
        ("chr1\t1\t" + "9" * 30, ReadRule(), "line 3: its end is '999"),
        ("chr9\t30\t20", ReadRule(), r"line 3: it ends \(20\) before it starts \(30\)"),
        ("\t30\t40", ReadRule(), "line 3: begins with no chromosome name"),
        ("chr1\t1\t2", ReadRule("five-prime"), "line 3: has no strand: no column 6"),
        ("chr1\t1\t2\tN\t0\t.", ReadRule(extend_bp=9), r"line 3: has no strand: '\.' in column 6"),
        ("chr2\t300\t310", ReadRule(), r"line 3: starts at 300, beyond the end of chr2 \(300 bp\)"),
        ("1\t30\t40", ReadRule(), "has both 'chr1' and '1', which are one chromosome"),
        (
            "chr1\t10\t20\tN\t0\t+\t1\t2\t0\t2\t5,5,\t0,6",
            ReadRule("coverage"),
            "line 3: its blocks",
        ),
        ("chr1\t10\t20\tN\t0\t+\t1\t2\t0\t2\t5\t0", ReadRule("coverage"), "line 3: its blocks"),
        ("chr1\t10\t20\tN\t0\t+\t1\t2\t0\tx\t5\t0", ReadRule("coverage"), "line 3: its blocks"),
        ("\0\0\t1\t2", ReadRule(), r"line 3: its chromosome '\\x00\\x00' is no text"),
        ("chr1 1 2\tN", ReadRule(), "line 3: its fields are separated by both tabs and spaces"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_wrong_lines_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    rule: ReadRule,
    message: str,
    threads: int,
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 64)
    path = tmp_path / "reads.bed"
    path.write_text(f"#\n{GOOD}{line}\n{GOOD}")
    before = threading.active_count()
    with pytest.raises(SignalError, match=message) as caught:
        BedTrack(path, rule).read(WINDOWS.targets(), threads=threads)
    assert caught.value.path == path
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.bed", b"", "is empty"),
        ("a.bed", b"# nothing\n\n", "has no line with an interval"),
        ("a.bed", b"chr1\t1\t5\t0.5\nchr1\t5\t9\t2\n", "is a bedGraph, not BED"),
        ("a.bed", b"track type=bedGraph\nchr1\t1\t5\t0.5\n", "is a bedGraph, not BED"),
        ("a.bed", b"fixedStep chrom=chr1 start=1\n1\n", "is a wiggle file"),
        ("a.bed", b"@HD\tVN:1.6\n", "is a SAM file"),
        ("a.bed", b"\x26\xfc\x8f\x88\0\0", "is a bigWig file"),
        ("a.bed", b"CRAM\3\0", "is a CRAM file"),
        ("a.bed.gz", gzip.compress(b"BAM\1\0\0", mtime=0), "is a BAM file"),
        ("a.bed", b"ab\0\1\2\n", "zero bytes"),
        ("a.bed", b"x" * 70_000, "line"),
        ("a.bed", b"chr1\tHAVANA\tgene\t1\t5\n", "line 1: its start is 'HAVANA'"),
        ("a.bed.gz", gzip.compress(GOOD.encode() * 99, mtime=0)[:-20], "damaged gzip data"),
        ("a.bed.gz", gzip.compress(os.urandom(9000))[:5000] + b"\0" * 99, "damaged gzip|zero byte"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    track = BedTrack(path)
    with pytest.raises((SignalError, MismatchError), match=message):  # noqa: PT012
        track.info()
        track.read(WINDOWS.targets())
    assert os.listdir(tmp_path) == [name]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.bed", "no such file"), (tmp_path, "is a folder")):
        for track in (BedTrack(path), TagAlignTrack(path)):
            with pytest.raises(SignalError, match=message):
                track.info()
            with pytest.raises(SignalError, match=message):
                track.read(WINDOWS.targets())


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_damage_in_the_middle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, threads: int
) -> None:
    lines = some_reads(20_000)
    whole = bgzip(write(tmp_path / "reads.bed", lines), tmp_path / "reads.bed.gz")
    data = whole.read_bytes()
    damaged = tmp_path / "damaged.bed.gz"
    middle = len(data) // 2
    other = gzip.compress((tmp_path / "reads.bed").read_bytes())
    for wrong in (
        data[:middle],
        data[:middle] + bytes(50) + data[middle + 50 :],
        other[: len(other) // 2],
        other + b"garbage",
    ):
        damaged.write_bytes(wrong)
        with pytest.raises(SignalError, match=r"damaged\.bed\.gz: damaged"):
            BedTrack(damaged).read(WINDOWS.targets(), threads=threads)
    # Without its last, empty block a file may be complete: a warning, as htslib gives.
    damaged.write_bytes(data[:-28])
    with caplog.at_level(logging.WARNING):
        BedTrack(damaged).info()
    assert "the mark at the end of every bgzip file is missing" in caplog.text
    assert BedTrack(damaged).read(WINDOWS.targets(), threads=threads).n_counted == len(lines)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_reading_stops_when_told(tmp_path: Path, threads: int) -> None:
    path = bgzip(write(tmp_path / "reads.bed", some_reads(20_000)), tmp_path / "reads.bed.gz")

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        BedTrack(path).read(WINDOWS.targets(), threads=threads, tick=stop)
    assert threading.active_count() == before


def test_what_a_file_of_bins_records() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "reads.bed"), some_reads(10))
        info = TagAlignTrack(path, ReadRule("coverage", 200, min_mapq=30)).info()
    assert (info.chromosomes, info.units) == (None, "reads")
    assert "flag" not in info.count_rule
    assert "quality" not in info.count_rule
    assert (TagAlignTrack.kind, BedTrack.kind) == ("tagAlign", "BED")
