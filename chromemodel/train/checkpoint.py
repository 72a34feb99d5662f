"""What does a run leave behind, and how is it read again?

A run folder holds ``config.json`` (`RunConfig`), ``weights.safetensors``, ``history.csv``,
``metrics.json`` and ``predictions.tsv``; and where the normalisation has quantiles,
``quantiles.safetensors``, which belong to the configuration; with a panel beside the marks,
``fusion.json``. Nothing in it is ever unpickled.
Times and versions stand only under ``provenance`` of the configuration: all else is the same, byte
for byte, for the same seed on the same machine.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from chromemodel.config import (
    RUN_FORMAT,
    RUN_VERSION,
    FileRecord,
    Provenance,
    RunConfig,
    run_version,
)
from chromemodel.data.quantiles import read_quantiles, write_quantiles
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.predictions import ExpressionPredictions, Predictions
from chromemodel.fusion.combine import Fusion
from chromemodel.fusion.store import read_fusion, write_fusion
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet
from chromemodel.serial import from_json, to_json
from chromemodel.tasks import task_of
from chromemodel.train.device import seeded
from chromemodel.train.loop import Fit
from chromeprep._version import __version__
from chromeprep.errors import OutputError, RunError
from chromeprep.format import atomic_folder, check_writable

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
SEEDS = "seeds.json"  # of a folder of several runs
QUANTILES = "quantiles.safetensors"
HISTORY = "history.csv"
METRICS = "metrics.json"
PREDICTIONS = "predictions.tsv"
SOURCE_ONLY = "source_only"


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder that was read; ``model`` is on the CPU, ready to predict.

    ``fusion`` is None where no panel stands beside the marks.
    """

    path: Path
    config: RunConfig
    model: ChromeNet
    fusion: Fusion | None = None

    @property
    def known(self) -> FileRecord:
        """The file whose units and assembly a later file is compared with."""
        return self.config.source


class Finished(NamedTuple):
    """All that a run folder is written from; ``columns`` name the terms of the history.

    ``notes`` are what a reader of the scores must know, in words. ``label_agreement`` is the share
    of the scored genes with the same label in source and target, for adaptation.
    """

    config: RunConfig
    model: ChromeNet
    fit: Fit
    columns: tuple[str, ...]
    scores: Sequence[Score]
    notes: Sequence[str]
    predictions: Predictions | ExpressionPredictions
    label_agreement: float | None = None
    fusion: Fusion | None = None


def check_run_target(path: str | Path, *, force: bool, inputs: Sequence[str | Path]) -> Path:
    """Check, before work starts, that a run folder can be put at `path`.

    Folders above it may be missing: `run_folder` makes them.

    Raises
    ------
    OutputError
        As `check_writable`; and where the folder to replace is no run folder, or holds an input.
    """
    target = Path(path)
    missing = _missing_folders(target)
    if missing:
        if not missing[0].parent.is_dir():
            raise OutputError(f"{missing[0].parent} is a file, not a folder", path=target)
        check_writable(missing[0], force=force)
        return target
    check_writable(target, force=force)
    if not target.exists():
        return target
    if not target.is_dir():
        raise OutputError("is a file, not a folder", path=target)
    if (target / SEEDS).is_file():
        raise OutputError(
            "holds the runs of `chromemodel train --seeds`; it is not replaced",
            path=target,
            hint="choose another -o",
        )
    if any(target.iterdir()) and not (target / CONFIG).is_file():
        raise OutputError(
            "is a folder, but not one of chromemodel; it is not replaced",
            path=target,
            hint="choose another -o",
        )
    for entry in inputs:
        if target.resolve() in Path(entry).resolve().parents:
            raise OutputError(f"holds the input {entry}; it is not replaced", path=target)
    return target


@contextmanager
def run_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that is put at `target` if the block succeeds, as `atomic_folder`.

    Missing folders above it are made, and removed again where the block fails.
    """
    made: list[Path] = []
    try:
        for folder in _missing_folders(target):
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot be made: {error.strerror}", path=folder) from error
            made.append(folder)
        with atomic_folder(target) as temporary:
            yield temporary
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # another run may have come to lie there
                folder.rmdir()
        raise


def _missing_folders(target: Path) -> list[Path]:
    """Return the folders above a path that do not exist, outermost first."""
    return [folder for folder in reversed(target.absolute().parents) if not folder.exists()]


def check_outside_runs(path: str | Path, run: str | Path) -> None:
    """Refuse a file in the run folder that is read, or in any other: it could replace a part.

    Raises
    ------
    OutputError
        Where `path` lies in a run folder.
    """
    own, parent = Path(run).resolve(), Path(path).absolute().parent.resolve()
    for folder in (parent, *parent.parents):
        if folder == own or ((folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()):
            raise OutputError(
                f"is in the run folder {folder}", path=path, hint="choose a place outside of it"
            )


def provenance(command: Sequence[str]) -> Provenance:
    """Return where and when a run is made."""
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        chromemodel=__version__,
        python=platform.python_version(),
        torch=str(torch.__version__),
        numpy=np.__version__,
        scikit_learn=version("scikit-learn"),
        platform=platform.platform(),
    )


def write_run(folder: Path, finished: Finished) -> None:
    """Write a run into an existing folder; put round it `run_folder`."""
    config = replace(finished.config, version=run_version(finished.config))
    _write_json(folder / CONFIG, to_json(config))
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in finished.model.state_dict().items()
    }
    (folder / WEIGHTS).write_bytes(save(weights))
    normalisation = finished.config.normalisation
    if normalisation.rule == "quantile":
        marks = finished.config.layout.marks
        write_quantiles(folder / QUANTILES, marks, normalisation.quantiles)
    if finished.fusion is not None:
        write_fusion(folder, finished.fusion)
    score = task_of(config.task).column
    _write_history(folder / HISTORY, finished.fit, (score, *finished.columns))
    summary = {
        "best_epoch": finished.fit.best_epoch,
        "epochs": len(finished.fit.history),
        "stopped_early": finished.fit.stopped_early,
        "split": finished.config.split.words,
        "label_agreement": finished.label_agreement,
        "notes": list(finished.notes),
        "scores": [score.to_json() for score in finished.scores],
    }
    _write_json(folder / METRICS, summary)
    finished.predictions.write(folder / PREDICTIONS)


def read_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises
    ------
    RunError
        Where it is none, newer than this version, or incomplete.
    """
    folder = Path(path)
    config = read_config(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise RunError(f"{WEIGHTS} is missing", path=folder, hint="train again")
    try:
        # Fresh weights are drawn and overwritten; the caller's random state must not move.
        with seeded(0, torch.device("cpu")):
            model = create_model(
                config.model.name,
                config.model.options,
                n_marks=len(config.layout.marks),
                n_bins=config.layout.n_bins,
                task=config.task.name,
            )
    except ValueError as error:
        raise RunError(f"key 'model': {error}", path=folder / CONFIG) from error
    try:
        model.load_state_dict(load_file(weights))
    except SafetensorError as error:
        raise RunError("is cut short or damaged", path=weights, hint="train again") from error
    except RuntimeError as error:
        raise RunError(
            f"does not hold the weights of the model in {CONFIG}", path=weights, hint="train again"
        ) from error
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror or error}", path=weights) from error
    model.eval()
    return Run(folder, config, model, None if config.panel is None else read_fusion(folder))


def read_config(folder: Path) -> RunConfig:
    """Read the configuration of a run folder.

    Raises
    ------
    RunError
        As `read_run`.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "no such folder"
        raise RunError(f"{found}; expected a run folder", path=folder)
    if not path.is_file():
        if (folder / SEEDS).is_file():
            raise RunError(
                "holds the runs of `chromemodel train --seeds`; a single run is asked for here",
                path=folder,
                hint=f"name one of them, such as {min(folder.glob('seed-*'), default=folder)}",
            )
        raise RunError(
            f"is not a run folder: {CONFIG} is missing",
            path=folder,
            hint="make one with `chromemodel train`",
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(f"is not JSON: {error.msg}", path=path, line=error.lineno) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot be read: {error}", path=path) from error
    if not isinstance(document, dict) or document.get("format") != RUN_FORMAT:
        raise RunError(f"key 'format' is not '{RUN_FORMAT}'", path=path)
    version = document.get("version")
    if not isinstance(version, int) or version > RUN_VERSION:
        raise RunError(
            f"has version {version}; this chromemodel reads up to {RUN_VERSION}",
            path=path,
            hint="upgrade transferchrome",
        )
    try:
        config = from_json(RunConfig, document)
    except ValueError as error:
        raise RunError(str(error), path=path) from error
    if config.normalisation.rule != "quantile":
        return config
    quantiles = read_quantiles(folder / QUANTILES, config.layout.marks)
    return replace(config, normalisation=replace(config.normalisation, quantiles=quantiles))


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_history(path: Path, fit: Fit, columns: tuple[str, ...]) -> None:
    names = ("epoch", "train_loss", "validation_loss", *columns)
    lines = [",".join(names)]
    for row in fit.history:
        values = (row.train_loss, row.validation_loss, row.validation_score, *row.terms)
        # Empty where nothing is held out: what every reader of CSV takes as missing.
        texts = ["" if math.isnan(value) else repr(value) for value in values]
        lines.append(",".join([str(row.epoch), *texts]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
