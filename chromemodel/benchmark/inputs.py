"""Which cell types does a benchmark have, and do their files fit it?

Everything is looked at before a run starts, and everything that is wrong is told at once.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from chromemodel.benchmark.spec import CellType
from chromemodel.config import FileSplitRule, Layout, Split
from chromemodel.data.layout import check_window, layout_of, match_marks
from chromemodel.data.splits import draw_split
from chromeprep.errors import ChromeError, FormatError, InputError, MismatchError, did_you_mean
from chromeprep.format import read_description

COLUMNS = ("cell_type", "path")
_HDF5 = (".h5", ".hdf5", ".h5ad")
_SHEET = (".tsv", ".txt")
_SHOWN = 20


class Named(NamedTuple):
    """A file and the name of its cell type; ``place`` is where a user finds what names it."""

    name: str
    path: Path
    place: str


def read_inputs(arguments: Iterable[str | Path]) -> list[CellType]:
    """Find the cell types that files of bins and sheets name; nothing is read but their names.

    Parameters
    ----------
    arguments
        Files of bins, named by their attribute ``cell-type``, and sheets (`read_sheet`).

    Returns
    -------
    list of CellType
        In the order given, with absolute paths.

    Raises
    ------
    InputError
        Where a file or a sheet is wrong, or two are of the same cell type.
    """
    named: list[Named] = []
    problems: list[str] = []
    for argument in arguments:
        path = Path(argument)
        try:
            named += read_sheet(path) if is_sheet(path) else [_named(path)]
        except ChromeError as error:
            problems.append(str(error))
    seen: dict[str, Named] = {}
    for one in named:
        if one.name in seen:
            problems.append(
                f"{one.place}: is of cell type '{one.name}', as is {seen[one.name].place}"
                "\n  name each cell type once; a sheet of cell_type and path can rename them"
            )
        seen.setdefault(one.name, one)
    refuse(problems)
    return [CellType(one.name, str(one.path.resolve())) for one in named]


def is_sheet(path: Path) -> bool:
    """Say whether a path is meant as a sheet: by its ending, or because it is not HDF5."""
    if path.suffix.lower() in _SHEET:
        return True
    return path.is_file() and path.suffix.lower() not in _HDF5 and not h5py.is_hdf5(path)


def read_sheet(path: Path) -> list[Named]:
    """Read a table with the columns ``cell_type`` and ``path``, tab-separated, with a header.

    Paths that are not absolute start from the folder of the sheet. Blank lines and those that
    begin with ``#`` are skipped, and so are other columns.

    Raises
    ------
    InputError
        It names every row that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("is neither an HDF5 file nor a table of text", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
    numbered = [
        (number, row)
        for number, row in enumerate(csv.reader(lines, delimiter="\t"), 1)
        if any(field.strip() for field in row) and not row[0].startswith("#")
    ]
    header = [field.strip() for field in numbered[0][1]] if numbered else []
    lacking = [name for name in COLUMNS if name not in header]
    if lacking:
        raise InputError(
            f"has no column {' and none '.join(lacking)}; the first line is the header",
            path=path,
            hint="a sheet has the columns cell_type and path, separated by tabs",
        )
    rows: list[Named] = []
    problems: list[str] = []
    for number, row in numbered[1:]:
        values = dict(zip(header, [field.strip() for field in row], strict=False))
        name, file = (values.get(column, "") for column in COLUMNS)
        place = f"line {number}: "
        if not name or not file:
            problems.append(f"{place}{'cell_type' if not name else 'path'} is empty")
            continue
        target = path.parent / file
        before = next((one for one in rows if one.name == name), None)
        if before is not None:
            problems.append(f"{place}cell type '{name}' is in {before.place} already")
        if not target.is_file():
            problems.append(f"{place}no such file: {target}")
        elif not h5py.is_hdf5(target):
            problems.append(f"{place}is not an HDF5 file: {target}")
        rows.append(Named(name, target, f"line {number}"))
    if problems:
        raise InputError("\n".join([_count(problems), *_listed(problems)]), path=path)
    if not rows:
        raise InputError("has a header, but no rows", path=path)
    return [one._replace(place=f"{path}: {one.place}") for one in rows]


def choose_source(source: str, cell_types: Sequence[CellType]) -> tuple[str, list[CellType]]:
    """Find the cell type to start from, by name or by file; a file not among them is put first.

    Raises
    ------
    InputError
        Where it is neither a cell type that was given nor a file of bins, or is another file of a
        cell type that was given.
    """
    if any(source == one.name for one in cell_types):
        return source, list(cell_types)
    if not Path(source).exists():
        raise InputError(
            f"--source is '{source}', which is no file and none of the cell types given; "
            f"{did_you_mean(source, [one.name for one in cell_types])}"
        )
    found = _named(Path(source))
    path = str(found.path.resolve())
    for one in cell_types:
        if one.path == path:
            return one.name, list(cell_types)
        if one.name == found.name:
            raise InputError(
                f"is of cell type '{found.name}', as is {one.path}",
                path=source,
                hint=f"name the cell type: --source {found.name}",
            )
    return found.name, [CellType(found.name, path), *cell_types]


def restrict(cell_types: Sequence[CellType], names: Sequence[str]) -> list[CellType]:
    """Return the cell types of some names, in their own order; all where none is named.

    Raises
    ------
    InputError
        Where a name is none of theirs.
    """
    known = [one.name for one in cell_types]
    for name in names:
        if name not in known:
            raise InputError(f"--cell-type: no cell type '{name}'; {did_you_mean(name, known)}")
    return [one for one in cell_types if not names or one.name in names]


def check_files(
    cell_types: Sequence[CellType],
    *,
    marks: Sequence[str] = (),
    window_bp: int | None = None,
    split: FileSplitRule = "thirds",
    source: str | None = None,
    split_source: bool = False,
) -> list[CellType]:
    """Check that each file can be read, has labels and what is asked for, and take its digest.

    Parameters
    ----------
    marks, window_bp, split
        What each file must have.
    source
        Where given, all files must have the marks and windows of this cell type's.
    split_source
        Whether that file is split, too.

    Raises
    ------
    InputError
        It names every file that is wrong.
    """
    checked: list[CellType] = []
    problems: list[str] = []
    layout: Layout | None = None
    for one in sorted(cell_types, key=lambda entry: entry.name != source):
        try:
            cut = None if one.name == source and not split_source else split
            found, named = _checked(Path(one.path), layout, marks, window_bp, cut)
        except ChromeError as error:
            problems.append(str(error))
            if one.name == source:  # the others cannot be compared with it
                break
            continue
        layout = found if one.name == source else layout
        says = named if named != one.name else ""
        checked.append(CellType(one.name, one.path, file_digest(Path(one.path)), says))
    refuse(problems)
    order = [one.name for one in cell_types]
    return sorted(checked, key=lambda entry: order.index(entry.name))


def refuse(problems: Sequence[str]) -> None:
    """Raise one error of all that is wrong, if anything is.

    Raises
    ------
    InputError
        With one line a problem.
    """
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError("\n".join([_count(problems), *_listed(problems)]))


def file_digest(path: Path) -> str:
    """Return a digest of all bytes of a file."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror or error}", path=path) from error


def _named(path: Path) -> Named:
    return Named(read_description(path).attributes.cell_type, path, str(path))


def _checked(
    path: Path,
    layout: Layout | None,
    marks: Sequence[str],
    window_bp: int | None,
    split: FileSplitRule | None,
) -> tuple[Layout, str]:
    """Return the layout of a file, and what it calls its cell type."""
    data = read_description(path)
    found = np.unique(data.genes.label[data.genes.label >= 0])
    if len(found) < 2:
        what = "no gene has a label" if not len(found) else f"all labels are {int(found[0])}"
        raise InputError(what, path=path, hint="a benchmark needs genes that are on and off")
    if split is not None:
        draw_split(data.genes, Split(split), path)
    own = layout_of(data, path, marks, window_bp)
    if layout is None:
        return own, data.attributes.cell_type
    try:
        check_window(layout, data, path)
        match_marks(layout, data, path, marks)
    except MismatchError as error:
        raise MismatchError(f"{error.message} (as the source)", path=path, hint=error.hint) from (
            error
        )
    return own, data.attributes.cell_type


def _count(problems: Sequence[str]) -> str:
    count = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
    return f"{count} wrong; nothing was run"


def _listed(problems: Sequence[str]) -> list[str]:
    shown = ["  " + text.replace("\n", "\n  ") for text in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        shown.append(f"  and {len(problems) - _SHOWN} more")
    return shown
