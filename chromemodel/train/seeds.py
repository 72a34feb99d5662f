"""How does one training run with many seeds, and how much do the scores differ between them?

In the folder DIR lie the run folders ``seed-0``, ``seed-1`` and so on, each as if made alone, and
``seeds.json``, the summary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from chromemodel.config import RunConfig, Split, TrainConfig
from chromemodel.defaults import choose
from chromemodel.models import MODELS
from chromemodel.train.checkpoint import CONFIG, METRICS, SEEDS, read_config
from chromemodel.train.device import pick_device
from chromemodel.train.loop import Epoch
from chromemodel.train.many import quicker_together
from chromemodel.train.processes import Call, run_calls
from chromemodel.train.single import full_component, train_model, train_steps
from chromemodel.train.together import train_together
from chromeprep.errors import ChromeError, MismatchError, OutputError, RunError
from chromeprep.format import atomic_file

OnSeedEpoch = Callable[[int, Epoch], None]


class Spread(NamedTuple):
    """Scores of a model on a part of the genes over seeds: mean and standard deviation by metric.

    The deviation is NaN for one seed.
    """

    model: str
    part: str
    mean: dict[str, float]
    deviation: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return one object; a deviation that is not known is null."""
        known = {name: None if math.isnan(v) else v for name, v in self.deviation.items()}
        return {"model": self.model, "part": self.part, "mean": self.mean, "deviation": known}


def train_seeds(
    data: str | Path,
    out: str | Path,
    seeds: Sequence[int],
    *,
    training: TrainConfig,
    split: Split,
    processes: int = 1,
    force: bool = False,
    on_epoch: OnSeedEpoch = lambda seed, row: None,
    **settings: Any,
) -> list[Spread]:
    """Train with each seed into ``out/seed-N``; return and write how the scores spread.

    On a GPU all seeds train together (`chromemodel.train.many`); on a CPU in processes of one
    thread each, which are quicker there (``docs/benchmarks.md``). Runs that are finished are kept;
    others go on from their checkpoints.

    Parameters
    ----------
    data
        A file of bins with labels.
    out
        The folder of the runs.
    seeds
        The seed of each run, also that of its split.
    training, split
        Of all of them, but for the seed.
    processes
        How many runs at the same time, on a CPU.
    force
        Train again what is finished, and replace it.
    on_epoch
        Called with the seed and each row of its history.
    settings
        As `train_model` takes them.

    Raises
    ------
    MismatchError
        Where a run of other settings lies in the folder.
    OutputError
        Where the folder is that of a single run.
    ChromeError
        As `train_model`; of seeds that fail the others are kept.
    """
    if (Path(out) / CONFIG).is_file():
        raise OutputError(
            "is the folder of a single run; seeds are put beside one another",
            path=out,
            hint="choose another -o",
        )
    device = pick_device(training.device)
    threads = 1 if device.type == "cpu" else training.threads
    training = replace(training, device=str(device), threads=threads)
    asked = [(replace(training, seed=seed), replace(split, seed=seed)) for seed in seeds]
    folders = [seed_folder(out, seed) for seed in seeds]
    waiting: list[tuple[Path, dict[str, Any]]] = []
    for folder, (own, cut) in zip(folders, asked, strict=True):
        if force or not _is_kept(folder, data, own, cut, settings):
            waiting.append((folder, settings | {"training": own, "split": cut, "force": force}))
    together = quicker_together(device) and MODELS.entry(_model(settings)).fitter == "torch"
    errors: dict[Path, ChromeError]
    if together:
        errors = _together(data, waiting, threads, on_epoch)
    else:
        calls = [
            Call(train_model, (str(data), str(folder)), keywords) for folder, keywords in waiting
        ]
        places = [folder for folder, _ in waiting]
        failed = run_calls(
            calls, processes, lambda place, row: on_epoch(seed_of(places[place]), row)
        )
        errors = {places[place]: error for place, error in failed.items()}
    for folder, error in errors.items():
        if len(seeds) > 1:
            error.message = f"{folder.name}: {error.message}"
        raise error
    found = spreads(folders)
    document = {"seeds": [*seeds], "scores": [one.to_json() for one in found]}
    with atomic_file(Path(out) / SEEDS) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return found


def seed_folder(out: str | Path, seed: int) -> Path:
    """Return the run folder of a seed."""
    return Path(out) / f"seed-{seed}"


def seed_of(folder: Path) -> int:
    """Return the seed of a run folder."""
    return int(folder.name.removeprefix("seed-"))


def runs_in(path: str | Path) -> list[Path]:
    """Return the run folders of a folder of `train_seeds`; of another, itself.

    Raises
    ------
    RunError
        Where a run is missing, its summary is damaged, or the runs are not of one command.
    """
    folder = Path(path)
    summary = folder / SEEDS
    if (folder / CONFIG).is_file() or not summary.is_file():
        return [folder]
    try:
        seeds = [int(seed) for seed in json.loads(summary.read_text(encoding="utf-8"))["seeds"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError("does not say which seeds there are", path=summary) from error
    folders = [seed_folder(folder, seed) for seed in seeds]
    if not folders:
        raise RunError("says that there are no seeds", path=summary)
    known = [_shared(read_config(one)) for one in folders]
    for other, found in zip(folders, known, strict=True):
        if found != known[0]:
            raise RunError(
                f"is another model than {folders[0].name}, or of other marks or another panel",
                path=other,
                hint="train the seeds again with --force",
            )
    return folders


def _shared(config: RunConfig) -> tuple[Any, ...]:
    """Return what runs have in common that answer together."""
    panel = None if config.panel is None else config.panel.digest
    rule = (config.normalisation.rule, config.normalisation.transform)
    return config.model, config.layout, config.task.name, rule, panel


def spreads(folders: Sequence[Path]) -> list[Spread]:
    """Return how the scores of equal runs spread, from their ``metrics.json``."""
    runs = [json.loads((folder / METRICS).read_text(encoding="utf-8")) for folder in folders]
    found = []
    for rows in zip(*(run["scores"] for run in runs), strict=True):
        names = [
            name
            for name, value in rows[0].items()
            if isinstance(value, (int, float)) and all(row[name] is not None for row in rows)
        ]
        values = {name: [float(row[name]) for row in rows] for name in names}
        found.append(
            Spread(
                rows[0]["model"],
                rows[0]["part"],
                {name: mean(some) for name, some in values.items()},
                {n: stdev(some) if len(some) > 1 else math.nan for n, some in values.items()},
            )
        )
    return found


def _together(
    data: str | Path,
    waiting: Sequence[tuple[Path, dict[str, Any]]],
    threads: int | None,
    on_epoch: OnSeedEpoch,
) -> dict[Path, ChromeError]:
    """Train at the same time on one device; return what failed."""
    trainings = [
        train_steps(data, folder, on_epoch=partial(on_epoch, seed_of(folder)), **keywords)
        for folder, keywords in waiting
    ]
    found = train_together(trainings, threads)
    pairs = zip(waiting, found, strict=True)
    return {folder: one for (folder, _), one in pairs if isinstance(one, ChromeError)}


def _is_kept(
    folder: Path, data: str | Path, training: TrainConfig, split: Split, settings: dict[str, Any]
) -> bool:
    """Return whether a run is finished.

    Raises
    ------
    MismatchError
        Where it is a run of other settings.
    """
    if not (folder / CONFIG).is_file():
        return False
    found = read_config(folder)
    name = _differs(found, data, training, split, settings)
    if name is not None:
        raise MismatchError(
            f"is a run with another {name}",
            path=folder,
            hint="choose another -o, or replace it with --force",
        )
    if not (folder / METRICS).is_file():
        raise RunError(f"{METRICS} is missing", path=folder, hint="train again with --force")
    return True


def _differs(
    found: RunConfig,
    data: str | Path,
    training: TrainConfig,
    split: Split,
    settings: dict[str, Any],
) -> str | None:
    """Return the name of the first setting in which a run is not the one that is asked for."""
    panel = settings.get("panel")
    marks = tuple(settings.get("marks") or ())
    pairs = {
        "file": (Path(found.source.path).resolve(), Path(data).resolve()),
        "task": (found.task.name, settings.get("task", "classification")),
        "model": (found.model, full_component(_model(settings), settings.get("options") or {})),
        "training": (found.training, training.settled),
        "split": (found.split.asked, split.asked),
        "normalisation": (
            (found.normalisation.rule, found.normalisation.transform),
            (settings.get("normalise", "file"), settings.get("transform", "none")),
        ),
        "marks": (found.layout.marks if found.layout.marks_named else (), marks),
        "window": (
            found.layout.flank_bp if found.layout.window_named else None,
            settings.get("window_bp"),
        ),
        "panel": (None if found.panel is None else found.panel.path, panel and panel.path),
    }
    return next((name for name, (before, now) in pairs.items() if before != now), None)


def _model(settings: dict[str, Any]) -> str:
    task = settings.get("task", "classification")
    return choose(task, settings.get("recipe"), settings.get("model")).model
