"""The settings of ``benchmarks/ambiguities.py`` are ones that the command line takes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chromemodel.models import MODELS
from chromeprep.errors import ChromeError

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ambiguities(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(root)
    from benchmarks import ambiguities

    return ambiguities


def test_every_setting_is_one_change_that_exists(
    ambiguities: ModuleType, inside: Cli, tmp_path: Path
) -> None:
    settings = ambiguities.settings_of(8)
    names = [one.name for one in settings]
    assert len(set(names)) == len(names)
    for number, one in enumerate(settings):
        assert one.against in ("", *names[:number])
        assert one.options or one.suffix or not one.against
        run = ambiguities.as_run(one, 0, ("--epochs=8", "--patience=4"), tmp_path, tmp_path)
        done = inside(*run.arguments, "-o", run.folder)
        # The options are read before the file of bins is missed.
        assert done.returncode == 1, (one.name, done.stderr)
        assert "E116" in done.stderr


def test_the_bases_are_the_papers_network(
    ambiguities: ModuleType, inside: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def seen(*files: object, **settings: Any) -> None:
        asked.append(settings)
        raise ChromeError("seen")

    monkeypatch.setattr("chromemodel.train.single.train_model", seen)
    monkeypatch.setattr("chromemodel.adapt.protocol.adapt_model", seen)
    settings = {one.name: one for one in ambiguities.settings_of(8)}
    for name in ("base", "adapt", "adapt-not"):
        run = ambiguities.as_run(settings[name], 0, ("--epochs=8",), tmp_path, tmp_path)
        assert "seen" in inside(*run.arguments, "-o", run.folder).stderr
    base, adapt, without = asked
    paper = replace(MODELS.entry("transferchrome").recipe, device="auto")
    assert [one["model"] for one in asked] == ["transferchrome"] * 3
    assert (adapt["method"], without["method"]) == ("dann", "source_only")
    assert base["training"] == replace(
        paper, optimizer="adam", weight_decay=0.0, batch_size=64, epochs=8
    )
    assert adapt["training"] == without["training"] == replace(paper, epochs=60, patience=60)


def test_bases_come_with_the_settings(ambiguities: ModuleType) -> None:
    settings = ambiguities.settings_of(8)

    def chosen(*only: str) -> list[str]:
        return [one.name for one in ambiguities.with_bases(settings, only)]

    assert chosen() == [one.name for one in settings]
    assert chosen("sgd") == ["base", "sgd"]
    assert chosen("adapt-fixed") == ["adapt", "adapt-fixed"]
    assert chosen("position-channels-32") == [
        "base", "position-sinusoidal", "position-channels-32",
    ]  # fmt: skip


def test_the_score_is_that_of_the_test_genes(ambiguities: ModuleType, tmp_path: Path) -> None:
    base, *_ = ambiguities.settings_of(8)
    adapt = next(one for one in ambiguities.settings_of(8) if one.name == "adapt")
    scores = [
        {"model": model, "part": part, "auroc": auroc}
        for model, part, auroc in (
            ("transferchrome", "train", 0.9),
            ("transferchrome", "test", 0.7),
            ("source_only", "target half that did not adapt", 0.5),
            ("dann", "target half that did not adapt", 0.6),
        )
    ]
    for one, of_run, expected in ((base, scores[:2], 0.7), (adapt, scores[2:], 0.6)):
        run = ambiguities.as_run(one, 3, (), tmp_path, tmp_path)
        run.folder.mkdir()
        document = {"best_epoch": 2, "epochs": 5, "scores": of_run}
        (run.folder / "metrics.json").write_text(json.dumps(document))
        config = {"model": {"name": "transferchrome"}, "method": {"name": "dann"}}
        (run.folder / "config.json").write_text(json.dumps(config))
        assert ambiguities.read_score(one, 3, run) == (one.name, 3, expected, 2, 5)


def test_differences_are_paired_by_seed(ambiguities: ModuleType) -> None:
    base, other = ambiguities.settings_of(8)[:2]
    score = ambiguities.Score
    scores = [score("base", 0, 0.8, 1, 8), score("base", 1, 0.9, 1, 8)]
    scores += [score(other.name, 1, 0.91, 1, 8), score(other.name, 0, 0.81, 1, 8)]
    line = ambiguities.table([base, other], scores).splitlines()[-1]
    assert "| 0.8600 ± 0.0707 | base | +0.0100 ± 0.0000 |" in line
