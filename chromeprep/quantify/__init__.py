"""RNA-seq alignments + a GTF -> counts, RPKM and TPM of genes."""

from chromeprep.quantify.count import CountRule, Counts, count_bam
from chromeprep.quantify.exons import Exons, read_exons
from chromeprep.quantify.table import Quantities, quantities, rpkm, tpm, write_table

__all__ = [
    "CountRule",
    "Counts",
    "Exons",
    "Quantities",
    "count_bam",
    "quantities",
    "read_exons",
    "rpkm",
    "tpm",
    "write_table",
]
