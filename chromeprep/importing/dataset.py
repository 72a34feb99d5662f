"""Published tables + annotation + expression -> a file of bins in memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import ExpressionError, InputError, shorten
from chromeprep.expression import join_expression, median_labels, read_expression
from chromeprep.format import ChromeBins, FileAttributes, GeneTable, MarkTable
from chromeprep.format.ids import cut_version
from chromeprep.format.model import strings
from chromeprep.format.schema import AS_PUBLISHED, LABEL_RULES
from chromeprep.importing.layouts import LAYOUTS, Layout
from chromeprep.importing.positions import place, read_chrom_sizes, turned, unplaced, with_lengths
from chromeprep.importing.sources import Source, cell_type_in, find_sources, has_split
from chromeprep.importing.table import GeneRows, read_table
from chromeprep.marks import order_marks
from chromeprep.provenance import fingerprint, record
from chromeprep.windows import Windows

_log = logging.getLogger(__name__)

_COUNT_RULE = "reads that overlap the bin (bedtools multicov), as published"


@dataclass(frozen=True)
class ImportRequest:
    """What to import; the fields are the options of ``chromeprep import``.

    `orientation` says how the bins stand in the tables: ``genome`` (left to right whatever the
    strand), ``5p-to-3p`` or ``unknown``.
    """

    paths: tuple[Path, ...]
    layout: str
    gtf: Path | None = None
    chrom_sizes: Path | None = None
    orientation: str = "genome"
    expression: Path | None = None
    expression_column: str | None = None
    cell_type: str | None = None
    assembly: str = "hg19"
    argv: tuple[str, ...] = ()


class _Content(NamedTuple):
    """All genes of all files."""

    genes: GeneTable
    signal: NDArray[np.float32]
    label: NDArray[np.int8] | None

    def take(self, rows: NDArray[np.bool_]) -> _Content:
        """Return some of the genes."""
        label = None if self.label is None else self.label[rows]
        return _Content(self.genes.take(rows), self.signal[rows], label)


def import_dataset(request: ImportRequest) -> ChromeBins:
    """Read the tables and put a file of bins together.

    Genes stand in the order of the tables, training genes first; marks in the order of
    `chromeprep.marks.order_marks`.

    Raises
    ------
    ChromeError
        Any of the tree, where an input is wrong or two do not fit.
    """
    layout = LAYOUTS[request.layout]
    sources = find_sources(request.paths)
    content = _read(sources, layout)
    steps = [(len(content.genes), "genes in the tables")]
    content, lengths, orientation, dropped = _placed(request, layout, content)
    if dropped:
        steps.append((len(content.genes), f"known to {request.gtf}"))
    cell_type = request.cell_type or _cell_type(sources)
    content, threshold, source = _labelled(request, content, cell_type)
    marks = order_marks(layout.marks)
    signal = np.ascontiguousarray(content.signal[:, [layout.marks.index(mark) for mark in marks]])
    # One entry for all of them, since each table holds every mark.
    files = ", ".join(map(str, request.paths))
    prints = "; ".join(fingerprint(entry.path) for entry in sources)
    _report(steps, content, request)
    return ChromeBins(
        attributes=FileAttributes(
            bin_size_bp=layout.bin_size_bp,
            flank_bp=layout.flank_bp,
            assembly=request.assembly,
            cell_type=cell_type,
            orientation=orientation,
            label_rule=LABEL_RULES[0] if source
            else LABEL_RULES[1] if content.label is None else AS_PUBLISHED,
            label_threshold=threshold,
            expression_source=source,
        ),
        genes=content.genes,
        marks=MarkTable.build(
            marks,
            signal,
            source=[files] * len(marks),
            units=["reads"] * len(marks),
            count_rule=[_COUNT_RULE] * len(marks),
            fingerprint=[prints] * len(marks),
        ),
        chromosomes=lengths,
        provenance=(_provenance(request, sources, orientation, steps, dropped),),
        signal=signal,
    )  # fmt: skip


def _read(sources: Sequence[Source], layout: Layout) -> _Content:
    tables: list[GeneRows] = []
    seen: dict[str, Path] = {}
    for source in sources:
        rows = read_table(source.path, layout)
        for row, gene in enumerate(rows.gene_id):
            other = seen.setdefault(cut_version(gene), source.path)
            if other != source.path:
                raise InputError(
                    f"gene {gene} is in {other} too",
                    path=source.path,
                    line=row * layout.n_bins + 1,
                    hint="the parts of a split have no gene in common",
                )
        tables.append(rows)
    genes = unplaced(
        [gene for rows in tables for gene in rows.gene_id],
        [name for rows in tables for name in rows.gene_name],
    )
    if has_split(sources):
        parts = [source.part for source, rows in zip(sources, tables, strict=True)
                 for _ in rows.gene_id]  # fmt: skip
        genes = replace(genes, extra={"split": strings(parts)})
    label = None
    labels = [rows.label for rows in tables if rows.label is not None]
    if labels:
        label = np.concatenate(labels)
        genes = replace(genes, label=label)
    return _Content(genes, np.concatenate([rows.signal for rows in tables]), label)


def _placed(
    request: ImportRequest, layout: Layout, content: _Content
) -> tuple[_Content, dict[str, int], str, list[str]]:
    """Return the genes with positions, chromosome lengths, the orientation, and ids dropped."""
    if request.gtf is None:
        return content, {}, request.orientation, []
    placed = place(content.genes, request.gtf)
    content = content._replace(genes=placed.genes)
    orientation = request.orientation
    dropped: list[str] = []
    if orientation == "genome":
        # One file has one orientation, and without a strand a gene cannot be turned.
        dropped = [str(name) for name in placed.genes.gene_id[~placed.known]]
        content = content.take(placed.known)
        content = content._replace(signal=turned(content.signal, content.genes.strand))
        orientation = "5p-to-3p"
    elif not placed.known.all():
        _log.info(
            "%s: lacks %s of the genes; they stay without position",
            request.gtf, f"{int((~placed.known).sum()):,}",
        )  # fmt: skip
    sizes = None if request.chrom_sizes is None else read_chrom_sizes(request.chrom_sizes)
    windows = Windows(layout.flank_bp, layout.bin_size_bp)
    genes, lengths = with_lengths(content.genes, windows, sizes, request.chrom_sizes)
    return content._replace(genes=genes), lengths, orientation, dropped


def _labelled(
    request: ImportRequest, content: _Content, cell_type: str
) -> tuple[_Content, float, str]:
    """Return the genes with labels of an expression table, the threshold and the table's name."""
    if request.expression is None:
        return content, float("nan"), ""
    table = read_expression(request.expression, request.expression_column, cell_type)
    genes = content.genes
    values = join_expression(genes.gene_id, table.values)
    if np.isnan(values).all():
        raise ExpressionError(
            f"knows none of the {len(genes):,} genes; its first ids are "
            f"{shorten(list(table.values)[:3])}, those of the genes {shorten(genes.gene_id[:3])}",
            path=request.expression,
            hint="both must use the same kind of gene id",
        )
    labels = median_labels(values)
    if content.label is not None:
        genes = replace(genes, extra={**genes.extra, "label_published": content.label})
    genes = replace(genes, expression=values, label=labels.label)
    return content._replace(genes=genes), labels.threshold, f"{request.expression}:{table.column}"


def _cell_type(sources: Sequence[Source]) -> str:
    found = {cell_type_in(source.path) for source in sources}
    name = found.pop() if len(found) == 1 else None
    if name is not None:
        _log.info("cell type %s, as the path says; --cell-type names another", name)
    return name or "unknown"


def _report(steps: Sequence[tuple[int, str]], content: _Content, request: ImportRequest) -> None:
    for count, what in steps:
        _log.info("%9s  %s", f"{count:,}", what)
    if len(steps) > 1:
        _log.info(
            "%9s  left out: without a strand their bins cannot be turned",
            f"{steps[0][0] - steps[-1][0]:,}",
        )
    parts = content.genes.extra.get("split")
    if parts is not None:
        names, counts = np.unique(parts.astype(str), return_counts=True)
        found = dict(zip(names.tolist(), counts.tolist(), strict=True))
        listed = ", ".join(f"{part} {found[part]:,}" for part in ("train", "valid", "test")
                           if part in found)  # fmt: skip
        _log.info("%9s  as published: %s", "split", listed)
    label = content.genes.label
    if (label >= 0).any():
        rule = "as published" if request.expression is None else "expression >= the median"
        _log.info("%8.1f%%  of the labels are high (%s)",
                  100 * float((label == 1).sum() / (label >= 0).sum()), rule)  # fmt: skip


def _provenance(
    request: ImportRequest,
    sources: Sequence[Source],
    orientation: str,
    steps: Sequence[tuple[int, str]],
    dropped: Sequence[str],
) -> str:
    inputs: dict[str, str | Path] = {
        source.part or f"table {number}": source.path
        for number, source in enumerate(sources, start=1)
    }
    for role in ("gtf", "chrom_sizes", "expression"):
        path = getattr(request, role)
        if path is not None:
            inputs[role] = path
    details = {
        "layout": request.layout,
        "orientation": {"tables": request.orientation, "file": orientation},
        "genes": [{"n_genes": count, "what": what} for count, what in steps],
        "dropped": list(dropped),
    }
    return record(request.argv, inputs, details)
