"""How does a whole simulated world come to lie in a folder?"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam

from chromeprep.errors import OutputError
from chromeprep.format.atomic import atomic_folder, check_writable
from chromeprep.simulate.assay import Assay, experiments
from chromeprep.simulate.bam import draw_sequences, write_bam
from chromeprep.simulate.bigwig import write_bigwig
from chromeprep.simulate.config import ASSEMBLY, BAM_MARKS, SimulationConfig, stream
from chromeprep.simulate.enrichment import draw_enrichment
from chromeprep.simulate.expression import CellExpression, draw_cell_type, draw_traits
from chromeprep.simulate.genome import Genome, draw_transcripts, lay_out_genome

ANNOTATION, EXPRESSION, SIZES, README = (
    "annotation.gtf.gz",
    "rpkm.tsv.gz",
    "chrom.sizes",
    "README.txt",
)
TITLE = "A simulated world: no organism, no experiment"


class World(NamedTuple):
    """Where a simulated world is and how large it came out."""

    path: Path
    chromosomes: dict[str, int]
    n_genes: int
    n_coding: int
    tracks: list[Path]


def simulate(
    path: str | Path,
    config: SimulationConfig | None = None,
    *,
    force: bool = False,
    report: Callable[[str], None] | None = None,
) -> World:
    """Write a simulated world into a new folder.

    Parameters
    ----------
    path
        The folder; complete or not there at all.
    config
        What to simulate; by default two cell types over 2,500 genes.
    force
        Replace a simulated world that is there; never a folder of another kind.
    report
        Called with the name of each file before it is written.

    Raises
    ------
    OutputError
        Where the folder exists and `force` is off or it is no simulated world, or where it cannot
        be written.
    """
    config = config or SimulationConfig()
    target = check_writable(path, force=force)
    _check_replaceable(target)
    tell = report or (lambda _: None)
    genome = lay_out_genome(config.n_genes, stream(config.seed, "genome"))
    traits, domains = draw_traits(genome, config.seed)
    cells = {
        name: draw_cell_type(genome, traits, domains, config.seed, name)
        for name in config.cell_types
    }
    tracks: list[str] = []
    with atomic_folder(target) as folder:
        tell(ANNOTATION)
        _write_gtf(folder / ANNOTATION, genome, stream(config.seed, "transcripts"))
        _write_rpkm(folder / EXPRESSION, genome, cells)
        sizes = "".join(f"{name}\t{length}\n" for name, length in genome.chromosomes.items())
        (folder / SIZES).write_text(sizes)
        sequences = draw_sequences(genome.chromosomes, stream(config.seed, "sequence"))
        assays: dict[str, Assay] = {}
        for rank, (name, cell) in enumerate(cells.items()):
            enrichment = draw_enrichment(genome, traits, cell, config.seed, name)
            done = experiments(genome, enrichment, config.seed, name, rank)
            for mark, (assay, fragments) in done:
                sample = f"{name}-{mark}"
                file = f"{sample}.{'bam' if mark in BAM_MARKS else 'bw'}"
                tell(file)
                if mark in BAM_MARKS:
                    rng = stream(config.seed, "reads", name, mark)
                    write_bam(
                        folder / file,
                        fragments,
                        genome.chromosomes,
                        sequences,
                        assay.duplicate_share,
                        sample,
                        rng,
                    )
                else:
                    write_bigwig(folder / file, fragments, genome.chromosomes)
                tracks.append(file)
                assays[file] = assay
        (folder / README).write_text(_readme(config, genome, assays))
    coding = int(genome.genes.coding.sum())
    return World(
        target,
        genome.chromosomes,
        len(genome.genes.gene_id),
        coding,
        [target / name for name in tracks],
    )


def _check_replaceable(target: Path) -> None:
    """Refuse to replace what this module has not written: --force deletes a whole folder."""
    if not target.is_dir() or not any(target.iterdir()):
        return
    readme = target / README
    if not (readme.is_file() and readme.read_bytes().startswith(TITLE.encode())):
        raise OutputError(
            "is a folder that holds no simulated world; it is not replaced",
            path=target,
            hint="choose another name, or remove the folder yourself",
        )


def _write_gtf(path: Path, genome: Genome, rng: np.random.Generator) -> None:
    genes = genome.genes
    chromosomes = list(genome.chromosomes)
    lines = [
        "##description: simulated annotation, no organism",
        "##provider: chromeprep simulate",
        "##format: gtf",
    ]
    transcripts = draw_transcripts(genes, rng)
    number = 0
    for gene in range(len(genes.gene_id)):
        chrom = chromosomes[genes.chrom[gene]]
        sign = "+" if genes.strand[gene] > 0 else "-"
        kind, name = genes.gene_type[gene], genes.name[gene]
        identity = f'gene_id "{genes.gene_id[gene]}"; '
        rest = f'gene_type "{kind}"; gene_status "KNOWN"; gene_name "{name}"; '

        def line(
            feature: str,
            start: int,
            end: int,
            attributes: str,
            place: tuple[str, str] = (chrom, sign),
        ) -> str:
            where = f"{place[0]}\tsimulated\t{feature}\t{start + 1}\t{end}\t.\t{place[1]}\t."
            return f"{where}\t{attributes}"

        start, end = int(genes.start[gene]), int(genes.end[gene])
        lines.append(line("gene", start, end, identity + rest + "level 2;"))
        for index, transcript in enumerate(transcripts[gene]):
            number += 1
            about = identity + f'transcript_id "ENST09{number:09d}.1"; ' + rest
            about += (
                f'transcript_type "{kind}"; transcript_status "KNOWN"; '
                f'transcript_name "{name}-{index + 1:03d}"; '
            )
            lines.append(line("transcript", transcript.start, transcript.end, about + "level 2;"))
            exons = transcript.exons if sign == "+" else transcript.exons[::-1]
            lines += [
                line("exon", *exon, f"{about}exon_number {place}; level 2;")
                for place, exon in enumerate(exons, start=1)
            ]
    with pysam.BGZFile(str(path), "wb", None) as handle:
        handle.write(("\n".join(lines) + "\n").encode())


def _write_rpkm(path: Path, genome: Genome, cells: dict[str, CellExpression]) -> None:
    genes = genome.genes
    rows = ["\t".join(["gene_id", *cells])]
    order = sorted(np.flatnonzero(genes.coding).tolist(), key=lambda gene: genes.gene_id[gene])
    for gene in order:
        values = "".join(f"{cell.rpkm[gene]:.3f}\t" for cell in cells.values())
        rows.append(f"{genes.gene_id[gene].partition('.')[0]}\t{values}")  # the stray tab is REMC's
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as handle:
        handle.write(("\n".join(rows) + "\n").encode())


def _readme(config: SimulationConfig, genome: Genome, assays: dict[str, Assay]) -> str:
    genes = genome.genes
    megabases = sum(genome.chromosomes.values()) / 1e6
    files = "\n".join(
        f"  {file:<22}{assay.reads_per_kb:8.1f}{assay.signal_share:12.2f}{assay.fragment_bp:12.0f}"
        for file, assay in assays.items()
    )
    return f"""\
{TITLE}
{"=" * len(TITLE)}

Written by `chromeprep simulate --seed {config.seed} --genes {config.n_genes} \
--cell-types {",".join(config.cell_types)}`; the same command writes the same data.
docs/simulate.md of the project says what was drawn how. Assembly name: {ASSEMBLY}.

{ANNOTATION}   {len(genes.gene_id):,} genes, {int(genes.coding.sum()):,} of them protein_coding, \
with transcripts and exons;
                    GENCODE's attributes; {len(genome.chromosomes)} chromosomes, {megabases:.0f} Mb
{EXPRESSION}         RPKM of the protein-coding genes, one column a cell type, in the form of
                    Roadmap Epigenomics (ids without version, rows end in a stray tab)
{SIZES}         names and lengths of the chromosomes
*.bam, *.bam.bai    ChIP-seq reads, 36 bp, sorted and indexed; some duplicates, unmapped and
                    low-quality reads among them, flagged as usual
*.bw                ChIP-seq as -log10 p of the pile-up, in steps of 25 bp

  file                  reads/kb   in signal  fragment bp
{files}
"""
