"""What do other cell types say about each gene? Their expression, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chromeprep.errors import MismatchError, did_you_mean
from chromeprep.format.ids import cut_version
from chromeprep.format.model import Strings, strings

#: From this Spearman correlation on, one cell type alone tells the labels of another better than
#: the mean of all others does (measured on REMC's table; ``docs/panel.md``).
NEAR_DUPLICATE = 0.95
FEWEST_CELL_TYPES = 2


class GeneSummary(NamedTuple):
    """What the cell types of a panel say together, each of shape (genes,); see `summarise`.

    Attributes
    ----------
    mean_log1p, std_log1p
        Mean and (population) standard deviation of log(1 + expression).
    median, min, max
        Of expression, in its own units.
    share_high
        Share of cell types in which expression is at least the cell type's median.
    """

    mean_log1p: NDArray[np.float64]
    std_log1p: NDArray[np.float64]
    median: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    share_high: NDArray[np.float64]


class Rows(NamedTuple):
    """Where genes stand in a panel: ``row`` is -1 where they are not ``found``; both (genes,)."""

    row: NDArray[np.int64]
    found: NDArray[np.bool_]


class Pair(NamedTuple):
    """Two cell types and the rank correlation of their expression."""

    first: str
    second: str
    correlation: float


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel file (``docs/panel.md``): genes, cell types, expression and what follows from it.

    Attributes
    ----------
    gene_id, gene_name
        Shape (genes,): unique ids, versions cut (symbols where ``gene_keys`` says so); symbols,
        empty where unknown.
    cell_type, source
        Shape (cell types,): unique names; expression table and column.
    expression
        Shape (genes, cell types), raw, at least 0, without NaN.
    threshold
        Shape (cell types,): median expression over all genes of the panel.
    correlation
        Shape (cell types, cell types): Spearman's over all genes.
    summary
        Over the cell types.
    gene_keys
        What genes are found by: ``id`` or ``symbol``.
    near_duplicate
        From this correlation on two cell types count as nearly the same.
    provenance
        Lines of JSON.
    """

    gene_id: Strings
    gene_name: Strings
    cell_type: Strings
    source: Strings
    expression: NDArray[np.float32]
    threshold: NDArray[np.float64]
    correlation: NDArray[np.float64]
    summary: GeneSummary
    gene_keys: str = "id"
    near_duplicate: float = NEAR_DUPLICATE
    provenance: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        gene_id: ArrayLike,
        cell_type: ArrayLike,
        expression: ArrayLike,
        *,
        gene_name: ArrayLike | None = None,
        source: ArrayLike | None = None,
        gene_keys: str = "id",
        near_duplicate: float = NEAR_DUPLICATE,
        provenance: Sequence[str] = (),
    ) -> Panel:
        """Make a panel of an expression matrix, and work out all that follows from it.

        Raises
        ------
        ValueError
            Where shapes do not fit, names stand twice, a value is negative, NaN or infinite, or a
            cell type has the same value for all genes.

        Examples
        --------
        >>> panel = Panel.build(["a", "b", "c"], ["X", "Y"], [[0, 1], [3, 2], [9, 0]])
        >>> panel.threshold, panel.summary.share_high
        (array([3., 1.]), array([0.5, 1. , 0.5]))
        """
        genes, cells = strings(gene_id), strings(cell_type)
        values = np.ascontiguousarray(expression, dtype=np.float32)
        if values.shape != (len(genes), len(cells)):
            raise ValueError(
                f"expression has shape {values.shape}, the names say {(len(genes), len(cells))}"
            )
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError("expression should be finite and not negative")
        for names in (genes, cells):
            if len(set(names)) != len(names):
                raise ValueError("ids of genes and names of cell types should be unique")
        if not values.size or (values == values[:1]).all(axis=0).any():
            raise ValueError("the genes of each cell type should differ in expression")
        threshold = np.median(values, axis=0).astype(np.float64)
        return cls(
            gene_id=genes,
            gene_name=np.full(len(genes), "", object) if gene_name is None else strings(gene_name),
            cell_type=cells,
            source=np.full(len(cells), "", object) if source is None else strings(source),
            expression=values,
            threshold=threshold,
            correlation=spearman(values),
            summary=summarise(values, threshold),
            gene_keys=gene_keys,
            near_duplicate=near_duplicate,
            provenance=tuple(provenance),
        )

    @property
    def high(self) -> NDArray[np.bool_]:
        """Shape (genes, cell types): whether expression is at least the cell type's median."""
        return self.expression >= self.threshold

    def without(self, cell_types: Iterable[str]) -> Panel:
        """Return the panel of the other cell types: the same genes, the summaries anew.

        Raises
        ------
        MismatchError
            Where the panel has no such cell type, or fewer than two are left.
        """
        left_out = set(cell_types)
        for name in sorted(left_out):
            self._column(name)
        kept = np.flatnonzero([name not in left_out for name in self.cell_type])
        if len(kept) < FEWEST_CELL_TYPES:
            raise MismatchError(
                f"{len(kept)} of {len(self.cell_type)} cell types are left; a panel needs "
                f"{FEWEST_CELL_TYPES}"
            )
        expression = np.ascontiguousarray(self.expression[:, kept])
        return replace(
            self,
            cell_type=self.cell_type[kept],
            source=self.source[kept],
            expression=expression,
            threshold=self.threshold[kept],
            correlation=self.correlation[np.ix_(kept, kept)],
            summary=summarise(expression, self.threshold[kept]),
        )

    def rows_of(self, genes: Iterable[str]) -> Rows:
        """Look genes up by their ids, versions cut, or by symbols (see ``gene_keys``).

        Examples
        --------
        >>> panel = Panel.build(["a", "b", "c"], ["X", "Y"], [[0, 1], [3, 2], [9, 0]])
        >>> panel.rows_of(["c", "d"])
        Rows(row=array([ 2, -1]), found=array([ True, False]))
        """
        where = {name: row for row, name in enumerate(self.gene_id)}
        row = np.array([where.get(cut_version(str(name)), -1) for name in genes], dtype=np.int64)
        return Rows(row, row >= 0)

    def variable_genes(self, low: float = 0.1, high: float = 0.9) -> NDArray[np.bool_]:
        """Return which genes (genes,) are high in a share of `low` to `high` of the cell types."""
        share = self.summary.share_high
        return (share >= low) & (share <= high)

    def relatives(self, cell_type: str, threshold: float | None = None) -> list[str]:
        """Return the cell types nearly the same as one, the nearest first.

        Parameters
        ----------
        cell_type
            One of the panel's.
        threshold
            From this correlation on; by default ``near_duplicate``.

        Raises
        ------
        MismatchError
            Where the panel has no such cell type.
        """
        column = self._column(cell_type)
        least = self.near_duplicate if threshold is None else threshold
        values = self.correlation[column]
        order = np.argsort(-values, kind="stable")
        return [str(self.cell_type[at]) for at in order if at != column and values[at] >= least]

    def correlation_of(self, first: str, second: str) -> float:
        """Return the rank correlation of two cell types."""
        return float(self.correlation[self._column(first), self._column(second)])

    def near_duplicates(self, threshold: float | None = None) -> list[Pair]:
        """Return all pairs of cell types that are nearly the same, the nearest first."""
        least = self.near_duplicate if threshold is None else threshold
        first, second = np.triu_indices(len(self.cell_type), 1)
        pairs = [
            Pair(str(self.cell_type[a]), str(self.cell_type[b]), float(self.correlation[a, b]))
            for a, b in zip(first, second, strict=True)
        ]
        return sorted((pair for pair in pairs if pair.correlation >= least), key=lambda p: -p[2])

    def _column(self, cell_type: str) -> int:
        found = np.flatnonzero(self.cell_type == cell_type)
        if not len(found):
            raise MismatchError(
                f"the panel has no cell type '{cell_type}'; "
                f"{did_you_mean(cell_type, map(str, self.cell_type))}"
            )
        return int(found[0])


def summarise(expression: NDArray[np.float32], threshold: NDArray[np.float64]) -> GeneSummary:
    """Summarise each gene over cell types, in double precision.

    Parameters
    ----------
    expression
        Shape (genes, cell types).
    threshold
        Shape (cell types,): a gene is high in a cell type from here on.

    Examples
    --------
    >>> summarise(np.array([[0, 4]], dtype=np.float32), np.array([0.0, 5.0])).share_high
    array([0.5])
    """
    values = np.ascontiguousarray(expression, dtype=np.float64)
    logs = np.log1p(values)
    return GeneSummary(
        mean_log1p=logs.mean(axis=1),
        std_log1p=logs.std(axis=1),
        median=np.median(values, axis=1),
        min=values.min(axis=1),
        max=values.max(axis=1),
        share_high=(values >= threshold).mean(axis=1),
    )


def spearman(expression: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlate the ranks of genes between all cell types; equal values share their mean rank.

    Parameters
    ----------
    expression
        Shape (genes, cell types); the values of a cell type must differ.

    Returns
    -------
    ndarray
        Shape (cell types, cell types), 1 on the diagonal.

    Examples
    --------
    >>> spearman(np.array([[0, 5, 2], [1, 7, 1], [2, 9, 0]], dtype=np.float32)).round(6)
    array([[ 1.,  1., -1.],
           [ 1.,  1., -1.],
           [-1., -1.,  1.]])
    """
    ranks = np.empty(expression.shape, dtype=np.float64)
    for column, values in enumerate(expression.T):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks[:, column] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    found = np.clip(np.atleast_2d(np.corrcoef(ranks, rowvar=False)), -1, 1)
    np.fill_diagonal(found, 1)
    return np.asarray((found + found.T) / 2)
