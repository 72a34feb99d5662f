"""Public measurements: the facts known of them, and every bin against references."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest

from chromeprep.annotation import read_gtf
from chromeprep.expression import join_expression, median_labels, read_expression
from chromeprep.format import ChromeBins, GeneTable, read_bins
from chromeprep.format.validate import violations
from chromeprep.selection import with_expression
from chromeprep.windows import Windows, neighbour_filter

FOUR = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3")


@pytest.fixture(scope="session")
def gtf(real_data: Path) -> Path:
    return real_data / "annotation" / "gencode_10_genes.gtf.gz"


@pytest.fixture(scope="session")
def rpkm(real_data: Path) -> Path:
    return real_data / "roadmap" / "57epigenomes.RPKM.pc.gz"


def test_gencode_10(gtf: Path) -> None:
    found = read_gtf(gtf, ["any"])
    assert found.feature == "gene"
    assert found.n_all + found.n_par_y == 43_575
    assert found.n_par_y == 40
    assert len(found.genes) == found.n_all
    with gzip.open(gtf, "rt") as lines:
        expected = {}
        for line in lines:
            fields = line.split("\t")
            name = fields[8].split('gene_id "')[1].split('"')[0]
            expected[name] = (fields[0], int(fields[3]) - 1, int(fields[4]), fields[6])
    genes = found.genes
    for row in range(0, len(genes), 97):
        place = (genes.chrom[row], genes.start[row], genes.end[row], genes.strand[row])
        assert expected[genes.gene_id[row]] == place


def test_refseq_exons(real_data: Path) -> None:
    path = real_data / "annotation" / "chr21.refseq.hg19.gtf.gz"
    found = read_gtf(path)  # of no type at all: all are kept
    expected: dict[str, list[int]] = defaultdict(list)
    with gzip.open(path, "rt") as lines:
        for line in lines:
            fields = line.split("\t")
            if fields[2] == "exon":
                name = fields[8].split('gene_id "')[1].split('"')[0]
                expected[name] += [int(fields[3]) - 1, int(fields[4])]
    assert found.feature == "exon"
    spans = zip(found.genes.start, found.genes.end, strict=True)
    assert dict(zip(found.genes.gene_id, spans, strict=True)) == {
        name: (min(ends), max(ends)) for name, ends in expected.items()
    }


def test_roadmaps_table(rpkm: Path) -> None:
    found = read_expression(rpkm, None, "E003")
    assert len(found.values) == 19_795
    assert (found.n_missing, found.n_par_y) == (0, 0)
    assert found.values["ENSG00000000003"] == 43.985
    last = read_expression(rpkm, "E128")
    assert len(last.values) == 19_795


def test_the_filter_on_gencode_10(gtf: Path, rpkm: Path) -> None:
    genes = read_gtf(gtf, ["any"]).genes
    values = join_expression(genes.gene_id, read_expression(rpkm, "E003").values)
    known = genes.take(~np.isnan(values))
    assert len(known) == 19_795
    kept = neighbour_filter(known, 5000)
    assert kept.sum() == 17_609
    label = median_labels(values[~np.isnan(values)][kept]).label
    assert (label == 1).mean() == pytest.approx(0.5, abs=0.001)


def test_the_filter_on_gencode_19(real_data: Path, rpkm: Path) -> None:
    path = real_data / "annotation" / "gencode.v19.protein_coding_genes.hg19.tsv.gz"
    with gzip.open(path, "rt") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    genes = GeneTable.build(
        [row["ensg"] for row in rows], [row["chromosome"] for row in rows],
        [int(row["start"]) - 1 for row in rows], [int(row["end"]) for row in rows],
        [row["strand"] for row in rows],
    )  # fmt: skip
    values = join_expression(genes.gene_id, read_expression(rpkm, "E003").values)
    known = genes.take(~np.isnan(values))
    assert len(known) == 19_300
    assert neighbour_filter(known, 5000).sum() == 17_181


# Tracks. The references below share nothing with the package but pyBigWig and the file format.


def genome_bins(data: ChromeBins, row: int) -> list[tuple[int, int]]:
    """Return the bins of a gene, in its own direction, from GTF positions alone."""
    flank, size = data.attributes.flank_bp, data.attributes.bin_size_bp
    if data.genes.strand[row] == "+":
        tss = int(data.genes.start[row])
        return [(tss + at, tss + at + size) for at in range(-flank, flank, size)]
    tss = int(data.genes.end[row]) - 1
    return [(tss - at - size + 1, tss - at + 1) for at in range(-flank, flank, size)]


def check_bigwigs(data: ChromeBins, paths: list[Path]) -> int:
    """Compare every bin with the mean of `values`, NaN as 0, in double precision."""
    checked = 0
    for mark, path in enumerate(paths):
        with pyBigWig.open(str(path)) as track:
            for row, chrom in enumerate(data.genes.chrom):
                bins = genome_bins(data, row)
                first, last = min(bins[0][0], bins[-1][0]), max(bins[0][1], bins[-1][1])
                length = track.chroms(str(chrom))
                left, right = max(first, 0), min(last, length)
                values = np.zeros(last - first)
                read = np.array(track.values(str(chrom), left, right, numpy=True), np.float64)
                values[left - first : right - first] = np.nan_to_num(read, nan=0.0)
                means = values.reshape(len(bins), -1).mean(axis=1).astype(np.float32)
                if data.genes.strand[row] == "-":
                    means = means[::-1]
                checked += len(bins)
                np.testing.assert_array_equal(data.signal[row, mark], means)
    return checked


def genomewide(
    chromeprep: Any, real_data: Path, gtf: Path, rpkm: Path, cell: str, out: Path, *more: object
) -> Any:
    folder = real_data / "bigwig" / "genomewide"
    paths = [folder / f"{cell}-{mark}.calls200bp.hg19.bw" for mark in FOUR]
    tracks = [part for path in reversed(paths) for part in ("--bigwig", path)]
    done = chromeprep("bin", *tracks, "--gtf", gtf, "--expression", rpkm, "--cell-type", cell,
                      "--assembly", "hg19", "-p", 2, "-o", out, *more)  # fmt: skip
    assert done.code == 0, done.err
    assert "   19,795  known to the expression table\n" in done.err
    assert "   17,609  after the 5,000 bp neighbour filter\n" in done.err
    data = read_bins(out)
    assert data.mark_names == list(FOUR)
    return done, data, paths


@pytest.mark.slow
def test_genomewide_e003(
    chromeprep: Any, real_data: Path, gtf: Path, rpkm: Path, tmp_path: Path
) -> None:
    out = tmp_path / "E003.h5"
    done, data, paths = genomewide(chromeprep, real_data, gtf, rpkm, "E003", out)
    assert "   17,559  on chromosomes that every track has (50 left out: chrY 50)" in done.err
    assert "    50.1%  of the labels are high" in done.err
    assert data.signal.shape == (17_559, 4, 200)
    assert (data.genes.label == 1).mean() == pytest.approx(0.501, abs=0.0005)
    assert violations(out) == []
    assert check_bigwigs(data, paths) == 17_559 * 4 * 200
    for mark in range(4):
        signal = data.signal[:, mark].astype(np.float64)
        assert data.marks.mean[mark] == pytest.approx(signal.mean(), rel=1e-9)
        assert data.marks.std[mark] == pytest.approx(signal.std(), rel=1e-9)


def test_some_chromosomes_of_e116(
    chromeprep: Any, real_data: Path, gtf: Path, rpkm: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "whole.bed"
    with (real_data / "annotation" / "hg19.chrom.sizes").open() as lines:
        sizes = dict(line.split() for line in lines)
    bed.write_text("".join(f"{name}\t0\t{sizes[name]}\n" for name in ("chr13", "chr21", "chrX")))
    out = tmp_path / "E116.h5"
    _, data, paths = genomewide(chromeprep, real_data, gtf, rpkm, "E116", out, "--regions", bed)
    assert set(data.genes.chrom) == {"chr13", "chr21", "chrX"}
    assert len(data.genes) > 1000
    assert check_bigwigs(data, paths) == len(data.genes) * 4 * 200


@pytest.mark.parametrize("cell", ["E003", "E116"])
def test_pilot_regions(
    chromeprep: Any, real_data: Path, gtf: Path, rpkm: Path, tmp_path: Path, cell: str
) -> None:
    folder = real_data / "bigwig" / "pilot"
    marks = (*FOUR, "H3K9me3")
    paths = [folder / f"{cell}-{mark}.pilot.neglog10p.hg19.bw" for mark in marks]
    tracks = [part for path in paths for part in ("--bigwig", path)]
    bed = folder / "covered_regions.bed"
    out = tmp_path / "a.h5"
    done = chromeprep("bin", *tracks, "--gtf", gtf, "--expression", rpkm, "--cell-type", cell,
                      "--regions", bed, "-o", out)  # fmt: skip
    assert done.code == 0, done.err
    data = read_bins(out)
    assert 290 <= len(data.genes) <= 330
    assert data.mark_names == list(marks)
    assert check_bigwigs(data, paths) == len(data.genes) * 5 * 200
    regions = [line.split()[:3] for line in bed.read_text().splitlines()]
    for row in range(len(data.genes)):
        ends = sorted({end for pair in genome_bins(data, row) for end in pair})
        assert any(
            chrom == data.genes.chrom[row] and int(start) <= ends[0] and ends[-1] <= int(end)
            for chrom, start, end in regions
        )
    assert violations(out) == []


BAMS = {
    "chr21_three_marks": ["H3K4me3.bam", "H3K36me3.bam", "H3K9me3.bam"],
    "K562_chr1": ["K562_H3K4me3.bam", "K562_H3K36me3.bam", "Input=K562_Input.bam"],
}


@pytest.mark.skipif(
    not (shutil.which("bedtools") and shutil.which("samtools")),
    reason="needs the bedtools and samtools programs",
)
@pytest.mark.parametrize("name", BAMS)
def test_bams_against_multicov(chromeprep: Any, real_data: Path, workshop: Any, name: str) -> None:
    """The transcripts of genes.bed as genes, none filtered: windows that overlap a lot.

    multicov looks up each bin in the index, so only some genes are put to it (all where
    CHROME_EVERY_BIN is set, in some minutes); `bedtools intersect -c` counts alike and sweeps.
    """
    folder = real_data / "bam" / name
    seen: dict[str, int] = defaultdict(int)
    genes = []
    for line in (folder / "genes.bed").read_text().splitlines():
        chrom, start, end, label, _, strand = line.split("\t")[:6]
        seen[label] += 1
        genes.append(workshop.Gene(f"{label}_{seen[label]}", chrom, int(start), int(end), strand))
    tracks: list[object] = []
    for entry in BAMS[name]:
        mark, _, file = entry.rpartition("=")
        tracks += ["--bam", f"{mark}={folder / file}" if mark else folder / file]
    out = workshop.folder / "a.h5"
    done = chromeprep("bin", *tracks, "--gtf", workshop.gtf(genes), "--neighbour-distance", 0,
                      "--flank", 5000, "-p", 2, "-o", out)  # fmt: skip
    assert done.code == 0, done.err
    data = read_bins(out)
    assert len(data.genes) == len(genes)
    lines = [
        f"{data.genes.chrom[row]}\t{start}\t{end}\t{row}\t{number}\n"
        for row in range(len(genes))
        for number, (start, end) in enumerate(genome_bins(data, row))
    ]
    every = workshop.text("every.bed", "".join(lines))
    step = 1 if "CHROME_EVERY_BIN" in os.environ else 101  # no divisor of the bins of a gene
    some = workshop.text("some.bed", "".join(lines[::step]))
    for mark, source in enumerate(data.marks.source):
        filtered = workshop.folder / f"{mark}.bam"
        subprocess.run(
            ["samtools", "view", "-b", "-F", "0xF04", "-o", filtered, source], check=True
        )
        subprocess.run(["samtools", "index", filtered], check=True)
        for command in (["multicov", "-bams", filtered, "-bed", some],
                        ["intersect", "-c", "-a", every, "-b", filtered]):  # fmt: skip
            ran = subprocess.run(["bedtools", *command], check=True, capture_output=True, text=True)
            table = np.array([line.split("\t")[3:] for line in ran.stdout.splitlines()], dtype=int)
            assert len(table) >= len(lines) // step
            found = data.signal[table[:, 0], mark, table[:, 1]]
            np.testing.assert_array_equal(found, table[:, 2])
        assert len(table) == data.signal[:, mark].size
        expected = table[:, 2]
        assert expected.sum() > 1000
        assert data.marks.n_mapped[mark] > expected.max()
    assert violations(out) == []


def test_with_expression_keeps_the_rest(gtf: Path) -> None:
    genes = read_gtf(gtf).genes
    values = np.arange(len(genes), dtype=np.float64)
    other = with_expression(genes, values, median_labels(values))
    np.testing.assert_array_equal(other.expression, values)
    np.testing.assert_array_equal(other.tss, genes.tss)
    assert Windows().starts(other)[0] == Windows().starts(genes)[0]
