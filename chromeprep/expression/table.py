"""An expression table of which several columns are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chromeprep.expression import forms
from chromeprep.expression.forms import Line
from chromeprep.expression.read import (
    MISSING,
    UNITS,
    ExpressionColumn,
    Ids,
    choose_column,
    read_column,
    sample_name,
)
from chromeprep.format.ids import cut_version

_HELD_CHARACTERS = 256 << 20


class ExpressionTable:
    """A table of which several columns are wanted.

    It is read once and its lines are kept; one that is too large for that is read for each column.

    Parameters
    ----------
    path
        The table; see `chromeprep.expression.read_expression`, whose errors are raised here too.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._layout, rows = forms.recognise(self._path)
        self._rows: list[Line] | None = []
        held = 0
        for row in rows:
            self._rows.append(row)
            held += len(row[1])
            if held > _HELD_CHARACTERS:
                self._rows = None
                break

    @property
    def cell_types(self) -> list[str]:
        """Columns that are named after cell types, as in matrices; none in a tool's table.

        A column of featureCounts goes by the name of its file.
        """
        columns = list(self._layout.columns)
        if self._layout.form == forms.FEATURE_COUNTS:
            return [sample_name(column) for column in columns]
        if self._layout.form not in (forms.TABLE, forms.GCT):
            return []
        return [name for name in columns if name.lower() not in UNITS | forms.ANNOTATION]

    @property
    def symbols(self) -> dict[str, str]:
        """Gene id, version cut, to symbol; empty where the table has no column of symbols."""
        id_at, at = self._layout.id_at, self._layout.symbol_at
        if at is None:
            return {}
        found = {}
        for _, text in self._lines():
            fields = forms.split(text, self._layout.separator)
            if max(id_at, at) < len(fields) and fields[at].lower() not in MISSING:
                found[cut_version(fields[id_at])] = fields[at]
        return found

    def choose(self, column: str | None = None, cell_type: str | None = None) -> str:
        """Return the name of the column that `read` would take."""
        return self._layout.columns[choose_column(self._path, self._layout, column, cell_type)]

    def read(
        self,
        column: str | None = None,
        cell_type: str | None = None,
        ids: Ids = "id",
        *,
        quiet: bool = False,
    ) -> ExpressionColumn:
        """Return what `chromeprep.expression.read_expression` does; `quiet`: without log lines."""
        chosen = choose_column(self._path, self._layout, column, cell_type)
        return read_column(self._path, self._layout, self._lines(), chosen, ids, quiet=quiet)

    def _lines(self) -> Iterable[Line]:
        return forms.recognise(self._path)[1] if self._rows is None else self._rows
