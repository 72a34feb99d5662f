"""Which chromosomes test an adaptation to new genes, and can a held-out label reach the model?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import Split
from chromemodel.data.chromosomes import chromosome_sizes, known_chromosome
from chromemodel.data.dataset import GeneSignals
from chromemodel.data.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    draw_chromosomes,
    split_source,
    split_target,
)
from chromeprep.errors import MismatchError
from chromeprep.format import GeneTable
from chromeprep.format.ids import cut_version


def hold_out(split: Split, sources: Sequence[GeneSignals], target: GeneSignals) -> Split:
    """Fill in what a split takes from the files, and check that it keeps what it promises.

    A split of rule ``adapt`` comes back as it is.

    Raises
    ------
    MismatchError
        As `draw_test_chromosomes` and `check_held_out`.
    """
    if not split.new_genes:
        return split
    drawn = draw_test_chromosomes(target.genes, split, target.path)
    check_held_out(drawn, [(one.path, one.genes) for one in sources], (target.path, target.genes))
    return drawn


def draw_test_chromosomes(genes: GeneTable, split: Split, path: str | Path | None = None) -> Split:
    """Fill in the test chromosomes of an adaptation to new genes.

    Where none is named they are those that ``chromemodel train --split chromosome`` with the same
    seed holds out of the target: about a third of its genes. So a model of the target's own genes
    can be tested on the same ones.

    Parameters
    ----------
    genes
        Of the target.
    split
        Of rule ``adapt-chromosome``, with or without test chromosomes.
    path
        The target, for errors.

    Raises
    ------
    MismatchError
        Where no gene has a position, a named chromosome has no gene, or none is left to adapt by.

    Examples
    --------
    >>> genes = GeneTable.build(list("abc"), ["1", "2", "3"], [0] * 3, [1] * 3, ["+"] * 3)
    >>> one = draw_test_chromosomes(genes, Split("adapt-chromosome"))
    >>> one.test_chromosomes == draw_chromosomes(genes, Split("chromosome")).test_chromosomes
    True
    """
    size = chromosome_sizes(genes, path)
    if split.test_chromosomes:
        named = {known_chromosome(name, size, path) for name in split.test_chromosomes}
        if len(named) == len(size):
            raise MismatchError(
                f"all genes are on the test chromosomes ({', '.join(sorted(named))}); none is left "
                "to adapt by",
                path=path,
                hint="name fewer: --test-chromosome",
            )
        return replace(split, test_chromosomes=tuple(sorted(named)))
    if len(size) < 3:
        raise MismatchError(
            f"genes are on {len(size)} {'chromosome' if len(size) == 1 else 'chromosomes'}; to "
            "draw those of the test takes three",
            path=path,
            hint="name one of two: --test-chromosome; or --protocol same-genes",
        )
    drawn = draw_chromosomes(genes, Split("chromosome", seed=split.seed), path)
    return replace(split, test_chromosomes=drawn.test_chromosomes)


def check_held_out(
    split: Split,
    sources: Iterable[tuple[str | Path, GeneTable]],
    target: tuple[str | Path, GeneTable],
) -> None:
    """Refuse a split in which the label of a gene that is held out could reach the model.

    A gene is on one chromosome in one file and on another in a second where one of them was made
    with another annotation; then it would test here and train there.

    Parameters
    ----------
    split
        Of rule ``adapt-chromosome``, drawn.
    sources, target
        Files and their genes.

    Raises
    ------
    MismatchError
        It names the file and a gene; or where a source has no gene left to train on.
    """
    files = list(sources)
    parts = [split_source(genes, split, path) for path, genes in files]
    path, genes = target
    tested = _ids(genes, split_target(genes, split, path) == TEST)
    for (_, genes), part in zip(files, parts, strict=True):
        tested |= _ids(genes, part == TEST)
    for (path, genes), part in zip(files, parts, strict=True):
        used = np.isin(part, (TRAIN, VALIDATION))
        if not used.any():
            raise MismatchError(
                f"all genes are on the test chromosomes ({', '.join(split.test_chromosomes)}); "
                "none is left to train on",
                path=path,
                hint="name fewer: --test-chromosome",
            )
        both = sorted(_ids(genes, used) & tested)
        if both:
            raise MismatchError(
                f"{len(both):,} {'gene' if len(both) == 1 else 'genes'} that would train here "
                f"({both[0]}, for one) are on a test chromosome in another of the files: their "
                "labels would reach the model",
                path=path,
                hint="bin all files with the same genes (`chromeprep bin --like`)",
            )


def _ids(genes: GeneTable, rows: NDArray[np.bool_]) -> set[str]:
    return {cut_version(str(name)) for name in genes.gene_id[rows]}
