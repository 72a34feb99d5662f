"""Whatever is wrong with a file, `validate` names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from chromeprep.format import schema
from chromeprep.format.validate import violations


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(root / "tests/data/archives/v1.h5", tmp_path / "copy.h5"))


def attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    def corrupt(file: h5py.File) -> None:
        file.attrs.pop(name, None)  # the oldest file lacks the optional ones
        if value is not None:
            file.attrs[name] = value

    return corrupt


def cell(key: str, place: Any, value: Any) -> Callable[[h5py.File], None]:
    def corrupt(file: h5py.File) -> None:
        data = file[key].asstr()[:] if file[key].dtype.kind == "O" else file[key][:]
        data[place] = value
        file[key][:] = data

    return corrupt


def without(key: str) -> Callable[[h5py.File], None]:
    def corrupt(file: h5py.File) -> None:
        del file[key]

    return corrupt


def instead(key: str, data: Any, **kwargs: Any) -> Callable[[h5py.File], None]:
    """Put other data in the place of a dataset, its attributes and scales kept."""

    def corrupt(file: h5py.File) -> None:
        old = file[key]
        attributes = {
            name: value for name, value in old.attrs.items()
            if name not in ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST")
        }  # fmt: skip
        scales = [dim.values()[0] for dim in old.dims if len(dim)]
        del file[key]
        new = file.create_dataset(key, data=data, **kwargs)
        new.attrs.update(attributes)
        for axis, scale in enumerate(scales[: new.ndim]):
            new.dims[axis].attach_scale(scale)
        if key == "signal":
            del file["anndata/obsm/signal"]
            file["anndata/obsm/signal"] = new

    return corrupt


SIGNAL = np.zeros((6, 3, 10), np.float32)
CHECKED = {"fletcher32": True, "shuffle": True, "compression": "gzip"}


def no_scale(file: h5py.File) -> None:
    file["signal"].dims[1].detach_scale(file["mark"])


def copied_link(file: h5py.File) -> None:
    del file["anndata/obs"]
    file.copy("genes", file["anndata"], "obs")


CORRUPTIONS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    **{
        f"no attribute {entry.name}": (
            attribute(entry.name, None), f"attribute '{entry.name}' is missing"
        )
        for entry in schema.ATTRIBUTES
        if not entry.optional
    },
    **{
        f"attribute {entry.name} of another kind": (
            attribute(entry.name, 5.5 if entry.kind != "float" else "x"),
            f"attribute '{entry.name}' should be of kind {entry.kind}",
        )
        for entry in schema.ATTRIBUTES
    },
    **{
        f"no {table.name}/{column.name}": (
            without(f"{table.name}/{column.name}"),
            f"dataset /{table.name}/{column.name} is missing",
        )
        for table in schema.TABLES
        for column in table.columns
    },
    **{
        f"no /{name}": (without(name), f"/{name} is missing")
        for name in ("genes", "marks", "bins", "chromosomes", "signal", "gene", "mark", "bin",
                     "provenance")
    },
    "no generated-by": (attribute("generated-by", None), "attribute 'generated-by' is missing"),
    "no creation-date": (attribute("creation-date", None), "'creation-date' is missing"),
    "anchor": (attribute("anchor", "tes"), "attribute 'anchor' is 'tes', should be one of tss"),
    "orientation": (attribute("orientation", "3p"), "attribute 'orientation' is '3p'"),
    "coordinates": (attribute("coordinates", "1-based"), "attribute 'coordinates' is '1-based'"),
    "label rule": (attribute("label-rule", "mean"), "attribute 'label-rule' is 'mean'"),
    "uncovered": (attribute("uncovered", "one"), "attribute 'uncovered' is 'one'"),
    "blacklist": (attribute("blacklist-action", "x"), "attribute 'blacklist-action' is 'x'"),
    "bin size": (attribute("bin-size-bp", 50), "'n-bins' should be 2 x 'flank-bp'"),
    "bin size 0": (attribute("bin-size-bp", 0), "'bin-size-bp' and 'flank-bp' should be at least"),
    "neighbours": (attribute("neighbour-distance-bp", -1), "should not be negative"),
    "signal type": (instead("signal", SIGNAL.astype("f8"), **CHECKED), "/signal is float64"),
    "signal dims": (instead("signal", SIGNAL[0], **CHECKED), "/signal has 2 dimensions"),
    "signal shape": (instead("signal", SIGNAL[1:], **CHECKED), "/gene has shape (6,), /signal"),
    "no checksum": (instead("signal", SIGNAL, shuffle=True, compression="gzip"), "no checksum"),
    "no compression": (instead("signal", SIGNAL, fletcher32=True), "compressed with gzip"),
    "no scale": (no_scale, "/signal: dimension 1 does not have the scale /mark"),
    "copied link": (copied_link, "/anndata/obs is not a hard link to /genes"),
    "no link": (without("anndata/obsm/signal"), "/anndata/obsm/signal is not a hard link"),
    "infinite": (cell("signal", (0, 0, 0), np.inf), "/signal holds infinite values"),
    "NaN": (attribute("uncovered", "zero"), "/signal holds NaN, though 'uncovered'"),
    "gene twice": (
        cell("genes/gene_id", 1, "ENSG00000000000.1"),
        "/genes/gene_id should be unique, but has 'ENSG00000000000.1' more than once",
    ),
    "mark twice": (cell("marks/mark", 0, "Input"), "/marks/mark should be unique"),
    "gene scale": (cell("gene", 0, "other"), "/gene does not hold /genes/gene_id"),
    "mark scale": (cell("mark", 0, "other"), "/mark does not hold /marks/mark"),
    "bin scale": (cell("bin", 0, 7), "/bin does not hold /bins/start"),
    "bin start": (cell("bins/start", 0, 7), "/bins/start does not follow"),
    "bin end": (cell("bins/end", 0, 7), "/bins/end does not follow"),
    "bin name": (cell("bins/name", 0, "7"), "/bins/name does not follow"),
    "label 2": (cell("genes/label", 0, 2), "/genes/label should be -1, 0 or 1"),
    "label": (cell("genes/label", 0, 1), "does not follow from expression and threshold in 1"),
    "label of none": (attribute("label-rule", "none"), "/genes/label should be -1 everywhere"),
    "threshold": (attribute("label-threshold", 0.1), "does not follow from expression and"),
    "strand": (cell("genes/strand", 0, "."), "/genes/strand should be + or -"),
    "start": (cell("genes/start", 0, 900), "/genes/start should be at least 0 and smaller"),
    "tss": (cell("genes/tss", 1, 6000), "/genes/tss should be start on + and end - 1 on -"),
    "bins_outside": (cell("genes/bins_outside", 1, 1), "/genes/bins_outside does not follow"),
    "chromosome": (cell("chromosomes/name", 0, "chr9"), "/chromosomes lacks chr1"),
    "too short": (cell("chromosomes/length", 0, 7000), "/genes/tss should lie on the chromosome"),
    "n_mapped": (cell("marks/n_mapped", 0, -2), "/marks/n_mapped should be -1 or more"),
    "mean": (cell("marks/mean", 1, 7), "/marks/mean of H3K27me3 is 7, /signal has 11.2565"),
    "std": (cell("marks/std", 0, 7), "/marks/std of H3K4me3 is 7"),
    "p50": (cell("marks/p50", 0, 7), "/marks/p50 of H3K4me3 is 7"),
    "p99": (cell("marks/p99", 0, 7), "/marks/p99 of H3K4me3 is 7"),
    "fraction": (cell("marks/fraction_nonzero", 0, 7), "/marks/fraction_nonzero of H3K4me3"),
    "column type": (
        instead("genes/start", np.arange(6, dtype="i4")), "/genes/start is int32, should be int64"
    ),
    "column of numbers": (
        instead("genes/chrom", np.arange(6)), "/genes/chrom is int64, should be string"
    ),
    "column length": (instead("genes/end", np.arange(5)), "columns differ in length"),
    "column dims": (instead("genes/end", np.zeros((6, 2), "i8")), "has 2 dimensions"),
    "column of one value": (instead("genes/end", 5), "/genes/end has 0 dimensions"),
    "extra length": (instead("genes/cluster", np.arange(5)), "columns of /genes differ in length"),
    "column order": (
        lambda file: file["genes"].attrs.create("column-order", ["gene_name"]), "'column-order'"
    ),
    "index": (lambda file: file["genes"].attrs.modify("_index", "chrom"), "attribute '_index'"),
    "encoding": (
        lambda file: file["marks"].attrs.modify("encoding-type", "x"),
        "/marks: attribute 'encoding-type' should be 'dataframe'",
    ),
    "encoding version": (
        lambda file: file["marks"].attrs.modify("encoding-version", "9"),
        "/marks: attribute 'encoding-version' should be '0.2.0'",
    ),
    "column encoding": (
        lambda file: file["marks/units"].attrs.modify("encoding-type", "array"),
        "/marks/units: attribute 'encoding-type' should be 'string-array'",
    ),
    "provenance": (cell("provenance", 0, "not JSON"), "/provenance: entry 1 is not a JSON object"),
    "provenance list": (cell("provenance", 0, "[]"), "/provenance: entry 1 is not a JSON object"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_violation_is_named(copy: Path, kind: str) -> None:
    corrupt, message = CORRUPTIONS[kind]
    assert violations(copy) == []
    with h5py.File(copy, "r+") as file:
        corrupt(file)
    found = violations(copy)
    assert any(message in line for line in found), found
    assert len(found) == len(set(found))


def test_not_only_the_first(copy: Path) -> None:
    """What is wrong with the values is told beside what is wrong with the structure."""
    with h5py.File(copy, "r+") as file:
        cell("genes/label", 0, 2)(file)
        cell("marks/mean", 0, 7)(file)
        attribute("creation-date", None)(file)
        attribute("anchor", "x")(file)
    found = " ".join(violations(copy))
    for part in ("/genes/label", "/marks/mean", "'creation-date'", "'anchor'"):
        assert part in found


def test_extra_things_are_allowed(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["note"] = "mine"
        file.create_group("mine")["x"] = [1]
        file["genes"].create_dataset("more", data=np.arange(6))
        order = [*file["genes"].attrs["column-order"], "more"]
        file["genes"].attrs.create("column-order", order)
    assert violations(copy) == []
