"""Whole runs through the library: train, read again, evaluate, predict, adapt."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Split, TrainConfig
from chromemodel.data.splits import split_genes, split_target
from chromemodel.evaluate.metrics import binary_metrics
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.train.checkpoint import read_run, run_folder
from chromemodel.train.single import Trained, train_model
from chromeprep.errors import (
    ChromeError,
    FormatError,
    InputError,
    MismatchError,
    OutputError,
    RunError,
)
from chromeprep.format import ChromeBins, read_bins

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="," if path.suffix == ".csv" else "\t"))


@pytest.fixture
def trained(make_file: MakeFile, tmp_path: Path, quick: TrainConfig) -> Trained:
    return train_model(
        make_file("a.h5"), tmp_path / "run", recipe="paper", options=SMALL, training=quick
    )


def test_a_run_folder(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert sorted(files_of(run)) == [
        "config.json", "history.csv", "metrics.json", "predictions.tsv", "weights.safetensors",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    config = json.loads((run / "config.json").read_text())
    assert config["layout"]["marks"] == ["H3K4me3", "H3K27me3", "H3K36me3"]
    assert config["model"]["options"]["dropout"] == 0.4
    assert config["source"]["gene_digest"] == read_bins(tmp_path / "a.h5").genes.digest()
    history = table(run / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    assert float(history[-1]["train_loss"]) == trained.fit.history[-1].train_loss
    best = max(history, key=lambda row: float(row["validation_auroc"]))
    assert int(best["epoch"]) == trained.fit.best_epoch


def test_scores_are_those_of_the_predictions(trained: Trained, tmp_path: Path) -> None:
    rows = table(tmp_path / "run" / "predictions.tsv")
    assert len(rows) == 120
    scores = {
        (score["model"], score["part"]): score
        for score in json.loads((tmp_path / "run" / "metrics.json").read_text())["scores"]
    }
    assert len(scores) == 6
    for part in ("train", "validation", "test"):
        chosen = [row for row in rows if row["part"] == part]
        label = np.array([int(row["label"]) for row in chosen])
        found = binary_metrics(label, np.array([float(row["probability"]) for row in chosen]))
        assert scores["transferchrome", part]["auroc"] == pytest.approx(found.auroc)
        assert scores["transferchrome", part]["genes"] == len(chosen)
        assert all(int(row["call"]) == (float(row["probability"]) >= 0.5) for row in chosen)
    assert scores["logistic regression", "test"]["auroc"] > 0.8


def test_the_same_seed_gives_the_same_files(
    trained: Trained, tmp_path: Path, quick: TrainConfig
) -> None:
    torch.rand(7)
    train_model(
        tmp_path / "a.h5", tmp_path / "again", recipe="paper", options=SMALL, training=quick
    )
    train_model(
        tmp_path / "a.h5",
        tmp_path / "other",
        recipe="paper",
        options=SMALL,
        training=replace(quick, seed=1),
    )
    first, again, other = (files_of(tmp_path / name) for name in ("run", "again", "other"))
    for name in ("weights.safetensors", "history.csv", "predictions.tsv", "metrics.json"):
        assert first[name] == again[name], name
        assert first[name] != other[name], name
    a, b = json.loads(first["config.json"]), json.loads(again["config.json"])
    assert a.pop("provenance").keys() == b.pop("provenance").keys()
    assert a == b


def test_training_moves_no_random_state(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train_model(
        make_file(),
        tmp_path / "run",
        recipe="paper",
        options=SMALL,
        training=replace(quick, epochs=1),
    )
    read_run(tmp_path / "run")
    assert torch.equal(torch.rand(2), expected)


def test_predictions_of_a_run_read_again_are_identical(trained: Trained, tmp_path: Path) -> None:
    predictions = predict_genes(tmp_path / "run", tmp_path / "a.h5", tmp_path / "p.tsv")
    before = table(tmp_path / "run" / "predictions.tsv")
    after = table(tmp_path / "p.tsv")
    assert list(after[0]) == [
        "gene_id", "gene_name", "chrom", "tss", "strand", "probability", "call", "label",
    ]  # fmt: skip
    assert after == [{key: row[key] for key in after[0]} for row in before]
    exact = np.array([np.float32(row["probability"]) for row in after])
    np.testing.assert_array_equal(exact, predictions.probability)


def test_evaluate_scores_the_test_genes(
    trained: Trained, tmp_path: Path, make_file: MakeFile
) -> None:
    (own,) = evaluate_run(tmp_path / "run").scores
    test = next(score for score in trained.scores if score.part == "test")
    assert own.part == "test genes (unseen in training)"
    assert own.metrics == test.metrics
    path = make_file("b.h5", seed=1, scale=5)
    other = evaluate_run(tmp_path / "run", path)
    assert list(dict.fromkeys(score.part for score in other.scores)) == [
        "test genes (unseen in training)",
        "test genes (unseen in training), label differs from the source",
        "all genes",
        "all genes, label differs from the source",
    ]
    data = read_bins(path)
    rows = split_genes(data.genes, Split(seed=0)) == "test"
    assert other.scores[0].metrics.genes == rows.sum()
    probability = predict_genes(tmp_path / "run", path).probability
    assert other.scores[0].metrics == binary_metrics(data.genes.label[rows], probability[rows])
    same = evaluate_run(tmp_path / "run", tmp_path / "a.h5").scores[1]
    assert same.part == "all genes (training genes among them)"
    with pytest.raises(InputError, match="no gene has a label\n  bin it with --expression"):
        evaluate_run(tmp_path / "run", make_file("u.h5", labels=False))


def test_a_run_of_named_marks_uses_its_own_file(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    path, run = make_file(), tmp_path / "run"
    done = train_model(
        path,
        run,
        recipe="paper",
        marks=("H3K36me3", "H3K4me3"),
        options=SMALL,
        training=quick,
        baseline=False,
    )
    assert evaluate_run(run).scores[0].metrics == done.scores[2].metrics
    assert len(predict_genes(run, path).probability) == 120
    config = json.loads((run / "config.json").read_text())
    assert config["layout"].pop("marks_named") is True
    (run / "config.json").write_text(json.dumps(config))  # as an older version wrote it
    with pytest.raises(MismatchError, match="has H3K27me3 besides") as caught:
        evaluate_run(run)
    assert "name the marks to use: --mark H3K36me3 --mark H3K4me3" in str(caught.value)


def test_evaluate_notices_that_its_file_changed(
    trained: Trained, tmp_path: Path, make_file: MakeFile
) -> None:
    make_file("a.h5", n_genes=90)
    with pytest.raises(RunError, match=r"made from other genes .* \(120 then, 90 now\)"):
        evaluate_run(tmp_path / "run")
    (tmp_path / "a.h5").unlink()
    with pytest.raises(RunError, match=r"a\.h5, which is no longer there") as caught:
        evaluate_run(tmp_path / "run")
    assert "--data FILE" in str(caught.value)


def test_normalisation_by_the_training_genes(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    path = make_file("a.h5")
    train_model(
        path, tmp_path / "run", recipe="paper", options=SMALL, training=quick, normalise="training"
    )
    config = read_run(tmp_path / "run").config
    data = read_bins(path)
    rows = split_genes(data.genes, config.split) == "train"
    expected = data.signal[rows].astype(np.float64).mean(axis=(0, 2))
    np.testing.assert_allclose(config.normalisation.mean, expected, rtol=1e-9)
    # Another depth now shifts the input, as it would not with the file's own statistics.
    deep = make_file("deep.h5", scale=10)
    a, b = (predict_genes(tmp_path / "run", one).probability for one in (path, deep))
    assert np.abs(a - b).max() > 0.01
    train_model(path, tmp_path / "own", recipe="paper", options=SMALL, training=quick)
    a, b = (predict_genes(tmp_path / "own", one).probability for one in (path, deep))
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_split_by_chromosome_is_kept_for_other_files(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    split = Split("chromosome", test_chromosomes=("chr2",))
    done = train_model(
        make_file("a.h5"),
        tmp_path / "run",
        recipe="paper",
        options=SMALL,
        training=quick,
        split=split,
    )
    assert done.config.split.test_chromosomes == ("chr2",)
    assert len(done.config.split.validation_chromosomes) > 0
    other = make_file("b.h5", seed=1, n_genes=60)
    first = evaluate_run(tmp_path / "run", other).scores[0]
    assert first.metrics.genes == (read_bins(other).genes.chrom == "chr2").sum()


def test_genes_without_a_label_are_left_out(
    make_file: MakeFile, make_bins: MakeBins, tmp_path: Path, quick: TrainConfig
) -> None:
    data = make_bins()
    data.genes.label[:20] = -1
    done = train_model(
        make_file("a.h5", data), tmp_path / "run", recipe="paper", options=SMALL, training=quick
    )
    assert any("20 genes without a label were left out" in note for note in done.notes)
    assert sum(s.metrics.genes for s in done.scores if s.model == "transferchrome") == 100
    rows = table(tmp_path / "run" / "predictions.tsv")
    assert [row["part"] for row in rows[:20]] == ["unlabelled"] * 20


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "no gene has a label"),
        (1, r"all \d+ labels among the training genes are high \(1\); both classes are needed"),
    ],
)
def test_labels_of_both_classes_are_needed(
    make_file: MakeFile,
    make_bins: MakeBins,
    tmp_path: Path,
    label: int | None,
    message: str,
) -> None:
    data = make_bins(labels=label is not None)
    if label is not None:
        data.genes.label[:] = label
    with pytest.raises(InputError, match=message):
        train_model(make_file("a.h5", data), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_diverging_run_leaves_the_old_one(
    trained: Trained, tmp_path: Path, quick: TrainConfig
) -> None:
    before = files_of(tmp_path)
    with pytest.raises(ChromeError, match="the loss is"):
        train_model(
            tmp_path / "a.h5",
            tmp_path / "run",
            recipe="paper",
            options=SMALL,
            training=replace(quick, optimizer="sgd", lr=1e15),
            force=True,
        )
    assert files_of(tmp_path) == before


def test_outputs_that_are_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists already"):
        train_model(tmp_path / "a.h5", tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match="not one of chromemodel"):
        train_model(tmp_path / "a.h5", tmp_path / "mine", force=True)
    inside = tmp_path / "run" / "a.h5"
    inside.write_bytes((tmp_path / "a.h5").read_bytes())
    with pytest.raises(OutputError, match="holds the input"):
        train_model(inside, tmp_path / "run", force=True)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        train_model(inside, tmp_path / "a.h5", force=True)
    with pytest.raises(OutputError, match="is one of the inputs"):
        predict_genes(tmp_path / "run", tmp_path / "a.h5", tmp_path / "a.h5", force=True)
    with pytest.raises(OutputError, match=r"a\.h5 is a file, not a folder"):
        train_model(inside, tmp_path / "a.h5" / "no" / "run")


def test_missing_folders_above_a_run(make_file: MakeFile, tmp_path: Path) -> None:
    data, out = make_file("a.h5"), tmp_path / "runs" / "new" / "K562"
    quick = TrainConfig(optimizer="sgd", lr=1e15, epochs=2)
    with pytest.raises(ChromeError, match="the loss is"):
        train_model(data, out, recipe="paper", options=SMALL, training=quick)
    with pytest.raises(KeyboardInterrupt), run_folder(out):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    train_model(
        data, out, recipe="paper", options=SMALL, training=TrainConfig(epochs=1), baseline=False
    )
    assert [path.name for path in out.parent.iterdir()] == ["K562"]
    assert read_run(out).config.kind == "train"


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "predictions.tsv", "source_only/weights.safetensors", "new.tsv"]
)
def test_predict_writes_into_no_run_folder(
    trained: Trained, tmp_path: Path, quick: TrainConfig, name: str
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    (run / "source_only").mkdir()
    (tmp_path / "link").symlink_to(run)
    train_model(
        tmp_path / "a.h5", other, recipe="paper", options=SMALL, training=quick, baseline=False
    )
    before = files_of(tmp_path)
    for asked, folder in (
        (run, run),
        (tmp_path / "link", run),
        (run, tmp_path / "link"),
        (other, run),
    ):
        with pytest.raises(OutputError, match="is in the run folder"):
            predict_genes(asked, tmp_path / "a.h5", folder / name, force=True)
    assert files_of(tmp_path) == before


def test_windows_too_small_for_the_model(make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file("a.h5", n_bins=2)
    with pytest.raises(MismatchError, match="pools 3 bins into one position; a gene has only 2"):
        train_model(path, tmp_path / "run", recipe="paper", options={"pool": 3})


def _drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda config: config.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop("layout"), "key 'layout' is missing"),
        (lambda c: c.update(extra=1), "unknown key 'extra'"),
        (lambda c: c.update(version=99), "has version 99; this chromemodel reads up to 5"),
        (lambda c: c.update(format="x"), "key 'format' is not 'chromemodel-run'"),
        (lambda c: c["model"].update(name="transfrechrome"), "did you mean 'transferchrome'"),
        (lambda c: c["model"]["options"].update(feature=1), "unknown key 'feature'"),
        (
            lambda c: c["model"]["options"].update(features=9),
            "does not hold the weights of the model",
        ),
    ],
)
def test_damaged_configurations(
    trained: Trained, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    with pytest.raises(RunError, match=message) as caught:
        read_run(tmp_path / "run")
    assert str(tmp_path / "run") in str(caught.value)


def test_damaged_runs(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunError, match="no such folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is a file; expected a run folder"):
        read_run(tmp_path / "a.h5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"config\.json is missing"):
        read_run(tmp_path / "empty")
    weights = (run / "weights.safetensors").read_bytes()
    (run / "weights.safetensors").write_bytes(weights[:100])
    with pytest.raises(RunError, match=r"cut short or damaged\n  train again") as caught:
        read_run(run)
    assert caught.value.path == run / "weights.safetensors"
    (run / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"weights\.safetensors is missing"):
        read_run(run)
    (run / "config.json").write_text('{\n"format": ')
    with pytest.raises(RunError, match="line 2: is not JSON"):
        read_run(run)


def test_adapt_writes_two_runs(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = make_file("s.h5"), make_file("t.h5", seed=1, scale=4, cell_type="B")
    done = adapt_model(
        source, target, tmp_path / "run", recipe="paper", options=SMALL, training=quick
    )
    assert [score.model for score in done.scores] == [
        "source_only",
        "dann",
        "logistic regression, source only",
        "source expression (no model)",
    ]
    genes = read_bins(target).genes
    halves = split_target(genes, done.config.split)
    for score in done.scores:
        assert score.metrics.genes == (halves == "test").sum()
    for folder, name in ((tmp_path / "run", "dann"), (tmp_path / "run/source_only", "source_only")):
        rows = table(folder / "predictions.tsv")
        assert [row["part"] for row in rows] == halves.tolist()
        again = predict_genes(folder, target).probability
        assert [np.float32(row["probability"]) for row in rows] == again.tolist()
        assert read_run(folder).config.method.name == name
    assert "domain_accuracy" in table(tmp_path / "run" / "history.csv")[0]
    evaluated = evaluate_run(tmp_path / "run")
    first = [s for s in evaluated.scores if s.part == "target half that did not adapt"]
    assert [(s.model, s.metrics) for s in first] == [
        (s.model, s.metrics) for s in done.scores if not s.model.startswith("logistic")
    ]
    assert len(evaluated.scores) > len(first)
    assert not caplog.records
    alone = evaluate_run(tmp_path / "run" / "source_only").scores
    assert not caplog.records
    assert alone == tuple(score for score in evaluated.scores if score.model != "dann")
    assert evaluate_run(tmp_path / "run", source).scores[0].part.startswith("source genes")
    labels = dict(zip(read_bins(source).genes.gene_id, read_bins(source).genes.label, strict=True))
    same = [labels[g] == v for g, v in zip(genes.gene_id, genes.label, strict=True)]
    assert done.label_agreement == pytest.approx(np.mean(np.array(same)[halves == "test"]))
    (tmp_path / "run/source_only").rename(tmp_path / "elsewhere")
    without = tuple(score for score in evaluated.scores if score.model != "source_only")
    assert evaluate_run(tmp_path / "run").scores == without
    assert "its folder source_only is missing" in caplog.text


def test_labels_of_the_target_change_nothing_but_scores(
    make_file: MakeFile, make_bins: MakeBins, tmp_path: Path, quick: TrainConfig
) -> None:
    source = make_file("s.h5")
    for name, labels in (("t.h5", True), ("u.h5", False)):
        target = make_file(name, seed=1, labels=labels)
        done = adapt_model(
            source, target, tmp_path / name[0], recipe="paper", options=SMALL, training=quick
        )
        assert bool(done.scores) == labels
        assert np.isnan(done.label_agreement) != labels
    with_labels, without = files_of(tmp_path / "t"), files_of(tmp_path / "u")
    for name in ("weights.safetensors", "history.csv", "source_only/weights.safetensors"):
        assert with_labels[name] == without[name]
    t, u = (table(tmp_path / name / "predictions.tsv") for name in "tu")
    for a, b in zip(t, u, strict=True):
        assert a | {"label": "-1"} == b


def test_only_the_adapting_half_of_the_target_adapts(
    make_file: MakeFile, make_bins: MakeBins, tmp_path: Path, quick: TrainConfig
) -> None:
    source = make_file("s.h5")
    data = make_bins(seed=1)
    halves = split_target(data.genes, Split("adapt"))
    weights = []
    for part in (None, "test", "adapting"):
        signal = data.signal.copy()
        if part is not None:
            signal[halves == part] += 2
        changed = replace(data, signal=signal)
        target = make_file("t.h5", changed)
        adapt_model(
            source,
            target,
            tmp_path / "run",
            recipe="paper",
            options=SMALL,
            training=quick,
            force=True,
        )
        weights.append((tmp_path / "run" / "weights.safetensors").read_bytes())
    # The statistics of /marks are those of `data` throughout: only rows differ.
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_source_only_beside_dann_is_source_only_alone(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    source, target = make_file("s.h5"), make_file("t.h5", seed=1)
    adapt_model(source, target, tmp_path / "both", recipe="paper", options=SMALL, training=quick)
    adapt_model(
        source,
        target,
        tmp_path / "one",
        recipe="paper",
        options=SMALL,
        training=quick,
        method="source_only",
    )
    assert not (tmp_path / "one" / "source_only").exists()
    for name in ("weights.safetensors", "history.csv", "predictions.tsv"):
        both = (tmp_path / "both" / "source_only" / name).read_bytes()
        assert both == (tmp_path / "one" / name).read_bytes()


def test_dann_without_weight_is_source_only_in_the_features(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    source, target = make_file("s.h5"), make_file("t.h5", seed=1, scale=9)
    none, some = (
        adapt_model(
            source, target, tmp_path / str(weight), recipe="paper",
            options=SMALL | {"dropout": 0.0}, training=replace(quick, optimizer="sgd"),
            baseline=False, method_options={"domain_weight": weight, "domain_schedule": "fixed"},
        )
        for weight in (0.0, 5.0)
    )  # fmt: skip
    np.testing.assert_allclose(none.scores[0].metrics, none.scores[1].metrics, rtol=1e-4)
    first, zero, five = (
        read_run(tmp_path / name).model.state_dict() for name in ("0.0/source_only", "0.0", "5.0")
    )
    for key, value in first.items():
        torch.testing.assert_close(zero[key], value, rtol=1e-3, atol=1e-5)
    assert any((five[key] - value).abs().max() > 1e-3 for key, value in first.items())
    assert some.config.method.options["domain_weight"] == 5.0


@pytest.mark.parametrize(
    ("first", "message", "protocol"),
    [
        (0, r"protocol same-genes: (\d+) of \1 genes .* in A seen in training", "same-genes"),
        (60, r"protocol same-genes: \d+ of (\d+) genes", "same-genes"),
        (120, r"protocol new-genes: none of (\d+) genes", "new-genes"),
    ],
)
def test_adapt_says_which_genes_are_in_the_source(
    make_file: MakeFile, make_bins: MakeBins, tmp_path: Path, quick: TrainConfig,
    first: int, message: str, protocol: str,
) -> None:  # fmt: skip
    far = make_bins(240, seed=1)
    rows = np.arange(first, first + 120)
    taken = replace(far, genes=far.genes.take(rows), signal=far.signal[rows])
    source, target = make_file("s.h5"), make_file("t.h5", taken)
    done = adapt_model(
        source, target, tmp_path / "run", recipe="paper", options=SMALL, training=quick
    )
    (told,) = (found for note in done.notes if (found := re.match(message, note)))
    assert int(told[1]) == done.test_genes == done.scores[0].metrics.genes
    ids = [set(read_bins(source).genes.gene_id), set(table_ids(tmp_path / "run"))]
    assert done.shared_genes == len(ids[0] & ids[1])
    assert done.protocol == protocol
    assert "same genes" not in done.config.split.words
    assert np.isnan(done.label_agreement) == (protocol == "new-genes")
    lookup = [s.metrics.genes for s in done.scores if s.model == "source expression (no model)"]
    assert lookup == ([] if protocol == "new-genes" else [done.test_genes])
    missing = f"{done.test_genes - done.shared_genes} of {done.test_genes} genes"
    assert any(missing in note for note in done.notes) == (first > 0)


def table_ids(run: Path) -> list[str]:
    return [row["gene_id"] for row in table(run / "predictions.tsv") if row["part"] == "test"]


def test_notes_of_scores_that_tell_little(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    flat = replace(quick, optimizer="sgd", lr=1e-12, epochs=1)
    data, other = make_file("a.h5"), make_file("b.h5", seed=1)
    done = train_model(data, tmp_path / "run", recipe="paper", options=SMALL, training=flat)
    adapted = adapt_model(
        data, other, tmp_path / "two", recipe="paper", options=SMALL, training=flat
    )
    for notes, path in ((done.notes, "run"), (adapted.notes, "two")):
        assert any(re.fullmatch(r"only \d+ validation genes: .* is noise", n) for n in notes)
        assert json.loads((tmp_path / path / "metrics.json").read_text())["notes"] == list(notes)
    alone = json.loads((tmp_path / "two/source_only/metrics.json").read_text())["notes"]
    for rows, notes in (
        (table(tmp_path / "run/predictions.tsv"), done.notes),
        (table(tmp_path / "two/source_only/predictions.tsv"), alone),
    ):
        calls = {row["call"] for row in rows if row["part"] == "test"}
        assert any("are called" in note for note in notes) == (len(calls) == 1)


def test_adapt_without_validation_runs_all_epochs(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    split = Split("adapt", validation_fraction=0.0)
    done = adapt_model(
        make_file("s.h5"), make_file("t.h5", seed=1), tmp_path / "run", recipe="paper",
        options=SMALL, training=replace(quick, patience=1), split=split,
    )  # fmt: skip
    assert {fit.best_epoch for fit in done.fits.values()} == {4}
    assert table(tmp_path / "run/history.csv")[0]["validation_auroc"] == ""
    assert any("the last of 4 epochs" in note for note in done.notes)


def test_adapt_refuses_what_does_not_fit(make_file: MakeFile, tmp_path: Path) -> None:
    source = make_file("s.h5")
    with pytest.raises(MismatchError, match="bin size is 50 bp"):
        adapt_model(source, make_file("t.h5", bin_size=50), tmp_path / "run")
    with pytest.raises(MismatchError, match="lacks H3K36me3"):
        adapt_model(source, make_file("t.h5", marks=("H3K4me3", "H3K27me3")), tmp_path / "run")
    with pytest.raises(MismatchError, match="is the source and the target"):
        adapt_model(source, tmp_path / "." / "s.h5", tmp_path / "run")
    with pytest.raises(FormatError, match="no such file"):
        adapt_model(source, tmp_path / "none.h5", tmp_path / "run")
    with pytest.raises(InputError, match="no gene has a label"):
        adapt_model(make_file("u.h5", labels=False), source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_all_of_a_run_may_be_read_by_those_who_may_read_the_folder(
    make_file: MakeFile, tmp_path: Path
) -> None:
    train_model(make_file("a.h5"), tmp_path / "run", model="logistic", baseline=False)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert set(modes.values()) == {modes["config.json"]}


def test_a_full_disk_is_told_of(
    make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.suffix == ".safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(path, data)

    data = make_file("a.h5")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        train_model(data, tmp_path / "run", model="logistic", baseline=False)
    assert not (tmp_path / "run").exists()
