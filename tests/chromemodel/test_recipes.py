"""What holds where the user says nothing: as the evidence has it, or as in the papers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromemodel import adapt_model, train_model
from chromemodel.config import TrainConfig
from chromemodel.defaults import BEST_NETWORK, Recipe, choose
from chromemodel.models import MODELS
from chromeprep.format import ChromeBins

MakeFile = Callable[..., Path]
Inside = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("--set=dense_kernels=3", "--set=kernels=4", "--set=features=6", "--set=label_widths=4")
BESIDE = ("--no-baseline", "-p1")
FEW_TREES = {"trees": 5}
ADAPT = ("adapt", "--source=a.h5", "--target=b.h5")
PAPER = MODELS.entry("transferchrome").recipe


def config(run: Path) -> dict[str, Any]:
    return json.loads((run / "config.json").read_text())  # type: ignore[no-any-return]


def named(run: Path) -> tuple[str, str]:
    found = config(run)
    return found["model"]["name"], found["method"]["name"]


@pytest.fixture
def pair(make_file: MakeFile) -> tuple[Path, Path]:
    return make_file("a.h5"), make_file("b.h5", seed=1, cell_type="B")


@pytest.mark.parametrize(
    ("said", "model", "method", "training"),
    [
        ({}, "ensemble", "source_only", None),
        ({"recipe": "best"}, "ensemble", "source_only", None),
        ({"method": "source_only"}, "ensemble", "source_only", None),
        ({"model": "tcn"}, "tcn", "source_only", BEST_NETWORK),
        ({"recipe": "paper"}, "transferchrome", "dann", PAPER),
        ({"method": "dann"}, "transferchrome", "dann", PAPER),
        ({"method": "deep_coral", "model": "tcn"}, "tcn", "deep_coral", MODELS.entry("tcn").recipe),
        ({"recipe": "paper", "method": "source_only"}, "transferchrome", "source_only", PAPER),
        ({"recipe": "best", "method": "dann"}, "ensemble", "dann", None),
        (
            {"recipe": "best", "method": "dann", "model": "transferchrome"},
            "transferchrome", "dann", BEST_NETWORK,
        ),
    ],
)  # fmt: skip
def test_what_is_not_said_is_the_recipes(
    said: dict[str, Any], model: str, method: str, training: TrainConfig | None
) -> None:
    expected = (model, method, training or MODELS.entry(model).recipe)
    assert choose("classification", **said) == expected


def test_of_regression() -> None:
    assert choose("regression").model == "random_forest"
    assert choose("regression", model="tcn").model == "tcn"
    assert choose("regression", "paper").model == "transferchrome"
    for name in ("random_forest", "transferchrome"):
        MODELS.check_task(name, "regression")


def test_the_default_is_the_best(
    inside: Inside, make_bins: Callable[..., ChromeBins], make_file: MakeFile, tmp_path: Path
) -> None:
    for name, seed in (("A", 0), ("B", 1)):
        data = make_bins(seed=seed, cell_type=name)
        expression = np.exp(data.genes.expression)
        make_file(
            f"{name.lower()}.h5", replace(data, genes=replace(data.genes, expression=expression))
        )
    for number, more in enumerate(((), ("--recipe=best",), ("--task=regression",))):
        few = (*BESIDE, "--set=trees=5")
        for words in (("train", "a.h5"), ADAPT):
            run = tmp_path / f"{words[0]}-{number}"
            done = inside(*words, "-o", run.name, *few, *more)
            assert done.returncode == 0, done.stderr
            model = "random_forest" if "regression" in "".join(more) else "ensemble"
            assert named(run) == (model, "source_only")
            assert config(run)["model"]["options"]["trees"] == 5
            assert model in done.stdout + done.stderr
            assert not (run / "source_only").exists()
            assert inside("evaluate", run.name).returncode == 0


@pytest.mark.parametrize("recipe", [None, "paper"])
def test_python_has_the_defaults_of_the_command_line(
    pair: tuple[Path, Path], tmp_path: Path, recipe: Recipe | None
) -> None:
    options = FEW_TREES if recipe is None else {"features": 6, "kernels": 4, "dense_kernels": [3]}
    said: dict[str, Any] = {"recipe": recipe, "options": options, "baseline": False}
    said["training"] = TrainConfig(epochs=1, threads=1)
    train_model(pair[0], tmp_path / "train", **said)
    adapt_model(*pair, tmp_path / "adapt", **said)
    expected = choose("classification", recipe)
    assert named(tmp_path / "train") == (expected.model, "source_only")
    assert named(tmp_path / "adapt") == (expected.model, expected.method)


@pytest.mark.parametrize(
    "said",
    [
        {"model": "transferchrome"},
        {"method": "dann"},
        {"recipe": "best", "method": "dann", "model": "tcn"},
        {"recipe": "paper"},
    ],
)
def test_python_trains_as_the_command_line(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    seen: list[tuple[Any, ...]] = []

    class Stopped(Exception):  # noqa: N818
        pass

    def fresh(*arguments: Any) -> None:
        seen.append(arguments)
        raise Stopped

    monkeypatch.setattr("chromemodel.adapt.protocol.fresh", fresh)
    with pytest.raises(Stopped):
        adapt_model(*pair, tmp_path / "run", **said)
    ((model, method, _, training, *_),) = seen
    device = training.device
    expected = choose("classification", **said)
    assert (model.name, method.name) == expected[:2]
    assert training == replace(expected.training, device=device)


def test_the_papers_way_is_one_word(
    inside: Inside, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    quick = ("--epochs=1", *BESIDE, *SMALL)
    for run, words in (
        ("train", ("train", "a.h5", "--recipe=paper")),
        ("adapt", (*ADAPT, "--recipe=paper")),
        ("method", (*ADAPT, "--method=dann", "--domain-weight=0.5")),
        ("coral", (*ADAPT, "--method=deep_coral")),
    ):
        done = inside(*words, "-o", run, *quick)
        assert done.returncode == 0, done.stderr
        found = config(tmp_path / run)
        assert found["model"]["name"] == "transferchrome"
        training = {name: found["training"][name] for name in ("optimizer", "lr", "momentum")}
        assert training == {"optimizer": "sgd", "lr": 0.001, "momentum": 0.85}
    methods = {run: named(tmp_path / run)[1] for run in ("train", "adapt", "method", "coral")}
    assert methods == {
        "train": "source_only", "adapt": "dann", "method": "dann", "coral": "deep_coral",
    }  # fmt: skip
    assert named(tmp_path / "adapt/source_only") == ("transferchrome", "source_only")


def test_a_network_is_trained_by_the_recipe_and_what_is_said_besides(
    inside: Inside, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    said = ("--model=deepchrome.mlp", "--epochs=1", *BESIDE)
    for out, more in (
        ("best", ()),
        ("paper", ("--recipe=paper",)),
        ("lr", ("--recipe=best", "--lr=0.01")),
    ):
        done = inside("train", "a.h5", "-o", out, *said, *more)
        assert done.returncode == 0, done.stderr
    kept = {out: config(tmp_path / out)["training"] for out in ("best", "paper", "lr")}
    assert (kept["best"]["optimizer"], kept["best"]["lr"]) == ("adam", 0.001)
    assert (kept["best"]["batch_size"], kept["best"]["epochs"]) == (64, 1)
    assert (kept["paper"]["optimizer"], kept["paper"]["batch_size"]) == ("sgd", 1)
    assert (kept["lr"]["optimizer"], kept["lr"]["lr"]) == ("adam", 0.01)


NETWORKS = (
    "the default model, ensemble, is no network; name one, such as --model transferchrome, or take "
    "the paper's: --recipe paper"
)
FOREST = "random_forest"
METHODS = (
    "the default method, source_only, does not adapt; name one, such as --method dann, or take the "
    "paper's: --recipe paper"
)


@pytest.mark.parametrize(
    ("said", "message", "way_out"),
    [
        (("--lr=0.1", "--epochs=5"), "--lr, --epochs: only networks are trained so", NETWORKS),
        (("--mark-dropout=0.3",), "--mark-dropout: only networks are trained so", NETWORKS),
        (("--set=dense_kernels=3",), "--set: unknown option 'dense_kernels'", NETWORKS),
        (("--recipe=best", "--set=attention_scale=true"), "option 'attention_scale'", NETWORKS),
        (("--task=regression", "--lr=1"), "--lr: only", NETWORKS.replace("ensemble", FOREST)),
        (("--domain-weight=1",), "--domain-weight: unknown option 'domain_weight'", METHODS),
        (("--method-set=threshold=0.9",), "--method-set: unknown option 'threshold'", METHODS),
    ],
)  # fmt: skip
def test_what_a_default_lacks_is_refused_with_a_way_out(
    inside: Inside, tmp_path: Path, said: Sequence[str], message: str, way_out: str
) -> None:
    commands = [ADAPT] if way_out == METHODS else [("train", "a.h5"), ADAPT]
    for command in commands:
        done = inside(*command, "-o", "r", *said)
        assert done.returncode == 2
        assert message in done.stderr
        assert way_out in done.stderr
    assert not list(tmp_path.iterdir())


def test_no_way_out_is_told_of_what_was_named_or_has_a_wrong_value(inside: Inside) -> None:
    for said, message in (
        (("--set=trees=0",), "trees is 0"),
        (("--model=ensemble", "--set=features=3"), "unknown option 'features'"),
        (("--recipe=paper", "--set=trees=3"), "unknown option 'trees'"),
    ):
        done = inside("train", "a.h5", "-o", "r", *said)
        assert done.returncode == 2
        assert message in done.stderr
        assert "default" not in done.stderr


def test_seed_and_threads_are_for_the_default_too(
    inside: Inside, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    few = ("--set=trees=5", "--no-baseline", "--device=cpu")
    done = inside("train", "a.h5", "-o", "run", "--seed=3", "-p1", *few)
    assert done.returncode == 0, done.stderr
    assert config(tmp_path / "run")["training"]["seed"] == 3
    done = inside("train", "a.h5", "-o", "many", "--seeds=2", "-p1", *few)
    assert done.returncode == 0, done.stderr
    assert named(tmp_path / "many/seed-1") == ("ensemble", "source_only")


def test_the_best_recipe_cannot_be_adapted_and_says_what_can(
    inside: Inside, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    done = inside(*ADAPT, "-o", "run", "--recipe=best", "--method=dann")
    assert done.returncode == 1
    assert "ensemble is fitted by scikit-learn; it can be carried over" in done.stderr
    assert "use --method source_only, or a network: --model transferchrome" in done.stderr
    assert not (tmp_path / "run").exists()


def test_without_validation_genes(inside: Inside, pair: tuple[Path, Path], tmp_path: Path) -> None:
    done = inside(*ADAPT, "-o", "run", "--validation-fraction=0", "--set=trees=5", *BESIDE)
    assert done.returncode == 0, done.stderr
    assert named(tmp_path / "run") == ("ensemble", "source_only")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"recipe": "papr"}, "no recipe 'papr'; "),
        ({"task": "regresion"}, "no task 'regresion'; "),
        ({"normalise": "fil"}, "no normalisation 'fil'; "),
        ({"transform": "lgo1p"}, "no transform 'lgo1p'; "),
    ],
)
def test_misspelt_settings_of_the_python_interface_are_refused(
    make_file: MakeFile, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    a = make_file("a.h5", n_genes=60)
    b = make_file("b.h5", n_genes=60, seed=1)
    with pytest.raises(ValueError, match=said):
        train_model(a, tmp_path / "run", **asked)
    with pytest.raises(ValueError, match=said):
        adapt_model(a, b, tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()
