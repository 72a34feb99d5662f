"""What must a model offer so that it can be trained, adapted and asked?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn


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

        A model of one logit z returns (0, z): the cross entropy of the two is the same.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (genes, 2), of signal (genes, marks, bins)."""
        return self.classify(self.features(x))

    def domain_head(self) -> nn.Module:
        """Return a new classifier of the domain: (genes, n_features) -> (genes, 2) logits.

        Methods of adaptation that need one ask for it, and put the gradient reversal before it;
        a run without adaptation has none.
        """
        return nn.Sequential(
            nn.Linear(self.n_features, 64), nn.ReLU(inplace=True), nn.Linear(64, 2)
        )
