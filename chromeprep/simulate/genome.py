"""Where do the genes of the simulated genome lie, and what are their transcripts?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHROMOSOMES = {"chr1": 0.40, "chr2": 0.29, "chr3": 0.19, "chrX": 0.12}
"""Name -> share of the protein-coding genes."""

CODING = "protein_coding"
TELOMERE_BP = 30_000
EDGE_CHROMOSOME, EDGE_START = "chrX", 3_210
"""The one gene whose window of 10 kb to either side leaves its chromosome begins here."""

# Other genes, as a share of the protein-coding ones: about what GENCODE v10 has.
_LNCRNA_SHARE, _PSEUDOGENE_SHARE, _MIRNA_SHARE, _SNRNA_SHARE = 0.35, 0.40, 0.08, 0.08
_PAIR_SHARE = 0.055  # of the places where a gene starts: two genes back to back, one promoter
_CLOSE_SHARE = 0.04  # a gene right behind the one before it


class Genes(NamedTuple):
    """Genes sorted by chromosome and start; every array has one entry a gene.

    Coordinates are 0-based half-open, in bp.
    """

    gene_id: list[str]
    name: list[str]
    gene_type: list[str]
    chrom: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.int64]
    partner: NDArray[np.int64]

    @property
    def tss(self) -> NDArray[np.int64]:
        """The 5' base of each gene."""
        return np.where(self.strand > 0, self.start, self.end - 1)

    @property
    def coding(self) -> NDArray[np.bool_]:
        """Which genes are protein-coding."""
        return np.array([kind == CODING for kind in self.gene_type])


class Genome(NamedTuple):
    """Chromosomes and the genes on them; ``Genes.chrom`` counts ``chromosomes``."""

    chromosomes: dict[str, int]
    genes: Genes


class Transcript(NamedTuple):
    """A transcript and its exons, from left to right along the chromosome."""

    start: int
    end: int
    exons: list[tuple[int, int]]


class _Draft(NamedTuple):
    gene_type: str
    chrom: int
    start: int
    end: int
    strand: int
    pair: int  # both genes of a back-to-back pair carry its number; -1: none


def lay_out_genome(n_genes: int, rng: np.random.Generator) -> Genome:
    """Lay genes along chromosomes, in rich and poor neighbourhoods, on both strands.

    Parameters
    ----------
    n_genes
        Protein-coding genes; other types come on top.

    Returns
    -------
    Genome
        About 25 kb a protein-coding gene.

    Examples
    --------
    >>> genome = lay_out_genome(100, np.random.default_rng(0))
    >>> int(genome.genes.coding.sum()), sorted(set(genome.genes.gene_type))[:2]
    (100, ['lncRNA', 'miRNA'])
    """
    counts = [round(n_genes * share) for share in CHROMOSOMES.values()]
    counts[0] += n_genes - sum(counts)
    drafts: list[_Draft] = []
    chromosomes: dict[str, int] = {}
    for index, (name, count) in enumerate(zip(CHROMOSOMES, counts, strict=True)):
        coding = _coding_genes(index, count, rng, at_edge=name == EDGE_CHROMOSOME)
        length = max(draft.end for draft in coding) + TELOMERE_BP
        chromosomes[name] = length - length % 1000 + 1000
        drafts += coding + _other_genes(coding, chromosomes[name], rng)
    drafts.sort(key=lambda draft: (draft.chrom, draft.start, draft.end, draft.strand))
    return Genome(chromosomes, _name_genes(drafts, rng))


def _coding_genes(
    chrom: int, count: int, rng: np.random.Generator, *, at_edge: bool
) -> list[_Draft]:
    genes: list[_Draft] = []
    position = EDGE_START if at_edge else TELOMERE_BP
    richness = 1.0
    while len(genes) < count:
        if len(genes) % 12 == 0:
            richness = float(rng.lognormal(0, 0.5))
        lengths = np.clip(rng.lognormal(np.log(9_000), 0.85, 2), 900, 90_000).astype(int)
        strand = 1 if at_edge and not genes else int(rng.choice((-1, 1)))
        paired = count - len(genes) > 1 and len(genes) > 0 and rng.random() < _PAIR_SHARE
        pair = chrom * 1_000_000 + len(genes) if paired else -1
        if paired:
            genes.append(_Draft(CODING, chrom, position, position + int(lengths[0]), -1, pair))
            position = genes[-1].end + int(rng.integers(80, 900))
            strand = 1
        genes.append(_Draft(CODING, chrom, position, position + int(lengths[1]), strand, pair))
        close = rng.random() < _CLOSE_SHARE
        gap = rng.integers(200, 2_500) if close else 2_000 + richness * rng.gamma(1.2, 8_000)
        position = genes[-1].end + int(gap)
    return genes


def _other_genes(coding: list[_Draft], length: int, rng: np.random.Generator) -> list[_Draft]:
    chrom = coding[0].chrom
    genes: list[_Draft] = []

    def add(gene_type: str, start: float, size: float, strand: int) -> None:
        first = int(np.clip(start, 0, length - size - 1))
        genes.append(_Draft(gene_type, chrom, first, first + int(size), strand, -1))

    for _ in range(round(_LNCRNA_SHARE * len(coding))):
        size = float(np.clip(rng.lognormal(np.log(5_000), 0.9), 300, 60_000))
        if rng.random() < 0.4:  # antisense to a gene, from within it
            host = coding[int(rng.integers(len(coding)))]
            add("lncRNA", rng.uniform(host.start, host.end), size, -host.strand)
        else:
            add("lncRNA", rng.uniform(TELOMERE_BP, length), size, int(rng.choice((-1, 1))))
    for gene_type, share, smallest, largest in (
        ("processed_pseudogene", _PSEUDOGENE_SHARE, 400, 2_000),
        ("miRNA", _MIRNA_SHARE, 60, 110),
        ("snRNA", _SNRNA_SHARE, 90, 200),
    ):
        for _ in range(round(share * len(coding))):
            size = int(rng.integers(smallest, largest))
            add(gene_type, rng.uniform(TELOMERE_BP, length), size, int(rng.choice((-1, 1))))
    return genes


def _name_genes(drafts: list[_Draft], rng: np.random.Generator) -> Genes:
    # Ids do not follow the genome, as in every real annotation.
    numbers = rng.permutation(len(drafts)) + 1
    versions = rng.integers(1, 12, len(drafts))
    prefixes = {
        CODING: "SIM",
        "lncRNA": "LINC-SIM",
        "processed_pseudogene": "SIMP",
        "miRNA": "MIR-SIM",
        "snRNA": "RNU-SIM",
    }
    pairs: dict[int, list[int]] = {}
    for index, draft in enumerate(drafts):
        if draft.pair >= 0:
            pairs.setdefault(draft.pair, []).append(index)
    partner = np.full(len(drafts), -1)
    for left, right in pairs.values():
        partner[left], partner[right] = right, left
    return Genes(
        [f"ENSG09{n:09d}.{v}" for n, v in zip(numbers, versions, strict=True)],
        [f"{prefixes[d.gene_type]}{n}" for d, n in zip(drafts, numbers, strict=True)],
        [draft.gene_type for draft in drafts],
        np.array([draft.chrom for draft in drafts]),
        np.array([draft.start for draft in drafts]),
        np.array([draft.end for draft in drafts]),
        np.array([draft.strand for draft in drafts]),
        partner,
    )


def draw_transcripts(genes: Genes, rng: np.random.Generator) -> list[list[Transcript]]:
    """Give each gene one to three transcripts; the first spans it.

    Returns
    -------
    list of list of Transcript
        In the order of `genes`.
    """
    result: list[list[Transcript]] = []
    for gene_type, gene_start, gene_end in zip(
        genes.gene_type, genes.start.tolist(), genes.end.tolist(), strict=True
    ):
        transcripts = [Transcript(gene_start, gene_end, _exons(gene_start, gene_end, rng))]
        size = gene_end - gene_start
        if gene_type in (CODING, "lncRNA") and size > 800:
            for _ in range(int(rng.integers(0, 3))):  # shorter at either end
                start = gene_start + int(size * rng.beta(1, 6))
                end = gene_end - int(size * rng.beta(1, 6))
                if end - start >= 200:
                    transcripts.append(Transcript(start, end, _exons(start, end, rng)))
        result.append(transcripts)
    return result


def _exons(start: int, end: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    size = end - start
    count = 1 + min(int(rng.poisson(size / 3_000)), 14, size // 400)
    if count == 1:
        return [(start, end)]
    # An even number of cuts, at least 20 bp apart, leaves exons between introns.
    cuts = np.sort(rng.choice(np.arange(1, size // 20), 2 * count - 2, replace=False)) * 20 + start
    edges = [start, *cuts.tolist(), end]
    return list(zip(edges[::2], edges[1::2], strict=True))
