"""`chromeprep validate`: does a file follow the specification?"""

from __future__ import annotations

from pathlib import Path

import click

from chromeprep.cli._options import INPUT_FILE, json_option
from chromeprep.cli._shell import echo_json


@click.command()
@click.argument("file", type=INPUT_FILE)
@json_option
@click.pass_context
def validate(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Check a file against its specification and name every violation.

    That of bins is docs/format.md, that of panels docs/panel.md.
    Exit status 0 where there is none, 1 otherwise.
    """
    from chromeprep.format.opening import is_panel
    from chromeprep.format.panel_validate import panel_violations
    from chromeprep.format.validate import violations

    found = panel_violations(file) if is_panel(file) else violations(file)
    if as_json:
        echo_json({"file": str(file), "valid": not found, "violations": found})
    elif found:
        for line in found:
            click.echo(f"{file}: {line}")
        click.echo(f"{file}: {len(found)} violation{'s' * (len(found) > 1)}", err=True)
    else:
        click.echo(f"{file}: valid")
    ctx.exit(1 if found else 0)
