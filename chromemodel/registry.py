"""Which things are there to choose by name (models, adaptation methods), and where do they live?

An entry names a module and is imported only when it is asked for, so that a command's help page
can list the names without importing torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast, get_args

from chromemodel.config import TaskName, TrainConfig
from chromeprep.errors import did_you_mean

Fitter = Literal["torch", "scikit-learn"]

T = TypeVar("T", bound=type)


class Entry(NamedTuple):
    """One thing that can be chosen; ``target`` is ``"package.module:Class"`` or the class.

    ``recipe`` is how its paper trains a model, ``fitter`` what fits it. ``tasks`` are those it can
    do; ``regressor`` stands in for ``target`` in a regression, where that takes another class.
    """

    name: str
    target: str | type
    summary: str
    reference: str
    recipe: TrainConfig
    fitter: Fitter
    tasks: tuple[TaskName, ...]
    regressor: str | type | None


class Registry(Generic[T]):
    """Names and the classes behind them.

    Every class has an attribute ``Config``: the frozen dataclass of its options.

    Parameters
    ----------
    kind
        What the entries are, for messages: ``"model"``.

    Examples
    --------
    >>> shapes = Registry[type]("shape")
    >>> shapes.register("fraction", "fractions:Fraction", summary="p/q")
    >>> shapes.load("fraction").__name__
    'Fraction'
    >>> shapes.load("fractoin")
    Traceback (most recent call last):
    ...
    ValueError: no shape 'fractoin'; did you mean 'fraction'?
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self, task: TaskName | None = None) -> list[str]:
        """Return the names in the order of registration; all, or those that can do a task."""
        return [entry.name for entry in self if task is None or task in entry.tasks]

    def check_task(self, name: str, task: TaskName) -> None:
        """Refuse what cannot do a task.

        Raises
        ------
        ValueError
            Where there is none of that name, or it cannot; the message names others of its kind.
        """
        entry = self.entry(name)
        others = [one for one in self.names(task) if self.entry(one).fitter == entry.fitter]
        if task not in entry.tasks:
            raise ValueError(
                f"{self.kind} '{name}' cannot do {task}; choose among {', '.join(others)}"
            )

    def register(
        self,
        name: str,
        target: str | type,
        *,
        summary: str,
        reference: str = "",
        recipe: TrainConfig | None = None,
        fitter: Fitter = "torch",
        tasks: tuple[TaskName, ...] = get_args(TaskName),
        regressor: str | type | None = None,
    ) -> None:
        """Add an entry.

        Parameters
        ----------
        name
            What the user types.
        target
            The class, or ``"package.module:Class"`` to import it on first use.
        summary
            One line for lists and help pages.
        reference
            The paper it comes from.
        recipe
            How its paper trains a model; `TrainConfig()` by default.
        fitter
            Whether the one training loop fits a model, or scikit-learn.
        tasks
            What it can be trained for; all by default.
        regressor
            The class for regression, with the same ``Config``; `target` by default.

        Raises
        ------
        ValueError
            Where the name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered already")
        self._entries[name] = Entry(
            name, target, summary, reference, recipe or TrainConfig(), fitter, tasks, regressor
        )

    def entry(self, name: str) -> Entry:
        """Return an entry by name.

        Raises
        ------
        ValueError
            Where there is none; the message names the nearest.
        """
        if name not in self._entries:
            raise ValueError(f"no {self.kind} '{name}'; {did_you_mean(name, self._entries)}")
        return self._entries[name]

    def load(self, name: str, task: TaskName = "classification") -> T:
        """Import and return the class of an entry, that for a task where there are two.

        Raises
        ------
        ValueError
            Where there is none of that name.
        """
        entry = self.entry(name)
        target: Any = (task == "regression" and entry.regressor) or entry.target
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = getattr(importlib.import_module(module), attribute)
        return cast(T, target)
