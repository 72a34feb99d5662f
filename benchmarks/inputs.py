"""Inputs as large as real ones, made on the spot: a BAM, its tagAlign, a bigWig, a GTF.

The BAM has 25 million single reads of 36 bp, 30 % of them in peaks round the TSS of genes and
the rest anywhere, with names, bases and qualities that compress as those of real files do.
"""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# hg19, chr1-22 and X.
CHROMOSOMES = {
    "chr1": 249250621, "chr2": 243199373, "chr3": 198022430, "chr4": 191154276, "chr5": 180915260,
    "chr6": 171115067, "chr7": 159138663, "chr8": 146364022, "chr9": 141213431, "chr10": 135534747,
    "chr11": 135006516, "chr12": 133851895, "chr13": 115169878, "chr14": 107349540,
    "chr15": 102531392, "chr16": 90354753, "chr17": 81195210, "chr18": 78077248, "chr19": 59128983,
    "chr20": 63025520, "chr21": 48129895, "chr22": 51304566, "chrX": 155270560,
}  # fmt: skip
READ_BP = 36
N_GENES = 20_000
GTF_LINES = 3_000_000
PEAK_SHARE = 0.3
_PER_WRITE = 500_000
_NAME = "SRR0000000.00000000"


class Gene(NamedTuple):
    """A gene of the generated annotation; 0-based half-open."""

    chrom: str
    start: int
    end: int
    strand: str

    @property
    def tss(self) -> int:
        """The 5' base."""
        return self.start if self.strand == "+" else self.end - 1


def genes(seed: int = 0) -> list[Gene]:
    """Return genes spread over the genome, some in clusters, by position."""
    rng = np.random.default_rng(seed)
    total = sum(CHROMOSOMES.values())
    found = []
    for chrom, length in CHROMOSOMES.items():
        count = round(N_GENES * length / total)
        places = rng.integers(100_000, length - 200_000, count)
        clustered = rng.random(count) < 0.3
        places[1:][clustered[1:]] = places[:-1][clustered[1:]] + rng.integers(
            6_000, 40_000, int(clustered[1:].sum())
        )
        for place in np.sort(places):
            size = int(rng.integers(1_000, 90_000))
            found.append(Gene(chrom, int(place), int(place) + size, "+-"[int(rng.integers(2))]))
    return found


def write_gtf(path: Path, n_lines: int = GTF_LINES) -> Path:
    """Write an annotation with transcripts and exons enough to have `n_lines` lines, gzipped."""
    rng = np.random.default_rng(1)
    found = genes()
    others = max(n_lines - len(found), 0)
    with gzip.open(path, "wt", compresslevel=6) as out:
        for number, gene in enumerate(found):
            attributes = f'gene_id "ENSG{number:011d}.1"; '
            tail = f'gene_type "protein_coding"; gene_name "GENE{number}"; level 2;'
            place = f"{gene.chrom}\tHAVANA\t{{}}\t{{}}\t{{}}\t.\t{gene.strand}\t.\t"
            out.write(place.format("gene", gene.start + 1, gene.end) + attributes + tail + "\n")
            count = others // len(found)
            starts = np.sort(rng.integers(gene.start + 1, gene.end - 100, count))
            lines = []
            for exon, start in enumerate(starts.tolist()):
                lines.append(
                    place.format("exon", start, start + 99) + attributes
                    + f'transcript_id "ENST{number * 20 + exon // 10:011d}.2"; '
                    f'transcript_type "protein_coding"; transcript_name "GENE{number}-2'
                    f'{exon // 10:02d}"; exon_number {exon % 10 + 1}; '
                    f'exon_id "ENSE{number * 200 + exon:011d}.1"; {tail} tag "basic"; '
                    f'transcript_support_level "1"; havana_transcript "OTTHUMT{number:011d}.1";\n'
                )  # fmt: skip
            out.writelines(lines)
    return path


def positions(
    n_reads: int, seed: int = 0
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Return sorted first bases and strands of the reads of each chromosome."""
    rng = np.random.default_rng(seed + 100)
    tss: dict[str, list[int]] = {chrom: [] for chrom in CHROMOSOMES}
    for gene in genes():
        tss[gene.chrom].append(gene.tss)
    total = sum(CHROMOSOMES.values())
    reads = {}
    for chrom, length in CHROMOSOMES.items():
        count = round(n_reads * length / total)
        near = rng.choice(np.array(tss[chrom]), round(PEAK_SHARE * count))
        near = near + rng.normal(0, 3000, len(near)).astype(np.int64)
        anywhere = rng.integers(10_000, length - 10_000, count - len(near))
        starts = np.sort(np.clip(np.concatenate([near, anywhere]), 0, length - READ_BP))
        reads[chrom] = starts, rng.random(count) < 0.5
    return reads


def write_bam(path: Path, n_reads: int, seed: int = 0) -> Path:
    """Write an indexed BAM, packed by samtools."""
    rng = np.random.default_rng(seed + 200)
    record = np.dtype([
        ("size", "<i4"), ("ref", "<i4"), ("pos", "<i4"), ("l_name", "u1"), ("mapq", "u1"),
        ("bin", "<u2"), ("n_cigar", "<u2"), ("flag", "<u2"), ("l_seq", "<i4"), ("next", "<i4"),
        ("next_pos", "<i4"), ("tlen", "<i4"), ("name", "u1", len(_NAME) + 1), ("cigar", "<u4"),
        ("seq", "u1", READ_BP // 2), ("qual", "u1", READ_BP), ("tags", "u1", 8),
    ])  # fmt: skip
    text = "@HD\tVN:1.6\tSO:coordinate\n" + "".join(
        f"@SQ\tSN:{chrom}\tLN:{length}\n" for chrom, length in CHROMOSOMES.items()
    )
    header = b"BAM\1" + len(text).to_bytes(4, "little") + text.encode()
    header += len(CHROMOSOMES).to_bytes(4, "little")
    for chrom, length in CHROMOSOMES.items():
        name = chrom.encode() + b"\0"
        header += len(name).to_bytes(4, "little") + name + length.to_bytes(4, "little")
    with subprocess.Popen(
        ["samtools", "view", "-b", "-@", "2", "-o", path, "-"], stdin=subprocess.PIPE
    ) as pack:
        assert pack.stdin is not None
        pack.stdin.write(header)
        number = 0
        for ref, (starts, reverse) in enumerate(positions(n_reads, seed).values()):
            for low in range(0, len(starts), _PER_WRITE):
                first = starts[low : low + _PER_WRITE]
                block = np.zeros(len(first), dtype=record)
                block["size"] = record.itemsize - 4
                block["ref"], block["pos"] = ref, first
                block["l_name"], block["n_cigar"], block["l_seq"] = len(_NAME) + 1, 1, READ_BP
                block["mapq"] = rng.choice([0, 20, 37, 37, 37], len(first))
                block["bin"] = 4681 + (first >> 14)
                block["flag"] = np.where(reverse[low : low + _PER_WRITE], 16, 0)
                block["flag"] |= np.where(rng.random(len(first)) < 0.03, 0x400, 0).astype("<u2")
                block["next"] = block["next_pos"] = -1
                block["cigar"] = READ_BP << 4
                digits = number + rng.permutation(len(first))
                block["name"] = np.frombuffer(_NAME.encode() + b"\0", dtype="u1")
                for place in range(8):
                    block["name"][:, len(_NAME) - 1 - place] = 48 + digits // 10**place % 10
                nucleotides = np.array([1, 2, 4, 8], dtype="u1")
                pairs = nucleotides[rng.integers(0, 4, (2, len(first), READ_BP // 2))]
                block["seq"] = pairs[0] << 4 | pairs[1]
                quality = np.minimum(rng.geometric(0.25, (len(first), READ_BP)), 38)
                block["qual"] = 41 - quality
                block["tags"] = np.frombuffer(b"NMC\0XTAU", dtype="u1")
                number += len(first)
                data = block.tobytes()
                pack.stdin.write(data)
    subprocess.run(["samtools", "index", path], check=True)
    return path


def write_tagalign(path: Path, n_reads: int, seed: int = 0) -> Path:
    """Write the reads of the BAM as a tagAlign, sorted, gzipped."""
    with subprocess.Popen(
        ["gzip", "-c"], stdin=subprocess.PIPE, stdout=path.open("wb")
    ) as pack:  # fmt: skip
        assert pack.stdin is not None
        for chrom, (starts, reverse) in positions(n_reads, seed).items():
            for low in range(0, len(starts), _PER_WRITE):
                first = starts[low : low + _PER_WRITE]
                strands = reverse[low : low + _PER_WRITE]
                lines = [
                    f"{chrom}\t{start}\t{start + READ_BP}\tN\t1000\t{'-' if minus else '+'}\n"
                    for start, minus in zip(first.tolist(), strands.tolist(), strict=True)
                ]
                pack.stdin.write("".join(lines).encode())
    return path


def write_bigwig(path: Path) -> Path:
    """Write a track as coverage has it: runs of 5 to 60 bases with small values, everywhere."""
    import pyBigWig

    rng = np.random.default_rng(3)
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader(list(CHROMOSOMES.items()))
        for chrom, length in CHROMOSOMES.items():
            at = 10_000
            while at < length - 100_000:
                ends = at + np.cumsum(rng.integers(5, 150, 100_000))
                ends = ends[ends < length - 1]
                if not len(ends):
                    break
                starts = np.concatenate([[at], ends[:-1]])
                values = rng.integers(0, 40, len(ends)).astype(np.float64) * 0.05
                track.addEntries([chrom] * len(ends), starts, ends=ends, values=values)
                at = int(ends[-1])
    return path


def write_windows(path: Path) -> Path:
    """Write the window of every gene as BED, sorted."""
    rows = [
        (gene.chrom, gene.tss - 10_000 + (gene.strand == "-"), number, gene.strand)
        for number, gene in enumerate(genes())
    ]
    path.write_text(
        "".join(f"{c}\t{s}\t{s + 20_000}\tg{n}\t0\t{strand}\n" for c, s, n, strand in _sorted(rows))
    )
    return path


def write_bins(path: Path) -> Path:
    """Write every bin of every window as BED, sorted."""
    rows = sorted(
        (list(CHROMOSOMES).index(chrom), start + 100 * b)
        for chrom, start in _window_starts()
        for b in range(200)
    )
    names = list(CHROMOSOMES)
    path.write_text("".join(f"{names[c]}\t{start}\t{start + 100}\n" for c, start in rows))
    return path


def write_saf(path: Path) -> Path:
    """Write every bin of every window as featureCounts wants it."""
    with path.open("w") as out:
        for number, (chrom, start) in enumerate(_window_starts()):
            out.writelines(
                f"{number}_{b}\t{chrom}\t{start + 100 * b + 1}\t{start + 100 * b + 100}\t+\n"
                for b in range(200)
            )
    return path


def write_sizes(path: Path) -> Path:
    """Write the lengths of the chromosomes."""
    path.write_text("".join(f"{name}\t{size}\n" for name, size in CHROMOSOMES.items()))
    return path


def _window_starts() -> list[tuple[str, int]]:
    return [(gene.chrom, gene.tss - 10_000 + (gene.strand == "-")) for gene in genes()]


def _sorted(rows: list[tuple[str, int, int, str]]) -> list[tuple[str, int, int, str]]:
    order = {name: rank for rank, name in enumerate(CHROMOSOMES)}
    return sorted(rows, key=lambda row: (order[row[0]], row[1]))
