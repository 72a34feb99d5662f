"""BAMs of every form give the same counts; damage and indices that do not fit are refused."""

from __future__ import annotations

import gzip
import logging
import os
import random
import shutil
import struct
import subprocess
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from chromeprep.errors import SignalError
from chromeprep.signals.bam import counting as bam_counting
from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import TrackBins
from chromeprep.signals.bgzf import END_OF_FILE
from chromeprep.signals.reads import ReadRule
from chromeprep.signals.targets import Targets

LENGTHS = {"chr1": 300_000, "chr2": 70_000, "chr3": 500}
RULES = [ReadRule(), ReadRule("coverage"), ReadRule("five-prime", 150)]
STARTS = [5000, 60_000, 61_000, 150_000, 290_000, 10_000, -300, 299_900]
CHROM = ["chr1"] * 5 + ["chr2"] + ["chr1"] * 2


def targets() -> Targets:
    return Targets.build(CHROM, np.array(STARTS), LENGTHS, 20, 100)


def read(path: Path, rule: ReadRule = RULES[0], threads: int = 1) -> TrackBins:
    track = BamTrack(path, rule)
    track.info()
    return track.read(targets(), threads=threads)


def same(path: Path, other: Path, *, threads: int = 1) -> None:
    for rule in RULES:
        for asked in (rule, rule.with_total()):
            expected = read(other, asked)
            found = read(path, asked, threads)
            np.testing.assert_array_equal(found.values, expected.values)
            assert expected.values.sum() > 0
            if asked.total:
                assert found[1:] == expected[1:]


def some_reads(make: Any, count: int = 4000, seed: int = 0) -> list[Any]:
    rng = random.Random(seed)
    reads = [make.Read("chr1", 299_990), make.Read("chr1", 0, "10M280000N10M")]
    for _ in range(count):
        chrom = rng.choice(["chr1", "chr1", "chr2"])
        cigar = rng.choice(["36M", "30M6S", "10M400N26M", "18M2D18M", "100M"])
        start = rng.randrange(LENGTHS[chrom] - 600)
        reads.append(make.Read(chrom, start, cigar, rng.choice([0, 16, 0x400, 0x4])))
    return reads


@pytest.fixture(scope="module")
def bam(workshop_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make = workshop_in(tmp_path_factory.mktemp("bam"))
    path: Path = make.bam(some_reads(make), LENGTHS)
    return path


@pytest.fixture
def copy(bam: Path, tmp_path: Path) -> Path:
    """A BAM with its index that may be spoilt."""
    for name in (bam, Path(f"{bam}.bai")):
        shutil.copy(name, tmp_path / name.name)
    return tmp_path / bam.name


def index(path: Path, *options: str) -> None:
    import pysam

    pysam.index(*options, str(path))


def block(data: bytes, level: int = 6, extra: bytes = b"") -> bytes:
    """Pack bytes as a block of BGZF; level 0 stores them."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    size = 12 + len(extra) + 6 + len(packed) + 8 - 1
    head = struct.pack("<4BI2BH", 31, 139, 8, 4, 0, 0, 255, 6 + len(extra))
    field = struct.pack("<2BHH", 66, 67, 2, size)
    return head + extra + field + packed + struct.pack("<II", zlib.crc32(data), len(data))


def pack(raw: bytes, sizes: Iterator[int], make: Callable[[bytes], bytes] = block) -> bytes:
    out, at = [], 0
    while at < len(raw):
        size = next(sizes)
        out.append(make(raw[at : at + size]))
        at += size
    return b"".join(out) + END_OF_FILE


# Forms of the same reads.


def test_any_index_and_none(bam: Path, copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    bai = Path(f"{copy}.bai")
    bai.rename(copy.with_suffix(".bai"))
    same(copy, bam)
    copy.with_suffix(".bai").unlink()
    with caplog.at_level(logging.INFO):
        BamTrack(copy, ReadRule(total=True)).info()
        assert not caplog.records
        BamTrack(copy).info()
    assert f"{copy}: has no index, so the whole file is read" in caplog.text
    assert caplog.records[0].levelno == logging.INFO
    same(copy, bam)
    assert read(copy).n_counted > 0
    for options in (["-c"], ["-c", "-m", "12"], ["-c", "-m", "17"]):
        index(copy, *options)
        assert read(copy).n_counted == -1
        assert read(copy).n_mapped == read(bam).n_mapped
        same(copy, bam)


@pytest.mark.parametrize("order", ["coordinate", "unsorted", "queryname", None])
def test_any_order(workshop: Any, bam: Path, order: str | None) -> None:
    reads = some_reads(workshop)
    random.Random(1).shuffle(reads)
    # bedToBam says unsorted whatever it writes.
    same(workshop.bam(reads, LENGTHS, sort=False, index=False, order=order), bam)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 3000, 1 << 21])
def test_threads_and_chunks_make_no_difference(
    bam: Path, monkeypatch: pytest.MonkeyPatch, threads: int, chunk: int
) -> None:
    expected = [read(bam, rule) for rule in RULES]
    for name in ("_CHUNK_BYTES", "_GO_ON_BYTES", "_NEAR_BYTES"):
        monkeypatch.setattr(bam_counting, name, min(chunk, getattr(bam_counting, name)))
    for rule, plain in zip(RULES, expected, strict=True):
        for asked in (rule, rule.with_total()):
            found = read(bam, asked, threads)
            np.testing.assert_array_equal(found.values, plain.values)


@pytest.mark.parametrize("form", ["cut", "stored", "empty", "extra field", "one byte", "largest"])
def test_blocks_of_any_kind(bam: Path, tmp_path: Path, form: str) -> None:
    rng = random.Random(3)
    raw = gzip.decompress(bam.read_bytes())
    if form == "one byte":
        raw = raw[:20_000]
    sizes: Callable[[], int] = {
        "one byte": lambda: 1,
        "largest": lambda: 0xFF00,
    }.get(form, lambda: rng.choice([1, 3, 17, 200, 5000, 30_000]))
    make: Callable[[bytes], bytes] = {
        "stored": lambda data: block(data, level=0),
        "empty": lambda data: block(data) + rng.choice([b"", END_OF_FILE, block(b"")]),
        "extra field": lambda data: block(data, extra=b"XY\3\0abc"),
    }.get(form, block)
    path = tmp_path / "x.bam"
    if form == "one byte":  # a smaller file: up to its last whole record
        end = last_record(raw)
        path.write_bytes(pack(raw[:end], iter(sizes, None), make))
        other = tmp_path / "other.bam"
        other.write_bytes(pack(raw[:end], iter(lambda: 60_000, None)))
        index(other)
    else:
        path.write_bytes(pack(raw, iter(sizes, None), make))
        other = bam
    same(path, other)
    if form != "extra field":  # which the format allows, but samtools does not
        index(path)
        same(path, other)


def last_record(raw: bytes) -> int:
    """Return where the last whole record ends."""
    at: int = 8 + struct.unpack_from("<i", raw, 4)[0]
    count = struct.unpack_from("<i", raw, at)[0]
    at += 4
    for _ in range(count):
        at += 8 + struct.unpack_from("<i", raw, at)[0]
    while at + 4 <= len(raw) and at + 4 + struct.unpack_from("<i", raw, at)[0] <= len(raw):
        at += 4 + struct.unpack_from("<i", raw, at)[0]
    return at


def test_what_a_record_may_hold(workshop: Any) -> None:
    import pysam

    header = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "chr1", "LN": 200_000}]})
    path = workshop.folder / "odd.bam"
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for name, start, cigar, bases, tags in [
            ("n" * 254, 100, [(0, 36)], None, []),
            ("r", 200, [(0, 36)], "A" * 36, [("XZ", "text"), ("XB", [1, 2, 3])]),
            # More operations than a record has room for: they stand in the tag CG, behind others.
            ("r", 1000, [(0, 1), (3, 1)] * 40_000, "A" * 40_000, [("XZ", "text"), ("NM", 3)]),
            ("*", 90_000, [(0, 50)], None, [("XB", [1.5])]),
        ]:
            entry = pysam.AlignedSegment(header)
            entry.query_name, entry.reference_id, entry.reference_start = name, 0, start
            entry.mapping_quality, entry.cigartuples, entry.query_sequence = 60, cigar, bases
            entry.set_tags(tags)
            out.write(entry)
    index(path)
    windows = Targets.build(["chr1"] * 3, np.array([90, 990, 80_980]), {"chr1": 200_000}, 5, 10)
    for total in (False, True):
        overlap = BamTrack(path, ReadRule(total=total)).read(windows)
        assert overlap.values.tolist() == [[0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
        coverage = BamTrack(path, ReadRule("coverage", total=total)).read(windows).values
        expected = [[0, 1, 1, 1, 0.6], [0, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0, 0, 0]]
        assert coverage.tolist() == expected
    assert overlap.n_counted == 4


def test_unmapped_reads_without_a_place(workshop: Any) -> None:
    import pysam

    path = workshop.folder / "x.bam"
    header = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "chr1", "LN": 1000}]})
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for chrom, place, flag in [(0, 50, 0), (-1, -1, 4), (-1, -1, 4)]:
            entry = pysam.AlignedSegment(header)
            entry.query_name, entry.reference_id, entry.reference_start = "r", chrom, place
            entry.flag, entry.query_sequence = flag, "A"
            entry.cigarstring = "1M" if chrom == 0 else None
            out.write(entry)
    windows = Targets.build(["chr1"], np.array([0]), {"chr1": 1000}, 1, 100)
    for indexed in (False, True):
        if indexed:
            index(path)
        found = BamTrack(path, ReadRule(exclude_flags=0, total=True)).read(windows)
        assert (found.values.tolist(), found.n_counted, found.n_mapped) == ([[1]], 1, 1)


class Table(NamedTuple):
    """Where things of a chromosome are in a BAI: bins, the one that counts, linear index."""

    bins: int
    pseudo: int
    linear: int
    n_tiles: int


def bai_tables(data: bytes) -> Iterator[Table]:
    at = 8
    for _ in range(struct.unpack_from("<i", data, 4)[0]):
        bins, pseudo = at, -1
        at += 4
        for _ in range(struct.unpack_from("<i", data, bins)[0]):
            number, n_chunks = struct.unpack_from("<Ii", data, at)
            if number == 37450:
                pseudo = at
            at += 8 + 16 * n_chunks
        n_tiles = struct.unpack_from("<i", data, at)[0]
        yield Table(bins, pseudo, at + 4, n_tiles)
        at += 4 + 8 * n_tiles


def test_linear_index_with_gaps(workshop: Any) -> None:
    """The first samtools left 0 for tiles in which no alignment begins or goes on."""
    reads = [workshop.Read("chr1", place) for place in range(0, 280_000, 70_000)]
    reads += [workshop.Read("chr1", 150_000 + place) for place in range(0, 3000, 10)]
    path = workshop.bam(reads, LENGTHS)
    expected = [read(path, rule).values for rule in RULES]
    bai = Path(f"{path}.bai")
    data = bytearray(bai.read_bytes())
    n_zeros = 0
    for table in bai_tables(bytes(data)):
        before = -1
        for at in range(table.linear, table.linear + 8 * table.n_tiles, 8):
            offset = struct.unpack_from("<q", data, at)[0]
            if offset == before:
                struct.pack_into("<q", data, at, 0)
                n_zeros += 1
            before = offset
    assert n_zeros > 5
    bai.write_bytes(data)
    for rule, values in zip(RULES, expected, strict=True):
        np.testing.assert_array_equal(read(path, rule).values, values)


def test_index_that_does_not_count(copy: Path, bam: Path) -> None:
    bai = Path(f"{copy}.bai")
    data = bai.read_bytes()
    for table in reversed(list(bai_tables(data))):
        if table.pseudo >= 0:
            n_bins = struct.pack("<i", struct.unpack_from("<i", data, table.bins)[0] - 1)
            before = data[: table.bins] + n_bins + data[table.bins + 4 : table.pseudo]
            data = before + data[table.pseudo + 40 :]
    assert len(data) < bai.stat().st_size
    bai.write_bytes(data)
    assert read(copy).n_mapped == -1
    assert read(bam).n_mapped > 0
    np.testing.assert_array_equal(read(copy).values, read(bam).values)


def test_index_without_a_linear_one(copy: Path, bam: Path) -> None:
    bai = Path(f"{copy}.bai")
    data = bai.read_bytes()
    for table in reversed(list(bai_tables(data))):
        after = data[table.linear + 8 * table.n_tiles :]
        data = data[: table.linear - 4] + bytes(4) + after
    bai.write_bytes(data)
    for rule in RULES:
        np.testing.assert_array_equal(read(copy, rule).values, read(bam, rule).values)


@pytest.mark.parametrize("old", [False, True])
def test_unmapped_reads_before_their_mates(workshop: Any, old: bool) -> None:
    """The first samtools had them in the bins, but not in the linear index."""
    reads = [workshop.Read("chr1", place, flag=4) for place in (60_500, 150_000)]
    reads += [workshop.Read("chr1", place) for place in (10, 61_000, 150_000, 200_000)]
    path = workshop.bam(reads, LENGTHS)
    if old:
        bai = Path(f"{path}.bai")
        data = bytearray(bai.read_bytes())
        linear = next(bai_tables(bytes(data))).linear
        first, second = struct.unpack_from("<2q", data, linear)
        for tile in (60_500 >> 14, 150_000 >> 14):
            (offset,) = struct.unpack_from("<q", data, linear + 8 * tile)
            struct.pack_into("<q", data, linear + 8 * tile, offset + second - first)
        bai.write_bytes(data)
    for start in (60_000, 149_000):
        windows = Targets.build(["chr1"], np.array([start]), LENGTHS, 1, 2000)
        found = BamTrack(path, ReadRule(exclude_flags=0)).read(windows)
        assert found.values.tolist() == [[2]]


def test_chromosomes_without_reads(workshop: Any) -> None:
    for index_too in (True, False):
        path = workshop.bam([], LENGTHS, f"{index_too}.bam", index=index_too)
        found = read(path)
        assert found.values.shape == (8, 20)
        assert not found.values.any()
        assert found.n_mapped == 0


# Damage.


def fails(path: Path, message: str, capfd: pytest.CaptureFixture[str] | None = None) -> None:
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    for rule in (RULES[0], RULES[0].with_total()):
        with pytest.raises(SignalError, match=message) as caught:
            read(path, rule)
        assert str(caught.value).startswith(f"{path}: ")
    assert before == (sorted(path.parent.iterdir()) if before else [])
    if capfd is not None:
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
def test_truncated(copy: Path, share: float) -> None:
    data = copy.read_bytes()
    copy.write_bytes(data[: int(len(data) * share)])
    fails(copy, "truncated BAM: its end-of-file mark is missing\n  is the copy or download")


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("how", ["cut out", "scrambled", "joined"])
def test_damaged_inside(copy: Path, how: str, indexed: bool) -> None:
    data = copy.read_bytes()
    half = len(data) // 2
    noise = random.Random(1).randbytes(8000)
    copy.write_bytes(
        {
            "cut out": data[:half] + END_OF_FILE,
            "scrambled": data[: half - 4000] + noise + data[half + 4000 :],
            "joined": data[:half] + data[half + 5000 :],
        }[how]
    )
    if not indexed:
        Path(f"{copy}.bai").unlink()
        fails(copy, "damaged BGZF: (no whole block|the block) at byte")
    else:
        fails(copy, r"damaged BGZF: (no whole block|the block)|its index H3K4me3.bam.bai does not")


def blocks_of(data: bytes) -> list[tuple[int, int]]:
    places, at = [], 0
    while at < len(data):
        end = at + struct.unpack_from("<H", data, at + 16)[0] + 1
        places.append((at, end))
        at = end
    return places


@pytest.mark.parametrize("what", ["data", "checksum", "length"])
def test_checksums_of_what_is_read(workshop: Any, what: str) -> None:
    # All windows lie at the beginning of the file.
    path = workshop.bam(some_reads(workshop, 12_000), LENGTHS)
    data = path.read_bytes()
    places = blocks_of(data)
    assert len(places) > 6
    windows = Targets.build(["chr1"], np.array([1000]), LENGTHS, 2, 10)
    track = BamTrack(path)
    expected = track.read(windows).values
    for number, is_read in ((1, True), (len(places) - 3, False)):
        start, end = places[number]
        at = {"data": (start + end) // 2, "checksum": end - 8, "length": end - 4}[what]
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        message = f"damaged BGZF: the block at byte {start:,} does not inflate to what its checksum"
        if is_read:
            with pytest.raises(SignalError, match=message):
                track.read(windows)
        else:
            np.testing.assert_array_equal(track.read(windows).values, expected)
        with pytest.raises(SignalError, match=message):
            BamTrack(path, ReadRule(total=True)).read(windows, threads=3)


@pytest.mark.parametrize("cut", [1, 30, 36, 50])
def test_last_record_cut_off(bam: Path, tmp_path: Path, cut: int) -> None:
    raw = gzip.decompress(bam.read_bytes())
    path = tmp_path / "x.bam"
    path.write_bytes(pack(raw[:-cut], iter(lambda: 60_000, None)))
    fails(path, r"damaged BAM: an alignment cannot be read \(the last one is cut off\)")


@pytest.mark.parametrize("indexed", [True, False])
def test_records_that_are_none(copy: Path, indexed: bool) -> None:
    raw = bytearray(gzip.decompress(copy.read_bytes()))
    at = len(raw) // 3
    raw[at : at + 2000] = b"\xff" * 2000
    copy.write_bytes(pack(bytes(raw), iter(lambda: 60_000, None)))
    if indexed:
        index_of_the_whole = Path(f"{copy}.bai")
        index_of_the_whole.touch()
    else:
        Path(f"{copy}.bai").unlink()
    fails(copy, "damaged BAM: an alignment cannot be read|its index .* does not fit the file")


@pytest.mark.parametrize(
    "data", [b"", b"hello" * 100, b"BAI\1\2\0\0\0", b"CSI\1" + b"\0" * 60, b"BAI\1\xff\xff\xff\x7f",
             b"\x1f\x8b" + b"x" * 50,
             gzip.compress(b"CSI\1" + struct.pack("<4i", 14, 5, -9, 3), mtime=0),
             gzip.compress(b"CSI\1" + struct.pack("<4i", 14, 5, 0, 3), mtime=0)[:-9]]
)  # fmt: skip
def test_damaged_index(copy: Path, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    Path(f"{copy}.bai").write_bytes(data)
    fails(copy, "its index H3K4me3.bam.bai is damaged\n  samtools index", capfd)


def test_index_of_another_file(workshop: Any) -> None:
    path = workshop.bam([workshop.Read("chr1", 5)], LENGTHS)
    other = workshop.bam([workshop.Read("chr1", 5)], {"chr1": 3000}, "other.bam")
    shutil.copy(f"{other}.bai", f"{path}.bai")
    fails(path, "its index H3K4me3.bam.bai is of another file: it has 1 chromosomes, the BAM 3")


@pytest.mark.parametrize("count", [300, 3900, 4100, 12_000])
def test_index_of_another_version(workshop: Any, bam: Path, count: int) -> None:
    path = workshop.bam(some_reads(workshop, count, seed=5), LENGTHS)
    shutil.copy(f"{bam}.bai", f"{path}.bai")
    with pytest.raises(SignalError, match=r"its index H3K4me3.bam.bai does not fit the file"):
        read(path)


def test_old_index_is_told(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        BamTrack(copy).info()
        assert not caplog.records
        before = time.time() - 1000
        os.utime(f"{copy}.bai", (before, before))
        BamTrack(copy).info()
    assert f"{copy}: its index is older than the file" in caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"garbage" * 100, "is not a BAM file\n  samtools view -b"),
        (b"\x1f\x8b" + b"garbage" * 100, "is not a BAM file"),
        (gzip.compress(b"BAM\1", mtime=0), "is not a BAM file"),
        (b">chr1\nACGT\n", "is not a BAM file"),
        (b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\nr\t0\tchr1\t1\t9\t1M\t*\t0\t0\tA\t*\n",
         r"is not a BAM file but another kind of alignments \(SAM, as text\)\n  samtools sort"),
        (b"CRAM\3\0" + b"x" * 50, "is a CRAM, not a BAM\n  give it with --cram"),
        (b"BAM\1", "is not a BAM file"),
        (block(b"chr1\t5\t9\n") + END_OF_FILE, "is not a BAM file"),
        (block(b"BAM\1") + END_OF_FILE, "is not a BAM file"),
        (block(b"BAM\1" + struct.pack("<2i", 0, 0)) + END_OF_FILE, "names no chromosome"),
        (block(b"BAM\1" + struct.pack("<i", -5)) + END_OF_FILE, "is not a BAM file"),
        (block(b"BAM\1" + struct.pack("<i", 1 << 30)) + END_OF_FILE, "is not a BAM file"),
        (block(b"BAM\1" + struct.pack("<3i", 0, 1 << 30, 1 << 30)) + END_OF_FILE,
         "is not a BAM file"),
        (END_OF_FILE, "is not a BAM file"),
    ],
)  # fmt: skip
def test_no_bam(
    tmp_path: Path, data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.bam"
    path.write_bytes(data)
    fails(path, message, capfd)


def test_places_that_are_no_files(tmp_path: Path) -> None:
    fails(tmp_path / "absent.bam", "no such file")
    fails(tmp_path, "is a folder, not a file")


def test_reading_stops_when_told(bam: Path) -> None:
    class StopError(Exception):
        pass

    def tick(share: float) -> None:
        raise StopError

    for rule in (ReadRule(), ReadRule(total=True)):
        for threads in (1, 3):
            with pytest.raises(StopError):
                BamTrack(bam, rule).read(targets(), threads=threads, tick=tick)


# Any damage whatever: an error that says so, or the right counts.


def spoilt(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    how = rng.choice(["flip", "flip", "flip", "byte", "zeros", "cut out", "cut", "double"])
    if how == "flip":
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if how == "byte":
        return data[:at] + rng.randbytes(1) + data[at + 1 :]
    if how == "zeros":
        return data[:at] + bytes(min(20, len(data) - at)) + data[at + 20 :]
    if how == "cut out":
        return data[:at] + data[at + rng.randrange(1, 40) :]
    return data[:at] if how == "cut" else data[:at] + data[at // 2 :]


@pytest.fixture(scope="module")
def small(workshop_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BAM of many small blocks, so that each part of it is met by chance."""
    make = workshop_in(tmp_path_factory.mktemp("small"))
    path: Path = make.bam(some_reads(make, 250), LENGTHS, index=False)
    rng = random.Random(2)
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(pack(raw, iter(lambda: rng.randrange(20, 900), None)))
    return path


@pytest.mark.parametrize("indexed", [True, False])
def test_any_damage_to_the_file(small: Path, tmp_path: Path, indexed: bool) -> None:
    expected = read(small, ReadRule("coverage")).values
    path = tmp_path / small.name
    shutil.copy(small, path)
    if indexed:
        index(path)
    data = path.read_bytes()
    rng = random.Random(4)
    n_refused = 0
    for _ in range(250):
        path.write_bytes(spoilt(data, rng))
        try:
            found = read(path, ReadRule("coverage")).values
        except SignalError:
            n_refused += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert n_refused > (60 if indexed else 200)


@pytest.mark.parametrize("rule", [ReadRule("coverage"), ReadRule("overlap", 200, total=True)])
def test_any_damage_under_good_checksums(small: Path, tmp_path: Path, rule: ReadRule) -> None:
    """What is counted then nobody can say, but neither a crash nor another error comes of it."""
    raw = gzip.decompress(small.read_bytes())
    path = tmp_path / small.name
    path.write_bytes(pack(raw, iter(lambda: 5000, None)))
    index(path)
    rng = random.Random(4)
    n_refused = 0
    for _ in range(150):
        damaged = raw
        for _ in range(rng.choice([1, 1, 20])):
            damaged = spoilt(damaged, rng) or raw
        path.write_bytes(pack(damaged, iter(lambda: 5000, None)))
        try:
            read(path, rule)
        except SignalError:
            n_refused += 1
    assert n_refused > 50


@pytest.mark.parametrize("kind", ["bai", "csi", "unpacked csi"])
def test_any_damage_to_the_index(small: Path, tmp_path: Path, kind: str) -> None:
    expected = read(small, ReadRule("coverage")).values
    path = tmp_path / small.name
    shutil.copy(small, path)
    index(path, *(["-c"] if "csi" in kind else []))
    place = Path(f"{path}.{kind[-3:]}")
    data = place.read_bytes()
    if kind == "unpacked csi":
        data = gzip.decompress(data)
    rng = random.Random(4)
    n_refused = n_wrong = 0
    for _ in range(500):
        place.write_bytes(spoilt(data, rng))
        try:
            found = read(path, ReadRule("coverage")).values
        except SignalError:
            n_refused += 1
        else:
            n_wrong += not np.array_equal(found, expected)
    assert n_refused > 300
    # A BAI has no checksum, and not all that is moved in it contradicts the rest. A CSI has one,
    # which whoever unpacks it gives up.
    assert n_wrong <= {"bai": 10, "csi": 0, "unpacked csi": 15}[kind]


@pytest.mark.parametrize("shift", [1, 7, 8, 14, 30, 31])
@pytest.mark.parametrize("depth", [1, 5, 11, 12])
def test_indices_with_tiles_of_any_size(copy: Path, shift: int, depth: int) -> None:
    """One bin with all alignments, whatever a bin is: little memory is taken, or it is refused."""
    Path(f"{copy}.bai").unlink()
    found = BamTrack(copy, RULES[0]).read(targets())
    data = copy.read_bytes()
    end = len(data) << 16
    body = b"".join(
        struct.pack("<iIqi2q", 1, 0, 0, 1, 0, end) for _ in range(3)
    )  # the first alignment is somewhere in the block of the header
    head = struct.pack("<4s4i", b"CSI\1", shift, depth, 0, 3)
    Path(f"{copy}.csi").write_bytes(gzip.compress(head + body))
    tracemalloc.start()
    try:
        with pytest.raises(SignalError, match=r"its index H3K4me3.bam.csi (is damaged|does not)"):
            read(copy)
        assert tracemalloc.get_traced_memory()[1] < 300 << 20
    finally:
        tracemalloc.stop()
    assert found.values.sum() > 0


def test_real_files_without_their_index(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "bam" / "K562_chr1" / "K562_H3K4me3.bam"
    path = tmp_path / "x.bam"
    path.symlink_to(source)
    lengths = BamTrack(source).info().chromosomes
    assert lengths is not None
    starts = np.random.default_rng(0).integers(22_500_000, 25_000_000, 50)
    windows = Targets.build(["chr1"] * 50, starts, lengths, 200, 100)
    expected = BamTrack(source).read(windows)
    found = BamTrack(path).read(windows, threads=2)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.n_mapped == expected.n_mapped
    assert expected.values.sum() > 0
    if shutil.which("samtools"):
        command = ["samtools", "view", "-c", "-F", "0xf04", str(source)]
        done = subprocess.run(command, check=True, capture_output=True)
        assert found.n_counted == int(done.stdout)
