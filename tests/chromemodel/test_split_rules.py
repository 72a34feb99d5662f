"""The splits of published numbers, and genes that no split by chromosome can place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromemodel.config import Split
from chromemodel.data.splits import draw_split, split_genes
from chromemodel.serial import from_json, to_json
from chromeprep.errors import InputError, MismatchError
from chromeprep.format import ChromeBins, GeneTable, read_bins

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]
Run = Callable[..., Any]
SIMPLE = ["--model", "logistic", "-p1"]
CLASSICAL = ["logistic", "logistic.summed", "linear_svm", "random_forest"]
TINY = ["-p1", "--epochs", "1", "--batch-size", "64"]
PARTS = ["train", "validation", "test"]

gene_ids = st.lists(
    st.integers(0, 10**11 - 1).map(lambda number: f"ENSG{number:011d}.{1 + number % 20}"),
    unique=True, min_size=3, max_size=60,
)  # fmt: skip


def table(ids: Sequence[str], chrom: Sequence[str] | None = None) -> GeneTable:
    count = len(ids)
    places = chrom or [f"chr{1 + row % 5}" for row in range(count)]
    return GeneTable.build(ids, places, [0] * count, [9] * count, ["+"] * count)


def with_column(genes: GeneTable, values: Sequence[object]) -> GeneTable:
    return replace(genes, extra={"split": np.array(values, dtype=object)})


def by_id(genes: GeneTable, split: Split) -> dict[str, str]:
    return dict(zip(genes.gene_id, split_genes(genes, split), strict=True))


# deepchrome


def test_deepchrome_sizes_are_those_of_the_published_files() -> None:
    genes = table([f"ENSG{number:011d}" for number in range(19_802)])
    parts = split_genes(genes, draw_split(genes, Split("deepchrome")))
    assert [int((parts == part).sum()) for part in PARTS] == [6601, 6601, 6600]
    assert parts.tolist() == sorted(parts.tolist(), key=PARTS.index)


@given(gene_ids, st.integers(0, 99), st.randoms(use_true_random=False))
def test_deepchrome_cuts_the_sorted_ids(ids: list[str], seed: int, random: object) -> None:
    genes = table(ids)
    drawn = draw_split(genes, Split("deepchrome", seed=seed))
    parts = by_id(genes, drawn)
    assert [parts[name] for name in sorted(ids)] == [
        part for part, rows in zip(PARTS, np.array_split(ids, 3), strict=True) for _ in rows
    ]
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = table(shuffled)
    # Neither the seed, nor the order of rows, nor the version of an id, nor labels change it.
    assert draw_split(again, Split("deepchrome", seed=seed + 1)) == replace(drawn, seed=seed + 1)
    assert by_id(again, drawn) == parts
    bare = table([name.split(".")[0] for name in ids])
    assert split_genes(bare, drawn).tolist() == list(parts.values())
    labels = np.resize([-1, 0, 1], len(ids)).astype(np.int8)
    assert draw_split(replace(genes, label=labels), drawn.asked) == drawn


@given(gene_ids, st.sets(st.integers(0, 59)))
def test_a_gene_held_out_is_held_out_in_other_files(ids: list[str], rows: set[int]) -> None:
    genes = table(ids)
    drawn = draw_split(genes, Split("deepchrome"))
    some = genes.take(np.array(sorted(row for row in rows if row < len(ids)), dtype=int))
    assert by_id(some, drawn).items() <= by_id(genes, drawn).items()


def test_genes_of_one_id_stay_together() -> None:
    genes = table([f"ENSG0000000000{number}" for number in ("1.1", "3", "1.2", "2", "1.3")])
    parts = split_genes(genes, draw_split(genes, Split("deepchrome")))
    assert parts.tolist() == ["train", "test", "train", "validation", "train"]


def test_deepchrome_needs_three_genes_and_its_cuts() -> None:
    with pytest.raises(MismatchError, match=r"^a\.h5: holds 2 genes; three parts"):
        draw_split(table(["a", "b"]), Split("deepchrome"), "a.h5")
    with pytest.raises(ValueError, match="draw_split"):
        split_genes(table(["a", "b", "c"]), Split("deepchrome"))
    with pytest.raises(ValueError, match="cut_genes are 1, expected none or two"):
        Split("deepchrome", cut_genes=("a",))


# published


@given(gene_ids, st.data())
def test_published_follows_the_column(ids: list[str], data: st.DataObject) -> None:
    names = st.sampled_from(["train", "valid", "test"])
    column = ["train", "valid", "test"]
    column += data.draw(st.lists(names, min_size=len(ids) - 3, max_size=len(ids) - 3))
    genes = with_column(table(ids), column)
    split = draw_split(genes, Split("published", seed=7))
    assert split == Split("published", seed=7)
    parts = split_genes(genes, split)
    assert ["valid" if part == "validation" else part for part in parts] == column
    for part in PARTS:
        missing = genes.take(np.flatnonzero(parts != part))
        with pytest.raises(InputError, match=f"no gene of '{part[:5]}'"):
            draw_split(missing, Split("published"))
        # A file that is only evaluated may lack a part.
        assert part not in split_genes(missing, split)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (None, r"^a\.h5: has no column /genes/split.*\n.*chromeprep import.*--split thirds"),
        (
            ["train", "validation", "test", "validation"],
            r"^a\.h5: column /genes/split says 'validation' of 2 genes; did you mean 'valid'\?"
            r"\n.*--split thirds",
        ),
        (["train", "", "test", "valid"], r"says '' of 1 genes; there are train, valid, test"),
        ([0, 1, 2, 2], r"says '0' of 1 genes"),
        (["train", "train", "test", "test"], r"no gene of 'valid'\n.*valid\.csv.*--split thirds"),
    ],
)
def test_columns_that_are_refused(column: list[object] | None, message: str) -> None:
    genes = table(["a", "b", "c", "d"])
    if column is not None:
        genes = with_column(genes, column)
    with pytest.raises(InputError, match=message):
        draw_split(genes, Split("published"), "a.h5")


# All rules


@settings(max_examples=30)
@given(gene_ids, st.integers(0, 9), st.sampled_from(["thirds", "deepchrome", "chromosome"]))
def test_every_gene_has_one_part(ids: list[str], seed: int, rule: str) -> None:
    genes = table(ids)
    drawn = draw_split(genes, Split(rule, seed=seed))  # type: ignore[arg-type]
    parts = split_genes(genes, drawn)
    assert len(parts) == len(ids)
    assert set(parts) <= set(PARTS)
    assert from_json(Split, json.loads(json.dumps(to_json(drawn)))) == drawn
    assert drawn.asked == Split(rule, seed=seed)  # type: ignore[arg-type]
    rows = np.random.default_rng(seed).permutation(len(ids))
    assert (split_genes(genes.take(rows), drawn) == parts[rows]).all()


def test_words_say_what_the_seed_does() -> None:
    genes = table(["a", "b", "c"])
    words = draw_split(genes, Split("deepchrome", seed=5)).words
    assert words == (
        "thirds of the genes in the order of their ids, as DeepChrome's (no seed); "
        "validation from b, test from c"
    )
    assert Split("published", seed=5).words.endswith("/genes/split (no seed)")
    assert "seed 5" in Split("thirds", seed=5).words


def test_unplaced_genes_take_no_part_in_a_split_by_chromosome() -> None:
    genes = table(list("abcdefgh"), ["chr1", "", "chr2", "chr3", "", "chr1", "chr2", ""])
    drawn = draw_split(genes, Split("chromosome", test_chromosomes=("2",)))
    assert drawn.test_chromosomes == ("chr2",)
    assert "" not in drawn.validation_chromosomes
    parts = split_genes(genes, drawn)
    assert ((parts == "unplaced") == (genes.chrom == "")).all()
    assert set(parts) == {*PARTS, "unplaced"}
    nowhere = table(["a", "b"], ["", ""])
    for ask in (draw_split, split_genes):
        with pytest.raises(MismatchError, match=r"^a\.h5: none of the 2 genes has a position") as e:
            ask(nowhere, drawn, "a.h5")
        assert "--gtf" in str(e.value)
        assert "--split thirds" in str(e.value)


# The command line


def test_deepchrome_from_training_to_another_file(
    inside: Cli, make_bins: MakeBins, make_file: MakeFile
) -> None:
    data = make_bins()
    rows = np.random.default_rng(0).permutation(len(data.genes))
    make_file("a.h5", replace(data, genes=data.genes.take(rows), signal=data.signal[rows]))
    make_file("b.h5", seed=1, n_genes=100)
    done = inside("train", "a.h5", "-o", "run", "--split", "deepchrome", "--json", *SIMPLE)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [score["genes"] for score in document["scores"]][:3] == [40, 40, 40]
    assert document["split"].endswith("validation from ENSG00000000040, test from ENSG00000000080")
    assert f"split: {document['split']}" in done.stderr
    own = json.loads(inside("evaluate", "run", "--json").stdout)
    assert own["split"] == document["split"]
    assert own["scores"][0]["auroc"] == document["scores"][2]["auroc"]
    other = inside("evaluate", "run", "--data", "b.h5", "--json")
    assert other.returncode == 0, other.stderr
    # Of its 100 genes those from the cut on, though thirds of it would be others.
    assert json.loads(other.stdout)["scores"][0]["genes"] == 20
    assert "none of 20 genes (test genes (unseen in training)) had a label seen" in other.stdout


def test_published_from_training_to_another_file(
    inside: Cli, make_bins: MakeBins, make_file: MakeFile
) -> None:
    data = make_bins()
    column = ["test", "train", "train", "valid"] * 30
    make_file("a.h5", replace(data, genes=with_column(data.genes, column)))
    other = make_bins(seed=1)
    moved = with_column(other.genes, ["train", "test", "valid", "test"] * 30)
    make_file("b.h5", replace(other, genes=moved))
    make_file("c.h5", other)
    done = inside("train", "a.h5", "-o", "run", "--split", "published", "--json", *SIMPLE)
    assert done.returncode == 0, done.stderr
    assert [score["genes"] for score in json.loads(done.stdout)["scores"]][:3] == [60, 30, 30]
    own = inside("evaluate", "run")
    assert own.returncode == 0, own.stderr
    assert "none of 30 genes (test genes (unseen in training))" in own.stderr
    there = inside("evaluate", "run", "--data", "b.h5")
    assert there.returncode == 0, there.stderr
    assert "60 of 60 genes (test genes by the file's own column) had their label" in there.stderr
    none = inside("evaluate", "run", "--data", "c.h5")
    assert none.returncode == 1
    assert "c.h5: has no column /genes/split" in none.stderr
    assert none.stdout == ""


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("published", "a.h5: has no column /genes/split"),
        ("chromosome", "a.h5: none of the 120 genes has a position"),
    ],
)
def test_a_split_that_the_file_does_not_give(
    inside: Cli, make_bins: MakeBins, make_file: MakeFile, tmp_path: Path, rule: str, message: str
) -> None:
    data = make_bins()
    genes = replace(data.genes, chrom=np.full(len(data.genes), "", dtype=object))
    make_file("a.h5", replace(data, genes=genes))
    done = inside("train", "a.h5", "-o", "run", "--split", rule, *SIMPLE)
    assert done.returncode == 1
    assert message in done.stderr
    assert "--split thirds" in done.stderr
    assert not (tmp_path / "run").exists()


def test_unplaced_genes_are_told(
    inside: Cli, make_bins: MakeBins, make_file: MakeFile, tmp_path: Path
) -> None:
    data = make_bins()
    chrom = data.genes.chrom.copy()
    chrom[:7] = ""
    make_file("a.h5", replace(data, genes=replace(data.genes, chrom=chrom)))
    done = inside("train", "a.h5", "-o", "run", "--split", "chromosome", "--json", *SIMPLE)
    assert done.returncode == 0, done.stderr
    assert "7 genes without a position were left out" in done.stderr
    assert sum(score["genes"] for score in json.loads(done.stdout)["scores"][:3]) == 113
    assert (tmp_path / "run/predictions.tsv").read_text().count("unplaced") == 7


@pytest.mark.parametrize("rule", ["deepchrome", "published"])
def test_rules_without_chromosomes_take_none(inside: Cli, tmp_path: Path, rule: str) -> None:
    done = inside("train", "a.h5", "-o", "r", "--split", rule, "--test-chromosome", "1")
    assert done.returncode == 2
    assert f"--split {rule} has no chromosomes to name" in done.stderr


# Public data


@pytest.fixture(scope="session")
def published(real_data: Path) -> Path:
    folder = real_data / "deepchrome_csv"
    if not folder.is_dir():
        pytest.skip(f"no published tables: {folder} is not there")
    return folder


@pytest.mark.parametrize("rule", ["published", "deepchrome"])
def test_the_toy_of_deepchrome(
    published: Path, chromeprep: Run, inside: Cli, tmp_path: Path, rule: str
) -> None:
    tables = sorted(published.glob("deepchrome_toy.*.csv"))
    assert chromeprep("import", *tables, "--layout", "deepchrome", "-o", "toy.h5").code == 0
    for model in CLASSICAL if rule == "published" else ["transferchrome"]:
        done = inside(
            "train", "toy.h5", "-o", model, "--split", rule, "--model", model, "--json", *TINY
        )
        assert done.returncode == 0, done.stderr
        assert [score["genes"] for score in json.loads(done.stdout)["scores"]][:3] == [10, 10, 9]
        assert inside("evaluate", model).returncode == 0
    # The toy is cut as the whole is, so both rules give the same parts.
    genes = read_bins(tmp_path / "toy.h5").genes
    assert (
        split_genes(genes, draw_split(genes, Split("published")))
        == split_genes(genes, draw_split(genes, Split("deepchrome")))
    ).all()


def test_deepdiff_with_labels(
    published: Path, real_data: Path, chromeprep: Run, inside: Cli
) -> None:
    tables = sorted(published.glob("deepdiff_E003.*.csv.gz"))
    rpkm = real_data / "roadmap" / "57epigenomes.RPKM.pc.gz"
    assert chromeprep("import", *tables, "--layout", "deepdiff", "-o", "e.h5").code == 0
    unlabelled = inside("train", "e.h5", "-o", "run", "--split", "published", *SIMPLE)
    assert unlabelled.returncode == 1
    assert "chromeprep label" in unlabelled.stderr
    assert chromeprep("label", "e.h5", "--expression", rpkm).code == 0
    for model in (*CLASSICAL, "transferchrome"):
        done = inside(
            "train", "e.h5", "-o", model, "--split", "published", "--model", model, "--json",
            "--no-baseline", *TINY,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        scores = json.loads(done.stdout)["scores"]
        assert [score["genes"] for score in scores] == [200, 200, 200]
        assert model == "transferchrome" or scores[2]["auroc"] > 0.75
        again = json.loads(inside("evaluate", model, "--data", "e.h5", "--json").stdout)
        assert again["scores"][0]["auroc"] == scores[2]["auroc"]
