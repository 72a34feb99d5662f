"""Each deep model against its equations, written out once more with the model's weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from chromemodel.models import create_model
from chromemodel.models.attentivechrome import AttentiveNet, ContextAttention
from chromemodel.models.keras_blocks import LocalSelfAttention

Weights = Mapping[str, Tensor]


def affine(x: Tensor, w: Weights, key: str) -> Tensor:
    return torch.einsum("gi,oi->go", x, w[f"{key}.weight"]) + w[f"{key}.bias"]


def slide(x: Tensor, w: Weights, key: str, before: int, after: int, step: int = 1) -> Tensor:
    """A 1-D convolution as a sum over its taps: x (genes, channels, bins)."""
    weight, bias = w[f"{key}.weight"], w[f"{key}.bias"]
    taps = weight.shape[2]
    padded = torch.zeros(x.shape[0], x.shape[1], before + x.shape[2] + after)
    padded[:, :, before : before + x.shape[2]] = x
    length = padded.shape[2] - (taps - 1) * step
    return bias[:, None] + sum(
        torch.einsum("oc,gcl->gol", weight[:, :, t], padded[:, :, t * step : t * step + length])
        for t in range(taps)
    )


def slide2d(x: Tensor, w: Weights, key: str) -> Tensor:
    """A 2-D convolution that keeps both lengths, of 1 before for a width of 2: x (g, c, b, m)."""
    weight, bias = w[f"{key}.weight"], w[f"{key}.bias"]
    taps = weight.shape[2]
    low = (taps - 1) // 2
    bins, marks = x.shape[2:]
    padded = torch.zeros(*x.shape[:2], bins + taps - 1, marks + taps - 1)
    padded[:, :, low : low + bins, low : low + marks] = x
    return bias[:, None, None] + sum(
        torch.einsum("oc,gcbm->gobm", weight[:, :, i, j], padded[:, :, i : i + bins, j : j + marks])
        for i in range(taps)
        for j in range(taps)
    )


def recur(x: Tensor, w: Weights, key: str, *, backward: bool = False) -> Tensor:
    """One direction of an LSTM, gate by gate: x (genes, steps, channels) -> all states."""
    end = "_l0_reverse" if backward else "_l0"
    of_input, of_state = w[f"{key}.weight_ih{end}"], w[f"{key}.weight_hh{end}"]
    bias = w[f"{key}.bias_ih{end}"] + w[f"{key}.bias_hh{end}"]
    units = of_state.shape[1]
    state = cell = torch.zeros(len(x), units)
    out = torch.zeros(*x.shape[:2], units)
    for step in reversed(range(x.shape[1])) if backward else range(x.shape[1]):
        i, f, g, o = (
            (x[:, step] @ of_input.T + state @ of_state.T + bias)
            .reshape(len(x), 4, units)
            .unbind(1)
        )
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        state = torch.sigmoid(o) * torch.tanh(cell)
        out[:, step] = state
    return out


def both_ways(x: Tensor, w: Weights, key: str) -> Tensor:
    return torch.cat([recur(x, w, key), recur(x, w, key, backward=True)], dim=2)


def look(steps: Tensor, context: Tensor) -> Tensor:
    scores = torch.exp(torch.einsum("gsc,c->gs", steps, context))
    return torch.einsum("gs,gsc->gc", scores / scores.sum(1, keepdim=True), steps)


def near(x: Tensor, w: Weights, key: str, width: int) -> Tensor:
    """Attention to near bins, bin by bin: x (genes, bins, channels)."""
    out = torch.zeros_like(x)
    for t in range(x.shape[1]):
        seen = x[:, max(0, t - width // 2) : t - width // 2 + width]
        scores = torch.einsum("gc,cd,gsd->gs", x[:, t], w[f"{key}.weight"], seen)
        out[:, t] = torch.einsum("gs,gsd->gd", scores.softmax(1), seen)
    return out


def one(z: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(z), z], dim=1)


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def pooled(x: Tensor, width: int) -> Tensor:
    count = x.shape[2] // width
    return x[:, :, : count * width].reshape(*x.shape[:2], count, width).amax(3)


def deepchrome(x: Tensor, w: Weights) -> Tensor:
    x = pooled(relu(slide(x, w, "conv", 0, 0)), 5).flatten(1)
    x = relu(affine(relu(affine(x, w, "hidden.0")), w, "hidden.2"))
    return affine(x, w, "label")


def mlp(x: Tensor, w: Weights) -> Tensor:
    return affine(torch.tanh(affine(x.flatten(1), w, "hidden")), w, "label")


def marks_of(x: Tensor, w: Weights) -> list[Tensor]:
    return [
        look(both_ways(x[:, m, :, None], w, f"bins.{m}.lstm"), w[f"bins.{m}.attention.context"])
        for m in range(x.shape[1])
    ]


def attentive(x: Tensor, w: Weights) -> Tensor:
    marks = torch.stack(marks_of(x, w), dim=1)
    steps = both_ways(marks, w, "marks.lstm")
    return one(affine(look(steps, w["marks.attention.context"]), w, "label"))


def alpha(x: Tensor, w: Weights) -> Tensor:
    return one(affine(torch.cat(marks_of(x, w), dim=1), w, "label"))


def lstm(x: Tensor, w: Weights) -> Tensor:
    steps = x.transpose(1, 2)
    forward, backward = recur(steps, w, "lstm"), recur(steps, w, "lstm", backward=True)
    return one(affine(torch.cat([forward[:, -1], backward[:, 0]], dim=1), w, "label"))


def lstm_attention(x: Tensor, w: Weights) -> Tensor:
    steps = both_ways(x.transpose(1, 2), w, "bins.lstm")
    return one(affine(look(steps, w["bins.attention.context"]), w, "label"))


def cnn_attention(x: Tensor, w: Weights) -> Tensor:
    steps = relu(slide(x, w, "conv", 0, 0)).transpose(1, 2)
    return one(affine(look(steps, w["bins.context"]), w, "label"))


def cnn1d(x: Tensor, w: Weights) -> Tensor:
    x = pooled(relu(slide(x, w, "conv", 2, 2)), 2)
    x = relu(slide(x, w, "before.0", 1, 1))
    x = relu(slide(x, w, "before.3", 0, 1))
    x = relu(slide(x, w, "before.6", 0, 1))
    if "attend.weight" in w:
        x = near(x.transpose(1, 2), w, "attend", 2).transpose(1, 2)
    x = affine(affine(x.flatten(1), w, "hidden.0"), w, "hidden.2")
    return one(affine(x, w, "label"))


def cnn2d(x: Tensor, w: Weights) -> Tensor:
    x = slide2d(x.transpose(1, 2)[:, None], w, "convs.0")
    for layer in (1, 4, 7):
        x = relu(slide2d(x, w, f"convs.{layer}"))
    x = relu(affine(relu(affine(x.flatten(1), w, "hidden.0")), w, "hidden.2"))
    return one(affine(x, w, "label"))


def deepepi(x: Tensor, w: Weights) -> Tensor:
    for layer, padding in ((0, (2, 2)), (3, (1, 1)), (6, (0, 1)), (9, (0, 1))):
        x = relu(slide(x, w, f"convs.{layer}", *padding))
    steps = x.transpose(1, 2)
    for level, width in enumerate((15, 5, 2)):
        steps = near(recur(steps, w, f"lstms.{level}"), w, f"attentions.{level}", width)
    x = relu(affine(relu(affine(steps.flatten(1), w, "hidden.0")), w, "hidden.2"))
    return one(affine(x, w, "label"))


def crnn(x: Tensor, w: Weights) -> Tensor:
    x = x.transpose(1, 2)[:, None]
    x = relu(slide2d(relu(slide2d(x, w, "convs.0")), w, "convs.3"))
    bins = [x[:, :, b].flatten(1) for b in range(x.shape[2])]
    last = recur(torch.stack(bins, dim=1), w, "lstm")[:, -1]
    x = relu(affine(relu(affine(last, w, "hidden.0")), w, "hidden.2"))
    return one(affine(x, w, "label"))


def tcn(x: Tensor, w: Weights) -> Tensor:
    for block in range(6):
        key, step = f"blocks.{block}", 2**block
        inner = relu(slide(x, w, f"{key}.first", 2 * step, 0, step))
        inner = relu(slide(inner, w, f"{key}.second", 2 * step, 0, step))
        x = relu(inner + (slide(x, w, f"{key}.shortcut", 0, 0) if block == 0 else x))
    return affine(x[:, :, -1], w, "label")


def tcn_symmetric(x: Tensor, w: Weights) -> Tensor:
    for block in range(6):
        key, step = f"blocks.{block}", 2**block
        inner = relu(slide(x, w, f"{key}.first", step, step, step))
        inner = relu(slide(inner, w, f"{key}.second", step, step, step))
        x = relu(inner + (slide(x, w, f"{key}.shortcut", 0, 0) if block == 0 else x))
    return affine(x.sum(2) / x.shape[2], w, "label")


EQUATIONS: dict[str, Callable[[Tensor, Weights], Tensor]] = {
    "deepchrome": deepchrome,
    "deepchrome.mlp": mlp,
    "attentivechrome": attentive,
    "attentivechrome.lstm_alpha_beta": attentive,
    "attentivechrome.lstm_alpha": alpha,
    "attentivechrome.lstm": lstm,
    "attentivechrome.lstm_attn": lstm_attention,
    "attentivechrome.cnn_attn": cnn_attention,
    "convchrome.cnn1d": cnn1d,
    "convchrome.hybrid": cnn1d,
    "convchrome.cnn2d": cnn2d,
    "deepepi": deepepi,
    "crnn": crnn,
    "tcn": tcn,
}


def compare(
    name: str, written: Callable[[Tensor, Weights], Tensor], n_bins: int, **options: object
) -> None:
    torch.manual_seed(1)
    model = create_model(name, options, n_marks=4, n_bins=n_bins).eval()
    with torch.no_grad():
        # Larger weights than fresh ones, so that nothing is nearly 0 or linear.
        for value in model.parameters():
            value.mul_(2.0).add_(0.02 * torch.randn(value.shape))
        x = torch.randn(6, 4, n_bins)
        expected = written(x, model.state_dict())
        assert expected.std(0).max() > 1e-3
        atol = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("n_bins", [29, 40])
@pytest.mark.parametrize("name", EQUATIONS)
def test_forward_is_the_equations_written_out(name: str, n_bins: int) -> None:
    compare(name, EQUATIONS[name], n_bins)


def test_tcn_that_sees_both_sides() -> None:
    compare("tcn", tcn_symmetric, 31, causal=False)


def test_every_model_has_equations() -> None:
    from chromemodel.models import MODELS

    deep = {entry.name for entry in MODELS if entry.fitter == "torch"}
    # TransferChrome's are in test_transferchrome.py; its variants are that with other options.
    assert {name for name in deep if not name.startswith("transferchrome")} == set(EQUATIONS)


def test_context_attention_is_a_plain_loop() -> None:
    torch.manual_seed(2)
    layer = ContextAttention(3)
    steps = torch.randn(2, 5, 3)
    with torch.no_grad():
        layer.context.mul_(20)
        summary, weights = layer(steps)
    context = layer.context.detach()
    for gene in range(2):
        scores = [
            math.exp(sum(float(steps[gene, s, c] * context[c]) for c in range(3))) for s in range(5)
        ]
        for s in range(5):
            assert float(weights[gene, s]) == pytest.approx(scores[s] / sum(scores), rel=1e-4)
        for c in range(3):
            value = sum(scores[s] / sum(scores) * float(steps[gene, s, c]) for s in range(5))
            assert float(summary[gene, c]) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("width", [1, 2, 5, 99])
def test_local_attention_is_a_plain_loop(width: int) -> None:
    torch.manual_seed(3)
    layer = LocalSelfAttention(3, width)
    x = torch.randn(2, 6, 3)
    with torch.no_grad():
        layer.bias.fill_(0.7)
        weights, out = layer.attention(x), layer(x)
        for gene in range(2):
            for t in range(6):
                seen = [s for s in range(6) if t - width // 2 <= s < t - width // 2 + width]
                scores = {
                    s: math.exp(float(x[gene, t] @ layer.weight @ x[gene, s]) + 0.7) for s in seen
                }
                total = sum(scores.values())
                for s in range(6):
                    share = scores.get(s, 0.0) / total
                    assert float(weights[gene, t, s]) == pytest.approx(share, abs=1e-5)
                mixed = sum(scores[s] / total * x[gene, s] for s in seen)
                torch.testing.assert_close(out[gene, t], mixed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "bins", "marks"),
    [
        ("attentivechrome", (2, 4, 30), (2, 4)),
        ("attentivechrome.lstm_alpha", (2, 4, 30), None),
        ("attentivechrome.lstm_attn", (2, 1, 30), None),
        ("attentivechrome.cnn_attn", (2, 1, 21), None),
        ("attentivechrome.lstm", None, None),
    ],
)
def test_attention_can_be_asked_for(
    name: str, bins: tuple[int, ...] | None, marks: tuple[int, ...] | None
) -> None:
    torch.manual_seed(0)
    model = create_model(name, {}, n_marks=4, n_bins=30).eval()
    assert isinstance(model, AttentiveNet)
    for found, expected in zip(model.attention(torch.randn(2, 4, 30)), (bins, marks), strict=True):
        assert (None if found is None else tuple(found.shape)) == expected
        if found is not None:
            assert not found.requires_grad
            torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]))
            assert found.std() > 0


def test_dropout_of_the_crnn_is_the_same_for_all_bins_of_a_gene() -> None:
    torch.manual_seed(0)
    model = create_model("crnn", {}, n_marks=2, n_bins=9).train()
    seen: list[Tensor] = []
    model.lstm.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    for module in model.convs:  # type: ignore[union-attr]
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 0.1)
    model(torch.ones(3, 2, 9))
    dropped = seen[0] == 0
    assert dropped.any()
    assert not dropped.all()
    assert (dropped == dropped[:, :1]).all()
    assert (dropped[0] != dropped[1]).any()
