"""Which genes are worth a score of their own?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.format import GeneTable, Panel
from chromeprep.format.panel import Rows

VARIABLE = "variable in the panel"
DIFFERS = "label differs from the source"
CERTAIN = "not uncertain"


class Subset(NamedTuple):
    """Some genes in words, empty for all, and which they are (genes,)."""

    words: str
    rows: NDArray[np.bool_]


def gene_subsets(
    label: NDArray[Any],
    source_label: NDArray[Any] | None = None,
    variable: NDArray[np.bool_] | None = None,
    certain: NDArray[np.bool_] | None = None,
) -> list[Subset]:
    """Return all labelled genes, and of them those that no look at another cell type answers.

    Subsets without genes of both labels are left out, as they have no score.

    Parameters
    ----------
    label
        Shape (genes,); -1 where unknown.
    source_label
        Shape (genes,); the label in the cell type the model comes from, -1 where unknown.
    variable
        Shape (genes,); whether a gene is on in some cell types of a panel and off in others
        (`variable_in`).
    certain
        Shape (genes,); whether a run with a panel beside the marks takes its call as certain.

    Examples
    --------
    >>> for words, rows in gene_subsets(np.array([0, 1, 1, -1]), np.array([1, 0, 1, 0])):
    ...     print(repr(words), rows)
    '' [ True  True  True False]
    'label differs from the source' [ True  True False False]
    """
    known = label >= 0
    subsets = [Subset("", known)]
    if source_label is not None:
        differs = known & (source_label >= 0) & (label != source_label)
        subsets.append(Subset(DIFFERS, differs))
    if variable is not None:
        subsets.append(Subset(VARIABLE, known & variable))
    if certain is not None:
        subsets.append(Subset(CERTAIN, known & certain))
    return [one for one in subsets if len(np.unique(label[one.rows])) == 2]


def variable_in(panel: Panel, genes: GeneTable) -> NDArray[np.bool_]:
    """Return which genes (genes,) are high in 10 to 90 % of a panel's cell types.

    Genes that the panel does not know are none of them.
    """
    rows = rows_in(panel, genes)
    return rows.found & panel.variable_genes()[rows.row]


def rows_in(panel: Panel, genes: GeneTable) -> Rows:
    """Look the genes of a file up in a panel, by what the panel names them by."""
    return panel.rows_of(genes.gene_name if panel.gene_keys == "symbol" else genes.gene_id)
