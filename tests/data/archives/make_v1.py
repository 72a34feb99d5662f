"""Make v1.h5, the file of format version 1 that every later version must open.

It was made once and is not to be made again: what it guards against is that the writer changes.
Run as ``python tests/data/archives/make_v1.py OUT.h5``.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from chromeprep.expression import median_labels
from chromeprep.format import ChromeBins, FileAttributes, GeneTable, MarkTable, write_bins
from chromeprep.windows import Windows


def make() -> ChromeBins:
    """Make six genes, three marks, ten bins; something of everything that a file can hold."""
    windows = Windows(flank_bp=500, bin_size_bp=100)
    expression = np.array([0.0, 1.5, 2.25, 8.0, np.nan, 3.0])
    labels = median_labels(expression)
    genes = GeneTable.build(
        gene_id=[f"ENSG0000000000{n}.{n + 1}" for n in range(6)],
        gene_name=["A", "B", "", "Dé", "E", "F"],
        gene_type=["protein_coding"] * 5 + ["lncRNA"],
        chrom=["chr1", "chr1", "chr1", "chrX", "chrX", "chrX"],
        start=[100, 6000, 12_000, 5000, 11_000, 19_700],
        end=[900, 7500, 12_100, 5600, 13_000, 19_900],
        strand=["+", "-", "+", "-", "+", "-"],
        expression=expression,
        label=labels.label,
    )
    lengths = {"chr1": 30_000, "chrX": 20_000}
    sizes = np.array([lengths[name] for name in genes.chrom])
    genes = replace(
        genes,
        bins_outside=windows.bins_outside(windows.starts(genes), sizes),
        extra={"cluster": np.array([0, 1, 2, 0, 1, 2]), "note": np.array(list("abcdef"), object)},
    )
    signal = np.arange(180, dtype=np.float32).reshape(6, 3, 10) / 8
    signal[2, 1, 3:5] = np.nan
    return ChromeBins(
        attributes=FileAttributes(
            bin_size_bp=100,
            flank_bp=500,
            assembly="toy1",
            cell_type="E999",
            label_rule="expression >= median",
            label_threshold=labels.threshold,
            neighbour_distance_bp=5000,
            uncovered="nan",
            expression_source="rpkm.tsv:E999",
        ),
        genes=genes,
        marks=MarkTable.build(
            ["H3K4me3", "H3K27me3", "Input"],
            signal,
            source=["a.bam", "b.bw", "c.bam"],
            units=["reads", "signal", "reads"],
            count_rule=["alignments", "mean", "alignments"],
            fingerprint=["size=1", "size=2", "size=3"],
            n_mapped=[1000, -1, 2000],
        ),
        chromosomes=lengths,
        provenance=('{"date": "2022-01-01T00:00:00+00:00", "argv": ["make_v1.py"]}',),
        signal=signal,
    )


if __name__ == "__main__":
    write_bins(sys.argv[1], make())
