"""Who computes the feature vectors of a batch, and how precisely?

A layer of these small networks is too little work to be cut up between the threads of a CPU; a
batch is not. Each thread takes some of its genes through all layers, forward and back.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from chromemodel.config import Precision
from chromemodel.models.base import ChromeNet, ClassicalNet
from chromemodel.models.blocks import dropping_by
from chromemodel.models.cpu import dropout_bits, factors_by_bits
from chromemodel.train.drops import Drop, met_dropouts

logger = logging.getLogger(__name__)

LEAST_GENES = 8  # of a thread: with fewer, what a layer costs before its first gene counts

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Callable[[T], R], Sequence[T]], list[R]]


def in_turn(work: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Do work on each of several things, by the caller's thread."""
    return list(map(work, things))


@contextmanager
def working(threads: int) -> Iterator[Work[Any, Any]]:
    """Hand out a function that does work on each of several things, in so many threads.

    The caller's is one of them: it need not be woken. torch computes in one thread in each: to wake
    others for what is left between two parts takes longer than to do it. With several threads
    gradients are on in each.
    """
    if threads == 1:
        yield in_turn
        return

    def compute_alone() -> None:
        torch.set_num_threads(1)

    before = torch.get_num_threads()
    compute_alone()
    try:
        with ThreadPoolExecutor(threads - 1, initializer=compute_alone) as pool:
            yield functools.partial(_in_threads, pool, threads - 1)
    finally:
        torch.set_num_threads(before)


def _in_threads(
    pool: ThreadPoolExecutor, helpers: int, work: Callable[[T], R], things: Sequence[T]
) -> list[R]:
    """Do work on things, by the caller's thread and by helpers, whoever is free next."""
    left, found = deque(enumerate(things)), dict[int, R]()

    def take_what_is_left() -> None:
        with torch.enable_grad():
            while (one := _next(left)) is not None:
                number, thing = one
                try:
                    found[number] = work(thing)
                except BaseException:
                    left.clear()
                    raise

    helping = [pool.submit(take_what_is_left) for _ in range(min(helpers, len(things) - 1))]
    try:
        take_what_is_left()
    finally:
        wait(helping)
    for helper in helping:
        helper.result()
    return [found[number] for number in range(len(things))]


def _next(left: deque[T]) -> T | None:
    """Return the first that is left, None where another thread took the last."""
    try:
        return left.popleft()
    except IndexError:
        return None


@contextmanager
def sharing(model: ChromeNet, device: torch.device, precision: Precision) -> Iterator[ChromeNet]:
    """Hand out what trains a model on a device, by all threads that torch may use.

    It is the model itself where all is float32 and there is one thread, another device than a CPU,
    or batch normalisation, which is one layer of all genes of a batch.
    """
    mixes = any(isinstance(layer, _BatchNorm) for layer in model.modules())
    threads = 1 if mixes or device.type != "cpu" else torch.get_num_threads()
    if threads == 1 and precision == "float32":
        yield model
        return
    with working(threads) as work:
        yield ComputedNet(model, precision, threads, work)


def predicting(model: ChromeNet, precision: Precision, device: torch.device) -> ChromeNet:
    """Return what predicts on a device; what scikit-learn fitted is asked as it was fitted."""
    if isinstance(model, ClassicalNet):
        return model
    own = next(model.parameters()).dtype
    if device.type == "cpu":
        model = model.folded(torch.bfloat16 if precision == "bfloat16" else own)
    return model if precision == "float32" else ComputedNet(model, precision)


class ComputedNet(ChromeNet):
    """A model whose feature vectors are computed by several threads, or in bfloat16.

    It trains as the model does: the same random numbers of dropout and, in float32, gradients that
    differ by the rounding of sums alone.

    Parameters
    ----------
    model
        It stays as it is, and is the one that learns.
    precision
        ``bfloat16``: what torch's autocast takes for it is computed so, up to the feature vectors;
        these, the layers behind them, weights and gradients are float32.
    threads, work
        At most so many parts of a batch, and who does them: `working`.
    """

    def __init__(
        self,
        model: ChromeNet,
        precision: Precision,
        threads: int = 1,
        work: Work[Any, Any] = in_turn,
    ) -> None:
        torch.nn.Module.__init__(self)
        self.model, self.precision = model, precision
        self.threads, self.work = threads, work
        self.n_features = model.n_features
        self._met: dict[int, list[Drop]] = {}

    def features(self, x: Tensor) -> Tensor:
        """Return (genes, n_features)."""
        parts = min(self.threads, len(x) // LEAST_GENES)
        if parts < 2 or not (self.model.training and torch.is_grad_enabled()):
            return self.of_part(x)
        if len(x) not in self._met:
            self._met[len(x)] = met_dropouts(self.model, x, self.of_part)
        drawn = [(dropout_bits(drop.like), drop) for drop in self._met[len(x)]]
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        out: Tensor = _Shared.apply(self, parts, drawn, x, *weights)  # type: ignore[no-untyped-call]
        return out

    def of_part(self, x: Tensor) -> Tensor:
        """Return (genes, n_features), by one thread."""
        if self.precision == "float32":
            return self.model.features(x)
        if x.device.type == "cpu":
            _tell_of_slow_bfloat16()
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.model.features(x.bfloat16()).float()

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return self.model.classify(features)


class _Shared(torch.autograd.Function):
    """Features of a batch by parts, each with a graph of its own that waits for the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        net: ComputedNet,
        parts: int,
        drawn: list[tuple[Tensor, Drop]],
        x: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        """Return (genes, n_features)."""

        def of_part(genes: slice) -> Tensor:
            factors = [factors_by_bits(bits[genes], one.p, one.like.dtype) for bits, one in drawn]
            with dropping_by(factors):
                return net.of_part(x[genes])

        ctx.net, ctx.genes = net, _slices(len(x), parts)
        ctx.found = net.work(of_part, ctx.genes)
        return torch.cat([part.detach() for part in ctx.found])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights, None for those that made no feature."""
        weights = [weight for weight in ctx.net.model.parameters() if weight.requires_grad]

        def of_part(part: tuple[Tensor, slice]) -> tuple[Tensor | None, ...]:
            found, genes = part
            return torch.autograd.grad(found, weights, gradients[0][genes], allow_unused=True)

        parts = ctx.net.work(of_part, list(zip(ctx.found, ctx.genes, strict=True)))
        ctx.found = None
        return None, None, None, None, *(_sum(each) for each in zip(*parts, strict=True))


@functools.cache
def _tell_of_slow_bfloat16() -> None:
    if not torch.cpu._is_avx512_bf16_supported():
        logger.warning("warning: this CPU has no instructions for bfloat16: float32 is quicker")


def _sum(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Return the sum of a weight's gradients, None where it has none."""
    there = [part for part in parts if part is not None]
    return functools.reduce(Tensor.add_, there) if there else None


def _slices(count: int, parts: int) -> list[slice]:
    """Return the parts of so many genes, one after another and of nearly one size.

    Examples
    --------
    >>> _slices(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [slice(count * n // parts, count * (n + 1) // parts) for n in range(parts)]
