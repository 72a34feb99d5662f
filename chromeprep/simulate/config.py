"""What can be chosen about a simulated world, and how its random numbers are kept apart."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy as np

ASSEMBLY = "sim1"
STEP_BP = 25
"""Resolution of everything along the genome, that of the Roadmap tracks."""

MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")
BAM_MARKS = ("H3K4me3", "H3K36me3", "H3K27me3")
"""Marks delivered as alignments; the others come as bigWig."""

FEWEST_GENES, MOST_GENES = 50, 20_000
_CELL_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+]{0,31}")


@dataclass(frozen=True)
class SimulationConfig:
    """A world, up to the last read.

    Parameters
    ----------
    seed
        Two worlds of one seed and configuration are the same; a cell type is the same whichever
        others are asked for after it.
    n_genes
        Protein-coding genes. Chromosomes grow with them, about 25 kb a gene.
    cell_types
        Names. The first is a clean experiment, the second a poor one, further ones lie between.

    Raises
    ------
    ValueError
        For a number of genes out of range, or a name that cannot be part of a file name.

    Examples
    --------
    >>> SimulationConfig(n_genes=100).cell_types
    ('S01', 'T01')
    """

    seed: int = 0
    n_genes: int = 2500
    cell_types: tuple[str, ...] = ("S01", "T01")

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed is {self.seed}; expected 0 or more")
        if not FEWEST_GENES <= self.n_genes <= MOST_GENES:
            raise ValueError(
                f"{self.n_genes} genes were asked for; expected {FEWEST_GENES} to {MOST_GENES}"
            )
        if not self.cell_types:
            raise ValueError("no cell type was named; expected one or more")
        for name in self.cell_types:
            if not _CELL_TYPE.fullmatch(name):
                raise ValueError(
                    f"'{name}' cannot name a cell type: expected 1 to 32 letters, digits, '_', "
                    "'.' and '+' (it becomes part of file names such as S01-H3K4me3.bam)"
                )
        if len({name.lower() for name in self.cell_types}) < len(self.cell_types):
            # Some file systems do not tell upper from lower case.
            raise ValueError(
                f"a cell type is named twice in {', '.join(self.cell_types)} (letter case ignored)"
            )


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the random numbers of one part of the world.

    Each part draws from a stream of its own, so that a change to one leaves the others as they
    were.

    Examples
    --------
    >>> bool(stream(0, "genome").random() == stream(0, "genome").random())
    True
    >>> bool(stream(0, "genome").random() == stream(0, "expression").random())
    False
    """
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])
