"""Gene lists and BED regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromeprep.errors import AnnotationError
from chromeprep.format import GeneTable
from chromeprep.regions import genes_in_list, windows_inside


@pytest.fixture
def genes() -> GeneTable:
    ids = ["ENSG00000000001.4", "ENSG00000000002", "G3"]
    chroms = ["chr1", "chr1", "chr2"]
    names = ["AAA", "BBB", "CCC"]
    return GeneTable.build(ids, chroms, [0, 5, 9], [5, 9, 20], ["+", "-", "+"], gene_name=names)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ENSG00000000001\n", [0]),
        ("ENSG00000000001.9\nENSG00000000002.1 extra columns\n", [0, 1]),
        ("# comment\n\nAAA # why\r\nG3", [0, 2]),
        ("\ufeffCCC\n", [2]),
    ],
)
def test_lists(workshop: Any, genes: GeneTable, text: str, kept: list[int]) -> None:
    assert list(np.flatnonzero(genes_in_list(genes, workshop.text("a", text)))) == kept
    assert list(np.flatnonzero(genes_in_list(genes, workshop.text("a.gz", text)))) == kept


def test_unknown_genes_of_a_list_are_told(
    workshop: Any, genes: GeneTable, caplog: pytest.LogCaptureFixture
) -> None:
    genes_in_list(genes, workshop.text("a", "AAA\nXXX\nYYY\n"))
    assert "2 of 3 genes are not among those that passed the filters: XXX, YYY" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no gene"),
        ("# x\n\n", "names no gene"),
        ("X\nY\n", "none of its 2 genes is left"),
    ],
)
def test_wrong_lists(workshop: Any, genes: GeneTable, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        genes_in_list(genes, workshop.text("a", text))


REGION = st.tuples(st.sampled_from("AB"), st.integers(0, 60), st.integers(1, 40))
WINDOW = st.tuples(st.sampled_from("ABC"), st.integers(-5, 80))


@settings(max_examples=60)
@given(
    st.lists(REGION, min_size=1, max_size=8), st.lists(WINDOW, min_size=1, max_size=12),
    st.integers(1, 30),
)  # fmt: skip
def test_windows_inside(
    workshop_in: Any, tmp_path_factory: Any, regions: Any, windows: Any, width: int
) -> None:
    make = workshop_in(tmp_path_factory.mktemp("bed"))
    bed = "".join(f"chr{chrom}\t{start}\t{start + size}\n" for chrom, start, size in regions)
    covered = {
        (chrom, base) for chrom, start, size in regions for base in range(start, start + size)
    }
    expected = [
        all((chrom, base) in covered for base in range(start, start + width))
        for chrom, start in windows
    ]
    count = len(windows)
    genes = GeneTable.build(
        [f"G{n}" for n in range(count)], [chrom for chrom, _ in windows], [0] * count, [1] * count,
        ["+"] * count,
    )  # fmt: skip
    starts = np.array([start for _, start in windows], dtype=np.int64)
    path = make.text("a.bed", f"track name=x\nbrowser y\n#z\n\n{bed}")
    if any(expected):
        assert list(windows_inside(genes, starts, width, path)) == expected
    else:
        with pytest.raises(AnnotationError, match="no gene's window of"):
            windows_inside(genes, starts, width, path)


@pytest.mark.parametrize(
    ("bed", "inside"),
    [
        ("chr1\t0\t100\nchr2\t0\t100\n", [False, True, True]),  # the first leaves the chromosome
        ("chr1\t0\t5\nchr1\t5\t30\nchr2\t0\t30\n", [False, True, True]),  # regions that touch
        ("chr1\t0\t5\nchr1\t6\t30\nchr2\t0\t30\n", [False, False, True]),
        ("1\t2\t12\textra\n2 19 30\n", [False, True, True]),
    ],
)
def test_windows_inside_by_hand(
    workshop: Any, genes: GeneTable, bed: str, inside: list[bool]
) -> None:
    found = windows_inside(genes, np.array([-1, 2, 20]), 10, workshop.text("a.bed", bed))
    assert list(found) == inside


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no region"),
        ("chr1\t5\n", "line 1: malformed BED"),
        ("chr1\t0\t5\nchr1\tx\t5\n", "line 2: malformed BED"),
        ("chr1\t5\t5\n", "line 1: malformed BED"),
        ("chr1\t-5\t5\n", "line 1: malformed BED"),
    ],
)
def test_wrong_beds(workshop: Any, genes: GeneTable, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        windows_inside(genes, np.array([0, 0, 0]), 5, workshop.text("a.bed", text))
