"""Panels: what other cell types say of a gene, from tables to the file and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chromeprep.errors import ExpressionError, FormatError, MismatchError
from chromeprep.format import Panel, panel_schema, read_bins, read_panel, write_panel
from chromeprep.format.panel import NEAR_DUPLICATE, spearman
from chromeprep.format.panel_validate import panel_violations
from chromeprep.panel import NamedTable, make_panel

CELLS = ["brain", "liver", "lung", "lung2"]
VALUES = np.array(
    [
        [0, 0, 5, 5],
        [1, 9, 1, 1],
        [2, 0, 8, 9],
        [3, 0.5, 0, 0.5],
        [0, 7, 0, 0],
    ]
)
GENES = [f"ENSG0000000000{n}" for n in range(1, 6)]
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def text(cells: list[str], values: Any, genes: list[str], first: str = "gene_id") -> str:
    rows = [[gene, *map(repr, map(float, row))] for gene, row in zip(genes, values, strict=True)]
    return "".join("\t".join(row) + "\n" for row in [[first, *cells], *rows])


@pytest.fixture
def table(workshop: Any) -> Path:
    path: Path = workshop.text("rpkm.tsv.gz", text(CELLS, VALUES, [f"{g}.3" for g in GENES]))
    return path


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Panels of two to six cell types; values repeat often, and no column is of one value."""
    n_genes, n_cells = draw(st.integers(2, 12)), draw(st.integers(2, 6))
    values = draw(
        hnp.arrays(np.float32, (n_genes, n_cells), elements=st.sampled_from([0, 0.5, 1, 2, 3e4]))
    )
    values[0], values[1] = values[0] + 1, 0
    return Panel.build(
        [f"g{n}" for n in range(n_genes)], [f"c{n}" for n in range(n_cells)], values
    )  # fmt: skip


def assert_same(first: Panel, second: Panel, *, exactly: bool = True) -> None:
    for name in ("gene_id", "gene_name", "cell_type", "source", "expression", "threshold"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    np.testing.assert_allclose(
        first.correlation, second.correlation, rtol=0, atol=0 if exactly else 1e-12
    )
    for name, values in first.summary._asdict().items():
        np.testing.assert_array_equal(values, getattr(second.summary, name), err_msg=name)
    assert (first.gene_keys, first.near_duplicate) == (second.gene_keys, second.near_duplicate)


# In memory


@given(panels())
@FEW
def test_summaries_are_those_of_plain_loops(panel: Panel) -> None:
    medians = [np.median(panel.expression[:, cell]) for cell in range(len(panel.cell_type))]
    np.testing.assert_array_equal(panel.threshold, medians)
    for gene, row in enumerate(panel.expression.astype(float)):
        logs = [np.log(1 + value) for value in row]
        mean = sum(logs) / len(logs)
        expected = {
            "mean_log1p": mean,
            "std_log1p": (sum((log - mean) ** 2 for log in logs) / len(logs)) ** 0.5,
            "median": np.median(row),
            "min": min(row),
            "max": max(row),
            "share_high": sum(v >= m for v, m in zip(row, medians, strict=True)) / len(row),
        }
        found = {name: values[gene] for name, values in panel.summary._asdict().items()}
        assert found == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(panel.high.mean(axis=1), panel.summary.share_high)


@given(panels())
@FEW
def test_correlation_is_spearmans(panel: Panel) -> None:
    from scipy.stats import spearmanr

    for a in range(len(panel.cell_type)):
        for b in range(a):
            expected = spearmanr(panel.expression[:, a], panel.expression[:, b]).statistic
            assert panel.correlation[a, b] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(panel.correlation, panel.correlation.T)
    np.testing.assert_array_equal(np.diag(panel.correlation), 1)


@given(panels(), st.data())
@FEW
def test_without_is_the_panel_that_never_had_them(panel: Panel, data: st.DataObject) -> None:
    cells = list(panel.cell_type)
    gone = data.draw(st.sets(st.sampled_from(cells), max_size=len(cells) - 2))
    kept = [at for at, name in enumerate(cells) if name not in gone]
    never = Panel.build(panel.gene_id, panel.cell_type[kept], panel.expression[:, kept])
    assert_same(panel.without(gone), never, exactly=False)
    half = sorted(gone)[: len(gone) // 2]
    assert_same(panel.without(half).without(gone - set(half)), panel.without(gone))


@given(panels(), st.data())
@FEW
def test_without_is_leave_out(
    tmp_path_factory: pytest.TempPathFactory, panel: Panel, data: st.DataObject
) -> None:
    cells = list(panel.cell_type)
    gone = sorted(data.draw(st.sets(st.sampled_from(cells), max_size=len(cells) - 2)))
    path = tmp_path_factory.getbasetemp() / "leave_out.tsv"
    path.write_text(text(cells, panel.expression, list(panel.gene_id)))
    whole = make_panel([NamedTable(path)]).panel
    assert_same(whole.without(gone), make_panel([NamedTable(path)], leave_out=gone).panel)


def test_rows_of_and_variable_genes() -> None:
    panel = Panel.build(GENES, CELLS, VALUES)
    rows = panel.rows_of([f"{GENES[3]}.7", "ENSG00000000099", GENES[0]])
    assert (rows.row.tolist(), rows.found.tolist()) == ([3, -1, 0], [True, False, True])
    # Thresholds are 1, 0.5, 1, 1.
    np.testing.assert_array_equal(panel.summary.share_high, [0.5, 1, 0.75, 0.5, 0.25])
    assert panel.variable_genes().tolist() == [True, False, True, True, True]
    assert panel.variable_genes(0.5, 0.75).tolist() == [True, False, True, True, False]


def test_relatives() -> None:
    values = np.array([[1, 1, 1, 4], [2, 2, 3, 3], [3, 3, 2, 2], [4, 4, 4, 1]])
    panel = Panel.build(list("abcd"), ["X", "Y", "Z", "W"], values)
    assert panel.relatives("X") == ["Y"]
    assert panel.relatives("Z", 0.7) == ["X", "Y"]
    # Not in the order of the columns, but of their likeness.
    assert panel.relatives("W", -1) == ["Z", "X", "Y"]
    assert [pair[:2] for pair in panel.near_duplicates()] == [("X", "Y")]
    assert panel.near_duplicates(0.7)[1] == ("X", "Z", pytest.approx(0.8))
    with pytest.raises(MismatchError, match="no cell type 'x'; did you mean 'X'"):
        panel.relatives("x")


def test_what_without_refuses() -> None:
    panel = Panel.build(GENES, CELLS, VALUES)
    with pytest.raises(MismatchError, match="no cell type 'lungs'; did you mean 'lung'"):
        panel.without(["lungs"])
    with pytest.raises(MismatchError, match="1 of 4 cell types are left"):
        panel.without(CELLS[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expression": VALUES[:, :3]}, "shape"),
        ({"expression": -VALUES}, "not negative"),
        ({"expression": np.where(VALUES == 9, np.nan, VALUES)}, "finite"),
        ({"cell_type": ["a", "b", "c", "a"]}, "unique"),
        ({"gene_id": ["a", "b", "c", "d", "a"]}, "unique"),
        ({"expression": VALUES * [1, 1, 1, 0]}, "differ"),
    ],
)
def test_what_build_refuses(change: dict[str, Any], message: str) -> None:
    good = {"gene_id": GENES, "cell_type": CELLS, "expression": VALUES}
    with pytest.raises(ValueError, match=message):
        Panel.build(**(good | change))


# The file


@given(panels())
@settings(FEW, max_examples=15)
def test_round_trip(tmp_path: Path, panel: Panel) -> None:
    path = tmp_path / "p.h5"
    write_panel(path, panel)
    again = read_panel(path)
    assert_same(again, panel)
    assert again.expression.dtype == np.float32
    assert panel_violations(path) == []


@pytest.fixture
def written(tmp_path: Path, table: Path) -> Path:
    path = tmp_path / "panel.h5"
    write_panel(path, make_panel([NamedTable(table)], near_duplicate=0.9).panel)
    return path


def put(file: h5py.File, name: str, value: Any) -> None:
    file[name][...] = value


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.attrs.pop("gene-keys"), "attribute 'gene-keys' is missing"),
        (lambda f: f.attrs.modify("near-duplicate", 2.0), "'near-duplicate' is 2.0"),
        (lambda f: f.attrs.modify("label-rule", "mean"), "attribute 'label-rule' is 'mean'"),
        (lambda f: f.attrs.pop("creation-date"), "attribute 'creation-date' is missing"),
        (lambda f: put(f, "genes/median", 4.0), "/genes/median does not follow"),
        (lambda f: put(f, "genes/share_high", 0.0), "/genes/share_high does not follow"),
        (lambda f: put(f, "cell_types/threshold", 4.0), "/cell_types/threshold is not the median"),
        (lambda f: put(f, "correlation", np.eye(4)), "/correlation does not follow"),
        (lambda f: put(f, "expression", -1), "/expression should be finite and not negative"),
        (lambda f: put(f, "expression", 1), "/expression: the genes of each cell type"),
        (lambda f: put(f, "cell_types/cell_type", "a"), "should be unique"),
        (lambda f: put(f, "gene", "a"), "/gene does not hold /genes/gene_id"),
        (lambda f: put(f, "cell_type", "a"), "/cell_type does not hold /cell_types/cell_type"),
        (lambda f: put(f, "provenance", "no JSON"), "/provenance: entry 1 is not a JSON object"),
        (lambda f: f.__delitem__("expression"), "dataset /expression is missing"),
        (lambda f: f.__delitem__("correlation"), "dataset /correlation is missing"),
        (lambda f: f.__delitem__("provenance"), "dataset /provenance is missing"),
        (lambda f: f.__delitem__("genes"), "group /genes is missing"),
        (lambda f: f.__delitem__("genes/max"), "dataset /genes/max is missing"),
        (lambda f: f.__delitem__("gene"), "dataset /gene is missing"),
        (lambda f: f["anndata"].__delitem__("X"), "/anndata/X is not a hard link"),
    ],
)
def test_every_violation_is_named(written: Path, damage: Any, message: str) -> None:
    assert panel_violations(written) == []
    with h5py.File(written, "r+") as file:
        damage(file)
    assert any(message in line for line in panel_violations(written))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.attrs.modify("format-version", 2), "format version 2"),
        (lambda f: f.attrs.modify("format-version", 0), "format version 0"),
        (lambda f: f.attrs.modify("format", "other"), "not one of a panel"),
        (lambda f: put(f, "expression", np.nan), "finite"),
        (lambda f: put(f, "expression", np.inf), "finite"),
        (lambda f: f.attrs.modify("correlation-rule", "pearson"), "'correlation-rule'"),
    ],
)
def test_what_the_reader_refuses(written: Path, damage: Any, message: str) -> None:
    with h5py.File(written, "r+") as file:
        damage(file)
    with pytest.raises(FormatError, match=message) as caught:
        read_panel(written)
    assert caught.value.path == written


def test_neither_file_is_the_other(written: Path, chromeprep: Any, world: Any) -> None:
    with pytest.raises(FormatError, match="not one of bins"):
        read_bins(written)
    bins = written.with_name("bins.h5")
    assert chromeprep(*world.arguments("-o", bins)).code == 0
    with pytest.raises(FormatError, match="not one of a panel") as caught:
        read_panel(bins)
    assert caught.value.hint == "make one with `chromeprep panel`"


def test_opens_as_anndata(written: Path) -> None:
    from anndata.io import read_elem

    panel = read_panel(written)
    with h5py.File(written) as file:
        opened = read_elem(file["anndata"])
    np.testing.assert_array_equal(opened.X, panel.expression)
    assert list(opened.obs_names) == GENES
    assert list(opened.var_names) == CELLS
    np.testing.assert_array_equal(opened.varp["correlation"], panel.correlation)
    np.testing.assert_array_equal(opened.obs["share_high"], panel.summary.share_high)


def test_the_document_is_the_schema(root: Path) -> None:
    document = (root / "docs" / "panel.md").read_text()
    assert f"panels, format version {panel_schema.FORMAT_VERSION}\n" in document
    assert f"`{panel_schema.FORMAT}`" in document
    rows = {
        tuple(cell.strip(" `") for cell in line.strip("|").split("|")[:2])
        for line in document.splitlines()
        if line.startswith("| `")
    }
    declared = {(entry.name, entry.kind) for entry in panel_schema.ATTRIBUTES}
    head = {"format": "string", "format-version": "int", "generated-by": "string",
            "creation-date": "string"}  # fmt: skip
    columns = {(c.name, c.dtype) for t in panel_schema.TABLES for c in t.columns}
    assert rows == declared | set(head.items()) | columns
    assert f"up to {panel_schema.EXPRESSION_CHUNK_GENES} rows" in document
    assert f"at {NEAR_DUPLICATE} or more" in document


# The command line


def test_a_small_table(chromeprep: Any, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "panel.h5"
    done = chromeprep("panel", "--expression", table, "--leave-out", "lung2", "-o", out)
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "left out: lung2\n"
        "warning: lung stays in the panel, and is nearly the same as lung2, which was left out "
        "(0.975); --leave-out-like lung2 leaves both out\n"
        "in the panel: no pair of cell types (rank correlation >= 0.95)\n"
        f"{out}: 5 genes in 3 cell types\n"
    )
    panel = read_panel(out)
    assert list(panel.gene_id) == GENES
    assert list(panel.cell_type) == ["brain", "liver", "lung"]
    assert panel.source[1] == f"{table}:liver"
    np.testing.assert_array_equal(panel.expression, VALUES[:, :3])
    np.testing.assert_array_equal(panel.threshold, [1, 0.5, 1])
    summary = panel.summary
    np.testing.assert_allclose(summary.share_high, [1 / 3, 1, 2 / 3, 2 / 3, 1 / 3])
    np.testing.assert_allclose(
        summary.mean_log1p, np.log([6, 40, 27, 6, 8]) / 3, rtol=1e-6
    )  # fmt: skip
    np.testing.assert_allclose(summary.std_log1p[0], np.log(6) * 2**0.5 / 3)
    np.testing.assert_array_equal(summary.median, [0, 1, 2, 0.5, 0])
    np.testing.assert_array_equal((summary.min[0], summary.max[0]), (0, 5))
    line = json.loads(panel.provenance[0])
    assert line["argv"][1:3] == ["panel", "--expression"]
    assert line["inputs"]["expression"]["path"] == str(table)
    assert "blake2b=" in line["inputs"]["expression"]["fingerprint"]
    assert line["left_out"] == [{"cell_type": "lung2", "like": None, "correlation": None}]
    assert line["genes"][1] == {"n_genes": 5, "what": "known to every column"}
    assert chromeprep("validate", out).out == f"{out}: valid\n"


def test_leave_out_like(chromeprep: Any, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "panel.h5"
    call = ["panel", "--expression", table, "--leave-out-like", "lung", "-o", out]
    done = chromeprep(*call, "--json")
    assert done.code == 0, done.err
    assert "left out: lung2 (0.975 to lung)\n" in done.err
    assert "warning" not in done.err
    assert list(read_panel(out).cell_type) == ["brain", "liver"]
    summary = json.loads(done.out)
    assert summary["left_out"][1]["like"] == "lung"
    assert [cell["cell_type"] for cell in summary["cell_types"]] == ["brain", "liver"]
    assert (summary["genes"], summary["genes_dropped"], summary["left_in"]) == (5, 0, [])
    done = chromeprep(*call, "--near-duplicate", "0.99", "--force")
    assert done.code == 0, done.err
    assert list(read_panel(out).cell_type) == ["brain", "liver", "lung2"]
    assert read_panel(out).near_duplicate == 0.99


def test_several_tables(
    chromeprep: Any, workshop: Any, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = "gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM\n"
    rows = [f"{gene}\tT\t9\t9\t1\t{n}\t0\n" for n, gene in enumerate([*GENES[1:], "other"])]
    rsem = workshop.text("a.genes.results", columns + "".join(rows))
    workshop.text("x=y.tsv", text(["heart"], VALUES[:, :1], GENES))
    odd = "x=y.tsv"  # no table of a cell type x
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "panel.h5"
    call = ["--expression", table, "--expression", f"T cell={rsem}", "--expression", odd]
    done = chromeprep("panel", *call, "--column", "heart", "--column", "liver", "--column",
                      "T cell", "-o", out)  # fmt: skip
    assert done.code == 0, done.err
    assert "2 of 6 genes have no value in some column and are left out: " in done.err
    panel = read_panel(out)
    assert list(panel.cell_type) == ["liver", "T cell", "heart"]
    assert list(panel.gene_id) == GENES[1:]
    np.testing.assert_array_equal(panel.expression[:, 1], [0, 1, 2, 3])
    np.testing.assert_array_equal(panel.expression[:, 2], VALUES[1:, 0])
    assert panel.source[1] == f"{rsem}:TPM (RSEM genes.results)"
    inputs = json.loads(panel.provenance[0])["inputs"]
    assert [inputs[f"expression {n}"]["path"] for n in (1, 2, 3)] == [
        str(table),
        str(rsem),
        str(odd),
    ]


def test_gct_gives_symbols_and_one_log_line(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    rows = [f"{GENES[n]}.2\tS{n}\t{n}\t{5 - n}\n" for n in range(3)]
    head = "#1.2\n3\t2\nName\tDescription\tLung - Left\tSkin\n"
    gct = workshop.text("gtex.gct.gz", head + "".join(rows))
    out = tmp_path / "panel.h5"
    done = chromeprep("panel", "--expression", gct, "-o", out)
    assert done.code == 0, done.err
    assert done.err.count("is of the form GCT") == 1
    panel = read_panel(out)
    assert list(panel.gene_name) == ["S0", "S1", "S2"]
    assert list(panel.cell_type) == ["Lung - Left", "Skin"]
    done = chromeprep("panel", "--expression", gct, "--expression-ids", "symbol", "-o", out, "-f")
    assert done.code == 0, done.err
    panel = read_panel(out)
    assert (panel.gene_keys, list(panel.gene_id)) == ("symbol", ["S0", "S1", "S2"])
    assert panel.rows_of(["S2"]).row == [2]


def test_columns_of_feature_counts(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    head = "Geneid\tChr\tStart\tEnd\tStrand\tLength\t/x/K562.bam\t/x/H1.bam\n"
    rows = [f"{GENES[n]}\tchr1\t1\t9\t+\t100\t{n}\t{5 - n}\n" for n in range(3)]
    counts = workshop.text("counts.txt", head + "".join(rows))
    out = tmp_path / "panel.h5"
    assert chromeprep("panel", "--expression", counts, "-o", out).code == 0
    panel = read_panel(out)
    assert list(panel.cell_type) == ["K562", "H1"]
    np.testing.assert_allclose(panel.expression[:, 0], np.array([0, 1, 2]) * 1e7 / 3, rtol=1e-6)


def test_columns_that_are_no_cell_types(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    rows = "".join(f"{GENES[n]}\tS{n}\tcoding\t{n}\t{n}\n" for n in range(3))
    path = workshop.text("a.tsv", f"gene_id\tsymbol\tbiotype\tA\tB\n{rows}")
    out = tmp_path / "panel.h5"
    done = chromeprep("panel", "--expression", path, "-o", out)
    assert done.code == 0, done.err
    assert "1 pair of cell types (rank correlation >= 0.95): A B 1.000" in done.err
    assert list(read_panel(out).cell_type) == ["A", "B"]


def test_the_mixture_of_roadmap(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    path = workshop.text("a.tsv", text(["E000", *CELLS], np.c_[VALUES[:, 0], VALUES], GENES))
    out = tmp_path / "panel.h5"
    done = chromeprep("panel", "--expression", path, "-o", out)
    assert "E000 of Roadmap's tables is a mixture" in done.err
    done = chromeprep("panel", "--expression", path, "--leave-out", "E000", "-o", out, "-f")
    assert done.code == 0
    assert "Roadmap" not in done.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--column", "livr"], "no column 'livr'; did you mean 'liver'?"),
        (["--leave-out", "livr"], "no cell type 'livr' to leave out; did you mean 'liver'?"),
        (["--leave-out-like", "K562"], "no cell type 'K562' to leave out; there are brain, liver"),
        ([f"--leave-out={name}" for name in CELLS], "0 of 4 cell types are left"),
        ([f"--leave-out={name}" for name in CELLS[1:]], "1 of 4 cell types is left"),
        (["--column", "lung"], "1 of 1 cell types is left; a panel needs at least 2"),
    ],
)
def test_names_that_are_wrong(
    chromeprep: Any, table: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    done = chromeprep("panel", "--expression", table, *more, "-o", tmp_path / "p.h5")
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rpkm.tsv.gz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gene_id\tA\tB\ng\t1\t2\nh\t-3\t1\n", "column 'A' of gene h is -3, and expression should"),
        ("gene_id\tA\tB\ng\t1\t2\nh\t1e40\t1\n", "should fit into 32 bits"),
        ("gene_id\tA\tB\ng\t1\t2\nh\tinf\t1\n", "'inf' is not a number"),
        ("gene_id\tA\tB\ng\t1\t2\ng\t3\t1\n", "gene g stands in two rows"),
        ("gene_id\tA\tA\ng\t1\t2\nh\t3\t1\n", "the cell type 'A' has two columns"),
        ("gene_id\tA\tB\ng\tNaN\t2\nh\t3\tNA\n", "no gene has a value in every column"),
        ("gene_id\tA\tB\ng\t1\t2\nh\t1\t3\n", "column 'A' has the same value, 1, for all of 2"),
        ("gene_id\tTPM\ng\t1\nh\t2\n", "does not say which cell type it is of"),
        ("ENSG00000000001\t1.5\nENSG00000000002\t2\n", "does not say which cell type it is of"),
    ],
)  # fmt: skip
def test_tables_that_are_wrong(
    chromeprep: Any, workshop: Any, tmp_path: Path, content: str, message: str
) -> None:
    path = workshop.text("a.tsv", content)
    done = chromeprep("panel", "--expression", path, "-o", tmp_path / "p.h5")
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert str(path) in done.err or "no gene" in done.err
    assert not (tmp_path / "p.h5").exists()


def test_missing_values_leave_genes_out(workshop: Any) -> None:
    path = workshop.text("a.tsv", "gene_id\tA\tB\tC\ng\t1\t2\tNA\nh\t3\t1\t2\ni\t0\t2\t1\n")
    made = make_panel([NamedTable(path)])
    assert (list(made.panel.gene_id), made.n_genes_dropped) == (["h", "i"], 1)
    # Also where the column that does not know them is left out.
    made = make_panel([NamedTable(path)], leave_out=["C"])
    assert (list(made.panel.gene_id), made.n_genes_dropped) == (["h", "i"], 1)


def test_one_name_in_two_tables(table: Path, workshop: Any) -> None:
    other = workshop.text("other.tsv", text(["liver"], VALUES[:, :1], GENES))
    with pytest.raises(ExpressionError, match=r"'liver' has two columns, the other one in .*rpkm"):
        make_panel([NamedTable(table), NamedTable(other)])
    with pytest.raises(ExpressionError, match="has 4 columns, none of them") as caught:
        make_panel([NamedTable(table, "kidney")])
    assert "leave 'kidney=' out" in str(caught.value)
    assert list(make_panel([NamedTable(table, "lung"), NamedTable(other)]).panel.cell_type) == [
        "lung", "liver",
    ]  # fmt: skip


def test_outputs_that_must_not_be(chromeprep: Any, table: Path, tmp_path: Path) -> None:
    before = table.read_bytes()
    done = chromeprep("panel", "--expression", table, "-o", table, "--force")
    assert (done.code, "is one of the inputs" in done.err) == (1, True)
    assert table.read_bytes() == before
    out = tmp_path / "p.h5"
    assert chromeprep("panel", "--expression", table, "-o", out).code == 0
    done = chromeprep("panel", "--expression", table, "-o", out)
    assert (done.code, "exists already" in done.err) == (1, True)
    assert chromeprep("panel", "--expression", table, "-o", "-").code == 2
    assert chromeprep("panel", "-o", out).code == 2
    assert chromeprep("panel", "--expression", "liver=", "-o", out).code == 2


def test_info(chromeprep: Any, written: Path, table: Path) -> None:
    done = chromeprep("info", written)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{written}\n"
        "  kind         panel: expression in other cell types\n"
        "  genes        5, by ids\n"
        "  cell types   4: brain, liver, lung, lung2\n"
        "  high         in all cell types 1, in none 0, in 10 to 90 % of them 4 genes "
        "(expression >= the cell type's median)\n"
        "  alike        1 pair of cell types (rank correlation >= 0.9): lung lung2 0.975\n"
        f"  expression   {table}\n"
        "  made by      a library call\n"
    )
    summary = json.loads(chromeprep("info", written, "--json").out)
    assert summary["near_duplicates"][0]["first"] == "lung"
    assert summary["cell_types"][1] == {
        "cell_type": "liver", "threshold": 0.5, "source": f"{table}:liver",
    }  # fmt: skip
    assert len(summary["provenance"]) == 1


def test_validate(chromeprep: Any, written: Path) -> None:
    assert json.loads(chromeprep("validate", written, "--json").out)["valid"]
    with h5py.File(written, "r+") as file:
        put(file, "genes/min", 1.0)
    done = chromeprep("validate", written)
    assert done.code == 1
    assert done.out == f"{written}: /genes/min does not follow from /expression\n"


def test_help(chromeprep: Any) -> None:
    shown = " ".join(chromeprep("panel", "--help").out.split())
    assert f"near duplicates. [default: {NEAR_DUPLICATE}]" in shown
    assert "panel" in chromeprep("--help").out


@pytest.mark.slow
def test_roadmap(real_data: Path) -> None:
    from sklearn.metrics import roc_auc_score

    from chromeprep.annotation import read_gtf
    from chromeprep.expression import median_labels
    from chromeprep.windows import neighbour_filter

    table = NamedTable(real_data / "roadmap" / "57epigenomes.RPKM.pc.gz")
    panel = make_panel([table], leave_out=["E000"]).panel
    assert panel.expression.shape == (19_795, 56)
    assert panel.relatives("E085") == ["E084"]
    assert panel.relatives("E116") == []
    assert len(panel.near_duplicates()) == 22
    genes = read_gtf(real_data / "annotation" / "gencode_10_genes.gtf.gz").genes
    found = panel.rows_of(genes.gene_id)
    rows = found.row[found.found][neighbour_filter(genes.take(found.found), 5000)]
    assert len(rows) == 17_609
    values = panel.expression[rows].astype(float)
    labels = [median_labels(column).label for column in values.T]
    logs = np.log1p(values)
    others = (logs.sum(axis=1, keepdims=True) - logs) / 55
    by_mean = [roc_auc_score(label, mean) for label, mean in zip(labels, others.T, strict=True)]
    assert np.mean(by_mean) == pytest.approx(0.945, abs=5e-4)
    source = list(panel.cell_type).index("E085")
    alone = [roc_auc_score(label, values[:, source]) for label in labels]
    assert np.mean(np.delete(alone, source)) == pytest.approx(0.877, abs=5e-4)
    last = list(panel.cell_type).index("E116")
    np.testing.assert_allclose(
        panel.without(["E116"]).summary.mean_log1p[rows], others[:, last], rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(spearman(panel.expression[:, :2])[0, 1], panel.correlation[0, 1])
