"""Ids of genes and chromosomes as different sources write them, and what is common to them."""

from __future__ import annotations

import re

_ENSEMBL = re.compile(r"(ENS[A-Z]{0,6}\d{10,11})(?:\.\d+)?(_PAR_Y)?")
_PAR_Y = re.compile(r".*_PAR_Y|ENS[A-Z]{0,4}GR\d{10}(?:\.\d+)?")

_MITOCHONDRIAL = {"M", "MT"}


def cut_version(gene_id: str) -> str:
    """Cut the version off an Ensembl or GENCODE id; other ids come back as they are.

    Symbols may end in a dot and a number too (``AC005895.4``), so only Ensembl ids are cut.

    Examples
    --------
    >>> cut_version("ENSG00000000003.10")
    'ENSG00000000003'
    >>> cut_version("ENSG00000182378.15_PAR_Y")
    'ENSG00000182378_PAR_Y'
    >>> cut_version("AC005895.4")
    'AC005895.4'
    """
    match = _ENSEMBL.fullmatch(gene_id)
    return gene_id if match is None else match[1] + (match[2] or "")


def is_par_y(gene_id: str) -> bool:
    """Say whether an id is GENCODE's copy, on the Y, of a pseudo-autosomal gene.

    New releases mark it ``_PAR_Y``, old ones with an R in the place of the id's first zero.

    Examples
    --------
    >>> is_par_y("ENSG00000182378.15_PAR_Y"), is_par_y("ENSGR0000182378.8")
    (True, True)
    >>> is_par_y("ENSG00000182378.8")
    False
    """
    return "R" in gene_id and _PAR_Y.fullmatch(gene_id) is not None


def bare_chromosome(name: str) -> str:
    """Return a name without its ``chr``, the mitochondrial one as ``M``.

    Examples
    --------
    >>> [bare_chromosome(name) for name in ("chr1", "X", "MT", "chrM")]
    ['1', 'X', 'M', 'M']
    """
    plain = name[3:] if name.lower().startswith("chr") and len(name) > 3 else name
    return "M" if plain in _MITOCHONDRIAL else plain
