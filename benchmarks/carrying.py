"""Which runs tell what adaptation and normalisation do, and what has each of them reached?

The settings of ``benchmarks.methods``, which makes the runs and prints the tables.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import simulated
from benchmarks.running import DIVERGED, bin_pilot
from benchmarks.shift import write_shifted
from chromemodel.config import NormaliseRule, TrainConfig, Transform

PILOT = (("E003", "E116"), ("E116", "E003"))
SIMULATED = "simulated, shifted"
CASES = (SIMULATED, *(f"{source} → {target}" for source, target in PILOT))
GENES, WINDOW_BP = 1000, 5000
ADAM = TrainConfig("adam", lr=0.001, weight_decay=0.0, batch_size=32, patience=1000)
#: The simulated source has three times the genes. The paper's SGD needs more, and runs in the pilot
#: regions alone.
EPOCHS = {SIMULATED: 10, CASES[1]: 24, CASES[2]: 24}
SGD = TrainConfig(epochs=60, patience=60)
BATCH_NORM = {"batch_norm": True}
NETWORK = "transferchrome"


class Setting(NamedTuple):
    """A model and how it is carried over; ``options`` are the method's."""

    name: str
    method: str = "source_only"
    options: dict[str, Any] = {}  # noqa: RUF012
    model: str = NETWORK
    model_options: dict[str, Any] = {}  # noqa: RUF012
    sgd: bool = False


SMALL_DANN = Setting("dann, λ 0.03", "dann", {"domain_weight": 0.03})
PUBLISHED = Setting("dann, λ 1, the paper's SGD", "dann", sgd=True)
METHODS = (
    Setting("dann, λ 1", "dann"),
    SMALL_DANN,
    Setting("cdan, λ 0.03", "cdan", {"domain_weight": 0.03}),
    *(Setting(name, name) for name in ("deep_coral", "mmd", "mcc", "self_training")),
    Setting("adabn", "adabn", model_options=BATCH_NORM),
    PUBLISHED,
)
PLAIN = Setting("source_only")
LOGISTIC, ENSEMBLE = (Setting(name, model=name) for name in ("logistic", "ensemble"))
Way = tuple[NormaliseRule, Transform]
WAYS: tuple[Way, ...] = (
    ("file", "none"), ("file", "log1p"), ("file", "arcsinh"),
    ("training", "none"), ("training", "log1p"),
    ("quantile", "none"), ("quantile", "log1p"),
    ("none", "none"), ("none", "log1p"),
)  # fmt: skip
#: Of the network without adaptation; each run of dann has one, too.
PLAIN_WAYS = (WAYS[1], WAYS[2], WAYS[7])
DANN_WAYS = (WAYS[3], WAYS[5])
ENSEMBLE_WAYS = (WAYS[0], WAYS[1], WAYS[3], WAYS[5])
USUAL = WAYS[0]


class Job(NamedTuple):
    """One run: its folder and all that makes it."""

    folder: Path
    case: str
    seed: int
    setting: Setting
    normalise: NormaliseRule
    transform: Transform
    source: Path
    target: Path


class Row(NamedTuple):
    """One run's test AUROC, that of the run without adaptation within, and their difference.

    All are NaN where the run diverged; ``domain_loss`` is that of the last epoch, NaN without one.
    """

    case: str
    seed: int
    setting: str
    normalise: str
    transform: str
    diverged: bool
    auroc: float
    source_only: float
    difference: float
    domain_loss: float


def jobs(
    data: Path, output: Path, seeds: Sequence[int], cheap_seeds: Sequence[int]
) -> Iterator[Job]:
    """Return all runs, what is cheap first, and make the files they need."""
    stages: tuple[tuple[Sequence[int], list[tuple[Setting, Way]]], ...] = (
        (cheap_seeds, [(LOGISTIC, way) for way in WAYS]),
        (cheap_seeds, [(ENSEMBLE, way) for way in ENSEMBLE_WAYS]),
        (seeds, [(one, USUAL) for one in METHODS if one is not PUBLISHED]),
        (seeds, [(SMALL_DANN, way) for way in DANN_WAYS]),
        (seeds, [(PLAIN, way) for way in PLAIN_WAYS]),
        (seeds, [(PUBLISHED, USUAL), (PUBLISHED, DANN_WAYS[0])]),
    )
    for of_stage, stage in stages:
        for seed in of_stage:
            for case in CASES:
                source, target = files(data, output, case, seed)
                for setting, way in stage:
                    words = "-".join((case, str(seed), setting.name, *way))
                    for old, new in ((" → ", "-"), (", ", "-"), ("λ ", ""), ("'", ""), (" ", "-")):
                        words = words.replace(old, new)
                    if not (setting is PUBLISHED and case == SIMULATED):
                        yield Job(output / words, case, seed, setting, *way, source, target)


def files(data: Path, output: Path, case: str, seed: int) -> tuple[Path, Path]:
    """Return the files of bins of a case; what is missing is made."""
    if case == SIMULATED:
        source, poor, target = (
            output / f"{name}-{seed}{suffix}.h5"
            for name, suffix in (
                (simulated.SOURCE, ""), (simulated.TARGET, ""), (simulated.TARGET, "-shifted")
            )
        )  # fmt: skip
        if not target.exists():
            for name in (simulated.SOURCE, simulated.TARGET):
                simulated.read(output, seed, name, genes=GENES)
            write_shifted(poor, target, seed)
        return source, target
    source, target = (bin_pilot(data, name, output) for name in case.split(" → "))
    return source, target


def make(job: Job) -> None:
    """Make one run unless it is done, or has diverged before."""
    if job.folder.exists() or said(job).exists():
        return
    from chromemodel import adapt_model
    from chromemodel.models import MODELS
    from chromeprep.errors import ChromeError

    setting, start = job.setting, time.perf_counter()
    training = MODELS.entry(setting.model).recipe
    if setting.model == NETWORK:
        training = SGD if setting.sgd else replace(ADAM, epochs=EPOCHS[job.case])
    try:
        adapt_model(
            job.source, job.target, job.folder, method=setting.method,
            method_options=setting.options, model=setting.model, options=setting.model_options,
            window_bp=WINDOW_BP if setting.model == NETWORK else None,
            normalise=job.normalise, transform=job.transform, baseline=False,
            training=replace(training, seed=job.seed, threads=1, device="cpu"),
        )  # fmt: skip
    except ChromeError as error:
        if DIVERGED not in str(error):
            raise
        said(job).write_text(f"{error}\n", encoding="utf-8")
    print(f"{job.folder.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def said(job: Job) -> Path:
    """Return the file that says that a run diverged."""
    return job.folder.with_name(f"{job.folder.name}.diverged")


def read(job: Job) -> Row | None:
    """Return the row of a run, None where it has not been made."""
    row = Row(*job[1:3], job.setting.name, *job[4:6], True, *[float("nan")] * 4)
    if said(job).exists():
        return row
    if not job.folder.exists():
        return None
    told = json.loads((job.folder / "metrics.json").read_text())["scores"]
    scores = {one["model"]: float(one["auroc"]) for one in told}
    method = job.setting.method
    row = row._replace(diverged=False, auroc=scores[method], source_only=scores["source_only"])
    with (job.folder / "history.csv").open(newline="") as handle:
        *_, last = [{}, *csv.DictReader(handle)]
    return row._replace(
        difference=row.auroc - row.source_only,
        domain_loss=float(last.get("domain_loss", "nan")),
    )
