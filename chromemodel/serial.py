"""How do frozen dataclasses become JSON, and come of JSON or of settings on a command line?

Reading is strict: an unknown key, a missing one or a value of another type is an error that names
the key.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from chromeprep.errors import did_you_mean

D = TypeVar("D")

#: Metadata of a field that is left out of JSON at its default: older programs can then read it.
UNLESS_DEFAULT = {"unless_default": True}


def to_json(value: Any) -> Any:
    """Turn a dataclass into what `json` writes.

    Examples
    --------
    >>> from chromemodel.config import Component
    >>> to_json(Component("transferchrome", {"features": 128}))
    {'name': 'transferchrome', 'options': {'features': 128}}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            entry.name: to_json(getattr(value, entry.name))
            for entry in fields_of(value)
            if not (
                entry.metadata.get("unless_default") and getattr(value, entry.name) == entry.default
            )
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry) for entry in value]
    return value


def from_json(cls: type[D], data: Any, where: str = "") -> D:
    """Make a dataclass from what `json` read.

    Raises
    ------
    ValueError
        Where a key is unknown or missing, or a value has another type; it names the key.

    Examples
    --------
    >>> from chromemodel.config import Split
    >>> from_json(Split, {"rule": "thirds", "seeds": 1})
    Traceback (most recent call last):
    ...
    ValueError: unknown key 'seeds'; did you mean 'seed'?
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{where or 'the document'} is {_shown(data)}, expected an object")
    prefix = f"{where}." if where else ""
    known = {entry.name: entry for entry in fields_of(cls)}
    for key in data:
        if key not in known:
            raise ValueError(f"unknown key '{prefix}{key}'; {did_you_mean(str(key), known)}")
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, entry in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], prefix + name)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"key '{prefix}{name}' is missing")
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f"{prefix}{error}" if prefix else str(error)) from error


def parse_options(cls: type[Any], settings: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` settings by the types of a dataclass.

    Numbers as usual, ``true`` or ``false``, and ``32,16,8`` for a list.

    Raises
    ------
    ValueError
        Where a setting has no ``=``, its key is unknown or its value has another type.

    Examples
    --------
    >>> from chromemodel.config import TrainConfig
    >>> parse_options(TrainConfig, ["lr=0.01", "epochs=5"])
    {'lr': 0.01, 'epochs': 5}
    """
    hints = get_type_hints(cls)
    known = {entry.name: hints[entry.name] for entry in fields_of(cls)}
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"'{setting}' is not KEY=VALUE")
        if key not in known:
            raise ValueError(f"unknown option '{key}'; {did_you_mean(key, known)}")
        values[key] = _value(known[key], _parse(known[key], text.strip(), key), key)
    return values


def build_options(cls: type[D], options: Mapping[str, Any]) -> D:
    """Make a component's configuration from some of its options; the rest are defaults."""
    return from_json(cls, to_json(options))


def type_words(kind: Any) -> str:
    """Return a type as a user would say it: ``"a whole number"``."""
    plain = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if kind in plain:
        return plain[kind]
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(kind))
    if origin is tuple:
        return f"a list (each {type_words(get_args(kind)[0])})"
    if origin in (Union, types.UnionType):
        return " or ".join("null" if k is type(None) else type_words(k) for k in get_args(kind))
    return getattr(kind, "__name__", str(kind))


def fields_of(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of a dataclass, or of one of its instances, that stand in its JSON."""
    return tuple(entry for entry in dataclasses.fields(cls) if not entry.metadata.get("beside"))


def _value(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return from_json(cast(type[Any], kind), value, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        return _value(next(k for k in get_args(kind) if k is not type(None)), value, where)
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = get_args(kind)[0]
        return tuple(_value(inner, entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is Literal and value in get_args(kind):
        return value
    if origin not in (tuple, Literal):
        plain = origin or kind
        if plain is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, plain) and not (isinstance(value, bool) and plain is not bool):
            return value
    raise ValueError(f"'{where}' is {_shown(value)}, expected {type_words(kind)}")


def _parse(kind: Any, text: str, key: str) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        inner = get_args(kind)[0]
        return [_parse(inner, part.strip(), key) for part in text.split(",") if part.strip()]
    if origin in (Union, types.UnionType):
        return _parse(next(k for k in get_args(kind) if k is not type(None)), text, key)
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
