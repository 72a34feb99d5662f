"""Does a run learn, predict and score log(1 + expression), and classification stay as it was?"""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.metrics import r2_score, root_mean_squared_error

from chromemodel.adapt import METHODS, create_method
from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import PanelChoice, Split, TaskConfig, TrainConfig
from chromemodel.evaluate.baselines import fit_ridge
from chromemodel.evaluate.compare import compare_runs
from chromemodel.evaluate.lookup import source_log1p
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.predictions import ExpressionPredictions
from chromemodel.evaluate.regression import (
    RegressionMetrics,
    bootstrap_regression,
    regression_metrics,
)
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.evaluate.select import select_run
from chromemodel.models import MODELS, create_model
from chromemodel.models.base import ClassicalNet, Labelled
from chromemodel.tasks import MEAN, Regression, task_of
from chromemodel.train.checkpoint import read_config, read_run
from chromemodel.train.loop import FitData, Loop, predict_logits
from chromemodel.train.single import train_model
from chromeprep.errors import ChromeError, InputError, RunError
from chromeprep.format import ChromeBins, GeneTable, read_bins

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]

DEEP = [name for name in MODELS.names("regression") if MODELS.entry(name).fitter == "torch"]
CLASSICAL = [name for name in MODELS.names("regression") if name not in DEEP]
METHOD_NAMES = METHODS.names("regression")


@pytest.fixture
def expressed(make_bins: MakeBins, make_file: MakeFile) -> Callable[..., Path]:
    """A file whose expression is what the marks follow, as RPKM would be."""

    def make(name: str = "a.h5", **options: object) -> Path:
        data = make_bins(**options)
        values = np.exp(1.5 * data.genes.expression)
        return make_file(name, replace(data, genes=replace(data.genes, expression=values)))

    return make


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t" if path.suffix == ".tsv" else ","))


def told(run: Path) -> list[np.float32]:
    return [np.float32(row["predicted_log1p_expression"]) for row in table(run / "predictions.tsv")]


series = st.lists(st.integers(-3, 3), min_size=3, max_size=30).filter(lambda v: len(set(v)) > 1)


@settings(max_examples=40)
@given(series, st.randoms(use_true_random=False))
def test_metrics_are_those_of_scipy_and_sklearn(values: list[int], random: object) -> None:
    truth = np.array(values, dtype=float)
    predicted = np.array([random.randint(-2, 2) for _ in values], dtype=float)  # type: ignore[attr-defined]
    found = regression_metrics(truth, predicted)
    assert found.genes == len(values)
    assert found.r2 == pytest.approx(r2_score(truth, predicted))
    assert found.rmse == pytest.approx(root_mean_squared_error(truth, predicted))
    if np.ptp(predicted):
        assert found.pearson == pytest.approx(stats.pearsonr(truth, predicted).statistic)
        assert found.spearman == pytest.approx(stats.spearmanr(truth, predicted).statistic)
    else:
        assert (found.pearson, found.spearman) == (0, 0)


def test_a_sample_of_genes_is_scored_as_if_each_stood_there_so_often() -> None:
    from chromemodel.evaluate import regression

    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, (2, 40)).astype(float)
    counts = rng.integers(0, 4, (3, 40))
    found = regression._metrics(counts.astype(float), truth, predicted)
    for row, count in zip(found, counts, strict=True):
        same = regression_metrics(np.repeat(truth, count), np.repeat(predicted, count))
        np.testing.assert_allclose(row, same[1:])


def test_intervals_hold_the_value_and_narrow_with_genes() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=2000)
    predicted = truth + rng.normal(size=2000)
    widths = []
    for genes in (100, 2000):
        value = regression_metrics(truth[:genes], predicted[:genes])
        interval = bootstrap_regression(truth[:genes], predicted[:genes], replicates=200)
        for low, middle, high in zip(interval.low[1:], value[1:], interval.high[1:], strict=True):
            assert low < middle < high
        assert isinstance(interval.low, RegressionMetrics)
        assert isinstance(interval.high, RegressionMetrics)
        widths.append(interval.high.pearson - interval.low.pearson)
    assert widths[1] < widths[0] / 3
    assert list(interval.to_json()) == [
        "level", "replicates", "pearson", "spearman", "r2", "rmse",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([1.0, 1.0], [0.0, 1.0], "one value"),
        ([1.0], [0.0], "one value"),
        ([1.0, np.nan], [0.0, 1.0], "1 of 2 measured"),
        ([1.0, 2.0], [0.0, np.inf], "1 of 2 predicted"),
    ],
)
def test_what_cannot_be_scored(truth: list[float], predicted: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        regression_metrics(np.array(truth), np.array(predicted))


@pytest.mark.parametrize("name", DEEP)
def test_every_network_overfits_eight_genes(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 5, 24)
    y = torch.tensor([-1.5, 1.2, 0.7, -0.4, 1.0, -1.1, -0.6, 0.7])
    model = create_model(name, {}, n_marks=5, n_bins=24, task="regression")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    slow = name.startswith("attentivechrome")
    config = TrainConfig("adam", lr=0.03 if slow else 0.001, epochs=400, batch_size=8)
    loop = Loop(model, create_method("source_only", {}, model), FitData(x, y, task=Regression()),
                replace(config, weight_decay=0.0))  # fmt: skip
    losses = [loop.run_epoch().train_loss]
    while losses[-1] > 0.05 and len(losses) < config.epochs:
        losses.append(loop.run_epoch().train_loss)
    assert losses[-1] <= 0.05, losses[-1]
    assert Regression().selection(predict_logits(model, x), y) > 0.8


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_classical_model_fits_and_is_read_again(
    name: str, expressed: Callable[..., Path], tmp_path: Path
) -> None:
    data, run = expressed(n_genes=200), tmp_path / "run"
    done = train_model(
        data, run, task="regression", model=name, training=TrainConfig(threads=1), baseline=False
    )
    test = {score.model: score.metrics for score in done.scores if score.part == "test"}
    assert isinstance(test[name], RegressionMetrics)
    assert test[name].r2 > 0.5
    assert isinstance(test[MEAN], RegressionMetrics)
    assert test[MEAN].pearson == 0
    assert test[MEAN].r2 == pytest.approx(0, abs=0.2)
    again = predict_genes(run, data)
    assert isinstance(again, ExpressionPredictions)
    assert told(run) == again.log1p_expression.tolist()
    assert evaluate_run(run).scores[0].metrics == test[name]


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("random_forest", RandomForestRegressor(20, min_samples_leaf=5, max_features="sqrt")),
        ("gradient_boosting", GradientBoostingRegressor(n_estimators=20, subsample=0.8,
                                                        max_features="sqrt")),
    ],
)  # fmt: skip
def test_trees_say_what_those_of_sklearn_say(name: str, peer: object) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(80, 2, 6)).astype(np.float32)
    value = (signal[:, 0].mean(1) + rng.normal(scale=0.1, size=80)).astype(np.float32)
    model = create_model(name, {"trees": 20}, n_marks=2, n_bins=6, task="regression")
    assert isinstance(model, ClassicalNet)
    model.fit(Labelled(signal, value), None, 3)
    flat = signal.reshape(80, -1)
    expected = peer.set_params(random_state=3).fit(flat, value).predict(flat)  # type: ignore[attr-defined]
    said = Regression().answer(predict_logits(model, torch.from_numpy(signal)))
    np.testing.assert_allclose(said.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_ridge_takes_the_penalty_of_the_best_r2() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(120, 2, 10)).astype(np.float32)
    value = signal[:, 0].mean(1) + rng.normal(scale=0.05, size=120)
    train, held = slice(0, 80), slice(80, None)
    found = fit_ridge(signal[train], value[train], Labelled(signal[held], value[held]))
    errors = {
        penalty: np.square(
            fit_ridge(signal[train], value[train], penalties=[penalty]).predict(signal[held])
            - value[held]
        ).sum()
        for penalty in (1e1, 1e2, 1e3, 1e4, 1e5)
    }
    assert errors[found.penalty] == min(errors.values())


def test_a_run_says_log1p_expression(
    expressed: Callable[..., Path], quick: TrainConfig, tmp_path: Path
) -> None:
    data, run = expressed(n_genes=150), tmp_path / "run"
    done = train_model(data, run, recipe="paper", task="regression", training=quick)
    genes, rows = read_bins(data).genes, table(run / "predictions.tsv")
    assert list(rows[0]) == [
        "gene_id", "gene_name", "chrom", "tss", "strand", "predicted_log1p_expression",
        "log1p_expression", "part",
    ]  # fmt: skip
    truth = np.array([float(row["log1p_expression"]) for row in rows])
    assert truth.tolist() == np.log1p(genes.expression).tolist()
    parts = np.array([row["part"] for row in rows])
    for score in done.scores[:3]:
        here = parts == score.part
        assert score.metrics == regression_metrics(truth[here], np.array(told(run))[here])
    names = [score.model for score in done.scores]
    assert names == ["transferchrome"] * 3 + ["ridge regression"] * 3 + [MEAN] * 3
    train = truth[parts == "train"]
    config = read_config(run)
    assert config.version == 3
    assert config.task == TaskConfig("regression", train.mean(), train.std())
    document = json.loads((run / "metrics.json").read_text())
    assert list(document["scores"][0]) == [
        "model", "part", "genes", "pearson", "spearman", "r2", "rmse",
    ]  # fmt: skip
    history = table(run / "history.csv")
    best = max(history, key=lambda row: float(row["validation_r2"]))
    assert int(best["epoch"]) == done.fit.best_epoch
    assert "the best R2 on the validation genes" in " ".join(done.notes)


def test_the_scale_is_of_training_genes_alone(
    expressed: Callable[..., Path], make_file: MakeFile, quick: TrainConfig, tmp_path: Path
) -> None:
    data = expressed(n_genes=150)
    train_model(
        data, tmp_path / "run", recipe="paper", task="regression", training=quick, baseline=False
    )
    parts = np.array([row["part"] for row in table(tmp_path / "run/predictions.tsv")])
    content = read_bins(data)
    values = content.genes.expression.copy()
    values[parts == "test"] = values[parts == "test"][::-1] * 7
    other = make_file("b.h5", replace(content, genes=replace(content.genes, expression=values)))
    train_model(
        other, tmp_path / "other", recipe="paper", task="regression", training=quick, baseline=False
    )
    assert told(tmp_path / "run") == told(tmp_path / "other")
    weights = [(tmp_path / run / "weights.safetensors").read_bytes() for run in ("run", "other")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("model", ["transferchrome", "random_forest"])
def test_the_same_seed_gives_the_same_bytes(
    model: str, expressed: Callable[..., Path], quick: TrainConfig, tmp_path: Path
) -> None:
    data = expressed()
    for run in ("one", "two"):
        train_model(data, tmp_path / run, task="regression", model=model, training=quick)
    names = [path.name for path in (tmp_path / "one").iterdir() if path.name != "config.json"]
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_adaptation_does_not_read_the_targets_expression(
    method: str, expressed: Callable[..., Path], make_file: MakeFile, quick: TrainConfig,
    tmp_path: Path,
) -> None:  # fmt: skip
    source, target = expressed("a.h5"), expressed("b.h5", seed=1, cell_type="B")
    content = read_bins(target)
    shuffled = np.random.default_rng(0).permutation(content.genes.expression)
    other = make_file("c.h5", replace(content, genes=replace(content.genes, expression=shuffled)))
    unknown = make_file(
        "d.h5", replace(content, genes=replace(content.genes, expression=shuffled * np.nan))
    )
    runs = []
    for file in (target, other, unknown):
        run = tmp_path / file.stem
        done = adapt_model(
            source, file, run, recipe="paper", task="regression", method=method,
            training=replace(quick, epochs=2),
            options={"batch_norm": True} if method == "adabn" else {}, baseline=False,
        )  # fmt: skip
        runs.append((done, run))
    weights = {(run / "weights.safetensors").read_bytes() for _, run in runs}
    assert len(weights) == 1
    assert told(runs[0][1]) == told(runs[1][1]) == told(runs[2][1])
    names = [score.model for score in runs[0][0].scores]
    assert names == [*dict.fromkeys(["source_only", method]), MEAN, "source expression (no model)"]
    assert runs[2][0].scores == ()
    assert "no known expression: no scores" in " ".join(runs[2][0].notes)
    assert not any("same label" in note for note in runs[0][0].notes)
    first = evaluate_run(runs[0][1])
    assert [(s.model, s.metrics) for s in first.scores] == [
        (s.model, s.metrics) for s in runs[0][0].scores
    ]


def test_several_sources_share_a_scale_and_a_lookup(
    expressed: Callable[..., Path], quick: TrainConfig, tmp_path: Path
) -> None:
    files = [expressed(f"{name}.h5", seed=seed, cell_type=name) for seed, name in enumerate("ABC")]
    run = tmp_path / "run"
    done = adapt_model(
        files[:2], files[2], run, task="regression", method="source_only", model="ridge",
        training=quick, split=Split("adapt", validation_fraction=0.2),
    )  # fmt: skip
    assert [score.model for score in done.scores] == [
        "source_only", MEAN, "source expression (no model)",
    ]  # fmt: skip
    near, far = [read_bins(path).genes for path in files[:2]], read_bins(files[2]).genes
    both = np.mean([np.log1p(one.expression) for one in near], axis=0)
    np.testing.assert_allclose(source_log1p(near, far, 0.0).score, both)


def test_the_lookup_takes_the_mean_where_nothing_is_known() -> None:
    def genes(ids: str, expression: list[float]) -> GeneTable:
        n = len(ids)
        return GeneTable.build(list(ids), ["1"] * n, [0] * n, [1] * n, ["+"] * n,
                               expression=expression)  # fmt: skip

    far = genes("xba", [1.0, 2.0, 3.0])
    found = source_log1p([genes("ab", [np.e - 1, np.nan]), genes("a", [0.0])], far, 9.0)
    np.testing.assert_allclose(found.score, [9, 9, 0.5])
    assert found.found.tolist() == [False, False, True]


def test_classification_keeps_its_files(
    make_file: MakeFile, quick: TrainConfig, tmp_path: Path
) -> None:
    train_model(make_file(), tmp_path / "run", recipe="paper", training=quick)
    document = json.loads((tmp_path / "run/config.json").read_text())
    assert document["version"] == 1
    assert "task" not in document
    assert "validation_auroc" in table(tmp_path / "run/history.csv")[0]


def test_an_older_reader_refuses(
    expressed: Callable[..., Path], quick: TrainConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    train_model(expressed(), tmp_path / "run", recipe="paper", task="regression", training=quick)
    assert task_of(read_run(tmp_path / "run").config.task).learned == "expression"
    monkeypatch.setattr("chromemodel.train.checkpoint.RUN_VERSION", 2)
    with pytest.raises(RunError, match="reads up to 2"):
        read_run(tmp_path / "run")


def test_files_that_cannot_be_learned_from(
    make_bins: MakeBins, make_file: MakeFile, quick: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no gene has an expression") as caught:
        train_model(make_file(labels=False), tmp_path / "run", task="regression")
    assert "chromeprep label" in str(caught.value)
    with pytest.raises(InputError, match="negative expression"):
        train_model(make_file("b.h5"), tmp_path / "run", task="regression")
    content = make_bins()
    same = replace(content.genes, expression=np.full(len(content.genes), 2.0))
    path = make_file("c.h5", replace(content, genes=same))
    with pytest.raises(InputError, match="training genes"):
        train_model(path, tmp_path / "run", task="regression")
    assert not (tmp_path / "run").exists()


def test_models_methods_and_panels_that_classify_only(
    expressed: Callable[..., Path], tmp_path: Path
) -> None:
    data = expressed()
    for name in ("logistic", "logistic.summed", "linear_svm"):
        with pytest.raises(ValueError, match=r"cannot do regression; choose among .*ridge"):
            train_model(data, tmp_path / "run", task="regression", model=name)
    with pytest.raises(ValueError, match=r"'ridge' cannot do classification"):
        train_model(data, tmp_path / "run", model="ridge")
    for name in ("mcc", "self_training", "cdan"):
        with pytest.raises(ValueError, match=r"cannot do regression; choose among source_only"):
            adapt_model(data, data, tmp_path / "run", task="regression", method=name)
    with pytest.raises(ValueError, match="a panel beside the marks"):
        train_model(data, tmp_path / "run", task="regression", panel=PanelChoice("p.h5"))


def test_the_command_line(expressed: Callable[..., Path], inside: Cli, tmp_path: Path) -> None:
    expressed("a.h5")
    expressed("b.h5", seed=1, cell_type="B")
    options = ("--task=regression", "--recipe=paper", "--optimizer=adam", "--epochs=2", "-p1")
    done = inside("train", "a.h5", "-o", "run", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["Pearson", "Spearman", "R2", "RMSE"]
    assert "ridge regression" in done.stdout
    assert "high" not in done.stdout
    assert "validation R2" in done.stderr
    done = inside("adapt", "--source=a.h5", "--target=b.h5", "-o", "adapted", *options)
    assert done.returncode == 0, done.stderr
    assert "source expression (no model)" in done.stdout
    found = json.loads(inside("evaluate", "run", "--bootstrap", 20, "--json").stdout)["scores"]
    assert found[0]["interval"]["r2"][0] < found[0]["r2"] < found[0]["interval"]["r2"][1]
    assert inside("evaluate", "adapted", "--bootstrap", 20).returncode == 0
    done = inside("evaluate", "run", "--data", "b.h5", "--bootstrap", 0)
    assert "had their expression in A seen in training" in done.stderr
    assert inside("predict", "run", "b.h5", "-o", "p.tsv").returncode == 0
    assert len(table(tmp_path / "p.tsv")) == 120


def test_two_regressions_are_compared(
    expressed: Callable[..., Path], inside: Cli, quick: TrainConfig, tmp_path: Path
) -> None:
    data = expressed("a.h5")
    for model in ("ridge", "random_forest"):
        train_model(data, tmp_path / model, task="regression", model=model, training=quick)
    runs = (tmp_path / "ridge", tmp_path / "random_forest")
    found = compare_runs(*runs, replicates=100)
    scores = [evaluate_run(run).scores[0].metrics for run in runs]
    assert [score.metrics for score in found.scores] == scores
    value, interval = found.difference.value, found.difference.interval
    assert isinstance(value, RegressionMetrics)
    assert interval is not None
    np.testing.assert_allclose(value[1:], np.subtract(scores[0][1:], scores[1][1:]))
    for low, middle, high in zip(interval.low[1:], value[1:], interval.high[1:], strict=True):
        assert low < middle < high
    same = compare_runs(runs[0], runs[0], replicates=20).difference
    assert same.interval is not None
    assert not any((*same.value[1:], *same.interval.low[1:], *same.interval.high[1:]))
    done = inside("compare", "ridge", "random_forest", "--bootstrap=20")
    assert done.returncode == 0
    assert "R2" in done.stdout
    assert "DeLong" not in done.stdout
    assert "delong_p" not in inside("compare", "ridge", "ridge", "--json").stdout
    train_model(data, tmp_path / "high", model="logistic", training=quick)
    done = inside("compare", "ridge", "high")
    assert done.returncode == 1
    assert "compare runs of one --task" in done.stderr


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_figure_of_predicted_and_measured(
    form: str, expressed: Callable[..., Path], inside: Cli, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    train_model(expressed("a.h5"), tmp_path / "run", task="regression", model="ridge")
    for name in ("one", "two"):
        plot = f"{name}.{form}"
        assert inside("evaluate", "run", "--bootstrap=0", "--plot", plot).returncode == 0
    assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()


def test_what_needs_classes_refuses_a_regression(
    expressed: Callable[..., Path], inside: Cli, tmp_path: Path
) -> None:
    data = expressed("a.h5")
    train_model(data, tmp_path / "run", task="regression", model="ridge")
    with pytest.raises(ChromeError, match="is a run of --task regression"):
        select_run([tmp_path / "run", tmp_path / "run"])
    training = TrainConfig(epochs=1, threads=1, mark_dropout=0.3)
    train_model(data, tmp_path / "marks", recipe="paper", task="regression", training=training)
    done = inside("evaluate", "marks", "--by-marks", "--bootstrap=0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "a table by marks needs one of --task classification" in done.stderr
    for arguments in (
        ("train", "a.h5", "--model=logistic"),
        ("train", "a.h5", "--panel=p.h5"),
        ("adapt", "--source=a.h5", "--target=b.h5", "--method=mcc"),
    ):
        done = inside(*arguments, "--task=regression", "-o", "other")
        assert done.returncode == 2
        assert "cannot do regression" in done.stderr
    done = inside("benchmark", "within", "a.h5", "--model=ridge", "-o", "b")
    assert done.returncode == 2
    assert "cannot do classification" in done.stderr
