"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

_MARK_AND_FILE = re.compile(r"([A-Za-z0-9][\w.+-]*)=(.+)", re.DOTALL)

_Command = TypeVar("_Command", bound=Callable[..., Any])

# Whether a file is there and may be read is said by its reader, with exit status 1.
INPUT_FILE = click.Path(path_type=Path, readable=False)

force_option = click.option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
threads_option = click.option(
    "-p",
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads that read at a time.",
)
expression_column_option = click.option(
    "--expression-column",
    metavar="NAME",
    help="Column of the table.  [default: the cell type, TPM of a tool's table, or the only one]",
)
expression_ids_option = click.option(
    "--expression-ids",
    type=click.Choice(["id", "symbol"]),
    default="id",
    show_default=True,
    help="What the table and the genes are joined by: ids (versions cut) or symbols.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def expression_option(*, required: bool = False) -> Callable[[_Command], _Command]:
    """Return the option that names an expression table."""
    return click.option(
        "--expression",
        type=INPUT_FILE,
        required=required,
        metavar="TABLE",
        help="Expression, from REMC, GTEx (GCT), featureCounts, RSEM, Salmon, StringTie, "
        "`chromeprep quantify`, or any table of genes; gives labels.",
    )


class MarkFile(NamedTuple):
    """A signal file and the mark it holds."""

    mark: str
    path: Path


class ControlFile(NamedTuple):
    """A file of input DNA, and the mark that it is for; None: for all."""

    mark: str | None
    path: Path


class MarkFileType(click.ParamType[MarkFile]):
    """``[MARK=]FILE``; without ``MARK=`` the mark is read from the file's name."""

    name = "[MARK=]FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> MarkFile:
        """Split the value, or look for the mark in the file's name."""
        from chromeprep.marks import marks_in_name

        if isinstance(value, MarkFile):
            return value
        match = _MARK_AND_FILE.fullmatch(value)
        if match:
            return MarkFile(match[1], Path(match[2]))
        if value.endswith("="):
            self.fail(f"no file after '{value}'", param, ctx)
        marks = marks_in_name(value)
        if len(marks) == 1:
            return MarkFile(marks[0], Path(value))
        found = "no mark" if not marks else f"more than one mark ({', '.join(marks)})"
        return self.fail(f"{found} in the name of '{value}'; say which: MARK={value}", param, ctx)


class ControlFileType(click.ParamType[ControlFile]):
    """``[MARK=]FILE``; without ``MARK=`` it is for every mark that has no control of its own."""

    name = "[MARK=]FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ControlFile:
        """Split the value."""
        if isinstance(value, ControlFile):
            return value
        match = _MARK_AND_FILE.fullmatch(value)
        if match:
            return ControlFile(match[1], Path(match[2]))
        if value.endswith("="):
            self.fail(f"no file after '{value}'", param, ctx)
        return ControlFile(None, Path(value))


class FlagsType(click.ParamType[int]):
    """SAM flags, decimal or hexadecimal."""

    name = "FLAGS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ``3844`` or ``0xF04``."""
        if isinstance(value, int):
            return value
        try:
            flags = int(value, 0)
        except ValueError:
            flags = -1
        if not 0 <= flags <= 0xFFF:
            self.fail(f"'{value}' is not a set of SAM flags, such as 0xF04 or 3844", param, ctx)
        return flags


class SectionedCommand(click.Command):
    """A command whose help page shows its options in sections.

    Parameters
    ----------
    sections
        Heading -> names of parameters, in order; the others come last.
    """

    def __init__(self, *args: Any, sections: dict[str, tuple[str, ...]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list of options a section."""
        records = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                records[param.name] = record
        for heading, names in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([records.pop(name) for name in names])
        with formatter.section("Other options"):
            formatter.write_dl(list(records.values()))
