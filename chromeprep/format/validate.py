"""Does a file follow the specification? Every violation is named, not only the first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from chromeprep.errors import FormatError
from chromeprep.format import schema
from chromeprep.format.model import ChromeBins, GeneTable
from chromeprep.format.read import open_bins, read_bins
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
    found += [*_provenance(data), *_bins(path, data)]
    return list(dict.fromkeys(found))


def _structure(file: h5py.File) -> Iterator[str]:
    for attribute in schema.ATTRIBUTES:
        if attribute.name not in file.attrs:
            if not attribute.optional:
                yield f"attribute '{attribute.name}' is missing"
        elif not _is_kind(file.attrs[attribute.name], attribute.kind):
            yield f"attribute '{attribute.name}' should be of kind {attribute.kind}"
    for name in ("generated-by", "creation-date"):
        if name not in file.attrs:
            yield f"attribute '{name}' is missing"
    for table in schema.TABLES:
        if not isinstance(file.get(table.name), h5py.Group):
            yield f"group /{table.name} is missing"
            continue
        yield from _table(file, table)
    for name in schema.SIGNAL_DIMS:
        if not isinstance(file.get(name), h5py.Dataset):
            yield f"dataset /{name} is missing"
        elif not file[name].is_scale:
            yield f"/{name} is not a dimension scale"
    yield from _signal_dataset(file)
    if not isinstance(file.get("provenance"), h5py.Dataset):
        yield "dataset /provenance is missing"
    for link, target in (("obs", "genes"), ("var", "marks"), ("obsm/signal", "signal")):
        if file.get(f"anndata/{link}") != file.get(target):
            yield f"/anndata/{link} is not a hard link to /{target}"


def _table(file: h5py.File, table: schema.Table) -> Iterator[str]:
    group = file[table.name]
    if group.attrs.get("encoding-type") != "dataframe":
        yield f"/{table.name}: attribute 'encoding-type' should be 'dataframe'"
    if group.attrs.get("_index") != table.columns[0].name:
        yield f"/{table.name}: attribute '_index' should be '{table.columns[0].name}'"
    if group.attrs.get("encoding-version") != "0.2.0":
        yield f"/{table.name}: attribute 'encoding-version' should be '0.2.0'"
    listed = set(np.atleast_1d(group.attrs.get("column-order", []))) | {table.columns[0].name}
    if listed != set(group):
        yield (
            f"/{table.name}: attribute 'column-order' does not list its columns: "
            f"{', '.join(sorted(listed ^ set(group)))}"
        )
    lengths = set()
    for column in table.columns:
        key = f"/{table.name}/{column.name}"
        dataset = group.get(column.name)
        if not isinstance(dataset, h5py.Dataset):
            yield f"dataset {key} is missing"
            continue
        text = h5py.check_string_dtype(dataset.dtype) is not None
        found = "string" if text else str(dataset.dtype)
        if found != column.dtype:
            yield f"{key} is {found}, should be {column.dtype}"
        encoding = "string-array" if column.dtype == "string" else "array"
        if dataset.attrs.get("encoding-type") != encoding:
            yield f"{key}: attribute 'encoding-type' should be '{encoding}'"
        if dataset.ndim != 1:
            yield f"{key} has {dataset.ndim} dimensions, should have 1"
        else:
            lengths.add(len(dataset))
    if len(lengths) > 1:
        yield f"/{table.name}: its columns differ in length: {sorted(lengths)}"


def _signal_dataset(file: h5py.File) -> Iterator[str]:
    signal = file.get("signal")
    if not isinstance(signal, h5py.Dataset):
        yield "dataset /signal is missing"
        return
    if signal.dtype != np.float32:
        yield f"/signal is {signal.dtype}, should be float32"
    if signal.compression != "gzip" or not signal.shuffle:
        yield "/signal should be compressed with gzip and shuffled"
    if not signal.fletcher32:
        yield "/signal has no checksum (fletcher32)"
    if signal.ndim != len(schema.SIGNAL_DIMS):
        yield f"/signal has {signal.ndim} dimensions, should have 3: {schema.SIGNAL_DIMS}"
        return
    for axis, name in enumerate(schema.SIGNAL_DIMS):
        scale = file.get(name)
        if not isinstance(scale, h5py.Dataset):
            continue
        if scale not in list(signal.dims[axis].values()):
            yield f"/signal: dimension {axis} does not have the scale /{name}"
        if scale.shape != signal.shape[axis : axis + 1]:
            yield f"/{name} has shape {scale.shape}, /signal {signal.shape}"


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
    yield from _unique("/genes/gene_id", genes.gene_id)
    yield from _unique("/marks/mark", data.marks.mark)
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


def _provenance(data: ChromeBins) -> Iterator[str]:
    for number, line in enumerate(data.provenance, start=1):
        try:
            valid = isinstance(json.loads(line), dict)
        except json.JSONDecodeError:
            valid = False
        if not valid:
            yield f"/provenance: entry {number} is not a JSON object"


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


def _unique(key: str, values: np.ndarray[tuple[int], np.dtype[np.object_]]) -> Iterator[str]:
    if len(set(values)) != len(values):
        twice = next(value for value in values if list(values).count(value) > 1)
        yield f"{key} should be unique, but has '{twice}' more than once"


def _is_kind(value: object, kind: schema.Kind) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "int":
        return isinstance(value, (int, np.integer))
    return isinstance(value, (float, np.floating))
