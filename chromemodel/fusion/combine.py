"""How do the marks' and the panel's word become one probability, and when is it uncertain?

Stacking (Wolpert 1992) of logits, which is Platt's scaling (Platt 1999) with more inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.subsets import rows_in
from chromemodel.fusion.features import PanelModel, panel_features
from chromemodel.fusion.resemblance import FEWEST_GENES, resemble
from chromeprep.errors import InputError
from chromeprep.format import GeneTable, Panel

#: Share of right calls that genes which are not uncertain reach on the validation genes.
SURE = 0.95
# Probabilities end so far from 0 and 1, so that their logits are numbers.
EDGE = 1e-6


@dataclass(frozen=True)
class Weights:
    """What each logit counts.

    Attributes
    ----------
    intercept
        Of the logit of all together.
    marks, panel
        Weight of the marks' logit, and of the panel's.
    resemblance
        Weight of what the cell types that the marks are like say; 0 where they are not asked.
    """

    intercept: float
    marks: float
    panel: float
    resemblance: float = 0.0

    def logit(
        self, marks: NDArray[Any], panel: NDArray[Any], resembled: NDArray[Any] | float = 0.0
    ) -> NDArray[np.float64]:
        """Return the logit (genes,) of all together."""
        return np.asarray(
            self.intercept
            + self.marks * marks
            + self.panel * panel
            + self.resemblance * np.asarray(resembled)
        )


@dataclass(frozen=True)
class Fusion:
    """All that turns the marks' probability and a panel into one probability.

    Attributes
    ----------
    panel
        The panel's own model.
    two
        Weights of marks and panel, for files of too few genes to tell what they are like.
    three
        Weights with the resemblance; None where it was fitted to too few genes.
    expected, expected_slope
        The logit of being high that the panel's logit alone lets one expect, intercept and slope:
        they tell how many genes of another file are high (`expected_share`).
    confidence, marks_confidence
        A gene is uncertain where the larger of its probability and one minus that is below:
        of genes that the panel knows, and of the others. None: all of them are uncertain.
    genes
        How many validation genes these numbers were fitted to.
    """

    panel: PanelModel
    two: Weights
    three: Weights | None
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
        known = rows.row[rows.found]
        said = self.panel.logit(panel_features(panel.summary))[known]
        own = logit(marks)[rows.found]
        alone = np.asarray(marks, dtype=np.float32)
        found = None if self.three is None else resemble(own, np.log1p(panel.expression[known]))
        if self.three is None or found is None:
            both = self.two.logit(own, said)
        else:
            both = self.three.logit(own, said, found.logit)
        if len(both) >= FEWEST_GENES:
            both = both + shift(both, self.expected_share(said))
        probability, by_panel = alone.copy(), np.full(len(alone), np.nan, dtype=np.float32)
        probability[rows.found], by_panel[rows.found] = sigmoid(both), sigmoid(said)
        bounds = np.where(rows.found, _bound(self.confidence), _bound(self.marks_confidence))
        return Told(
            probability=probability,
            marks=alone,
            panel=by_panel,
            uncertain=confidence_of(probability) < bounds,
            like=() if found is None else tuple(found.nearest(panel)),
        )

    def expected_share(self, panel: NDArray[np.float64]) -> float:
        """Return the share of high genes among those of which the panel says so, (genes,)."""
        return float(sigmoid(self.expected + self.expected_slope * panel).mean())


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
    like
        The cell types that this one is most like by its marks, and how much (correlation);
        none where that was not asked.
    """

    probability: NDArray[np.float32]
    marks: NDArray[np.float32]
    panel: NDArray[np.float32]
    uncertain: NDArray[np.bool_]
    like: tuple[tuple[str, float], ...] = ()

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which genes the panel knows."""
        return ~np.isnan(self.panel)


def fit_fusion(
    model: PanelModel,
    panel: Panel,
    genes: GeneTable,
    marks: NDArray[Any],
    seen: GeneTable,
    path: str | Path,
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
    seen
        All labelled genes of the source but those of the test, which tell the share of high ones.
    path
        Of the source, for errors.

    Raises
    ------
    InputError
        Where the panel does not know genes of both classes among them.
    """
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
    known = rows.row[rows.found]
    by_panel = model.logit(panel_features(panel.summary))
    said = by_panel[known]
    own = logit(marks[rows.found])
    before = rows_in(panel, seen)
    expected, slope = _expectation(by_panel[before.row[before.found]], seen.label[before.found])
    two = _weights(np.column_stack([own, said]), label)
    resembled = resemble(own, np.log1p(panel.expression[known]))
    three = None
    both = two.logit(own, said)
    if resembled is not None:
        three = _weights(np.column_stack([own, said, resembled.logit]), label)
        both = three.logit(own, said, resembled.logit)
    return Fusion(
        panel=model,
        two=two,
        three=three,
        expected=expected,
        expected_slope=slope,
        confidence=least_confidence(label, sigmoid(both)),
        marks_confidence=least_confidence(genes.label, marks),
        genes=len(label),
    )


def _weights(logits: NDArray[np.float64], label: NDArray[Any]) -> Weights:
    """Fit the weights of logits (genes, 2 or 3) in the order of `Weights`."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(max_iter=1000).fit(logits, label)
    return Weights(float(found.intercept_[0]), *map(float, found.coef_[0]))


def _expectation(panel: NDArray[np.float64], label: NDArray[Any]) -> tuple[float, float]:
    """Fit the logit of being high to the panel's alone (genes,); return intercept and slope."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(max_iter=1000).fit(panel[:, None], label)
    return float(found.intercept_[0]), float(found.coef_[0, 0])


def shift(logits: NDArray[np.float64], share: float) -> float:
    """Return what to add to logits (genes,) so that their mean probability is a share.

    Carried to another cell type a model is often too sure of one side for all genes alike. How many
    are high is known without a label: labels are cut at the median (Saerens et al. 2002 mend
    probabilities by such a share). Shares are kept off 0 and 1 by one gene.

    Examples
    --------
    >>> round(shift(np.array([2.0, 2.0, 2.0]), 0.5), 6)
    -2.0
    """
    from scipy.optimize import brentq

    edge = 1 / (len(logits) + 1)
    wanted = min(max(share, edge), 1 - edge)
    reach = float(np.abs(logits).max()) - np.log(edge) + 1
    return float(brentq(lambda c: float(sigmoid(logits + c).mean()) - wanted, -reach, reach))


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
