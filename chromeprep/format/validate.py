"""Does a file follow the specification? Every violation is named, not only the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from chromeprep.errors import FormatError
from chromeprep.format import schema
from chromeprep.format.model import ChromeBins, GeneTable
from chromeprep.format.read import open_bins, read_bins
from chromeprep.format.tables import (
    attribute_violations,
    link_violations,
    matrix_violations,
    provenance_violations,
    scale_violations,
    table_violations,
    unique_violations,
)
from chromeprep.format.write import table_columns
from chromeprep.stats import mark_statistics
from chromeprep.windows import Windows

_CLOSE = 1e-6


def violations(path: str | Path) -> list[str]:
    """Compare a file with ``docs/format.md``.

    Returns
    -------
    list of str
        One sentence a violation, each naming the key it is about; empty for a valid file.

    Raises
    ------
    FormatError
        Where the file cannot be opened as one of bins at all.
    """
    with open_bins(path) as file:
        found = list(_structure(file))
    try:
        data = read_bins(path)
    except FormatError as error:
        return found or [error.message]
    found += [*_attributes(data), *_genes(data), *_marks(data), *_signal(data)]
    found += [*provenance_violations(data.provenance), *_bins(path, data)]
    return list(dict.fromkeys(found))


def _structure(file: h5py.File) -> Iterator[str]:
    yield from attribute_violations(file, schema.ATTRIBUTES)
    for table in schema.TABLES:
        yield from table_violations(file, table)
    yield from scale_violations(file, schema.SIGNAL_DIMS)
    yield from matrix_violations(file, "signal", schema.SIGNAL_DIMS)
    if not isinstance(file.get("provenance"), h5py.Dataset):
        yield "dataset /provenance is missing"
    yield from link_violations(file, {"obs": "genes", "var": "marks", "obsm/signal": "signal"})


def _attributes(data: ChromeBins) -> Iterator[str]:
    attributes = data.attributes
    if attributes.bin_size_bp < 1 or attributes.flank_bp < 1:
        yield "attributes 'bin-size-bp' and 'flank-bp' should be at least 1"
    elif 2 * attributes.flank_bp != attributes.n_bins * attributes.bin_size_bp:
        yield "attribute 'n-bins' should be 2 x 'flank-bp' / 'bin-size-bp'"
    if attributes.neighbour_distance_bp < 0:
        yield "attribute 'neighbour-distance-bp' should not be negative"
    for name, value, allowed in (
        ("anchor", attributes.anchor, (schema.ANCHOR,)),
        ("orientation", attributes.orientation, schema.ORIENTATIONS),
        ("coordinates", attributes.coordinates, (schema.COORDINATES,)),
        ("label-rule", attributes.label_rule, schema.LABEL_RULES),
        ("uncovered", attributes.uncovered, schema.UNCOVERED),
        ("blacklist-action", attributes.blacklist_action, schema.BLACKLIST_ACTIONS),
    ):
        if value not in allowed:
            yield f"attribute '{name}' is '{value}', should be one of {', '.join(allowed)}"


def _genes(data: ChromeBins) -> Iterator[str]:
    genes = data.genes
    yield from unique_violations("/genes/gene_id", genes.gene_id)
    yield from unique_violations("/marks/mark", data.marks.mark)
    if not np.isin(genes.label, (-1, 0, 1)).all():
        yield "/genes/label should be -1, 0 or 1"
    elif data.attributes.label_rule == "none":
        if (genes.label != schema.UNKNOWN_LABEL).any():
            yield "/genes/label should be -1 everywhere where attribute 'label-rule' is 'none'"
    elif data.attributes.label_rule == schema.LABEL_RULES[0]:
        known = ~np.isnan(genes.expression)
        label = np.where(known, genes.expression >= data.attributes.label_threshold, -1)
        wrong = int((label != genes.label).sum())
        if wrong:
            yield f"/genes/label does not follow from expression and threshold in {wrong} genes"
    yield from _positions(data)


def _positions(data: ChromeBins) -> Iterator[str]:
    genes = data.genes
    placed = genes.chrom != ""
    nowhere = (genes.strand == "") & (genes.bins_outside == 0)
    for positions in (genes.start, genes.end, genes.tss):
        nowhere &= positions == schema.UNKNOWN_POSITION
    wrong = int((~placed & ~nowhere).sum())
    if wrong:
        yield (
            "/genes: where chrom is empty, strand should be empty, start, end and tss -1, and "
            f"bins_outside 0; not so in {wrong} genes"
        )
    yield from _placed(data, genes.take(placed))


def _placed(data: ChromeBins, genes: GeneTable) -> Iterator[str]:
    """Check the genes whose positions are known."""
    if not np.isin(genes.strand, ("+", "-")).all():
        yield "/genes/strand should be + or -"
    if ((genes.start < 0) | (genes.end <= genes.start)).any():
        yield "/genes/start should be at least 0 and smaller than /genes/end"
    tss = np.where(genes.strand == "-", genes.end - 1, genes.start)
    if (genes.tss != tss).any():
        yield "/genes/tss should be start on + and end - 1 on -"
    missing = sorted(set(genes.chrom) - set(data.chromosomes))
    if missing and data.chromosomes:
        yield f"/chromosomes lacks {', '.join(missing)}"
    elif data.attributes.bin_size_bp > 0:
        # Where no lengths are known, chromosomes are taken to be endless.
        endless = np.iinfo(np.int64).max // 2
        lengths = [data.chromosomes.get(name, endless) for name in genes.chrom]
        ends = np.array(lengths, dtype=np.int64)
        if ((genes.tss < 0) | (genes.tss >= ends)).any():
            yield "/genes/tss should lie on the chromosome"
        windows = Windows(data.attributes.flank_bp, data.attributes.bin_size_bp)
        outside = windows.bins_outside(windows.starts(genes), ends)
        wrong = int((outside != genes.bins_outside).sum())
        if wrong:
            yield f"/genes/bins_outside does not follow from /chromosomes in {wrong} genes"


def _marks(data: ChromeBins) -> Iterator[str]:
    if (data.marks.n_mapped < schema.UNKNOWN_COUNT).any():
        yield "/marks/n_mapped should be -1 or more"


def _bins(path: str | Path, data: ChromeBins) -> Iterator[str]:
    expected = table_columns(data, "bins")
    with open_bins(path) as file:
        for name in ("name", "start", "end"):
            # A dataset that is missing has been named already.
            found = file.get(f"bins/{name}")
            if isinstance(found, h5py.Dataset) and not np.array_equal(
                _values(found), expected[name]
            ):
                yield f"/bins/{name} does not follow from flank and bin size"
        scales = {"gene": data.genes.gene_id, "mark": data.marks.mark, "bin": expected["start"]}
        for key, values in scales.items():
            if isinstance(file.get(key), h5py.Dataset) and not np.array_equal(
                _values(file[key]), values
            ):
                column = "start" if key == "bin" else schema.table(f"{key}s").columns[0].name
                yield f"/{key} does not hold /{key}s/{column}"


def _values(dataset: h5py.Dataset) -> Any:
    text = h5py.check_string_dtype(dataset.dtype) is not None
    return dataset.asstr()[()] if text else dataset[()]


def _signal(data: ChromeBins) -> Iterator[str]:
    if np.isinf(data.signal).any():
        yield "/signal holds infinite values"
        return
    unknown = data.attributes.uncovered == "nan" or data.attributes.blacklist_action == "mask"
    if not unknown and np.isnan(data.signal).any():
        yield "/signal holds NaN, though 'uncovered' is 'zero' and 'blacklist-action' not 'mask'"
    for row, mark in enumerate(data.marks.mark):
        for name, value in mark_statistics(data.signal[:, row, :])._asdict().items():
            stored = getattr(data.marks, name)[row]
            if not np.isclose(stored, value, rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
                yield f"/marks/{name} of {mark} is {stored:.6g}, /signal has {value:.6g}"
