"""Every model of the registry: sizes by hand, any marks and bins, genes apart, runs read again."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chromemodel.adapt import create_method
from chromemodel.config import TrainConfig
from chromemodel.defaults import BEST_NETWORK
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.models import MODELS, create_model
from chromemodel.models.base import ChromeNet
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.single import train_model

MakeFile = Callable[..., Path]
DEEP = [entry.name for entry in MODELS if entry.fitter == "torch"]
CLASSICAL = [entry.name for entry in MODELS if entry.fitter == "scikit-learn"]


def conv(inputs: int, outputs: int, *width: int) -> int:
    return inputs * outputs * int(np.prod(width)) + outputs


def dense(*widths: int) -> int:
    return sum(a * b + b for a, b in itertools.pairwise(widths))


def lstm(inputs: int, units: int, directions: int = 1) -> int:
    # Four gates; torch has a bias for the input and one for the state.
    return directions * 4 * (inputs * units + units * units + 2 * units)


def attention(channels: int) -> int:
    return 2 * conv(channels, channels // 2, 1) + conv(channels, channels, 1)


def transferchrome(dense_block: int, kernels_in: int, positions: int, more: int = 0) -> int:
    channels = 50 + positions
    return (
        dense_block + conv(kernels_in, 50, 5) + more + 2 * attention(channels)
        + dense(channels * 100, 128) + dense(128, 64, 16, 2)
    )  # fmt: skip


THIN = conv(5, 32, 5) + conv(37, 16, 5) + conv(53, 8, 5)
WIDE = conv(5, 50, 5) + conv(55, 50, 5) + conv(105, 50, 5)
STACK = conv(5, 50, 5) + conv(50, 40, 3) + conv(40, 30, 2) + conv(30, 20, 2)
ENCODER = lstm(1, 32, 2) + 64
BY_HAND = {
    "transferchrome": transferchrome(THIN, 61, 1),
    "transferchrome.alpha": transferchrome(THIN, 61, 16),
    "transferchrome.beta": transferchrome(THIN, 61, 0),
    "transferchrome.v1": transferchrome(WIDE, 155, 1),
    "transferchrome.v2": transferchrome(0, 5, 1),
    "transferchrome.v3": transferchrome(0, 5, 1, 2 * conv(50, 50, 5)),
    "deepchrome": conv(5, 50, 10) + dense(50 * 38, 625, 125, 2),
    "deepchrome.mlp": dense(1000, 500, 2),
    "attentivechrome": 5 * ENCODER + lstm(64, 16, 2) + 32 + dense(32, 1),
    "attentivechrome.lstm_alpha_beta": 5 * ENCODER + lstm(64, 16, 2) + 32 + dense(32, 1),
    "attentivechrome.lstm": lstm(5, 32, 2) + dense(64, 1),
    "attentivechrome.lstm_attn": lstm(5, 32, 2) + 64 + dense(64, 1),
    "attentivechrome.cnn_attn": conv(5, 50, 10) + 50 + dense(50, 1),
    "attentivechrome.lstm_alpha": 5 * ENCODER + dense(5 * 64, 1),
    "convchrome.cnn1d": STACK + dense(100 * 20, 128, 64, 1),
    "convchrome.hybrid": STACK + 20 * 20 + 1 + dense(100 * 20, 128, 64, 1),
    "convchrome.cnn2d": conv(1, 50, 5, 5) + conv(50, 40, 3, 3) + conv(40, 30, 2, 2)
    + conv(30, 20, 2, 2) + dense(200 * 5 * 20, 128, 64, 1),
    "deepepi": STACK + lstm(20, 32) + lstm(32, 16) + lstm(16, 8)
    + 32 * 32 + 16 * 16 + 8 * 8 + 3 + dense(200 * 8, 128, 64, 1),
    "crnn": conv(1, 32, 3, 3) + conv(32, 32, 3, 3) + lstm(5 * 32, 32) + dense(32, 100, 20, 1),
    "tcn": conv(5, 32, 3) + conv(5, 32, 1) + 11 * conv(32, 32, 3) + dense(32, 2),
    "logistic": 1001,
    "ridge": 1001,
    "logistic.summed": 6,
    "linear_svm": 1001,
}  # fmt: skip
TREES = ("random_forest", "gradient_boosting", "ensemble")


def size(model: ChromeNet) -> int:
    return sum(value.numel() for value in model.state_dict().values())


@pytest.mark.parametrize("name", [name for name in MODELS.names() if name not in TREES])
def test_parameters_by_hand(name: str) -> None:
    assert size(create_model(name, {}, n_marks=5, n_bins=200)) == BY_HAND[name]


def test_parameters_that_papers_tell() -> None:
    # 645,000 parameters, says DeepChrome 2.0 of DeepChrome's five marks and 100 bins.
    assert size(create_model("deepchrome", {}, n_marks=5, n_bins=100)) == 644_177


@pytest.mark.parametrize(
    ("name", "n_bins", "expected"),
    [
        ("deepchrome", 100, {"conv": (2, 50, 91), "pool": (2, 50, 18), "hidden": (2, 125)}),
        ("deepchrome.mlp", 100, {"hidden": (2, 250)}),
        ("attentivechrome.cnn_attn", 200, {"conv": (2, 50, 191)}),
        ("convchrome.cnn1d", 100, {"conv": (2, 50, 100), "pool": (2, 50, 50)}),
        ("convchrome.hybrid", 100, {"attend": (2, 50, 20), "hidden": (2, 64)}),
        ("convchrome.cnn2d", 100, {"convs": (2, 20, 100, 5), "hidden": (2, 64)}),
        ("deepepi", 100, {"convs": (2, 20, 100), "dropout": (2, 100, 8), "hidden": (2, 64)}),
        ("crnn", 100, {"convs": (2, 32, 100, 5), "hidden": (2, 20)}),
        ("tcn", 100, {"blocks": (2, 32, 100)}),
        ("transferchrome.alpha", 200, {"attention": (2, 66, 100)}),
        ("transferchrome.v1", 200, {"dense": (2, 155, 200)}),
        ("transferchrome.v3", 200, {"conv": (2, 50, 200), "further": (2, 50, 200)}),
    ],
)  # fmt: skip
def test_shapes_of_layers(name: str, n_bins: int, expected: dict[str, tuple[int, ...]]) -> None:
    model = create_model(name, {}, n_marks=5, n_bins=n_bins)
    seen: dict[str, tuple[int, ...]] = {}
    for part in expected:
        getattr(model, part).register_forward_hook(
            lambda _m, _i, out, part=part: seen.__setitem__(part, tuple(out.shape))
        )
    model(torch.zeros(2, 5, n_bins))
    assert seen == expected


@pytest.mark.parametrize("name", MODELS.names())
def test_any_number_of_marks_and_bins(name: str) -> None:
    torch.manual_seed(0)
    for n_marks, n_bins in ((1, 33), (5, 100), (8, 41), (3, 200)):
        model = create_model(name, {}, n_marks=n_marks, n_bins=n_bins).eval()
        out = model(torch.randn(2, n_marks, n_bins))
        assert out.shape == (2, 2)
        assert out.isfinite().all()
    with pytest.raises(ValueError, match="mark"):
        create_model(name, {}, n_marks=0, n_bins=40)


@pytest.mark.parametrize("name", DEEP)
def test_every_bin_and_mark_counts(name: str) -> None:
    """No bin is cut off by padding or pooling (DeepChrome, as published, leaves a rest out)."""
    torch.manual_seed(0)
    n_bins = 44 if name == "deepchrome" else 40
    model = create_model(name, {}, n_marks=3, n_bins=n_bins).eval()
    x = torch.randn(4, 3, n_bins, requires_grad=True)
    model(x)[:, 1].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax(0) > 0).all()


@pytest.mark.parametrize("name", DEEP)
def test_overfits_eight_genes(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 5, 24)
    y = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    model = create_model(name, {}, n_marks=5, n_bins=24)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    slow = name.startswith("attentivechrome")
    config = TrainConfig("adam", lr=0.03 if slow else 0.001, epochs=400, batch_size=8)
    loop = Loop(model, create_method("source_only", {}, model), FitData(x, y),
                replace(config, weight_decay=0.0))  # fmt: skip
    losses = [loop.run_epoch().train_loss]
    while losses[-1] > 0.05 and len(losses) < config.epochs:
        losses.append(loop.run_epoch().train_loss)
    assert losses[-1] <= 0.05, losses[-1]
    assert (model.eval()(x).argmax(1) == y).all()


@pytest.mark.parametrize("name", DEEP)
def test_genes_do_not_see_each_other(name: str) -> None:
    torch.manual_seed(1)
    model = create_model(name, {}, n_marks=3, n_bins=30).eval()
    x, order = torch.randn(6, 3, 30), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(model(x[order]), model(x)[order], rtol=1e-5, atol=1e-6)
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    gradients = []
    for rows in (torch.arange(6), order):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", MODELS.names("classification"))
def test_the_same_commands_for_every_model(name: str, make_file: MakeFile, tmp_path: Path) -> None:
    data, run = make_file(n_genes=90, n_bins=16), tmp_path / "run"
    training = replace(MODELS.entry(name).recipe, epochs=1, batch_size=32, threads=1)
    done = train_model(data, run, model=name, training=training, baseline=False)
    assert sorted(path.name for path in run.iterdir()) == [
        "config.json", "history.csv", "metrics.json", "predictions.tsv", "weights.safetensors",
    ]  # fmt: skip
    with (run / "predictions.tsv").open(newline="") as handle:
        told = [np.float32(row["probability"]) for row in csv.DictReader(handle, delimiter="\t")]
    assert told == predict_genes(run, data).probability.tolist()
    assert np.ptp(told) > 0
    (own,) = evaluate_run(run).scores
    assert own.metrics == done.scores[2].metrics
    assert own.model == name


@pytest.mark.parametrize("name", MODELS.names("classification"))
def test_a_model_is_trained_by_the_recipe_of_its_paper(
    name: str, make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained_by(name, make_file, tmp_path, monkeypatch, recipe="paper")
    assert found == MODELS.entry(name).recipe


def test_networks_are_trained_by_adam_where_nothing_is_said(
    make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained_by("deepchrome", make_file, tmp_path, monkeypatch) == BEST_NETWORK


def trained_by(
    name: str,
    make_file: MakeFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    **more: Any,
) -> TrainConfig:
    seen: list[TrainConfig] = []

    class Stopped(Exception):  # noqa: N818
        pass

    def fresh(*arguments: object) -> None:
        seen.append(arguments[3])  # type: ignore[arg-type]
        raise Stopped

    monkeypatch.setattr("chromemodel.train.single.fresh", fresh)
    with pytest.raises(Stopped):
        train_model(make_file(n_bins=16), tmp_path / "run", model=name, **more)
    (one,) = seen
    return one


def test_recipes() -> None:
    def told(name: str) -> tuple[object, ...]:
        recipe = MODELS.entry(name).recipe
        return recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs, recipe.clip_norm

    assert told("transferchrome.v3") == ("sgd", 0.001, 32, 200, None)
    assert told("deepchrome") == ("sgd", 0.001, 1, 100, None)
    assert told("attentivechrome.lstm") == ("adam", 0.0002, 16, 30, 1.0)
    assert told("convchrome.cnn2d") == ("adam", 0.005, 200, 10, None)
    assert told("deepepi") == ("adam", 0.001, 300, 10, None)
    assert told("crnn") == ("adam", 0.001, 200, 500, None)
    for name in DEEP:
        if not name.startswith("transferchrome"):
            assert MODELS.entry(name).recipe.weight_decay == 0
    assert MODELS.entry("deepchrome").recipe.momentum == 0


def test_gradients_are_clipped() -> None:
    torch.manual_seed(0)
    x, y = 100 * torch.randn(16, 2, 8), torch.tensor([0, 1] * 8)
    moved = []
    for clip in (None, 1e-3):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = create_model("deepchrome.mlp", {}, n_marks=2, n_bins=8)
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        config = TrainConfig(
            lr=1.0, momentum=0.0, weight_decay=0.0, batch_size=16, epochs=1, clip_norm=clip
        )
        Loop(model, create_method("source_only", {}, model), FitData(x, y), config).run_epoch()
        after = torch.cat([p.detach().flatten() for p in model.parameters()])
        moved.append(float((after - before).norm()))
    # One step of plain gradient descent with a rate of 1 is as long as the gradient.
    assert moved[0] > 0.1
    assert moved[1] == pytest.approx(1e-3, rel=1e-2)
    with pytest.raises(ValueError, match="clip_norm is 0"):
        TrainConfig(clip_norm=0.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deepchrome", {"dropout": 1.0}, "dropout is 1.0"),
        ("deepchrome", {"widths": []}, "widths is empty"),
        ("deepchrome", {"kernels": 0}, "kernels is 0, expected 1 or more"),
        ("attentivechrome", {"bin_units": 0}, "bin_units is 0"),
        ("convchrome.cnn1d", {"conv_widths": [5, 3]}, "conv_widths has 2 entries, expected 4"),
        ("convchrome.cnn2d", {"dropouts": [0.5]}, "dropouts has 1 entries, expected 3"),
        ("convchrome.hybrid", {"attention_width": 0}, "attention_width is 0"),
        ("deepepi", {"lstm_units": [8]}, "attention_widths has 3 entries, expected 1"),
        ("crnn", {"widths": []}, "widths is empty"),
        ("tcn", {"width": 4, "causal": False}, "width is 4, expected an odd number"),
        ("logistic", {"strengths": [0.0]}, "strengths is"),
        ("gradient_boosting", {"subsample": 2.0}, "subsample is 2.0"),
        ("transferchrome.v3", {"convolutions": 0}, "convolutions is 0"),
    ],
)
def test_wrong_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(name, options, n_marks=3, n_bins=40)


def test_windows_too_small() -> None:
    for name in ("deepchrome", "attentivechrome.cnn_attn", "convchrome.cnn1d"):
        with pytest.raises(ValueError, match=r"a gene has only 1$"):
            create_model(name, {}, n_marks=3, n_bins=1)


def test_variants_are_transferchrome_with_other_options() -> None:
    for name, options in (
        ("transferchrome.alpha", {"position": "sinusoidal"}),
        ("transferchrome.beta", {"position": "none"}),
        ("transferchrome.v1", {"dense_kernels": [50, 50, 50]}),
        ("transferchrome.v2", {"dense_kernels": []}),
        ("transferchrome.v3", {"dense_kernels": [], "convolutions": 3}),
    ):
        torch.manual_seed(0)
        variant = create_model(name, {}, n_marks=3, n_bins=20).eval()
        plain = create_model("transferchrome", options, n_marks=3, n_bins=20).eval()
        plain.load_state_dict(variant.state_dict())
        x = torch.randn(2, 3, 20)
        assert torch.equal(variant(x), plain(x))


def test_a_run_without_the_newer_keys_is_read(make_file: MakeFile, tmp_path: Path) -> None:
    data, run = make_file(n_bins=16), tmp_path / "run"
    train_model(data, run, recipe="paper", training=TrainConfig(epochs=1), baseline=False)
    before = predict_genes(run, data).probability
    config = json.loads((run / "config.json").read_text())
    del config["training"]["clip_norm"], config["layout"]["window_named"]
    del config["model"]["options"]["convolutions"]
    (run / "config.json").write_text(json.dumps(config))
    assert predict_genes(run, data).probability.tolist() == before.tolist()


def test_the_document_has_every_model_and_its_recipe() -> None:
    rows = {}
    text = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("| `"):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows[name.strip("`")] = cells
    assert list(rows) == MODELS.names()
    for name, (parameters, optimizer, lr, batch, epochs) in rows.items():
        recipe = MODELS.entry(name).recipe
        if name not in TREES:
            assert int(parameters.replace(",", "")) == BY_HAND[name]
        if name in DEEP:
            told = (optimizer, float(lr), int(batch), int(epochs))
            assert told == (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs)
        assert f"## {name.split('.')[0]}\n" in text or f"- `{name}`:" in text
        assert f"`{name}`" in text.split("## What differs")[1] or f"## {name}\n" in text
