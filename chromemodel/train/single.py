"""How is a model trained and tested on one cell type?

TransferChrome, "Model training": one file, cut into training, validation and test genes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import numpy as np
import torch
from numpy.typing import NDArray

from chromemodel.adapt import create_method
from chromemodel.adapt.base import Method
from chromemodel.config import (
    Component,
    Layout,
    Normalisation,
    NormaliseRule,
    PanelChoice,
    RunConfig,
    Split,
    TaskConfig,
    TaskName,
    TrainConfig,
    Transform,
    check_panel,
)
from chromemodel.data.dataset import read_signals
from chromemodel.data.sources import Sources
from chromemodel.data.splits import (
    TEST,
    TRAIN,
    UNPLACED,
    VALIDATION,
    Parts,
    draw_split,
    split_genes,
)
from chromemodel.defaults import Recipe, choose
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.predictions import (
    Predictions,
    predict_answer,
    predictions_of,
    selection_notes,
)
from chromemodel.fusion.steps import Tested, fuse, put_beside, trivial_scores
from chromemodel.models import MODELS, create_model
from chromemodel.models.base import ChromeNet, ClassicalNet
from chromemodel.registry import Fitter
from chromemodel.serial import build_options, to_json
from chromemodel.tasks import CLASSIFICATION, Task, task_of
from chromemodel.train.augment import check_augmentation, counts_of
from chromemodel.train.checkpoint import (
    SOURCE_ONLY,
    Finished,
    check_run_target,
    provenance,
    run_folder,
    write_run,
)
from chromemodel.train.classical import fit_classical
from chromemodel.train.device import computing, derive_seed, pick_device, seeded
from chromemodel.train.keeping import Keeper, check_memory, memory_notes
from chromemodel.train.loop import Epoch, Fit, FitData, Loop
from chromemodel.train.marks import check_mark_dropout
from chromemodel.train.member import Member
from chromemodel.train.resume import Checkpoints
from chromeprep.errors import MismatchError

OnEpoch = Callable[[Epoch], None]
P = ParamSpec("P")


class Trained(NamedTuple):
    """What a run gives back: scores, how the fit went, what a reader must know, the folder."""

    scores: tuple[Score, ...]
    fit: Fit
    notes: tuple[str, ...]
    config: RunConfig
    path: Path


#: A training that hands out its fit, and goes on when it is given how that went.
Training = Generator[Member, Fit, Trained]


def train_steps(
    data: str | Path,
    out: str | Path,
    *,
    task: TaskName = "classification",
    recipe: Recipe | None = None,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
    marks: Sequence[str] = (),
    window_bp: int | None = None,
    normalise: NormaliseRule = "file",
    transform: Transform = "none",
    split: Split | None = None,
    training: TrainConfig | None = None,
    panel: PanelChoice | None = None,
    baseline: bool = True,
    force: bool = False,
    resume: bool = False,
    command: Sequence[str] = (),
    on_epoch: OnEpoch | None = None,
) -> Training:
    """Train a model on the labelled genes of a file and write a run folder.

    A call that was ended goes on where it stood when it is made again, and comes to the same.

    Parameters
    ----------
    data
        A file of bins with labels.
    out
        The run folder, written at the end as a whole or not at all.
    task
        ``regression`` learns and predicts log(1 + expression) instead of the label.
    recipe
        Where `model` and `training` come from if they are not given: ``best`` (by default) or
        ``paper``; as ``chromemodel train``, see `chromemodel.defaults`.
    model, options
        A registered model that can do the task, and some of its options.
    marks
        The marks to use, in this order; all of the file by default.
    window_bp
        Take this much on either side of the TSS, the middle of wider windows; all by default.
    normalise
        ``file``, ``training``, ``quantile`` or ``none``; see `chromemodel.data.normalise`.
    transform
        ``none``, ``log1p`` or ``arcsinh`` of every value, before all else.
    split
        Random thirds by the seed of `training` by default.
    training
        Optimizer, epochs, seed, device, form of memory; of what scikit-learn fits only the seed and
        the threads count.
    panel
        A panel of other cell types to predict with, beside the marks; see ``docs/fusion.md``.
    baseline
        Fit a logistic regression beside the model (which it may be itself); for a regression ridge
        regression.
    force
        Replace a run folder that is there, and a checkpoint of another training.
    resume
        Go on from the checkpoint though the settings are others; see ``docs/training.md``.
    command
        The command line, for the provenance.
    on_epoch
        Called with each row of the history.

    Raises
    ------
    FormatError, MismatchError, InputError
        Where the file is wrong, cannot be split so, has no labels of both classes in each part, or
        negative values for ``log1p``; where the panel does not fit (`chromemodel.fusion`).
    OutputError
        Where the folder cannot be written.
    RunError
        Where a checkpoint is damaged, or there is none to resume.
    ValueError
        Where a name or an option of the model is wrong, or it cannot do the task, nor a panel.
    """
    choice = choose(task, recipe, model)
    model, training = choice.model, training or choice.training
    MODELS.check_task(model, task)
    check_panel(task, panel)
    fitter = MODELS.entry(model).fitter
    split = split or Split(seed=training.seed)
    component = full_component(model, options or {})
    target = check_run_target(out, force=force, inputs=[data])
    checkpoints = Checkpoints(target, [SOURCE_ONLY], resume=resume, force=force)
    device = pick_device(training.device)
    training = replace(training, device=str(device))
    check_memory(training.memory, model, fitter)
    keeper = Keeper(training.memory, [data], marks, device, target, fitter)
    training = training.settled
    signals = read_signals(data, marks=marks, window_bp=window_bp)
    n_marks = len(signals.layout.marks)
    check_mark_dropout(training.mark_dropout, model, fitter, normalise, n_marks)
    asked = Normalisation(normalise, transform=transform)
    check_augmentation(training, model, fitter, asked, [signals])
    aim = task_of(TaskConfig(task))
    known = aim.known(signals.genes)
    split = draw_split(signals.genes, split, data)
    parts = split_genes(signals.genes, split, data)
    for part, words in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        aim.check(signals.genes, parts == part, f"{words} genes", data)
    aim = aim.fitted(signals.genes, known & (parts == TRAIN))
    rule = signals.fitted(asked, known & (parts == TRAIN))
    kept, label = keeper.keep(Sources((signals,)), rule), aim.truth(signals.genes)
    rows = {part: known & (parts == part) for part in (TRAIN, VALIDATION)}
    beside = put_beside(panel, [signals])

    config = RunConfig(
        kind="train",
        model=component,
        method=Component(SOURCE_ONLY),
        layout=signals.layout,
        normalisation=rule,
        split=split,
        training=training,
        source=signals.record,
        target=None,
        provenance=provenance(command),
        panel=None if beside is None else beside.speakers.record,
        task=aim.config,
    )
    member = None
    with computing(training.threads):
        net, method = fresh(component, Component(SOURCE_ONLY), signals.layout, training, data, task)
        if isinstance(net, ClassicalNet):
            checkpoints.refuse_others(config)
            genes, held_out = (kept.labelled(label, rows[p]) for p in (TRAIN, VALIDATION))
            shifts = training.shift_bins
            fit = fit_classical(net, genes, held_out, training.seed, aim, shift_bins=shifts)
        else:
            fit_data = FitData(
                *kept.batched(label, rows[TRAIN]),
                None,
                *kept.batched(label, rows[VALIDATION]),
                aim,
                counts_of([signals], rule, rows[TRAIN]) if training.thin < 1 else None,
            )
            loop = Loop(net.to(device), method.to(device), fit_data, training)
            member = Member(loop, on_epoch, checkpoints.of(config, fit_data))
            del fit_data
    if member is not None:
        fit = yield member
        del member, loop
    x = kept.exact(signals, rule)
    with computing(training.threads):
        net.to(device)
        answer = predict_answer(net, x, device, aim)
    names = (TRAIN, VALIDATION, TEST)
    beside_it = aim.trivial(len(x))
    baseline = baseline and model != aim.baseline_model
    if baseline and kept.whole is not None:
        genes, held_out = (kept.labelled(label, rows[p]) for p in (TRAIN, VALIDATION))
        beside_it.insert(0, (aim.baseline, aim.fit_baseline(genes, held_out)(x)))
    scores = [
        score
        for name, said in [(model, answer), *beside_it]
        for score in aim.score_parts(name, signals.genes, said, parts, names)
    ]

    notes: tuple[str, ...] = (
        *train_notes(known, parts, fit, split, fitter, aim),
        f"normalisation: {rule.words}",
        *memory_notes(keeper.form, aim.baseline if baseline else None),
        *fit.changes,
        *(selection_notes(int(rows[VALIDATION].sum())) if fitter == "torch" else ()),
        *aim.notes(model, f"{TEST} genes", answer[known & (parts == TEST)]),
    )
    predictions = predictions_of(aim, signals.genes, answer, np.where(known, parts, "unlabelled"))
    fusion = None
    if beside is not None:
        tested = Tested(signals.genes, known & (parts == TEST), TEST)
        held = rows[VALIDATION]
        fused = fuse(
            beside, model, signals.genes.take(held), answer[held],
            signals.genes.take(rows[TRAIN] | held), tested, answer, data,
        )  # fmt: skip
        scores += fused.scores + trivial_scores(beside.speakers.panel, tested)
        notes += (*beside.words(tested), *fused.notes)
        fusion = fused.fusion
        predictions = Predictions(
            signals.genes, fused.told.probability, predictions.part, fused.told
        )
    finished = Finished(config, net, fit, method.columns, scores, notes, predictions, fusion=fusion)
    with run_folder(target) as folder:
        write_run(folder, finished)
    checkpoints.remove()
    return Trained(tuple(scores), fit, notes, config, target)


def alone(steps: Callable[P, Training]) -> Callable[P, Trained]:
    """Return a function that carries a training out, its fit by itself."""

    @wraps(steps)
    def run(*args: P.args, **settings: P.kwargs) -> Trained:
        training = steps(*args, **settings)
        try:
            member = next(training)
            with computing(member.loop.config.threads):
                fit = member.loop.fit(member.on_epoch, member.checkpoint)
            training.send(fit)
        except StopIteration as end:
            trained: Trained = end.value
            return trained
        raise AssertionError("a training has one fit")

    run.__name__ = run.__qualname__ = "train_model"  # another process finds it by its name
    return run


#: Train a model on the labelled genes of a file and write a run folder.
train_model = alone(train_steps)


def train_notes(
    known: NDArray[np.bool_],
    parts: Parts,
    fit: Fit,
    split: Split,
    fitter: Fitter = "torch",
    task: Task = CLASSIFICATION,
) -> tuple[str, ...]:
    """Return what a reader of the scores must know."""
    notes = [
        f"split: {split.words}",
        f"the weights are those of epoch {fit.best_epoch} of {len(fit.history)}, "
        f"the best {task.metric} on the validation genes"
        if fitter == "torch"
        else "fitted by scikit-learn: of the training options only the seed, the threads and "
        "--shift-bins count",
    ]
    if not known.all():
        notes.append(f"{int((~known).sum())} genes without {task.a_learned} were left out")
    unplaced = int((known & (parts == UNPLACED)).sum())
    if unplaced:
        notes.append(f"{unplaced} genes without a position were left out: they have no chromosome")
    return tuple(notes)


def full_component(name: str, options: Mapping[str, Any]) -> Component:
    """Write out all options of a model, so that later defaults do not change an old run.

    Raises
    ------
    ValueError
        Where the name or an option is wrong.
    """
    return Component(name, to_json(build_options(MODELS.load(name).Config, options)))


def fresh(
    model: Component,
    method: Component,
    layout: Layout,
    training: TrainConfig,
    path: str | Path,
    task: TaskName = "classification",
) -> tuple[ChromeNet, Method]:
    """Make a model and a method with weights by the seed, the same on every device.

    The model is made first: its weights do not depend on the method.

    Raises
    ------
    MismatchError
        Where the model cannot work on the windows of the file.
    """
    with seeded(derive_seed(training.seed, "init"), torch.device("cpu")):
        try:
            net = create_model(
                model.name,
                model.options,
                n_marks=len(layout.marks),
                n_bins=layout.n_bins,
                task=task,
            )
        except ValueError as error:
            raise MismatchError(str(error), path=path) from error
        return net, create_method(method.name, method.options, net)
