"""How do many models of one architecture take their steps together?

Their weights are the rows of one matrix, and so is what their optimizers remember; each model and
its optimizer look into their row, so whoever asks a `Loop` finds it as if it had trained alone.
``torch.func.vmap`` runs the layers for all rows at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from chromemodel.models.base import ChromeNet
from chromemodel.models.blocks import draw_many_factors, dropping_by
from chromemodel.train.capture import CapturedStep
from chromemodel.train.drops import Drop, met_dropouts
from chromemodel.train.genes import Genes
from chromemodel.train.loop import Loop, prediction_batch
from chromemodel.train.marks import draw_kept
from chromemodel.train.memory import in_halves
from chromemodel.train.updates import Updates


class Stack:
    """Models that take their steps together.

    Parameters
    ----------
    loops
        `may_stack` has to hold for them. Weights, buffers and optimizers become views; `release`
        gives them memory of their own again.
    genes, held_out
        The training and the validation genes of these loops.
    """

    def __init__(self, loops: Sequence[Loop], genes: Genes, held_out: Genes | None) -> None:
        self.loops, self.genes, self.held_out = list(loops), genes, held_out
        first = loops[0]
        self.task, self.size = first.data.task, first.config.batch_size
        self.device = first.data.x.device
        # Weights in the order in which the optimizer has them; the network itself is a form.
        self.form = deepcopy(first.model)
        named = dict(first.model.named_parameters())
        self.shapes = {name: value.shape for name, value in named.items()}
        self.lengths = [value.numel() for value in named.values()]
        self.weights = torch.stack(
            [torch.cat([p.detach().flatten() for p in loop.model.parameters()]) for loop in loops]
        )
        self.updates = Updates(self.loops, self.weights, self.lengths)
        kept = first.model.state_dict()
        self.buffers = {
            name: torch.stack([dict(loop.model.named_buffers())[name] for loop in loops])
            for name, _ in first.model.named_buffers()
            if name in kept
        }
        self.constants = {
            name: value for name, value in first.model.named_buffers() if name not in kept
        }
        self._drops: dict[int, list[Drop]] = {}
        self._captured: CapturedStep | None = None
        for number, loop in enumerate(self.loops):
            _look_into(loop.model, self._unpacked(self.weights[number]))
            _look_into(loop.model, {name: value[number] for name, value in self.buffers.items()})

    def release(self) -> None:
        """Give each model and optimizer memory of its own."""
        for loop in self.loops:
            own = {name: value.detach().clone() for name, value in loop.model.named_parameters()}
            own |= {name: value.clone() for name, value in loop.model.named_buffers()}
            _look_into(loop.model, own)
        self.updates.release()

    def run_epoch(self, after_step: Callable[[], None] = lambda: None) -> list[float]:
        """Train each model on each of its genes once; return the mean losses."""
        sums = torch.zeros(len(self.loops), dtype=torch.float64, device=self.device)
        epochs = [len(loop.history) + 1 for loop in self.loops]
        counts = self.genes.counts
        pairs = list(zip(self.loops, epochs, strict=True))
        order = self.genes.rows(
            [loop.order("source", n, c) for (loop, n), c in zip(pairs, counts, strict=True)]
        )
        draws = [
            torch.Generator(self.device).manual_seed(loop.draws(number)) for loop, number in pairs
        ]
        dropping = [loop.generator("marks", "source", number) for loop, number in pairs]
        self.form.train()
        for start in range(0, max(counts), self.size):
            # Models whose last batch has another size take that step by themselves.
            sizes = [min(self.size, count - start) for count in counts]
            for size in sorted({size for size in sizes if size > 0}):
                members = [number for number, one in enumerate(sizes) if one == size]
                # Indices by number would be sent to a GPU at each step.
                some = slice(None) if len(members) == len(counts) else members
                rows = order[:, start : start + size][some]
                x, y = self.genes.take(rows, members)
                x = self._without_marks(x, [(self.loops[m], dropping[m]) for m in members])
                factors = self._factors(size, [draws[m] for m in members])
                sums[some] += self.step(members, x, y, factors) * size
            after_step()
        self.updates.close_epoch()
        losses: list[float] = (sums.cpu() / torch.tensor(counts)).tolist()
        return losses

    def step(self, members: list[int], x: Tensor, y: Tensor, factors: Sequence[Tensor]) -> Tensor:
        """Take a step with some models; x (models, genes, marks, bins).

        Returns
        -------
        Tensor
            Loss of each, (models,).
        """
        whole = len(members) == len(self.loops)
        if self.device.type != "cuda" or not whole or x.shape[1] != self.size:
            return self._step(None if whole else members, x, y, factors)
        if self._captured is None:
            step, state = partial(self._step, None), self._changing()
            self._captured = CapturedStep(step, x, y, factors, state)
        return self._captured(x, y, factors)

    def _step(
        self, members: list[int] | None, x: Tensor, y: Tensor, factors: Sequence[Tensor]
    ) -> Tensor:
        weights = self.weights if members is None else self.weights[members]
        leaf = weights.detach().requires_grad_()
        buffers = {n: v if members is None else v[members] for n, v in self.buffers.items()}
        losses = vmap(self._loss)(leaf, buffers, x, y, tuple(factors))
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        self.updates.step(members, weights, gradient)
        if members is not None:
            self.weights[members] = weights
            for name, value in buffers.items():
                self.buffers[name][members] = value
        return losses.detach()

    def predict(self) -> list[Tensor]:
        """Return the logits (genes, 2) of the held-out genes of each model, without dropout."""
        genes = self.held_out
        if genes is None:
            return []
        self.form.eval()
        every = genes.rows([torch.arange(count, device=self.device) for count in genes.counts])

        def parts(size: int) -> list[Tensor]:
            return [
                vmap(self._logits)(self.weights, self.buffers, genes.take(rows)[0])
                for rows in torch.split(every, size, dim=1)
            ]

        with torch.no_grad():
            logits = torch.cat(in_halves(parts, prediction_batch(self.device), "prediction"), dim=1)
        return [one[:count] for one, count in zip(logits, genes.counts, strict=True)]

    def _changing(self) -> list[Tensor]:
        """Return all that a step changes."""
        updates = self.updates
        return [self.weights, updates.taken, *updates.memory.values(), *self.buffers.values()]

    def _loss(
        self,
        row: Tensor,
        buffers: dict[str, Tensor],
        x: Tensor,
        y: Tensor,
        factors: tuple[Tensor, ...],
    ) -> Tensor:
        with dropping_by(factors):
            return self.task.loss(self._logits(row, buffers, x), y)

    def _logits(self, row: Tensor, buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        tensors = self._unpacked(row) | buffers | self.constants
        logits: Tensor = functional_call(self.form, tensors, (x,))
        return logits

    def _unpacked(self, row: Tensor) -> dict[str, Tensor]:
        parts = zip(self.shapes.items(), torch.split(row, self.lengths), strict=True)
        return {name: part.view(shape) for (name, shape), part in parts}

    def _without_marks(self, x: Tensor, members: list[tuple[Loop, torch.Generator]]) -> Tensor:
        if not any(loop.config.mark_dropout for loop, _ in members):
            return x
        genes, marks = x.shape[1:3]
        kept = [draw_kept(genes, marks, one.config.mark_dropout, draws) for one, draws in members]
        return x * torch.stack(kept).to(x.device)[..., None]

    def _factors(self, size: int, draws: list[torch.Generator]) -> list[Tensor]:
        """Draw for each dropout what each model would draw alone, in its layout."""
        return [draw_many_factors(drop.like, drop.p, draws) for drop in self._dropouts(size)]

    def _dropouts(self, size: int) -> list[Drop]:
        """Return which dropouts a batch of a model alone meets, in order."""
        if size not in self._drops:
            self._drops[size] = met_dropouts(self.form, self.loops[0].data.x[:size])
        return self._drops[size]


def may_stack(loops: Sequence[Loop]) -> bool:
    """Return whether models can take their steps together, and do so as each would alone.

    They must be of one architecture, batch size and kind of optimizer, in float32, without
    adaptation and without shifted or thinned genes, and ``vmap`` must know all of their layers: it
    does not know those of LSTMs.
    """
    first = loops[0]
    if any(_kind(loop) != _kind(first) or loop.config.augments for loop in loops):
        return False
    if first.config.precision != "float32":
        return False
    if first.method.uses_target or any(True for _ in first.method.parameters()):
        return False
    x, models = first.data.x[:2], [loop.model for loop in loops]
    before = [model.training for model in models]
    form = deepcopy(first.model).eval()
    # cuDNN rounds to TF32 where products do not: here only the layers are compared.
    exact = torch.backends.cudnn.flags(deterministic=True, allow_tf32=False)
    with warnings.catch_warnings(), torch.no_grad(), exact:
        warnings.simplefilter("error")  # vmap warns where it takes models one by one
        try:
            together = vmap(lambda tensors: functional_call(form, tensors, (x,)))(_stacked(models))
        except (RuntimeError, NotImplementedError, UserWarning):
            return False
        alone = [model.eval()(x) for model in models]
    for model, training in zip(models, before, strict=True):
        model.train(training)
    return bool(torch.allclose(together, torch.stack(alone), rtol=1e-4, atol=1e-5))


def _kind(loop: Loop) -> tuple[object, ...]:
    """Return what has to be the same, as far as it can be seen from outside."""
    config, data = loop.config, loop.data
    tensors = loop.model.state_dict().items()
    return (
        str(loop.model), tuple((name, value.shape, value.dtype) for name, value in tensors),
        type(loop.method), type(data.task), data.x.shape[1:], data.x.dtype, data.x.device,
        data.validation_x is None, config.batch_size, config.optimizer,
    )  # fmt: skip


def _stacked(models: Sequence[ChromeNet]) -> dict[str, Tensor]:
    parameters, buffers = stack_module_state([*models])
    return {**parameters, **buffers}


def _look_into(model: ChromeNet, tensors: dict[str, Tensor]) -> None:
    """Let parameters and buffers of a model be these tensors, by name."""
    mine = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, value in tensors.items():
        mine[name].data = value
