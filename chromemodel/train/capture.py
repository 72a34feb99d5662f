"""How does a GPU take a step of hundreds of operations without being told each of them?

A CUDA graph: the operations are recorded once, and launched again as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]

# Libraries choose and allocate in the first steps, which cannot be recorded.
_REHEARSALS = 3


class CapturedStep:
    """A step that is launched as one.

    Parameters
    ----------
    step
        Takes signal, labels and factors of dropouts and returns losses; always the same operations.
    x, y, factors
        A batch of the size of all later ones.
    state
        All tensors that the step changes in place; they are as before when this is made.
    """

    def __init__(
        self,
        step: Step,
        x: Tensor,
        y: Tensor,
        factors: Sequence[Tensor],
        state: Sequence[Tensor],
    ) -> None:
        self.inputs = [one.clone() for one in (x, y, *factors)]
        before = [one.clone() for one in state]
        here = torch.cuda.current_stream(x.device)
        aside = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(_REHEARSALS):
                step(self.inputs[0], self.inputs[1], self.inputs[2:])
        here.wait_stream(aside)
        for one, value in zip(state, before, strict=True):
            one.copy_(value)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = step(self.inputs[0], self.inputs[1], self.inputs[2:])

    def __call__(self, x: Tensor, y: Tensor, factors: Sequence[Tensor]) -> Tensor:
        """Take a step; the losses returned are overwritten by the next."""
        for mine, value in zip(self.inputs, (x, y, *factors), strict=True):
            mine.copy_(value)
        self.graph.replay()
        return self.losses
