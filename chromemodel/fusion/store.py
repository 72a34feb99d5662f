"""How does a run folder keep what puts marks and panel together? As JSON, never unpickled."""

from __future__ import annotations

import json
from pathlib import Path

from chromemodel.fusion.combine import Fusion
from chromemodel.serial import from_json, to_json
from chromeprep.errors import RunError

FUSION = "fusion.json"


def write_fusion(folder: Path, fusion: Fusion) -> None:
    """Write it into a run folder; the numbers are the same bit by bit when read again."""
    text = json.dumps(to_json(fusion), indent=2, allow_nan=False)
    (folder / FUSION).write_text(text + "\n", encoding="utf-8")


def read_fusion(folder: Path) -> Fusion:
    """Read it from a run folder.

    Raises
    ------
    RunError
        Where it is missing or damaged.
    """
    path = folder / FUSION
    try:
        return from_json(Fusion, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RunError(f"{FUSION} is missing", path=folder, hint="train again") from error
    except (OSError, ValueError) as error:
        raise RunError(f"cannot be read: {error}", path=path, hint="train again") from error
