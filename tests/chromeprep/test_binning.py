"""Genes x tracks -> tensor: strands, order, processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.binning import bin_signal
from chromeprep.errors import ChromeError, SignalError
from chromeprep.format import GeneTable
from chromeprep.signals import BamTrack, BigWigTrack, Track
from chromeprep.windows import Windows

LENGTH = 240

GENE = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 40), st.sampled_from("+-")).map(
    lambda gene: (gene[0], min(gene[0] + gene[1], LENGTH), gene[2])
)
RUN = st.tuples(st.integers(0, 25), st.integers(1, 25), st.integers(-4, 9))
READ = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 30), st.integers(0, 40),
                 st.integers(0, 9), st.sampled_from([0, 16, 0x400]))  # fmt: skip


def table(genes: list[tuple[int, int, str]]) -> GeneTable:
    count = len(genes)
    starts, ends, strands = zip(*genes, strict=True)
    names = [f"G{n}" for n in range(count)]
    return GeneTable.build(names, ["chr1"] * count, starts, ends, strands)


def mirrored(genes: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    return [(LENGTH - end, LENGTH - start, "-" if s == "+" else "+") for start, end, s in genes]


def tensor(genes: list[Any], tracks: list[Track], windows: Windows) -> Any:
    names = [{"chr1": "chr1"}] * len(tracks)
    return bin_signal(table(genes), windows, tracks, names)


@settings(max_examples=60)
@given(
    genes=st.lists(GENE, min_size=1, max_size=6),
    runs=st.lists(RUN, min_size=1, max_size=8),
    reads=st.lists(READ, max_size=12),
    size=st.integers(1, 15),
    half=st.integers(1, 6),
)
def test_mirror_symmetry(
    workshop_in: Any, tmp_path_factory: Any, genes: Any, runs: Any, reads: Any, size: int, half: int
) -> None:
    """A gene mirrored onto the other strand of a mirrored genome gives the same tensor."""
    make = workshop_in(tmp_path_factory.mktemp("mirror"))
    entries, at = [], 0
    for gap, length, value in runs:
        start, at = at + gap, at + gap + length
        if at <= LENGTH:
            entries.append(("chr1", start, at, value))
    entries = entries or [("chr1", 0, 1, 1)]
    alignments = []
    for start, left, gap, right, flag in reads:
        gap = gap if right else 0
        end = start + left + gap + right
        if end <= LENGTH:
            parts = (f"{left}M", f"{gap}N" if gap else "", f"{right}M" if right else "")
            alignments.append((start, end, parts, flag))
    here = [make.Read("chr1", start, "".join(p), flag) for start, _, p, flag in alignments]
    there = [
        make.Read("chr1", LENGTH - end, "".join(reversed(p)), flag ^ 16)
        for _, end, p, flag in alignments
    ]
    flipped = [("chr1", LENGTH - end, LENGTH - start, value) for _, start, end, value in entries]
    chromosomes = {"chr1": LENGTH}
    windows = Windows(half * size, size)
    for mode in ("zero", "nan"):
        one: list[Track] = [
            BigWigTrack(make.bigwig(entries, chromosomes, "a.bw"), mode),  # type: ignore[arg-type]
            BamTrack(make.bam(here, chromosomes, "a.bam")),
        ]
        other: list[Track] = [
            BigWigTrack(make.bigwig(flipped, chromosomes, "b.bw"), mode),  # type: ignore[arg-type]
            BamTrack(make.bam(there, chromosomes, "b.bam")),
        ]
        np.testing.assert_array_equal(
            tensor(genes, one, windows), tensor(mirrored(genes), other, windows)
        )
    places = np.full(len(genes), LENGTH)
    outside = [
        windows.bins_outside(windows.starts(table(entry)), places)
        for entry in (genes, mirrored(genes))
    ]
    np.testing.assert_array_equal(*outside)


def test_bins_by_hand_on_both_strands(workshop: Any) -> None:
    # A value of its own at every base: bin means say which bases went in, and in what order.
    entries = [("chr1", base, base + 1, base) for base in range(LENGTH)]
    track = BigWigTrack(workshop.bigwig(entries, {"chr1": LENGTH}))
    found = tensor([(100, 120, "+"), (81, 101, "-")], [track], Windows(20, 10))
    # TSS 100 on both. On +, [80, 120) from left to right; on -, [81, 121) from right to left.
    assert found[0, 0].tolist() == [84.5, 94.5, 104.5, 114.5]
    assert found[1, 0].tolist() == [115.5, 105.5, 95.5, 85.5]


def test_order_of_genes_and_tracks(workshop: Any) -> None:
    chromosomes = {"chr1": LENGTH, "chr2": LENGTH}
    paths = [
        workshop.bigwig([("chr1", 0, LENGTH, k), ("chr2", 0, LENGTH, 10 * k)], chromosomes,
                        f"{k}.bw")
        for k in (1, 2)
    ]  # fmt: skip
    tracks: list[Track] = [BigWigTrack(path) for path in paths]
    genes = GeneTable.build(["a", "b", "c"], ["2", "1", "2"], [100] * 3, [110] * 3, ["+", "-", "-"])
    names = [{"1": "chr1", "2": "chr2"}] * 2
    seen: list[tuple[int, int]] = []
    one = bin_signal(genes, Windows(10, 10), tracks, names, progress=lambda *n: seen.append(n))
    assert one[:, :, 0].tolist() == [[10, 20], [1, 2], [10, 20]]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    two = bin_signal(genes, Windows(10, 10), tracks, names, threads=2)
    np.testing.assert_array_equal(one, two)


def test_errors_of_other_processes_come_back_whole(workshop: Any) -> None:
    path = workshop.bigwig([("chr1", 5, 9, float("inf"))], {"chr1": LENGTH, "chr2": LENGTH})
    genes = GeneTable.build(["a", "b"], ["chr1", "chr2"], [10, 10], [20, 20], ["+", "+"])
    names = [{"chr1": "chr1", "chr2": "chr2"}]
    with pytest.raises(SignalError, match="infinite value at chr1:6;") as caught:
        bin_signal(genes, Windows(10, 10), [BigWigTrack(path)], names, threads=2)
    assert caught.value.path == path
    assert caught.value.hint is not None


class _Killed(BigWigTrack):
    """A track whose reader dies, as for want of memory."""

    def read_bins(self, *args: Any) -> Any:
        os._exit(9)


def test_a_killed_process_is_told(tmp_path: Path) -> None:
    genes = GeneTable.build(["a", "b"], ["chr1", "chr2"], [10, 10], [20, 20], ["+", "+"])
    names = [{"chr1": "chr1", "chr2": "chr2"}]
    with pytest.raises(ChromeError, match="was killed\n  out of memory, perhaps"):
        bin_signal(genes, Windows(10, 10), [_Killed(tmp_path)], names, threads=2)
