"""How do the marks' and the panel's word become one probability, and when is it uncertain?

Stacking (Wolpert 1992) of two logits, which is Platt's scaling (Platt 1999) with a second input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.subsets import rows_in
from chromemodel.fusion.features import PanelModel, panel_features
from chromeprep.errors import InputError
from chromeprep.format import GeneTable, Panel

#: Share of right calls that genes which are not uncertain reach on the validation genes.
SURE = 0.95
# Probabilities end so far from 0 and 1, so that their logits are numbers.
EDGE = 1e-6


@dataclass(frozen=True)
class Fusion:
    """All that turns the marks' probability and a panel into one probability.

    Attributes
    ----------
    panel
        The panel's own model.
    intercept, marks_weight, panel_weight
        The logit is the intercept and both logits by their weights.
    expected, expected_slope
        The marks' logit that the panel's logit lets one expect, intercept and slope: by it the
        marks' logits of another file are centred (`offset_of`).
    confidence, marks_confidence
        A gene is uncertain where the larger of its probability and one minus that is below:
        of genes that the panel knows, and of the others. None: all of them are uncertain.
    genes
        How many validation genes these numbers were fitted to.
    """

    panel: PanelModel
    intercept: float
    marks_weight: float
    panel_weight: float
    expected: float
    expected_slope: float
    confidence: float | None
    marks_confidence: float | None
    genes: int

    def tell(self, marks: NDArray[Any], panel: Panel, genes: GeneTable) -> Told:
        """Put together what the marks and the cell types of a panel say of genes.

        Parameters
        ----------
        marks
            Shape (genes,): the probability of the model of the marks.
        panel
            Of the cell types that may speak.
        genes
            Of the file.
        """
        rows = rows_in(panel, genes)
        said = self.panel.logit(panel_features(panel.summary))[rows.row]
        centred = logit(marks) - self.offset_of(logit(marks)[rows.found], said[rows.found])
        both = self.intercept + self.marks_weight * centred + self.panel_weight * said
        alone = np.asarray(marks, dtype=np.float32)
        probability = np.where(rows.found, sigmoid(both), alone).astype(np.float32)
        bounds = np.where(rows.found, _bound(self.confidence), _bound(self.marks_confidence))
        return Told(
            probability=probability,
            marks=alone,
            panel=np.where(rows.found, sigmoid(said), np.nan).astype(np.float32),
            uncertain=confidence_of(probability) < bounds,
        )

    def offset_of(self, marks: NDArray[np.float64], panel: NDArray[np.float64]) -> float:
        """Return how much more the marks' logits of a file are than the panel lets one expect.

        Carried to another cell type a model of the marks is often too sure of one side for all
        genes alike. Both logits have shape (genes,); of no genes it is 0.
        """
        expected = self.expected + self.expected_slope * panel
        return float(np.mean(marks - expected)) if len(marks) else 0.0


class Told(NamedTuple):
    """What each says of genes, all of shape (genes,).

    Attributes
    ----------
    probability
        Of label 1, by both; that of the marks where the panel does not know the gene.
    marks, panel
        Of each alone; ``panel`` is NaN where it does not know the gene.
    uncertain
        Whether the call is not to be relied on.
    """

    probability: NDArray[np.float32]
    marks: NDArray[np.float32]
    panel: NDArray[np.float32]
    uncertain: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which genes the panel knows."""
        return ~np.isnan(self.panel)


def fit_fusion(
    model: PanelModel, panel: Panel, genes: GeneTable, marks: NDArray[Any], path: str | Path
) -> Fusion:
    """Fit weights and bounds to genes that did not train the model of the marks.

    Parameters
    ----------
    model, panel
        The panel's own model, and the panel of those that may speak.
    genes
        Labelled validation genes of the source.
    marks
        Shape (genes,): the probability of the model of the marks for them.
    path
        Of the source, for errors.

    Raises
    ------
    InputError
        Where the panel does not know genes of both classes among them.
    """
    from sklearn.linear_model import LogisticRegression

    rows = rows_in(panel, genes)
    label = genes.label[rows.found]
    if len(np.unique(label)) < 2:
        raise InputError(
            f"{len(label)} of {len(genes)} labelled validation genes are in the panel; genes of "
            "both classes are needed to weigh marks and panel",
            path=path,
            hint="are the panel's genes of the same species, named alike (--expression-ids)? "
            "Else hold out more genes",
        )
    said = model.logit(panel_features(panel.summary))[rows.row[rows.found]]
    both = np.column_stack([logit(marks[rows.found]), said])
    middle, spread = both.mean(axis=0), both.var(axis=0)
    covariance = np.mean((both[:, 0] - middle[0]) * (both[:, 1] - middle[1]))
    slope = covariance / spread[1] if spread[1] > 0 else 0.0
    found = LogisticRegression(max_iter=1000).fit(both, label)
    return Fusion(
        panel=model,
        intercept=float(found.intercept_[0]),
        marks_weight=float(found.coef_[0, 0]),
        panel_weight=float(found.coef_[0, 1]),
        expected=float(middle[0] - slope * middle[1]),
        expected_slope=float(slope),
        confidence=least_confidence(label, found.predict_proba(both)[:, 1]),
        marks_confidence=least_confidence(genes.label, marks),
        genes=len(label),
    )


def least_confidence(
    label: NDArray[Any], probability: NDArray[Any], accuracy: float = SURE
) -> float | None:
    """Return the least confidence from which on calls reach an accuracy; None where none do.

    Confidence is the larger of the probability and one minus it. Of equal ones, all or none count.

    Parameters
    ----------
    label, probability
        Shape (genes,): 0 or 1, and the probability of 1.
    accuracy
        Share of right calls among the genes from there on.

    Examples
    --------
    >>> least_confidence(np.array([1, 0, 0, 1]), np.array([0.9, 0.25, 0.6, 0.55]), accuracy=0.9)
    0.75
    """
    confidence = confidence_of(probability)
    right = ((probability >= 0.5) == (label == 1)).astype(np.float64)
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last_of_equals = np.append(ordered[1:] < ordered[:-1], True)
    enough = np.flatnonzero((share >= accuracy) & last_of_equals)
    return float(ordered[enough[-1]]) if len(enough) else None


def confidence_of(probability: NDArray[Any]) -> NDArray[np.float64]:
    """Return the larger of each probability and one minus it."""
    exact = np.asarray(probability, dtype=np.float64)
    return np.maximum(exact, 1 - exact)


def logit(probability: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logit of probabilities, those nearer than 1e-6 to 0 and 1 moved there."""
    exact = np.clip(np.asarray(probability, dtype=np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(exact) - np.log1p(-exact))


def sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of logits, without overflow.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return np.asarray(np.exp(-np.logaddexp(0, -value)))


def _bound(confidence: float | None) -> float:
    return np.inf if confidence is None else confidence
