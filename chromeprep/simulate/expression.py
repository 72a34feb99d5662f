"""Which genes are transcribed in which simulated cell type, and what does the RNA show of it?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.simulate.config import stream
from chromeprep.simulate.genome import Genes, Genome

_SHARES = {"protein_coding": (0.42, 0.30), "lncRNA": (0.05, 0.35)}
"""Gene type -> shares of genes on everywhere and on here and there; the rest is mostly off."""

_DOMAIN_SHARE = 0.13  # of the genome under H3K9me3 domains, over all cell types


class GeneTraits(NamedTuple):
    """What a gene is, in any cell type; arrays of shape (genes,)."""

    p_on: NDArray[np.float64]
    level: NDArray[np.float64]
    """log2 RPKM where it is on."""
    cpg: NDArray[np.bool_]
    """Whether the promoter is a CpG island: H3K4me3 even where poised, Polycomb where silent."""
    promoter_shift_bp: NDArray[np.int64]
    """How far downstream of the annotated TSS transcription starts in truth; mostly 0."""
    stability: NDArray[np.float64]
    """log2 units by which the RNA outlasts, or falls short of, its transcription."""
    discordant: NDArray[np.bool_]
    """Genes whose RNA mostly says the opposite of their chromatin."""


class Domains(NamedTuple):
    """Silent H3K9me3 domains; arrays of shape (domains,), bp."""

    chrom: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


class CellExpression(NamedTuple):
    """One cell type; arrays of shape (genes,)."""

    transcription: NDArray[np.float64]
    """log2 units; what chromatin follows."""
    rpkm: NDArray[np.float64]
    """What RNA-seq shows; three decimals."""
    domains: Domains


def draw_traits(genome: Genome, seed: int) -> tuple[GeneTraits, Domains]:
    """Draw what all cell types share: the nature of each gene and the places of domains."""
    genes, rng = genome.genes, stream(seed, "traits")
    n = len(genes.gene_id)
    everywhere = np.array([_SHARES.get(kind, (0.0, 0.0))[0] for kind in genes.gene_type])
    variable = np.array([_SHARES.get(kind, (0.0, 0.0))[1] for kind in genes.gene_type])
    draw = rng.random(n)
    is_everywhere = draw < everywhere
    is_variable = ~is_everywhere & (draw < everywhere + variable)
    p_on = np.where(is_everywhere, 0.97, np.where(is_variable, rng.beta(0.5, 0.5, n), 0.05))
    p_on[everywhere + variable == 0] = 0.0  # pseudogenes and small RNAs
    level = rng.normal(np.where(is_everywhere, 3.9, 2.6), 1.4)
    level -= np.where(genes.coding, 0.0, 2.0)
    cpg = rng.random(n) < np.where(is_everywhere, 0.92, np.where(is_variable, 0.65, 0.38))
    for gene, partner in enumerate(genes.partner.tolist()):
        if partner > gene:  # a shared promoter is mostly one thing
            p_on[partner] = 0.7 * p_on[gene] + 0.3 * p_on[partner]
            cpg[partner] = cpg[gene]
    shifted = rng.random(n) < 0.10
    length = genes.end - genes.start
    shift = np.where(shifted, rng.uniform(0.1, 0.8, n) * length, 0).astype(np.int64)
    stability = rng.normal(0, 0.9, n)
    discordant = rng.random(n) < 0.08
    traits = GeneTraits(p_on, level, cpg, shift, stability, discordant)
    return traits, _draw_domains(genome, rng)


def _draw_domains(genome: Genome, rng: np.random.Generator) -> Domains:
    found: list[tuple[int, int, int]] = []
    for chrom, length in enumerate(genome.chromosomes.values()):
        for _ in range(max(1, round(_DOMAIN_SHARE * length / 130_000))):
            size = int(np.clip(rng.lognormal(np.log(115_000), 0.5), 40_000, 400_000))
            size = min(size, length // 4)
            start = int(rng.integers(0, length - size))
            found.append((chrom, start, start + size))
    chroms, starts, ends = np.array(sorted(found), dtype=np.int64).T
    return Domains(chroms, starts, ends)


def draw_cell_type(
    genome: Genome, traits: GeneTraits, domains: Domains, seed: int, cell_type: str
) -> CellExpression:
    """Draw which genes one cell type transcribes, and its RNA-seq.

    Chromatin follows transcription; RNA follows it with scatter (of the gene and of the cell type),
    and a few genes are off in the one and on in the other.
    """
    genes, rng = genome.genes, stream(seed, "expression", cell_type)
    n = len(genes.gene_id)
    kept = rng.random(len(domains.chrom)) < 0.85
    here = Domains(domains.chrom[kept], domains.start[kept], domains.end[kept])
    p_on = np.where(inside(genes, here), 0.15, 1.0) * traits.p_on
    on = rng.random(n) < p_on
    together = (genes.partner >= 0) & (genes.partner < np.arange(n)) & (rng.random(n) < 0.6)
    on[together] = on[genes.partner[together]]
    transcription = np.where(on, traits.level + rng.normal(0, 0.9, n), rng.normal(-4.0, 1.5, n))
    rna = transcription + traits.stability + rng.normal(0, 0.8, n)
    discordant = np.where(traits.discordant, rng.random(n) < 0.7, rng.random(n) < 0.025)
    opposite = np.where(on, rng.normal(-3.5, 1.5, n), rng.normal(2.0, 1.3, n))
    rna = np.where(discordant, opposite, rna)
    rpkm = np.maximum(np.exp2(rna) - 0.05, 0.0).round(3)
    return CellExpression(transcription, rpkm, here)


def inside(genes: Genes, domains: Domains) -> NDArray[np.bool_]:
    """Say which genes have their TSS in a domain."""
    tss = genes.tss
    result = np.zeros(len(tss), dtype=bool)
    for chrom, start, end in zip(*domains, strict=True):
        result |= (genes.chrom == chrom) & (tss >= start) & (tss < end)
    return result
