"""How well do probabilities tell high genes from low ones?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import InputError

CALL_THRESHOLD = 0.5


class Metrics(NamedTuple):
    """Scores of some genes.

    Attributes
    ----------
    genes
        Number of labelled genes.
    positive_share
        Share of them with label 1; the AUPRC of a guess.
    auroc
        Area under the receiver operating characteristic: the probability that a high gene is
        ranked above a low one; 0.5 is a guess.
    auprc
        Average precision: the area under the precision-recall curve, step by step.
    accuracy
        Share of the calls (1 at a probability of 0.5 or more) that are right.
    f1
        Harmonic mean of precision and recall of the calls; 0 where none is 1.
    """

    genes: int
    positive_share: float
    auroc: float
    auprc: float
    accuracy: float
    f1: float


class Score(NamedTuple):
    """Metrics of a model on a part of the genes, both in words."""

    model: str
    part: str
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """Return one flat object."""
        return {"model": self.model, "part": self.part, **self.metrics._asdict()}


def binary_metrics(label: NDArray[Any], probability: NDArray[Any]) -> Metrics:
    """Score probabilities against labels.

    Parameters
    ----------
    label
        Shape (genes,), 0 or 1.
    probability
        Shape (genes,), of label 1.

    Raises
    ------
    InputError
        Where the labels are not of both classes, or a probability is not a number.

    Examples
    --------
    >>> binary_metrics(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.7]))._asdict()
    ... # doctest: +NORMALIZE_WHITESPACE
    {'genes': 4, 'positive_share': 0.5, 'auroc': 1.0, 'auprc': 1.0, 'accuracy': 0.75, 'f1': 0.8}
    """
    from sklearn.metrics import average_precision_score, f1_score

    area = auroc(label, probability)
    called = call(probability)
    return Metrics(
        genes=len(label),
        positive_share=float(np.mean(label == 1)),
        auroc=area,
        auprc=float(average_precision_score(label, probability)),
        accuracy=float(np.mean(called == label)),
        f1=float(f1_score(label, called, zero_division=0.0)),
    )


def auroc(label: NDArray[Any], probability: NDArray[Any]) -> float:
    """Return the area under the receiver operating characteristic.

    Raises
    ------
    InputError
        As `binary_metrics`.
    """
    from sklearn.metrics import roc_auc_score

    found = sorted({int(value) for value in np.unique(label)})
    if found != [0, 1]:
        raise InputError(
            f"the AUROC needs genes of label 0 and of label 1; {len(label)} genes have {found}"
        )
    if not np.isfinite(probability).all():
        raise InputError(
            f"{int((~np.isfinite(probability)).sum())} of {len(label)} probabilities are no numbers"
        )
    return float(roc_auc_score(label, probability))


def call(probability: NDArray[Any]) -> NDArray[np.int8]:
    """Return 1 where the probability is 0.5 or more, else 0."""
    return (probability >= CALL_THRESHOLD).astype(np.int8)


def score_parts(
    model: str,
    label: NDArray[np.int8],
    probability: NDArray[Any],
    parts: NDArray[Any],
    names: Sequence[str],
) -> list[Score]:
    """Score the labelled genes of each part by name; parts of one class or none are left out."""
    scores = []
    for name in names:
        rows = (parts == name) & (label >= 0)
        if len(np.unique(label[rows])) == 2:
            scores.append(Score(model, name, binary_metrics(label[rows], probability[rows])))
    return scores
