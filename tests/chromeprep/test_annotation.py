"""GTF of every dialect, and every way in which one can be wrong."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest

from chromeprep import textfiles
from chromeprep.annotation import Annotation, read_gtf
from chromeprep.errors import AnnotationError

GENES = [
    ("ENSG00000000001.4", "chr1", 99, 200, "+", "protein_coding"),
    ("ENSG00000000002.1", "chr1", 299, 500, "-", "protein_coding"),
    ("ENSG00000000003.7", "chrX", 10, 20, "-", "lncRNA"),
]


@pytest.fixture
def genes(workshop: Any) -> list[Any]:
    return [workshop.Gene(*gene) for gene in GENES]


def rows(annotation: Annotation) -> list[tuple[Any, ...]]:
    table = annotation.genes
    columns = (table.gene_id, table.chrom, table.start, table.end, table.strand, table.gene_type)
    return [tuple(row) for row in zip(*columns, strict=True)]


def test_gene_lines(workshop: Any, genes: list[Any]) -> None:
    found = read_gtf(workshop.gtf(genes))
    assert rows(found) == GENES[:2]
    assert list(found.genes.tss) == [99, 499]
    assert list(found.genes.gene_name) == ["NENSG00000000001.4", "NENSG00000000002.1"]
    assert (found.feature, found.n_all, found.n_par_y, found.n_unstranded) == ("gene", 3, 0, 0)


@pytest.mark.parametrize("key", ["gene_type", "gene_biotype"])
@pytest.mark.parametrize(
    ("types", "count"),
    [(["lncRNA"], 1), (["any"], 3), ([], 3), (["lncRNA", "protein_coding"], 3)],
)
def test_types(workshop: Any, genes: list[Any], key: str, types: list[str], count: int) -> None:
    assert len(read_gtf(workshop.gtf(genes, key=key), types).genes) == count


def test_unknown_type_is_named_with_the_nearest(workshop: Any, genes: list[Any]) -> None:
    with pytest.raises(AnnotationError, match="'protein-coding'; did you mean 'protein_coding'"):
        read_gtf(workshop.gtf(genes), ["protein-coding"])


def test_without_types_all_are_kept_with_a_notice(
    workshop: Any, genes: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = workshop.gtf(genes, key="other")
    with caplog.at_level(logging.INFO):
        assert len(read_gtf(path).genes) == 3
    assert f"{path}: has neither gene_type nor gene_biotype; all 3 genes are kept" in caplog.text


@pytest.mark.parametrize("feature", ["transcript", "exon"])
def test_genes_from_their_parts(workshop: Any, genes: list[Any], feature: str) -> None:
    parts = [
        gene._replace(start=gene.start + left, end=gene.end - right)
        for left, right in [(3, 0), (0, 5), (2, 2)]
        for gene in genes
    ]
    text = "".join(f"{gene.line(feature)}\n{gene.line('CDS')}\n" for gene in parts)
    found = read_gtf(workshop.text("a.gtf", text))
    assert rows(found) == GENES[:2]
    assert found.feature == feature


def test_gene_lines_win_over_their_parts(workshop: Any, genes: list[Any]) -> None:
    gene = genes[0]
    wide = gene._replace(start=0, end=10_000)
    text = f"{wide.line('exon')}\n{wide.line('transcript')}\n{gene.line('gene')}\n"
    assert rows(read_gtf(workshop.text("a.gtf", text))) == GENES[:1]


def test_exons_do_not_count_where_there_are_transcripts(workshop: Any, genes: list[Any]) -> None:
    gene = genes[0]
    wide = gene._replace(start=0, end=10_000)
    text = f"{wide.line('exon')}\n{gene.line('transcript')}\n"
    assert rows(read_gtf(workshop.text("a.gtf", text))) == GENES[:1]


@pytest.mark.parametrize("source", ["gene", "exon", "transcript"])
def test_source_column_named_as_a_feature(workshop: Any, genes: list[Any], source: str) -> None:
    gene = genes[0]
    wide = gene._replace(start=0, end=10_000)
    text = f"{wide.line('exon', source)}\n{gene.line('gene', source)}\n{wide.line('CDS', source)}\n"
    assert rows(read_gtf(workshop.text("a.gtf", text))) == GENES[:1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", ["a.gtf", "a.gtf.gz"])
def test_line_ends_comments_and_blank_lines(
    workshop: Any, genes: list[Any], end: str, last: bool, name: str
) -> None:
    lines = ["#!genome-build GRCh37", "##date: 2020\tgene\tx", *[gene.line() for gene in genes]]
    lines[3:3] = ["", '# chr1\ta\tgene\t1\t2\t.\t+\t.\tgene_id "commented";']
    found = read_gtf(workshop.text(name, end.join(lines) + (end if last else "")))
    assert rows(found) == GENES[:2]
    assert not any("\r" in text for text in found.genes.gene_name)


def test_unquoted_attributes_with_line_ends(workshop: Any) -> None:
    line = "chr1\tx\tgene\t1\t9\t.\t+\t.\tgene_type protein_coding ; gene_id G1"
    found = read_gtf(workshop.text("a.gtf", f"{line}\r\n"))
    assert rows(found) == [("G1", "chr1", 0, 9, "+", "protein_coding")]


@pytest.mark.parametrize(
    "attributes",
    [
        'gene_id "G1"; ref_gene_id "WRONG"; ',
        'ref_gene_id "WRONG"; gene_id "G1";',
        'note "the gene_id WRONG; is old"; gene_id "G1"',
        'gene_id "G1"; gene_id "WRONG";',
        'x 1;gene_id "G1";gene_type "protein_coding"',
        'transcript_id ""; gene_id  "G1";',
    ],
)
def test_which_gene_id_counts(workshop: Any, attributes: str) -> None:
    path = workshop.text("a.gtf", f"chr1\tx\tgene\t1\t9\t.\t+\t.\t{attributes}\n")
    assert list(read_gtf(path, ["any"]).genes.gene_id) == ["G1"]


def test_semicolon_within_quotes(workshop: Any) -> None:
    line = 'chr1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "G1"; gene_name "a;b"; gene_type "t";\n'
    assert list(read_gtf(workshop.text("a.gtf", line), ["t"]).genes.gene_name) == ["a;b"]


def test_copies_on_the_y_are_dropped_and_counted(workshop: Any, genes: list[Any]) -> None:
    more = [
        workshop.Gene("ENSG00000182378.15_PAR_Y", "chrY", 10, 20, "+"),
        workshop.Gene("ENSGR0000182378.8", "chrY", 10, 20, "+"),
        workshop.Gene("ENSGR0000182378.8", "chrY", 10, 25, "+"),
    ]
    found = read_gtf(workshop.gtf([*genes, *more]))
    assert rows(found) == GENES[:2]
    assert (found.n_all, found.n_par_y) == (3, 2)


def test_nothing_but_copies_on_the_y(workshop: Any) -> None:
    path = workshop.gtf([workshop.Gene("ENSGR0000182378.8", "chrY", 10, 20, "+")])
    with pytest.raises(AnnotationError, match="1 are copies of pseudo-autosomal genes"):
        read_gtf(path)


def test_genes_without_a_strand_are_dropped_and_counted(workshop: Any, genes: list[Any]) -> None:
    found = read_gtf(workshop.gtf([*genes, workshop.Gene("S", "chr1", 5, 9, ".")]))
    assert rows(found) == GENES[:2]
    assert found.n_unstranded == 1


@pytest.mark.parametrize("block", [1, 17, 100, 1000])
@pytest.mark.parametrize("name", ["a.gtf", "a.gtf.gz"])
def test_block_boundaries(
    workshop: Any, monkeypatch: pytest.MonkeyPatch, block: int, name: str
) -> None:
    rng = random.Random(block)
    genes, lines = [], ["#!a comment"]
    for number in range(60):
        start = rng.randrange(10_000)
        gene = workshop.Gene(f"G{number}", f"chr{number % 3}", start, start + 50, "+-"[number % 2])
        genes.append(tuple(gene))
        lines += [gene.line(), gene.line("transcript", "gene"), gene.line("exon")]
    path = workshop.text(name, "\n".join(lines) + "\n")
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", block)
    assert rows(read_gtf(path)) == genes


def test_bgzip(workshop: Any, genes: list[Any], tmp_path: Path) -> None:
    import pysam

    many = [genes[0]._replace(gene_id=f"G{number}") for number in range(3000)]
    plain = workshop.gtf(many)
    pysam.tabix_compress(str(plain), str(tmp_path / "b.gtf.gz"))
    assert len(read_gtf(tmp_path / "b.gtf.gz").genes) == 3000


@pytest.mark.parametrize("block", [50, 1 << 20])
@pytest.mark.parametrize("other", [{"chrom": "chr2"}, {"strand": "-"}])
def test_one_id_in_two_places(
    workshop: Any, genes: list[Any], monkeypatch: pytest.MonkeyPatch, block: int, other: Any
) -> None:
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", block)
    copy = genes[0]._replace(**other)
    lines = ["# one", genes[1].line(), genes[0].line(), genes[0].line("exon"), copy.line()]
    path = workshop.text("a.gtf", "\n".join(lines) + "\n")
    with pytest.raises(AnnotationError) as caught:
        read_gtf(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 1 gene id on more than one chromosome or strand")
    assert f"line 3: {genes[0].line()[:60]}" in message
    assert f"line 5: {copy.line()[:60]}" in message


def test_many_ids_in_two_places_show_three(workshop: Any, genes: list[Any]) -> None:
    both = [genes[0]._replace(gene_id=f"G{n}", chrom=chrom) for chrom in "ab" for n in range(5)]
    with pytest.raises(AnnotationError, match=r"5 gene ids .*first 3 shown") as caught:
        read_gtf(workshop.gtf(both))
    assert str(caught.value).count("  line ") == 6


GOOD = 'chr1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "G"; gene_type "protein_coding";'
MALFORMED = {
    "too few columns": (GOOD.replace("\t.\t+", "\t+"), "8 columns separated by tabs, expected 9"),
    "too many columns": (GOOD.replace("\t+", "\tx\t+"), "10 columns"),
    "spaces": (GOOD.replace("\t", " "), "1 column separated"),
    "start no number": (GOOD.replace("\t1\t", "\tone\t"), "whole numbers"),
    "start 0": (GOOD.replace("\t1\t", "\t0\t"), "start must be at least 1"),
    "end before start": (GOOD.replace("\t1\t9", "\t9\t1"), "not beyond end"),
    "strand": (GOOD.replace("+", "plus"), "strand is 'plus'"),
    "no gene_id": (GOOD.replace("gene_id", "geneid"), "no gene_id"),
    "empty gene_id": (GOOD.replace('"G"', '""'), "no gene_id"),
    "GFF3": (GOOD.rsplit("\t", 1)[0] + "\tID=gene:G;biotype=protein_coding", "GFF3"),
}


@pytest.mark.parametrize("block", [40, 1 << 20])
@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_gene_line(
    workshop: Any, monkeypatch: pytest.MonkeyPatch, kind: str, block: int
) -> None:
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", block)
    line, message = MALFORMED[kind]
    before = GOOD.replace('"G"', '"H"')
    path = workshop.text("a.gtf", f"# x\n{before}\n\n{before}\n{line}\n{before}\n")
    with pytest.raises(AnnotationError, match=message) as caught:
        read_gtf(path)
    assert (caught.value.path, caught.value.line) == (path, 5)
    assert str(caught.value).startswith(f"{path}: line 5: malformed GTF: ")


@pytest.mark.parametrize("block", [40, 1 << 20])
@pytest.mark.parametrize(
    "line", [GOOD.replace("gene\t", "exon\t").replace("\t.\t+", "\t+"), "text", "a\tb"]
)
def test_malformed_other_line(
    workshop: Any, monkeypatch: pytest.MonkeyPatch, line: str, block: int
) -> None:
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", block)
    path = workshop.text("a.gtf", f"# x\n{GOOD}\n{GOOD}\n{line}\n{GOOD}\n")
    with pytest.raises(AnnotationError, match="expected 9") as caught:
        read_gtf(path)
    assert caught.value.line == 4


def test_two_wrong_lines_whose_tabs_add_up(workshop: Any) -> None:
    short = GOOD.replace("\t.\t+", "\t+")
    path = workshop.text("a.gtf", f"{GOOD}\n{short}\n{GOOD.replace('gene', 'exon', 1)}\tx\n")
    with pytest.raises(AnnotationError, match="8 columns") as caught:
        read_gtf(path)
    assert caught.value.line == 2


def test_trailing_tabs_are_forgiven(workshop: Any) -> None:
    path = workshop.text("a.gtf", f"{GOOD}\t\t\n{GOOD.replace('gene', 'exon', 1)}\t\n")
    assert list(read_gtf(path).genes.gene_id) == ["G"]


def test_text_that_is_not_utf8(workshop: Any) -> None:
    path = workshop.text("a.gtf", GOOD.replace('"G"', '"Gé"').encode("latin-1") + b"\n")
    with pytest.raises(AnnotationError, match="line 1: malformed GTF: is not text in UTF-8"):
        read_gtf(path)


def test_no_control_characters_reach_the_terminal(workshop: Any) -> None:
    path = workshop.text("a.gtf", b"\x1b[31mred\x07\n")
    with pytest.raises(AnnotationError) as caught:
        read_gtf(path)
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# only a comment\n", GOOD.replace("gene\t", "CDS\t") + "\n"])
def test_no_genes_at_all(workshop: Any, text: str) -> None:
    with pytest.raises(AnnotationError, match="no gene, transcript or exon lines"):
        read_gtf(workshop.text("a.gtf", text))
