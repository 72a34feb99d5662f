"""`chromeprep import`: a published data set becomes a file of bins."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from chromeprep.cli._options import INPUT_FILE, force_option
from chromeprep.importing.layouts import LAYOUTS


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=INPUT_FILE, metavar="FOLDER_OR_CSV...")
@click.option(
    "--layout",
    type=click.Choice(list(LAYOUTS)),
    required=True,
    help="How the tables are written: as those of DeepChrome and AttentiveChrome, or of DeepDiff.",
)
@click.option(
    "--gtf",
    type=INPUT_FILE,
    help="Gene annotation: gives positions; bins of genes on the minus strand are turned.",
)
@click.option(
    "--chrom-sizes",
    type=INPUT_FILE,
    metavar="TABLE",
    help="Lengths of the chromosomes (hg19.chrom.sizes), kept in the file; with --gtf.",
)
@click.option(
    "--orientation",
    type=click.Choice(["genome", "5p-to-3p", "unknown"]),
    default="genome",
    show_default=True,
    help="How bins stand in the tables; `genome`, left to right, is how they were published.",
)
@click.option(
    "--expression",
    type=INPUT_FILE,
    metavar="TABLE",
    help="Expression (RPKM, TPM, …), gene ids in the first column; gives labels.",
)
@click.option(
    "--expression-column",
    metavar="NAME",
    help="Column of the table.  [default: the cell type, or the only one]",
)
@click.option(
    "--cell-type",
    metavar="NAME",
    help="Cell type, kept in the file.  [default: an epigenome in the path, such as E003]",
)
@click.option(
    "--assembly",
    default="hg19",
    show_default=True,
    metavar="NAME",
    help="Genome assembly, kept in the file.",
)
@click.option(
    "-o", "--output", type=INPUT_FILE, required=True, metavar="OUT.h5", help="The file to write."
)
@force_option
@click.pass_context
def import_(
    ctx: click.Context,
    paths: tuple[Path, ...],
    layout: str,
    gtf: Path | None,
    chrom_sizes: Path | None,
    orientation: str,
    expression: Path | None,
    expression_column: str | None,
    cell_type: str | None,
    assembly: str,
    output: Path,
    force: bool,
) -> None:
    """Turn a published data set of read counts into a file of bins.

    Give the folder that holds train.csv, valid.csv and test.csv (gzipped or not), or the files.
    The published split is kept in the column `split` of the genes, published labels as they are.

    \b
    Examples:
      chromeprep import data/E003 --layout deepchrome -o E003.h5
      chromeprep import E003.train.csv E003.valid.csv E003.test.csv --layout deepdiff \\
          --gtf gencode.v10.gtf.gz --expression rpkm.tsv.gz --cell-type E003 -o E003.h5
    """
    if str(output) == "-":
        raise click.UsageError("HDF5 cannot be written to a pipe; name a file with -o", ctx)
    if expression is None and expression_column is not None:
        raise click.UsageError("--expression-column needs --expression", ctx)
    if gtf is None and chrom_sizes is not None:
        raise click.UsageError("--chrom-sizes needs --gtf", ctx)

    from chromeprep.format import check_writable, write_bins
    from chromeprep.importing.dataset import ImportRequest, import_dataset
    from chromeprep.importing.sources import find_sources

    tables = [source.path for source in find_sources(paths)]
    others = [path for path in (gtf, chrom_sizes, expression) if path is not None]
    check_writable(output, force=force, inputs=[*tables, *others])
    data = import_dataset(
        ImportRequest(
            paths=paths,
            layout=layout,
            gtf=gtf,
            chrom_sizes=chrom_sizes,
            orientation=orientation,
            expression=expression,
            expression_column=expression_column,
            cell_type=cell_type,
            assembly=assembly,
            argv=tuple(sys.argv),
        )
    )
    write_bins(output, data)
    genes, marks, bins = data.signal.shape
    click.echo(
        f"{output}: {genes:,} genes x {marks} marks ({', '.join(data.mark_names)}) x {bins} bins, "
        f"{data.attributes.orientation}",
        err=True,
    )
