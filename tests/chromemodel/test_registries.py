"""Every registered model and method keeps its contract; a new one needs no new test."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from chromemodel.adapt import METHODS, create_method
from chromemodel.adapt.base import Batch
from chromemodel.adapt.dann import DomainAdversarial, DomainAdversarialConfig
from chromemodel.models import MODELS, create_model
from chromemodel.models.base import ChromeNet
from chromemodel.registry import Registry
from chromemodel.serial import from_json, to_json
from chromeprep.errors import ChromeError

# Models that gradients train; those of scikit-learn are in test_classical.py.
DEEP = [entry.name for entry in MODELS if entry.fitter == "torch"]


@pytest.mark.parametrize("registry", [MODELS, METHODS], ids=["models", "methods"])
def test_options_are_frozen_and_survive_json(registry: Registry[type]) -> None:
    for entry in registry:
        config = registry.load(entry.name).Config()  # type: ignore[attr-defined]
        assert dataclasses.is_dataclass(config)
        assert config.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert from_json(type(config), to_json(config)) == config
        assert entry.summary


@pytest.mark.parametrize("name", MODELS.names())
def test_model_contract(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, {}, n_marks=5, n_bins=40)
    assert isinstance(model, ChromeNet)
    x = torch.randn(3, 5, 40)
    model.eval()
    features = model.features(x)
    assert features.shape == (3, model.n_features)
    torch.testing.assert_close(model(x), model.classify(features))
    assert model(x).shape == (3, 2)
    assert model.domain_head()(features).shape == (3, 2)
    # Genes do not see each other: a gene alone gets what it gets among others.
    torch.testing.assert_close(model(x[1:2]), model(x)[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DEEP)
def test_model_weights_follow_the_random_state(name: str) -> None:
    def made(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return create_model(name, {}, n_marks=2, n_bins=20).state_dict()

    first, again, other = made(1), made(1), made(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def fields_by_name(config: type) -> set[str]:
    return {entry.name for entry in dataclasses.fields(config)}


@pytest.mark.parametrize("name", METHODS.names())
@pytest.mark.parametrize("model_name", DEEP)
def test_method_contract(name: str, model_name: str) -> None:
    torch.manual_seed(0)
    options: dict[str, object] = {}
    if name == "adabn":
        if "batch_norm" not in fields_by_name(MODELS.load(model_name).Config):
            with pytest.raises(ChromeError, match=r"--set batch_norm=true"):
                create_method(name, {}, create_model(model_name, {}, n_marks=3, n_bins=20))
            return
        options["batch_norm"] = True
    model = create_model(model_name, options, n_marks=3, n_bins=20)
    method = create_method(name, {}, model)
    target = torch.randn(5, 3, 20) if method.uses_target else None
    loss = method.loss(model, Batch(torch.randn(4, 3, 20), torch.tensor([0, 1, 1, 0]), target), 0.5)
    assert len(loss.terms) == len(method.columns)
    assert loss.total.ndim == 0
    loss.total.backward()
    parameters = [*model.parameters(), *method.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)


def test_source_only_is_the_cross_entropy() -> None:
    torch.manual_seed(0)
    model = create_model("transferchrome", {}, n_marks=2, n_bins=8).eval()
    x, y = torch.randn(3, 2, 8), torch.tensor([0, 1, 1])
    loss = create_method("source_only", {}, model).loss(model, Batch(x, y, None), 0.0)
    logits = model(x).detach().double()
    by_hand = -sum(float(logits[i, y[i]] - logits[i].exp().sum().log()) for i in range(3)) / 3
    assert loss.total.item() == pytest.approx(by_hand, rel=1e-5)


def _dann(**options: object) -> tuple[ChromeNet, DomainAdversarial, Batch]:
    torch.manual_seed(0)
    model = create_model("transferchrome", {"features": 6}, n_marks=2, n_bins=8).eval()
    method = create_method("dann", options, model)
    assert isinstance(method, DomainAdversarial)
    batch = Batch(torch.randn(3, 2, 8), torch.tensor([0, 1, 1]), torch.randn(5, 2, 8))
    return model, method, batch


def test_dann_sums_both_cross_entropies() -> None:
    model, method, batch = _dann()
    loss = method.loss(model, batch, 0.3)
    label, domain, accuracy, weight = (float(term.detach()) for term in loss.terms)
    assert batch.target is not None
    inputs = torch.cat([batch.x, batch.target])
    logits = method.head(model.features(inputs)).detach().double()
    # 1 is the source, 0 the target.
    truth = [1, 1, 1, 0, 0, 0, 0, 0]
    by_hand = -sum(float(logits[i, t] - logits[i].exp().sum().log()) for i, t in enumerate(truth))
    assert domain == pytest.approx(by_hand / 8, rel=1e-5)
    assert label == pytest.approx(
        torch.nn.functional.cross_entropy(model(batch.x), batch.y).item(), rel=1e-5
    )
    assert loss.total.item() == pytest.approx(label + domain, rel=1e-6)
    right = sum(int(logits[i].argmax()) == t for i, t in enumerate(truth))
    assert accuracy == pytest.approx(right / 8)
    assert weight == pytest.approx(2 / (1 + 2.718281828459045**-3) - 1, rel=1e-6)


def test_dann_reverses_the_gradient_of_the_features_only() -> None:
    def gradients(weight: float) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        model, method, batch = _dann(domain_weight=weight, domain_schedule="fixed")
        method.loss(model, batch, 0.0).total.backward()
        return (
            [p.grad for p in model.dense.parameters() if p.grad is not None],  # type: ignore[operator,union-attr]
            [p.grad for p in method.head.parameters() if p.grad is not None],
        )

    none, one, two = gradients(0.0), gradients(1.0), gradients(2.0)
    for a, b, c in zip(none[0], one[0], two[0], strict=True):
        # Linear in lambda, and not 0: features at weight 2 move twice as far as at 1.
        torch.testing.assert_close(c - a, 2 * (b - a), rtol=1e-3, atol=1e-7)
    assert any((b - a).abs().max() > 1e-6 for a, b in zip(none[0], one[0], strict=True))
    for a, c in zip(none[1], two[1], strict=True):
        torch.testing.assert_close(a, c)


def test_dann_schedules() -> None:
    model, _, _ = _dann()
    grown = DomainAdversarial(DomainAdversarialConfig(domain_weight=0.5), model)
    assert grown.weight(0.0) == 0.0
    assert grown.weight(1.0) == pytest.approx(0.5, abs=1e-4)
    assert grown.weight(0.1) < grown.weight(0.2)
    fixed = DomainAdversarial(DomainAdversarialConfig(0.5, "fixed"), model)
    assert fixed.weight(0.0) == fixed.weight(1.0) == 0.5
    with pytest.raises(ValueError, match="domain_weight is -1"):
        DomainAdversarialConfig(-1.0)


def test_registry_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="no model 'transferchrom'; did you mean 'transferchrome'"):
        MODELS.load("transferchrom")
    registry: Registry[type] = Registry("thing")
    assert "a" not in registry
    assert registry.names() == []
    registry.register("a", int, summary="one")
    assert registry.load("a") is int
    with pytest.raises(ValueError, match="'a' is registered already"):
        registry.register("a", str, summary="two")
    assert "a" in registry
    assert registry.names() == ["a"]
