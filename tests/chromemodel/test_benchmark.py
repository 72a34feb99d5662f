"""`chromemodel benchmark` from the command line to results.csv: protocols, going on, failing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chromemodel.benchmark import together
from chromemodel.benchmark.folder import Folder
from chromemodel.benchmark.inputs import check_files, choose_source, read_inputs
from chromemodel.benchmark.jobs import Job, plan_jobs
from chromemodel.benchmark.rows import Row, read_rows
from chromemodel.benchmark.run import Plan, run_benchmark
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.worker import Event
from chromemodel.data.splits import split_genes, split_target
from chromemodel.evaluate.metrics import Metrics, binary_metrics
from chromeprep.format import ChromeBins, read_bins, write_bins

Cli = Callable[..., subprocess.CompletedProcess[str]]
MakeBins = Callable[..., ChromeBins]
CELLS = ("E003", "E116", "E085")
QUICK = ("--max-epochs", 1, "--seeds", 1, "--device", "cpu")
CNN = ("--model", "convchrome.cnn1d")
LOGISTIC = ("--model", "logistic")


@pytest.fixture(scope="module")
def cells(make_bins: MakeBins, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cell types; E085 lacks ten genes. Their windows are too small for deepchrome."""
    folder = tmp_path_factory.mktemp("cells")
    for seed, name in enumerate(CELLS):
        count = 150 if name == "E085" else 160
        write_bins(
            folder / f"{name}.h5",
            make_bins(count, n_bins=12, seed=seed, cell_type=name),
        )
    return folder


@pytest.fixture(scope="module")
def crossed(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished benchmark of `cross`, two processes."""
    out = tmp_path_factory.mktemp("crossed") / "b"
    source, found = choose_source(
        str(cells / "E085.h5"), read_inputs([cells / "E003.h5", cells / "E116.h5"])
    )
    spec = BenchmarkSpec(
        "cross",
        ("convchrome.cnn1d", "logistic"),
        tuple(check_files(found, source=source)),
        (0,),
        source=source,
        max_epochs=1,
    )
    done = run_benchmark(spec, out)
    assert (done.kept, done.run, done.failures) == (0, 8, [])
    return out


def stamps(folder: Path) -> dict[str, int]:
    found = sorted((folder / "runs").rglob("weights.safetensors"))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def without_seconds(path: Path) -> list[Row]:
    return [row._replace(seconds=0.0) for row in read_rows(path)]


def test_cross_gives_each_method_on_its_own_test_genes(crossed: Path) -> None:
    rows = read_rows(crossed / "results.csv")
    assert {row.subset for row in rows} == {"all", "differs"}
    own = [row for row in rows if (row.test_set, row.subset) == ("own", "all")]
    own = [row for row in own if row.metric == "auroc"]
    assert [(row.model, row.method, row.source, row.target, row.split) for row in own] == [
        ("convchrome.cnn1d", "origin", "E003", "E003", "thirds"),
        ("convchrome.cnn1d", "uncross", "E085", "E003", "adapt"),
        ("convchrome.cnn1d", "cross", "E085", "E003", "adapt"),
        ("convchrome.cnn1d", "origin", "E116", "E116", "thirds"),
        ("convchrome.cnn1d", "uncross", "E085", "E116", "adapt"),
        ("convchrome.cnn1d", "cross", "E085", "E116", "adapt"),
        ("logistic", "origin", "E003", "E003", "thirds"),
        ("logistic", "uncross", "E085", "E003", "adapt"),
        ("logistic", "origin", "E116", "E116", "thirds"),
        ("logistic", "uncross", "E085", "E116", "adapt"),
        ("source expression", "lookup", "E085", "E003", "adapt"),
        ("source expression", "lookup", "E085", "E116", "adapt"),
    ]
    assert {row.metric for row in rows} == {*Metrics._fields, "label_agreement"} - {"genes"}
    run = crossed / "runs/convchrome.cnn1d/cross/E085--E003/seed-0"
    for name, folder in (("source_only", run / "source_only"), ("dann", run)):
        scores = json.loads((folder / "metrics.json").read_text())["scores"]
        told = next(score for score in scores if score["model"] == name)
        method = {"source_only": "uncross", "dann": "cross"}[name]
        for row in rows:
            of = (row.model, row.method, row.target, row.test_set, row.subset)
            if of == ("convchrome.cnn1d", method, "E003", "own", "all") and row.metric in told:
                assert row.value == told[row.metric]
                assert row.genes == told["genes"]


def test_scores_on_common_genes_by_hand(crossed: Path, cells: Path) -> None:
    rows = read_rows(crossed / "results.csv")

    def told(
        model: str, method: str, target: str, test_set: str, subset: str = "all"
    ) -> tuple[Metrics, float]:
        found = {
            row.metric: row
            for row in rows
            if (row.model, row.method, row.target, row.test_set, row.subset)
            == (model, method, target, test_set, subset)
        }
        same = found.pop("label_agreement").value
        genes = {row.genes for row in found.values()}
        values = {name: row.value for name, row in found.items()}
        return Metrics(genes=genes.pop(), **values), same

    source = read_bins(cells / "E085.h5").genes
    spec = Folder(crossed).read_spec()
    assert spec is not None
    assert spec.source == "E085"
    job, other = plan_jobs(spec)[:2]
    scored: list[str] = []
    for target in ("E003", "E116"):
        genes = read_bins(cells / f"{target}.h5").genes
        tested = split_genes(genes, job.split) == "test"
        kept_out = split_target(genes, other.split) == "test"
        for method, model, sets in (
            ("origin", "convchrome.cnn1d", {"own": tested}),
            ("uncross", "convchrome.cnn1d", {"own": kept_out}),
            ("cross", "convchrome.cnn1d", {"own": kept_out}),
            ("origin", "logistic", {"own": tested}),
            ("uncross", "logistic", {"own": kept_out}),
        ):
            base = crossed / "runs" / model
            if method == "origin":
                run = base / f"origin/{target}/seed-0"
            elif model == "logistic":
                run = base / f"uncross/E085--{target}/seed-0"
            else:
                run = base / f"cross/E085--{target}/seed-0"
                run = run / "source_only" if method == "uncross" else run
            text = (run / "predictions.tsv").read_text().splitlines()
            lines = list(csv.DictReader(text, delimiter="\t"))
            assert [line["gene_id"] for line in lines] == list(genes.gene_id)
            probability = np.array([line["probability"] for line in lines], dtype=np.float32)
            for name, chosen in (sets | {"common": tested & kept_out}).items():
                expected = binary_metrics(genes.label[chosen], probability[chosen])
                # E085 has the first genes only.
                known = chosen[: len(source)]
                equal = (source.label == genes.label[: len(source)])[known].mean()
                assert told(model, method, target, name) == (expected, equal)
                differs = chosen.copy()
                differs[: len(source)] &= source.label != genes.label[: len(source)]
                differs[len(source) :] = False
                of_differing = [row for row in rows if row.subset == "differs"]
                if len(set(genes.label[differs])) == 2:
                    expected = binary_metrics(genes.label[differs], probability[differs])
                    assert told(model, method, target, name, "differs") == (expected, 0)
                    scored.append(name)
                else:
                    assert (target, name) not in {
                        (row.target, row.test_set) for row in of_differing if row.method == method
                    }
        # The lookup: ranks of expression, those that the source lacks in the middle.
        ranks = np.full(len(genes), 0.5)
        order = np.argsort(np.argsort(source.expression))
        ranks[: len(source)] = (order + 0.5) / len(source)
        for name, chosen in (("own", kept_out), ("common", tested & kept_out)):
            found, _ = told("source expression", "lookup", target, name)
            expected = binary_metrics(genes.label[chosen], ranks[chosen])
            assert found.genes == chosen.sum()
            assert found.auroc == pytest.approx(expected.auroc)
            assert found.accuracy == expected.accuracy
    assert scored


def test_runs_are_ordinary_and_their_command_makes_them_again(
    crossed: Path, inside: Cli, tmp_path: Path
) -> None:
    run = crossed / "runs/convchrome.cnn1d/cross/E085--E003/seed-0"
    scored = inside("evaluate", run, "--json", "--bootstrap", 0)
    assert scored.returncode == 0, scored.stderr
    for folder in (run, crossed / "runs/logistic/origin/E116/seed-0"):
        command = json.loads((folder / "config.json").read_text())["provenance"]["command"]
        assert command[0] == "chromemodel"
        assert command[command.index("-o") + 1] == str(folder)
        again = tmp_path / folder.parent.name
        command[command.index("-o") + 1] = str(again)
        done = inside(*command[1:])
        assert done.returncode == 0, done.stderr
        for name in ("weights.safetensors", "predictions.tsv"):
            assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_cross_from_the_command_line_keeps_what_is_finished(
    crossed: Path, cells: Path, inside: Cli
) -> None:
    before = stamps(crossed)
    asked = [
        "benchmark", "cross", cells / "E003.h5", cells / "E116.h5", "-o", crossed, *QUICK, *CNN,
        *LOGISTIC, "-p", 2,
    ]  # fmt: skip
    done = inside(*asked, "--source", cells / "E085.h5")
    assert done.returncode == 0, done.stderr
    assert "8 runs, 8 of them finished earlier and kept" in done.stderr
    assert "10 of 160 genes have no expression in E085" in done.stderr
    assert "convchrome.cnn1d" in done.stdout
    assert stamps(crossed) == before
    # A run of which a file was damaged later is made again.
    rows = without_seconds(crossed / "results.csv")
    damaged = crossed / "runs/logistic/origin/E116/seed-0/predictions.tsv"
    damaged.write_text("cut")
    told = inside(*asked, cells / "E085.h5", "--source", "E085", "--json")
    assert "columns are cut\n  it is run again" in told.stderr
    assert json.loads(told.stdout)["kept"] == 7
    assert without_seconds(crossed / "results.csv") == rows


def test_a_run_counts_as_finished_if_it_is_whole_and_as_asked(
    crossed: Path, tmp_path: Path
) -> None:
    shutil.copytree(crossed, tmp_path / "b")
    folder = Folder(tmp_path / "b")
    spec = folder.read_spec()
    assert spec is not None
    cross = plan_jobs(spec)[1]
    assert cross.method == "cross"
    assert folder.finished(cross) is not None
    moved = replace(cross, target=replace(cross.target, path="/elsewhere.h5"))
    assert folder.finished(moved) is not None
    for change in (
        {"training": replace(cross.training, epochs=2)},
        {"target": replace(cross.target, digest="")},
        {"normalise": "training"},
    ):
        assert folder.finished(replace(cross, **change)) is None
    run = folder.run(cross)
    for change in (
        lambda: (run / "source_only/weights.safetensors").unlink(),
        lambda: folder.record(cross).unlink(),
        lambda: folder.record(cross).write_text("{"),
        lambda: edit(run / "config.json", '"lr": 0.005', '"lr": 0.05'),
        lambda: edit(run / "config.json", '"transform": "none"', '"transform": "arcsinh"'),
        lambda: edit(run / "config.json", '"seed": 0', '"seed": 1'),
        lambda: edit(run / "config.json", '"name": "dann"', '"name": "mmd"'),
    ):
        shutil.rmtree(tmp_path / "b")
        shutil.copytree(crossed, tmp_path / "b")
        assert folder.finished(cross) is not None
        change()
        assert folder.finished(cross) is None


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_it_is_extended_fails_in_parts_and_is_the_same_with_one_process_and_two(
    cells: Path, inside: Cli, tmp_path: Path
) -> None:
    files = [cells / "E003.h5", cells / "E116.h5"]
    deepchrome = ("--model", "deepchrome")  # it needs more bins
    two = inside(
        "benchmark", "within", *files, "-o", "two", *QUICK, *CNN, *LOGISTIC, *deepchrome, "-p", 2
    )
    assert two.returncode == 1
    assert "6 runs; 2 at a time" in two.stderr
    assert "\r" not in two.stderr
    assert two.stderr.count(": done (") == 4
    assert two.stderr.count("FAILED") == 2
    assert "2 runs failed" in two.stderr
    assert "deepchrome/within/E003/seed-0: " in two.stderr
    log = tmp_path / "two/runs/deepchrome/within/E003/seed-0.log"
    assert f"log: {log.relative_to(tmp_path)}" in two.stderr
    assert "deepchrome needs 14 bins" in log.read_text()
    before = stamps(tmp_path / "two")
    assert len(before) == 4
    # One more seed and one more model; cell types and models of before need not be named again.
    more = inside(
        "benchmark", "within", files[0], "-o", "two", *QUICK[:2], "--seeds", 2, "--device", "cpu",
        "--model", "logistic.summed", "-p", 1, "--json",
    )  # fmt: skip
    assert more.returncode == 1
    told = json.loads(more.stdout)
    assert (told["kept"], told["run"]) == (4, 8)
    assert [one["model"] for one in told["failed"]] == ["deepchrome"] * 4
    after = stamps(tmp_path / "two")
    assert len(after) == 12
    assert before.items() <= after.items()

    one = inside(
        "benchmark", "within", *files, "-o", "one", *QUICK[:2], "--seeds", 2, "--device", "cpu",
        *CNN, *LOGISTIC, "--model", "logistic.summed", "-p", 1,
    )  # fmt: skip
    assert one.returncode == 0, one.stderr
    rows = without_seconds(tmp_path / "one/results.csv")
    assert rows == without_seconds(tmp_path / "two/results.csv")
    assert all(row.seconds > 0 for row in read_rows(tmp_path / "one/results.csv"))

    text = (tmp_path / "two/benchmark.json").read_text()
    asked = ["benchmark", "within", *files, "-o", "two", *QUICK, *CNN]
    wrong = inside(*asked, "--split", "chromosome", "--lr", 0.1)
    assert wrong.returncode == 1
    assert "split was thirds, now it is chromosome" in wrong.stderr
    assert "lr was of the recipe, now it is 0.1" in wrong.stderr
    assert "--force" in wrong.stderr
    write_bins(tmp_path / "other.h5", replace_cell(read_bins(cells / "E085.h5"), "E003"))
    wrong = inside("benchmark", "within", tmp_path / "other.h5", "-o", "two", *QUICK, *CNN)
    assert wrong.returncode == 1
    assert "the file of cell type E003 has other content" in wrong.stderr
    assert (tmp_path / "two/benchmark.json").read_text() == text
    assert stamps(tmp_path / "two") == after

    (tmp_path / "two/runs/mine.txt").write_text("keep")
    anew = inside(*asked[:-2], *LOGISTIC, "--split", "chromosome", "--force", "-p", 1)
    assert anew.returncode == 0, anew.stderr
    assert len(stamps(tmp_path / "two")) == 2
    assert sorted(path.name for path in (tmp_path / "two/runs").iterdir()) == [
        "logistic", "mine.txt",
    ]  # fmt: skip
    assert (tmp_path / "two/runs/mine.txt").read_text() == "keep"
    assert {row.split for row in read_rows(tmp_path / "two/results.csv")} == {"chromosome"}


def test_runs_of_a_model_train_together_where_that_is_quicker(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does, on the CPU; the network goes together, the regression in a worker."""
    found = tuple(check_files(read_inputs([cells / "E003.h5", cells / "E116.h5"])))
    spec = BenchmarkSpec(
        "within", ("convchrome.cnn1d", "logistic"), found, (0,), device="cpu:0", max_epochs=2
    )
    quicker, told = together.quicker_together, []
    monkeypatch.setattr(together, "quicker_together", lambda device: device.type == "cpu")
    done = run_benchmark(
        spec, tmp_path / "b",
        listener=lambda event: told.append(event) if len(event) == 3 else None,
    )  # fmt: skip
    assert (done.run, done.failures) == (4, [])
    here = {job.model for job, _, process in told if process == os.getpid()}
    assert here == {"convchrome.cnn1d"}
    assert run_benchmark(spec, tmp_path / "b").kept == 4
    monkeypatch.setattr(together, "quicker_together", quicker)
    apart = run_benchmark(spec, tmp_path / "c")
    for row, other in zip(done.rows, apart.rows, strict=True):
        assert row.metric == other.metric
        if row.metric == "auroc":
            assert row.value == pytest.approx(other.value, abs=0.01)


def test_a_run_that_cannot_begin_fails_and_the_others_train(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "quicker_together", lambda device: True)
    found = tuple(check_files(read_inputs([cells / "E003.h5", cells / "E116.h5"])))
    spec = BenchmarkSpec("within", ("convchrome.cnn1d",), found, (0,), max_epochs=1)
    groups, rest = together.grouped(plan_jobs(spec))
    ((first, second),) = groups
    first = replace(first, source=replace(first.source, path=str(tmp_path / "gone.h5")))
    folder, told = Folder(tmp_path / "b"), []
    together.run_together(folder, [first, second], lambda *event: told.append(event))
    ends = {job.key: event for job, event, _ in told if event.kind in ("done", "failed")}
    assert "gone.h5" in ends[first.key].message
    assert ends[second.key].kind == "done"
    assert folder.finished(second) is not None
    assert not rest


def replace_cell(data: ChromeBins, name: str) -> ChromeBins:
    return replace(data, attributes=replace(data.attributes, cell_type=name))


def test_positions_and_architecture_are_of_the_nine(
    cells: Path, inside: Cli, tmp_path: Path
) -> None:
    files = [cells / f"{name}.h5" for name in CELLS]
    done = inside("benchmark", "positions", *files, "-o", "p", *QUICK, "-p", 1)
    assert done.returncode == 0, done.stderr
    assert "1 of the paper's nine cell types are there and run (E116)" in done.stderr
    rows = [row for row in read_rows(tmp_path / "p/results.csv") if row.metric == "auroc"]
    assert [(row.model, row.target) for row in rows] == [
        ("transferchrome", "E116"), ("transferchrome.alpha", "E116"),
        ("transferchrome.beta", "E116"),
    ]  # fmt: skip
    done = inside("benchmark", "architecture", files[0], "-o", "a", *QUICK, "-p", 1, "--tune")
    assert done.returncode == 0, done.stderr
    assert "none of the paper's nine cell types is there; all given ones run" in done.stderr
    models = [row.model for row in read_rows(tmp_path / "a/results.csv") if row.metric == "f1"]
    assert models == ["transferchrome", *(f"transferchrome.v{n}" for n in (1, 2, 3))]
    tried = list(csv.DictReader((tmp_path / "a/tuning.csv").read_text().splitlines()))
    assert len(tried) == 4 * 5
    for model in models:
        chosen = [one for one in tried if one["model"] == model and one["chosen"] == "yes"]
        config = tmp_path / f"a/runs/{model}/within/E003/seed-0/config.json"
        training = json.loads(config.read_text())["training"]
        assert [float(one["lr"]) for one in chosen] == [training["lr"]]
        assert [int(one["batch_size"]) for one in chosen] == [training["batch_size"]]


def slow_spec(cells: Path, epochs: int) -> BenchmarkSpec:
    """One model that takes a second or more, one that does not; two cell types."""
    found = check_files(read_inputs([cells / "E003.h5", cells / "E116.h5"]))
    overrides: dict[str, float | int | str | None] = {
        "epochs": epochs, "patience": epochs, "batch_size": 4, "optimizer": "adam", "lr": 1e-5,
    }  # fmt: skip
    return BenchmarkSpec(
        "within", ("convchrome.cnn1d", "logistic"), tuple(found), (0,), overrides=overrides
    )


def test_a_killed_worker_fails_its_own_run_and_is_replaced(cells: Path, tmp_path: Path) -> None:
    killed: list[str] = []

    def listener(told: Plan | tuple[Job, Event, int]) -> None:
        if len(told) == 2:
            return
        job, event, worker = told
        if event.kind == "epoch" and not killed:
            killed.append(job.key)
            os.kill(worker, signal.SIGKILL)

    done = run_benchmark(slow_spec(cells, 5), tmp_path / "b", processes=1, listener=listener)
    assert [failure.key for failure in done.failures] == killed
    assert done.failures[0].message.startswith("killed by signal 9 (SIGKILL)")
    finished = {(row.model, row.target) for row in done.rows}
    assert len(finished) == 3


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_interrupted_it_leaves_no_process_and_goes_on(
    cells: Path, script: Path, inside: Cli, tmp_path: Path
) -> None:
    command = [
        "benchmark", "within", cells / "E003.h5", "-o", tmp_path / "b", *CNN, *LOGISTIC,
        "--seeds", "1", "--epochs", "4000", "--patience", "4000", "--batch-size", "4",
        "--optimizer", "adam", "--lr", "1e-5", "--device", "cpu", "-p", "2",
    ]  # fmt: skip
    running = subprocess.Popen([script, *command], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("1/2 logistic"):
            break
    workers = children(running.pid)
    assert workers
    running.send_signal(signal.SIGINT)
    rest = running.stderr.read()
    running.stderr.close()
    assert running.wait() == 130, rest
    assert "interrupted; 1 of 2 runs are finished and kept" in rest
    assert "The same command goes on from here" in rest
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not list((tmp_path / "b").rglob(".*.part*"))
    rows = read_rows(tmp_path / "b/results.csv")
    assert {row.model for row in rows} == {"logistic"}
    kept = stamps(tmp_path / "b")

    log = tmp_path / "b/runs/convchrome.cnn1d/within/E003/seed-0.log"
    log.unlink(missing_ok=True)
    before = children(os.getpid())
    end = threading.Thread(target=terminate_when, args=(log,))
    end.start()
    again = inside(*command)
    end.join()
    assert again.returncode == 143, again.stderr
    assert "2 runs, 1 of them finished earlier and kept" in again.stderr
    assert "interrupted; 1 of 2 runs" in again.stderr
    assert children(os.getpid()) == before
    assert stamps(tmp_path / "b") == kept

    command[command.index("4000")] = "1"
    done = inside(*command)
    assert done.returncode == 1
    assert "epochs was 4000, now it is 1" in done.stderr


def terminate_when(path: Path) -> None:
    """Send SIGTERM to this process once a file is there."""
    for _ in range(1200):
        if path.exists():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.05)
