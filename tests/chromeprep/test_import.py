"""`chromeprep import`: what is in a published table is in the file, and nothing else gets in."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep import textfiles
from chromeprep.errors import InputError
from chromeprep.format import ChromeBins, read_bins
from chromeprep.format.validate import violations
from chromeprep.importing.dataset import ImportRequest, import_dataset
from chromeprep.importing.layouts import LAYOUTS
from chromeprep.importing.table import read_table

CHROME = LAYOUTS["deepchrome"]
DIFF = LAYOUTS["deepdiff"]
HOUSE = ["H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3"]
Run = Callable[..., Any]


class Published(NamedTuple):
    """Genes as a data set would publish them; counts of shape (genes, bins, marks)."""

    names: list[str]
    counts: Any
    labels: list[int]

    def lines(self, layout: Any) -> list[str]:
        out = []
        for name, counts, label in zip(self.names, self.counts, self.labels, strict=True):
            for number, row in enumerate(counts.tolist(), start=1):
                fields = [f"{name}_{number}"] if layout is DIFF else [name, str(number)]
                fields += [str(value) for value in row]
                out.append(",".join(fields + [str(label)] * (layout is CHROME)))
        return out

    def text(self, layout: Any) -> str:
        return "".join(f"{line}\n" for line in self.lines(layout))


def published(names: Sequence[str], layout: Any, seed: int = 0) -> Published:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, (len(names), layout.n_bins, 5))
    return Published(list(names), counts, [index % 2 for index in range(len(names))])


def in_house_order(data: Published, layout: Any) -> Any:
    """Put counts in the order of a file, written out here once more."""
    return np.stack([data.counts[:, :, layout.marks.index(mark)] for mark in HOUSE], axis=1)


def bring(paths: Path | Iterable[Path], layout: Any, **options: Any) -> ChromeBins:
    given = (paths,) if isinstance(paths, Path) else tuple(paths)
    return import_dataset(ImportRequest(given, layout.name, **options))


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def toy(workshop: Any) -> tuple[Path, dict[str, Published]]:
    """A cell type as AttentiveChrome's archive has it."""
    folder = workshop.folder / "E003" / "classification"
    folder.mkdir(parents=True)
    parts = {
        "train": published(["000003", "000005", "000419"], CHROME, 1),
        "valid": published(["132963", "132964"], CHROME, 2),
        "test": published(["172936"], CHROME, 3),
    }
    for part, data in parts.items():
        (folder / f"{part}.csv").write_text(data.text(CHROME))
    return folder.parent, parts


def test_a_cell_type_of_deepchrome(
    chromeprep: Run, toy: tuple[Path, dict[str, Published]], tmp_path: Path
) -> None:
    folder, parts = toy
    out = tmp_path / "out.h5"
    done = chromeprep("import", folder, "--layout", "deepchrome", "-o", out)
    assert (done.code, done.out) == (0, "")
    assert "6 genes x 5 marks (H3K4me3, H3K4me1, H3K36me3, H3K27me3, H3K9me3)" in done.err
    assert "train 3, valid 2, test 1" in done.err
    assert violations(out) == []
    data = read_bins(out)
    assert data.mark_names == HOUSE
    expected = np.concatenate([in_house_order(parts[part], CHROME) for part in parts])
    assert np.array_equal(data.signal, expected)
    numbers = [name for part in parts.values() for name in part.names]
    assert data.genes.gene_id.tolist() == [f"ENSG00000{number}" for number in numbers]
    assert data.genes.label.tolist() == [0, 1, 0, 0, 1, 0]
    assert np.isnan(data.genes.expression).all()
    assert data.genes.extra["split"].tolist() == ["train"] * 3 + ["valid"] * 2 + ["test"]
    assert set(data.genes.chrom) == set(data.genes.strand) == {""}
    for positions in (data.genes.start, data.genes.end, data.genes.tss):
        assert set(positions.tolist()) == {-1}
    attributes = data.attributes
    assert (attributes.cell_type, attributes.assembly) == ("E003", "hg19")
    assert (attributes.n_bins, attributes.bin_size_bp, attributes.flank_bp) == (100, 100, 5000)
    assert (attributes.orientation, attributes.label_rule) == ("genome", "as published")
    assert np.isnan(attributes.label_threshold)
    assert data.bin_starts[0] == -5000
    assert set(data.marks.units) == {"reads"}
    assert data.chromosomes == {}
    entry = json.loads(data.provenance[0])
    assert entry["argv"][1] == "import"
    assert set(entry["inputs"]) == {"train", "valid", "test"}


def test_info_of_unplaced_genes(
    chromeprep: Run, toy: tuple[Path, dict[str, Published]], tmp_path: Path
) -> None:
    out = tmp_path / "out.h5"
    assert chromeprep("import", toy[0], "--layout", "deepchrome", "-o", out).code == 0
    told = chromeprep("info", out)
    assert told.code == 0
    assert "6, positions unknown" in told.out
    assert "as published)" in told.out
    assert json.loads(chromeprep("info", out, "--json").out)["genes_without_position"] == 6
    assert chromeprep("validate", out).code == 0


@pytest.mark.parametrize("layout", [CHROME, DIFF], ids=["deepchrome", "deepdiff"])
@pytest.mark.parametrize("form", ["plain", "gzip", "crlf", "blank end", "no end", "mark of order"])
def test_forms_of_text(
    workshop: Any, layout: Any, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", 700)  # many blocks, cut inside genes
    data = published(["ENSG00000000003", "ENSG00000000005"], layout)
    text = data.text(layout)
    changed = {
        "crlf": text.replace("\n", "\r\n"), "blank end": text + "\n\r\n\n", "no end": text[:-1],
        "mark of order": "\ufeff" + text,
    }  # fmt: skip
    path = workshop.text("a.csv.gz" if form == "gzip" else "a.csv", changed.get(form, text))
    found = bring(path, layout)
    assert np.array_equal(found.signal, in_house_order(data, layout))
    assert found.genes.gene_id.tolist() == data.names
    assert "split" not in found.genes.extra  # a single file is no split


@given(
    st.lists(st.integers(0, 10**11 - 1), min_size=1, max_size=4, unique=True),
    st.booleans(),
    st.integers(0, 10),
)
def test_ids_and_counts_of_any(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], padded: bool, seed: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    data = published([f"{n:06d}" if padded else str(n) for n in numbers], CHROME, seed)
    path.write_text(data.text(CHROME))
    found = bring(path, CHROME)
    assert found.genes.gene_id.tolist() == [f"ENSG{n:011d}" for n in numbers]
    assert np.array_equal(found.signal, in_house_order(data, CHROME))


@pytest.mark.parametrize(
    ("written", "gene", "name"),
    [
        ("000003", "ENSG00000000003", ""),
        ("3", "ENSG00000000003", ""),
        ("ENSG00000000003", "ENSG00000000003", ""),
        ("ENSG00000000003.10", "ENSG00000000003.10", ""),
        ("ENSG00000000003_TSPAN6", "ENSG00000000003", "TSPAN6"),
        ("ENSG00000000003_A_B-1.2", "ENSG00000000003", "A_B-1.2"),
        ("ENSMUSG00000000001", "ENSMUSG00000000001", ""),
    ],
)
@pytest.mark.parametrize("layout", [CHROME, DIFF], ids=["deepchrome", "deepdiff"])
def test_ids(workshop: Any, layout: Any, written: str, gene: str, name: str) -> None:
    path = workshop.text("a.csv", published([written], layout).text(layout))
    rows = read_table(path, layout)
    assert (rows.gene_id, rows.gene_name) == ([gene], [name])


def replaced(row: int, *fields: tuple[int, str]) -> Callable[[list[str]], list[str]]:
    """Put other fields into a line, counted from 1."""

    def change(lines: list[str]) -> list[str]:
        parts = lines[row - 1].split(",")
        for index, value in fields:
            parts[index] = value
        return [*lines[: row - 1], ",".join(parts), *lines[row:]]

    return change


def without(first: int, last: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: lines[: first - 1] + lines[last:]


def swapped(a: int, b: int) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        lines[a - 1], lines[b - 1] = lines[b - 1], lines[a - 1]
        return lines

    return change


FAULTS: dict[str, tuple[Any, Callable[[list[str]], list[str]], int | None, str]] = {
    "nothing": (CHROME, lambda lines: [], None, "is empty"),
    "blank": (CHROME, lambda lines: ["", ""], None, "is empty"),
    "blank inside": (CHROME, lambda lines: [*lines[:9], "", *lines[9:]], 10, "is empty"),
    "a field more": (CHROME, lambda ls: [*ls[:6], ls[6] + ",1", *ls[7:]], 7, "has 9 fields"),
    "a field less": (CHROME, lambda ls: [*ls[:6], ls[6][:-2], *ls[7:]], 7, "has 7 fields"),
    "one more, one less": (
        CHROME, lambda ls: [*ls[:6], ls[6][:-2], ls[7] + ",1", *ls[8:]], 7, "has 7 fields"
    ),
    "tabs": (CHROME, lambda ls: [line.replace(",", "\t") for line in ls], 1, "has 1 field "),
    "header": (
        CHROME, lambda lines: ["gene_id,bin,a,b,c,d,e,label", *lines], 1, "looks like a header"
    ),
    "header of diff": (DIFF, lambda lines: ["gene,a,b,c,d,e", *lines], 1, "looks like a header"),
    "word": (CHROME, replaced(42, (3, "many")), 42, "H3K36me3 is 'many', which is not a count"),
    "empty count": (CHROME, replaced(42, (5, "")), 42, "H3K4me3 is ''"),
    "nan": (CHROME, replaced(42, (2, "nan")), 42, "H3K27me3 is 'nan'"),
    "infinite": (CHROME, replaced(42, (2, "inf")), 42, "H3K27me3 is 'inf'"),
    "too large": (CHROME, replaced(42, (2, "1e39")), 42, "H3K27me3 is '1e39'"),
    "negative": (DIFF, replaced(42, (1, "-1")), 42, "H3K4me1 is '-1'"),
    "bin word": (CHROME, replaced(5, (1, "five")), 5, "bin 'five' is not a whole number"),
    "bin of 20 digits": (CHROME, replaced(5, (1, "9" * 20)), 5, "is not a whole number"),
    "bin fraction": (CHROME, replaced(5, (1, "5.5")), 5, "bin '5.5' is not a whole number"),
    "no bin in id": (DIFF, replaced(5, (0, "ENSG00000000003")), 5, "does not end in the number"),
    "bins from 0": (
        CHROME, lambda ls: [f"{ls[0].split(',')[0]},0,1,1,1,1,1,0", *ls], 1,
        "has bin 0 where bin 1 should be",
    ),
    "bin missing": (CHROME, without(51, 51), 51, "has bin 52 where bin 51 should be"),
    "bin missing, diff": (DIFF, without(251, 251), 251, "has bin 52 where bin 51 should be"),
    "bins swapped": (CHROME, swapped(7, 9), 7, "has bin 9 where bin 7 should be"),
    "bins swapped, diff": (DIFF, swapped(7, 9), 7, "has bin 9 where bin 7 should be"),
    "last bin missing": (CHROME, without(100, 100), 99, "ends with bin 99, expected 100 bins"),
    "last bin missing, diff": (DIFF, without(200, 200), 199, "ends with bin 199, expected 200"),
    "cut short": (CHROME, without(251, 300), 250, "ends after bin 50 of gene 000419"),
    "cut short, diff": (DIFF, without(451, 600), 450, "ends after bin 50 of gene ENSG"),
    "a gene inside a gene": (CHROME, replaced(50, (0, "000009")), 49, "ends with bin 49"),
    "label 2": (CHROME, replaced(3, (7, "2")), 3, "label is '2', expected 0 or 1"),
    "label changes": (
        CHROME, replaced(130, (7, "0")), 130, "the label of gene 000005 changes from 1 to 0"
    ),
    "gene twice": (CHROME, lambda ls: ls + ls[:100], 301, "ENSG00000000003 comes twice, first in"),
    "gene twice, diff": (DIFF, lambda ls: ls + ls[200:400], 601, "comes twice, first in line 201"),
    "symbol": (
        CHROME, lambda ls: [line.replace("000005", "TNMD") for line in ls], 101,
        "'TNMD' is neither an Ensembl id nor the last digits",
    ),
    "12 digits": (
        CHROME, lambda ls: [line.replace("000005,", "0" * 12 + ",") for line in ls], 101,
        "is neither an Ensembl id",
    ),
    "deepdiff as deepchrome": (
        CHROME, lambda ls: published(["ENSG00000000003_A"], DIFF).lines(DIFF), 1,
        "looks like deepdiff; try --layout deepdiff",
    ),
    "deepchrome as deepdiff": (
        DIFF, lambda ls: published(["000003"], CHROME).lines(CHROME), 1,
        "looks like deepchrome; try --layout deepchrome",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(chromeprep: Run, workshop: Any, fault: str) -> None:
    layout, change, line, message = FAULTS[fault]
    names = ["000003", "000005", "000419"] if layout is CHROME else ["A", "B", "C"]
    if layout is DIFF:
        names = [f"ENSG0000000000{index}_{name}" for index, name in enumerate(names)]
    lines = change(published(names, layout).lines(layout))
    path = workshop.text("a.csv", "".join(f"{entry}\n" for entry in lines))
    out = workshop.text("out.h5", "something of mine")
    before = listing(workshop.folder)
    done = chromeprep("import", path, "--layout", layout.name, "-o", out, "--force")
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith(f"chromeprep: error: {path}: " + (f"line {line}: " if line else ""))
    assert message in done.err
    assert listing(workshop.folder) == before


@pytest.mark.parametrize("fault", [f for f, entry in FAULTS.items() if entry[2] is not None])
def test_lines_are_counted_over_blocks(
    workshop: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", 300)
    layout, change, line, message = FAULTS[fault]
    names = ["000003", "000005", "000419"]
    if layout is DIFF:
        names = [f"ENSG0000000000{index}_{name}" for index, name in enumerate("ABC")]
    lines = change(published(names, layout).lines(layout))
    path = workshop.text("a.csv.gz", "".join(f"{entry}\r\n" for entry in lines))
    with pytest.raises(InputError) as caught:
        read_table(path, layout)
    assert caught.value.line == line
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89HDF\r\n\x1a\n\0\0", "is not a text file"),
        (b"\x1f\x8b\x08\x00cut", "damaged gzip data"),
        (b"000003,1,1,1,1,1,1,\xff\n", "line 1: is not text in UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_files_that_are_none(
    chromeprep: Run, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    before = listing(tmp_path)
    done = chromeprep("import", path, "--layout", "deepchrome", "-o", tmp_path / "o.h5")
    assert done.code == 1
    assert f"{path}: {message}" in done.err
    assert listing(tmp_path) == before


def test_a_gene_in_two_parts(workshop: Any) -> None:
    first = workshop.text("train.csv", published(["000003", "000005"], CHROME).text(CHROME))
    ids = ["000419", "ENSG00000000005.7"]  # the same gene with its version
    second = workshop.text("test.csv", published(ids, CHROME).text(CHROME))
    with pytest.raises(InputError, match=r"ENSG00000000005\.7 is in ") as caught:
        bring([first, second], CHROME)
    assert (caught.value.path, caught.value.line) == (second, 101)
    assert str(first) in str(caught.value)


def test_folders(workshop: Any, chromeprep: Run) -> None:
    folder, out = workshop.folder / "data", workshop.folder / "out.h5"
    folder.mkdir()
    arguments = ["import", folder, "--layout", "deepchrome", "-o", out]
    done = chromeprep(*arguments)
    assert (done.code, out.exists()) == (1, False)
    assert f"{folder}: holds no train.csv, valid.csv or test.csv" in done.err
    text = published(["000003"], CHROME).text(CHROME)
    (folder / "E003.csv").write_text(text)
    assert "name the files instead of the folder; there are E003.csv" in chromeprep(*arguments).err
    (folder / "toy.Train.csv").write_text(text)
    (folder / "toy.valid.csv.gz").write_bytes(
        gzip.compress(published(["000005"], CHROME).text(CHROME).encode())
    )
    (folder / "notes.txt").write_text("x")
    assert chromeprep(*arguments).code == 0
    assert read_bins(out).genes.extra["split"].tolist() == ["train", "valid"]
    (folder / "other.train.csv").write_text(text)
    done = chromeprep(*arguments, "-f")
    assert (done.code, len(read_bins(out).genes)) == (1, 2)
    assert "holds more than one data set: other.train.csv, toy.Train.csv" in done.err
    twice = ["import", folder / "toy.Train.csv", folder / "other.train.csv", *arguments[2:], "-f"]
    assert "holds the train genes, and so does" in chromeprep(*twice).err
    same = ["import", folder / "E003.csv", folder / "E003.csv", *arguments[2:], "-f"]
    assert "is given twice" in chromeprep(*same).err


def test_files_without_part(workshop: Any) -> None:
    a = workshop.text("E003.csv", published(["000005"], CHROME).text(CHROME))
    b = workshop.text("train.csv", published(["000003"], CHROME).text(CHROME))
    data = bring([a, b], CHROME)
    assert data.genes.gene_id.tolist() == ["ENSG00000000003", "ENSG00000000005"]
    assert data.genes.extra == {}
    assert data.attributes.cell_type == "unknown"  # one name says E003, the other nothing
    assert bring(a, CHROME).attributes.cell_type == "E003"
    assert bring(a, CHROME, cell_type="H1").attributes.cell_type == "H1"
    assert bring(a, CHROME, assembly="hg38").attributes.assembly == "hg38"


@pytest.fixture
def placed(workshop: Any) -> tuple[Path, Published, Path]:
    """Three genes of which a GTF knows two, one of them on the minus strand."""
    names = ["ENSG00000000001_A", "ENSG00000000002_B", "ENSG00000000003_C"]
    data = published(names, DIFF)
    gtf = workshop.gtf(
        [
            workshop.Gene("ENSG00000000003.4", "chr2", 4_000, 9_000, "+", "lincRNA"),
            workshop.Gene("ENSG00000000001.2", "chr1", 50_000, 60_000, "-"),
            workshop.Gene("ENSG00000000009.1", "chr1", 50_000, 60_000, "-"),
        ]
    )
    return workshop.text("E003.test.csv", data.text(DIFF)), data, gtf


def test_positions(
    placed: tuple[Path, Published, Path], chromeprep: Run, tmp_path: Path, workshop: Any
) -> None:
    path, source, gtf = placed
    sizes = workshop.text("chrom.sizes", "chr1\t62000\nchr2\t5000\nchr3\t9\n")
    out = tmp_path / "o.h5"
    done = chromeprep("import", path, "--layout", "deepdiff", "--gtf", gtf, "-o", out)
    assert done.code == 0, done.err
    assert "1  left out: without a strand" in done.err
    assert violations(out) == []
    data = read_bins(out)
    genes = data.genes
    assert genes.gene_id.tolist() == ["ENSG00000000001", "ENSG00000000003"]
    assert genes.gene_name.tolist() == ["A", "C"]
    assert genes.gene_type.tolist() == ["protein_coding", "lincRNA"]
    assert genes.chrom.tolist() == ["chr1", "chr2"]
    assert genes.strand.tolist() == ["-", "+"]
    assert genes.tss.tolist() == [59_999, 4_000]
    assert (genes.start.tolist(), genes.end.tolist()) == ([50_000, 4_000], [60_000, 9_000])
    assert genes.bins_outside.tolist() == [0, 60]  # without lengths only those before the start
    expected = in_house_order(source, DIFF)
    assert np.array_equal(data.signal[0], expected[0][:, ::-1])
    assert np.array_equal(data.signal[1], expected[2])
    assert data.attributes.orientation == "5p-to-3p"
    assert data.attributes.label_rule == "none"
    assert json.loads(data.provenance[0])["dropped"] == ["ENSG00000000002"]
    assert "2, " not in chromeprep("info", out).out

    done = chromeprep("import", path, "--layout", "deepdiff", "--gtf", gtf, "--chrom-sizes", sizes,
                      "-o", out, "-f")  # fmt: skip
    assert done.code == 0, done.err
    assert violations(out) == []
    data = read_bins(out)
    assert data.chromosomes == {"chr1": 62_000, "chr2": 5_000}
    # chr1: [50,000, 70,000) leaves 62,000 by 80 bins; chr2: [-6,000, 14,000) by 60 and 90.
    assert data.genes.bins_outside.tolist() == [80, 150]


@pytest.mark.parametrize("orientation", ["5p-to-3p", "unknown"])
def test_other_orientations_are_not_turned(
    placed: tuple[Path, Published, Path], orientation: str, tmp_path: Path, chromeprep: Run
) -> None:
    path, source, gtf = placed
    out = tmp_path / "o.h5"
    done = chromeprep("import", path, "--layout", "deepdiff", "--gtf", gtf, "-o", out,
                      "--orientation", orientation)  # fmt: skip
    assert done.code == 0, done.err
    assert "lacks 1 of the genes; they stay without position" in done.err
    assert violations(out) == []
    data = read_bins(out)
    assert np.array_equal(data.signal, in_house_order(source, DIFF))
    assert data.genes.chrom.tolist() == ["chr1", "", "chr2"]
    assert data.genes.tss.tolist() == [59_999, -1, 4_000]
    assert data.attributes.orientation == orientation
    assert "positions of 1 unknown" in chromeprep("info", out).out


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("chr1\t62000\n", "has no chr2, where genes are"),
        ("1\t55000\n2\t5000\n", "chr1 has 55,000 bp, but gene ENSG00000000001 has its TSS at 60,"),
        ("chr1\n", "line 1: expected the name of a chromosome and its length"),
        ("chr1\t5\nchr1\t6\n", "line 2: chr1 comes twice"),
        ("\n", "is empty"),
    ],
)
def test_lengths_that_do_not_fit(
    placed: tuple[Path, Published, Path], chromeprep: Run, workshop: Any, sizes: str, message: str
) -> None:
    path, _, gtf = placed
    table = workshop.text("chrom.sizes", sizes)
    before = listing(workshop.folder)
    done = chromeprep("import", path, "--layout", "deepdiff", "--gtf", gtf, "--chrom-sizes", table,
                      "-o", workshop.folder / "o.h5")  # fmt: skip
    assert done.code == 1
    assert f"{table}: {message}" in done.err
    assert listing(workshop.folder) == before


def test_a_gtf_of_others(placed: tuple[Path, Published, Path], workshop: Any) -> None:
    gtf = workshop.gtf([workshop.Gene("NM_1", "chr2", 1, 2, "+")])
    with pytest.raises(Exception, match="knows none of the 3 genes; its first ids are NM_1"):
        bring(placed[0], DIFF, gtf=gtf)


def test_expression_gives_labels(
    placed: tuple[Path, Published, Path], chromeprep: Run, tmp_path: Path, workshop: Any
) -> None:
    table = workshop.table({"ENSG00000000001": 1.0, "ENSG00000000003.9": 5.0}, column="E003")
    out = tmp_path / "o.h5"
    done = chromeprep("import", placed[0], "--layout", "deepdiff", "--expression", table, "-o", out)
    assert done.code == 0, done.err
    assert violations(out) == []
    data = read_bins(out)
    assert data.genes.label.tolist() == [0, -1, 1]
    assert data.attributes.label_rule == "expression >= median"
    assert data.attributes.label_threshold == 3.0
    assert data.attributes.expression_source == f"{table}:E003"
    other = workshop.table({"X": 1.0}, "other.tsv")
    with pytest.raises(Exception, match="knows none of the 3 genes"):
        bring(placed[0], DIFF, expression=other)


def test_expression_beside_published_labels(workshop: Any, tmp_path: Path, chromeprep: Run) -> None:
    path = workshop.text("a.csv", published(["000003", "000005"], CHROME).text(CHROME))
    table = workshop.table({"ENSG00000000003": 9.0, "ENSG00000000005": 5.0})
    out = tmp_path / "o.h5"
    done = chromeprep("import", path, "--layout", "deepchrome", "--expression", table, "-o", out)
    assert done.code == 0, done.err
    assert violations(out) == []
    genes = read_bins(out).genes
    assert (genes.label.tolist(), genes.extra["label_published"].tolist()) == ([1, 0], [0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--layout'"),
        (["--layout", "deepdif"], "'deepdif' is not one of 'deepchrome', 'deepdiff'"),
        (["--layout", "deepdiff", "-o", "-"], "HDF5 cannot be written to a pipe"),
        (["--layout", "deepdiff", "-o", "x", "--expression-column", "a"], "needs --expression"),
        (["--layout", "deepdiff", "-o", "x", "--chrom-sizes", "a"], "--chrom-sizes needs --gtf"),
    ],
)
def test_usage(
    chromeprep: Run, workshop: Any, options: list[str], message: str, tmp_path: Path
) -> None:
    path = workshop.text("a.csv", "x\n")
    done = chromeprep("import", path, *options)
    assert done.code == 2
    assert message in done.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


def test_nothing_is_replaced_unasked(
    chromeprep: Run, toy: tuple[Path, dict[str, Published]], workshop: Any
) -> None:
    out = workshop.text("out.h5", "mine")
    arguments = ["import", toy[0], "--layout", "deepchrome", "-o"]
    done = chromeprep(*arguments, out)
    assert (done.code, out.read_text()) == (1, "mine")
    assert "use --force" in done.err
    table = toy[0] / "classification" / "test.csv"
    before = listing(toy[0])
    done = chromeprep(*arguments, table, "-f")
    assert done.code == 1
    assert "is one of the inputs" in done.err
    assert listing(toy[0]) == before
    assert chromeprep(*arguments, out, "-f").code == 0
    assert violations(out) == []


def cell(key: str, value: Any) -> Callable[[h5py.File], None]:
    def corrupt(file: h5py.File) -> None:
        data = file[key].asstr()[:] if file[key].dtype.kind == "O" else file[key][:]
        data[1] = value
        file[key][:] = data

    return corrupt


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (cell("genes/strand", "+"), "not so in 1 genes"),
        (cell("genes/start", 0), "start, end and tss -1"),
        (cell("genes/end", 0), "start, end and tss -1"),
        (cell("genes/tss", 5), "start, end and tss -1"),
        (cell("genes/bins_outside", 1), "bins_outside 0"),
        (cell("genes/label", 2), "/genes/label should be -1, 0 or 1"),
        (cell("genes/chrom", "chr1"), "/genes/strand should be + or -"),
    ],
)
def test_validate_holds_unplaced_genes_to_the_document(
    toy: tuple[Path, dict[str, Published]], tmp_path: Path, corrupt: Any, message: str,
    chromeprep: Run,
) -> None:  # fmt: skip
    out = tmp_path / "o.h5"
    assert chromeprep("import", toy[0], "--layout", "deepchrome", "-o", out).code == 0
    with h5py.File(out, "r+") as file:
        corrupt(file)
    assert message in "\n".join(violations(out))


def test_train_evaluate_predict(
    chromeprep: Run, chromemodel: Run, workshop: Any, tmp_path: Path
) -> None:
    """Files without positions go through the models like any other."""
    # Among the first numbers, a mark that speaks of the label.
    data = published([f"{number:06d}" for number in range(1, 61)], CHROME)
    data.counts[np.array(data.labels) == 1, :, 3] += 30
    path, out = workshop.text("E003.csv", data.text(CHROME)), tmp_path / "E003.h5"
    assert chromeprep("import", path, "--layout", "deepchrome", "-o", out).code == 0
    run_end_to_end(chromemodel, out, tmp_path, 60)


def run_end_to_end(chromemodel: Run, out: Path, folder: Path, n_genes: int) -> None:
    run = folder / "run"
    done = chromemodel(
        "train", out, "-o", run, "--recipe=paper", "--set=dense_kernels=4,3", "--set=kernels=6",
        "--set=features=8", "--set=label_widths=6", "--optimizer=adam", "--lr=0.01", "--epochs=2",
        "-p1",
    )  # fmt: skip
    assert done.code == 0, done.err
    scored = chromemodel("evaluate", run, "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["scores"][0]["genes"] > 0
    told = chromemodel("predict", run, out, "-o", "-")
    assert told.code == 0, told.err
    assert len(told.out.splitlines()) == n_genes + 1


# Public data.


@pytest.fixture(scope="session")
def tables(real_data: Path) -> Callable[[str], list[Path]]:
    def find(name: str) -> list[Path]:
        found = sorted((real_data / "deepchrome_csv").glob(f"{name}.*"))
        if not found:
            pytest.skip(f"no {name} in {real_data / 'deepchrome_csv'}")
        return found

    return find


def read_by_hand(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as handle:
        return list(csv.reader(handle))


def test_real_deepchrome(
    tables: Callable[[str], list[Path]], chromeprep: Run, chromemodel: Run, tmp_path: Path
) -> None:
    paths = tables("deepchrome_toy")
    out = tmp_path / "toy.h5"
    done = chromeprep("import", *paths, "--layout", "deepchrome", "-o", out)
    assert done.code == 0, done.err
    assert violations(out) == []
    data = read_bins(out)
    assert data.signal.shape == (29, 5, 100)
    row = {gene: index for index, gene in enumerate(data.genes.gene_id)}
    checked = 0
    for path in paths:
        part = path.name.split(".")[1]
        for number, place, *counts, label in read_by_hand(path):
            index = row[f"ENSG00000{number}"]
            assert data.genes.extra["split"][index] == part
            assert data.genes.label[index] == int(label)
            found = dict(zip(data.mark_names, data.signal[index, :, int(place) - 1], strict=True))
            assert found == dict(zip(CHROME.marks, map(float, counts), strict=True))
            checked += 1
    assert checked == 2900
    run_end_to_end(chromemodel, out, tmp_path, 29)


def test_real_deepchrome_is_in_genome_direction(
    tables: Callable[[str], list[Path]], real_data: Path
) -> None:
    """The toy's counts are the middle of DeepDiff's E003, which stands in genome direction."""
    toy = bring(tables("deepchrome_toy"), CHROME)
    wide = bring(tables("deepdiff_E003"), DIFF)
    gtf = real_data / "annotation" / "gencode_10_genes.gtf.gz"
    strand = dict(zip(*(getattr(bring(tables("deepdiff_E003"), DIFF, gtf=gtf).genes, name)
                        for name in ("gene_id", "strand")), strict=True))  # fmt: skip
    row = {gene: index for index, gene in enumerate(wide.genes.gene_id)}
    both = [(index, gene) for index, gene in enumerate(toy.genes.gene_id) if gene in row]
    assert len(both) == 10
    assert sum(strand[gene] == "-" for _, gene in both) == 6
    times = np.array([2, 1, 1, 1, 1])[:, None]  # the toy has H3K4me3 twice
    for index, gene in both:
        assert np.array_equal(toy.signal[index], times * wide.signal[row[gene]][:, 50:150])


def test_real_deepdiff(tables: Callable[[str], list[Path]], real_data: Path) -> None:
    paths = tables("deepdiff_E003")
    plain = bring(paths, DIFF)
    assert plain.attributes.cell_type == "E003"
    lines = read_by_hand(next(path for path in paths if ".train." in path.name))
    assert np.array_equal(
        plain.signal[:200].transpose(0, 2, 1).reshape(-1, 5),
        np.array([[line[1 + DIFF.marks.index(mark)] for mark in HOUSE] for line in lines], float),
    )
    assert plain.genes.gene_id[0] == "ENSG00000130749"
    assert plain.genes.gene_name[0] == "ZC3H4"
    turned = bring(paths, DIFF, gtf=real_data / "annotation" / "gencode_10_genes.gtf.gz")
    genes = turned.genes
    assert len(genes) == len(plain.genes) == 600
    minus = genes.strand == "-"
    assert np.array_equal(turned.signal[~minus], plain.signal[~minus])
    assert np.array_equal(turned.signal[minus], plain.signal[minus][:, :, ::-1])
    # Real ChIP-seq says the same: turned bins fit the track read in transcript direction.
    track = pyBigWig.open(str(real_data / "bigwig/genomewide/E003-H3K4me3.calls200bp.hg19.bw"))
    rows = [row for row in np.flatnonzero(minus) if genes.chrom[row] in track.chroms()][::4]
    calls = np.array(
        [
            track.stats(genes.chrom[row], int(genes.tss[row]) - 9_999, int(genes.tss[row]) + 10_001,
                        nBins=200, exact=True)
            for row in rows
        ],
        dtype=float,
    )  # fmt: skip
    track.close()
    calls = np.nan_to_num(calls)[:, ::-1].ravel()
    right = np.corrcoef(calls, np.log1p(turned.signal[rows, 0]).ravel())[0, 1]
    wrong = np.corrcoef(calls, np.log1p(plain.signal[rows, 0]).ravel())[0, 1]
    assert right > 0.8
    assert wrong < 0.5
