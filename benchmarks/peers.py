"""What the peers of `benchmarks.binning` do that are Python libraries, as whole processes.

python -m benchmarks.peers pybigwig|pybigtools TRACK WINDOWS.bed
python -m benchmarks.peers gtf GTF
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

N_BINS = 200


def windows(path: str) -> list[tuple[str, int, int]]:
    """Read the windows of a BED file."""
    rows = [line.split("\t") for line in Path(path).read_text().splitlines()]
    return [(chrom, int(start), int(end)) for chrom, start, end, *_ in rows]


def pybigwig(track: str, bed: str) -> None:
    """Read every window base by base and average."""
    import pyBigWig

    found = []
    with pyBigWig.open(track) as handle:
        for chrom, start, end in windows(bed):
            values = np.nan_to_num(handle.values(chrom, start, end, numpy=True))
            found.append(values.reshape(N_BINS, -1).mean(axis=1))
    print(np.sum(found))


def pybigtools(track: str, bed: str) -> None:
    """Let the library average."""
    import pybigtools as library

    found = []
    with library.open(track) as handle:
        for chrom, start, end in windows(bed):
            found.append(
                handle.values(chrom, start, end, bins=N_BINS, exact=True, missing=0, uncovered=0)
            )
    print(np.sum(found))


def gtf(path: str) -> None:
    """Read the genes of an annotation."""
    from chromeprep.annotation import read_gtf

    print(len(read_gtf(path).genes))


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    if name == "gtf":
        gtf(paths[0])
    else:
        {"pybigwig": pybigwig, "pybigtools": pybigtools}[name](paths[0], paths[1])
