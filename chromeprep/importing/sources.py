"""Which files make up a published data set, which part is each, and of which cell type?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chromeprep.errors import InputError, shorten

PARTS = ("train", "valid", "test")

_PART = re.compile(r"(?:(.+)[._-])?(train|valid|test)\.csv(?:\.gz)?", re.IGNORECASE)
_CSV = re.compile(r".+\.csv(?:\.gz)?", re.IGNORECASE)
_EPIGENOME = re.compile(r"(?<![A-Za-z0-9])E\d{3}(?![A-Za-z0-9])")
# Where AttentiveChrome's archive keeps the files of a cell type.
_INNER = "classification"


class Source(NamedTuple):
    """A file, and the part of the published split that its name says; empty where none."""

    path: Path
    part: str


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Find the files of a data set: training genes first, then validation, then test.

    Parameters
    ----------
    paths
        Files, or folders that hold ``train.csv``, ``valid.csv`` and ``test.csv`` (also with a name
        in front, as in ``E003.train.csv``, and gzipped), themselves or in ``classification``.

    Raises
    ------
    InputError
        Where a folder holds none of them, or those of more than one data set; where a part is
        there twice.
    """
    sources: list[Source] = []
    for path in paths:
        sources += _in_folder(path) if path.is_dir() else [Source(path, _part(path.name))]
    for index, source in enumerate(sources):
        if any(source.path.resolve() == other.path.resolve() for other in sources[:index]):
            raise InputError("is given twice", path=source.path)
        for other in sources[:index]:
            if source.part and source.part == other.part:
                raise InputError(
                    f"holds the {source.part} genes, and so does {other.path}", path=source.path,
                    hint="import one cell type at a time, or name the files otherwise",
                )  # fmt: skip
    return sorted(sources, key=lambda source: (*PARTS, "").index(source.part))


def has_split(sources: Sequence[Source]) -> bool:
    """Say whether the files' names tell a split: more than one file, and a part in every name.

    Examples
    --------
    >>> has_split([Source(Path("train.csv"), "train"), Source(Path("test.csv"), "test")])
    True
    >>> has_split([Source(Path("train.csv"), "train")])
    False
    """
    return len(sources) > 1 and all(source.part for source in sources)


def cell_type_in(path: Path) -> str | None:
    """Return the epigenome that a file's name, its folder's or the one above speaks of, if one.

    Examples
    --------
    >>> cell_type_in(Path("data/E003/classification/train.csv"))
    'E003'
    >>> cell_type_in(Path("deepdiff_E116.test.csv.gz"))
    'E116'
    >>> cell_type_in(Path("toy/train.csv")) is None
    True
    """
    where = path.absolute()
    for name in (where.name, where.parent.name, where.parent.parent.name):
        found = sorted(set(_EPIGENOME.findall(name)))
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _part(name: str) -> str:
    match = _PART.fullmatch(name)
    return "" if match is None else match[2].lower()


def _in_folder(folder: Path) -> list[Source]:
    for place in (folder, folder / _INNER):
        if not place.is_dir():
            continue
        try:
            files = sorted(entry for entry in place.iterdir() if entry.is_file())
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=place) from error
        found = [(match, path) for path in files if (match := _PART.fullmatch(path.name))]
        names = sorted({match[1] or "" for match, _ in found})
        if len(names) > 1:
            listed = shorten(path.name for _, path in found)
            raise InputError(
                f"holds more than one data set: {listed}",
                path=place,
                hint="name the files of one of them instead of the folder",
            )
        if found:
            return [Source(path, match[2].lower()) for match, path in found]
    tables = [path.name for path in sorted(folder.iterdir()) if _CSV.fullmatch(path.name)]
    raise InputError(
        f"holds no train.csv, valid.csv or test.csv, nor does a folder {_INNER} in it",
        path=folder,
        hint=f"name the files instead of the folder; there are {shorten(tables)}"
        if tables
        else None,
    )
