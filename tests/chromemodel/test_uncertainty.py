"""Intervals and tests: the quick sums against plain ones, and what they promise by simulation."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chromemodel.evaluate.metrics import Metrics, auroc, binary_metrics
from chromemodel.evaluate.uncertainty import Ranked, bootstrap, compare_models, delong
from chromeprep.errors import InputError

Floats = NDArray[np.float64]


def world(genes: int, gap: float, seed: int, models: int = 1) -> tuple[NDArray[np.int64], Floats]:
    """Labels (genes,) and probabilities (models, genes): normal scores that are a gap apart."""
    rng = np.random.default_rng(seed)
    label = (rng.random(genes) < 0.5).astype(np.int64)
    label[:2] = 0, 1
    common = rng.normal(size=genes)
    score = np.stack([common + rng.normal(size=genes) + gap * label for _ in range(models)])
    return label, 1 / (1 + np.exp(-score))


genes = st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(st.lists(genes, min_size=2, max_size=25))
def test_counted_metrics_are_those_of_the_genes_written_out(
    rows: list[tuple[int, int, int]],
) -> None:
    label = np.array([row[0] for row in rows])
    probability = np.array([row[1] / 8 for row in rows])
    counts = np.array([row[2] for row in rows])
    written = np.repeat(np.arange(len(rows)), counts)
    if len(np.unique(label[written])) < 2:
        return
    found = Ranked(label, probability).metrics(counts[None].astype(float))
    expected = binary_metrics(label[written], probability[written])
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


def plain_delong(label: NDArray[np.int64], scores: Floats) -> tuple[list[float], Floats]:
    """Equations 2 to 6 of DeLong 1988 as they stand, every pair of genes looked at."""
    high, low = np.flatnonzero(label == 1), np.flatnonzero(label == 0)

    def psi(x: float, y: float) -> float:
        return 1.0 if y < x else 0.5 if y == x else 0.0

    pairs = np.array([[[psi(score[i], score[j]) for j in low] for i in high] for score in scores])
    areas = [float(one.mean()) for one in pairs]
    v10, v01 = pairs.mean(axis=2), pairs.mean(axis=1)
    s10, s01 = np.zeros((2, 2)), np.zeros((2, 2))
    for r in range(2):
        for s in range(2):
            s10[r, s] = sum((v10[r] - areas[r]) * (v10[s] - areas[s])) / (len(high) - 1)
            s01[r, s] = sum((v01[r] - areas[r]) * (v01[s] - areas[s])) / (len(low) - 1)
    return areas, s10 / len(high) + s01 / len(low)


@pytest.mark.parametrize("decimals", [6, 1])
def test_delong_by_midranks_is_delong_by_pairs(decimals: int) -> None:
    label, scores = world(40, 0.8, 3, models=2)
    scores = scores.round(decimals)
    areas, covariance = plain_delong(label, scores)
    found = delong(label, *scores)
    assert found.auroc == pytest.approx(areas)
    assert areas == pytest.approx([auroc(label, one) for one in scores])
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
    z = (areas[0] - areas[1]) / math.sqrt(
        covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    )
    assert found.z == pytest.approx(z)
    assert found.p == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(abs(z) / math.sqrt(2)))))


def test_delong_rejects_as_often_as_it_says() -> None:
    """Under no difference a p-value below 0.05 comes once in twenty."""
    p = [delong(*_two(world(120, 1.0, seed, models=2))).p for seed in range(300)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.085
    assert 0.42 <= np.mean(p) <= 0.58


def _two(drawn: tuple[NDArray[np.int64], Floats]) -> tuple[NDArray[np.int64], Floats, Floats]:
    return drawn[0], drawn[1][0], drawn[1][1]


def test_delong_of_equal_and_of_perfect_models() -> None:
    label = np.array([0, 0, 1, 1])
    right, wrong = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.9, 0.8, 0.2, 0.1])
    assert delong(label, right, right**2).p == 1.0
    assert delong(label, right, wrong).p == 0.0
    assert delong(np.array([0, 1]), right[[0, 3]], wrong[[0, 3]]).p == 0.0
    with pytest.raises(InputError, match="label 0 and of label 1"):
        delong(np.ones(4), right, wrong)


@pytest.mark.parametrize("stratified", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_say(stratified: bool) -> None:
    # Normal scores of variance 2 that are 1.2 apart; the accuracy of a cut at half of the gap.
    truth = {"auroc": 0.5 * (1 + math.erf(1.2 / 2 / math.sqrt(2))), "accuracy": 0.0}
    truth["accuracy"] = 0.5 * (1 + math.erf(0.6 / 2))
    inside = dict.fromkeys(truth, 0)
    for seed in range(150):
        label, (probability,) = world(150, 1.2, seed)
        shift = np.log(probability / (1 - probability)) - 0.6
        found = bootstrap(
            label, 1 / (1 + np.exp(-shift)), replicates=200, seed=seed, stratified=stratified
        )
        for name, value in truth.items():
            inside[name] += getattr(found.low, name) <= value <= getattr(found.high, name)
    for name, times in inside.items():
        assert 0.90 <= times / 150 <= 0.99, name


def test_samples_follow_the_seed_and_the_strata() -> None:
    label, (probability,) = world(300, 1.0, 0)
    first, again, other = (bootstrap(label, probability, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.low.positive_share == first.high.positive_share == label.mean()
    free = bootstrap(label, probability, stratified=False)
    assert free.low.positive_share < label.mean() < free.high.positive_share
    assert first.replicates == 1000
    assert (first.low.genes, first.high.genes) == (300, 300)
    narrow = bootstrap(label, probability, seed=1, level=0.5)
    for name in ("auroc", "auprc", "accuracy", "f1", "mcc", "brier"):
        low, high = getattr(first.low, name), getattr(first.high, name)
        assert low < getattr(narrow.low, name) < getattr(narrow.high, name) < high
        assert low < getattr(binary_metrics(label, probability), name) < high
    # Samples of a few genes may lack a class; such a one is drawn anew.
    small = bootstrap(np.array([0, 0, 1]), np.array([0.2, 0.6, 0.7]), stratified=False)
    assert 0 < small.low.positive_share <= small.high.positive_share < 1


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    label, scores = world(600, 1.2, 5, models=2)
    better = np.clip(scores[0] + 0.05 * (label - 0.5), 0, 1)
    found = compare_models(label, better, scores[0])
    alone = bootstrap(label, better)
    assert found.interval is not None
    assert found.value.auroc == pytest.approx(auroc(label, better) - auroc(label, scores[0]))
    assert 0 < found.interval.low.auroc < found.value.auroc < found.interval.high.auroc
    assert (found.value.genes, found.value.positive_share) == (600, label.mean())
    width = found.interval.high.auroc - found.interval.low.auroc
    assert width < (alone.high.auroc - alone.low.auroc) / 3
    assert found.delong_p < 1e-6
    back = compare_models(label, scores[0], better)
    assert back.value.brier == -found.value.brier
    same = compare_models(label, better, better)
    assert same.interval is not None
    assert {*same.interval.low[2:], *same.interval.high[2:]} == {0.0}
    assert same.delong_p == 1.0
    assert compare_models(label, better, scores[0], replicates=0).interval is None


def test_intervals_of_many_genes_come_in_seconds() -> None:
    label, (probability,) = world(20_000, 1.0, 0)
    start = time.process_time()
    found = bootstrap(label, probability, replicates=1000)
    assert time.process_time() - start < 10  # 1.5 s on an idle machine
    # The standard error of an AUROC of 0.76 on so many genes is about 0.0033.
    assert found.high.auroc - found.low.auroc == pytest.approx(4 * 0.0033, rel=0.15)


def test_columns_are_the_fields() -> None:
    label, (probability,) = world(50, 1.0, 0)
    found = Ranked(label, probability).metrics(np.ones((3, 50)))
    assert found.shape == (3, len(Metrics._fields))
