"""What do a weighted sum of all bins and boosted trees on pooled bins say together?

Ours, the marks' part of the recommended recipe (``docs/accuracy.md``). Single bins are noise to
a tree: it splits on means over bins. A weighted sum carries over to other cell types where trees
do not, so both are asked, and the mean of their logits is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from chromemodel.models.base import ClassicalNet, Labelled, check_options, check_shares, two_logits
from chromemodel.models.linear import Logistic, LogisticConfig
from chromemodel.models.trees import TreeNet

#: The whole window in so many parts, fine and coarse, and its middle fifth.
FINE, COARSE, MIDDLE = 40, 10, 20


@dataclass(frozen=True)
class PooledBoostingConfig:
    """Options of boosted trees on pooled bins.

    Parameters
    ----------
    trees
        How many.
    leaves
        Of each tree, at most.
    min_leaf
        Genes of a leaf, at least.
    learning_rate
        Share of a tree that is added.
    penalty
        L2 penalty on the values of the leaves.
    features_share
        Share of the features that a split chooses from.
    """

    trees: int = 300
    leaves: int = 15
    min_leaf: int = 40
    learning_rate: float = 0.05
    penalty: float = 10.0
    features_share: float = 0.3

    def __post_init__(self) -> None:
        check_options(self)
        check_shares(self, "learning_rate", "features_share")
        if self.leaves < 2:
            raise ValueError(f"leaves is {self.leaves}, expected 2 or more")
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"penalty is {self.penalty}, expected 0 or more")


@dataclass(frozen=True)
class EnsembleConfig(PooledBoostingConfig):
    """Options of the ensemble: of its trees, and of its logistic regression.

    Parameters
    ----------
    strengths
        As of `LogisticConfig`.
    """

    strengths: tuple[float, ...] = LogisticConfig.strengths

    def __post_init__(self) -> None:
        super().__post_init__()
        LogisticConfig(self.strengths)


class _Tree(NamedTuple):
    """A tree of scikit-learn's histogram boosting, as `TreeNet.put` takes trees."""

    node_count: int
    max_depth: int
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    children_left: NDArray[np.int64]
    children_right: NDArray[np.int64]
    value: NDArray[np.float64]


class PooledBoosting(TreeNet):
    """Gradient-boosted trees on means over bins (Ke et al. 2017, as scikit-learn has it).

    Examples
    --------
    >>> model = PooledBoosting(PooledBoostingConfig(), n_marks=5, n_bins=200)
    >>> model.features(torch.zeros(2, 5, 200)).shape
    torch.Size([2, 350])
    """

    Config = PooledBoostingConfig

    def __init__(self, config: Any, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        self.n_features = n_marks * (FINE + COARSE + MIDDLE)

    def features(self, x: Tensor) -> Tensor:
        """Return the means of 40 and of 10 parts of the window and of 20 of its middle fifth."""
        bins = x.shape[2]
        about = max(1, round(bins / 10))
        middle = x[:, :, max(0, bins // 2 - about) : bins // 2 + about]
        parts = ((x, FINE), (x, COARSE), (middle, MIDDLE))
        pooled = [adaptive_avg_pool1d(signal, count) for signal, count in parts]
        return torch.cat(pooled, dim=2).flatten(1)

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Grow the trees one after another; held-out genes are not used."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=self.config.trees,
            max_leaf_nodes=self.config.leaves,
            min_samples_leaf=self.config.min_leaf,
            learning_rate=self.config.learning_rate,
            l2_regularization=self.config.penalty,
            max_features=self.config.features_share,
            early_stopping=False,
            random_state=seed,
        ).fit(self.features(torch.from_numpy(genes.signal)).numpy(), genes.label)
        trees = [_as_tree(predictors[0].nodes) for predictors in model._predictors]
        self.put(trees, [tree.value for tree in trees], float(model._baseline_prediction[0, 0]))

    def combine(self, leaves: Tensor) -> Tensor:
        """Return the logit of the share of high genes, and the trees' values."""
        return self.start + leaves.sum(1)


class Ensemble(ClassicalNet):
    """The mean logit of logistic regression on all bins and of boosted trees on pooled bins.

    Examples
    --------
    >>> Ensemble(EnsembleConfig(), n_marks=5, n_bins=200)(torch.zeros(1, 5, 200))
    tensor([[0., 0.]])
    """

    Config = EnsembleConfig

    def __init__(self, config: EnsembleConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        shape = {"n_marks": n_marks, "n_bins": n_bins}
        self.members = nn.ModuleDict(
            {
                "linear": Logistic(LogisticConfig(config.strengths), **shape),
                "trees": PooledBoosting(config, **shape),
            }
        )
        self.n_features = 2

    def features(self, x: Tensor) -> Tensor:
        """Return the logit of each member, (genes, 2)."""
        told = [member(x) for member in self.members.values()]
        return torch.stack([logits[:, 1] - logits[:, 0] for logits in told], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(features.mean(1))

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Fit each; the held-out genes choose the penalty of the logistic regression."""
        for member in self.members.values():
            assert isinstance(member, ClassicalNet)
            member.fit(genes, held_out, seed)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take over trees of any number and size.

        Raises
        ------
        RuntimeError
            Where the weights are not those of both members.
        """
        for name, member in self.members.items():
            start = f"members.{name}."
            own = {k.removeprefix(start): v for k, v in state_dict.items() if k.startswith(start)}
            member.load_state_dict(own, strict=strict, assign=assign)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _as_tree(nodes: NDArray[Any]) -> _Tree:
    """Return a tree of the nodes (a structured array) that scikit-learn predicts with."""
    leaf = nodes["is_leaf"].astype(bool)
    return _Tree(
        len(nodes),
        int(nodes["depth"].max()),
        nodes["feature_idx"].astype(np.int64),
        nodes["num_threshold"].astype(np.float64),
        np.where(leaf, -1, nodes["left"].astype(np.int64)),
        np.where(leaf, -1, nodes["right"].astype(np.int64)),
        np.where(leaf, nodes["value"], 0.0),
    )
