"""`chromeprep panel`: what other cell types say about each gene."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chromeprep.cli._options import INPUT_FILE, expression_ids_option, force_option, json_option
from chromeprep.cli._shell import echo_json

if TYPE_CHECKING:
    from chromeprep.expression import Ids
    from chromeprep.panel import MadePanel, NamedTable

_NAMED = re.compile(r"([^=/]+)=(.+)", re.DOTALL)


class _TableType(click.ParamType["NamedTable"]):
    """``[CELLTYPE=]TABLE``."""

    name = "[CELLTYPE=]TABLE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> NamedTable:
        """Split the value, unless there is a file of this name."""
        from chromeprep.panel import NamedTable

        if isinstance(value, NamedTable):
            return value
        match = _NAMED.fullmatch(value)
        if match and not Path(value).exists():
            return NamedTable(Path(match[2]), match[1])
        if value.endswith("="):
            self.fail(f"no file after '{value}'", param, ctx)
        return NamedTable(Path(value))


@click.command()
@click.option(
    "--expression",
    "tables",
    type=_TableType(),
    multiple=True,
    required=True,
    help="Expression: a matrix of one column a cell type (REMC, GTEx, any table of genes), or with "
    "CELLTYPE= a table of one sample (RSEM, Salmon, StringTie, …). Repeatable.",
)
@expression_ids_option
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    help="Take this cell type. Repeatable.  [default: all]",
)
@click.option(
    "--leave-out",
    multiple=True,
    metavar="NAME",
    help="Leave this cell type out, such as the one to be predicted. Repeatable.",
)
@click.option(
    "--leave-out-like",
    multiple=True,
    metavar="NAME",
    help="Leave this cell type out, and its near duplicates. Repeatable.",
)
@click.option(
    "--near-duplicate",
    type=click.FloatRange(0, 1),
    metavar="R",
    help="Rank correlation from which two cell types are near duplicates.  [default: 0.95]",
)
@click.option(
    "-o", "--output", type=INPUT_FILE, required=True, metavar="PANEL.h5", help="File to write."
)
@force_option
@json_option
def panel(
    tables: tuple[NamedTable, ...],
    expression_ids: Ids,
    columns: tuple[str, ...],
    leave_out: tuple[str, ...],
    leave_out_like: tuple[str, ...],
    near_duplicate: float | None,
    output: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Gather what other cell types say about each gene into one file.

    The file holds the expression of each gene in each cell type, and over the cell types its mean,
    spread, extremes, and the share of cell types in which it is high: at or above the cell type's
    median. Genes are those that every column knows. Which genes are on is largely the same in all
    cell types, so a panel tells much of a new one; leave out the cell type to be predicted, and
    what is nearly the same.

    \b
    Examples:
      chromeprep panel --expression 57epigenomes.RPKM.pc.gz --leave-out E000 \\
          --leave-out-like E116 -o panel.h5
      chromeprep panel --expression liver=a.genes.results --expression lung=b.genes.results \\
          -o panel.h5
    """
    from chromeprep.cli._panel import alike, panel_summary
    from chromeprep.format import check_writable, write_panel
    from chromeprep.format.panel import NEAR_DUPLICATE
    from chromeprep.panel import make_panel

    if str(output) == "-":
        raise click.UsageError("the panel is not written to stdout; name a file with -o")
    check_writable(output, force=force, inputs=[table.path for table in tables])
    with click.progressbar(
        length=1, label="reading", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        made = make_panel(
            tables,
            columns=columns,
            leave_out=leave_out,
            leave_out_like=leave_out_like,
            near_duplicate=NEAR_DUPLICATE if near_duplicate is None else near_duplicate,
            ids=expression_ids,
            argv=sys.argv,
            progress=show,
        )
    write_panel(output, made.panel)
    summary = panel_summary(made.panel)
    _report(output, made, alike(summary))
    if as_json:
        echo_json(
            {
                **summary,
                "genes_dropped": made.n_genes_dropped,
                "left_out": [entry._asdict() for entry in made.left_out],
                "left_in": [pair._asdict() for pair in made.left_in],
            }
        )


def _report(output: Path, made: MadePanel, alike: str) -> None:
    for entry in made.left_out:
        why = "" if entry.like is None else f" ({entry.correlation:.3f} to {entry.like})"
        click.echo(f"left out: {entry.cell_type}{why}", err=True)
    gone = {entry.cell_type for entry in made.left_out}
    for pair in made.left_in:
        out, stays = pair[:2] if pair.first in gone else (pair.second, pair.first)
        click.echo(
            f"warning: {stays} stays in the panel, and is nearly the same as {out}, which was left "
            f"out ({pair.correlation:.3f}); --leave-out-like {out} leaves both out",
            err=True,
        )
    click.echo(f"in the panel: {alike}", err=True)
    click.echo(
        f"{output}: {len(made.panel.gene_id):,} genes in {len(made.panel.cell_type)} cell types",
        err=True,
    )
