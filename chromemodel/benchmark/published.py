"""What have papers reported for these models, and of what is it?"""

from __future__ import annotations

from typing import NamedTuple

from chromemodel.benchmark.rows import ORIGIN, UNCROSS, WITHIN

CHEN = "Chen et al. 2022"

#: Must stand wherever published numbers do.
NOT_COMPARABLE = (
    "These numbers are of other counts, genes and splits, and are not comparable with the columns "
    "beside them, nor with each other."
)
UNCONFIRMED = "remembered, not confirmed"


class Published(NamedTuple):
    """A number in words, and whether it was read in the paper it is from."""

    text: str
    confirmed: bool = True

    def __str__(self) -> str:
        return self.text if self.confirmed else f"{self.text}; {UNCONFIRMED}"


_NUMBERS = {
    ("transferchrome", WITHIN): Published(f"mean AUC 0.8479, 56 cell types ({CHEN})"),
    ("transferchrome", UNCROSS): Published(
        f"mean AUC 2.9 points below origin, E085 to the others ({CHEN})"
    ),
    ("transferchrome", "cross"): Published(
        f"mean AUC 1.5 points below origin, E085 to the others ({CHEN})"
    ),
    ("deepchrome", WITHIN): Published("mean AUC 0.80, 56 cell types (Singh et al. 2016)"),
    ("deepchrome", UNCROSS): Published(
        f"mean AUC 2.6 points below origin, E085 to the others ({CHEN})"
    ),
    ("attentivechrome", WITHIN): Published("mean AUC 0.8115 (Singh et al. 2017)"),
    ("attentivechrome.lstm_alpha", WITHIN): Published(
        "mean AUC 0.8133 (Singh et al. 2017)", confirmed=False
    ),
    ("attentivechrome.cnn_attn", WITHIN): Published(
        "mean AUC 0.762 (Singh et al. 2017)", confirmed=False
    ),
    ("convchrome.cnn1d", WITHIN): Published(
        "mean AUC 0.8874, its own preprocessing (Hamdy et al. 2022)"
    ),
    ("convchrome.cnn1d", UNCROSS): Published(
        f"mean AUC 2.9 points below origin, E085 to the others ({CHEN})"
    ),
    ("deepepi", WITHIN): Published("mean AUC 0.8887, its own preprocessing (Hamdy et al. 2024)"),
}


def published(model: str, method: str) -> str:
    """Return what a paper reported of a model by a method, in words; empty where nothing is known.

    ``origin`` is ``within`` by another name.

    Examples
    --------
    >>> published("transferchrome", "origin")
    'mean AUC 0.8479, 56 cell types (Chen et al. 2022)'
    >>> published("logistic", "within")
    ''
    """
    number = _NUMBERS.get((model, WITHIN if method == ORIGIN else method))
    return "" if number is None else str(number)
