"""bigWig means against pyBigWig in a few plain lines, and damaged bigWigs told apart."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.errors import SignalError
from chromeprep.signals import BigWigTrack
from chromeprep.signals.base import quiet_stderr

CHROMOSOMES = {"chr1": 3000, "chr2": 150}


def reference(
    path: Path, chrom: str, start: int, n_bins: int, size: int, uncovered: str
) -> list[float]:
    """One bin at a time, one base at a time."""
    means = []
    with pyBigWig.open(str(path)) as track:
        length = track.chroms(chrom)
        for b in range(n_bins):
            first, end = start + b * size, start + (b + 1) * size
            left, right = max(first, 0), min(end, length)
            if left >= right:
                means.append(0.0)
                continue
            values = np.array(track.values(chrom, left, right), dtype=np.float64)
            if uncovered == "zero":
                means.append(float(np.nan_to_num(values, nan=0.0).sum() / size))
            else:
                known = values[~np.isnan(values)]
                means.append(float(known.mean()) if len(known) else float("nan"))
    return means


def check(path: Path, chrom: str, starts: list[int], n_bins: int, size: int) -> None:
    for uncovered in ("zero", "nan"):
        found = BigWigTrack(path, uncovered).read_bins(chrom, np.array(starts), n_bins, size)  # type: ignore[arg-type]
        expected = [reference(path, chrom, start, n_bins, size, uncovered) for start in starts]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, np.array(expected, np.float32), rtol=1e-6, atol=0)


def entries(rng: random.Random) -> list[tuple[str, int, int, float]]:
    made = []
    for chrom, length in CHROMOSOMES.items():
        at = rng.choice([0, 5])
        while at < length:
            end = min(length, at + rng.choice([1, 3, 25, 200]))
            made.append((chrom, at, end, rng.choice([0.0, -1.5, rng.random() * 50, 1e6])))
            at = end + rng.choice([0, 0, 1, 30, 400])
    return made


@pytest.mark.parametrize("seed", range(12))
def test_equal_to_pybigwig(workshop: Any, seed: int) -> None:
    rng = random.Random(seed)
    path = workshop.bigwig(entries(rng), CHROMOSOMES)
    size, n_bins = rng.choice([1, 7, 25, 100]), rng.choice([2, 6])
    width = size * n_bins
    starts = [rng.randrange(-width - 5, 3000 + 5) for _ in range(10)]
    starts += [starts[0], -width // 2, 3000 - width // 2, 3000, -width]
    check(path, "chr1", starts, n_bins, size)
    check(path, "chr2", [-60, 0, 60, 149, 200], n_bins, size)


@settings(max_examples=40)
@given(
    runs=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(-3, 9)), max_size=9),
    starts=st.lists(st.integers(-30, 130), min_size=1, max_size=4),
    size=st.integers(1, 12),
    n_bins=st.integers(1, 5),
)
def test_few_runs(
    workshop_in: Any, tmp_path_factory: Any, runs: Any, starts: Any, size: int, n_bins: int
) -> None:
    made, at = [("chr2", 0, 5, 1.0)], 0
    for gap, length, value in runs:
        made.append(("chr1", at + gap, at + gap + length, float(value)))
        at += gap + length
    # The last run says how far; no run at all leaves a chromosome without data.
    path = workshop_in(tmp_path_factory.mktemp("bw")).bigwig(
        made, {"chr1": max(at, 100), "chr2": 50}
    )
    check(path, "chr1", starts, n_bins, size)


def test_each_rule_by_hand(workshop: Any) -> None:
    path = workshop.bigwig(
        [("chr2", 0, 10, 2.0), ("chr2", 20, 25, 4.0), ("chr2", 140, 150, 8.0)], CHROMOSOMES
    )
    starts = np.array([-10, 10, 135])
    zero = BigWigTrack(path).read_bins("chr2", starts, 3, 10)
    assert zero.tolist() == [[0, 2, 0], [0, 2, 0], [4, 4, 0]]
    nan = BigWigTrack(path, "nan").read_bins("chr2", starts, 3, 10)
    n = np.nan
    # A bin partly beyond the end is the mean of what is covered; one wholly beyond is 0.
    np.testing.assert_array_equal(nan, [[0, 2, n], [n, 4, n], [8, 8, 0]])


def test_sums_are_taken_in_double_precision(workshop: Any) -> None:
    made = [("chr1", 0, 1, 16_777_216.0)] + [("chr1", at, at + 1, 1.0) for at in range(1, 1001)]
    path = workshop.bigwig(made, CHROMOSOMES)
    found = BigWigTrack(path).read_bins("chr1", np.array([0]), 1, 1000)
    assert found[0, 0] == np.float32((16_777_216 + 999) / 1000)


def test_info(workshop: Any) -> None:
    path = workshop.bigwig([("chr1", 0, 5, 1)], CHROMOSOMES)
    info = BigWigTrack(path).info()
    assert dict(info.chromosomes) == CHROMOSOMES
    assert (info.units, info.n_mapped) == ("signal", -1)
    assert info.count_rule == "mean over all bases, uncovered as 0"
    assert BigWigTrack(path, "nan").info().count_rule == "mean over covered bases"


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_values_are_refused(workshop: Any, value: float) -> None:
    path = workshop.bigwig([("chr1", 40, 50, value)], CHROMOSOMES)
    assert BigWigTrack(path).read_bins("chr1", np.array([60]), 2, 10).tolist() == [[0, 0]]
    with pytest.raises(SignalError, match="has an infinite value at chr1:41;"):
        BigWigTrack(path).read_bins("chr1", np.array([30]), 2, 10)


def read_all(path: Path) -> None:
    track = BigWigTrack(path)
    track.info()
    track.read_bins("chr1", np.arange(0, 2000, 100), 10, 100)


def fails(path: Path, message: str) -> None:
    with pytest.raises(SignalError, match=message) as caught:
        read_all(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.fixture
def big(workshop: Any) -> Path:
    rng = np.random.default_rng(0)
    path: Path = workshop.folder / "big.bw"
    track = pyBigWig.open(str(path), "w")
    track.addHeader([("chr1", 400_000)])
    starts = np.arange(0, 400_000, 4)
    track.addEntries("chr1", starts, values=rng.random(len(starts)), span=3)
    track.close()
    return path


@pytest.mark.parametrize(
    "size", [4, 10, 50, 63, 64, 65, 100, 200, 300, 500, 1000, 5000, -20_000, -1000, -5, -4, -1]
)
def test_truncated(big: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Some of these sizes crash libBigWig where they get that far."""
    big.write_bytes(big.read_bytes()[:size])
    fails(big, "truncated bigWig: its end mark is missing")
    assert capfd.readouterr() == ("", "")


def test_damaged_inside(big: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(big.read_bytes())
    start = int.from_bytes(data[16:24], "little") + 8  # of the data, past their count
    data[start : start + 2000] = random.Random(0).randbytes(2000)
    big.write_bytes(data)
    fails(big, "damaged bigWig: cannot read chr1:1-1,000")
    assert capfd.readouterr() == ("", "")


def test_damaged_header(big: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(big.read_bytes())
    start = int.from_bytes(data[8:16], "little")
    data[start : start + 30] = random.Random(0).randbytes(30)
    big.write_bytes(data)
    fails(big, "damaged bigWig: its header or index cannot be read")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"x", "is not a bigWig; expected a bigWig"),
        (b"garbage" * 100, "is not a bigWig"),
        (b"track type=wiggle_0\nfixedStep chrom=chr1 start=1 step=1\n1\n", "is not a bigWig"),
        (0x8789F2EB.to_bytes(4, "little") * 50, "is a bigBed; expected a bigWig"),
        (0x8789F2EB.to_bytes(4, "big") * 50, "is a bigBed; expected a bigWig"),
    ],
)
def test_no_bigwig(
    tmp_path: Path, data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.bw"
    path.write_bytes(data)
    fails(path, message)
    assert capfd.readouterr() == ("", "")


def test_places_that_are_no_files(tmp_path: Path) -> None:
    fails(tmp_path / "absent.bw", "no such file")
    fails(tmp_path, "is a folder, not a file")


def test_quiet_stderr_gives_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    def fail_quietly() -> None:
        with quiet_stderr():
            os.write(2, b"unheard\n")
            raise KeyError

    with pytest.raises(KeyError):
        fail_quietly()
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_track_is_closed_after_a_failure(big: Path, tmp_path: Path) -> None:
    data = bytearray(big.read_bytes())
    start = int.from_bytes(data[16:24], "little") + 8
    data[start : start + 2000] = bytes(2000)
    bad = tmp_path / "bad.bw"
    bad.write_bytes(data)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(5):
        fails(bad, "damaged")
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after == before
    shutil.rmtree(tmp_path)
