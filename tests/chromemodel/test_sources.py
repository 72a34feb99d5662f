"""Does adaptation from several sources train on all of them, and say what is true of them?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Normalisation, RunConfig, Split, TrainConfig
from chromemodel.data.sources import merge_genes, read_sources
from chromemodel.evaluate.lookup import match_genes, source_expression, source_label
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.serial import from_json
from chromemodel.train.checkpoint import read_run
from chromeprep.errors import InputError, MismatchError
from chromeprep.format import GeneTable

MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]


def table(ids: list[str], expression: list[float], label: list[int]) -> GeneTable:
    n = len(ids)
    return GeneTable.build(
        ids, ["1"] * n, [0] * n, [1] * n, ["+"] * n, expression=expression, label=label
    )


@pytest.fixture
def three(make_file: MakeFile) -> list[Path]:
    a = make_file("a.h5", n_genes=100, seed=1, cell_type="A")
    b = make_file("b.h5", n_genes=130, seed=2, cell_type="B", scale=10.0)
    return [a, b, make_file("t.h5", seed=3, cell_type="T")]


def test_rows_of_all_files_each_normalised_alone(three: list[Path]) -> None:
    both = read_sources(three[:2])
    alone = [read_sources([path]) for path in three[:2]]
    rule = Normalisation("file")
    x = both.normalised(rule)
    assert x.shape == (230, 3, 8)
    np.testing.assert_array_equal(x, np.concatenate([one.normalised(rule) for one in alone]))
    np.testing.assert_array_equal(both.label, np.concatenate([one.label for one in alone]))
    # The training rule measures the rows of both files.
    rows = np.ones(230, dtype=np.bool_)
    rows[:50] = False
    fitted = both.fitted(Normalisation("training"), rows)
    raw = np.concatenate([one.raw for one in both.files])[50:].astype(np.float64)
    np.testing.assert_allclose(fitted.mean, raw.mean(axis=(0, 2)))


@given(seed=st.integers(0, 50), shift=st.integers(0, 40))
@settings(max_examples=15, deadline=None)
def test_a_gene_that_validates_in_one_source_validates_in_all(seed: int, shift: int) -> None:
    from chromemodel.data.splits import split_source

    ids = [f"ENSG{index:011d}" for index in range(120)]
    split = Split("adapt", seed=seed, validation_fraction=0.3)
    one, two = ids[:80], [f"{name}.7" for name in ids[shift:]]
    parts = [split_source(table(x, [0.0] * len(x), [0] * len(x)), split) for x in (one, two)]
    of = dict(zip(one, parts[0], strict=True))
    for name, part in zip(two, parts[1], strict=True):
        assert of.get(name[:-2], part) == part


@st.composite
def sources(draw: st.DrawFn) -> list[GeneTable]:
    tables = []
    for _ in range(draw(st.integers(2, 4))):
        ids = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True))
        values = st.one_of(st.just(float("nan")), st.integers(0, 4).map(float))
        n = len(ids)
        tables.append(
            table(
                ids,
                draw(st.lists(values, min_size=n, max_size=n)),
                draw(st.lists(st.integers(-1, 1), min_size=n, max_size=n)),
            )
        )
    return tables


@given(sources())
@settings(max_examples=100, deadline=None)
def test_merged_genes_by_plain_loops(tables: list[GeneTable]) -> None:
    merged = merge_genes(tables)
    assert sorted(merged.gene_id) == sorted({name for one in tables for name in one.gene_id})
    shares: dict[str, list[float]] = {name: [] for name in merged.gene_id}
    labels: dict[str, list[int]] = {name: [] for name in merged.gene_id}
    for one in tables:
        known = [v for v in one.expression if not np.isnan(v)]
        for name, value, label in zip(one.gene_id, one.expression, one.label, strict=True):
            if not np.isnan(value):
                lower = sum(v < value for v in known) + sum(v == value for v in known) / 2
                shares[name].append(lower / len(known))
            if label >= 0:
                labels[name].append(label)
    for name, value, label in zip(merged.gene_id, merged.expression, merged.label, strict=True):
        np.testing.assert_allclose(value, np.mean(shares[name]) if shares[name] else np.nan)
        found = labels[name]
        if not found:
            assert label == -1
        elif 2 * sum(found) != len(found):
            assert label == (2 * sum(found) > len(found))
        else:
            assert label == (value >= np.nanmedian(merged.expression) if shares[name] else 0)
    # A lookup finds every gene that any source knows, and order within a file does not matter.
    assert (match_genes(merged, tables[0]) >= 0).all()
    turned = [one.take(np.arange(len(one))[::-1]) for one in tables]
    again = merge_genes(turned)
    by_name = dict(zip(again.gene_id, again.label, strict=True))
    assert [by_name[name] for name in merged.gene_id] == merged.label.tolist()


def test_one_table_is_itself_and_the_first_of_equal_ids_counts() -> None:
    one = table(["a", "a"], [1.0, 2.0], [0, 1])
    assert merge_genes([one]) is one
    merged = merge_genes([one, table(["b"], [1.0], [1])])
    assert merged.gene_id.tolist() == ["a", "b"]
    assert merged.label.tolist() == [0, 1]


def test_adapting_from_two_sources(three: list[Path], tmp_path: Path, quick: TrainConfig) -> None:
    found = adapt_model(three[:2], three[2], tmp_path / "run", recipe="paper", training=quick)
    config = read_run(tmp_path / "run").config
    assert [one.cell_type for one in config.sources] == ["A", "B"]
    assert config.version == 2
    tables = [read_sources([path]).merged() for path in three[:2]]
    merged = merge_genes(tables)
    from chromeprep.format import read_bins

    far = read_bins(three[2]).genes
    lookup = source_expression(merged, far)
    assert lookup.found.all()
    assert "source expression (no model)" in {score.model for score in found.scores}
    words = " ".join(found.notes)
    assert "in A and B" in words
    assert "sources: A and B, trained on together" in words
    # Evaluating says the same once more, by the files alone.
    again = evaluate_run(tmp_path / "run")
    assert again.label_agreement == found.label_agreement
    assert again.seen[0]._replace(part="") == found.seen._replace(part="")
    assert again.seen[0].to_json()["labels_seen_in"] == "A and B"
    by_model = {score.model: score.metrics for score in found.scores}
    for score in again.scores:
        if score.part == found.config.split.test_words and score.model != "logistic, source only":
            assert score.metrics == by_model[score.model]
    # Every source is a file whose own labels trained the run.
    for path in three[:2]:
        on_source = evaluate_run(tmp_path / "run", path)
        assert on_source.seen[0].protocol == "training-genes"
        assert on_source.seen[0].part == "source genes (their labels trained it)"
    # A source that is gone: no lookup, and the note names the files.
    three[1].unlink()
    gone = evaluate_run(tmp_path / "run")
    assert gone.evidence.lookup is None
    assert any("b.h5 is gone" in note for note in gone.notes)
    assert gone.label_agreement is None


def test_training_sees_the_second_source(
    three: list[Path], tmp_path: Path, quick: TrainConfig
) -> None:
    runs = {
        "one": three[:1],
        "both": three[:2],
    }
    losses = {}
    for name, paths in runs.items():
        adapt_model(
            paths, three[2], tmp_path / name, recipe="paper", method="source_only", training=quick
        )
        losses[name] = (tmp_path / name / "history.csv").read_text()
    assert losses["one"] != losses["both"]


def test_one_source_in_a_list_is_a_source_byte_for_byte(
    three: list[Path], tmp_path: Path, quick: TrainConfig
) -> None:
    for name, source in (("plain", three[0]), ("listed", [three[0]])):
        adapt_model(source, three[2], tmp_path / name, recipe="paper", training=quick)
    for file in sorted((tmp_path / "plain").rglob("*")):
        if file.is_dir():
            continue
        other = tmp_path / "listed" / file.relative_to(tmp_path / "plain")
        if file.name == "config.json":
            one, two = (json.loads(path.read_text()) for path in (file, other))
            del one["provenance"], two["provenance"]
            assert one == two
            # As version 1 wrote it: no key that it does not know.
            assert one["version"] == 1
            assert "more_sources" not in one
        else:
            assert file.read_bytes() == other.read_bytes()


def test_an_old_configuration_is_read(
    three: list[Path], tmp_path: Path, quick: TrainConfig
) -> None:
    adapt_model(three[0], three[2], tmp_path / "run", recipe="paper", training=quick)
    old = json.loads((tmp_path / "run" / "config.json").read_text())
    assert from_json(RunConfig, old).more_sources == ()
    assert from_json(RunConfig, old).source_words == "A"
    assert evaluate_run(tmp_path / "run").seen[0].cell_type == "A"


def test_the_majority_label_is_looked_up() -> None:
    far = table(["a", "b", "c"], [0.0] * 3, [0, 0, 0])
    merged = merge_genes([table(["a", "b"], [1, 2], [1, 0]), table(["a", "b"], [5, 9], [1, 0])])
    assert source_label(merged, far).tolist() == [1, 0, -1]


def test_what_does_not_fit_names_the_file(
    three: list[Path], make_file: MakeFile, tmp_path: Path
) -> None:
    a, b, t = three

    def refused(kind: type[Exception], message: str, sources: list[Path], target: Path = t) -> None:
        with pytest.raises(kind, match=message):
            adapt_model(sources, target, tmp_path / "run", method="source_only")
        assert not (tmp_path / "run").exists()

    refused(MismatchError, r"b.h5: is named twice among the sources", [a, b, b])
    refused(MismatchError, r"b.h5: is among the sources and the target", [a, b], b)
    refused(MismatchError, r"a.h5: is the source and the target", [a], a)
    again = make_file("again.h5", seed=9, cell_type="A")
    refused(MismatchError, r"again.h5: is of cell type A, as is another source, .*a.h5", [a, again])
    refused(MismatchError, r"again.h5: is of cell type A, as is a source, .*a.h5", [a, b], again)
    fewer = make_file("fewer.h5", marks=("H3K4me3",), cell_type="C")
    refused(MismatchError, "fewer.h5: lacks", [a, fewer])
    wider = make_file("wider.h5", n_bins=10, cell_type="C")
    refused(MismatchError, "wider.h5: flank is", [a, wider])
    bare = make_file("bare.h5", labels=False, cell_type="C")
    refused(InputError, "bare.h5: no gene has a label", [a, bare])


def test_the_command_line(inside: Cli, three: list[Path], tmp_path: Path) -> None:
    a, b, t = three
    options = ["--epochs", 2, "--batch-size", 32, "--model", "crnn", "--method", "dann"]
    options += ["--device", "cpu"]
    done = inside(
        "adapt", "--source", a, "--source", b, "--target", t, "-o", "run", "--json", *options
    )
    assert done.returncode == 0, done.stderr
    assert "sources: A and B" in done.stderr
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    assert document["source"]["path"] == str(a)
    assert [one["path"] for one in document["more_sources"]] == [str(b)]
    wrong = inside("adapt", "--source", a, "--source", a, "--target", t, "-o", "other")
    assert wrong.returncode == 1
    assert "is named twice among the sources" in wrong.stderr
