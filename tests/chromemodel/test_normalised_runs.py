"""``--normalise`` and ``--transform`` through whole runs: train, adapt, read again, other files."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Normalisation, NormaliseRule, Transform
from chromemodel.data.dataset import read_signals
from chromemodel.data.quantiles import fit_quantiles
from chromemodel.data.splits import split_genes
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.train.checkpoint import read_run
from chromemodel.train.single import train_model
from chromeprep.errors import InputError, RunError
from chromeprep.format import ChromeBins, MarkTable

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
Inside = Callable[..., subprocess.CompletedProcess[str]]

RULES, TRANSFORMS = get_args(NormaliseRule), get_args(Transform)


def reshaped(data: ChromeBins, change: Callable[[NDArray[np.float32]], object]) -> ChromeBins:
    """A world whose signal is a function of another's."""
    signal = np.asarray(change(data.signal), dtype=np.float32)
    marks = MarkTable.build(data.mark_names, signal, units=["signal"] * len(data.marks))
    return replace(data, signal=signal, marks=marks)


def counts(data: ChromeBins) -> ChromeBins:
    """A world of whole numbers, 0 or more, with many ties and zeros."""
    return reshaped(data, lambda x: np.maximum(np.round(2 * x - 4), 0))


@pytest.fixture
def source(make_bins: MakeBins, make_file: MakeFile) -> Path:
    return make_file("a.h5", counts(make_bins()))


def written(run: Path) -> NDArray[np.float32]:
    with (run / "predictions.tsv").open(newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        return np.array([row["probability"] for row in rows], dtype=np.float32)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("rule", RULES)
def test_a_run_read_again_says_the_same(
    source: Path, tmp_path: Path, rule: NormaliseRule, transform: Transform
) -> None:
    run = tmp_path / "run"
    done = train_model(source, run, model="logistic", normalise=rule, transform=transform)
    np.testing.assert_array_equal(predict_genes(run, source).probability, written(run))
    assert evaluate_run(run).scores[0].metrics == done.scores[2].metrics
    kept = read_run(run).config.normalisation
    assert kept == done.config.normalisation
    assert (kept.rule, kept.transform) == (rule, transform)
    assert (run / "quantiles.safetensors").exists() == (rule == "quantile")
    assert f"normalisation: {kept.words}" in done.notes
    assert kept.words.startswith(f"{transform}, then") == (transform != "none")


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("rule", RULES)
def test_the_input_of_a_model(source: Path, rule: NormaliseRule, transform: Transform) -> None:
    signals = read_signals(source)
    rows = np.arange(len(signals.genes)) % 2 == 0
    fitted = signals.fitted(Normalisation(rule, transform=transform), rows)
    x = signals.normalised(fitted)
    assert x.dtype == np.float32
    change = {"none": np.asarray, "log1p": np.log1p, "arcsinh": np.arcsinh}[transform]
    values = change(signals.raw.astype(np.float64))
    if rule == "file":
        expected = (values - values.mean((0, 2))[:, None]) / values.std((0, 2))[:, None]
        np.testing.assert_allclose(x, expected, atol=1e-5)
    if rule == "none":
        np.testing.assert_allclose(x, values, rtol=1e-6)
    if fitted.by_training:
        trained = values[rows]
        np.testing.assert_allclose(fitted.mean, trained.mean((0, 2)), rtol=1e-6)
        np.testing.assert_allclose(fitted.std, trained.std((0, 2)), rtol=1e-6)
        expected = (values - trained.mean((0, 2))[:, None]) / trained.std((0, 2))[:, None]
        if rule == "training":
            np.testing.assert_allclose(x, expected, atol=1e-5)
        else:  # the same but for the luck of the half
            assert np.corrcoef(x.ravel(), expected.ravel())[0, 1] > 0.995
            assert fitted.quantiles[0].value == tuple(
                np.unique(change(signals.raw[rows, 0])).astype(float).tolist()
            )


def test_training_genes_have_the_quantiles(source: Path, tmp_path: Path) -> None:
    train_model(source, tmp_path / "run", model="logistic", normalise="quantile")
    config = read_run(tmp_path / "run").config
    signals = read_signals(source)
    rows = split_genes(signals.genes, config.split) == "train"
    assert config.normalisation.quantiles == tuple(
        fit_quantiles(signals.raw[rows, mark]) for mark in range(3)
    )


@pytest.mark.parametrize("change", [lambda x: 3 * x + 2, lambda x: x**2])
def test_quantiles_undo_what_rises(
    source: Path, make_bins: MakeBins, make_file: MakeFile, tmp_path: Path,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:  # fmt: skip
    other = make_file("b.h5", reshaped(counts(make_bins()), change))
    away = {}
    for rule in ("quantile", "training"):
        train_model(source, tmp_path / rule, model="logistic", normalise=rule)
        one, two = (predict_genes(tmp_path / rule, path).probability for path in (source, other))
        away[rule] = np.abs(one - two).max()
    assert away["quantile"] < 1e-5
    assert away["training"] > 0.01


def test_gaps_become_the_mean_of_the_training_genes(
    make_bins: MakeBins, make_file: MakeFile, source: Path
) -> None:
    rule = Normalisation("quantile", transform="arcsinh")
    fitted = read_signals(source).fitted(rule, np.ones(120, dtype=bool))

    def gaps(signal: NDArray[np.float32]) -> NDArray[np.float32]:
        signal = signal.copy()
        signal[:7, 0], signal[:, 1] = np.nan, np.nan
        return signal

    x = read_signals(make_file("b.h5", reshaped(counts(make_bins()), gaps))).normalised(fitted)
    assert (x[:7, 0] == 0).all()
    assert (x[:, 1] == 0).all()
    assert np.isfinite(x).all()
    assert x[7:, 0].std() > 0.5


def test_adapting_keeps_the_quantiles_of_the_source(
    source: Path, make_bins: MakeBins, make_file: MakeFile, tmp_path: Path
) -> None:
    target = make_file("b.h5", reshaped(counts(make_bins(seed=1)), lambda x: 5 * x + 1))
    done = adapt_model(
        source, target, tmp_path / "run", model="logistic", method="source_only",
        normalise="quantile", transform="log1p",
    )  # fmt: skip
    kept = read_run(tmp_path / "run").config.normalisation
    assert kept == done.config.normalisation
    assert kept.quantiles[0].value[-1] <= np.log1p(read_signals(source).raw[:, 0].max()) + 1e-6
    again = predict_genes(tmp_path / "run", target).probability
    np.testing.assert_array_equal(again, written(tmp_path / "run"))
    assert evaluate_run(tmp_path / "run").scores[0].metrics == done.scores[0].metrics


def test_negative_signal_and_log1p(make_file: MakeFile, source: Path, tmp_path: Path) -> None:
    negative = make_file("noisy.h5", noise=3.0)
    with pytest.raises(InputError, match=r"noisy.h5: mark H3K4me3 has \d+ negative") as caught:
        train_model(negative, tmp_path / "run", model="logistic", transform="log1p")
    assert "--transform arcsinh" in str(caught.value)
    assert not (tmp_path / "run").exists()
    train_model(negative, tmp_path / "run", model="logistic", transform="arcsinh")
    train_model(source, tmp_path / "log", model="logistic", transform="log1p")
    with pytest.raises(InputError, match=r"noisy.h5: mark .* log1p takes none"):
        predict_genes(tmp_path / "log", negative)


def test_a_run_from_before_transforms(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_model(source, run, model="logistic", normalise="training")
    config = json.loads((run / "config.json").read_text())
    assert "quantiles" not in config["normalisation"]
    del config["normalisation"]["transform"]
    (run / "config.json").write_text(json.dumps(config))
    assert read_run(run).config.normalisation.transform == "none"
    np.testing.assert_array_equal(predict_genes(run, source).probability, written(run))
    config["normalisation"]["quantiles"] = []
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"unknown key 'normalisation\.quantiles'"):
        read_run(run)


def test_a_run_whose_quantiles_are_gone(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_model(source, run, model="logistic", normalise="quantile")
    (run / "quantiles.safetensors").unlink()
    with pytest.raises(RunError, match=r"run: quantiles\.safetensors is missing"):
        predict_genes(run, source)


def test_the_options(source: Path, make_file: MakeFile, inside: Inside, tmp_path: Path) -> None:
    make_file("b.h5", seed=1, noise=0.1)
    named = ("--model=logistic", "--normalise=quantile", "--transform=arcsinh")
    done = inside("train", "a.h5", "-o", "run", *named)
    assert done.returncode == 0, done.stderr
    assert "normalisation: arcsinh, then each file's values mapped" in done.stderr
    done = inside("predict", "run", "b.h5", "-o", "b.tsv")
    assert done.returncode == 0, done.stderr
    adapted = ("adapt", "--source=a.h5", "--target=b.h5", "--method=source_only")
    assert inside(*adapted, "-o", "adapted", *named).returncode == 0
    kept = json.loads((tmp_path / "adapted/config.json").read_text())["normalisation"]
    assert (kept["rule"], kept["transform"]) == ("quantile", "arcsinh")
    wrong = inside("train", "a.h5", "-o", "other", "--transform=log2")
    assert wrong.returncode == 2
    assert "'none', 'log1p', 'arcsinh'" in wrong.stderr
