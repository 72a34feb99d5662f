"""How is a model fitted? The only training loop, for every model and every method.

An epoch depends on the weights, the optimizer's state, the seed and its number, and on nothing
else: random numbers are seeded anew for each, so a loop can be taken up again at any epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.adapt.base import Batch, Method
from chromemodel.config import Precision, TrainConfig
from chromemodel.models.base import ChromeNet
from chromemodel.tasks import CLASSIFICATION, Task
from chromemodel.train.augment import Augmentation, Counts
from chromemodel.train.device import derive_seed, seeded
from chromemodel.train.features import predicting, sharing, working
from chromemodel.train.interrupts import held_back
from chromemodel.train.marks import drop_marks
from chromemodel.train.memory import free_memory, halved, in_halves
from chromemodel.train.state import State, load_optimizer
from chromemodel.train.store import Signals
from chromeprep.errors import ChromeError

if TYPE_CHECKING:
    from chromemodel.train.resume import Checkpoint

# Genes that are predicted at once: on a CPU what stays in its caches, twice as many in bfloat16.
CPU_PREDICTION_BATCH, PREDICTION_BATCH = 64, 512


class FitData(NamedTuple):
    """Tensors on the device of the loop, or of signal what gives batches of them.

    ``x`` (genes, marks, bins) and ``y`` (genes,) train, int64 labels or the float32 values of a
    regression by ``task``; ``target`` (genes, marks, bins) has no labels; ``validation_x`` and
    ``validation_y`` choose the epoch, or are None. Reads are thinned by ``counts`` of the training
    genes and of the target's.
    """

    x: Signals
    y: Tensor
    target: Signals | None = None
    validation_x: Signals | None = None
    validation_y: Tensor | None = None
    task: Task = CLASSIFICATION
    counts: Counts | None = None
    target_counts: Counts | None = None


class Epoch(NamedTuple):
    """A row of the history; ``terms`` as the method's columns, means over the genes of an epoch.

    ``validation_loss`` and ``validation_score`` (`Task.metric`) are NaN where nothing is held out.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_score: float
    terms: tuple[float, ...] = ()


class Fit(NamedTuple):
    """How a fit went; epochs count from 1.

    ``changes`` say in words where settings changed on the way: memory ran out, or the fit was
    resumed with others.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    changes: tuple[str, ...] = ()


class Loop:
    """Fits a model in place.

    Parameters
    ----------
    model, method
        On the device of the data; trained together, `Method.loss` goes down.
    data
        All genes.
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
        self.changes: tuple[str, ...] = ()
        self.after_step: Callable[[], None] = lambda: None

    def fit(
        self,
        on_epoch: Callable[[Epoch], None] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Fit:
        """Run epochs until the last, or until validation has not improved for `patience`.

        The model ends with the weights of the best epoch: the highest validation score, the
        earlier of equals; the last epoch where nothing is held out. `Method.finish` has the last
        word; `best_weights` stay as they were.

        Where memory runs out, the epoch begins again with half the batch. SIGINT and SIGTERM wait
        for the end of a step.

        Parameters
        ----------
        on_epoch
            Called with each row of the history, those of a checkpoint first.
        checkpoint
            Where the fit goes on from, and is kept until its end, however it ends.

        Raises
        ------
        ChromeError
            Where the loss is no longer a number, or memory is not enough for one gene.
        RunError, MismatchError
            As `Checkpoint.restore`.
        """
        good = State.of(self)
        if checkpoint is not None:
            good = checkpoint.restore(self)
        if on_epoch is not None:
            for row in self.history:
                on_epoch(row)
        try:
            with held_back() as self.after_step:
                while not self.ended:
                    row = self.run_epoch_in_memory(good)
                    good = State.of(self)
                    if on_epoch is not None:
                        on_epoch(row)
                    if checkpoint is not None:
                        checkpoint.offer(good)
        except BaseException as error:
            if checkpoint is not None:
                checkpoint.keep(good, error)
            raise
        return self.finish()

    def finish(self) -> Fit:
        """Put the weights of the best epoch back, and say how the fit went."""
        self.model.load_state_dict(self.best_weights)
        self.model.eval()
        with torch.no_grad():
            self.method.finish(self.model, self.data.target)
        early = len(self.history) < self.config.epochs
        return Fit(tuple(self.history), self.best_epoch, early, self.changes)

    @property
    def ended(self) -> bool:
        """Whether the last epoch was run, or validation has not improved for `patience`."""
        if self.data.validation_x is None or not self.history:
            return len(self.history) >= self.config.epochs
        idle = len(self.history) - self.best_epoch
        return len(self.history) >= self.config.epochs or idle >= self.config.patience

    def take_up(self, state: State) -> None:
        """Go on from a state of the same model, method and data."""
        self.model.load_state_dict(state.model)
        self.method.load_state_dict(state.method)
        self.config, self.changes = state.training, state.changes
        self.optimizer = make_optimizer(self.parameters, self.config)
        load_optimizer(self.optimizer, state.optimizer)
        self.history, self.best_epoch = list(state.history), state.best_epoch
        self.best_weights = dict(state.best_weights)

    def run_epoch_in_memory(self, good: State) -> Epoch:
        """Run an epoch; where memory runs out, from the state before it with half the batch."""
        while True:
            size = self.config.batch_size
            try:
                return self.run_epoch()
            except (RuntimeError, MemoryError) as error:
                size = halved(size, "training", error)
            free_memory()
            words = f"batch_size was {good.training.batch_size}, now it is {size}: out of memory"
            self.take_up(good.changed(replace(good.training, batch_size=size), [words]))

    def run_epoch(self) -> Epoch:
        """Train on every gene once, validate, keep the weights if they are the best so far."""
        number = len(self.history) + 1
        with seeded(self.draws(number), self.data.x.device):
            train_loss, terms = self._train(number)
        return self.close_epoch(train_loss, terms)

    def close_epoch(
        self, train_loss: float, terms: tuple[float, ...] = (), logits: Tensor | None = None
    ) -> Epoch:
        """Validate after a pass over the genes, keep the weights if they are the best so far.

        Parameters
        ----------
        train_loss, terms
            As `Epoch`.
        logits
            Of the validation genes, where they are known already.

        Raises
        ------
        ChromeError
            Where the loss or a weight is no longer a number.
        """
        number = len(self.history) + 1
        self._check(train_loss, number)
        if not all(bool(weight.isfinite().all()) for weight in self.parameters):
            self._check(math.nan, number)  # the last step did it: no loss has told of it yet
        validation_loss, validation_score = self._validate(number, logits)
        row = Epoch(number, train_loss, validation_loss, validation_score, terms)
        best = self.history[self.best_epoch - 1].validation_score if self.best_epoch else -math.inf
        self.history.append(row)
        if self.data.validation_x is None or validation_score > best:
            self.best_epoch = number
            self.best_weights = {
                name: value.detach().clone() for name, value in self.model.state_dict().items()
            }
        return row

    def _train(self, number: int) -> tuple[float, tuple[float, ...]]:
        x, y, target = self.data.x, self.data.y, self.data.target
        order = self.order("source", number, len(x))
        target_order = self._target_order(number, len(x))
        # Draws of their own: the source loses the same marks with and without a target.
        dropping = self.generator("marks", "source", number)
        target_dropping = self.generator("marks", "target", number)
        dropout = self.config.mark_dropout
        near, far = (
            Augmentation(self.config, counts, self.generator, part, number)
            for part, counts in (("source", self.data.counts), ("target", self.data.target_counts))
        )
        size = self.config.batch_size
        sums = torch.zeros(1 + len(self.method.columns), dtype=torch.float64)
        sums = sums.to(x.device, torch.float32 if x.device.type == "mps" else torch.float64)
        self.model.train()
        self.method.train()
        with sharing(self.model, x.device, self.config.precision) as net:
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                batch = Batch(
                    drop_marks(near(x.index_select(0, rows), rows), dropout, dropping),
                    y.index_select(0, rows),
                    None
                    if target is None or target_order is None
                    else drop_marks(
                        far(
                            target.index_select(0, there := target_order[start : start + size]),
                            there,
                        ),
                        dropout,
                        target_dropping,
                    ),
                    self.data.task,
                )
                progress = (number - 1 + start / len(x)) / self.config.epochs
                self.optimizer.zero_grad(set_to_none=True)
                loss = self.method.loss(net, batch, progress)
                loss.total.backward()  # type: ignore[no-untyped-call]
                if self.config.clip_norm is not None:
                    torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
                self.optimizer.step()
                self.after_step()
                # Summed on the device: asking for a number at each step would make it wait.
                sums += torch.stack([loss.total.detach(), *loss.terms]) * len(rows)
        train_loss, *terms = (sums / len(x)).tolist()
        return train_loss, tuple(terms)

    def _validate(self, number: int, logits: Tensor | None) -> tuple[float, float]:
        x, y = self.data.validation_x, self.data.validation_y
        if x is None or y is None:
            return math.nan, math.nan
        if logits is None:
            logits = predict_logits(self.model, x, self.config.precision)
        loss = float(self.data.task.loss(logits, y))
        self._check(loss, number)
        return loss, self.data.task.selection(logits, y)

    def draws(self, number: int) -> int:
        """Return the seed of what the layers draw in an epoch."""
        return derive_seed(self.config.seed, "epoch", number)

    def order(self, purpose: str, number: int, count: int) -> Tensor:
        """Return in which order so many genes come in an epoch."""
        generator = self.generator("order", purpose, number)
        return torch.randperm(count, generator=generator).to(self.data.x.device)

    def generator(self, *purpose: str | int) -> torch.Generator:
        """Return random numbers of the CPU for one purpose."""
        return torch.Generator().manual_seed(derive_seed(self.config.seed, *purpose))

    def _target_order(self, number: int, count: int) -> Tensor | None:
        """Return as many target genes as there are source genes: shuffled, again and again."""
        target = self.data.target
        if target is None or not self.method.uses_target:
            return None
        rounds = math.ceil(count / len(target))
        orders = [self.order(f"target-{turn}", number, len(target)) for turn in range(rounds)]
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


def prediction_batch(device: torch.device, precision: Precision = "float32") -> int:
    """Return how many genes are best predicted at once."""
    if device.type != "cpu":
        return PREDICTION_BATCH
    return CPU_PREDICTION_BATCH if precision == "float32" else 2 * CPU_PREDICTION_BATCH


def predict_logits(model: ChromeNet, x: Signals, precision: Precision = "float32") -> Tensor:
    """Return the logits (genes, 2) of signal (genes, marks, bins), without dropout.

    On a CPU each thread takes batches of its own.
    """
    training = model.training
    model.eval()
    net = predicting(model, precision, x.device)

    def of_genes(genes: slice) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = net(x[genes])
            return logits

    try:
        with working(torch.get_num_threads() if x.device.type == "cpu" else 1) as work:
            parts = in_halves(
                lambda size: work(of_genes, [slice(n, n + size) for n in range(0, len(x), size)]),
                prediction_batch(x.device, precision),
                "prediction",
            )
    finally:
        model.train(training)
    return torch.cat(parts) if parts else torch.zeros((0, 2), dtype=x.dtype, device=x.device)


def label_tensor(label: NDArray[Any]) -> Tensor:
    """Return labels (genes,) as `FitData` has them: whole numbers int64, others float32."""
    return torch.from_numpy(label.astype(np.int64 if label.dtype.kind == "i" else np.float32))
