"""What do the runs of several seeds say of a gene together?

The mean of their logits (of probabilities held 1e-6 from 0 and 1), of a regression that of their
values (Lakshminarayanan et al. 2017 average networks that differ by their seed alone).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.predictions import ExpressionPredictions, Predictions
from chromemodel.fusion.combine import Told, logit, sigmoid


def mean_of(
    said: Sequence[Predictions | ExpressionPredictions],
) -> Predictions | ExpressionPredictions:
    """Return what several say of the same genes together; of one it is its own word.

    Marks and panel, where there is one, are averaged each as well; a call is uncertain where it is
    so by half of the runs or more. What the cell type is like is the first run's word.

    Parameters
    ----------
    said
        Of the same genes, of one task, all with a panel beside the marks or none; one at least.
    """
    first = said[0]
    if len(said) == 1:
        return first
    if isinstance(first, ExpressionPredictions):
        values = np.array([one.answer for one in said], dtype=np.float64).mean(axis=0)
        return first._replace(log1p_expression=np.asarray(values, dtype=np.float32))
    told = [one.told for one in said if isinstance(one, Predictions) and one.told is not None]
    probability = _mean_probability([one.answer for one in said])
    if not told:
        return first._replace(probability=probability)

    def over(of: Callable[[Told], NDArray[np.float32]]) -> NDArray[np.float32]:
        return _mean_probability([of(one) for one in told])

    together = Told(
        probability=probability,
        marks=over(lambda one: one.marks),
        panel=over(lambda one: one.panel),
        uncertain=np.mean([one.uncertain for one in told], axis=0) >= 0.5,
        like=told[0].like,
    )
    return first._replace(probability=probability, told=together)


def _mean_probability(said: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the probability (genes,) of the mean logit; NaN stays."""
    together = np.array([logit(one) for one in said]).mean(axis=0)
    known = ~np.isnan(together)
    together[known] = sigmoid(together[known])
    return np.asarray(together, dtype=np.float32)
