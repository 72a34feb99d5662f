"""Do marks and panel together say what they should, and can nothing that is to be told leak in?"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chromemodel.adapt.protocol import Adapted, adapt_model
from chromemodel.config import FileRecord, PanelChoice, Split, TrainConfig
from chromemodel.evaluate.compare import compare_runs
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.predict import predict_genes
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.fusion.combine import Fusion, fit_fusion, least_confidence, logit, shift, sigmoid
from chromemodel.fusion.features import PanelModel, fit_panel_model, panel_features
from chromemodel.fusion.speakers import open_speakers, panel_digest, speakers_for
from chromemodel.fusion.steps import mean_rank
from chromemodel.fusion.store import FUSION, read_fusion, write_fusion
from chromemodel.serial import from_json, to_json
from chromemodel.train.checkpoint import read_run
from chromemodel.train.single import train_model
from chromeprep.errors import ChromeError, InputError, MismatchError, RunError
from chromeprep.format import ChromeBins, GeneTable, Panel, read_bins, write_panel

MakeFile = Callable[..., Path]
GENES = 400
LACKING = 20  # the last genes of the files are not in the panel
OTHERS = tuple("PQRSTU")
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
HALF = Split(rule="adapt", validation_fraction=0.3)
TEST_PART = HALF.test_words


def made_panel(known: float = 1.0, seed: int = 5, genes: int = GENES) -> Panel:
    """A panel of source A, its near duplicate A2, target B and others.

    ``known`` is how much the others say of the genes' activity, which is that of `small_world`.
    """
    shared = np.random.default_rng(99).normal(size=genes)
    rng = np.random.default_rng(seed)
    own = {name: shared + 0.3 * rng.normal(size=genes) for name in "AB"}
    own["A2"] = own["A"] + 0.01 * rng.normal(size=genes)
    noise = rng.normal(size=(len(OTHERS), genes))
    own |= {
        name: known * shared + (1.01 - known) * values
        for name, values in zip(OTHERS, noise, strict=True)
    }
    values = np.exp(np.column_stack(list(own.values())))
    ids = [f"ENSG{index:011d}" for index in range(genes)]
    return Panel.build(
        ids[:-LACKING], list(own), values[:-LACKING], near_duplicate=0.95 if known < 1 else 0.9999
    )


def record(cell_type: str) -> FileRecord:
    return FileRecord("f.h5", cell_type, "hg19", 1, "", ())


@pytest.fixture(scope="module")
def panel() -> Panel:
    return made_panel(0.5)


@pytest.fixture
def panel_file(panel: Panel, tmp_path: Path) -> PanelChoice:
    write_panel(tmp_path / "panel.h5", panel)
    return PanelChoice(str(tmp_path / "panel.h5"))


@pytest.fixture
def world(make_file: MakeFile) -> tuple[Path, Path]:
    source = make_file("a.h5", n_genes=GENES, noise=4, cell_type="A")
    return source, make_file("b.h5", n_genes=GENES, noise=4, seed=1, cell_type="B")


@pytest.fixture
def adapted(world: tuple[Path, Path], panel_file: PanelChoice, tmp_path: Path) -> Adapted:
    return adapt(world, tmp_path / "run", panel_file)


def adapt(world: tuple[Any, Path], out: Path, choice: PanelChoice | None, **more: Any) -> Adapted:
    more = {"method": "source_only", "model": "logistic", "split": HALF} | more
    return adapt_model(*world, out, panel=choice, **more)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def found(scores: Any, part: str) -> dict[str, float]:
    return {score.model: score.metrics.auroc for score in scores if score.part == part}


# --- the arithmetic ---------------------------------------------------------------------------


@given(st.lists(st.floats(1e-5, 1 - 1e-5), min_size=1, max_size=20))
def test_logit_and_sigmoid_are_inverse(values: list[float]) -> None:
    exact = np.array(values)
    np.testing.assert_allclose(sigmoid(logit(exact)), exact, rtol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=40))
def test_least_confidence_is_the_least_that_is_right_often_enough(
    genes: list[tuple[int, int]],
) -> None:
    label = np.array([one for one, _ in genes])
    probability = np.array([two / 20 for _, two in genes])
    confidence = np.maximum(probability, 1 - probability)
    right = (probability >= 0.5) == (label == 1)
    enough = [c for c in np.unique(confidence) if right[confidence >= c].mean() >= 0.8]
    bound = least_confidence(label, probability, 0.8)
    assert bound == (min(enough) if enough else None)


def test_features_do_not_depend_on_the_order_of_cell_types(panel: Panel) -> None:
    turned = Panel.build(panel.gene_id, panel.cell_type[::-1], panel.expression[:, ::-1])
    np.testing.assert_allclose(panel_features(panel.summary), panel_features(turned.summary))


def test_the_panels_own_model_tells_a_cell_type_it_has_not_seen(panel: Panel) -> None:
    others = panel.without(["A", "A2", "B"])
    said = fit_panel_model(others).logit(panel_features(others.summary))
    label = panel.high[:, panel.cell_type == "B"][:, 0]
    assert auroc(label, sigmoid(said)) > 0.9
    # The logit is calibrated for new cell types, so it is on the right side of 0 mostly.
    assert np.mean((said > 0) == label) > 0.8


def test_near_duplicates_alone_teach_nothing() -> None:
    values = np.random.default_rng(0).gamma(1, size=(50, 1)) + np.zeros((1, 4))
    with pytest.raises(MismatchError, match="near duplicates"):
        fit_panel_model(Panel.build(range(50), list("ABCD"), values))


def halves(panel: Panel, strength: float) -> tuple[GeneTable, NDArray[np.float64]]:
    """Genes with the labels of cell type B, and a probability that knows so much of them."""
    rng = np.random.default_rng(3)
    label = panel.high[:, panel.cell_type == "B"][:, 0].astype(np.int8)
    n = len(label)
    genes = GeneTable.build(panel.gene_id, ["1"] * n, [0] * n, [1] * n, ["+"] * n, label=label)
    return genes, sigmoid(strength * (2 * label - 1) + 2 * rng.normal(size=n))


@pytest.mark.parametrize(
    ("known", "strength", "least", "most"),
    [(1.0, 1, 0.94, 1), (0.0, 1, -0.02, 0.02), (0.5, 0, 0.9, 1), (0.5, 20, 0.999, 1)],
    ids=["perfect panel", "useless panel", "useless marks", "perfect marks"],
)
def test_the_better_evidence_wins(known: float, strength: float, least: float, most: float) -> None:
    whole = made_panel(known, genes=2000)
    genes, marks = halves(whole, strength)
    others = whole.without(["A", "A2", "B"])
    fit, test = np.arange(len(genes)) % 2 == 0, np.arange(len(genes)) % 2 == 1
    fusion = fit_fusion(
        fit_panel_model(others), others, genes.take(fit), marks[fit], genes.take(fit), "s.h5"
    )
    told = fusion.tell(marks[test], others, genes.take(test))
    area = auroc(genes.label[test], told.probability)
    alone = auroc(genes.label[test], told.marks)
    assert least <= (area - alone if known == 0 else area) <= most
    sure = ~told.uncertain
    if sure.sum() > 100:
        calls = told.probability[sure] >= 0.5
        assert np.mean(calls == genes.label[test][sure]) > 0.9


def test_marks_that_lean_to_one_side_are_centred() -> None:
    whole = made_panel(0.5, genes=2000)
    genes, marks = halves(whole, 2)
    others = whole.without(["A", "A2", "B"])
    model = fit_panel_model(others)
    fusion = fit_fusion(model, others, genes, marks, genes, "s.h5")
    leaning = sigmoid(logit(marks) + 3)
    told = fusion.tell(leaning, others, genes)
    straight = fusion.tell(marks, others, genes)
    np.testing.assert_allclose(told.probability, straight.probability, atol=1e-5)
    np.testing.assert_allclose(told.marks, leaning, rtol=1e-6)
    # A file of genes that are mostly high does not look like marks that lean.
    high = straight.panel > 0.7
    some = fusion.tell(marks[high], others, genes.take(high))
    assert np.abs(some.probability - straight.probability[high]).mean() < 0.01


def test_validation_genes_must_be_in_the_panel(panel: Panel) -> None:
    genes = GeneTable.build(["x", "y"], ["1"] * 2, [0] * 2, [1] * 2, ["+"] * 2, label=[0, 1])
    with pytest.raises(InputError, match="0 of 2 labelled validation genes are in the panel"):
        fit_fusion(fit_panel_model(panel), panel, genes, np.array([0.1, 0.9]), genes, "s.h5")


def test_mean_rank_is_half_where_nothing_is_known(panel: Panel) -> None:
    ids = [panel.gene_id[np.argmax(panel.summary.mean_log1p)], "x"]
    genes = GeneTable.build(ids, ["1"] * 2, [0] * 2, [1] * 2, ["+"] * 2)
    rank = mean_rank(panel, genes)
    assert rank[0] > 0.99
    assert rank[1] == 0.5


# --- who may speak ----------------------------------------------------------------------------


def test_source_target_and_relatives_are_left_out(
    panel_file: PanelChoice, make_bins: Callable[..., ChromeBins]
) -> None:
    genes = make_bins(GENES).genes
    speakers = open_speakers(panel_file, [(record("A"), genes)], record("B"))
    assert speakers.record.cell_types == OTHERS
    assert set(speakers.record.left_out) == {"A", "A2", "B"}
    assert "A2 (nearly A)" in speakers.notes[0]
    assert all(name in speakers.notes[0] for name in OTHERS)
    kept = open_speakers(
        replace(panel_file, relatives=False, leave_out=("P",)), [(record("A"), genes)], record("B")
    )
    assert kept.record.cell_types == ("A2", *OTHERS[1:])
    with pytest.raises(MismatchError, match="did you mean 'A2'"):
        open_speakers(replace(panel_file, leave_out=("AA2",)), [(record("A"), genes)], None)
    choice = replace(panel_file, leave_out=OTHERS[:4])
    with pytest.raises(MismatchError, match="2 of 9 cell types are left"):
        open_speakers(choice, [(record("A"), genes)], record("B"))


def test_a_source_of_another_name_is_known_by_its_expression(
    panel: Panel, panel_file: PanelChoice, make_bins: Callable[..., ChromeBins]
) -> None:
    genes = make_bins(GENES).genes
    rows = np.arange(len(panel.gene_id))
    own = np.full(GENES, np.nan)
    own[rows] = 3 * panel.expression[:, 0]
    genes = replace(genes, expression=own)
    speakers = open_speakers(panel_file, [(record("my cells"), genes)], record("B"))
    assert set(speakers.record.left_out) == {"A", "A2", "B"}
    assert not any("warning" in note for note in speakers.notes)
    unlike = replace(genes, expression=np.random.default_rng(0).normal(size=GENES))
    speakers = open_speakers(panel_file, [(record("my cells"), unlike)], record("your cells"))
    assert speakers.record.left_out == ()
    assert sum("warning" in note and "--panel-leave-out" in note for note in speakers.notes) == 2


def test_who_speaks_of_a_later_file(panel: Panel, panel_file: PanelChoice) -> None:
    genes = GeneTable.build(["x"], ["1"], [0], [1], ["+"])
    kept = open_speakers(panel_file, [(record("A"), genes)])
    later = speakers_for(panel, kept.record, record("P"))
    assert set(later.panel.cell_type) == {"B", *OTHERS[1:]}
    assert "left out for f.h5: P" in later.notes[0]
    assert "warning" in speakers_for(panel, kept.record, record("new")).notes[0]
    assert speakers_for(panel, kept.record, record("new"), ["new"]).notes == ()


def test_a_digest_knows_values_genes_and_cell_types(panel: Panel) -> None:
    values = panel.expression.copy()
    values[0, 0] += 1
    renamed = panel.cell_type.copy()
    renamed[0] = "Z"
    digests = {
        panel_digest(one)
        for one in (panel, replace(panel, expression=values), replace(panel, cell_type=renamed))
    }
    assert len(digests) == 3


# --- runs -------------------------------------------------------------------------------------


def test_an_adapted_run_tells_how_much_each_said(adapted: Adapted, tmp_path: Path) -> None:
    rows = table(tmp_path / "run/predictions.tsv")
    assert list(rows[0])[5:] == [
        "probability", "call", "label", "uncertain", "marks_probability", "panel_probability",
        "part",
    ]  # fmt: skip
    for row in rows[-LACKING:]:
        assert row["panel_probability"] == ""
        assert row["probability"] == row["marks_probability"]
    inner = rows[:-LACKING]
    assert all(row["panel_probability"] for row in inner)
    assert any(row["probability"] != row["marks_probability"] for row in inner)
    weights = read_fusion(tmp_path / "run")
    for row in inner:
        sure = max(float(row["probability"]), 1 - float(row["probability"]))
        if abs(sure - weights.confidence) > 1e-4:
            assert row["uncertain"] == str(int(sure < weights.confidence))
    marks, said = (
        logit(np.array([row[f"{one}_probability"] for row in inner], dtype=float))
        for one in ("marks", "panel")
    )
    assert weights.three is None  # too few genes
    both = weights.two.logit(marks, said)
    share = sigmoid(both).mean()
    both = both + shift(both, float(np.mean([float(row["probability"]) for row in inner])))
    assert abs(sigmoid(both).mean() - share) > 1e-3  # it was of another file
    written = [float(row["probability"]) for row in inner]
    np.testing.assert_allclose(sigmoid(both), written, atol=1e-4)


def test_the_table_of_an_adapted_run(adapted: Adapted) -> None:
    scores = found(adapted.scores, TEST_PART)
    together = scores["source_only + panel"]
    assert together > scores["source_only"] + 0.02
    assert together > scores["panel mean (no model)"] - 0.01
    apart = found(adapted.scores, f"{TEST_PART}, variable in the panel")
    assert set(apart) == {"source_only", "source_only + panel", "panel mean (no model)"}
    words = " ".join(adapted.notes)
    assert "panel: 6 cell types: P, Q, R, S, T, U; left out: A (itself); A2 (nearly A)" in words
    assert f"; {adapted.test_genes - adapted.seen.panel} by the marks alone" in words
    assert "the expression of" in adapted.seen.words
    assert "validation genes of the source" in words


def test_several_sources_are_all_left_out(
    world: tuple[Path, Path], make_file: MakeFile, panel_file: PanelChoice, tmp_path: Path
) -> None:
    data = read_bins(world[0])
    other = replace(data, attributes=replace(data.attributes, cell_type="P"))
    more = make_file("p.h5", other)
    done = adapt(([world[0], more], world[1]), tmp_path / "two", panel_file)
    assert json.loads((done.path / "config.json").read_text())["version"] == 2
    assert {"A", "A2", "P"} <= set(done.config.panel.left_out)
    predict_genes(tmp_path / "two", world[1], tmp_path / "again.tsv")
    first = table(tmp_path / "two/predictions.tsv")
    again = table(tmp_path / "again.tsv")
    assert [row["probability"] for row in first] == [row["probability"] for row in again]


def test_marks_alone_are_as_without_a_panel(
    adapted: Adapted, world: tuple[Path, Path], tmp_path: Path
) -> None:
    without = adapt(world, tmp_path / "plain", None)
    with_panel = {(score.model, score.part): score for score in adapted.scores}
    for score in without.scores:
        assert with_panel[score.model, score.part] == score
    assert not (tmp_path / "plain" / FUSION).exists()
    plain = [row["probability"] for row in table(tmp_path / "plain/predictions.tsv")]
    assert plain == [row["marks_probability"] for row in table(tmp_path / "run/predictions.tsv")]


def test_labels_of_the_target_reach_nothing(
    adapted: Adapted, world: tuple[Path, Path], make_file: MakeFile, panel_file: PanelChoice,
    tmp_path: Path,
) -> None:  # fmt: skip
    data = read_bins(world[1])
    order = np.random.default_rng(0).permutation(GENES)
    genes = replace(
        data.genes, label=data.genes.label[order], expression=data.genes.expression[order]
    )
    other = make_file("c.h5", replace(data, genes=genes))
    adapt((world[0], other), tmp_path / "other", panel_file)
    for one, two in zip(
        table(tmp_path / "run/predictions.tsv"), table(tmp_path / "other/predictions.tsv"),
        strict=True,
    ):  # fmt: skip
        assert one | {"label": ""} == two | {"label": ""}
    assert (tmp_path / "run" / FUSION).read_bytes() == (tmp_path / "other" / FUSION).read_bytes()


def test_the_left_out_reach_nothing(
    adapted: Adapted, world: tuple[Path, Path], panel: Panel, tmp_path: Path
) -> None:
    values = panel.expression.copy()
    values[:, panel.cell_type == "B"] = np.random.default_rng(1).gamma(
        1, size=(len(values), 1)
    )  # another target
    changed = Panel.build(
        panel.gene_id, panel.cell_type, values, near_duplicate=panel.near_duplicate
    )
    write_panel(tmp_path / "changed.h5", changed)
    adapt(world, tmp_path / "other", PanelChoice(str(tmp_path / "changed.h5")))
    for name in (FUSION, "predictions.tsv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_run_read_again_predicts_the_same(
    adapted: Adapted, world: tuple[Path, Path], tmp_path: Path
) -> None:
    written = table(tmp_path / "run/predictions.tsv")
    predict_genes(adapted.path, world[1], tmp_path / "p.tsv")
    again = table(tmp_path / "p.tsv")
    assert again == [{key: row[key] for key in again[0]} for row in written]
    scores = found(evaluate_run(adapted.path).scores, TEST_PART)
    told = found(adapted.scores, TEST_PART)
    for name in ("source_only", "source_only + panel", "panel mean (no model)"):
        assert scores[name] == told[name]


def test_a_method_and_its_source_only_run_have_a_fusion_each(
    world: tuple[Path, Path], panel_file: PanelChoice, tmp_path: Path
) -> None:
    quick = TrainConfig(optimizer="adam", lr=0.01, batch_size=64, epochs=2, threads=1)
    done = adapt(
        world,
        tmp_path / "run",
        panel_file,
        method="dann",
        model="transferchrome",
        options=SMALL,
        training=quick,
    )
    scores = found(done.scores, TEST_PART)
    assert {"dann", "dann + panel", "source_only", "source_only + panel"} <= set(scores)
    one, two = (read_run(tmp_path / "run" / name).fusion for name in ("", "source_only"))
    assert one is not None
    assert two is not None
    assert one.panel == two.panel
    assert one != two


def test_a_run_on_one_file_is_carried_to_another(
    world: tuple[Path, Path], panel_file: PanelChoice, tmp_path: Path
) -> None:
    trained = train_model(world[0], tmp_path / "run", model="random_forest", panel=panel_file)
    scores = found(trained.scores, "test")
    assert scores["random_forest + panel"] > scores["random_forest"]
    assert trained.config.panel is not None
    assert trained.config.panel.left_out == ("A", "A2")
    carried = evaluate_run(tmp_path / "run", world[1])
    assert carried.evidence.speakers is not None
    assert set(carried.evidence.speakers.panel.cell_type) == set(OTHERS)
    assert carried.seen[0].protocol == "new-genes"
    assert carried.seen[0].to_json()["expression_in_panel"] > 0
    apart = found(carried.scores, "test genes (unseen in training), variable in the panel")
    assert "random_forest + panel" in apart
    plain = train_model(world[0], tmp_path / "plain", model="random_forest")
    compared = compare_runs(tmp_path / "run", plain.path, world[1], replicates=0)
    assert compared.scores[0].metrics.auroc > compared.scores[1].metrics.auroc
    assert [seen.panel > 0 for seen in compared.seen] == [True, False]


def test_damaged_fusions_are_told(adapted: Adapted, tmp_path: Path) -> None:
    path = tmp_path / "run" / FUSION
    whole = json.loads(path.read_text())
    fusion = read_fusion(tmp_path / "run")
    assert from_json(Fusion, json.loads(json.dumps(to_json(fusion)))) == fusion
    write_fusion(tmp_path, replace(fusion, confidence=None))
    assert read_fusion(tmp_path).confidence is None
    for change in ({"intercept": "x"}, {"panel": whole["panel"] | {"mean": [1.0]}}):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(RunError, match=r"fusion\.json"):
            read_run(tmp_path / "run")
    path.unlink()
    with pytest.raises(RunError, match="is missing"):
        read_run(tmp_path / "run")


def test_a_panel_model_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="features are"):
        PanelModel(("mean",), (0.0,), (1.0,), (1.0,), 0.0)


def test_no_validation_genes_no_fusion(
    world: tuple[Path, Path], panel_file: PanelChoice, tmp_path: Path
) -> None:
    with pytest.raises(ChromeError, match="none are held out"):
        adapt(world, tmp_path / "run", panel_file, split=replace(HALF, validation_fraction=0.0))
    assert not (tmp_path / "run").exists()


# --- the command line -------------------------------------------------------------------------


def test_the_command_line(
    world: tuple[Path, Path], panel_file: PanelChoice, inside: Callable[..., Any], tmp_path: Path
) -> None:
    done = inside(
        "adapt", "--source", "a.h5", "--target", "b.h5", "-o", "run", "--model", "logistic",
        "--method", "source_only", "--validation-fraction", "0.3", "--panel", "panel.h5",
        "--panel-leave-out", "P",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "source_only + panel" in done.stdout
    assert "P (itself)" in done.stderr
    plain = inside("predict", "run", "b.h5", "-o", "-")
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.startswith("gene_id\tgene_name")
    assert "\tuncertain\tmarks_probability\tpanel_probability\n" in plain.stdout

    (tmp_path / "panel.h5").rename(tmp_path / "moved.h5")
    gone = inside("predict", "run", "b.h5", "-o", "-")
    assert gone.returncode == 1
    assert "no longer there" in gone.stderr
    assert "--panel" in gone.stderr
    moved = inside("predict", "run", "b.h5", "-o", "-", "--panel", "moved.h5")
    assert moved.stdout == plain.stdout
    assert inside("evaluate", "run", "--bootstrap", "0").returncode == 1
    done = inside("evaluate", "run", "--panel", "moved.h5", "--bootstrap", "0")
    assert done.returncode == 0, done.stderr
    assert "source_only + panel" in done.stdout

    write_panel(tmp_path / "other.h5", made_panel(0.4))
    wrong = inside("predict", "run", "b.h5", "-o", "-", "--panel", "other.h5")
    assert wrong.returncode == 1
    assert "is not the panel of the run" in wrong.stderr


def test_options_without_a_panel(
    world: tuple[Path, Path], panel_file: PanelChoice, inside: Callable[..., Any]
) -> None:
    done = inside("train", "a.h5", "-o", "run", "--panel-leave-out", "A")
    assert done.returncode == 2
    assert "need a --panel" in done.stderr
    done = inside("train", "a.h5", "-o", "run", "--model", "logistic")
    assert done.returncode == 0, done.stderr
    done = inside("predict", "run", "a.h5", "-o", "-", "--panel", "panel.h5")
    assert done.returncode == 1
    assert "trained without a panel" in done.stderr


# --- real chromatin ---------------------------------------------------------------------------


@pytest.mark.slow
def test_panel_and_marks_of_real_cell_types(
    real_data: Path, chromeprep: Callable[..., Any], inside: Callable[..., Any], tmp_path: Path
) -> None:
    calls = real_data / "bigwig" / "genomewide"
    rpkm = real_data / "roadmap" / "57epigenomes.RPKM.pc.gz"
    if not calls.is_dir():
        pytest.skip(f"no genome-wide calls: {calls} is not there")
    # The panel holds source and target; the run must leave them out by itself.
    made = chromeprep("panel", "--expression", rpkm, "--leave-out", "E000", "-o", "panel.h5")
    assert made.code == 0, made.err
    for name in ("E116", "E003"):
        tracks = [
            f"--bigwig={calls}/{name}-{mark}.calls200bp.hg19.bw"
            for mark in ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3")
        ]
        made = chromeprep(
            "bin", *tracks, "--gtf", real_data / "annotation" / "gencode_10_genes.gtf.gz",
            "--expression", rpkm, "--cell-type", name, "--assembly", "hg19", "-o", f"{name}.h5",
        )  # fmt: skip
        assert made.code == 0, made.err
    done = inside(
        "train", "E116.h5", "-o", "run", "--model", "logistic", "--split", "chromosome",
        "--panel", "panel.h5", "--panel-leave-out", "E003",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out: E003 (itself); E024 (nearly E003)" in done.stderr
    evaluation = evaluate_run(tmp_path / "run", tmp_path / "E003.h5")
    part = evaluation.seen[0].part
    for subset, least in (("", 0.945), (", variable in the panel", 0.83)):
        areas = found(evaluation.scores, part + subset)
        together = areas.pop("logistic + panel")
        assert together > least
        assert together > max(areas.values()) + 0.01, areas
