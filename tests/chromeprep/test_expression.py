"""Expression tables of every make, the join and the median label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.errors import ExpressionError
from chromeprep.expression import join_expression, join_genes, median_labels, read_expression
from chromeprep.format import GeneTable, read_description

A, B, C = "ENSG00000000001", "ENSG00000000002", "ENSG00000000003"

TABLES = {
    "plain": f"gene_id\tE003\tE116\n{A}\t1.5\t9\n{B}\t2\t9\n",
    "stray tab at the end of rows": f"gene_id\tE003\tE116\n{A}\t1.5\t9\t\n{B}\t2\t9\t\n",
    "R": f"E003\tE116\n{A}\t1.5\t9\n{B}\t2\t9\n",
    "R, one column": f"E003\n{A}\t1.5\n{B}\t2\n",
    "R, quoted": f'"E003"\t"E116"\n"{A}"\t1.5\t9\n"{B}"\t2\t9\n',
    "commas": f"gene_id,E003,E116\n{A},1.5,9\n{B},2,9\n",
    "quoted comma": f'gene_id,name,E003\n{A},"x, y",1.5\n{B},z,2\n',
    "pandas": f",E003,E116\n{A},1.5,9\n{B},2,9\n",
    "line ends": f"gene_id\tE003\r\n{A}\t1.5\r\n{B}\t2\r\n",
    "no last line end": f"gene_id\tE003\n{A}\t1.5\n{B}\t2",
    "blank lines": f"\n\ngene_id\tE003\n\n{A}\t1.5\n{B}\t2\n\n",
    "versions": f"gene_id\tE003\n{A}.7\t1.5\n{B}.1\t2\n",
    "byte order mark": f"\ufeffE003\n{A}\t1.5\n{B}\t2\n",
    "spaces": f"gene_id \t E003\n {A} \t 1.5 \n{B}\t2\n",
    "last value missing": f"gene_id\tE003\tE116\n{A}\t1.5\t\n{B}\t2\t\n",
    "numbered samples": f"gene_id\t1\t2\tE003\n{A}\t0\t0\t1.5\n{B}\t0\t0\t2\n",
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_tables(workshop: Any, kind: str, name: str) -> None:
    found = read_expression(workshop.text(name, TABLES[kind]), "E003")
    assert dict(found.values) == {A: 1.5, B: 2.0}
    assert (found.column, found.n_missing, found.n_par_y) == ("E003", 0, 0)


def test_which_column(workshop: Any) -> None:
    two = workshop.text("two", f"gene_id\tE003\tE116\n{A}\t1\t2\n")
    one = workshop.text("one", f"gene_id\tRPKM\n{A}\t3\n")
    assert dict(read_expression(two, "E116").values) == {A: 2}
    assert dict(read_expression(two, None, "E003").values) == {A: 1}
    assert dict(read_expression(two, "E116", "E003").values) == {A: 2}
    assert dict(read_expression(one, None, "E003").values) == {A: 3}
    with pytest.raises(ExpressionError, match=r"has 2 columns: E003, E116\n  choose one with"):
        read_expression(two)
    with pytest.raises(ExpressionError, match="none of them named as the cell type 'K562'"):
        read_expression(two, None, "K562")
    with pytest.raises(ExpressionError, match="no column 'E03'; did you mean 'E003'"):
        read_expression(two, "E03")


def test_missing_values_and_copies_on_the_y(workshop: Any) -> None:
    text = f"gene_id\tx\n{A}\t1\n{B}\tNA\n{C}\t\nENSGR0000000009\t5\n{C}_PAR_Y\t5\nX1\tnan\nX2\t.\n"
    found = read_expression(workshop.text("a", text))
    assert dict(found.values) == {A: 1.0}
    assert (found.n_missing, found.n_par_y) == (4, 2)


WRONG = {
    "empty": ("", "is empty", None),
    "blank": ("\n \n", "is empty", None),
    "header only": ("gene_id\tE003\n", "has a header but no rows", None),
    "one column": (f"gene_id\n{A}\n", "has one column only", 1),
    "no header": (f"{A}\t1.5\t2\n{B}\t2\t3\n", "should name the columns, but holds the gene", 1),
    "no header, one row": (f"{A}.3\t1.5\t2\n", "should name the columns", 1),
    "no header, symbols": ("TP53\t1.5\t2\nMYC\t2\t3\n", "should name the columns", 1),
    "header or gene": ("TP53\t1\nMYC\t2\n", "cannot tell whether the first line, 'TP53'", 1),
    "GCT without samples": ("#1.2\n1\t0\nName\tDescription\nA\tB\n", "a GCT without samples", 3),
    "GCT without sizes": ("#1.2\nName\tDescription\nA\tB\n", "expected 2 whole numbers", 2),
    "GCT cut short": ("#1.2\n2\t1\nName\tDescription\tE003\nA\tB\t1\n", "has 1 rows, its", None),
    "GCT of one line": ("#1.2\n", "without a header", None),
    "featureCounts, comment only": ("# Program:featureCounts v2\n", "no header and no rows", None),
    "featureCounts, Length": (
        f"Geneid\tChr\tStart\tEnd\tStrand\tLength\ta.bam\n{A}\tc\t1\t2\t+\t0\t3\n",
        f"Length of gene {A}: '0' is not a number above 0", 2,
    ),
    "RSEM transcripts": (
        "transcript_id\tgene_id\tlength\teffective_length\texpected_count\nT\tG\t1\t1\t1\n",
        "holds transcripts, expected genes", 1,
    ),
    "Salmon transcripts": (
        "Name\tLength\tEffectiveLength\tTPM\tNumReads\nENST00000000001.2\t9\t9\t1\t1\n",
        "holds transcripts, expected genes", 2,
    ),
    "no number": (f"gene_id\tE003\n{A}\t1\n{B}\thigh\n", f"of gene {B}: 'high' is not a number", 3),
    "infinite": (f"gene_id\tE003\n{A}\tinf\n", "'inf' is not a number", 2),
    "decimal comma": (f"gene_id\tE003\n{A}\t1,5\n", "'1,5' is not a number", 2),
    "underscore": (f"gene_id\tE003\n{A}\t1_5\n", "'1_5' is not a number", 2),
    "doubled": (f"gene_id\tE003\n{A}\t1\n{B}\t1\n{A}\t2\n", "in two rows, lines 2 and 4", None),
    "doubled version": (f"gene_id\tE003\n{A}.1\t1\n{A}.2\t2\n", "lines 2 and 3", None),
    "row too wide": (f"gene_id\tE003\n{A}\t1\n{B}\t2\t3\n", "has 3 fields, the header names 2", 3),
    "doubled column": (f"gene_id\tE003\tE003\n{A}\t1\t2\n", "2 columns named 'E003'", None),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_tables(workshop: Any, kind: str) -> None:
    text, message, line = WRONG[kind]
    path = workshop.text("a.tsv", text)
    with pytest.raises(ExpressionError, match=message) as caught:
        read_expression(path, None, "E003")
    assert (caught.value.path, caught.value.line) == (path, line)


# Headers and rows as the tools write them: GTEx v8, featureCounts 2.0.3, RSEM 1.3.3, Salmon 1.10,
# StringTie 2.2.
FORMS = {
    "GCT": (
        "#1.2\n3\t2\nName\tDescription\tLiver\tLung\n"
        f"{A}.14\tTSPAN6\t9\t1.5\n{B}.5\tTNMD\t9\t2\n{C}.1_PAR_Y\tX\t9\t9\n",
        "Lung", "Lung (GCT)", {A: 1.5, B: 2.0},
    ),
    "GCT of one tissue": (
        "#1.2\n2\t1\nid\tName\tDescription\tS1\n"
        f"0\t{A}.14\tTSPAN6\t1.5\n1\t{B}.5\tTNMD\t2\n",
        None, "S1 (GCT)", {A: 1.5, B: 2.0},
    ),
    "GCT 1.3": (
        "#1.3\n2\t2\t1\t2\nid\tsymbol\tS1\tS2\nage\tna\t7\t8\nsex\tna\tF\tM\n"
        f"{A}\tTSPAN6\t1.5\t9\n{B}\tTNMD\t2\t9\n",
        "S1", "S1 (GCT)", {A: 1.5, B: 2.0},
    ),
    "featureCounts": (
        '# Program:featureCounts v2.0.3; Command:"featureCounts" "-a" "a.gtf" "-o" "o" "x/K.bam" \n'
        "Geneid\tChr\tStart\tEnd\tStrand\tLength\tx/K.bam\n"
        f"{A}.1\tchr1;chr1\t1;9\t5;12\t+;+\t500\t30\n{B}.7\tchr2\t1\t9\t-\t2000\t10\n",
        None, "x/K.bam (featureCounts, counts as RPKM)", {A: 1.5e6, B: 1.25e5},
    ),
    "featureCounts, extra attributes, several files": (
        "# Program:featureCounts v2.0.3; Command:x\n"
        "Geneid\tChr\tStart\tEnd\tStrand\tLength\tgene_name\tx/J.bam\tx/K.bam\n"
        f"{A}\tc\t1\t5\t+\t500\tTSPAN6\t7\t30\n{B}\tc\t1\t9\t-\t2000\tTNMD\t7\t10\n",
        "K", "x/K.bam (featureCounts, counts as RPKM)", {A: 1.5e6, B: 1.25e5},
    ),
    "RSEM": (
        "gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM\n"
        f"{A}.14\tT1,T2\t1500.00\t1300.00\t12.00\t1.50\t9\n{B}.5\tT3\t10\t0.00\t0.00\t2\t9\n",
        None, "TPM (RSEM genes.results)", {A: 1.5, B: 2.0},
    ),
    "Salmon": (
        "Name\tLength\tEffectiveLength\tTPM\tNumReads\n"
        f"{A}.14\t1500\t1300.5\t1.5\t12.3\n{B}\t10\t8\t2\t0\n",
        None, "TPM (Salmon quant.genes.sf)", {A: 1.5, B: 2.0},
    ),
    "StringTie": (
        "Gene ID\tGene Name\tReference\tStrand\tStart\tEnd\tCoverage\tFPKM\tTPM\n"
        f"{A}.14\tTSPAN6\tchrX\t-\t1\t9\t3.5\t7\t1.25\n{B}.5\t-\tchr1\t+\t1\t9\t3\t7\t2\n"
        f"{A}.14\tTSPAN6\tchrX\t-\t20\t29\t0.0\t0.0\t0.25\n",
        None, "TPM (StringTie gene abundances)", {A: 1.5, B: 2.0},
    ),
    "quantify": (
        "gene_id\tgene_name\tlength_bp\tcount\trpkm\ttpm\n"
        f"{A}.1\tTSPAN6\t9\t3\t7\t1.5\n{B}\t\t9\t3\t7\t2\n",
        None, "tpm (chromeprep quantify)", {A: 1.5, B: 2.0},
    ),
    "two columns": (f"{A}.2\t1.5\n{B}\t2\n", None, "value", {A: 1.5, B: 2.0}),
    "two columns, whole numbers": (f"{A}\t3\n{B}\t2\n", None, "value", {A: 3.0, B: 2.0}),
    "two columns, commas, symbols": ("TP53,1.5\nMYC,2\n", None, "value", {"TP53": 1.5, "MYC": 2.0}),
    "a header of a number": ("gene_id\t1\nTP53\t5\n", None, "1", {"TP53": 5.0}),
    "symbols beside one column of values": (
        f"gene_id\tgene_name\tTPM\n{A}\tx\t1.5\n", None, "TPM", {A: 1.5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_forms(workshop: Any, kind: str, name: str) -> None:
    text, column, described, values = FORMS[kind]
    found = read_expression(workshop.text(name, text), column)
    assert dict(found.values) == pytest.approx(values)
    assert found.described == described
    # Whatever the cell type is called, a tool's table has one default.
    assert dict(read_expression(workshop.text(name, text), column, "K562").values) == found.values


def test_the_default_of_a_form_can_be_overruled(workshop: Any) -> None:
    path = workshop.text("x.genes.results", FORMS["RSEM"][0])
    assert dict(read_expression(path, "FPKM").values) == {A: 9.0, B: 9.0}
    with pytest.raises(ExpressionError, match="no column 'FPMK'; did you mean 'FPKM'"):
        read_expression(path, "FPMK")
    with pytest.raises(ExpressionError, match="no column 'length'; there are expected_count, TPM"):
        read_expression(path, "length")


def test_counts_of_several_files_are_asked_for(workshop: Any) -> None:
    path = workshop.text("x", FORMS["featureCounts, extra attributes, several files"][0])
    with pytest.raises(ExpressionError, match=r"has 2 columns: x/J.bam, x/K.bam\n  choose"):
        read_expression(path)
    assert read_expression(path, None, "J").column == "x/J.bam"
    assert read_expression(path, "x/J.bam").column == "x/J.bam"


def test_counts_become_rpkm_in_words(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chromeprep")
    read_expression(workshop.text("x", FORMS["featureCounts"][0]))
    assert "of the form featureCounts; column x/K.bam (counts made RPKM by the" in caplog.text


def test_only_the_column_of_a_matrix_may_be_a_cell_type(workshop: Any) -> None:
    assert read_expression(workshop.text("a", FORMS["featureCounts"][0])).cell_type is None
    assert read_expression(workshop.text("a", FORMS["two columns"][0])).cell_type is None
    assert read_expression(workshop.text("a", FORMS["RSEM"][0])).cell_type is None
    assert read_expression(workshop.text("a", FORMS["GCT"][0]), "Lung").cell_type == "Lung"
    assert read_expression(workshop.text("a", f"gene_id\tE003\n{A}\t1\n")).cell_type == "E003"
    assert read_expression(workshop.text("a", f"gene_id\tRPKM\n{A}\t1\n")).cell_type is None


def test_the_same_row_twice_counts_once(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chromeprep")
    path = workshop.text("a", f"gene_id\tx\ty\n{A}.1\t1\t2\n{B}\t3\t4\n{A}.1\t1\t2\n")
    assert dict(read_expression(path, "x").values) == {A: 1.0, B: 3.0}
    assert f"1 genes stand in several rows that are the same: {A}" in caplog.text
    # Rows that differ elsewhere are not the same, even if this column is.
    path = workshop.text("b", f"gene_id\tx\ty\n{A}\t1\t2\n{A}\t1\t3\n")
    with pytest.raises(ExpressionError, match="lines 2 and 3"):
        read_expression(path, "x")


def test_loci_of_stringtie_are_added_up(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chromeprep")
    read_expression(workshop.text("x", FORMS["StringTie"][0]))
    assert f"1 genes have several rows (loci), which were added up: {A}" in caplog.text


def test_by_symbol(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chromeprep")
    rows = f"{A}\tP\t1\n{B}\tQ\t2\n{C}\tQ\t3\nX1\tR\t4\nX2\tS\t5\nX3\t-\t6\n"
    table = read_expression(workshop.text("a", f"gene_id\tgene_name\tTPM\n{rows}"), ids="symbol")
    assert dict(table.values) == {"P": 1.0, "R": 4.0, "S": 5.0}
    assert table.described == "TPM (by symbol)"
    assert "1 symbols stand in several rows that differ, and are left out: Q" in caplog.text
    genes = GeneTable.build(
        ["g1", "g2", "g3", "g4", "g5"], ["chr1"] * 5, [1] * 5, [2] * 5, ["+"] * 5,
        gene_name=["P", "S", "S", "Q", ""],
    )  # fmt: skip
    np.testing.assert_array_equal(join_genes(genes, table), [1, np.nan, np.nan, np.nan, np.nan])
    assert "1 symbols belong to several genes each" in caplog.text
    assert caplog.text.rstrip().endswith(": S")
    # Without a column of symbols they stand first.
    plain = read_expression(workshop.text("b", "symbol\tTPM\nP\t1\n"), ids="symbol")
    np.testing.assert_array_equal(join_genes(genes, plain), [1] + [np.nan] * 4)
    by_id = read_expression(workshop.text("c", "gene_id\tTPM\ng2\t1\n"))
    np.testing.assert_array_equal(join_genes(genes, by_id), [np.nan, 1, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("kind", ["RSEM", "GCT", "featureCounts", "StringTie"])
@pytest.mark.parametrize("ids", ["id", "symbol"])
def test_bin_reads_the_forms(
    chromeprep: Any, world: Any, workshop: Any, kind: str, ids: str
) -> None:
    head = {
        "RSEM": "gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM\n",
        "GCT": "#1.2\n20\t1\nName\tDescription\tLiver\n",
        "featureCounts": "Geneid\tChr\tStart\tEnd\tStrand\tLength\tgene_name\tx.bam\n",
        "StringTie": "Gene ID\tGene Name\tReference\tStrand\tStart\tEnd\tCoverage\tFPKM\tTPM\n",
    }[kind]
    row = {
        "RSEM": "{id}\tT\t1\t1\t1\t{n}\t1",
        "GCT": "{id}\t{name}\t{n}",
        "featureCounts": "{id}\tc\t1\t2\t+\t1000\t{name}\t{n}",
        "StringTie": "{id}\t{name}\tc\t+\t1\t2\t1\t1\t{n}",
    }[kind]
    if kind == "RSEM" and ids == "symbol":
        row = row.replace("{id}", "{name}")
    rows = [row.format(id=g.gene_id, name=g.name, n=n) for n, g in enumerate(world.genes)]
    table = workshop.text("t", head + "\n".join(rows) + "\n")
    out = workshop.folder / "a.h5"
    done = chromeprep(*world.arguments("--expression", table, "--expression-ids", ids, "-o", out))
    assert done.code == 0, done.err
    data = read_description(out)
    scale = 1e6 / sum(range(20)) if kind == "featureCounts" else 1
    np.testing.assert_allclose(data.genes.expression, np.arange(20) * scale)
    assert list(data.genes.label) == [0] * 10 + [1] * 10
    source = data.attributes.expression_source
    assert source.startswith(f"{table}:")
    assert kind in source
    assert ("by symbol" in source) == (ids == "symbol")


def test_bin_by_symbol_says_where_nothing_fits(chromeprep: Any, world: Any, workshop: Any) -> None:
    table = workshop.text("t", "symbol\tTPM\nTP53\t1\n")
    arguments = world.arguments("--expression", table, "-o", workshop.folder / "a.h5")
    done = chromeprep(*arguments)
    assert done.code == 1
    assert "--expression-ids symbol joins by symbol" in done.err
    done = chromeprep(*arguments, "--expression-ids", "symbol")
    assert done.code == 1
    assert "its first symbols are TP53, those of the genes NENSG" in done.err


def test_one_wide_row_does_not_shift_the_columns(workshop: Any) -> None:
    rows = "".join(f"ENSG{n:011d}\t1\t2\n" for n in range(50))
    path = workshop.text("a", f"gene_id\tE003\tE116\n{rows}{A}9\t1\t2\t3\n")
    with pytest.raises(ExpressionError, match="line 52: has 4 fields, the header names 3"):
        read_expression(path, "E003")


def test_join() -> None:
    ids = np.array([f"{A}.9", B, "TP53", f"{C}.1_PAR_Y"], dtype=object)
    found = join_expression(ids, {A: 1.0, "TP53": 2.0, C: 9.0})
    np.testing.assert_array_equal(found, [1, np.nan, 2, np.nan])


VALUE = st.one_of(st.just(float("nan")), st.floats(0, 20), st.integers(0, 3).map(float))


@given(st.lists(VALUE, max_size=30))
def test_median_label(values: list[float]) -> None:
    label, threshold = median_labels(np.array(values, dtype=np.float64))
    known = sorted(value for value in values if value == value)
    if not known:
        assert np.isnan(threshold)
        assert set(label) <= {-1}
        return
    middle = len(known) // 2
    median = known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2
    assert threshold == pytest.approx(median)
    for value, found in zip(values, label, strict=True):
        assert found == (-1 if value != value else int(value >= threshold))
    assert (label == 1).sum() >= len(known) / 2
    assert label.dtype == np.int8
