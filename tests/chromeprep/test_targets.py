"""Windows are laid out so that all of them are found again, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.signals.targets import TILE_SHIFT, Span, Targets

LENGTHS = {"1": 200_000, "2": 16_384, "MT": 77}


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[str], list[int], int, int]:
    """Windows anywhere: overlapping, the same twice, over the ends, at the edges of tiles."""
    n_bins, size = draw(st.integers(1, 6)), draw(st.integers(1, 5000))
    edges = st.sampled_from([0, 77, 16_384, 32_768, 200_000]).flatmap(
        lambda place: st.integers(place - n_bins * size - 2, place + 2)
    )
    one = st.tuples(st.sampled_from(list(LENGTHS)), edges | st.integers(-40_000, 240_000))
    chosen = draw(st.lists(one, max_size=12))
    return [name for name, _ in chosen], [start for _, start in chosen], n_bins, size


def build(made: tuple[list[str], list[int], int, int]) -> Targets:
    chrom, starts, n_bins, size = made
    return Targets.build(chrom, np.array(starts, dtype=np.int64), LENGTHS, n_bins, size)


def rows_of(targets: Targets) -> list[tuple[str, int]]:
    """Chromosome and start of each row."""
    names = np.repeat(np.array(targets.chromosomes, dtype=object), np.diff(targets.offsets))
    return list(zip(names.tolist(), targets.starts.tolist(), strict=True))


@given(made=windows())
def test_every_window_has_its_row(made: Any) -> None:
    chrom, starts, n_bins, size = made
    targets = build(made)
    assert targets.n_windows == len(starts)
    assert targets.width_bp == n_bins * size
    assert targets.chromosomes == tuple(dict.fromkeys(chrom))
    assert targets.lengths.tolist() == [LENGTHS[name] for name in targets.chromosomes]
    asked = list(zip(chrom, starts, strict=True))
    assert [asked[row] for row in targets.order] == rows_of(targets)
    assert sorted(targets.order.tolist()) == list(range(len(starts)))
    for low, high in zip(targets.offsets[:-1], targets.offsets[1:], strict=True):
        assert (np.diff(targets.starts[low:high]) >= 0).all()


@given(made=windows())
def test_values_come_back_in_the_callers_order(made: Any) -> None:
    chrom, starts, n_bins, _ = made
    targets = build(made)
    # Each row is filled with what its window is.
    values = np.array([[LENGTHS[name] + start] * n_bins for name, start in rows_of(targets)])
    found = targets.in_order(values.reshape(len(starts), n_bins).astype(np.float64))
    expected = [[LENGTHS[name] + start] * n_bins for name, start in zip(chrom, starts, strict=True)]
    assert found.tolist() == expected
    assert targets.in_order(np.zeros((len(starts), n_bins))).dtype == np.float64


@given(made=windows())
def test_tiles_lead_to_the_first_window(made: Any) -> None:
    targets = build(made)
    assert len(targets.tile_offsets) == len(targets.chromosomes) + 1
    assert targets.tile_offsets[-1] == len(targets.tiles)
    for chrom, length in enumerate(targets.lengths.tolist()):
        low, high = targets.offsets[chrom], targets.offsets[chrom + 1]
        tiles = targets.tiles[targets.tile_offsets[chrom] : targets.tile_offsets[chrom + 1]]
        # There is a tile for every base of the chromosome.
        assert len(tiles) > (length - 1) >> TILE_SHIFT
        for number, row in enumerate(tiles.tolist()):
            ends = targets.starts[low:high] + targets.width_bp
            beyond = np.flatnonzero(ends > number << TILE_SHIFT)
            assert row == (low + beyond[0] if len(beyond) else high)


@given(made=windows(), gap=st.sampled_from([0, 1, 10, 5000, 10**6]))
def test_spans_cover_what_windows_reach(made: Any, gap: int) -> None:
    targets = build(made)
    spans = list(targets.spans(gap))
    width = targets.width_bp
    inside = {
        row
        for row, (name, start) in enumerate(rows_of(targets))
        if start < LENGTHS[name] and start + width > 0
    }
    met: list[int] = []
    before: Span | None = None
    for span in spans:
        low, high = targets.offsets[span.chrom], targets.offsets[span.chrom + 1]
        assert low <= span.low < span.high <= high
        rows = range(span.low, span.high)
        met += rows
        starts = targets.starts[span.low : span.high]
        length = int(targets.lengths[span.chrom])
        assert (span.first, span.end) == (max(starts[0], 0), min(starts[-1] + width, length))
        assert 0 <= span.first < span.end <= length
        # Inside no gap is larger than allowed, between two every one is.
        assert (np.diff(starts) - width <= gap).all()
        if before is not None and before.chrom == span.chrom:
            assert starts[0] - (targets.starts[before.high - 1] + width) > gap
            assert span.first >= before.end
        before = span
    assert met == sorted(inside)
    assert [span.chrom for span in spans] == sorted(span.chrom for span in spans)


@given(made=windows())
def test_bins_inside(made: Any) -> None:
    targets = build(made)
    found = targets.bins_inside()
    assert found.shape == (targets.n_windows, targets.n_bins)
    for row, (name, start) in enumerate(rows_of(targets)):
        for b in range(targets.n_bins):
            first = start + b * targets.bin_size_bp
            bases = range(max(first, 0), min(first + targets.bin_size_bp, LENGTHS[name]))
            assert found[row, b] == (len(bases) > 0)


def test_no_windows() -> None:
    targets = Targets.build([], np.zeros(0, dtype=np.int64), LENGTHS, 2, 10)
    assert (targets.n_windows, targets.width_bp, targets.chromosomes) == (0, 20, ())
    assert list(targets.spans()) == []
    assert targets.in_order(np.zeros((0, 2))).shape == (0, 2)
    assert targets.bins_inside().shape == (0, 2)


def test_a_chromosome_whose_length_is_not_known() -> None:
    with pytest.raises(KeyError, match="chrUn"):
        Targets.build(["chrUn"], np.array([5]), LENGTHS, 2, 10)
