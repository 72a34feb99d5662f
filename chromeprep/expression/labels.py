"""Expression of genes: the join of a table to them, and the median label."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import shorten
from chromeprep.expression.read import ExpressionColumn
from chromeprep.format.ids import cut_version
from chromeprep.format.model import GeneTable
from chromeprep.format.schema import UNKNOWN_LABEL

_log = logging.getLogger(__name__)


class Labels(NamedTuple):
    """Labels and the threshold they were cut at; see `median_labels`."""

    label: NDArray[np.int8]
    threshold: float


def join_genes(genes: GeneTable, table: ExpressionColumn) -> NDArray[np.float64]:
    """Look up each gene by its id or its symbol, whichever the table was read by.

    A symbol that several genes have is no key, so these genes are unknown; a log line says so.

    Returns
    -------
    ndarray of float64
        Shape (genes,); NaN where the table does not know the gene.
    """
    if table.ids == "id":
        return join_expression(genes.gene_id, table.values)
    counts = Counter(name for name in genes.gene_name if name)
    doubled = sorted(name for name, count in counts.items() if count > 1 and name in table.values)
    if doubled:
        _log.warning(
            "%s symbols belong to several genes each, which stay without expression: %s",
            f"{len(doubled):,}", shorten(doubled),
        )  # fmt: skip
    nan = float("nan")
    return np.array(
        [table.values.get(name, nan) if counts[name] == 1 else nan for name in genes.gene_name],
        dtype=np.float64,
    )


def join_expression(
    gene_ids: NDArray[np.object_], values: Mapping[str, float]
) -> NDArray[np.float64]:
    """Look up each gene, versions cut; NaN where the table does not know it.

    Examples
    --------
    >>> ids = np.array(["ENSG00000000003.10", "ENSG00000000005.5"], dtype=object)
    >>> join_expression(ids, {"ENSG00000000003": 2.0})
    array([ 2., nan])
    """
    nan = float("nan")
    return np.array([values.get(cut_version(name), nan) for name in gene_ids], dtype=np.float64)


def median_labels(expression: NDArray[np.float64]) -> Labels:
    """Label genes 1 where expression is at least the median of all, else 0.

    Parameters
    ----------
    expression
        Shape (genes,); NaN, unknown, takes no part and gets label -1.

    References
    ----------
    Chen, Xie, Wen 2022, "Data collection and processing".

    Examples
    --------
    >>> median_labels(np.array([0.0, 1.0, 5.0, np.nan]))
    Labels(label=array([ 0,  1,  1, -1], dtype=int8), threshold=1.0)
    """
    known = ~np.isnan(expression)
    threshold = float(np.median(expression[known])) if known.any() else float("nan")
    label = np.where(known, expression >= threshold, UNKNOWN_LABEL).astype(np.int8)
    return Labels(label, threshold)
