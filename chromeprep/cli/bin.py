"""`chromeprep bin`: tracks and an annotation become a file of bins."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from chromeprep.cli._options import (
    INPUT_FILE,
    FlagsType,
    MarkFile,
    MarkFileType,
    force_option,
    threads_option,
)

if TYPE_CHECKING:
    from chromeprep.signals import Track

# What --like takes from the other file, and so cannot be chosen beside it.
_FIXED_BY_LIKE = {
    "gtf": "--gtf",
    "flank": "--flank",
    "bin_size": "--bin-size",
    "gene_types": "--gene-type",
    "neighbour_distance": "--neighbour-distance",
    "gene_list": "--genes",
    "regions": "--regions",
}


@click.command("bin")
@click.option(
    "--bigwig",
    "bigwigs",
    type=MarkFileType(),
    multiple=True,
    help="bigWig of a mark; a bin is the mean of its bases. Repeatable.",
)
@click.option(
    "--bam",
    "bams",
    type=MarkFileType(),
    multiple=True,
    help="Sorted, indexed BAM of a mark; a bin counts the alignments that overlap it, "
    "as `bedtools multicov` does. Repeatable.",
)
@click.option("--gtf", type=INPUT_FILE, help="Gene annotation, plain or gzipped.")
@click.option(
    "--like",
    type=INPUT_FILE,
    metavar="OTHER.h5",
    help="Take genes, windows and marks from this file instead of --gtf.",
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
@click.option("--cell-type", metavar="NAME", help="Cell type, kept in the file, such as E003.")
@click.option("--assembly", metavar="NAME", help="Genome assembly, kept in the file: hg19.")
@click.option(
    "--flank",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="BP",
    help="Reach of the window on either side of the TSS.",
)
@click.option(
    "--bin-size",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="BP",
    help="Width of a bin.",
)
@click.option(
    "--neighbour-distance",
    type=click.IntRange(min=0),
    default=5000,
    show_default=True,
    metavar="BP",
    help="Drop genes whose TSS lies this close behind a kept one; 0: keep all.",
)
@click.option(
    "--gene-type",
    "gene_types",
    multiple=True,
    default=("protein_coding",),
    show_default=True,
    metavar="TYPE",
    help="Genes kept, or `any`. Repeatable.",
)
@click.option(
    "--genes",
    "gene_list",
    type=INPUT_FILE,
    metavar="LIST",
    help="After the filter, keep only the genes of this list.",
)
@click.option(
    "--regions",
    type=INPUT_FILE,
    metavar="BED",
    help="After the filter, keep only genes whose whole window lies in these regions: "
    "for tracks that cover part of the genome.",
)
@click.option(
    "--uncovered",
    type=click.Choice(["zero", "nan"]),
    default="zero",
    show_default=True,
    help="Bases without a value in a bigWig: 0, or left out of the mean.",
)
@click.option(
    "--exclude-flags",
    type=FlagsType(),
    default="0xF04",
    show_default=True,
    help="Alignments left out: unmapped, secondary, QC-failed, duplicate, supplementary.",
)
@click.option(
    "-o", "--output", type=INPUT_FILE, required=True, metavar="OUT.h5", help="The file to write."
)
@threads_option
@force_option
@click.pass_context
def bin_(
    ctx: click.Context,
    bigwigs: tuple[MarkFile, ...],
    bams: tuple[MarkFile, ...],
    gtf: Path | None,
    like: Path | None,
    expression: Path | None,
    expression_column: str | None,
    cell_type: str | None,
    assembly: str | None,
    flank: int,
    bin_size: int,
    neighbour_distance: int,
    gene_types: tuple[str, ...],
    gene_list: Path | None,
    regions: Path | None,
    uncovered: str,
    exclude_flags: int,
    output: Path,
    threads: int,
    force: bool,
) -> None:
    """Bin tracks round the TSS of genes into an HDF5 file.

    The mark of a file is read from its name where it is not given.

    \b
    Examples:
      chromeprep bin --bam K562_H3K4me3.bam --bigwig H3K27me3=polycomb.bw \\
          --gtf gencode.gtf.gz --expression rpkm.tsv.gz --cell-type K562 -o K562.h5
      chromeprep bin --like K562.h5 --bam new_H3K4me3.bam --bam new_H3K27me3.bam -o new.h5
    """
    _check_usage(ctx, bigwigs, bams, flank, bin_size)

    from chromeprep.format import check_writable, write_bins
    from chromeprep.pipeline import BinRequest, bin_tracks
    from chromeprep.signals import BamTrack, BigWigTrack
    from chromeprep.windows import Windows

    inputs = [gtf, like, expression, gene_list, regions, *(file.path for file in bigwigs + bams)]
    check_writable(output, force=force, inputs=[path for path in inputs if path is not None])
    tracks: dict[str, Track] = {}
    for mark, path in bigwigs:
        tracks[mark] = BigWigTrack(path, "nan" if uncovered == "nan" else "zero")
    for mark, path in bams:
        tracks[mark] = BamTrack(path, exclude_flags)
    request = BinRequest(
        tracks=tracks,
        gtf=gtf,
        like=like,
        expression=expression,
        expression_column=expression_column,
        cell_type=cell_type,
        assembly=assembly,
        windows=Windows(flank, bin_size),
        neighbour_distance_bp=neighbour_distance,
        gene_types=gene_types,
        gene_list=gene_list,
        regions=regions,
        uncovered=uncovered,
        threads=threads,
        argv=tuple(sys.argv),
    )
    with click.progressbar(
        length=1000, label="reading the signal", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        data = bin_tracks(request, lambda done, total: bar.update(1000 * done // total - bar.pos))
    write_bins(output, data)
    genes, marks, bins = data.signal.shape
    click.echo(
        f"{output}: {genes:,} genes x {marks} marks ({', '.join(data.mark_names)}) x {bins} bins",
        err=True,
    )


def _check_usage(
    ctx: click.Context,
    bigwigs: tuple[MarkFile, ...],
    bams: tuple[MarkFile, ...],
    flank: int,
    bin_size: int,
) -> None:
    files = bigwigs + bams
    if not files:
        raise click.UsageError("no tracks: give --bigwig or --bam, once for each mark", ctx)
    for mark, count in Counter(entry.mark for entry in files).items():
        if count > 1:
            paths = ", ".join(str(entry.path) for entry in files if entry.mark == mark)
            raise click.UsageError(f"mark {mark} is given {count} times: {paths}", ctx)
    for path, count in Counter(entry.path.resolve() for entry in files).items():
        if count > 1:
            marks = ", ".join(entry.mark for entry in files if entry.path.resolve() == path)
            raise click.UsageError(f"{path} is given for more than one mark: {marks}", ctx)
    if str(ctx.params["output"]) == "-":
        raise click.UsageError("HDF5 cannot be written to a pipe; name a file with -o", ctx)
    if flank % bin_size:
        raise click.UsageError(f"--flank {flank} is not a multiple of --bin-size {bin_size}", ctx)
    if (ctx.params["gtf"] is None) == (ctx.params["like"] is None):
        raise click.UsageError("give either --gtf or --like", ctx)
    if ctx.params["like"] is not None:
        for name, option in _FIXED_BY_LIKE.items():
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"{option} does not go with --like, which decides it", ctx)
    if ctx.params["expression"] is None and ctx.params["expression_column"] is not None:
        raise click.UsageError("--expression-column needs --expression", ctx)
