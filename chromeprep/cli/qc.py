"""`chromeprep qc`: a page of quality control of a file of bins."""

from __future__ import annotations

from pathlib import Path

import click

from chromeprep.cli._options import INPUT_FILE, force_option, json_option
from chromeprep.cli._shell import echo_json


@click.command()
@click.argument("file", type=INPUT_FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="QC.html",
    help="The page to write; QC_mqc.json for MultiQC is written beside it.",
)
@force_option
@json_option
def qc(file: Path, output: Path | None, force: bool, as_json: bool) -> None:
    """Draw a page of quality control of a file, with numbers for MultiQC.

    The page shows mean profiles round the TSS, genes sorted by expression, how marks go with each
    other and with expression, where genes were lost, and warns of what looks like a mistake. It is
    one HTML file that needs no network. Drawing needs matplotlib: pip install
    'transferchrome[plot]'. With --json alone nothing is drawn or written.

    \b
    Example:
      chromeprep qc E003.h5 -o E003_qc.html
    """
    if output is None and not as_json:
        raise click.UsageError("nothing to do: give -o QC.html, --json or both")
    from chromeprep.format import check_writable, read_bins
    from chromeprep.qc import findings, multiqc_text, page, require_matplotlib, summarise
    from chromeprep.qc.multiqc import numbers
    from chromeprep.qc.write import multiqc_path, write_both

    if output is not None:
        require_matplotlib()
        check_writable(output, force=force, inputs=[file])
        check_writable(multiqc_path(output), force=force, inputs=[file])
    summary = summarise(read_bins(file), file)
    found = findings(summary)
    if output is not None:
        write_both(output, page(summary, found), multiqc_text(summary, found))
        for finding in found:
            click.echo(f"{finding.level}: {finding.message}", err=True)
        click.echo(f"{output}: {len(summary.marks)} marks, {summary.n_genes:,} genes; "
                   f"{multiqc_path(output)}: for MultiQC", err=True)  # fmt: skip
    if as_json:
        echo_json(numbers(summary, found))
