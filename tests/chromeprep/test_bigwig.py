"""bigWig means against pyBigWig in a few plain lines, and damaged bigWigs told apart."""

from __future__ import annotations

import importlib.util
import os
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals import BigWigTrack
from chromeprep.signals.targets import Targets

CHROMOSOMES = {"chr1": 3000, "chr2": 150}
RULES: tuple[Literal["zero"], Literal["nan"]] = ("zero", "nan")
Floats = NDArray[np.float64]


def read(
    path: Path,
    chrom: str | Sequence[str],
    starts: Sequence[int],
    n_bins: int,
    size: int,
    uncovered: Literal["zero", "nan"] = "zero",
    threads: int = 1,
    lengths: dict[str, int] | None = None,
) -> Floats:
    track = BigWigTrack(path, uncovered)
    chroms = [chrom] * len(starts) if isinstance(chrom, str) else list(chrom)
    known = lengths or dict(track.info().chromosomes or {})
    targets = Targets.build(chroms, np.array(starts, dtype=np.int64), known, n_bins, size)
    return track.read(targets, threads=threads).values


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
    for uncovered in RULES:
        found = read(path, chrom, starts, n_bins, size, uncovered)
        expected = [reference(path, chrom, start, n_bins, size, uncovered) for start in starts]
        np.testing.assert_array_equal(found.astype(np.float32), np.array(expected, np.float32))


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


LENGTH = 400_000


@pytest.fixture(scope="module", params=["bedGraph", "variableStep", "fixedStep", "mixed"])
def sections(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some dozens of blocks of one kind of section, or of all, some values NaN."""
    rng = np.random.default_rng(3)
    path: Path = tmp_path_factory.mktemp("sections") / "x.bw"
    values = np.where(rng.random(60_000) < 0.02, np.nan, rng.gamma(1, 3, 60_000).round(3))
    gaps = rng.integers(3, 10, len(values))
    starts = np.cumsum(gaps)
    track = pyBigWig.open(str(path), "w")
    track.addHeader([("chr2", 5000), ("chr1", LENGTH)])
    track.addEntries(["chr2"], [10], ends=[20], values=[1.5])
    kinds = ["bedGraph", "variableStep", "fixedStep"]
    parts = [kinds[0], kinds[1], kinds[2]] if request.param == "mixed" else [request.param] * 3
    for part, kind in enumerate(parts):
        rows = slice(part * 20_000, (part + 1) * 20_000)
        at, v = starts[rows], values[rows]
        if kind == "bedGraph":
            ends = at + np.minimum(gaps[1:][rows][:20_000].mean().astype(int), 3)
            track.addEntries(["chr1"] * len(at), at, ends=ends, values=v)
        elif kind == "variableStep":
            track.addEntries("chr1", at, values=v, span=3)
        else:
            track.addEntries("chr1", int(at[0]), values=v[:12_000], span=4, step=7)
    track.close()
    return path


def test_all_kinds_of_sections(sections: Path) -> None:
    rng = random.Random(1)
    starts = [rng.randrange(-900, LENGTH) for _ in range(60)] + [0, 0, 1, 130_000, LENGTH - 300]
    for n_bins, size in ((10, 100), (3, 7), (1, 5000)):
        check(sections, "chr1", starts, n_bins, size)


def test_equal_to_pybigtools(sections: Path) -> None:
    pytest.importorskip("pybigtools")
    starts = list(range(0, LENGTH - 1000, 13_577))
    found = read(sections, "chr1", starts, 10, 100)
    others = pybigwig_and_pybigtools(sections, "chr1", starts, 1000)
    for row, expected in zip(found, others, strict=True):
        assert len(expected) == 2
        for values in expected:
            means = np.nan_to_num(values, nan=0.0).reshape(10, 100).sum(axis=1) / 100
            np.testing.assert_array_equal(row.astype(np.float32), means.astype(np.float32))


def test_bins_are_means_of_smaller_bins(sections: Path) -> None:
    starts = list(range(-500, LENGTH, 9_371))
    small = read(sections, "chr1", starts, 40, 25)
    large = read(sections, "chr1", starts, 10, 100)
    np.testing.assert_allclose(large, small.reshape(-1, 10, 4).mean(axis=2), rtol=1e-12)


@pytest.mark.parametrize("uncovered", RULES)
def test_order_of_windows_and_threads_change_nothing(
    sections: Path, uncovered: Literal["zero", "nan"]
) -> None:
    rng = np.random.default_rng(0)
    starts = rng.integers(-2000, LENGTH, 300)
    chroms = rng.choice(["chr1", "chr2"], 300)
    plain = read(sections, list(chroms), list(starts), 20, 100, uncovered)
    for threads in (1, 2, 5):
        order = rng.permutation(300)
        mixed = read(
            sections, list(chroms[order]), list(starts[order]), 20, 100, uncovered, threads
        )
        np.testing.assert_array_equal(mixed, plain[order])
    for row in (0, 17, 123):
        alone = read(sections, str(chroms[row]), [int(starts[row])], 20, 100, uncovered)
        np.testing.assert_array_equal(alone[0], plain[row])


def test_real_tracks(real_data: Path) -> None:
    files = [
        *sorted((real_data / "bigwig" / "genomewide").glob("*H3K4me3*"))[:2],
        *sorted((real_data / "bigwig" / "pilot").glob("*H3K4me3*"))[:2],
    ]
    assert len(files) == 4
    rng = np.random.default_rng(7)
    for path in files:
        with pyBigWig.open(str(path)) as track:
            n_compared = 0
            for chrom in ("chr1", "chr21", "chr22", "chrX"):
                with_data = [first for first, _, _ in track.intervals(chrom) or ()]
                if not with_data:
                    continue
                starts = rng.choice(with_data, 120) - rng.integers(0, 2000, 120)
                for row, expected in zip(
                    read(path, chrom, list(starts), 20, 100),
                    pybigwig_and_pybigtools(path, chrom, starts.tolist(), 2000),
                    strict=True,
                ):
                    for values in expected:
                        sums = np.nan_to_num(values, nan=0.0).reshape(20, 100).sum(axis=1)
                        means = (sums / 100).astype(np.float32)
                        np.testing.assert_array_equal(row.astype(np.float32), means)
                        n_compared += bool(means.any())
            assert n_compared > 200


def pybigwig_and_pybigtools(
    path: Path, chrom: str, starts: list[int], width: int
) -> Iterator[list[Floats]]:
    """Yield what pyBigWig, and pybigtools where it is there, say of each window."""
    others = []
    if importlib.util.find_spec("pybigtools"):
        import pybigtools  # type: ignore[import-untyped]

        others.append(pybigtools.open(str(path)))
    with pyBigWig.open(str(path)) as track:
        for start in starts:
            values = [track.values(chrom, start, start + width)]
            values += [other.values(chrom, start, start + width, fillna=None) for other in others]
            yield [np.array(each, dtype=np.float64) for each in values]
    for other in others:
        other.close()


def test_each_rule_by_hand(workshop: Any) -> None:
    path = workshop.bigwig(
        [("chr2", 0, 10, 2.0), ("chr2", 20, 25, 4.0), ("chr2", 140, 150, 8.0)], CHROMOSOMES
    )
    starts = [-10, 10, 135]
    assert read(path, "chr2", starts, 3, 10).tolist() == [[0, 2, 0], [0, 2, 0], [4, 4, 0]]
    nan = read(path, "chr2", starts, 3, 10, "nan")
    n = np.nan
    # A bin partly beyond the end is the mean of what is covered; one wholly beyond is 0.
    np.testing.assert_array_equal(nan, [[0, 2, n], [n, 4, n], [8, 8, 0]])


def test_sums_are_taken_in_double_precision(workshop: Any) -> None:
    made = [("chr1", 0, 1, 16_777_216.0)] + [("chr1", at, at + 1, 1.0) for at in range(1, 1001)]
    path = workshop.bigwig(made, CHROMOSOMES)
    assert read(path, "chr1", [0], 1, 1000)[0, 0] == (16_777_216 + 999) / 1000


def test_track_without_values(workshop: Any) -> None:
    path = workshop.bigwig([], CHROMOSOMES)
    assert read(path, "chr1", [0, 2995], 2, 10).tolist() == [[0, 0], [0, 0]]
    np.testing.assert_array_equal(read(path, "chr1", [2995], 2, 10, "nan"), [[np.nan, 0]])
    assert read(path, "chr1", [], 2, 10).shape == (0, 2)


def test_info(workshop: Any) -> None:
    path = workshop.bigwig([("chr1", 0, 5, 1)], CHROMOSOMES)
    info = BigWigTrack(path).info()
    assert info.chromosomes == CHROMOSOMES
    assert info.units == "signal"
    assert info.count_rule == "mean over all bases, uncovered as 0"
    assert BigWigTrack(path, "nan").info().count_rule == "mean over covered bases"
    with pytest.raises(SignalError, match="has no chromosome 'chr9'"):
        read(path, "chr9", [0], 1, 1, lengths={"chr9": 5})


@pytest.mark.parametrize("threads", [1, 2])
def test_progress(sections: Path, threads: int) -> None:
    shares: list[float] = []
    starts = np.arange(0, LENGTH, 1000)
    targets = Targets.build(["chr1"] * len(starts), starts, {"chr1": LENGTH}, 10, 100)
    BigWigTrack(sections).read(targets, threads=threads, tick=shares.append)
    assert sum(shares) == pytest.approx(1)
    nowhere = Targets.build(["chr1"], np.array([LENGTH + 5]), {"chr1": LENGTH}, 10, 100)
    shares.clear()
    assert not BigWigTrack(sections).read(nowhere, tick=shares.append).values.any()
    assert shares == [1]

    class StopError(Exception):
        pass

    def stop(share: float) -> None:
        raise StopError

    with pytest.raises(StopError):
        BigWigTrack(sections).read(targets, threads=threads, tick=stop)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_values_are_refused(workshop: Any, value: float) -> None:
    path = workshop.bigwig([("chr1", 40, 50, value)], CHROMOSOMES)
    assert read(path, "chr1", [60, 20], 2, 10).tolist() == [[0, 0], [0, 0]]
    for start, base in ((30, 41), (45, 46), (49, 50)):
        with pytest.raises(SignalError, match=f"has an infinite value at chr1:{base};"):
            read(path, "chr1", [start], 2, 10)


def block(chrom: int, items: list[tuple[int, int, float]], count: int | None = None) -> bytes:
    """Make a section of the bedGraph kind."""
    n = len(items) if count is None else count
    start, end = (items[0][0], items[-1][1]) if items else (0, 0)
    header = struct.pack("<IIIIIBBH", chrom, start, end, 0, 0, 1, 0, n)
    return header + b"".join(struct.pack("<IIf", *item) for item in items)


def write(
    path: Path,
    blocks: Sequence[tuple[int, int, int, bytes]],
    *,
    packed: bool = True,
    chromosomes: dict[str, int] = CHROMOSOMES,
    shift: int = 0,
) -> Path:
    """Write a bigWig of the format's smallest form; `shift` is added to the places in its index."""
    tree = struct.pack("<IIIIQQ", 0x78CA8C91, 64, 8, 8, len(chromosomes), 0)
    tree += struct.pack("<BBH", 1, 0, len(chromosomes))
    for number, (name, length) in enumerate(chromosomes.items()):
        tree += struct.pack("<8sII", name.encode(), number, length)
    at = 64 + len(tree) + 8
    data, leaves = struct.pack("<Q", len(blocks)), b""
    for chrom, start, end, raw in blocks:
        stored = zlib.compress(raw) if packed else raw
        leaves += struct.pack("<IIIIQQ", chrom, start, chrom, end, at + shift, len(stored))
        data, at = data + stored, at + len(stored)
    index = struct.pack("<IIQIIIIQII", 0x2468ACE0, 64, len(blocks), 0, 0, 1, 9999, at, 1, 0)
    index += struct.pack("<BBH", 1, 0, len(blocks)) + leaves
    place = 64 + len(tree)
    buffer = 65536 if packed else 0
    header = struct.pack("<IHHQQQHHQQIQ", 0x888FFC26, 4, 0, 64, place, at, 0, 0, 0, 0, buffer, 0)
    path.write_bytes(header + tree + data + index + header[:4])
    return path


GOOD = block(0, [(0, 10, 1.0), (10, 20, 3.0), (40, 3500, 2.0)])


@pytest.mark.parametrize("packed", [True, False])
def test_compressed_or_not(tmp_path: Path, packed: bool) -> None:
    """Index entries in any order; items beyond the end of the chromosome are cut there."""
    path = write(
        tmp_path / "x.bw",
        [(1, 0, 9, block(1, [(3, 9, 7.0)])), (0, 0, 3500, GOOD)],
        packed=packed,
    )
    assert read(path, "chr1", [0, 2990], 2, 20).tolist() == [[2, 0], [1, 0]]
    assert read(path, "chr2", [0], 1, 10).tolist() == [[4.2]]
    nan = read(path, "chr1", [2990], 2, 20, "nan")
    np.testing.assert_array_equal(nan, [[2, 0]])
    if packed:
        with pyBigWig.open(str(path)) as track:
            assert track.values("chr2", 0, 10) == pytest.approx([np.nan] * 3 + [7] * 6 + [np.nan],
                                                               nan_ok=True)  # fmt: skip


def test_block_that_reaches_over_later_ones(tmp_path: Path) -> None:
    """Some writers put the block's first base of before, or too much, into the index."""
    wide = block(0, [(0, 10, 1.0), (600, 700, 2.0)])
    small = block(0, [(100, 110, 3.0)])
    path = write(tmp_path / "x.bw", [(0, 0, 700, wide), (0, 100, 110, small)])
    assert read(path, "chr1", [600, 100], 1, 10).tolist() == [[2], [3]]


DAMAGED = "damaged bigWig: cannot read chr1:1-3,500"
INDEX = "damaged bigWig: its header or index cannot be read"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (block(1, [(0, 10, 1.0)]), DAMAGED),
        (block(0, [(0, 10, 1.0)], count=2), DAMAGED),
        (block(0, [(0, 10, 1.0)], count=65535), DAMAGED),
        (GOOD[:23], DAMAGED),
        (GOOD[:-1], DAMAGED),
        (b"", DAMAGED),
        (GOOD[:20] + b"\4" + GOOD[21:], DAMAGED),
        (GOOD[:20] + b"\0" + GOOD[21:], DAMAGED),
        (block(0, [(10, 9, 1.0)]), DAMAGED),
        (block(0, [(0, 10, 1.0), (9, 20, 1.0)]), "more than one value for bases of chr1:10"),
        (block(0, [(30, 40, 1.0), (0, 10, 1.0)]), "more than one value for bases of chr1:1"),
    ],
)
def test_damaged_blocks(tmp_path: Path, data: bytes, message: str, packed: bool) -> None:
    fails(write(tmp_path / "x.bw", [(0, 0, 3500, data)], packed=packed), message)


def test_blocks_that_overlap(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bw", [(0, 0, 3500, GOOD), (0, 0, 3500, GOOD)])
    fails(path, "has more than one value for bases of chr1:1-100")


@pytest.mark.parametrize(
    ("blocks", "shift"),
    [
        ([(0, 0, 3500, GOOD)], 1 << 40),
        ([(0, 0, 3500, GOOD)], 2000),
        ([(2, 0, 3500, GOOD)], 0),
        ([(0, 3500, 0, GOOD)], 0),
    ],
)
def test_damaged_index(tmp_path: Path, blocks: Any, shift: int) -> None:
    fails(write(tmp_path / "x.bw", blocks, shift=shift), INDEX)


def test_tree_without_an_end(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bw", [(0, 0, 3500, GOOD)])
    data = bytearray(path.read_bytes())
    root = int.from_bytes(data[24:32], "little") + 48
    data[root : root + 28] = struct.pack("<BBHIIIIQ", 0, 0, 1, 0, 0, 0, 3500, root)
    path.write_bytes(data)
    fails(path, INDEX + r" \(a tree has no end\)")


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes(sections: Path, tmp_path: Path, seed: int) -> None:
    """No crash, no hang; where a checksum watches, wrong values never."""
    rng = random.Random(seed)
    good = sections.read_bytes()
    tree, start, index = (int.from_bytes(good[at : at + 8], "little") for at in (8, 16, 24))
    lengths = {"chr1": LENGTH, "chr2": 5000}
    starts = list(range(0, LENGTH, 20_000))

    def values(path: Path) -> Floats:
        BigWigTrack(path).info()
        return read(path, "chr1", starts, 4, 5000, lengths=lengths)

    expected = values(sections)
    path = tmp_path / "x.bw"
    caught = 0
    for _ in range(60):
        # Half of them where things are said to be, half in the data.
        near = rng.random() < 0.5
        low, high = rng.choice([(0, 64), (tree, start), (index, len(good))]) if near else (0, 0)
        at = rng.randrange(low, high) if near else rng.randrange(start + 8, index)
        bad = bytearray(good)
        bad[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        try:
            found = values(path)
        except SignalError:
            caught += 1
        else:
            if not near:
                np.testing.assert_array_equal(found, expected)
    assert caught > 20


def read_all(path: Path) -> None:
    BigWigTrack(path).info()
    read(path, "chr1", list(range(0, 2000, 100)), 10, 100)


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
def test_truncated(big: Path, size: int) -> None:
    big.write_bytes(big.read_bytes()[:size])
    fails(big, "truncated bigWig: its end mark is missing")


def test_damaged_inside(big: Path) -> None:
    data = bytearray(big.read_bytes())
    start = int.from_bytes(data[16:24], "little") + 8  # of the data, past their count
    data[start : start + 2000] = random.Random(0).randbytes(2000)
    big.write_bytes(data)
    fails(big, "damaged bigWig: cannot read chr1:1-")


def test_message_names_the_block(tmp_path: Path) -> None:
    good, bad = block(0, [(0, 10, 1.0)]), block(0, [(500, 600, 2.0)])
    path = write(tmp_path / "x.bw", [(0, 0, 10, good), (0, 500, 600, bad)])
    data = path.read_bytes()
    path.write_bytes(data.replace(zlib.compress(bad), zlib.compress(bad)[:-1] + b"x"))
    assert read(path, "chr1", [0], 4, 100)[0, 0] == 0.1
    fails(path, "damaged bigWig: cannot read chr1:501-600 .*checksum")


def test_damaged_header(big: Path) -> None:
    data = bytearray(big.read_bytes())
    start = int.from_bytes(data[8:16], "little")
    data[start : start + 30] = random.Random(0).randbytes(30)
    big.write_bytes(data)
    fails(big, INDEX)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"x", "is not a bigWig; expected a bigWig"),
        (b"garbage" * 100, "is not a bigWig"),
        (b"track type=wiggle_0\nfixedStep chrom=chr1 start=1 step=1\n1\n", "is not a bigWig"),
        (0x8789F2EB.to_bytes(4, "little") * 50, "is a bigBed; expected a bigWig"),
        (0x8789F2EB.to_bytes(4, "big") * 50, "is a bigBed; expected a bigWig"),
        (0x888FFC26.to_bytes(4, "big") * 50, "is a bigWig of a big-endian machine"),
    ],
)
def test_no_bigwig(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.bw"
    path.write_bytes(data)
    fails(path, message)


def test_places_that_are_no_files(tmp_path: Path) -> None:
    fails(tmp_path / "absent.bw", "no such file")
    fails(tmp_path, "is a folder, not a file")


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
