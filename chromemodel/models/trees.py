"""What do many small decision trees reach? A random forest and gradient boosting.

DeepChrome (Singh et al. 2016) was held against a random forest. scikit-learn grows the trees; their
nodes are kept as plain arrays and walked by torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.models.base import (
    ClassicalNet,
    Labelled,
    check_marks,
    check_options,
    check_shares,
    two_logits,
)

# Probabilities end so far from 0 and 1, so that their logarithms are numbers.
EDGE = 1e-6
NODES = ("feature", "threshold", "left", "right", "value")


@dataclass(frozen=True)
class RandomForestConfig:
    """Options of the random forest.

    Parameters
    ----------
    trees
        How many.
    min_leaf
        Genes of a leaf, at least.
    """

    trees: int = 300
    min_leaf: int = 5

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class GradientBoostingConfig:
    """Options of gradient boosting.

    Parameters
    ----------
    trees
        How many.
    depth
        Of each.
    learning_rate
        Share of a tree that is added.
    subsample
        Share of the genes that a tree sees.
    """

    trees: int = 300
    depth: int = 3
    learning_rate: float = 0.1
    subsample: float = 0.8

    def __post_init__(self) -> None:
        check_options(self)
        check_shares(self, "learning_rate", "subsample")


class TreeNet(ClassicalNet):
    """Decision trees on all bins of all marks, as arrays (trees, nodes).

    A gene goes left where its value of ``feature`` is at most ``threshold``; a leaf leads to
    itself. ``steps`` is the depth of the deepest tree, ``start`` what `combine` begins with.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    steps: Tensor
    start: Tensor

    def __init__(self, config: Any, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("a model of trees", n_marks)
        self.config = config
        self.n_features = n_marks * n_bins
        for name in NODES:
            kind = torch.float32 if name in ("threshold", "value") else torch.int64
            self.register_buffer(name, torch.zeros((1, 1), dtype=kind))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("start", torch.zeros(()))

    def features(self, x: Tensor) -> Tensor:
        """Return all bins of all marks, (genes, marks * bins)."""
        return x.flatten(1)

    def leaves(self, features: Tensor) -> Tensor:
        """Return the value of the leaf that each gene reaches in each tree: (genes, trees)."""
        tree = torch.arange(len(self.feature), device=features.device)
        node = torch.zeros((len(features), len(tree)), dtype=torch.int64, device=features.device)
        for _ in range(int(self.steps)):
            goes_left = features.gather(1, self.feature[tree, node]) <= self.threshold[tree, node]
            node = torch.where(goes_left, self.left[tree, node], self.right[tree, node])
        return self.value[tree, node]

    @abstractmethod
    def combine(self, leaves: Tensor) -> Tensor:
        """Return one logit a gene of the values (genes, trees)."""

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(self.combine(self.leaves(features)))

    def put(self, trees: Sequence[Any], values: Sequence[Any], start: float) -> None:
        """Copy trees of scikit-learn (``tree_``) with the value of each node (nodes,)."""
        most = max(tree.node_count for tree in trees)
        own = np.arange(most)
        arrays = {name: np.zeros((len(trees), most)) for name in NODES}
        arrays["left"][:], arrays["right"][:] = own, own
        for row, (tree, value) in enumerate(zip(trees, values, strict=True)):
            count, inner = tree.node_count, tree.children_left >= 0
            arrays["feature"][row, :count] = np.where(inner, tree.feature, 0)
            arrays["threshold"][row, :count] = np.where(inner, tree.threshold, 0)
            arrays["left"][row, :count] = np.where(inner, tree.children_left, own[:count])
            arrays["right"][row, :count] = np.where(inner, tree.children_right, own[:count])
            arrays["value"][row, :count] = value
        # A float32 is at most a threshold where it is at most the next float32 below that.
        below = arrays["threshold"].astype(np.float32)
        above = below > arrays["threshold"]
        below[above] = np.nextafter(below[above], np.float32(-np.inf))
        for name in NODES:
            array = below if name == "threshold" else arrays[name]
            kind = np.float32 if name in ("threshold", "value") else np.int64
            setattr(self, name, torch.from_numpy(array.astype(kind)))
        self.steps.fill_(max(tree.max_depth for tree in trees))
        self.start.fill_(start)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take over trees of any number and size.

        Raises
        ------
        RuntimeError
            Where the arrays are no trees on these features.
        """
        shapes = {tuple(state_dict[name].shape) for name in NODES if name in state_dict}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2 or not min(next(iter(shapes))):
            raise RuntimeError("the arrays of the trees do not have one shape")
        _, nodes = next(iter(shapes))
        for name, end in (("feature", self.n_features), ("left", nodes), ("right", nodes)):
            found = state_dict.get(name)
            if found is not None and not bool(((found >= 0) & (found < end)).all()):
                raise RuntimeError(f"'{name}' points outside of the tree or of a gene's signal")
        for name in NODES:
            if name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[name]))
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


class RandomForest(TreeNet):
    """Random forest: the mean over trees of the share of high genes in a leaf."""

    Config = RandomForestConfig
    #: What grows it, of `sklearn.ensemble`.
    grower: ClassVar[str] = "RandomForestClassifier"

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Grow the trees, each on a bootstrap sample; held-out genes are not used."""
        from sklearn import ensemble

        forest = getattr(ensemble, self.grower)(
            n_estimators=self.config.trees,
            min_samples_leaf=self.config.min_leaf,
            max_features="sqrt",
            random_state=seed,
            n_jobs=torch.get_num_threads(),
        ).fit(genes.signal.reshape(len(genes.signal), -1), genes.label)
        trees = [entry.tree_ for entry in forest.estimators_]
        self.put(trees, [self.said(tree) for tree in trees], 0.0)

    def said(self, tree: Any) -> NDArray[np.float64]:
        """Return the share of high genes in each node (nodes,) of a tree of scikit-learn."""
        shares: NDArray[np.float64] = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
        return shares

    def combine(self, leaves: Tensor) -> Tensor:
        """Return the logit of the mean."""
        return torch.logit(leaves.mean(1), eps=EDGE)


class GradientBoosting(TreeNet):
    """Gradient boosting: the sum of small trees is the logit."""

    Config = GradientBoostingConfig
    #: What grows it, of `sklearn.ensemble`.
    grower: ClassVar[str] = "GradientBoostingClassifier"

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Grow the trees one after another; held-out genes are not used."""
        from sklearn import ensemble

        model = getattr(ensemble, self.grower)(
            n_estimators=self.config.trees,
            max_depth=self.config.depth,
            learning_rate=self.config.learning_rate,
            subsample=self.config.subsample,
            max_features="sqrt",
            random_state=seed,
        ).fit(genes.signal.reshape(len(genes.signal), -1), genes.label)
        trees = [entry.tree_ for entry in model.estimators_[:, 0]]
        values = [self.config.learning_rate * tree.value[:, 0, 0] for tree in trees]
        self.put(trees, values, self.began(model.init_))

    def began(self, first: Any) -> float:
        """Return what the trees are added to: the logit of the share of high genes."""
        low, high = first.class_prior_
        return float(np.log(high / low))

    def combine(self, leaves: Tensor) -> Tensor:
        """Return what it began with, and the trees' values."""
        return self.start + leaves.sum(1)
