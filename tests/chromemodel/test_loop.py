from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from chromemodel.adapt import create_method
from chromemodel.adapt.base import Batch, Loss
from chromemodel.adapt.dann import DomainAdversarial
from chromemodel.adapt.source_only import SourceOnly
from chromemodel.config import TrainConfig
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet
from chromemodel.tasks import Classification
from chromemodel.train import loop as loop_module
from chromemodel.train.device import computing, derive_seed, pick_device, seeded
from chromemodel.train.loop import Fit, FitData, Loop, make_optimizer, predict_logits
from chromeprep.errors import ChromeError

SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
CPU = torch.device("cpu")


def data(n: int = 40, seed: int = 0, target: bool = False) -> FitData:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, 8, generator=generator)
    y = (x[:, 0].sum(1) > 0).long()
    half = n // 2
    far = 3 + torch.randn(17, 2, 8, generator=generator) if target else None
    return FitData(x[:half], y[:half], far, x[half:], y[half:])


def fitted(
    config: TrainConfig, genes: FitData, method: str = "source_only", **options: object
) -> tuple[ChromeNet, Fit]:
    with seeded(config.seed, CPU):
        model = create_model("transferchrome", SMALL | options, n_marks=2, n_bins=8)
        way = create_method(method, {}, model)
    return model, Loop(model, way, genes, config).fit()


def test_overfits_eight_genes() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 5, 20)
    y = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    model = create_model("transferchrome", {"dropout": 0.0}, n_marks=5, n_bins=20)
    config = TrainConfig(optimizer="adam", epochs=60, batch_size=8, weight_decay=0.0)
    fit = Loop(model, create_method("source_only", {}, model), FitData(x, y), config).fit()
    assert fit.history[-1].train_loss < 0.01
    assert (predict_logits(model, x).argmax(1) == y).all()


@pytest.mark.parametrize("method", ["source_only", "dann"])
def test_the_same_seed_gives_the_same_fit_and_another_another(method: str) -> None:
    config = TrainConfig(epochs=3, batch_size=8, lr=0.05)
    genes = data(target=True)
    torch.manual_seed(1)
    first, history = fitted(config, genes, method)
    torch.manual_seed(2)
    torch.rand(100)
    again, history_again = fitted(config, genes, method)
    other, _ = fitted(replace(config, seed=1), genes, method)
    assert history == history_again
    pairs = zip(first.parameters(), again.parameters(), other.parameters(), strict=True)
    for a, b, c in pairs:
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_the_callers_random_state_does_not_move() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the legacy state is what must not move
    expected, expected_numpy = torch.rand(3), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    fitted(TrainConfig(epochs=2, batch_size=8), data(target=True), "dann")
    assert torch.equal(torch.rand(3), expected)
    assert np.random.rand() == expected_numpy  # noqa: NPY002


def test_dropout_draws_differ_from_epoch_to_epoch_but_not_from_run_to_run() -> None:
    draws = []
    for epoch in (1, 2, 1):
        with seeded(derive_seed(0, "epoch", epoch), CPU):
            draws.append(torch.nn.functional.dropout(torch.ones(50)))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


def test_an_epoch_can_be_taken_up_again() -> None:
    """Weights, the optimizer's state and the history are all that a later epoch needs."""
    config = TrainConfig(epochs=4, batch_size=8, lr=0.05)
    whole, _ = fitted(config, data())
    with seeded(config.seed, CPU):
        model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
        way = create_method("source_only", {}, model)
    first = Loop(model, way, data(), config)
    first.run_epoch()
    first.run_epoch()
    other = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
    second = Loop(other, create_method("source_only", {}, other), data(), config)
    other.load_state_dict(model.state_dict())
    # Copied: load_state_dict shares the tensors of momentum.
    second.optimizer.load_state_dict(deepcopy(first.optimizer.state_dict()))
    second.history, second.best_epoch = list(first.history), first.best_epoch
    second.best_weights = first.best_weights
    assert second.fit() == first.fit()
    for a, b, c in zip(whole.parameters(), model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


class Scripted(SourceOnly):
    """Adds 1 to a bias at each epoch, so that the weights say which epoch they are from."""

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        return Loss(sum(p.sum() * 0 for p in model.parameters()) + self.mark(model), ())

    def mark(self, model: ChromeNet) -> torch.Tensor:
        with torch.no_grad():
            model.label[-1].bias.add_(1)  # type: ignore[index,operator,union-attr]
        return torch.zeros(())


@pytest.mark.parametrize(
    ("areas", "patience", "best", "epochs", "stopped"),
    [
        ([0.5, 0.9, 0.8, 0.7, 0.6, 0.99], 3, 2, 5, True),
        ([0.5, 0.9, 0.8, 0.7, 0.95, 0.6], 3, 5, 6, False),
        ([0.9, 0.9, 0.9, 0.9, 0.9, 0.9], 2, 1, 3, True),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6, 6, False),
    ],
)
def test_early_stopping_keeps_the_best_epoch(
    monkeypatch: pytest.MonkeyPatch,
    areas: list[float],
    patience: int,
    best: int,
    epochs: int,
    stopped: bool,
) -> None:
    script = iter(areas)
    monkeypatch.setattr(Classification, "selection", lambda *_: next(script))
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
    start = float(model.label[-1].bias[0].detach())  # type: ignore[index,union-attr]
    config = TrainConfig(epochs=6, patience=patience, batch_size=100, weight_decay=0.0)
    fit = Loop(model, Scripted(Scripted.Config(), model), data(), config).fit()
    assert (fit.best_epoch, len(fit.history), fit.stopped_early) == (best, epochs, stopped)
    end = float(model.label[-1].bias[0].detach())  # type: ignore[index,union-attr]
    assert end - start == pytest.approx(best, abs=1e-4)
    assert not model.training


def test_without_validation_all_epochs_are_run_and_the_last_is_kept() -> None:
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
    start = float(model.label[-1].bias[0].detach())  # type: ignore[index,union-attr]
    genes = data()._replace(validation_x=None, validation_y=None)
    config = TrainConfig(epochs=5, patience=1, batch_size=100, weight_decay=0.0)
    fit = Loop(model, Scripted(Scripted.Config(), model), genes, config).fit()
    assert (fit.best_epoch, len(fit.history), fit.stopped_early) == (5, 5, False)
    assert all(math.isnan(row.validation_score) for row in fit.history)
    end = float(model.label[-1].bias[0].detach())  # type: ignore[index,union-attr]
    assert end - start == pytest.approx(5, abs=1e-4)


@pytest.mark.parametrize("held_out", [True, False])
def test_a_loss_that_is_no_number_names_the_epoch_and_the_way_out(held_out: bool) -> None:
    genes = data() if held_out else data()._replace(validation_x=None, validation_y=None)
    with pytest.raises(ChromeError, match=r"the loss is (nan|inf) in epoch \d") as caught:
        fitted(TrainConfig(lr=1e12, epochs=5, batch_size=8), genes)
    assert "lower --lr (it is 1000000000000.0)" in str(caught.value)


class Recorder(DomainAdversarial):
    """Notes what each step sees."""

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        self.seen.append((batch, progress))
        return super().loss(model, batch, progress)


def test_batches_show_every_gene_once_and_the_target_in_turn() -> None:
    genes = data(46, target=True)
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
    method = Recorder(Recorder.Config(), model)
    method.seen = []  # type: ignore[assignment]
    config = TrainConfig(epochs=2, batch_size=8)
    Loop(model, method, genes, config).run_epoch()
    seen: list[tuple[Batch, float]] = method.seen  # type: ignore[assignment]
    assert [len(batch.x) for batch, _ in seen] == [8, 8, 7]
    assert [progress for _, progress in seen] == pytest.approx([0, 8 / 46, 16 / 46])
    x = torch.cat([batch.x for batch, _ in seen])
    y = torch.cat([batch.y for batch, _ in seen])
    order = [int((genes.x == row).all(dim=(1, 2)).nonzero().item()) for row in x]
    assert sorted(order) == list(range(23))
    assert order != list(range(23))
    assert torch.equal(y, genes.y[order])
    target = torch.cat([batch.target for batch, _ in seen if batch.target is not None])
    assert genes.target is not None
    turns = [int((genes.target == row).all(dim=(1, 2)).nonzero().item()) for row in target]
    # 23 of 17 target genes: each once, then six of them again.
    assert sorted(turns[:17]) == list(range(17))
    assert len(set(turns[17:])) == 6


def test_the_order_of_the_source_does_not_depend_on_the_method() -> None:
    def order(method: str) -> torch.Tensor:
        model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8)
        config = TrainConfig(seed=3)
        made = Loop(model, create_method(method, {}, model), data(target=True), config)
        return made.order("source", 1, 20)

    assert torch.equal(order("source_only"), order("dann"))


def test_train_loss_is_the_mean_over_genes() -> None:
    genes = data(22)
    model = create_model("transferchrome", SMALL | {"dropout": 0.0}, n_marks=2, n_bins=8)
    expected = torch.nn.functional.cross_entropy(model(genes.x), genes.y).item()
    # A step too small to change anything, batches of 4, 4 and 3 genes.
    config = TrainConfig(lr=1e-12, batch_size=4)
    row = Loop(model, create_method("source_only", {}, model), genes, config).run_epoch()
    assert row.train_loss == pytest.approx(expected, rel=1e-5)


def test_optimizers() -> None:
    weight = [torch.nn.Parameter(torch.ones(1))]
    sgd = make_optimizer(weight, TrainConfig())
    assert isinstance(sgd, torch.optim.SGD)
    group = sgd.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.001, 0.85, 0.001)
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        made = make_optimizer(weight, TrainConfig(optimizer=name, lr=0.1))  # type: ignore[arg-type]
        assert type(made) is kind
        assert made.param_groups[0]["lr"] == 0.1


def test_predicting_in_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("transferchrome", SMALL, n_marks=2, n_bins=8).train()
    x = torch.randn(11, 2, 8)
    whole = predict_logits(model, x)
    monkeypatch.setattr(loop_module, "CPU_PREDICTION_BATCH", 4)
    torch.testing.assert_close(predict_logits(model, x), whole)
    assert model.training


def test_devices() -> None:
    assert pick_device("cpu") == CPU
    with pytest.raises(ChromeError, match="no device 'gpu'"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ChromeError, match="'cuda' is not available"):
            pick_device("cuda")
        assert pick_device("auto").type in ("cpu", "mps")


def test_threads_are_given_back() -> None:
    torch.set_num_threads(1)
    with computing(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1
