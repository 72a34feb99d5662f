"""What predicts TransferChrome with less work predicts the same."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chromemodel.models import create_model
from chromemodel.models.folded import Folded, FoldedTransferChrome, Sixteens, attended
from chromemodel.models.transferchrome import TransferChrome

MARKS, GENES = 3, 4
OTHERS = ("alpha", "beta", "v1", "v2", "v3")
VARIANTS = ["transferchrome", *(f"transferchrome.{name}" for name in OTHERS)]


def made(name: str, options: dict[str, object], bins: int) -> TransferChrome:
    """Return a model in eval mode, whose normalisation has seen something."""
    torch.manual_seed(3)
    model = create_model(name, options, n_marks=MARKS, n_bins=bins).double()
    assert isinstance(model, TransferChrome)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.normal_(part.weight)  # negative ones too
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return model.eval()


def signal(bins: int) -> torch.Tensor:
    return torch.randn(GENES, MARKS, bins, dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(
    bins=st.integers(4, 40),
    dense_kernels=st.lists(st.sampled_from([1, 4, 8, 16, 20]), max_size=3),
    kernels=st.sampled_from([3, 16, 18, 34, 50]),
    convolutions=st.integers(1, 2),
    widths=st.sampled_from([(5, 5), (3, 3), (3, 5)]),
    relu_first=st.booleans(),
    batch_norm=st.booleans(),
    pool=st.integers(1, 4),
    position=st.sampled_from(["distance", "signed", "sinusoidal", "none"]),
    attention_layers=st.integers(0, 3),
    attention_scale=st.booleans(),
    attention_residual=st.booleans(),
    feature_relu=st.booleans(),
)
def test_any_options(
    bins: int, widths: tuple[int, int], dense_kernels: list[int], **options: object
) -> None:
    more = {"dense_kernels": tuple(dense_kernels), "dense_width": widths[0], "width": widths[1]}
    model = made("transferchrome", options | more, bins)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, drawn = signal(bins), torch.get_rng_state()
    with torch.no_grad():
        expected = model(x)
        asked = x.clone()
        torch.testing.assert_close(model.folded(torch.float64)(asked), expected)
    assert torch.equal(asked, x)
    assert torch.equal(torch.get_rng_state(), drawn)  # it is asked between epochs of training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == before[name].dtype


@settings(max_examples=30, deadline=None)
@given(
    bins=st.integers(4, 40),
    first=st.lists(st.sampled_from([3, 16]), max_size=2),
    last=st.sampled_from([4, 8, 14]),
    kernels=st.sampled_from([18, 34, 50]),
    width=st.sampled_from([3, 5]),
    pool=st.integers(1, 3),
    attention_layers=st.integers(0, 2),
    attention_residual=st.booleans(),
)
def test_options_that_leave_room_for_the_kernels_beyond_sixteens(
    bins: int, first: list[int], last: int, width: int, **options: object
) -> None:
    more = {"dense_kernels": (*first, last), "dense_width": width, "width": width}
    model = made("transferchrome", options | more, bins)
    assert Sixteens.suits(model)
    x, drawn = signal(bins), torch.get_rng_state()
    with torch.no_grad():
        torch.testing.assert_close(model.folded(torch.float64)(x), model(x))
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize(
    "changed",
    [
        {"relu_first": True},
        {"batch_norm": True},
        {"dense_width": 3},
        {"convolutions": 2},
        {"dense_kernels": ()},
        {"dense_kernels": (32, 15)},  # room for one kernel, not for two
        {"kernels": 48},
        {"kernels": 2},
    ],
)
def test_what_leaves_no_room_is_computed_one_by_one(changed: dict[str, object]) -> None:
    assert Sixteens.suits(made("transferchrome", {}, 20))
    model, x = made("transferchrome", changed, 20), signal(20)
    assert not Sixteens.suits(model)
    with torch.no_grad():
        torch.testing.assert_close(model.folded(torch.float64)(x), model(x))


@pytest.mark.parametrize("offset", [-1000.5, -140.3, -122.3, -70.4, 0.2, 55.7, 110.6, 126.9, 999.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shares_of_scores_in_any_range(offset: float, dtype: torch.dtype) -> None:
    # Scores of a position for itself and the other: the offset, and 8 less.
    z = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]], dtype=dtype)
    query = torch.tensor([[offset, offset - 8], [offset - 8, offset], [0, 0]], dtype=dtype)
    key = torch.tensor([[1, 0], [0, 1], [0, 0]], dtype=dtype)
    scores = (z @ query) @ (z @ key).mT
    expected = torch.softmax(scores.double() * math.log(2), -1) @ z.double()
    found = attended(z, Folded(query, key, None)).double()
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 0.01}[dtype]
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"convolutions": 2}])
def test_the_model_stays_as_it_is(options: dict[str, object]) -> None:
    model = made("transferchrome", options, 20).float().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for dtype in (torch.float32, torch.bfloat16):
        folded = model.folded(dtype)
        with torch.no_grad():
            assert folded.features(signal(20).to(dtype)[:0]).shape == (0, 128)
        assert all(part.training for part in model.modules())
        norms = [one for one in folded.modules() if isinstance(one, nn.BatchNorm1d)]
        assert all(one.weight.dtype == torch.float32 for one in norms)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_variants_in_every_precision(name: str, dtype: torch.dtype) -> None:
    model = made(name, {}, 40)
    assert Sixteens.suits(model) == (name in VARIANTS[:4])
    x = signal(40)
    with torch.no_grad():
        expected = model.features(x)
        single = model.float()
        found = single.folded(dtype).features(x.to(dtype))
    assert found.dtype == dtype
    tolerance = 0.02 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [1, 30, 1000])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_of_any_size(size: float, residual: bool, dtype: torch.dtype) -> None:
    """Powers of 2 overflow float32 at 128, and vanish at -150: there the largest is taken off."""
    model = made("transferchrome", {"attention_residual": residual}, 40)
    with torch.no_grad():
        for layer in model.attention:
            layer.query.weight.mul_(size)  # type: ignore[operator, union-attr]
            layer.query.bias.mul_(size)  # type: ignore[operator, union-attr]
        x = 3 * signal(40)
        expected = model.features(x)
        found = model.to(dtype).folded(dtype).features(x.to(dtype))
    assert found.isfinite().all()
    tolerance = 1e-9 if dtype == torch.float64 else 1e-3
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_what_is_not_a_number_stays_so() -> None:
    model = made("transferchrome", {}, 40)
    x = signal(40)
    x[1, 0, 7] = float("nan")
    with torch.no_grad():
        found = model.folded(torch.float64)(x)
    assert found[1].isnan().all()
    assert found[[0, 2, 3]].isfinite().all()


def test_other_models_predict_themselves() -> None:
    folded = made("transferchrome", {}, 40).folded(torch.float64)
    assert isinstance(folded, FoldedTransferChrome)
    assert not folded.training
    other = create_model("deepchrome", {}, n_marks=MARKS, n_bins=40)
    assert other.folded(torch.float32) is other
