"""`chromeprep bin`, from files to file, gives what the tools that labs use give."""

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromeprep.format import ChromeBins, read_bins

COMPUTE_MATRIX = Path(sys.executable).with_name("computeMatrix")
needs_deeptools = pytest.mark.skipif(
    not COMPUTE_MATRIX.exists(), reason="needs deepTools: pip install deeptools"
)
needs_feature_counts = pytest.mark.skipif(
    shutil.which("featureCounts") is None, reason="needs featureCounts (package subread)"
)


def bed_of(data: ChromeBins, path: Path) -> Path:
    """Write the genes, so that their 5' end is the TSS."""
    genes = data.genes
    rows = zip(genes.chrom, genes.start, genes.end, genes.gene_id, genes.strand, strict=True)
    path.write_text("".join(f"{c}\t{s}\t{e}\t{name}\t0\t{x}\n" for c, s, e, name, x in rows))
    return path


def compute_matrix(track: Path, data: ChromeBins, folder: Path) -> np.ndarray[Any, Any]:
    """Return the matrix of deepTools, in the order of the genes."""
    out = folder / "matrix.gz"
    flank = data.attributes.flank_bp
    subprocess.run(
        [COMPUTE_MATRIX, "reference-point", "--referencePoint", "TSS", "-S", track,
         "-R", bed_of(data, folder / "genes.bed"), "-b", str(flank), "-a", str(flank),
         "-bs", str(data.attributes.bin_size_bp), "--missingDataAsZero", "--sortRegions", "keep",
         "-o", out],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = {}
    for line in gzip.decompress(out.read_bytes()).decode().splitlines()[1:]:
        fields = line.split("\t")
        rows[fields[3]] = [float(value) for value in fields[6:]]
    return np.array([rows[name] for name in data.genes.gene_id])


@needs_deeptools
def test_signal_is_that_of_compute_matrix(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    assert chromeprep(*world.arguments("-o", out)).code == 0
    data = read_bins(out)
    found = compute_matrix(world.bigwig, data, tmp_path)
    inside = data.genes.bins_outside == 0  # deepTools shifts windows that leave the chromosome
    assert inside.sum() >= 15
    assert set(data.genes.strand[inside]) == {"+", "-"}
    mark = data.mark_names.index("H3K4me3")
    np.testing.assert_allclose(data.signal[inside, mark], found[inside], rtol=0, atol=2e-6)
    assert data.signal[inside, mark].std() > 1


@needs_deeptools
def test_real_signal_is_that_of_compute_matrix(
    chromeprep: Any, real_data: Path, tmp_path: Path
) -> None:
    pilot = real_data / "bigwig/pilot"
    track = next(pilot.glob("E003-H3K4me3*"))
    out = tmp_path / "a.h5"
    done = chromeprep(
        "bin", "--bigwig", track, "--gtf", real_data / "annotation/gencode_10_genes.gtf.gz",
        "--regions", pilot / "covered_regions.bed", "-o", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    data = read_bins(out)
    assert len(data.genes) > 200
    found = compute_matrix(track, data, tmp_path)
    # deepTools writes six digits after the point.
    np.testing.assert_allclose(data.signal[:, 0], found, rtol=1e-6, atol=1e-6)


@needs_feature_counts
def test_reads_without_gaps_are_counted_as_by_feature_counts(
    chromeprep: Any, workshop: Any, world: Any, tmp_path: Path
) -> None:
    rng = random.Random(5)
    reads = [
        workshop.Read(
            chrom, rng.randrange(size - 120), f"{rng.randrange(20, 120)}M",
            rng.choice([0, 0, 16, 0x400, 0x200, 0x4]), rng.choice([0, 9, 10, 40]),
        )
        for chrom, size in world.chromosomes.items()
        for _ in range(3000)
    ]  # fmt: skip
    bam = workshop.bam(reads, world.chromosomes, "H3K9ac.bam")
    out = tmp_path / "a.h5"
    # featureCounts leaves out unmapped reads alone, unless it is told otherwise.
    done = chromeprep(*world.arguments("--bam", bam, "--exclude-flags", "0x4", "--min-mapq", 10,
                                       "-o", out, tracks=False))  # fmt: skip
    assert done.code == 0, done.err
    data = read_bins(out)
    genes, size, flank = data.genes, 100, data.attributes.flank_bp
    saf, expected = [], {}
    for row in range(len(genes)):
        for b in range(data.attributes.n_bins):
            offset = -flank + b * size
            plus = genes.strand[row] == "+"
            start = genes.tss[row] + offset if plus else genes.tss[row] + 1 - offset - size
            if start >= 0 and start + size <= world.chromosomes[genes.chrom[row]]:
                saf.append(f"{row}.{b}\t{genes.chrom[row]}\t{start + 1}\t{start + size}\t+\n")
                expected[f"{row}.{b}"] = data.signal[row, 0, b]
    (tmp_path / "bins.saf").write_text("".join(saf))
    subprocess.run(
        ["featureCounts", "-F", "SAF", "-O", "-Q", "10", "-a", tmp_path / "bins.saf",
         "-o", tmp_path / "counts.txt", bam],
        check=True, capture_output=True,
    )  # fmt: skip
    found = {}
    for line in (tmp_path / "counts.txt").read_text().splitlines()[2:]:
        fields = line.split("\t")
        found[fields[0]] = int(fields[6])
    assert found == expected
    assert max(found.values()) > 5
