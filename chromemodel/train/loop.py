"""How is a model fitted? The only training loop, for every model and every method.

An epoch depends on the weights, the optimizer's state, the seed and its number, and on nothing
else: random numbers are seeded anew for each, so a loop can be taken up again at any epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from chromemodel.adapt.base import Batch, Method
from chromemodel.config import TrainConfig
from chromemodel.evaluate.metrics import auroc
from chromemodel.models.base import ChromeNet
from chromemodel.train.device import derive_seed, seeded
from chromemodel.train.marks import drop_marks
from chromeprep.errors import ChromeError

PREDICTION_BATCH = 64


class FitData(NamedTuple):
    """Tensors on the device of the loop.

    ``x`` (genes, marks, bins) and ``y`` (genes,) int64 train; ``target`` (genes, marks, bins) has
    no labels; ``validation_x`` and ``validation_y`` choose the epoch, or are None.
    """

    x: Tensor
    y: Tensor
    target: Tensor | None = None
    validation_x: Tensor | None = None
    validation_y: Tensor | None = None


class Epoch(NamedTuple):
    """A row of the history; ``terms`` as the method's columns, means over the genes of an epoch.

    ``validation_loss`` and ``validation_auroc`` are NaN where nothing is held out.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_auroc: float
    terms: tuple[float, ...] = ()


class Fit(NamedTuple):
    """How a fit went; epochs count from 1."""

    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool


class Loop:
    """Fits a model in place.

    Parameters
    ----------
    model, method
        On the device of the data; trained together, `Method.loss` goes down.
    data
        All genes, in memory.
    config
        Optimizer, batches, epochs, patience, seed.
    """

    def __init__(
        self, model: ChromeNet, method: Method, data: FitData, config: TrainConfig
    ) -> None:
        if method.uses_target and data.target is None:
            raise ValueError("this method needs genes of the target")
        self.model, self.method, self.data, self.config = model, method, data, config
        self.parameters = [*model.parameters(), *method.parameters()]
        self.optimizer = make_optimizer(self.parameters, config)
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}

    def fit(self, on_epoch: Callable[[Epoch], None] | None = None) -> Fit:
        """Run epochs until the last, or until validation has not improved for `patience`.

        The model ends with the weights of the best epoch: the highest validation AUROC, the
        earlier of equals; the last epoch where nothing is held out. `Method.finish` has the last
        word; `best_weights` stay as they were.

        Raises
        ------
        ChromeError
            Where the loss is no longer a number.
        """
        stopped = False
        while len(self.history) < self.config.epochs and not stopped:
            row = self.run_epoch()
            if on_epoch is not None:
                on_epoch(row)
            stopped = (
                self.data.validation_x is not None
                and row.epoch - self.best_epoch >= self.config.patience
                and row.epoch < self.config.epochs
            )
        self.model.load_state_dict(self.best_weights)
        self.model.eval()
        with torch.no_grad():
            self.method.finish(self.model, self.data.target)
        return Fit(tuple(self.history), self.best_epoch, stopped)

    def run_epoch(self) -> Epoch:
        """Train on every gene once, validate, keep the weights if they are the best so far."""
        number = len(self.history) + 1
        with seeded(derive_seed(self.config.seed, "epoch", number), self.data.x.device):
            train_loss, terms = self._train(number)
        validation_loss, validation_auroc = self._validate(number)
        row = Epoch(number, train_loss, validation_loss, validation_auroc, terms)
        best = self.history[self.best_epoch - 1].validation_auroc if self.best_epoch else -math.inf
        self.history.append(row)
        if self.data.validation_x is None or validation_auroc > best:
            self.best_epoch = number
            self.best_weights = {
                name: value.detach().clone() for name, value in self.model.state_dict().items()
            }
        return row

    def _train(self, number: int) -> tuple[float, tuple[float, ...]]:
        x, y, target = self.data.x, self.data.y, self.data.target
        order = self._order("source", number, len(x))
        target_order = self._target_order(number, len(x))
        # Draws of their own: the source loses the same marks with and without a target.
        dropping = self._generator("marks", "source", number)
        target_dropping = self._generator("marks", "target", number)
        dropout = self.config.mark_dropout
        size = self.config.batch_size
        sums = torch.zeros(1 + len(self.method.columns), dtype=torch.float64)
        sums = sums.to(x.device, torch.float32 if x.device.type == "mps" else torch.float64)
        self.model.train()
        self.method.train()
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            batch = Batch(
                drop_marks(x.index_select(0, rows), dropout, dropping),
                y.index_select(0, rows),
                None
                if target is None or target_order is None
                else drop_marks(
                    target.index_select(0, target_order[start : start + size]),
                    dropout,
                    target_dropping,
                ),
            )
            progress = (number - 1 + start / len(x)) / self.config.epochs
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.method.loss(self.model, batch, progress)
            loss.total.backward()  # type: ignore[no-untyped-call]
            if self.config.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
            self.optimizer.step()
            # Summed on the device: asking for a number at each step would make it wait.
            sums += torch.stack([loss.total.detach(), *loss.terms]) * len(rows)
        train_loss, *terms = (sums / len(x)).tolist()
        self._check(train_loss, number)
        return train_loss, tuple(terms)

    def _validate(self, number: int) -> tuple[float, float]:
        x, y = self.data.validation_x, self.data.validation_y
        if x is None or y is None:
            return math.nan, math.nan
        logits = predict_logits(self.model, x)
        loss = float(torch.nn.functional.cross_entropy(logits, y))
        self._check(loss, number)
        return loss, auroc(y.cpu().numpy(), high_probability(logits).cpu().numpy())

    def _order(self, purpose: str, number: int, count: int) -> Tensor:
        generator = self._generator("order", purpose, number)
        return torch.randperm(count, generator=generator).to(self.data.x.device)

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, *purpose))

    def _target_order(self, number: int, count: int) -> Tensor | None:
        """Return as many target genes as there are source genes: shuffled, again and again."""
        target = self.data.target
        if target is None or not self.method.uses_target:
            return None
        rounds = math.ceil(count / len(target))
        orders = [self._order(f"target-{turn}", number, len(target)) for turn in range(rounds)]
        return torch.cat(orders)[:count]

    def _check(self, loss: float, number: int) -> None:
        if not math.isfinite(loss):
            raise ChromeError(
                f"the loss is {loss} in epoch {number}; training diverged",
                hint=f"lower --lr (it is {self.config.lr})",
            )


def make_optimizer(
    parameters: list[torch.nn.Parameter], config: TrainConfig
) -> torch.optim.Optimizer:
    """Make the optimizer that a configuration names; ``momentum`` is for ``sgd``."""
    fused = all(parameter.device.type == "cpu" for parameter in parameters)
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=fused,
        )
    adam = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def predict_logits(model: ChromeNet, x: Tensor) -> Tensor:
    """Return the logits (genes, 2) of signal (genes, marks, bins), without dropout."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        parts = [
            model(x[start : start + PREDICTION_BATCH])
            for start in range(0, len(x), PREDICTION_BATCH)
        ]
    model.train(training)
    return torch.cat(parts) if parts else x.new_zeros((0, 2))


def high_probability(logits: Tensor) -> Tensor:
    """Return the probability (genes,) of class 1 of logits (genes, 2)."""
    return torch.softmax(logits, dim=1)[:, 1]
