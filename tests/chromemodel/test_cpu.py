"""What is written for the speed of a CPU computes what its plain counterpart in torch does."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv1d, max_pool1d

from benchmarks.plain import plain_copy
from chromemodel.models import cpu, create_model
from chromemodel.models.blocks import ConvLayer, DenseBlock, Dropout, MaxPool, SelfAttention
from chromemodel.models.transferchrome import TransferChrome
from chromemodel.train.device import computing, onednn_multiplies_float32, seeded

SIZES = {"genes": st.integers(1, 5), "channels": st.integers(1, 9), "bins": st.integers(1, 12)}


def plainly() -> mock._patch[object]:
    """Compute as on any other device."""
    return mock.patch.object(cpu, "is_plain_cpu", return_value=False)


def same_both_ways(layer: nn.Module, x: Tensor) -> None:
    """Compare values and all gradients of both ways, and values where no gradient is asked."""
    outputs, gradients = [], []
    for way in (mock.patch.object(cpu, "is_plain_cpu", return_value=True), plainly()):
        given_x = x.clone().requires_grad_()
        with way:
            out = layer(given_x)
            with torch.no_grad():
                asked = given_x.detach().clone()
                torch.testing.assert_close(layer(asked), out.detach())
                assert torch.equal(asked, x)  # what is computed in its place is the layer's own
        weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        inputs = [given_x, *layer.parameters()]
        gradients.append(torch.autograd.grad((out * weights).sum(), inputs))
        outputs.append(out)
    torch.testing.assert_close(*outputs)
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain)


@settings(max_examples=20, deadline=None)
@given(**SIZES, width=st.sampled_from([1, 3, 5]), relu_first=st.booleans(), norm=st.booleans())
def test_convolutions_as_plain(
    genes: int, channels: int, bins: int, width: int, relu_first: bool, norm: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(genes + 1, channels, bins + 1, dtype=torch.float64)
    layer = ConvLayer(channels, 3, width, 0.0, relu_first=relu_first, batch_norm=norm).double()
    same_both_ways(layer, x)
    same_both_ways(DenseBlock(channels, (4, 2), width, 0.0, relu_first=relu_first).double(), x)


@settings(max_examples=20, deadline=None)
@given(**SIZES, scale=st.booleans(), residual=st.booleans())
def test_attention_as_plain(
    genes: int, channels: int, bins: int, scale: bool, residual: bool
) -> None:
    torch.manual_seed(0)
    layer = SelfAttention(channels, scale=scale, residual=residual).double()
    same_both_ways(layer, torch.randn(genes, channels, bins, dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(**SIZES, width=st.integers(1, 4))
def test_pooling_as_plain(genes: int, channels: int, bins: int, width: int) -> None:
    torch.manual_seed(0)
    bins = max(bins, width)
    # Equal values, as ReLU and dropout leave them: the first of them has the gradient in both.
    x = torch.randint(0, 3, (genes, channels, bins)).double()
    same_both_ways(MaxPool(width), x)
    expected = max_pool1d(x, width, ceil_mode=True)
    torch.testing.assert_close(cpu.max_pool(cpu.channels_last(x), width), expected)


def test_gradients_of_attention_and_convolution_by_differences() -> None:
    torch.manual_seed(1)
    qkv = torch.randn(2, 4, 7, dtype=torch.float64, requires_grad=True)
    for factor in (1.0, 0.4):
        assert torch.autograd.gradcheck(lambda z, f=factor: cpu._Attention.apply(z, 2, f), (qkv,))
    x = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *z: cpu.convolve(cpu.channels_last(z[0]), *z[1:]), (x, weight, bias)
    )
    found = cpu.convolve(cpu.channels_last(x), weight, bias)
    torch.testing.assert_close(found, conv1d(x, weight, bias, padding=2))


@pytest.mark.parametrize("n_bins", [20, 200])
def test_the_yardstick_is_the_same_network(n_bins: int) -> None:
    torch.manual_seed(2)
    model = create_model("transferchrome", {"dropout": 0.4}, n_marks=5, n_bins=n_bins).eval()
    assert isinstance(model, TransferChrome)
    plain = plain_copy(model, 5, n_bins).eval()
    x = torch.randn(17, 5, n_bins)
    results = []
    for one in (model, plain):
        one.zero_grad()
        logits = one(x)
        logits.pow(2).sum().backward()
        results.append([logits, *(p.grad for p in one.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("p", [0.1, 0.4, 0.9])
def test_dropout_bits_are_even(p: float) -> None:
    with seeded(3, torch.device("cpu")):
        factors = cpu.dropout_factors(torch.zeros(64, 5, 100).mT, p)
    kept = factors > 0
    assert factors.stride() == (500, 1, 100)
    torch.testing.assert_close(factors[kept], torch.full_like(factors[kept], 1 / (1 - p)))
    error = (p * (1 - p) / factors.numel()) ** 0.5
    assert abs(float(kept.float().mean()) - (1 - p)) < 5 * error
    # Four values come from one number: each of the four places, and neighbours, as all others.
    flat = kept.mT.flatten().view(-1, 4).double()
    assert (flat.mean(0) - (1 - p)).abs().max() < 10 * error
    assert (torch.corrcoef(flat.T) - torch.eye(4)).abs().max() < 0.06


def test_dropout_does_not_depend_on_the_number_of_threads() -> None:
    found = []
    for threads in (1, 2):
        with computing(threads), seeded(4, torch.device("cpu")):
            found.append(Dropout(0.4).train()(torch.ones(64, 32, 200)))
    assert torch.equal(*found)


def test_dropout_of_views_and_of_nothing() -> None:
    x = torch.ones(4, 1, 6).expand(4, 5, 6)[:, ::2]
    out = Dropout(0.5).train()(x)
    assert out.shape == x.shape
    assert set(out.unique().tolist()) <= {0.0, 2.0}
    assert Dropout(0.5).train()(torch.ones(0, 3)).shape == (0, 3)


def test_a_model_under_vmap_is_computed_plainly() -> None:
    model = create_model("transferchrome", {}, n_marks=2, n_bins=20).eval()
    weights = {name: torch.stack([p, 2 * p]) for name, p in model.named_parameters()}
    x = torch.randn(3, 2, 20)

    def one(chosen: dict[str, Tensor]) -> Tensor:
        out: Tensor = torch.func.functional_call(model, chosen, (x,))
        return out

    both = torch.vmap(one)({name: value.detach() for name, value in weights.items()})
    torch.testing.assert_close(both[0], model(x), rtol=1e-4, atol=1e-5)


def test_products_keep_float32_while_computing() -> None:
    torch.manual_seed(5)
    a, b = torch.rand(8, 100, 100), torch.rand(8, 100, 51)
    exact = a.double() @ b.double()
    products = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(products, "fp32_precision", None)
    with computing(1):
        for found in (a @ b, torch.stack([x @ y for x, y in zip(a, b, strict=True)])):
            # bfloat16 would be wrong in the third digit.
            torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)
        if before is not None and onednn_multiplies_float32():
            assert products.fp32_precision != before
    assert getattr(products, "fp32_precision", None) == before
