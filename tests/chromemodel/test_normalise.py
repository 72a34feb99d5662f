from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chromemodel.config import Normalisation
from chromemodel.data.normalise import Scale, fit_scale, normalise, z_score
from chromeprep.format import ChromeBins

MakeBins = Callable[..., ChromeBins]


def test_file_is_the_z_score_of_all_genes_and_bins(make_bins: MakeBins) -> None:
    data = make_bins(50, scale=7)
    own = Scale(data.marks.mean, data.marks.std)
    out = normalise(data.signal, Normalisation("file"), own)
    assert out.dtype == np.float32
    for mark in range(3):
        raw = data.signal[:, mark].astype(np.float64)
        np.testing.assert_allclose(out[:, mark], (raw - raw.mean()) / raw.std(), atol=1e-5)


def test_scale_does_not_matter_with_file_statistics(make_bins: MakeBins) -> None:
    one, ten = make_bins(40), make_bins(40, scale=10)
    a, b = (
        normalise(d.signal, Normalisation("file"), Scale(d.marks.mean, d.marks.std))
        for d in (one, ten)
    )
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_nan_becomes_the_mean() -> None:
    signal = np.array([[[1, 3]], [[np.nan, 5]]], dtype=np.float32)
    own = fit_scale(signal)
    assert own.mean.tolist() == [3.0]
    assert own.std[0] == pytest.approx(np.sqrt(8 / 3))
    out = normalise(signal, Normalisation("file"), own)
    assert out[1, 0, 0] == 0
    raw = normalise(signal, Normalisation("none"), own)
    assert raw.tolist() == [[[1, 3]], [[3, 5]]]
    assert np.isnan(signal[1, 0, 0]), "the raw signal must not change"


def test_a_mark_that_never_varies_and_one_that_is_unknown() -> None:
    signal = np.full((2, 2, 3), 4, dtype=np.float32)
    signal[:, 1] = np.nan
    assert z_score(signal, fit_scale(signal)).tolist() == np.zeros((2, 2, 3)).tolist()
    unknown = Scale(np.array([4.0, np.nan]), np.array([0.0, np.nan]))
    assert (z_score(signal, unknown) == 0).all()


def test_training_statistics_are_kept_for_another_file() -> None:
    rule = Normalisation("training", (1.0,), (2.0,))
    signal = np.array([[[1, 5]]], dtype=np.float32)
    own = Scale(np.array([100.0]), np.array([50.0]))
    assert normalise(signal, rule, own).tolist() == [[[0, 2]]]


def test_large_counts_keep_their_spread() -> None:
    signal = (16_000_000 + np.arange(4, dtype=np.float32)).reshape(4, 1, 1)
    out = z_score(signal, fit_scale(signal)).ravel()
    np.testing.assert_allclose(out, (np.arange(4) - 1.5) / np.std(np.arange(4)), atol=1e-6)
