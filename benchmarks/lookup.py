"""How well are genes labelled without any chromatin, by their expression in other cell types?

Labels every gene in each of Roadmap's 56 cell types by the median, after the neighbour filter, and
scores it by its mean log(1 + RPKM) in the other 55, in those of them that are not nearly the same,
and by its RPKM in E085 alone.

    python -m benchmarks.lookup
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import parser
from chromemodel.evaluate.metrics import auroc
from chromeprep.annotation import read_gtf
from chromeprep.expression import median_labels
from chromeprep.format import Panel
from chromeprep.panel import NamedTable, make_panel
from chromeprep.windows import neighbour_filter

MIXTURE, SOURCE = "E000", "E085"  # E000 is a mixture of cell types, not one of the 56
NEIGHBOUR_BP = 5000


def main() -> None:
    """Print the means of all three and their ranges."""
    data = parser(__doc__, real_data=True).parse_args().data
    panel = read_roadmap(data)
    rows = filtered_rows(panel, data)
    values = panel.expression[rows].astype(np.float64)
    labels = dict(zip(panel.cell_type, (median_labels(v).label for v in values.T), strict=True))
    print(f"{len(rows):,} genes, {len(labels)} cell types; AUC of the label by")

    def by_mean(cell_type: str, without: list[str]) -> float:
        others = panel.without([cell_type, *without]).summary.mean_log1p
        return auroc(labels[cell_type], others[rows])

    show("mean log(1 + RPKM) in the others", [by_mean(name, []) for name in labels])
    show(
        "the same without near duplicates",
        [by_mean(name, panel.relatives(name)) for name in labels],
    )
    source = values[:, panel.cell_type == SOURCE][:, 0]
    show(
        f"RPKM in {SOURCE}, the others only",
        [auroc(label, source) for name, label in labels.items() if name != SOURCE],
    )


def read_roadmap(data: Path) -> Panel:
    """Return the panel of the 56 cell types."""
    table = NamedTable(data / "roadmap/57epigenomes.RPKM.pc.gz")
    return make_panel([table], leave_out=[MIXTURE]).panel


def filtered_rows(panel: Panel, data: Path) -> NDArray[np.int64]:
    """Return the rows of the panel that the neighbour filter keeps."""
    genes = read_gtf(data / "annotation/gencode_10_genes.gtf.gz").genes
    rows = panel.rows_of(genes.gene_id)
    return rows.row[rows.found][neighbour_filter(genes.take(rows.found), NEIGHBOUR_BP)]


def show(what: str, values: list[float]) -> None:
    """Print a mean and a range."""
    found: NDArray[np.float64] = np.array(values)
    print(f"  {what:<34} {found.mean():.3f} ({found.min():.3f} to {found.max():.3f})")


if __name__ == "__main__":
    main()
