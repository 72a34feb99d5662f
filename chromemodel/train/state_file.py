"""How is the state of a fit written and read? As safetensors, never unpickled.

Tensors are named ``group/name`` by the fields of `State`; all else stands as JSON in the metadata,
with a digest over the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from chromemodel.config import TrainConfig
from chromemodel.serial import from_json, to_json
from chromemodel.train.loop import Epoch
from chromemodel.train.state import State
from chromemodel.train.store import Store, blocks
from chromeprep.errors import RunError

FORMAT = "chromemodel-checkpoint"
VERSION = 1
_GROUPS = ("model", "method", "optimizer", "best_weights")


def packed(state: State, asked: dict[str, Any]) -> bytes:
    """Return the bytes of a file with a state, and what was asked of the fit (JSON)."""
    tensors = {
        f"{group}/{name}": value.detach().cpu().contiguous()
        for group in _GROUPS
        for name, value in getattr(state, group).items()
    }
    document = {
        "version": VERSION,
        "asked": asked,
        "best_epoch": state.best_epoch,
        "history": [[*row[:4], *row.terms] for row in state.history],
        "training": to_json(state.training),
        "changes": list(state.changes),
    }
    document["digest"] = digest_of(tensors, document)
    return save(tensors, metadata={FORMAT: json.dumps(document)})


def read_state(path: Path) -> tuple[dict[str, Any], State]:
    """Read what a fit was asked, and where it stands.

    Raises
    ------
    RunError
        Where the file is damaged or newer than this version.
    """
    hint = "begin anew with --force"
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[FORMAT])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if document["version"] > VERSION:
            raise RunError(
                f"has version {document['version']}; this chromemodel reads up to {VERSION}",
                path=path, hint=f"upgrade transferchrome, or {hint}",
            )  # fmt: skip
        if document.pop("digest") != digest_of(tensors, document):
            raise ValueError("the digest is another")
        groups: dict[str, dict[str, Tensor]] = {name: {} for name in _GROUPS}
        for name, value in tensors.items():
            group, key = name.split("/", 1)
            groups[group][key] = value
        state = State(
            **groups,
            best_epoch=document["best_epoch"],
            history=tuple(
                Epoch(row[0], row[1], row[2], row[3], tuple(row[4:])) for row in document["history"]
            ),
            training=from_json(TrainConfig, document["training"]),
            changes=tuple(document["changes"]),
        )
        return document["asked"], state
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror or error}", path=path) from error
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError("is cut short or damaged", path=path, hint=hint) from error


def digest_of(tensors: Mapping[str, Tensor | Store], document: object = None) -> str:
    """Return a digest of tensors, their names and a document of JSON.

    That of a store is the digest of the tensor that it stands for.
    """
    digest = blake2b(json.dumps(document).encode(), digest_size=16)
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        for block in blocks(value):
            flat = block.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
