"""Does the summary of a mark say what numpy says?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from chromeprep.stats import mark_statistics

VALUES = st.one_of(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.0, 1.0, np.nan]))


@given(arrays(np.float32, array_shapes(max_dims=2, max_side=40), elements=VALUES))
def test_as_numpy_of_doubles(values: NDArray[np.float32]) -> None:
    before = values.copy()
    found = mark_statistics(values)
    np.testing.assert_array_equal(values, before)
    known = values[~np.isnan(values)].astype(np.float64)
    if not known.size:
        assert np.isnan(found).all()
        return
    expected = [
        known.mean(), known.std(), *np.percentile(known, [50, 99]), np.mean(known != 0),
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_large_values_far_from_zero_keep_their_spread() -> None:
    values = (1e6 + np.random.default_rng(0).integers(0, 3, 200_000)).astype(np.float32)
    assert mark_statistics(values).std == pytest.approx(values.astype(np.float64).std(), rel=1e-12)
