"""What does the next epoch of a fit depend on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from chromemodel.config import TrainConfig

if TYPE_CHECKING:
    from chromemodel.train.loop import Epoch, Loop

Weights = Mapping[str, Tensor]


class State(NamedTuple):
    """A fit at the end of an epoch; tensors on the CPU, but for those of the best epoch.

    Random numbers are not among it: they are seeded anew for each epoch.

    Attributes
    ----------
    model, method
        Their ``state_dict``.
    optimizer
        By number of the parameter and name: ``"3.momentum_buffer"``.
    best_weights, best_epoch, history
        As in `Loop`.
    training
        The settings of the next epoch.
    changes
        In words, where these were others for earlier epochs.
    """

    model: Weights
    method: Weights
    optimizer: Weights
    best_weights: Weights
    best_epoch: int
    history: tuple[Epoch, ...]
    training: TrainConfig
    changes: tuple[str, ...]

    @classmethod
    def of(cls, loop: Loop) -> State:
        """Copy the state of a loop between two epochs."""
        return cls(
            _copied(loop.model.state_dict()),
            _copied(loop.method.state_dict()),
            _copied(optimizer_tensors(loop.optimizer)),
            loop.best_weights,
            loop.best_epoch,
            tuple(loop.history),
            loop.config,
            loop.changes,
        )

    def changed(self, training: TrainConfig, differences: Sequence[str]) -> State:
        """Return the state with other settings for what follows; it tells of the differences."""
        words = f"settings changed after epoch {len(self.history)}: {'; '.join(differences)}"
        return self._replace(training=training, changes=(*self.changes, words))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer remembers, by number of the parameter and name."""
    return {
        f"{number}.{name}": value
        for number, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Weights) -> None:
    """Put back what `optimizer_tensors` gave; the settings stay those of the optimizer."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        # Copied: load_state_dict shares the tensors it is given.
        state.setdefault(int(number), {})[name] = value.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _copied(tensors: Weights) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
