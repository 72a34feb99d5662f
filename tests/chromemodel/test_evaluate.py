"""What stands beside a score: lookup, subsets, what the run has seen, intervals, the figure."""

from __future__ import annotations

import builtins
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromemodel.adapt.protocol import Adapted, adapt_model
from chromemodel.cli._report import bounds, score_table
from chromemodel.config import Split, TrainConfig
from chromemodel.data.splits import split_genes, split_target
from chromemodel.evaluate.lookup import label_agreement, match_genes, source_expression
from chromemodel.evaluate.metrics import Interval, Metrics, Score, binary_metrics, call
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.evaluate.subsets import gene_subsets, variable_in
from chromemodel.train.single import train_model
from chromeprep.format import ChromeBins, GeneTable, Panel, read_bins, write_panel

Cli = Callable[..., subprocess.CompletedProcess[str]]
MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
LOOKUP = "source expression (no model)"


def genes(ids: list[str], expression: list[float] | None = None, **columns: Any) -> GeneTable:
    n = len(ids)
    return GeneTable.build(
        ids, ["1"] * n, [0] * n, [1] * n, ["+"] * n, expression=expression, **columns
    )


@pytest.fixture
def adapted(make_file: MakeFile, tmp_path: Path, quick: TrainConfig) -> Adapted:
    source, target = make_file("s.h5"), make_file("t.h5", seed=1, cell_type="B")
    return adapt_model(
        source, target, tmp_path / "run", recipe="paper", options=SMALL,
        training=replace(quick, epochs=1), baseline=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "expression", [[1, 2, 3, 4], [1, 2, 3], [0, 0, 0, 5], [0, 1, 1, 1], [2, 2, 2]]
)
def test_the_call_of_a_lookup_is_the_median_label(expression: list[float]) -> None:
    table = genes([f"g{i}" for i in range(len(expression))], expression)
    found = source_expression(table, table)
    assert (call(found.score) == (np.array(expression) >= np.median(expression))).all()
    assert (np.argsort(found.score, kind="stable") == np.argsort(expression, kind="stable")).all()
    assert ((found.score > 0) & (found.score < 1)).all()


def test_a_lookup_matches_ids_without_version_and_says_what_is_missing() -> None:
    near = genes(["ENSG00000000001.1", "b", "c", "b"], [5.0, np.nan, 1.0, 9.0])
    far = genes(["x", "c", "b", "ENSG00000000001.7"])
    assert match_genes(near, far).tolist() == [-1, 2, 1, 0]
    found = source_expression(near, far)
    assert found.found.tolist() == [False, True, False, True]
    assert found.score.tolist() == [0.5, 1 / 6, 0.5, 0.5]
    assert found.name == LOOKUP


def test_a_source_of_labels_alone_is_looked_up_by_label() -> None:
    near = genes(["a", "b", "c"], label=[1, 0, -1])
    far = genes(["c", "b", "a", "d"], label=[1, 1, 1, 0])
    found = source_expression(near, far)
    assert found.score.tolist() == [0.5, 0.0, 1.0, 0.5]
    assert found.name == "source label (no model)"
    assert label_agreement(near, far) == 0.5
    assert np.isnan(label_agreement(near, far, np.array([True, False, False, True])))


def test_subsets() -> None:
    label, source = np.array([0, 1, 1, 0, -1]), np.array([1, 0, -1, 0, 1])
    variable = np.array([False, True, True, True, True])
    found = gene_subsets(label, source, variable)
    assert [(one.words, np.flatnonzero(one.rows).tolist()) for one in found] == [
        ("", [0, 1, 2, 3]),
        ("label differs from the source", [0, 1]),
        ("variable in the panel", [1, 2, 3]),
    ]
    assert [one.words for one in gene_subsets(label, label, variable & (label == 1))] == [""]


def test_variable_genes_of_a_panel(
    adapted: Adapted, inside: Cli, tmp_path: Path, make_bins: MakeBins
) -> None:
    ids = [f"ENSG{index:011d}" for index in range(0, 120, 2)]
    # The first half is high in one of three cell types, the rest in all or in none.
    expression = np.zeros((60, 3))
    expression[:30, 0] = expression[45:] = 5
    expression[30:45, 1] = 0.1
    panel = Panel.build(ids, ["X", "Y", "Z"], expression)
    genes = make_bins().genes
    expected = np.zeros(120, dtype=bool)
    expected[0::2] = panel.variable_genes()
    assert 0 < expected.sum() < 60
    assert (variable_in(panel, genes) == expected).all()
    symbols = replace(panel, gene_id=genes.gene_name[0::2], gene_keys="symbol")
    assert (variable_in(symbols, genes) == expected).all()
    write_panel(tmp_path / "panel.h5", panel)
    done = inside("evaluate", "run", "--panel", "panel.h5", "--bootstrap", "0", "--json")
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)["scores"]
    found = {
        s["genes"]
        for s in scores
        if s["part"].endswith("half that did not adapt, variable in the panel")
    }
    test = split_target(read_bins(tmp_path / "t.h5").genes, adapted.config.split) == "test"
    assert found == {(test & expected).sum()}


def test_evaluate_puts_lookup_and_subset_beside_an_adapted_run(
    adapted: Adapted, tmp_path: Path
) -> None:
    found = evaluate_run(tmp_path / "run", replicates=50)
    near, far = (read_bins(tmp_path / name).genes for name in ("s.h5", "t.h5"))
    test = split_target(far, adapted.config.split) == "test"
    differs = test & (near.label != far.label)
    parts = {"target half that did not adapt": test}
    parts["target half that did not adapt, label differs from the source"] = differs
    assert [(score.part, score.model) for score in found.scores] == [
        (part, model) for part in parts for model in ("source_only", "dann", LOOKUP)
    ]
    lookup = source_expression(near, far).score
    for score in found.scores:
        rows = parts[score.part]
        assert score.metrics.genes == rows.sum()
        assert score.interval is not None
        assert score.interval.replicates == 50
        assert score.interval.low.auroc <= score.interval.high.auroc
        if score.model == LOOKUP:
            assert score.metrics == binary_metrics(far.label[rows], lookup[rows])
    # Where the label differs, the source's own call is wrong by definition.
    assert found.scores[-1].metrics.accuracy == 0
    assert found.label_agreement == adapted.label_agreement
    assert found.label_agreement == pytest.approx(found.scores[2].metrics.accuracy)
    (seen,) = found.seen
    assert (seen.protocol, seen.known, seen.genes) == ("same-genes", test.sum(), test.sum())
    assert seen.adapting == 0
    assert any("transductive" in note for note in found.notes)
    assert any("source's validation genes" in note for note in found.notes)


def test_scores_of_genes_known_from_another_cell_type_are_marked(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_file("a.h5")
    train_model(
        path, tmp_path / "run", recipe="paper", options=SMALL, training=quick, baseline=False
    )
    own = evaluate_run(tmp_path / "run")
    assert [one.protocol for one in own.seen] == ["new-genes"]
    assert {score.model for score in own.scores} == {"transferchrome"}
    assert own.label_agreement is None
    itself = evaluate_run(tmp_path / "run", path)
    assert [one.protocol for one in itself.seen] == ["new-genes", "training-genes"]
    (warning,) = caplog.records
    assert "had these very labels seen in training" in warning.getMessage()
    caplog.clear()

    other = make_file("b.h5", seed=1, cell_type="B")
    found = evaluate_run(tmp_path / "run", other)
    test, every = found.seen
    assert (test.protocol, test.known) == ("new-genes", 0)
    assert every.protocol == "same-genes"
    parts = split_genes(read_bins(path).genes, Split(seed=0))
    assert every.known == (parts != "test").sum()
    (warning,) = caplog.records
    known = f"{every.known} of 120 genes (all genes) had their label in A seen in training"
    assert known in warning.getMessage()
    assert any("on the validation genes" in note for note in found.notes)

    # Without the file it was trained on, the split alone tells, and nothing can be looked up.
    path.rename(tmp_path / "gone.h5")
    again = evaluate_run(tmp_path / "run", other)
    assert again.seen == found.seen
    assert {score.model for score in again.scores} == {"transferchrome"}
    assert any("a.h5 is gone" in note for note in again.notes)


def test_genes_that_the_source_lacks_are_new(
    make_file: MakeFile, make_bins: MakeBins, tmp_path: Path, quick: TrainConfig
) -> None:
    data, rows = make_bins(240), np.arange(120)
    data.genes.label[100:110] = -1
    near = replace(data, genes=data.genes.take(rows), signal=data.signal[rows])
    train_model(
        make_file("a.h5", near), tmp_path / "run", model="logistic", training=quick, baseline=False
    )
    other = make_bins(240, seed=1)
    half = np.arange(100, 240)
    far = replace(other, genes=other.genes.take(half), signal=other.signal[half])
    found = evaluate_run(tmp_path / "run", make_file("b.h5", far))
    parts = split_genes(near.genes, Split(seed=0))
    assert found.seen[1].known == (parts[110:] != "test").sum()
    test = split_genes(far.genes, Split(seed=0)) == "test"
    missing = f"{(test[20:]).sum()} of {test.sum()} genes (test genes (unseen in training)) are not"
    assert any(missing in note and "count as 0.5" in note for note in found.notes)
    # The adapting half, scored as a whole file, is told apart.
    assert found.seen[1].adapting == 0


def test_the_adapting_half_is_told(adapted: Adapted, tmp_path: Path) -> None:
    found = evaluate_run(tmp_path / "run", tmp_path / "t.h5")
    halves = split_target(read_bins(tmp_path / "t.h5").genes, adapted.config.split)
    assert [one.adapting for one in found.seen] == [0, (halves == "adapting").sum()]
    assert "adapted the run (transductive)" in found.seen[1].words
    beside = evaluate_run(tmp_path / "run/source_only", tmp_path / "t.h5")
    assert [one.adapting for one in beside.seen] == [0, 0]
    assert not any("transductive" in note for note in beside.notes)


def test_the_table_is_readable() -> None:
    found = Metrics(1234, 0.5, 0.9, 0.8, 0.7, 0.6, -0.4, 0.1, 0.02)
    interval = Interval(found, found._replace(auroc=1.0), 0.95, 10)
    assert bounds(interval, "auroc") == ".900–1.000"
    assert bounds(interval, "mcc") == "-.400–-.400"
    scores = [Score(name, part, found, interval) for name in (LOOKUP, "m") for part in ("a", "b")]
    lines = score_table(scores).splitlines()
    assert [line.split()[0] for line in lines] == [
        "AUROC", "a:", "source", ".900–1.000", "m", ".900–1.000",
        "b:", "source", ".900–1.000", "m", ".900–1.000",
    ]  # fmt: skip
    assert lines[1] == "a: 1,234 genes, 50.0% high"
    assert max(map(len, lines)) <= 110


def test_on_the_command_line(adapted: Adapted, inside: Cli, tmp_path: Path) -> None:
    done = inside("evaluate", "run", "--bootstrap", "20")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("–") == 7 * 6
    assert "protocol same-genes" in done.stderr
    assert "have the same label in A" in done.stderr
    plain = inside("evaluate", "run", "--bootstrap", "0", "--json")
    document = json.loads(plain.stdout)
    assert not any("interval" in score for score in document["scores"])
    assert document["seen"][0]["protocol"] == "same-genes"
    assert document["seen"][0]["labels_seen_in"] == "A"
    assert document["label_agreement"] == adapted.label_agreement
    told = json.loads(inside("evaluate", "run", "--json").stdout)["scores"][0]
    low, high = told["interval"]["auroc"]
    assert low <= told["auroc"] <= high
    assert told["interval"]["replicates"] == 1000
    marked = inside("evaluate", "run", "--data", "t.h5", "--bootstrap", "0")
    assert "warning: t.h5: " in marked.stderr
    assert inside("evaluate", "run", "--bootstrap", "-1").returncode == 2


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_the_figure(adapted: Adapted, inside: Cli, tmp_path: Path, name: str) -> None:
    done = inside("evaluate", "run", "--bootstrap", "0", "--plot", name)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / name).read_bytes()
    assert first.startswith(b"\x89PNG" if name == "a.png" else b"<?xml")
    refused = inside("evaluate", "run", "--plot", name)
    assert "exists already" in refused.stderr
    assert inside("evaluate", "run", "--bootstrap", "0", "--plot", name, "-f").returncode == 0
    assert (tmp_path / name).read_bytes() == first


def test_figures_that_are_refused(
    adapted: Adapted, inside: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, message in (
        ("a.jpg", "a.jpg: ends in neither .png nor .svg"),
        ("run/a.png", "is in the run folder"),
    ):
        done = inside("evaluate", "run", "--plot", name)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stdout == ""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError("none")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    done = inside("evaluate", "run", "--plot", "a.png")
    assert done.returncode == 1
    assert "pip install 'transferchrome[plot]'" in done.stderr
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("gone", [False, True])
def test_a_copy_of_the_training_file_is_known(
    make_file: MakeFile, tmp_path: Path, inside: Cli, gone: bool
) -> None:
    own, copy = make_file("own.h5"), tmp_path / "copy.h5"
    train_model(own, tmp_path / "run", model="logistic", baseline=False)
    expected = inside("evaluate", "run", "--data", "own.h5", "--json")
    copy.write_bytes(own.read_bytes())
    if gone:
        own.unlink()
    done = inside("evaluate", "run", "--data", "copy.h5", "--json")
    assert done.returncode == expected.returncode == 0, done.stderr
    assert f"copy.h5: has cell type, genes and labels of {own}, which trained" in done.stderr
    told, known = (json.loads(one.stdout) for one in (done, expected))
    assert told["scores"] == known["scores"]
    assert "(training genes among them)" in done.stdout


def test_another_file_of_the_cell_type_is_no_copy(
    make_file: MakeFile, tmp_path: Path, inside: Cli
) -> None:
    train_model(make_file("own.h5"), tmp_path / "run", model="logistic", baseline=False)
    make_file("other.h5", seed=1)
    done = inside("evaluate", "run", "--data", "other.h5")
    assert done.returncode == 0, done.stderr
    assert "which trained; it is taken" not in done.stderr
