from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from chromemodel.adapt import create_method
from chromemodel.config import TrainConfig
from chromemodel.models import MODELS, blocks, cpu, create_model, stacked
from chromemodel.train.device import derive_seed, seeded
from chromemodel.train.genes import Genes
from chromemodel.train.loop import Fit, FitData, Loop, predict_logits
from chromemodel.train.many import fit_many
from chromemodel.train.member import Member
from chromemodel.train.stack import Stack, may_stack
from chromeprep.errors import ChromeError

CPU = torch.device("cpu")
SMALL = {"dense_kernels": [4, 3], "kernels": 6, "features": 8, "label_widths": [6]}
BASE = TrainConfig(lr=0.05, batch_size=8, epochs=4)


def genes(seed: int, count: int, dtype: torch.dtype) -> FitData:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, 8, generator=draws).to(dtype)
    y = (x[:, 0].sum(1) + torch.randn(count, generator=draws) > 0).long()
    half = count // 2
    return FitData(x[:half], y[:half], None, x[half:], y[half:])


def loops(
    configs: list[TrainConfig],
    counts: list[int],
    name: str = "transferchrome",
    options: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float64,
) -> list[Loop]:
    made = []
    for config, count in zip(configs, counts, strict=True):
        with seeded(derive_seed(config.seed, "init"), CPU):
            model = create_model(name, options or SMALL, n_marks=2, n_bins=8).to(dtype)
            method = create_method("source_only", {}, model)
        made.append(Loop(model, method, genes(config.seed, count, dtype), config))
    return made


def seeds(count: int, **changes: Any) -> list[TrainConfig]:
    return [replace(BASE, seed=seed, **changes) for seed in range(count)]


def hold_equal(alone: list[Loop], together: list[Loop], tolerance: float = 1e-9) -> None:
    """Fit some models each alone, the same together, and compare all that a fit leaves."""
    fits = [loop.fit() for loop in alone]
    results = fit_many([Member(loop) for loop in together])
    for first, second, fit, result in zip(alone, together, fits, results, strict=True):
        assert isinstance(result, Fit)
        assert (result.best_epoch, result.stopped_early) == (fit.best_epoch, fit.stopped_early)
        for row, other in zip(fit.history, result.history, strict=True):
            assert other[:3] == pytest.approx(row[:3], abs=tolerance, nan_ok=True)
            # Two genes that are nearly level may change places: a step of the AUROC.
            step = 0.01 if tolerance > 1e-6 else tolerance
            assert other[3] == pytest.approx(row[3], abs=step, nan_ok=True)
        x = first.data.x
        torch.testing.assert_close(
            predict_logits(second.model, x), predict_logits(first.model, x),
            rtol=tolerance, atol=tolerance,
        )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_models_with_numbers_of_their_own_train_as_each_alone(optimizer: Any) -> None:
    configs = [
        replace(BASE, seed=0, optimizer=optimizer, lr=0.05, weight_decay=0.1),
        replace(BASE, seed=1, optimizer=optimizer, lr=0.01, momentum=0.0, clip_norm=0.1),
        replace(BASE, seed=2, optimizer=optimizer, lr=0.02, epochs=2, mark_dropout=0.3),
    ]
    counts = [40, 52, 46]
    hold_equal(loops(configs, counts), loops(configs, counts))


def test_shifted_genes_train_each_alone() -> None:
    configs, counts = seeds(2, shift_bins=2), [40, 52]
    alone, together = (loops(configs, counts) for _ in range(2))
    assert not may_stack(together)
    hold_equal(alone, together, 0.0)


def test_in_single_precision_too() -> None:
    configs, counts = seeds(3), [40, 52, 40]
    alone, together = (loops(configs, counts, dtype=torch.float32) for _ in range(2))
    hold_equal(alone, together, 1e-4)


def test_batch_normalisation_keeps_the_statistics_of_each_model() -> None:
    configs, counts = seeds(3), [40, 52, 40]
    options = SMALL | {"batch_norm": True}
    alone, together = (loops(configs, counts, options=options) for _ in range(2))
    hold_equal(alone, together)
    for first, second in zip(alone, together, strict=True):
        for name, value in first.model.state_dict().items():
            torch.testing.assert_close(second.model.state_dict()[name], value)


def test_each_stops_by_its_own_patience() -> None:
    configs = [replace(one, patience=1 + 2 * one.seed, epochs=12) for one in seeds(3, lr=0.3)]
    alone, together = (loops(configs, [40, 40, 60]) for _ in range(2))
    hold_equal(alone, together)
    assert len({len(loop.history) for loop in alone}) > 1


@pytest.mark.parametrize("name", [n for n in MODELS.names() if MODELS.entry(n).fitter == "torch"])
def test_every_network_trains_as_alone_stacked_or_not(name: str) -> None:
    def make() -> list[Loop]:
        made = []
        for config in seeds(2, epochs=1, batch_size=4):
            with seeded(config.seed, CPU):
                model = create_model(name, {}, n_marks=5, n_bins=100).double()
            draws = torch.Generator().manual_seed(config.seed)
            x = torch.randn(12, 5, 100, generator=draws, dtype=torch.float64)
            y = torch.tensor([0, 1] * 6)
            data = FitData(x[:6], y[:6], None, x[6:], y[6:])
            made.append(Loop(model, create_method("source_only", {}, model), data, config))
        return made

    hold_equal(make(), make(), 1e-8)


def test_lstms_are_told_apart_from_what_can_be_stacked() -> None:
    together = []
    for name in MODELS.names():
        if MODELS.entry(name).fitter == "torch":
            model = create_model(name, {}, n_marks=5, n_bins=100)
            data = FitData(torch.randn(2, 5, 100), torch.tensor([0, 1]))
            loop = Loop(model, create_method("source_only", {}, model), data, BASE)
            has_lstm = any(isinstance(layer, torch.nn.LSTM) for layer in model.modules())
            assert may_stack([loop, loop]) is not has_lstm, name
            together.append(name)
    assert "transferchrome" in together


def test_other_batches_architectures_or_methods_do_not_stack() -> None:
    first = loops(seeds(1), [40])
    assert may_stack(first * 2)
    assert not may_stack(first + loops(seeds(1, batch_size=4), [40]))
    assert not may_stack(first + loops(seeds(1), [40], options=SMALL | {"kernels": 5}))
    assert not may_stack(first + loops(seeds(1), [40], options=SMALL | {"pool": 4}))
    assert not may_stack(first + loops(seeds(1), [40], options=SMALL | {"dropout": 0.1}))
    assert not may_stack(first + loops(seeds(1), [40], options=SMALL | {"attention_scale": True}))
    loop = first[0]
    adapted = Loop(
        loop.model, create_method("dann", {}, loop.model),
        loop.data._replace(target=loop.data.x), loop.config,
    )  # fmt: skip
    assert not may_stack([adapted, adapted])


def test_a_stack_predicts_as_each_model_alone() -> None:
    members = loops(seeds(3), [40, 52, 46])
    expected = [predict_logits(loop.model, loop.data.x) for loop in members]
    data = Genes([loop.data.x for loop in members], [loop.data.y for loop in members])
    for found, logits in zip(Stack(members, data, data).predict(), expected, strict=True):
        torch.testing.assert_close(found, logits, rtol=1e-9, atol=1e-9)


def test_a_loss_that_is_no_number_ends_one_model_alone() -> None:
    configs = [replace(BASE, seed=0), replace(BASE, seed=1, lr=1e200)]
    alone, together = loops(configs, [40, 40])[0], loops(configs, [40, 40])
    fit = alone.fit()
    first, second = fit_many([Member(loop) for loop in together])
    assert isinstance(first, Fit)
    assert first.best_epoch == fit.best_epoch
    assert isinstance(second, ChromeError)
    assert "training diverged" in str(second)


def test_where_memory_runs_out_halves_train_one_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, largest = Stack.step, []

    def small(self: Stack, members: list[int], *rest: Any) -> torch.Tensor:
        if len(self.loops) > 2:
            raise torch.OutOfMemoryError
        largest.append(len(self.loops))
        return step(self, members, *rest)

    monkeypatch.setattr(Stack, "step", small)
    hold_equal(loops(seeds(4), [40] * 4), loops(seeds(4), [40] * 4))
    assert set(largest) == {2}


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> torch.Tensor:
        raise RuntimeError("shapes")

    monkeypatch.setattr(Stack, "step", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        fit_many([Member(loop) for loop in loops(seeds(2), [40, 40])])


def test_without_validation_all_epochs_are_run() -> None:
    def make() -> list[Loop]:
        made = loops(seeds(2), [40, 52])
        for loop in made:
            loop.data = loop.data._replace(validation_x=None, validation_y=None)
        return made

    hold_equal(make(), make())


def test_a_model_that_has_ended_keeps_nothing_of_the_others() -> None:
    members = loops(seeds(3), [40, 40, 40])
    fit_many([Member(loop) for loop in members])
    for loop in members:
        for parameter in loop.model.parameters():
            assert parameter.untyped_storage().nbytes() == parameter.nbytes
            state = loop.optimizer.state[parameter]["momentum_buffer"]
            assert state.untyped_storage().nbytes() == state.nbytes


def test_the_way_of_a_gpu_is_as_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its forms of the layers and of dropout, computed here."""

    def transformed(x: torch.Tensor) -> bool:
        return torch._C._are_functorch_transforms_active()

    monkeypatch.setattr(cpu, "is_plain_cpu", lambda x: False)
    monkeypatch.setattr(stacked, "products_suit", transformed)
    monkeypatch.setattr(blocks.stacked, "convolve", counted := Counted(stacked.convolve))
    hold_equal(loops(seeds(3), [40, 52, 46]), loops(seeds(3), [40, 52, 46]))
    assert counted.calls


class Counted:
    """A function, and how often it was called."""

    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.function(*arguments)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_convolution_is_a_product(width: int) -> None:
    x, weight = torch.randn(3, 4, 9).double(), torch.randn(6, 4, width).double()
    bias = torch.randn(6).double()
    expected = torch.nn.functional.conv1d(x, weight, bias, padding=width // 2)
    torch.testing.assert_close(stacked.convolve(x, weight, bias), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_on_a_gpu_with_captured_steps(optimizer: Any) -> None:
    def make() -> list[Loop]:
        made = loops(seeds(3, optimizer=optimizer), [40, 52, 46])
        return [
            Loop(
                loop.model.cuda(), loop.method, FitData(*_on_gpu(loop.data)), loop.config
            )
            for loop in made
        ]  # fmt: skip

    hold_equal(make(), make(), 1e-7)


def _on_gpu(data: FitData) -> list[Any]:
    return [one.cuda() if isinstance(one, torch.Tensor) else one for one in data]
