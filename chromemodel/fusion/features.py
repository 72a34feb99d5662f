"""What do other cell types say of a gene: how likely is it to be high in a new one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import MismatchError
from chromeprep.format import GeneSummary, Panel
from chromeprep.format.panel import FEWEST_CELL_TYPES

#: So many cell types, each left out in turn, fix seven numbers well enough.
MOST_LEFT_OUT = 20

FEATURES = ("mean_log1p", "std_log1p", "share_high", "median_log1p", "min_log1p", "max_log1p")


@dataclass(frozen=True)
class PanelModel:
    """A logistic regression on what a panel says of a gene.

    Attributes
    ----------
    features
        Names, `FEATURES`.
    mean, std, weight
        Of each feature: those it was standardised by, and its weight then.
    intercept
        Of the logit.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float

    def __post_init__(self) -> None:
        if self.features != FEATURES:
            raise ValueError(f"features are {list(self.features)}, expected {list(FEATURES)}")
        for name in ("mean", "std", "weight"):
            if len(getattr(self, name)) != len(FEATURES):
                raise ValueError(f"{name} has {len(getattr(self, name))} numbers, not one each")

    def logit(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logit (genes,) of features (genes, features)."""
        scaled = (features - np.array(self.mean)) / np.array(self.std)
        return np.asarray(scaled @ np.array(self.weight) + self.intercept)


def panel_features(summary: GeneSummary) -> NDArray[np.float64]:
    """Return the features (genes, features) of a panel's genes, in the order of `FEATURES`.

    They are symmetric in the cell types: no cell type has a weight of its own, so that what was
    learned of one new cell type holds for another.

    Examples
    --------
    >>> panel = Panel.build(["a", "b"], ["X", "Y"], [[0, 0], [3, 3]])
    >>> panel_features(panel.summary).round(2).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.39, 0.0, 1.0, 1.39, 1.39, 1.39]]
    """
    return np.column_stack(
        [
            summary.mean_log1p,
            summary.std_log1p,
            summary.share_high,
            *(np.log1p(values) for values in (summary.median, summary.min, summary.max)),
        ]
    )


def fit_panel_model(panel: Panel) -> PanelModel:
    """Learn within a panel what the others say of one that is left out.

    Cell types, at most 20 of them and evenly spread, are left out in turn, each with its near
    duplicates; whether a gene is high in the one left out is regressed on the features of the
    others. No label of any file of bins is used.

    Raises
    ------
    MismatchError
        Where no cell type can be left out so that two remain.

    Examples
    --------
    >>> values = np.random.default_rng(0).gamma(1, size=(50, 1)) + [[0.1, 0.2, 0.3, 0.1]]
    >>> panel = Panel.build(range(50), list("ABCD"), values, near_duplicate=1.1)
    >>> model = fit_panel_model(panel)
    >>> bool(np.corrcoef(model.logit(panel_features(panel.summary)), values[:, 0])[0, 1] > 0.5)
    True
    """
    from sklearn.linear_model import LogisticRegression

    seen, high = [], []
    for gone in turns(panel, [str(name) for name in panel.cell_type]):
        seen.append(panel_features(panel.without(gone).summary))
        high.append(panel.high[:, panel.cell_type == gone[0]][:, 0])
    features = np.concatenate(seen)
    mean, std = features.mean(axis=0), features.std(axis=0)
    std[std == 0] = 1
    found = LogisticRegression(max_iter=1000).fit((features - mean) / std, np.concatenate(high))
    return PanelModel(
        FEATURES, _floats(mean), _floats(std), _floats(found.coef_[0]), float(found.intercept_[0])
    )


def turns(panel: Panel, names: Sequence[str]) -> list[list[str]]:
    """Return what is left out in turn of some cell types of a panel: one, and its near duplicates.

    Raises
    ------
    MismatchError
        Where none can be left out so that two remain.
    """
    step = -(-len(names) // MOST_LEFT_OUT)
    gone = [
        [name, *(other for other in panel.relatives(name) if other in names)]
        for name in names[::step]
    ]
    found = [one for one in gone if len(names) - len(one) >= FEWEST_CELL_TYPES]
    if not found:
        raise MismatchError(
            "the cell types of the panel are all near duplicates; nothing can be learned of a new "
            "one",
            hint="take a panel of cell types that differ",
        )
    return found


def _floats(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
