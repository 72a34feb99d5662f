"""What do models that scikit-learn fits reach where expression itself is learned?

Ridge regression (Hoerl and Kennard 1970, Technometrics 12) for the logistic one, and the trees of
`chromemodel.models.trees` grown on values instead of classes. Karlić et al. 2010, PNAS 107, predict
the logarithm of expression by linear regression on the marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.models.base import Labelled
from chromemodel.models.linear import LinearNet
from chromemodel.models.trees import GradientBoosting, RandomForest


@dataclass(frozen=True)
class RidgeConfig:
    """Options of ridge regression.

    Parameters
    ----------
    penalties
        scikit-learn's alpha: those to choose from, by the R2 of held-out genes, or by
        cross-validation where none are held out.
    """

    penalties: tuple[float, ...] = (1e1, 1e2, 1e3, 1e4, 1e5)

    def __post_init__(self) -> None:
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties is {self.penalties}, expected numbers more than 0")


class Ridge(LinearNet):
    """Linear regression with an L2 penalty on every bin of every mark."""

    Config: ClassVar[type[Any]] = RidgeConfig

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Fit; the penalty by the held-out genes."""
        from chromemodel.evaluate.baselines import fit_ridge

        chosen = fit_ridge(
            genes.signal, genes.label, held_out, penalties=self.config.penalties
        ).model
        self.put(chosen.coef_, float(chosen.intercept_))


class ForestRegressor(RandomForest):
    """Random forest: the mean over trees of the mean value of a leaf."""

    grower = "RandomForestRegressor"

    def said(self, tree: Any) -> NDArray[np.float64]:
        """Return the mean value of each node (nodes,) of a tree of scikit-learn."""
        values: NDArray[np.float64] = tree.value[:, 0, 0]
        return values

    def combine(self, leaves: Tensor) -> Tensor:
        """Return the mean."""
        return leaves.mean(1)


class BoostingRegressor(GradientBoosting):
    """Gradient boosting: the sum of small trees is the value."""

    grower = "GradientBoostingRegressor"

    def began(self, first: Any) -> float:
        """Return what the trees are added to: the mean of the training genes."""
        return float(first.constant_.item())
