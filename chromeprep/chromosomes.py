"""Chromosomes as different files name them: ``chr1`` and ``1``, ``chrM`` and ``MT``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from chromeprep.format.ids import bare_chromosome


def is_mitochondrial(name: str) -> bool:
    """Say whether a name is the mitochondrial chromosome's."""
    return bare_chromosome(name) == "M"


def reconcile(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Find names in another file's set of names.

    Returns
    -------
    dict
        Each of `names` that `known` has, as such or with ``chr`` put before it or cut off, to the
        name in `known`.

    Examples
    --------
    >>> reconcile(["chr1", "chrM", "chrY"], ["1", "2", "MT"])
    {'chr1': '1', 'chrM': 'MT'}
    """
    exact = set(known)
    plain = {bare_chromosome(name): name for name in sorted(exact, reverse=True)}
    found = {}
    for name in names:
        if name in exact:
            found[name] = name
        elif bare_chromosome(name) in plain:
            found[name] = plain[bare_chromosome(name)]
    return found


def natural_key(name: str) -> tuple[object, ...]:
    """Return a key that sorts chromosomes as people do: 1, 2, …, 10, X, Y, M, the rest.

    Examples
    --------
    >>> sorted(["chrX", "chr10", "chr2", "chrM", "chr1_random"], key=natural_key)
    ['chr2', 'chr10', 'chrX', 'chrM', 'chr1_random']
    """
    plain = bare_chromosome(name)
    if plain.isdigit():
        return (0, int(plain), name)
    if plain in ("X", "Y", "Z", "W", "M"):
        return (1, "XYZWM".index(plain), name)
    parts = re.split(r"(\d+)", plain)
    return (2, tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p), name)
