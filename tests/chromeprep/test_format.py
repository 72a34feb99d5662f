"""Files of bins: what goes in comes out, in every reader, and nothing is ever half written."""

from __future__ import annotations

import gc
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chromeprep.errors import FormatError, OutputError
from chromeprep.format import (
    ChromeBins,
    FileAttributes,
    GeneTable,
    MarkTable,
    atomic_file,
    atomic_folder,
    check_writable,
    read_bins,
    read_description,
    schema,
    write_bins,
)
from chromeprep.format.packing import pack
from chromeprep.format.validate import violations
from chromeprep.format.views import to_anndata, to_xarray


@pytest.fixture(scope="session")
def golden(root: Path) -> Path:
    return root / "tests" / "data" / "archives" / "v1.h5"


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(golden, tmp_path / "copy.h5"))


def equal(one: ChromeBins, other: ChromeBins) -> None:
    assert repr(asdict(one.attributes)) == repr(asdict(other.attributes))
    for name in ("genes", "marks"):
        left, right = getattr(one, name), getattr(other, name)
        for entry in fields(left):
            if entry.name == "extra":
                assert left.extra.keys() == right.extra.keys()
                for key in left.extra:
                    np.testing.assert_array_equal(left.extra[key], right.extra[key])
            else:
                a, b = getattr(left, entry.name), getattr(right, entry.name)
                assert a.dtype == b.dtype, entry.name
                np.testing.assert_array_equal(a, b)
    assert dict(one.chromosomes) == dict(other.chromosomes)
    assert one.provenance == other.provenance
    np.testing.assert_array_equal(one.signal, other.signal)
    assert one.signal.dtype == other.signal.dtype == np.float32


def test_the_first_version_opens_for_ever(golden: Path) -> None:
    """Written out by hand, so that a change of the writer cannot change what is expected."""
    assert golden.stat().st_size < 100_000
    data = read_bins(golden)
    assert violations(golden) == []
    signal = np.arange(180, dtype=np.float32).reshape(6, 3, 10) / 8
    signal[2, 1, 3:5] = np.nan
    np.testing.assert_array_equal(data.signal, signal)
    attributes = data.attributes
    assert (attributes.bin_size_bp, attributes.flank_bp, attributes.n_bins) == (100, 500, 10)
    assert (attributes.assembly, attributes.cell_type) == ("toy1", "E999")
    assert (attributes.label_rule, attributes.label_threshold) == ("expression >= median", 2.25)
    assert (attributes.neighbour_distance_bp, attributes.uncovered) == (5000, "nan")
    assert attributes.expression_source == "rpkm.tsv:E999"
    genes = data.genes
    assert list(genes.gene_id) == [f"ENSG0000000000{n}.{n + 1}" for n in range(6)]
    assert list(genes.gene_name) == ["A", "B", "", "Dé", "E", "F"]
    assert list(genes.gene_type) == ["protein_coding"] * 5 + ["lncRNA"]
    assert list(genes.chrom) == ["chr1"] * 3 + ["chrX"] * 3
    assert list(genes.strand) == ["+", "-"] * 3
    assert list(genes.start) == [100, 6000, 12_000, 5000, 11_000, 19_700]
    assert list(genes.tss) == [100, 7499, 12_000, 5599, 11_000, 19_899]
    assert list(genes.bins_outside) == [4, 0, 0, 0, 0, 4]
    assert list(genes.label) == [0, 0, 1, 1, -1, 1]
    np.testing.assert_array_equal(genes.expression, [0, 1.5, 2.25, 8, np.nan, 3])
    assert list(genes.extra["cluster"]) == [0, 1, 2, 0, 1, 2]
    assert list(genes.extra["note"]) == list("abcdef")
    assert data.mark_names == ["H3K4me3", "H3K27me3", "Input"]
    assert list(data.marks.units) == ["reads", "signal", "reads"]
    assert list(data.marks.n_mapped) == [1000, -1, 2000]
    np.testing.assert_allclose(data.marks.mean, [9.9375, 11.256_466, 12.4375], atol=1e-6)
    assert dict(data.chromosomes) == {"chr1": 30_000, "chrX": 20_000}
    assert len(data.provenance) == 1
    assert list(data.bin_starts[:2]) == [-500, -400]


def test_round_trip(golden: Path, tmp_path: Path) -> None:
    data = read_bins(golden)
    write_bins(tmp_path / "again.h5", data)
    equal(read_bins(tmp_path / "again.h5"), data)
    assert violations(tmp_path / "again.h5") == []


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=40)
@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 4), st.randoms(), st.data())
def test_round_trip_of_any(
    tmp_path_factory: Any, genes: int, marks: int, half: int, rng: Any, data: Any
) -> None:
    """Of few genes, more genes than a chunk has, any text."""
    values = np.random.default_rng(rng.randrange(1000))
    signal = values.normal(size=(genes, marks, 2 * half)).astype(np.float32)
    table = GeneTable.build(
        [f"G{n}" for n in range(genes)],
        ["1"] * genes,
        np.arange(genes) + 100,
        np.arange(genes) + 105,
        [rng.choice("+-") for _ in range(genes)],
        gene_name=[data.draw(TEXT) for _ in range(min(genes, 3))] + ["x"] * max(0, genes - 3),
    )
    made = ChromeBins(
        FileAttributes(bin_size_bp=5, flank_bp=5 * half),
        replace(table, extra={"more": values.integers(0, 9, genes)}),
        MarkTable.build([f"M{n}" for n in range(marks)], signal),
        {"1": 1000},
        ("{}",),
        signal=signal,
    )
    path = tmp_path_factory.mktemp("any") / "a.h5"
    write_bins(path, made)
    equal(read_bins(path), made)
    assert violations(path) == []


def test_description_is_the_file_without_its_signal(golden: Path) -> None:
    data, description = read_bins(golden), read_description(golden)
    assert not hasattr(description, "signal")
    equal(ChromeBins(**vars(description), signal=data.signal), data)


def test_shapes_that_do_not_fit_are_a_mistake_of_the_caller(golden: Path, tmp_path: Path) -> None:
    data = read_bins(golden)
    with pytest.raises(ValueError, match=r"signal has shape \(6, 3, 9\), the tables say"):
        write_bins(tmp_path / "a.h5", replace(data, signal=data.signal[:, :, 1:]))
    rows = np.zeros(0, dtype=np.int64)
    with pytest.raises(ValueError, match="nothing to write"):
        write_bins(
            tmp_path / "a.h5", replace(data, genes=data.genes.take(rows), signal=data.signal[rows])
        )
    assert list(tmp_path.iterdir()) == []


# Other programs.


def test_plain_h5py(golden: Path) -> None:
    with h5py.File(golden) as file:
        assert file.attrs["format"] == "HDF5::ChromeBins"
        assert file.attrs["format-version"] == 1
        signal = file["signal"]
        assert signal.dtype == np.float32
        assert (signal.compression, signal.compression_opts) == ("gzip", 4)
        assert signal.shuffle
        assert signal.fletcher32
        assert np.isnan(signal.fillvalue)
        assert signal.chunks == (6, 3, 10)
        assert [dim.keys() for dim in signal.dims] == [["gene"], ["mark"], ["bin"]]
        assert file["genes/label"].fillvalue == -1
        assert np.isnan(file["genes/expression"].fillvalue)
        assert file["genes/tss"].dims[0].keys() == ["gene"]
        assert file["gene"].asstr()[0] == "ENSG00000000000.1"
        assert list(file["bin"][:3]) == [-500, -400, -300]
        assert file["anndata/obsm/signal"] == signal


def test_chunks_of_64_genes(tmp_path: Path) -> None:
    signal = np.zeros((100, 2, 4), np.float32)
    genes = GeneTable.build(
        [str(n) for n in range(100)], ["1"] * 100, [100] * 100, [101] * 100, ["+"] * 100
    )
    marks = MarkTable.build(["a", "b"], signal)
    data = ChromeBins(FileAttributes(5, 10), genes, marks, {"1": 1000}, signal=signal)
    write_bins(tmp_path / "a.h5", data)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["signal"].chunks == (64, 2, 4)


def test_anndata(golden: Path) -> None:
    anndata = pytest.importorskip("anndata")
    data = read_bins(golden)
    with h5py.File(golden) as file:
        adata = anndata.io.read_elem(file["anndata"])
    assert to_anndata(golden).shape == adata.shape == (6, 3)
    assert list(adata.obs_names) == list(data.genes.gene_id)
    assert list(adata.var_names) == data.mark_names
    np.testing.assert_array_equal(adata.obsm["signal"], data.signal)
    for name in ("chrom", "strand", "gene_name", "tss", "label", "expression", "bins_outside"):
        np.testing.assert_array_equal(adata.obs[name].to_numpy(), getattr(data.genes, name))
    assert list(adata.obs["note"]) == list("abcdef")
    for name in ("units", "mean", "std", "p99", "n_mapped"):
        np.testing.assert_array_equal(adata.var[name].to_numpy(), getattr(data.marks, name))


def test_xarray(golden: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    data = read_bins(golden)
    for tree in (
        xarray.open_datatree(golden, engine="h5netcdf", phony_dims="sort"),
        to_xarray(golden),
    ):
        signal = tree["signal"]
        assert signal.dims == ("gene", "mark", "bin")
        np.testing.assert_array_equal(signal.values, data.signal)
        np.testing.assert_array_equal(
            signal.sel(mark="Input", gene="ENSG00000000003.4", bin=-400).values,
            data.signal[3, 2, 1],
        )
        np.testing.assert_array_equal(tree["genes/tss"].values, data.genes.tss)
        np.testing.assert_array_equal(tree["marks/std"].values, data.marks.std)
        assert tree.attrs["cell-type"] == "E999"
        tree.close()
    del tree, signal
    gc.collect()


def test_columns_that_anndata_writes_are_read(copy: Path) -> None:
    pd = pytest.importorskip("pandas")
    anndata = pytest.importorskip("anndata")
    values = {
        "group": pd.Categorical(["x", "y", None, "x", "y", "y"]),
        "count": pd.array([1, 2, None, 4, 5, 6], dtype="Int64"),
        "score": np.arange(6) / 2,
    }
    with h5py.File(copy, "r+") as file:
        for name, value in values.items():
            anndata.io.write_elem(file["genes"], name, value)
    extra = read_bins(copy).genes.extra
    assert list(extra["group"]) == ["x", "y", "", "x", "y", "y"]
    assert list(extra["score"]) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert "count" not in extra  # an encoding that is not ours is passed over


# Files that cannot be read.


def refused(path: Path, message: str) -> FormatError:
    for read in (read_bins, read_description, violations):
        with pytest.raises(FormatError, match=message) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
    return caught.value


def test_newer_versions_are_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["format-version"] = schema.FORMAT_VERSION + 1
    error = refused(copy, "has format version 2; this chromeprep reads up to 1")
    assert error.hint is not None
    assert "upgrade" in error.hint


@pytest.mark.parametrize("version", [0, -1, "one", [1, 2]])
def test_versions_that_never_were(copy: Path, version: Any) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["format-version"] = version
    refused(copy, "format version|attribute 'format-version'")


@pytest.mark.parametrize("value", [None, "HDF5::Cooler", 5, ["HDF5::ChromeBins"]])
def test_other_hdf5_files(copy: Path, value: Any) -> None:
    with h5py.File(copy, "r+") as file:
        del file.attrs["format"]
        if value is not None:
            file.attrs["format"] = value
    refused(copy, "is an HDF5 file, but not one of bins")


def test_no_hdf5(tmp_path: Path, golden: Path) -> None:
    refused(tmp_path / "absent.h5", "no such file")
    refused(tmp_path, "is a folder")
    for data in (b"", b"text", b"PK\3\4" * 100):
        (tmp_path / "a.h5").write_bytes(data)
        refused(tmp_path / "a.h5", "is not an HDF5 file\n  make one with `chromeprep bin`")
    data = golden.read_bytes()
    (tmp_path / "a.h5").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "a.h5", "damaged: ")


def test_the_checksum_is_checked(copy: Path) -> None:
    with h5py.File(copy) as file:
        place = file["signal"].id.get_chunk_info(0).byte_offset
    data = bytearray(copy.read_bytes())
    data[place + 20] ^= 0xFF
    copy.write_bytes(data)
    with pytest.raises(FormatError, match="damaged: ") as caught:
        read_bins(copy)
    assert caught.value.path == copy


# Writing.


def test_written_files_are_as_public_as_others(golden: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bins(tmp_path / "a.h5", read_bins(golden))
    finally:
        os.umask(before)
    assert (tmp_path / "a.h5").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failed_write_leaves_nothing(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Any, existing: bool
) -> None:
    from chromeprep.format import write

    target = tmp_path / "a.h5"
    if existing:
        target.write_bytes(b"precious")

    def fail(*args: Any) -> None:
        assert len(list(tmp_path.iterdir())) == 1 + existing  # it had begun
        raise failure

    monkeypatch.setattr(write, "_write_anndata_links", fail)
    data = read_bins(golden)
    with pytest.raises(failure):
        write_bins(target, data)
    assert list(tmp_path.iterdir()) == ([target] if existing else [])
    assert not existing or target.read_bytes() == b"precious"


def test_a_full_disk_leaves_nothing(golden: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.h5"
    target.write_bytes(b"precious")
    code = """
import resource, signal, sys
import numpy as np
from chromeprep.format import *
from chromeprep.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
data = read_bins(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_bins(sys.argv[2], data)
except OutputError as error:
    print(error)
"""
    assert resource.RLIMIT_FSIZE  # the test is of POSIX systems, as the package is
    done = subprocess.run(
        [sys.executable, "-c", code, golden, target], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{target}: cannot be written: ")
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"precious"


def fail_half_way(target: Path) -> None:
    with atomic_folder(target) as folder:
        (folder / "two").write_text("2")
        raise KeyError


def test_atomic_folder(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with atomic_folder(target) as folder:
        (folder / "one").write_text("1")
        assert not target.exists()
    with pytest.raises(KeyError):
        fail_half_way(target)
    assert [path.name for path in target.iterdir()] == ["one"]
    with atomic_folder(target) as folder:
        (folder / "three").write_text("3")
    assert [path.name for path in target.iterdir()] == ["three"]
    assert list(tmp_path.iterdir()) == [target]
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(OutputError, match="is a file, not a folder"),
        atomic_folder(tmp_path / "file"),
    ):
        pass


def test_check_writable(tmp_path: Path) -> None:
    there, folder = tmp_path / "there.h5", tmp_path / "folder"
    there.write_text("x")
    folder.mkdir()
    with pytest.raises(OutputError, match="exists already\n  use --force"):
        check_writable(there, force=False)
    assert check_writable(there, force=True) == there
    assert check_writable(there, force=True, inputs=[tmp_path / "absent"]) == there
    assert check_writable(folder, force=True) == folder
    with pytest.raises(OutputError, match="is a folder, not a file"):
        check_writable(folder, force=True, inputs=[])
    with pytest.raises(OutputError, match="is a pipe or device"):
        check_writable("/dev/null", force=True, inputs=[])
    (tmp_path / "link.h5").symlink_to(there)
    with pytest.raises(OutputError, match="is one of the inputs and would be replaced"):
        check_writable(tmp_path / "link.h5", force=True, inputs=[there])
    with pytest.raises(OutputError, match=r"the folder .*absent does not exist\n  mkdir -p"):
        check_writable(tmp_path / "absent" / "a.h5", force=False)
    with pytest.raises(OutputError, match="is a folder, not a file"), atomic_file(folder):
        pass


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By pretence: root may write anywhere.
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_writable(tmp_path / "a.h5", force=False)


# The document.


def test_the_document_names_everything(root: Path) -> None:
    text = (root / "docs" / "format.md").read_text()
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert f"`{schema.FORMAT}`" in text
    assert f"# The file of bins, format version {schema.FORMAT_VERSION}" in text
    top = text.split("## Attributes of the root")[1].split("\n## ")[0]
    named = dict(re.findall(r"^\| `([^`]+)` \| (\w+) \|", top, re.MULTILINE))
    assert named == {
        "format": "string", "format-version": "int", "generated-by": "string",
        "creation-date": "string",
    } | {entry.name: entry.kind for entry in schema.ATTRIBUTES}  # fmt: skip
    for table in schema.TABLES:
        part = re.split(r"\n##+ ", text.split(f"### /{table.name}:")[1])[0]
        columns = re.findall(r"^\| `([^`]+)` \| (\w+) \|", part, re.MULTILINE)
        assert columns == [(column.name, column.dtype) for column in table.columns]
    for values in (schema.LABEL_RULES, schema.UNCOVERED, schema.ORIENTATIONS):
        assert all(f"`{value}`" in text for value in values)
    assert f"up to {schema.SIGNAL_CHUNK_GENES} genes" in text
    assert rows


def test_the_schema_is_the_model() -> None:
    """Every declared column is a field of the table in memory, in the same order."""
    for name, model in (("genes", GeneTable), ("marks", MarkTable)):
        columns = [column.name for column in schema.table(name).columns]
        assert columns == [entry.name for entry in fields(model) if entry.name != "extra"]
    assert {entry.field for entry in schema.ATTRIBUTES} == {
        entry.name for entry in fields(FileAttributes)
    }


@given(st.integers(1, 150), st.integers(1, 3), st.integers(1, 40), st.integers(0, 2**32))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_packed_here_is_what_hdf5_unpacks(
    tmp_path: Path, genes: int, marks: int, bins: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    signal = rng.poisson(1, (genes, marks, bins)).astype(np.float32)
    signal[rng.random(signal.shape) < 0.1] = np.nan
    chunk = (min(64, genes), marks, bins)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "x", shape=signal.shape, dtype="<f4", chunks=chunk, compression="gzip", shuffle=True,
            fletcher32=True,
        )  # fmt: skip
        for start in range(0, genes, chunk[0]):
            whole = np.zeros(chunk, dtype="<f4")
            rows = signal[start : start + chunk[0]]
            whole[: len(rows)] = rows
            dataset.id.write_direct_chunk((start, 0, 0), pack(whole))
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"][...], signal)
