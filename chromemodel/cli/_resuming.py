"""What is said where training is interrupted?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def telling_how_to_resume(*runs: str) -> Iterator[None]:
    """Where a signal ends the block, say what is kept and which command goes on; exit as it asks.

    Where nothing is kept, the signal goes its usual way.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        from chromemodel.train.resume import checkpoint_folder

        folders = [str(folder) for folder in map(checkpoint_folder, runs) if folder.is_dir()]
        if not folders:
            raise
        click.echo(
            f"interrupted; all whole epochs are kept in {', '.join(folders)}. "
            "The same command goes on from "
            f"there:\n  {shlex.join(['chromemodel', *sys.argv[1:]])}",
            err=True,
        )
        code = stop.code if isinstance(stop, SystemExit) else 130
        raise click.exceptions.Exit(code if isinstance(code, int) else 1) from None
