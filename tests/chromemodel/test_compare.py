"""Two runs on the same genes: which genes those are, and what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Split, TrainConfig
from chromemodel.data.splits import split_genes, split_target
from chromemodel.evaluate.compare import compare_runs
from chromemodel.evaluate.metrics import binary_metrics
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.uncertainty import compare_models, delong
from chromemodel.train.single import train_model
from chromeprep.errors import MismatchError
from chromeprep.format import read_bins

Cli = Callable[..., subprocess.CompletedProcess[str]]
MakeFile = Callable[..., Path]
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}


@pytest.fixture
def runs(make_file: MakeFile, tmp_path: Path, quick: TrainConfig) -> Path:
    """Runs ``one`` and ``lin`` (of fewer marks) of one split, ``two`` of another, on ``a.h5``."""
    path = make_file("a.h5", noise=2.0)
    train_model(
        path, tmp_path / "one", recipe="paper", options=SMALL, training=quick, baseline=False
    )
    train_model(
        path, tmp_path / "lin", model="logistic", marks=("H3K4me3",), training=quick, baseline=False
    )
    train_model(
        path, tmp_path / "two", recipe="paper", options=SMALL,
        training=replace(quick, seed=1, epochs=1), baseline=False,
    )  # fmt: skip
    return tmp_path


def test_two_runs_on_their_test_genes(runs: Path) -> None:
    found = compare_runs(runs / "one", runs / "lin", replicates=100)
    genes = read_bins(runs / "a.h5").genes
    rows = split_genes(genes, Split(seed=0)) == "test"
    a, b = (predict_genes(runs / name, runs / "a.h5").probability[rows] for name in ("one", "lin"))
    assert [score.model for score in found.scores] == ["one", "lin"]
    assert [score.metrics.genes for score in found.scores] == [rows.sum()] * 2
    assert found.difference == compare_models(genes.label[rows], a, b, replicates=100)
    assert found.difference.delong_p == delong(genes.label[rows], a, b).p
    gap = found.scores[0].metrics.auroc - found.scores[1].metrics.auroc
    assert found.difference.value.auroc == pytest.approx(gap)
    assert [one.protocol for one in found.seen] == ["new-genes"] * 2
    assert any("another seed" in note for note in found.notes)
    back = compare_runs(runs / "lin", runs / "one", replicates=0)
    assert back.difference.value.auroc == -found.difference.value.auroc
    assert back.difference.interval is None
    assert back.scores[0].interval is None


def test_other_test_genes_are_refused_or_cut(runs: Path) -> None:
    with pytest.raises(MismatchError, match=r"one: has \d+ test genes .*two has \d+") as caught:
        compare_runs(runs / "one", runs / "two")
    assert "--common-genes" in str(caught.value)
    found = compare_runs(runs / "one", runs / "two", common_genes=True, replicates=0)
    genes = read_bins(runs / "a.h5").genes
    both = np.logical_and(*(split_genes(genes, Split(seed=seed)) == "test" for seed in (0, 1)))
    assert found.scores[0].metrics.genes == both.sum()


def test_a_run_carried_over_against_one_of_the_target(
    runs: Path, make_file: MakeFile, quick: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    make_file("s.h5", seed=1, cell_type="S")
    adapt_model(
        runs / "s.h5",
        runs / "a.h5",
        runs / "over",
        recipe="paper",
        options=SMALL,
        training=quick,
        baseline=False,
    )
    with pytest.raises(MismatchError, match="common"):
        compare_runs(runs / "over", runs / "one")
    beside = compare_runs(runs / "over", runs / "over" / "source_only", replicates=0)
    assert [score.model for score in beside.scores] == ["over", "source_only"]
    data = read_bins(runs / "a.h5").genes
    test = split_target(data, Split("adapt", seed=0)) == "test"
    for score, folder in zip(beside.scores, ("over", "over/source_only"), strict=True):
        probability = predict_genes(runs / folder, runs / "a.h5").probability[test]
        assert score.metrics == binary_metrics(data.label[test], probability)
    assert beside.difference.value.brier != 0
    assert not caplog.records
    found = compare_runs(runs / "over", runs / "one", common_genes=True, replicates=0)
    genes = read_bins(runs / "a.h5").genes
    both = split_genes(genes, Split(seed=0)) == "test"
    both &= split_target(genes, Split("adapt", seed=0)) == "test"
    assert found.scores[0].metrics.genes == both.sum()
    assert [one.protocol for one in found.seen] == ["same-genes", "new-genes"]
    assert "one knows more of these genes" in caplog.text

    train_model(
        runs / "s.h5", runs / "back", recipe="paper", options=SMALL, training=quick, baseline=False
    )
    with pytest.raises(MismatchError, match=r"is tested on .*a\.h5, .*back on .*s\.h5") as caught:
        compare_runs(runs / "one", runs / "back")
    assert "--data FILE" in str(caught.value)
    other = compare_runs(runs / "one", runs / "back", runs / "s.h5", replicates=0)
    assert other.data == runs / "s.h5"
    with pytest.raises(MismatchError, match=r"was trained on labels of .*s\.h5 itself"):
        compare_runs(runs / "over", runs / "back", runs / "s.h5", common_genes=True)


def test_on_the_command_line(runs: Path, inside: Cli) -> None:
    done = inside("compare", "one", "lin", "--bootstrap", "50")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["one", "lin", "difference"]
    names = [line.split()[0] for line in lines[2:-1]]
    assert names == ["AUROC", "AUPRC", "accuracy", "F1", "MCC", "Brier", "ECE"]
    assert lines[-1].startswith("DeLong's test of equal AUROC: p = ")
    assert max(map(len, lines)) < 100
    assert "protocol new-genes" in done.stderr
    document = json.loads(inside("compare", "one", "lin", "--json").stdout)
    difference = document["difference"]
    one, lin = document["scores"]
    assert difference["auroc"] == pytest.approx(one["auroc"] - lin["auroc"])
    low, high = difference["interval"]["auroc"]
    assert low <= difference["auroc"] <= high
    assert 0 <= difference["delong_p"] <= 1
    plain = inside("compare", "one", "lin", "--bootstrap", "0").stdout
    assert "(" not in plain.splitlines()[2]
    refused = inside("compare", "one", "two")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert inside("compare", "one").returncode == 2
