"""Genes x files -> bins: strands, order, threads, and what stops them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.binning import TrackJob, read_tracks
from chromeprep.errors import SignalError
from chromeprep.format import GeneTable
from chromeprep.signals import BamTrack, BigWigTrack, Targets, Track, TrackBins, TrackInfo
from chromeprep.signals.base import Tick, no_tick
from chromeprep.signals.reads import ReadRule
from chromeprep.windows import Windows

LENGTH = 240

GENE = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 40), st.sampled_from("+-")).map(
    lambda gene: (gene[0], min(gene[0] + gene[1], LENGTH), gene[2])
)
RUN = st.tuples(st.integers(0, 25), st.integers(1, 25), st.integers(-4, 9))
READ = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 30), st.integers(0, 40),
                 st.integers(0, 9), st.sampled_from([0, 16, 0x400]))  # fmt: skip
RULES = [
    ReadRule(count, extend)
    for count in ("overlap", "five-prime", "coverage")
    for extend in (None, 25)
]


def table(genes: list[tuple[int, int, str]]) -> GeneTable:
    count = len(genes)
    starts, ends, strands = zip(*genes, strict=True)
    names = [f"G{n}" for n in range(count)]
    return GeneTable.build(names, ["chr1"] * count, starts, ends, strands)


def mirrored(genes: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    return [(LENGTH - end, LENGTH - start, "-" if s == "+" else "+") for start, end, s in genes]


def jobs(tracks: list[Track], names: dict[str, str]) -> list[TrackJob]:
    return [TrackJob(track, names, dict.fromkeys(names.values(), LENGTH)) for track in tracks]


def tensor(
    genes: GeneTable, tracks: list[Track], windows: Windows, threads: int = 1, **names: str
) -> Any:
    found = np.zeros((len(genes), len(tracks), windows.n_bins))
    work = jobs(tracks, names or {"chr1": "chr1"})
    for number, bins in read_tracks(genes, windows, work, threads=threads):
        found[:, number] = bins.values
    return found


@settings(max_examples=60)
@given(
    genes=st.lists(GENE, min_size=1, max_size=6),
    runs=st.lists(RUN, min_size=1, max_size=8),
    reads=st.lists(READ, max_size=12),
    size=st.integers(1, 15),
    half=st.integers(1, 6),
    rule=st.sampled_from(RULES),
)
def test_mirror_symmetry(
    workshop_in: Any, tmp_path_factory: Any, genes: Any, runs: Any, reads: Any, size: int,
    half: int, rule: ReadRule,
) -> None:  # fmt: skip
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
            BamTrack(make.bam(here, chromosomes, "a.bam"), rule),
        ]
        other: list[Track] = [
            BigWigTrack(make.bigwig(flipped, chromosomes, "b.bw"), mode),  # type: ignore[arg-type]
            BamTrack(make.bam(there, chromosomes, "b.bam"), rule),
        ]
        np.testing.assert_array_equal(
            tensor(table(genes), one, windows), tensor(table(mirrored(genes)), other, windows)
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
    found = tensor(table([(100, 120, "+"), (81, 101, "-")]), [track], Windows(20, 10))
    # TSS 100 on both. On +, [80, 120) from left to right; on -, [81, 121) from right to left.
    assert found[0, 0].tolist() == [84.5, 94.5, 104.5, 114.5]
    assert found[1, 0].tolist() == [115.5, 105.5, 95.5, 85.5]


def test_order_of_genes_and_tracks_and_what_is_told(workshop: Any) -> None:
    chromosomes = {"chr1": LENGTH, "chr2": LENGTH}
    paths = [
        workshop.bigwig([("chr1", 0, LENGTH, k), ("chr2", 0, LENGTH, 10 * k)], chromosomes,
                        f"{k}.bw")
        for k in (1, 2, 3)
    ]  # fmt: skip
    tracks: list[Track] = [BigWigTrack(path) for path in paths]
    genes = GeneTable.build(["a", "b", "c"], ["2", "1", "2"], [100] * 3, [110] * 3, ["+", "-", "-"])
    names = {"1": "chr1", "2": "chr2"}
    for threads in (1, 2, 3, 8):
        seen: list[tuple[int, int]] = []
        found = {
            number: bins.values[:, 0].tolist()
            for number, bins in read_tracks(
                genes, Windows(10, 10), jobs(tracks, names), threads=threads,
                progress=lambda *steps: seen.append(steps),  # noqa: B023
            )
        }  # fmt: skip
        assert found == {0: [10, 1, 10], 1: [20, 2, 20], 2: [30, 3, 30]}
        assert seen == sorted(seen)
        assert seen[-1] == (1000, 1000)
        assert {total for _, total in seen} == {1000}


@dataclass(frozen=True)
class Endless:
    """A track that is read until it is stopped."""

    path: Path = Path("endless")
    kind: ClassVar[str] = "endless"
    begun: ClassVar[threading.Event] = threading.Event()
    ended: ClassVar[threading.Event] = threading.Event()

    def info(self) -> TrackInfo:
        return TrackInfo({"chr1": LENGTH}, "signal", "never")

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        self.begun.set()
        try:
            while True:
                time.sleep(0.01)
                tick(0)
        finally:
            self.ended.set()


def test_an_error_in_one_file_stops_the_others(workshop: Any) -> None:
    path = workshop.bigwig([("chr1", 95, 99, float("inf"))], {"chr1": LENGTH})
    genes = table([(100, 120, "+")])
    started = time.monotonic()
    with pytest.raises(SignalError, match="infinite value at chr1:96;") as caught:
        tensor(genes, [Endless(), BigWigTrack(path)], Windows(10, 10), threads=2)
    assert time.monotonic() - started < 30
    assert caught.value.path == path
    assert Endless.begun.is_set() == Endless.ended.is_set()


def test_who_stops_listening_stops_the_threads() -> None:
    genes = table([(100, 120, "+")])
    Endless.begun.clear()
    Endless.ended.clear()

    @dataclass(frozen=True)
    class Quick(Endless):
        def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
            Endless.begun.wait(10)
            return TrackBins(np.zeros((1, targets.n_bins)))

    results = read_tracks(
        genes, Windows(10, 10), jobs([Endless(), Quick()], {"chr1": "chr1"}), threads=2
    )
    assert next(results)[0] == 1
    results.close()  # type: ignore[attr-defined]
    assert Endless.ended.is_set()
