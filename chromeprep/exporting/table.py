"""A file of bins -> one long CSV, a line a gene and bin."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chromeprep.exporting.numbers import texts
from chromeprep.exporting.textfile import open_text
from chromeprep.format import ChromeBins

_GENES_AT_A_TIME = 500


def table_header(data: ChromeBins) -> list[str]:
    """Return the names of the columns."""
    return ["gene_id", "bin", "offset_start", *data.mark_names, "label"]


def table_rows(data: ChromeBins) -> Iterator[list[str]]:
    """Yield the lines: genes in the order of the file, bins counted from 1 as DeepChrome does.

    ``offset_start`` is the first offset of the bin from the TSS in bp; a value that is NaN is
    empty; ``label`` is -1 where it is unknown.
    """
    bins = [[str(number), str(start)] for number, start in enumerate(data.bin_starts, start=1)]
    for first in range(0, len(data.genes), _GENES_AT_A_TIME):
        rows = slice(first, first + _GENES_AT_A_TIME)
        values = texts(np.swapaxes(data.signal[rows], 1, 2)).tolist()
        labels = data.genes.label[rows]
        for gene, label, of_gene in zip(data.genes.gene_id[rows], labels, values, strict=True):
            end = [str(label)]
            for place, counts in zip(bins, of_gene, strict=True):
                yield [str(gene), *place, *counts, *end]


def write_table(data: ChromeBins, target: Path, *, zipped: bool) -> None:
    """Write the table; `target` is replaced if it exists."""
    with open_text(target, zipped=zipped) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(table_header(data))
        writer.writerows(table_rows(data))
