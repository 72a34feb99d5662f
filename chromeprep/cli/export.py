"""`chromeprep export`: a file of bins for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chromeprep.cli._options import INPUT_FILE, force_option

if TYPE_CHECKING:
    from chromeprep.format import ChromeBins


@click.command()
@click.argument("file", type=INPUT_FILE, metavar="FILE.h5")
@click.option(
    "--to",
    "form",
    type=click.Choice(["h5ad", "npz", "csv", "bedgraph"]),
    required=True,
    help="AnnData; NumPy arrays; a table with a line a gene and bin; signal along the genome.",
)
@click.option(
    "--mark", metavar="NAME", help="bedgraph: write this mark only, to a file instead of a folder."
)
@click.option(
    "-o",
    "--output",
    type=INPUT_FILE,
    required=True,
    metavar="OUT",
    help="File to write, gzipped where a csv or bedgraph is named .gz; for bedgraph without "
    "--mark a folder of MARK.bedgraph.",
)
@force_option
@click.pass_context
def export(
    ctx: click.Context, file: Path, form: str, mark: str | None, output: Path, force: bool
) -> None:
    """Write a file of bins in a form that other programs read.

    In a bedGraph a base has the value of its bin of the gene with the nearest TSS; bases in no
    window are left out.

    \b
    Examples:
      chromeprep export E003.h5 --to h5ad -o E003.h5ad
      chromeprep export E003.h5 --to csv -o E003.csv.gz
      chromeprep export E003.h5 --to bedgraph --mark H3K4me3 -o E003-H3K4me3.bedgraph
    """
    if mark is not None and form != "bedgraph":
        raise click.UsageError("--mark goes with --to bedgraph only", ctx)
    if str(output) == "-":
        raise click.UsageError("name a file with -o", ctx)

    from chromeprep.format import atomic_file, check_writable, read_bins

    if form == "bedgraph" and mark is None:
        _check_folder(output, force)
    else:
        check_writable(output, force=force, inputs=[file])
    if form == "h5ad":
        from chromeprep.exporting.h5ad import check_anndata

        check_anndata(output)
    data = read_bins(file)
    if form == "bedgraph":
        _bedgraph(file, data, mark, output)
        return
    with atomic_file(output) as temporary:
        if form == "h5ad":
            from chromeprep.exporting.h5ad import write_h5ad

            write_h5ad(file, data, temporary)
        elif form == "npz":
            from chromeprep.exporting.npz import write_npz

            write_npz(data, temporary)
        else:
            from chromeprep.exporting.table import write_table
            from chromeprep.exporting.textfile import is_gzip_name

            write_table(data, temporary, zipped=is_gzip_name(output))
    genes, marks, bins = data.signal.shape
    click.echo(f"{output}: {genes:,} genes x {marks} marks x {bins} bins", err=True)


def _bedgraph(file: Path, data: ChromeBins, mark: str | None, output: Path) -> None:
    from chromeprep.errors import FormatError
    from chromeprep.exporting.bedgraph import (
        check_positions,
        mark_row,
        shared_tss,
        write_bedgraph,
    )
    from chromeprep.exporting.textfile import is_gzip_name
    from chromeprep.format import atomic_file, atomic_folder

    check_positions(data, file)
    if mark is None:
        for name in data.mark_names:
            if Path(name).name != name:
                raise FormatError(f"mark '{name}' cannot name a file", path=file)
        with atomic_folder(output) as folder:
            for row, name in enumerate(data.mark_names):
                write_bedgraph(data, row, folder / f"{name}.bedgraph", zipped=False)
        what = f"{len(data.mark_names)} marks, a file each"
    else:
        row = mark_row(data, mark, file)
        with atomic_file(output) as temporary:
            write_bedgraph(data, row, temporary, zipped=is_gzip_name(output))
        what = mark
    hidden = shared_tss(data.genes)
    note = f"; {hidden:,} with the TSS of another left out" if hidden else ""
    click.echo(f"{output}: {what}, {len(data.genes):,} genes{note}", err=True)


def _check_folder(output: Path, force: bool) -> None:
    """Check that a folder can be put there, and that --force removes nothing but bedGraphs."""
    from chromeprep.errors import OutputError
    from chromeprep.format import check_writable

    check_writable(output, force=force)
    if output.exists() and not output.is_dir():
        raise OutputError(
            "is a file; without --mark a folder is written",
            path=output,
            hint="choose one mark with --mark, or another name",
        )
    others = [entry.name for entry in output.iterdir()] if output.exists() else []
    others = [name for name in others if not name.endswith(".bedgraph")]
    if others:
        raise OutputError(
            f"is a folder with other things in it ({others[0]}), which --force would remove",
            path=output,
            hint="choose another name",
        )
