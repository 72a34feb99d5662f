"""Where along the genome does each histone mark lie in one cell type, before any experiment?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.simulate.config import MARKS, STEP_BP, stream
from chromeprep.simulate.expression import CellExpression, GeneTraits
from chromeprep.simulate.genome import Genome

_REACH_BP = 5_000  # of the promoter shapes, to either side
_OFFSETS = np.arange(-_REACH_BP, _REACH_BP + STEP_BP, STEP_BP, dtype=np.float64)

# Position (bp from the TSS in transcript direction), standard deviation (bp), height. Round an
# active TSS lies a nucleosome-depleted gap, with the strong +1 nucleosome at its downstream edge.
_H3K4ME3 = (
    (-580, 110, 0.30),
    (-390, 80, 0.45),
    (-220, 65, 0.45),
    (140, 65, 1.00),
    (330, 80, 0.95),
    (520, 95, 0.75),
    (720, 130, 0.55),
    (1_000, 260, 0.30),
)
_H3K4ME1 = ((-2_000, 800, 0.40), (-1_300, 400, 0.45), (1_700, 450, 0.60), (2_600, 900, 0.50))
_POISED_H3K4ME1 = ((-500, 450, 0.5), (600, 500, 0.6))
_ENHANCER = ((-250, 160, 0.9), (250, 160, 0.9), (0, 700, 0.4))


class Track(NamedTuple):
    """Enrichment of one mark along every chromosome; a strong site is about 1.

    Arrays of shape (steps,), one a chromosome, in steps of 25 bp.
    """

    chromosomes: list[NDArray[np.float64]]


def draw_enrichment(
    genome: Genome, traits: GeneTraits, cell: CellExpression, seed: int, cell_type: str
) -> dict[str, Track]:
    """Draw the true landscape of the five core marks in one cell type.

    Returns
    -------
    dict of str to Track
        Mark -> enrichment. ``docs/simulate.md`` describes the shapes.
    """
    rng = stream(seed, "enrichment", cell_type)
    tracks = {mark: Track(_empty(genome)) for mark in MARKS}
    active = 1 / (1 + np.exp(-(cell.transcription - 0.3) / 0.9))
    poised = traits.cpg & (active < 0.3)
    _promoters(genome, traits, active, poised, tracks, rng)
    _enhancers(genome, tracks["H3K4me1"], seed, rng)
    _bodies(genome, traits, cell, tracks["H3K36me3"], rng)
    _polycomb(genome, traits, active, tracks["H3K27me3"], rng)
    _heterochromatin(genome, traits, cell, active, tracks["H3K9me3"], rng)
    return tracks


def _empty(genome: Genome) -> list[NDArray[np.float64]]:
    return [np.zeros(-(-length // STEP_BP)) for length in genome.chromosomes.values()]


def _promoters(
    genome: Genome,
    traits: GeneTraits,
    active: NDArray[np.float64],
    poised: NDArray[np.bool_],
    tracks: dict[str, Track],
    rng: np.random.Generator,
) -> None:
    genes = genome.genes
    n = len(active)
    where = genes.tss + genes.strand * traits.promoter_shift_bp
    sharp = active**0.8 * rng.lognormal(-0.2, 0.75, n) * np.where(traits.cpg, 1.0, 0.5)
    sharp += poised * rng.beta(2.0, 3.0, n) * 0.7
    width = np.where(traits.cpg, 1.0, 0.7) * rng.lognormal(0, 0.2, n)
    _stamp(genome, tracks["H3K4me3"], where, sharp, width, _H3K4ME3)
    flank = active**0.7 * rng.lognormal(-0.2, 0.8, n)
    _stamp(genome, tracks["H3K4me1"], where, flank, width, _H3K4ME1)
    lone = (poised | (~traits.cpg & (rng.random(n) < 0.2))) * rng.beta(2.0, 2.0, n)
    _stamp(genome, tracks["H3K4me1"], where, lone, width, _POISED_H3K4ME1)


def _enhancers(genome: Genome, track: Track, seed: int, rng: np.random.Generator) -> None:
    # Places are the genome's (a stream of its own), use is the cell type's.
    places = stream(seed, "enhancers")
    for chrom, length in enumerate(genome.chromosomes.values()):
        sites = places.integers(0, length, length // 22_000)
        heights = rng.lognormal(-0.7, 0.6, len(sites)) * (rng.random(len(sites)) < 0.5)
        ones = np.ones(len(sites))
        _add(track.chromosomes[chrom], sites, ones, _shape(_ENHANCER, ones), heights)


def _bodies(
    genome: Genome,
    traits: GeneTraits,
    cell: CellExpression,
    track: Track,
    rng: np.random.Generator,
) -> None:
    """H3K36me3: begins behind the promoter, rises to the 3' end, leaks a little past it."""
    genes = genome.genes
    level = 1 / (1 + np.exp(-(cell.transcription - 1.2) / 1.0))
    level *= rng.lognormal(-0.3, 0.8, len(level))
    begins = 500 + rng.exponential(700, len(level)) + traits.promoter_shift_bp
    for gene in np.flatnonzero(level > 0.02).tolist():
        size = int(genes.end[gene] - genes.start[gene])
        offsets = np.arange(0, size + 1_500, STEP_BP)
        rise = 0.35 + 0.65 * np.clip(offsets / max(size, 8_000), 0, 1)
        edge = 1 / (1 + np.exp(-(offsets - begins[gene]) / 300))
        fall = 1 / (1 + np.exp((offsets - size - 500) / 250))
        values = level[gene] * rise * edge * fall
        data = track.chromosomes[genes.chrom[gene]]
        if genes.strand[gene] > 0:
            first = int(genes.start[gene]) // STEP_BP
        else:
            values = values[::-1]
            first = int(genes.end[gene]) // STEP_BP - len(values)
        skip = max(0, -first)
        room = data[first + skip : first + len(values)]
        np.maximum(room, values[skip : skip + len(room)], out=room)


def _polycomb(
    genome: Genome,
    traits: GeneTraits,
    active: NDArray[np.float64],
    track: Track,
    rng: np.random.Generator,
) -> None:
    """H3K27me3: several kb over silent promoters, CpG islands above all."""
    genes = genome.genes
    n = len(active)
    typed = np.isin(genes.gene_type, ("protein_coding", "lncRNA"))
    covered = rng.random(n) < np.where(traits.cpg, 0.95, 0.75)
    height = typed * covered * (1 - active) * rng.lognormal(-0.2, 0.5, n)
    half_bp = np.clip(rng.lognormal(np.log(4_500), 0.5, n), 1_500, 20_000)
    for gene in np.flatnonzero(height > 0.02).tolist():
        data = track.chromosomes[genes.chrom[gene]]
        _plateau(data, float(genes.tss[gene]), half_bp[gene], 900.0, height[gene])


def _heterochromatin(
    genome: Genome,
    traits: GeneTraits,
    cell: CellExpression,
    active: NDArray[np.float64],
    track: Track,
    rng: np.random.Generator,
) -> None:
    """H3K9me3: patchy domains over neighbourhoods of genes, opened by active promoters."""
    for chrom, start, end in zip(*cell.domains, strict=True):
        data = track.chromosomes[chrom]
        _plateau(data, (start + end) / 2, (end - start) / 2, 2_500.0, rng.lognormal(-0.2, 0.4))
    for chrom, length in enumerate(genome.chromosomes.values()):
        data = track.chromosomes[chrom]
        patches = rng.gamma(2.5, 1 / 2.5, length // 750 + 2)
        data *= np.interp(np.arange(len(data)) * STEP_BP / 750, np.arange(len(patches)), patches)
        for site in rng.integers(0, length, length // 60_000).tolist():  # single repeats
            _plateau(data, float(site), rng.uniform(300, 2_000), 200.0, rng.lognormal(-0.5, 0.5))
    genes = genome.genes
    for gene in np.flatnonzero(active > 0.5).tolist():
        data = track.chromosomes[genes.chrom[gene]]
        middle = int(genes.tss[gene]) // STEP_BP
        room = data[max(0, middle - 60) : middle + 60]
        room *= 1 - 0.9 * active[gene]


def _plateau(
    data: NDArray[np.float64], middle: float, half_bp: float, soft_bp: float, height: float
) -> None:
    """Add a plateau with soft edges, in place."""
    first = max(0, int((middle - half_bp - 4 * soft_bp) / STEP_BP))
    last = min(len(data), int((middle + half_bp + 4 * soft_bp) / STEP_BP))
    distance = np.abs(np.arange(first, last) * STEP_BP - middle)
    data[first:last] += height / (1 + np.exp(np.clip((distance - half_bp) / soft_bp, -50, 50)))


def _stamp(
    genome: Genome,
    track: Track,
    where: NDArray[np.int64],
    heights: NDArray[np.float64],
    widths: NDArray[np.float64],
    peaks: tuple[tuple[int, int, float], ...],
) -> None:
    genes = genome.genes
    for chrom in range(len(track.chromosomes)):
        some = np.flatnonzero((genes.chrom == chrom) & (heights > 0.01))
        shapes = _shape(peaks, widths[some])
        _add(
            track.chromosomes[chrom],
            where[some],
            genes.strand[some].astype(np.float64),
            shapes,
            heights[some],
        )


def _shape(
    peaks: tuple[tuple[int, int, float], ...], widths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum Gaussian peaks, stretched from the TSS by `widths`: (sites, offsets)."""
    stretched = _OFFSETS[None, :] / widths[:, None]
    result = np.zeros_like(stretched)
    for position, deviation, height in peaks:
        result += height * np.exp(-0.5 * ((stretched - position) / deviation) ** 2)
    return result


def _add(
    data: NDArray[np.float64],
    where: NDArray[np.int64],
    strands: NDArray[np.float64],
    shapes: NDArray[np.float64],
    heights: NDArray[np.float64],
) -> None:
    """Add shapes at sites, turned by strand, in place; what leaves the chromosome is lost."""
    steps = where[:, None] + strands[:, None].astype(np.int64) * _OFFSETS.astype(np.int64)[None, :]
    steps //= STEP_BP
    valid = (steps >= 0) & (steps < len(data))
    data += np.bincount(
        steps[valid], weights=(shapes * heights[:, None])[valid], minlength=len(data)
    )
