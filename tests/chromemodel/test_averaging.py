"""Do the runs of several seeds answer with their mean?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromemodel.config import Split, TrainConfig
from chromemodel.evaluate.averaging import mean_of
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.predictions import ExpressionPredictions, Predictions
from chromemodel.fusion.combine import Told
from chromemodel.train.seeds import runs_in, train_seeds
from chromeprep.errors import RunError
from chromeprep.format import ChromeBins

MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]


def log_odds(probability: Any) -> Any:
    return np.log(probability) - np.log1p(-probability)


@pytest.fixture
def seeds(make_file: MakeFile, tmp_path: Path, quick: TrainConfig) -> Path:
    train_seeds(
        make_file(), tmp_path / "all", range(3), model="crnn", baseline=False,
        training=quick, split=Split(),
    )  # fmt: skip
    return tmp_path / "all"


def test_a_folder_of_seeds_answers_with_the_mean_logit(seeds: Path, make_file: MakeFile) -> None:
    other = make_file("b.h5", seed=2, cell_type="B")
    alone = [predict_genes(seeds / f"seed-{n}", other).answer.astype(float) for n in range(3)]
    assert not np.allclose(alone[0], alone[1], atol=1e-3)
    found = predict_genes(seeds, other)
    assert isinstance(found, Predictions)
    mean = sum(log_odds(one) for one in alone) / 3
    np.testing.assert_allclose(log_odds(found.answer.astype(float)), mean, atol=1e-4)


def test_a_run_is_a_folder_of_itself(seeds: Path, tmp_path: Path) -> None:
    assert runs_in(seeds) == [seeds / f"seed-{n}" for n in range(3)]
    assert runs_in(seeds / "seed-1") == [seeds / "seed-1"]
    assert runs_in(tmp_path / "nothing") == [tmp_path / "nothing"]


def test_expression_is_averaged_as_it_is(make_bins: Callable[..., ChromeBins]) -> None:
    genes = make_bins(2).genes
    said = [ExpressionPredictions(genes, np.array([n, 4.0 * n], np.float32)) for n in (1, 2)]
    assert mean_of(said).answer.tolist() == [1.5, 6.0]
    assert mean_of(said[:1]) is said[0]


def test_marks_and_panel_are_averaged_each(make_bins: Callable[..., ChromeBins]) -> None:
    genes = make_bins(2).genes

    def one(both: float, marks: float, panel: float, *, uncertain: bool) -> Predictions:
        values = [np.array([value, value], np.float32) for value in (both, marks, panel)]
        values[2][1] = np.nan
        told = Told(*values, np.array([uncertain, False]), (("X", 0.5),))
        return Predictions(genes, values[0], told=told)

    found = mean_of(
        [one(0.5, 0.9, 0.2, uncertain=True), one(0.9, 0.1, 0.2, uncertain=False)]
    )  # fmt: skip
    assert isinstance(found, Predictions)
    assert found.told is not None
    # The odds 1 and 9 have a geometric mean of 3.
    assert found.answer.tolist() == pytest.approx([0.75, 0.75])
    assert found.told.probability is found.probability
    assert found.told.marks.tolist() == pytest.approx([0.5, 0.5])
    assert found.told.panel[0] == pytest.approx(0.2)
    assert np.isnan(found.told.panel[1])
    assert found.told.uncertain.tolist() == [True, False]
    assert found.told.like == (("X", 0.5),)


def test_what_is_not_of_one_command_is_refused(
    seeds: Path, make_file: MakeFile, quick: TrainConfig, tmp_path: Path
) -> None:
    config = seeds / "seed-2/config.json"
    before = config.read_text()
    config.write_text(before.replace('"rule": "file"', '"rule": "none"'))
    with pytest.raises(RunError, match="seed-2: is another model than seed-0"):
        predict_genes(seeds, make_file())
    config.unlink()
    with pytest.raises(RunError, match=r"config\.json is missing"):
        predict_genes(seeds, make_file())
    config.write_text(before)
    summary = seeds / "seeds.json"
    for text in ("{}", "not JSON", json.dumps({"seeds": ["x"]}), json.dumps({"seeds": []})):
        summary.write_text(text)
        with pytest.raises(RunError, match="seeds"):
            runs_in(seeds)


def test_the_command(seeds: Path, inside: Cli) -> None:
    done = inside("predict", "all", "a.h5", "-o", "-", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 121
    wrong = inside("predict", "all", "a.h5", "-o", "all/seed-0/table.tsv")
    assert wrong.returncode == 1
    assert "is in the run folder" in wrong.stderr
