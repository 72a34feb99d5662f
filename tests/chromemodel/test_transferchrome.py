"""TransferChrome against hand calculation and an independent writing of the same equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from chromemodel.models import create_model
from chromemodel.models.blocks import (
    ConvLayer,
    DenseBlock,
    Dropout,
    SelfAttention,
    position_channels,
    reverse_gradient,
)
from chromemodel.models.transferchrome import TransferChrome, TransferChromeConfig


def conv(inputs: int, outputs: int, width: int) -> int:
    return inputs * outputs * width + outputs


def test_parameters_by_hand() -> None:
    model = create_model("transferchrome", {}, n_marks=5, n_bins=200)
    dense = conv(5, 32, 5) + conv(37, 16, 5) + conv(53, 8, 5)
    attention = conv(51, 25, 1) + conv(51, 25, 1) + conv(51, 51, 1)
    linear = (51 * 100) * 128 + 128
    label = (128 * 64 + 64) + (64 * 16 + 16) + (16 * 2 + 2)
    expected = dense + conv(61, 50, 5) + 2 * attention + linear + label
    assert sum(p.numel() for p in model.parameters()) == expected == 693_998
    domain = sum(p.numel() for p in model.domain_head().parameters())
    assert domain == (128 * 64 + 64) + (64 * 2 + 2)


def test_shapes_of_each_layer() -> None:
    model = create_model("transferchrome", {}, n_marks=5, n_bins=200)
    seen: dict[str, tuple[int, ...]] = {}
    for name in ("dense", "conv", "pool", "attention", "project", "label"):
        part = getattr(model, name)
        part.register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, tuple(out.shape))
        )
    model(torch.zeros(3, 5, 200))
    assert seen == {
        "dense": (3, 61, 200),
        "conv": (3, 50, 200),
        "pool": (3, 50, 100),
        "attention": (3, 51, 100),
        "project": (3, 128),
        "label": (3, 2),
    }


def reference(model: TransferChrome, x: torch.Tensor) -> torch.Tensor:
    """The equations of the paper, written out with the model's weights."""
    w = dict(model.state_dict())
    for layer in range(3):
        key = f"dense.layers.{layer}.conv"
        x = torch.cat(
            [
                x,
                functional.relu(
                    functional.conv1d(x, w[f"{key}.weight"], w[f"{key}.bias"], padding=2)
                ),
            ],
            dim=1,
        )
    x = functional.relu(functional.conv1d(x, w["conv.conv.weight"], w["conv.conv.bias"], padding=2))
    x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2).amax(dim=3)
    half = x.shape[2]
    distance = torch.tensor([abs(2 * i + 1 - half) / half for i in range(half)])
    x = torch.cat([x, distance.expand(len(x), 1, half)], dim=1)
    for layer in range(2):
        q, k, v = (
            torch.einsum("oc,gcl->gol", w[f"attention.{layer}.{part}.weight"][:, :, 0], x)
            + w[f"attention.{layer}.{part}.bias"][:, None]
            for part in ("query", "key", "value")
        )
        attention = torch.einsum("gci,gcj->gij", q, k).softmax(dim=2)
        x = torch.einsum("gij,gcj->gci", attention, v)
    x = x.flatten(1) @ w["project.weight"].T + w["project.bias"]
    for layer, last in ((0, False), (2, False), (4, True)):
        x = x @ w[f"label.{layer}.weight"].T + w[f"label.{layer}.bias"]
        x = x if last else x.clamp(min=0)
    return x


@pytest.mark.parametrize("n_bins", [20, 200])
def test_forward_is_the_paper_written_out(n_bins: int) -> None:
    torch.manual_seed(1)
    model = create_model("transferchrome", {}, n_marks=5, n_bins=n_bins).eval()
    assert isinstance(model, TransferChrome)
    x = 3 * torch.randn(6, 5, n_bins)
    expected = reference(model, x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_is_a_plain_loop() -> None:
    torch.manual_seed(2)
    layer = SelfAttention(5)
    x = torch.randn(2, 5, 4)
    with torch.no_grad():
        q, k, v = layer.query(x).numpy(), layer.key(x).numpy(), layer.value(x).numpy()
        out = layer(x).numpy()
    assert q.shape[1] == k.shape[1] == 2
    for gene in range(2):
        for i in range(4):
            scores = [sum(q[gene, c, i] * k[gene, c, j] for c in range(2)) for j in range(4)]
            total = sum(math.exp(score) for score in scores)
            for c in range(5):
                value = sum(math.exp(scores[j]) / total * v[gene, c, j] for j in range(4))
                assert out[gene, c, i] == pytest.approx(value, abs=1e-5)


def test_attention_options() -> None:
    torch.manual_seed(3)
    x = torch.randn(2, 8, 4)
    plain, scaled = SelfAttention(8), SelfAttention(8, scale=True)
    residual = SelfAttention(8, residual=True)
    for other in (scaled, residual):
        other.load_state_dict(plain.state_dict())
    scores = plain.query(x).transpose(1, 2) @ plain.key(x)
    torch.testing.assert_close(scaled.attention(x), torch.softmax(scores / 2, dim=-1))
    torch.testing.assert_close(residual(x), x + plain(x))
    assert SelfAttention(1).query.out_channels == 1


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_gradient_reversal_against_its_definition(weight: float) -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(3, 2, dtype=torch.float64)
    out = reverse_gradient(x, weight)
    assert torch.equal(out, x)
    (out @ matrix).pow(2).sum().backward()
    step = 1e-6
    for row in range(4):
        for column in range(3):
            moved = x.detach().clone()
            moved[row, column] += step
            slope = ((moved @ matrix).pow(2).sum() - (x.detach() @ matrix).pow(2).sum()) / step
            assert x.grad is not None
            assert float(x.grad[row, column]) == pytest.approx(-weight * float(slope), abs=1e-3)


def test_dense_block_keeps_input_and_all_outputs() -> None:
    torch.manual_seed(4)
    block = DenseBlock(3, (4, 2), width=3, dropout=0.0)
    x = torch.randn(2, 3, 7)
    first = block.layers[0](x)
    second = block.layers[1](torch.cat([x, first], dim=1))
    torch.testing.assert_close(block(x), torch.cat([x, first, second], dim=1))


def test_relu_comes_after_or_before_the_convolution() -> None:
    torch.manual_seed(5)
    after = ConvLayer(2, 3, 5, 0.0)
    before = ConvLayer(2, 3, 5, 0.0, relu_first=True)
    before.load_state_dict(after.state_dict())
    x = torch.randn(2, 2, 9)
    torch.testing.assert_close(after(x), after.conv(x).relu())
    torch.testing.assert_close(before(x), before.conv(x.relu()))


def test_dropout_follows_each_convolution_only() -> None:
    model = create_model("transferchrome", {"dropout": 0.25}, n_marks=2, n_bins=8)
    rates = [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [0.25] * 4


def test_dropout_by_its_definition() -> None:
    torch.manual_seed(0)
    layer = Dropout(0.4)
    x = torch.full((100, 1000), 3.0, requires_grad=True)
    out = layer(x)
    kept = out != 0
    assert float(kept.float().mean()) == pytest.approx(0.6, abs=0.01)
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 5.0))
    assert kept.float().mean(0).std() < 0.06  # no column is dropped as a whole
    out.sum().backward()
    torch.testing.assert_close(x.grad, kept / 0.6)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("distance", [[0.8, 0.4, 0.0, 0.4, 0.8]]),
        ("signed", [[-0.8, -0.4, 0.0, 0.4, 0.8]]),
        ("none", np.zeros((0, 5))),
    ],
)
def test_positions_even(rule: str, expected: object) -> None:
    found = position_channels(rule, 10, 2)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


def test_positions_with_an_odd_last_bin() -> None:
    # Bins 0-1, 2-3, 4: centres 1, 3, 4.5 of 5 bins, the TSS at 2.5.
    np.testing.assert_allclose(position_channels("signed", 5, 2), [[-0.6, 0.2, 0.8]], atol=1e-7)


def test_sinusoidal_positions() -> None:
    found = position_channels("sinusoidal", 8, 2, channels=5).numpy()
    assert found.shape == (5, 4)
    for p in range(4):
        assert found[0, p] == pytest.approx(math.sin(p), abs=1e-6)
        assert found[1, p] == pytest.approx(math.cos(p), abs=1e-6)
        assert found[2, p] == pytest.approx(math.sin(p / 10000 ** (2 / 5)), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    n_marks=st.integers(1, 12),
    n_bins=st.integers(2, 41),
    position=st.sampled_from(["distance", "signed", "sinusoidal", "none"]),
    pool=st.integers(1, 3),
    layers=st.integers(0, 2),
)
def test_any_marks_and_bins(
    n_marks: int, n_bins: int, position: str, pool: int, layers: int
) -> None:
    options = {
        "dense_kernels": [3, 2], "kernels": 3, "features": 5, "label_widths": [4],
        "position": position, "pool": pool, "attention_layers": layers,
    }  # fmt: skip
    if n_bins < pool:
        with pytest.raises(ValueError, match=f"only {n_bins}"):
            create_model("transferchrome", options, n_marks=n_marks, n_bins=n_bins)
        return
    model = create_model("transferchrome", options, n_marks=n_marks, n_bins=n_bins)
    out = model(torch.randn(2, n_marks, n_bins))
    assert out.shape == (2, 2)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_odd_last_bin_is_not_lost() -> None:
    torch.manual_seed(6)
    options = {"dense_kernels": [], "width": 1, "kernels": 4}
    model = create_model("transferchrome", options, n_marks=2, n_bins=7).eval()
    x = torch.randn(1, 2, 7, requires_grad=True)
    model(x).pow(2).sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, -1].abs().sum() > 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"pool": 0}, "pool is 0"),
        ({"width": 4}, "width is 4, expected an odd"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dense_kernels": (8, 0)}, "dense_kernels is 0"),
        ({"attention_layers": -1}, "attention_layers is -1"),
    ],
)
def test_wrong_options(option: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransferChromeConfig(**option)  # type: ignore[arg-type]


@pytest.mark.parametrize("relu_first", [False, True])
def test_batch_norm_stands_before_the_relu(relu_first: bool) -> None:
    torch.manual_seed(7)
    layer = ConvLayer(3, 4, 5, 0.0, relu_first=relu_first, batch_norm=True)
    assert isinstance(layer.norm, torch.nn.BatchNorm1d)
    assert layer.norm.num_features == (3 if relu_first else 4)
    x = 2 + 3 * torch.randn(6, 3, 10)

    def conv(values: np.ndarray) -> np.ndarray:
        return layer.conv(torch.from_numpy(values)).detach().numpy()

    def norm(values: np.ndarray) -> np.ndarray:
        mean, variance = values.mean((0, 2), keepdims=True), values.var((0, 2), keepdims=True)
        return (values - mean) / np.sqrt(variance + 1e-5)

    inputs = x.numpy()
    if relu_first:
        expected = conv(np.maximum(norm(inputs), 0))
    else:
        expected = np.maximum(norm(conv(inputs)), 0)
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-3, atol=1e-4)


def test_batch_norm_adds_itself_and_nothing_else() -> None:
    made = []
    for batch_norm in (False, True):
        torch.manual_seed(8)
        options = {"batch_norm": batch_norm, "convolutions": 2}
        made.append(create_model("transferchrome", options, n_marks=5, n_bins=20).state_dict())
    plain, normed = made
    assert all(torch.equal(normed[key], value) for key, value in plain.items())
    added = {key: value.numel() for key, value in normed.items() if key not in plain}
    # Scale, shift, mean and variance of each kernel of five convolutions, and a count of batches.
    assert sum(added.values()) == 4 * (32 + 16 + 8 + 50 + 50) + 5
