"""Which genes train, validate and test?

By default a gene's part follows from its id and a seed alone, so it is the same in every file,
whatever the order or the other genes: a gene held out in one cell type is held out in all of them.
The rules without a seed are for numbers that are to stand beside published ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import Split
from chromemodel.data.chromosomes import (
    chromosome_sizes,
    known_chromosome,
    on_chromosomes,
    placed_genes,
)
from chromeprep.errors import InputError, MismatchError, did_you_mean
from chromeprep.format import GeneTable
from chromeprep.format.ids import cut_version

Parts = NDArray[np.object_]

TRAIN, VALIDATION, TEST, ADAPTING = "train", "validation", "test", "adapting"
UNPLACED = "unplaced"

# The column that ``chromeprep import`` keeps, and what its values are here.
COLUMN = "genes/split"
PUBLISHED = {"train": TRAIN, "valid": VALIDATION, "test": TEST}


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


def split_genes(genes: GeneTable, split: Split, path: str | Path | None = None) -> Parts:
    """Return the part of each gene of one file: ``train``, ``validation`` or ``test``.

    Genes without a label have a part too. With ``chromosome``, genes whose position is unknown are
    ``unplaced`` and take no part: they may lie on a chromosome that is held out.

    Parameters
    ----------
    genes
        The genes of any file.
    split
        Of one of the rules for one file, filled in by `draw_split`. It need not have been drawn
        from these genes: chromosomes and cuts hold in other files too. ``published`` asks each
        file's own column.
    path
        The file, for errors.

    Returns
    -------
    NDArray
        Strings of shape (genes,).

    Raises
    ------
    InputError
        ``published``: where the column is missing or has other values than the import's.
    MismatchError
        ``chromosome``: where no gene has a position.
    """
    if split.rule == "thirds":
        unit = hash_unit(genes.gene_id, split.seed, "split")
        parts = np.select([unit < 1 / 3, unit < 2 / 3], [TRAIN, VALIDATION], TEST)
    elif split.rule == "deepchrome":
        if not split.cut_genes:
            raise ValueError("the cuts of a split of rule 'deepchrome' are not drawn: draw_split")
        validation_from, test_from = split.cut_genes
        ids = _bare_ids(genes)
        parts = np.select([ids >= test_from, ids >= validation_from], [TEST, VALIDATION], TRAIN)
    elif split.rule == "chromosome":
        placed = placed_genes(genes, path)
        validation = on_chromosomes(genes, split.validation_chromosomes)
        test = on_chromosomes(genes, split.test_chromosomes)
        parts = np.select([~placed, validation, test], [UNPLACED, VALIDATION, TEST], TRAIN)
    elif split.rule == "published":
        parts = _published(genes, path)
    else:
        raise ValueError(
            f"a split of rule '{split.rule}' has two files: split_source, split_target"
        )
    return parts.astype(object)


def split_source(genes: GeneTable, split: Split, path: str | Path | None = None) -> Parts:
    """Return the part of each source gene of an adaptation: ``train`` or ``validation``.

    With ``adapt-chromosome`` genes of the test chromosomes are ``test``, and genes without a
    position ``unplaced``: neither has a part in training.

    Raises
    ------
    MismatchError
        ``adapt-chromosome``: where no gene has a position.
    """
    unit = hash_unit(genes.gene_id, split.seed, "source-validation")
    parts = np.where(unit < split.validation_fraction, VALIDATION, TRAIN).astype(object)
    return _hold_out(parts, genes, split, path) if split.new_genes else parts


def split_target(genes: GeneTable, split: Split, path: str | Path | None = None) -> Parts:
    """Return the part of each target gene of an adaptation: ``adapting`` or ``test``.

    With ``adapt-chromosome`` the genes of the test chromosomes test, all others adapt, and genes
    without a position are ``unplaced``.

    Raises
    ------
    MismatchError
        As `split_source`.
    """
    if split.new_genes:
        everywhere = np.full(len(genes), ADAPTING, dtype=object)
        return _hold_out(everywhere, genes, split, path)
    unit = hash_unit(genes.gene_id, split.seed, "target-half")
    return np.where(unit < split.target_fraction, ADAPTING, TEST).astype(object)


def _hold_out(parts: Parts, genes: GeneTable, split: Split, path: str | Path | None) -> Parts:
    """Return parts with ``test`` on the test chromosomes and ``unplaced`` where no one knows."""
    placed, test = placed_genes(genes, path), on_chromosomes(genes, split.test_chromosomes)
    return np.select([~placed, test], [UNPLACED, TEST], parts).astype(object)


def draw_split(genes: GeneTable, split: Split, path: str | Path | None = None) -> Split:
    """Fill in what a split takes from the file that is trained on, and check that it can be cut.

    ``deepchrome`` cuts where DeepChrome's data (Singh et al. 2016) are cut: the file order in
    thirds, the first for training, the second for validation, the last for the test; for 19,802
    genes 6,601, 6,601 and 6,600. Their file is sorted by Ensembl gene id, and it is that order we
    cut, not the order of rows: files of ``chromeprep bin`` stand in the order of the genome, where
    thirds would be chromosomes. All genes of the file count, with or without a label. The two ids
    at the cuts are kept, so that a gene held out here is held out in other files.

    Raises
    ------
    InputError
        ``published``: as `split_genes`, and where one of the three parts has no gene.
    MismatchError
        ``deepchrome``: where there are fewer than three genes. ``chromosome``: as
        `draw_chromosomes`.

    Examples
    --------
    >>> genes = GeneTable.build(list("dbca"), ["1"] * 4, [0] * 4, [1] * 4, ["+"] * 4)
    >>> drawn = draw_split(genes, Split("deepchrome"))
    >>> drawn.cut_genes
    ('c', 'd')
    >>> split_genes(genes, drawn).tolist()
    ['test', 'train', 'validation', 'train']
    """
    if split.rule == "chromosome":
        return draw_chromosomes(genes, split, path)
    if split.rule == "deepchrome":
        ids = np.unique(_bare_ids(genes))
        if len(ids) < 3:
            raise MismatchError(
                f"holds {len(ids)} {'gene' if len(ids) == 1 else 'genes'}; three parts need one "
                "each",
                path=path,
            )
        _, second, third = np.array_split(ids, 3)
        return replace(split, cut_genes=(str(second[0]), str(third[0])))
    if split.rule == "published":
        parts = _published(genes, path)
        for name, part in PUBLISHED.items():
            if part not in parts:
                raise InputError(
                    f"column /{COLUMN} has no gene of '{name}'",
                    path=path,
                    hint="import train.csv, valid.csv and test.csv together; or train with "
                    "--split thirds",
                )
    return split


def draw_chromosomes(genes: GeneTable, split: Split, path: str | Path | None = None) -> Split:
    """Fill in the chromosomes of a split: thirds by number of genes, whole chromosomes.

    Chromosomes named already stay; those that are not named are drawn by the seed, each to the
    part that lacks most genes. Genes without a position do not count.

    Raises
    ------
    MismatchError
        Where no gene has a position, a named chromosome has no gene or is in both parts, or there
        are too few.

    Examples
    --------
    >>> genes = GeneTable.build(list("abcd"), ["1", "2", "3", "3"], [0] * 4, [1] * 4, ["+"] * 4)
    >>> drawn = draw_chromosomes(genes, Split("chromosome", test_chromosomes=("3",)))
    >>> len(drawn.validation_chromosomes), drawn.test_chromosomes
    (1, ('3',))
    """
    size = chromosome_sizes(genes, path)
    chosen = {
        VALIDATION: [known_chromosome(name, size, path) for name in split.validation_chromosomes],
        TEST: [known_chromosome(name, size, path) for name in split.test_chromosomes],
    }
    both = set(chosen[VALIDATION]) & set(chosen[TEST])
    if both:
        raise MismatchError(
            f"chromosome {min(both)} is named for validation and for test", path=path
        )
    open_parts = [TRAIN] + [part for part in (VALIDATION, TEST) if not chosen[part]]
    named = {name for part in chosen.values() for name in part}
    free = [name for name in size if name not in named]
    if len(free) < len(open_parts):
        raise MismatchError(
            f"genes are on {len(size)} {'chromosome' if len(size) == 1 else 'chromosomes'}, "
            f"{len(named)} of them named; training, validation and test genes need one each",
            path=path,
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


def _bare_ids(genes: GeneTable) -> NDArray[np.str_]:
    return np.array([cut_version(str(name)) for name in genes.gene_id], dtype=np.str_)


def _published(genes: GeneTable, path: str | Path | None) -> Parts:
    column = genes.extra.get("split")
    if column is None:
        raise InputError(
            f"has no column /{COLUMN}, the published split",
            path=path,
            hint="`chromeprep import` keeps it, given the train, valid and test tables together; "
            "or train with --split thirds",
        )
    values = column.astype(str)
    unknown = [str(value) for value in np.unique(values) if str(value) not in PUBLISHED]
    if unknown:
        raise InputError(
            f"column /{COLUMN} says '{unknown[0]}' of {int((values == unknown[0]).sum()):,} genes; "
            f"{did_you_mean(unknown[0], PUBLISHED)}",
            path=path,
            hint="it must say train, valid or test of every gene; or train with --split thirds",
        )
    return np.array([PUBLISHED[str(value)] for value in values], dtype=object)
