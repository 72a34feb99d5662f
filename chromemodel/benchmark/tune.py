"""Which learning rate, batch size and weight of adaptation suit a run, by its validation genes?

The search gets what the training loop gets: labelled training and validation genes, and a target
without labels. No label of a test gene can reach it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from chromemodel.adapt import METHODS
from chromemodel.adapt.base import Method
from chromemodel.adapt.held_out import hold_out
from chromemodel.benchmark.folder import Candidate
from chromemodel.benchmark.jobs import Job
from chromemodel.config import Component, Normalisation, TrainConfig
from chromemodel.data.dataset import check_classes, labelled, read_signals
from chromemodel.data.sources import Sources
from chromemodel.data.splits import (
    ADAPTING,
    TRAIN,
    VALIDATION,
    draw_split,
    split_genes,
    split_source,
    split_target,
)
from chromemodel.models.base import ChromeNet
from chromemodel.train.checkpoint import SOURCE_ONLY
from chromemodel.train.device import computing
from chromemodel.train.keeping import Keeper
from chromemodel.train.loop import Epoch, Fit, FitData, Loop
from chromemodel.train.single import fresh, full_component
from chromeprep.errors import ChromeError

LR_FACTORS = (1 / 3, 3.0)
BATCH_FACTORS = (0.5, 2.0)
WEIGHTS = (0.1, 0.3, 1.0)
_WEIGHT = "_weight"  # how the name of a method's option ends

Make = Callable[[TrainConfig, Component], tuple[ChromeNet, Method]]
Tell = Callable[[str, Epoch], None]


class Tried(NamedTuple):
    """Settings, and the best validation AUROC they reached; NaN where training diverged."""

    changed: str
    training: TrainConfig
    weight: float | None
    auroc: float


def tune_job(job: Job, tell: Tell, beside: Path) -> tuple[Candidate, ...]:
    """Read what a job trains on, and choose its settings.

    Parameters
    ----------
    job
        A run of a model that gradients train.
    tell
        Called with what is tried, in words, and each epoch.
    beside
        Where the run folder will be; genes that do not fit memory lie in the folder it is in.

    Raises
    ------
    ChromeError
        Where a file is wrong, nothing validates, or all settings diverge.
    """
    device = torch.device(job.training.device)
    data, make = _prepared(job, device, beside)
    if data.validation_x is None:
        raise ChromeError(
            "nothing is held out to tune by", hint="raise --validation-fraction above 0"
        )

    def fit(training: TrainConfig, way: Component, words: str) -> Fit:
        net, method = make(training, way)
        loop = Loop(net.to(device), method.to(device), data, training)
        return loop.fit(lambda row: tell(words, row))

    options = [entry.name for entry in fields(METHODS.load(job.adaptation).Config)]
    weights = [name for name in options if name.endswith(_WEIGHT)]
    with computing(job.training.threads):
        tried = list(search(job.training, job.adaptation, weights, fit))
    best = chosen(tried)
    return tuple(
        Candidate(
            changed=one.changed,
            lr=one.training.lr,
            batch_size=one.training.batch_size,
            weight=one.weight,
            validation_auroc=None if math.isnan(one.auroc) else one.auroc,
            chosen=one is best,
        )
        for one in tried
    )


def search(
    start: TrainConfig,
    adaptation: str,
    weights: Sequence[str],
    fit: Callable[[TrainConfig, Component, str], Fit],
) -> Iterator[Tried]:
    """Try settings, one after another changed from the best so far.

    First the learning rate, then the batch size, both without adaptation: they are those of the
    run that is not adapted too. Then a weight of the method, where it has one.

    Parameters
    ----------
    start
        The recipe.
    adaptation, weights
        The method, and its options that are weights.
    fit
        Trains by a configuration and a method, told in words; its AUROC is that of validation.
    """

    def attempt(changed: str, training: TrainConfig, weight: float | None) -> Tried:
        way = Component(SOURCE_ONLY)
        if weight is not None:
            way = Component(adaptation, {changed: weight})
        try:
            found = fit(training, way, f"tuning {changed}")
        except ChromeError:  # diverged
            return Tried(changed, training, weight, math.nan)
        return Tried(
            changed, training, weight, found.history[found.best_epoch - 1].validation_score
        )

    tried = [attempt("nothing", start, None)]
    yield tried[-1]
    for factor in LR_FACTORS:
        tried.append(attempt("lr", replace(start, lr=start.lr * factor), None))
        yield tried[-1]
    best = chosen(tried).training
    sizes = dict.fromkeys(max(1, int(best.batch_size * factor)) for factor in BATCH_FACTORS)
    for size in sizes:
        if size != best.batch_size:
            tried.append(attempt("batch_size", replace(best, batch_size=size), None))
            yield tried[-1]
    best = chosen(tried).training
    for name in weights:
        for weight in WEIGHTS:
            yield attempt(name, best, weight)


def chosen(tried: list[Tried]) -> Tried:
    """Return the settings of the highest AUROC, the first of equals, among the last weights.

    Where a weight was sought, only settings with one can be chosen.

    Raises
    ------
    ChromeError
        Where all diverged.
    """
    weighed = [one for one in tried if one.weight is not None] or tried
    able = [one for one in weighed if not math.isnan(one.auroc)]
    if not able:
        raise ChromeError("training diverged with all settings", hint="lower --lr")
    return max(able, key=lambda one: one.auroc)


def _prepared(job: Job, device: torch.device, beside: Path) -> tuple[FitData, Make]:
    """Return what a job's training loop gets, and what makes its model and method."""
    paths = [job.source.path, *([job.target.path] if job.adapts else [])]
    keeper = Keeper(job.training.memory, paths, job.marks, device, beside)
    near = read_signals(job.source.path, marks=job.marks, window_bp=job.window_bp)
    known, label = labelled(near), near.genes.label
    far, halves = None, None
    if job.adapts:
        far = read_signals(job.target.path, layout=near.layout, known=near.record, marks=job.marks)
        split = hold_out(job.split, [near], far)
        parts, halves = split_source(near.genes, split), split_target(far.genes, split)
    else:
        split = draw_split(near.genes, job.split, job.source.path)
        parts = split_genes(near.genes, split)
    train, validation = known & (parts == TRAIN), known & (parts == VALIDATION)
    check_classes(label, train, "training genes", job.source.path)
    rule = near.fitted(Normalisation(job.normalise, transform=job.transform), train)
    kept = keeper.keep(Sources((near,)), rule)
    target = None
    if far is not None and halves is not None:
        target = keeper.keep(Sources((far,)), rule).of(halves == ADAPTING)
    held: tuple[Any, Any] = (None, None)
    if validation.any():
        check_classes(label, validation, "validation genes", job.source.path)
        held = kept.batched(label, validation)
    component = full_component(job.model, {})

    def make(training: TrainConfig, way: Component) -> tuple[ChromeNet, Method]:
        return fresh(component, way, near.layout, training, job.source.path)

    return FitData(*kept.batched(label, train), target, *held), make
