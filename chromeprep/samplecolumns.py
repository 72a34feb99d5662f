"""Which column of a sample sheet is which?"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable
from pathlib import Path

from chromeprep.errors import InputError, shorten

# A column as a sheet may name it -> as it is called here.
_COLUMNS = {
    "cell_type": "cell_type",
    "sample": "cell_type",
    "mark": "mark",
    "antibody": "mark",
    "path": "path",
    "control": "control",
    "expression_column": "expression_column",
}
REQUIRED = ("cell_type", "mark", "path")
# Other words for the columns that may be left out: to ignore them would be to lose them.
_LIKELY = {"input": "control", "background": "control", "igg": "control"}


def split(line: str, separator: str) -> list[str]:
    """Return the fields of a line, without spaces and quotes round them."""
    return [entry.strip() for entry in next(csv.reader([line], delimiter=separator))]


def find_columns(
    path: Path, line: int, names: list[str]
) -> tuple[dict[str, int | None], list[str]]:
    """Return where each column stands, None where nowhere, and the names that mean nothing.

    Parameters
    ----------
    path, line
        Of the header, for the message.
    names
        Its fields.

    Raises
    ------
    InputError
        Where a column is missing, stands twice, or looks misspelt.
    """
    places: dict[str, int | None] = {}
    unknown = []
    for at, name in enumerate(names):
        meaning = _COLUMNS.get(name.lower())
        if meaning is None:
            unknown.append(name)
        elif meaning in places:
            raise InputError(f"two columns for the {meaning}", path=path, line=line)
        else:
            places[meaning] = at
    for name in unknown:
        if meant := _meant(name, places):
            raise InputError(
                f"unknown column '{name}'; did you mean '{meant}'?", path=path, line=line,
                hint="a column that is to be ignored needs a name that is less like it",
            )  # fmt: skip
    for name in REQUIRED:
        if name not in places:
            raise InputError(
                f"no column '{name}'; there are {shorten(names)}", path=path, line=line,
                hint=f"columns, separated by tabs or commas: {wanted()}",
            )  # fmt: skip
    found = {name: places.get(name) for name in dict.fromkeys(_COLUMNS.values())}
    return found, [name for name in unknown if name]


def _meant(name: str, places: Iterable[str]) -> str | None:
    """Return the column that an unknown one was probably meant to be, more readily if it lacks."""
    given = set(places)
    likely = _LIKELY.get(name.lower())
    if likely is not None and likely not in given:
        return likely
    for cutoff, known in (
        (0.7, [alias for alias, meaning in _COLUMNS.items() if meaning not in given]),
        (0.85, list(_COLUMNS)),
    ):
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=cutoff)
        if near:
            return near[0]
    return None


def wanted() -> str:
    """Say which columns there may be."""
    return f"{', '.join(REQUIRED)}; if wanted control, expression_column"
