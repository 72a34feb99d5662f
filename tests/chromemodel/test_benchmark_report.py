"""Do tables, sentences and figures of a benchmark say what its rows say?"""

from __future__ import annotations

import builtins
import csv
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromemodel.benchmark.cells import escaped, number
from chromemodel.benchmark.figures import MOST_APART, MOST_LINES, draw, ordered
from chromemodel.benchmark.findings import findings
from chromemodel.benchmark.panels import Spoken
from chromemodel.benchmark.published import UNCONFIRMED, published
from chromemodel.benchmark.report import write_report
from chromemodel.benchmark.rows import Failure, Row
from chromemodel.benchmark.series import collect
from chromemodel.benchmark.spec import NINE, BenchmarkSpec, CellType, PanelFile
from chromemodel.benchmark.summaries import Summary, summarise
from chromemodel.benchmark.tables import table_md, table_tsv
from chromemodel.models import MODELS
from chromemodel.style import render
from chromeprep.errors import OutputError

PNG = b"\x89PNG\r\n"


def spec_of(*models: str, cells: str = "AB", **kwargs: Any) -> BenchmarkSpec:
    names = [CellType(name, f"/data/{name}.h5") for name in cells]
    kwargs = {"protocol": "within", "seeds": (0, 1)} | kwargs
    return BenchmarkSpec(models=models, cell_types=tuple(names), **kwargs)


def rows_of(
    model: str,
    target: str,
    seed: int,
    auroc: float,
    *,
    method: str = "within",
    test_set: str = "own",
    subset: str = "all",
    seconds: float = 10.0,
    same: float | None = None,
) -> Iterator[Row]:
    values = {"auroc": auroc, "auprc": 0.5 + auroc / 4, "accuracy": auroc / 2, "f1": auroc / 4}
    values |= {} if same is None else {"label_agreement": same}
    source = "S" if method in ("uncross", "cross", "lookup") else target
    for metric, value in values.items():
        yield Row(
            model,
            method,
            source,
            target,
            "thirds",
            seed,
            test_set,
            subset,
            100,
            metric,
            value,
            seconds,
        )


def line(
    summaries: list[Summary],
    model: str,
    method: str = "within",
    test_set: str = "own",
    subset: str = "all",
) -> Any:
    found = [one for one in summaries if one.series[:3] == (model, method, test_set)]
    found = [one for one in found if one.series.subset == subset]
    assert len(found) == 1
    return found[0]


# Two cell types and two seeds; all numbers are exact in binary.
WITHIN = [
    *rows_of("deepchrome", "A", 0, 0.75),
    *rows_of("deepchrome", "A", 1, 0.875, seconds=30.0),
    *rows_of("deepchrome", "B", 0, 0.5),
    *rows_of("deepchrome", "B", 1, 0.5),
    *rows_of("logistic", "A", 0, 0.8125),
    *rows_of("logistic", "A", 1, 0.75),
    *rows_of("logistic", "B", 0, 0.5),
    *rows_of("logistic", "B", 1, 0.625),
]
SPEC = spec_of("deepchrome", "logistic")


def cross_rows() -> list[Row]:
    offsets = {("deepchrome", "origin"): 0, ("deepchrome", "uncross"): -0.125,
               ("deepchrome", "cross"): -0.0625, ("logistic", "origin"): 0.03125,
               ("logistic", "uncross"): 0.0}  # fmt: skip
    rows = []
    for target, seed, test_set, subset in itertools.product(
        "AB", (0, 1), ("own", "common"), ("all", "differs")
    ):
        base = 0.75 + 0.0625 * (target == "B") + 0.03125 * seed - 0.5 * (subset == "differs")
        for (model, method), offset in offsets.items():
            more = 0.25 * offset * (test_set == "common")
            rows += rows_of(
                model,
                target,
                seed,
                base + offset + more,
                method=method,
                test_set=test_set,
                subset=subset,
                same=0.875,
            )
        rows += rows_of(
            "source expression",
            target,
            seed,
            0.75 if subset == "all" else 0.125,
            method="lookup",
            test_set=test_set,
            subset=subset,
            same=0.875,
        )
    return rows


CROSS = spec_of("deepchrome", "logistic", cells="SAB", protocol="cross", source="S")


def test_the_numbers_of_a_line() -> None:
    one = line(summarise(SPEC, WITHIN, []), "deepchrome")
    # Seeds first: A 0.8125, B 0.5.
    assert (one.low, one.mean, one.high, one.median) == (0.5, 0.65625, 0.8125, 0.65625)
    assert (one.auprc, one.accuracy, one.f1) == (0.6640625, 0.328125, 0.1640625)
    # The mean over cell types is 0.625 with one seed and 0.6875 with the other.
    assert one.seed_sd == pytest.approx(0.0625 / math.sqrt(2))
    assert one.seconds == 15.0
    assert (one.status, one.cell_types_asked, one.runs_asked, one.failed) == ("complete", 2, 4, 0)


def test_cell_types_count_alike_however_many_seeds_they_have() -> None:
    rows = [row for row in WITHIN if (row.target, row.seed) != ("B", 1)]
    one = line(summarise(SPEC, rows, []), "deepchrome")
    assert one.mean == (0.8125 + 0.5) / 2
    # Only A has both seeds: 0.75 and 0.875.
    assert one.seed_sd == pytest.approx(0.125 / math.sqrt(2))
    assert (one.status, len(one.series.runs)) == ("incomplete", 3)
    assert "3 of 4" in table_md(SPEC, summarise(SPEC, rows, []))


def test_the_median_is_not_the_mean() -> None:
    spec = spec_of("logistic", cells="ABC", seeds=(0,))
    aurocs = zip("ABC", (0.5, 0.625, 1.0), strict=True)
    rows = [row for cell, auroc in aurocs for row in rows_of("logistic", cell, 0, auroc)]
    one = line(summarise(spec, rows, []), "logistic")
    assert (one.low, one.median, one.high) == (0.5, 0.625, 1.0)
    assert one.mean == pytest.approx(2.125 / 3)


def test_pairs_against_the_first_model() -> None:
    summaries = summarise(SPEC, WITHIN, [])
    one = line(summaries, "logistic")
    # Differences: 0.0625, -0.125, 0, 0.125.
    assert one.pairs == (4, 0.015625, 2, 1)
    assert line(summaries, "deepchrome").against is None
    table = table_md(SPEC, summaries)
    assert "| +0.0156 | 2 of 4, 1 equal |" in table
    # A missing run takes its pair away, and nothing else.
    fewer = [row for row in WITHIN if row[:1] + row[3:4] + row[5:6] != ("deepchrome", "A", 1)]
    assert line(summarise(SPEC, fewer, []), "logistic").pairs == (3, 0.0625, 2, 1)


def test_one_cell_type_and_one_seed() -> None:
    spec = spec_of("deepchrome", cells="A", seeds=(0,))
    one = line(summarise(spec, WITHIN, []), "deepchrome")
    assert one.low == one.mean == one.high == one.median == 0.75
    assert math.isnan(one.seed_sd)
    assert one.status == "complete"
    assert any("One seed" in text for text in findings(spec, [one]))


def test_drops_are_against_the_same_model_and_set() -> None:
    summaries = summarise(CROSS, cross_rows(), [])
    drops = {one.series[:3]: one.drop for one in summaries if not math.isnan(one.drop)}
    assert drops == {
        ("deepchrome", "uncross", "own"): 12.5,
        ("deepchrome", "cross", "own"): 6.25,
        ("logistic", "uncross", "own"): 3.125,
        ("deepchrome", "uncross", "common"): 15.625,
        ("deepchrome", "cross", "common"): 7.8125,
        ("logistic", "uncross", "common"): 3.90625,
    }
    # What is not in both is left out of the drop: without origin on B, A alone counts.
    fewer = [
        row for row in cross_rows() if (row.method, row.target) != ("origin", "B") or row.seed == 1
    ]
    assert line(summarise(CROSS, fewer, []), "deepchrome", "uncross").drop == 12.5


def test_drops_average_seeds_before_cell_types() -> None:
    spec = spec_of("deepchrome", cells="SAB", protocol="cross", source="S")
    rows = [row for name in "AB" for seed in (0, 1)
            for row in rows_of("deepchrome", name, seed, 0.75, method="origin")]  # fmt: skip
    rows += rows_of("deepchrome", "A", 0, 0.625, method="uncross")
    rows += rows_of("deepchrome", "A", 1, 0.625, method="uncross")
    rows += rows_of("deepchrome", "B", 0, 0.5, method="uncross")
    assert line(summarise(spec, rows, []), "deepchrome", "uncross").drop == 18.75


def test_which_lines_there_are_in_cross() -> None:
    summaries = summarise(CROSS, cross_rows(), [])
    own = [
        one.series[:2]
        for one in summaries
        if (one.series.test_set, one.series.subset) == ("own", "all")
    ]
    # What scikit-learn fits is not adapted, and not said to be missing.
    assert own == [
        ("deepchrome", "origin"), ("deepchrome", "uncross"), ("deepchrome", "cross"),
        ("logistic", "origin"), ("logistic", "uncross"), ("source expression", "lookup"),
    ]  # fmt: skip
    assert {one.status for one in summaries} == {"complete"}
    assert all(one.cell_types_asked == 2 for one in summaries)
    lookup = line(summaries, "source expression", "lookup")
    assert lookup.against is not None
    assert lookup.against[:2] == ("deepchrome", "cross")


def test_a_model_without_runs_is_listed(tmp_path: Path) -> None:
    spec = spec_of("deepchrome", "tcn", "crnn", "logistic")
    failures = [
        Failure("tcn/A/seed-0", "tcn", "within", "A", "A", 0, "RunError: a | b"),
        Failure("tcn/B/seed-0", "tcn", "within", "B", "B", 0, "diverged"),
    ]
    summaries = summarise(spec, WITHIN, failures)
    assert (line(summaries, "tcn").status, line(summaries, "tcn").failed) == ("failed", 2)
    assert line(summaries, "crnn").status == "not run"
    write_report(tmp_path, spec, WITHIN, failures)
    text = (tmp_path / "README.md").read_text()
    assert "| 0 of 4: failed |" in text
    assert "- `tcn`: 0 of 4 runs (failed)" in text
    assert "| tcn | within | A | 0 | RunError: a \\| b | runs/tcn/A/seed-0.log |" in text
    assert "Not all runs are there" in text
    lines = (tmp_path / "table.tsv").read_text().splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [row["status"] for row in rows] == ["complete", "failed", "not run", "complete"]
    assert rows[1]["auroc_mean"] == ""


def test_a_failed_adaptation_is_the_failure_of_both() -> None:
    failure = Failure("k", "deepchrome", "cross", "S", "A", 0, "no")
    rows = [row for row in cross_rows() if row.method == "origin"]
    summaries = summarise(CROSS, rows, [failure])
    assert line(summaries, "deepchrome", "uncross").status == "failed"
    assert line(summaries, "deepchrome", "cross").status == "failed"
    assert line(summaries, "deepchrome", "origin").failed == 0


def test_what_is_missing_is_said_once(tmp_path: Path) -> None:
    rows = [row for row in cross_rows() if row.method != "cross"]
    rows = [row for row in rows if (row.model, row.test_set) != ("logistic", "common")]
    write_report(tmp_path, replace(CROSS, overrides={"batch_size": 32}), rows, [])
    text = (tmp_path / "README.md").read_text()
    assert [one for one in text.splitlines() if one.endswith("(not run)")] == [
        "- `deepchrome, cross`: 0 of 4 runs (not run)",
        "- `logistic, origin` on common genes: 0 of 4 runs (not run)",
        "- `logistic, uncross` on common genes: 0 of 4 runs (not run)",
    ]
    assert "but for all deep models `--batch-size 32`" in text


def test_nothing_has_run(tmp_path: Path) -> None:
    failures = [Failure("k", "deepchrome", "within", "A", "A", 0, "no")] * 40
    written = write_report(tmp_path, SPEC, [], failures)
    assert not [path for path in written if path.name.startswith("figure")]
    text = (tmp_path / "README.md").read_text()
    assert "No run has finished" in text
    assert "And 10 more." in text
    assert "No figure" in text


def test_rows_of_other_cell_types_and_seeds_are_left_out() -> None:
    more = [*rows_of("deepchrome", "C", 0, 1.0), *rows_of("deepchrome", "A", 7, 1.0)]
    assert summarise(SPEC, [*WITHIN, *more], []) == summarise(SPEC, WITHIN, [])


def test_a_score_that_is_no_number_is_no_run() -> None:
    rows = [row for row in WITHIN if row.model == "deepchrome"]
    rows = [row._replace(value=math.nan) if row.target == "B" else row for row in rows]
    one = line(summarise(SPEC, rows, []), "deepchrome")
    assert (one.mean, len(one.series.runs), one.status) == (0.8125, 2, "incomplete")


@pytest.mark.parametrize(
    ("model", "method", "words"),
    [
        ("transferchrome", "within", "0.8479"),
        ("transferchrome", "origin", "0.8479"),
        ("transferchrome", "uncross", "2.9 points"),
        ("transferchrome", "cross", "1.5 points"),
        ("deepchrome", "uncross", "2.6 points"),
        ("convchrome.cnn1d", "uncross", "2.9 points"),
        ("attentivechrome.lstm_alpha", "within", UNCONFIRMED),
    ],
)
def test_published_numbers(model: str, method: str, words: str) -> None:
    assert words in published(model, method)
    assert (UNCONFIRMED in published(model, method)) == (words == UNCONFIRMED)


def test_published_numbers_stand_with_their_note() -> None:
    summaries = summarise(SPEC, WITHIN, [])
    assert "mean AUC 0.80, 56 cell types (Singh et al. 2016)" in table_md(SPEC, summaries)
    assert "not comparable" in table_md(SPEC, summaries)
    plain = spec_of("logistic")
    assert "published" not in table_md(plain, summarise(plain, WITHIN, []))
    # Papers score each protocol's own genes.
    lines = table_tsv(CROSS, summarise(CROSS, cross_rows(), [])).splitlines()
    assert [text.split("\t")[2] for text in lines if "et al." in text] == ["own", "own"]


GOLDEN = """\
| model | min | mean | max | median | sd of seeds | AUPRC | accuracy | F1 | cell types | seeds \
| runs | s a run | difference | pairs won | published |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| deepchrome | 0.5000 | 0.6562 | 0.8125 | 0.6562 | 0.0442 | 0.6641 | 0.3281 | 0.1641 | 2 of 2 \
| 2 of 2 | 4 of 4 | 15 |  |  | mean AUC 0.80, 56 cell types (Singh et al. 2016) |
| logistic | 0.5625 | 0.6719 | 0.7812 | 0.6719 | 0.0221 | 0.6680 | 0.3359 | 0.1680 | 2 of 2 \
| 2 of 2 | 4 of 4 | 10 | +0.0156 | 2 of 4, 1 equal |  |

- min, mean, max, median: AUROC over cell types, each cell type's being the mean over its seeds. \
AUPRC, accuracy and F1 are means likewise.
- sd of seeds: standard deviation over seeds (n − 1) of the mean AUROC over the cell types that \
have all seeds; a seed draws the split, the first weights and the order of genes.
- difference, pairs won: AUROC against `deepchrome`, on the same cell type and seed: the mean \
difference, and how often it is higher.
- published: what a paper reports. These numbers are of other counts, genes and splits, and are \
not comparable with the columns beside them, nor with each other.
"""


def test_table_md_as_a_whole(tmp_path: Path) -> None:
    write_report(tmp_path, SPEC, WITHIN, [])
    assert (tmp_path / "table.md").read_text() == GOLDEN
    assert GOLDEN in (tmp_path / "README.md").read_text()


def test_by_cell_type(tmp_path: Path) -> None:
    write_report(tmp_path, SPEC, WITHIN, [])
    assert (tmp_path / "by_cell_type.md").read_text().splitlines()[:4] == [
        "| AUROC | deepchrome | logistic |",
        "|---|---:|---:|",
        "| A | 0.8125 ± 0.0884 | 0.7812 ± 0.0442 |",
        "| B | 0.5000 ± 0.0000 | 0.5625 ± 0.0884 |",
    ]
    lines = (tmp_path / "by_cell_type.tsv").read_text().splitlines()
    assert lines[1].split("\t") == [
        "deepchrome", "within", "own", "all", "A", "2", "100.0", "0.812500", "0.088388", "0.703125",
        "0.406250", "0.203125", "",
    ]  # fmt: skip
    assert len(lines) == 5


def test_sentences_are_computed_from_the_numbers() -> None:
    told = " ".join(findings(SPEC, summarise(SPEC, WITHIN, [])))
    assert (
        "The simple model `logistic` beats `deepchrome` in 2 of 4 pairs, equal in 1 (mean "
        "difference +0.0156)." in told
    )
    assert "`logistic`, 0.6719 over 2 cell types" in told
    told = " ".join(findings(CROSS, summarise(CROSS, cross_rows(), [])))
    assert (
        "`logistic, uncross` beats `deepchrome, cross` in 4 of 4 pairs (mean difference +0.0625)"
        in told
    )
    assert "Adapting (`dann`) beats not adapting for `deepchrome` in 4 of 4 pairs" in told
    assert (
        "looking up `source expression` beats `deepchrome, cross` in 2 of 4 pairs, equal in 1"
        in told
    )
    assert "origin" not in told
    assert "Not all runs" not in told


def test_the_readme_says_what_was_seen(tmp_path: Path) -> None:
    write_report(tmp_path, replace(CROSS, max_epochs=20), cross_rows(), [])
    text = (tmp_path / "README.md").read_text()
    assert "**Source**: `S`. **Targets**: 2" in text
    assert "transductive" in text
    assert "labels in the source were trained on" in text
    assert "**capped at 20 epochs**, where the recipe has more: `deepchrome` 100;" in text
    assert "but its marks are scaled by all of its genes" in text
    assert "has a part in that" in text
    assert "Every run that was asked for is there." in text
    write_report(tmp_path, replace(CROSS, normalise="training"), cross_rows(), [])
    assert "marks are scaled by all" not in (tmp_path / "README.md").read_text()
    write_report(tmp_path, replace(SPEC, normalise="training", split="published"), WITHIN, [])
    text = (tmp_path / "README.md").read_text()
    assert "has a part in that" not in text
    assert "the split is fixed" in text
    assert "transductive" not in text


PANEL = PanelFile("/data/panel.h5", "1", tuple("ABPQRS"), ("P",))
BOTH = replace(SPEC, panel=PANEL)
SPOKEN = [
    Spoken("A", "A", tuple("BQRS"), tuple("PA")),
    Spoken("B", "B", tuple("AQRS"), tuple("PB"), ("B",)),
]


def panel_rows() -> list[Row]:
    """WITHIN, with a panel: both are 0.0625 above the marks, and all is less where genes vary."""
    rows = []
    for row in WITHIN:
        if row.metric == "auroc":
            for subset, less in (("all", 0), ("variable", 0.25)):
                for name, more in (("", 0), (" + panel", 0.0625)):
                    value = row.value + more - less
                    rows += rows_of(row.model + name, row.target, row.seed, value, subset=subset)
    for target, seed, subset in itertools.product("AB", (0, 1), ("all", "variable")):
        value = 0.625 if subset == "all" else 0.5
        rows += rows_of("panel mean", target, seed, value, method="lookup", subset=subset)
    return rows


def test_a_panel_has_lines_of_its_own() -> None:
    summaries = summarise(BOTH, panel_rows(), [])
    names = [one.series[0] for one in summaries]
    five = [
        "deepchrome", "deepchrome + panel", "logistic", "logistic + panel", "panel mean",
    ]  # fmt: skip
    assert names == five * 2
    assert {one.status for one in summaries} == {"complete"}
    both = line(summaries, "logistic + panel")
    assert both.against is not None
    assert both.against.model == "logistic"
    assert both.pairs == (4, 0.0625, 4, 0)
    lookup = line(summaries, "panel mean", "lookup", subset="variable")
    assert lookup.against is not None
    assert (lookup.against.model, lookup.against.subset) == ("deepchrome", "variable")
    # 0.5 against 0.5, 0.625, 0.25 and 0.25.
    assert lookup.pairs == (4, 0.09375, 2, 1)
    failure = Failure("k", "logistic", "within", "A", "A", 0, "no")
    assert line(summarise(BOTH, [], [failure]), "logistic + panel").status == "failed"


def test_tables_and_sentences_of_a_panel(tmp_path: Path) -> None:
    write_report(tmp_path, BOTH, panel_rows(), [], SPOKEN)
    text = (tmp_path / "README.md").read_text()
    table = """\
| model | all genes | variable in the panel | genes: variable in the panel |
|---|---:|---:|---:|
| deepchrome | 0.6562 | 0.4062 | 100 |
| deepchrome + panel | 0.7188 | 0.4688 | 100 |
| logistic | 0.6719 | 0.4219 | 100 |
| logistic + panel | 0.7344 | 0.4844 | 100 |
| panel mean | 0.6250 | 0.5000 | 100 |
"""
    assert table in text
    assert "with the panel beside it: `logistic + panel`, 0.7344 over 2 cell types" in text
    assert "beat the marks alone: `deepchrome + panel` in 4 of 4 pairs" in text
    assert "beat the panel alone (`panel mean`): `deepchrome + panel` in 2 of 4 pairs" in text
    assert (
        "Highest mean AUROC where genes are variable in the panel: lookup of panel mean 0.5000, "
        "marks and panel (`logistic + panel`) 0.4844, marks (`logistic`) 0.4219." in text
    )
    # A model with a panel is not taken for a simple one.
    assert "The simple model `logistic` beats `deepchrome` in 2 of 4 pairs" in text
    assert "`/data/panel.h5`, 6 cell types: A, B, P, Q, R, S." in text
    assert "cell types of its own files, and P, and what is nearly the same" in text
    assert "| A | A, P | 4 |" in text
    assert "**The panel names no `B`.**" in text
    kept = replace(BOTH, panel=replace(PANEL, relatives=False, leave_out=()))
    write_report(tmp_path, kept, [], [], [])
    text = (tmp_path / "README.md").read_text()
    assert "was **kept** (`--panel-keep-like`)" in text
    assert "none has spoken" in text
    write_report(tmp_path, SPEC, WITHIN, [])
    assert "panel" not in (tmp_path / "README.md").read_text()


def test_subsets_and_equal_labels_of_cross(tmp_path: Path) -> None:
    rows = [
        row._replace(value=0.75) if (row.target, row.metric) == ("A", "label_agreement") else row
        for row in cross_rows()
    ]
    write_report(tmp_path, CROSS, rows, [])
    text = (tmp_path / "README.md").read_text()
    assert "75.0% to 87.5% of the test genes of `uncross` have the label that they have in `S`" in (
        text
    )
    assert "Highest mean AUROC where the label differs from the source: marks (`logistic, " in text
    assert "| source expression | lookup | 0.7500 | 0.1250 | 100 |" in text
    header = "| model | method | min | mean | max | median | drop | same label |"
    assert text.count(header) == 2
    lines = (tmp_path / "by_cell_type.md").read_text().splitlines()
    assert lines[0].endswith("| source expression, lookup | same label |")
    assert sorted(one[-9:-2] for one in lines if one[:4] in ("| A ", "| B ")) == [
        " 0.7500", " 0.7500", " 0.8750", " 0.8750",
    ]  # fmt: skip


def test_a_panel_in_figures() -> None:
    def legends(figure: Any) -> tuple[str, list[str]]:
        (legend,) = figure.legends
        return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]

    title, labels = legends(draw(BOTH, summarise(BOTH, panel_rows(), [])))
    assert title.endswith("hollow: with the panel")
    assert labels == ["deepchrome (0.656)", "logistic (0.672)", "lookup: panel mean (0.625)"]
    title, _ = legends(draw(SPEC, summarise(SPEC, WITHIN, [])))
    assert "hollow" not in title
    # Of one cell type each has a row.
    one = replace(BOTH, cell_types=BOTH.cell_types[:1])
    figure = draw(one, summarise(one, panel_rows(), []))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "lookup: panel mean", "logistic", "deepchrome", "logistic + panel", "deepchrome + panel",
    ]  # fmt: skip
    spec = replace(CROSS, panel=PANEL)
    rows = cross_rows()
    rows += [
        row._replace(model="panel mean" if row.method == "lookup" else f"{row.model} + panel")
        for row in rows
    ]
    title, labels = legends(draw(spec, summarise(spec, rows, [])))
    assert title.endswith("hollow: with the panel")
    assert labels == [
        "origin", "uncross", "cross", "lookup: panel mean", "lookup: source expression",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [(SPEC, WITHIN), (CROSS, cross_rows()), (BOTH, panel_rows())],
    ids=["within", "cross", "panel"],
)
def test_the_same_rows_give_the_same_bytes(
    tmp_path: Path, case: tuple[BenchmarkSpec, list[Row]]
) -> None:
    spec, rows = case
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    failures = [Failure(f"k{seed}", "logistic", "within", "A", "A", seed, "no") for seed in (0, 1)]
    names = [path.name for path in write_report(folders[0], spec, rows, failures)]
    mixed = rows[:]
    random.Random(3).shuffle(mixed)
    write_report(folders[1], spec, mixed, failures[::-1])
    assert names[0] == "README.md"
    assert sorted(names) == sorted(path.name for path in folders[0].iterdir())
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    svg = (folders[0] / "figure.svg").read_text()
    assert "<dc:date>" not in svg
    assert (folders[0] / "figure.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("cells", [1, 3, 9, MOST_APART + 8])
@pytest.mark.parametrize("models", [2, MOST_LINES + 3])
@pytest.mark.parametrize("protocol", ["within", "cross", "architecture"])
def test_a_figure_for_any_number_of_cell_types_and_models(
    cells: int, models: int, protocol: str
) -> None:
    names = [f"C{index}" for index in range(cells)]
    chosen = MODELS.names()[:models]
    spec = BenchmarkSpec(
        protocol=protocol,  # type: ignore[arg-type]
        models=tuple(chosen),
        cell_types=tuple(CellType(name, name) for name in [*names, "S"]),
        seeds=(0, 1),
        source="S",
    )
    methods = ("origin", "uncross", "cross") if protocol == "cross" else ("within",)
    rows = [
        row._replace(value=0.6 + random.Random(repr(row)).random() / 4)
        for model, method, name, seed in itertools.product(chosen, methods, names, (0, 1))
        for row in rows_of(model, name, seed, 0.5, method=method)
    ]
    figure = draw(spec, summarise(spec, rows, []))
    width, height = figure.get_size_inches()
    assert width <= 12.0
    if protocol == "cross":
        assert [axes.get_title("left") or axes.get_title() for axes in figure.axes] == chosen
        assert height < 26
    else:
        assert len(figure.axes) == 1
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert (labels[0] in chosen) == (models > MOST_LINES or cells == 1)


def test_cell_types_are_ordered_by_the_first_model() -> None:
    everything = collect(SPEC, [*rows_of("deepchrome", "B", 0, 0.9), *WITHIN[:8]])
    assert ordered(SPEC, everything) == ["B", "A"]
    # Those that it lacks come last; the paper's nine keep their order.
    everything = collect(SPEC, [row for row in WITHIN if row[:4:3] != ("deepchrome", "A")])
    assert ordered(SPEC, everything) == ["B", "A"]
    nine = BenchmarkSpec("positions", ("deepchrome",), tuple(CellType(n, n) for n in NINE))
    rows = [row for i, n in enumerate(NINE) for row in rows_of("deepchrome", n, 0, 0.5 + i / 20)]
    assert ordered(nine, collect(nine, rows)) == list(NINE)


def test_names_cannot_break_anything(tmp_path: Path) -> None:
    odd = "a|b\t$c_\n{}<&>" + "x" * 60
    spec = BenchmarkSpec(
        "within", ("deepchrome", "logistic"), (CellType(odd, "/x|y.h5"), CellType("B", "/b.h5")),
        (0, 1),
    )  # fmt: skip
    rows = [row._replace(target=odd) if row.target == "A" else row for row in WITHIN]
    write_report(tmp_path, spec, rows, [])
    lines = (tmp_path / "by_cell_type.tsv").read_text().splitlines()
    table = list(csv.reader(lines, delimiter="\t"))
    assert {len(row) for row in table} == {13}
    text = (tmp_path / "by_cell_type.md").read_text()
    assert "| a\\|b $c_ {}<&>" in text


def test_without_matplotlib_there_is_a_report_and_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_report(tmp_path, SPEC, WITHIN, [])
    real = builtins.__import__

    def fake(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", fake)
    written = write_report(tmp_path, SPEC, WITHIN, [])
    assert "pip install 'transferchrome[plot]'" in caplog.text
    # A figure of other numbers does not stay beside the new table.
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in written)
    assert "figure.png" not in (tmp_path / "README.md").read_text()


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "table.md").mkdir()
    with pytest.raises(OutputError, match=r"table\.md"):
        write_report(tmp_path, SPEC, WITHIN, [])


def test_drawing_leaves_settings_as_they_are() -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 23.0, "axes.facecolor": "red"}):
        summaries = summarise(SPEC, WITHIN, [])
        changed = render(lambda: draw(SPEC, summaries), "svg")
        assert mpl.rcParams["font.size"] == 23.0
    assert changed == render(lambda: draw(SPEC, summaries), "svg")


SHARES = st.floats(0.25, 1.0, width=32)


@given(
    aurocs=st.dictionaries(
        st.tuples(st.sampled_from(["deepchrome", "logistic"]), st.sampled_from("AB"),
                  st.sampled_from([0, 1])),
        SHARES,
    ),
    order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_whatever_the_rows(aurocs: dict[tuple[str, str, int], float], order: random.Random) -> None:
    rows = [row for key, auroc in aurocs.items() for row in rows_of(*key, auroc)]
    summaries = summarise(SPEC, rows, [])
    for one in summaries:
        if one.series.runs:
            assert one.low <= one.median <= one.high
            assert one.low - 1e-12 <= one.mean <= one.high + 1e-12
        assert one.pairs.won + one.pairs.tied <= one.pairs.total
        assert len(one.series.runs) == sum(key[0] == one.series.model for key in aurocs)
    mixed = rows[:]
    order.shuffle(mixed)
    assert table_tsv(SPEC, summarise(SPEC, mixed, [])) == table_tsv(SPEC, summaries)
    assert findings(SPEC, summarise(SPEC, mixed, [])) == findings(SPEC, summaries)


@given(st.floats(-2, 2), st.integers(0, 6), st.booleans())
def test_numbers_never_show_a_negative_nought(value: float, digits: int, signed: bool) -> None:
    text = number(value, digits, signed=signed)
    assert math.isclose(float(text.replace("−", "-")), value, abs_tol=0.51 * 10**-digits)
    assert not (text.startswith("−") and float(text[1:]) == 0)


@given(st.text())
def test_text_of_a_cell_is_one_line_without_bare_bars(text: str) -> None:
    shown = escaped(text)
    assert "|" not in shown.replace("\\|", "")
    assert len(shown.splitlines()) <= 1
