"""What is predicted of a gene: whether it is high, or how much it is expressed?

A task is all that differs between the two: which genes can be learned from and what of them, the
loss, what chooses the epoch, what an answer is, its scores and what stands beside them. A network
has two outputs for either (`ChromeNet.classify`). Their difference is the log odds of high
expression, or the expression itself on a scale where the training genes have mean 0 and variance 1.
"""

from __future__ import annotations

from pathlib import Path

from chromemodel.config import TaskConfig, TaskName
from chromemodel.tasks.base import Task
from chromemodel.tasks.classification import Classification
from chromemodel.tasks.regression import MEAN, Regression
from chromeprep.errors import ChromeError

__all__ = [
    "CLASSIFICATION",
    "MEAN",
    "Classification",
    "Regression",
    "Task",
    "check_classifies",
    "task_of",
]

CLASSIFICATION = Classification()


def task_of(config: TaskConfig) -> Task:
    """Return the task of a run."""
    if config.name == "classification":
        return CLASSIFICATION
    return Regression(config.mean, config.deviation)


def check_classifies(name: TaskName, run: Path, what: str) -> None:
    """Refuse the run of a regression for what works on classes only.

    Raises
    ------
    ChromeError
        It says ``what``.
    """
    if name != "classification":
        raise ChromeError(
            f"is a run of --task {name}; {what} needs one of --task classification",
            path=run,
            hint="`chromemodel evaluate` scores it",
        )
