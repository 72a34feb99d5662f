"""What does one ChIP-seq experiment make of the marks that are there?

This is where cell types come to differ as data sets, beyond their biology: see
``docs/simulate.md``, "How the two experiments differ".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.simulate.config import MARKS, STEP_BP, stream
from chromeprep.simulate.enrichment import Track
from chromeprep.simulate.genome import Genome

READ_BP = 36


@dataclass(frozen=True)
class Assay:
    """How good one experiment is.

    Parameters
    ----------
    reads_per_kb
        Depth, mapped and not duplicate.
    signal_share
        Share of the reads that come from enriched places.
    saturation
        Enrichment at which half of the gain is lost; strong sites are told apart less well.
    fragment_bp
        Mean length of a fragment: longer ones blur what is sharp.
    cross_reaction
        How strongly the antibody takes to H3K4me3 as well.
    open_chromatin
        How much more background accessible promoters give.
    unevenness
        Standard deviation, in log units, of the background in stretches of 40 kb.
    towers_per_mb
        Places of spuriously high signal, as blacklists list them.
    duplicate_share
        Reads that are copies of another, flagged.
    """

    reads_per_kb: float
    signal_share: float
    saturation: float
    fragment_bp: float
    cross_reaction: float = 0.0
    open_chromatin: float = 0.0
    unevenness: float = 0.1
    towers_per_mb: float = 0.2
    duplicate_share: float = 0.03


CLEAN = {
    "H3K4me3": Assay(4.5, 0.50, 20.0, 180),
    "H3K4me1": Assay(4.5, 0.45, 10.0, 190),
    "H3K36me3": Assay(4.5, 0.55, 10.0, 190),
    "H3K27me3": Assay(4.5, 0.50, 10.0, 190),
    "H3K9me3": Assay(4.5, 0.45, 10.0, 190),
}
POOR = {
    "H3K4me3": Assay(3.0, 0.40, 0.5, 300, 0.0, 1.0, 0.25, 0.6, 0.12),
    "H3K4me1": Assay(3.0, 0.35, 1.5, 300, 2.0, 1.5, 0.25, 0.6, 0.08),
    "H3K36me3": Assay(3.0, 0.33, 2.0, 300, 0.0, 3.0, 0.30, 3.0, 0.08),
    "H3K27me3": Assay(3.2, 0.35, 2.0, 300, 1.5, 4.0, 0.30, 1.2, 0.10),
    "H3K9me3": Assay(3.0, 0.30, 2.0, 300, 0.5, 3.0, 0.30, 1.2, 0.10),
}


class Fragments(NamedTuple):
    """Where the mapped, distinct fragments of one experiment begin and end; 0-based half-open.

    Sorted by chromosome and start; arrays of shape (fragments,).
    """

    chrom: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    reverse: NDArray[np.bool_]


def assay_of(rank: int, mark: str, rng: np.random.Generator) -> Assay:
    """Return the experiment on a mark in the first (0), second (1) or a further cell type.

    Further ones lie at random between the first two.

    Examples
    --------
    >>> assay_of(0, "H3K4me3", np.random.default_rng(0)) == CLEAN["H3K4me3"]
    True
    """
    if rank < 2:
        return (CLEAN, POOR)[rank][mark]
    share = rng.uniform(0, 1)
    clean, poor = CLEAN[mark], POOR[mark]
    return Assay(
        **{
            field.name: (1 - share) * getattr(clean, field.name) + share * getattr(poor, field.name)
            for field in fields(Assay)
        }
    )


def run_assay(
    genome: Genome, enrichment: dict[str, Track], mark: str, assay: Assay, rng: np.random.Generator
) -> Fragments:
    """Draw the fragments that one experiment sequences."""
    lengths = list(genome.chromosomes.values())
    signals, backgrounds = [], []
    for chrom, length in enumerate(lengths):
        promoters = enrichment["H3K4me3"].chromosomes[chrom]
        signal = enrichment[mark].chromosomes[chrom] + assay.cross_reaction * promoters
        signals.append(signal / (1 + signal / assay.saturation))
        backgrounds.append(_background(length, promoters, assay, rng))
    signal_scale = assay.signal_share / sum(float(signal.sum()) for signal in signals)
    background_scale = (1 - assay.signal_share) / sum(float(b.sum()) for b in backgrounds)
    n_expected = assay.reads_per_kb * sum(lengths) / 1000
    parts = []
    for chrom, (signal, background) in enumerate(zip(signals, backgrounds, strict=True)):
        rate = n_expected * (signal_scale * signal + background_scale * background)
        scatter = rng.gamma(6.0, 1 / 6.0, len(rate) // 6 + 1)  # over 150 bp, as nucleosomes are
        counts = rng.poisson(rate * np.repeat(scatter, 6)[: len(rate)])
        parts.append(_fragments(chrom, counts, lengths[chrom], assay.fragment_bp, rng))
    return Fragments(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _background(
    length: int, promoters: NDArray[np.float64], assay: Assay, rng: np.random.Generator
) -> NDArray[np.float64]:
    n_steps = len(promoters)
    knots = rng.normal(0, assay.unevenness, length // 40_000 + 2)
    waves = np.interp(np.arange(n_steps) * STEP_BP / 40_000, np.arange(len(knots)), knots)
    result: NDArray[np.float64] = np.exp(waves)
    result *= 1 + assay.open_chromatin * np.minimum(promoters, 2.0)
    for site in rng.integers(0, n_steps, rng.poisson(assay.towers_per_mb * length / 1e6)).tolist():
        result[site : site + int(rng.integers(10, 40))] += rng.uniform(15, 60)
    return result


def _fragments(
    chrom: int, counts: NDArray[np.int64], length: int, mean_bp: float, rng: np.random.Generator
) -> Fragments:
    n = int(counts.sum())
    middle = np.repeat(np.arange(len(counts)) * STEP_BP, counts) + rng.integers(0, STEP_BP, n)
    size = np.clip(rng.normal(mean_bp, mean_bp / 5, n), 80, 600).astype(np.int64)
    start = np.clip(middle - size // 2, 0, length - size)
    order = np.argsort(start, kind="stable")
    start, size = start[order], size[order]
    return Fragments(np.full(n, chrom), start, start + size, rng.random(n) < 0.5)


def experiments(
    genome: Genome, enrichment: dict[str, Track], seed: int, cell_type: str, rank: int
) -> Iterator[tuple[str, tuple[Assay, Fragments]]]:
    """Run the experiments on one cell type, one mark after the other: (mark, (quality, fragments)).

    Parameters
    ----------
    rank
        Position of the cell type among those asked for; see `assay_of`.
    """
    for mark in MARKS:
        rng = stream(seed, "assay", cell_type, mark)
        assay = assay_of(rank, mark, rng)
        yield mark, (assay, run_assay(genome, enrichment, mark, assay, rng))
