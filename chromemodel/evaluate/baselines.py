"""What does a model without any depth reach on the same split?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LOGISTIC = "logistic regression"


class Logistic(NamedTuple):
    """A fitted logistic regression on flattened bins; ``pipeline`` is scikit-learn's."""

    pipeline: Any

    def probability(self, signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability (genes,) of label 1 of signal (genes, marks, bins)."""
        flat = signal.reshape(len(signal), -1)
        return np.asarray(self.pipeline.predict_proba(flat)[:, 1], dtype=np.float64)


def fit_logistic(
    signal: NDArray[np.float32], label: NDArray[np.int8], strength: float = 0.01
) -> Logistic:
    """Fit a logistic regression with an L2 penalty on every bin of every mark.

    As the linear models that DeepChrome (Singh et al. 2016) and DeepChrome 2.0 were held against.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins), normalised as for the model; each bin is standardised again.
    label
        Shape (genes,), 0 or 1.
    strength
        scikit-learn's C, the inverse of the penalty: neighbouring bins say nearly the same, so
        a strong one.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, solver="lbfgs", max_iter=2000)
    )
    return Logistic(pipeline.fit(signal.reshape(len(signal), -1), label))
