"""How long does reading take: a GTF of the size of GENCODE's, beside the signal of four marks?

Writes a GTF of three million lines, then times `read_gtf` on it and the reading of four genome-wide
bigWig tracks (E116) round the genes of GENCODE v10, one process, in turn.

    python -m benchmarks.reading
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from isal import igzip

from benchmarks.accuracy import MARKS
from benchmarks.arguments import parser
from chromeprep.annotation import read_gtf
from chromeprep.binning import bin_signal
from chromeprep.chromosomes import reconcile
from chromeprep.signals import BigWigTrack
from chromeprep.windows import Windows, neighbour_filter, order_by_position

GENES, TRANSCRIPTS, EXONS = 60_000, 4, 11
ATTRIBUTES = (
    'gene_id "ENSG{gene:011d}.7"; transcript_id "ENST{transcript:011d}.3"; gene_type '
    '"protein_coding"; gene_name "NAME{gene}"; transcript_type "protein_coding"; transcript_name '
    '"NAME{gene}-201"; exon_number {exon}; exon_id "ENSE{transcript:011d}.1"; level 2; protein_id '
    '"ENSP{transcript:011d}.3"; transcript_support_level "1"; hgnc_id "HGNC:{gene}"; tag "basic"; '
    'tag "CCDS"; havana_gene "OTTHUMG{gene:011d}.2"; '
    'havana_transcript "OTTHUMT{transcript:011d}.1";'
)


def write_gtf(path: Path) -> int:
    """Write a GTF as GENCODE's and return its number of lines."""
    lines = 0
    with igzip.open(path, "wt", compresslevel=2) as handle:
        for gene in range(GENES):
            start = 1 + 4000 * (gene // 24)
            place = f"chr{1 + gene % 22}\tHAVANA\t"
            strand = "+-"[gene % 2]
            rows = []
            for feature, count in (("gene", 1), ("transcript", TRANSCRIPTS),
                                   ("exon", TRANSCRIPTS * EXONS)):  # fmt: skip
                for number in range(count):
                    text = ATTRIBUTES.format(gene=gene, transcript=4 * gene + number, exon=number)
                    span = f"{start + 10 * number}\t{start + 10 * number + 2000}"
                    rows.append(f"{place}{feature}\t{span}\t.\t{strand}\t.\t{text}\n")
            handle.write("".join(rows))
            lines += len(rows)
    return lines


def main() -> None:
    """Time both and print the ratio."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-n", type=int, default=3, help="rounds")
    arguments = options.parse_args()
    folder = arguments.data
    windows = Windows()
    genes = read_gtf(folder / "annotation/gencode_10_genes.gtf.gz").genes
    genes = order_by_position(genes.take(genes.chrom != "chrY"))
    genes = genes.take(neighbour_filter(genes, 5000))
    calls = folder / "bigwig/genomewide"
    tracks = [BigWigTrack(calls / f"E116-{mark}.calls200bp.hg19.bw") for mark in MARKS]
    names = [reconcile(set(genes.chrom), track.info().chromosomes) for track in tracks]
    genes = genes.take(np.isin(genes.chrom.astype(str), list(names[0])))
    with tempfile.TemporaryDirectory() as scratch:
        gtf = Path(scratch) / "gencode_like.gtf.gz"
        lines = write_gtf(gtf)
        print(f"GTF: {lines:,} lines, {gtf.stat().st_size / 1e6:.0f} MB gzipped")
        annotation, signal = [], []
        for _ in range(arguments.n):
            start = time.perf_counter()
            read_gtf(gtf)
            annotation.append(time.perf_counter() - start)
            start = time.perf_counter()
            bin_signal(genes, windows, tracks, names)
            signal.append(time.perf_counter() - start)
    print(f"read_gtf                       {median(annotation):6.2f} s (median of {arguments.n})")
    print(f"{len(tracks)} marks, {len(genes):,} genes         {median(signal):6.2f} s")
    ratios = [one / other for one, other in zip(annotation, signal, strict=True)]
    print(f"annotation / signal            {median(ratios):6.2f}")


if __name__ == "__main__":
    main()
