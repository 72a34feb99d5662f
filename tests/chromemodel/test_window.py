"""``--window-bp``: a model on the middle of wider windows, and the files it takes then."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chromemodel.adapt.protocol import adapt_model
from chromemodel.config import TrainConfig
from chromemodel.data.dataset import read_signals
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.train.single import train_model
from chromeprep.errors import MismatchError
from chromeprep.format import ChromeBins, MarkTable, write_bins

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
QUICK = TrainConfig(epochs=2, batch_size=16)
SMALL = {"dense_kernels": [3], "kernels": 4, "features": 6, "label_widths": [4]}


def narrowed(wide: ChromeBins, bins: int) -> ChromeBins:
    """The middle of a file, as if it had been binned so."""
    middle = wide.attributes.n_bins // 2
    signal = wide.signal[:, :, middle - bins // 2 : middle + bins // 2]
    flank = bins // 2 * wide.attributes.bin_size_bp
    attributes = replace(wide.attributes, n_bins=bins, flank_bp=flank)
    marks = MarkTable.build(wide.mark_names, signal, units=["signal"] * len(wide.marks))
    return replace(wide, attributes=attributes, marks=marks, signal=signal)


@pytest.fixture
def both(make_bins: MakeBins, tmp_path: Path) -> tuple[Path, Path]:
    wide = make_bins(n_bins=20)
    # A slope along the window, so that the middle has other statistics than the whole.
    wide.signal[:] += np.abs(np.arange(20) - 9.5).astype(np.float32)
    wide = replace(wide, marks=MarkTable.build(wide.mark_names, wide.signal, units=["signal"] * 3))
    write_bins(tmp_path / "wide.h5", wide)
    write_bins(tmp_path / "narrow.h5", narrowed(wide, 8))
    return tmp_path / "wide.h5", tmp_path / "narrow.h5"


def test_the_middle_is_what_a_narrow_file_has(both: tuple[Path, Path]) -> None:
    wide, narrow = both
    cut, own = read_signals(wide, window_bp=400), read_signals(narrow)
    np.testing.assert_array_equal(cut.raw, own.raw)
    np.testing.assert_allclose(cut.own.mean, own.own.mean, rtol=1e-6)
    np.testing.assert_allclose(cut.own.std, own.own.std, rtol=1e-6)
    assert replace(cut.layout, window_named=False) == own.layout
    whole = read_signals(wide, window_bp=1000)
    assert whole.layout.n_bins == 20
    np.testing.assert_array_equal(whole.own.mean, read_signals(wide).own.mean)


@pytest.mark.parametrize("normalise", ["file", "training"])
def test_a_run_on_the_middle(both: tuple[Path, Path], tmp_path: Path, normalise: str) -> None:
    wide, narrow = both
    done = train_model(
        wide, tmp_path / "run", recipe="paper", window_bp=400, options=SMALL, training=QUICK,
        baseline=False, normalise=normalise,  # type: ignore[arg-type]
    )  # fmt: skip
    layout = json.loads((tmp_path / "run/config.json").read_text())["layout"]
    assert (layout["flank_bp"], layout["n_bins"], layout["window_named"]) == (400, 8, True)
    assert evaluate_run(tmp_path / "run").scores[0].metrics == done.scores[2].metrics
    a, b = (predict_genes(tmp_path / "run", path).probability for path in both)
    np.testing.assert_allclose(a, b, atol=1e-5)
    # A run of narrow windows that were not asked for takes no wider ones.
    train_model(
        narrow, tmp_path / "own", recipe="paper", options=SMALL, training=QUICK, baseline=False
    )
    with pytest.raises(MismatchError, match="flank is 1000 bp, expected 400 bp"):
        predict_genes(tmp_path / "own", wide)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (1100, "1100 bp on either side is wider than the file's; the file has 1000 bp"),
        (450, "450 bp on either side does not end between two bins"),
        (50, "50 bp on either side does not end between two bins"),
    ],
)
def test_windows_that_cannot_be_cut(
    both: tuple[Path, Path], tmp_path: Path, window: int, message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MismatchError, match=message):
        train_model(both[0], tmp_path / "run", window_bp=window)
    assert sorted(tmp_path.iterdir()) == before


def test_files_that_do_not_hold_the_window(
    both: tuple[Path, Path], make_file: MakeFile, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_model(
        both[0], run, recipe="paper", window_bp=600, options=SMALL, training=QUICK, baseline=False
    )
    with pytest.raises(MismatchError, match="600 bp on either side is wider") as caught:
        predict_genes(run, both[1])
    assert "--flank 600 --bin-size 100" in str(caught.value)
    with pytest.raises(MismatchError, match="bin size is 50 bp, expected 100 bp"):
        predict_genes(run, make_file("fine.h5", bin_size=50, n_bins=40))
    with pytest.raises(MismatchError, match="orientation is genome"):
        predict_genes(run, make_file("genome.h5", orientation="genome", n_bins=20))


def test_adapting_on_the_middle(both: tuple[Path, Path], tmp_path: Path) -> None:
    wide, narrow = both
    done = adapt_model(
        wide, narrow, tmp_path / "run", recipe="paper", window_bp=400, options=SMALL,
        training=QUICK, baseline=False,
    )  # fmt: skip
    assert done.config.layout.n_bins == 8
    assert evaluate_run(tmp_path / "run").scores[1].metrics == done.scores[1].metrics


def test_the_option(
    inside: Callable[..., subprocess.CompletedProcess[str]], both: tuple[Path, Path]
) -> None:
    done = inside(
        "train", "wide.h5", "-o", "run", "--model=deepchrome.mlp", "--window-bp=400", "--epochs=1"
    )
    assert done.returncode == 0, done.stderr
    assert inside("evaluate", "run", "--data", "narrow.h5").returncode == 0
    assert inside("train", "wide.h5", "-o", "r", "--window-bp=0").returncode == 2
    assert inside("train", "wide.h5", "-o", "r", "--window-bp=330").returncode == 1
