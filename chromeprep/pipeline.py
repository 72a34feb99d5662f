"""Tracks + annotation + expression -> a file of bins in memory: what `chromeprep bin` does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromeprep.annotation import read_gtf
from chromeprep.binning import Progress, bin_signal
from chromeprep.chromosomes import reconcile
from chromeprep.errors import FormatError, MismatchError, shorten
from chromeprep.expression import (
    ExpressionColumn,
    Labels,
    median_labels,
    read_expression,
)
from chromeprep.format import (
    ChromeBins,
    Description,
    FileAttributes,
    GeneTable,
    MarkTable,
    read_description,
)
from chromeprep.format.schema import LABEL_RULES
from chromeprep.marks import order_marks
from chromeprep.provenance import fingerprint, record
from chromeprep.selection import (
    Selection,
    Step,
    TrackFile,
    check_positions,
    chromosome_lengths,
    join_known,
    missing_chromosomes,
    select_genes,
    with_expression,
)
from chromeprep.signals import Track
from chromeprep.windows import Windows

_log = logging.getLogger(__name__)

_UNITS_OF_EXPRESSION = {
    "rpkm", "fpkm", "tpm", "cpm", "count", "counts", "expression", "value"
}  # fmt: skip

DEFAULT_WINDOWS = Windows()


@dataclass(frozen=True)
class BinRequest:
    """What to bin; the fields are the options of ``chromeprep bin``.

    Either `gtf` or `like` must be given; with `like` the genes, the windows and the order of the
    marks are those of that file.
    """

    tracks: Mapping[str, Track]
    gtf: Path | None = None
    like: Path | None = None
    expression: Path | None = None
    expression_column: str | None = None
    cell_type: str | None = None
    assembly: str | None = None
    windows: Windows = DEFAULT_WINDOWS
    neighbour_distance_bp: int = 5000
    gene_types: tuple[str, ...] = ("protein_coding",)
    gene_list: Path | None = None
    regions: Path | None = None
    uncovered: str = "zero"
    threads: int = 1
    argv: tuple[str, ...] = ()


def bin_tracks(request: BinRequest, progress: Progress | None = None) -> ChromeBins:
    """Choose the genes, read the signal and put a file of bins together.

    Parameters
    ----------
    request
        What to bin.
    progress
        Called with (tasks done, tasks in all).

    Raises
    ------
    ChromeError
        Any of the tree, where an input is wrong or two do not fit.
    """
    like = None if request.like is None else _read_like(request.like)
    marks = order_marks(request.tracks) if like is None else _like_marks(request, like)
    tracks = [request.tracks[mark] for mark in marks]
    infos = [TrackFile(track.path, track.info()) for track in tracks]
    table = None
    if request.expression is not None:
        table = read_expression(request.expression, request.expression_column, request.cell_type)
    if like is None:
        windows = request.windows
        selection = _select(request, infos, table)
    else:
        windows = Windows(like.attributes.flank_bp, like.attributes.bin_size_bp)
        selection = _select_like(request, like, infos, table)
    _report(selection)
    lengths = chromosome_lengths(selection.genes, infos)
    genes = _with_bins_outside(selection.genes, windows, lengths)
    names = [reconcile(lengths, entry.info.chromosomes) for entry in infos]
    _report_renamed(names, infos)
    signal = bin_signal(genes, windows, tracks, names, threads=request.threads, progress=progress)
    _warn_if_mostly_empty(signal)
    return ChromeBins(
        attributes=_attributes(request, windows, selection, table, like),
        genes=genes,
        marks=MarkTable.build(
            marks,
            signal,
            source=[str(track.path) for track in tracks],
            units=[entry.info.units for entry in infos],
            count_rule=[entry.info.count_rule for entry in infos],
            fingerprint=[fingerprint(track.path) for track in tracks],
            n_mapped=[entry.info.n_mapped for entry in infos],
        ),
        chromosomes=lengths,
        provenance=(_provenance(request, selection),),
        signal=signal,
    )


def _select(
    request: BinRequest, tracks: Sequence[TrackFile], table: ExpressionColumn | None
) -> Selection:
    if request.gtf is None:
        raise ValueError("either gtf or like must be given")
    annotation = read_gtf(request.gtf, request.gene_types)
    if annotation.feature != "gene":
        _log.info("%s: has no gene lines; genes are made from its %ss", request.gtf,
                  annotation.feature)  # fmt: skip
    if annotation.n_par_y:
        _log.info("%s: %d copies of pseudo-autosomal genes on the Y left out", request.gtf,
                  annotation.n_par_y)  # fmt: skip
    if annotation.n_unstranded:
        _log.warning("%s: %d genes without a strand, and so without a TSS, left out", request.gtf,
                     annotation.n_unstranded)  # fmt: skip
    return select_genes(
        annotation,
        request.windows,
        tracks,
        request.gtf,
        expression=table,
        expression_path=request.expression,
        neighbour_distance_bp=request.neighbour_distance_bp,
        gene_list=request.gene_list,
        regions=request.regions,
    )


def _read_like(path: Path) -> Description:
    like = read_description(path)
    if like.attributes.orientation != "5p-to-3p" or not all(like.genes.chrom):
        raise FormatError(
            "does not say where its genes are, so no other tracks can be binned like it", path=path
        )
    return like


def _like_marks(request: BinRequest, like: Description) -> list[str]:
    marks = like.mark_names
    missing = [mark for mark in marks if mark not in request.tracks]
    extra = [mark for mark in request.tracks if mark not in marks]
    if missing or extra:
        found = [f"no track for {shorten(missing)}"] if missing else []
        found += [f"{shorten(extra)} not in it"] if extra else []
        raise MismatchError(
            f"has the marks {', '.join(marks)}: {'; '.join(found)}",
            path=request.like,
            hint="give one track for each of its marks, or leave --like out and give --gtf",
        )
    return marks


def _select_like(
    request: BinRequest,
    like: Description,
    tracks: Sequence[TrackFile],
    table: ExpressionColumn | None,
) -> Selection:
    known = like.attributes.assembly
    if request.assembly not in (None, known) and "unknown" not in (known, request.assembly):
        raise MismatchError(
            f"is of assembly {known}, not {request.assembly}",
            path=request.like,
            hint="genes keep their positions only within one assembly; give --gtf instead",
        )
    if request.uncovered != like.attributes.uncovered:
        _log.warning(
            "%s: was binned with --uncovered %s, this file is with %s", request.like,
            like.attributes.uncovered, request.uncovered,
        )  # fmt: skip
    genes = like.genes
    for track in tracks:
        missing = missing_chromosomes(genes, track)
        if missing:
            raise MismatchError(
                f"has no {shorten(missing)}, where {sum(missing.values()):,} of the genes of "
                f"{request.like} are",
                path=track.path,
                hint="bin that file again without them (--genes, --regions), or give --gtf here",
            )
    check_positions(genes, tracks)
    for chrom, length in chromosome_lengths(genes, tracks).items():
        if like.chromosomes.get(chrom, length) != length:
            raise MismatchError(
                f"was binned where {chrom} has {like.chromosomes[chrom]:,} bp; "
                f"in {tracks[0].path} it has {length:,}",
                path=request.like,
                hint="another assembly? give --gtf instead of --like",
            )
    blank = GeneTable.build(genes.gene_id, genes.chrom, genes.start, genes.end, genes.strand,
                            genes.gene_name, genes.gene_type)  # fmt: skip
    steps: tuple[Step, ...] = (Step(len(genes), f"genes as in {request.like}"),)
    if table is None:
        return Selection(blank, float("nan"), steps)
    values = join_known(blank, table, str(request.like), request.expression)
    labels: Labels = median_labels(values)
    steps += (
        Step(
            int((labels.label >= 0).sum()),
            "of them known to the expression table; the median is theirs",
        ),
    )
    return Selection(with_expression(blank, values, labels), labels.threshold, steps)


def _warn_if_mostly_empty(signal: NDArray[np.float32]) -> None:
    empty = int((np.nan_to_num(signal) == 0).all(axis=(1, 2)).sum())
    if 2 * empty > len(signal):
        _log.warning(
            "warning: %s of %s genes have no signal in any mark; if the tracks cover only part of "
            "the genome, --regions BED keeps the genes inside it", f"{empty:,}", f"{len(signal):,}",
        )  # fmt: skip


def _with_bins_outside(genes: GeneTable, windows: Windows, lengths: Mapping[str, int]) -> GeneTable:
    sizes = np.array([lengths[chrom] for chrom in genes.chrom], dtype=np.int64)
    return replace(genes, bins_outside=windows.bins_outside(windows.starts(genes), sizes))


def _attributes(
    request: BinRequest,
    windows: Windows,
    selection: Selection,
    table: ExpressionColumn | None,
    like: Description | None,
) -> FileAttributes:
    # A column is often named after the cell type, as in REMC's tables, but not always.
    column = None
    if table is not None and table.column.lower() not in _UNITS_OF_EXPRESSION:
        column = table.column
    return FileAttributes(
        bin_size_bp=windows.bin_size_bp,
        flank_bp=windows.flank_bp,
        assembly=request.assembly or (like.attributes.assembly if like else "unknown"),
        cell_type=request.cell_type or column or "unknown",
        label_rule=LABEL_RULES[1] if table is None else LABEL_RULES[0],
        label_threshold=selection.threshold,
        neighbour_distance_bp=(
            like.attributes.neighbour_distance_bp if like else request.neighbour_distance_bp
        ),
        uncovered=request.uncovered,
        expression_source="" if table is None else f"{request.expression}:{table.column}",
    )


def _provenance(request: BinRequest, selection: Selection) -> str:
    inputs: dict[str, str | Path] = {mark: track.path for mark, track in request.tracks.items()}
    for role in ("gtf", "like", "expression", "gene_list", "regions"):
        path = getattr(request, role)
        if path is not None:
            inputs[role] = path
    return record(request.argv, inputs, {"genes": [step._asdict() for step in selection.steps]})


def _report(selection: Selection) -> None:
    for step in selection.steps:
        _log.info("%9s  %s", f"{step.n_genes:,}", step.what)
    label = selection.genes.label
    if (label >= 0).any():
        _log.info(
            "%8.1f%%  of the labels are high (expression >= %.4g, the median)",
            100 * float((label == 1).sum() / (label >= 0).sum()),
            selection.threshold,
        )


def _report_renamed(names: Sequence[Mapping[str, str]], tracks: Sequence[TrackFile]) -> None:
    for mapping, track in zip(names, tracks, strict=True):
        renamed = [(ours, theirs) for ours, theirs in mapping.items() if ours != theirs]
        if renamed:
            _log.info(
                "%s: names chromosomes otherwise; %s of the annotation is read from %s, and so on",
                track.path,
                *renamed[0],
            )
