"""``chromemodel predict``: which genes of a file are on?"""

from __future__ import annotations

from typing import Any

import click

from chromemodel.cli._options import (
    available_option,
    check_named,
    compute_options,
    force_option,
    mark_option,
    precision_option,
)


@click.command("predict")
@click.argument("run", metavar="RUN")
@click.argument("data", metavar="FILE.h5")
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="TSV",
    help="Table to write, tab-separated; `-` for stdout.",
)
@mark_option
@available_option
@click.option(
    "--panel",
    metavar="PANEL.h5",
    help="Where the panel lies that RUN was trained with.  [default: where it was then]",
)
@compute_options
@precision_option
@force_option
def command(
    run: str,
    data: str,
    out: str,
    marks: tuple[str, ...],
    available: tuple[str, ...],
    panel: str | None,
    device: str,
    threads: int | None,
    precision: Any,
    force: bool,
) -> None:
    """Predict every gene of FILE.h5 by a trained RUN.

    The table has gene_id, gene_name, chrom, tss (0-based), strand, probability of high expression,
    call (1 at a probability of 0.5 or more) and label (-1 where unknown). Where RUN was trained
    with a panel, also whether the call is uncertain (0 or 1), and the probability by the marks
    alone and by the panel alone, which is empty for genes that it lacks.

    RUN may be a folder of `train --seeds`: then the mean logit of its runs answers.

    A RUN of --task regression says predicted_log1p_expression instead, beside log1p_expression as
    measured (empty where unknown).
    """
    check_named(marks, available)

    from chromemodel.evaluate.predict import predict_genes

    to_stdout = out == "-"
    predictions = predict_genes(
        run,
        data,
        None if to_stdout else out,
        marks=marks,
        available=available,
        panel=panel,
        device=device,
        threads=threads,
        precision=precision or "float32",
        force=force,
    )
    if to_stdout:
        for line in predictions.lines():
            click.echo(line, nl=False)
    else:
        click.echo(f"{len(predictions.genes):,} genes: {out}", err=True)
