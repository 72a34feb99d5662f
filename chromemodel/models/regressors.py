"""What do models that scikit-learn fits reach where expression itself is learned?

Ridge regression (Hoerl and Kennard 1970, Technometrics 12) for the logistic one, and the trees of
`chromemodel.models.trees` grown on values instead of classes. Karlić et al. 2010, PNAS 107, predict
the logarithm of expression by linear regression on the marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from chromemodel.models.base import Labelled
from chromemodel.models.linear import LinearNet
from chromemodel.models.trees import GradientBoostingConfig, RandomForestConfig, TreeNet


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


class ForestRegressor(TreeNet):
    """Random forest: the mean over trees of the mean value of a leaf."""

    Config = RandomForestConfig

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Grow the trees, each on a bootstrap sample; held-out genes are not used."""
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(
            n_estimators=self.config.trees,
            min_samples_leaf=self.config.min_leaf,
            max_features="sqrt",
            random_state=seed,
            n_jobs=torch.get_num_threads(),
        ).fit(genes.signal.reshape(len(genes.signal), -1), genes.label)
        trees = [entry.tree_ for entry in forest.estimators_]
        self.put(trees, [tree.value[:, 0, 0] for tree in trees], 0.0)

    def combine(self, leaves: Tensor) -> Tensor:
        """Return the mean."""
        return leaves.mean(1)


class BoostingRegressor(TreeNet):
    """Gradient boosting: the sum of small trees is the value."""

    Config = GradientBoostingConfig

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Grow the trees one after another; held-out genes are not used."""
        from sklearn.ensemble import GradientBoostingRegressor

        model = GradientBoostingRegressor(
            n_estimators=self.config.trees,
            max_depth=self.config.depth,
            learning_rate=self.config.learning_rate,
            subsample=self.config.subsample,
            max_features="sqrt",
            random_state=seed,
        ).fit(genes.signal.reshape(len(genes.signal), -1), genes.label)
        trees = [entry.tree_ for entry in model.estimators_[:, 0]]
        values = [self.config.learning_rate * tree.value[:, 0, 0] for tree in trees]
        self.put(trees, values, float(model.init_.constant_.item()))

    def combine(self, leaves: Tensor) -> Tensor:
        """Return the mean of the training genes, and the trees' values."""
        return self.start + leaves.sum(1)
