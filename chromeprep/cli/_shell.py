"""Where errors become exit codes: the click group that both command lines are built on.

0 is success, 1 a failure the message explains, 2 a wrong command line, 130 an interrupt (Ctrl-C),
143 a SIGTERM. Commands are imported only when they are called, so that ``--help`` stays quick.
"""

from __future__ import annotations

import atexit
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import click

from chromeprep.errors import ChromeError

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on first use.

    Parameters
    ----------
    lazy
        Command name -> (``"package.module:function"``, one line for the group's help page).
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, context_settings=CONTEXT_SETTINGS, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which work is done."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None where there is none of that name."""
        if cmd_name not in self.lazy:
            return None
        module, _, function = self.lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command was meant where the name is wrong."""
        from chromeprep.errors import did_you_mean

        if args and args[0] not in self.lazy and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'; {did_you_mean(args[0], self.lazy)}")
        return super().resolve_command(ctx, args)


def run(group: click.Group, prog_name: str) -> NoReturn:
    """Run a command line and exit as this module's docstring says."""
    signal.signal(signal.SIGTERM, _raise_exit)
    _log_to_stderr()
    try:
        code = group.main(prog_name=prog_name, standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted; no output was changed", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ChromeError as error:
        click.echo(f"{prog_name}: error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our stdout went away, as `| head` does
        _forget_stdout()
        sys.exit(1)
    except OSError as error:  # stdout on a full disk; files of ours are guarded where written
        _forget_stdout()
        click.echo(f"{prog_name}: error: cannot write: {error.strerror or error}", err=True)
        sys.exit(1)


def end_with(main: Callable[[], NoReturn]) -> NoReturn:
    """Run a program whole, and leave at once when it is done.

    All is written and closed by then. To take numba, torch and a hundred thousand genes apart in
    memory, object by object, would take another tenth of a second.
    """
    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
    atexit._run_exitfuncs()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _log_to_stderr() -> None:
    # Our own loggers only: at INFO other libraries speak of what no user asked.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("chromeprep", "chromemodel"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)


def _forget_stdout() -> None:
    # Or the interpreter fails once more when it flushes on the way out.
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raise_exit(signum: int, frame: FrameType | None) -> NoReturn:
    # As an exception, so that unfinished files are removed on the way out.
    sys.exit(128 + signum)


def echo_json(value: object) -> None:
    """Print a value as JSON on stdout, one document, keys as given."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))
