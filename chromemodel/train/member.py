"""What does a fit need to be one of many?"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from chromemodel.train.loop import Epoch, Fit, Loop
from chromemodel.train.resume import Checkpoint
from chromemodel.train.state import State
from chromemodel.train.store import Signals
from chromeprep.errors import ChromeError


class Member:
    """One of the models that are fitted together, and how far it is.

    Parameters
    ----------
    loop, on_epoch, checkpoint
        As `Loop.fit` takes them.
    """

    def __init__(
        self,
        loop: Loop,
        on_epoch: Callable[[Epoch], None] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.loop, self.checkpoint = loop, checkpoint
        self.on_epoch = on_epoch or (lambda row: None)
        self.good = State.of(loop)
        self.result: Fit | ChromeError | None = None

    def start(self) -> None:
        """Go on from the checkpoint, if there is one."""
        try:
            if self.checkpoint is not None:
                self.good = self.checkpoint.restore(self.loop)
        except ChromeError as error:
            self.result = error
            return
        for row in self.loop.history:
            self.on_epoch(row)
        self._end_if_due()

    def end_epoch(self, work: Callable[[], Epoch]) -> None:
        """Do the rest of an epoch, tell, keep the state; a `ChromeError` ends this model alone."""
        try:
            row = work()
        except ChromeError as error:
            self.keep(error)
            self.result = error
            return
        self.good = State.of(self.loop)
        self.on_epoch(row)
        if self.checkpoint is not None:
            self.checkpoint.offer(self.good)
        self._end_if_due()

    def look_into(
        self, genes: tuple[Signals, Tensor], held_out: tuple[Signals, Tensor] | None
    ) -> None:
        """Let the same genes be where they lie together with those of other models."""
        data = self.loop.data._replace(x=genes[0], y=genes[1])
        if held_out is not None:
            data = data._replace(validation_x=held_out[0], validation_y=held_out[1])
        self.loop.data = data
        if self.checkpoint is not None:
            self.checkpoint.data = data

    def keep(self, error: BaseException) -> None:
        """Write the last good state."""
        if self.checkpoint is not None:
            self.checkpoint.keep(self.good, error)

    def _end_if_due(self) -> None:
        if self.loop.ended:
            self.result = self.loop.finish()
