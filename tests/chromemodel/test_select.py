"""Are runs chosen by what can be known without labels of the target, and by nothing else?"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Split, TrainConfig
from chromemodel.evaluate.criteria import (
    cross_entropy,
    density_ratio,
    dev_risk,
    mutual_information,
    prediction_entropy,
    standardised,
)
from chromemodel.evaluate.select import (
    CRITERIA,
    Candidate,
    Values,
    choose,
    embed,
    select_run,
)
from chromemodel.train.checkpoint import read_run
from chromemodel.train.single import train_model
from chromeprep.errors import MismatchError, RunError
from chromeprep.format import read_bins, write_bins

MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]

probabilities = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


class Fixed:
    """What skada asks of an estimator: features and probabilities, here columns of X."""

    module_ = SimpleNamespace(layer_name="features")

    def predict_features(self, x: NDArray[Any]) -> NDArray[Any]:
        return x[:, :-1]

    def predict_proba(self, x: NDArray[Any], **_: Any) -> NDArray[Any]:
        return np.stack([1 - x[:, -1], x[:, -1]], axis=1)


def world(seed: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(400, 4))
    features[250:] += 0.7
    label = (features[:, 0] + rng.normal(size=400) > 0).astype(int)
    probability = 1 / (1 + np.exp(-features[:, 0] * 2))
    domain = np.r_[np.ones(250), -2 * np.ones(150)].astype(int)
    return np.column_stack([features, probability]), label, domain


@pytest.mark.parametrize("seed", range(3))
def test_dev_is_skadas(seed: int) -> None:
    metrics = pytest.importorskip("skada.metrics")
    from sklearn.model_selection import train_test_split

    x, label, domain = world(seed)
    # A column: skada 0.6's own loss has shape (genes,), which numpy spreads against the weights
    # (genes, 1) to a square, so that no loss meets its own weight.
    scorer = metrics.DeepEmbeddedValidation(
        loss_func=lambda y, p: cross_entropy(y, p[:, 1])[:, None], random_state=seed
    )
    theirs = -scorer._score(None, Fixed(), x, label, sample_domain=domain)
    source = domain > 0
    train, held_out, _, held_label = train_test_split(
        x[source], label[source], test_size=0.33, random_state=np.random.RandomState(seed)
    )
    weights = density_ratio(train[:, :-1], x[~source][:, :-1], held_out[:, :-1])
    loss = cross_entropy(held_label, held_out[:, -1])
    assert dev_risk(weights, loss).risk == pytest.approx(theirs, rel=1e-4)
    square = metrics.DeepEmbeddedValidation(random_state=seed)
    spread = -square._score(None, Fixed(), x, label, sample_domain=domain)
    outer = weights[:, None] * loss
    both = np.cov(np.concatenate([outer, weights[:, None]], axis=1), rowvar=False)[0, 1]
    eta = -both / np.var(weights, ddof=1)
    assert spread == pytest.approx(outer.mean() + eta * weights.mean() - eta, rel=1e-4)


def test_entropy_is_twice_skadas() -> None:
    metrics = pytest.importorskip("skada.metrics")
    x, label, domain = world(0)
    # skada averages over genes and classes; of two classes that is half of it.
    theirs = -metrics.PredictionEntropyScorer()._score(
        None, Fixed(), x, label, sample_domain=domain
    )
    assert prediction_entropy(x[domain < 0, -1]) == pytest.approx(2 * theirs, rel=1e-5)


@given(probabilities)
@settings(max_examples=60, deadline=None)
def test_entropy_and_information_by_plain_loops(probability: NDArray[Any]) -> None:
    def one(p: float) -> float:
        return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)

    mean = sum(one(float(p)) for p in probability) / len(probability)
    assert prediction_entropy(probability) == pytest.approx(mean, abs=1e-9)
    information = one(float(np.mean(probability))) - mean
    assert mutual_information(probability) == pytest.approx(information, abs=1e-9)
    assert -1e-9 <= mutual_information(probability) <= math.log(2) + 1e-9


@given(seed=st.integers(0, 1000), genes=st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_dev_by_plain_loops(seed: int, genes: int) -> None:
    rng = np.random.default_rng(seed)
    w, loss = rng.exponential(size=genes), rng.exponential(size=genes)
    wl = [a * b for a, b in zip(w, loss, strict=True)]
    mw, mwl = sum(w) / genes, sum(wl) / genes
    covariance = sum((a - mw) * (b - mwl) for a, b in zip(w, wl, strict=True))
    variance = sum((a - mw) ** 2 for a in w)
    found = dev_risk(w, loss)
    assert found.risk == pytest.approx(mwl - covariance / variance * (mw - 1))
    assert 1 - 1e-9 <= found.effective_genes <= genes + 1e-9
    # Without a shift all weights are 1, and what is left is the mean loss.
    assert dev_risk(np.ones(genes), loss).risk == pytest.approx(loss.mean())


def test_dev_comes_nearer_to_the_target_than_the_source_does() -> None:
    rng = np.random.default_rng(5)
    n = 20_000
    source, held_out = rng.normal(size=(n, 1)), rng.normal(size=(n, 1))
    target = rng.normal(1.0, 1.0, size=(n, 1))

    def loss(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((x[:, 0] - 0.5) ** 2)

    weights = density_ratio(source, target, held_out)
    # Of two normals of one deviation the ratio is exp(x - 1/2).
    np.testing.assert_allclose(np.log(weights), held_out[:, 0] - 0.5, atol=0.2)
    found = dev_risk(weights, loss(held_out)).risk
    assert abs(found - loss(target).mean()) < 0.1
    shifted = lambda x: np.exp(x[:, 0])  # noqa: E731
    truth, naive = shifted(target).mean(), shifted(held_out).mean()
    assert abs(dev_risk(weights, shifted(held_out)).risk - truth) < 0.2 * abs(naive - truth)


def test_density_ratio_knows_how_many_there_are() -> None:
    rng = np.random.default_rng(0)
    alike = rng.normal(size=(3000, 2))
    weights = density_ratio(alike[:2000], alike[2000:], rng.normal(size=(500, 2)))
    assert weights.mean() == pytest.approx(1, abs=0.1)


def test_standardised_does_not_see_the_length_of_features() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(30, 3)), rng.normal(2, 1, size=(20, 3))
    a[:, 2] = b[:, 2] = 4.0
    for one, two in zip(standardised(a, b), standardised(1000 * a + 7, 1000 * b + 7), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)
    assert (standardised(a, b)[0][:, 2] == 0).all()


def test_each_criterion_chooses_by_its_own_end() -> None:
    nan = math.nan
    runs = [
        Candidate("a", "dann", "m", Values(0.1, 0.1, 0.9, nan, nan), 0.5),
        Candidate("b", "dann", "m", Values(0.3, 0.3, 0.8, nan, nan), 0.9),
        Candidate("c", "dann", "m", Values(0.1, 0.2, nan, nan, nan), None),
    ]
    assert [choose(runs, one) for one in CRITERIA] == ["a", "b", "a", None]


@pytest.fixture
def pair(make_file: MakeFile) -> tuple[Path, Path]:
    return make_file("a.h5", n_genes=200, seed=1), make_file(
        "t.h5", n_genes=200, seed=2, cell_type="T", noise=1.5
    )


@pytest.fixture
def runs(pair: tuple[Path, Path], tmp_path: Path, quick: TrainConfig) -> list[Path]:
    split = Split("adapt", validation_fraction=0.3)
    folders = []
    for epochs, method in ((4, "deep_coral"), (1, "mcc")):
        folder = tmp_path / method
        adapt_model(
            *pair, folder, method=method, model="crnn", split=split, baseline=False,
            training=replace(quick, epochs=epochs),
        )  # fmt: skip
        folders.append(folder)
    return [*folders, folders[0] / "source_only"]


def test_values_are_those_of_the_runs(runs: list[Path], pair: tuple[Path, Path]) -> None:
    found = select_run(runs)
    assert [one.method for one in found.candidates] == ["deep_coral", "mcc", "source_only"]
    for folder, one in zip(runs, found.candidates, strict=True):
        lines = (folder / "predictions.tsv").read_text().splitlines()
        head = lines[0].split("\t")
        rows = [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]
        adapting = np.array([float(r["probability"]) for r in rows if r["part"] == "adapting"])
        assert one.values.entropy == pytest.approx(prediction_entropy(adapting), abs=1e-5)
        assert one.values.information == pytest.approx(mutual_information(adapting), abs=1e-5)
        history = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
        best = max(float(line[3]) for line in history[1:])
        assert one.values.source_auroc == pytest.approx(best)
        scores = json.loads((folder / "metrics.json").read_text())["scores"]
        assert one.target_auroc in {score["auroc"] for score in scores}
        assert one.values.dev_genes > 1
    assert {choice.criterion.field: choice.run for choice in found.choices}["source_auroc"] in {
        str(run) for run in runs
    }


def test_labels_of_the_target_choose_nothing(runs: list[Path], pair: tuple[Path, Path]) -> None:
    before = select_run(runs)
    data = read_bins(pair[1])
    turned = replace(data.genes, label=(1 - data.genes.label).astype(np.int8))
    pair[1].unlink()
    write_bins(pair[1], replace(data, genes=turned))
    after = select_run(runs)
    assert after.choices == before.choices
    assert [one.values for one in after.candidates] == [one.values for one in before.candidates]
    for one, two in zip(before.candidates, after.candidates, strict=True):
        assert one.target_auroc is not None
        assert two.target_auroc == pytest.approx(1 - one.target_auroc)
    bare = replace(data.genes, label=np.full(200, -1, dtype=np.int8))
    pair[1].unlink()
    write_bins(pair[1], replace(data, genes=bare))
    without = select_run(runs)
    assert without.choices == before.choices
    assert without.oracle is None


def test_features_and_logits_belong_together(runs: list[Path]) -> None:
    import torch

    model = read_run(runs[0]).model
    x = np.random.default_rng(0).normal(size=(600, 3, 8)).astype(np.float32)
    features, probability = embed(model, x, torch.device("cpu"))
    assert features.shape == (600, model.n_features)
    with torch.no_grad():
        expected = torch.softmax(model(torch.from_numpy(x)), 1)[:, 1].numpy()
    np.testing.assert_allclose(probability, expected, atol=1e-6)


def test_what_cannot_be_chosen_from(
    runs: list[Path], pair: tuple[Path, Path], make_file: MakeFile, tmp_path: Path,
    quick: TrainConfig,
) -> None:  # fmt: skip
    one = replace(quick, epochs=1)
    with pytest.raises(MismatchError, match="one run leaves nothing"):
        select_run(runs[:1])
    with pytest.raises(MismatchError, match="mcc: is named twice"):
        select_run([runs[0], runs[1], runs[1]])
    train_model(pair[0], tmp_path / "trained", model="crnn", training=one, baseline=False)
    with pytest.raises(RunError, match="trained: is no run of `chromemodel adapt`"):
        select_run([runs[0], tmp_path / "trained"])
    other = make_file("other.h5", n_genes=200, seed=3, cell_type="O")
    options: dict[str, Any] = {"method": "source_only", "model": "crnn", "baseline": False}
    adapt_model(pair[0], other, tmp_path / "other", training=one, **options)
    with pytest.raises(MismatchError, match=r"other: has target .*other.h5; .* has .*t.h5"):
        select_run([runs[0], tmp_path / "other"])
    adapt_model([pair[0], other], pair[1], tmp_path / "both", training=one, **options)
    with pytest.raises(MismatchError, match="both: has sources"):
        select_run([runs[0], tmp_path / "both"])
    adapt_model(*pair, tmp_path / "seed", training=replace(one, seed=1), **options)
    with pytest.raises(MismatchError, match="seed: has another split"):
        select_run([runs[0], tmp_path / "seed"])
    pair[0].unlink()
    with pytest.raises(RunError, match=r"a\.h5, which is no longer there"):
        select_run(runs)


def test_without_validation_genes_two_criteria_are_left(
    pair: tuple[Path, Path], tmp_path: Path, quick: TrainConfig
) -> None:
    split = Split("adapt", validation_fraction=0.0)
    for name in ("x", "y"):
        adapt_model(
            *pair, tmp_path / name, method="source_only", model="crnn", split=split,
            training=replace(quick, epochs=1), baseline=False,
        )  # fmt: skip
    found = select_run([tmp_path / "x", tmp_path / "y"])
    assert [choice.run is None for choice in found.choices] == [False, False, True, True]
    assert any("no source AUROC, no DEV" in note for note in found.notes)


def test_the_command_line(inside: Cli, runs: list[Path]) -> None:
    done = inside("select", *runs, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["run", "entropy", "information", "source", "AUROC", "DEV"]
    assert sum(line.count("*") for line in lines[1:4]) == 4
    assert "they chose nothing above" in done.stdout
    assert "labels (oracle)" in done.stdout
    found = json.loads(inside("select", *runs, "--json", "--device", "cpu").stdout)
    assert [one["criterion"] for one in found["chosen"]] == [one.field for one in CRITERIA]
    assert found["oracle"]["run"] in {str(run) for run in runs}
    assert inside("select", runs[0]).returncode == 2
