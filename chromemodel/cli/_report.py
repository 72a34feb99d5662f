"""How do scores and progress look on a terminal, in a pipe and in a log?"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from chromemodel.evaluate.metrics import Score
    from chromemodel.train.loop import Epoch

_HEADER = ("model", "genes of", "genes", "positive", "AUROC", "AUPRC", "accuracy", "F1")


def score_table(scores: Sequence[Score]) -> str:
    """Return scores as a table of aligned columns.

    Examples
    --------
    >>> from chromemodel.evaluate.metrics import Metrics, Score
    >>> print(score_table([Score("m", "test", Metrics(9, 0.5, 0.9, 0.8, 0.7, 0.6))]))
    model  genes of  genes  positive   AUROC   AUPRC  accuracy      F1
    m      test          9     50.0%  0.9000  0.8000    0.7000  0.6000
    """
    rows = [list(_HEADER)]
    for model, part, metrics in scores:
        values = (metrics.auroc, metrics.auprc, metrics.accuracy, metrics.f1)
        rows.append(
            [model, part, f"{metrics.genes:,}", f"{metrics.positive_share:.1%}"]
            + [f"{value:.4f}" for value in values]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


class EpochReporter:
    """Tells of epochs on stderr: one line rewritten on a terminal, else one every ten epochs.

    Parameters
    ----------
    epochs
        How many there are at most.
    name
        What is trained, put in front.
    stream
        Where to write; stderr by default.
    """

    def __init__(self, epochs: int, name: str = "", stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self.name = f"{name}: " if name else ""
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.last: Epoch | None = None
        self.best = (-math.inf, 0)

    def __call__(self, row: Epoch) -> None:
        """Tell of an epoch."""
        self.last = row
        if row.validation_auroc > self.best[0]:
            self.best = (row.validation_auroc, row.epoch)
        if self.live:
            click.echo(f"\r\033[K{self._words(row)}", file=self.stream, nl=False)
        elif row.epoch == 1 or row.epoch % 10 == 0:
            click.echo(self._words(row), file=self.stream)

    def close(self) -> None:
        """End the line; say how the last epoch was if that was not told yet."""
        if self.last is None:
            return
        if self.live:
            click.echo("", file=self.stream)
        elif self.last.epoch != 1 and self.last.epoch % 10:
            click.echo(self._words(self.last), file=self.stream)

    def _words(self, row: Epoch) -> str:
        words = f"{self.name}epoch {row.epoch}/{self.epochs}, loss {row.train_loss:.4f}"
        if not math.isnan(row.validation_auroc):
            words += (
                f", validation AUROC {row.validation_auroc:.4f}"
                f" (best {self.best[0]:.4f} in epoch {self.best[1]})"
            )
        return words
