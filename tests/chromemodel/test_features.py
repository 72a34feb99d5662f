"""Whoever computes the features of a batch, the same is learned and predicted."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from chromemodel.adapt import METHODS, create_method
from chromemodel.config import Precision, TrainConfig
from chromemodel.models import MODELS, create_model
from chromemodel.models.base import ChromeNet
from chromemodel.models.folded import FoldedTransferChrome
from chromemodel.train import features
from chromemodel.train.device import computing, seeded
from chromemodel.train.features import ComputedNet, predicting, sharing, working
from chromemodel.train.loop import FitData, Loop, predict_logits
from chromemodel.train.many import fit_many
from chromemodel.train.member import Member
from chromemodel.train.stack import may_stack

MakeFile = Callable[..., Path]
Cli = Callable[..., subprocess.CompletedProcess[str]]

CPU = torch.device("cpu")
MARKS, BINS, GENES = 2, 100, 70
NETWORKS = [name for name in MODELS.names() if MODELS.entry(name).fitter == "torch"]
# adabn needs batch normalisation, which threads do not share.
SHARED_METHODS = [name for name in METHODS.names() if name != "adabn"]
SGD = TrainConfig("sgd", lr=0.01, batch_size=32, epochs=2, patience=2)


@pytest.fixture(scope="module")
def data() -> FitData:
    with seeded(5, torch.device("cpu")):
        x, y = torch.randn(GENES, MARKS, BINS).double(), torch.randint(0, 2, (GENES,))
        far = torch.randn(41, MARKS, BINS).double() + 0.5
    return FitData(x, y, far, x[:20], y[:20])


def fitted(
    data: FitData,
    threads: int,
    model: str = "transferchrome",
    method: str = "source_only",
    options: dict[str, object] | None = None,
    config: TrainConfig = SGD,
) -> tuple[Tensor, Loop]:
    """Train from the same first weights; return all weights and the loop."""
    with seeded(1, torch.device("cpu")):
        net = create_model(model, options or {}, n_marks=MARKS, n_bins=BINS)
        beside = create_method(method, {}, net)
    loop = Loop(net.to(data.x.dtype), beside.to(data.x.dtype), data, config)
    with computing(threads):
        loop.fit()
    return torch.cat([weight.detach().flatten() for weight in loop.parameters]), loop


@pytest.mark.parametrize("model", NETWORKS)
def test_threads_learn_what_one_learns(data: FitData, model: str) -> None:
    (alone, one), (shared, several) = fitted(data, 1, model), fitted(data, 3, model)
    torch.testing.assert_close(shared, alone, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(several.history, one.history, strict=True):
        assert mine[:4] == pytest.approx(theirs[:4], rel=1e-9)


@pytest.mark.parametrize("method", SHARED_METHODS)
def test_threads_adapt_as_one_adapts(data: FitData, method: str) -> None:
    alone, one = fitted(data, 1, method=method)
    shared, several = fitted(data, 2, method=method)
    torch.testing.assert_close(shared, alone, rtol=1e-8, atol=1e-8)
    assert several.history[-1].terms == pytest.approx(one.history[-1].terms, rel=1e-8)


def test_the_random_numbers_after_a_fit_are_those_of_one_thread(data: FitData) -> None:
    found = []
    for threads in (1, 2):
        with seeded(9, torch.device("cpu")):
            fitted(data, threads)
            found.append(torch.rand(3))
    assert torch.equal(*found)


def test_batch_normalisation_sees_whole_batches(data: FitData) -> None:
    options: dict[str, object] = {"batch_norm": True}
    (alone, _), (several, _) = (fitted(data, n, options=options) for n in (1, 2))
    torch.testing.assert_close(several, alone, rtol=1e-8, atol=1e-8)
    net = create_model("transferchrome", options, n_marks=MARKS, n_bins=BINS)
    with computing(2), sharing(net, data.x.device, "float32") as same:
        assert same is net


def test_parts_have_at_least_eight_genes_and_all_threads_work(
    data: FitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = create_model("deepchrome", {}, n_marks=MARKS, n_bins=BINS).double()
    seen: list[tuple[int, str]] = []
    plain = net.features

    def noted(x: Tensor) -> Tensor:
        seen.append((len(x), threading.current_thread().name))
        return plain(x)

    monkeypatch.setattr(net, "features", noted)
    net.train()
    with computing(4), sharing(net, data.x.device, "float32") as shared:
        assert isinstance(shared, ComputedNet)
        for count, parts in ((15, [15]), (16, [8, 8]), (31, [10, 10, 11]), (70, [17, 18, 17, 18])):
            net(data.x[:count])  # the first of a size is a trial, to meet the dropouts
            shared(data.x[:count])
            seen.clear()
            shared(data.x[:count])
            assert sorted(size for size, _ in seen) == sorted(parts)
            assert len({name for _, name in seen}) <= len(parts)


def test_numbers_of_threads_are_as_before() -> None:
    with computing(4):
        with working(3) as work:
            assert work(lambda _: torch.get_num_threads(), range(5)) == [1] * 5
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 4
        with pytest.raises(ZeroDivisionError), working(2) as work:
            work(lambda n: 1 // n, [1, 0])
        assert torch.get_num_threads() == 4


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_work_is_done_once_and_in_order(threads: int, count: int) -> None:
    done: list[int] = []

    def one(n: int) -> tuple[int, bool]:
        done.append(n)
        return 2 * n, torch.is_grad_enabled()

    with working(threads) as work, torch.set_grad_enabled(threads == 1):
        assert work(one, range(count)) == [(2 * n, True) for n in range(count)]
        assert not torch.is_grad_enabled() or threads == 1
    assert sorted(done) == list(range(count))


def test_the_thread_of_the_caller_and_others_work() -> None:
    together, names = threading.Barrier(3), set()

    def one(_: int) -> None:
        together.wait(timeout=60)  # for three at once
        names.add(threading.current_thread().name)

    with working(3) as work:
        work(one, range(9))
    assert len(names) == 3
    assert threading.main_thread().name in names


@pytest.mark.parametrize("fault", [IndexError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_fault_stops_all_threads(fault: type[BaseException], at: int) -> None:
    done: list[int] = []
    before = torch.get_num_threads()

    def one(n: int) -> None:
        if n == at:
            raise fault(f"in {n}")
        time.sleep(0.01)
        done.append(n)

    with pytest.raises(fault, match=f"in {at}"), working(2) as work:
        work(one, range(100))
    assert len(done) <= at + 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("count", [0, 1, 64, 200])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_predict_as_one(count: int, precision: Precision) -> None:
    net = create_model("transferchrome", {}, n_marks=MARKS, n_bins=BINS).train()
    x = torch.randn(count, MARKS, BINS, generator=torch.Generator().manual_seed(4))
    found = []
    for threads in (1, 3):
        with computing(threads):
            found.append(predict_logits(net, x, precision))
    assert found[0].shape == (count, 2)
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)
    assert net.training


def test_a_fault_in_a_thread_is_raised(data: FitData) -> None:
    net = create_model("deepchrome", {}, n_marks=MARKS, n_bins=BINS)
    with (
        computing(2),
        sharing(net, data.x.device, "float32") as shared,
        pytest.raises(RuntimeError),
    ):
        shared(torch.zeros(32, MARKS, BINS).double())  # the weights are float32


@pytest.mark.parametrize("model", NETWORKS)
def test_bfloat16_is_near_to_float32(data: FitData, model: str) -> None:
    net = create_model(model, {}, n_marks=MARKS, n_bins=BINS)
    x = data.x.float()
    exact, near = (torch.softmax(predict_logits(net, x, one), 1) for one in ("float32", "bfloat16"))
    assert not torch.equal(exact, near)
    torch.testing.assert_close(near, exact, rtol=0, atol=0.01)


@pytest.mark.parametrize("threads", [1, 2])
def test_bfloat16_trains_float32_weights(data: FitData, threads: int) -> None:
    single = FitData(*(one.float() if one.is_floating_point() else one for one in data[:5]))
    exact, one = fitted(single, threads)
    near, other = fitted(single, threads, config=replace(SGD, precision="bfloat16"))
    assert near.dtype == torch.float32
    assert not torch.equal(near, exact)
    torch.testing.assert_close(near, exact, rtol=0, atol=0.01)
    for mine, theirs in zip(other.history, one.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, abs=0.01)


def test_bfloat16_repeats_by_seed(data: FitData) -> None:
    single = FitData(*(one.float() if one.is_floating_point() else one for one in data[:5]))
    config = replace(SGD, precision="bfloat16")
    assert torch.equal(*(fitted(single, 2, config=config)[0] for _ in range(2)))


def test_models_in_bfloat16_train_one_after_another(data: FitData) -> None:
    single = FitData(*(one.float() if one.is_floating_point() else one for one in data[:5]))
    config = replace(SGD, precision="bfloat16", epochs=1)
    alone, _ = fitted(single, 1, config=config)
    members = []
    for _ in range(2):
        with seeded(1, torch.device("cpu")):
            net = create_model("transferchrome", {}, n_marks=MARKS, n_bins=BINS)
            loop = Loop(net, create_method("source_only", {}, net), single, config)
        members.append(Member(loop))
    assert not may_stack([member.loop for member in members])
    with computing(1):
        fit_many(members)
    for member in members:
        weights = torch.cat([weight.detach().flatten() for weight in member.loop.parameters])
        assert torch.equal(weights, alone)


def test_what_scikit_learn_fitted_is_asked_as_it_was_fitted() -> None:
    net = create_model("logistic", {}, n_marks=MARKS, n_bins=BINS)
    assert predicting(net, "bfloat16", CPU) is net
    network: ChromeNet = create_model("deepchrome", {}, n_marks=MARKS, n_bins=BINS)
    assert predicting(network, "float32", CPU) is network


def test_transferchrome_predicts_folded() -> None:
    net = create_model("transferchrome", {}, n_marks=MARKS, n_bins=BINS)
    exact, near = (predicting(net, one, CPU) for one in ("float32", "bfloat16"))
    assert isinstance(exact, FoldedTransferChrome)
    assert isinstance(near, ComputedNet)
    assert isinstance(near.model, FoldedTransferChrome)
    assert (exact.weight.dtype, near.model.weight.dtype) == (torch.float32, torch.bfloat16)


def test_the_mode_is_as_before_where_prediction_fails() -> None:
    net = create_model("transferchrome", {}, n_marks=MARKS, n_bins=BINS).train()
    with pytest.raises(RuntimeError):
        predict_logits(net, torch.zeros(3, MARKS + 1, BINS))
    assert net.training


def test_a_processor_without_bfloat16_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    net = create_model("deepchrome", {}, n_marks=MARKS, n_bins=BINS)
    x = torch.zeros(3, MARKS, BINS)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    features._tell_of_slow_bfloat16.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            predict_logits(net, x, "bfloat16")
    assert [one.message for one in caplog.records] == [
        "warning: this CPU has no instructions for bfloat16: float32 is quicker"
    ]
    features._tell_of_slow_bfloat16.cache_clear()


def test_the_command_line(inside: Cli, make_file: MakeFile, tmp_path: Path) -> None:
    a = make_file("a.h5", n_genes=200)
    task = ("train", a, "--recipe", "paper", "--model", "transferchrome", "--epochs", 2)
    for name, more in (("exact", ()), ("near", ("--precision", "bfloat16"))):
        done = inside(*task, *more, "-o", name, "--device", "cpu", "--no-baseline")
        assert done.returncode == 0, done.stderr
    exact, near = (
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("exact", "near")
    )
    assert "precision" not in exact["training"]
    assert exact["version"] == 1
    assert near["training"]["precision"] == "bfloat16"
    assert near["version"] == 5
    answers = []
    for precision in ("float32", "bfloat16"):
        done = inside("predict", "near", a, "-o", precision, "--precision", precision)
        assert done.returncode == 0, done.stderr
        answers.append(pd.read_csv(tmp_path / precision, sep="\t").probability)
    # What a run says of its own genes is float32, as what it is asked later.
    own = pd.read_csv(tmp_path / "near" / "predictions.tsv", sep="\t").probability
    assert np.array_equal(own, answers[0])
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.01
    wrong = inside("predict", "near", a, "-o", "-", "--precision", "float16")
    assert wrong.returncode == 2
    assert "'float16' is not one of 'float32', 'bfloat16'" in wrong.stderr
