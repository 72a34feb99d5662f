"""May what is asked of a benchmark now be added to what was asked before?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from chromemodel.benchmark.spec import BenchmarkSpec, PanelFile
from chromeprep.errors import MismatchError

#: What may be added; all else is to be as before.
EXTENDED = ("models", "cell_types", "seeds")


def merged(path: Path, before: BenchmarkSpec | None, now: BenchmarkSpec) -> BenchmarkSpec:
    """Return what was asked before and is asked now; models, cell types and seeds may be added.

    Raises
    ------
    MismatchError
        Where the two contradict each other; it names what differs.
    """
    if before is None:
        return now
    old = {one.name: one for one in before.cell_types}
    new = {one.name: one for one in now.cell_types}
    differing = [
        f"{key} was {_shown(one)}, now it is {_shown(two)}"
        for key, one, two in _scalars(before, now)
        if one != two
    ]
    differing += _panels(before.panel, now.panel)
    differing += [
        f"the file of cell type {name} has other content ({old[name].path} then, "
        f"{new[name].path} now)"
        for name in old
        if name in new and old[name].digest != new[name].digest
    ]
    if differing:
        raise MismatchError(
            f"holds another benchmark: {'; '.join(differing)}",
            path=path,
            hint="choose another -o, or remove its runs and begin anew with --force",
        )
    return replace(
        now,
        models=tuple(dict.fromkeys(before.models + now.models)),
        cell_types=tuple((old | new).values()),
        seeds=tuple(sorted({*before.seeds, *now.seeds})),
    )


def _scalars(before: BenchmarkSpec, now: BenchmarkSpec) -> Iterator[tuple[str, Any, Any]]:
    for entry in fields(BenchmarkSpec):
        if entry.name in (*EXTENDED, "panel"):
            continue
        one, two = getattr(before, entry.name), getattr(now, entry.name)
        if isinstance(one, dict):
            for key in sorted({*one, *two}):
                yield key, one.get(key, "of the recipe"), two.get(key, "of the recipe")
        else:
            yield entry.name, one, two


def _panels(before: PanelFile | None, now: PanelFile | None) -> Iterator[str]:
    """Say in what two panels differ; where they lie does not matter."""
    if before is None or now is None:
        if before is not now:
            one, two = (_shown(None if panel is None else panel.path) for panel in (before, now))
            yield f"the panel was {one}, now it is {two}"
        return
    if before.digest != now.digest:
        yield f"the panel has other content ({before.path} then, {now.path} now)"
    if before.leave_out != now.leave_out:
        one, two = (", ".join(panel.leave_out) or "nothing" for panel in (before, now))
        yield f"left out of the panel besides was {one}, now it is {two}"
    if before.relatives != now.relatives:
        words = ("left out" if panel.relatives else "kept" for panel in (before, now))
        yield "near duplicates in the panel were {}, now they are {}".format(*words)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "all of the file"
    return "not given" if value is None else str(value)
