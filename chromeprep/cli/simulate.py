"""``chromeprep simulate``: write a small world to try everything on."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from chromeprep.cli._options import force_option


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise click.BadParameter(f"an empty name in '{value}'; expected names with commas between")
    return names


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write; must not exist.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed gives the same world.",
)
@click.option(
    "--genes",
    type=click.IntRange(50, 20_000),
    default=2500,
    show_default=True,
    help="Protein-coding genes; the genome grows with them, 25 kb a gene.",
)
@click.option(
    "--cell-types",
    callback=_names,
    default="S01,T01",
    show_default=True,
    metavar="NAME[,NAME...]",
    help="The first is a clean experiment, the second a poor one, others lie between.",
)
@force_option
def simulate(output: Path, seed: int, genes: int, cell_types: tuple[str, ...], force: bool) -> None:
    """Write a small simulated world to try the tools on.

    A genome with its gene annotation, RPKM of every cell type, and ChIP-seq of the five core
    marks: BAM for H3K4me3, H3K36me3 and H3K27me3, bigWig for H3K4me1 and H3K9me3. README.txt in
    the folder says what each file is.

    Example: chromeprep simulate -o world --seed 1
    """
    from chromeprep.simulate import SimulationConfig
    from chromeprep.simulate import simulate as write_world

    try:
        config = SimulationConfig(seed, genes, cell_types)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    talk = sys.stderr.isatty()

    def report(name: str) -> None:
        click.echo(f"\r\033[Kwriting {name}", err=True, nl=False)

    world = write_world(output, config, force=force, report=report if talk else None)
    if talk:
        click.echo("\r\033[K", err=True, nl=False)
    megabases = sum(world.chromosomes.values()) / 1e6
    click.echo(
        f"{world.path}: {world.n_coding:,} protein-coding genes of {world.n_genes:,}, "
        f"{megabases:.0f} Mb, {len(world.tracks)} tracks of {', '.join(config.cell_types)}",
        err=True,
    )
