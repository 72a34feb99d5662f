"""What does a weighted sum of the signal reach? Logistic regression and a linear SVM.

Karlić et al. 2010, PNAS 107, DeepChrome (Singh et al. 2016) and DeepChrome 2.0 (Kadavath et al.
2022) hold such models against larger ones. scikit-learn fits them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.models.base import ClassicalNet, Labelled, check_marks, two_logits


@dataclass(frozen=True)
class LogisticConfig:
    """Options of the linear models.

    Parameters
    ----------
    strengths
        scikit-learn's C, the inverse of the penalty: those to choose from, by the AUROC of held-out
        genes, or by cross-validation where none are held out.
    """

    strengths: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 1e-2, 1e-1)

    def __post_init__(self) -> None:
        if not self.strengths or min(self.strengths) <= 0:
            raise ValueError(f"strengths is {self.strengths}, expected numbers more than 0")


@dataclass(frozen=True)
class SummedConfig(LogisticConfig):
    """Options of logistic regression on one value a mark; few weights need less of a penalty."""

    strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class LinearSvmConfig(LogisticConfig):
    """Options of the linear SVM."""

    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)


class LinearNet(ClassicalNet):
    """One logit: weights times the features, and a bias."""

    weight: Tensor
    bias: Tensor

    def __init__(self, config: LogisticConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        check_marks("a linear model", n_marks)
        self.config: Any = config
        self.n_features = n_marks * n_bins
        self.make_buffers()

    def make_buffers(self) -> None:
        """Make weights of 0, as many as there are features."""
        self.register_buffer("weight", torch.zeros(self.n_features))
        self.register_buffer("bias", torch.zeros(1))

    def features(self, x: Tensor) -> Tensor:
        """Return all bins of all marks, (genes, marks * bins)."""
        return x.flatten(1)

    def classify(self, features: Tensor) -> Tensor:
        """Return (genes, 2)."""
        return two_logits(features @ self.weight + self.bias)

    def put(self, weight: NDArray[np.float64], bias: float) -> None:
        """Copy what was fitted."""
        self.weight.copy_(torch.from_numpy(np.ravel(weight)))
        self.bias.fill_(float(bias))


class Logistic(LinearNet):
    """Logistic regression with an L2 penalty on every bin of every mark.

    Examples
    --------
    >>> Logistic(LogisticConfig(), n_marks=5, n_bins=200)(torch.zeros(1, 5, 200))
    tensor([[0., 0.]])
    """

    Config: ClassVar[type[Any]] = LogisticConfig

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Fit; the penalty by the AUROC of the held-out genes."""
        from chromemodel.evaluate.baselines import fit_logistic

        chosen = fit_logistic(
            self._reduced(genes.signal),
            genes.label,
            None if held_out is None else held_out._replace(signal=self._reduced(held_out.signal)),
            strengths=self.config.strengths,
        ).model
        self.put(chosen.coef_, chosen.intercept_[0])

    def _reduced(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is fitted to, so that flattened it is `features`."""
        return signal


class LogisticSummed(Logistic):
    """Logistic regression on one value a mark: its mean over the bins.

    Examples
    --------
    >>> model = LogisticSummed(SummedConfig(), n_marks=5, n_bins=200)
    >>> model.n_features
    5
    """

    Config = SummedConfig

    def __init__(self, config: LogisticConfig, *, n_marks: int, n_bins: int) -> None:
        super().__init__(config, n_marks=n_marks, n_bins=n_bins)
        self.n_features = n_marks
        self.make_buffers()

    def features(self, x: Tensor) -> Tensor:
        """Return the mean of each mark, (genes, marks)."""
        return x.mean(2)

    def _reduced(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(signal.mean(axis=2, keepdims=True))


class LinearSvm(LinearNet):
    """Linear support vector machine, its distances made probabilities as by Platt 1999.

    The held-out genes choose the penalty and scale the distances; where there are none the middle
    of the penalties is taken and the training genes scale.
    """

    Config = LinearSvmConfig

    def fit(self, genes: Labelled, held_out: Labelled | None, seed: int) -> None:
        """Fit, choose and scale."""
        from sklearn.svm import LinearSVC

        from chromemodel.evaluate.metrics import auroc

        def fitted(strength: float) -> tuple[NDArray[np.float64], float]:
            svm = LinearSVC(C=strength, dual=False, max_iter=10_000)
            svm.fit(genes.signal.reshape(len(genes.signal), -1), genes.label)
            return svm.coef_[0], float(svm.intercept_[0])

        def distance(signal: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.asarray(signal.reshape(len(signal), -1) @ weight + bias, dtype=np.float64)

        if held_out is None:
            weight, bias = fitted(_middle(self.config.strengths))
            slope, shift = platt(distance(genes.signal), genes.label)
        else:
            best = -1.0
            for strength in self.config.strengths:
                weight, bias = fitted(strength)
                area = auroc(held_out.label, distance(held_out.signal))
                if area > best:
                    best, kept = area, (weight, bias)
            weight, bias = kept
            slope, shift = platt(distance(held_out.signal), held_out.label)
        self.put(slope * weight, slope * bias + shift)


def platt(distance: NDArray[np.float64], label: NDArray[np.int8]) -> tuple[float, float]:
    """Return the slope and shift that turn distances (genes,) into logits.

    A slope that would turn the order round (on few genes, by chance) is 1, its shift 0.

    Examples
    --------
    >>> slope, shift = platt(np.array([-2.0, 1.0, 1.5, -1.0]), np.array([0, 1, 1, 0]))
    >>> slope > 0
    True
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=1000).fit(distance[:, None], label)
    slope = float(model.coef_[0, 0])
    return (slope, float(model.intercept_[0])) if slope > 0 else (1.0, 0.0)


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
