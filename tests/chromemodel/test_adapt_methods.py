"""The methods of adaptation: what their losses must keep, and what they do to a run."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import subprocess
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chromemodel.adapt import METHODS, adabn, create_method
from chromemodel.adapt.adabn import renormalise
from chromemodel.adapt.base import Batch, Loss
from chromemodel.adapt.cdan import certainty
from chromemodel.adapt.deep_coral import coral_loss
from chromemodel.adapt.mcc import class_confusion
from chromemodel.adapt.mmd import mmd_loss
from chromemodel.adapt.parts import both_features, norm_layers
from chromemodel.adapt.protocol import adapt_model
from chromemodel.adapt.self_training import SelfTraining, SelfTrainingConfig, predicted
from chromemodel.adapt.source_only import SourceOnly
from chromemodel.config import TrainConfig
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet
from chromemodel.serial import build_options, parse_options
from chromemodel.train.device import seeded
from chromemodel.train.loop import Fit, FitData, Loop

MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
CPU = torch.device("cpu")
# The option that takes a method's part of the loss away.
NO_WEIGHT = {
    "dann": "domain_weight",
    "cdan": "domain_weight",
    "deep_coral": "coral_weight",
    "mmd": "mmd_weight",
    "mcc": "mcc_weight",
    "self_training": "pseudo_weight",
}
# Else it is not sure of a gene in the few steps of a test.
EAGER = {"self_training": {"threshold": 0.5, "start": 0.0}}
SIMPLE = (coral_loss, mmd_loss)
seeds = st.integers(0, 1000)


def drawn(seed: int, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return shift + scale * torch.randn(*shape, generator=generator)


def model_of(name: str, **options: object) -> dict[str, object]:
    """The options of a small model that a method can work on."""
    return SMALL | ({"batch_norm": True} if name == "adabn" else {}) | options


def data() -> FitData:
    x = drawn(0, 60, 2, 8)
    y = (x[:, 0].sum(1) > 0).long()
    return FitData(x[:30], y[:30], drawn(1, 23, 2, 8, scale=2, shift=1), x[30:], y[30:])


def loop_of(name: str, config: TrainConfig, options: dict[str, object], **method: object) -> Loop:
    with seeded(config.seed, CPU):
        model = create_model("transferchrome", options, n_marks=2, n_bins=8)
        way = create_method(name, method, model)
    return Loop(model, way, data(), config)


@pytest.mark.parametrize("loss", SIMPLE)
@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 8), st.integers(1, 8))
def test_discrepancies(loss: Callable[[Tensor, Tensor], Tensor], seed: int, n: int, m: int) -> None:
    source, target = drawn(seed, n, 3), drawn(seed + 1, m, 3, scale=3, shift=1)
    value = loss(source, target)
    assert value >= 0
    assert loss(source, source).abs() < 1e-6
    torch.testing.assert_close(loss(target, source), value)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(loss(source[order], target), value, rtol=1e-4, atol=1e-5)
    # Neither knows where the origin is, or which way the axes point.
    turn = torch.linalg.qr(drawn(seed, 3, 3))[0]
    moved = loss(source @ turn + 1, target @ turn + 1)
    torch.testing.assert_close(moved, value, rtol=1e-3, atol=1e-4)


def test_mmd_does_not_know_the_unit_and_grows_with_the_shift() -> None:
    source, target = drawn(0, 20, 3), drawn(1, 20, 3)
    torch.testing.assert_close(mmd_loss(1000 * source, 1000 * target), mmd_loss(source, target))
    values = [mmd_loss(source, target + shift) for shift in (0, 1, 2, 4)]
    assert values == sorted(values)


@pytest.mark.parametrize("loss", SIMPLE)
def test_discrepancies_of_features_that_are_all_the_same(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    for n in (1, 4):
        source, target = torch.ones(n, 3, requires_grad=True), torch.ones(n, 3)
        value = loss(source, target)
        value.backward()  # type: ignore[no-untyped-call]
        assert value.item() == 0
        assert (source.grad == 0).all()  # type: ignore[union-attr]


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 9), st.floats(0.5, 4))
def test_class_confusion_does_not_know_the_order(seed: int, n: int, temperature: float) -> None:
    logits = drawn(seed, n, 2, scale=3)
    value = class_confusion(logits, temperature)
    assert 0 <= value <= 0.5 + 1e-6
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(class_confusion(logits[order], temperature), value)
    torch.testing.assert_close(class_confusion(logits.flip(1), temperature), value)


def test_class_confusion_of_one_class_alone_is_a_number() -> None:
    logits = torch.tensor([[900.0, -900.0], [800.0, -800.0]], requires_grad=True)
    class_confusion(logits, 1.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_certain_genes_count_up_to_twice() -> None:
    torch.testing.assert_close(
        certainty(torch.tensor([[1.0, 0.0], [0.5, 0.5]])), torch.tensor([2.0, 1.5]) / 1.75
    )


@pytest.mark.parametrize("name", METHODS.names())
def test_the_target_reaches_the_loss_by_its_signal_alone(name: str) -> None:
    assert Batch._fields == ("x", "y", "target", "task")
    torch.manual_seed(0)
    model = create_model("transferchrome", model_of(name), n_marks=2, n_bins=8).train()
    method = create_method(name, EAGER.get(name, {}), model)
    target = drawn(1, 6, 2, 8, shift=1).requires_grad_()
    batch = Batch(drawn(0, 6, 2, 8), torch.tensor([0, 1, 1, 0, 1, 0]), target)
    method.loss(model, batch, 1.0).total.backward()  # type: ignore[no-untyped-call]
    moved = target.grad is not None and bool((target.grad != 0).any())
    assert moved == (name in NO_WEIGHT)
    if name in NO_WEIGHT:
        with pytest.raises(ValueError, match="needs genes of the target"):
            method.loss(model, batch._replace(target=None), 1.0)


@pytest.mark.parametrize("name", NO_WEIGHT)
def test_the_weight_multiplies_what_the_features_get_of_the_target(name: str) -> None:
    def gradient(weight: float) -> Tensor:
        torch.manual_seed(0)
        options = SMALL | {"dropout": 0.0}
        model = create_model("transferchrome", options, n_marks=2, n_bins=8).double()
        way = EAGER.get(name, {}) | {NO_WEIGHT[name]: weight}
        method = create_method(name, way, model).double()
        x, target = drawn(0, 6, 2, 8).double(), drawn(1, 6, 2, 8, shift=1).double()
        batch = Batch(x, torch.tensor([0, 1, 1, 0, 1, 0]), target)
        method.loss(model, batch, 1.0).total.backward()  # type: ignore[no-untyped-call]
        grad: Tensor = model.project.weight.grad  # type: ignore[assignment,union-attr]
        return grad

    none, one, three = (gradient(weight) for weight in (0.0, 1.0, 3.0))
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-6, atol=1e-12)
    assert (one - none).norm() > 1e-6 * none.norm()


@pytest.mark.parametrize("entropy", [False, True])
def test_the_adversary_of_cdan_leaves_the_label_head_alone(entropy: bool) -> None:
    def gradients(name: str, **options: object) -> list[Tensor]:
        torch.manual_seed(0)
        model = create_model("transferchrome", SMALL | {"dropout": 0.0}, n_marks=2, n_bins=8)
        method = create_method(name, options, model)
        y = torch.tensor([0, 1, 1, 0, 1, 0])
        batch = Batch(drawn(0, 6, 2, 8, scale=50), y, drawn(1, 6, 2, 8, scale=20))
        method.loss(model, batch, 1.0).total.backward()  # type: ignore[no-untyped-call]
        return [value.grad for value in model.label.parameters()]  # type: ignore[operator,union-attr,misc]

    pairs = zip(gradients("source_only"), gradients("cdan", entropy=entropy), strict=True)
    for plain, adapted in pairs:
        torch.testing.assert_close(plain, adapted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NO_WEIGHT)
def test_without_weight_it_is_source_only(name: str, batch_norm: bool) -> None:
    config = TrainConfig(lr=0.05, epochs=3, batch_size=8, threads=1)
    options = SMALL | {"dropout": 0.0, "batch_norm": batch_norm}
    plain = loop_of("source_only", config, options)
    none = loop_of(name, config, options, **EAGER.get(name, {}), **{NO_WEIGHT[name]: 0.0})
    plain_fit, none_fit = plain.fit(), none.fit()
    assert plain_fit.best_epoch == none_fit.best_epoch
    expected = plain.model.state_dict()
    for key, value in none.model.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", METHODS.names())
def test_fits_are_repeated_and_taken_up_again(name: str) -> None:
    config = TrainConfig(epochs=3, batch_size=8, lr=0.05, threads=1)
    options = model_of(name, batch_norm=True)
    whole, first, second = (loop_of(name, config, options) for _ in range(3))
    fit = whole.fit()
    assert [len(row.terms) for row in fit.history] == [len(whole.method.columns)] * 3
    first.run_epoch()
    second.model.load_state_dict(first.model.state_dict())
    second.method.load_state_dict(first.method.state_dict())
    second.optimizer.load_state_dict(deepcopy(first.optimizer.state_dict()))
    second.history, second.best_epoch = list(first.history), first.best_epoch
    second.best_weights = first.best_weights
    assert second.fit() == fit
    for key, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[key], value)


def test_batch_norm_keeps_source_and_target_apart() -> None:
    torch.manual_seed(0)
    options = SMALL | {"batch_norm": True, "dropout": 0.0}
    model = create_model("transferchrome", options, n_marks=2, n_bins=8).train()
    alone = deepcopy(model)
    x, target = drawn(0, 6, 2, 8), drawn(1, 5, 2, 8, scale=3, shift=2)
    source, far = both_features(model, Batch(x, torch.zeros(6, dtype=torch.int64), target))
    assert torch.equal(source, alone.features(x))
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), alone.buffers(), strict=True))
    # The target goes through as it does when it is predicted.
    assert all(layer.training for layer in norm_layers(model))
    torch.testing.assert_close(far, model.eval().features(target))


class Ender(SourceOnly):
    """Notes what it finds at the end, and changes the weights."""

    found: tuple[bool, bool, Tensor | None]

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        return super().loss(model, batch, progress)

    def finish(self, model: ChromeNet, target: Tensor | None) -> None:
        self.found = model.training, torch.is_grad_enabled(), target
        for value in model.parameters():
            value.zero_()


def test_finish_has_the_last_word_on_the_best_weights() -> None:
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
    genes = data()
    method = Ender(Ender.Config(), model)
    loop = Loop(model, method, genes, TrainConfig(epochs=2, batch_size=8))
    loop.fit()
    assert method.found == (False, False, genes.target)
    assert all((value == 0).all() for value in model.parameters())
    assert any((value != 0).any() for value in loop.best_weights.values())


def inputs_of(model: ChromeNet, x: Tensor) -> list[Tensor]:
    """What each batch normalisation is given, as (channels, genes * bins)."""
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, given: seen.append(given[0].transpose(0, 1).flatten(1).double())
        )
        for layer in norm_layers(model)
    ]
    with torch.no_grad():
        model.features(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("relu_first", [False, True])
def test_adabn_normalises_every_layer_by_the_target(
    relu_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    options = SMALL | {"batch_norm": True, "relu_first": relu_first}
    model = create_model("transferchrome", options, n_marks=2, n_bins=8).eval()
    before = deepcopy(model)
    x = drawn(3, 21, 2, 8, scale=3, shift=2)
    renormalise(model, x)
    layers = norm_layers(model)
    assert len(layers) == 3
    # Of what a layer is given once all before it are done: numpy's mean and variance of it.
    for layer, values in zip(layers, inputs_of(model, x), strict=True):
        np.testing.assert_allclose(layer.running_mean, values.mean(1), rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]
        variance = np.var(values.numpy(), axis=1, ddof=1)
        np.testing.assert_allclose(layer.running_var, variance, rtol=1e-4)  # type: ignore[arg-type]
    weights = zip(model.parameters(), before.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert not torch.equal(model(x), before(x))

    monkeypatch.setattr(adabn, "BATCH", 4)
    renormalise(before, x.flip(0))
    for a, b in zip(model.buffers(), before.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_adabn_undoes_a_change_of_scale() -> None:
    """The first layer is linear: what it makes of another scale, its normalisation takes back."""
    torch.manual_seed(0)
    options = SMALL | {"batch_norm": True, "dense_kernels": [], "dropout": 0.0}
    model = create_model("transferchrome", options, n_marks=2, n_bins=8).eval()
    x = drawn(3, 40, 2, 8)
    renormalise(model, x)
    expected = model(x)
    other = deepcopy(model)
    renormalise(other, 10 * x)
    torch.testing.assert_close(other(10 * x), expected, rtol=1e-3, atol=1e-3)
    assert (model(10 * x) - expected).abs().max() > 0.01


def test_adabn_trains_as_source_only_and_chooses_the_same_epoch() -> None:
    config = TrainConfig(epochs=3, batch_size=8, lr=0.05, threads=1)
    loops = [loop_of(name, config, model_of("adabn")) for name in ("source_only", "adabn")]
    fits: list[Fit] = [loop.fit() for loop in loops]
    assert fits[0] == fits[1]
    states = [loop.model.state_dict() for loop in loops]
    for key, value in states[0].items():
        moved = key.endswith(("running_mean", "running_var"))
        assert torch.equal(states[1][key], value) != moved
    with pytest.raises(ValueError, match="needs genes of the target"):
        loops[1].method.finish(loops[1].model, None)


def test_pseudo_labels_are_of_the_model_without_dropout() -> None:
    torch.manual_seed(0)
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8).train()
    x = drawn(0, 5, 2, 8)
    told = predicted(model, x)
    assert model.training
    assert not told.requires_grad
    torch.testing.assert_close(told, torch.softmax(model.eval()(x), dim=1).detach())


def test_self_training_warms_up() -> None:
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
    config = SelfTrainingConfig(pseudo_weight=2.0, start=0.2, full=0.6)
    method = SelfTraining(config, model)
    told = [method.weight(progress) for progress in (0, 0.2, 0.3, 0.4, 0.6, 1)]
    assert told == pytest.approx([0, 0, 0.5, 1, 2, 2])
    assert SelfTraining(replace(config, start=0.0, full=0.0), model).weight(0.0) == 2.0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cdan", {"domain_weight": -1.0}, "domain_weight is -1.0"),
        ("cdan", {"head_widths": [0]}, "head_widths has 0"),
        ("cdan", {"domain_schedule": "slow"}, "domain_schedule"),
        ("deep_coral", {"coral_weight": float("nan")}, "coral_weight is nan"),
        ("mmd", {"mmd_weight": -0.1}, "mmd_weight is -0.1"),
        ("mmd", {"octaves": 33}, "octaves is 33, expected 0 to 32"),
        ("mcc", {"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ("mcc", {"mcc_weight": -1.0}, "mcc_weight is -1.0"),
        ("self_training", {"threshold": 1.0}, r"threshold is 1.0, expected \[0.5, 1\)"),
        ("self_training", {"start": 0.6}, "start and full are 0.6 and 0.5"),
        ("self_training", {"pseudo_weight": -1.0}, "pseudo_weight is -1.0"),
        ("adabn", {"momentum": 0.1}, "unknown key 'momentum'"),
    ],
)
def test_wrong_options(name: str, options: dict[str, object], message: str) -> None:
    model = create_model("transferchrome", {"batch_norm": True}, n_marks=2, n_bins=8)
    with pytest.raises(ValueError, match=message):
        create_method(name, options, model)


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_from_end_to_end(
    name: str, make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    few = {"n_genes": 60}
    source, target = make_file("s.h5", **few), make_file("t.h5", seed=1, scale=4, **few)
    blind = make_file("u.h5", seed=1, scale=4, labels=False, **few)
    options = model_of(name)
    training = replace(quick, epochs=2)
    runs = [
        adapt_model(
            source, file, tmp_path / out, recipe="paper", method=way, options=options,
            training=training, baseline=False,
        )
        for way, file, out in (
            (name, target, "run"), (name, blind, "blind"), ("source_only", target, "alone")
        )
    ]  # fmt: skip
    assert runs[0].scores[-1].metrics.genes > 0
    # Neither labels of the target nor another call change the run, nor it the one beside it.
    beside = tmp_path / "run" / ("." if name == "source_only" else "source_only")
    for file in ("weights.safetensors", "history.csv"):
        mine = (tmp_path / "run" / file).read_bytes()
        assert mine == (tmp_path / "blind" / file).read_bytes()
        assert (beside / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
    changed = (tmp_path / "run/weights.safetensors").read_bytes() != (
        tmp_path / "alone/weights.safetensors"
    ).read_bytes()
    assert changed == (name != "source_only")
    with (tmp_path / "run/history.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    columns: tuple[str, ...] = METHODS.load(name).columns
    assert list(rows[0])[4:] == list(columns)
    assert all(np.isfinite(float(row[column])) for row in rows for column in columns)


SETTINGS = {
    "dann": "domain_weight=0.5",
    "cdan": "entropy=true",
    "deep_coral": "coral_weight=2",
    "mmd": "octaves=2",
    "mcc": "temperature=1.5",
    "self_training": "threshold=0.6",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_command_line(name: str, inside: Cli, make_file: MakeFile, tmp_path: Path) -> None:
    make_file("s.h5")
    make_file("t.h5", seed=1)
    done = inside(
        "adapt", "--source", "s.h5", "--target", "t.h5", "-o", "run", "--method", name,
        "--method-set", SETTINGS[name], "--epochs", 1, "--batch-size", 32, "-p", 1, "--json",
        *(f"--set={key}={str(value).strip('[]').replace(' ', '')}" for key, value in SMALL.items()),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run/config.json").read_text())
    key, value = SETTINGS[name].split("=")
    assert config["method"]["name"] == name
    assert str(config["method"]["options"][key]).lower().removesuffix(".0") == value


def test_the_document_has_every_method_and_its_options() -> None:
    text = (Path(__file__).parents[2] / "docs/adaptation.md").read_text(encoding="utf-8")
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            name, _, options = (cell.strip() for cell in line.strip("|").split("|"))
            rows[name.strip("`")] = re.findall(r"`(\w+=\S+)`", options)
    assert list(rows) == METHODS.names()
    for name, options in rows.items():
        assert f"## {name}\n" in text
        config = METHODS.load(name).Config
        assert sorted(option.split("=")[0] for option in options) == sorted(
            entry.name for entry in dataclasses.fields(config)
        )
        assert build_options(config, parse_options(config, options)) == config()


def test_adabn_of_a_model_without_batch_norm_names_the_option_and_leaves_nothing(
    inside: Cli, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("s.h5")
    make_file("t.h5", seed=1)
    call = ["adapt", "--source=s.h5", "--target=t.h5", "-o", "run", "--method=adabn", "-p1"]
    done = inside(*call)
    assert done.returncode == 1
    assert "adabn needs a model with batch normalisation" in done.stderr
    assert "--set batch_norm=true" in done.stderr
    assert "epoch" not in done.stderr
    assert not (tmp_path / "run").exists()
    done = inside(*call, "--set", "batch_norm=true", "--epochs", 1)
    assert done.returncode == 0, done.stderr
