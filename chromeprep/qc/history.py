"""How was a file made, and where were genes lost? Read from its ``/provenance``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Loss(NamedTuple):
    """One step of the choice of genes."""

    what: str
    n_genes: int
    """Genes left after it."""
    lost: int
    """Genes left out by it; 0 in the first step and in remarks."""


class Command(NamedTuple):
    """One command that touched the file."""

    date: str
    program: str
    """Program and command, such as ``chromeprep bin``."""
    line: str
    """The whole command line."""
    versions: str
    inputs: tuple[tuple[str, str, str], ...]
    """(role, path, fingerprint)"""


def losses(provenance: Sequence[str], n_genes: int) -> tuple[Loss, ...]:
    """Return the steps of the last command that chose genes; none where no command says.

    Parameters
    ----------
    provenance
        Lines of JSON.
    n_genes
        Genes that are in the file now; a last step says so where the steps end elsewhere.

    Examples
    --------
    >>> line = json.dumps({"genes": [{"n_genes": 9, "what": "in all"},
    ...                              {"n_genes": 7, "what": "known"}]})
    >>> [step.lost for step in losses([line], 6)]
    [0, 2, 1]
    """
    steps: list[tuple[str, int]] = []
    for line in provenance:
        steps = _steps(_record(line)) or steps
    found: list[Loss] = []
    left: int | None = None
    for what, count in steps:
        # "of them known to …": says something of the genes, but leaves none out.
        remark = what.startswith("of them ")
        found.append(Loss(what, count, 0 if left is None or remark else left - count))
        if not remark:
            left = count
    if left is not None and left != n_genes:
        found.append(Loss("in this file", n_genes, left - n_genes))
    return tuple(found)


def commands(provenance: Sequence[str]) -> tuple[Command, ...]:
    """Return the commands that touched the file, the first one first."""
    return tuple(_command(_record(line)) for line in provenance)


def _record(line: str) -> Mapping[str, Any]:
    # `chromeprep validate` is who complains of lines that are not as specified.
    try:
        found = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _steps(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    listed = record.get("genes")
    if not isinstance(listed, list):
        return []
    return [
        (step["what"], step["n_genes"])
        for step in listed
        if isinstance(step, dict)
        and isinstance(step.get("what"), str)
        and isinstance(step.get("n_genes"), int)
    ]


def _command(record: Mapping[str, Any]) -> Command:
    argv, versions, inputs = (record.get(key) for key in ("argv", "versions", "inputs"))
    words = [str(word) for word in argv] if isinstance(argv, list) and argv else ["a library call"]
    words[0] = Path(words[0]).name
    rows = []
    for role, entry in inputs.items() if isinstance(inputs, dict) else ():
        told = entry if isinstance(entry, dict) else {"path": entry}
        rows.append((str(role), str(told.get("path", "")), str(told.get("fingerprint", ""))))
    return Command(
        date=str(record.get("date", "")),
        program=" ".join([words[0], *(word for word in words[1:2] if not word.startswith("-"))]),
        line=shlex.join(words) if len(words) > 1 else words[0],
        versions=", ".join(f"{name} {number}" for name, number in versions.items())
        if isinstance(versions, dict)
        else "",
        inputs=tuple(rows),
    )
