"""What does a model without any depth reach on the same split?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.regression import r_squared
from chromemodel.models.base import Labelled

__all__ = [
    "LOGISTIC",
    "PENALTIES",
    "RIDGE",
    "STRENGTHS",
    "Labelled",
    "Logistic",
    "Ridge",
    "fit_logistic",
    "fit_ridge",
]

LOGISTIC = "logistic regression"
RIDGE = "ridge regression"

# scikit-learn's C, the inverse of the penalty. Neighbouring bins say nearly the same, so with some
# thousand genes the best lies low.
STRENGTHS = (1e-4, 3e-4, 1e-3, 1e-2, 1e-1)
PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
FOLDS = 3


class Logistic(NamedTuple):
    """A fitted logistic regression on flattened bins; ``model`` is scikit-learn's."""

    model: Any
    strength: float

    def probability(self, signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability (genes,) of label 1 of signal (genes, marks, bins)."""
        flat = signal.reshape(len(signal), -1)
        return np.asarray(self.model.predict_proba(flat)[:, 1], dtype=np.float64)


def fit_logistic(
    signal: NDArray[np.float32],
    label: NDArray[Any],
    validation: Labelled | None = None,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Logistic:
    """Fit a logistic regression with an L2 penalty on every bin of every mark.

    As the linear models that DeepChrome (Singh et al. 2016) and DeepChrome 2.0 were held against.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins), normalised as for the model. Single bins are not standardised
        once more: that lifts those where little happens, and costs most from cell to cell.
    label
        Shape (genes,), 0 or 1.
    validation
        Genes that choose the penalty, as they choose the model's epoch: the highest AUROC, the
        first of equals. Without them cross-validation among the training genes chooses it.
    strengths
        The penalties to choose from, as scikit-learn's C.
    """
    if validation is None:
        return _fit(signal, label, _cross_validated(signal, label, strengths))
    fitted = [_fit(signal, label, strength) for strength in strengths]
    return max(fitted, key=lambda one: auroc(validation.label, one.probability(validation.signal)))


def _cross_validated(
    signal: NDArray[np.float32], label: NDArray[Any], strengths: Sequence[float]
) -> float:
    from sklearn.model_selection import StratifiedKFold

    folds = list(
        StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(label)), label)
    )

    def score(strength: float) -> float:
        return sum(
            auroc(label[held], _fit(signal[rows], label[rows], strength).probability(signal[held]))
            for rows, held in folds
        )

    return max(strengths, key=score)


def _fit(signal: NDArray[np.float32], label: NDArray[Any], strength: float) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, solver="lbfgs", max_iter=2000)
    return Logistic(model.fit(signal.reshape(len(signal), -1), label), strength)


class Ridge(NamedTuple):
    """A fitted ridge regression on flattened bins; ``model`` is scikit-learn's."""

    model: Any
    penalty: float

    def predict(self, signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the value (genes,) of signal (genes, marks, bins)."""
        return np.asarray(self.model.predict(_flat(signal)), dtype=np.float64)


def fit_ridge(
    signal: NDArray[np.float32],
    values: NDArray[Any],
    validation: Labelled | None = None,
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Ridge:
    """Fit a linear regression with an L2 penalty on every bin of every mark.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins), as for `fit_logistic`.
    values
        Shape (genes,).
    validation
        Genes that choose the penalty: the highest R2, the first of equals. Without them
        cross-validation among the training genes chooses it.
    penalties
        To choose from, as scikit-learn's alpha.
    """
    if validation is not None:
        fitted = [_ridge(signal, values, penalty) for penalty in penalties]
        return max(
            fitted, key=lambda one: r_squared(validation.label, one.predict(validation.signal))
        )
    from sklearn.model_selection import KFold

    folds = list(KFold(min(FOLDS, len(values)), shuffle=True, random_state=0).split(values))

    def score(penalty: float) -> float:
        told = np.empty(len(values))
        for rows, held in folds:
            told[held] = _ridge(signal[rows], values[rows], penalty).predict(signal[held])
        return r_squared(values, told)

    return _ridge(signal, values, max(penalties, key=score))


def _ridge(signal: NDArray[np.float32], values: NDArray[Any], penalty: float) -> Ridge:
    from sklearn.linear_model import Ridge as Model

    model = Model(alpha=penalty, solver="cholesky")
    return Ridge(model.fit(_flat(signal), np.asarray(values, dtype=np.float64)), penalty)


def _flat(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return signal (genes, marks * bins); normal equations need double precision."""
    return signal.reshape(len(signal), -1).astype(np.float64)
