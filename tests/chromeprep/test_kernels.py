"""The compiled loops add to each bin what one gets by looking at every base."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.signals import numbers
from chromeprep.signals.kernels import add_bases, add_overlap, add_signal, first_bin, first_window
from chromeprep.signals.read_kernels import (
    COVERAGE,
    FIVE_PRIME,
    OVERLAP,
    add_read,
    read_interval,
)
from chromeprep.signals.reads import COUNT_RULES, DEFAULT_RULE, MAX_FRAGMENT_BP, ReadRule
from chromeprep.signals.targets import Targets

LENGTHS = {"0": 16_000, "1": 33_000}
LENGTH = LENGTHS["1"]

# Places near each other, at the ends and at the edge of a tile.
PLACES = st.one_of(
    st.integers(-60, 60), st.integers(16_330, 16_440), st.integers(LENGTH - 60, LENGTH + 60)
)


@st.composite
def layouts(draw: st.DrawFn) -> Targets:
    """Windows on two chromosomes: overlapping, unsorted, outside."""
    n_bins, size = draw(st.integers(1, 6)), draw(st.integers(1, 30))
    starts = draw(st.lists(PLACES, min_size=1, max_size=8))
    chrom = ["0", *("1" for _ in starts)]
    return Targets.build(chrom, np.array([100, *starts]), LENGTHS, n_bins, size)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[int, int]:
    """Inside the chromosome and not empty, as the kernels ask for them."""
    first = min(max(draw(PLACES), 0), LENGTH - 1)
    return first, min(first + draw(st.integers(1, 90) | st.integers(1, 40_000)), LENGTH)


def arguments(targets: Targets) -> tuple[Any, ...]:
    """Of the second chromosome."""
    low, high = targets.offsets[1], targets.offsets[2]
    tile = targets.tile_offsets[1]
    return low, high, targets.starts, targets.tiles, tile, targets.bin_size_bp


def zeros(targets: Targets, dtype: type[Any] = np.int32) -> np.ndarray[Any, Any]:
    return np.zeros((targets.n_windows, targets.n_bins), dtype=dtype)


def by_base(targets: Targets, first: int, end: int) -> np.ndarray[Any, Any]:
    """Bases of each bin in an interval of the second chromosome."""
    bases = zeros(targets, np.int64)
    size = targets.bin_size_bp
    for row in range(targets.offsets[1], targets.offsets[2]):
        for b in range(targets.n_bins):
            start = int(targets.starts[row]) + b * size
            bases[row, b] = len(range(max(start, first), min(start + size, end)))
    return bases


@given(targets=layouts(), chosen=st.lists(intervals(), max_size=6))
def test_overlaps_and_bases(targets: Targets, chosen: list[tuple[int, int]]) -> None:
    overlaps, bases = zeros(targets), zeros(targets)
    for first, end in chosen:
        add_overlap(first, end, *arguments(targets), overlaps)
        add_bases(first, end, *arguments(targets), bases)
    parts = [by_base(targets, first, end) for first, end in chosen]
    np.testing.assert_array_equal(bases, sum(parts, zeros(targets, np.int64)))
    touched = [part > 0 for part in parts]
    np.testing.assert_array_equal(overlaps, sum(touched, zeros(targets, np.int64)))


@given(targets=layouts(), chosen=st.lists(st.tuples(intervals(), st.floats(-9, 9)), max_size=6))
def test_signals(targets: Targets, chosen: list[tuple[tuple[int, int], float]]) -> None:
    sums, covered = zeros(targets, np.float64), zeros(targets)
    for (first, end), value in chosen:
        add_signal(first, end, value, *arguments(targets), sums, covered)
    parts = [by_base(targets, first, end) for (first, end), _ in chosen]
    np.testing.assert_array_equal(covered, sum(parts, zeros(targets, np.int64)))
    expected = sum(
        (part * value for part, (_, value) in zip(parts, chosen, strict=True)), zeros(targets)
    )
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)


@given(targets=layouts(), interval=intervals(), cuts=st.lists(st.integers(0, 40_000), max_size=4))
def test_parts_add_up_to_the_whole(
    targets: Targets, interval: tuple[int, int], cuts: list[int]
) -> None:
    first, end = interval
    whole, parts = zeros(targets), zeros(targets)
    add_bases(first, end, *arguments(targets), whole)
    edges = sorted({first, end, *(min(first + cut, end) for cut in cuts)})
    for a, b in pairwise(edges):
        add_bases(a, b, *arguments(targets), parts)
    np.testing.assert_array_equal(parts, whole)


@given(targets=layouts(), interval=intervals(), data=st.data())
def test_only_the_windows_given_are_written_to(
    targets: Targets, interval: tuple[int, int], data: st.DataObject
) -> None:
    whole, part = zeros(targets), zeros(targets)
    low, high, *rest = arguments(targets)
    add_overlap(*interval, low, high, *rest, whole)
    some_low = data.draw(st.integers(int(low), int(high)))
    some_high = data.draw(st.integers(some_low, int(high)))
    add_overlap(*interval, some_low, some_high, *rest, part)
    np.testing.assert_array_equal(part[some_low:some_high], whole[some_low:some_high])
    part[some_low:some_high] = 0
    assert not part.any()


@given(targets=layouts(), first=st.integers(0, LENGTH - 1))
def test_first_window(targets: Targets, first: int) -> None:
    low, high, starts, tiles, tile, _ = arguments(targets)
    found = first_window(first, low, high, starts, tiles, tile, targets.width_bp)
    rows = [row for row in range(low, high) if starts[row] + targets.width_bp > first]
    assert found == (rows[0] if rows else high)


@given(
    first=st.integers(0, 2**31 - 1),
    start=st.integers(-(2**20), 2**31 - 1),
    size=st.integers(1, 10**7),
)
def test_first_bin(first: int, start: int, size: int) -> None:
    assert first_bin(first, start, size) == max(first - start, 0) // size


@given(
    targets=layouts(),
    first=PLACES,
    size=st.integers(-5, 90),
    reverse=st.booleans(),
    rule=st.sampled_from(COUNT_RULES),
)
def test_reads(targets: Targets, first: int, size: int, reverse: bool, rule: Any) -> None:
    """Reads may leave the chromosome, and may be empty."""
    code = ReadRule(rule).code
    counts = zeros(targets)
    add_read(first, first + size, reverse, code, LENGTH, *arguments(targets), counts)
    bases = list(range(first, first + size))
    if rule == "five-prime":
        bases = bases[-1:] if reverse else bases[:1]
    bases = [base for base in bases if 0 <= base < LENGTH]
    expected = zeros(targets, np.int64)
    if bases:
        expected = by_base(targets, bases[0], bases[-1] + 1)
    np.testing.assert_array_equal(counts, expected if rule == "coverage" else expected > 0)


def test_codes() -> None:
    codes = {rule: ReadRule(rule).code for rule in COUNT_RULES}
    assert codes == {"overlap": OVERLAP, "five-prime": FIVE_PRIME, "coverage": COVERAGE}


PROPER = 0x1 | 0x2


@pytest.mark.parametrize(
    ("flag", "mate", "template", "expected"),
    [
        (0, -1, 0, (100, 300)),  # a single read, forward
        (0x10, -1, 0, (-64, 136)),  # and reverse
        (PROPER | 0x40 | 0x20, 400, 336, (100, 436)),  # the first of a pair
        (PROPER | 0x80 | 0x20, 400, 336, None),  # the second
        (PROPER | 0x40 | 0x10, 20, -116, (20, 136)),  # the first, and reverse
        (PROPER | 0x40, 100, MAX_FRAGMENT_BP, (100, 100 + MAX_FRAGMENT_BP)),
        (PROPER | 0x40, 100, MAX_FRAGMENT_BP + 1, (100, 300)),  # too far apart
        (PROPER | 0x40, 100, 0, (100, 300)),  # of unknown length
        (PROPER | 0x40, -1, 336, (100, 300)),  # on two chromosomes
        (PROPER | 0x40 | 0x8, 400, 336, (100, 300)),  # without its mate
        (0x1 | 0x40, 400, 336, (100, 300)),  # no proper pair
        (0x2 | 0x40, 400, 336, (100, 300)),  # no pair at all
    ],
)
def test_what_a_read_stands_for(
    flag: int, mate: int, template: int, expected: tuple[int, int] | None
) -> None:
    found = read_interval(100, 136, flag, mate, template, 200)
    assert found == expected or (expected is None and found[0] >= found[1])
    assert read_interval(100, 136, flag, mate, template, -1) == (100, 136)
    # One without bases on the reference is extended to none.
    first, end = read_interval(100, 100, flag & ~PROPER, -1, 0, 200)
    assert first == end


@pytest.mark.parametrize("extend", [1, 35, 36])
@pytest.mark.parametrize("flag", [0, 0x10])
def test_extension_never_cuts(extend: int, flag: int) -> None:
    assert read_interval(100, 136, flag, -1, 0, extend) == (100, 136)


@given(data=st.binary(min_size=8, max_size=8), before=st.integers(0, 5))
def test_numbers(data: bytes, before: int) -> None:
    place = np.frombuffer(bytes(before) + data, dtype=np.uint8)
    assert numbers.u8(place, before) == data[0]
    for read, size, signed in (
        (numbers.u16, 2, False), (numbers.u32, 4, False), (numbers.i32, 4, True),
    ):  # fmt: skip
        assert read(place, before) == int.from_bytes(data[:size], "little", signed=signed)


def test_the_rule_in_words() -> None:
    assert DEFAULT_RULE.words() == (
        "alignments overlapping the bin, gaps included, not flagged 0xf04"
    )
    assert ReadRule("five-prime", min_mapq=30, exclude_flags=4).words() == (
        "alignments with their 5' base in the bin, not flagged 0x4, mapping quality at least 30"
    )
    assert ReadRule("coverage").words(flags=False) == "mean depth of alignments, gaps left out"
    assert ReadRule("overlap", 200).words(flags=False) == (
        "fragments overlapping the bin (proper pairs once; other reads extended to 200 bp)"
    )
    assert ReadRule(total=False).with_total() == ReadRule(total=True)
    assert (ReadRule().reach_bp, ReadRule(extend_bp=5).reach_bp) == (0, MAX_FRAGMENT_BP)
    assert ReadRule(extend_bp=9000).reach_bp == 9000


def test_numba_comes_with_the_first_call_and_without_scipy() -> None:
    """Programs that need no loop do not wait for it, and SciPy can still be had afterwards."""
    code = (
        "import sys, numpy\n"
        "import chromeprep.pipeline\n"
        "from chromeprep import compiled\n"
        "from chromeprep.signals.kernels import first_bin\n"
        "assert 'numba' not in sys.modules\n"
        "compiled.leave_out('scipy', 'yaml')\n"
        "assert first_bin(105, 100, 10) == 0, first_bin(105, 100, 10)\n"
        "assert 'numba' in sys.modules\n"
        "assert 'scipy' not in sys.modules and 'yaml' not in sys.modules\n"
        "import scipy, yaml\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
