"""Which files belong to which cell types? A table of them, read and checked row by row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

from chromeprep.errors import InputError
from chromeprep.samplecolumns import REQUIRED, find_columns, split, wanted
from chromeprep.textfiles import read_lines
from chromeprep.tracks import READ_KINDS, kind_of

_MARK = re.compile(r"[A-Za-z0-9][\w.+-]*")
_NO_FILE_NAME = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_LONGEST_NAME = 200
_SHOWN = 20
_ENDINGS = ".bam, .cram, .tagAlign, .bed, .bedGraph or .bigWig (.gz)"


class Problem(NamedTuple):
    """What is wrong with a row; `line` counts from 1 as an editor does."""

    line: int
    message: str


class SampleFile(NamedTuple):
    """A file of a cell type, the line that names it, and its kind of `chromeprep.tracks.KINDS`."""

    line: int
    mark: str
    kind: str
    path: Path


@dataclass
class Sample:
    """A cell type and its files; several of one mark are replicates.

    Attributes
    ----------
    cell_type
        Its name, which is fit for a file name.
    line
        Where it is first named.
    tracks, controls
        In the order of the sheet; a control that several rows of a mark name stands there once.
    expression_column
        As its rows say, or None.
    """

    cell_type: str
    line: int
    tracks: list[SampleFile] = field(default_factory=list)
    controls: list[SampleFile] = field(default_factory=list)
    expression_column: str | None = None

    @property
    def marks(self) -> list[str]:
        """Names of the marks, each once."""
        return list(dict.fromkeys(track.mark for track in self.tracks))


@dataclass
class SampleSheet:
    """What a sheet says, as far as its rows are right, and what is wrong with the others.

    Attributes
    ----------
    path
        The file.
    samples
        In the order of the sheet.
    problems
        By line.
    ignored
        Columns that mean nothing here.
    """

    path: Path
    samples: list[Sample]
    problems: list[Problem]
    ignored: list[str]


class _Row(NamedTuple):
    line: int
    cell_type: str
    mark: str
    path: str
    control: str
    expression_column: str


def read_samplesheet(path: str | Path) -> SampleSheet:
    """Read a table with a header, tab- or comma-separated, plain or gzipped, and check its rows.

    Paths that are not absolute start from the folder of the sheet. Whether files are there is
    checked, but none is opened.

    Parameters
    ----------
    path
        The sheet: ``cell_type`` (or ``sample``), ``mark`` (or ``antibody``) and ``path``; if
        wanted ``control`` and ``expression_column``. Blank lines and those that begin with ``#``
        are skipped.

    Raises
    ------
    InputError
        Where the file cannot be read, its header is wrong, or it has no rows. What is wrong with a
        row is in `SampleSheet.problems`; see `refuse`.
    """
    source = Path(path)
    lines = (
        (number, line)
        for number, line in read_lines(source)
        if line.strip() and not line.lstrip().startswith("#")
    )
    number, header = next(lines, (0, ""))
    if not header:
        raise InputError(
            "holds no line", path=source, hint=f"the first one names the columns: {wanted()}"
        )
    separator = "\t" if "\t" in header else ","
    names = split(header, separator)
    places, ignored = find_columns(source, number, names)
    reading = _Reading(source)
    for number, line in lines:
        fields = split(line, separator)
        if not any(fields):
            continue
        if any(fields[len(names) :]):
            reading.wrong(number, f"has {len(fields)} fields, the header names {len(names)}")
            continue
        values = {
            name: fields[at] if at is not None and at < len(fields) else ""
            for name, at in places.items()
        }
        reading.add(_Row(number, **values))
    if not reading.samples and not reading.problems:
        raise InputError("has a header but no rows", path=source)
    reading.check_kinds()
    return SampleSheet(source, list(reading.samples.values()), sorted(reading.problems), ignored)


def refuse(path: Path, problems: Sequence[Problem]) -> NoReturn:
    """Raise one `InputError` that lists what is wrong with the rows of a sheet."""
    listed = sorted(set(problems))
    shown = [f"line {line}: {message}" for line, message in listed[:_SHOWN]]
    if len(listed) > _SHOWN:
        shown.append(f"and {len(listed) - _SHOWN} more")
    count = "one thing is wrong" if len(listed) == 1 else f"{len(listed)} things are wrong"
    text = "\n".join(f"  {line}" for line in shown)
    raise InputError(f"{count}; nothing was written\n{text}", path=path)


def lacking_marks(samples: Iterable[Sample]) -> dict[str, list[str]]:
    """Return the marks that some cell types have and others lack -> those that lack them.

    Examples
    --------
    >>> here = Path("x.bam")
    >>> one = Sample("E003", 2, [SampleFile(2, "H3K4me3", "bam", here)])
    >>> two = Sample("E004", 3, [SampleFile(3, "H3K27ac", "bam", here)])
    >>> lacking_marks([one, two])
    {'H3K4me3': ['E004'], 'H3K27ac': ['E003']}
    """
    known = list(samples)
    marks = dict.fromkeys(mark for sample in known for mark in sample.marks)
    lacking = {
        mark: [sample.cell_type for sample in known if mark not in sample.marks] for mark in marks
    }
    return {mark: names for mark, names in lacking.items() if names}


class _Reading:
    """The rows read so far."""

    def __init__(self, sheet: Path) -> None:
        self.samples: dict[str, Sample] = {}
        self.problems: list[Problem] = []
        self._folder = sheet.parent
        self._spellings: dict[tuple[str, str], tuple[str, int]] = {}
        self._lines: dict[Path, int] = {}  # of tracks

    def wrong(self, line: int, message: str) -> None:
        self.problems.append(Problem(line, message))

    def add(self, row: _Row) -> None:
        """Take one row in; what is wrong with it is noted, and what is right of it kept."""
        missing = [name for name in REQUIRED if not getattr(row, name)]
        if missing:
            self.wrong(row.line, f"has no {' and no '.join(missing)}")
        named = self._is_cell_type(row) if row.cell_type else False
        marked = self._is_mark(row) if row.mark else False
        path = self._file(row.line, row.path) if row.path else None
        control = self._file(row.line, row.control) if row.control else None
        if path is not None and not self._is_new(row.line, path[1]):
            path = None
        if not named:
            return
        sample = self.samples.setdefault(row.cell_type, Sample(row.cell_type, row.line))
        self._add_column(sample, row)
        if not marked:
            return
        if path is not None:
            sample.tracks.append(SampleFile(row.line, row.mark, *path))
        if control is not None and not any(
            known.mark == row.mark and known.path.resolve() == control[1].resolve()
            for known in sample.controls
        ):
            sample.controls.append(SampleFile(row.line, row.mark, *control))

    def check_kinds(self) -> None:
        """Note marks with files that do not go together, once all rows are there."""
        for sample in self.samples.values():
            own = {track.path.resolve(): track.line for track in sample.tracks}
            for control in sample.controls:
                line = own.get(control.path.resolve())
                if line is not None:
                    self.wrong(control.line, f"control {control.path} is a track in line {line}")
            for mark in sample.marks:
                files = [file for file in sample.tracks + sample.controls if file.mark == mark]
                first = files[0]
                for file in files[1:]:
                    if (file.kind in READ_KINDS) != (first.kind in READ_KINDS):
                        self.wrong(
                            file.line,
                            f"{file.path} holds {_content(file.kind)}, {first.path} of the same "
                            f"cell type and mark (line {first.line}) {_content(first.kind)}",
                        )

    def _is_cell_type(self, row: _Row) -> bool:
        name = row.cell_type
        bad = None
        if found := _NO_FILE_NAME.search(name):
            bad = f"has {found[0]!r} in it"
        elif name.startswith((".", "-")) or name.endswith("."):
            bad = f"{'begins' if name[0] in '.-' else 'ends'} with '{name[0]}'"
        elif len(name.encode()) > _LONGEST_NAME:
            bad = "is too long"
        if bad:
            self.wrong(row.line, f"cell type '{name}' {bad}, and cannot name a file")
            return False
        return self._is_one_spelling("cell type", name, row.line)

    def _is_mark(self, row: _Row) -> bool:
        if not _MARK.fullmatch(row.mark):
            self.wrong(
                row.line,
                f"mark '{row.mark}' is none: letters, digits and . _ + - make one, as in H3K4me3",
            )
            return False
        return self._is_one_spelling("mark", row.mark, row.line)

    def _is_one_spelling(self, what: str, name: str, line: int) -> bool:
        known, first = self._spellings.setdefault((what, name.casefold()), (name, line))
        if known != name:
            self.wrong(
                line, f"{what} '{name}' differs from '{known}' (line {first}) only in its case"
            )
        return known == name

    def _file(self, line: int, text: str) -> tuple[str, Path] | None:
        path = self._folder / text
        kind = kind_of(path)
        if kind is None:
            self.wrong(
                line, f"{path}: its name does not say what it is; expected one that ends in "
                f"{_ENDINGS}"
            )  # fmt: skip
        if not path.exists():
            self.wrong(line, f"{path}: no such file")
        elif not path.is_file():
            self.wrong(line, f"{path}: is {'a folder' if path.is_dir() else 'a device'}, no file")
        elif kind is not None:
            return kind, path
        return None

    def _is_new(self, line: int, path: Path) -> bool:
        first = self._lines.setdefault(path.resolve(), line)
        if first != line:
            self.wrong(line, f"{path}: is given in line {first} too")
        return first == line

    def _add_column(self, sample: Sample, row: _Row) -> None:
        column = row.expression_column
        if not column:
            return
        known = sample.expression_column
        if known is not None and known != column:
            self.wrong(
                row.line,
                f"expression_column '{column}', but '{known}' in another row of {row.cell_type}",
            )
        else:
            sample.expression_column = column


def _content(kind: str) -> str:
    return "reads" if kind in READ_KINDS else "signal"
