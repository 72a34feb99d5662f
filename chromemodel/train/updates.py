"""How are the weights of many models changed after a step, each by settings of its own?

The same arithmetic as torch's SGD, Adam and AdamW, for a matrix with a model in each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from chromemodel.config import TrainConfig
from chromemodel.train.loop import Loop

#: torch's defaults, which `make_optimizer` leaves as they are.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Updates:
    """The optimizers of many models; what they remember lies in matrices (models, weights).

    Parameters
    ----------
    loops
        Their optimizers are of one kind; each goes on from what it remembers, and its state becomes
        a view of the matrices.
    weights
        (models, weights).
    lengths
        Of each parameter of a model, in order.
    """

    def __init__(self, loops: Sequence[Loop], weights: Tensor, lengths: Sequence[int]) -> None:
        self.loops, self.lengths = loops, list(lengths)
        configs = [loop.config for loop in loops]
        self.kind = configs[0].optimizer

        def column(value: Callable[[TrainConfig], float]) -> Tensor:
            return weights.new_tensor([[value(config)] for config in configs])

        self.settings = {
            "lr": column(lambda one: one.lr),
            "momentum": column(lambda one: one.momentum),
            "weight_decay": column(lambda one: one.weight_decay),
            "clip_norm": column(lambda one: math.inf if one.clip_norm is None else one.clip_norm),
        }
        self.clips = any(config.clip_norm is not None for config in configs)
        self.decays = any(config.weight_decay for config in configs)
        names: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
        if self.kind == "sgd":
            names = ("momentum_buffer",) if any(one.momentum for one in configs) else ()
        self.memory = {name: self._remembered(name, weights) for name in names}
        #: Steps that Adam has taken, (models, 1); in double precision, for powers of them.
        self.taken = torch.zeros(len(loops), 1, dtype=torch.float64, device=weights.device)
        if self.kind != "sgd":
            self.taken += torch.tensor([[_steps(loop)] for loop in loops])

    def step(self, members: list[int] | None, weights: Tensor, gradient: Tensor) -> None:
        """Change the weights of some models, or of all, in place; the gradient is used up."""
        rows = slice(None) if members is None else members
        now = {name: value[rows] for name, value in self.settings.items()}
        memory = {name: value[rows] for name, value in self.memory.items()}
        if self.clips:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient *= (now["clip_norm"] / (norm + 1e-6)).clamp(max=1)
        if self.kind == "sgd":
            _sgd(weights, gradient, memory, now, decays=self.decays)
        else:
            taken = self.taken[rows] + 1
            self.taken[rows] = taken
            _adam(weights, gradient, memory, now, taken, decoupled=self.kind == "adamw")
        if members is not None:
            for name, value in memory.items():
                self.memory[name][members] = value

    def close_epoch(self) -> None:
        """Let the optimizer of each model remember what its row does."""
        for number, loop in enumerate(self.loops):
            rows = {
                name: torch.split(value[number], self.lengths)
                for name, value in self.memory.items()
            }
            for place, parameter in enumerate(loop.parameters):
                state = loop.optimizer.state[parameter]
                for name, parts in rows.items():
                    state[name] = parts[place].view(parameter.shape)
                if self.kind != "sgd":
                    state["step"] = self.taken[number, 0].float().cpu()

    def release(self) -> None:
        """Give each optimizer memory of its own."""
        for loop in self.loops:
            for state in loop.optimizer.state.values():
                state.update({name: value.clone() for name, value in state.items()})

    def _remembered(self, name: str, weights: Tensor) -> Tensor:
        found = torch.zeros_like(weights)
        for row, loop in zip(found, self.loops, strict=True):
            for part, parameter in zip(
                torch.split(row, self.lengths), loop.parameters, strict=True
            ):
                value = loop.optimizer.state[parameter].get(name)
                if value is not None:
                    part.copy_(value.flatten())
        return found


def _sgd(
    weights: Tensor,
    gradient: Tensor,
    memory: dict[str, Tensor],
    now: dict[str, Tensor],
    *,
    decays: bool,
) -> None:
    if decays:
        gradient.addcmul_(weights, now["weight_decay"])
    if memory:
        gradient = memory["momentum_buffer"].mul_(now["momentum"]).add_(gradient)
    weights.addcmul_(gradient, now["lr"], value=-1)


def _adam(
    weights: Tensor,
    gradient: Tensor,
    memory: dict[str, Tensor],
    now: dict[str, Tensor],
    taken: Tensor,
    *,
    decoupled: bool,
) -> None:
    """Kingma and Ba 2015; with `decoupled` decay of weights, Loshchilov and Hutter 2019."""
    if decoupled:
        weights.mul_(1 - now["lr"] * now["weight_decay"])
    else:
        gradient.addcmul_(weights, now["weight_decay"])
    mean = memory["exp_avg"].lerp_(gradient, 1 - BETA_1)
    square = memory["exp_avg_sq"].mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
    rate = (now["lr"] / (1 - BETA_1**taken)).to(weights.dtype)
    scale = (1 - BETA_2**taken).sqrt().to(weights.dtype)
    weights.addcmul_(mean / square.sqrt().div_(scale).add_(EPSILON), rate, value=-1)


def _steps(loop: Loop) -> float:
    state = loop.optimizer.state[loop.parameters[0]]
    return float(state["step"]) if "step" in state else 0.0
