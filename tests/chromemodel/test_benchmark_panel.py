"""A benchmark with a panel: are its numbers those of single runs, and can no answer leak in?"""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromemodel.adapt.protocol import adapt_model
from chromemodel.benchmark import together
from chromemodel.benchmark.folder import Folder
from chromemodel.benchmark.inputs import check_files, read_inputs
from chromemodel.benchmark.jobs import Job, plan_jobs
from chromemodel.benchmark.merged import merged
from chromemodel.benchmark.panels import check_panel
from chromemodel.benchmark.predicted import read_predictions
from chromemodel.benchmark.rows import Row, read_rows
from chromemodel.benchmark.run import run_benchmark
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.worker import perform
from chromemodel.config import PanelChoice, Split
from chromemodel.data.splits import split_genes
from chromemodel.evaluate.metrics import binary_metrics
from chromemodel.evaluate.runs import Evaluation, evaluate_run
from chromemodel.evaluate.subsets import variable_in
from chromemodel.models import MODELS
from chromemodel.train.checkpoint import read_config
from chromemodel.train.single import train_model
from chromeprep.errors import FormatError, InputError, MismatchError
from chromeprep.format import ChromeBins, Panel, read_bins, read_panel, write_bins, write_panel

Cli = Callable[..., subprocess.CompletedProcess[str]]
MakeBins = Callable[..., ChromeBins]
GENES = 400
OTHERS = tuple("PQRSTU")
SUBSETS = {
    "": "all",
    ", variable in the panel": "variable",
    ", label differs from the source": "differs",
}
LOOKUPS = {
    "panel mean (no model)": "panel mean",
    "source expression (no model)": "source expression",
}


def made_panel(seed: int = 5) -> Panel:
    """Source A, its near duplicate A2, target B, and others that say something of both."""
    shared = np.random.default_rng(99).normal(size=GENES)
    rng = np.random.default_rng(seed)
    own = {name: shared + 0.3 * rng.normal(size=GENES) for name in "AB"}
    own["A2"] = own["A"] + 0.01 * rng.normal(size=GENES)
    own |= {name: 0.5 * shared + 0.5 * rng.normal(size=GENES) for name in OTHERS}
    ids = [f"ENSG{index:011d}" for index in range(GENES)]
    return Panel.build(ids, list(own), np.exp(np.column_stack(list(own.values()))))


@pytest.fixture(scope="module")
def world(make_bins: MakeBins, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cell types A and B, and the panel."""
    folder = tmp_path_factory.mktemp("world")
    for seed, name in enumerate("AB"):
        data = make_bins(n_genes=GENES, n_bins=12, noise=4.0, seed=seed, cell_type=name)
        write_bins(folder / f"{name}.h5", data)
    write_panel(folder / "panel.h5", made_panel())
    return folder


def spec_of(world: Path, *models: str, **more: Any) -> BenchmarkSpec:
    source = more.get("source")
    found = check_files(read_inputs([world / "A.h5", world / "B.h5"]), source=source)
    panel = check_panel(PanelChoice(str(world / "panel.h5")), found, source)
    more = {"protocol": "within", "seeds": (0,), "max_epochs": 1} | more
    return BenchmarkSpec(models=models, cell_types=tuple(found), panel=panel, **more)


@pytest.fixture(scope="module")
def within(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("within") / "b"
    done = run_benchmark(spec_of(world, "logistic", "logistic.summed"), out)
    assert (done.run, done.failures) == (4, [])
    return out


@pytest.fixture(scope="module")
def crossed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("crossed") / "b"
    models = ("convchrome.cnn1d", "logistic")
    spec = spec_of(
        world, *models, protocol="cross", source="A", validation_fraction=0.3, method="mmd"
    )
    done = run_benchmark(spec, out)
    assert (done.run, done.failures) == (4, [])
    return out


def rows_of(folder: Path, target: str, method: str, test_set: str = "own") -> list[Row]:
    return [
        row
        for row in read_rows(folder / "results.csv")
        if (row.target, row.test_set) == (target, test_set) and row.method in (method, "lookup")
    ]


def compare(rows: list[Row], evaluation: Evaluation, part: str, names: dict[str, str]) -> None:
    """Hold rows against all scores that `evaluate` gives of a part and its subsets."""
    told = {}
    for score in evaluation.scores:
        subset = SUBSETS.get(score.part.removeprefix(part))
        if score.model in names and subset is not None:
            for name, value in score.metrics._asdict().items():
                told[names[score.model], subset, name] = value
    found = {(row.model, row.subset, row.metric): row.value for row in rows}
    found |= {(row.model, row.subset, "genes"): row.genes for row in rows}
    agreement = {key: found.pop(key) for key in list(found) if key[2] == "label_agreement"}
    assert found == told
    if evaluation.label_agreement is not None:
        for (_, subset, _), same in agreement.items():
            assert subset != "all" or same == evaluation.label_agreement


def test_within_gives_what_train_and_evaluate_give(
    world: Path, within: Path, tmp_path: Path
) -> None:
    choice = PanelChoice(str(world / "panel.h5"))
    for model in ("logistic", "logistic.summed"):
        for name in "AB":
            run = tmp_path / f"{model}-{name}"
            train_model(
                world / f"{name}.h5", run, model=model, panel=choice, split=Split(seed=0),
                training=replace(MODELS.entry(model).recipe, seed=0),
            )  # fmt: skip
            evaluation = evaluate_run(run)
            rows = rows_of(within, name, "within")
            rows = [row for row in rows if row.model.split(" + ")[0] in (model, "panel mean")]
            assert {row.subset for row in rows} == {"all", "variable"}
            names = {model: model, f"{model} + panel": f"{model} + panel"} | LOOKUPS
            compare(rows, evaluation, "test genes (unseen in training)", names)
            lines = (run / "predictions.tsv").read_text()
            made = within / f"runs/{model}/within/{name}/seed-0/predictions.tsv"
            assert made.read_text() == lines
            # The marks alone are those of a run without a panel.
            plain = tmp_path / f"plain-{model}-{name}"
            train_model(
                world / f"{name}.h5", plain, model=model, split=Split(seed=0),
                training=replace(MODELS.entry(model).recipe, seed=0),
            )  # fmt: skip
            alone = read_predictions(plain / "predictions.tsv")
            assert (alone.probability == read_predictions(made).probability).all()
            assert alone.both is None


def test_cross_gives_what_adapt_and_evaluate_give(
    world: Path, crossed: Path, tmp_path: Path
) -> None:
    choice = PanelChoice(str(world / "panel.h5"))
    split = Split(rule="adapt", seed=0, validation_fraction=0.3)
    for model, method in (("logistic", "source_only"), ("convchrome.cnn1d", "mmd")):
        recipe = MODELS.entry(model).recipe
        epochs = min(recipe.epochs, 1)
        run = tmp_path / model
        adapt_model(
            world / "A.h5", world / "B.h5", run, model=model, method=method, panel=choice,
            split=split, training=replace(recipe, seed=0, threads=1, epochs=epochs),
        )  # fmt: skip
        evaluation = evaluate_run(run)
        for name in dict.fromkeys(("source_only", method)):
            word = "uncross" if name == "source_only" else "cross"
            rows = rows_of(crossed, "B", word)
            rows = [row for row in rows if row.method == "lookup" or row.model.startswith(model)]
            assert {row.subset for row in rows} == {"all", "variable", "differs"}
            names = {name: model, f"{name} + panel": f"{model} + panel"} | LOOKUPS
            compare(rows, evaluation, split.test_words, names)


def test_common_genes_and_their_subsets_by_hand(world: Path, crossed: Path) -> None:
    runs = crossed / "runs/logistic"
    origin = read_predictions(runs / "origin/B/seed-0/predictions.tsv")
    other = read_predictions(runs / "uncross/A--B/seed-0/predictions.tsv")
    near, far = (read_bins(world / f"{name}.h5").genes for name in "AB")
    common = origin.test & other.test
    panel = read_panel(world / "panel.h5").without(["A", "A2", "B"])
    sets = {"all": common, "variable": common & variable_in(panel, far)}
    sets["differs"] = common & (near.label != far.label)
    rows = {
        (row.model, row.method, row.subset): row
        for method in ("origin", "uncross")
        for row in rows_of(crossed, "B", method, "common")
        if row.metric == "auroc"
    }
    assert other.both is not None
    assert origin.both is not None
    assert (other.both != other.probability).any()
    for subset, chosen in sets.items():
        for name, method, said in (
            ("logistic", "origin", origin.probability),
            ("logistic + panel", "origin", origin.both),
            ("logistic", "uncross", other.probability),
            ("logistic + panel", "uncross", other.both),
        ):
            row = rows[name, method, subset]
            assert row.value == binary_metrics(far.label[chosen], said[chosen]).auroc
            assert row.genes == chosen.sum()
        mean = panel.summary.mean_log1p  # the genes of file and panel are the same
        said = mean / mean.max()
        row = rows["panel mean", "lookup", subset]
        assert row.value == pytest.approx(binary_metrics(far.label[chosen], said[chosen]).auroc)


def test_each_run_leaves_out_its_own_cell_types_and_their_like(within: Path, crossed: Path) -> None:
    for folder, key, gone in (
        (within, "logistic/within/A", {"A", "A2"}),
        (within, "logistic/within/B", {"B"}),
        (crossed, "logistic/origin/B", {"B"}),
        (crossed, "logistic/uncross/A--B", {"A", "A2", "B"}),
        (crossed, "convchrome.cnn1d/cross/A--B", {"A", "A2", "B"}),
    ):
        for path in (folder / "runs" / key).rglob("config.json"):  # source_only too
            config = json.loads(path.read_text())
            assert set(config["panel"]["left_out"]) == gone
    text = (within / "README.md").read_text()
    assert "| A | A, A2 | 7 |" in text
    assert "| B | B | 8 |" in text
    assert "A, B, A2, P, Q, R, S, T, U" in text
    text = (crossed / "README.md").read_text()
    assert "| A to B | A, A2, B | 6 |" in text
    assert "names no" not in text


def test_tables_show_marks_panel_and_both(within: Path, crossed: Path) -> None:
    text = (within / "table.md").read_text()
    assert "| model | all genes | variable in the panel | genes: variable in the panel |" in text
    for name in ("logistic", "logistic + panel", "panel mean"):
        assert text.count(f"| {name} | ") == 2
    lines = (crossed / "table.tsv").read_text().splitlines()
    table = list(csv.DictReader(lines, delimiter="\t"))
    keys = [(row["model"], row["method"], row["test_set"], row["subset"]) for row in table]
    assert len(set(keys)) == len(keys) == 2 * 3 * (2 * 5 + 2)
    for row in table:
        both = row["model"].endswith(" + panel")
        first = "convchrome.cnn1d"
        if both:
            assert row["against"] == f"{row['model'].removesuffix(' + panel')}, {row['method']}"
        elif row["method"] == "lookup":
            assert row["against"] == f"{first}, cross"
        assert (row["label_agreement"] == "0.000000") == (row["subset"] == "differs")
    told = {(row["model"], row["method"]): row for row in table if row["subset"] == "all"}
    rows = rows_of(crossed, "B", "uncross", "common")
    value = next(
        row.value
        for row in rows
        if (row.model, row.metric, row.subset) == ("logistic + panel", "auroc", "all")
    )
    assert told["logistic + panel", "uncross"]["auroc_mean"] == f"{value:.6f}"
    md = (crossed / "by_cell_type.md").read_text()
    assert "| same label |" in md
    text = (crossed / "README.md").read_text()
    assert "Marks and panel together beat the marks alone: `convchrome.cnn1d + panel" in text
    assert "They beat the panel alone (`panel mean`): `" in text
    assert "Every run that was asked for is there." in text
    assert "The simple model `logistic, uncross` beats" in text


def test_labels_of_test_genes_change_no_prediction(world: Path, tmp_path: Path) -> None:
    """Nor does what the panel holds of the target."""

    def predictions(spec: BenchmarkSpec, out: Path) -> dict[str, list[list[str]]]:
        said = {}
        for job in plan_jobs(spec):
            perform(Folder(out), job, _Silent())
            lines = (Folder(out).run(job) / "predictions.tsv").read_text().splitlines()
            rows = list(csv.DictReader(lines, delimiter="\t"))
            names = ("probability", "marks_probability", "panel_probability", "uncertain")
            said[job.key] = [[row[name] for name in names] for row in rows]
        return said

    panel = made_panel()
    column = list(panel.cell_type).index("B")
    values = panel.expression.copy()
    values[:, column] = values[::-1, column]
    other = tmp_path / "other"
    other.mkdir()
    changed = Panel.build(panel.gene_id, panel.cell_type, values)
    assert not changed.relatives("B")
    for protocol, held in (("within", panel), ("cross", changed)):
        write_panel(other / "panel.h5", held)
        more = {"source": "A", "validation_fraction": 0.3} if protocol == "cross" else {}
        spec = spec_of(world, "logistic", protocol=protocol, **more)
        jobs = plan_jobs(spec)
        for name in "AB":
            data = read_bins(world / f"{name}.h5")
            label = data.genes.label.copy()
            if protocol == "within" or name == "B":
                flipped = split_genes(data.genes, jobs[0].split) == "test"
                label[flipped] = 1 - label[flipped]
            write_bins(other / f"{name}.h5", replace(data, genes=replace(data.genes, label=label)))
        first = predictions(spec, tmp_path / f"first-{protocol}")
        again = spec_of(other, "logistic", protocol=protocol, **more)
        assert predictions(again, tmp_path / f"again-{protocol}") == first


class _Silent:
    """A stream for what a worker says."""

    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


def stamps(folder: Path) -> dict[str, int]:
    found = sorted((folder / "runs").rglob("weights.safetensors"))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def test_it_goes_on_with_the_same_panel_only(
    world: Path, within: Path, inside: Cli, tmp_path: Path
) -> None:
    asked = [
        "benchmark", "within", world / "A.h5", "-o", within, "--seeds", 1, "--max-epochs", 1,
        "--model", "logistic", "--device", "cpu", "-p", 1,
    ]  # fmt: skip
    before = stamps(within)
    results = (within / "results.csv").read_text()
    text = (within / "benchmark.json").read_text()
    moved = tmp_path / "moved.h5"
    moved.write_bytes((world / "panel.h5").read_bytes())
    write_panel(tmp_path / "new.h5", made_panel(6))
    for more, words in (
        ([], f"the panel was {world / 'panel.h5'}, now it is not given"),
        (["--panel", tmp_path / "new.h5"], "the panel has other content ("),
        (["--panel", moved, "--panel-leave-out", "P"], "was nothing, now it is P"),
        (["--panel", moved, "--panel-keep-like"], "were left out, now they are kept"),
    ):
        wrong = inside(*asked, *more)
        assert wrong.returncode == 1
        assert words in wrong.stderr
        assert (within / "benchmark.json").read_text() == text
    done = inside(*asked, "--panel", moved)
    assert done.returncode == 0, done.stderr
    assert "4 runs, 4 of them finished earlier and kept" in done.stderr
    assert stamps(within) == before
    assert (within / "results.csv").read_text() == results
    # The command of a run makes it again.
    command = json.loads((within / "runs/logistic/within/A/seed-0/config.json").read_text())
    words = command["provenance"]["command"]
    assert words[words.index("--panel") + 1] == str(world / "panel.h5")
    # A run of another panel, and one without its fusion, is no such run.
    folder = Folder(within)
    spec = folder.read_spec()
    assert spec is not None
    job = plan_jobs(spec)[0]
    assert folder.finished(job) is not None
    assert folder.finished(replace(job, panel=None)) is None
    assert job.panel is not None
    assert folder.finished(replace(job, panel=replace(job.panel, digest="x"))) is None
    fusion = folder.run(job) / "fusion.json"
    fusion.rename(fusion.with_suffix(".away"))
    assert folder.finished(job) is None
    fusion.with_suffix(".away").rename(fusion)


def test_a_panel_may_not_change_between_runs(world: Path, within: Path, tmp_path: Path) -> None:
    spec = spec_of(world, "logistic")
    assert spec.panel is not None
    write_panel(tmp_path / "new.h5", made_panel(6))
    other = replace(spec, panel=replace(spec.panel, path=str(tmp_path / "new.h5")))
    with pytest.raises(MismatchError, match="has other content than when the benchmark began"):
        run_benchmark(other, within)
    assert merged(within, spec, other).panel == other.panel


def test_bad_panels_are_refused_before_anything_runs(
    world: Path, inside: Cli, tmp_path: Path
) -> None:
    asked = [
        "benchmark", "within", world / "A.h5", world / "B.h5", "-o", "b", "--model", "logistic",
    ]  # fmt: skip
    panel = made_panel()
    ids = [f"MOUSE{index}" for index in range(GENES)]
    write_panel(tmp_path / "mouse.h5", Panel.build(ids, panel.cell_type, panel.expression))
    write_panel(tmp_path / "few.h5", panel.without([*OTHERS[2:], "B"]))
    write_panel(tmp_path / "bare.h5", panel.without(OTHERS))
    for path, words in (
        ("mouse.h5", "knows 0 of the 400 labelled genes of"),
        ("few.h5", "2 of 4 cell types are left without A, A2; 3 are needed"),
        ("bare.h5", "2 things are wrong; nothing was run"),
        ("gone.h5", "gone.h5"),
        (world / "A.h5", "A.h5"),
    ):
        done = inside(*asked, "--panel", path)
        assert done.returncode == 1, done.stderr
        assert words in done.stderr
        assert not (tmp_path / "b").exists()
    done = inside(*asked, "--panel", world / "panel.h5", "--panel-leave-out", "Pp")
    assert done.returncode == 1
    assert "Pp" in done.stderr
    assert not (tmp_path / "b").exists()
    for more, words in (
        (["--panel-leave-out", "P"], "--panel-leave-out and --panel-keep-like need a --panel"),
        (["--panel-keep-like"], "need a --panel"),
    ):
        done = inside(*asked, *more)
        assert done.returncode == 2
        assert words in done.stderr
    asked[1] = "cross"
    done = inside(*asked, "--source", "A", "--panel", "x", "--validation-fraction", 0)
    assert done.returncode == 2
    assert "--panel needs validation genes" in done.stderr
    with pytest.raises(ValueError, match="panel needs validation genes"):
        spec_of(world, "logistic", protocol="cross", source="A", validation_fraction=0.0)


def test_duplicates_that_are_all_left_cannot_teach(world: Path, tmp_path: Path) -> None:
    panel = made_panel()
    rng = np.random.default_rng(0)
    same = panel.expression[:, :1] * np.exp(0.01 * rng.normal(size=(GENES, 3)))
    values = np.column_stack([panel.expression[:, :2], same])
    alike = Panel.build(panel.gene_id, ["A", "B", "X", "Y", "Z"], values)
    write_panel(tmp_path / "alike.h5", alike.without(["A"]))
    found = check_files(read_inputs([world / "B.h5"]))
    with pytest.raises(InputError, match="are all near duplicates"):
        check_panel(PanelChoice(str(tmp_path / "alike.h5"), relatives=False), found)
    with pytest.raises(FormatError, match="no such file"):
        check_panel(PanelChoice(str(tmp_path / "none.h5")), found)


def test_what_a_sheet_names_is_left_out_too(
    world: Path, make_bins: MakeBins, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs know what files say; a sheet that says better must not open the panel."""
    data = make_bins(n_genes=GENES, n_bins=12, noise=4.0, seed=1, cell_type="unknown")
    write_bins(tmp_path / "x.h5", data)
    (tmp_path / "sheet.tsv").write_text("cell_type\tpath\nB\tx.h5\n")
    found = check_files(read_inputs([world / "A.h5", tmp_path / "sheet.tsv"]), source="A")
    assert [one.file_says for one in found] == ["", "unknown"]
    panel = check_panel(PanelChoice(str(world / "panel.h5")), found, "A")
    assert "no cell type" not in caplog.text
    spec = BenchmarkSpec(
        "cross", ("logistic",), tuple(found), (0,), source="A", validation_fraction=0.3, panel=panel
    )
    out = tmp_path / "b"
    done = run_benchmark(spec, out)
    assert not done.failures
    config = json.loads((out / "runs/logistic/uncross/A--B/seed-0/config.json").read_text())
    assert config["target"]["cell_type"] == "unknown"
    assert "B" in config["panel"]["left_out"]
    assert "names no" not in (out / "README.md").read_text()


def test_a_cell_type_that_the_panel_does_not_name_is_said(
    world: Path, make_bins: MakeBins, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = make_bins(n_genes=GENES, n_bins=12, noise=4.0, seed=1, cell_type="new")
    write_bins(tmp_path / "new.h5", data)
    found = check_files(read_inputs([world / "A.h5", tmp_path / "new.h5"]), source="A")
    panel = check_panel(PanelChoice(str(world / "panel.h5")), found, "A")
    assert "has no cell type 'new', the target's" in caplog.text
    spec = BenchmarkSpec(
        "cross", ("logistic",), tuple(found), (0,), source="A", validation_fraction=0.3, panel=panel
    )
    run_benchmark(spec, tmp_path / "b")
    text = (tmp_path / "b/README.md").read_text()
    assert "**The panel names no `new`.**" in text
    assert "| A to new | A, A2 | 7 |" in text


def test_runs_that_train_together_have_the_panel_too(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "quicker_together", lambda device: True)
    spec = spec_of(world, "convchrome.cnn1d")
    (jobs,), _ = together.grouped(plan_jobs(spec))
    folder = Folder(tmp_path / "b")
    together.run_together(folder, jobs, lambda job, event, worker: None)
    assert all(folder.finished(job) is not None for job in jobs)
    done = run_benchmark(spec, tmp_path / "c")
    assert not done.failures
    for job in jobs:
        panels = [read_config(Folder(tmp_path / name).run(job)).panel for name in "bc"]
        assert panels[0] == panels[1] is not None


def test_jobs_have_the_panel_and_old_ones_none(world: Path) -> None:
    spec = spec_of(world, "logistic", protocol="cross", source="A", validation_fraction=0.3)
    jobs = plan_jobs(spec)
    assert all(isinstance(job, Job) and job.panel == spec.panel for job in jobs)
    without = plan_jobs(replace(spec, panel=None))
    assert [job.key for job in without] == [job.key for job in jobs]
    for job, plain in zip(jobs, without, strict=True):
        words = job.command(Path("/x"))
        more = ("--panel", str(world / "panel.h5"))
        assert tuple(word for word in words if word not in more) == plain.command(Path("/x"))
