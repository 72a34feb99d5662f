from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from chromemodel.config import Quantiles
from chromemodel.data.quantiles import (
    EVEN,
    fit_quantiles,
    map_quantiles,
    read_quantiles,
    write_quantiles,
)
from chromeprep.errors import RunError

Values = NDArray[np.float32]
FEW = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 7.0, 40.0, float("nan")])
some = arrays(np.float32, st.integers(1, 60), elements=FEW)
any_float = st.floats(-1000, 1000, width=32) | FEW
wide = arrays(np.float32, st.integers(1, 60), elements=any_float)


def mapped(values: Values, source: Values) -> Values:
    return map_quantiles(values, fit_quantiles(values), fit_quantiles(source))


def heavy(n: int = 20_000, seed: int = 0) -> Values:
    """Half zeros, the rest with a long tail: more different values than are kept."""
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 1.5, size=n) * (rng.random(n) < 0.5)
    return values.astype(np.float32)


@given(wide)
def test_onto_itself_nothing_changes(values: Values) -> None:
    np.testing.assert_allclose(mapped(values, values), values, rtol=1e-6, atol=1e-6)


def test_onto_itself_nothing_changes_with_many_values() -> None:
    values = heavy()
    assert 500 < len(fit_quantiles(values).value) < len(np.unique(values))
    np.testing.assert_allclose(mapped(values, values), values, rtol=1e-6)


@pytest.mark.parametrize(
    "distort", [lambda x: 3 * x + 2, lambda x: x**2, np.sqrt, np.arcsinh, lambda x: x / 128]
)
def test_what_rises_is_undone(distort: Callable[[Values], Values]) -> None:
    counts = np.random.default_rng(0).poisson(3, size=(100, 20)).astype(np.float32)
    np.testing.assert_allclose(mapped(distort(counts), counts), counts, rtol=1e-6)
    source = heavy()
    target = distort(source)
    kept = np.isin(target, np.array(fit_quantiles(target).value, dtype=np.float32))
    assert kept.sum() > 10_000
    back = mapped(target, source)
    np.testing.assert_allclose(back[kept], source[kept], rtol=1e-6)
    np.testing.assert_allclose(back, source, rtol=0.05, atol=0.01)


@given(wide, wide)
def test_order_ties_gaps_and_range(values: Values, source: Values) -> None:
    out = mapped(values, source)
    known = ~np.isnan(values)
    if np.isnan(source).all():
        assert np.isnan(out).all()
        return
    np.testing.assert_array_equal(np.isnan(out), ~known)
    order = np.argsort(values[known], kind="stable")
    before, after = values[known][order], out[known][order]
    assert (np.diff(after) >= 0).all()
    assert (np.diff(after)[np.diff(before) == 0] == 0).all()
    if known.any():
        assert after.min() >= np.nanmin(source)
        assert after.max() <= np.nanmax(source)


def test_another_sample_of_the_same_gets_its_distribution() -> None:
    source, target = heavy(seed=1), 5 * heavy(30_000, seed=2) ** 2
    out = mapped(target.astype(np.float32), source)
    at = np.linspace(0.55, 0.999, 50)
    np.testing.assert_allclose(np.quantile(out, at), np.quantile(source, at), rtol=0.03)
    assert (out[target == 0] < 0.01).all()
    assert out.std() == pytest.approx(source.std(), rel=0.05)


def test_ties_are_at_the_middle_of_their_ranks() -> None:
    calls = np.array([0] * 8 + [1] * 2, dtype=np.float32)
    assert fit_quantiles(calls) == Quantiles((0.4, 0.9), (0.0, 1.0))
    # Fewer zeros: theirs is a rank below all of the source's. The ones are at 0.8, between both.
    more = np.array([0] * 6 + [1] * 4, dtype=np.float32)
    np.testing.assert_allclose(np.unique(mapped(more, calls)), [0, 0.8], rtol=1e-6)
    fewer = np.array([0] * 9 + [1], dtype=np.float32)
    np.testing.assert_allclose(np.unique(mapped(fewer, calls)), [0.1, 1], rtol=1e-6)
    # However many ones: a call never vanishes, as it would with quantiles of single values.
    most = np.array([0] + [1] * 9, dtype=np.float32)
    assert mapped(most, calls).max() == pytest.approx(0.3)


def test_marks_that_do_not_vary() -> None:
    zeros, source = np.zeros(50, np.float32), np.array([0, 0, 3, 5], np.float32)
    np.testing.assert_array_equal(mapped(zeros, zeros), zeros)
    np.testing.assert_array_equal(mapped(source, np.full(9, 4, np.float32)), np.full(4, 4))
    # Nothing is known of the order: all get the middle.
    np.testing.assert_allclose(mapped(zeros, source), 2)
    unknown = np.full(3, np.nan, np.float32)
    assert fit_quantiles(unknown) == Quantiles((), ())
    assert np.isnan(mapped(unknown, source)).all()
    assert np.isnan(mapped(source, unknown)).all()


@given(some)
def test_few_values_are_all_kept(values: Values) -> None:
    found = fit_quantiles(values)
    known = values[~np.isnan(values)]
    assert found.value == tuple(np.unique(known).tolist())
    for level, value in zip(found.level, found.value, strict=True):
        below, ties = (known < value).mean(), (known == value).mean()
        assert level == pytest.approx(below + ties / 2)


def test_the_ends_are_kept_in_fine_steps() -> None:
    values = np.arange(200_000, dtype=np.float32)
    found = np.array(fit_quantiles(values).value)
    assert EVEN < len(found) < EVEN + 110
    assert (found[0], found[-1]) == (0, 199_999)
    assert (found > 199_999 - 100).sum() > 20


def test_through_a_file_and_back(tmp_path: Path) -> None:
    marks = ("H3K4me3", "H3K27me3")
    kept = (fit_quantiles(heavy(3000)), Quantiles((), ()))
    path = tmp_path / "quantiles.safetensors"
    write_quantiles(path, marks, kept)
    assert read_quantiles(path, marks) == kept
    assert read_quantiles(path, marks[::-1]) == kept[::-1]
    with pytest.raises(RunError, match="does not hold the quantiles of H3K9me3"):
        read_quantiles(path, ("H3K9me3",))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RunError, match="cut short"):
        read_quantiles(path, marks)
    path.unlink()
    with pytest.raises(RunError, match="safetensors is missing"):
        read_quantiles(path, marks)
