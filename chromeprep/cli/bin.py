"""`chromeprep bin`: tracks and an annotation become a file of bins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chromeprep.cli._ahead import ahead
from chromeprep.cli._bin_options import BinOptions
from chromeprep.cli._options import (
    INPUT_FILE,
    ControlFileType,
    FlagsType,
    MarkFileType,
    SectionedCommand,
    expression_column_option,
    expression_ids_option,
    expression_option,
    force_option,
    threads_option,
)
from chromeprep.cli._quick import short_program
from chromeprep.compiled import load

if TYPE_CHECKING:
    from chromeprep.binning import Progress
    from chromeprep.format import ChromeBins
    from chromeprep.gtf import GtfGenes

_Result = TypeVar("_Result")

_SECTIONS = {
    "Tracks (each [MARK=]FILE, repeatable, mixed freely; files of one mark are replicates)": (
        "bams", "crams", "tagaligns", "beds", "bedgraphs", "bigwigs", "controls", "reference",
        "chrom_sizes", "samples",
    ),
    "Genes": (
        "gtf", "like", "gene_types", "neighbour_distance", "gene_list", "regions", "flank",
        "bin_size",
    ),
    "Labels": ("expression", "expression_column", "expression_ids"),
    "Reads": (
        "count", "extend", "min_mapq", "exclude_flags", "keep_duplicates", "scale",
    ),
    "Signal": ("uncovered", "control_rule", "pseudocount", "blacklist", "blacklist_action"),
    "Output": ("output", "force", "cell_type", "assembly"),
}  # fmt: skip


def _track(name: str, help_text: str) -> Callable[..., Any]:
    return click.option(f"--{name}", f"{name}s", type=MarkFileType(), multiple=True, help=help_text)


@click.command("bin", cls=SectionedCommand, sections=_SECTIONS)
@_track("bam", "Reads; with an index beside it (BAI, CSI) only what is needed is read.")
@_track("cram", "Reads; the same.")
@_track("tagalign", "Reads, as ENCODE and Roadmap give them; plain or gzipped.")
@_track("bed", "Reads, one a line; plain or gzipped, in any order.")
@_track("bedgraph", "Signal; a bin is the mean of its bases. Plain or gzipped, in any order.")
@_track("bigwig", "Signal; the same.")
@click.option(
    "--control",
    "controls",
    type=ControlFileType(),
    multiple=True,
    help="Input DNA of a mark, or of all marks that have none of their own; kind by its name.",
)
@click.option(
    "--reference", type=INPUT_FILE, metavar="FASTA", help="Genome, for CRAM that needs one."
)
@click.option(
    "--chrom-sizes",
    type=INPUT_FILE,
    metavar="FILE",
    help="Chromosome lengths, for BED, tagAlign and bedGraph, which lack them.  [default: those "
    "of another track, or of a known --assembly]",
)
@click.option(
    "--samples",
    type=INPUT_FILE,
    metavar="SHEET",
    help="Instead of tracks, a table of those of many cell types: columns cell_type, mark, path; "
    "if wanted control, expression_column. See docs/samples.md.",
)
@click.option("--gtf", type=INPUT_FILE, metavar="GTF", help="Gene annotation, plain or gzipped.")
@click.option(
    "--like",
    type=INPUT_FILE,
    metavar="OTHER.h5",
    help="Take genes, windows and marks from this file instead of --gtf.",
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
    "--neighbour-distance",
    type=click.IntRange(min=0),
    default=5000,
    show_default=True,
    metavar="BP",
    help="Drop genes whose TSS lies this close behind a kept one; 0: keep all.",
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
@expression_option()
@expression_column_option
@expression_ids_option
@click.option(
    "--count",
    type=click.Choice(["overlap", "five-prime", "coverage"]),
    default="overlap",
    show_default=True,
    help="A bin counts the alignments that overlap it (as `bedtools multicov`), or those whose 5' "
    "base it holds, or is their mean depth (as `samtools bedcov -j`).",
)
@click.option(
    "--extend",
    type=click.IntRange(min=0),
    metavar="BP",
    help="Let reads stand for their fragments: proper pairs from end to end, once; others for BP "
    "from their 5' base on (0: as they are).",
)
@click.option(
    "--min-mapq",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    metavar="Q",
    help="Least mapping quality, in BAM and CRAM.",
)
@click.option(
    "--exclude-flags",
    type=FlagsType(),
    default="0xF04",
    show_default=True,
    help="Alignments left out, in BAM and CRAM: unmapped, secondary, QC-failed, duplicate, "
    "supplementary.",
)
@click.option("--keep-duplicates", is_flag=True, help="Count alignments flagged as duplicates too.")
@click.option(
    "--scale",
    type=click.Choice(["none", "cpm", "rpkm"]),
    default="none",
    show_default=True,
    help="Divide counts by the millions of counted reads in the whole file; rpkm: by the "
    "kilobases of a bin too.",
)
@click.option(
    "--uncovered",
    type=click.Choice(["zero", "nan"]),
    default="zero",
    show_default=True,
    help="Bases without a value in signal tracks: 0, or left out of the mean.",
)
@click.option(
    "--control-rule",
    type=click.Choice(["subtract", "log2"]),
    default="subtract",
    show_default=True,
    help="What is done with a control, once its reads are scaled to the depth of the mark.",
)
@click.option(
    "--pseudocount",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Added to both sides of a log2 ratio.",
)
@click.option(
    "--blacklist", type=INPUT_FILE, metavar="BED", help="Regions whose signal is an artefact."
)
@click.option(
    "--blacklist-action",
    type=click.Choice(["mask", "drop"]),
    default="mask",
    show_default=True,
    help="Make the bins that touch them NaN, or drop genes whose window does.",
)
@click.option("--cell-type", metavar="NAME", help="Cell type, kept in the file, such as E003.")
@click.option("--assembly", metavar="NAME", help="Genome assembly, kept in the file: hg19.")
@click.option(
    "--engine",
    type=click.Choice(["fast", "pysam", "bedtools"]),
    default="fast",
    show_default=True,
    help="Who reads and counts: chromeprep, or to check it pysam (some 5 times slower) or bedtools "
    "(10 to 100 times; must be installed). The result is the same.",
)
@click.option(
    "-o",
    "--output",
    type=INPUT_FILE,
    required=True,
    metavar="OUT.h5",
    help="The file to write; with --samples the folder for CELL_TYPE.h5 of each. Those that an "
    "earlier call made are kept.",
)
@threads_option
@force_option
@click.pass_context
def bin_(ctx: click.Context, /, **options: Any) -> None:
    """Bin tracks round the TSS of genes into an HDF5 file.

    The mark of a file is read from its name where it is not given.

    \b
    Examples:
      chromeprep bin --bam K562_H3K4me3.bam --bigwig H3K27me3=polycomb.bw \\
          --gtf gencode.gtf.gz --expression rpkm.tsv.gz --cell-type K562 -o K562.h5
      chromeprep bin --tagalign E003-H3K4me3.tagAlign.gz --tagalign E003-H3K9me3.tagAlign.gz \\
          --control E003-Input.tagAlign.gz --gtf gencode.gtf.gz --assembly hg19 -o E003.h5
      chromeprep bin --like K562.h5 --bam new_H3K4me3.bam --bam new_H3K27me3.bam -o new.h5
      chromeprep bin --samples roadmap.tsv --gtf gencode.gtf.gz --expression rpkm.tsv.gz -o bins/
    """
    chosen = BinOptions(**options)
    if chosen.samples is not None:
        from chromeprep.cli._bin_samples import bin_samples

        chosen.check_usage(ctx)
        bin_samples(ctx, chosen, _with_bar)
        return
    with short_program(), _genes(chosen) as genes_read:
        chosen.check_usage(ctx)
        data = _bin(chosen, genes_read)
    genes, marks, bins = data.signal.shape
    click.echo(
        f"{chosen.output}: {genes:,} genes x {marks} marks ({', '.join(data.mark_names)}) x "
        f"{bins} bins",
        err=True,
    )


def _genes(chosen: BinOptions) -> AbstractContextManager[Callable[[], GtfGenes] | None]:
    """Begin to read the genes: they are not needed before all else is ready."""
    gtf = chosen.gtf
    if gtf is None:
        return nullcontext()

    def read() -> GtfGenes:
        from chromeprep.gtf import read_genes

        return read_genes(gtf)

    return ahead(read, load if chosen.engine == "fast" else None)


def _bin(chosen: BinOptions, genes_read: Callable[[], GtfGenes] | None) -> ChromeBins:
    from chromeprep.format import check_writable, write_bins
    from chromeprep.pipeline import bin_tracks
    from chromeprep.shared import Shared

    check_writable(chosen.output, force=chosen.force, inputs=list(chosen.inputs()))
    request = chosen.request(tuple(sys.argv))
    shared = Shared(genes_read=genes_read)
    data = _with_bar(lambda progress: bin_tracks(request, progress, shared))
    write_bins(chosen.output, data)
    return data


def _with_bar(work: Callable[[Progress], _Result]) -> _Result:
    """Call `work` with something that shows the progress."""
    with click.progressbar(
        length=1000, label="reading the signal", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        return work(lambda done, total: bar.update(1000 * done // total - bar.pos))
