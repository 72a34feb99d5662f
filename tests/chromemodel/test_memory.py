"""``--memory`` through whole runs: the same bytes in every form but float16, resumed or not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chromemodel.adapt import METHODS, create_method
from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Memory, Normalisation, TrainConfig
from chromemodel.data.dataset import read_signals
from chromemodel.data.sources import Sources
from chromemodel.evaluate.predict import predict_genes
from chromemodel.models import create_model
from chromemodel.train import keeping, resume
from chromemodel.train.checkpoint import read_config
from chromemodel.train.device import seeded
from chromemodel.train.keeping import Keeper, Kept
from chromemodel.train.loop import Fit, FitData, Loop
from chromemodel.train.many import fit_many
from chromemodel.train.member import Member
from chromemodel.train.single import train_model
from chromeprep.errors import ChromeError, MismatchError
from chromeprep.format import ChromeBins, MarkTable, write_bins

Cli = Callable[..., subprocess.CompletedProcess[str]]

CPU = torch.device("cpu")
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
TRAIN = [
    "train", "A.h5", "--model=transferchrome", "--set=dense_kernels=4,3", "--set=kernels=6",
    "--set=features=8", "--set=label_widths=6", "--epochs=1", "-p1", "--device=cpu",
]  # fmt: skip
EXACT: tuple[Memory, ...] = ("compact", "stream")


@pytest.fixture
def paths(make_bins: Callable[..., ChromeBins], tmp_path: Path) -> list[Path]:
    """Three cell types of counts."""
    found = []
    for seed, name in enumerate("ABC"):
        data = make_bins(n_genes=90, seed=seed, cell_type=name)
        signal = np.maximum(np.round(2 * data.signal), 0)
        marks = MarkTable.build(data.mark_names, signal, units=["reads"] * len(data.marks))
        found.append(tmp_path / f"{name}.h5")
        write_bins(found[-1], replace(data, signal=signal, marks=marks))
    return found


def contents(run: Path) -> dict[str, Any]:
    """All of a run folder but where and when it was made."""
    return {
        str(path.relative_to(run)): replace(read_config(path.parent), provenance=None)  # type: ignore[arg-type]
        if path.name == "config.json"
        else path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


class Stopping:
    """Interrupts a fit after an epoch."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, *row: Any) -> None:
        if row[-1].epoch == self.after:
            raise KeyboardInterrupt


def run(paths: list[Path], out: Path, quick: TrainConfig, **settings: Any) -> Path:
    """Train on one file, or adapt from all but the last to it."""
    usual = {"model": "transferchrome", "options": SMALL, "baseline": False, "training": quick}
    settings = usual | settings
    if len(paths) == 1:
        train_model(paths[0], out, **settings)
    else:
        adapt_model(paths[:-1], paths[-1], out, method="adabn", **settings)
    return out


@pytest.mark.parametrize("files", [1, 3])
def test_a_run_comes_to_the_same_bytes_resumed_or_not(
    files: int,
    paths: list[Path],
    tmp_path: Path,
    quick: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resume, "EVERY_S", 0.0)
    used = paths[:files]
    options = SMALL | {"batch_norm": True}
    quick = replace(quick, mark_dropout=0.2, epochs=3)
    expected = contents(run(used, tmp_path / "run", quick, options=options))
    for first, second in (("compact", "compact"), ("stream", "stream"), ("stream", "float32")):
        asked = [replace(quick, memory=memory) for memory in (first, second)]  # type: ignore[arg-type]
        out = tmp_path / f"{first}-{second}"
        with pytest.raises(KeyboardInterrupt):
            run(used, out, asked[0], options=options, on_epoch=Stopping(2))
        assert not out.exists()
        assert (tmp_path / f"{out.name}.checkpoint").is_dir()
        run(used, out, asked[1], options=options)
        assert contents(out) == expected, (first, second)


def test_float16_is_another_training_and_says_so(
    paths: list[Path], tmp_path: Path, quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "EVERY_S", 0.0)
    rounded = replace(quick, memory="float16")
    whole = run(paths[:1], tmp_path / "whole", rounded)
    with pytest.raises(KeyboardInterrupt):
        run(paths[:1], tmp_path / "run", rounded, on_epoch=Stopping(2))
    with pytest.raises(MismatchError, match="memory was float16, now it is not given"):
        run(paths[:1], tmp_path / "run", quick)
    assert contents(run(paths[:1], tmp_path / "run", rounded)) == contents(whole)
    config = read_config(whole)
    assert (config.version, config.training.memory) == (5, "float16")
    assert "rounded to float16" in (whole / "metrics.json").read_text()
    plain = run(paths[:1], tmp_path / "plain", quick)
    assert read_config(plain).version == 1
    assert '"memory"' not in (plain / "config.json").read_text()
    assert contents(plain)["history.csv"] != contents(whole)["history.csv"]
    # What it said of the genes is of signal that was not rounded.
    again = predict_genes(whole, paths[0]).probability
    lines = (whole / "predictions.tsv").read_text().splitlines()
    column = lines[0].split("\t").index("probability")
    told = np.array([line.split("\t")[column] for line in lines[1:]], dtype=np.float32)
    np.testing.assert_array_equal(again, told)


@pytest.fixture
def kept(paths: list[Path]) -> Callable[[Memory], Kept]:
    def keep(memory: Memory) -> Kept:
        keeper = Keeper(memory, paths[:1], (), CPU, paths[0])
        return keeper.keep(Sources((read_signals(paths[0]),)), Normalisation())

    return keep


def loop_on(kept: Kept, method: str, seed: int) -> Loop:
    y = torch.arange(90) % 2
    parts = [np.arange(90) % 3 == part for part in range(3)]
    x, held_out, target = (kept.of(rows) for rows in parts)
    data = FitData(x, y[parts[0]], target, held_out, y[parts[1]])
    options = SMALL | {"batch_norm": method == "adabn"}
    with seeded(seed, CPU):
        model = create_model("transferchrome", options, n_marks=3, n_bins=8)
        way = create_method(method, {}, model)
    training = TrainConfig(lr=0.02, batch_size=8, epochs=2, seed=seed, mark_dropout=0.1)
    return Loop(model, way, data, training)


def hold_same(first: Loop, second: Loop) -> None:
    for name, value in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_takes_batches_of_every_form(
    method: str, kept: Callable[[Memory], Kept]
) -> None:
    first = loop_on(kept("float32"), method, 0)
    fit = first.fit()
    for memory in EXACT:
        second = loop_on(kept(memory), method, 0)
        assert second.fit() == fit
        hold_same(first, second)


@pytest.mark.parametrize("memory", ["float32", *EXACT])
def test_many_models_take_batches_of_every_form(
    memory: Memory, kept: Callable[[Memory], Kept]
) -> None:
    first, second = (
        [loop_on(kept(form), "source_only", seed) for seed in range(3)]
        for form in ("float32", memory)
    )
    for loop in second:
        loop.config = replace(loop.config, epochs=2 + loop.config.seed)
    for loop in first:
        loop.config = replace(loop.config, epochs=2 + loop.config.seed)
    before = [loop.data.x[:90].clone() for loop in second]
    results = [fit_many([Member(loop) for loop in loops]) for loops in (first, second)]
    assert results[0] == results[1]
    assert all(isinstance(one, Fit) for one in results[0])
    for one, two, x in zip(first, second, before, strict=True):
        hold_same(one, two)
        assert torch.equal(two.data.x[:90], x)
    if memory == "float32":  # one copy of the genes, into which every model looks
        storages = {loop.data.x.untyped_storage().data_ptr() for loop in second}  # type: ignore[attr-defined]
        assert len(storages) == 1


def test_the_command_line(paths: list[Path], inside: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    done = inside(*TRAIN, "-o", "run", "--memory=stream")
    assert done.returncode == 0, done.stderr
    assert "no logistic regression beside: it is fitted to all genes at once" in done.stderr
    assert "logistic regression" not in done.stdout
    done = inside(*TRAIN, "-o", "other", "--no-baseline")
    assert "memory" not in done.stderr
    monkeypatch.setattr(keeping, "free_bytes", lambda device: 4 * 90 * 3 * 8 * 4)
    done = inside(*TRAIN, "-o", "third", "--no-baseline")
    assert "notice: the signal is kept in codes of one or two bytes" in done.stderr
    assert contents(paths[0].parent / "third") == contents(paths[0].parent / "other")
    done = inside("train", "A.h5", "-o", "fourth", "--model=logistic", "--memory=compact")
    assert done.returncode == 1
    assert "fitted by scikit-learn" in done.stderr
    done = inside("train", "A.h5", "-o", "fifth", "--model=logistic")
    assert done.returncode == 0


def test_seeds_are_kept_whatever_the_memory(paths: list[Path], inside: Cli) -> None:
    train = [*TRAIN, "-o", "runs", "--seeds=1", "--no-baseline"]
    assert inside(*train).returncode == 0
    written = paths[0].parent / "runs" / "seed-0" / "config.json"
    before = written.stat().st_mtime_ns
    assert inside(*train, "--memory=stream").returncode == 0
    assert written.stat().st_mtime_ns == before
    done = inside(*train, "--memory=float16")
    assert done.returncode == 1
    assert "a run with another training" in done.stderr


def test_a_model_of_scikit_learn_takes_float32_alone(
    paths: list[Path], tmp_path: Path, quick: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "free_bytes", lambda device: 1)
    done = train_model(paths[0], tmp_path / "run", model="logistic")
    assert done.scores
    with pytest.raises(ChromeError, match="logistic is fitted by scikit-learn"):
        adapt_model(
            paths[0], paths[1], tmp_path / "other", model="logistic", method="source_only",
            training=replace(quick, memory="stream"),
        )  # fmt: skip
