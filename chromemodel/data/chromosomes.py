"""Which genes are on which chromosomes?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import MismatchError, did_you_mean
from chromeprep.format import GeneTable
from chromeprep.format.ids import bare_chromosome


def on_chromosomes(genes: GeneTable, names: Iterable[str]) -> NDArray[np.bool_]:
    """Return which genes are on some chromosomes, shape (genes,).

    Examples
    --------
    >>> genes = GeneTable.build(list("abc"), ["chr1", "2", ""], [0] * 3, [1] * 3, ["+"] * 3)
    >>> on_chromosomes(genes, ["1"]).tolist()
    [True, False, False]
    """
    chrom = np.array([bare_chromosome(str(name)) for name in genes.chrom], dtype=object)
    return np.isin(chrom, [bare_chromosome(name) for name in names])


def placed_genes(genes: GeneTable, path: str | Path | None) -> NDArray[np.bool_]:
    """Return which genes have a position, shape (genes,).

    Raises
    ------
    MismatchError
        Where none has.
    """
    placed = np.asarray(genes.chrom.astype(str) != "")
    if not placed.any():
        raise MismatchError(
            f"none of the {len(placed):,} genes has a position, so there are no chromosomes to "
            "split by",
            path=path,
            hint="import it with --gtf; or take another split (train --split thirds, or published "
            "where the file has one; adapt --protocol same-genes)",
        )
    return placed


def chromosome_sizes(genes: GeneTable, path: str | Path | None) -> dict[str, int]:
    """Return the number of genes of each chromosome, by name.

    Raises
    ------
    MismatchError
        Where no gene has a position.
    """
    chrom = genes.chrom[placed_genes(genes, path)].astype(str)
    names, counts = np.unique(chrom, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def known_chromosome(name: str, known: Iterable[str], path: str | Path | None) -> str:
    """Return a chromosome as a file calls it, with or without ``chr``.

    Raises
    ------
    MismatchError
        Where there is none.
    """
    names = list(known)
    for one in names:
        if bare_chromosome(one) == bare_chromosome(name):
            return one
    raise MismatchError(f"no gene on chromosome '{name}'; {did_you_mean(name, names)}", path=path)
