"""bedGraph means against those of a bigWig of the same content, and wrong lines named."""

from __future__ import annotations

import gzip
import logging
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pysam
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chromeprep.errors import MismatchError, SignalError
from chromeprep.signals import BedGraphTrack, BigWigTrack
from chromeprep.signals.targets import Targets
from chromeprep.signals.text.bedgraph_kernels import to_float32

CHROMOSOMES = {"chr1": 3000, "chr2": 150}
RULES: tuple[Literal["zero"], Literal["nan"]] = ("zero", "nan")


def read(
    path: Path,
    chroms: Sequence[str],
    starts: Sequence[int],
    n_bins: int = 4,
    size: int = 10,
    uncovered: Literal["zero", "nan"] = "zero",
    lengths: dict[str, int] = CHROMOSOMES,
    threads: int = 1,
) -> NDArray[np.float64]:
    targets = Targets.build(list(chroms), np.array(starts, np.int64), lengths, n_bins, size)
    track = BedGraphTrack(path, uncovered)
    track.info()
    return track.read(targets, threads=threads).values


def intervals(seed: int) -> list[tuple[str, int, int, float]]:
    rng = random.Random(seed)
    made = []
    for chrom, length in CHROMOSOMES.items():
        at = rng.choice([0, 5])
        while at < length:
            end = min(length, at + rng.choice([1, 3, 25, 200]))
            made.append((chrom, at, end, rng.choice([0.0, -1.5, rng.random() * 50, 1e6])))
            at = end + rng.choice([0, 0, 1, 30, 400])
    return made


def text(lines: Sequence[tuple[str, int, int, float]]) -> str:
    return "".join(f"{chrom}\t{start}\t{end}\t{value!r}\n" for chrom, start, end, value in lines)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_a_bigwig_of_the_same(workshop: Any, seed: int) -> None:
    rng = random.Random(seed)
    lines = intervals(seed)
    bigwig = workshop.bigwig(lines, CHROMOSOMES)
    if seed % 2:
        rng.shuffle(lines)
    content = text(lines)
    if seed % 3 == 1:
        content = content.replace("\t", "   ").replace("\n", " \r\n").rstrip()
    path = workshop.text("x.bedGraph", content)
    size, n_bins = rng.choice([1, 7, 25, 100]), rng.choice([2, 6])
    chroms = [rng.choice(["chr1", "chr2"]) for _ in range(40)]
    starts = [rng.randrange(-size * n_bins - 5, CHROMOSOMES[chrom] + 5) for chrom in chroms]
    targets = Targets.build(chroms, np.array(starts, np.int64), CHROMOSOMES, n_bins, size)
    for uncovered in RULES:
        expected = BigWigTrack(bigwig, uncovered).read(targets).values
        found = read(path, chroms, starts, n_bins, size, uncovered)
        # Where lines are shuffled sums may differ in the last place.
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_packed_in_any_way(tmp_path: Path, threads: int) -> None:
    """More than one block of text, so that lines are cut in between."""
    rng = np.random.default_rng(0)
    values = rng.gamma(1, 3, 120_000).round(4)
    lines = [f"chr1 {5 * n} {5 * n + 5} {value}\n" for n, value in enumerate(values)]
    data = "".join(lines).encode()
    assert len(data) > 2 << 20
    plain, zipped, blocked = (tmp_path / f"x.bdg{end}" for end in ("", ".gz", ".bgz"))
    plain.write_bytes(b"\xef\xbb\xbf" + data[:-1])
    zipped.write_bytes(gzip.compress(data, 1))
    with pysam.BGZFile(str(blocked), "wb", None) as out:
        out.write(data)
    singles = values.astype(np.float32).astype(np.float64)
    expected = np.repeat(singles, 5).reshape(-1, 3, 200).mean(axis=2)
    starts = np.arange(0, 600_000, 600)
    targets = Targets.build(["chr1"] * len(starts), starts, {"chr1": 600_000}, 3, 200)
    for path in (plain, zipped, blocked):
        shares: list[float] = []
        found = BedGraphTrack(path).read(targets, threads=threads, tick=shares.append).values
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        assert sum(shares) == pytest.approx(1)

    class StopError(Exception):
        pass

    def stop(share: float) -> None:
        raise StopError

    with pytest.raises(StopError):
        BedGraphTrack(plain).read(targets, threads=threads, tick=stop)
    cut = zipped.read_bytes()
    zipped.write_bytes(cut[: len(cut) // 2])
    with pytest.raises(SignalError, match="damaged gzip data"):
        BedGraphTrack(zipped).read(targets, threads=threads)


def as_single(token: str) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(float(token)))


def number_tokens() -> list[str]:
    """Write numbers in many ways, many of them where rounding is a close call."""
    rng = np.random.default_rng(5)
    singles = rng.integers(0, 0x7F7FFFFF, 4000, dtype=np.uint32).view(np.float32)
    tokens = []
    for n, value in enumerate(singles.astype(np.float64).tolist()):
        between = (value + float(np.nextafter(np.float32(value), np.float32(np.inf)))) / 2
        near = math.nextafter(between, [0.0, math.inf][n % 2])
        tokens += [repr(value), f"{value:.9g}", f"{value:.4e}", f"{between:.30e}", repr(near)]
    for value in rng.gamma(1, 20, 4000).tolist():
        tokens += [repr(value), f"{value:.5f}", f"-{value:.20f}", f"+{value:.1f}", f"{value:.25f}"]
    halves = [f"{2**24 + n}.{'0' * 20}{n % 2}" for n in range(1, 50)]
    odd = "0 -0 0.0 00012.50 .5 5. 1E5 1e+05 1e-05 1e-46 1e-400 0e999 123456789012345678901e-5"
    exact = ["16777217", "16777217.0000000001", "9007199254740993", "33554435", "1e22", "1e23"]
    return [*tokens, *halves, *odd.split(), *exact, "0." + "0" * 30 + "5", "1" + "0" * 37]


def test_values_are_those_of_float(workshop: Any) -> None:
    tokens = [token for token in number_tokens() if np.isfinite(as_single(token))]
    lines = "".join(f"1\t{n}\t{n + 1}\t{token}\n" for n, token in enumerate(tokens))
    path = workshop.text("x.bg", lines)
    found = read(path, ["1"], [0], len(tokens), 1, lengths={"1": len(tokens)})
    np.testing.assert_array_equal(found[0], [as_single(token) for token in tokens])


@given(st.integers(0, 10**19 - 1), st.integers(-400, 400))
@example(16777217, 0)
@example(167772170000000001, -10)
@example(9007199254740993, 0)
def test_rounding_is_exact_or_left_to_python(mantissa: int, power: int) -> None:
    value = to_float32(np.uint64(mantissa), power)
    if not math.isnan(value):
        assert value == as_single(f"{mantissa}e{power}")
    elif abs(power) < 300:
        # Left over are close calls and what single precision does not hold.
        with np.errstate(over="ignore"):
            double = float(f"{mantissa}e{power}")
            ends = [np.float32(double * (1 + side * 2.0**-49)) for side in (-1, 1)]
        assert ends[0] != ends[1] or np.isinf(ends[1])


def test_lines_that_hold_no_interval(workshop: Any) -> None:
    path = workshop.text(
        "x.bedgraph",
        "browser position chr1:1-100\n# made by hand\n\n  \t \n#\n"
        'track type=bedGraph name="x" description="chr1 0 10 5"\n'
        "chr1 0 10 5\n  chr1\t10 20\tnan\t\n\ntrack\nchr1 20 30 NaN\nchr2 0 5 -2\n   # end\n",
    )
    nan = np.nan
    found = read(path, ["chr1", "chr2"], [0, 0], uncovered="nan")
    np.testing.assert_array_equal(found, [[5, nan, nan, nan], [-2, nan, nan, nan]])
    assert read(path, ["chr2"], [0]).tolist() == [[-1, 0, 0, 0]]
    info = BedGraphTrack(path).info()
    assert info.chromosomes is None
    assert (info.units, info.count_rule) == ("signal", "mean over all bases, uncovered as 0")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1", r"found 1 fields \(chr1\); expected chromosome, start, end and value"),
        ("chr1 5 9", "found 3 fields"),
        ("chr1 5 9 1 +", "found 5 fields"),
        ("chr1\t5\t9\tname\t0\t+", "found 6 fields"),
        ("chr1 5 9 x", "its value is 'x'; expected a number"),
        ("chr1 5 9 1_0", "its value is '1_0'; expected a number"),
        ("chr1 5 9 1,5", "its value is '1,5'"),
        ("chr1 5 9 .", "its value is '.'"),
        ("chr1 5 9 1e", "its value is '1e'"),
        ("chr1 5 9 1.2.3", "its value is '1.2.3'"),
        ("chr1 5 9 --1", "its value is '--1'"),
        ("chr1 5 9 NA", "its value is 'NA'"),
        ("chr1 -5 9 1", "its start is '-5'; expected a whole number"),
        ("chr1 5 1e+05 1", r"its end is '1e\+05'; expected a whole number"),
        ("chr1 5.0 9 1", "its start is '5.0'"),
        ("chr1 5 99999999999999999999 1", "its end is '9999"),
        ("chr1 9 9 1", r"its end \(9\) is not beyond its start \(9\)"),
        ("chr1 9 5 1", r"its end \(5\) is not beyond its start \(9\)"),
        ("chr1 5 9 inf", "has an infinite value at chr1:6;"),
        ("chr7 5 9 -Infinity", "has an infinite value at chr7:6;"),
        ("chr1 5 9 1e999", "has an infinite value at chr1:6;"),
        ("chr1 5 9 1e39", "its value is 1e39, beyond what single precision holds"),
        ("chr1 5 3001 1", r"ends at 3,001, beyond the end of chr1 \(3,000 bp\)"),
        ("1 5 3001 1", "has both 'chr1' and '1'"),
        ("fixedStep chrom=chr1 start=1 step=1", "is a wiggle file"),
        ("chr1 5 9 1\udcff", "is not a text file in UTF-8"),
        ("chr1 5 9 1\0", "its value is"),
    ],
)
def test_wrong_lines(workshop: Any, line: str, message: str) -> None:
    before = "#\nchr1 0 5 1\n\nchr2 0 5 1\n"
    for after in ("\n", "\r\nchr1 20 21 1\n", ""):
        data = (before + line + after).encode(errors="surrogateescape")
        path = workshop.text("x.bdg", data)
        with pytest.raises(SignalError, match=message) as caught:
            read_only(path)
        if "both" not in message:
            assert str(caught.value).startswith(f"{path}: line 5: ")


def read_only(path: Path) -> None:
    targets = Targets.build(["chr1"], np.array([0]), CHROMOSOMES, 4, 10)
    BedGraphTrack(path).read(targets)


def plain(lines: Sequence[str]) -> list[float] | int:
    """Add lines up, base by base, of a chromosome of 40 bases; or say which line is wrong."""
    sums = [0.0] * 40
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0][0] == "#" or fields[0] in ("track", "browser"):
            continue
        good = len(fields) == 4 and all(re.fullmatch("[0-9]{1,18}", word) for word in fields[1:3])
        if not good or "_" in fields[3] or int(fields[1]) >= int(fields[2]):
            return number
        try:
            value = as_single(fields[3])
        except ValueError:
            return number
        if math.isinf(value) or (fields[0] == "chr1" and int(fields[2]) > 40):
            return number
        if fields[0] == "chr1" and not math.isnan(value):
            for base in range(int(fields[1]), int(fields[2])):
                sums[base] += value
    return sums


CHROM_WORDS = st.sampled_from(["chr1", "chr1", "chr1", "chr11", "chr", "#x", "track", "t"])
NUMBER_WORDS = st.sampled_from(["0", "3", "007", "39", "40", "41", "-1", "1e1", "x", "2.0"])
VALUE_WORDS = st.sampled_from(
    [
        "1", "-2.5", "+.5", "1e2", "1E-3", "1e+05", ".", "nan", "-nan", "na", "nano",
        "1_0", "5e", "e5", "0.1234567890123456789", "1e-60", "1e39", "inf",
        "1..2", "1.2.", "0x1", "1e00005", "- 1", "1\x0b",
    ]
)  # fmt: skip
GAPS = st.sampled_from(["\t", "\t", " ", "  ", "\t\t", " \t"])
LINES = st.one_of(
    st.builds(
        lambda *parts: "".join(parts),
        st.sampled_from(["", "", "", " ", "\t"]), CHROM_WORDS, GAPS, st.sampled_from("05"), GAPS,
        st.sampled_from(["9", "40"]), GAPS, VALUE_WORDS,
        st.sampled_from(["", "", "", " ", "\r", "\t\r", " x", "\r\r"]),
    ),
    st.builds(lambda *w: "\t".join(w), CHROM_WORDS, NUMBER_WORDS, NUMBER_WORDS, VALUE_WORDS),
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(LINES, min_size=1, max_size=4), st.booleans())
def test_any_lines(tmp_path_factory: Any, lines: list[str], ended: bool) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.bdg"
    path.write_text("\n".join(["chr1 0 1 0", *lines]) + "\n" * ended, newline="")
    targets = Targets.build(["chr1"], np.array([0]), {"chr1": 40}, 40, 1)
    expected = plain(lines)
    found: list[float] | int | None
    try:
        found = BedGraphTrack(path).read(targets).values[0].tolist()
    except SignalError as error:
        found = error.line and error.line - 1
    if found is None:  # of bases with several values no line is named
        assert not isinstance(expected, int)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n# nothing\n", "has no line with a value"),
        (b"\x26\xfc\x8f\x88" * 9, "is a bigWig; expected a bedGraph"),
        (b"BAM\1\0\0\0\0", "is not a text file"),
        (gzip.compress(b"chr1 5 9\n", mtime=0), "line 1: found 3 fields"),
        (b"chr1\t5\t9\tr1\t30\t+\n", "line 1: found 6 fields"),
    ],
)
def test_other_kinds_of_files(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.bdg"
    path.write_bytes(data)
    with pytest.raises(SignalError, match=message):
        BedGraphTrack(path).info()


def test_places_that_are_no_files(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "absent", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(SignalError, match=message):
            BedGraphTrack(path).info()
        with pytest.raises(SignalError, match=message):
            read_only(path)


@pytest.mark.parametrize("lines", [["0 6", "4 10"], ["0 40"] * 3, ["5 6", "0 10"]])
def test_overlapping_intervals(workshop: Any, lines: list[str]) -> None:
    path = workshop.text("x.bdg", "".join(f"chr2 {line} 1\n" for line in lines))
    with pytest.raises(SignalError, match="has more than one value for bases of chr2:1-10"):
        read(path, ["chr1", "chr2"], [0, 0])


def test_other_spellings(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    path = workshop.text("x.bdg", "1 0 10 1\nMT 0 10 2\nchr1_x 0 10 8\n2 0 10 3\nX 0 10 4\n")
    lengths = {"chr1": 50, "chrM": 50, "2": 50, "chrX": 50}
    with caplog.at_level(logging.WARNING):
        found = read(path, list(lengths), [0] * 4, 1, lengths=lengths)
    assert found.tolist() == [[1], [2], [3], [4]]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        found = read(path, ["chr1", "chr5"], [0, 0], 1, lengths={"chr1": 50, "chr5": 50})
    assert found.tolist() == [[1], [0]]
    assert "has no line on chr5" in caplog.text
    expected = re.escape("(chr7): its lines are of 1, 2, X, MT, chr1_x")
    with pytest.raises(MismatchError, match=expected):
        read(path, ["chr7"], [0], lengths={"chr7": 50})
