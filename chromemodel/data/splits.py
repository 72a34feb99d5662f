"""Which genes train, validate and test?

A gene's part follows from its id and a seed alone, so it is the same in every file, whatever the
order or the other genes: a gene held out in one cell type is held out in all of them. (The data of
DeepChrome are cut by their order in the file, which is sorted by gene id; the share of expressed
genes then falls from 62 to 35 % from the first third to the last.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import Split
from chromeprep.errors import MismatchError, did_you_mean
from chromeprep.format import GeneTable
from chromeprep.format.ids import bare_chromosome, cut_version

Parts = NDArray[np.object_]

TRAIN, VALIDATION, TEST, ADAPTING = "train", "validation", "test", "adapting"


def hash_unit(gene_ids: Iterable[str], seed: int, purpose: str) -> NDArray[np.float64]:
    """Give every gene a number in [0, 1), evenly spread and fixed by id, seed and purpose.

    Parameters
    ----------
    gene_ids
        With or without version: ``ENSG00000000003.10`` and ``.11`` get the same number.
    seed
        Another seed, other numbers.
    purpose
        Another purpose, independent numbers.

    Returns
    -------
    NDArray
        Shape (genes,).

    Examples
    --------
    >>> hash_unit(["ENSG00000000003.10", "ENSG00000000003"], 0, "split").round(3)
    array([0.005, 0.005])
    """
    numbers = [
        int.from_bytes(
            blake2b(f"{purpose}:{seed}:{cut_version(str(name))}".encode(), digest_size=8).digest(),
            "big",
        )
        for name in gene_ids
    ]
    # 53 bits fit a float exactly, so that the largest value stays below 1.
    return np.array([(number >> 11) * 2.0**-53 for number in numbers], dtype=np.float64)


def split_genes(genes: GeneTable, split: Split) -> Parts:
    """Return the part of each gene of one file: ``train``, ``validation`` or ``test``.

    Parameters
    ----------
    genes
        The genes of any file.
    split
        Of rule ``thirds``, or ``chromosome`` with its chromosomes drawn (`draw_chromosomes`).

    Returns
    -------
    NDArray
        Strings of shape (genes,).
    """
    if split.rule == "thirds":
        unit = hash_unit(genes.gene_id, split.seed, "split")
        parts = np.select([unit < 1 / 3, unit < 2 / 3], [TRAIN, VALIDATION], TEST)
    elif split.rule == "chromosome":
        chrom = np.array([bare_chromosome(name) for name in genes.chrom], dtype=object)
        validation = [bare_chromosome(name) for name in split.validation_chromosomes]
        test = [bare_chromosome(name) for name in split.test_chromosomes]
        parts = np.select(
            [np.isin(chrom, validation), np.isin(chrom, test)], [VALIDATION, TEST], TRAIN
        )
    else:
        raise ValueError("a split of rule 'adapt' has two files: split_source, split_target")
    return parts.astype(object)


def split_source(genes: GeneTable, split: Split) -> Parts:
    """Return the part of each source gene of an adaptation: ``train`` or ``validation``."""
    unit = hash_unit(genes.gene_id, split.seed, "source-validation")
    return np.where(unit < split.validation_fraction, VALIDATION, TRAIN).astype(object)


def split_target(genes: GeneTable, split: Split) -> Parts:
    """Return the part of each target gene of an adaptation: ``adapting`` or ``test``."""
    unit = hash_unit(genes.gene_id, split.seed, "target-half")
    return np.where(unit < split.target_fraction, ADAPTING, TEST).astype(object)


def draw_chromosomes(genes: GeneTable, split: Split) -> Split:
    """Fill in the chromosomes of a split: thirds by number of genes, whole chromosomes.

    Chromosomes named already stay; those that are not named are drawn by the seed, each to the
    part that lacks most genes.

    Raises
    ------
    MismatchError
        Where a named chromosome has no gene or is in both parts, or there are too few.

    Examples
    --------
    >>> genes = GeneTable.build(list("abcd"), ["1", "2", "3", "3"], [0] * 4, [1] * 4, ["+"] * 4)
    >>> drawn = draw_chromosomes(genes, Split("chromosome", test_chromosomes=("3",)))
    >>> len(drawn.validation_chromosomes), drawn.test_chromosomes
    (1, ('3',))
    """
    names, counts = np.unique(genes.chrom.astype(str), return_counts=True)
    size = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    chosen = {
        VALIDATION: [_known(name, size) for name in split.validation_chromosomes],
        TEST: [_known(name, size) for name in split.test_chromosomes],
    }
    both = set(chosen[VALIDATION]) & set(chosen[TEST])
    if both:
        raise MismatchError(f"chromosome {min(both)} is named for validation and for test")
    open_parts = [TRAIN] + [part for part in (VALIDATION, TEST) if not chosen[part]]
    named = {name for part in chosen.values() for name in part}
    free = [name for name in size if name not in named]
    if len(free) < len(open_parts):
        raise MismatchError(
            f"genes are on {len(size)} {'chromosome' if len(size) == 1 else 'chromosomes'}, "
            f"{len(named)} of them named; training, validation and test genes need one each",
            hint="name fewer chromosomes, or use --split thirds" if named else "use --split thirds",
        )
    unit = hash_unit(free, split.seed, "chromosome")
    filled = dict.fromkeys(open_parts, 0)
    for index in np.argsort(unit, kind="stable"):
        name = free[int(index)]
        part = min(open_parts, key=lambda entry: filled[entry])
        filled[part] += size[name]
        chosen.setdefault(part, []).append(name)
    return replace(
        split,
        validation_chromosomes=tuple(sorted(chosen[VALIDATION])),
        test_chromosomes=tuple(sorted(chosen[TEST])),
    )


def _known(name: str, size: dict[str, int]) -> str:
    for known in size:
        if bare_chromosome(known) == bare_chromosome(name):
            return known
    raise MismatchError(f"no gene on chromosome '{name}'; {did_you_mean(name, size)}")
