from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromemodel.evaluate.baselines import fit_logistic
from chromemodel.evaluate.calibration import calibration
from chromemodel.evaluate.metrics import auroc, binary_metrics, call
from chromemodel.tasks import CLASSIFICATION
from chromeprep.errors import InputError
from chromeprep.format import ChromeBins, GeneTable

MakeBins = Callable[..., ChromeBins]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=30).filter(
        lambda pairs: len({label for label, _ in pairs}) == 2
    )
)
def test_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, int]]) -> None:
    label = np.array([pair[0] for pair in pairs])
    probability = np.array([pair[1] / 5 for pair in pairs])
    high, low = probability[label == 1], probability[label == 0]
    wins = sum(float(a > b) + 0.5 * float(a == b) for a in high for b in low)
    assert auroc(label, probability) == pytest.approx(wins / (len(high) * len(low)))


def test_by_hand() -> None:
    label = np.array([1, 1, 0, 0, 1])
    probability = np.array([0.9, 0.5, 0.6, 0.1, 0.3])
    found = binary_metrics(label, probability)
    assert call(probability).tolist() == [1, 1, 1, 0, 0]
    assert found.genes == 5
    assert found.positive_share == pytest.approx(0.6)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.auroc == pytest.approx(4 / 6)
    # Ranked: 1, 0, 1, 1, 0; precision at each high gene.
    assert found.auprc == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    # Right 2 of 3 called, 1 of 2 not called.
    assert found.mcc == pytest.approx((2 * 1 - 1 * 1) / np.sqrt(3 * 3 * 2 * 2))
    assert found.brier == pytest.approx((0.01 + 0.25 + 0.36 + 0.01 + 0.49) / 5)
    # Bins of 0.1, each with one gene.
    assert found.ece == pytest.approx((0.1 + 0.5 + 0.6 + 0.1 + 0.7) / 5)


@pytest.mark.parametrize("label", [[1, 1], [0, 0], [0, 1, -1]])
def test_one_class_is_an_error(label: list[int]) -> None:
    with pytest.raises(InputError, match="label 0 and of label 1"):
        binary_metrics(np.array(label), np.linspace(0, 1, len(label)))


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_an_error(wrong: float) -> None:
    with pytest.raises(InputError, match="1 of 2 probabilities are"):
        binary_metrics(np.array([0, 1]), np.array([0.1, wrong]))


def test_all_called_alike_have_no_correlation() -> None:
    assert binary_metrics(np.array([0, 1, 1]), np.array([0.6, 0.7, 0.8])).mcc == 0.0


def test_calibration_bins() -> None:
    label = np.array([0, 0, 1, 1, 1, 0])
    probability = np.array([0.0, 0.2, 0.3, 0.5, 1.0, 0.5])
    halves = calibration(label, probability, bins=2)
    assert halves.genes.tolist() == [3, 3]  # 0.5 is in the upper bin
    np.testing.assert_allclose(halves.probability, [0.5 / 3, 2 / 3])
    np.testing.assert_allclose(halves.positive_share, [1 / 3, 2 / 3])
    assert halves.error == pytest.approx(0.5 * (1 / 3 - 0.5 / 3))
    tenths = calibration(label, probability)
    assert (tenths.genes.tolist(), len(tenths.edges)) == ([1, 1, 1, 2, 1], 11)
    mass = calibration(label, probability, bins=3, rule="mass")
    assert mass.genes.tolist() == [2, 1, 3]  # both 0.5 together


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40),
    st.sampled_from(["width", "mass"]),
)
def test_calibration_keeps_every_gene(
    pairs: list[tuple[int, float]], rule: Literal["width", "mass"]
) -> None:
    label, probability = (np.array(column) for column in zip(*pairs, strict=True))
    found = calibration(label, probability, rule=rule)
    assert found.genes.sum() == len(label)
    assert (found.positive_share * found.genes).sum() == pytest.approx(label.sum())
    assert (found.probability * found.genes).sum() == pytest.approx(probability.sum())
    # Bins can hide distances, not add any.
    assert abs(label.mean() - probability.mean()) - 1e-9 <= found.error <= 1


def test_parts_leave_out_unknown_labels() -> None:
    label = np.array([0, 1, -1, 1, 0], dtype=np.int8)
    parts = np.array(["a", "a", "a", "b", "c"], dtype=object)
    n = len(label)
    genes = GeneTable.build(list("vwxyz"), ["1"] * n, [0] * n, [1] * n, ["+"] * n, label=label)
    (score,) = CLASSIFICATION.score_parts("m", genes, np.linspace(0, 1, 5), parts, ["a", "b"])
    assert (score.model, score.part, score.metrics.genes) == ("m", "a", 2)
    assert score.to_json()["auroc"] == 1.0


def test_logistic_regression_finds_the_marks(make_bins: MakeBins) -> None:
    data = make_bins(300)
    fitted = fit_logistic(data.signal[:200], data.genes.label[:200])
    probability = fitted.probability(data.signal[200:])
    assert probability.shape == (100,)
    assert auroc(data.genes.label[200:], probability) > 0.9
    # The mark that falls with activity has the other sign.
    weights = fitted.model.coef_.reshape(3, 8)
    assert weights[0].sum() > 0 > weights[1].sum()
