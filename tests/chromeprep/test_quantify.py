"""Counts of RNA-seq fragments: by hand, against featureCounts, and what goes into the table."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chromeprep.errors import AnnotationError, MismatchError, SignalError
from chromeprep.expression import read_expression
from chromeprep.quantify import CountRule, Counts, Exons, count_bam, read_exons, rpkm, tpm
from chromeprep.quantify.fates import REASONS

needs_feature_counts = pytest.mark.skipif(
    shutil.which("featureCounts") is None, reason="featureCounts (Debian: subread) is not there"
)

CHROMOSOMES = {"chr1": 10_000, "chr2": 5_000, "chrUn": 300}
# Gene, first and last base from 1, strand, on chr1.
EXONS = [
    ("A", 101, 200, "+"), ("A", 301, 400, "+"), ("A", 151, 220, "+"), ("B", 351, 450, "-"),
    ("C", 1001, 1010, "+"), ("D", 2001, 2001, "-"), ("E", 3000, 3100, "-"), ("F", 3050, 3200, "-"),
]  # fmt: skip


class Alignment(NamedTuple):
    """A line of a SAM; positions from 1, 0 for none."""

    name: str
    flag: int
    position: int
    cigar: str = "10M"
    mate: int = 0
    mapq: int = 30
    tags: str = ""
    chrom: str = "chr1"

    def line(self) -> str:
        chrom = self.chrom if self.position else "*"
        mate_chrom = "=" if self.mate else "*"
        fields = [self.name, self.flag, chrom, self.position, self.mapq, self.cigar, mate_chrom,
                  self.mate, 0, "*", "*"]  # fmt: skip
        return "\t".join([*map(str, fields), *([self.tags] if self.tags else [])])


def pair(
    name: str,
    first: int,
    second: int,
    cigar: str = "10M",
    *,
    flags: tuple[int, int] = (99, 147),
    mapq: tuple[int, int] = (30, 30),
    tags: tuple[str, str] = ("", ""),
) -> list[Alignment]:
    return [
        Alignment(name, flags[0], first, cigar, second, mapq[0], tags[0]),
        Alignment(name, flags[1], second, cigar, first, mapq[1], tags[1]),
    ]


SINGLE = [
    Alignment("inside", 0, 120),
    Alignment("reverse", 16, 120),
    Alignment("A and B", 0, 355),
    Alignment("A and B through a gap", 0, 150, "10M231N10M"),
    Alignment("one gene through a gap", 0, 150, "10M150N10M"),
    Alignment("gap over C", 0, 985, "10M30N10M"),
    Alignment("deletion over C", 0, 981, "20M10D20M"),
    Alignment("insertion before C", 0, 991, "5M30I3M"),
    Alignment("soft clip over C", 0, 1011, "10S20M"),
    Alignment("hard clip over C", 0, 1011, "10H20M5S"),
    Alignment("padding before C", 0, 985, "5M25P5M"),
    Alignment("= and X into C", 0, 996, "4=2X"),
    Alignment("last base of A", 0, 220, "1M"),
    Alignment("after A", 0, 221, "1M"),
    Alignment("before A", 0, 100, "1M"),
    Alignment("the base of D", 16, 2001, "1M"),
    Alignment("beside the base of D", 16, 2000, "1M"),
    Alignment("duplicate", 0x400, 1005, "5M"),
    Alignment("QC failed", 0x200, 1005, "5M"),
    Alignment("secondary without NH", 0x100, 1005, "5M"),
    Alignment("secondary", 0x100, 1005, "5M", tags="NH:i:2\tHI:i:2"),
    Alignment("secondary, NH 1", 0x100, 1005, "5M", tags="NH:i:1"),
    Alignment("unique", 0, 1005, "5M", tags="NH:i:1"),
    Alignment("two places", 0, 1005, "5M", tags="AS:i:9\tMD:Z:NHi5\tNH:i:2"),
    Alignment("300 places", 0, 1005, "5M", tags="XA:A:x\tZB:B:s,1,2,3\tXF:f:1.5\tNH:i:300"),
    Alignment("100,000 places", 0, 1005, "5M", tags="NH:i:100000"),
    Alignment("NH 0", 0, 1005, "5M", tags="NH:i:0"),
    Alignment("quality 0", 0, 1005, "5M", mapq=0),
    Alignment("quality 9, two places", 0, 1005, "5M", mapq=9, tags="NH:i:2"),
    Alignment("quality 10", 0, 1005, "5M", mapq=10),
    Alignment("unmapped", 4, 0, "*", mapq=0),
    Alignment("unmapped duplicate", 4 | 0x400, 0, "*", mapq=0),
    Alignment("no exons there", 0, 100, chrom="chr2"),
    Alignment("not in the GTF", 0, 100, chrom="chrUn"),
]

PAIRED = [
    *pair("both in A", 110, 320),
    *pair("A; A and B: A has two ends", 110, 360),
    *pair("A and B; B: B has two ends", 360, 420),
    *pair("A; B", 110, 420),
    *pair("A and B twice", 360, 370),
    *pair("one end in A", 110, 700),
    *pair("nowhere", 700, 800),
    *pair("gap", 110, 320, "10M1000N10M"),
    *pair("one of quality 0", 110, 320, mapq=(0, 30)),
    *pair("both of quality 0", 110, 320, mapq=(0, 9)),
    *pair("first duplicate", 110, 320, flags=(99 | 0x400, 147)),
    *pair("second duplicate, quality 0", 110, 320, flags=(99, 147 | 0x400), mapq=(0, 0)),
    *pair("first in two places, quality 0", 110, 320, tags=("NH:i:2", "NH:i:1"), mapq=(0, 0)),
    *pair("second in two places", 110, 320, tags=("NH:i:1", "NH:i:2")),
    *pair("secondary", 110, 320, flags=(99 | 0x100, 147 | 0x100)),
    *pair("secondary, NH", 110, 320, flags=(355, 403), tags=("NH:i:2\tHI:i:2",) * 2),
    *pair("second secondary", 110, 320, flags=(99, 147 | 0x100)),
    *pair("other strand", 3010, 3030, flags=(163, 83)),
    *pair("on the minus strand", 3010, 3030),
    *pair("the same name and place twice", 3010, 3030),
    *pair("the same name and place twice", 3010, 3030),
    *pair("E; E and F", 3010, 3060),
    Alignment("mate unmapped", 0x1 | 0x8 | 0x40, 110, "10M", 110),
    Alignment("mate unmapped", 0x1 | 0x4 | 0x80, 110, "*", 110, 0),
    Alignment("first unmapped", 0x1 | 0x8 | 0x80, 110, "10M", 110),
    Alignment("first unmapped", 0x1 | 0x4 | 0x40, 110, "*", 110, 0),
    Alignment("mate unmapped, duplicate", 0x1 | 0x8 | 0x40, 110, "10M", 110),
    Alignment("mate unmapped, duplicate", 0x1 | 0x4 | 0x80 | 0x400, 110, "*", 110, 0),
    Alignment("both unmapped", 0x1 | 0x4 | 0x8 | 0x40, 0, "*", mapq=0),
    Alignment("both unmapped", 0x1 | 0x4 | 0x8 | 0x80, 0, "*", mapq=0),
    Alignment("first alone", 99, 110, "10M", 320),
    Alignment("second alone", 147, 320, "10M", 110),
    Alignment("alone, quality 5", 99, 110, "10M", 320, 5),
    Alignment("first alone, quality 5, two places", 99, 110, "10M", 320, 5, "NH:i:2"),
    Alignment("second alone, quality 5, two places", 147, 320, "10M", 110, 5, "NH:i:2"),
    Alignment("single-end", 0, 1001, "5M"),
    Alignment("single-end unmapped", 4, 0, "*", mapq=0),
    Alignment("single-end, two places", 0, 1001, "5M", tags="NH:i:4"),
]


def write_gtf(path: Path, exons: Sequence[tuple[str, int, int, str]] = EXONS) -> Path:
    rows = [
        f'chr1\tx\texon\t{start}\t{end}\t.\t{strand}\t.\tgene_id "{gene}"; gene_name "S{gene}";'
        f' gene_type "{"protein_coding" if gene < "E" else "lincRNA"}"; transcript_id "{gene}";\n'
        for gene, start, end, strand in exons
    ]
    path.write_text("".join(rows))
    return path


def write_bam(path: Path, alignments: Sequence[Alignment], order: str = "as given") -> Path:
    if order == "coordinate":
        names = list(CHROMOSOMES)
        alignments = sorted(
            alignments, key=lambda a: (not a.position, names.index(a.chrom), a.position)
        )
    elif order == "shuffled":
        rows = np.random.default_rng(0).permutation(len(alignments))
        alignments = [alignments[row] for row in rows]
    sam = path.with_suffix(".sam")
    header = "".join(f"@SQ\tSN:{name}\tLN:{size}\n" for name, size in CHROMOSOMES.items())
    sam.write_text(header + "".join(entry.line() + "\n" for entry in alignments))
    verbosity = pysam.set_verbosity(0)
    with (
        pysam.AlignmentFile(str(sam)) as source,
        pysam.AlignmentFile(str(path), "wb", header=source.header) as out,
    ):
        for read in source:
            out.write(read)
    pysam.set_verbosity(verbosity)
    sam.unlink()
    return path


def count(bam: Path, gtf: Path, **rule: Any) -> tuple[dict[str, int], Counts]:
    exons = read_exons(gtf)
    found = count_bam(bam, exons, gtf, CountRule(**rule))
    return dict(zip(exons.gene_id, found.fragments.tolist(), strict=True)), found


class Reference(NamedTuple):
    counts: dict[str, int]
    lengths: dict[str, int]
    fates: dict[str, int]


def feature_counts(bam: Path, gtf: Path, *options: str) -> Reference:
    out = bam.with_name("reference.txt")
    subprocess.run(
        ["featureCounts", "--primary", *options, "-a", gtf, "-o", out, bam],
        check=True,
        capture_output=True,
    )
    rows = [line.split("\t") for line in out.read_text().splitlines()[2:]]
    fates = [line.split("\t") for line in Path(f"{out}.summary").read_text().splitlines()[1:]]
    return Reference(
        {row[0]: int(row[6]) for row in rows},
        {row[0]: int(row[5]) for row in rows},
        {fate: int(number) for fate, number in fates},
    )


RULES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "default": ({}, []),
    "forward": ({"strandedness": "forward"}, ["-s", "1"]),
    "reverse": ({"strandedness": "reverse"}, ["-s", "2"]),
    "quality": ({"min_mapq": 10}, ["-Q", "10"]),
    "duplicates": ({"ignore_duplicates": True}, ["--ignoreDup"]),
    "all": (
        {"strandedness": "reverse", "min_mapq": 10, "ignore_duplicates": True},
        ["-s", "2", "-Q", "10", "--ignoreDup"],
    ),
}
PAIRS = ["-p", "--countReadPairs"]


def assert_same(found: tuple[dict[str, int], Counts], reference: Reference) -> None:
    counts, done = found
    assert counts == reference.counts
    fates = {fate: number for fate, number in done.fates.items() if number}
    assert fates == {fate: number for fate, number in reference.fates.items() if number}


# Without featureCounts: what a reader can check by eye.


def test_single_reads_by_hand(tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "a.gtf")
    bam = write_bam(tmp_path / "a.bam", [*SINGLE, Alignment("parts", 0x800, 120)])
    counts, done = count(bam, gtf)
    assert counts == {"A": 4, "B": 0, "C": 7, "D": 1, "E": 0, "F": 0}
    assert done.fates == {
        "Assigned": 12, "Unassigned_Unmapped": 2, "Unassigned_MappingQuality": 0,
        "Unassigned_Duplicate": 0, "Unassigned_MultiMapping": 5, "Unassigned_Secondary": 2,
        "Unassigned_Supplementary": 1, "Unassigned_NoFeatures": 11, "Unassigned_Ambiguity": 2,
    }  # fmt: skip
    assert (done.n_with_nh, done.n_without_nh) == (5, 24)


def test_pairs_by_hand(tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "a.gtf")
    votes = [*pair("A; A and B", 110, 360), *pair("A; B", 110, 420), *pair("A", 110, 700)]
    bam = write_bam(tmp_path / "a.bam", votes, "coordinate")
    counts, done = count(bam, gtf)
    assert (counts["A"], counts["B"]) == (2, 0)
    assert (done.fates["Assigned"], done.fates["Unassigned_Ambiguity"]) == (2, 1)


def test_rpkm_and_tpm() -> None:
    counts, lengths = np.array([10.0, 0.0, 30.0]), np.array([1000.0, 10.0, 500.0])
    # 40 fragments in all: 10 / (1 kb x 40e-6 millions).
    np.testing.assert_allclose(rpkm(counts, lengths), [250_000, 0, 1_500_000])
    found = tpm(counts, lengths)
    assert found.sum() == pytest.approx(1e6)
    assert found[2] / found[0] == pytest.approx(6)
    assert not rpkm(np.zeros(3), lengths).any()
    assert not tpm(np.zeros(3), lengths).any()


def test_exons(tmp_path: Path) -> None:
    exons: Exons = read_exons(write_gtf(tmp_path / "a.gtf"))
    assert list(exons.gene_id) == ["A", "B", "C", "D", "E", "F"]
    assert list(exons.gene_name) == ["SA", "SB", "SC", "SD", "SE", "SF"]
    assert list(exons.length_bp) == [220, 100, 10, 1, 101, 151]
    coding = read_exons(tmp_path / "a.gtf", ("protein_coding",))
    assert list(coding.gene_id) == ["A", "B", "C", "D"]
    assert list(coding.length_bp) == [220, 100, 10, 1]
    assert set(coding.gene) == {0, 1, 2, 3}
    with pytest.raises(AnnotationError, match="no gene of type 'protein'; did you mean"):
        read_exons(tmp_path / "a.gtf", ("protein",))


def test_genes_of_other_types_are_not_there(tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "a.gtf", [("A", 101, 200, "+"), ("Z", 151, 250, "+")])
    bam = write_bam(tmp_path / "a.bam", [Alignment("both", 0, 160)])
    assert count(bam, gtf)[0] == {"A": 0, "Z": 0}
    coding = read_exons(gtf, ("protein_coding",))
    assert count_bam(bam, coding, gtf).fragments.tolist() == [1]


def test_chromosomes_named_otherwise(tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "a.gtf")
    bam = write_bam(tmp_path / "a.bam", SINGLE)
    expected = count(bam, gtf)[0]
    gtf.write_text(gtf.read_text().replace("chr1\t", "1\t"))
    assert count(bam, gtf)[0] == expected
    gtf.write_text(gtf.read_text().replace("1\tx", "2L\tx"))
    with pytest.raises(MismatchError, match=r"no chromosome in common: .*a\.bam has chr1, chr2"):
        count(bam, gtf)


def test_exons_without_a_strand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gtf = write_gtf(tmp_path / "a.gtf", [("A", 101, 200, "."), ("B", 301, 400, "+")])
    bam = write_bam(tmp_path / "a.bam", [Alignment("a", 0, 120), Alignment("b", 0, 320)])
    assert count(bam, gtf)[0] == {"A": 1, "B": 1}
    assert not caplog.records
    assert count(bam, gtf, strandedness="forward")[0] == {"A": 0, "B": 1}
    assert "exons without a strand take no part" in caplog.text


def test_records_that_cross_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, so that records and mates lie in different ones."""
    gtf = write_gtf(tmp_path / "a.gtf")
    # Names that do not compress, so that there are many blocks.
    rng = np.random.default_rng(1)
    reads = [
        entry
        for number in range(6000)
        for first, second in [rng.integers(90, 500, 2).tolist()]
        for entry in pair(f"{rng.bytes(40).hex()}{number}", first, second)
    ]  # fmt: skip
    bam = write_bam(tmp_path / "a.bam", reads, "coordinate")
    expected, whole = count(bam, gtf)
    assert whole.fates["Assigned"] > 1000
    assert sum(whole.fates.values()) == 6000
    monkeypatch.setattr("chromeprep.quantify.count._CHUNK_BYTES", 1)
    for threads in (1, 3):
        exons = read_exons(gtf)
        seen: list[tuple[int, int]] = []
        found = count_bam(bam, exons, gtf, threads=threads,
                          progress=lambda at, size, seen=seen: seen.append((at, size)))  # type: ignore[misc]  # fmt: skip
        assert found.fragments.tolist() == list(expected.values())
        assert found.fates == whole.fates
        assert len(seen) > 5
        assert seen[-1] == (bam.stat().st_size,) * 2


# Against featureCounts.


@needs_feature_counts
@pytest.mark.parametrize("name", RULES)
def test_single_reads_as_feature_counts(tmp_path: Path, name: str) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", SINGLE)
    rule, options = RULES[name]
    reference = feature_counts(bam, gtf, *options)
    assert_same(count(bam, gtf, **rule), reference)
    exons = read_exons(gtf)
    assert dict(zip(exons.gene_id, exons.length_bp, strict=True)) == reference.lengths


@needs_feature_counts
@pytest.mark.parametrize("order", ["as given", "coordinate", "shuffled"])
@pytest.mark.parametrize("name", RULES)
def test_pairs_as_feature_counts(tmp_path: Path, name: str, order: str) -> None:
    gtf = write_gtf(tmp_path / "a.gtf")
    bam = write_bam(tmp_path / "a.bam", PAIRED, order)
    rule, options = RULES[name]
    assert_same(count(bam, gtf, **rule), feature_counts(bam, gtf, *PAIRS, *options))


CIGARS = st.sampled_from(
    ["10M", "1M", "5S10M", "10M5S", "3M40N7M", "3M2I7M", "5M30D5M", "4M100N2M60N4M", "5H3M1X4="]
)
PLACES = st.integers(80, 460)
TAGS = st.sampled_from(["", "", "", "NH:i:1", "NH:i:2"])
READS = st.builds(
    lambda position, cigar, flag, mapq, tags: (flag, position, cigar, mapq, tags),
    PLACES, CIGARS, st.sampled_from([0, 0, 16, 16, 0x400, 0x100, 0x200]), st.integers(0, 20), TAGS,
)  # fmt: skip
GENES = st.lists(
    st.tuples(st.sampled_from("ABCD"), st.integers(90, 450), st.integers(1, 60)), min_size=1
)


@needs_feature_counts
@given(genes=GENES, one=st.lists(READS, max_size=25), two=st.lists(READS, max_size=25),
       paired=st.booleans(), rule=st.sampled_from(list(RULES)))  # fmt: skip
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_reads_as_feature_counts(
    tmp_path: Path, genes: Any, one: Any, two: Any, paired: bool, rule: str
) -> None:
    strand = {"A": "+", "B": "-", "C": "+", "D": "-"}
    exons = [(gene, start, start + size, strand[gene]) for gene, start, size in genes]
    gtf = write_gtf(tmp_path / "a.gtf", exons)
    reads: list[Alignment] = []
    for number, (first, second) in enumerate(zip(one, two, strict=False)):
        for read, mate, end in ((first, second, 0x40), (second, first, 0x80)):
            flag, position, cigar, mapq, tags = read
            more = (0x1 | end | 2 * (mate[0] & 16), mate[1]) if paired else (0, 0)
            name = f"r{number}" if paired else f"r{number}-{end}"
            reads.append(Alignment(name, flag | more[0], position, cigar, more[1], mapq, tags))
    if not reads:
        reads = [Alignment("r", 0, 100)]
        paired = False
    bam = write_bam(tmp_path / "a.bam", reads, "coordinate")
    chosen, options = RULES[rule]
    reference = feature_counts(bam, gtf, *(PAIRS if paired else []), *options)
    assert_same(count(bam, gtf, **chosen), reference)


@needs_feature_counts
@pytest.mark.parametrize("mark", ["H3K4me3", "H3K36me3"])
@pytest.mark.parametrize("name", ["default", "forward", "reverse"])
def test_real_reads_as_feature_counts(
    real_data: Path, tmp_path: Path, mark: str, name: str
) -> None:
    gtf = real_data / "annotation" / "chr21.refseq.hg19.gtf.gz"
    bam = tmp_path / "a.bam"
    bam.symlink_to(real_data / "bam" / "chr21_three_marks" / f"{mark}.bam")
    rule, options = RULES[name]
    reference = feature_counts(bam, gtf, *options)
    assert sum(reference.counts.values()) > 1000
    assert_same(count(bam, gtf, **rule), reference)


@needs_feature_counts
@pytest.mark.parametrize("order", ["coordinate", "name"])
def test_real_pairs_as_feature_counts(real_data: Path, tmp_path: Path, order: str) -> None:
    source = real_data / "bam" / "K562_chr1" / "K562_H3K36me3.bam"
    bam = tmp_path / "a.bam"
    # All reads of this file have one name, by which nobody could tell mates.
    seen: dict[tuple[int, int, bool], int] = {}
    with (
        pysam.AlignmentFile(str(source)) as reads,
        pysam.AlignmentFile(str(bam), "wb", header=reads.header) as out,
    ):
        for read in reads:
            places = read.reference_start, read.next_reference_start
            first, second = places if read.is_read1 else places[::-1]
            key = first, second, read.is_read1
            seen[key] = seen.get(key, 0) + 1
            read.query_name = f"{first}.{second}.{seen[key]}"
            out.write(read)
    if order == "name":
        pysam.sort("-n", "-o", str(tmp_path / "b.bam"), str(bam))
        bam = tmp_path / "b.bam"
    rng = np.random.default_rng(0)
    exons = [
        (f"G{gene}", int(start), int(start + rng.integers(50, 900)), "+-"[gene % 2])
        for gene in range(300)
        for start in 22_490_000 + rng.integers(0, 2_500_000) + rng.integers(0, 15_000, 6)
    ]
    gtf = write_gtf(tmp_path / "a.gtf", exons)
    for name in ("default", "reverse", "quality"):
        rule, options = RULES[name]
        reference = feature_counts(bam, gtf, *PAIRS, *options)
        assert sum(reference.counts.values()) > 1000
        assert_same(count(bam, gtf, **rule), reference)


@needs_feature_counts
@pytest.mark.parametrize("options", [[], ["--extraAttributes", "gene_name,gene_type"]])
def test_the_table_of_feature_counts_itself(tmp_path: Path, options: list[str]) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", SINGLE)
    out = tmp_path / "counts.txt"
    subprocess.run(
        ["featureCounts", "--primary", *options, "-a", gtf, "-o", out, bam],
        check=True,
        capture_output=True,
    )
    exons = read_exons(gtf)
    fragments = count_bam(bam, exons, gtf).fragments.astype(np.float64)
    expected = rpkm(fragments, exons.length_bp.astype(np.float64))
    table = read_expression(out)
    assert table.column == str(bam)
    assert dict(table.values) == pytest.approx(dict(zip(exons.gene_id, expected, strict=True)))
    by_symbol = read_expression(out, "a", ids="symbol").values
    assert list(by_symbol) == ([f"S{gene}" for gene in "ABCDEF"] if options else list("ABCDEF"))


# The command.


def test_command(chromeprep: Any, tmp_path: Path) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", SINGLE)
    out = tmp_path / "out.tsv"
    done = chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", out, "-p", 2)
    assert (done.code, done.out) == (0, ""), done.err
    lines = [line.split() for line in done.err.splitlines()]
    assert ["Assigned", "12", "35.3%"] in lines
    assert ["Unassigned_MultiMapping", "5", "14.7%"] in lines
    assert "24 of 29 primary alignments have no NH tag and were taken to be unique" in done.err
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows[0] == ["gene_id", "gene_name", "length_bp", "count", "rpkm", "tpm"]
    assert rows[1] == ["A", "SA", "220", "4", "1.51515e+06", "10582"]
    assert [row[3] for row in rows[1:]] == ["4", "0", "7", "1", "0", "0"]
    table = read_expression(out)
    assert (table.described, table.values["A"]) == ("tpm (chromeprep quantify)", 10582)
    assert read_expression(out, "rpkm").values["A"] == 1.51515e6
    # featureCounts' own table gives the same RPKM.
    counts = "".join(f"{row[0]}\tc\t1\t2\t+\t{row[2]}\t{row[3]}\n" for row in rows[1:])
    other = tmp_path / "counts.txt"
    other.write_text("Geneid\tChr\tStart\tEnd\tStrand\tLength\ta.bam\n" + counts)
    assert read_expression(other).values == pytest.approx(
        dict(read_expression(out, "rpkm").values), rel=1e-5
    )


def test_several_files_are_added_up(chromeprep: Any, tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "a.gtf")
    one = write_bam(tmp_path / "one.bam", SINGLE)
    two = write_bam(tmp_path / "two.bam", PAIRED, "coordinate")
    out = tmp_path / "out.tsv"
    done = chromeprep("quantify", "--bam", one, "--bam", two, "--gtf", gtf, "-o", out)
    assert done.code == 0, done.err
    expected = [a + b for a, b in zip(count(one, gtf)[0].values(), count(two, gtf)[0].values(),
                                      strict=True)]  # fmt: skip
    assert [int(line.split("\t")[3]) for line in out.read_text().splitlines()[1:]] == expected


def test_no_reads(chromeprep: Any, tmp_path: Path) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", [])
    out = tmp_path / "out.tsv"
    done = chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", out)
    assert done.code == 0, done.err
    assert "warning: no fragment was assigned to any gene" in done.err
    assert out.read_text().splitlines()[1] == "A\tSA\t220\t0\t0\t0"


def test_usage(chromeprep: Any, tmp_path: Path) -> None:
    assert chromeprep("quantify", "--gtf", "x", "-o", "y").code == 2
    done = chromeprep("quantify", "--bam", "x", "--bam", "./x", "--gtf", "x", "-o", tmp_path / "y")
    assert done.code == 2
    assert "is given more than once" in done.err


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no BAM": (lambda data: b"no BAM at all" * 99, "is not a BAM file, expected BAM"),
    "CRAM": (lambda data: b"CRAM" + data, "is a CRAM file, expected BAM"),
    "empty": (lambda data: b"", "is empty"),
    "truncated": (lambda data: data[:-40], "truncated BAM: its end-of-file mark is missing"),
    "damaged block": (
        lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:], "damaged BGZF"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files(chromeprep: Any, tmp_path: Path, kind: str) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", SINGLE)
    change, message = WRONG[kind]
    bam.write_bytes(change(bam.read_bytes()))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", tmp_path / "out.tsv")
    assert done.code == 1
    assert f"chromeprep: error: {bam}: {message}" in done.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_records_that_make_no_sense(tmp_path: Path) -> None:
    gtf = write_gtf(tmp_path / "a.gtf")
    header = b"BAM\1" + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    header += (5).to_bytes(4, "little") + b"chr1\0" + (99).to_bytes(4, "little")
    (tmp_path / "plain").write_bytes(header + (7).to_bytes(4, "little") + b"1234567")
    pysam.tabix_compress(str(tmp_path / "plain"), str(tmp_path / "a.bam"))
    with pytest.raises(SignalError, match="damaged BAM: its records do not follow one another"):
        count(tmp_path / "a.bam", gtf)


def test_no_exons(chromeprep: Any, tmp_path: Path) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", SINGLE)
    gtf.write_text(gtf.read_text().replace("\texon\t", "\tgene\t"))
    done = chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", tmp_path / "out.tsv")
    assert done.code == 1
    assert f"{gtf}: has no exon lines" in done.err


def test_an_output_that_exists(chromeprep: Any, tmp_path: Path) -> None:
    gtf, bam = write_gtf(tmp_path / "a.gtf"), write_bam(tmp_path / "a.bam", SINGLE)
    done = chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", gtf)
    assert done.code == 1
    assert "is one of the inputs and would be replaced" in done.err
    out = tmp_path / "out.tsv"
    out.write_text("precious")
    assert chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", out).code == 1
    assert out.read_text() == "precious"
    assert chromeprep("quantify", "--bam", bam, "--gtf", gtf, "-o", out, "-f").code == 0


def test_the_reasons_are_those_of_feature_counts() -> None:
    ours = {"Unassigned_Supplementary"}
    assert set(REASONS) - ours == {
        "Assigned", "Unassigned_Unmapped", "Unassigned_MappingQuality", "Unassigned_Duplicate",
        "Unassigned_MultiMapping", "Unassigned_Secondary", "Unassigned_NoFeatures",
        "Unassigned_Ambiguity",
    }  # fmt: skip
