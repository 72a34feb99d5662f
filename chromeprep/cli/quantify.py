"""`chromeprep quantify`: RNA-seq alignments become a table of expression."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chromeprep.cli._options import INPUT_FILE, force_option

if TYPE_CHECKING:
    from chromeprep.quantify.count import Strandedness


@click.command()
@click.option(
    "--bam",
    "bams",
    type=INPUT_FILE,
    multiple=True,
    required=True,
    help="RNA-seq alignments, in any order, no index needed. Repeatable: counts are added up.",
)
@click.option(
    "--gtf",
    type=INPUT_FILE,
    required=True,
    help="Gene annotation with exon lines, plain or gzipped.",
)
@click.option(
    "--strandedness",
    type=click.Choice(["unstranded", "forward", "reverse"]),
    default="unstranded",
    show_default=True,
    help="Strand of the (first) read: not looked at, the gene's, the other one (dUTP kits).",
)
@click.option(
    "--min-mapq",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    metavar="N",
    help="Leave out fragments without an end of at least this mapping quality.",
)
@click.option(
    "--ignore-duplicates", is_flag=True, help="Leave out fragments that are flagged as duplicates."
)
@click.option(
    "--gene-type",
    "gene_types",
    multiple=True,
    default=("any",),
    show_default=True,
    metavar="TYPE",
    help="Genes that there are, for counting: others are as if not in the GTF. Repeatable.",
)
@click.option(
    "-o", "--output", type=INPUT_FILE, required=True, metavar="TABLE.tsv", help="File to write."
)
@click.option(
    "-p",
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads that decompress.",
)
@force_option
def quantify(
    bams: tuple[Path, ...],
    gtf: Path,
    strandedness: Strandedness,
    min_mapq: int,
    ignore_duplicates: bool,
    gene_types: tuple[str, ...],
    output: Path,
    threads: int,
    force: bool,
) -> None:
    """Count RNA-seq fragments in the exons of genes; write counts, RPKM and TPM.

    The counts are those of `featureCounts --primary` (`-p --countReadPairs` for pairs): a fragment
    counts for the gene whose exons it overlaps, if that is one gene only; reads that map to several
    places (NH above 1) count nowhere. The table can be given to --expression.

    \b
    Example:
      chromeprep quantify --bam rna.bam --gtf gencode.gtf.gz --strandedness reverse -o rna.tsv
    """
    from collections import Counter

    from chromeprep.format import check_writable
    from chromeprep.quantify import CountRule, count_bam, quantities, read_exons, write_table

    repeated = [path for path, count in Counter(bam.resolve() for bam in bams).items() if count > 1]
    if repeated:
        raise click.UsageError(f"{repeated[0]} is given more than once")
    if str(output) == "-":
        raise click.UsageError("the table is not written to stdout; name a file with -o")
    check_writable(output, force=force, inputs=[gtf, *bams])
    exons = read_exons(gtf, gene_types)
    rule = CountRule(strandedness, min_mapq, ignore_duplicates)
    total = None
    for bam in bams:
        with click.progressbar(
            length=1000, label=f"counting {bam.name}", file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as bar:  # fmt: skip
            done = count_bam(
                bam, exons, gtf, rule, threads=threads,
                progress=lambda at, size, bar=bar: bar.update(1000 * at // size - bar.pos),  # type: ignore[misc]
            )  # fmt: skip
        _report(bam, done.fates, done.n_with_nh, done.n_without_nh)
        total = done.fragments if total is None else total + done.fragments
    assert total is not None
    if not total.any():
        click.echo("warning: no fragment was assigned to any gene", err=True)
    write_table(output, exons, quantities(total, exons))
    click.echo(f"{output}: {len(total):,} genes, {int((total > 0).sum()):,} with counts", err=True)


def _report(bam: Path, fates: dict[str, int], n_with_nh: int, n_without_nh: int) -> None:
    everything = sum(fates.values())
    click.echo(f"{bam}:", err=True)
    for fate, count in fates.items():
        if count or fate == "Assigned":
            click.echo(
                f"  {fate:<26} {count:>13,}  {100 * count / max(everything, 1):5.1f}%", err=True
            )
    if n_without_nh:
        click.echo(
            f"  {n_without_nh:,} of {n_with_nh + n_without_nh:,} primary alignments have no NH tag "
            "and were taken to be unique; --min-mapq can leave out what maps to several places",
            err=True,
        )
