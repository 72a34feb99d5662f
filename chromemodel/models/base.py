"""What must a model offer so that it can be trained, adapted and asked?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Labelled(NamedTuple):
    """Normalised signal (genes, marks, bins) and label (genes,): 0 or 1, or what is regressed."""

    signal: NDArray[np.float32]
    label: NDArray[Any]


class ChromeNet(nn.Module, ABC):
    """A classifier of genes by the signal of histone marks round their TSS.

    A subclass is registered in `chromemodel.models`, sets `Config` to the frozen dataclass of its
    options and `n_features` to the length of its feature vector, and is made as
    ``cls(config, n_marks=5, n_bins=200)``; it raises ValueError where these do not go together.

    Buffers that follow from the options (positions, masks) are registered with
    ``persistent=False``: the saved weights hold what was learned and nothing else.
    """

    Config: ClassVar[type[Any]]
    n_features: int

    @abstractmethod
    def __init__(self, config: Any, *, n_marks: int, n_bins: int) -> None:
        super().__init__()

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Return the feature vectors, (genes, n_features), of signal (genes, marks, bins)."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Return the logits, (genes, 2), of feature vectors: column 0 low, column 1 high.

        A model of one logit z returns (0, z): the cross entropy of the two is the same. What a
        model of a regression predicts is their difference, high minus low.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (genes, 2), of signal (genes, marks, bins)."""
        return self.classify(self.features(x))

    def folded(self, dtype: torch.dtype) -> ChromeNet:
        """Return what predicts as this does now, but for rounding, with less work on a CPU.

        It is asked for signal of a dtype, without gradients. By default it is the model itself.
        """
        return self

    def domain_head(self) -> nn.Module:
        """Return a new classifier of the domain: (genes, n_features) -> (genes, 2) logits.

        Methods of adaptation that need one ask for it, and put the gradient reversal before it;
        a run without adaptation has none.
        """
        return nn.Sequential(
            nn.Linear(self.n_features, 64), nn.ReLU(inplace=True), nn.Linear(64, 2)
        )


class ClassicalNet(ChromeNet):
    """A model that scikit-learn fits, and torch asks.

    What was fitted is copied into buffers, so that the model is saved, read and asked as any other:
    nothing is pickled, and predicting needs no scikit-learn. No gradient reaches it; it can be
    trained and evaluated, but not adapted.
    """

    @abstractmethod
    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Fit to labelled genes.

        Parameters
        ----------
        genes
            They train.
        held_out
            They choose options and scale probabilities, where the model has such a choice.
        seed
            For what is drawn at random.
        """


def two_logits(z: Tensor) -> Tensor:
    """Return the logits (genes, 2) of a model of one logit, (genes,) or (genes, 1).

    Examples
    --------
    >>> two_logits(torch.tensor([1.5]))
    tensor([[0.0000, 1.5000]])
    """
    z = z.reshape(-1)
    return torch.stack([torch.zeros_like(z), z], dim=1)


def check_options(config: Any) -> None:
    """Refuse counts below 1 and dropout rates outside of [0, 1).

    Raises
    ------
    ValueError
        It names the option.
    """
    for entry in fields(config):
        value = getattr(config, entry.name)
        for number in value if isinstance(value, tuple) else (value,):
            if "dropout" in entry.name and not 0 <= number < 1:
                raise ValueError(f"{entry.name} is {number}, expected [0, 1)")
            if type(number) is int and number < 1 and "dropout" not in entry.name:
                raise ValueError(f"{entry.name} is {number}, expected 1 or more")


def check_shares(config: Any, *names: str) -> None:
    """Refuse options outside of (0, 1].

    Raises
    ------
    ValueError
        It names the option.
    """
    for name in names:
        if not 0 < getattr(config, name) <= 1:
            raise ValueError(f"{name} is {getattr(config, name)}, expected (0, 1]")


def check_marks(name: str, n_marks: int) -> None:
    """Refuse a gene without marks.

    Raises
    ------
    ValueError
        It names the model.
    """
    if n_marks < 1:
        raise ValueError(f"{name} needs a mark, got {n_marks}")


def check_bins(name: str, n_bins: int, least: int, why: str) -> None:
    """Refuse windows that are too small.

    Raises
    ------
    ValueError
        It names the model, and why it needs `least` bins.
    """
    if n_bins < least:
        raise ValueError(f"{name} needs {least} bins ({why}); a gene has only {n_bins}")
