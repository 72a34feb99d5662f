"""Ids of genes and chromosomes as different sources write them, and what is common to them."""

from __future__ import annotations

import re

_ENSEMBL = re.compile(r"(ENS[A-Z]{0,6}\d{10,11})(?:\.\d+)?(_PAR_Y)?")

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


def bare_chromosome(name: str) -> str:
    """Return a name without its ``chr``, the mitochondrial one as ``M``.

    Examples
    --------
    >>> [bare_chromosome(name) for name in ("chr1", "X", "MT", "chrM")]
    ['1', 'X', 'M', 'M']
    """
    plain = name[3:] if name.lower().startswith("chr") and len(name) > 3 else name
    return "M" if plain in _MITOCHONDRIAL else plain
