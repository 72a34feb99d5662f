"""What did a benchmark measure? One row a number, and the table of them all."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from chromeprep.errors import FormatError

RESULTS = "results.csv"

#: Test genes of a run by its own protocol, and those common to `origin`, `uncross` and `cross`.
OWN, COMMON = "own", "common"

#: Which of the test genes: all; those that are on in some cell types of the panel and off in
#: others; those whose label is another in the source.
ALL, VARIABLE, DIFFERS = "all", "variable", "differs"

#: A metric that is none of a model: the share of genes with the label that the source has.
AGREEMENT = "label_agreement"

#: What is looked up of a panel: the mean expression in its cell types.
PANEL_MEAN = "panel mean"

#: Methods of a row; see `Row`.
WITHIN, ORIGIN, UNCROSS, CROSS, LOOKUP = "within", "origin", "uncross", "cross", "lookup"


class Row(NamedTuple):
    """One number of one run.

    Attributes
    ----------
    model
        A registered model, or such a one with `` + panel`` (`fused_name`); for ``lookup`` what is
        looked up: ``source expression`` (``source label`` where it has none) or ``panel mean``.
    method
        ``within``; or ``origin`` (trained on the target itself), ``uncross`` (trained on the
        source, not adapted), ``cross`` (adapted); or ``lookup`` (nothing trained).
    source, target
        Cell types; the same where a model is tested on the one it was trained on.
    split
        Rule of the split: ``thirds``, ``deepchrome``, ``chromosome``, ``published``, ``adapt``.
    seed
        Of the split, the weights and the order.
    test_set
        ``own`` or ``common``.
    subset
        Which of these: ``all``, ``variable`` or ``differs``.
    genes
        How many genes were scored.
    metric
        A field of `chromemodel.evaluate.metrics.Metrics`, such as ``auroc``; or
        ``label_agreement``, the share of these genes with the label that they have in the source.
    value
        Its value.
    seconds
        What the whole run took.
    """

    model: str
    method: str
    source: str
    target: str
    split: str
    seed: int
    test_set: str
    subset: str
    genes: int
    metric: str
    value: float
    seconds: float


class Failure(NamedTuple):
    """A run that came to nothing.

    Attributes
    ----------
    key
        Its folder, below ``runs`` of the benchmark.
    model, method, source, target, seed
        As in `Row`; ``cross`` stands for ``uncross`` too where one run makes both.
    message
        What went wrong, in one line.
    """

    key: str
    model: str
    method: str
    source: str
    target: str
    seed: int
    message: str


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV with a header, full precision."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote.

    Raises
    ------
    FormatError
        Where a column or a value is wrong; it names the line.
    """
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.reader(handle)
        header = tuple(next(reader, ()))
        if header != Row._fields:
            raise FormatError(
                f"columns are {', '.join(header)}; expected {', '.join(Row._fields)}", path=path
            )
        rows = []
        for values in reader:
            try:
                row = Row(*values)  # type: ignore[arg-type]
                rows.append(
                    row._replace(
                        seed=int(row.seed),
                        genes=int(row.genes),
                        value=float(row.value),
                        seconds=float(row.seconds),
                    )
                )
            except (TypeError, ValueError) as error:
                raise FormatError(str(error), path=path, line=reader.line_num) from error
        return rows
