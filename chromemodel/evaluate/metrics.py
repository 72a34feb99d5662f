"""How well do probabilities tell high genes from low ones?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.calibration import calibration
from chromeprep.errors import InputError

if TYPE_CHECKING:
    from chromemodel.evaluate.regression import RegressionMetrics

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
    mcc
        Matthews' correlation of calls and labels, -1 to 1; 0 is a guess, and where all are called
        alike.
    brier
        Mean squared distance of probability and label; 0 is best, 0.25 is always saying 0.5.
    ece
        Expected calibration error in ten bins of equal width
        (`chromemodel.evaluate.calibration`); 0 is best.
    """

    genes: int
    positive_share: float
    auroc: float
    auprc: float
    accuracy: float
    f1: float
    mcc: float
    brier: float
    ece: float


class Interval(NamedTuple):
    """Bounds of each metric, between which ``level`` of the ``replicates`` of a bootstrap lie."""

    low: Metrics | RegressionMetrics
    high: Metrics | RegressionMetrics
    level: float
    replicates: int

    def to_json(self) -> dict[str, Any]:
        """Return one object, the two bounds of each metric by its name."""
        bounds = zip(self.low._fields, self.low, self.high, strict=True)
        named = {name: [low, high] for name, low, high in bounds if name != "genes"}
        return {"level": self.level, "replicates": self.replicates, **named}


class Score(NamedTuple):
    """Metrics of a model on a part of the genes, both in words; ``interval`` where asked for."""

    model: str
    part: str
    metrics: Metrics | RegressionMetrics
    interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one flat object, the interval in an object of its own."""
        flat = {"model": self.model, "part": self.part, **self.metrics._asdict()}
        return flat if self.interval is None else flat | {"interval": self.interval.to_json()}


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
        Where the labels are not of both classes, or a probability is not one.

    Examples
    --------
    >>> found = binary_metrics(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.7]))
    >>> found.auroc, found.accuracy, round(found.mcc, 3), round(found.brier, 4)
    (1.0, 0.75, 0.577, 0.1175)
    """
    from sklearn.metrics import (
        average_precision_score,
        brier_score_loss,
        f1_score,
        matthews_corrcoef,
    )

    area = auroc(label, probability)
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        raise InputError(f"{int(outside.sum())} of {len(label)} probabilities are not in [0, 1]")
    called = call(probability)
    return Metrics(
        genes=len(label),
        positive_share=float(np.mean(label == 1)),
        auroc=area,
        auprc=float(average_precision_score(label, probability)),
        accuracy=float(np.mean(called == label)),
        f1=float(f1_score(label, called, zero_division=0.0)),
        mcc=float(matthews_corrcoef(label, called)),
        brier=float(brier_score_loss(label, np.asarray(probability, dtype=np.float64))),
        ece=calibration(label, probability).error,
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


def call_notes(model: str, genes: str, probability: NDArray[np.float32]) -> tuple[str, ...]:
    """Return a note where all genes, in words, are called alike.

    Examples
    --------
    >>> call_notes("m", "test genes", np.array([0.6, 0.9], dtype=np.float32))
    ('m: all 2 test genes are called high; the calls tell nothing',)
    """
    calls = call(probability)
    if not len(calls) or calls.min() != calls.max():
        return ()
    called = "high" if calls[0] else "low"
    return (f"{model}: all {len(calls)} {genes} are called {called}; the calls tell nothing",)
