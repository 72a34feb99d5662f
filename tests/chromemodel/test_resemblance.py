"""Which cell types is one like, and what do they say of a gene? Against writing it out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from chromemodel.config import PanelChoice, Split
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.fusion.combine import Fusion, fit_fusion, logit, sigmoid
from chromemodel.fusion.features import fit_panel_model
from chromemodel.fusion.resemblance import FEWEST_GENES, PENALTIES, resemble
from chromemodel.fusion.store import read_fusion
from chromemodel.serial import from_json, to_json
from chromemodel.train.single import train_model
from chromeprep.format import GeneTable, Panel, write_panel

MakeFile = Callable[..., Path]
GENES = 900


def made(seed: int, genes: int = 320, cells: int = 4) -> tuple[NDArray[np.float64], ...]:
    rng = np.random.default_rng(seed)
    others = rng.gamma(2, size=(genes, 1)) + rng.normal(size=(genes, cells))
    return others[:, 1] + rng.normal(size=genes), others


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_gene_is_told_by_the_others(seed: int) -> None:
    marks, others = made(seed, 301)
    size = np.linalg.svd(others - others.mean(0), compute_uv=False) ** 2
    told = {}
    for penalty in PENALTIES:
        alone = []
        for gene in range(len(marks)):
            rest = np.arange(len(marks)) != gene
            # The penalty does not know that a gene is missing, nor does the scale of the mean.
            ridge = Ridge(alpha=penalty * size.mean()).fit(others[rest], marks[rest])
            alone.append(float(ridge.predict(others[gene : gene + 1])[0]))
        told[penalty] = np.array(alone)
    best = min(PENALTIES, key=lambda penalty: float(np.mean((marks - told[penalty]) ** 2)))
    found = resemble(marks, others)
    assert found is not None
    np.testing.assert_allclose(found.logit, told[best], atol=1e-8)


def test_a_genes_own_word_does_not_come_back() -> None:
    marks, others = made(3)
    before = resemble(marks, others)
    moved = marks.copy()
    moved[7] += 0.5
    after = resemble(moved, others)
    assert before is not None
    assert after is not None
    assert abs(after.logit[7] - before.logit[7]) < 1e-9
    assert np.abs(after.logit - before.logit).max() > 1e-4


def test_the_order_of_genes_and_cell_types_does_not_matter() -> None:
    marks, others = made(4)
    found = resemble(marks, others)
    order = np.random.default_rng(0).permutation(len(marks))
    turned = resemble(marks[order], others[order][:, ::-1])
    assert found is not None
    assert turned is not None
    np.testing.assert_allclose(turned.logit, found.logit[order], atol=1e-9)
    np.testing.assert_allclose(turned.correlation, found.correlation[::-1], atol=1e-9)
    assert found.correlation.argmax() == 1


def test_few_genes_and_cell_types_that_say_nothing() -> None:
    marks, others = made(5)
    assert resemble(marks[: FEWEST_GENES - 1], others[: FEWEST_GENES - 1]) is None
    flat = resemble(marks, np.ones_like(others))
    assert flat is not None
    assert (flat.correlation == 0).all()
    # Nothing is left to say but the mean of the other genes.
    rest = (marks.sum() - marks) / (len(marks) - 1)
    np.testing.assert_allclose(flat.logit, rest, atol=1e-9)
    same = resemble(np.zeros(len(marks)), others)
    assert same is not None
    assert np.abs(same.logit).max() < 1e-12


# --- in the fusion ----------------------------------------------------------------------------


def world(like: str, seed: int) -> tuple[NDArray[np.float64], Panel, NDArray[np.int8]]:
    """Marks of a cell type that is like one of the panel, that panel, and its labels."""
    rng = np.random.default_rng(1)
    names = list("PQRSTUVW")
    shared = rng.normal(size=(GENES, 1))
    special = rng.normal(size=(GENES, len(names)))
    ids = [f"ENSG{index:011d}" for index in range(GENES)]
    panel = Panel.build(ids, names, np.exp(shared + special), near_duplicate=0.999)
    own = shared[:, 0] + special[:, names.index(like)]
    noise = np.random.default_rng(seed).normal(size=GENES)
    return sigmoid(own + 1.5 * noise), panel, (own > 0).astype(np.int8)


def table_of(label: NDArray[np.int8]) -> GeneTable:
    ids = [f"ENSG{index:011d}" for index in range(GENES)]
    return GeneTable.build(ids, ["1"] * GENES, [0] * GENES, [1] * GENES, ["+"] * GENES, label=label)


def test_a_new_cell_type_is_told_by_those_it_is_like_without_labels() -> None:
    marks, panel, label = world("R", 0)
    fusion = fit_fusion(
        fit_panel_model(panel), panel, table_of(label), marks, table_of(label), "s.h5"
    )
    assert fusion.three is not None
    assert fusion.three.resemblance > 0
    other, _, truth = world("U", 1)
    hidden = table_of(np.full(GENES, -1, dtype=np.int8))
    told = fusion.tell(other, panel, hidden)
    assert told.like[0][0] == "U"
    assert told.like[0][1] > 0.3
    two = from_json(Fusion, to_json(fusion) | {"three": None}).tell(other, panel, hidden)
    assert two.like == ()
    assert auroc(truth, told.probability) > auroc(truth, two.probability) + 0.02
    few = fusion.tell(other[:50], panel, hidden.take(np.arange(GENES) < 50))
    np.testing.assert_array_equal(few.probability, two_of(fusion, other[:50], panel))


def two_of(fusion: Fusion, marks: NDArray[np.float64], panel: Panel) -> NDArray[np.float32]:
    """Put together by hand what a file of few genes is told."""
    from chromemodel.fusion.features import panel_features

    said = fusion.panel.logit(panel_features(panel.summary))[: len(marks)]
    both = fusion.two.intercept + fusion.two.marks * logit(marks) + fusion.two.panel * said
    return sigmoid(both).astype(np.float32)


def test_a_run_says_whom_its_cell_type_is_like(make_file: MakeFile, tmp_path: Path) -> None:
    data = make_file("a.h5", n_genes=GENES, noise=4, cell_type="A")
    rng = np.random.default_rng(2)
    ids = [f"ENSG{index:011d}" for index in range(GENES)]
    shared = np.random.default_rng(99).normal(size=(GENES, 1))
    values = np.exp(shared + rng.normal(size=(GENES, 5)))
    write_panel(tmp_path / "p.h5", Panel.build(ids, list("PQRST"), values))
    run = train_model(
        data, tmp_path / "run", model="logistic", split=Split(rule="thirds"), baseline=False,
        panel=PanelChoice(str(tmp_path / "p.h5")),
    )  # fmt: skip
    assert read_fusion(tmp_path / "run").three is not None
    (words,) = (note for note in run.notes if "most like" in note)
    assert words.startswith("panel: by its marks it is most like ")
    assert any("cell types it is like, fitted to" in note for note in run.notes)
    scores = json.loads((tmp_path / "run/metrics.json").read_text())["scores"]
    again = evaluate_run(tmp_path / "run").scores
    by_name = {(one["model"], one["part"]): one["auroc"] for one in scores}
    fused = next(one for one in again if one.model == "logistic + panel")
    assert fused.metrics.auroc == by_name["logistic + panel", "test"]
    with (tmp_path / "run/predictions.tsv").open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert len(rows) == GENES


@pytest.mark.parametrize("genes", [1, 2])
def test_the_fewest_genes(genes: int) -> None:
    assert resemble(np.zeros(genes), np.zeros((genes, 3))) is None
