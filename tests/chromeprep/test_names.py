"""Names: chromosomes, marks and gene ids as different sources write them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.chromosomes import is_mitochondrial, natural_key, reconcile
from chromeprep.errors import did_you_mean, shorten
from chromeprep.format.ids import bare_chromosome, cut_version
from chromeprep.gtf import is_par_y
from chromeprep.marks import CORE_MARKS, marks_in_name, order_marks


@pytest.mark.parametrize(
    ("names", "known", "found"),
    [
        (["chr1", "chrX"], ["chr1", "chrX", "chr2"], {"chr1": "chr1", "chrX": "chrX"}),
        (["chr1", "chrX"], ["1", "2"], {"chr1": "1"}),
        (["1", "MT"], ["chr1", "chrM"], {"1": "chr1", "MT": "chrM"}),
        (["chrM"], ["MT"], {"chrM": "MT"}),
        (["chr1"], ["1", "chr1"], {"chr1": "chr1"}),
        (["1"], ["1", "chr1"], {"1": "1"}),
        (["chr1"], ["Chr1"], {"chr1": "Chr1"}),
        (["chrUn_gl000220"], ["Un_gl000220"], {"chrUn_gl000220": "Un_gl000220"}),
        (["chr1"], ["chr11", "11"], {}),
        (["GL000220.1"], ["chrUn_gl000220"], {}),
        (["chr"], ["chr"], {"chr": "chr"}),
        ([], ["chr1"], {}),
        (["chr1"], [], {}),
    ],
)
def test_reconcile(names: list[str], known: list[str], found: dict[str, str]) -> None:
    for order in itertools.permutations(known):
        assert reconcile(names, order) == found


@given(st.lists(st.sampled_from(["1", "2", "10", "X", "Y", "GL1"]), unique=True), st.booleans())
def test_reconcile_both_ways(names: list[str], prefixed: bool) -> None:
    other = [f"chr{name}" for name in names]
    ours, theirs = (other, names) if prefixed else (names, other)
    there = reconcile(ours, theirs)
    assert reconcile(there.values(), ours) == {value: key for key, value in there.items()}
    assert list(there) == ours


def test_natural_order() -> None:
    names = ["chr1", "chr2", "chr10", "chr22", "chrX", "chrY", "chrM", "chr1_random", "chrUn_2"]
    assert sorted(names, key=natural_key) == names
    plain = [bare_chromosome(name) for name in names]
    assert sorted(plain, key=natural_key) == plain
    assert sorted(["chrIV", "chr9", "2L", "chr10_x", "chr9_x"], key=natural_key)[0] == "chr9"
    assert is_mitochondrial("MT")
    assert not is_mitochondrial("chrMT1")


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("E003-H3K4me3.pval.signal.bigwig", ["H3K4me3"]),
        ("/data/H3K27me3/rep1_h3k4ME1.bam", ["H3K4me1"]),
        ("GSM1_K562_H3K9ac_rep2.bw", ["H3K9ac"]),
        ("H4K20me1.bw", ["H4K20me1"]),
        ("H2BK120ub1.bw", ["H2BK120ub1"]),
        ("H3S10ph.bw", ["H3S10ph"]),
        ("E003-H2A.Z.bw", ["H2A.Z"]),
        ("x_H2AFZ_y.bw", ["H2A.Z"]),
        ("DNase.bw", ["DNase"]),
        ("atac-seq.bw", ["ATAC"]),
        ("H3K4me3_vs_H3K27me3.bw", ["H3K4me3", "H3K27me3"]),
        ("H3K4me3_H3K4me3.bw", ["H3K4me3"]),
        ("H3K4me.bw", []),
        ("H3K4me31.bw", []),
        ("K562H3K4me3.bw", []),
        ("Input.bam", []),
        ("", []),
    ],
)
def test_marks_in_names(name: str, marks: list[str]) -> None:
    assert marks_in_name(name) == marks


@given(st.permutations([*CORE_MARKS, "ATAC", "H3K27ac", "H3K9ac", "Input"]))
def test_order_of_marks(marks: list[str]) -> None:
    assert order_marks(marks) == [*CORE_MARKS, "ATAC", "H3K27ac", "H3K9ac", "Input"]


def test_the_core_marks_are_the_papers() -> None:
    assert CORE_MARKS == ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")


@pytest.mark.parametrize(
    ("gene", "cut"),
    [
        ("ENSG00000000003", "ENSG00000000003"),
        ("ENSG00000000003.10", "ENSG00000000003"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSMUSG00000000001.5", "ENSMUSG00000000001"),
        ("ENST00000000003.1", "ENST00000000003"),
        ("ENSGR0000182378.8", "ENSGR0000182378"),
        ("AC005895.4", "AC005895.4"),
        ("NM_000014.5", "NM_000014.5"),
        ("TP53", "TP53"),
        ("", ""),
    ],
)
def test_versions(gene: str, cut: str) -> None:
    assert cut_version(gene) == cut
    assert cut_version(cut) == cut


@pytest.mark.parametrize(
    ("gene", "expected"),
    [
        ("ENSG00000182378.15_PAR_Y", True),
        ("ENSG00000182378_PAR_Y", True),
        ("ENSGR0000182378.8", True),
        ("ENSGR0000182378", True),
        ("ENSG00000182378.8", False),
        ("ENSRNOG00000000001", False),
        ("ENSG_PAR_YES", False),
    ],
)
def test_copies_on_the_y(gene: str, expected: bool) -> None:
    assert is_par_y(gene) is expected


def test_did_you_mean() -> None:
    assert did_you_mean("h3k4ME3", ["H3K4me3", "H3K4me1"]) == "did you mean 'H3K4me3'?"
    assert did_you_mean("x", []) == "there are none"
    assert did_you_mean("zzz", [f"E{n:03}" for n in range(30)]).endswith("and 20 more")
    assert shorten(["a", "b", "c"], 3) == "a, b, c"
