"""Adaptation to new genes: no label of a test gene reaches the model, from source or target."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromemodel.adapt.held_out import check_held_out, draw_test_chromosomes
from chromemodel.adapt.protocol import Adapted, adapt_model
from chromemodel.benchmark.folder import Folder
from chromemodel.benchmark.inputs import check_files, read_inputs
from chromemodel.benchmark.jobs import plan_jobs
from chromemodel.benchmark.rows import read_rows
from chromemodel.benchmark.run import run_benchmark
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.tune import _prepared
from chromemodel.config import PanelChoice, Split, TrainConfig
from chromemodel.data.sources import merge_genes
from chromemodel.data.splits import draw_split, split_genes, split_source, split_target
from chromemodel.evaluate.compare import compare_runs
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.evaluate.select import select_run
from chromemodel.train.checkpoint import read_config
from chromemodel.train.loop import Epoch
from chromemodel.train.single import train_model
from chromeprep.errors import MismatchError
from chromeprep.format import ChromeBins, GeneTable, Panel, read_bins, write_bins, write_panel

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
NEW = Split("adapt-chromosome", test_chromosomes=("chr2", "chr5"))
TESTED = ["chr2", "chr5"]
MEASURED = ("label", "log1p_expression")  # columns of a file's own values


def table(ids: Sequence[str], chrom: Sequence[str]) -> GeneTable:
    count = len(ids)
    return GeneTable.build(list(ids), list(chrom), [0] * count, [9] * count, ["+"] * count)


def turned(data: ChromeBins) -> ChromeBins:
    """The same file with label and expression of all genes of the test chromosomes turned round."""
    genes, rows = data.genes, np.isin(data.genes.chrom, TESTED)
    label = np.where(rows, 1 - genes.label, genes.label).astype(np.int8)
    expression = np.where(rows, 5 / (0.1 + genes.expression), genes.expression)
    return replace(data, genes=replace(genes, label=label, expression=expression))


def with_expression(data: ChromeBins) -> ChromeBins:
    """The file with values as a table has them: none negative."""
    return replace(data, genes=replace(data.genes, expression=np.exp(data.genes.expression)))


def held(parts: Any) -> set[int]:
    return set(np.flatnonzero(parts == "test").tolist())


chromosomes = st.lists(st.sampled_from(["1", "chr2", "3", "chr4", "X", ""]), min_size=1)


@given(chromosomes, st.integers(0, 50))
def test_parts_of_source_and_target(chrom: list[str], seed: int) -> None:
    genes = table([f"g{row}" for row in range(len(chrom))], chrom)
    split = Split("adapt-chromosome", seed=seed, test_chromosomes=("chr1", "X"))
    if not any(chrom):
        with pytest.raises(MismatchError, match=r"none of the .* genes has a position"):
            split_target(genes, split)
        return
    source, target = split_source(genes, split), split_target(genes, split)
    wanted = {row for row, name in enumerate(chrom) if name in ("1", "X")}
    assert held(source) == held(target) == wanted
    lost = [row for row, name in enumerate(chrom) if not name]
    assert set(np.flatnonzero(source == "unplaced")) == set(lost)
    assert set(np.flatnonzero(target == "unplaced")) == set(lost)
    others = [row for row in range(len(chrom)) if row not in wanted and row not in lost]
    # Those that validate are those of the paper's protocol.
    assert (
        source[others].tolist() == split_source(genes, Split("adapt", seed=seed))[others].tolist()
    )
    assert set(target[others]) <= {"adapting"}


def test_chromosomes_are_drawn_as_train_draws_them(make_bins: MakeBins) -> None:
    genes = make_bins(120).genes
    for seed in range(5):
        drawn = draw_test_chromosomes(genes, Split("adapt-chromosome", seed=seed))
        alone = draw_split(genes, Split("chromosome", seed=seed))
        assert drawn.test_chromosomes == alone.test_chromosomes
        assert held(split_target(genes, drawn)) == held(split_genes(genes, alone))
        assert drawn.asked == Split("adapt-chromosome", seed=seed)


@pytest.mark.parametrize(
    ("named", "chrom", "message"),
    [
        (("chr8",), ["1", "2", "3"], r"^t\.h5: no gene on chromosome 'chr8'; there are 1, 2, 3"),
        (("1", "chr2"), ["1", "2"], r"^t\.h5: all genes are on the test chromosomes \(1, 2\)"),
        (
            (),
            ["1", "2", "2"],
            r"^t\.h5: genes are on 2 chromosomes; .* takes three\n.*--test-chrom",
        ),
        ((), ["", ""], r"^t\.h5: none of the 2 genes has a position"),
    ],
)
def test_chromosomes_that_cannot_be_held_out(
    named: tuple[str, ...], chrom: list[str], message: str
) -> None:
    genes = table([f"g{row}" for row in range(len(chrom))], chrom)
    with pytest.raises(MismatchError, match=message):
        draw_test_chromosomes(genes, Split("adapt-chromosome", test_chromosomes=named), "t.h5")


def test_a_gene_that_lies_elsewhere_in_another_file_is_refused() -> None:
    split = Split("adapt-chromosome", test_chromosomes=("2",))
    target = ("t.h5", table(["a", "b", "c"], ["1", "2", "2"]))
    moved = ("s.h5", table(["a", "ENSG00000000001.2", "c"], ["1", "2", "3"]))
    with pytest.raises(MismatchError, match=r"^s\.h5: 1 gene that would train here \(c, for one\)"):
        check_held_out(split, [moved], target)
    other = ("u.h5", table(["ENSG00000000001.7", "d"], ["1", "1"]))
    with pytest.raises(MismatchError, match=r"^u\.h5: 1 gene .*ENSG00000000001, for one"):
        check_held_out(split, [("s.h5", table(["ENSG00000000001.2", "a"], "21")), other], target)
    with pytest.raises(MismatchError, match=r"^s\.h5: all genes are on the test chromosomes"):
        check_held_out(split, [("s.h5", table(["b"], ["2"]))], target)
    # Where a source does not place a gene, it does not train.
    check_held_out(split, [("s.h5", table(["a", "b"], ["1", ""]))], target)


def test_merged_sources_keep_positions() -> None:
    merged = merge_genes([table("ab", ["", "2"]), table("abc", ["1", "2", "3"])])
    assert merged.chrom.tolist() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("task", "model", "method", "panel"),
    [
        ("classification", "transferchrome", "dann", False),
        ("classification", "transferchrome", "self_training", True),
        ("classification", "logistic", "source_only", False),
        ("regression", "transferchrome", "mmd", False),
    ],
)
@pytest.mark.parametrize("sources", [1, 2])
def test_no_label_of_a_test_gene_reaches_the_model(
    task: Any, model: str, method: str, panel: bool, sources: int,
    make_bins: MakeBins, tmp_path: Path, quick: TrainConfig,
) -> None:  # fmt: skip
    files = [
        with_expression(make_bins(120, seed=n, cell_type=name)) for n, name in enumerate("TAB")
    ]
    if panel:
        rng = np.random.default_rng(1)
        ids = [name.split(".")[0] for name in files[0].genes.gene_id]
        expression = files[0].genes.expression
        near = expression[:, None] * np.exp(rng.normal(size=(120, 8)))
        write_panel(tmp_path / "p.h5", Panel.build(ids, [*"TABPQRSU"], near))
    written: dict[str, Adapted] = {}
    for folder, change in (("as", lambda data: data), ("turned", turned)):
        (tmp_path / folder).mkdir()
        paths = [tmp_path / folder / f"{data.attributes.cell_type}.h5" for data in files]
        for path, data in zip(paths, files, strict=True):
            write_bins(path, change(data))
        written[folder] = adapt_model(
            paths[1 : 1 + sources], paths[0], tmp_path / folder / "run", task=task, model=model,
            method=method, options=SMALL if model == "transferchrome" else {}, split=NEW,
            training=quick, baseline=False, normalise="training",
            panel=PanelChoice(str(tmp_path / "p.h5")) if panel else None,
        )  # fmt: skip
    one, two = (tmp_path / folder / "run" for folder in written)
    for run in ("", "source_only") if method != "source_only" else ("",):
        names = ["weights.safetensors", "history.csv"] + ["fusion.json"] * panel
        for name in names:
            assert (one / run / name).read_bytes() == (two / run / name).read_bytes(), name
        # All but what the files themselves hold: label and expression.
        said = [predicted(folder / run / "predictions.tsv") for folder in (one, two)]
        assert said[0] == said[1]
    seen = written["as"].seen
    rows = np.isin(files[0].genes.chrom, TESTED)
    assert (seen.genes, seen.known, seen.adapting) == (rows.sum(), 0, 0)
    assert written["as"].protocol == "new-genes"


def predicted(path: Path) -> list[list[str]]:
    header, *lines = [line.split("\t") for line in path.read_text().splitlines()]
    kept = [index for index, name in enumerate(header) if name not in MEASURED]
    return [[line[index] for index in kept] for line in lines]


def test_the_paper_s_protocol_would_not_pass(
    make_bins: MakeBins, tmp_path: Path, quick: TrainConfig
) -> None:
    """The check above can fail."""
    weights = []
    for folder, change in (("as", lambda data: data), ("turned", turned)):
        (tmp_path / folder).mkdir()
        for seed, name in enumerate("TA"):
            path = tmp_path / folder / f"{name}.h5"
            write_bins(path, change(make_bins(120, seed=seed, cell_type=name)))
        done = adapt_model(
            tmp_path / folder / "A.h5", tmp_path / folder / "T.h5", tmp_path / folder / "run",
            model="logistic", method="source_only", training=quick, baseline=False,
        )  # fmt: skip
        assert done.protocol == "same-genes"
        weights.append((done.path / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1]


@pytest.fixture
def pair(make_file: MakeFile) -> tuple[Path, Path]:
    return make_file("s.h5", seed=1, cell_type="S"), make_file("t.h5", seed=2, cell_type="T")


def test_evaluate_compare_and_select_follow(
    pair: tuple[Path, Path], make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    source, target = pair
    quick = replace(quick, epochs=1)
    for seed in (0, 1):
        adapt_model(
            source, target, tmp_path / f"run{seed}", recipe="paper", options=SMALL, split=NEW,
            training=replace(quick, seed=seed),
        )  # fmt: skip
    run = tmp_path / "run0"
    assert read_config(run).version == 4
    assert json.loads((run / "config.json").read_text())["split"]["rule"] == "adapt-chromosome"
    own = evaluate_run(run)
    words = "target genes of the test chromosomes"
    assert own.scores[0].part == words
    assert own.seen[0].words == (
        f"protocol new-genes: none of 40 genes ({words}) had a label seen in training"
    )
    assert "held out in source and target: test chr2, chr5" in own.split
    assert any("genes off the test chromosomes was seen" in note for note in own.notes)
    told = {score.model: score.metrics for score in own.scores if score.part == words}
    written = json.loads((run / "metrics.json").read_text())["scores"]
    assert told["dann"].auroc == next(s for s in written if s["model"] == "dann")["auroc"]

    there = evaluate_run(run, source).seen
    assert [(one.protocol, one.genes) for one in there] == [
        ("new-genes", 40), ("training-genes", 120),
    ]  # fmt: skip
    third = evaluate_run(run, make_file("u.h5", seed=3, cell_type="U"))
    assert [one.protocol for one in third.seen] == ["new-genes", "same-genes"]
    source.unlink()  # then the split alone counts
    assert [one.known for one in evaluate_run(run, target).seen] == [0, 80]

    # A model of the target's own genes is tested on the same ones.
    alone = Split("chromosome", test_chromosomes=("chr2", "chr5"))
    train_model(target, tmp_path / "alone", model="logistic", split=alone, training=quick)
    same = compare_runs(run, tmp_path / "alone", replicates=0)
    assert [one.protocol for one in same.seen] == ["new-genes", "new-genes"]


def test_select_knows_the_parts(
    pair: tuple[Path, Path], tmp_path: Path, quick: TrainConfig
) -> None:
    for method in ("dann", "source_only"):
        adapt_model(
            *pair, tmp_path / method, recipe="paper", options=SMALL, split=NEW, method=method,
            training=replace(quick, epochs=1),
        )  # fmt: skip
    found = select_run([tmp_path / "dann", tmp_path / "source_only"])
    assert found.test_genes == 40


def test_a_run_goes_on_from_its_checkpoint(
    pair: tuple[Path, Path], tmp_path: Path, quick: TrainConfig
) -> None:
    asked: dict[str, Any] = {"recipe": "paper", "options": SMALL, "training": quick}
    asked["baseline"] = False
    asked["split"] = Split("adapt-chromosome", seed=1)

    def stop(name: str, row: Epoch) -> None:
        if (name, row.epoch) == ("dann", 3):
            raise KeyboardInterrupt

    whole = adapt_model(*pair, tmp_path / "whole", **asked)
    with pytest.raises(KeyboardInterrupt):
        adapt_model(*pair, tmp_path / "stopped", **asked, on_epoch=stop)
    done = adapt_model(*pair, tmp_path / "stopped", **asked, resume=True)
    weights = [(one.path / "weights.safetensors").read_bytes() for one in (whole, done)]
    assert weights[0] == weights[1]


def test_command_line(inside: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    files = [
        "adapt",
        "--source",
        pair[0],
        "--target",
        pair[1],
        "--method=dann",
        "--epochs=1",
        "-p1",
    ]
    named = inside(*files, "--test-chromosome", "5", "--test-chromosome", "chr2", "-o", "a")
    assert named.returncode == 0, named.stderr
    assert "protocol new-genes: none of 40 genes (test genes of the target)" in named.stderr
    assert "a lookup of the source looks up the test genes there" in named.stderr
    drawn = inside(*files, "--protocol", "new-genes", "--seed", 1, "-o", "b", "--json")
    assert drawn.returncode == 0, drawn.stderr
    told = json.loads(drawn.stdout)
    assert told["protocol"] == "new-genes"
    assert {score["part"] for score in told["scores"]} == {"target genes of the test chromosomes"}
    config = read_config(tmp_path / "b")
    genes = read_bins(pair[1]).genes
    assert config.split.test_chromosomes == (
        draw_split(genes, Split("chromosome", seed=1)).test_chromosomes
    )
    assert inside("predict", "b", pair[1], "-o", "b.tsv").returncode == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--protocol", "new-genes", "--target-fraction", "0.5"], 2, "--target-fraction is for"),
        (["--test-chromosome", "1", "--target-fraction", "0.5"], 2, "--target-fraction is for"),
        (["--protocol", "same-genes", "--test-chromosome", "1"], 2, "has no chromosomes to name"),
        (["--test-chromosome", "chr9"], 1, "t.h5: no gene on chromosome 'chr9'"),
    ],
)
def test_options_that_contradict(
    inside: Run,
    pair: tuple[Path, Path],
    tmp_path: Path,
    options: list[str],
    code: int,
    message: str,
) -> None:
    done = inside("adapt", "--source", pair[0], "--target", pair[1], "-o", "run", *options)
    assert done.returncode == code
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


# benchmark


def test_benchmark_tests_all_methods_on_the_same_new_genes(
    make_bins: MakeBins, tmp_path: Path
) -> None:
    for seed, name in enumerate("STU"):
        write_bins(tmp_path / f"{name}.h5", make_bins(160, n_bins=12, seed=seed, cell_type=name))
    found = read_inputs([tmp_path / f"{name}.h5" for name in "STU"])
    checked = check_files(found, split="chromosome", source="S", split_source=True)
    spec = BenchmarkSpec(
        "cross", ("convchrome.cnn1d", "logistic"), tuple(checked), (0,), "chromosome", source="S",
        max_epochs=1, gene_protocol="new-genes", method="deep_coral",
    )  # fmt: skip
    out = tmp_path / "b"
    done = run_benchmark(spec, out)
    assert not done.failures
    rows = [row for row in read_rows(out / "results.csv") if row.metric == "auroc"]
    rows = [row for row in rows if row.subset == "all"]
    assert {row.test_set for row in rows} == {"own"}
    genes = read_bins(tmp_path / "T.h5").genes
    tested = split_genes(genes, draw_split(genes, Split("chromosome"))) == "test"
    on_target = [row for row in rows if row.target == "T"]
    assert {row.method for row in on_target} == {"origin", "uncross", "cross", "lookup"}
    assert {row.genes for row in on_target} == {int(tested.sum())}
    for job in plan_jobs(spec)[:2]:
        run = Folder(out).run(job)
        ids = {row[0] for row in predicted(run / "predictions.tsv") if row[-1] == "test"}
        assert ids == set(genes.gene_id[tested])
    assert "--protocol new-genes" in " ".join(read_config(run).provenance.command)
    for name in ("README.md", "table.md"):
        assert "new-genes" in (out / name).read_text()
    assert "in common" not in (out / "README.md").read_text()
    again = run_benchmark(spec, out)
    assert (again.run, again.kept) == (0, len(plan_jobs(spec)))


def test_tuning_leaves_out_the_test_chromosomes(make_bins: MakeBins, tmp_path: Path) -> None:
    import torch

    for seed, name in enumerate("ST"):
        write_bins(tmp_path / f"{name}.h5", make_bins(160, n_bins=12, seed=seed, cell_type=name))
    cells = tuple(read_inputs([tmp_path / "S.h5", tmp_path / "T.h5"]))
    spec = BenchmarkSpec(
        "cross", ("convchrome.cnn1d",), cells, (0,), "chromosome", source="S", tune=True,
        gene_protocol="new-genes",
    )  # fmt: skip
    data, _ = _prepared(plan_jobs(spec)[1], torch.device("cpu"), tmp_path / "run")
    genes = read_bins(tmp_path / "T.h5").genes
    tested = int((split_genes(genes, draw_split(genes, Split("chromosome"))) == "test").sum())
    assert data.validation_x is not None
    assert data.target is not None
    assert len(data.target) == len(data.x) + len(data.validation_x) == 160 - tested


@pytest.mark.parametrize(
    ("experiment", "options", "message"),
    [
        ("within", ["--protocol", "new-genes"], "--protocol is for cross, not for within"),
        ("cross", ["--protocol", "new-genes", "--split", "thirds"], "not --split thirds"),
        (
            "cross",
            ["--protocol", "new-genes", "--target-fraction", "0.4"],
            "is for --protocol same",
        ),
    ],
)
def test_benchmark_options_that_contradict(
    inside: Run, pair: tuple[Path, Path], experiment: str, options: list[str], message: str
) -> None:
    source = ["--source", "S"] if experiment == "cross" else []
    done = inside("benchmark", experiment, *pair, *source, "-o", "b", *options)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_benchmark_of_new_genes_is_a_cross_by_chromosome() -> None:
    with pytest.raises(ValueError, match="new-genes is for cross with split chromosome"):
        BenchmarkSpec("cross", (), (), gene_protocol="new-genes")
