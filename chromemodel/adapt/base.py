"""What must a method of adaptation offer?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from chromemodel.models.base import ChromeNet
from chromemodel.tasks import CLASSIFICATION, Task
from chromemodel.train.store import Signals


class Batch(NamedTuple):
    """What one step of training sees.

    ``x`` (genes, marks, bins) and ``y`` (genes,) are labelled genes of the source; ``target``
    (target genes, marks, bins) has no labels, and is None where the method does not use any.
    ``task`` is what ``y`` is, and the loss of it.
    """

    x: Tensor
    y: Tensor
    target: Tensor | None
    task: Task = CLASSIFICATION

    def label_loss(self, logits: Tensor) -> Tensor:
        """Return the mean loss of logits (genes, 2) of ``x`` by ``y``."""
        return self.task.loss(logits, self.y)


class Loss(NamedTuple):
    """What one step gives: ``total`` to go down, ``terms`` as `Method.columns` for the history."""

    total: Tensor
    terms: tuple[Tensor, ...]


class Method(nn.Module, ABC):
    """A loss for a batch of source and target genes, and what it needs to learn beside the model.

    A subclass is registered in `chromemodel.adapt`, sets `Config` to the frozen dataclass of its
    options and is made as ``cls(config, model)``. Its own parameters are trained with the model's
    and forgotten afterwards.

    It must not see labels of the target: a `Batch` has none.
    """

    Config: ClassVar[type[Any]]
    #: Whether `Batch.target` is needed.
    uses_target: ClassVar[bool]
    #: Names of the terms of the loss, columns of ``history.csv``.
    columns: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, config: Any, model: ChromeNet) -> None:
        super().__init__()

    @abstractmethod
    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the loss of a batch.

        Parameters
        ----------
        model
            The model that is trained, in training mode.
        batch
            Source with labels, target without.
        progress
            How much of the training is done, 0 to 1 (of the epochs asked for).
        """

    def finish(self, model: ChromeNet, target: Signals | None) -> None:
        """Change the model once its fit has ended; nothing by default.

        It draws no random numbers: what it does follows from the weights and the target.

        Parameters
        ----------
        model
            The model with the weights of the best epoch, in evaluation mode; gradients are off.
        target
            All genes that adapt, (target genes, marks, bins), without labels.
        """
        return
