"""`chromeprep export`: other programs read what is in the file."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.exporting.bedgraph import genome_pieces, shared_tss, territories
from chromeprep.exporting.numbers import texts
from chromeprep.format import (
    ChromeBins,
    FileAttributes,
    GeneTable,
    MarkTable,
    read_bins,
    write_bins,
)
from chromeprep.windows import Windows

Run = Callable[..., Any]
MARKS = ("H3K4me3", "H3K9me3")
SIZES = {"chr1": 3000, "chr10": 900, "chr2": 2500}


def bins(
    places: Sequence[tuple[str, int, str]],
    *,
    flank: int = 200,
    size: int = 50,
    orientation: str = "5p-to-3p",
    whole: bool = False,
    holes: float = 0.0,
    seed: int = 0,
    lengths: dict[str, int] | None = SIZES,
) -> ChromeBins:
    """Genes at (chromosome, TSS, strand)."""
    rng = np.random.default_rng(seed)
    n_bins = 2 * flank // size
    signal = rng.gamma(1.0, 3.0, (len(places), len(MARKS), n_bins)).astype(np.float32)
    if whole:
        signal = np.floor(signal)
    signal[rng.random(signal.shape) < holes] = np.nan
    tss = np.array([place[1] for place in places], dtype=np.int64)
    minus = np.array([place[2] == "-" for place in places])
    genes = GeneTable.build(
        [f"G{index:03d}" for index in range(len(places))],
        [place[0] for place in places],
        np.where(minus, np.maximum(tss - 99, 0), tss),
        np.where(minus, tss + 1, tss + 100),
        [place[2] for place in places],
        gene_name=["é", *[""] * (len(places) - 1)],
        expression=np.r_[np.nan, np.arange(1.0, len(places))],
        label=[-1, *[index % 2 for index in range(1, len(places))]],
    )
    genes = replace(genes, extra={"split": np.array(["train"] * len(places), dtype=object),
                                  "file": np.arange(len(places))})  # fmt: skip
    assert np.array_equal(genes.tss, tss)
    attributes = FileAttributes(
        size, flank, orientation=orientation, cell_type="E003", label_rule="as published",
        uncovered="nan" if holes else "zero",
    )  # fmt: skip
    table = MarkTable.build(MARKS, signal, units=["reads"] * len(MARKS))
    return ChromeBins(attributes, genes, table, lengths or {}, ('{"a": 1}',), signal=signal)


PLACES = [
    ("chr2", 1000, "+"), ("chr1", 1000, "-"), ("chr1", 90, "+"), ("chr10", 800, "-"),
    ("chr1", 1130, "+"), ("chr1", 1131, "-"), ("chr1", 1131, "+"), ("chr1", 2600, "+"),
]  # fmt: skip


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Path, ChromeBins]]:
    def write(**options: Any) -> tuple[Path, ChromeBins]:
        data = bins(PLACES, **options)
        write_bins(tmp_path / "a.h5", data)
        return tmp_path / "a.h5", data

    return write


def per_base(data: ChromeBins, mark: int) -> dict[str, dict[int, float]]:
    """Go through the bases one by one, as the documentation says it."""
    flank, size = data.attributes.flank_bp, data.attributes.bin_size_bp
    seen = set()
    genes = []
    for row in sorted(range(len(data.genes)), key=lambda row: data.genes.gene_id[row]):
        place = (data.genes.chrom[row], int(data.genes.tss[row]))
        if place not in seen:
            genes.append((*place, data.genes.strand[row], row))
        seen.add(place)
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for chrom in {gene[0] for gene in genes}:
        here = [gene[1:] for gene in genes if gene[0] == chrom]
        for base in range(data.chromosomes.get(chrom, 10_000)):
            covering = []
            for tss, strand, row in here:
                offset = base - tss if strand == "+" else tss - base
                if -flank <= offset < flank:
                    turned = strand == "-" and data.attributes.orientation == "genome"
                    number = (offset + flank) // size
                    number = data.attributes.n_bins - 1 - number if turned else number
                    covering.append((abs(base - tss), tss, data.signal[row, mark, number]))
            if covering and not np.isnan(min(covering)[2]):
                found[chrom][base] = float(min(covering)[2])
    return dict(found)


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def lines_of(path: Path) -> list[tuple[str, int, int, float]]:
    fields = [line.split("\t") for line in text_of(path).splitlines()]
    return [
        (chrom, int(start), int(end), float(np.float32(value)))
        for chrom, start, end, value in fields
    ]


def bases_of(lines: Sequence[tuple[str, int, int, float]]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for chrom, start, end, value in lines:
        for base in range(start, end):
            assert base not in found[chrom]
            found[chrom][base] = value
    return dict(found)


@pytest.mark.parametrize("orientation", ["5p-to-3p", "genome"])
@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("whole", [False, True])
def test_bedgraph_base_by_base(
    make: Callable[..., tuple[Path, ChromeBins]],
    chromeprep: Run,
    tmp_path: Path,
    orientation: str,
    holes: float,
    whole: bool,
) -> None:
    path, data = make(orientation=orientation, holes=holes, whole=whole)
    done = chromeprep("export", path, "--to", "bedgraph", "-o", tmp_path / "out")
    assert (done.code, done.out) == (0, "")
    assert "1 with the TSS of another left out" in done.err
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [
        "H3K4me3.bedgraph", "H3K9me3.bedgraph",
    ]  # fmt: skip
    for row, mark in enumerate(MARKS):
        lines = lines_of(tmp_path / "out" / f"{mark}.bedgraph")
        assert bases_of(lines) == per_base(data, row)
        assert [line[:2] for line in lines] == sorted(line[:2] for line in lines)
        for left, right in itertools.pairwise(lines):  # neighbours of one value are one line
            assert (left[0], left[2], left[3]) != (right[0], right[1], right[3])


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from("+-")), min_size=1, max_size=12),
    st.sampled_from([(20, 5), (30, 20), (60, 60)]),
    st.booleans(),
    st.integers(0, 5),
)
def test_bedgraph_of_any(
    places: list[tuple[int, str]], window: tuple[int, int], genome: bool, seed: int
) -> None:
    data = bins(
        [("c", tss, strand) for tss, strand in places],
        flank=window[0], size=window[1], orientation="genome" if genome else "5p-to-3p",
        seed=seed, lengths={"c": 401}, holes=0.1, whole=True,
    )  # fmt: skip
    lines = [
        (pieces.chrom, start, end, value)
        for pieces in genome_pieces(data, 1)
        for start, end, value in zip(
            pieces.starts.tolist(), pieces.ends.tolist(), pieces.values.tolist(), strict=True
        )
    ]
    assert bases_of(lines) == per_base(data, 1)
    assert shared_tss(data.genes) == len(places) - len({tss for tss, _ in places})


@given(st.sets(st.integers(0, 3000), min_size=1), st.integers(1, 300))
def test_territories_tile_the_windows(tss: set[int], flank: int) -> None:
    places = np.array(sorted(tss), dtype=np.int64)
    cells = territories(places, places - flank, 2 * flank)
    assert (cells.starts <= places).all()
    assert (cells.ends > places).all()
    assert (cells.starts[1:] >= cells.ends[:-1]).all()
    covered = set()
    for start, end in zip(cells.starts, cells.ends, strict=True):
        covered |= set(range(start, end))
    assert covered == {base for at in tss for base in range(at - flank, at + flank)}


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_bedgraph_satisfies_bedtools_and_bigwig(
    make: Callable[..., tuple[Path, ChromeBins]], chromeprep: Run, tmp_path: Path
) -> None:
    path, data = make()
    out = tmp_path / "k4.bedgraph"
    done = chromeprep("export", path, "--to", "bedgraph", "--mark", "H3K4me3", "-o", out)
    assert done.code == 0, done.err
    text = out.read_text()
    ran = subprocess.run(["bedtools", "sort", "-i", str(out)], capture_output=True, text=True,
                         check=True)  # fmt: skip
    assert ran.stdout == text
    sizes = tmp_path / "chrom.sizes"
    sizes.write_text("".join(f"{name}\t{size}\n" for name, size in sorted(SIZES.items())))
    covered = subprocess.run(
        ["bedtools", "genomecov", "-i", str(out), "-g", str(sizes), "-bga"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert {line.split("\t")[3] for line in covered} == {"0", "1"}  # no base twice
    track = pyBigWig.open(str(tmp_path / "k4.bw"), "w")
    track.addHeader(sorted(SIZES.items()))
    for chrom, start, end, value in lines_of(out):  # refuses what is not sorted
        track.addEntries([chrom], [start], ends=[end], values=[value])
    track.close()
    with pyBigWig.open(str(tmp_path / "k4.bw")) as track:
        for chrom, bases in per_base(data, 0).items():
            values = track.values(chrom, 0, SIZES[chrom], numpy=True)
            expected = np.full(SIZES[chrom], np.nan, dtype=np.float32)
            expected[list(bases)] = list(bases.values())
            assert np.array_equal(values, expected, equal_nan=True)


def test_bedgraph_gzipped_and_without_lengths(
    make: Callable[..., tuple[Path, ChromeBins]], chromeprep: Run, tmp_path: Path
) -> None:
    path, data = make(lengths=None)
    out = tmp_path / "k9.bedgraph.gz"
    arguments = ["export", path, "--to", "bedgraph", "--mark", "H3K9me3", "-o", out]
    assert chromeprep(*arguments).code == 0
    assert bases_of(lines_of(out)) == per_base(data, 1)
    before = out.read_bytes()
    assert chromeprep(*arguments, "-f").code == 0
    assert out.read_bytes() == before


def test_a_mark_without_any_value(chromeprep: Run, tmp_path: Path) -> None:
    data = bins([("chr1", 500, "+")], holes=1.0)
    write_bins(tmp_path / "a.h5", data)
    out = tmp_path / "o.bedgraph"
    done = chromeprep("export", tmp_path / "a.h5", "--to", "bedgraph", "--mark", MARKS[0], "-o",
                      out)  # fmt: skip
    assert (done.code, out.read_text()) == (0, "")


def unplaced(data: ChromeBins) -> ChromeBins:
    nowhere = np.full(len(data.genes), -1)
    nothing = np.full(len(data.genes), "", dtype=object)
    genes = GeneTable.build(data.genes.gene_id, nothing, nowhere, nowhere, nothing)
    return replace(data, genes=genes, chromosomes={})


def test_no_bedgraph_without_positions(chromeprep: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_bins(path, unplaced(bins(PLACES)))
    for more in ([], ["--mark", "H3K4me3"]):
        done = chromeprep("export", path, "--to", "bedgraph", "-o", tmp_path / "o", *more)
        assert done.code == 1
        assert f"{path}: does not say where 8 of its 8 genes are" in done.err
        assert "--gtf" in done.err
    write_bins(path, bins(PLACES, orientation="unknown"))
    done = chromeprep("export", path, "--to", "bedgraph", "-o", tmp_path / "o")
    assert done.code == 1
    assert "has orientation 'unknown'" in done.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("placed", [True, False])
def test_h5ad(chromeprep: Run, tmp_path: Path, placed: bool) -> None:
    data = bins(PLACES, holes=0.1) if placed else unplaced(bins(PLACES, holes=0.1))
    path, out = tmp_path / "a.h5", tmp_path / "a.h5ad"
    write_bins(path, data)
    done = chromeprep("export", path, "--to", "h5ad", "-o", out)
    assert done.code == 0, done.err
    found = anndata.read_h5ad(out)
    assert found.shape == (8, 2)
    assert np.array_equal(found.obsm["signal"], data.signal, equal_nan=True)
    assert found.obsm["signal"].dtype == np.float32
    assert found.obs_names.tolist() == data.genes.gene_id.tolist()
    assert found.var_names.tolist() == list(MARKS)
    for column in ("gene_name", "chrom", "tss", "strand", "label", "bins_outside"):
        assert found.obs[column].tolist() == getattr(data.genes, column).tolist()
    assert np.array_equal(found.obs["expression"], data.genes.expression, equal_nan=True)
    if placed:
        assert found.obs["split"].tolist() == ["train"] * 8
    kept = found.uns["chromebins"]
    assert (kept["cell-type"], kept["flank-bp"], kept["label-rule"]) == (
        "E003", 200, "as published",
    )  # fmt: skip
    assert np.isnan(kept["label-threshold"])
    assert kept["bin-start"].tolist() == data.bin_starts.tolist()
    assert list(kept["provenance"]) == ['{"a": 1}']


def test_h5ad_without_anndata(
    make: Callable[..., tuple[Path, ChromeBins]],
    chromeprep: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, _ = make()
    monkeypatch.setitem(sys.modules, "anndata", None)
    done = chromeprep("export", path, "--to", "h5ad", "-o", tmp_path / "a.h5ad")
    assert done.code == 1
    assert "need the package anndata" in done.err
    assert "pip install" in done.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


def test_npz(make: Callable[..., tuple[Path, ChromeBins]], chromeprep: Run, tmp_path: Path) -> None:
    path, data = make(holes=0.1)
    out = tmp_path / "arrays"  # no other name is made of it
    assert chromeprep("export", path, "--to", "npz", "-o", out).code == 0
    with np.load(out, allow_pickle=False) as found:
        assert np.array_equal(found["signal"], data.signal, equal_nan=True)
        assert found["mark"].tolist() == list(MARKS)
        for column in ("gene_id", "gene_name", "chrom", "strand", "start", "end", "tss", "label"):
            assert found[column].tolist() == getattr(data.genes, column).tolist()
            assert found[column].dtype.kind in "Uiu"
        assert np.array_equal(found["expression"], data.genes.expression, equal_nan=True)
        assert found["split"].tolist() == ["train"] * 8
        assert found["file"].tolist() == list(range(8))
        assert found["bin_start"].tolist() == list(range(-200, 200, 50))
        attributes = json.loads(str(found["attributes"]))
    assert attributes["orientation"] == "5p-to-3p"
    assert attributes["label-threshold"] is None
    before = out.read_bytes()
    assert chromeprep("export", path, "--to", "npz", "-o", out, "-f").code == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_csv(
    make: Callable[..., tuple[Path, ChromeBins]], chromeprep: Run, tmp_path: Path, name: str
) -> None:
    path, data = make(holes=0.1)
    out = tmp_path / name
    assert chromeprep("export", path, "--to", "csv", "-o", out).code == 0
    rows = list(csv.DictReader(text_of(out).splitlines()))
    assert list(rows[0]) == ["gene_id", "bin", "offset_start", *MARKS, "label"]
    assert len(rows) == 8 * 8
    assert [row["gene_id"] for row in rows] == [
        name for name in data.genes.gene_id for _ in "8" * 8
    ]
    assert [int(row["bin"]) for row in rows] == [*range(1, 9)] * 8
    assert [int(row["offset_start"]) for row in rows] == [*range(-200, 200, 50)] * 8
    assert [int(row["label"]) for row in rows[::8]] == data.genes.label.tolist()
    values = [[float(row[mark] or "nan") for mark in MARKS] for row in rows]
    found = np.array(values, dtype=np.float32).reshape(8, 8, 2).transpose(0, 2, 1)
    assert np.array_equal(found, data.signal, equal_nan=True)


@given(st.lists(st.floats(width=32, allow_infinity=False), max_size=20))
def test_numbers_read_back_the_same(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    read = np.array([float(text or "nan") for text in texts(array)], dtype=np.float32)
    assert np.array_equal(read, array, equal_nan=True)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--to", "h5", "-o", "x"], 2, "'h5' is not one of"),
        (["-o", "x"], 2, "Missing option '--to'"),
        (["--to", "csv"], 2, "Missing option '-o'"),
        (["--to", "csv", "-o", "-"], 2, "name a file"),
        (["--to", "npz", "-o", "x", "--mark", "H3K4me3"], 2, "--mark goes with --to bedgraph only"),
        (["--to", "bedgraph", "-o", "x", "--mark", "H3K4m3"], 1, "did you mean 'H3K4me3'?"),
        (["--to", "npz", "-o", "a.h5", "-f"], 1, "is one of the inputs"),
        (["--to", "npz", "-o", "none/x"], 1, "none does not exist"),
        (["--to", "npz", "-o", "mine"], 1, "exists already"),
        (["--to", "bedgraph", "-o", "mine"], 1, "exists already"),
        (["--to", "bedgraph", "-o", "mine", "-f"], 1, "is a file; without --mark a folder"),
        (["--to", "bedgraph", "-o", ".", "-f"], 1, "is a folder with other things in it (a.h5)"),
        (["--to", "npz", "-o", ".", "-f"], 1, "is a folder"),
    ],
)
def test_what_cannot_be_written(
    make: Callable[..., tuple[Path, ChromeBins]],
    chromeprep: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
    message: str,
) -> None:
    make()
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("mine")
    if options[-2:] == [".", "-f"]:
        Path("mine").unlink()
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    done = chromeprep("export", "a.h5", *options)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


@pytest.mark.parametrize("form", ["h5ad", "npz", "csv", "bedgraph"])
def test_files_that_are_none(chromeprep: Run, tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.h5"
    path.write_text("no HDF5")
    done = chromeprep("export", path, "--to", form, "-o", tmp_path / "o")
    assert done.code == 1
    assert f"{path}: is not an HDF5 file" in done.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


def test_a_folder_of_bedgraphs_is_replaced(
    make: Callable[..., tuple[Path, ChromeBins]], chromeprep: Run, tmp_path: Path
) -> None:
    path, _ = make()
    out = tmp_path / "o"
    out.mkdir()
    (out / "old.bedgraph").write_text("x")
    arguments = ["export", path, "--to", "bedgraph", "-o", out]
    assert chromeprep(*arguments).code == 1
    assert chromeprep(*arguments, "-f").code == 0
    assert sorted(entry.name for entry in out.iterdir()) == [f"{mark}.bedgraph" for mark in MARKS]


def test_real_deepdiff_along_the_genome(real_data: Path, chromeprep: Run, tmp_path: Path) -> None:
    """Public counts, placed and written as bedGraph: a gene alone has its bins unchanged."""
    tables = sorted((real_data / "deepchrome_csv").glob("deepdiff_E003.*"))
    gtf = real_data / "annotation" / "gencode_10_genes.gtf.gz"
    path, out = tmp_path / "a.h5", tmp_path / "k4.bedgraph"
    sizes = real_data / "annotation" / "hg19.chrom.sizes"
    layout = ["--layout", "deepdiff", "--gtf", gtf, "--chrom-sizes", sizes]
    assert chromeprep("import", *tables, *layout, "-o", path).code == 0
    assert chromeprep("export", path, "--to", "bedgraph", "--mark", "H3K4me3", "-o", out).code == 0
    data = read_bins(path)
    genes = data.genes
    lines = lines_of(out)
    assert [line[:2] for line in lines] == sorted(line[:2] for line in lines)
    of_chrom: dict[str, list[tuple[str, int, int, float]]] = defaultdict(list)
    for line in lines:
        of_chrom[line[0]].append(line)
    columns = {name: [np.array(c) for c in list(zip(*found, strict=True))[1:]]
               for name, found in of_chrom.items()}  # fmt: skip
    checked = {"+": 0, "-": 0}
    firsts = Windows(10_000, 100).starts(genes)
    for row in range(0, len(genes), 3):
        near = (genes.chrom == genes.chrom[row]) & (np.abs(genes.tss - genes.tss[row]) < 20_002)
        if near.sum() > 1 or genes.bins_outside[row]:
            continue
        starts, ends, values = columns[genes.chrom[row]]
        assert (starts[1:] >= ends[:-1]).all()
        bases = firsts[row] + np.arange(20_000)
        line_of_base = np.searchsorted(ends, bases, side="right")
        assert (starts[line_of_base] <= bases).all()
        window = values[line_of_base].reshape(200, 100)
        assert (window == window[:, :1]).all()
        signal = data.signal[row, 0][:: -1 if genes.strand[row] == "-" else 1]
        assert np.array_equal(window[:, 0], signal)
        checked[genes.strand[row]] += 1
    assert min(checked.values()) > 20
