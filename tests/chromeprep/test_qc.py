"""`chromeprep qc`: are the numbers right, do the checks fire, is the page whole?"""

from __future__ import annotations

import base64
import builtins
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score

from chromeprep.errors import FormatError
from chromeprep.format import ChromeBins, FileAttributes, GeneTable, MarkTable, write_bins
from chromeprep.qc import CHECKS, findings, multiqc_text, page, summarise
from chromeprep.qc.arithmetic import (
    auc,
    mean_known,
    quantile_groups,
    ranks,
    spearman,
    spearman_by_bin,
    spread,
)
from chromeprep.qc.history import commands, losses
from chromeprep.qc.multiqc import mark_rows, numbers
from chromeprep.qc.summary import HEATMAP_ROWS, Summary, tss_enrichment

CORE = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")


def clean_world(
    marks: tuple[str, ...] = CORE, n_genes: int = 300, n_bins: int = 40, seed: int = 0
) -> ChromeBins:
    """Make a file where every mark does what its name says."""
    rng = np.random.default_rng(seed)
    bin_size = 20_000 // n_bins
    centre = (np.arange(n_bins) + 0.5) * bin_size - 10_000
    activity = rng.uniform(0, 1, n_genes)
    peak = np.exp(-((centre / 1500) ** 2))
    shapes = {
        "H3K36me3": (activity, np.where(centre > 500, 2.0, 0.2)),
        "H3K27me3": (1 - activity, np.exp(-((centre / 6000) ** 2))),
        "H3K9me3": (1 - activity, np.ones(n_bins)),
    }
    tracks = []
    for mark in marks:
        level, shape = shapes.get(mark, (activity, 4 * peak))
        mean = 0.2 + level[:, None] * shape * rng.lognormal(0, 0.3, (n_genes, 1))
        tracks.append(rng.poisson(3 * mean))
    signal = np.stack(tracks, axis=1).astype(np.float32)
    expression = np.round(np.exp(4 * activity + rng.normal(0, 0.5, n_genes)) - 1, 3).clip(0)
    threshold = float(np.median(expression))
    starts = 50_000 * (1 + np.arange(n_genes))
    genes = GeneTable.build(
        [f"G{number}" for number in range(n_genes)], ["chr1"] * n_genes, starts, starts + 9000,
        ["+", "-"] * (n_genes // 2) + ["+"] * (n_genes % 2), expression=expression,
        label=(expression >= threshold).astype(np.int8),
    )  # fmt: skip
    steps = [{"n_genes": n_genes + 40, "what": "in all"}, {"n_genes": n_genes, "what": "kept"}]
    line = {
        "date": "2020-01-01T00:00:00+00:00",
        "argv": ["/usr/bin/chromeprep", "bin", "-o", "a b.h5"],
        "versions": {"transferchrome": "0.1"},
        "inputs": {"gtf": {"path": "genes.gtf", "fingerprint": "size=1"}},
        "genes": steps,
    }
    return ChromeBins(
        attributes=FileAttributes(
            bin_size_bp=bin_size, flank_bp=10_000, cell_type="E003", assembly="hg19",
            label_rule="expression >= median", label_threshold=threshold,
        ),
        genes=genes,
        marks=MarkTable.build(
            list(marks), signal, units=["reads"] * len(marks),
            fingerprint=[f"size=1 mtime=x blake2b={index:032x}" for index in range(len(marks))],
            source=[f"{mark}.bam" for mark in marks], n_mapped=np.arange(len(marks)) - 1,
        ),
        chromosomes={"chr1": 10**9},
        provenance=(json.dumps(line),),
        signal=signal,
    )  # fmt: skip


def with_signal(data: ChromeBins, signal: NDArray[np.float32], **columns: Any) -> ChromeBins:
    marks = columns.pop("marks", data.mark_names)
    return replace(
        data, signal=signal, marks=MarkTable.build(marks, signal, units=["reads"] * len(marks)),
        **columns,
    )  # fmt: skip


def with_genes(data: ChromeBins, **columns: Any) -> ChromeBins:
    return replace(data, genes=replace(data.genes, **columns))


def unlabelled(data: ChromeBins) -> ChromeBins:
    count = len(data.genes)
    return with_genes(data, label=np.full(count, -1, dtype=np.int8),
                      expression=np.full(count, np.nan))  # fmt: skip


def codes(data: ChromeBins) -> list[str]:
    return [finding.code for finding in findings(summarise(data, "a.h5"))]


@pytest.fixture(scope="module")
def clean() -> ChromeBins:
    return clean_world()


@pytest.fixture(scope="module")
def summary(clean: ChromeBins) -> Summary:
    return summarise(clean, "folder/E003.h5")


# Numbers -----------------------------------------------------------------------------------------

FEW = st.sampled_from([0.0, 1.0, 2.0, 2.5, 7.0, np.nan])


@given(hnp.arrays(np.float64, st.integers(0, 30), elements=st.sampled_from([0.0, 1.0, 5.0, -3.0])))
def test_ranks_are_scipys(values: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(ranks(values), stats.rankdata(values))


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 25), st.just(2)), elements=FEW))
def test_spearman_is_scipys(pair: NDArray[np.float64]) -> None:
    one, other = pair.T
    known = ~np.isnan(pair).any(axis=1)
    found = spearman(one, other)
    if known.sum() < 3 or len(set(one[known])) == 1 or len(set(other[known])) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(one[known], other[known]).statistic)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 25), st.just(2)), elements=FEW),
    st.randoms(use_true_random=False),
)
def test_auc_is_sklearns(pair: NDArray[np.float64], random: Any) -> None:
    values = pair[:, 0]
    label = np.array([random.choice([-1, 0, 1]) for _ in values], dtype=np.int8)
    used = (label >= 0) & ~np.isnan(values)
    found = auc(values, label)
    if len(set(label[used])) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(label[used], values[used]))


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.integers(1, 4)), elements=FEW))
def test_means_and_errors_leave_nan_out(values: NDArray[np.float32]) -> None:
    mean, error = spread(values)
    for index, column in enumerate(values.T):
        known = column[~np.isnan(column)].astype(np.float64)
        assert mean[index] == pytest.approx(known.mean() if len(known) else np.nan, nan_ok=True)
        expected = stats.sem(known) if len(known) > 1 else np.nan
        assert error[index] == pytest.approx(expected, nan_ok=True, abs=1e-7)
    np.testing.assert_allclose(mean_known(values.T, 1), mean)


@given(st.integers(0, 60), st.integers(1, 20))
def test_groups_are_of_nearly_equal_size(count: int, most: int) -> None:
    order = np.random.default_rng(count).permutation(count)
    groups = quantile_groups(order, most)
    np.testing.assert_array_equal(np.concatenate([*groups, np.array([], dtype=int)]), order)
    sizes = [len(group) for group in groups]
    assert len(groups) == min(count, most)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_the_summary_against_plain_computations(clean: ChromeBins, summary: Summary) -> None:
    genes, signal = clean.genes, clean.signal.astype(np.float64)
    centre = clean.bin_starts + 250
    near = signal[:, :, np.abs(centre) < 5000].mean(axis=2)
    assert summary.labels == (int((genes.label == 1).sum()), int((genes.label == 0).sum()), 0)
    np.testing.assert_allclose(summary.mark_correlation, stats.spearmanr(near).statistic)
    for index, entry in enumerate(summary.marks):
        track = signal[:, index]
        assert entry.auc == pytest.approx(roc_auc_score(genes.label, near[:, index]))
        assert entry.expression_correlation == pytest.approx(
            stats.spearmanr(near[:, index], genes.expression).statistic
        )
        assert entry.empty_genes == (track.max(axis=1) == 0).mean()
        assert entry.nan_share == 0
        inner, outer = np.abs(centre) < 1000, np.abs(centre) >= 3000
        assert entry.tss_enrichment == pytest.approx(
            track[:, inner].mean() / track[:, outer].mean()
        )
        for bin_ in (0, 17, 39):
            assert summary.bin_correlation[index, bin_] == pytest.approx(
                stats.spearmanr(track[:, bin_], genes.expression).statistic
            )
        for profile, label in zip(summary.profiles, (1, 0), strict=True):
            chosen = track[genes.label == label]
            assert profile.n_genes == len(chosen)
            np.testing.assert_allclose(profile.marks[index].mean, chosen.mean(axis=0))
            np.testing.assert_allclose(profile.marks[index].error, stats.sem(chosen))


def test_the_heatmap_is_the_genes_sorted_by_expression(clean: ChromeBins, summary: Summary) -> None:
    assert (summary.heatmap.by, summary.heatmap.n_genes) == ("expression", 300)
    order = sorted(range(300), key=lambda gene: -clean.genes.expression[gene])
    assert len(summary.heatmap.level) == HEATMAP_ROWS
    for row in (0, 70, HEATMAP_ROWS - 1):
        pair = order[2 * row : 2 * row + 2]
        assert summary.heatmap.level[row] == pytest.approx(clean.genes.expression[pair].mean())
        for index in range(len(CORE)):
            np.testing.assert_allclose(
                summary.heatmap.signal[index][row], clean.signal[pair, index].mean(axis=0)
            )
    assert (np.diff(summary.heatmap.level) <= 0).all()


def test_genes_without_expression_are_left_out_of_the_heatmap(clean: ChromeBins) -> None:
    expression = clean.genes.expression.copy()
    expression[:100] = np.nan
    found = summarise(with_genes(clean, expression=expression), "a.h5")
    assert found.heatmap.n_genes == 200
    np.testing.assert_allclose(
        found.bin_correlation[0], spearman_by_bin(clean.signal[100:, 0], expression[100:])
    )


def test_without_expression_the_heatmap_goes_by_total_signal(clean: ChromeBins) -> None:
    found = summarise(unlabelled(clean), "a.h5")
    assert (found.heatmap.by, found.heatmap.n_genes) == ("total signal", 300)
    total = sum(clean.signal[:, mark].mean(axis=1) / clean.signal[:, mark].mean()
                for mark in range(5)) / 5  # fmt: skip
    assert found.heatmap.level[0] == pytest.approx(np.sort(total)[-2:].mean(), rel=1e-5)
    assert [profile.group for profile in found.profiles] == ["all"]
    assert np.isnan([entry.auc for entry in found.marks]).all()


def test_enrichment_has_no_answer_in_a_narrow_window_or_without_signal() -> None:
    assert np.isnan(tss_enrichment(np.ones(4), np.array([-300.0, -100, 100, 300])))
    assert np.isnan(tss_enrichment(np.zeros(4), np.array([-4000.0, -100, 100, 4000])))


# Where genes were lost ---------------------------------------------------------------------------


def steps(*counts: int, what: str = "step") -> str:
    return json.dumps({"genes": [{"n_genes": count, "what": what} for count in counts]})


@pytest.mark.parametrize(
    ("provenance", "n_genes", "expected"),
    [
        ([steps(9, 9, 4)], 4, [(9, 0), (9, 0), (4, 5)]),
        ([steps(9, 4)], 3, [(9, 0), (4, 5), (3, 1)]),
        ([steps(9), "{}"], 9, [(9, 0)]),
        ([steps(9), steps(8)], 8, [(8, 0)]),
        ([], 8, []),
        (["not json", "[]", '{"genes": 3}', '{"genes": [{"n_genes": "x"}, 1]}'], 8, []),
    ],
)
def test_losses(provenance: list[str], n_genes: int, expected: list[tuple[int, int]]) -> None:
    assert [(step.n_genes, step.lost) for step in losses(provenance, n_genes)] == expected


def test_a_remark_loses_no_gene() -> None:
    line = json.dumps({"genes": [{"n_genes": 20, "what": "genes as in a.h5"},
                                 {"n_genes": 15, "what": "of them known to it"}]})  # fmt: skip
    assert [step.lost for step in losses([line], 20)] == [0, 0]


@pytest.mark.parametrize(
    "line",
    ["", "3", "{}", '{"argv": 3, "versions": [], "inputs": "x"}', '{"inputs": {"a": 1}}'],
)
def test_a_record_of_another_shape_is_shown_as_far_as_it_goes(line: str) -> None:
    (command,) = commands([line])
    assert command.line == "a library call"


# Checks ------------------------------------------------------------------------------------------


def test_a_clean_file_has_no_findings(clean: ChromeBins) -> None:
    assert codes(clean) == []
    assert codes(clean_world(("H3K4me3", "H3K27ac", "H3K36me3", "Other"), seed=3)) == []


def _emptied(data: ChromeBins) -> ChromeBins:
    signal = data.signal.copy()
    signal[: int(0.85 * len(signal)), 4] = 0
    signal[:5, 4] = np.nan
    return with_signal(data, signal)


def _alike(data: ChromeBins, marks: tuple[int, ...]) -> ChromeBins:
    """Give low genes the tracks of high ones: an AUC of 0.5."""
    signal = data.signal.copy()
    high, low = np.flatnonzero(data.genes.label == 1), np.flatnonzero(data.genes.label == 0)
    for mark in marks:
        signal[low, mark] = signal[high[: len(low)], mark]
    return with_signal(data, signal)


def _renamed(data: ChromeBins, *marks: str) -> ChromeBins:
    return with_signal(data, data.signal, marks=list(marks))


def _twice(data: ChromeBins) -> ChromeBins:
    signal = data.signal.copy()
    signal[:, 1] = signal[:, 0]
    return with_signal(data, signal)


def _outside(data: ChromeBins) -> ChromeBins:
    beyond = np.zeros(len(data.genes), dtype=np.int32)
    beyond[: len(beyond) // 10] = 3
    return with_genes(data, bins_outside=beyond)


def _half_labelled(data: ChromeBins) -> ChromeBins:
    label = data.genes.label.copy()
    label[: len(label) // 3] = -1
    return with_genes(data, label=label)


BROKEN: list[tuple[str, Callable[[ChromeBins], ChromeBins], str]] = [
    ("no-signal", _emptied, "H3K9me3"),
    ("labels-unrelated", lambda data: _alike(data, (0, 1, 2, 3, 4)), "no mark"),
    ("no-difference", lambda data: _alike(data, (0,)), "H3K4me3"),
    ("wrong-direction",
     lambda data: _renamed(data, "H3K27me3", "H3K4me1", "H3K36me3", "H3K79me2", "H3K9me3"),
     "H3K79me2 is lower"),
    ("wrong-direction",
     lambda data: _renamed(data, "H3K27me3", "H3K4me1", "H3K36me3", "H3K4me3", "H3K9me3"),
     "H3K27me3 is higher in genes of high expression (AUC 0."),
    ("wrong-shape",
     lambda data: _renamed(data, "H3K36me3", "H3K4me1", "H3K4me3", "H3K27me3", "H3K9me3"),
     "H3K36me3 peaks at the TSS"),
    ("wrong-shape",
     lambda data: _renamed(unlabelled(data), "x", "H3K4me1", "H3K4me3", "H3K27me3", "H3K9me3"),
     "H3K4me3 has no peak at the TSS"),
    ("twins", _twice, "H3K4me3 and H3K4me1"),
    ("outside", _outside, "30 of 300 genes"),
    ("labels-missing", unlabelled, "no gene has a label"),
    ("labels-missing", _half_labelled, "33.3 %"),
    ("orientation",
     lambda data: replace(data, attributes=replace(data.attributes, orientation="genome")),
     "genome"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "breaking", "words"), BROKEN, ids=[f"{b[0]}-{i}" for i, b in enumerate(BROKEN)]
)
def test_each_check_fires(
    clean: ChromeBins, code: str, breaking: Callable[[ChromeBins], ChromeBins], words: str
) -> None:
    found = [entry for entry in findings(summarise(breaking(clean), "a.h5")) if entry.code == code]
    assert any(words in entry.message for entry in found), found


def test_every_check_has_a_case() -> None:
    assert {check.code for check in CHECKS} == {code for code, *_ in BROKEN}


def test_the_document_names_every_check(root: Path) -> None:
    text = (root / "docs" / "qc.md").read_text()
    named = re.findall(r"^\| `([a-z][a-z-]*)`(?: \(note\))? \|", text, re.MULTILINE)
    assert named == [check.code for check in CHECKS]


def test_one_mistake_is_said_once(clean: ChromeBins) -> None:
    """What one broken mark has no part in stays silent."""
    assert codes(_emptied(clean)) == ["no-signal"]
    assert codes(_twice(clean)) == ["twins"]
    assert codes(_alike(clean, (0, 1, 2, 3, 4))) == ["labels-unrelated"]
    assert codes(_outside(clean)) == ["outside"]
    assert codes(unlabelled(clean)) == ["labels-missing"]


def test_twins_of_one_fingerprint_are_one_file(clean: ChromeBins) -> None:
    data = _twice(clean)
    digest = np.array(["size=1 blake2b=00ff"] * 2 + ["", "", ""], dtype=object)
    same = replace(data, marks=replace(data.marks, fingerprint=digest))
    assert "are the same file" in findings(summarise(same, "a.h5"))[0].message
    assert "are the same file" not in findings(summarise(data, "a.h5"))[0].message


def test_few_genes_are_not_judged_by_auc(clean: ChromeBins) -> None:
    few = np.arange(60)
    data = replace(_renamed(clean, "H3K27me3", "H3K4me1", "H3K36me3", "H3K4me3", "H3K9me3"),
                   genes=clean.genes.take(few), signal=clean.signal[few])  # fmt: skip
    assert "wrong-direction" not in codes(data)


# The page ----------------------------------------------------------------------------------------

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Reads a page, and complains of tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.size = len(text.encode("utf-8", "replace"))
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def images(self) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag == "img"]

    @property
    def pictures(self) -> Iterator[str]:
        for attrs in self.images:
            kind, code = attrs["src"].split(",", 1)
            assert kind == "data:image/svg+xml;base64"
            yield base64.b64decode(code, validate=True).decode()


def read_page(data: ChromeBins, name: str = "a.h5") -> Reader:
    """Make the page of a file and check what every page must be."""
    summary = summarise(data, name)
    text = page(summary, findings(summary))
    reader = Reader(text)
    anchors = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(set(anchors)) == len(anchors)
    assert {"warnings", "profiles", "heatmap", "marks", "correlation", "bins", "expression",
            "genes", "made"} == set(anchors)  # fmt: skip
    for tag, attrs in reader.tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        for key in ("src", "href", "action", "srcset"):
            assert attrs.get(key, "#").startswith(("#", "data:"))
        if tag == "a":
            assert attrs["href"][1:] in anchors
        if tag == "img":
            assert len(attrs["alt"]) > 30
    assert "url(" not in text
    assert "@import" not in text
    for svg in reader.pictures:
        for element in ElementTree.fromstring(svg).iter():
            for key, value in element.attrib.items():
                if key.endswith("href"):
                    assert value.startswith(("#", "data:"))
                assert "url(" not in value or "url(#" in value
        assert "<metadata" not in svg
        assert "date" not in svg
    json.loads(multiqc_text(summary, findings(summary)))
    return reader


def test_the_page_of_a_clean_file(clean: ChromeBins) -> None:
    reader = read_page(clean, "E003.h5")
    assert len(reader.images) == 6
    for image in reader.images[:4]:
        assert all(mark in image["alt"] for mark in CORE)
    for said in (*CORE, "E003.h5", "hg19", "No warnings", "300 × 5 × 40", "TSS ±10,000 bp",
                 "chromeprep bin -o 'a b.h5'", "transferchrome 0.1", "genes.gtf", "size=1",
                 "H3K4me3.bam", "in all", "40", "150 high, 150 low"):  # fmt: skip
        assert said in reader.words, said
    for check in CHECKS:
        assert check.rule in reader.words


def test_a_page_is_the_same_every_time() -> None:
    import matplotlib as mpl

    data = clean_world(("H3K4me3", "H3K27me3"), n_genes=80)
    text = page(summarise(data, "a.h5"), [])
    with mpl.rc_context({"font.size": 30, "axes.grid": True}):  # the user's own settings
        assert page(summarise(data, "a.h5"), []) == text


@pytest.mark.parametrize(("n_marks", "n_bins"), [(1, 500), (12, 200)])
def test_any_number_of_marks(n_marks: int, n_bins: int) -> None:
    names = tuple(f"mark{number}" for number in range(n_marks))
    data = clean_world(names, n_genes=100, n_bins=n_bins)
    reader = read_page(data)
    assert all(name in reader.images[0]["alt"] for name in data.mark_names)
    assert reader.size < 3_000_000


def _single(data: ChromeBins, gene: int = 0) -> ChromeBins:
    rows = np.array([gene])
    return replace(data, genes=data.genes.take(rows), signal=data.signal[rows])


def _some_nan(data: ChromeBins) -> ChromeBins:
    signal = data.signal.copy()
    signal[np.random.default_rng(0).random(signal.shape) < 0.3] = np.nan
    signal[:, 0, :3] = np.nan  # bins without any value
    signal[7] = np.nan  # a gene without any
    return with_signal(data, signal)


def _wide(data: ChromeBins, n_bins: int) -> ChromeBins:
    parts = np.array_split(data.signal, n_bins, axis=2)
    signal = np.stack([part.mean(axis=2) for part in parts], axis=2)
    attributes = replace(data.attributes, bin_size_bp=20_000 // n_bins, n_bins=n_bins)
    return with_signal(data, signal, attributes=attributes)


ODD: dict[str, Callable[[ChromeBins], ChromeBins]] = {
    "no labels": unlabelled,
    "no labels, but expression": lambda data: with_genes(
        data, label=np.full(len(data.genes), -1, dtype=np.int8)
    ),
    "only one label": lambda data: with_genes(data, label=np.ones(len(data.genes), dtype=np.int8)),
    "one gene": _single,
    "one gene without expression": lambda data: unlabelled(_single(data)),
    "one gene without signal": lambda data: with_signal(_single(data), 0 * data.signal[:1]),
    "NaN": _some_nan,
    "nothing but NaN": lambda data: with_signal(data, np.full_like(data.signal, np.nan)),
    "nothing but 0": lambda data: with_signal(data, np.zeros_like(data.signal)),
    "below 0": lambda data: with_signal(data, data.signal - 1),
    "two bins": lambda data: _wide(data, 2),
    "expression below 0": lambda data: with_genes(data, expression=data.genes.expression - 5),
    "expression all 0": lambda data: with_genes(data, expression=0 * data.genes.expression),
    "huge expression": lambda data: with_genes(data, expression=1e9 * data.genes.expression),
    "no positions": lambda data: replace(
        with_genes(data, chrom=np.full(len(data.genes), "", dtype=object)), chromosomes={}
    ),
    "no provenance": lambda data: replace(data, provenance=()),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_files_have_a_page(odd: str) -> None:
    data = clean_world(("H3K4me3", "H3K27me3"), n_genes=80)
    reader = read_page(ODD[odd](data))
    assert all(mark in reader.words for mark in data.mark_names)


NASTY = '<script>alert("1")</script>&amp;\'--> $x_{y}$ \x01 \ud7ff 漢'


def test_strings_of_the_file_are_text_and_nothing_else() -> None:
    data = clean_world(("H3K4me3", NASTY), n_genes=20)
    text = np.full(2, NASTY, dtype=object)
    line = json.dumps({"date": NASTY, "argv": [NASTY], "versions": {NASTY: "\ud800"},
                       "inputs": {NASTY: {"path": NASTY, "fingerprint": NASTY}},
                       "genes": [{"n_genes": 20, "what": NASTY}]})  # fmt: skip
    data = replace(
        data,
        attributes=replace(data.attributes, cell_type=NASTY, assembly=NASTY, orientation=NASTY,
                           uncovered=NASTY, label_rule=NASTY, expression_source=NASTY),
        marks=replace(data.marks, units=text, source=text, count_rule=text, fingerprint=text),
        provenance=(line,),
    )  # fmt: skip
    reader = read_page(data, NASTY)
    assert reader.words.count('<script>alert("1")</script>') > 12
    assert not [tag for tag, _ in reader.tags if tag == "script"]


# MultiQC -----------------------------------------------------------------------------------------


def test_multiqc_gets_the_numbers(clean: ChromeBins, summary: Summary) -> None:
    found = findings(summary)
    document = json.loads(multiqc_text(summary, found))
    assert (document["id"], document["plot_type"]) == ("chromeprep_qc", "table")
    assert document["section_name"]
    assert list(document["data"]) == [f"E003 {mark}" for mark in CORE]
    row = document["data"]["E003 H3K4me1"]
    assert row["mean"] == pytest.approx(float(clean.signal[:, 1].mean()), rel=1e-6)
    assert row["empty_bins_percent"] == pytest.approx(100 * (clean.signal[:, 1] == 0).mean())
    assert row["auc"] == summary.marks[1].auc
    assert (row["n_mapped"], row["n_warnings"], row["n_genes"]) == (0, 0, 300)
    assert set(row) == set(document["headers"])
    # What is unknown is left out, and null for programs.
    assert "n_mapped" not in document["data"]["E003 H3K4me3"]
    told = mark_rows(summary)
    assert numbers(summary, found)["marks"] == told
    assert told["E003 H3K4me3"]["n_mapped"] is None
    for name, row in document["data"].items():
        assert row == {key: value for key, value in told[name].items() if value is not None}


# The command line --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qc") / "E003.h5"
    write_bins(path, clean_world(("H3K4me3", "H3K27me3")))
    return path


def test_the_installed_script(file: Path, tmp_path: Path) -> None:
    script = Path(sysconfig.get_path("scripts")) / "chromeprep"
    done = subprocess.run(
        [script, "qc", file, "-o", tmp_path / "QC.html"], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "2 marks, 300 genes" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["QC.html", "QC_mqc.json"]
    Reader((tmp_path / "QC.html").read_text())


def test_json_alone_draws_and_writes_nothing(
    chromeprep: Any, file: Path, tmp_path: Path, without_matplotlib: None
) -> None:
    done = chromeprep("qc", file, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["genes"] == 300
    assert told["findings"] == []
    assert list(told["marks"]) == ["E003 H3K4me3", "E003 H3K27me3"]
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_told_on_stderr(chromeprep: Any, clean: ChromeBins, tmp_path: Path) -> None:
    write_bins(tmp_path / "a.h5", _twice(clean))
    done = chromeprep("qc", tmp_path / "a.h5", "-o", tmp_path / "a.html", "--json")
    assert done.err.startswith("warning: H3K4me3 and H3K4me1 are nearly identical")
    assert json.loads(done.out)["findings"][0]["code"] == "twins"
    document = json.loads((tmp_path / "a_mqc.json").read_text())
    assert document["data"]["a H3K9me3"]["n_warnings"] == 1


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fake(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_without_matplotlib_the_way_out_is_told(
    chromeprep: Any, file: Path, tmp_path: Path, without_matplotlib: None
) -> None:
    done = chromeprep("qc", file, "-o", tmp_path / "a.html")
    assert done.code == 1
    assert "pip install 'transferchrome[plot]'" in done.err
    assert done.err.count("\n") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["QC.html", "QC_mqc.json"])
def test_nothing_is_overwritten_without_force(
    chromeprep: Any, file: Path, tmp_path: Path, taken: str
) -> None:
    (tmp_path / taken).write_text("precious")
    done = chromeprep("qc", file, "-o", tmp_path / "QC.html")
    assert (done.code, "exists already" in done.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"
    assert chromeprep("qc", file, "-o", tmp_path / "QC.html", "-f").code == 0
    assert "precious" not in (tmp_path / taken).read_text()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_input_is_never_replaced(chromeprep: Any, file: Path) -> None:
    before = file.read_bytes()
    done = chromeprep("qc", file, "-o", file, "-f")
    assert (done.code, "is one of the inputs" in done.err) == (1, True)
    assert file.read_bytes() == before


def test_a_failure_leaves_neither_file(
    chromeprep: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chromeprep.qc.write.os.fsync", full)
    done = chromeprep("qc", file, "-o", tmp_path / "QC.html")
    assert (done.code, "No space left" in done.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["qc"], 2, "Missing argument"),
        (["qc", "FILE"], 2, "give -o QC.html"),
        (["qc", "nowhere.h5", "--json"], 1, "no such file"),
        (["qc", "FILE", "-o", "nowhere/QC.html"], 1, "does not exist"),
        (["qc", "FILE", "-o", "."], 1, "is a folder"),
        (["qc", "FILE", "-o", "/", "-f"], 1, "is a folder"),
    ],
)
def test_bad_command_lines(
    chromeprep: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = chromeprep(*(str(file) if word == "FILE" else word for word in arguments))
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_files_without_an_answer_are_refused(clean: ChromeBins) -> None:
    none = np.array([], dtype=int)
    data = replace(clean, genes=clean.genes.take(none), signal=clean.signal[none])
    with pytest.raises(FormatError, match=r"a\.h5: holds no signal: .* 0 x 5 x 40"):
        summarise(data, "a.h5")
    with pytest.raises(FormatError, match="infinite"):
        summarise(replace(clean, signal=np.where(clean.signal > 2, np.inf, 0)), "a.h5")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['chromeprep', 'qc', '--help']\n"
        "from chromeprep.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'h5py', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_file_that_bin_made(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    assert chromeprep(*world.arguments("-o", out, "--expression", world.table)).code == 0
    done = chromeprep("qc", out, "-o", tmp_path / "a.html")
    assert done.code == 0, done.err
    reader = Reader((tmp_path / "a.html").read_text())
    assert "known to the expression table" in reader.words
    assert re.search(r"20 × 2 × 10", reader.words)


def test_the_simulated_world_is_clean(chromeprep: Any, tmp_path: Path) -> None:
    from chromeprep.simulate import SimulationConfig, simulate

    simulate(tmp_path / "w", SimulationConfig(1, 300, ("S01", "T01")))
    for cell_type in ("S01", "T01"):
        tracks = [
            part
            for path in sorted((tmp_path / "w").glob(f"{cell_type}-*.b*[mw]"))
            for part in (f"--{'bam' if path.suffix == '.bam' else 'bigwig'}", path)
        ]
        out = tmp_path / f"{cell_type}.h5"
        done = chromeprep(
            "bin", *tracks, "--gtf", tmp_path / "w" / "annotation.gtf.gz", "--expression",
            tmp_path / "w" / "rpkm.tsv.gz", "--cell-type", cell_type, "-o", out,
        )  # fmt: skip
        assert done.code == 0, done.err
        told = json.loads(chromeprep("qc", out, "--json").out)
        assert told["findings"] == []
        assert len(told["marks"]) == 5


@pytest.mark.slow
def test_real_tracks_are_clean(chromeprep: Any, real_data: Path, tmp_path: Path) -> None:
    """Nothing fires on published tracks."""
    marks = ("H3K4me3", "H3K36me3", "H3K27me3")
    tracks = [
        part
        for mark in marks
        for part in (
            "--bigwig",
            f"{mark}={real_data}/bigwig/genomewide/E116-{mark}.calls200bp.hg19.bw",
        )
    ]
    out = tmp_path / "E116.h5"
    done = chromeprep(
        "bin", *tracks, "--gtf", real_data / "annotation" / "gencode_10_genes.gtf.gz",
        "--expression", real_data / "roadmap" / "57epigenomes.RPKM.pc.gz", "--cell-type", "E116",
        "--bin-size", 500, "-o", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads(chromeprep("qc", out, "--json").out)
    assert told["findings"] == []
    assert told["marks"]["E116 H3K4me3"]["auc"] == pytest.approx(0.90, abs=0.01)
