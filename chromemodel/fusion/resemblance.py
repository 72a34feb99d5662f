"""Which cell types of a panel is one like, as its marks tell, and what do these say of a gene?

The marks tell the expression of each gene with errors that differ from gene to gene. Over
thousands of genes they tell well which other cell types have the same genes on, and the expression
there has none of these errors: a ridge regression (Hoerl and Kennard 1970) of what the marks say on
the expression in the panel's cell types keeps of it what a cell type like these would have. It
needs no label.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.format import Panel

#: With fewer genes the weights of some fifty cell types are not worth asking for.
FEWEST_GENES = 300
#: Penalties to choose from, as shares of the mean variance of a cell type over all genes.
PENALTIES = tuple(10.0**power for power in range(-4, 2))


class Resemblance(NamedTuple):
    """What the cell types that one is like say of genes.

    Attributes
    ----------
    logit
        Shape (genes,): what the marks would say of a gene, were it told by the cell types alone.
        The marks' own word of a gene is not in it: the weights are fitted to the other genes.
    correlation
        Shape (cell types,): of what is special in the marks' word with what is special in each cell
        type, both beyond the mean of all cell types.
    """

    logit: NDArray[np.float64]
    correlation: NDArray[np.float64]

    def nearest(self, panel: Panel, most: int = 3) -> list[tuple[str, float]]:
        """Return the names and correlations of the cell types that it is most like."""
        order = np.argsort(-self.correlation, kind="stable")[:most]
        return [(str(panel.cell_type[k]), float(self.correlation[k])) for k in order]


def resemble(marks: NDArray[np.float64], others: NDArray[np.float64]) -> Resemblance | None:
    """Tell genes by the cell types that the marks are like; None of fewer than 300 genes.

    Every gene is told by weights that were fitted to all others, and of the penalties that one is
    taken that tells the marks' logits best so: both follow from one solution for all genes
    (Allen 1974).

    Parameters
    ----------
    marks
        Shape (genes,): logits of the marks' model.
    others
        Shape (genes, cell types): log(1 + expression) of the same genes in the panel.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> others = rng.normal(size=(1000, 3))
    >>> truth = others[:, 1]
    >>> found = resemble(truth + rng.normal(size=1000), others)
    >>> bool(np.corrcoef(found.logit, truth)[0, 1] > 0.99), int(found.correlation.argmax())
    (True, 1)
    """
    if len(marks) < FEWEST_GENES:
        return None
    centred = others - others.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    said = marks - marks.mean()
    along = left.T @ said
    size = float(np.mean(values**2))
    least, best = np.inf, marks
    for penalty in PENALTIES:
        kept = values**2 / (values**2 + penalty * size) if size else values
        # The mean is fitted, too: each gene pulls it by one part in as many as there are.
        own = (left**2) @ kept + 1 / len(marks)
        missed = (said - left @ (kept * along)) / (1 - own)
        error = float(np.mean(missed**2))
        if error < least:
            least, best = error, marks - missed
    return Resemblance(best, _special(marks, others))


def _special(marks: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation with each cell type beyond the mean of all, 0 where none is."""
    mean = others.mean(axis=1)
    about = mean - mean.mean()
    power = float(about @ about)
    everything = np.column_stack([marks, others])
    everything -= everything.mean(axis=0)
    if power:
        everything -= np.outer(about, about @ everything / power)
    sizes = np.sqrt((everything**2).sum(axis=0))
    products = everything[:, 0] @ everything[:, 1:]
    scale = sizes[0] * sizes[1:]
    # What is left of a column that is nothing but the mean is rounding.
    there = scale > 1e-9 * len(marks)
    return np.where(there, products / np.where(there, scale, 1), 0.0)
