"""Does a model trained with mark dropout predict from any subset of its marks?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chromemodel.adapt.base import Batch, Loss
from chromemodel.adapt.deep_coral import DeepCoral
from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import TrainConfig
from chromemodel.data.dataset import read_signals
from chromemodel.evaluate.by_marks import by_marks
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet
from chromemodel.serial import from_json, to_json
from chromemodel.train.checkpoint import read_run
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.marks import draw_kept, drop_marks
from chromemodel.train.single import train_model
from chromeprep.errors import ChromeError, MismatchError

MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]
ALL = ("H3K4me3", "H3K27me3", "H3K36me3")


@pytest.fixture
def dropping(quick: TrainConfig) -> TrainConfig:
    return replace(quick, mark_dropout=0.4)


@pytest.fixture
def run(make_file: MakeFile, tmp_path: Path, dropping: TrainConfig) -> Path:
    train_model(make_file(n_genes=200), tmp_path / "run", model="crnn", training=dropping)
    return tmp_path / "run"


@given(
    genes=st.integers(0, 40),
    marks=st.integers(1, 6),
    probability=st.floats(0, 0.999),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_never_all_marks_are_dropped(genes: int, marks: int, probability: float, seed: int) -> None:
    kept = draw_kept(genes, marks, probability, torch.Generator().manual_seed(seed))
    assert kept.shape == (genes, marks)
    assert kept.any(dim=1).all()


def test_as_often_as_said() -> None:
    kept = draw_kept(20_000, 3, 0.5, torch.Generator().manual_seed(0)).double()
    # 1 - p, and a third of the p³ that would have lost all.
    assert kept.mean(dim=0).numpy() == pytest.approx([0.5 + 0.125 / 3] * 3, abs=0.015)
    # Marks are dropped independently, but for the rows that were spared.
    both = (kept[:, 0] * kept[:, 1]).mean()
    assert float(both) == pytest.approx(0.25, abs=0.015)


def test_whole_marks_become_zero_and_the_rest_stays() -> None:
    x = torch.randn(50, 4, 7)
    before = x.clone()
    out = drop_marks(x, 0.5, torch.Generator().manual_seed(1))
    zero = (out == 0).all(dim=2)
    assert 0.3 < zero.double().mean() < 0.6
    assert torch.equal(out[~zero], x[~zero])
    assert torch.equal(x, before)
    assert drop_marks(x, 0.0, torch.Generator()) is x


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_every_step_of_training_drops_in_source_and_target(
    quick: TrainConfig, probability: float
) -> None:
    seen: list[Batch] = []

    class Spy(DeepCoral):
        def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
            seen.append(batch)
            return super().loss(model, batch, progress)

    x, target = torch.randn(80, 4, 8) + 5, torch.randn(60, 4, 8) + 5
    y = torch.arange(80) % 2
    model = create_model("crnn", {}, n_marks=4, n_bins=8)
    data = FitData(x, y, target, x.clone(), y)
    training = replace(quick, epochs=2, mark_dropout=probability)
    Loop(model, Spy(DeepCoral.Config(), model), data, training).fit()
    for part in ("x", "target"):
        lost = torch.cat([(getattr(one, part) == 0).all(dim=2) for one in seen])
        assert lost.shape == (160, 4)
        assert float(lost.double().mean()) == pytest.approx(probability * 0.97, abs=0.06)
        # Not the same marks in every epoch.
        assert probability == 0 or not torch.equal(lost[:80], lost[80:])
    # What validates is whole, and so are the data.
    assert (data.x != 0).all()


def test_configuration(quick: TrainConfig) -> None:
    assert "mark_dropout" not in to_json(quick)
    assert to_json(replace(quick, mark_dropout=0.2))["mark_dropout"] == 0.2
    assert from_json(TrainConfig, to_json(quick)).mark_dropout == 0
    with pytest.raises(ValueError, match="mark_dropout is 1"):
        TrainConfig(mark_dropout=1.0)


def test_version_2_where_marks_were_dropped(run: Path) -> None:
    assert json.loads((run / "config.json").read_text())["version"] == 2


def test_source_loses_the_same_marks_with_and_without_a_target(
    make_file: MakeFile, tmp_path: Path, dropping: TrainConfig
) -> None:
    a, t = make_file("a.h5", seed=1), make_file("t.h5", seed=2)
    weightless = {"domain_weight": 0.0}
    # tcn without dropout: nothing but the batches differs.
    found = adapt_model(
        a, t, tmp_path / "run", method="dann", method_options=weightless, training=dropping,
        model="tcn", options={"dropout": 0.0},
    )  # fmt: skip
    losses = [
        (tmp_path / folder / "history.csv").read_text().splitlines()[-1].split(",")[2:4]
        for folder in ("run", "run/source_only")
    ]
    # Products of more genes at once are rounded otherwise.
    first, second = (np.array(values, dtype=float) for values in losses)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert set(found.fits) == {"source_only", "dann"}


@pytest.mark.parametrize(
    ("normalise", "window"), [("file", None), ("file", 200), ("training", None), ("quantile", None)]
)
def test_a_lacking_file_a_named_subset_and_zeros_are_the_same(
    make_file: MakeFile, tmp_path: Path, dropping: TrainConfig, normalise: Any, window: int | None
) -> None:
    whole = make_file("whole.h5")
    train_model(
        whole, tmp_path / "run", model="crnn", training=dropping, normalise=normalise,
        window_bp=window, baseline=False,
    )  # fmt: skip
    run = read_run(tmp_path / "run")
    signals = read_signals(whole, layout=run.config.layout)
    x = signals.normalised(run.config.normalisation)
    x[:, 1] = 0
    with torch.no_grad():
        expected = torch.softmax(run.model(torch.from_numpy(x)), 1)[:, 1].numpy()
    named = predict_genes(run.path, whole, available=["H3K36me3", "H3K4me3"])
    np.testing.assert_allclose(named.probability, expected, atol=1e-6)
    from chromeprep.format import read_bins, write_bins

    data = read_bins(whole)
    kept = np.array([2, 0])
    fewer = replace(data, marks=data.marks.take(kept), signal=data.signal[:, kept])
    write_bins(tmp_path / "fewer.h5", fewer)
    lacking = predict_genes(run.path, tmp_path / "fewer.h5")
    np.testing.assert_array_equal(lacking.probability, named.probability)
    full = predict_genes(run.path, whole)
    assert not np.allclose(full.probability, named.probability)


def test_what_is_lacking_is_told_and_not_compared(
    run: Path, make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    few = make_file("few.h5", marks=("H3K4me3",))
    with caplog.at_level("INFO"):
        found = evaluate_run(run, few)
    assert "few.h5: predicted without H3K27me3, H3K36me3, which it lacks" in caplog.text
    assert "units" not in caplog.text
    assert "marks used: H3K4me3, 1 of 3" in found.notes
    assert not any("marks used" in note for note in evaluate_run(run).notes)


def test_what_cannot_be_says_why(
    run: Path, make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    data = make_file("other.h5", n_genes=200)
    foreign = make_file("foreign.h5", marks=("H3K9ac",))
    more = make_file("more.h5", marks=(*ALL[:2], "H3K9ac"))
    with pytest.raises(MismatchError, match="knows no mark 'H3K4me2'; did you mean"):
        predict_genes(run, data, available=["H3K4me2"])
    with pytest.raises(MismatchError, match="'H3K4me3' is named twice"):
        predict_genes(run, data, available=["H3K4me3", "H3K4me3"])
    with pytest.raises(MismatchError, match="no mark 'H3K36me3'"):
        predict_genes(run, more, available=["H3K36me3"])
    with pytest.raises(MismatchError, match="has H3K9ac besides"):
        predict_genes(run, more)
    predict_genes(run, more, available=["H3K4me3"])
    with pytest.raises(MismatchError, match="lacks H3K4me3"):
        predict_genes(run, foreign)
    train_model(data, tmp_path / "plain", model="crnn", training=quick)
    with pytest.raises(MismatchError, match="cannot do without any") as caught:
        predict_genes(tmp_path / "plain", data, available=["H3K4me3"])
    assert "--mark-dropout" in str(caught.value)
    with pytest.raises(MismatchError, match=r"lacks H3K27me3[\s\S]*--mark-dropout"):
        predict_genes(tmp_path / "plain", make_file("two.h5", marks=(ALL[0], ALL[2])))
    with pytest.raises(ChromeError, match="cannot say what each is worth"):
        by_marks(evaluate_run(tmp_path / "plain").evidence)
    alone = evaluate_run(run, data, available=["H3K4me3"]).evidence
    with pytest.raises(ChromeError, match="one mark to use"):
        by_marks(alone)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "logistic"}, "logistic is fitted by scikit-learn"),
        ({"normalise": "none"}, "--normalise none"),
        ({"marks": ["H3K4me3"]}, "needs two marks"),
    ],
)
def test_mark_dropout_where_it_cannot_be(
    make_file: MakeFile, tmp_path: Path, dropping: TrainConfig, options: Any, message: str
) -> None:
    a, t = make_file("a.h5", seed=1), make_file("t.h5", seed=2)
    with pytest.raises(ChromeError, match=message):
        train_model(a, tmp_path / "run", recipe="paper", training=dropping, **options)
    with pytest.raises(ChromeError, match=message):
        adapt_model(
            a, t, tmp_path / "run", recipe="paper", method="source_only", training=dropping,
            **options,
        )  # fmt: skip


def test_the_worth_of_each_mark(run: Path) -> None:
    evidence = evaluate_run(run).evidence
    found = by_marks(evidence)
    assert [one.mark for one in found.marks] == list(ALL)
    rows = evidence.parts[0][1]
    label = evidence.genes.label[rows]
    assert found.all_marks == pytest.approx(auroc(label, evidence.own[rows]))
    for one in found.marks:
        rest = [mark for mark in ALL if mark != one.mark]
        for value, marks in ((one.alone, [one.mark]), (one.left_out, rest)):
            asked = predict_genes(run, evidence.path, available=marks).probability[rows]
            assert value == pytest.approx(auroc(label, asked))
        assert one.alone > 0.6


def test_the_command_line(inside: Cli, make_file: MakeFile, tmp_path: Path) -> None:
    a = make_file("a.h5", n_genes=200)
    trained = inside(
        "train", a, "-o", "run", "--model", "crnn", "--epochs", 2, "--mark-dropout", 0.3,
        "--device", "cpu",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    done = inside("evaluate", "run", "--by-marks", "--bootstrap", 0, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("AUROC by marks") :].splitlines()
    assert [line.split()[0] for line in table[2:]] == list(ALL)
    as_json = inside("evaluate", "run", "--by-marks", "--bootstrap", 0, "--json", "--device", "cpu")
    assert len(json.loads(as_json.stdout)["by_marks"]["marks"]) == 3
    some = inside("predict", "run", a, "-o", "-", "--marks-available", "H3K4me3, H3K36me3")
    assert some.returncode == 0, some.stderr
    assert len(some.stdout.splitlines()) == 201
    for arguments, code, message in (
        (["--marks-available", "H3K4me3,"], 2, "a name is empty"),
        (["--marks-available", "H3K4me3", "--mark", "H3K4me3"], 2, "--mark and"),
        (["--marks-available", "H3K4me4"], 1, "did you mean"),
    ):
        wrong = inside("predict", "run", a, "-o", "-", *arguments)
        assert wrong.returncode == code
        assert message in wrong.stderr
