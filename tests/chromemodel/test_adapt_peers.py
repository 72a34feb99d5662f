"""The losses of adaptation against skada's, scikit-learn's kernels and plain loops.

Where skada defines a loss otherwise, the test names the difference and compares up to it;
docs/adaptation.md tells it too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skada.deep import CDANLoss, DANNLoss, losses
from skada.deep._adversarial import CDANModule
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from chromemodel.adapt import create_method
from chromemodel.adapt.base import Batch, Method
from chromemodel.adapt.cdan import certainty, outer
from chromemodel.adapt.deep_coral import coral_loss
from chromemodel.adapt.mcc import class_confusion
from chromemodel.adapt.mmd import mmd_loss
from chromemodel.adapt.self_training import pseudo_label_loss, pseudo_labels
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet

Array = NDArray[np.float64]


def drawn(seed: int, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return shift + scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 12), st.integers(2, 6))
def test_coral_is_skadas(seed: int, n: int, m: int, d: int) -> None:
    gradients = []
    for loss in (coral_loss, losses.deepcoral_loss):
        source, target = drawn(seed, n, d).requires_grad_(), drawn(seed + 1, m, d, scale=2, shift=3)
        value = loss(source, target)
        value.backward()
        gradients.append((value.detach(), source.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


def median_of_pairs(x: Array) -> float:
    squares = [
        sum((a - b) ** 2 for a, b in zip(x[i], x[j], strict=True))
        for i in range(len(x))
        for j in range(i)
    ]
    return float(sorted(squares)[(len(squares) - 1) // 2])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9), st.integers(0, 8))
def test_mmd_by_kernels_of_scikit_learn_and_the_statistic_of_skada(
    seed: int, n: int, m: int, octaves: int
) -> None:
    source, target = drawn(seed, n, 3), drawn(seed + 1, m, 3, shift=0.5)
    middle = median_of_pairs(np.concatenate([source.numpy(), target.numpy()]))
    widths = [middle * 2 ** (step / 2) for step in range(-2 * octaves, 2 * octaves + 1)]

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        each = [rbf_kernel(x.numpy(), y.numpy(), gamma=1 / width) for width in widths]
        return torch.from_numpy(np.mean(each, axis=0))

    expected = losses._maximum_mean_discrepancy(source, target, kernel)
    torch.testing.assert_close(mmd_loss(source, target, octaves), expected, rtol=1e-9, atol=1e-12)


def test_mmd_is_dan_of_skada_where_a_distance_is_its_square() -> None:
    """skada's kernels are of the distance, not of its square, and are summed, not averaged."""
    corners = torch.eye(3) / math.sqrt(2)
    source, target = corners[[0, 1, 2, 0, 1]], corners[[2, 2, 0, 2]]
    widths = [2 ** (step / 2) for step in range(-16, 17)]
    theirs = losses.dan_loss(source, target, sigmas=widths)
    torch.testing.assert_close(mmd_loss(source, target), theirs / len(widths), rtol=1e-4, atol=1e-6)


def confusion_by_loops(logits: Array, temperature: float) -> float:
    genes, classes = logits.shape
    y = np.exp(logits / temperature)
    y /= y.sum(1, keepdims=True)
    raw = [1 + math.exp(sum(p * math.log(p) for p in row)) for row in y]
    weight = [genes * value / sum(raw) for value in raw]
    table = [
        [sum(weight[i] * y[i, a] * y[i, b] for i in range(genes)) for b in range(classes)]
        for a in range(classes)
    ]
    off = [table[a][b] / sum(table[a]) for a in range(classes) for b in range(classes) if a != b]
    return sum(off) / classes


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(2, 4), st.floats(0.5, 4))
def test_class_confusion_is_skadas_and_the_equations(
    seed: int, n: int, classes: int, temperature: float
) -> None:
    logits = drawn(seed, n, classes, scale=2)
    ours = class_confusion(logits, temperature)
    # skada adds 1e-7 inside the logarithm of the entropy.
    torch.testing.assert_close(ours, losses.mcc_loss(logits, T=temperature), rtol=1e-5, atol=1e-6)
    assert ours.item() == pytest.approx(confusion_by_loops(logits.numpy(), temperature), rel=1e-9)


def test_the_weights_of_class_confusion_have_no_gradient() -> None:
    """Unlike skada's; as in the code of the paper's authors."""
    logits = drawn(5, 6, 2).requires_grad_()
    class_confusion(logits, 2.0).backward()
    weights = certainty(torch.softmax(logits.detach() / 2.0, dim=1))
    again = logits.detach().clone().requires_grad_()
    y = torch.softmax(again / 2.0, dim=1)
    table = torch.einsum("ga,g,gb->ab", y, weights, y)
    table = table / table.sum(1, keepdim=True)
    ((table[0, 1] + table[1, 0]) / 2).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logits.grad, again.grad)
    other = logits.detach().clone().requires_grad_()
    losses.mcc_loss(other, T=2.0).backward()
    assert (other.grad - logits.grad).abs().max() > 1e-4


def made(name: str, **options: object) -> tuple[ChromeNet, Method, Batch]:
    torch.manual_seed(0)
    model = create_model("transferchrome", {"features": 6}, n_marks=2, n_bins=8).double().eval()
    method = create_method(name, options, model).double()
    y = torch.tensor([0, 1, 1, 0, 1])
    # Large, so that the model is surer of some genes than of others.
    batch = Batch(drawn(1, 5, 2, 8, scale=50), y, drawn(2, 5, 2, 8, scale=30, shift=20))
    return model, method, batch


def parts_of(model: ChromeNet, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert batch.target is not None
    f, f_target = model.features(batch.x), model.features(batch.target)
    g, g_target = (torch.softmax(model.classify(x), dim=1) for x in (f, f_target))
    return f, f_target, g, g_target


class Given(nn.Module):
    """Predicts what it is told, of features that are its input."""

    def __init__(self, probability: Tensor) -> None:
        super().__init__()
        self.layer, self.probability = nn.Identity(), probability

    def forward(self, x: Tensor) -> Tensor:
        self.layer(x)
        return self.probability


def test_the_adversary_of_cdan_sees_what_skadas_sees() -> None:
    model, _, batch = made("cdan")
    f, _, g, _ = (part.detach() for part in parts_of(model, batch))
    module = CDANModule(Given(g), "layer", nn.Identity()).train()
    torch.testing.assert_close(outer(f, g), module(f)[1])


@pytest.mark.parametrize(("name", "theirs"), [("dann", DANNLoss), ("cdan", CDANLoss)])
def test_adversaries_have_half_of_skadas_loss(name: str, theirs: Any) -> None:
    """skada adds the means of the two domains, ours is the mean over the genes of both."""
    model, method, batch = made(name)
    loss = method.loss(model, batch, 0.3)
    f, f_target, g, g_target = parts_of(model, batch)
    seen = (f, f_target) if name == "dann" else (outer(f, g), outer(f_target, g_target))
    # skada's 1 is the target, our 0.
    is_target = [torch.softmax(method.head(part), dim=1)[:, 0].float() for part in seen]  # type: ignore[operator]
    features = (f, f_target) if name == "cdan" else ()
    expected = theirs()(*is_target, *features).item() / 2
    assert loss.terms[1].item() == pytest.approx(expected, rel=1e-5)
    label = cross_entropy(model(batch.x), batch.y).item()
    assert loss.total.item() == pytest.approx(label + expected, rel=1e-5)


def test_entropy_weights_of_cdan_by_loops() -> None:
    model, method, batch = made("cdan", entropy=True)
    told = float(method.loss(model, batch, 0.3).terms[1])
    f, f_target, g, g_target = parts_of(model, batch)
    total = 0.0
    for features, probability, label in ((f, g, 1), (f_target, g_target, 0)):
        rows = [1 + math.exp(sum(p * math.log(p) for p in row)) for row in probability.tolist()]
        logits = method.head(outer(features, probability)).detach().numpy()  # type: ignore[operator]
        each = [math.log(sum(math.exp(z - row[label]) for z in row)) for row in logits.tolist()]
        total += sum(w * loss for w, loss in zip(rows, each, strict=True)) / sum(rows)
    assert told == pytest.approx(total / 2, rel=1e-9)
    plain = float(made("cdan")[1].loss(model, batch, 0.3).terms[1])
    assert abs(plain - told) > 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.floats(0.5, 0.99))
def test_pseudo_labels_by_loops(seed: int, n: int, threshold: float) -> None:
    before, now = drawn(seed, n, 2, scale=3), drawn(seed + 1, n, 2)
    label, sure = pseudo_labels(torch.softmax(before, dim=1), threshold)
    total = 0.0
    for old, new in zip(before.tolist(), now.tolist(), strict=True):
        high = 1 / (1 + math.exp(old[0] - old[1]))
        if max(high, 1 - high) >= threshold:
            total -= math.log(1 / (1 + math.exp(new[0] - new[1]))) if high > 0.5 else (
                math.log(1 / (1 + math.exp(new[1] - new[0])))
            )  # fmt: skip
    assert pseudo_label_loss(now, label, sure).item() == pytest.approx(total / n, abs=1e-9)
