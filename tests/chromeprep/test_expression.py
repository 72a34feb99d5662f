"""Expression tables of every make, the join and the median label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.errors import ExpressionError
from chromeprep.expression import join_expression, median_labels, read_expression

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
    "no header": (f"{A}\t1.5\n{B}\t2\n", "should name the columns, but holds the gene", 1),
    "no header, one row": (f"{A}.3\t1.5\n", "should name the columns", 1),
    "no header, symbols": ("TP53\t1.5\nMYC\t2\n", "should name the columns", 1),
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
