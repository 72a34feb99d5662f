"""Which genes go into a file, and how many are lost at each step and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.annotation import Annotation
from chromeprep.chromosomes import is_mitochondrial, natural_key, reconcile
from chromeprep.errors import AnnotationError, ExpressionError, MismatchError, shorten
from chromeprep.expression import ExpressionColumn, Labels, join_genes, median_labels
from chromeprep.format.model import GeneTable
from chromeprep.regions import bins_touching, genes_in_list, windows_inside
from chromeprep.signals import TrackInfo
from chromeprep.windows import Windows, neighbour_filter, order_by_position


class Step(NamedTuple):
    """Genes left after a step, and what the step was."""

    n_genes: int
    what: str


class Selection(NamedTuple):
    """Genes by position, with expression and label where a table is given."""

    genes: GeneTable
    threshold: float
    steps: tuple[Step, ...]


class TrackFile(NamedTuple):
    """A file that knows chromosomes: its path, their lengths, and what `info` said of a track."""

    path: Path
    chromosomes: Mapping[str, int]
    info: TrackInfo


def select_genes(
    annotation: Annotation,
    windows: Windows,
    tracks: Sequence[TrackFile],
    gtf: str | Path,
    *,
    expression: ExpressionColumn | None = None,
    expression_path: str | Path | None = None,
    neighbour_distance_bp: int = 5000,
    gene_list: str | Path | None = None,
    regions: str | Path | None = None,
    blacklist: str | Path | None = None,
) -> Selection:
    """Choose and label genes, in the paper's order of steps.

    Genes that the expression table knows; the neighbour filter; the label, by the median of what
    is left; then the user's own list and regions; the chromosomes that every track has; last the
    genes whose window touches a region of the blacklist are dropped.

    Raises
    ------
    ExpressionError
        Where the table knows none of the genes.
    MismatchError
        Where a track has none of the chromosomes, or a TSS lies beyond a chromosome's end.
    """
    genes = order_by_position(annotation.genes)
    steps = [Step(len(genes), "genes of the wanted types in the annotation")]
    if expression is not None:
        values = join_known(genes, expression, gtf, expression_path)
        known = ~np.isnan(values)
        genes = with_expression(genes, values, Labels(genes.label, float("nan"))).take(known)
        steps.append(Step(len(genes), "known to the expression table"))
    genes = genes.take(neighbour_filter(genes, neighbour_distance_bp))
    if neighbour_distance_bp:
        steps.append(Step(len(genes), f"after the {neighbour_distance_bp:,} bp neighbour filter"))
    threshold = float("nan")
    if expression is not None:
        labels = median_labels(genes.expression)
        threshold = labels.threshold
        genes = with_expression(genes, genes.expression, labels)
    if gene_list is not None:
        genes = genes.take(genes_in_list(genes, gene_list))
        steps.append(Step(len(genes), f"named in {gene_list}"))
    if regions is not None:
        inside = windows_inside(genes, windows.starts(genes), windows.width_bp, regions)
        genes = genes.take(inside)
        steps.append(Step(len(genes), f"with their window inside {regions}"))
    genes, lost = _on_chromosomes(genes, tracks, gtf)
    steps.append(Step(len(genes), f"on chromosomes that every track has{lost}"))
    check_positions(genes, tracks)
    if blacklist is not None:
        lengths = chromosome_lengths(genes, tracks)
        clean = np.invert(bins_touching(genes, windows, lengths, blacklist).any(axis=1))
        if not clean.any():
            raise AnnotationError(
                f"touches the window of every one of the {len(genes):,} genes", path=blacklist,
                hint="--blacklist-action mask leaves out only the bins",
            )  # fmt: skip
        genes = genes.take(clean)
        steps.append(Step(len(genes), f"with no region of {blacklist} in their window"))
    return Selection(genes, threshold, tuple(steps))


def join_known(
    genes: GeneTable,
    expression: ExpressionColumn,
    source: str | Path,
    expression_path: str | Path | None,
) -> NDArray[np.float64]:
    """Look up each gene; NaN where the table does not know it, an error where it knows none.

    Parameters
    ----------
    genes
        Shape (genes,).
    expression
        The column.
    source
        The file of the genes, for the message.
    expression_path
        The file of the table, for the message.
    """
    values = join_genes(genes, expression)
    if np.isnan(values).all():
        what, ours = (
            ("ids", genes.gene_id) if expression.ids == "id" else ("symbols", genes.gene_name)
        )
        raise ExpressionError(
            f"knows none of the {len(genes):,} genes of {source}; its first {what} are "
            f"{shorten(list(expression.values)[:3])}, those of the genes "
            f"{shorten(name or '(none)' for name in ours[:3])}",
            path=expression_path,
            hint="both must use the same kind of gene id; --expression-ids symbol joins by symbol"
            if expression.ids == "id"
            else "the genes may have no symbols; --expression-ids id joins by gene id",
        )
    return values


def with_expression(genes: GeneTable, expression: NDArray[np.float64], labels: Labels) -> GeneTable:
    """Return the genes with other expression and labels."""
    return replace(genes, expression=expression, label=labels.label)


def check_positions(genes: GeneTable, tracks: Sequence[TrackFile]) -> None:
    """Raise `MismatchError` where the tracks disagree with each other or with the genes.

    Tracks must give the chromosomes the same lengths (the mitochondrial one apart, of which hg19
    has two), and every TSS must lie on its chromosome.
    """
    for chrom in dict.fromkeys(genes.chrom):
        lengths = {
            track.path: track.chromosomes[reconcile([chrom], track.chromosomes)[chrom]]
            for track in tracks
        }
        first = next(iter(lengths))
        for path, length in lengths.items():
            if length != lengths[first] and not is_mitochondrial(chrom):
                raise MismatchError(
                    f"{chrom} has {lengths[first]:,} bp in {first}, but {length:,} in {path}",
                    hint="are the tracks of the same assembly?",
                )
        shortest = min(lengths, key=lambda path: lengths[path])
        beyond = np.flatnonzero((genes.chrom == chrom) & (genes.tss >= lengths[shortest]))
        if len(beyond):
            row = beyond[0]
            raise MismatchError(
                f"gene {genes.gene_id[row]} has its TSS at {chrom}:{genes.tss[row] + 1:,}, beyond "
                f"the end of {chrom} in {shortest} ({lengths[shortest]:,} bp)",
                hint="are the annotation and the tracks of the same assembly?",
            )


def chromosome_lengths(genes: GeneTable, tracks: Sequence[TrackFile]) -> dict[str, int]:
    """Return the length of each chromosome of the genes, as the first track has it."""
    known = tracks[0].chromosomes
    names = reconcile(dict.fromkeys(genes.chrom), known)
    return {chrom: known[name] for chrom, name in names.items()}


def missing_chromosomes(genes: GeneTable, track: TrackFile) -> Mapping[str, int]:
    """Return the chromosomes of genes that a track lacks, with their numbers of genes."""
    counts = Counter(genes.chrom)
    found = reconcile(counts, track.chromosomes)
    return {chrom: count for chrom, count in counts.items() if chrom not in found}


def _on_chromosomes(
    genes: GeneTable, tracks: Sequence[TrackFile], gtf: str | Path
) -> tuple[GeneTable, str]:
    missing: dict[str, int] = {}
    for track in tracks:
        lacked = missing_chromosomes(genes, track)
        if len(lacked) == len(set(genes.chrom)):
            theirs = sorted(track.chromosomes, key=natural_key)
            ours = sorted(set(genes.chrom), key=natural_key)
            raise MismatchError(
                f"no chromosome in common: {track.path} has {shorten(theirs)}; "
                f"the genes of {gtf} are on {shorten(ours)}",
                hint="are both of the same species and assembly?",
            )
        missing.update(lacked)
    if not missing:
        return genes, ""
    kept = genes.take(np.array([chrom not in missing for chrom in genes.chrom], dtype=bool))
    if not len(kept):
        raise MismatchError(
            f"no chromosome is in all of {shorten(str(track.path) for track in tracks)}"
        )
    named = ", ".join(f"{name} {missing[name]}" for name in sorted(missing, key=natural_key))
    return kept, f" ({sum(missing.values()):,} left out: {named})"
