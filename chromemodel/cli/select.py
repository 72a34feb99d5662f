"""``chromemodel select``: which adapted run to take, without labels of the target?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from chromemodel.cli._options import compute_options, json_option, mark_option

if TYPE_CHECKING:
    from chromemodel.evaluate.select import Selection


@click.command("select")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True)
@mark_option
@compute_options
@json_option
def command(
    runs: tuple[str, ...],
    marks: tuple[str, ...],
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Choose among runs of `chromemodel adapt` on the same files, without labels of the target.

    Each run is told by the entropy of its predictions for the target (low is good), their mutual
    information with the genes (high), its AUROC on the source's validation genes (high), and deep
    embedded validation (DEV, low): the loss of these genes, weighted to stand for the target. A
    star marks what each would choose. Where the target has labels, the AUROC by them is printed
    below; nothing is chosen by it.
    """
    from chromemodel.evaluate.select import select_run, to_json
    from chromeprep.cli._shell import echo_json

    if len(runs) < 2:
        raise click.UsageError("name two runs or more to choose from")
    found = select_run(runs, marks=marks, device=device, threads=threads)
    if as_json:
        echo_json(to_json(found))
        return
    for note in found.notes:
        click.echo(note, err=True)
    click.echo(selection_table(found))


def selection_table(found: Selection) -> str:
    """Return the runs with their values, what each criterion chooses, and the labels' word."""
    rows = [["run", *(choice.criterion.name for choice in found.choices)]]
    for one in found.candidates:
        cells = []
        for criterion, chosen in found.choices:
            value = getattr(one.values, criterion.field)
            text = "-" if math.isnan(value) else f"{value:.4f}"
            cells.append(f"{text}{'*' if one.run == chosen else ' '}")
        rows.append([one.run, *cells])
    lines = [*_lines(rows), ""]
    lines += [
        f"chosen by {criterion.name} ({criterion.better} is good): {run or 'none, no value'}"
        for criterion, run in found.choices
    ]
    if found.oracle is None:
        return "\n".join(lines)
    area = {one.run: one.target_auroc for one in found.candidates}
    best = area[found.oracle]
    lines += [
        "",
        f"By the target's labels, {found.test_genes:,} test genes; they chose nothing above:",
    ]
    oracle = [["run", "target AUROC", "chosen by"]]
    for one in found.candidates:
        names = [choice.criterion.name for choice in found.choices if choice.run == one.run]
        names += ["labels (oracle)"] if one.target_auroc == best else []
        oracle.append([one.run, f"{one.target_auroc:.4f}", ", ".join(names) or "-"])
    return "\n".join([*lines, *_lines(oracle)])


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]
