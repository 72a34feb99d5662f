"""How well are genes labelled without any chromatin, by their expression in other cell types?

Labels every gene in each of Roadmap's 56 cell types by the median, after the neighbour filter, and
scores it by its mean log(1 + RPKM) in the other 55, and by its RPKM in E085 alone.

    python -m benchmarks.lookup
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import parser
from chromemodel.evaluate.metrics import auroc
from chromeprep.annotation import read_gtf
from chromeprep.expression import join_expression, median_labels, read_expression
from chromeprep.textfiles import read_lines
from chromeprep.windows import neighbour_filter

MIXTURE, SOURCE = "E000", "E085"  # E000 is a mixture of cell types, not one of the 56


def main() -> None:
    """Print both means and their ranges."""
    data = parser(__doc__, real_data=True).parse_args().data
    table = data / "roadmap/57epigenomes.RPKM.pc.gz"
    genes = read_gtf(data / "annotation/gencode_10_genes.gtf.gz").genes
    cell_types = next(read_lines(table))[1].split()[1:]
    cell_types.remove(MIXTURE)
    columns = [
        join_expression(genes.gene_id, read_expression(table, name).values) for name in cell_types
    ]
    rpkm = np.array(columns)
    known = np.flatnonzero(~np.isnan(rpkm).any(axis=0))
    kept = neighbour_filter(genes.take(known), 5000)
    rpkm = rpkm[:, known][:, kept]
    labels = [median_labels(values).label for values in rpkm]
    logs = np.log1p(rpkm)
    others = (logs.sum(axis=0) - logs) / (len(logs) - 1)
    print(f"{rpkm.shape[1]:,} genes, {len(cell_types)} cell types; AUC of the label by")
    show(
        "mean log(1 + RPKM) in the others",
        [auroc(y, x) for y, x in zip(labels, others, strict=True)],
    )
    source = cell_types.index(SOURCE)
    rest = [row for row in range(len(cell_types)) if row != source]
    show(f"RPKM in {SOURCE}, the others only", [auroc(labels[row], rpkm[source]) for row in rest])


def show(what: str, values: list[float]) -> None:
    """Print a mean and a range."""
    found: NDArray[np.float64] = np.array(values)
    print(f"  {what:<34} {found.mean():.3f} ({found.min():.3f} to {found.max():.3f})")


if __name__ == "__main__":
    main()
