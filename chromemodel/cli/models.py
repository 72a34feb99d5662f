"""``chromemodel models``: what is there to choose, and with which options?"""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any, get_type_hints

import click

from chromemodel.adapt import METHODS
from chromemodel.cli._options import TRAINING, json_option, option_name
from chromemodel.config import TrainConfig
from chromemodel.models import MODELS
from chromemodel.registry import Entry, Registry
from chromemodel.serial import fields_of, to_json, type_words

#: Training options that no paper's recipe speaks of.
OF_A_RUN = ("seed", "mark_dropout", "shift_bins", "thin")


@click.command("models")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the models and the methods of adaptation, or the options of the one called NAME.

    Options of --set come first; those of a model with dashes are how its paper trains it, which
    `train` and `adapt` do where nothing else is said.
    """
    from chromeprep.cli._shell import echo_json
    from chromeprep.errors import did_you_mean

    registries: tuple[Registry[Any], ...] = (MODELS, METHODS)
    if name is None:
        entries = [(registry.kind, entry) for registry in registries for entry in registry]
        if as_json:
            echo_json([_entry(kind, entry) for kind, entry in entries])
        for kind, entry in [] if as_json else entries:
            reference = f" ({entry.reference})" if entry.reference else ""
            click.echo(f"{kind}\t{entry.name}\t{entry.summary}{reference}")
        return
    registry = next((one for one in registries if name in one), None)
    if registry is None:
        known = [one for each in registries for one in each.names()]
        raise click.UsageError(f"no model or method '{name}'; {did_you_mean(name, known)}")
    entry = registry.entry(name)
    options = _options(registry.load(name).Config)
    recipe = []
    if registry.kind == "model" and entry.fitter == "torch":
        recipe = [
            option | {"default": getattr(entry.recipe, option["name"])}
            for option in _options(TrainConfig)
            if option["name"] in TRAINING and option["name"] not in OF_A_RUN
        ]
    if as_json:
        trained = {option["name"]: option["default"] for option in recipe}
        echo_json(_entry(registry.kind, entry) | {"options": options, "recipe": trained})
        return
    options += [option | {"name": option_name(option["name"])} for option in recipe]
    for option in options:
        click.echo(f"{option['name']}\t{_shown(option['default'])}\t{option['type']}")


def _entry(kind: str, entry: Entry) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": entry.name,
        "summary": entry.summary,
        "reference": entry.reference,
        "tasks": list(entry.tasks),
    }


def _options(config: type[Any]) -> list[dict[str, Any]]:
    hints = get_type_hints(config)
    return [
        {
            "name": entry.name,
            "default": None if entry.default is MISSING else to_json(entry.default),
            "type": type_words(hints[entry.name]),
        }
        for entry in fields_of(config)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(entry) for entry in value)
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
