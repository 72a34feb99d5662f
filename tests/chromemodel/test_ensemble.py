"""The ensemble says what scikit-learn says, is the mean of its members, and survives its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from chromemodel.models import create_model
from chromemodel.models.base import Labelled
from chromemodel.models.ensemble import Ensemble
from chromemodel.train.checkpoint import read_run
from chromemodel.train.single import train_model
from chromeprep.errors import RunError

MakeFile = Callable[..., Path]
SMALL = {"trees": 12, "leaves": 5, "strengths": [0.01]}


def genes(n: int, n_bins: int = 40) -> Labelled:
    rng = np.random.default_rng(n)
    x = np.round(rng.normal(size=(n, 2, n_bins)), 1).astype(np.float32)
    middle = slice(n_bins // 2 - 2, n_bins // 2 + 2)
    return Labelled(x, (x[:, 0].mean(1) + x[:, 1, middle].mean(1) > 0).astype(np.int8))


def fitted(n_bins: int = 40) -> tuple[Ensemble, Labelled]:
    model = create_model("ensemble", SMALL, n_marks=2, n_bins=n_bins)
    assert isinstance(model, Ensemble)
    train = genes(400, n_bins)
    model.fit(train, genes(100, n_bins), 7)
    return model, train


def test_the_logit_is_the_mean_of_what_scikit_learn_says() -> None:
    model, train = fitted()
    trees = model.members["trees"]
    pooled = trees.features(torch.from_numpy(train.signal)).numpy()
    boosted = HistGradientBoostingClassifier(
        max_iter=12, max_leaf_nodes=5, min_samples_leaf=40, learning_rate=0.05,
        l2_regularization=10, max_features=0.3, early_stopping=False, random_state=7,
    ).fit(pooled, train.label)  # fmt: skip
    flat = train.signal.reshape(400, -1)
    linear = LogisticRegression(C=0.01, max_iter=2000).fit(flat, train.label)
    expected = (boosted.decision_function(pooled) + linear.decision_function(flat)) / 2
    logits = model(torch.from_numpy(train.signal)).numpy()
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=1e-4)
    assert np.ptp(expected) > 0.5


def test_what_the_trees_see() -> None:
    model = create_model("ensemble", {}, n_marks=1, n_bins=200)
    x = torch.arange(200.0)[None, None]
    seen = model.members["trees"].features(x)[0]  # type: ignore[operator,union-attr]
    assert seen[:40].tolist() == [2 + 5 * k for k in range(40)]
    assert seen[40:50].tolist() == [9.5 + 20 * k for k in range(10)]
    assert seen[50:].tolist() == [80.5 + 2 * k for k in range(20)]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 90), st.integers(0, 4))
def test_windows_of_any_size(n_marks: int, n_bins: int, n_genes: int) -> None:
    model = create_model("ensemble", {}, n_marks=n_marks, n_bins=n_bins)
    assert model(torch.rand(n_genes, n_marks, n_bins)).shape == (n_genes, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"leaves": 1}, "leaves is 1, expected 2 or more"),
        ({"trees": 0}, "trees is 0, expected 1 or more"),
        ({"features_share": 0.0}, "features_share is 0.0"),
        ({"learning_rate": 1.5}, "learning_rate is 1.5"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"penalty": float("nan")}, "penalty is nan"),
        ({"strengths": []}, "strengths is"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        create_model("ensemble", options, n_marks=1, n_bins=40)


def test_damaged_weights_are_refused(make_file: MakeFile, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_model(make_file(), run, model="ensemble", options=SMALL, baseline=False)
    path = run / "weights.safetensors"
    good = load_file(path)
    first = read_run(run).model.state_dict()
    assert all(torch.equal(good[name], first[name]) for name in good)
    name = "members.trees.left"
    for weights in (
        {**good, name: -torch.ones_like(good[name])},
        {key: value for key, value in good.items() if key != name},
        {key: value for key, value in good.items() if "linear" not in key},
        {**good, "members.other": torch.zeros(1)},
    ):
        save_file(weights, path)
        with pytest.raises(RunError, match="does not hold the weights of the model"):
            read_run(run)
