"""Are the genes of a step shifted and thinned as they are said to be, and nothing else?"""

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

from chromemodel.adapt import create_method
from chromemodel.adapt.base import Batch, Loss
from chromemodel.adapt.deep_coral import DeepCoral
from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import Normalisation, TrainConfig
from chromemodel.data.dataset import read_signals
from chromemodel.evaluate.predict import predict_genes
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet, Labelled
from chromemodel.serial import from_json, to_json
from chromemodel.train import resume
from chromemodel.train.augment import (
    Augmentation,
    Counts,
    counts_of,
    draw_shares,
    draw_shifts,
    shift_genes,
    shifted_copies,
    thin_reads,
)
from chromemodel.train.checkpoint import read_run
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.single import train_model
from chromeprep.errors import ChromeError, InputError
from chromeprep.format import ChromeBins, MarkTable

MakeFile = Callable[..., Path]
MakeBins = Callable[..., ChromeBins]
Cli = Callable[..., subprocess.CompletedProcess[str]]
Transforms = pytest.mark.parametrize("transform", ["none", "log1p", "arcsinh"])


def counted(data: ChromeBins, *, holes: bool = False, units: str = "reads") -> ChromeBins:
    """The same genes with whole numbers of reads, some of them unknown."""
    signal = np.clip(np.round(data.signal * 4), 0, None).astype(np.float32)
    attributes = data.attributes
    if holes:
        signal[::7, :, 2:4] = np.nan
        attributes = replace(attributes, uncovered="nan")
    marks = MarkTable.build(data.marks.mark, signal, units=[units] * len(data.marks))
    return replace(data, attributes=attributes, signal=signal, marks=marks)


@pytest.fixture
def make_counts(make_file: MakeFile, make_bins: MakeBins) -> MakeFile:
    def make(
        name: str = "a.h5", *, holes: bool = False, units: str = "reads", **world: Any
    ) -> Path:
        return make_file(name, counted(make_bins(**world), holes=holes, units=units))

    return make


def plain(genes: int, marks: int) -> Counts:
    """Counts that no normalisation has changed, none of them unknown."""
    like = torch.zeros(genes, marks, dtype=torch.float64)
    return Counts(like, like + 1, like - 1, "none")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- shifts ---------------------------------------------------------------------------------------


@given(
    genes=st.integers(0, 5),
    marks=st.integers(1, 3),
    bins=st.integers(1, 9),
    most=st.integers(0, 12),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=80, deadline=None)
def test_a_shift_is_what_a_loop_would_do(
    genes: int, marks: int, bins: int, most: int, seed: int
) -> None:
    x = torch.randn(genes, marks, bins, generator=seeded(seed))
    shifts = draw_shifts(genes, most, seeded(seed))
    found = shift_genes(x, shifts)
    assert found.shape == x.shape
    for gene in range(genes):
        for place in range(bins):
            origin = min(max(place - int(shifts[gene]), 0), bins - 1)
            assert torch.equal(found[gene, :, place], x[gene, :, origin])


def test_a_shift_of_0_changes_nothing() -> None:
    x = torch.randn(6, 3, 8)
    assert torch.equal(shift_genes(x, torch.zeros(6, dtype=torch.int64)), x)


def test_every_shift_is_as_likely() -> None:
    drawn = draw_shifts(50_000, 2, seeded(0))
    values, counts = drawn.unique(return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert (counts / len(drawn)).numpy() == pytest.approx([0.2] * 5, abs=0.01)
    assert torch.equal(drawn, draw_shifts(50_000, 2, seeded(0)))


def test_copies_have_every_shift_once() -> None:
    x = np.random.default_rng(0).normal(size=(4, 2, 5)).astype(np.float32)
    genes = Labelled(x, np.array([0, 1, 1, 0], dtype=np.int8))
    assert shifted_copies(genes, 0) is genes
    found = shifted_copies(genes, 1)
    np.testing.assert_array_equal(found.label, [0, 1, 1, 0] * 3)
    before, same, after = np.split(found.signal, 3)
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(before[:, :, :-1], x[:, :, 1:])
    np.testing.assert_array_equal(after[:, :, 1:], x[:, :, :-1])


# --- thinning -------------------------------------------------------------------------------------


@given(
    reads=st.lists(st.integers(0, 5000), min_size=6, max_size=6),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=80, deadline=None)
def test_no_bin_has_more_reads_than_before(reads: list[int], share: float, seed: int) -> None:
    x = torch.tensor(reads, dtype=torch.float64).reshape(1, 2, 3)
    shares = torch.full((1, 2), share, dtype=torch.float64)
    kept = thin_reads(x, plain(1, 2), shares, seeded(seed)) * share
    torch.testing.assert_close(kept, kept.round())
    assert (kept.round() <= x).all()
    assert (kept >= 0).all()


@Transforms
def test_the_expected_number_of_reads_stays(transform: Any) -> None:
    reads = torch.tensor([0.0, 1.0, 4.0, 30.0, 400.0], dtype=torch.float64).expand(20_000, 1, 5)
    forward, back = {
        "none": (lambda v: v, lambda v: v),
        "log1p": (torch.log1p, torch.expm1),
        "arcsinh": (torch.asinh, torch.sinh),
    }[transform]
    counts = plain(20_000, 1)._replace(transform=transform)
    counts = counts._replace(mean=counts.mean + 0.7, std=counts.std * 1.3)
    share = torch.full((20_000, 1), 0.3, dtype=torch.float64)
    found = thin_reads((forward(reads) - 0.7) / 1.3, counts, share, seeded(1))
    values = back(found * 1.3 + 0.7)
    deviation = (reads[0, 0] * 0.7 / 0.3).sqrt()
    assert ((values.mean(0)[0] - reads[0, 0]).abs() <= 5 * deviation / 20_000**0.5 + 1e-6).all()
    # What binomial thinning adds: a variance of n (1 - p) / p.
    assert values.std(0)[0].numpy() == pytest.approx(deviation.numpy(), rel=0.03, abs=1e-6)


def test_shares_are_even_between_the_least_and_all() -> None:
    drawn = draw_shares(20_000, 2, 0.2, seeded(3))
    assert (drawn >= 0.2).all()
    assert (drawn <= 1).all()
    assert drawn.mean(0).numpy() == pytest.approx([0.6, 0.6], abs=0.01)
    assert not torch.equal(drawn[:, 0], drawn[:, 1])


@Transforms
@pytest.mark.parametrize("rule", ["file", "training", "none"])
def test_counts_are_found_again_and_unknown_bins_stay(
    make_counts: MakeFile, transform: Any, rule: Any
) -> None:
    signals = read_signals(make_counts(holes=True))
    rows = np.arange(len(signals.genes)) % 3 > 0
    fitted = signals.fitted(Normalisation(rule, transform=transform), rows)
    x = torch.from_numpy(signals.normalised(fitted)[rows])
    counts = counts_of([signals], fitted, rows)
    raw, hole = signals.raw[rows], np.isnan(signals.raw[rows])
    every = torch.ones(x.shape[:2], dtype=torch.float64)
    torch.testing.assert_close(thin_reads(x, counts, every, seeded(0)), x, rtol=1e-5, atol=1e-5)
    found = thin_reads(x, counts, 0.5 * every, seeded(0))
    assert hole.any()
    assert torch.equal(found[hole], x[hole])
    values = found.double() * counts.std[..., None] + counts.mean[..., None]
    back = {"none": values, "log1p": torch.expm1(values), "arcsinh": torch.sinh(values)}[transform]
    kept = back[~hole].numpy() / 2
    np.testing.assert_allclose(kept, kept.round(), atol=1e-3)
    assert (kept.round() <= raw[~hole]).all()
    assert kept.sum() == pytest.approx(raw[~hole].sum() / 2, rel=0.05)


def test_each_file_goes_back_by_its_own_scale(make_counts: MakeFile) -> None:
    a, b = (read_signals(make_counts(f"{n}.h5", seed=n, scale=1 + n)) for n in range(2))
    rows = np.ones(len(a.genes) + len(b.genes), dtype=np.bool_)
    rows[:5] = False
    counts = counts_of([a, b], Normalisation(), rows)
    np.testing.assert_array_equal(counts.mean[0], a.own.mean)
    np.testing.assert_array_equal(counts.std[-1], b.own.std)
    assert len(counts.mean) == rows.sum()


# --- in training ----------------------------------------------------------------------------------


class Spy(DeepCoral):
    """Deep CORAL that keeps its batches."""

    seen: list[Batch]

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        self.seen.append(batch)
        return super().loss(model, batch, progress)


def batches(training: TrainConfig, epochs: int = 2) -> tuple[dict[str, torch.Tensor], FitData]:
    """Train on drawn counts; all batches of source and target, in their order, and the data."""
    draws = seeded(7)
    x, target = (torch.randint(1, 9, (n, 2, 8), generator=draws).float() for n in (80, 60))
    y = torch.arange(80) % 2
    model = create_model("crnn", {}, n_marks=2, n_bins=8)
    spy = Spy(DeepCoral.Config(), model)
    spy.seen = []
    data = FitData(
        x, y, target, x.clone(), y, counts=plain(80, 2), target_counts=plain(60, 2)
    )  # fmt: skip
    Loop(model, spy, data, replace(training, epochs=epochs)).fit()
    whole = {part: torch.cat([getattr(one, part) for one in spy.seen]) for part in ("x", "target")}
    return whole, data


@pytest.mark.parametrize("changes", [{"shift_bins": 2}, {"thin": 0.3}])
def test_every_step_changes_source_and_target(quick: TrainConfig, changes: Any) -> None:
    plain_ones, _ = batches(quick)
    found, data = batches(replace(quick, **changes))
    again, _ = batches(replace(quick, **changes))
    for part in ("x", "target"):
        assert torch.equal(found[part], again[part])
        before, now = plain_ones[part], found[part]
        same = (before == now).flatten(1).all(1).double().mean()
        assert same < 0.35
        # The genes come in the same order: a fifth of the shifts is 0.
        if "shift_bins" in changes:
            assert same == pytest.approx(0.2, abs=0.1)
            middle = {tuple(row) for row in now[0].T.tolist()}
            assert middle <= {tuple(row) for row in before[0].T.tolist()}
        else:
            assert float(now.mean()) == pytest.approx(float(before.mean()), rel=0.05)
    # What validates is whole, and so are the data.
    assert data.validation_x is not None
    assert torch.equal(data.x, data.validation_x)


def test_epochs_differ_and_other_draws_stay(quick: TrainConfig) -> None:
    both = replace(quick, shift_bins=2, thin=0.5, mark_dropout=0.3, batch_size=80)
    found, _ = batches(both)
    alone, _ = batches(replace(quick, mark_dropout=0.3, batch_size=80))
    for part in ("x", "target"):
        # A thinned mark may be 0 as well, but one that is dropped is so in either.
        dropped = (alone[part] == 0).all(2)
        assert dropped.any()
        assert (found[part][dropped] == 0).all()
    model = create_model("crnn", {}, n_marks=2, n_bins=8)
    data = FitData(torch.zeros(1, 2, 8), torch.zeros(1, dtype=torch.int64))
    draws = Loop(model, create_method("source_only", {}, model), data, both).generator
    drawn = {
        (part, number): draw_shifts(100, 2, Augmentation(both, None, draws, part, number).shifting)
        for part in ("source", "target")
        for number in (1, 2)
    }
    assert len({tuple(one.tolist()) for one in drawn.values()}) == 4


def test_without_either_a_batch_is_left_alone(quick: TrainConfig) -> None:
    x, rows = torch.randn(3, 2, 8), torch.arange(3)
    same = Augmentation(quick, None, lambda *_: torch.Generator(), "source", 1)(x, rows)
    assert same is x
    thinning = replace(quick, thin=0.5)
    with pytest.raises(ValueError, match="needs to know the counts"):
        Augmentation(thinning, None, lambda *_: torch.Generator(), "source", 1)(x, rows)


@pytest.mark.parametrize("changes", [{"shift_bins": 1}, {"thin": 0.3, "shift_bins": 1}])
def test_an_interrupted_run_comes_to_the_same(
    make_counts: MakeFile, tmp_path: Path, quick: TrainConfig, changes: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(resume, "EVERY_S", 0.0)
    a, b = make_counts("a.h5", seed=1), make_counts("b.h5", seed=2, cell_type="B")
    training = replace(quick, **changes)

    def adapt(name: str, stop: int = 0) -> Path:
        def on_epoch(method: str, row: Any) -> None:
            if method == "dann" and row.epoch == stop:
                raise KeyboardInterrupt

        return adapt_model(
            a, b, tmp_path / name, model="crnn", method="dann", training=training, on_epoch=on_epoch
        ).path

    whole = adapt("whole")
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            adapt("parts", epoch)
    parts = adapt("parts")
    for name in ("history.csv", "predictions.tsv", "weights.safetensors"):
        for folder in (".", "source_only"):
            assert (whole / folder / name).read_bytes() == (parts / folder / name).read_bytes()


def test_a_checkpoint_of_other_counts_does_not_fit(make_counts: MakeFile) -> None:
    x, y = torch.zeros(3, 1, 2), torch.zeros(3, dtype=torch.int64)
    data = FitData(x, y, counts=plain(3, 1))
    assert data.counts is not None
    other = data._replace(counts=data.counts._replace(std=data.counts.std * 2))
    assert resume.data_digest(data) != resume.data_digest(other)
    assert resume.data_digest(data) != resume.data_digest(data._replace(counts=None))


def test_a_classical_model_is_fitted_to_the_copies(
    make_file: MakeFile, tmp_path: Path, quick: TrainConfig
) -> None:
    a, b = make_file("a.h5", seed=1), make_file("b.h5", seed=2, cell_type="B")

    def roughness(run: Path) -> float:
        weight = read_run(run).model.state_dict()["weight"].reshape(3, 8)
        return float((weight[:, 1:] - weight[:, :-1]).abs().mean() / weight.abs().mean())

    found = []
    for shifts in (0, 2):
        training = replace(quick, shift_bins=shifts)
        options = {"strengths": [0.01]}
        ways: Any = {"model": "logistic", "options": options, "training": training}
        done = train_model(a, tmp_path / f"run-{shifts}", **ways)
        found.append(roughness(done.path))
        adapt_model(a, b, tmp_path / f"adapted-{shifts}", method="source_only", **ways)
    # What holds for every shift is smooth along the bins.
    assert found[1] < 0.7 * found[0]
    one, other = (predict_genes(tmp_path / f"adapted-{shifts}", b).probability for shifts in (0, 2))
    assert not np.allclose(one, other)


# --- where it cannot be ---------------------------------------------------------------------------


def test_configuration(quick: TrainConfig, make_counts: MakeFile, tmp_path: Path) -> None:
    assert not {"shift_bins", "thin"} & to_json(quick).keys()
    assert from_json(TrainConfig, to_json(quick)) == quick
    changed = replace(quick, shift_bins=2, thin=0.5)
    assert from_json(TrainConfig, to_json(changed)) == changed
    for values, message in (
        ({"shift_bins": -1}, "shift_bins is -1"),
        ({"thin": 0.0}, "thin is 0"),
        ({"thin": 1.5}, "thin is 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainConfig(**values)
    for name, training, version in (("run", changed, 5), ("plain", quick, 1)):
        training = replace(training, epochs=1)
        run = train_model(make_counts(), tmp_path / name, model="crnn", training=training).path
        assert json.loads((run / "config.json").read_text())["version"] == version
        assert len(predict_genes(run, make_counts()).genes) == 120


@pytest.mark.parametrize(
    ("training", "options", "message"),
    [
        ({"shift_bins": 4}, {}, "4 is half of the 8 bins"),
        ({"thin": 0.5}, {"model": "logistic"}, "fitted by scikit-learn"),
        ({"thin": 0.5}, {"normalise": "quantile"}, "--normalise quantile"),
        ({"thin": 0.5, "memory": "float16"}, {}, "--memory float16"),
    ],
)
def test_what_cannot_be_says_why(
    make_counts: MakeFile, tmp_path: Path, quick: TrainConfig, training: Any, options: Any,
    message: str,
) -> None:  # fmt: skip
    a, b = make_counts("a.h5", seed=1), make_counts("b.h5", seed=2, cell_type="B")
    ways: Any = {"model": "crnn", "training": replace(quick, **training), **options}
    with pytest.raises(ChromeError, match=message):
        train_model(a, tmp_path / "run", **ways)
    with pytest.raises(ChromeError, match=message):
        adapt_model(a, b, tmp_path / "run", method="source_only", **ways)


def test_only_counts_are_thinned(
    make_counts: MakeFile, make_file: MakeFile, make_bins: MakeBins, tmp_path: Path,
    quick: TrainConfig,
) -> None:  # fmt: skip
    thinning = replace(quick, thin=0.5)
    counts = make_counts("counts.h5")
    scaled = make_counts("scaled.h5", units="cpm")
    depth = make_file("depth.h5", make_bins(units="reads", cell_type="B"))
    with pytest.raises(InputError, match=r"scaled\.h5: mark H3K4me3 is in units 'cpm'") as caught:
        train_model(scaled, tmp_path / "run", model="crnn", training=thinning)
    assert "--mark" in str(caught.value)
    with pytest.raises(InputError, match=r"depth\.h5: mark H3K4me3 has values that are no whole"):
        adapt_model(counts, depth, tmp_path / "run", model="crnn", training=thinning)


def test_the_command_line(inside: Cli, make_counts: MakeFile, make_file: MakeFile) -> None:
    make_counts("a.h5", n_genes=200)
    make_file("signal.h5", n_genes=200)
    quick = ["--model", "crnn", "--epochs", 2, "--device", "cpu", "--no-baseline"]
    done = inside("train", "a.h5", "-o", "run", *quick, "--shift-bins", 1, "--thin", 0.5)
    assert done.returncode == 0, done.stderr
    asked = json.loads(Path("run/config.json").read_text())["training"]
    assert (asked["shift_bins"], asked["thin"]) == (1, 0.5)
    for arguments, code, message in (
        (["a.h5", "--thin", 0], 2, "--thin"),
        (["a.h5", "--shift-bins", -1], 2, "--shift-bins"),
        (["a.h5", "--shift-bins", 4], 1, "--shift-bins 4 is half"),
        (["signal.h5", "--thin", 0.5], 1, "is in units 'signal'; --thin takes counts of reads"),
    ):
        wrong = inside("train", *arguments, "-o", "wrong", *quick)
        assert wrong.returncode == code
        assert message in wrong.stderr
    told = inside("models", "crnn")
    assert "shift" not in told.stdout
    assert "thin" not in told.stdout
    listed = inside("train", "a.h5", "-o", "seeds", *quick, "--shift-bins", 1, "--seeds", 2)
    assert listed.returncode == 0, listed.stderr
