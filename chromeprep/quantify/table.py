"""Counts -> RPKM and TPM, and the table that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.format.atomic import atomic_file
from chromeprep.quantify.exons import Exons

COLUMNS = ("gene_id", "gene_name", "length_bp", "count", "rpkm", "tpm")


class Quantities(NamedTuple):
    """Expression of genes, each array of shape (genes,)."""

    fragments: NDArray[np.int64]
    rpkm: NDArray[np.float64]
    tpm: NDArray[np.float64]


def rpkm(count: NDArray[np.float64], length_bp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return fragments per kilobase of exons and million fragments counted in any gene.

    All 0 where nothing is counted.

    Examples
    --------
    >>> rpkm(np.array([3.0, 1.0]), np.array([1000.0, 500.0]))
    array([750000., 500000.])
    """
    total = count.sum()
    return np.asarray(count * 1e9 / (length_bp * total) if total else np.zeros(len(count)))


def tpm(count: NDArray[np.float64], length_bp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return transcripts per million: fragments per base, scaled to a sum of 1,000,000.

    All 0 where nothing is counted.

    Examples
    --------
    >>> tpm(np.array([3.0, 1.0]), np.array([1000.0, 500.0]))
    array([600000., 400000.])
    """
    rate = count / length_bp
    total = rate.sum()
    return np.asarray(rate * 1e6 / total if total else np.zeros(len(count)))


def quantities(count: NDArray[np.int64], exons: Exons) -> Quantities:
    """Return counts with the RPKM and TPM that follow from them and the lengths of the genes."""
    numbers, lengths = count.astype(np.float64), exons.length_bp.astype(np.float64)
    return Quantities(count, rpkm(numbers, lengths), tpm(numbers, lengths))


def write_table(path: str | Path, exons: Exons, values: Quantities) -> None:
    """Write one row a gene, separated by tabs, with a header; six significant digits.

    Raises
    ------
    OutputError
        Where the system refuses to write.
    """
    rows = zip(exons.gene_id, exons.gene_name, exons.length_bp, *values, strict=True)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as out:
        out.write("\t".join(COLUMNS) + "\n")
        for gene, name, length, count, per_kilobase, per_million in rows:
            out.write(f"{gene}\t{name}\t{length}\t{count}\t{per_kilobase:.6g}\t{per_million:.6g}\n")
