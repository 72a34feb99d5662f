"""The installed command line: exit codes, streams, what is left behind."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import chromemodel
from chromemodel.cli._report import EpochReporter
from chromemodel.train.loop import Epoch

Cli = Callable[..., subprocess.CompletedProcess[str]]
MakeFile = Callable[..., Path]
QUICK = [
    "--recipe=paper",
    "--set=dense_kernels=4,3", "--set=kernels=6", "--set=features=8", "--set=label_widths=6",
    "--optimizer=adam", "--lr=0.01", "--batch-size=16", "--epochs=2", "-p1",
]  # fmt: skip
TRAIN = ["train", "a.h5", "-o", "r", "--recipe=paper"]
ADAPT = ["adapt", "--source=a", "--target=b", "-o", "r", "--recipe=paper"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_train_evaluate_predict(cli: Cli, inside: Cli, make_file: MakeFile, tmp_path: Path) -> None:
    make_file("a.h5")
    done = cli("train", "a.h5", "-o", "run", *QUICK)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["AUROC", "AUPRC", "accuracy", "F1", "MCC", "Brier", "ECE"]
    assert [line.split(":")[0] for line in lines[1::3]] == ["train", "validation", "test"]
    for index, name in ((2, "transferchrome"), (3, "logistic regression")):
        assert [line.strip().split("  ")[0] for line in lines[index::3]] == [name] * 3
    assert max(map(len, lines)) < 100
    assert "epoch 1/2" in done.stderr
    assert "\r" not in done.stderr
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["provenance"]["command"][:3] == ["chromemodel", "train", "a.h5"]
    assert config["training"]["device"] in ("cpu", "cuda", "mps")

    scored = inside("evaluate", "run", "--json")
    assert scored.returncode == 0, scored.stderr
    document = json.loads(scored.stdout)
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())["scores"]
    assert document["scores"][0]["auroc"] == metrics[2]["auroc"]
    assert "thirds" in document["split"]

    told = inside("predict", "run", "a.h5", "-o", "-")
    assert told.returncode == 0, told.stderr
    assert cli("predict", "run", "a.h5", "-o", "p.tsv").returncode == 0
    assert (tmp_path / "p.tsv").read_text() == told.stdout
    assert len(told.stdout.splitlines()) == 121
    assert names(tmp_path) == ["a.h5", "p.tsv", "run"]


def test_adapt_json(inside: Cli, make_file: MakeFile, tmp_path: Path) -> None:
    make_file("s.h5")
    make_file("t.h5", seed=1, units="reads", assembly="mm10")
    done = inside(
        "adapt", "--source", "s.h5", "--target", "t.h5", "-o", "run", "--json", "--domain-weight",
        "0.5", "--domain-schedule", "fixed", *QUICK,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["protocol"] == "same-genes"
    assert document["test_genes"] == document["test_genes_in_source"] > 0
    assert [score["model"] for score in document["scores"]][:2] == ["source_only", "dann"]
    assert 0 < document["label_agreement"] < 1
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["method"]["options"] == {"domain_weight": 0.5, "domain_schedule": "fixed"}
    assert "warning: t.h5: H3K4me3 is in units 'reads'" in done.stderr
    assert "assembly is mm10" in done.stderr
    assert "no label of the target was used" in done.stderr
    assert "source_only: epoch 1/2" in done.stderr
    assert "dann: epoch 1/2" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command 'trian'; did you mean 'train'"),
        (["train"], "Missing argument"),
        (["train", "a.h5"], "Missing option '-o'"),
        (["train", "a.h5", "-o", "-"], "'-o' / '--output': a run is a folder"),
        (["adapt", "--source=a", "--target=b", "-o", "-"], "a run is a folder and cannot go to"),
        (["train", "a.h5", "-o", "r", "--lr", "0"], "--lr"),
        (["train", "a.h5", "-o", "r", "--model", "transferchrom"], "did you mean 'transferchrome'"),
        ([*TRAIN, "--set", "dropuot=1"], "did you mean 'dropout'"),
        ([*TRAIN, "--set", "dropout=2"], "dropout is 2.0"),
        ([*TRAIN, "--set", "pool=x"], "expected a whole number"),
        (["train", "a.h5", "-o", "r", "--split", "thirds", "--test-chromosome", "1"], "--split"),
        ([*ADAPT, "--target-fraction", "1"], "1"),
        ([*ADAPT, "--method", "dan"], "'dann'"),
        (
            [*ADAPT, "--method=source_only", "--domain-weight=1"],
            "unknown option 'domain_weight'; there are none",
        ),
        ([*ADAPT, "--domain-weight", ""], "--domain-weight: 'domain_weight' is ''"),
        ([*ADAPT, "--domain-schedule", "slow"], "--domain-schedule: "),
        ([*ADAPT, "--target-fraction", "nan"], "--target-fraction is nan"),
        ([*TRAIN, "--momentum", "nan"], "--momentum is nan"),
        (["models", "dan"], "did you mean 'dann'"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_exits_with_2(
    inside: Cli, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = inside(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert names(tmp_path) == []


def test_bad_inputs_exit_with_1_and_leave_nothing(
    inside: Cli, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    for arguments, message in (
        (["train", "none.h5", "-o", "r"], "none.h5: no such file"),
        (["train", "text.h5", "-o", "r"], "text.h5: is not an HDF5 file"),
        (["train", "a.h5", "-o", "r", "--mark", "H3K4m3"], "a.h5: no mark 'H3K4m3'; did you mean"),
        (
            ["train", "a.h5", "-o", "r", "--test-chromosome", "chrQ"],
            "a.h5: no gene on chromosome 'chrQ'",
        ),
        (["train", "a.h5", "-o", "r", "--device", "cuda:77"], "cuda:77"),
        (["train", "a.h5", "-o", "text.h5"], "text.h5: exists already"),
        (["predict", "run", "a.h5", "-o", "p.tsv"], "run: no such folder"),
    ):
        done = inside(*arguments, *([] if arguments[0] == "predict" else QUICK))
        assert done.returncode == 1, (arguments, done.stderr)
        assert message in done.stderr
        assert done.stderr.startswith("chromemodel: error: ")
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert names(tmp_path) == ["a.h5", "text.h5"]


def test_exit_codes_of_the_installed_command(cli: Cli, tmp_path: Path) -> None:
    for arguments, code in ((["predict", "run", "a.h5", "-o", "p"], 1), (["predict", "run"], 2)):
        done = cli(*arguments)
        assert done.returncode == code
        assert done.stdout == ""
        assert done.stderr
        assert "Traceback" not in done.stderr
    assert names(tmp_path) == []


def test_a_failing_force_leaves_what_was_there(
    inside: Cli, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    make_file("b.h5", bin_size=50)
    assert inside("train", "a.h5", "-o", "run", "--no-baseline", *QUICK).returncode == 0
    (tmp_path / "p.tsv").write_text("precious")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for arguments in (
        ["train", "a.h5", "-o", "run", "-f", *QUICK, "--optimizer=sgd", "--lr=1e20"],
        ["train", "a.h5", "-o", "run", *QUICK],
        ["predict", "run", "b.h5", "-o", "p.tsv", "-f"],
        ["predict", "run", "a.h5", "-o", "p.tsv"],
    ):
        done = inside(*arguments)
        assert done.returncode == 1, done.stderr
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert inside("predict", "run", "a.h5", "-o", "p.tsv", "-f").returncode == 0
    assert (tmp_path / "p.tsv").read_text().startswith("gene_id\t")


def test_an_interrupt_leaves_the_checkpoint(
    script: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    command = [str(script), "train", "a.h5", "-o", "run", *QUICK, "--epochs=100000"]
    process = subprocess.Popen(
        [*command, "--patience=100000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "epoch 1/" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130, rest
    assert "The same command goes on from there" in rest
    assert names(tmp_path) == ["a.h5", "run.checkpoint"]


def test_help_is_light() -> None:
    """No heavy import before a command runs, for its help page neither."""
    heavy = ("torch", "numpy", "h5py", "sklearn", "safetensors")
    modules = ["chromemodel", "chromemodel.cli"]
    commands = ("train", "evaluate", "compare", "predict", "adapt", "models")
    modules += [f"chromemodel.cli.{name}" for name in commands]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_and_version(cli: Cli) -> None:
    start = time.perf_counter()
    done = cli("--help")
    assert time.perf_counter() - start < 2  # 0.15 s on an idle machine
    assert done.returncode == 0
    for name in ("train", "evaluate", "adapt", "predict", "models"):
        assert name in done.stdout
        assert cli(name, "-h").returncode == 0
    assert cli("-V").stdout == f"chromemodel, version {chromemodel.__version__}\n"


def test_models_lists_the_registries(inside: Cli) -> None:
    document = json.loads(inside("models", "--json").stdout)
    assert {entry["name"] for entry in document} == {
        *chromemodel.MODELS.names(),
        *chromemodel.METHODS.names(),
    }
    options = json.loads(inside("models", "transferchrome", "--json").stdout)["options"]
    assert {"name": "dropout", "default": 0.4, "type": "a number"} in options
    assert "dense_kernels\t32,16,8" in inside("models", "transferchrome").stdout


def test_imports_from_chromeprep_keep_to_the_file_format() -> None:
    root = Path(chromemodel.__file__).parent
    allowed = {"chromeprep.format", "chromeprep.errors", "chromeprep._version"}
    seen = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found = []
            if isinstance(node, ast.ImportFrom) and node.module:
                found = [node.module]
            elif isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            for name in found:
                if name.split(".")[0] != "chromeprep":
                    continue
                seen.add(name)
                shell = name == "chromeprep.cli._shell" and path.parent.name == "cli"
                inside_format = name.startswith("chromeprep.format.")
                assert name in allowed or inside_format or shell, (
                    f"{path}:{node.lineno} imports {name}"
                )
    assert seen >= allowed


def test_public_names_resolve() -> None:
    for name in chromemodel.__all__:
        assert getattr(chromemodel, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = chromemodel.nothing


class Terminal:
    """A stream that takes itself for a terminal or not."""

    def __init__(self, live: bool) -> None:
        self.live, self.text = live, ""

    def isatty(self) -> bool:
        return self.live

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("live", [True, False])
def test_progress_on_a_terminal_and_in_a_log(live: bool) -> None:
    stream = Terminal(live)
    report = EpochReporter(25, stream=stream)  # type: ignore[arg-type]
    for epoch in range(1, 24):
        report(Epoch(epoch, 0.5, 0.5, 0.9 - epoch / 100))
    report.close()
    assert stream.text.count("\r") == (23 if live else 0)
    if not live:
        told = [line.split(",")[0] for line in stream.text.splitlines()]
        assert told == ["epoch 1/25", "epoch 10/25", "epoch 20/25", "epoch 23/25"]
        assert "best 0.8900 in epoch 1" in stream.text
