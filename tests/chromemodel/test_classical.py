"""Models that scikit-learn fits: torch says what it says, and nothing is unpickled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import TrainConfig
from chromemodel.evaluate.baselines import fit_logistic
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.models import MODELS, create_model
from chromemodel.models.base import ClassicalNet, Labelled
from chromemodel.models.trees import TreeNet
from chromemodel.tasks import CLASSIFICATION
from chromemodel.train.checkpoint import read_run
from chromemodel.train.loop import predict_logits
from chromemodel.train.single import train_model
from chromeprep.errors import ChromeError, RunError

MakeFile = Callable[..., Path]
CLASSICAL = [
    name for name in MODELS.names("classification") if MODELS.entry(name).fitter != "torch"
]
TREES = {"random_forest": {"trees": 20}, "gradient_boosting": {"trees": 30}}


def genes(n: int, seed: int, n_bins: int = 7) -> Labelled:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3, n_bins)).astype(np.float32)
    hidden = x[:, 0].mean(1) * np.where(x[:, 1, 3] > 0, 3, 0.5) + 0.2 * rng.normal(size=n)
    # Values that many genes share: thresholds then lie between equal numbers.
    return Labelled(np.round(x, 1), (hidden > 0).astype(np.int8))


def fitted(name: str, **options: object) -> tuple[ClassicalNet, Labelled, Labelled]:
    train, held_out = genes(150, 0), genes(80, 1)
    model = create_model(name, options, n_marks=3, n_bins=7)
    assert isinstance(model, ClassicalNet)
    model.fit(train, held_out, 5)
    return model, train, held_out


def asked(model: ClassicalNet, signal: NDArray[np.float32]) -> NDArray[np.float32]:
    return CLASSIFICATION.answer(predict_logits(model, torch.from_numpy(signal))).numpy()


@pytest.mark.parametrize(
    ("name", "original"),
    [
        (
            "random_forest",
            RandomForestClassifier(
                n_estimators=20, min_samples_leaf=5, max_features="sqrt", random_state=5
            ),
        ),
        (
            "gradient_boosting",
            GradientBoostingClassifier(
                n_estimators=30, subsample=0.8, max_features="sqrt", random_state=5
            ),
        ),
    ],
)
def test_trees_say_what_scikit_learn_says(name: str, original: ClassifierMixin) -> None:
    model, train, held_out = fitted(name, **TREES[name])
    original.fit(train.signal.reshape(150, -1), train.label)
    for one in (train, held_out):
        expected = original.predict_proba(one.signal.reshape(len(one.signal), -1))[:, 1]
        np.testing.assert_allclose(asked(model, one.signal), expected, atol=3e-6)
    assert auroc(held_out.label, asked(model, held_out.signal)) > 0.65


def test_thresholds_split_float32_as_they_split_in_double_precision() -> None:
    class Tree:
        node_count, max_depth = 3, 1
        children_left, children_right = np.array([1, -1, -1]), np.array([2, -1, -1])
        feature = np.array([0, -2, -2])

        def __init__(self, threshold: float) -> None:
            self.threshold = np.array([threshold, -2.0, -2.0])

    x = np.float32(0.1)
    for threshold, goes_left in (
        (float(x), True),
        (np.nextafter(float(x), 1), True),
        (np.nextafter(float(x), 0), False),
    ):
        model = create_model("gradient_boosting", {}, n_marks=1, n_bins=1)
        assert isinstance(model, TreeNet)
        model.put([Tree(threshold)], [np.array([0.0, -1.0, 1.0])], 0.5)
        logit = float(model(torch.tensor([[[x]]]))[0, 1])
        assert logit == (-0.5 if goes_left else 1.5)


def test_logistic_is_the_baseline() -> None:
    model, train, held_out = fitted("logistic")
    flat = fit_logistic(train.signal, train.label, held_out)
    np.testing.assert_allclose(
        asked(model, held_out.signal), flat.probability(held_out.signal), atol=1e-6
    )


def test_logistic_on_one_value_a_mark() -> None:
    model, train, held_out = fitted("logistic.summed", strengths=[0.5])
    expected = LogisticRegression(C=0.5, max_iter=2000).fit(train.signal.mean(2), train.label)
    np.testing.assert_allclose(
        asked(model, held_out.signal),
        expected.predict_proba(held_out.signal.mean(2))[:, 1],
        atol=1e-5,
    )
    assert torch.equal(
        model(torch.ones(1, 3, 7)), model(torch.ones(1, 3, 7).flip(2))
    )  # where the signal lies does not matter


def test_linear_svm_ranks_as_its_distances_and_is_scaled_by_held_out_genes() -> None:
    model, train, held_out = fitted("linear_svm", strengths=[1e-3])
    svm = LinearSVC(C=1e-3, dual=False).fit(train.signal.reshape(150, -1), train.label)
    distance = svm.decision_function(held_out.signal.reshape(80, -1))
    probability = asked(model, held_out.signal)
    assert (np.argsort(distance) == np.argsort(probability)).all()
    assert probability.mean() == pytest.approx(held_out.label.mean(), abs=0.02)
    assert probability.max() > 0.7
    alone = create_model("linear_svm", {}, n_marks=3, n_bins=7)
    assert isinstance(alone, ClassicalNet)
    alone.fit(train, None, 0)
    assert auroc(held_out.label, asked(alone, held_out.signal)) > 0.8


def test_the_penalty_is_that_of_the_best_held_out_auroc() -> None:
    for name in ("logistic", "linear_svm", "logistic.summed"):
        model, _, held_out = fitted(name)
        chosen = auroc(held_out.label, asked(model, held_out.signal))
        strengths = MODELS.load(name).Config().strengths
        areas = []
        for strength in strengths:
            one, _, _ = fitted(name, strengths=[strength])
            areas.append(auroc(held_out.label, asked(one, held_out.signal)))
        assert chosen == pytest.approx(max(areas), abs=1e-9)
        assert len(set(areas)) > 1


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_same_seed_gives_the_same_weights(
    name: str, make_file: MakeFile, tmp_path: Path
) -> None:
    data = make_file()
    for out in ("a", "b"):
        train_model(data, tmp_path / out, model=name, options=TREES.get(name), baseline=False)
    first, again = (load_file(tmp_path / out / "weights.safetensors") for out in "ab")
    assert all(torch.equal(first[key], again[key]) for key in first)
    if name in TREES:
        train_model(
            data, tmp_path / "c", model=name, options=TREES[name], training=TrainConfig(seed=1)
        )
        assert (tmp_path / "c/weights.safetensors").read_bytes() != (
            tmp_path / "a/weights.safetensors"
        ).read_bytes()
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    assert "fitted by scikit-learn" in " ".join(metrics["notes"])
    assert metrics["scores"][2]["auroc"] > 0.75


def test_damaged_trees(make_file: MakeFile, tmp_path: Path) -> None:
    data, run = make_file(), tmp_path / "run"
    train_model(data, run, model="random_forest", options=TREES["random_forest"], baseline=False)
    path = run / "weights.safetensors"
    good = load_file(path)
    assert path.stat().st_size < 200_000
    for name, value in (
        ("feature", torch.full_like(good["feature"], 24)),
        ("left", -torch.ones_like(good["left"])),
        ("right", good["right"][:, :-1].contiguous()),
        ("value", good["value"][0]),
    ):
        save_file({**good, name: value}, path)
        with pytest.raises(RunError, match="does not hold the weights of the model"):
            read_run(run)
    save_file({key: value for key, value in good.items() if key != "steps"}, path)
    with pytest.raises(RunError, match="does not hold the weights of the model"):
        read_run(run)


@pytest.mark.parametrize("name", ["logistic.summed", "random_forest"])
def test_classical_models_are_carried_over_but_not_adapted(
    name: str, make_file: MakeFile, tmp_path: Path
) -> None:
    source, target = make_file("s.h5"), make_file("t.h5", seed=1)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ChromeError, match="can be carried over, but not adapted") as caught:
        adapt_model(source, target, tmp_path / "run", model=name, method="dann")
    assert "--method source_only" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    done = adapt_model(
        source, target, tmp_path / "run", model=name, options=TREES.get(name),
        baseline=False,
    )  # fmt: skip
    assert done.scores[0].metrics.auroc > 0.7
    assert evaluate_run(tmp_path / "run").scores[0].metrics == done.scores[0].metrics
    assert len(predict_genes(tmp_path / "run", target).probability) == 120


def test_the_command_line(
    inside: Callable[..., subprocess.CompletedProcess[str]], make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    done = inside("train", "a.h5", "-o", "run", "--model", "logistic", "-p1")
    assert done.returncode == 0, done.stderr
    # It is its own baseline.
    assert [line.split()[0] for line in done.stdout.splitlines()[2::2]] == ["logistic"] * 3
    assert "epoch" not in done.stderr
    assert inside("evaluate", "run").returncode == 0
    assert inside("predict", "run", "a.h5", "-o", "p.tsv").returncode == 0
    done = inside("train", "a.h5", "-o", "gb", "--model", "gradient_boosting", "--set", "trees=5")
    assert done.returncode == 0, done.stderr
    assert "logistic regression" in done.stdout
    done = inside(
        "adapt", "--source=a.h5", "--target=b.h5", "-o", "r", "--model=linear_svm", "--recipe=paper"
    )
    assert done.returncode == 1
    assert "not adapted" in done.stderr
    listed = inside("models").stdout.splitlines()
    assert [line.split("\t")[1] for line in listed][: len(MODELS.names())] == MODELS.names()
    assert all(len(line.split("\t")) == 3 for line in listed)
    told = inside("models", "attentivechrome").stdout.splitlines()
    assert "bin_units\t32\ta whole number" in told
    assert "--lr\t0.0002\ta number" in told
    assert "--clip-norm\t1.0\ta number or null" in told
    assert not any(line.startswith("--") for line in inside("models", "logistic").stdout.split())
    document = json.loads(inside("models", "deepchrome", "--json").stdout)
    assert document["recipe"]["batch_size"] == 1
    assert "seed" not in document["recipe"]
    done = inside(
        "train", "a.h5", "-o", "dc", "--recipe=paper", "--model", "deepchrome.mlp", "--epochs=1",
        "--batch-size=9", "--clip-norm=2", "--seed=3", "--no-baseline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    training = json.loads((tmp_path / "dc/config.json").read_text())["training"]
    assert (training["epochs"], training["batch_size"], training["clip_norm"]) == (1, 9, 2.0)
    assert (training["momentum"], training["weight_decay"], training["seed"]) == (0.0, 0.0, 3)
