"""Source only: train on the source as if there were no target; what adaptation is held against."""

from __future__ import annotations

from dataclasses import dataclass

from chromemodel.adapt.base import Batch, Loss, Method
from chromemodel.models.base import ChromeNet


@dataclass(frozen=True)
class SourceOnlyConfig:
    """It has no options."""


class SourceOnly(Method):
    """Mean cross entropy of the source's labels (TransferChrome, Eq. 7), or the task's loss."""

    Config = SourceOnlyConfig
    uses_target = False

    def __init__(self, config: SourceOnlyConfig, model: ChromeNet) -> None:
        super().__init__(config, model)

    def loss(self, model: ChromeNet, batch: Batch, progress: float) -> Loss:
        """Return the loss of the labels; there are no other terms."""
        return Loss(batch.label_loss(model(batch.x)), ())
