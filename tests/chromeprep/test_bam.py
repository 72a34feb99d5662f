"""BAM counts are those of `bedtools multicov`, and damaged BAMs are told apart."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.errors import SignalError
from chromeprep.signals import BamTrack
from chromeprep.signals import bam as bam_module

needs_bedtools = pytest.mark.skipif(
    not (shutil.which("bedtools") and shutil.which("samtools")),
    reason="needs the bedtools and samtools programs",
)

CHROMOSOMES = {"chr1": 3000, "chr2": 700}
CIGARS = [
    "36M", "1M", "10M500N10M", "5S20M6S", "10M3D10M", "10M4I10M", "3H30M2H", "10S", "8I", None,
    "2M1200N2M", "20=3X", "5M2P5M", "1S1M1S",
]  # fmt: skip
FLAGS = [0, 16, 0x1 | 0x2 | 0x40, 0x1 | 0x2 | 0x10 | 0x80, 0x1 | 0x8, 0x4, 0x4 | 0x10, 0x100,
         0x200, 0x400, 0x800, 0x400 | 0x10, 0x800 | 0x200]  # fmt: skip


def multicov(bam: Path, bins: list[tuple[str, int, int]], exclude: int = 0xF04) -> list[int]:
    """Count with samtools and bedtools, as the specification words it."""
    filtered, bed = bam.with_suffix(".filtered.bam"), bam.with_suffix(".bed")
    subprocess.run(["samtools", "view", "-b", "-F", str(exclude), "-o", filtered, bam], check=True)
    subprocess.run(["samtools", "index", filtered], check=True)
    bed.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in bins))
    done = subprocess.run(
        # The flags are samtools' affair: bedtools is told to keep duplicates and QC failures.
        ["bedtools", "multicov", "-D", "-F", "-bams", filtered, "-bed", bed],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    counts = {}
    for line in done.stdout.splitlines():
        chrom, start, end, count = line.split("\t")
        counts[chrom, int(start), int(end)] = int(count)
    return [counts[key] for key in bins]


def check_parity(
    bam: Path, chrom: str, length: int, starts: list[int], n_bins: int, size: int, exclude: int
) -> np.ndarray[Any, Any]:
    """Compare every bin, and return the counts."""
    found = BamTrack(bam, exclude).read_bins(chrom, np.array(starts), n_bins, size)
    assert found.shape == (len(starts), n_bins)
    assert found.dtype == np.float32
    edges = [(start + b * size, start + (b + 1) * size) for start in starts for b in range(n_bins)]
    inside = [(max(a, 0), min(b, length)) for a, b in edges]
    asked = sorted({(chrom, a, b) for a, b in inside if a < b})
    counts = dict(zip(asked, multicov(bam, asked, exclude), strict=True))
    # A bin that lies partly outside is counted over what is inside; one wholly outside is 0.
    expected = [counts.get((chrom, a, b), 0) for a, b in inside]
    np.testing.assert_array_equal(found.ravel(), expected)
    return found


def generated_reads(make: Any, rng: random.Random, count: int) -> list[Any]:
    reads = []
    for _ in range(count):
        chrom = rng.choice(["chr1", "chr1", "chr2"])
        length = CHROMOSOMES[chrom]
        place = rng.choice([0, 1, length - 1, length - 36, rng.randrange(length),
                            rng.randrange(length), 100 * rng.randrange(length // 100)])  # fmt: skip
        flag = rng.choice(FLAGS) if rng.random() < 0.6 else rng.choice([0, 16])
        cigar = rng.choice(CIGARS) if rng.random() < 0.6 else "36M"
        reads.append(make.Read(chrom, place, cigar, flag, rng.choice([0, 1, 30, 60])))
    return reads


@needs_bedtools
@pytest.mark.parametrize("seed", range(10))
def test_parity_with_multicov(workshop: Any, seed: int) -> None:
    rng = random.Random(seed)
    bam = workshop.bam(generated_reads(workshop, rng, 400), CHROMOSOMES)
    size = rng.choice([1, 7, 50, 100])
    n_bins = rng.choice([2, 6, 10])
    width = size * n_bins
    # Far apart, touching, overlapping, the same twice, over both ends, out of order.
    starts = [rng.randrange(-width, 3000 + width) for _ in range(12)]
    starts += [starts[0], starts[1] + width, starts[2] + size // 2, -width // 2, 3000 - width // 2]
    rng.shuffle(starts)
    exclude = rng.choice([0xF04, 0xF04, 0xF04, 0x4, 0x704, 0xF14])
    found = check_parity(bam, "chr1", 3000, starts, n_bins, size, exclude)
    assert found.sum() > 0
    check_parity(bam, "chr2", 700, starts[:6], n_bins, size, exclude)


READ = st.tuples(
    st.integers(0, 299), st.sampled_from(CIGARS), st.sampled_from(FLAGS), st.sampled_from([0, 30])
)


@needs_bedtools
@settings(max_examples=25)
@given(
    reads=st.lists(READ, max_size=12),
    starts=st.lists(st.integers(-60, 320), min_size=1, max_size=5),
    size=st.integers(1, 40),
    n_bins=st.integers(1, 5),
)
def test_parity_of_few_reads(
    workshop_in: Any, tmp_path_factory: Any, reads: Any, starts: Any, size: int, n_bins: int
) -> None:
    make = workshop_in(tmp_path_factory.mktemp("bam"))
    made = [make.Read("chr1", start, *rest) for start, *rest in reads]
    bam = make.bam(made, {"chr1": 300, "chr2": 10})
    check_parity(bam, "chr1", 300, starts, n_bins, size, 0xF04)


def test_each_rule_by_hand(workshop: Any) -> None:
    read = workshop.Read
    counted = [
        read("chr1", 90, "20M"),
        read("chr1", 150, "10M100N10M"),
        read("chr1", 180, None),
        read("chr1", 250, "10M", 0x1 | 0x2 | 0x40, 0),
        read("chr1", 299, "1M", 16),
    ]
    left_out = [read("chr1", 90, "20M", flag) for flag in (0x4, 0x100, 0x200, 0x400, 0x800)]
    left_out += [read("chr1", 150, "10S"), read("chr2", 150)]
    bam = workshop.bam(counted + left_out, CHROMOSOMES)
    found = BamTrack(bam).read_bins("chr1", np.array([100]), 4, 50)
    # [100,150) the first; [150,200) spliced, no CIGAR; [200,250) spliced; [250,300) three.
    assert found.tolist() == [[1, 2, 1, 3]]
    for flags, count in [(0x704, 2), (0x4, 5), (0xF14, 1)]:
        assert BamTrack(bam, flags).read_bins("chr1", np.array([100]), 1, 50).tolist() == [[count]]


def test_reads_that_hang_over_the_end_do_not_count_beyond_it(workshop: Any) -> None:
    bam = workshop.bam([workshop.Read("chr2", 690, "36M")], CHROMOSOMES)
    found = BamTrack(bam).read_bins("chr2", np.array([680, 695, 5000, -500]), 4, 10)
    assert found.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]


def test_info(workshop: Any) -> None:
    reads = [workshop.Read("chr1", 5), workshop.Read("chr1", 9, flag=0x400),
             workshop.Read("chr2", 9, flag=0x4)]  # fmt: skip
    info = BamTrack(workshop.bam(reads, CHROMOSOMES)).info()
    assert dict(info.chromosomes) == CHROMOSOMES
    assert (info.units, info.n_mapped) == ("reads", 2)
    assert "0xf04" in info.count_rule


def test_index_as_csi_or_without_bam_in_its_name(workshop: Any) -> None:
    import pysam

    bam = workshop.bam([workshop.Read("chr1", 5)], CHROMOSOMES, index=False)
    pysam.index("-c", str(bam))
    assert BamTrack(bam).read_bins("chr1", np.array([0]), 1, 10).tolist() == [[1]]
    bam.with_suffix(".bam.csi").unlink()
    pysam.index(str(bam), str(bam.with_suffix(".bai")))
    assert BamTrack(bam).info().n_mapped == 1


def read_all(path: Path) -> None:
    track = BamTrack(path)
    track.info()
    track.read_bins("chr1", np.array([0, 1000, 2000]), 10, 100)


def fails(path: Path, message: str) -> None:
    with pytest.raises(SignalError, match=message) as caught:
        read_all(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_no_index(workshop: Any) -> None:
    reads = [workshop.Read("chr1", 5), workshop.Read("chr2", 1)]
    for order in ("coordinate", "unsorted", None):  # bedToBam says unsorted whatever it writes
        path = workshop.bam(reads, CHROMOSOMES, index=False, order=order)
        fails(path, r"has no index \(H3K4me3.bam.bai or .csi\)\n  samtools index ")


@pytest.mark.parametrize("order", ["coordinate", "unsorted", "queryname", None])
def test_unsorted(workshop: Any, order: str | None) -> None:
    reads = [workshop.Read("chr1", 5), workshop.Read("chr2", 1), workshop.Read("chr1", 1)]
    path = workshop.bam(reads, CHROMOSOMES, index=False, sort=False, order=order)
    fails(path, r"is not sorted by coordinate \(alignment 'r2' stands too late\)\n  samtools sort")


def test_unmapped_reads_at_the_end_are_in_order(workshop: Any) -> None:
    import pysam

    path = workshop.folder / "x.bam"
    header = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "chr1", "LN": 100}]})
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for chrom, place, flag in [(0, 50, 0), (-1, -1, 4)]:
            entry = pysam.AlignedSegment(header)
            entry.query_name, entry.reference_id, entry.reference_start = "r", chrom, place
            entry.flag, entry.query_sequence = flag, "A"
            entry.cigarstring = "1M" if chrom == 0 else None
            out.write(entry)
    fails(path, "has no index")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
def test_truncated(workshop: Any, share: float) -> None:
    rng = random.Random(1)
    path = workshop.bam(generated_reads(workshop, rng, 3000), CHROMOSOMES)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    fails(path, "truncated BAM: its end-of-file mark is missing")


@pytest.mark.parametrize("how", ["cut out", "scrambled"])
def test_damaged_inside(workshop: Any, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(1)
    reads = [workshop.Read("chr1", rng.randrange(2900), f"{rng.randrange(1, 90)}M")
             for _ in range(30_000)]  # fmt: skip
    path = workshop.bam(reads, CHROMOSOMES)
    data = path.read_bytes()
    half = len(data) // 2
    noise = rng.randbytes(300)
    path.write_bytes(
        data[:half] + data[-28:] if how == "cut out" else data[:half] + noise + data[half + 300 :]
    )
    fails(path, "damaged BAM or index: cannot read chr1:")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [b"", b"hello" * 100, b"BAI\1\2\0\0\0"])
def test_damaged_index(workshop: Any, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = workshop.bam([workshop.Read("chr1", 5)], CHROMOSOMES)
    path.with_suffix(".bam.bai").write_bytes(data)
    fails(path, "its index H3K4me3.bam.bai is damaged\n  samtools index")
    assert capfd.readouterr() == ("", "")


def test_index_of_another_file(workshop: Any) -> None:
    path = workshop.bam([workshop.Read("chr1", 5)], CHROMOSOMES)
    other = workshop.bam([workshop.Read("chr1", 5)], {"chr1": 3000}, "other.bam")
    shutil.copy(f"{other}.bai", f"{path}.bai")
    fails(path, "its index H3K4me3.bam.bai is of another file: it has 1 chromosomes, the BAM 2")


def test_old_index_is_told(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    path = workshop.bam([workshop.Read("chr1", 5)], CHROMOSOMES)
    with caplog.at_level(logging.WARNING):
        BamTrack(path).info()
        assert not caplog.records
        before = time.time() - 1000
        os.utime(f"{path}.bai", (before, before))
        BamTrack(path).info()
    assert f"{path}: its index is older than the file" in caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"garbage" * 100, "is not a BAM file"),
        (b"\x1f\x8b" + b"garbage" * 100, "is not a BAM file"),
        (b">chr1\nACGT\n", "is not a BAM file"),
        (b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\nr\t0\tchr1\t1\t9\t1M\t*\t0\t0\tA\t*\n",
         "is not a BAM file but another kind of alignments\n  samtools sort"),
        (b"BAM\1", "is not a BAM file"),
    ],
)  # fmt: skip
def test_no_bam(
    workshop: Any, data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = workshop.folder / "x.bam"
    path.write_bytes(data)
    fails(path, message)
    assert capfd.readouterr() == ("", "")


def test_places_that_are_no_files(tmp_path: Path) -> None:
    fails(tmp_path / "absent.bam", "no such file")
    fails(tmp_path, "is a folder, not a file")


def test_how_far_the_order_is_looked_at(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = [workshop.Read("chr1", 5), workshop.Read("chr1", 9), workshop.Read("chr1", 1)]
    path = workshop.bam(reads, CHROMOSOMES, index=False, sort=False)
    monkeypatch.setattr(bam_module, "_ALIGNMENTS_LOOKED_AT", 2)
    fails(path, "has no index")
