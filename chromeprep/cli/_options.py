"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import click

# Whether a file is there and may be read is said by its reader, with exit status 1.
INPUT_FILE = click.Path(path_type=Path, readable=False)

force_option = click.option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
threads_option = click.option(
    "-p",
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that read at a time.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class MarkFile(NamedTuple):
    """A signal file and the mark it holds."""

    mark: str
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
        match = re.fullmatch(r"([A-Za-z0-9][\w.+-]*)=(.+)", value, re.DOTALL)
        if match:
            return MarkFile(match[1], Path(match[2]))
        if value.endswith("="):
            self.fail(f"no file after '{value}'", param, ctx)
        marks = marks_in_name(value)
        if len(marks) == 1:
            return MarkFile(marks[0], Path(value))
        found = "no mark" if not marks else f"more than one mark ({', '.join(marks)})"
        return self.fail(f"{found} in the name of '{value}'; say which: MARK={value}", param, ctx)


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
