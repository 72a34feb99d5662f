"""A run that was ended in any way goes on, and comes to what it would have come to."""

from __future__ import annotations

import io
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from chromemodel.adapt import METHODS, create_method
from chromemodel.adapt.base import Batch, Loss
from chromemodel.adapt.dann import DomainAdversarial
from chromemodel.adapt.source_only import SourceOnly
from chromemodel.benchmark.folder import Folder
from chromemodel.benchmark.jobs import plan_jobs
from chromemodel.benchmark.spec import BenchmarkSpec, CellType
from chromemodel.benchmark.worker import perform
from chromemodel.config import Component, Layout, Normalisation, RunConfig, Split, TrainConfig
from chromemodel.evaluate.select import embed
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet
from chromemodel.train import resume
from chromemodel.train.checkpoint import provenance
from chromemodel.train.device import seeded
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.memory import out_of_memory
from chromemodel.train.resume import Checkpoint, checkpoint_folder
from chromemodel.train.state import State
from chromemodel.train.state_file import packed, read_state
from chromeprep.errors import RunError

Cli = Callable[..., subprocess.CompletedProcess[str]]
MakeFile = Callable[..., Path]

SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
QUICK = [
    "--recipe=paper",
    "--set=dense_kernels=4,3", "--set=kernels=6", "--set=features=8", "--set=label_widths=6",
    "--optimizer=adam", "--lr=0.01", "--batch-size=16", "--epochs=4", "-p1", "--device=cpu",
    "--no-baseline",
]  # fmt: skip
TRAIN = ["train", "a.h5", *QUICK]
ADAPT = ["adapt", "--source=a.h5", "--target=b.h5", "--method=dann", *QUICK]
CPU = torch.device("cpu")
COMMANDS = pytest.mark.parametrize("command", [TRAIN, ADAPT], ids=["train", "adapt"])


@pytest.fixture
def files(make_file: MakeFile, tmp_path: Path) -> Path:
    make_file("a.h5", seed=1)
    make_file("b.h5", seed=2, cell_type="B")
    return tmp_path


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "EVERY_S", 0.0)


def contents(run: Path) -> dict[str, Any]:
    """All of a run folder but where and when it was made."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        if path.name == "config.json":
            document = json.loads(path.read_text())
            found[str(path.relative_to(run))] = document | {"provenance": None}
        elif path.is_file():
            found[str(path.relative_to(run))] = path.read_bytes()
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Script:
    """Does something before a step of a method's loss, counted from 1 over all fits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        self.act: Callable[[int, Batch], None] = lambda step, batch: None
        for method in (SourceOnly, DomainAdversarial):
            monkeypatch.setattr(method, "loss", self._wrapped(method.loss))

    def _wrapped(self, loss: Callable[..., Loss]) -> Callable[..., Loss]:
        def scripted(way: Any, model: ChromeNet, batch: Batch, progress: float) -> Loss:
            self.steps += 1
            self.act(self.steps, batch)
            return loss(way, model, batch, progress)

        return scripted


@pytest.fixture
def script_steps(monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(monkeypatch)


# --- killed ---------------------------------------------------------------------------------------

KILLER = """
import json, os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from chromemodel.cli import main
from chromemodel.train import resume
from chromemodel.benchmark.worker import warm_up
import chromemodel.cli._report
warm_up()
resume.EVERY_S = 0.0
sys.argv = ["chromemodel", *sys.argv[1:]]
kills = 0
draw = random.Random(sum(map(len, sys.argv)))
longest = 0.5
while True:
    child = os.fork()
    if child == 0:
        try:
            main()
        except SystemExit as stop:
            os._exit(stop.code or 0)
    if kills < 5:
        while kills == 0 and not os.path.exists("run.checkpoint/source_only.safetensors"):
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, longest) if kills else 0.0)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != -signal.SIGKILL:
        break
    kills += 1
print(json.dumps({"kills": kills, "code": code}))
"""


@COMMANDS
def test_killed_at_any_moment_it_comes_to_the_same(
    command: list[str], inside: Cli, files: Path
) -> None:
    command = [*command, "--epochs=15", "--patience=15"]
    whole = inside(*command, "-o", "whole")
    assert whole.returncode == 0, whole.stderr
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *command, "-o", "run"],
        capture_output=True, text=True, cwd=files, timeout=120,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stderr
    assert told["kills"] >= 1
    assert contents(files / "run") == contents(files / "whole")
    # A process that is killed while it writes leaves parts with a name of their own.
    assert [name for name in names(files) if not name.startswith(".")] == [
        *("a.h5", "b.h5", "run", "whole")
    ]


# --- told to stop ---------------------------------------------------------------------------------


@COMMANDS
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_told_to_stop_it_saves_and_says_how_to_go_on(
    command: list[str], number: int, code: int, inside: Cli, files: Path, script_steps: Script
) -> None:
    assert inside(*command, "-o", "whole run").returncode == 0
    steps, script_steps.steps = script_steps.steps, 0
    at = 3 * steps // 4
    script_steps.act = lambda step, _: signal.raise_signal(number) if step == at else None
    before = signal.getsignal(signal.SIGINT)
    stopped = inside(*command, "-o", "a run")
    assert stopped.returncode == code, stopped.stderr
    assert signal.getsignal(signal.SIGINT) is before
    assert names(files) == ["a run.checkpoint", "a.h5", "b.h5", "whole run"]
    assert script_steps.steps == at  # the step was finished, none followed
    assert "a run.checkpoint" in stopped.stderr
    printed = shlex.split(stopped.stderr.splitlines()[-1])
    assert printed == ["chromemodel", *command, "-o", "a run"]

    resumed = inside(*printed[1:])
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after epoch" in resumed.stderr
    assert script_steps.steps < 2 * steps
    assert contents(files / "a run") == contents(files / "whole run")
    assert names(files) == ["a run", "a.h5", "b.h5", "whole run"]


def test_stopped_in_the_first_epoch_there_is_nothing_to_keep(
    inside: Cli, files: Path, script_steps: Script
) -> None:
    script_steps.act = lambda step, _: signal.raise_signal(signal.SIGINT) if step == 2 else None
    stopped = inside(*TRAIN, "-o", "run")
    assert stopped.returncode == 130
    assert "interrupted; no output was changed" in stopped.stderr
    assert names(files) == ["a.h5", "b.h5"]


# --- what is kept, and when -----------------------------------------------------------------------


def test_a_benchmark_goes_on_within_a_run(
    files: Path, script_steps: Script, every_epoch: None
) -> None:
    spec = BenchmarkSpec(
        "within", ("tcn",), (CellType("A", str(files / "a.h5"), "1"),), (0,),
        overrides={"epochs": 4, "batch_size": 16},
    )  # fmt: skip
    job = plan_jobs(spec)[0]

    def ended(step: int, batch: Batch) -> None:
        if step == 8:
            raise BrokenPipeError

    script_steps.act = ended
    with pytest.raises(BrokenPipeError):
        perform(Folder(files / "stopped"), job, io.StringIO())
    taken, script_steps.steps, script_steps.act = script_steps.steps, 0, lambda step, _: None
    perform(Folder(files / "stopped"), job, io.StringIO())
    assert script_steps.steps < taken
    script_steps.steps = 0
    perform(Folder(files / "whole"), job, io.StringIO())
    assert script_steps.steps > taken
    stopped, whole = (Folder(files / name).run(job) for name in ("stopped", "whole"))
    assert contents(stopped) == contents(whole)
    assert not checkpoint_folder(stopped).exists()


def test_short_runs_write_no_checkpoint(
    inside: Cli, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(Checkpoint, "write", lambda self, state: written.append(1))
    assert inside(*TRAIN, "-o", "run").returncode == 0
    assert not written
    monkeypatch.setattr(resume, "EVERY_S", 0.0)
    assert inside(*TRAIN, "-o", "again").returncode == 0
    assert len(written) == 4


def test_a_disk_that_refuses_does_not_end_training(
    inside: Cli, files: Path, every_epoch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "checkpoint" in str(path):
            raise OSError(28, "No space left on device")
        return plain(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 0, done.stderr
    assert "No space left on device; training goes on without" in done.stderr
    assert names(files) == ["a.h5", "b.h5", "run"]


def drawn_data() -> FitData:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, 8, generator=generator)
    y = (x[:, 0].sum(1) > 0).long()
    far = 2 * torch.randn(23, 2, 8, generator=generator)
    return FitData(x[:30], y[:30], far, x[30:], y[30:])


def loop_of(
    method: str,
    training: TrainConfig,
    model: str = "transferchrome",
    options: dict[str, Any] | None = None,
) -> Loop:
    if options is None:
        options = SMALL | ({"batch_norm": True} if method == "adabn" else {})
    with seeded(training.seed, CPU):
        net = create_model(model, options, n_marks=2, n_bins=8)
        return Loop(net, create_method(method, {}, net), drawn_data(), training)


def config_of(method: str, training: TrainConfig) -> RunConfig:
    return RunConfig(
        kind="adapt",
        model=Component("transferchrome"),
        method=Component(method),
        layout=Layout(("a", "b"), 100, 400, 8, "5p-to-3p"),
        normalisation=Normalisation(),
        split=Split(),
        training=training,
        source=None,  # type: ignore[arg-type]
        target=None,
        provenance=provenance(()),
    )


CASES = [
    *((name, "transferchrome", "adam") for name in METHODS.names()),
    ("source_only", "transferchrome", "sgd"),
    ("source_only", "transferchrome", "adamw"),
    ("source_only", "attentivechrome", "sgd"),
    ("source_only", "crnn", "adam"),
]


@pytest.mark.parametrize(("method", "model", "optimizer"), CASES)
def test_every_epoch_can_be_gone_on_from(
    method: str, model: str, optimizer: Any, tmp_path: Path, every_epoch: None
) -> None:
    training = TrainConfig(optimizer=optimizer, lr=0.02, batch_size=8, epochs=4, mark_dropout=0.2)
    training = replace(training, shift_bins=1)
    options = None if model == "transferchrome" else {}

    def checkpoint(name: str) -> Checkpoint:
        path = tmp_path / f"{name}.safetensors"
        return Checkpoint(path, config_of(method, training), drawn_data())

    whole = loop_of(method, training, model, options)
    fit = whole.fit()
    for epoch in range(1, 5):
        name = f"{epoch}"

        def stop(row: Any, epoch: int = epoch) -> None:
            if row.epoch == epoch:
                raise KeyboardInterrupt

        first = loop_of(method, training, model, options)
        with suppress(KeyboardInterrupt):
            first.fit(stop, checkpoint(name))
        second = loop_of(method, training, model, options)
        told: list[Any] = []
        assert second.fit(told.append, checkpoint(name)) == fit
        assert tuple(told) == fit.history
        for key, value in whole.model.state_dict().items():
            assert torch.equal(second.model.state_dict()[key], value), key


# --- checkpoints that do not fit, or cannot be read -----------------------------------------------


@pytest.fixture
def stopped(inside: Cli, files: Path, script_steps: Script) -> Path:
    """A run that was interrupted in its third epoch; 40 genes train in 3 steps an epoch."""
    script_steps.act = lambda step, _: signal.raise_signal(signal.SIGINT) if step == 8 else None
    assert inside(*TRAIN, "-o", "run").returncode == 130
    script_steps.act = lambda step, _: None
    path = files / "run.checkpoint/source_only.safetensors"
    assert len(read_state(path)[1].history) == 2
    return path


@pytest.mark.parametrize(
    ("option", "words", "able"),
    [
        ("--lr=0.02", "lr was 0.01, now it is 0.02", True),
        ("--epochs=9", "epochs was 4, now it is 9", True),
        ("--seed=3", "seed was 0, now it is 3", False),
        ("--set=dropout=0.1", "model.options.dropout was 0.4, now it is 0.1", False),
        ("--normalise=training", "normalisation.rule was file, now it is training", False),
    ],
)
def test_another_training_does_not_take_it_up(
    option: str, words: str, able: bool, inside: Cli, stopped: Path
) -> None:
    before = stopped.read_bytes()
    done = inside(*TRAIN, "-o", "run", option)
    assert done.returncode == 1
    assert words in done.stderr
    assert ("--resume goes on after epoch 2" in done.stderr) is able
    assert "begin anew with --force" in done.stderr
    assert (inside(*TRAIN, "-o", "run", option, "--resume").returncode == 0) is able
    if not able:
        assert stopped.read_bytes() == before


def test_other_genes_do_not_fit_but_a_file_may_move(
    inside: Cli, stopped: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    (tmp_path / "a.h5").rename(tmp_path / "moved.h5")
    make_file("a.h5", seed=9)
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 1
    assert "the genes, their signal or their labels were others" in done.stderr
    (tmp_path / "moved.h5").replace(tmp_path / "a.h5")
    (tmp_path / "data").mkdir()
    (tmp_path / "a.h5").rename(tmp_path / "data/a.h5")
    assert inside("train", "data/a.h5", *QUICK, "-o", "run").returncode == 0


def test_another_version_is_told(
    inside: Cli, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "__version__", "99.0")
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 1
    assert "chromemodel was " in done.stderr
    assert ", now it is 99.0" in done.stderr
    assert inside(*TRAIN, "-o", "run", "--resume").returncode == 0


@pytest.mark.parametrize("default", [["--set=trees=5"], ["--model=logistic"]])
def test_a_model_without_checkpoints_does_not_remove_those_of_another(
    inside: Cli, stopped: Path, tmp_path: Path, default: list[str]
) -> None:
    kept = stopped.read_bytes()
    words = ["train", "a.h5", "-o", "run", "--no-baseline", "-p1", *default]
    for more in ([], ["--resume"], ["--resume", "--force"]):
        done = inside(*words, *more)
        assert done.returncode == 1
        assert "is of another training: model was transferchrome, now it is" in done.stderr
        assert "give the --model or --recipe it began with" in done.stderr
        assert stopped.read_bytes() == kept
    assert inside(*TRAIN, "-o", "run").returncode == 0
    assert not stopped.parent.exists()


def test_a_model_without_checkpoints_removes_them_by_force(
    inside: Cli, stopped: Path, tmp_path: Path
) -> None:
    done = inside("train", "a.h5", "-o", "run", "--set=trees=5", "--no-baseline", "-p1", "-f")
    assert done.returncode == 0, done.stderr
    assert not stopped.parent.exists()


def test_force_begins_anew(inside: Cli, stopped: Path, tmp_path: Path) -> None:
    done = inside(*TRAIN, "-o", "run", "--lr=0.02", "-f")
    assert done.returncode == 0, done.stderr
    assert "lr was 0.01, now it is 0.02; training begins anew" in done.stderr
    assert inside(*TRAIN, "-o", "fresh", "--lr=0.02").returncode == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "fresh")
    assert not stopped.parent.exists()


def test_resumed_with_other_settings_the_run_says_so(
    inside: Cli, stopped: Path, tmp_path: Path
) -> None:
    done = inside(*TRAIN, "-o", "run", "--resume", "--lr=0.002", "--epochs=6")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    expected = (
        "settings changed after epoch 2: epochs was 4, now it is 6; lr was 0.01, now it is 0.002"
    )
    assert expected in metrics["notes"]
    assert metrics["epochs"] == 6
    config = json.loads((tmp_path / "run/config.json").read_text())["training"]
    assert (config["lr"], config["epochs"]) == (0.002, 6)


def test_what_is_there_can_be_taken_as_it_stands(
    inside: Cli, stopped: Path, tmp_path: Path
) -> None:
    state = read_state(stopped)[1]
    assert inside(*TRAIN, "-o", "run", "--resume", "--epochs=1").returncode == 0
    weights = load_file(tmp_path / "run/weights.safetensors")
    assert weights.keys() == state.best_weights.keys()
    assert all(torch.equal(weights[name], one) for name, one in state.best_weights.items())
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["epochs"] == 2


def test_nothing_to_resume(inside: Cli, files: Path) -> None:
    done = inside(*TRAIN, "-o", "run", "--resume")
    assert done.returncode == 1
    assert "there is no checkpoint to go on from\n  leave out --resume" in done.stderr


def test_the_training_of_another_method_is_not_thrown_away(
    inside: Cli, files: Path, script_steps: Script
) -> None:
    def stop(step: int, _: Batch) -> None:
        if step == 100:
            signal.raise_signal(signal.SIGINT)

    script_steps.act = stop
    assert inside(*ADAPT, "-o", "run", "--epochs=12", "--patience=12").returncode == 130
    assert names(files / "run.checkpoint") == ["dann.safetensors"]
    done = inside(*ADAPT, "-o", "run", "--method=mmd")
    assert done.returncode == 1
    assert "holds the training of dann, not of mmd" in done.stderr
    assert inside(*ADAPT, "-o", "run", "--method=mmd", "-f").returncode == 0
    assert not (files / "run.checkpoint").exists()


@pytest.mark.parametrize("how", ["cut", "changed", "empty", "newer"])
def test_a_damaged_checkpoint_is_refused(how: str, inside: Cli, stopped: Path) -> None:
    data = stopped.read_bytes()
    damaged = {
        "cut": data[:-7],
        "changed": data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
        "empty": b"",
        "newer": data.replace(b'{\\"version\\": 1', b'{\\"version\\": 9', 1),
    }[how]
    assert damaged != data
    stopped.write_bytes(damaged)
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 1
    assert str(stopped.relative_to(stopped.parents[1])) in done.stderr
    assert ("has version 9" if how == "newer" else "is cut short or damaged") in done.stderr
    assert "begin anew with --force" in done.stderr
    assert inside(*TRAIN, "-o", "run", "-f").returncode == 0
    assert not stopped.parent.exists()


@pytest.fixture(scope="module")
def checkpoint_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "dann.safetensors"
    training = TrainConfig(optimizer="adam", epochs=2, batch_size=8)
    loop = loop_of("dann", training)
    checkpoint = Checkpoint(path, config_of("dann", training), loop.data)
    checkpoint.restore(loop)
    loop.run_epoch()
    checkpoint.write(State.of(loop))
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_no_flipped_byte_goes_unnoticed(
    place: float, value: int, checkpoint_bytes: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "flipped.safetensors"
    data = bytearray(checkpoint_bytes)
    at = int(place * len(data))
    data[at] ^= value
    path.write_bytes(bytes(data))
    with pytest.raises(RunError, match=r"damaged|has version"):
        read_state(path)


def test_where_the_checkpoint_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_folder("runs/a.b") == Path("runs/a.b.checkpoint")
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    assert checkpoint_folder(".") == (tmp_path / "run.checkpoint").resolve()


def test_something_else_in_its_place_is_left_alone(inside: Cli, files: Path) -> None:
    (files / "run.checkpoint").write_text("precious")
    done = inside(*TRAIN, "-o", "run", "-f")
    assert done.returncode == 1
    assert "is a file; checkpoints are kept there" in done.stderr
    assert (files / "run.checkpoint").read_text() == "precious"
    assert checkpoint_folder(files / "run") == files / "run.checkpoint"


# --- divergence and memory ------------------------------------------------------------------------


def test_divergence_keeps_the_last_good_state(
    inside: Cli, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SourceOnly.loss

    def loss(way: Any, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        total = plain(way, model, batch, progress).total
        return Loss(total * (float("nan") if progress >= 0.5 else 1), ())

    with monkeypatch.context() as patch:
        patch.setattr(SourceOnly, "loss", loss)
        done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 1
    assert "the loss is nan in epoch 3; training diverged" in done.stderr
    assert "lower --lr (it is 0.01)" in done.stderr
    kept = Path("run.checkpoint/source_only.safetensors")
    assert f"the state after epoch 2 is kept in {kept}" in done.stderr
    state = read_state(files / kept)[1]
    assert len(state.history) == 2
    assert all(bool(tensor.isfinite().all()) for tensor in state.model.values())
    done = inside(*TRAIN, "-o", "run", "--resume", "--lr=0.001")
    assert done.returncode == 0, done.stderr
    assert names(files) == ["a.h5", "b.h5", "run"]


def test_weights_that_the_last_step_broke_are_no_good_state() -> None:
    training = TrainConfig(optimizer="sgd", lr=1e30, epochs=1, batch_size=100, weight_decay=1e30)
    loop = loop_of("source_only", training)
    loop.data = loop.data._replace(validation_x=None, validation_y=None)
    with pytest.raises(Exception, match="the loss is nan in epoch 1"):
        loop.fit()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        MemoryError(),
    ],
    ids=["accelerator", "cpu", "python"],
)
def test_out_of_memory_halves_the_batch(
    error: Exception, inside: Cli, files: Path, script_steps: Script
) -> None:
    def starve(step: int, batch: Batch) -> None:
        if len(batch.x) > 4:
            raise error

    script_steps.act = starve
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 0, done.stderr
    assert "out of memory in training with batches of 16 genes; now 8" in done.stderr
    assert "out of memory in training with batches of 8 genes; now 4" in done.stderr
    notes = json.loads((files / "run/metrics.json").read_text())["notes"]
    words = "settings changed after epoch 0: batch_size was 16, now it is 4: out of memory"
    assert words in notes
    assert inside(*TRAIN, "-o", "four", "--batch-size=4").returncode == 0
    assert (
        contents(files / "run")["weights.safetensors"]
        == (contents(files / "four")["weights.safetensors"])
    )


def test_a_halved_batch_is_kept_over_an_interrupt(
    inside: Cli, files: Path, script_steps: Script
) -> None:
    def starve(step: int, batch: Batch) -> None:
        if len(batch.x) > 8 and step > 4:
            raise torch.OutOfMemoryError

    script_steps.act = starve
    assert inside(*TRAIN, "-o", "whole").returncode == 0
    script_steps.steps = 0

    def starve_and_stop(step: int, batch: Batch) -> None:
        starve(step, batch)
        if step == 13:
            signal.raise_signal(signal.SIGTERM)

    script_steps.act = starve_and_stop
    assert inside(*TRAIN, "-o", "run").returncode == 143
    script_steps.act = lambda step, batch: None  # memory is there again
    assert inside(*TRAIN, "-o", "run").returncode == 0
    assert contents(files / "run") == contents(files / "whole")


def test_not_enough_memory_for_one_gene(inside: Cli, files: Path, script_steps: Script) -> None:
    def starve(step: int, batch: Batch) -> None:
        raise torch.OutOfMemoryError

    script_steps.act = starve
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 1
    assert "out of memory in training, even with one gene at a time" in done.stderr
    assert names(files) == ["a.h5", "b.h5"]


def test_other_errors_are_not_taken_for_a_lack_of_memory(script_steps: Script) -> None:
    def fail(step: int, batch: Batch) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    script_steps.act = fail
    with pytest.raises(RuntimeError, match="shapes"):
        loop_of("source_only", TrainConfig(epochs=1)).fit()


def test_predicting_halves_its_batch(
    inside: Cli, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inside(*TRAIN, "-o", "run").returncode == 0
    assert inside("predict", "run", "b.h5", "-o", "whole.tsv").returncode == 0
    from chromemodel.models.folded import FoldedTransferChrome

    plain, sizes = FoldedTransferChrome.features, []

    def starved(model: FoldedTransferChrome, x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 40:
            raise torch.OutOfMemoryError
        return plain(model, x)

    monkeypatch.setattr(FoldedTransferChrome, "features", starved)
    done = inside("predict", "run", "b.h5", "-o", "halves.tsv")
    assert done.returncode == 0, done.stderr
    assert "out of memory in prediction with batches of 64 genes; now 32" in done.stderr
    assert sizes == [64, 32, 32, 32, 24]
    one, two = (
        np.genfromtxt(files / name, delimiter="\t", skip_header=1, usecols=5)
        for name in ("whole.tsv", "halves.tsv")
    )
    np.testing.assert_allclose(one, two, rtol=1e-5)

    monkeypatch.setattr(
        FoldedTransferChrome, "features", lambda model, x: starved(model, x.repeat(41, 1, 1))
    )
    done = inside("predict", "run", "b.h5", "-o", "none.tsv")
    assert done.returncode == 1
    assert "out of memory in prediction, even with one gene at a time" in done.stderr


def test_the_settings_that_were_asked_are_compared_not_those_in_use(tmp_path: Path) -> None:
    training = TrainConfig(epochs=3, batch_size=8)
    path = tmp_path / "c.safetensors"
    loop = loop_of("source_only", training)
    checkpoint = Checkpoint(path, config_of("source_only", training), loop.data)
    checkpoint.restore(loop)
    loop.run_epoch()
    halved = State.of(loop).changed(replace(training, batch_size=4), ["why"])
    checkpoint.write(halved)
    other = replace(training, lr=0.5)
    again = Checkpoint(path, config_of("source_only", other), loop.data, resume=True)
    state = again.restore(loop_of("source_only", other))
    assert (state.training.lr, state.training.batch_size) == (0.5, 4)
    assert len(state.changes) == 2


def test_a_checkpoint_that_the_model_cannot_take_is_refused(stopped: Path, inside: Cli) -> None:
    asked, state = read_state(stopped)
    weights = {name: value for name, value in state.model.items() if "label" not in name}
    stopped.write_bytes(packed(state._replace(model=weights), asked))
    done = inside(*TRAIN, "-o", "run")
    assert done.returncode == 1
    assert "does not hold the weights of this model\n  begin anew with --force" in done.stderr


def test_embedding_halves_its_batch() -> None:
    model, x = loop_of("source_only", TrainConfig()).model.eval(), drawn_data().x
    whole, plain = embed(model, x.numpy(), CPU), model.features

    def starved(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 7:
            raise torch.OutOfMemoryError
        return plain(x)

    model.features = starved  # type: ignore[method-assign]
    for one, two in zip(embed(model, x.numpy(), CPU), whole, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of CUDA")
def test_on_a_gpu(inside: Cli, files: Path, script_steps: Script) -> None:
    command = [*TRAIN, "--device=cuda"]
    assert inside(*command, "-o", "whole").returncode == 0
    script_steps.steps = 0
    script_steps.act = lambda step, _: signal.raise_signal(signal.SIGINT) if step == 8 else None
    assert inside(*command, "-o", "run").returncode == 130
    assert inside(*command, "-o", "run").returncode == 0
    assert contents(files / "run") == contents(files / "whole")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of CUDA")
def test_memory_of_a_gpu_that_runs_out_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    assert out_of_memory(caught.value)


def test_memory_of_the_cpu_that_runs_out_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)
