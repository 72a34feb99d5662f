"""The parts of a benchmark: what is asked, of which files, in which folder, with which settings."""

from __future__ import annotations

import fcntl
import io
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from chromemodel.benchmark.folder import Candidate, Folder, Record, trained
from chromemodel.benchmark.inputs import check_files, choose_source, read_inputs, restrict
from chromemodel.benchmark.jobs import plan_jobs
from chromemodel.benchmark.merged import merged
from chromemodel.benchmark.pool import run_jobs
from chromemodel.benchmark.run import Plan
from chromemodel.benchmark.spec import BenchmarkSpec, CellType
from chromemodel.benchmark.tune import chosen, search, tune_job
from chromemodel.benchmark.worker import Event
from chromemodel.cli._benchmark import all_models
from chromemodel.cli._progress import Progress
from chromemodel.cli.benchmark import command
from chromemodel.config import Component, TrainConfig
from chromemodel.data.splits import split_genes
from chromemodel.models import MODELS
from chromemodel.serial import from_json, to_json
from chromemodel.train.loop import Epoch, Fit
from chromeprep.errors import (
    ChromeError,
    InputError,
    MismatchError,
    OutputError,
    RunError,
)
from chromeprep.format import ChromeBins, write_bins

MakeFile = Callable[..., Path]
CELLS = (CellType("A", "/x/a.h5", "1"), CellType("B", "/x/b.h5", "2"))
SPEC = BenchmarkSpec("within", ("logistic",), CELLS, (0,))


def usage(*arguments: object) -> str:
    done = CliRunner().invoke(command, [str(one) for one in arguments])
    assert done.exit_code == 2, done.output
    return done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["corss", "a.h5"], "'corss' is not one of"),
        (["within"], "Missing argument 'FILES_OR_SHEET...'"),
        (["within", "a.h5", "--source", "E085"], "--source is for cross, not for within"),
        (["positions", "a.h5", "--method", "dann"], "--method is for cross, not for positions"),
        (["within", "a.h5", "--target-fraction", 0.4], "--target-fraction is for cross"),
        (["architecture", "a.h5", "--validation-fraction", 0.4], "--validation-fraction is for"),
        (["cross", "a.h5"], "cross needs --source"),
        (["cross", "a.h5", "--source", "A", "--method", "dan"], "did you mean 'dann'"),
        (["cross", "a.h5", "--source=A", "--tune", "--validation-fraction=0"], "--tune needs"),
        (["within", "a.h5", "--model", "deepcrome"], "did you mean 'deepchrome'"),
        (["within", "a.h5", "--seeds", 0], "--seeds"),
        (["within", "a.h5", "--momentum", "nan"], "--momentum is nan"),
    ],
)
def test_usage_errors(arguments: list[object], message: str) -> None:
    assert message in usage(*arguments, "-o", "b")


def test_no_stdout() -> None:
    assert "cannot go to stdout" in usage("within", "a.h5", "-o", "-")


def test_all_models_are_each_there_once() -> None:
    names = all_models()
    assert "attentivechrome" in names
    assert "attentivechrome.lstm_alpha_beta" not in names
    assert set(names) | {"attentivechrome.lstm_alpha_beta"} == set(MODELS.names("classification"))


def test_files_and_sheets_name_cell_types(make_file: MakeFile, tmp_path: Path) -> None:
    one = make_file("one.h5", cell_type="A")
    make_file("two.h5", cell_type="A")
    sheet = tmp_path / "sheet.tsv"
    sheet.write_text("# comment\ncell_type\tnote\tpath\nB\tx\ttwo.h5\n\nC\ty\t" + str(one) + "\n")
    found = read_inputs([one, sheet])
    assert [(cell.name, Path(cell.path).name) for cell in found] == [
        ("A", "one.h5"), ("B", "two.h5"), ("C", "one.h5"),
    ]  # fmt: skip
    assert restrict(found, ["C", "A"]) == [found[0], found[2]]
    with pytest.raises(InputError, match="--cell-type: no cell type 'D'"):
        restrict(found, ["D"])
    with pytest.raises(InputError, match=r"two\.h5: is of cell type 'A', as is .*one\.h5"):
        read_inputs([one, tmp_path / "two.h5"])


def test_every_wrong_row_is_told_at_once(make_file: MakeFile, tmp_path: Path) -> None:
    make_file("one.h5")
    (tmp_path / "text.h5").write_text("x")
    sheet = tmp_path / "sheet"
    sheet.write_text("cell_type\tpath\nA\tone.h5\nA\tone.h5\n\tone.h5\nB\tgone.h5\nC\ttext.h5\nD\n")
    with pytest.raises(InputError) as error:
        read_inputs([sheet, tmp_path / "none.h5"])
    text = str(error.value)
    assert "none.h5: no such file" in text
    for words in (
        "5 things are wrong", "line 3: cell type 'A' is in line 2 already",
        "line 4: cell_type is empty", "line 5: no such file", "line 6: is not an HDF5 file",
        "line 7: path is empty",
    ):  # fmt: skip
        assert words in text
    for content, words in (
        ("name\tpath\n", "has no column cell_type;"), ("", "no column cell_type and none path"),
        ("cell_type\tpath\n", "no rows"),
    ):  # fmt: skip
        sheet.write_text(content)
        with pytest.raises(InputError, match=words):
            read_inputs([sheet])
    sheet.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="neither an HDF5 file nor a table"):
        read_inputs([sheet])


def test_the_source_is_a_name_or_a_file(make_file: MakeFile) -> None:
    a, b, c = (make_file(f"{name}.h5", cell_type=name) for name in "ABC")
    found = read_inputs([a, b])
    assert choose_source("B", found) == ("B", found)
    assert choose_source(str(b), found) == ("B", found)
    name, more = choose_source(str(c), found)
    assert (name, [cell.name for cell in more]) == ("C", ["C", "A", "B"])
    with pytest.raises(InputError, match="which is no file and none of the cell types"):
        choose_source("D", found)
    other = make_file("other.h5", cell_type="A", seed=5)
    with pytest.raises(InputError, match="is of cell type 'A', as is"):
        choose_source(str(other), found)


def test_all_files_are_checked(make_file: MakeFile) -> None:
    paths = [
        make_file("a.h5", cell_type="A"), make_file("b.h5", cell_type="B", labels=False),
        make_file("c.h5", cell_type="C", marks=("H3K4me3", "H3K9me3")),
        make_file("d.h5", cell_type="D", n_bins=10),
    ]  # fmt: skip
    found = read_inputs(paths)
    with pytest.raises(InputError, match=r"b\.h5: no gene has a label"):
        check_files(found)
    checked = check_files([found[0], *found[2:]])
    assert [cell.name for cell in checked] == ["A", "C", "D"]
    assert len({cell.digest for cell in checked}) == 3
    with pytest.raises(InputError) as error:
        check_files(found, source="A")
    text = str(error.value)
    assert "3 things are wrong" in text
    assert "c.h5: lacks H3K27me3, H3K36me3 and has H3K9me3" in text
    assert "d.h5: bin size" not in text
    assert "flank is 500 bp, expected 400 bp" in text
    with pytest.raises(InputError, match="no mark 'H3K9me3'"):
        check_files(found[:1], marks=["H3K9me3"])
    with pytest.raises(InputError, match="genes/split"):
        check_files(found[:1], split="published")


def test_a_spec_may_be_extended_not_contradicted() -> None:
    more = replace(SPEC, models=("deepchrome",), cell_types=(CellType("C", "c", "3"),), seeds=(1,))
    both = merged(Path("b"), SPEC, more)
    assert both.models == ("logistic", "deepchrome")
    assert [cell.name for cell in both.cell_types] == ["A", "B", "C"]
    assert both.seeds == (0, 1)
    moved = replace(SPEC, cell_types=(CellType("A", "/y/a.h5", "1"),))
    assert merged(Path("b"), SPEC, moved).cell_types[0].path == "/y/a.h5"
    changes: list[tuple[dict[str, Any], str]] = [
        ({"protocol": "positions"}, "protocol was within, now it is positions"),
        ({"marks": ("x",)}, "marks was all of the file, now it is x"),
        ({"max_epochs": 3}, "max_epochs was not given, now it is 3"),
        ({"overrides": {"lr": 0.5}}, "lr was of the recipe, now it is 0.5"),
        ({"tune": True}, "tune was False, now it is True"),
        ({"transform": "log1p"}, "transform was none, now it is log1p"),
        ({"cell_types": (CellType("A", "q", "9"),)}, "A has other content"),
    ]
    for change, words in changes:
        with pytest.raises(MismatchError, match=words):
            merged(Path("b"), SPEC, replace(SPEC, **change))


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    with Folder(tmp_path / "new/b").opened():
        pass
    assert not (tmp_path / "new/b").exists()
    folder = Folder(tmp_path / "b")
    (tmp_path / "b").mkdir()
    with folder.opened():
        assert folder.read_spec() is None
        folder.write_spec(SPEC)
        assert folder.read_spec() == SPEC
        # A lock of another process: one that was opened apart counts as such.
        with (
            pytest.raises(OutputError, match="another `chromemodel benchmark` is at work"),
            folder.opened(),
        ):
            pass
    (tmp_path / "b/benchmark.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        folder.read_spec()
    (tmp_path / "b/benchmark.json").rename(tmp_path / "b/x")
    with pytest.raises(OutputError, match="not one of `chromemodel benchmark`"), folder.opened():
        pass
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["x"]
    with pytest.raises(OutputError, match="is a file"), Folder(tmp_path / "b/x").opened():
        pass
    handle = os.open(tmp_path / "b", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free again
    os.close(handle)


def test_jobs_survive_json_and_have_folders_of_their_own() -> None:
    cells = (*CELLS, CellType("C/../D", "c"), CellType("..", "d"))
    spec = replace(
        SPEC, protocol="cross", source="A", models=("deepchrome", "logistic"), cell_types=cells
    )
    jobs = plan_jobs(spec)
    assert [from_json(type(job), to_json(job)) for job in jobs] == jobs
    keys = [job.key for job in jobs]
    assert len(set(keys)) == len(keys) == 12
    assert all(len(Path(key).parts) == 4 and ".." not in Path(key).parts for key in keys)
    assert {job.training.threads for job in jobs} == {1}
    spec = replace(spec, max_epochs=7, overrides={"lr": 0.5})
    deep, flat = (next(j for j in plan_jobs(spec) if j.model == m) for m in spec.models)
    assert (deep.training.epochs, deep.training.lr) == (7, 0.5)
    assert flat.training.lr == TrainConfig().lr
    assert all(
        job.adaptation == "source_only" for job in plan_jobs(replace(spec, method="source_only"))
    )


def test_a_worker_that_cannot_start_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ChromeError, match="could not start: its process ended with exit code"):
        run_jobs(tmp_path, plan_jobs(SPEC), 2, lambda job, event, worker: None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_estimates_by_model() -> None:
    now = [0.0]
    spec = replace(SPEC, models=("transferchrome", "logistic"), seeds=(0, 1, 2))
    jobs = plan_jobs(spec)
    stream = Terminal()
    progress = Progress(2, stream, lambda: now[0])
    deep = [job for job in jobs if job.model == "transferchrome"]
    flat = [job for job in jobs if job.model == "logistic"]
    progress(Plan(jobs[1:], [(deep[0], 100.0)]))
    # Five of 100 s are left, and six of another model, by its cost next to nothing.
    assert progress.seconds_left() == pytest.approx(250, rel=0.01)
    progress((deep[1], Event("ready"), 1))
    progress((flat[0], Event("ready"), 2))
    now[0] = 40.0
    progress((deep[1], Event("epoch", 5, 200), 1))
    progress((flat[0], Event("done"), 2))
    assert progress.seconds_left() == pytest.approx((4 * 100 + 60 + 5 * 40) / 2)
    progress((flat[1], Event("ready"), 2))
    progress((flat[1], Event("failed", message="no luck"), 2))
    progress.close()
    text = stream.getvalue()
    assert "12 runs, 1 of them finished earlier and kept; 2 at a time" in text
    assert "transferchrome within A seed 1, epoch 5/200" in text
    assert "FAILED: no luck" in text
    assert all(len(line) < 200 for line in text.split("\r"))


def fake_fit(auroc: Callable[[TrainConfig, Component], float]) -> Callable[..., Fit]:
    def fit(training: TrainConfig, way: Component, words: str) -> Fit:
        value = auroc(training, way)
        if np.isnan(value):
            raise ChromeError("diverged")
        return Fit((Epoch(1, 0.5, 0.5, value),), 1, False)

    return fit


def test_search_changes_one_setting_after_another() -> None:
    start = TrainConfig(lr=0.3, batch_size=32)

    def auroc(training: TrainConfig, way: Component) -> float:
        if training.lr > 0.5:
            return float("nan")
        best = 0.9 - abs(training.lr - 0.1) - abs(training.batch_size - 64) / 1000
        return best - 0.5 + way.options["domain_weight"] / 10 if way.options else best

    tried = list(search(start, "dann", ["domain_weight"], fake_fit(auroc)))
    assert [
        (one.changed, round(one.training.lr, 3), one.training.batch_size, one.weight)
        for one in tried
    ] == [
        ("nothing", 0.3, 32, None), ("lr", 0.1, 32, None), ("lr", 0.9, 32, None),
        ("batch_size", 0.1, 16, None), ("batch_size", 0.1, 64, None),
        ("domain_weight", 0.1, 64, 0.1), ("domain_weight", 0.1, 64, 0.3),
        ("domain_weight", 0.1, 64, 1.0),
    ]  # fmt: skip
    assert chosen(tried) is tried[-1]
    assert len(list(search(start, "source_only", [], fake_fit(auroc)))) == 5
    tiny = replace(start, batch_size=1)
    sizes = [one.training.batch_size for one in search(tiny, "", [], fake_fit(auroc))]
    assert sizes == [1, 1, 1, 2]
    with pytest.raises(ChromeError, match="diverged with all settings"):
        list(search(start, "", [], fake_fit(lambda training, way: float("nan"))))


def test_the_settings_that_tuning_chose_are_trained() -> None:
    spec = replace(SPEC, protocol="cross", source="A", models=("deepchrome",), tune=True)
    job = plan_jobs(spec)[1]
    one = Candidate("mmd_weight", 0.1, 16, 0.3, 0.9, True)
    now = trained(Record(1.0, job, (Candidate("lr", 9.0, 9, None, None), one)))
    assert (now.training.lr, now.training.batch_size) == (0.1, 16)
    assert now.method_options == {"mmd_weight": 0.3}
    assert trained(Record(1.0, job)) == job


@pytest.mark.parametrize("protocol", ["within", "cross"])
def test_tuning_sees_no_label_of_a_test_gene(
    protocol: Any, make_bins: Callable[..., ChromeBins], tmp_path: Path
) -> None:
    cells = tuple(CellType(name, str(tmp_path / f"{name}.h5")) for name in "AB")
    spec = BenchmarkSpec(
        protocol, ("convchrome.cnn1d",), cells, (0,), source="A", max_epochs=1, tune=True,
        validation_fraction=0.4,
    )  # fmt: skip
    job = next(job for job in plan_jobs(spec) if job.method in ("within", "cross"))

    def candidates(flipped: str) -> tuple[Candidate, ...]:
        for seed, cell in enumerate(cells):
            data = make_bins(n_genes=90, n_bins=12, seed=seed, noise=3.0, cell_type=cell.name)
            label = data.genes.label.copy()
            if cell.name == "A" and protocol == "within" and flipped:
                rows = split_genes(data.genes, job.split) == flipped
                label[rows] = 1 - label[rows]
            elif cell.name == "B" and flipped == "test":
                label = 1 - label  # of the adapting half too
            elif cell.name == "A" and flipped == "validation":
                label = 1 - label
            write_bins(cell.path, replace(data, genes=replace(data.genes, label=label)))
        return tune_job(job, lambda phase, row: None, tmp_path / "run")

    first = candidates("")
    assert first == candidates("test")
    assert first != candidates("validation")
    assert sum(one.chosen for one in first) == 1
    assert len(first) == (8 if protocol == "cross" else 5)
    assert len({one.validation_auroc for one in first}) > 1
