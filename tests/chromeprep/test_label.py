"""Labels added to a file that is there: what changes, and above all what does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chromeprep.expression import median_labels, read_expression
from chromeprep.format import (
    ChromeBins,
    FileAttributes,
    GeneTable,
    MarkTable,
    read_bins,
    write_bins,
)
from chromeprep.format.validate import violations
from chromeprep.labelling import label_file

N_GENES = 9
# The columns have a second name for AnnData.
LABELS = {
    *(
        f"{table}/{column}"
        for table in ("genes", "anndata/obs")
        for column in ("expression", "label")
    ),
    "provenance",
}
OF_LABELS = {"label-rule", "label-threshold", "expression-source"}


def make(path: Path, *, positions: bool = True, **attributes: Any) -> Path:
    """Write a file without labels: genes A0 to A8, two marks, four bins."""
    rng = np.random.default_rng(3)
    signal = rng.random((N_GENES, 2, 4)).astype(np.float32)
    start = 1000 * np.arange(1, N_GENES + 1) if positions else np.zeros(N_GENES, dtype=np.int64)
    genes = GeneTable.build(
        [f"A{n}" for n in range(N_GENES)],
        ["chr1" if positions else ""] * N_GENES,
        start,
        start + 500 if positions else start,
        ["+"] * N_GENES,
        gene_name=[f"S{n}" for n in range(N_GENES)],
    )
    data = ChromeBins(
        attributes=FileAttributes(
            bin_size_bp=100,
            flank_bp=200,
            orientation="5p-to-3p" if positions else "unknown",
            **attributes,
        ),
        genes=genes,
        marks=MarkTable.build(["H3K4me3", "H3K27me3"], signal),
        chromosomes={"chr1": 100_000} if positions else {},
        provenance=('{"date": "2020-01-01T00:00:00+00:00", "argv": [], "versions": {}, '
                    '"inputs": {}}',),
        signal=signal,
    )  # fmt: skip
    write_bins(path, data)
    return path


def everything(path: Path) -> dict[str, Any]:
    """Return all datasets, their attributes and storage, groups and links of a file."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        for key, value in item.attrs.items():
            if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
                found[f"{name}@{key}"] = np.asarray(value).tolist()
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tolist()
            found[f"{name}#"] = item.dtype, item.chunks, item.compression, item.fletcher32
            if name not in LABELS:
                found[f"{name}!"] = item.id.get_offset(), item.id.get_storage_size()

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
        for name in ("genes", "marks", "signal"):
            link = {"genes": "obs", "marks": "var", "signal": "obsm/signal"}[name]
            assert file[name] == file["anndata"][link]
        found["scales"] = [
            file[f"genes/{column}"].dims[0][0].name for column in ("expression", "label", "tss")
        ]
    return found


def without_labels(content: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in content.items()
        if key.split("#")[0] not in LABELS and key.removeprefix("/@") not in OF_LABELS
    }


def test_only_labels_change(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:  # what others have put there
        file["genes/score"] = np.arange(N_GENES) / 2
        columns = [*file["genes"].attrs["column-order"], "score"]
        file["genes"].attrs.create("column-order", columns, dtype=h5py.string_dtype())
        file.create_group("theirs/deep")["x"] = [1, 2, 3]
        file["theirs"].attrs["who"] = "they"
        file.attrs["note"] = "keep me"
    before = everything(path)
    table = workshop.table({f"A{n}": n for n in range(1, N_GENES)})
    done = chromeprep("label", path, "--expression", table)
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        f"{path}: labelled: 8 of 9 genes are known to the table, 4 of them high "
        "(expression >= 4.5, the median)\n"
    )
    after = everything(path)
    assert without_labels(after) == without_labels(before)
    data = read_bins(path)
    np.testing.assert_array_equal(data.genes.expression, [np.nan, 1, 2, 3, 4, 5, 6, 7, 8])
    assert list(data.genes.label) == [-1, 0, 0, 0, 0, 1, 1, 1, 1]
    attributes = data.attributes
    assert (attributes.label_rule, attributes.label_threshold) == ("expression >= median", 4.5)
    assert attributes.expression_source == f"{table}:E003"
    assert attributes.cell_type == "unknown"
    assert len(data.provenance) == 2
    line = json.loads(data.provenance[1])
    assert line["argv"][1:] == ["label", str(path), "--expression", str(table)]
    assert set(line["inputs"]) == {"expression"}
    assert not violations(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.h5", "rpkm.tsv"]


def test_to_another_file(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    path, out = make(tmp_path / "a.h5"), tmp_path / "b.h5"
    before = path.read_bytes()
    table = workshop.table({"A1": 1})
    done = chromeprep("label", path, "--expression", table, "-o", out, "--cell-type", "H1")
    assert done.code == 0, done.err
    assert path.read_bytes() == before
    data = read_bins(out)
    assert (data.attributes.cell_type, data.genes.label.max()) == ("H1", 1)
    assert json.loads(data.provenance[1])["inputs"]["file"]["path"] == str(path)
    done = chromeprep("label", path, "--expression", table, "-o", out)
    assert done.code == 1
    assert "exists already\n  use --force" in done.err
    # The output may be the file itself, which is then labelled in place.
    assert chromeprep("label", path, "--expression", table, "-o", path).code == 0
    assert read_bins(path).genes.label.max() == 1


def test_labels_are_replaced_by_force_only(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    one = workshop.table({f"A{n}": n for n in range(N_GENES)}, "one.tsv")
    two = workshop.table({"A7": 3, "A8": 1}, "two.tsv")
    assert chromeprep("label", path, "--expression", one).code == 0
    before = path.read_bytes()
    done = chromeprep("label", path, "--expression", two)
    assert done.code == 1
    assert done.err == (
        f"chromeprep: error: {path}: has labels already\n"
        "  use --force to replace them, or -o OUT.h5 to write another file\n"
    )
    assert path.read_bytes() == before
    done = chromeprep("label", path, "--expression", two, "-f")
    assert "labels replaced: 2 of 9 genes" in done.err
    genes = read_bins(path).genes
    assert list(genes.label) == [-1] * 7 + [1, 0]
    assert np.isnan(genes.expression[:7]).all()
    assert len(read_bins(path).provenance) == 3


def test_the_column_of_the_cell_type_in_the_file(
    chromeprep: Any, workshop: Any, tmp_path: Path
) -> None:
    path = make(tmp_path / "a.h5", cell_type="E116")
    table = workshop.text("t", "gene_id\tE003\tE116\nA0\t1\t5\nA1\t2\t4\n")
    assert chromeprep("label", path, "--expression", table).code == 0
    assert list(read_bins(path).genes.expression[:2]) == [5, 4]
    more = ["--expression-column", "E003", "-f"]
    assert chromeprep("label", path, "--expression", table, *more).code == 0
    assert list(read_bins(path).genes.expression[:2]) == [1, 2]


def test_genes_without_positions_and_symbols(
    chromeprep: Any, workshop: Any, tmp_path: Path
) -> None:
    path = make(tmp_path / "a.h5", positions=False)
    table = workshop.table({"S0": 1, "S1": 2})
    done = chromeprep("label", path, "--expression", table)
    assert done.code == 1
    assert "knows none of the 9 genes of" in done.err
    done = chromeprep("label", path, "--expression", table, "--expression-ids", "symbol")
    assert done.code == 0, done.err
    data = read_bins(path)
    assert list(data.genes.label[:3]) == [0, 1, -1]
    assert data.attributes.expression_source == f"{table}:E003 (by symbol)"


def test_other_numbers_than_ours(workshop: Any, tmp_path: Path) -> None:
    """A column of another type, as another program may write it, takes the values all the same."""
    path = make(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["genes/expression"].attrs)
        del file["genes/expression"]
        file["genes/expression"] = np.zeros(N_GENES, dtype=np.float32)
        file["genes/expression"].attrs["encoding-type"] = attributes["encoding-type"]
        file["genes/expression"].attrs["encoding-version"] = attributes["encoding-version"]
        file["genes/expression"].dims[0].attach_scale(file["gene"])
    table = workshop.table({"A0": 0.1})
    label_file(path, read_expression(table), table)
    with h5py.File(path) as file:
        assert file["genes/expression"][0] == 0.1  # in double precision
        assert file["genes/expression"].attrs["encoding-type"] == "array"
        assert file["genes/expression"].dims[0][0] == file["gene"]


@pytest.mark.parametrize("what", ["absent", "text", "no genes in common", "no table", "HDF5"])
def test_nothing_is_left_of_a_failure(
    chromeprep: Any, workshop: Any, tmp_path: Path, what: str
) -> None:
    path = make(tmp_path / "a.h5")
    table = workshop.table({"B": 1})
    arguments = {
        "absent": (tmp_path / "x.h5", table),
        "text": (table, table),
        "no genes in common": (path, table),
        "no table": (path, tmp_path / "x.tsv"),
        "HDF5": (tmp_path / "other.h5", table),
    }[what]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    before = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}
    for more in ([], ["-o", tmp_path / "out.h5"]):
        done = chromeprep("label", arguments[0], "--expression", arguments[1], *more)
        assert done.code == 1, done.err
        assert done.err.startswith("chromeprep: error: ")
        assert "Traceback" not in done.err
        assert {entry: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_an_interrupt_leaves_the_file_as_it_was(
    workshop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.h5")
    table = workshop.table({"A0": 1})
    before = path.read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        label_file(path, read_expression(table), table)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.h5", "rpkm.tsv"]


def test_in_place_keeps_link_and_mode(workshop: Any, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5")
    path.chmod(0o640)
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    table = workshop.table({"A0": 1})
    label_file(link, read_expression(table), table)
    assert link.is_symlink()
    assert read_bins(path).genes.label[0] == 1
    assert os.stat(path).st_mode & 0o777 == 0o640


VALUES = st.dictionaries(
    st.sampled_from([f"A{n}" for n in range(N_GENES)]),
    st.floats(0, 1e6, allow_nan=False),
    min_size=1,
)


@given(first=VALUES, second=VALUES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_twice_is_once(
    workshop: Any, tmp_path: Path, first: dict[str, float], second: dict[str, float]
) -> None:
    once, twice = make(tmp_path / "once.h5"), make(tmp_path / "twice.h5")
    one, two = workshop.table(first, "one.tsv"), workshop.table(second, "two.tsv")
    label_file(once, read_expression(two), two)
    label_file(twice, read_expression(one), one)
    label_file(twice, read_expression(two), two)
    label_file(twice, read_expression(two), two)
    labelled, again = everything(once), everything(twice)
    assert len(again.pop("provenance")) == len(labelled.pop("provenance")) + 2
    for content in (labelled, again):
        for key in list(content):
            if key.endswith(("provenance#", "/@creation-date")):
                del content[key]
    np.testing.assert_equal(again, labelled)
    genes = read_bins(once).genes
    expected = np.array([second.get(name, np.nan) for name in genes.gene_id])
    np.testing.assert_array_equal(genes.expression, expected)
    np.testing.assert_array_equal(genes.label, median_labels(expected).label)


def test_command_line(chromeprep: Any, tmp_path: Path) -> None:
    assert chromeprep("label", tmp_path / "a.h5").code == 2
    done = chromeprep("label", "--help")
    assert done.code == 0
    for option in ("--expression", "--expression-column", "--expression-ids", "--cell-type",
                   "--output", "--force"):  # fmt: skip
        assert option in done.out
