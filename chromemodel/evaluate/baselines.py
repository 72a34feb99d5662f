"""What does a model without any depth reach on the same split?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.metrics import auroc

LOGISTIC = "logistic regression"

# scikit-learn's C, the inverse of the penalty. Neighbouring bins say nearly the same, so with some
# thousand genes the best lies low.
STRENGTHS = (1e-4, 3e-4, 1e-3, 1e-2, 1e-1)
DEFAULT_STRENGTH = 1e-3


class Logistic(NamedTuple):
    """A fitted logistic regression on flattened bins; ``pipeline`` is scikit-learn's."""

    pipeline: Any
    strength: float

    def probability(self, signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability (genes,) of label 1 of signal (genes, marks, bins)."""
        flat = signal.reshape(len(signal), -1)
        return np.asarray(self.pipeline.predict_proba(flat)[:, 1], dtype=np.float64)


class Labelled(NamedTuple):
    """Signal (genes, marks, bins) and label (genes,), 0 or 1."""

    signal: NDArray[np.float32]
    label: NDArray[np.int8]


def fit_logistic(
    signal: NDArray[np.float32], label: NDArray[np.int8], validation: Labelled | None = None
) -> Logistic:
    """Fit a logistic regression with an L2 penalty on every bin of every mark.

    As the linear models that DeepChrome (Singh et al. 2016) and DeepChrome 2.0 were held against.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins), normalised as for the model; each bin is standardised again.
    label
        Shape (genes,), 0 or 1.
    validation
        Genes that choose the penalty among `STRENGTHS`, as they choose the model's epoch: the
        highest AUROC, the stronger penalty of equals. Without them it is `DEFAULT_STRENGTH`.
    """
    strengths = (DEFAULT_STRENGTH,) if validation is None else STRENGTHS
    fitted = [_fit(signal, label, strength) for strength in strengths]
    if validation is None:
        return fitted[0]
    return max(fitted, key=lambda one: auroc(validation.label, one.probability(validation.signal)))


def _fit(signal: NDArray[np.float32], label: NDArray[np.int8], strength: float) -> Logistic:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, solver="lbfgs", max_iter=2000)
    )
    return Logistic(pipeline.fit(signal.reshape(len(signal), -1), label), strength)
