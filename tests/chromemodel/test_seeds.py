from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from chromemodel.config import Split, TrainConfig
from chromemodel.train import seeds as seeds_module
from chromemodel.train.checkpoint import CONFIG, HISTORY, METRICS, PREDICTIONS, SEEDS, WEIGHTS
from chromemodel.train.loop import Epoch
from chromemodel.train.processes import Call, run_calls
from chromemodel.train.resume import checkpoint_folder
from chromemodel.train.seeds import seed_folder, train_seeds
from chromemodel.train.single import train_model, train_steps
from chromeprep.errors import ChromeError, MismatchError

Cli = Callable[..., subprocess.CompletedProcess[str]]
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
TRAINING = TrainConfig(
    optimizer="adam", lr=0.01, batch_size=16, epochs=3, threads=1, device="cpu", seed=3
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Carry calls out in this process: a new one imports torch. Return the seeds that were."""
    done: list[int] = []

    def run(calls: list[Call], processes: int, on_epoch: Any) -> dict[int, ChromeError]:
        errors = {}
        for number, call in enumerate(calls):
            done.append(call.keywords["training"].seed)
            try:
                call.function(
                    *call.arguments,
                    **call.keywords,
                    on_epoch=lambda row, n=number: on_epoch(n, row),
                )
            except ChromeError as error:
                errors[number] = error
        return errors

    monkeypatch.setattr(seeds_module, "run_calls", run)
    return done


def train(data: Path, out: Path, count: int = 2, **changes: Any) -> list[Any]:
    settings: dict[str, Any] = {
        "model": "transferchrome", "options": SMALL, "baseline": False, "training": TRAINING,
        "split": Split(seed=3),
    } | changes  # fmt: skip
    return train_seeds(data, out, range(3, 3 + count), **settings)


def test_each_run_is_an_ordinary_one(
    make_file: Callable[..., Path], tmp_path: Path, here: list[int]
) -> None:
    data, told = make_file(), []
    train(data, tmp_path / "all", on_epoch=lambda seed, row: told.append((seed, row.epoch)))
    assert told == [(seed, epoch) for seed in (3, 4) for epoch in (1, 2, 3)]
    for seed in (3, 4):
        single = tmp_path / f"single-{seed}"
        own = TrainConfig(**{**vars(TRAINING), "seed": seed})
        train_model(data, single, recipe="paper", options=SMALL, baseline=False, training=own)
        folder = seed_folder(tmp_path / "all", seed)
        for name in (WEIGHTS, HISTORY, METRICS, PREDICTIONS):
            assert (folder / name).read_bytes() == (single / name).read_bytes()
        first, second = (json.loads((path / CONFIG).read_text()) for path in (folder, single))
        del first["provenance"], second["provenance"]
        assert first == second


def test_the_summary_is_mean_and_deviation_over_seeds(
    make_file: Callable[..., Path], tmp_path: Path, here: list[int]
) -> None:
    found = train(make_file(), tmp_path / "all", 3)
    runs = [
        json.loads((seed_folder(tmp_path / "all", seed) / METRICS).read_text())["scores"]
        for seed in (3, 4, 5)
    ]
    place = next(i for i, row in enumerate(runs[0]) if row["part"] == "test")
    values = [run[place]["auroc"] for run in runs]
    assert found[place].part == "test"
    assert found[place].mean["auroc"] == pytest.approx(np.mean(values))
    assert found[place].deviation["auroc"] == pytest.approx(np.std(values, ddof=1))
    written = json.loads((tmp_path / "all" / SEEDS).read_text())
    assert written["seeds"] == [3, 4, 5]
    assert written["scores"][place]["mean"] == found[place].mean


def test_finished_seeds_are_kept_and_others_refused(
    make_file: Callable[..., Path], tmp_path: Path, here: list[int]
) -> None:
    data, out = make_file(), tmp_path / "all"
    train(data, out, 1)
    before = (seed_folder(out, 3) / CONFIG).read_bytes()
    train(data, out, 2)
    assert here == [3, 4]
    assert (seed_folder(out, 3) / CONFIG).read_bytes() == before
    other = TrainConfig(**{**vars(TRAINING), "lr": 0.02})
    with pytest.raises(MismatchError, match="a run with another training"):
        train(data, out, 2, training=other)
    with pytest.raises(MismatchError, match="another normalisation"):
        train(data, out, 2, transform="arcsinh")
    with pytest.raises(MismatchError, match="another file"):
        train(make_file("b.h5"), out, 2)
    assert here == [3, 4]
    train(data, out, 2, training=other, force=True)
    assert here == [3, 4, 3, 4]


def test_a_seed_that_fails_is_named_and_the_others_are_kept(
    make_file: Callable[..., Path],
    tmp_path: Path,
    here: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*arguments: Any, **settings: Any) -> object:
        if settings["training"].seed == 3:
            raise ChromeError("it diverged")
        return train_model(*arguments, **settings)

    monkeypatch.setattr(seeds_module, "train_model", failing)
    with pytest.raises(ChromeError, match="seed-3: it diverged"):
        train(make_file(), tmp_path / "all")
    assert (seed_folder(tmp_path / "all", 4) / METRICS).is_file()
    assert not (tmp_path / "all" / SEEDS).exists()


def test_together_runs_are_those_of_each_alone_up_to_rounding(
    make_file: Callable[..., Path], tmp_path: Path, here: list[int]
) -> None:
    """What a GPU does, on the CPU."""
    data = make_file()
    train(data, tmp_path / "alone")
    own = [TrainConfig(**{**vars(TRAINING), "seed": seed}) for seed in (3, 4)]
    waiting = [
        (seed_folder(tmp_path / "all", one.seed),
         {"recipe": "paper", "options": SMALL, "baseline": False, "training": one})
        for one in own
    ]  # fmt: skip
    told: list[tuple[int, int]] = []
    errors = seeds_module._together(
        data, waiting, 1, lambda seed, row: told.append((seed, row.epoch))
    )
    assert not errors
    assert sorted(told) == [(seed, epoch) for seed in (3, 4) for epoch in (1, 2, 3)]
    for seed in (3, 4):
        first, second = (seed_folder(tmp_path / name, seed) for name in ("alone", "all"))
        one, other = (load_file(folder / WEIGHTS) for folder in (first, second))
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)
        scores = [json.loads((f / METRICS).read_text())["best_epoch"] for f in (first, second)]
        assert scores[0] == scores[1]
        assert not seed_folder(tmp_path / "all", seed).with_suffix(".checkpoint").exists()


def test_a_group_that_was_interrupted_goes_on(
    make_file: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_file()

    def make(out: Path, on_epoch: Any) -> dict[Path, ChromeError]:
        own = [TrainConfig(**{**vars(TRAINING), "seed": seed}) for seed in (3, 4)]
        asked: dict[str, Any] = {"recipe": "paper", "options": SMALL, "baseline": False}
        waiting = [(seed_folder(out, one.seed), {**asked, "training": one}) for one in own]
        return seeds_module._together(data, waiting, 1, on_epoch)

    def interrupting(seed: int, row: Epoch) -> None:
        if (seed, row.epoch) == (4, 2):
            raise KeyboardInterrupt

    assert not make(tmp_path / "whole", lambda seed, row: None)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut", interrupting)
    for seed in (3, 4):
        assert checkpoint_folder(seed_folder(tmp_path / "cut", seed)).is_dir()
    told: list[tuple[int, int]] = []
    assert not make(tmp_path / "cut", lambda seed, row: told.append((seed, row.epoch)))
    assert sorted(told) == [(seed, epoch) for seed in (3, 4) for epoch in (1, 2, 3)]
    for seed in (3, 4):
        for name in (WEIGHTS, HISTORY, PREDICTIONS):
            first, second = (seed_folder(tmp_path / out, seed) for out in ("whole", "cut"))
            assert (first / name).read_bytes() == (second / name).read_bytes()
        assert not checkpoint_folder(seed_folder(tmp_path / "cut", seed)).exists()


def test_a_training_hands_out_one_fit(make_file: Callable[..., Path], tmp_path: Path) -> None:
    steps = train_steps(make_file(), tmp_path / "run", model="logistic", training=TRAINING)
    with pytest.raises(StopIteration) as end:
        next(steps)  # scikit-learn fits it; there is nothing to hand out
    assert end.value.value.path == tmp_path / "run"


def test_in_processes(make_file: Callable[..., Path], tmp_path: Path) -> None:
    """Two seeds at a time, one of which cannot be trained."""
    data = make_file()
    common = {"model": "logistic", "baseline": False, "training": TRAINING}
    calls = [
        Call(train_model, (str(data), str(tmp_path / "good")), common),
        Call(train_model, (str(tmp_path / "missing.h5"), str(tmp_path / "bad")), common),
    ]
    errors = run_calls(calls, 2, lambda number, row: None)
    assert list(errors) == [1]
    assert errors[1].path == tmp_path / "missing.h5"
    assert (tmp_path / "good" / METRICS).is_file()


class Deadly:
    """Kills the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return signal.raise_signal, (signal.SIGKILL,)


def test_a_process_that_dies_fails_its_call() -> None:
    errors = run_calls([Call(train_model, (Deadly(),), {})], 1, lambda number, row: None)
    assert "killed by signal 9" in str(errors[0])


def test_the_command(
    make_file: Callable[..., Path], tmp_path: Path, inside: Cli, here: list[int]
) -> None:
    make_file()
    words = ("train", "a.h5", "-o", "all", "--seeds", "2", "--epochs", "2", "--device", "cpu")
    words += ("--recipe=paper", "--no-baseline", "--set", "kernels=6", "--set", "features=8")
    done = inside(*words)
    assert done.returncode == 0, done.stderr
    assert "seed 0: epoch 1/2" in done.stderr
    assert "runs: all/seed-0 all/seed-1" in done.stderr
    assert " ± " in done.stdout
    assert here == [0, 1]
    again = inside(*words, "--json")
    assert json.loads(again.stdout)["runs"] == ["all/seed-0", "all/seed-1"]
    assert here == [0, 1]
    refused = inside(*words, "--resume")
    assert refused.returncode == 2
    assert "--resume is for one run" in refused.stderr


def test_an_interrupt_keeps_the_epochs_of_other_processes(
    make_file: Callable[..., Path], tmp_path: Path, script: Path
) -> None:
    data = make_file()
    words = [
        str(script), "train", str(data), "-o", str(tmp_path / "all"), "--seeds", "2", "-p", "1",
        "--recipe=paper",
        "--epochs", "100000", "--patience", "100000", "--device", "cpu", "--no-baseline",
        "--set", "kernels=2", "--set", "dense_kernels=2", "--set", "features=2", "--lr", "1e-6",
    ]  # fmt: skip
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 1/" in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; all whole epochs are kept in" in said
    kept = list((tmp_path / "all").glob("*.checkpoint/source_only.safetensors"))
    assert kept
    assert not list((tmp_path / "all").glob("seed-*/config.json"))


def test_seeds_and_a_single_run_are_not_mixed(
    make_file: Callable[..., Path], tmp_path: Path, inside: Callable[..., Any]
) -> None:
    make_file("a.h5")
    single = ("train", "a.h5", "--model=logistic", "--no-baseline")
    assert inside(*single, "-o", "one").returncode == 0
    assert inside(*single, "-o", "many", "--seeds=2").returncode == 0
    done = inside(*single, "-o", "one", "--seeds=2")
    assert done.returncode == 1
    assert "one: is the folder of a single run" in done.stderr
    assert not (tmp_path / "one" / "seed-0").exists()
    done = inside(*single, "-o", "many", "--force")
    assert done.returncode == 1
    assert "many: holds the runs of `chromemodel train --seeds`; it is not replaced" in done.stderr
    done = inside("evaluate", "many")
    assert done.returncode == 1
    assert "name one of them, such as many/seed-0" in done.stderr
