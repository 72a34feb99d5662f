"""What does the source's expression, without any model, say of the same genes in the target?

Which genes are on is largely the same in all cell types, so a model that is carried over stands
beside this lookup: genes are matched by id without version, and a gene of the target is as likely
to be high as it ranks high in the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.data.sources import ranks
from chromeprep.format import GeneTable
from chromeprep.format.ids import cut_version

LOOKUP = "source expression (no model)"
LABEL_LOOKUP = "source label (no model)"

# Of a gene that the source lacks nothing is known.
UNKNOWN = 0.5


class Lookup(NamedTuple):
    """What a source says of a target's genes.

    Attributes
    ----------
    score
        Shape (genes,), 0 to 1, made to be read as a probability of label 1, or log(1 + expression)
        for a regression; ``unknown`` where not found, so that a lookup and a model are scored on
        the same genes.
    found
        Shape (genes,); whether the source knows the gene.
    kind
        ``expression``, or ``label`` where the source has labels only.
    unknown
        What a gene is taken for that the source lacks.
    """

    score: NDArray[np.float64]
    found: NDArray[np.bool_]
    kind: Literal["expression", "label"]
    unknown: float = UNKNOWN

    @property
    def name(self) -> str:
        """What to call it in a table of scores."""
        return LOOKUP if self.kind == "expression" else LABEL_LOOKUP


def source_expression(near: GeneTable, far: GeneTable) -> Lookup:
    """Rank the target's genes by their expression in the source.

    The score is the share of the source's genes with less expression, equal ones counted half, and
    at least 0.5 from the median on: so the call at 0.5 is the source's own median label. It is a
    rank and not a calibrated probability; its Brier score and calibration error say no more.

    Parameters
    ----------
    near
        Genes of the source; of several sources, what `merge_genes` makes of them. Without any
        expression (published tables hold labels alone) the score is the source's label, 0 or 1.
    far
        Genes of the target; its expression and labels are not looked at.

    Examples
    --------
    >>> near = GeneTable.build(
    ...     list("abcd"), ["1"] * 4, [0] * 4, [1] * 4, ["+"] * 4, expression=[0, 0, 3, 9]
    ... )
    >>> far = GeneTable.build(list("dxa"), ["1"] * 3, [0] * 3, [1] * 3, ["+"] * 3)
    >>> source_expression(near, far).score
    array([0.875, 0.5  , 0.25 ])
    """
    known = ~np.isnan(near.expression)
    if not known.any():
        label = source_label(near, far)
        return Lookup(np.where(label >= 0, label, UNKNOWN), label >= 0, "label")
    values = near.expression[known]
    share = ranks(values)
    rank = np.full(len(near), UNKNOWN)
    rank[known] = np.where(values >= np.median(values), np.maximum(share, 0.5), share)
    rows = match_genes(near, far)
    found = (rows >= 0) & known[rows]
    return Lookup(np.where(found, rank[rows], UNKNOWN), found, "expression")


def source_log1p(near: Sequence[GeneTable], far: GeneTable, unknown: float) -> Lookup:
    """Look up the log(1 + expression) of the target's genes in the sources.

    Parameters
    ----------
    near
        Genes of each source; a gene of several has the mean of those that know it.
    far
        Genes of the target; its expression is not looked at.
    unknown
        What a gene is taken for that no source knows.

    Examples
    --------
    >>> near = GeneTable.build(["a"], ["1"], [0], [1], ["+"], expression=[0.0])
    >>> far = GeneTable.build(["b", "a"], ["1"] * 2, [0] * 2, [1] * 2, ["+"] * 2)
    >>> source_log1p([near], far, 1.5).score
    array([1.5, 0. ])
    """
    total, count = np.zeros((2, len(far)))
    for table in near:
        rows = match_genes(table, far)
        value = np.where(rows >= 0, np.log1p(table.expression)[rows], np.nan)
        known = ~np.isnan(value)
        total[known] += value[known]
        count[known] += 1
    found = count > 0
    score = np.divide(total, count, out=np.full(len(far), unknown), where=found)
    return Lookup(score, found, "expression", unknown)


def source_label(near: GeneTable, far: GeneTable) -> NDArray[np.int8]:
    """Return the label (genes,) of the target's genes in the source, -1 where it has none."""
    rows = match_genes(near, far)
    return np.where(rows >= 0, near.label[rows], -1).astype(np.int8)


def label_agreement(
    near: GeneTable, far: GeneTable, rows: NDArray[np.bool_] | None = None
) -> float:
    """Return the share of some of the target's genes whose label is that of the source.

    Genes that either has no label of are left out; NaN where none is left.
    """
    before, now = source_label(near, far), far.label
    both = (before >= 0) & (now >= 0)
    if rows is not None:
        both &= rows
    return float(np.mean(before[both] == now[both])) if both.any() else float("nan")


def agreement_words(agreement: float, cell_type: str) -> str:
    """Say how often labels are those of the source."""
    return f"{agreement:.1%} of the labelled test genes have the same label in {cell_type}"


def missing_words(lookup: Lookup, rows: NDArray[np.bool_], part: str) -> tuple[str, ...]:
    """Return a note where a lookup knows nothing of some of the genes that are scored."""
    missing = int((rows & ~lookup.found).sum())
    if not missing:
        return ()
    words = f"{missing:,} of {int(rows.sum()):,} genes ({part}) are not in the source"
    if missing == rows.sum():
        return (f"{lookup.name}: {words}, no score",)
    return (f"{lookup.name}: {words} and count as {lookup.unknown:.3g}",)


def match_genes(near: GeneTable, far: GeneTable) -> NDArray[np.int64]:
    """Return the row (genes,) of the source with each gene of the target, -1 where there is none.

    By id without version; of genes with one id, as old annotations have, the first counts.

    Examples
    --------
    >>> near = GeneTable.build(["ENSG00000000003.1", "b"], ["1"] * 2, [0] * 2, [1] * 2, ["+"] * 2)
    >>> far = GeneTable.build(["c", "ENSG00000000003.7"], ["1"] * 2, [0] * 2, [1] * 2, ["+"] * 2)
    >>> match_genes(near, far)
    array([-1,  0])
    """
    where: dict[str, int] = {}
    for row, name in enumerate(near.gene_id):
        where.setdefault(cut_version(str(name)), row)
    rows = [where.get(cut_version(str(name)), -1) for name in far.gene_id]
    return np.array(rows, dtype=np.int64)
