"""What does a file of bins hold, in numbers that a page of quality control shows?"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import FormatError
from chromeprep.format import ChromeBins, Description
from chromeprep.qc.arithmetic import (
    Floats,
    Spread,
    auc,
    mean_known,
    pooled_rows,
    quantile_groups,
    spearman,
    spearman_by_bin,
    spread,
)
from chromeprep.qc.history import Loss, losses
from chromeprep.stats import MarkStatistics, mark_statistics

REACH_BP = 5000
"""How far from the TSS the signal of a gene is averaged for AUC and correlations of marks."""
NEAR_BP, FAR_BP = 1000, 3000
"""The TSS enrichment is the mean within `NEAR_BP` of the TSS over that beyond `FAR_BP`."""
HEATMAP_ROWS = 150


class Labels(NamedTuple):
    """Numbers of genes by label."""

    high: int
    low: int
    unknown: int


class MarkNumbers(NamedTuple):
    """One mark in numbers; NaN where there is no answer."""

    statistics: MarkStatistics
    nan_share: float
    """Share of bins without a value."""
    empty_genes: float
    """Share of genes where every bin is 0 or unknown."""
    tss_enrichment: float
    auc: float
    """Of the mean signal within `REACH_BP` of the TSS, high against low genes."""
    expression_correlation: float
    """Spearman, of the same mean with expression."""


class Profile(NamedTuple):
    """Mean profiles of one group of genes: one `Spread` a mark."""

    group: str
    n_genes: int
    marks: tuple[Spread, ...]


class Heatmap(NamedTuple):
    """Genes in order, pooled into rows, the highest first."""

    by: str
    """``expression`` or ``total signal``."""
    n_genes: int
    level: Floats
    """Shape (rows,): mean of what the genes were sorted by."""
    signal: tuple[Floats, ...]
    """One of shape (rows, bins) a mark."""


class Summary(NamedTuple):
    """Everything on the page but words and drawings."""

    name: str
    """Of the file, without its folder."""
    data: Description
    """The file, all but its signal."""
    labels: Labels
    reach_bp: int
    marks: tuple[MarkNumbers, ...]
    profiles: tuple[Profile, ...]
    heatmap: Heatmap
    mark_correlation: Floats
    """Shape (marks, marks): Spearman over genes."""
    bin_correlation: Floats
    """Shape (marks, bins): Spearman of each bin with expression."""
    genes_outside: int
    """Genes with a window that leaves the chromosome."""
    bins_outside: int
    steps: tuple[Loss, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes in the file."""
        return len(self.data.genes)

    @property
    def mark_names(self) -> list[str]:
        """Names of the marks, in the order of the signal."""
        return self.data.mark_names


def summarise(data: ChromeBins, path: str | Path) -> Summary:
    """Compute every number of the page.

    Parameters
    ----------
    data
        A whole file.
    path
        Where it was read from.

    Raises
    ------
    FormatError
        Where there are no genes, no marks or no bins, or values that the format forbids.
    """
    if not data.signal.size:
        shape = " x ".join(map(str, data.signal.shape))
        raise FormatError(f"holds no signal: genes x marks x bins are {shape}", path=path)
    if np.isinf(data.signal).any():
        raise FormatError(
            "holds infinite values", path=path, hint=f"see `chromeprep validate {path}`"
        )
    genes = data.genes
    centre: Floats = np.asarray(data.bin_starts + data.attributes.bin_size_bp / 2)
    reach = min(REACH_BP, data.attributes.flank_bp)
    tracks = [data.signal[:, index, :] for index in range(len(data.marks))]
    near = [mean_known(track[:, _within(centre, reach)], 1) for track in tracks]
    description = Description(data.attributes, genes, data.marks, data.chromosomes, data.provenance)
    return Summary(
        name=Path(path).name,
        data=description,
        labels=Labels(*(int((genes.label == value).sum()) for value in (1, 0, -1))),
        reach_bp=reach,
        marks=tuple(
            _numbers(track, total, centre, data)
            for track, total in zip(tracks, near, strict=True)
        ),
        profiles=_profiles(tracks, genes.label),
        heatmap=_heatmap(tracks, genes.expression),
        mark_correlation=_mark_correlation(near),
        bin_correlation=np.stack([spearman_by_bin(track, genes.expression) for track in tracks]),
        genes_outside=int((genes.bins_outside > 0).sum()),
        bins_outside=int(genes.bins_outside.sum()),
        steps=losses(data.provenance, len(genes)),
    )  # fmt: skip


def tss_enrichment(profile: Floats, centre: Floats) -> float:
    """Divide the mean signal near the TSS by that far from it.

    Parameters
    ----------
    profile
        Shape (bins,): mean over genes.
    centre
        Shape (bins,): distance of the middle of each bin from the TSS, bp.

    Returns
    -------
    float
        NaN where the window has no bins so far out, or no signal there.

    Examples
    --------
    >>> centre = np.array([-4000.0, -500.0, 500.0, 4000.0])
    >>> tss_enrichment(np.array([1.0, 5.0, 3.0, 1.0]), centre)
    4.0
    """
    near = mean_known(profile[_within(centre, NEAR_BP)], 0)
    far = mean_known(profile[~_within(centre, FAR_BP)], 0)
    return float(near / far) if far > 0 else float("nan")


def _within(centre: Floats, reach_bp: float) -> NDArray[np.bool_]:
    distance = np.abs(centre)
    # A bin wider than the reach would leave nothing; then the innermost ones stand for it.
    return np.asarray(distance < max(reach_bp, np.nextafter(distance.min(), np.inf)))


def _numbers(
    track: NDArray[np.float32], near: Floats, centre: Floats, data: ChromeBins
) -> MarkNumbers:
    unknown = np.isnan(track)
    silent = (unknown | (track == 0)).all(axis=1)
    return MarkNumbers(
        statistics=mark_statistics(track),
        nan_share=float(unknown.mean()),
        empty_genes=float(silent.mean()),
        tss_enrichment=tss_enrichment(mean_known(track, 0), centre),
        auc=auc(near, data.genes.label),
        expression_correlation=spearman(near, data.genes.expression),
    )


def _profiles(tracks: list[NDArray[np.float32]], label: NDArray[np.int8]) -> tuple[Profile, ...]:
    groups = {"high": label == 1, "low": label == 0}
    if not all(chosen.any() for chosen in groups.values()):
        groups = {"all": np.ones(len(label), dtype=bool)}
    return tuple(
        Profile(name, int(chosen.sum()), tuple(spread(track[chosen]) for track in tracks))
        for name, chosen in groups.items()
    )


def _heatmap(tracks: list[NDArray[np.float32]], expression: Floats) -> Heatmap:
    if np.isnan(expression).all():
        by, level = "total signal", _total(tracks)
    else:
        by, level = "expression", expression
    known = np.flatnonzero(~np.isnan(level))
    order = known[np.argsort(-level[known], kind="stable")]
    groups = quantile_groups(order, HEATMAP_ROWS)
    return Heatmap(
        by,
        len(order),
        np.array([level[group].mean() for group in groups]),
        tuple(pooled_rows(track, groups) for track in tracks),
    )


def _total(tracks: list[NDArray[np.float32]]) -> Floats:
    """Sum the marks of each gene, each in multiples of its mean so that none drowns the others."""
    parts = []
    for track in tracks:
        values = mean_known(track, 1)
        scale = mean_known(values, 0)
        parts.append(values / scale if scale > 0 else np.where(np.isnan(values), np.nan, 0.0))
    return mean_known(np.stack(parts), 0)


def _mark_correlation(near: list[Floats]) -> Floats:
    found = np.full((len(near), len(near)), np.nan)
    for row, one in enumerate(near):
        for column, other in enumerate(near[: row + 1]):
            found[row, column] = found[column, row] = spearman(one, other)
    return found
