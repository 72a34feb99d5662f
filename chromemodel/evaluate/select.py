"""Which of several adapted runs is best for a target, as far as one can tell without its labels?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from chromemodel.config import FileRecord, RunConfig
from chromemodel.data.dataset import GeneSignals, labelled
from chromemodel.data.sources import Sources
from chromemodel.data.splits import ADAPTING, TEST, TRAIN, VALIDATION, split_target
from chromemodel.evaluate.criteria import (
    cross_entropy,
    density_ratio,
    dev_risk,
    mutual_information,
    prediction_entropy,
    standardised,
)
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.predict import read_for
from chromemodel.models.base import ChromeNet
from chromemodel.tasks import CLASSIFICATION, check_classifies
from chromemodel.train.checkpoint import Run, read_run
from chromemodel.train.device import computing, pick_device
from chromemodel.train.loop import prediction_batch
from chromemodel.train.memory import in_halves
from chromeprep.errors import MismatchError, RunError

# Weights that amount to fewer genes than this leave DEV to a handful of them.
FEW_EFFECTIVE = 50


class Criterion(NamedTuple):
    """A field of `Values`, its name in tables, and which end of it is good."""

    field: str
    name: str
    better: Literal["low", "high"]


CRITERIA = (
    Criterion("entropy", "entropy", "low"),
    Criterion("information", "information", "high"),
    Criterion("source_auroc", "source AUROC", "high"),
    Criterion("dev", "DEV", "low"),
)


class Values(NamedTuple):
    """What is known of a run without labels of the target.

    ``entropy`` and ``information`` are of the target's adapting genes; ``source_auroc`` and ``dev``
    of the source's validation genes, NaN where there are none; ``dev_genes`` is how many genes the
    weights of DEV amount to.
    """

    entropy: float
    information: float
    source_auroc: float
    dev: float
    dev_genes: float


class Candidate(NamedTuple):
    """A run, its values, and its AUROC on the target's test half.

    ``target_auroc`` is None without labels of both classes; nothing is chosen by it.
    """

    run: str
    method: str
    model: str
    values: Values
    target_auroc: float | None


class Choice(NamedTuple):
    """The run that a criterion chooses, None where it has no value for any."""

    criterion: Criterion
    run: str | None


class Selection(NamedTuple):
    """Runs, what each criterion chooses, and what a reader must know.

    ``oracle`` is the best run by the target's labels, which chose nothing, None without them.
    """

    candidates: tuple[Candidate, ...]
    choices: tuple[Choice, ...]
    oracle: str | None
    test_genes: int
    notes: tuple[str, ...]


def select_run(
    runs: Sequence[str | Path],
    *,
    marks: Sequence[str] = (),
    device: str = "cpu",
    threads: int | None = None,
) -> Selection:
    """Hold runs of ``chromemodel adapt`` against each other without labels of the target.

    Parameters
    ----------
    runs
        Folders of runs on the same sources, target and split; two or more. Models, methods, marks
        and settings may differ. A run without adaptation lies in ``RUN/source_only``.
    marks
        The runs' marks, named, as for `evaluate_run`.

    Raises
    ------
    RunError
        Where a run is incomplete or none of `adapt`, or its files are gone or have other genes.
    MismatchError
        Where runs are of other files or splits, or one is named twice.
    ChromeError
        Where one is a regression.
    """
    loaded = [read_run(run) for run in runs]
    for run in loaded:
        check_classifies(run.config.task.name, run.path, "choosing without labels")
    _check_runs(loaded)
    first = loaded[0].config
    place = pick_device(device)
    candidates, test_genes = [], 0
    with computing(threads):
        for name, run in zip(runs, loaded, strict=True):
            near = Sources(tuple(_read(run, one, marks) for one in first.sources))
            far = _read(run, _target(run), marks)
            test = labelled(far) & (split_target(far.genes, first.split) == TEST)
            values, probability = _values(run, near, far, place)
            area = None
            if len(np.unique(far.genes.label[test])) == 2:
                area = auroc(far.genes.label[test], probability[test])
                test_genes = int(test.sum())
            method, model = run.config.method.name, run.config.model.name
            candidates.append(Candidate(str(name), method, model, values, area))
    return Selection(
        tuple(candidates),
        tuple(Choice(one, choose(candidates, one)) for one in CRITERIA),
        _best(candidates),
        test_genes,
        tuple(_notes(first, candidates)),
    )


def choose(candidates: Sequence[Candidate], criterion: Criterion) -> str | None:
    """Return the run with the best value, the first of equals, None where no value is known."""
    sign = 1.0 if criterion.better == "high" else -1.0
    known = [(sign * getattr(one.values, criterion.field), one.run) for one in candidates]
    known = [(value, run) for value, run in known if not math.isnan(value)]
    return max(known, key=lambda entry: entry[0])[1] if known else None


def embed(
    model: ChromeNet, signal: NDArray[np.float32], device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features (genes, n_features) and the probability (genes,) of label 1.

    Parameters
    ----------
    model
        On the device, in evaluation mode.
    signal
        Normalised, shape (genes, marks, bins).
    """

    def work(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features, probability = [], []
        with torch.inference_mode():
            for start in range(0, len(signal), size):
                part = torch.from_numpy(signal[start : start + size]).to(device)
                found = model.features(part)
                features.append(found.flatten(1).cpu().numpy())
                probability.append(CLASSIFICATION.answer(model.classify(found)).cpu().numpy())
        return np.concatenate(features), np.concatenate(probability)

    return in_halves(work, prediction_batch(device), "prediction")


def _values(
    run: Run, near: Sources, far: GeneSignals, device: torch.device
) -> tuple[Values, NDArray[np.float32]]:
    """Return a run's values and its probability (genes,) for the target, whose labels wait."""
    config, model = run.config, run.model.to(device)
    far_features, probability = embed(model, far.normalised(config.normalisation), device)
    adapting = split_target(far.genes, config.split) == ADAPTING
    entropy = prediction_entropy(probability[adapting])
    information = mutual_information(probability[adapting])
    parts, label = near.parts(config.split), near.label
    train, held_out = ((parts == part) & (label >= 0) for part in (TRAIN, VALIDATION))
    if len(np.unique(label[held_out])) < 2:
        return Values(entropy, information, math.nan, math.nan, math.nan), probability
    near_features, of_source = embed(model, near.normalised(config.normalisation), device)
    source, target, asked = standardised(
        near_features[train], far_features[adapting], near_features[held_out]
    )
    weights = density_ratio(source, target, asked)
    risk = dev_risk(weights, cross_entropy(label[held_out], of_source[held_out]))
    area = auroc(label[held_out], of_source[held_out])
    return Values(entropy, information, area, *risk), probability


def _check_runs(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise MismatchError("one run leaves nothing to choose; name two or more")
    first = runs[0]
    for index, run in enumerate(runs):
        if any(run.path.samefile(before.path) for before in runs[:index]):
            raise MismatchError("is named twice", path=run.path)
        if run.config.kind != "adapt":
            raise RunError(
                "is no run of `chromemodel adapt`: it has no target to choose for", path=run.path
            )
        for words, ours, theirs in (
            ("sources", _files(run.config.sources), _files(first.config.sources)),
            ("target", _files([_target(run)]), _files([_target(first)])),
        ):
            if ours != theirs:
                raise MismatchError(
                    f"has {words} {', '.join(path for path, _ in ours)}; {first.path} has "
                    f"{', '.join(path for path, _ in theirs)}",
                    path=run.path,
                    hint="choose among runs of the same files, with the same genes",
                )
        if run.config.split != first.config.split:
            raise MismatchError(
                f"has another split than {first.path}: {run.config.split.words}",
                path=run.path,
                hint="choose among runs of one --protocol, --seed, --validation-fraction and "
                "--target-fraction",
            )


def _files(records: Sequence[FileRecord]) -> list[tuple[str, str]]:
    return [(one.path, one.gene_digest) for one in records]


def _target(run: Run) -> FileRecord:
    if run.config.target is None:
        raise RunError("has no target", path=run.path)
    return run.config.target


def _read(run: Run, record: FileRecord, marks: Sequence[str]) -> GeneSignals:
    path = Path(record.path)
    if not path.exists():
        raise RunError(f"was made from {path}, which is no longer there", path=run.path)
    signals = read_for(run, path, marks=marks)
    if signals.record.gene_digest != record.gene_digest:
        raise RunError(f"was made from other genes than {path} holds now", path=run.path)
    return signals


def _best(candidates: Sequence[Candidate]) -> str | None:
    scored = [(one.target_auroc, one.run) for one in candidates if one.target_auroc is not None]
    return max(scored, key=lambda entry: entry[0])[1] if scored else None


def _notes(config: RunConfig, candidates: Sequence[Candidate]) -> list[str]:
    notes = [f"split: {config.split.words}"]
    if all(math.isnan(one.values.dev) for one in candidates):
        notes.append("no validation genes of both classes in the source: no source AUROC, no DEV")
    notes += [
        f"{one.run}: the weights of DEV amount to {one.values.dev_genes:.0f} genes; the features "
        "tell source from target, and its DEV is noise"
        for one in candidates
        if one.values.dev_genes < FEW_EFFECTIVE
    ]
    if len({one.model for one in candidates}) > 1:
        notes.append(
            "the runs are of several models: entropy and information also depend on how sure a "
            "model is by nature"
        )
    return notes


def to_json(found: Selection) -> dict[str, Any]:
    """Return one object; values that are not known are null."""

    def number(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    return {
        "notes": list(found.notes),
        "runs": [
            {"run": one.run, "method": one.method, "model": one.model}
            | {name: number(value) for name, value in one.values._asdict().items()}
            for one in found.candidates
        ],
        "chosen": [{"criterion": one.criterion.field, "run": one.run} for one in found.choices],
        "oracle": {
            "genes": found.test_genes,
            "run": found.oracle,
            "target_auroc": [number(one.target_auroc) for one in found.candidates],
        },
    }
