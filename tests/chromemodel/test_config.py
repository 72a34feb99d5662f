from __future__ import annotations

import json

import pytest

from chromemodel.config import (
    Component,
    FileRecord,
    Layout,
    Normalisation,
    Provenance,
    RunConfig,
    Split,
    TrainConfig,
)
from chromemodel.models.transferchrome import TransferChromeConfig
from chromemodel.serial import from_json, parse_options, to_json


def config() -> RunConfig:
    record = FileRecord("/a.h5", "A", "hg19", 3, "00", ("signal", "reads"))
    return RunConfig(
        kind="adapt",
        model=Component("transferchrome", to_json(TransferChromeConfig())),
        method=Component("dann", {"domain_weight": 1.0}),
        layout=Layout(("x", "y"), 100, 1000, 20, "5p-to-3p"),
        normalisation=Normalisation("training", (1.0, 2.0), (3.0, 4.0)),
        split=Split("adapt", seed=3),
        training=TrainConfig(threads=2),
        source=record,
        target=record,
        provenance=Provenance("now", ("chromemodel",), "0", "3", "2", "2", "1", "Linux"),
    )


def test_through_json_and_back() -> None:
    whole = config()
    back = from_json(RunConfig, json.loads(json.dumps(to_json(whole))))
    assert back == RunConfig(**{**vars(whole), "model": back.model})
    assert from_json(TransferChromeConfig, back.model.options) == TransferChromeConfig()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": 1}, "unknown key 'modle'; did you mean 'model'"),
        ({"training": {"lr": "fast"}}, "'training.lr' is 'fast', expected a number"),
        ({"training": {"epochs": True}}, "'training.epochs' is True, expected a whole number"),
        ({"training": {"epochs": 1.5}}, "'training.epochs' is 1.5, expected a whole number"),
        ({"training": {"epochs": 0}}, "training.epochs is 0, expected 1 or more"),
        ({"training": {"lrr": 1}}, "unknown key 'training.lrr'; did you mean 'lr'"),
        ({"kind": "other"}, "'kind' is 'other', expected one of 'train', 'adapt'"),
        ({"layout": {"marks": ["x"]}}, "key 'layout.bin_size_bp' is missing"),
        ({"layout": None}, "layout is None, expected an object"),
        ({"normalisation": {"mean": [1, "x"]}}, r"'normalisation.mean\[1\]' is 'x'"),
        ({"source": None}, "source is None, expected an object"),
    ],
)
def test_strict(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(RunConfig, to_json(config()) | change)


def test_settings_by_type() -> None:
    text = ["dense_kernels=8, 4", "dropout=0", "relu_first=true", "position=none", "label_widths="]
    assert parse_options(TransferChromeConfig, text) == {
        "dense_kernels": (8, 4),
        "dropout": 0.0,
        "relu_first": True,
        "position": "none",
        "label_widths": (),
    }
    assert parse_options(TrainConfig, ["threads=3"]) == {"threads": 3}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("kernels", "'kernels' is not KEY=VALUE"),
        ("kernel=3", "unknown option 'kernel'; did you mean 'kernels'"),
        ("kernels=many", "'kernels' is 'many', expected a whole number"),
        ("relu_first=yes", "expected true or false"),
        ("position=middle", "expected one of 'distance'"),
        ("dense_kernels=8,x", r"'dense_kernels\[1\]' is 'x'"),
    ],
)
def test_wrong_settings(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(TransferChromeConfig, [setting])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"patience": 0}, "patience is 0"),
    ],
)
def test_wrong_training(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_paper_defaults() -> None:
    defaults = TrainConfig()
    assert (defaults.lr, defaults.momentum, defaults.weight_decay) == (0.001, 0.85, 0.001)
    assert (defaults.optimizer, defaults.epochs) == ("sgd", 200)
