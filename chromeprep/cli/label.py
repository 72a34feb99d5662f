"""`chromeprep label`: expression and labels for a file that is there already."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chromeprep.cli._options import (
    INPUT_FILE,
    expression_column_option,
    expression_ids_option,
    expression_option,
)

if TYPE_CHECKING:
    from chromeprep.expression import Ids


@click.command()
@click.argument("file", type=INPUT_FILE)
@expression_option(required=True)
@expression_column_option
@expression_ids_option
@click.option(
    "--cell-type",
    metavar="NAME",
    help="Put this cell type into the file.  [default: it keeps its own]",
)
@click.option(
    "-o",
    "--output",
    type=INPUT_FILE,
    metavar="OUT.h5",
    help="Write here.  [default: FILE itself is labelled]",
)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Replace labels that FILE has already, or an output that exists.",
)
def label(
    file: Path,
    expression: Path,
    expression_column: str | None,
    expression_ids: Ids,
    cell_type: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Add expression and labels to FILE, a file of bins, or replace them.

    A gene's label is 1 where its expression is at least the median of the genes of FILE that the
    table knows, 0 where it is less, -1 where the table does not know it. The signal and everything
    else stay as they are. FILE is complete at every moment: a copy is labelled and takes its place.

    \b
    Examples:
      chromeprep label E003.h5 --expression 57epigenomes.RPKM.pc.gz
      chromeprep label new.h5 --expression sample.genes.results -o labelled.h5
    """
    from chromeprep.errors import OutputError
    from chromeprep.expression import read_expression
    from chromeprep.format import check_writable, read_description
    from chromeprep.labelling import has_labels, label_file

    in_place = output is None or (output.exists() and file.exists() and output.samefile(file))
    if output is not None and not in_place:
        check_writable(output, force=force, inputs=[file, expression])
    if in_place and has_labels(file) and not force:
        raise OutputError(
            "has labels already",
            path=file,
            hint="use --force to replace them, or -o OUT.h5 to write another file",
        )
    if in_place:
        check_writable(file, force=True, inputs=[expression])
    known = read_description(file).attributes.cell_type
    table = read_expression(
        expression,
        expression_column,
        cell_type or (known if known != "unknown" else None),
        expression_ids,
    )
    done = label_file(
        file, table, expression, output=None if in_place else output, cell_type=cell_type,
        argv=sys.argv,
    )  # fmt: skip
    where = file if in_place or output is None else output
    verb = "labels replaced" if in_place and done.replaced else "labelled"
    click.echo(
        f"{where}: {verb}: {done.n_known:,} of {done.n_genes:,} genes are known to the table, "
        f"{done.n_high:,} of them high (expression >= {done.threshold:.4g}, the median)",
        err=True,
    )
