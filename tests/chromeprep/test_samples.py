"""Sample sheets: the same files as one call a cell type makes, and every wrong row named."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromeprep.errors import InputError
from chromeprep.expression import ExpressionTable, read_expression
from chromeprep.format import read_bins
from chromeprep.format.validate import violations
from chromeprep.samplesheet import lacking_marks, read_samplesheet

Run = Callable[..., Any]
HEADER = ("cell_type", "mark", "path", "control", "expression_column")


class Bench:
    """A folder of tracks of three cell types, and sheets that name them."""

    def __init__(self, folder: Path, world: Any, make: Any) -> None:
        self.folder = folder
        self.world = world
        self.make = make
        rng = np.random.default_rng(5)
        sizes = world.chromosomes

        def reads(n: int) -> list[Any]:
            chroms = rng.choice(list(sizes), n)
            return [make.Read(c, int(rng.integers(0, sizes[c] - 40))) for c in chroms]

        def wig() -> list[tuple[str, int, int, float]]:
            return [
                (chrom, start, start + 90, float(rng.integers(1, 40)) / 4)
                for chrom, size in sizes.items()
                for start in range(0, size - 100, 400)
            ]

        for name, n in (("a1", 300), ("a2", 200), ("b1", 250), ("c1", 150), ("in1", 400),
                        ("in2", 100)):  # fmt: skip
            make.bam(reads(n), sizes, f"{name}.bam")
        for name in ("a", "b", "c"):
            make.bigwig(wig(), sizes, f"{name}.bw")
        columns = ["gene_id", "E003", "E004", "lung"]
        rows = [
            [gene.gene_id.split(".")[0], *(str(int(rng.integers(0, 99))) for _ in columns[1:])]
            for gene in world.genes
        ]
        self.table = make.text(
            "rpkm.tsv", "".join("\t".join(row) + "\n" for row in [columns, *rows])
        )

    rows: Sequence[Sequence[str]] = (
        ("E003", "H3K4me3", "a1.bam", "in1.bam", ""),
        ("E003", "H3K4me3", "a2.bam", "in2.bam", ""),
        ("E003", "H3K27me3", "a.bw", "", ""),
        ("E004", "H3K4me3", "b1.bam", "in1.bam", ""),
        ("E004", "H3K27me3", "b.bw", "", ""),
        ("Lung 1", "H3K4me3", "c1.bam", "", "lung"),
        ("Lung 1", "H3K27me3", "c.bw", "", ""),
    )

    def sheet(
        self, rows: Iterable[Sequence[str]] | None = None, name: str = "sheet.tsv",
        header: Sequence[str] = HEADER,
    ) -> Path:  # fmt: skip
        separator = "," if ".csv" in name else "\t"
        lines = [header, *(self.rows if rows is None else rows)]
        path: Path = self.make.text(name, "".join(separator.join(row) + "\n" for row in lines))
        return path

    def arguments(self, sheet: Path, *more: object) -> list[str]:
        given = ["--samples", sheet, "-o", self.out]
        return list(self.world.arguments(*given, *more, tracks=False))

    def labelled(self, sheet: Path, *more: object) -> list[str]:
        return self.arguments(sheet, "--expression", self.table, *more)

    @property
    def out(self) -> Path:
        return self.folder / "made" / "here"

    def listing(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


@pytest.fixture
def bench(tmp_path: Path, world: Any, workshop: Any) -> Bench:
    return Bench(tmp_path, world, workshop)


def stamp(path: Path) -> tuple[int, int]:
    """Tell a file from one written in its place."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def contents(path: Path) -> dict[str, Any]:
    """Return all that a file says but when and by which command line it was made."""
    data = read_bins(path)
    records = [json.loads(line) for line in data.provenance]
    for record in records:
        del record["date"], record["argv"]
    tables = {
        f"{table}/{key}": np.asarray(value).astype(str).tolist()
        for table, columns in (("genes", data.genes), ("marks", data.marks))
        for key, value in {**vars(columns), **columns.extra}.items()
        if key != "extra"
    }
    return {
        **tables,
        "signal": data.signal.tobytes(),
        "attributes": vars(data.attributes),
        "chromosomes": dict(data.chromosomes),
        "provenance": records,
    }


@pytest.mark.parametrize("name", ["sheet.tsv", "sheet.csv", "sheet.tsv.gz", "sheet.csv.gz"])
@pytest.mark.parametrize("more", [(), ("--scale", "cpm", "--control-rule", "log2", "-p", 3)])
def test_files_are_those_of_one_call_a_cell_type(
    chromeprep: Run, bench: Bench, name: str, more: tuple[object, ...]
) -> None:
    result = chromeprep(*bench.labelled(bench.sheet(name=name), *more))
    assert result.code == 0, result.err
    assert result.out == ""
    for cell_type in ("E003", "E004", "Lung 1"):
        given: list[object] = []
        for row in bench.rows:
            if row[0] == cell_type:
                kind = "--bam" if row[2].endswith("bam") else "--bigwig"
                given += [kind, f"{row[1]}={bench.folder / row[2]}"]
                given += ["--control", f"{row[1]}={bench.folder / row[3]}"] if row[3] else []
        if cell_type == "Lung 1":
            given += ["--expression-column", "lung"]
            more = tuple(m for m in more if m not in ("--control-rule", "log2"))
        single = bench.folder / "single.h5"
        alone = chromeprep(*bench.world.arguments(
            *given, *more, "--expression", bench.table, "--cell-type", cell_type,
            "-o", single, "-f", tracks=False,
        ))  # fmt: skip
        assert alone.code == 0, alone.err
        found, expected = contents(bench.out / f"{cell_type}.h5"), contents(single)
        assert found == expected
        assert set(found["genes/label"]) == {"0", "1"}
        assert violations(bench.out / f"{cell_type}.h5") == []
    assert sorted(path.name for path in bench.out.iterdir()) == ["E003.h5", "E004.h5", "Lung 1.h5"]


def test_progress_and_summary(chromeprep: Run, bench: Bench) -> None:
    result = chromeprep(*bench.labelled(bench.sheet()))
    assert "[1/3] E003: 2 marks, 5 files\n" in result.err
    assert "[3/3] Lung 1: 2 marks, 2 files\n" in result.err
    table = [line.split() for line in result.err.splitlines()[-4:]]
    assert table[0] == ["cell", "type", "genes", "marks", "file"]
    assert table[1] == ["E003", "binned", "20", "2", str(bench.out / "E003.h5")]


def test_what_all_have_in_common_is_read_once(
    chromeprep: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chromeprep import gtf, shared, textfiles
    from chromeprep.expression import forms

    opened: list[str] = []

    def counted(path: Any, *rest: Any) -> Any:
        opened.append(Path(path).name)
        return textfiles.read_lines(path, *rest)

    def genes(path: Path) -> Any:
        opened.append(path.name)
        return gtf.read_genes(path)

    monkeypatch.setattr(forms, "read_lines", counted)
    monkeypatch.setattr(shared, "read_genes", genes)
    assert chromeprep(*bench.labelled(bench.sheet())).code == 0
    assert sorted(opened) == ["genes.gtf", "rpkm.tsv"]


@pytest.mark.parametrize("held", [None, 0, 40])
def test_columns_of_a_table(bench: Bench, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    """Also of one that is too large to be kept."""
    if held is not None:
        monkeypatch.setattr("chromeprep.expression.table._HELD_CHARACTERS", held)
    table = ExpressionTable(bench.table)
    for column in ("lung", "E003", "lung"):
        assert table.read(column) == read_expression(bench.table, column)
        assert table.choose(None, column) == column


def test_what_a_sheet_may_look_like(chromeprep: Run, bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "sheets"
    folder.mkdir()
    (folder / "link.bw").symlink_to(bench.folder / "b.bw")
    sheet = folder / "s.csv"
    sheet.write_bytes(
        b"\xef\xbb\xbf# of two cell types\r\n\r\nSample , antibody,Tissue,path\r\n"
        b'E003,  H3K4me3 ,"lung, left", ../a1.bam\r\n  # not this,H3K4me3,,x.bam\r\n,,,\r\n'
        b'"E003", H3K27me3,,"../a.bw"\r\nE004,H3K27me3,,link.bw\r\n'
        + f"E004,H3K4me3,,{bench.folder / 'b1.bam'}\r\n".encode()
    )
    result = chromeprep(*bench.arguments(sheet))
    assert result.code == 0, result.err
    assert f"{sheet}: columns that are not used: Tissue\n" in result.err
    assert list(read_bins(bench.out / "E003.h5").mark_names) == ["H3K4me3", "H3K27me3"]
    assert read_bins(bench.out / "E004.h5").marks.source[1] == str(folder / "link.bw")


def test_paths_start_from_the_sheet_and_nowhere_else(
    chromeprep: Run, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sheet = bench.sheet()
    monkeypatch.chdir(elsewhere)
    assert chromeprep(*bench.arguments(sheet)).code == 0
    moved = elsewhere / "moved.tsv"
    moved.write_text(sheet.read_text())
    monkeypatch.chdir(bench.folder)
    result = chromeprep(*bench.arguments(moved, "-f"))
    assert result.code == 1
    assert f"line 2: {elsewhere / 'a1.bam'}: no such file" in result.err


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("cell_typ\tmark\tpath", "unknown column 'cell_typ'; did you mean 'cell_type'?"),
        ("cell type\tmark\tpath", "did you mean 'cell_type'?"),
        ("sample\tmarks\tpath", "did you mean 'mark'?"),
        ("sample\tmark\tpath\tcontrols", "did you mean 'control'?"),
        ("sample\tmark\tpath\tinput", "did you mean 'control'?"),
        ("sample\tmark\tpath\texpression", "did you mean 'expression_column'?"),
        ("sample\tmark\tpath\tcontrol\tcontrol2", "did you mean 'control'?"),
        ("sample\tmark\tpath\tantibody", "two columns for the mark"),
        ("sample\tmark\tfile", "no column 'path'; there are sample, mark, file"),
        ("sample;mark;path", "separated by tabs or commas"),
        ("", "holds no line"),
        ("# nothing", "holds no line"),
        ("sample\tmark\tpath", "has a header but no rows"),
    ],
)
def test_wrong_headers(chromeprep: Run, bench: Bench, header: str, message: str) -> None:
    sheet = bench.make.text("sheet.tsv", header + "\n")
    before = bench.listing()
    result = chromeprep(*bench.arguments(sheet))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"chromeprep: error: {sheet}: ")
    assert message in result.err
    assert bench.listing() == before


@pytest.mark.parametrize("name", ["replicate", "type", "note", "sample_id", "md5", "assembly"])
def test_other_columns_are_ignored(bench: Bench, name: str) -> None:
    rows = [("E003", "H3K4me3", "a1.bam", "x")]
    sheet = read_samplesheet(bench.sheet(rows, header=("cell_type", "mark", "path", name)))
    assert sheet.ignored == [name]
    assert not sheet.problems


WRONG_ROWS = {
    "E001\tH3K4me3\tgone.bam\t\t": "gone.bam: no such file",
    "E001\tH3K4me3\tnotes.txt\t\t": "notes.txt: its name does not say what it is",
    "E001\tH3K4me3\tfolder.bam\t\t": "folder.bam: is a folder, no file",
    "E002\tH3K4me3\ta1.bam\t\t": "a1.bam: is given in line 2 too",
    "E002\tH3K4me3\tlink.bam\t\t": "link.bam: is given in line 2 too",
    "\tH3K4me3\tc1.bam\t\t": "has no cell_type",
    "E001\t\t\t\t": "has no mark and no path",
    "E001": "has no mark and no path",
    "E003\tH3K4me3\ta.bw\t\t": "a.bw holds signal, ",
    "E004\tH3K4me3\tb1.bam\tb.bw\t": "b.bw holds signal, ",
    "E004\tH3K9me3\tb.bigwig\tgone.bw\t": "gone.bw: no such file",
    "../up\tH3K9me3\tc1.bam\t\t": "cell type '../up' has '/' in it, and cannot name a file",
    ".hidden\tH3K9me3\tc1.bam\t\t": "cell type '.hidden' begins with '.'",
    "e003\tH3K9me3\tc1.bam\t\t": "cell type 'e003' differs from 'E003' (line 2) only in its case",
    "E001\th3k4me3\tc1.bam\t\t": "mark 'h3k4me3' differs from 'H3K4me3' (line 2) only in its case",
    "E001\tH3K4me3=x\tc1.bam\t\t": "mark 'H3K4me3=x' is none",
    "E003\tH3K9me3\tc1.bam\ta1.bam\t": "a1.bam is a track in line 2",
    "E003\tH3K27me3\tin2.bam\t\tlung": "expression_column 'lung', but 'E003' in another row",
    "E001\tH3K27me3\tin2.bam\t\tlung\tmore": "has 6 fields, the header names 5",
    "E001\tH3K4me3\tdamaged.bam\t\t": "damaged.bam: ",
    "E001\tH3K27me3\tempty.bam\t\t": "empty.bam: is empty",
}


def wrong_files(bench: Bench) -> None:
    for name, data in (("notes.txt", b"x"), ("damaged.bam", b"BAM?"), ("empty.bam", b"")):
        (bench.folder / name).write_bytes(data)
    (bench.folder / "folder.bam").mkdir()
    (bench.folder / "link.bam").symlink_to("a1.bam")
    (bench.folder / "b.bigwig").write_bytes((bench.folder / "b.bw").read_bytes())


@pytest.mark.parametrize("row", WRONG_ROWS, ids=lambda row: WRONG_ROWS[row][:40])
def test_a_wrong_row(chromeprep: Run, bench: Bench, row: str) -> None:
    wrong_files(bench)
    first = "E003\tH3K4me3\ta1.bam\t\tE003\n"
    sheet = bench.make.text("s.tsv", "\t".join(HEADER) + f"\n{first}# {row}\n{row}\n")
    before = bench.listing()
    result = chromeprep(*bench.arguments(sheet))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"chromeprep: error: {sheet}: ")
    assert "nothing was written\n  line 4: " in result.err
    assert WRONG_ROWS[row] in result.err
    assert len(result.err.splitlines()) <= 3
    assert bench.listing() == before


def test_every_wrong_row_is_named_up_to_twenty(chromeprep: Run, bench: Bench) -> None:
    wrong_files(bench)
    wrong = [*list(WRONG_ROWS)[:16], *list(WRONG_ROWS)[-2:]]
    rows = ["E003\tH3K4me3\ta1.bam\t\tE003"]
    for number, row in enumerate(wrong):  # a file of its own each, so that none is named twice
        (bench.folder / f"c{number}.bam").write_bytes((bench.folder / "c1.bam").read_bytes())
        rows.append(row.replace("c1.bam", f"c{number}.bam"))
    sheet = bench.make.text("s.tsv", "\n".join(["\t".join(HEADER), *rows]) + "\n")
    before = bench.listing()
    result = chromeprep(*bench.arguments(sheet))
    assert result.code == 1
    for number, row in enumerate(wrong, start=3):
        assert any(
            line.startswith(f"  line {number}: ") and WRONG_ROWS[row] in line
            for line in result.err.splitlines()
        ), (number, row, result.err)
    many = [(f"T{n}", "H3K4me3", f"gone{n}.bam", "", "") for n in range(50)]
    result = chromeprep(*bench.arguments(bench.sheet(many)))
    lines = result.err.splitlines()
    assert "50 things are wrong" in lines[0]
    assert len(lines) == 22
    assert lines[-2].startswith("  line 21: ")
    assert lines[-1] == "  and 30 more"
    assert bench.listing() == sorted([*before, "sheet.tsv"])


def test_files_that_do_not_fit_are_named_before_work_starts(chromeprep: Run, bench: Bench) -> None:
    make = bench.make
    make.bam([make.Read("chr1", 5)], {"chr1": 41_000, "chr2": 30_000}, "long.bam")
    make.bam([make.Read("x", 5)], {"x": 41_000}, "other.bam")
    make.text("reads.bed", "chr1\t10\t20\n")
    rows = [
        *bench.rows[:3],
        ("E003", "H3K9me3", "long.bam", "", ""),
        ("E004", "H3K4me3", "other.bam", "", ""),
        ("E005", "H3K4me3", "reads.bed", "", ""),
    ]
    sheet = bench.sheet(rows)
    before = bench.listing()
    result = chromeprep(*bench.arguments(sheet))
    assert result.code == 1
    lines = result.err.splitlines()
    assert "3 things are wrong" in lines[0]
    assert lines[1].startswith("  line 5: ")
    assert "chr1 has 41,000 bp" in lines[1]
    assert lines[2].startswith("  line 6: ")
    assert "has x; the genes" in lines[2]
    assert lines[3].startswith("  line 7: ")
    assert "--chrom-sizes" in lines[3]
    assert bench.listing() == before


def test_columns_of_the_expression_table_are_chosen_before_work_starts(
    chromeprep: Run, bench: Bench
) -> None:
    rows = [
        ("E003", "H3K4me3", "a1.bam", "", "E033"),
        ("E005", "H3K4me3", "b1.bam", "", ""),
        ("lung", "H3K4me3", "c1.bam", "", ""),
    ]
    before = bench.listing()
    result = chromeprep(*bench.labelled(bench.sheet(rows)))
    assert result.code == 1
    lines = result.err.splitlines()
    assert "line 2: E003: " in lines[1]
    assert "no column 'E033'; did you mean 'E003'?" in lines[1]
    assert "line 3: E005: " in lines[2]
    assert len(lines) == 3
    one = bench.world.table  # of one column, E003
    result = chromeprep(*bench.arguments(bench.sheet(bench.rows[3:]), "--expression", one))
    assert result.code == 1
    assert "'lung'" in result.err
    only = [(name, mark, path, "", "") for name, mark, path, _, _ in bench.rows[3:]]
    result = chromeprep(*bench.arguments(bench.sheet(only), "--expression", one))
    assert result.code == 1
    assert "'E003' would be taken for 2 cell types" in result.err
    assert bench.listing() == sorted([*before, "sheet.tsv"])
    named = [(name, mark, path, "", "E003") for name, mark, path, _, _ in bench.rows[3:]]
    assert chromeprep(*bench.arguments(bench.sheet(named), "--expression", one)).code == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--bam", "H3K4me3=a.bam"], "--bam does not go with --samples"),
        (["--control", "a.bam"], "--control does not go with --samples"),
        (["--cell-type", "E003"], "--cell-type does not go with --samples"),
        (["--expression-column", "E003"], "--expression-column does not go with --samples"),
        (["--reference", "x.fa"], "--reference needs --cram"),
        (["--bin-size", "7"], "--flank 500 is not a multiple"),
    ],
)
def test_usage(chromeprep: Run, bench: Bench, more: list[str], message: str) -> None:
    sheet = bench.sheet()
    before = bench.listing()
    result = chromeprep(*bench.arguments(sheet, *more))
    assert result.code == 2
    assert message in result.err
    assert bench.listing() == before


def test_options_that_no_row_has_a_use_for(chromeprep: Run, bench: Bench) -> None:
    rows = [row for row in bench.rows if row[2].endswith(".bw")]
    for more in (["--scale", "cpm"], ["--pseudocount", "2"], ["--control-rule", "log2"]):
        result = chromeprep(*bench.arguments(bench.sheet(rows), *more))
        assert result.code == 2
        assert more[0] in result.err
    assert not bench.out.parent.exists()


def test_marks_that_some_lack_are_told(chromeprep: Run, bench: Bench) -> None:
    result = chromeprep(*bench.arguments(bench.sheet(bench.rows[:4])))
    assert result.code == 0
    assert "warning: no H3K27me3 in E004; models need the same marks" in result.err
    assert lacking_marks(read_samplesheet(bench.sheet()).samples) == {}


def test_what_is_done_is_skipped(chromeprep: Run, bench: Bench) -> None:
    sheet = bench.sheet()
    assert chromeprep(*bench.labelled(sheet)).code == 0
    before = {path.name: stamp(path) for path in bench.out.iterdir()}
    # Other threads, other order of rows, a comment: nothing that counts.
    sheet = bench.sheet([*reversed(bench.rows)], name="other.csv")
    result = chromeprep(*bench.labelled(sheet, "-p", 2))
    assert result.code == 0, result.err
    assert result.err.count("is there already") == 3
    assert "skipped" in result.err
    assert {path.name: stamp(path) for path in bench.out.iterdir()} == before
    (bench.out / "E004.h5").unlink()
    result = chromeprep(*bench.labelled(sheet))
    assert result.err.count("is there already") == 2
    after = {path.name: stamp(path) for path in bench.out.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["E004.h5"]
    assert chromeprep(*bench.labelled(sheet, "--force")).code == 0
    last = {path.name: stamp(path) for path in bench.out.iterdir()}
    assert all(last[name] != after[name] for name in before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--flank", "1000"], "made with flank_bp 500, not 1000"),
        (["--scale", "cpm"], 'made with scale "none", not "cpm"'),
        (["--extend", "200"], "made with reads "),
        (["--assembly", "hg19"], 'made with assembly none, not "hg19"'),
        (["--blacklist", "{folder}/none.bed"], "made with blacklist_action none"),
        (["--genes", "{folder}/list.txt"], "made without gene_list"),
        (["--control-rule", "log2"], 'made with control_rule "subtract", not "log2"'),
    ],
)
def test_what_was_made_otherwise_is_refused(
    chromeprep: Run, bench: Bench, change: list[str], message: str
) -> None:
    bench.make.text("none.bed", "chr1\t1\t2\n")
    bench.make.text("list.txt", "\n".join(gene.gene_id for gene in bench.world.genes[3:]))
    sheet = bench.sheet(bench.rows[:4])
    assert chromeprep(*bench.arguments(sheet)).code == 0
    before = {path.name: stamp(path) for path in bench.out.iterdir()}
    more = [part.format(folder=bench.folder) for part in change]
    result = chromeprep(*bench.arguments(sheet, *more))
    assert result.code == 1
    assert f"  {bench.out / 'E003.h5'}: " in result.err
    assert f"  {bench.out / 'E004.h5'}: " in result.err
    assert message in result.err
    assert "--force" in result.err
    assert {path.name: stamp(path) for path in bench.out.iterdir()} == before
    result = chromeprep(*bench.arguments(sheet, *more, "--force"))
    assert result.code == 0, result.err
    assert chromeprep(*bench.arguments(sheet, *more)).err.count("is there already") == 2


def test_an_input_that_changed_or_an_output_that_is_none(chromeprep: Run, bench: Bench) -> None:
    sheet = bench.sheet()
    assert chromeprep(*bench.labelled(sheet)).code == 0
    os.utime(bench.folder / "b1.bam", (1, 1))
    (bench.out / "Lung 1.h5").write_bytes(b"something else")
    result = chromeprep(*bench.labelled(sheet))
    assert result.code == 1
    assert "E003.h5" not in result.err
    assert "E004.h5: made from another H3K4me3, or that was changed since" in result.err
    assert "Lung 1.h5: is not an HDF5 file" in result.err
    rows = [*bench.rows, ("E003", "H3K4me3", "more.bam", "", "")]
    bench.make.bam([], bench.world.chromosomes, "more.bam")
    result = chromeprep(*bench.labelled(bench.sheet(rows)))
    assert "E003.h5: made from another H3K4me3" in result.err
    assert chromeprep(*bench.labelled(bench.sheet(rows), "-f")).code == 0


def test_a_sample_that_fails_does_not_stop_the_others(chromeprep: Run, bench: Bench) -> None:
    good = "chr1\t0\t500\t2\nchr2\t0\t500\t3\n"
    bench.make.text("bad.bedGraph", good + "chr2\t600\tx\t3\n")
    rows = [
        ("E003", "H3K4me3", "a1.bam", "", ""),
        ("E004", "H3K4me3", "bad.bedGraph", "", ""),
        ("E005", "H3K4me3", "b1.bam", "", ""),
    ]
    sizes = bench.make.text("sizes.txt", "chr1\t40000\nchr2\t30000\n")
    arguments = bench.arguments(bench.sheet(rows), "--chrom-sizes", sizes)
    result = chromeprep(*arguments)
    assert result.code == 1
    assert "[2/3] E004: failed: " in result.err
    assert "bad.bedGraph: line 3" in result.err
    assert "1 of 3 cell types failed: E004" in result.err
    assert ["E004", "failed", "-", "-", "-"] in [line.split() for line in result.err.splitlines()]
    assert sorted(path.name for path in bench.out.iterdir()) == ["E003.h5", "E005.h5"]
    bench.make.text("bad.bedGraph", good)
    result = chromeprep(*arguments)
    assert result.code == 0
    assert result.err.count("is there already") == 2
    assert (bench.out / "E004.h5").exists()


def test_like(chromeprep: Run, bench: Bench) -> None:
    assert chromeprep(*bench.arguments(bench.sheet(bench.rows[:3]))).code == 0
    like = ["bin", "--like", bench.out / "E003.h5", "-o", bench.out, "--samples"]
    result = chromeprep(*like, bench.sheet(bench.rows[3:6]))
    assert result.code == 1
    assert "line 4: Lung 1: " in result.err
    assert "no track for H3K27me3" in result.err
    gone = [*bench.rows[3:6], ("Lung 1", "H3K27me3", "gone.bw", "", "")]
    result = chromeprep(*like, bench.sheet(gone))
    assert "one thing is wrong" in result.err  # and not that the file has no H3K27me3
    assert "gone.bw: no such file" in result.err
    result = chromeprep(*like, bench.sheet(bench.rows[3:]))
    assert result.code == 0, result.err
    ours, theirs = read_bins(bench.out / "E003.h5"), read_bins(bench.out / "E004.h5")
    assert list(ours.genes.gene_id) == list(theirs.genes.gene_id)
    result = chromeprep(*like, bench.sheet(bench.rows), "--force")
    assert result.code == 1
    assert "E003.h5: is one of the inputs" in result.err


def test_folders(chromeprep: Run, bench: Bench, tmp_path: Path) -> None:
    sheet = bench.sheet()
    bench.out.parent.write_text("a file")
    result = chromeprep(*bench.arguments(sheet))
    assert result.code == 1
    assert "cannot be written to" in result.err
    bench.out.parent.unlink()
    bench.out.parent.mkdir()
    bench.out.write_text("a file")
    result = chromeprep(*bench.arguments(sheet))
    assert result.code == 1
    assert "is a file" in result.err
    bench.out.unlink()
    (bench.out / "E004.h5").mkdir(parents=True)
    result = chromeprep(*bench.arguments(sheet, "-f"))
    assert result.code == 1
    assert "is a folder" in result.err
    assert [path.name for path in bench.out.iterdir()] == ["E004.h5"]


STUCK = """
import os, sys, time
from chromeprep import batch
real = batch.bin_tracks

def stuck(request, progress=None, shared=None):
    data = real(request, progress, shared)
    if request.cell_type == "E004":
        os.write(2, b"stuck\\n")
        time.sleep(60)
    return data

batch.bin_tracks = stuck
from chromeprep.cli import main
main()
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_an_interrupted_call_goes_on_where_it_was(
    bench: Bench, chromeprep: Run, number: int, code: int
) -> None:
    arguments = bench.labelled(bench.sheet())
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "stuck" in line:
                break
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "interrupted; 1 of 3 files are there" in err
    assert [path.name for path in bench.out.iterdir()] == ["E003.h5"]
    before = stamp(bench.out / "E003.h5")
    result = chromeprep(*arguments)
    assert result.code == 0, result.err
    assert result.err.count("is there already") == 1
    assert stamp(bench.out / "E003.h5") == before
    assert len(list(bench.out.iterdir())) == 3


def test_through_the_installed_script(bench: Bench) -> None:
    script = Path(sys.executable).with_name("chromeprep")
    done = subprocess.run(
        [script, *bench.labelled(bench.sheet())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    help_page = subprocess.run(
        [script, "bin", "--help"], capture_output=True, text=True, check=True
    ).stdout
    section = help_page[help_page.index("Tracks (") : help_page.index("\nGenes:")]
    assert "--samples SHEET" in section


def test_a_sheet_that_cannot_be_read(bench: Bench) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_samplesheet(bench.folder / "gone.tsv")
    damaged = bench.folder / "damaged.tsv.gz"
    damaged.write_bytes(gzip.compress(b"cell_type\tmark\tpath\n" * 50)[:-9])
    with pytest.raises(InputError, match="damaged gzip"):
        read_samplesheet(damaged)


def test_the_sheet_of_the_documentation(root: Path, tmp_path: Path) -> None:
    text = (root / "docs" / "samples.md").read_text()
    lines = text[text.index("cell_type,mark,path") :].partition("```")[0]
    (tmp_path / "roadmap.csv").write_text(lines)
    for line in lines.splitlines():
        for name in line.split(",")[2:4]:
            if "/" in name:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).touch()
    sheet = read_samplesheet(tmp_path / "roadmap.csv")
    assert not sheet.problems
    assert not sheet.ignored
    h1, k562 = sheet.samples
    assert [(track.mark, track.kind) for track in h1.tracks] == [
        ("H3K4me3", "bam"), ("H3K4me3", "bam"), ("H3K27me3", "tagalign"),
    ]  # fmt: skip
    assert [track.kind for track in k562.tracks] == ["bigwig", "bedgraph"]
    assert (len(h1.controls), len(k562.controls)) == (3, 0)
    assert (h1.expression_column, k562.expression_column) == (None, "E123")
    (tmp_path / "reads" / "H1-H3K4me3-rep2.bam").unlink()
    (tmp_path / "roadmap.csv").write_text(lines.replace("K562,H3K27me3", "k562,H3K27me3"))
    for problem in read_samplesheet(tmp_path / "roadmap.csv").problems:
        shown = f"line {problem.line}: {problem.message}".replace(f"{tmp_path}/", "")
        assert f"  {shown}\n" in text


def test_controls_of_several_rows(bench: Bench) -> None:
    rows = [
        ("E003", "H3K4me3", "a1.bam", "in1.bam", ""),
        ("E003", "H3K4me3", "a2.bam", "./in1.bam", ""),
        ("E003", "H3K4me3", "b1.bam", "", ""),
        ("E003", "H3K4me3", "c1.bam", "in2.bam", ""),
        ("E003", "H3K9me3", "b.bw", "", ""),
    ]
    sheet = read_samplesheet(bench.sheet(rows))
    assert not sheet.problems
    (sample,) = sheet.samples
    assert [(c.mark, c.path.name) for c in sample.controls] == [
        ("H3K4me3", "in1.bam"), ("H3K4me3", "in2.bam"),
    ]  # fmt: skip
    assert [track.path.name for track in sample.tracks] == [row[2] for row in rows]


def test_labels_of_later_do_not_matter(chromeprep: Run, bench: Bench) -> None:
    sheet = bench.sheet()
    assert chromeprep(*bench.labelled(sheet)).code == 0
    label = ["label", bench.out / "E004.h5", "--expression", bench.table]
    assert chromeprep(*label, "--expression-column", "lung", "-f").code == 0
    before = stamp(bench.out / "E004.h5")
    assert chromeprep(*bench.labelled(sheet)).err.count("is there already") == 3
    assert stamp(bench.out / "E004.h5") == before
