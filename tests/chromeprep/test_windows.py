"""The neighbour filter, windows and their edges, against oracles written another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.format import GeneTable
from chromeprep.windows import (
    Windows,
    by_chromosome,
    neighbour_filter,
    order_by_position,
)

# Few positions and short distances, so that ties and near misses are frequent.
GENE = st.tuples(
    st.sampled_from(["chr1", "chr2", "chr10"]),
    st.integers(0, 60),
    st.integers(1, 30),
    st.sampled_from("+-"),
)


def table(genes: list[tuple[str, int, int, str]], ids: list[str] | None = None) -> GeneTable:
    names = [f"G{number:03}" for number in range(len(genes))] if ids is None else ids
    return GeneTable.build(
        names,
        [gene[0] for gene in genes],
        [gene[1] for gene in genes],
        [gene[1] + gene[2] for gene in genes],
        [gene[3] for gene in genes],
    )


def brute_force(genes: GeneTable, distance: int) -> set[str]:
    """Keep the leftmost gene left over, strike out all that it shadows, and go on."""
    left = {
        str(genes.gene_id[row]): (
            str(genes.chrom[row]),
            int(genes.end[row]) - 1 if genes.strand[row] == "-" else int(genes.start[row]),
        )
        for row in range(len(genes))
    }
    kept = set()
    while left:
        first = min(left, key=lambda name: (left[name], name))
        chrom, tss = left.pop(first)
        kept.add(first)
        if distance > 0:
            left = {
                name: place
                for name, place in left.items()
                if not (place[0] == chrom and 0 <= place[1] - tss <= distance)
            }
    return kept


@given(st.lists(GENE, max_size=40), st.integers(0, 40), st.randoms())
def test_neighbour_filter(genes: list[Any], distance: int, rng: Any) -> None:
    ids = [f"G{number:03}" for number in range(len(genes))]
    rng.shuffle(ids)
    made = table(genes, ids)
    kept = neighbour_filter(made, distance)
    assert set(made.gene_id[kept]) == brute_force(made, distance)
    order = np.array(rng.sample(range(len(genes)), len(genes)), dtype=np.int64)
    again = made.take(order)
    assert set(again.gene_id[neighbour_filter(again, distance)]) == set(made.gene_id[kept])


@given(st.lists(GENE, min_size=1, max_size=40), st.integers(1, 40))
def test_kept_genes_are_apart_and_dropped_ones_shadowed(genes: list[Any], distance: int) -> None:
    made = table(genes)
    kept = neighbour_filter(made, distance)
    for row in range(len(made)):
        before = [
            int(made.tss[row] - made.tss[other])
            for other in np.flatnonzero(kept)
            if other != row and made.chrom[other] == made.chrom[row]
        ]
        close = [gap for gap in before if 0 <= gap <= distance]
        assert bool(close) != bool(kept[row])


@pytest.mark.parametrize(("gap", "kept"), [(4999, False), (5000, False), (5001, True)])
def test_the_distance_itself_is_within(gap: int, kept: bool) -> None:
    genes = table([("1", 100, 10, "+"), ("1", 100 + gap, 10, "+")])
    assert list(neighbour_filter(genes, 5000)) == [True, kept]


def test_previous_kept_not_previous() -> None:
    genes = table([("1", 0, 9, "+"), ("1", 4000, 9, "+"), ("1", 8000, 9, "+")])
    assert list(neighbour_filter(genes, 5000)) == [True, False, True]


def test_strand_moves_the_tss_but_is_otherwise_ignored() -> None:
    genes = table([("1", 0, 6000, "-"), ("1", 500, 10, "+")])  # TSS 5999 and 500
    assert list(neighbour_filter(genes, 5000)) == [True, True]
    assert list(neighbour_filter(genes, 5499)) == [False, True]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_ties_by_id_whatever_the_order(order: list[int]) -> None:
    for ids in (["B", "A"], ["ENSG00000000001.2", "ENSG00000000001.10"], ["ENSG00000000002.1",
                "ENSG00000000001.9"]):  # fmt: skip
        genes = table([("1", 100, 10, "+"), ("1", 100, 20, "+")], ids).take(np.array(order))
        kept = genes.gene_id[neighbour_filter(genes, 5)]
        assert list(kept) == [min(ids)]


def test_no_genes() -> None:
    assert list(neighbour_filter(table([]), 5)) == []
    assert len(order_by_position(table([]))) == 0


@given(st.lists(GENE, max_size=30), st.randoms())
def test_order_by_position(genes: list[Any], rng: Any) -> None:
    made = table(genes)
    mixed = made.take(np.array(rng.sample(range(len(genes)), len(genes)), dtype=np.int64))
    ordered = order_by_position(mixed)
    rank = {"chr1": 1, "chr2": 2, "chr10": 3}
    keys = [
        (rank[chrom], tss, name)
        for chrom, tss, name in zip(ordered.chrom, ordered.tss, ordered.gene_id, strict=True)
    ]
    assert keys == sorted(keys)
    assert sorted(ordered.gene_id) == sorted(made.gene_id)


@given(
    start=st.integers(-200, 200), length=st.integers(1, 200), bins=st.integers(1, 8),
    size=st.integers(1, 20),
)  # fmt: skip
def test_bins_outside(start: int, length: int, bins: int, size: int) -> None:
    windows = Windows(flank_bp=bins * size, bin_size_bp=size)
    assert windows.n_bins == 2 * bins
    expected = 0
    for number in range(2 * bins):
        bases = range(start + number * size, start + (number + 1) * size)
        expected += any(not 0 <= base < length for base in bases)
    assert list(windows.bins_outside(np.array([start]), np.array([length]))) == [expected]


@given(st.lists(GENE, min_size=1, max_size=10), st.integers(1, 9))
def test_window_starts(genes: list[Any], flank: int) -> None:
    made = table(genes)
    for row, start in enumerate(Windows(flank, 1).starts(made)):
        bases = list(range(int(start), int(start) + 2 * flank))
        if made.strand[row] == "-":
            bases.reverse()
        # In transcript direction the TSS is the first base of the second half on both strands.
        assert bases[flank] == made.tss[row]


def test_by_chromosome() -> None:
    found = by_chromosome(np.array(["b", "a", "b"], dtype=object))
    assert {name: list(rows) for name, rows in found.items()} == {"b": [0, 2], "a": [1]}
