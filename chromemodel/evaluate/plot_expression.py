"""What does predicted log(1 + expression) look like against what was measured?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chromemodel.evaluate.evidence import Evidence
from chromemodel.evaluate.regression import regression_metrics
from chromemodel.style import DARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS = 36
# Below one gene, so that a hexagon of one can be seen on white.
_PALEST = 0.3


def expression_figure(evidence: Evidence) -> Figure:
    """Draw the first part of the genes, one field for each model or lookup that tells genes apart.

    Hexagons are the darker the more genes they hold; on the line predictions are right.
    """
    from matplotlib.figure import Figure

    part, rows = evidence.parts[0]
    truth = np.log1p(evidence.genes.expression[rows])
    shown = [one for one in evidence.opinions if np.ptp(one.answer[rows]) > 0]
    figure = Figure(figsize=(0.6 + 3.6 * len(shown), 4.2))
    figure.set_layout_engine("constrained")
    fields = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)[0]
    for axes, one in zip(fields, shown, strict=True):
        said = one.answer[rows].astype(np.float64)
        axes.hexbin(
            said,
            truth,
            gridsize=_CELLS,
            bins="log",
            mincnt=1,
            vmin=_PALEST,
            cmap="Blues",
            linewidths=0,
        )
        axes.axline((0, 0), slope=1, color=DARK, lw=0.8, ls=(0, (4, 2)))
        found = regression_metrics(truth, said)
        axes.set(
            title=f"{one.name}\nPearson {found.pearson:.3f}, R2 {found.r2:.3f}",
            xlabel="predicted log(1 + expression)",
        )
    fields[0].set_ylabel("measured log(1 + expression)")
    figure.suptitle(
        f"{evidence.path.name}, {part}: {len(truth):,} genes", x=0.008, ha="left", fontsize=10
    )
    return figure
