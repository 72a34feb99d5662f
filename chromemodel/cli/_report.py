"""How do scores and progress look on a terminal, in a pipe and in a log?"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import click

from chromemodel.config import TaskName

if TYPE_CHECKING:
    from chromemodel.evaluate.metrics import Interval, Score
    from chromemodel.evaluate.uncertainty import Difference
    from chromemodel.train.loop import Epoch
    from chromemodel.train.seeds import Spread

# Metrics shown, and their names in the field.
_CLASSIFIED = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "brier": "Brier",
    "ece": "ECE",
}
_REGRESSED = {"pearson": "Pearson", "spearman": "Spearman", "r2": "R2", "rmse": "RMSE"}
#: What chooses the epoch of a task.
METRICS: dict[TaskName, str] = {"classification": "AUROC", "regression": "R2"}


def score_table(scores: Sequence[Score]) -> str:
    """Return scores as a table of aligned columns, one group of rows for each part of the genes.

    Where a score has an interval, a second line holds its bounds.

    Examples
    --------
    >>> from chromemodel.evaluate.metrics import Metrics, Score
    >>> found = Metrics(9, 0.5, 0.9, 0.8, 0.7, 0.6, 0.4, 0.1, 0.02)
    >>> print(score_table([Score("m", "test", found)]))
          AUROC   AUPRC  accuracy      F1     MCC   Brier     ECE
    test: 9 genes, 50.0% high
      m  0.9000  0.8000    0.7000  0.6000  0.4000  0.1000  0.0200
    """
    from chromemodel.evaluate.metrics import Metrics

    groups: dict[str, list[list[str]]] = {}
    shown = _CLASSIFIED
    for score in scores:
        found = score.metrics
        if not isinstance(found, Metrics):
            shown = _REGRESSED
        values = [f"{getattr(found, name):.4f}" for name in shown]
        rows = groups.setdefault(heading(score), [])
        rows.append([f"  {score.model}", *values])
        if score.interval is not None:
            rows.append(["", *(bounds(score.interval, name) for name in shown)])
    header = ["", *shown.values()]
    table = [header, *(row for rows in groups.values() for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [_aligned(header, widths)]
    for words, rows in groups.items():
        lines += [words, *(_aligned(row, widths) for row in rows)]
    return "\n".join(lines)


def spread_table(found: Sequence[Spread]) -> str:
    """Return mean ± standard deviation over seeds as a table, one group of rows for each part.

    Examples
    --------
    >>> from chromemodel.train.seeds import Spread
    >>> print(spread_table([Spread("m", "test", {"auroc": 0.9}, {"auroc": 0.01})]))
                   AUROC
    test
      m  0.9000 ± 0.0100
    """
    shown = {**_CLASSIFIED, **_REGRESSED}
    names = [name for name in shown if any(name in one.mean for one in found)]
    groups: dict[str, list[list[str]]] = {}
    for one in found:
        cells = [
            "" if name not in one.mean
            else f"{one.mean[name]:.4f}" if math.isnan(one.deviation[name])
            else f"{one.mean[name]:.4f} ± {one.deviation[name]:.4f}"
            for name in names
        ]  # fmt: skip
        groups.setdefault(one.part, []).append([f"  {one.model}", *cells])
    header = ["", *(shown[name] for name in names)]
    table = [header, *(row for rows in groups.values() for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [_aligned(header, widths)]
    for part, rows in groups.items():
        lines += [part, *(_aligned(row, widths) for row in rows)]
    return "\n".join(lines)


def heading(score: Score) -> str:
    """Return which genes a score is of, and how many are high where they are classified."""
    from chromemodel.evaluate.metrics import Metrics

    found = score.metrics
    words = f"{score.part}: {found.genes:,} genes"
    return f"{words}, {found.positive_share:.1%} high" if isinstance(found, Metrics) else words


def difference_table(first: Score, second: Score, found: Difference) -> str:
    """Return two models with their bounds and the difference with its own, one metric a row."""
    rows = [["", first.model, second.model, "difference"]]
    from chromemodel.evaluate.metrics import Metrics

    shown = _CLASSIFIED if isinstance(first.metrics, Metrics) else _REGRESSED
    for name, words in shown.items():
        row = [words]
        for score in (first, second):
            value = f"{getattr(score.metrics, name):.4f}"
            row.append(
                value if score.interval is None else f"{value} ({bounds(score.interval, name)})"
            )
        row.append(f"{getattr(found.value, name):+.4f}")
        if found.interval is not None:
            low, high = (getattr(end, name) for end in (found.interval.low, found.interval.high))
            row[-1] += f" ({low:+.4f} to {high:+.4f})"
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_aligned(row, widths) for row in rows)


def bounds(interval: Interval, name: str) -> str:
    """Return the bounds of a metric, short: ``".912–.934"``."""
    ends = (getattr(end, name) for end in (interval.low, interval.high))
    return "–".join(f"{end:.3f}".replace("0.", ".", 1) for end in ends)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of a table: the first column to the left, numbers to the right."""
    cells = [row[0].ljust(widths[0])]
    cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join(cells).rstrip()


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
    metric
        What chooses the epoch.
    """

    def __init__(
        self, epochs: int, name: str = "", stream: TextIO | None = None, metric: str = "AUROC"
    ) -> None:
        self.epochs, self.metric = epochs, metric
        self.name = f"{name}: " if name else ""
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.last: Epoch | None = None
        self.best = (-math.inf, 0)

    def __call__(self, row: Epoch) -> None:
        """Tell of an epoch."""
        self.last = row
        if row.validation_score > self.best[0]:
            self.best = (row.validation_score, row.epoch)
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
        if not math.isnan(row.validation_score):
            words += (
                f", validation {self.metric} {row.validation_score:.4f}"
                f" (best {self.best[0]:.4f} in epoch {self.best[1]})"
            )
        return words
