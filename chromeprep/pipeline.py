"""Tracks + annotation + expression -> a file of bins in memory: what `chromeprep bin` does."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.assay import (
    Assay,
    Combined,
    check_assay,
    combine,
    rule_in_words,
    units_in_words,
)
from chromeprep.binning import Progress, TrackJob, read_tracks
from chromeprep.chromosomes import reconcile
from chromeprep.expression import ExpressionColumn
from chromeprep.format import ChromeBins, Description, FileAttributes, GeneTable, MarkTable
from chromeprep.format.schema import LABEL_RULES
from chromeprep.like import like_marks, select_like, warn_of_differences
from chromeprep.marks import order_marks
from chromeprep.provenance import fingerprint, record
from chromeprep.regions import bins_touching
from chromeprep.request import BinRequest
from chromeprep.selection import Selection, TrackFile, chromosome_lengths, select_genes
from chromeprep.shared import Shared
from chromeprep.signals import TrackBins
from chromeprep.tracks import describe
from chromeprep.windows import Windows

_log = logging.getLogger(__name__)


class _Opened(NamedTuple):
    """An assay whose files have been looked at."""

    assay: Assay
    files: list[TrackFile]
    units: str


def bin_tracks(
    request: BinRequest, progress: Progress | None = None, shared: Shared | None = None
) -> ChromeBins:
    """Choose the genes, read the signal and put a file of bins together.

    Parameters
    ----------
    request
        What to bin.
    progress
        Called with (steps done, steps in all).
    shared
        Given where several requests have files in common.

    Raises
    ------
    ChromeError
        Any of the tree, where an input is wrong or two do not fit.
    """
    shared = shared or Shared()
    like = None if request.like is None else shared.like(request.like, request.assembly)
    assays, files = _open(request, like)
    table = None
    if request.expression is not None:
        table = shared.expression(
            request.expression, request.expression_column, request.cell_type, request.expression_ids
        )
    if like is None or request.like is None:
        windows = request.windows
        selection = _select(request, files, table, shared)
    else:
        windows = Windows(like.attributes.flank_bp, like.attributes.bin_size_bp)
        warn_of_differences(request.like, like, request.uncovered, str(request.blacklist or ""))
        selection = select_like(request.like, like, files, table, request.expression)
    _report(selection)
    lengths = chromosome_lengths(selection.genes, files)
    genes = _with_bins_outside(selection.genes, windows, lengths)
    _report_renamed(files, lengths)
    signal, combined = _read(request, assays, genes, windows, lengths, progress)
    if request.blacklist is not None and request.blacklist_action == "mask":
        _mask(signal, genes, windows, lengths, request.blacklist)
    _warn_if_mostly_empty(signal)
    return ChromeBins(
        attributes=_attributes(request, windows, selection, table, like),
        genes=genes,
        marks=_marks(request, assays, combined, signal),
        chromosomes=lengths,
        provenance=(_provenance(request, selection),),
        signal=signal,
    )


def _open(request: BinRequest, like: Description | None) -> tuple[list[_Opened], list[TrackFile]]:
    """Put the assays in order, open all their files, and describe these together."""
    given = {assay.mark: assay for assay in request.assays}
    if like is None or request.like is None:
        order = order_marks(given)
    else:
        order = like_marks(request.like, like, list(given))
    files = describe(
        [track for mark in order for track in given[mark].files],
        chrom_sizes=request.chrom_sizes,
        like=like.chromosomes if like is not None else None,
        assembly=request.assembly,
    )
    opened = []
    left = iter(files)
    for mark in order:
        own = [next(left) for _ in given[mark].files]
        units = check_assay(given[mark], [file.info for file in own])
        opened.append(_Opened(given[mark], own, units))
    return opened, files


def _read(
    request: BinRequest,
    assays: Sequence[_Opened],
    genes: GeneTable,
    windows: Windows,
    lengths: Mapping[str, int],
    progress: Progress | None,
) -> tuple[NDArray[np.float32], list[Combined]]:
    """Return the signal, shape (genes, marks, bins), and what else is known of each mark."""
    signal = np.zeros((len(genes), len(assays), windows.n_bins), dtype=np.float32)
    jobs, owners = [], []
    for mark, opened in enumerate(assays):
        for track, file in zip(opened.assay.files, opened.files, strict=True):
            names = reconcile(lengths, file.chromosomes)
            jobs.append(TrackJob(track, names, file.chromosomes))
            owners.append(mark)
    held: dict[int, TrackBins] = {}
    done: dict[int, Combined] = {}
    waiting = Counter(owners)
    for number, bins in read_tracks(
        genes, windows, jobs, threads=request.threads, progress=progress
    ):
        held[number] = bins
        mark = owners[number]
        waiting[mark] -= 1
        if waiting[mark]:
            continue
        own = [held.pop(job) for job, owner in enumerate(owners) if owner == mark]
        opened = assays[mark]
        done[mark] = combine(
            opened.assay, own, opened.units, request.combination, windows.bin_size_bp
        )
        signal[:, mark] = done[mark].values
        done[mark] = done[mark]._replace(values=signal[:0, mark])  # the copy may go
    return signal, [done[mark] for mark in range(len(assays))]


def _mask(
    signal: NDArray[np.float32],
    genes: GeneTable,
    windows: Windows,
    lengths: Mapping[str, int],
    blacklist: Path,
) -> None:
    touched = bins_touching(genes, windows, lengths, blacklist)
    _log.info(
        "%s: %s of %s bins touch the blacklist and are masked", blacklist,
        f"{int(touched.sum()):,}", f"{touched.size:,}",
    )  # fmt: skip
    signal[np.broadcast_to(touched[:, None, :], signal.shape)] = np.nan


def _select(
    request: BinRequest,
    tracks: Sequence[TrackFile],
    table: ExpressionColumn | None,
    shared: Shared,
) -> Selection:
    if request.gtf is None:
        raise ValueError("either gtf or like must be given")
    annotation = shared.annotation(request.gtf, request.gene_types)
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
        blacklist=request.blacklist if request.blacklist_action == "drop" else None,
    )


def _warn_if_mostly_empty(signal: NDArray[np.float32]) -> None:
    empty = len(signal) - int((np.abs(signal) > 0).any(axis=(1, 2)).sum())
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
    column = None if table is None else table.cell_type
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
        expression_source="" if table is None else f"{request.expression}:{table.described}",
        blacklist="" if request.blacklist is None else str(request.blacklist),
        blacklist_action="none" if request.blacklist is None else request.blacklist_action,
    )


def _marks(
    request: BinRequest,
    assays: Sequence[_Opened],
    combined: Sequence[Combined],
    signal: NDArray[np.float32],
) -> MarkTable:
    how = request.combination

    def joined(tracks: Sequence[TrackFile]) -> str:
        return ";".join(str(track.path) for track in tracks)

    def own(opened: _Opened) -> list[TrackFile]:
        return opened.files[: len(opened.assay.tracks)]

    table = MarkTable.build(
        [opened.assay.mark for opened in assays],
        signal,
        source=[joined(own(opened)) for opened in assays],
        units=[
            units_in_words(opened.units, how, controlled=bool(opened.assay.controls))
            for opened in assays
        ],
        count_rule=[
            rule_in_words(opened.files[0].info.count_rule, opened.units, how, opened.assay)
            for opened in assays
        ],
        fingerprint=[
            "; ".join(fingerprint(file.path) for file in own(opened)) for opened in assays
        ],
        n_mapped=[entry.n_mapped for entry in combined],
    )
    controls = [joined(opened.files[len(opened.assay.tracks) :]) for opened in assays]
    return replace(
        table,
        extra={
            "n_counted": np.array([entry.n_counted for entry in combined], dtype=np.int64),
            "scale_factor": np.array([entry.scale_factor for entry in combined]),
            "control": np.array(controls, dtype=object),
            "control_factor": np.array([entry.control_factor for entry in combined]),
        },
    )


def _provenance(request: BinRequest, selection: Selection) -> str:
    details: dict[str, object] = {
        "genes": [step._asdict() for step in selection.steps],
        "options": request.options(),
    }
    if request.engine != "fast":
        details["engine"] = request.engine
    return record(request.argv, request.inputs(), details)


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


def _report_renamed(tracks: Sequence[TrackFile], lengths: Mapping[str, int]) -> None:
    for track in tracks:
        names = reconcile(lengths, track.chromosomes)
        renamed = [(ours, theirs) for ours, theirs in names.items() if ours != theirs]
        if renamed:
            _log.info(
                "%s: names chromosomes otherwise; %s of the annotation is read from %s, and so on",
                track.path,
                *renamed[0],
            )
