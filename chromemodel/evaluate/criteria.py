"""What tells without labels of the target how good an adapted model is there? The arithmetic.

None of these is a score: each rests on an assumption that may fail; see ``docs/adaptation.md``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Of a probability, before its logarithm.
SMALLEST = 1e-15


class Risk(NamedTuple):
    """A risk by importance weights, and how many genes ``(sum w)² / sum w²`` it rests on."""

    risk: float
    effective_genes: float


def prediction_entropy(probability: Floats) -> float:
    """Return the mean entropy of predictions, in nats: low where a model is sure (Morerio 2018).

    Parameters
    ----------
    probability
        Of label 1, shape (genes,).

    Examples
    --------
    >>> round(prediction_entropy(np.array([0.5, 1.0])), 4)
    0.3466
    """
    return float(np.mean(_entropy(np.asarray(probability, dtype=np.float64))))


def mutual_information(probability: Floats) -> float:
    """Return the information that genes give on predictions, in nats (Krause et al. 2010).

    The entropy of the mean prediction less the mean entropy: high where a model is sure of each
    gene and does not say the same of all.

    Examples
    --------
    >>> round(mutual_information(np.array([0.0, 1.0])), 4), mutual_information(np.array([1.0]))
    (0.6931, 0.0)
    """
    values = np.asarray(probability, dtype=np.float64)
    return float(_entropy(values.mean(keepdims=True))[0]) - prediction_entropy(values)


def cross_entropy(label: NDArray[Any], probability: Floats) -> NDArray[np.float64]:
    """Return the loss of each gene (genes,), in nats."""
    right = np.where(label == 1, probability, 1 - np.asarray(probability, dtype=np.float64))
    return np.asarray(-np.log(np.clip(right, SMALLEST, 1 - SMALLEST)))


def standardised(*parts: Floats) -> tuple[NDArray[np.float64], ...]:
    """Return features (genes, n_features) of some parts, z-scored together; constant ones 0.

    So the density ratio does not depend on how long features are, which differs among models.
    """
    whole = np.concatenate(parts).astype(np.float64)
    deviation = whole.std(axis=0)
    mean, by = whole.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
    return tuple((part - mean) / by for part in parts)


def density_ratio(source: Floats, target: Floats, asked: Floats) -> NDArray[np.float64]:
    """Return how much likelier each gene is in the target than in the source, shape (genes,).

    By a logistic regression (L2, C = 1) that tells source from target by features, as You et al.
    2019 and skada do.

    Parameters
    ----------
    source, target, asked
        Features, shape (genes, n_features): of the genes that train, of the target's, and of those
        whose ratio is asked for.
    """
    from sklearn.linear_model import LogisticRegression

    domain = np.repeat([1, 0], [len(source), len(target)])
    model = LogisticRegression(max_iter=1000).fit(np.concatenate([source, target]), domain)
    in_target, in_source = model.predict_proba(asked).T
    return np.asarray(len(source) / len(target) * in_target / np.maximum(in_source, SMALLEST))


def dev_risk(weights: Floats, loss: Floats) -> Risk:
    """Return the deep embedded validation of You et al. 2019, ICML (their Algorithm 1).

    The loss of held-out source genes, weighted to stand for the target; the weights, whose mean
    should be 1, are a control variate: ``mean(w l) + eta mean(w) - eta`` with
    ``eta = -cov(w l, w) / var(w)``, 0 where all weights are equal. It may be negative.

    Parameters
    ----------
    weights, loss
        Of the held-out genes of the source, shape (genes,).

    Examples
    --------
    >>> dev_risk(np.array([1.0, 1.0]), np.array([0.2, 0.4]))
    Risk(risk=0.30000000000000004, effective_genes=2.0)
    """
    weighted = weights * loss
    eta = 0.0
    if len(weights) > 1 and np.ptp(weights) > 0:
        covariance = np.cov(weighted, weights)
        eta = -float(covariance[0, 1] / covariance[1, 1])
    risk = float(np.mean(weighted) + eta * np.mean(weights) - eta)
    squares = float(np.sum(weights**2))
    return Risk(risk, float(np.sum(weights)) ** 2 / squares if squares else 0.0)


def _entropy(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = (probability > 0) & (probability < 1)
    p = np.where(inner, probability, 0.5)
    return np.where(inner, -p * np.log(p) - (1 - p) * np.log1p(-p), 0.0)
