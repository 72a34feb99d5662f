"""Which model, method and training hold where the user does not say?

What the measurements support (``docs/accuracy.md``, ``docs/adaptation.md``), or what the papers
did; `train` and `adapt` ask here, from the command line and from Python alike.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from chromemodel.config import TaskName, TrainConfig, check_name
from chromemodel.models import MODELS

Recipe = Literal["best", "paper"]

BEST_MODEL: dict[TaskName, str] = {
    "classification": "ensemble",
    "regression": "random_forest",
}
BEST_METHOD = "source_only"
BEST_NETWORK = TrainConfig("adam", lr=0.001, weight_decay=0.0, batch_size=64, epochs=40, patience=8)
PAPER_MODEL, PAPER_METHOD = "transferchrome", "dann"


class Choice(NamedTuple):
    """A model, a method and how to train."""

    model: str
    method: str
    training: TrainConfig


def choose(
    task: TaskName,
    recipe: Recipe | None = None,
    model: str | None = None,
    method: str | None = None,
) -> Choice:
    """Return what was named, and the recipe's for the rest.

    The recipe is ``best``, but ``paper`` beside a method that adapts: such a method needs a
    network, and with the optimizer of ``best`` the adversarial ones diverge.

    Raises
    ------
    ValueError
        Where there is no such model, task or recipe.

    Examples
    --------
    >>> choose("classification")[:2], choose("regression", method="dann")[:2]
    (('ensemble', 'source_only'), ('transferchrome', 'dann'))
    >>> choose("classification", model="tcn").training.optimizer
    'adam'
    """
    check_name("task", task, TaskName)
    if recipe is not None:
        check_name("recipe", recipe, Recipe)
    recipe = recipe or ("best" if method in (None, BEST_METHOD) else "paper")
    best = recipe == "best"
    entry = MODELS.entry(model or (BEST_MODEL[task] if best else PAPER_MODEL))
    training = BEST_NETWORK if best and entry.fitter == "torch" else entry.recipe
    return Choice(entry.name, method or (BEST_METHOD if best else PAPER_METHOD), training)
