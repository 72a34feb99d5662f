"""How do the rows of a benchmark become the files that people read?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from chromemodel.benchmark.figures import draw, ordered
from chromemodel.benchmark.panels import Spoken
from chromemodel.benchmark.rows import Failure, Row
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import summarise
from chromemodel.benchmark.tables import (
    cell_types_md,
    cell_types_tsv,
    table_md,
    table_tsv,
)
from chromemodel.benchmark.words import readme
from chromemodel.style import can_draw, render
from chromeprep.format import atomic_file

logger = logging.getLogger(__name__)

FIGURES = ("figure.png", "figure.svg")


def write_report(
    folder: Path,
    spec: BenchmarkSpec,
    rows: Sequence[Row],
    failures: Sequence[Failure],
    spoken: Sequence[Spoken] = (),
) -> list[Path]:
    """Write tables, figures and the README of a benchmark, each file whole or not at all.

    The same arguments give the same bytes, whatever the order of rows and failures. Without
    matplotlib, or without any number, there is no figure, and one of an earlier report is removed.

    Parameters
    ----------
    folder
        Of the benchmark; it exists.
    spec
        What was asked: it says which rows there should be.
    rows, failures
        What came of it.
    spoken
        Which cell types of the panel spoke, where there is one.

    Returns
    -------
    list of Path
        The files, the README first.

    Raises
    ------
    OutputError
        Where a file cannot be written.
    """
    summaries = summarise(spec, rows, failures)
    everything = [one.series for one in summaries]
    measured = any(series.runs for series in everything)
    drawable = measured and can_draw()
    if measured and not drawable:
        logger.warning(
            "warning: no figure: it needs matplotlib; pip install 'transferchrome[plot]', then "
            "the same command again"
        )
    table = table_md(spec, summaries)
    texts = {
        "README.md": readme(spec, summaries, failures, spoken, table=table, figure=drawable),
        "table.md": table,
        "table.tsv": table_tsv(spec, summaries),
        "by_cell_type.md": cell_types_md(ordered(spec, everything), everything),
        "by_cell_type.tsv": cell_types_tsv(everything),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    if drawable:
        contents["figure.png"] = render(lambda: draw(spec, summaries), "png")
        contents["figure.svg"] = render(lambda: draw(spec, summaries), "svg")
    for name, content in contents.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_bytes(content)
    for name in FIGURES:
        if name not in contents:
            (folder / name).unlink(missing_ok=True)
    return [folder / name for name in contents]
