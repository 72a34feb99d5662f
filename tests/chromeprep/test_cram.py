"""A CRAM gives what the BAM of the same reads gives, and nothing is downloaded for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from chromeprep.errors import SignalError
from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.cram.references import no_downloads
from chromeprep.signals.cram.track import CramTrack
from chromeprep.signals.reads import COUNT_RULES, ReadRule
from chromeprep.signals.targets import Targets

LENGTHS = {"chr1": 9000, "chr2": 4000, "chr3": 1000}
RULES = [
    ReadRule(count, extend, min_mapq=mapq)
    for count in COUNT_RULES
    for extend in (None, 150)
    for mapq in (0, 20)
]


class Pair(NamedTuple):
    """The same reads in a BAM and a CRAM, both with an index, and in a CRAM in another order.

    The reference is not where the CRAMs say it was.
    """

    bam: Path
    cram: Path
    shuffled: Path
    reference: Path


def targets() -> Targets:
    rng = np.random.default_rng(5)
    chrom = [["chr1", "chr2"][i] for i in rng.integers(0, 2, 30)]
    starts = np.array([int(rng.integers(-300, LENGTHS[name] + 50)) for name in chrom])
    return Targets.build(chrom, starts, LENGTHS, 7, 50)


def _entries(n_pairs: int) -> list[tuple[int, int, str, int, int, int, int]]:
    """Reads as (chromosome, start, CIGAR, flag, mapping quality, mate's start, TLEN)."""
    rng = np.random.default_rng(2)
    cigars = ["36M", "20M5D16M", "10M200N26M", "5S31M", "18M2I16M", "30M6S"]
    spans = [36, 41, 236, 31, 34, 30]
    entries = []
    for _ in range(n_pairs):
        chrom = int(rng.integers(3))
        room = list(LENGTHS.values())[chrom]
        kind = rng.integers(6)
        a, b = rng.integers(len(cigars), size=2)
        first = int(rng.integers(0, room - 240))
        quality = int(rng.integers(0, 60))
        if kind < 3:  # a proper pair
            second = min(first + int(rng.integers(0, 300)), room - 240)
            length = second + spans[b] - first
            entries.append((chrom, first, cigars[a], 0x63, quality, second, length))
            entries.append((chrom, second, cigars[b], 0x93, quality, first, -length))
        elif kind == 3:  # one without its mate
            entries.append((chrom, first, cigars[a], 0x49, quality, first, 0))
            entries.append((chrom, first, "*", 0x85, 0, first, 0))
        else:
            flag = int(rng.choice([0, 16, 0x400, 0x100, 16, 0x200]))
            entries.append((chrom, first, cigars[a], flag, quality, -1, 0))
    return entries


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    import pysam

    folder = tmp_path_factory.mktemp("cram")
    rng = np.random.default_rng(1)
    fasta = folder / "reference.fa"
    fasta.write_text(
        "".join(
            f">{name}\n{''.join(rng.choice(list('ACGT'), size))}\n"
            for name, size in LENGTHS.items()
        )
    )
    pysam.faidx(str(fasta))
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6"}, "SQ": [{"SN": n, "LN": size} for n, size in LENGTHS.items()]}
    )
    loose = folder / "loose.bam"
    with pysam.AlignmentFile(str(loose), "wb", header=header) as out:
        for number, (chrom, first, cigar, flag, quality, mate, length) in enumerate(_entries(1500)):
            entry = pysam.AlignedSegment(header)
            entry.query_name = f"r{number // 2}"
            entry.flag = flag
            entry.reference_id = chrom
            entry.reference_start = first
            entry.mapping_quality = quality
            if cigar != "*":
                entry.cigarstring = cigar
            if mate >= 0:
                entry.next_reference_id = chrom
                entry.next_reference_start = mate
            entry.template_length = length
            entry.query_sequence = "".join(rng.choice(list("ACGT"), 36))
            out.write(entry)
    bam, cram, shuffled = folder / "reads.bam", folder / "reads.cram", folder / "shuffled.cram"
    pysam.sort("-o", str(bam), str(loose))
    form = ("-C", "-T", str(fasta), "--no-PG")
    pysam.view(*form, "-o", str(cram), str(bam), catch_stdout=False)
    pysam.view(*form, "-o", str(shuffled), str(loose), catch_stdout=False)
    pysam.index(str(bam))
    pysam.index(str(cram))
    (folder / "elsewhere").mkdir()
    reference = fasta.rename(folder / "elsewhere" / fasta.name)
    Path(f"{fasta}.fai").rename(f"{reference}.fai")
    return Pair(bam, cram, shuffled, reference)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_counts_are_those_of_the_bam(pair: Pair, rule: ReadRule) -> None:
    windows = targets()
    bam = BamTrack(pair.bam, rule.with_total()).read(windows)
    assert bam.values.sum() > 10
    shares: list[float] = []
    for path, own, threads in [
        (pair.cram, rule, 1),
        (pair.cram, rule, 2),
        (pair.cram, rule.with_total(), 1),
        (pair.shuffled, rule, 1),
        (pair.shuffled, rule.with_total(), 2),
    ]:
        shares.clear()
        # The reads of the three chromosomes stand in one slice, as they are few.
        reference = None if rule.extend_bp is None else pair.reference
        found = CramTrack(path, own, reference).read(windows, threads=threads, tick=shares.append)
        np.testing.assert_allclose(found.values, bam.values, atol=1e-12)
        if own.total or path == pair.shuffled:
            assert (found.n_counted, found.n_mapped) == (bam.n_counted, bam.n_mapped)
        else:
            assert (found.n_counted, found.n_mapped) == (-1, -1)
        assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("version", ["2.1", "3.1"])
@pytest.mark.parametrize("option", ["embed_ref=1", "no_ref=1", "multi_seq_per_slice=1"])
def test_other_ways_to_write_one(pair: Pair, tmp_path: Path, version: str, option: str) -> None:
    import pysam

    fasta = shutil.copy(pair.reference, tmp_path / "reference.fa")
    path = tmp_path / "reads.cram"
    form = f"cram,version={version},{option}"
    pysam.view("-O", form, "-T", str(fasta), "-o", str(path), str(pair.bam), catch_stdout=False)
    Path(fasta).unlink()
    Path(f"{fasta}.fai").unlink()
    rule = ReadRule("coverage", total=True)
    bam = BamTrack(pair.bam, rule).read(targets())
    cram = CramTrack(path, rule).read(targets())
    np.testing.assert_allclose(cram.values, bam.values, atol=1e-12)
    assert (cram.n_counted, cram.n_mapped) == (bam.n_counted, bam.n_mapped)


def test_overlaps_are_those_of_pysam_and_depths_those_of_samtools(pair: Pair) -> None:
    import pysam

    windows = Targets.build(["chr1"] * 8, np.arange(8) * 1000, LENGTHS, 10, 100)
    found = CramTrack(pair.cram).read(windows).values.ravel()
    with pysam.AlignmentFile(str(pair.bam)) as bam:
        theirs = [
            bam.count("chr1", start, start + 100, read_callback=lambda read: not read.flag & 0xF04)
            for start in range(0, 8000, 100)
        ]
    assert found.tolist() == theirs
    if shutil.which("samtools") is None:
        pytest.skip("samtools is not installed")
    bed = "".join(f"chr1\t{start}\t{start + 100}\n" for start in range(0, 8000, 100))
    out = subprocess.run(
        ["samtools", "bedcov", "-j", "-g", "0", "/dev/stdin", pair.bam],
        input=bed, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    depths = [int(line.split("\t")[-1]) / 100 for line in out.splitlines()]
    track = CramTrack(pair.cram, ReadRule("coverage", exclude_flags=0x704))
    np.testing.assert_allclose(track.read(windows).values.ravel(), depths, atol=1e-9)


def test_no_reference_is_looked_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    # htslib asks the servers in REF_PATH for a reference; here one listens.
    import pysam

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        asked: list[bytes] = []
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    asked.append(connection.recv(9999))
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            monkeypatch.setenv("REF_PATH", f"http://127.0.0.1:{server.getsockname()[1]}/%s")
            monkeypatch.setenv("REF_CACHE", "")
            for path in (pair.cram, pair.shuffled):
                for rule in RULES:
                    track = CramTrack(path, rule.with_total())
                    track.info()
                    if rule.extend_bp is None:
                        track.read(targets())
                        continue
                    with pytest.raises(SignalError, match="--reference FASTA"):
                        track.read(targets())
            assert asked == []
            assert os.environ["REF_PATH"].startswith("http:")
            # Without the guard it would be asked: this test can fail.
            with (
                pysam.AlignmentFile(str(pair.cram), "rc") as cram,
                pytest.raises(OSError, match="truncated"),
            ):
                next(cram)
            assert asked[0].startswith(b"GET /")
        finally:
            over.set()
            listener.join()


@pytest.mark.parametrize("before", [None, "", "/somewhere/%s", "https://server/%s:/somewhere/%s"])
def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    if before is None:
        monkeypatch.delenv("REF_PATH", raising=False)
    else:
        monkeypatch.setenv("REF_PATH", before)
    local = before == "/somewhere/%s"
    with no_downloads():
        with no_downloads():
            assert os.environ["REF_PATH"] == (before if local else os.devnull)
        assert os.environ["REF_PATH"] == (before if local else os.devnull)
    assert os.environ.get("REF_PATH") == before


def test_a_reference_that_does_not_do(pair: Pair, tmp_path: Path) -> None:
    rule = ReadRule(extend_bp=150)
    fasta = tmp_path / "other.fa"
    with pytest.raises(SignalError, match="no such file"):
        CramTrack(pair.cram, rule, fasta).info()
    fasta.write_text(">chr9\nACGT\n")
    with pytest.raises(SignalError, match=r"has no index \(other\.fa\.fai\)"):
        CramTrack(pair.cram, rule, fasta).info()
    assert os.listdir(tmp_path) == ["other.fa"]
    Path(f"{fasta}.fai").write_text("chr9\t4\t6\t4\t5\n")
    with pytest.raises(SignalError, match="its reads do not fit the reference"):
        CramTrack(pair.cram, rule.with_total(), fasta).read(targets())


def test_what_a_file_of_bins_records(pair: Pair) -> None:
    rule = ReadRule("coverage", 200, min_mapq=20)
    assert CramTrack(pair.cram, rule).info() == BamTrack(pair.bam, rule).info()


def _damaged_copy(pair: Pair, folder: Path, data: bytes) -> Path:
    path = folder / "damaged.cram"
    path.write_bytes(data)
    return path


def test_damage_is_named(pair: Pair, tmp_path: Path) -> None:
    data = pair.shuffled.read_bytes()
    # Somewhere in the reads: the header comes first, the end-of-file mark is 38 bytes.
    middle = len(data) // 2
    for wrong, message in [
        (data[:-38], "truncated CRAM: its end-of-file mark is missing"),
        (data[:middle], "truncated CRAM"),
        (data[:60], "truncated CRAM"),
        (data[:middle] + data[-38:], "damaged CRAM"),
        (data[:40] + bytes(40) + data[80:], "damaged CRAM"),
        (b"BAM\1" + data[4:], "is not a CRAM file"),
        (pair.bam.read_bytes(), "is not a CRAM file\n.*give it with --bam"),
        (b"chr1\t5\t9\n", "is not a CRAM file"),
        (b"", "is empty"),
    ]:
        path = _damaged_copy(pair, tmp_path, wrong)
        track = CramTrack(path)
        with pytest.raises(SignalError, match=message) as caught:  # noqa: PT012
            track.info()
            track.read(targets())
        assert caught.value.path == path
        assert os.listdir(tmp_path) == ["damaged.cram"]


def test_a_damaged_index(pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _damaged_copy(pair, tmp_path, pair.cram.read_bytes())
    index = tmp_path / "damaged.cram.crai"
    index.write_bytes(b"no index")
    with pytest.raises(SignalError, match=r"its index damaged\.cram\.crai is damaged"):
        CramTrack(path).info()
    shutil.copy(f"{pair.cram}.crai", index)
    os.utime(index, (1, 1))
    CramTrack(path).info()
    assert "its index is older than the file" in caplog.text


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.cram", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(SignalError, match=message):
            CramTrack(path).info()
        with pytest.raises(SignalError, match=message):
            CramTrack(path).read(targets())
