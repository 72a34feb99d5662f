"""Which genes are wanted: lists of genes, and BED regions that must hold a whole window."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.chromosomes import reconcile
from chromeprep.errors import AnnotationError, shorten
from chromeprep.format.ids import cut_version
from chromeprep.format.model import GeneTable
from chromeprep.signals.targets import Targets
from chromeprep.textfiles import read_lines
from chromeprep.windows import Windows

_log = logging.getLogger(__name__)


class _Region(NamedTuple):
    """A line of a BED file, with the field names that pyranges goes by."""

    Chromosome: str
    Start: int
    End: int


def genes_in_list(genes: GeneTable, path: str | Path) -> NDArray[np.bool_]:
    """Say which genes a list names, by id (versions cut) or by symbol.

    Parameters
    ----------
    genes
        The genes to choose from.
    path
        A text file, plain or gzipped, one gene a line in the first column; ``#`` starts a comment.

    Returns
    -------
    ndarray of bool, shape (genes,)

    Raises
    ------
    AnnotationError
        Where the list is empty or names none of the genes.
    """
    wanted: dict[str, int] = {}
    for number, line in read_lines(path, AnnotationError):
        fields = line.split("#", 1)[0].split()
        if fields:
            wanted.setdefault(cut_version(fields[0]), number)
    if not wanted:
        raise AnnotationError("names no gene", path=path)
    ids = [cut_version(name) for name in genes.gene_id]
    pairs = zip(ids, genes.gene_name, strict=True)
    found = np.array([name in wanted or symbol in wanted for name, symbol in pairs], dtype=bool)
    missing = sorted(wanted.keys() - set(ids) - set(genes.gene_name), key=lambda name: wanted[name])
    if not found.any():
        raise AnnotationError(
            f"none of its {len(wanted):,} genes is left after the filters: {shorten(missing, 5)}",
            path=path,
            hint="ids or symbols must be those of the GTF",
        )
    if missing:
        _log.warning(
            "%s: %s of %s genes are not among those that passed the filters: %s",
            path, f"{len(missing):,}", f"{len(wanted):,}", shorten(missing, 5),
        )  # fmt: skip
    return found


def windows_inside(
    genes: GeneTable, starts: NDArray[np.int64], width_bp: int, path: str | Path
) -> NDArray[np.bool_]:
    """Say which windows lie wholly inside the regions of a BED file.

    Regions that overlap or touch count as one.

    Parameters
    ----------
    genes
        The genes, for their chromosomes.
    starts
        First base of each gene's window, shape (genes,).
    width_bp
        Of every window.
    path
        A BED file, plain or gzipped.

    Returns
    -------
    ndarray of bool, shape (genes,)

    Raises
    ------
    AnnotationError
        Where a line is malformed or no window lies inside.
    """
    import pandas as pd
    import pyranges as pr

    regions = _read_bed(path)
    names = reconcile(set(genes.chrom), {region.Chromosome for region in regions})
    windows = pd.DataFrame(
        {
            "Chromosome": [names.get(chrom, "") for chrom in genes.chrom],
            # pyranges has no negative positions; such a window leaves the chromosome anyway.
            "Start": np.maximum(starts, 0),
            "End": starts + width_bp,
            "Row": np.arange(len(genes)),
        }
    )
    windows = windows[(windows["Chromosome"] != "") & (starts >= 0)]
    inside = np.zeros(len(genes), dtype=bool)
    if len(windows):
        merged = pr.PyRanges(pd.DataFrame(regions)).merge()
        held = pr.PyRanges(windows).overlap(merged, how="containment")
        if len(held):
            inside[held.df["Row"].to_numpy()] = True
    if not inside.any():
        raise AnnotationError(
            f"no gene's window of {width_bp:,} bp lies wholly inside its regions",
            path=path,
            hint="are they of the same assembly? a smaller --flank lets more genes in",
        )
    return inside


def bins_touching(
    genes: GeneTable, windows: Windows, lengths: Mapping[str, int], path: str | Path
) -> NDArray[np.bool_]:
    """Say which bins have a base in the regions of a BED file.

    Parameters
    ----------
    genes
        The genes, with positions.
    windows
        Their width and bins.
    lengths
        Of the chromosomes of the genes in bp.
    path
        A BED file, plain or gzipped.

    Returns
    -------
    ndarray of bool, shape (genes, bins)
        In transcript direction.

    Raises
    ------
    AnnotationError
        Where a line is malformed.
    """
    from chromeprep.signals.kernels import add_overlap

    targets = Targets.build(
        genes.chrom, windows.starts(genes), lengths, windows.n_bins, windows.bin_size_bp
    )
    counts = np.zeros((targets.n_windows, targets.n_bins), dtype=np.int32)
    regions = _read_bed(path)
    names = reconcile(targets.chromosomes, {region.Chromosome for region in regions})
    numbers = {names[name]: row for row, name in enumerate(targets.chromosomes) if name in names}
    for region in regions:
        chrom = numbers.get(region.Chromosome)
        if chrom is None:
            continue
        end = min(region.End, int(targets.lengths[chrom]))
        if region.Start < end:
            add_overlap(
                region.Start, end, targets.offsets[chrom], targets.offsets[chrom + 1],
                targets.starts, targets.tiles, targets.tile_offsets[chrom], targets.bin_size_bp,
                counts,
            )  # fmt: skip
    touched = np.empty(counts.shape, dtype=bool)
    touched[targets.order] = counts > 0
    reverse = genes.strand == "-"
    touched[reverse] = touched[reverse, ::-1]
    return touched


def _read_bed(path: str | Path) -> list[_Region]:
    regions: list[_Region] = []
    for number, line in read_lines(path, AnnotationError):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split()
        try:
            chrom, start, end = fields[0], int(fields[1]), int(fields[2])
        except (ValueError, IndexError):
            start, end = 0, 0
        if not 0 <= start < end:
            raise AnnotationError(
                f"malformed BED, expected chromosome, start and end: {line[:80]}",
                path=path,
                line=number,
            )
        regions.append(_Region(chrom, start, end))
    if not regions:
        raise AnnotationError("holds no region", path=path)
    return regions
