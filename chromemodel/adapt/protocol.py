"""How does a model of one cell type do on another, with and without adaptation?

TransferChrome, "Model training" and "Cross-cell lines gene expression prediction": the labelled
source and a part of the unlabelled target train, the other part of the target tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.adapt import METHODS
from chromemodel.adapt.held_out import hold_out
from chromemodel.adapt.notes import adapt_notes
from chromemodel.config import (
    Component,
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
from chromemodel.data.sources import Sources, check_cell_types, check_distinct, read_sources
from chromemodel.data.splits import (
    ADAPTING,
    TEST,
    TRAIN,
    VALIDATION,
    split_target,
)
from chromemodel.defaults import PAPER_MODEL, Recipe, choose
from chromemodel.evaluate.lookup import match_genes, missing_words
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.predictions import (
    Predictions,
    predict_answer,
    predictions_of,
)
from chromemodel.evaluate.seen import Seen, seen_of, target_words
from chromemodel.fusion.steps import Tested, fuse, put_beside, trivial_scores
from chromemodel.models import MODELS
from chromemodel.models.base import ClassicalNet, Labelled
from chromemodel.serial import build_options, to_json
from chromemodel.tasks import task_of
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
from chromemodel.train.device import computing, pick_device
from chromemodel.train.keeping import Keeper, check_memory, memory_notes
from chromemodel.train.loop import Epoch, Fit, FitData, Loop
from chromemodel.train.marks import check_mark_dropout
from chromemodel.train.resume import Checkpoints
from chromemodel.train.single import fresh, full_component
from chromemodel.train.store import Signals
from chromeprep.errors import ChromeError, InputError


class Adapted(NamedTuple):
    """What an adaptation gives back.

    ``scores`` are empty where the target's test genes have no labels of both classes, or no
    expression for a regression;
    ``label_agreement`` is the share of the test genes with the label they have in the source, NaN
    where there are none; ``fits`` has one entry a method, in the order of the scores.
    ``shared_genes`` of the target's test genes are in the source, and ``seen`` says what the run
    has seen of them.
    """

    scores: tuple[Score, ...]
    fits: dict[str, Fit]
    notes: tuple[str, ...]
    label_agreement: float
    shared_genes: int
    seen: Seen
    config: RunConfig
    path: Path

    @property
    def test_genes(self) -> int:
        """Number of the target's test genes, labelled or not."""
        return self.seen.genes

    @property
    def protocol(self) -> str:
        """``same-genes`` where a test gene's label in the source was seen, else ``new-genes``."""
        return self.seen.protocol


class _Outcome(NamedTuple):
    finished: Finished
    fit: Fit


def adapt_model(
    source: str | Path | Sequence[str | Path],
    target: str | Path,
    out: str | Path,
    *,
    task: TaskName = "classification",
    recipe: Recipe | None = None,
    method: str | None = None,
    method_options: Mapping[str, Any] | None = None,
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
    on_epoch: Callable[[str, Epoch], None] | None = None,
) -> Adapted:
    """Carry a model over to a target without using its labels, and adapt it by a method.

    A run that adapts has one without adaptation, trained on the source alone, beside it.

    Labels of the target are read for the scores of its test genes and for nothing else.

    Parameters
    ----------
    source, target
        Files of bins with the same windows; the source with labels. Several sources of different
        cell types train together, each normalised on its own.
    out
        The run folder of the adapted run; ``out/source_only`` is the other.
    task
        As for `chromemodel.train_model`.
    recipe
        Likewise, and where `method` comes from; ``paper`` by default if a `method` that adapts is
        given, as ``chromemodel adapt``.
    method, method_options
        A registered method that can do the task, and some of its options.
    model, options, marks, window_bp, normalise, transform, training, panel, baseline
        As for `chromemodel.train_model`; statistics and quantiles of training genes are those of
        the source's.
    force, resume, command
        Likewise.
    split
        Of rule ``adapt-chromosome`` (protocol new-genes), the genes of its test chromosomes, drawn
        from the target where none is named, take no part in source or target but to test. Else
        (same-genes) its fractions and seed; 0.1 of the source validates, half of the target adapts
        by default.
    on_epoch
        Called with the method's name and each row of its history.

    Raises
    ------
    FormatError, MismatchError, InputError
        Where a file is wrong, they do not fit each other, the source lacks labels, or the test
        chromosomes cannot be held out (`hold_out`).
    OutputError
        Where the folder cannot be written.
    RunError
        Where a checkpoint is damaged, or there is none to resume.
    ChromeError
        Where scikit-learn fits the model and the method is another than ``source_only``; where the
        method cannot work on the model.
    ValueError
        Where a name or an option of the model or method is wrong, or one cannot do the task.
    """
    model, method, usual = choose(task, recipe, model, method)
    training = training or usual
    MODELS.check_task(model, task)
    METHODS.check_task(method, task)
    check_panel(task, panel)
    entry = MODELS.entry(model)
    split = split or Split(seed=training.seed)
    split = split if split.new_genes else replace(split, rule="adapt")
    component = full_component(model, options or {})
    way = Component(
        method, to_json(build_options(METHODS.load(method).Config, method_options or {}))
    )
    if entry.fitter != "torch" and method != SOURCE_ONLY:
        raise ChromeError(
            f"{model} is fitted by {entry.fitter}; it can be carried over, but not adapted",
            hint=f"use --method {SOURCE_ONLY}, or a network: --model {PAPER_MODEL}",
        )
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    folder_out = check_run_target(out, force=force, inputs=[*sources, target])
    checkpoints = Checkpoints(folder_out, [SOURCE_ONLY, method], resume=resume, force=force)
    check_distinct(sources, target)
    device = pick_device(training.device)
    training = replace(training, device=str(device))

    check_memory(training.memory, model, entry.fitter)
    paths = [*sources, target]
    keeper = Keeper(training.memory, paths, marks, device, folder_out, entry.fitter)
    training = training.settled
    near = read_sources(sources, marks=marks, window_bp=window_bp, hold=keeper.hold)
    n_marks = len(near.layout.marks)
    check_mark_dropout(training.mark_dropout, model, entry.fitter, normalise, n_marks)
    far = read_signals(target, layout=near.layout, known=near.records[0], marks=marks)
    asked = Normalisation(normalise, transform=transform)
    check_augmentation(training, model, entry.fitter, asked, [*near.files, far])
    for record in near.records if len(sources) > 1 else ():
        check_cell_types(record, far.record, "a source")
    split = hold_out(split, near.files, far)
    part_words = split.test_words
    aim, genes_near = task_of(TaskConfig(task)), near.rows
    parts, merged, known = near.parts(split), near.merged(), aim.known(genes_near)
    train, validation = known & (parts == TRAIN), known & (parts == VALIDATION)
    near.check(aim, train, "training genes")
    if split.validation_fraction > 0:
        near.check(
            aim,
            validation,
            "validation genes",
            "raise --validation-fraction, or 0 for a fixed number of epochs",
        )
    halves = split_target(far.genes, split)
    if not (halves == ADAPTING).any():
        raise InputError(
            "no gene in the adapting part", path=target, hint="raise --target-fraction"
        )
    if panel is not None and split.validation_fraction == 0:
        raise ChromeError(
            "marks and panel are weighed on validation genes, and none are held out",
            hint="raise --validation-fraction",
        )
    beside = put_beside(panel, near.files, far.record)
    aim = aim.fitted(genes_near, train)
    label = aim.truth(genes_near)
    rule = near.fitted(asked, train)
    near_kept, far_kept = keeper.keep(near, rule), keeper.keep(Sources((far,)), rule)
    config = RunConfig(
        kind="adapt",
        model=component,
        method=way,
        layout=near.layout,
        normalisation=rule,
        split=split,
        training=training,
        source=near.records[0],
        target=far.record,
        provenance=provenance(command),
        more_sources=near.records[1:],
        panel=None if beside is None else beside.speakers.record,
        task=aim.config,
    )
    test = aim.known(far.genes) & (halves == TEST)
    scored = aim.can_score(far.genes, test)
    if scored:
        aim.check(far.genes, test, part_words, target)
    of_test = halves == TEST
    agreement = aim.agreement(merged, far.genes, test)
    shared = int((match_genes(merged, far.genes)[of_test] >= 0).sum())
    seen = seen_of(
        config, merged, far.genes, "test genes of the target", of_test, here=False, target=True
    )
    tested = Tested(far.genes, of_test, part_words)
    if beside is not None:
        seen = seen._replace(panel=beside.speakers.known(far.genes, of_test))
    lookup = aim.lookup([one.genes for one in near.files], merged, far.genes)
    baseline = baseline and model != aim.baseline_model
    notes: tuple[str, ...] = (
        *adapt_notes(config, seen, agreement, scored, int(validation.sum())),
        f"normalisation: {rule.words}",
        *memory_notes(keeper.form, aim.baseline if baseline else None),
    )
    if scored:
        notes += missing_words(lookup, test, part_words)
    if beside is not None:
        notes += beside.words(tested)

    validation_data: tuple[Signals | None, Tensor | None] = (None, None)
    if split.validation_fraction > 0:
        validation_data = near_kept.batched(label, validation)
    data = FitData(
        *near_kept.batched(label, train),
        far_kept.of(halves == ADAPTING),
        *validation_data,
        task=aim,
        counts=counts_of(near.files, rule, train) if training.thin < 1 else None,
        target_counts=counts_of([far], rule, halves == ADAPTING) if training.thin < 1 else None,
    )

    def labelled() -> tuple[Labelled, Labelled | None]:
        held_out = split.validation_fraction > 0
        return (
            near_kept.labelled(label, train),
            near_kept.labelled(label, validation) if held_out else None,
        )

    def score(name: str, answer: NDArray[Any]) -> list[Score]:
        return [aim.score(name, part_words, far.genes, test, answer)] if scored else []

    def run(one: Component) -> _Outcome:
        with computing(training.threads):
            net, way = fresh(component, one, near.layout, training, sources[0], task)
            if isinstance(net, ClassicalNet):
                checkpoints.refuse_others(config)
                shifts = training.shift_bins
                fit = fit_classical(net, *labelled(), training.seed, aim, shift_bins=shifts)
            else:
                loop = Loop(net.to(device), way.to(device), data, training)
                tell = None if on_epoch is None else lambda row: on_epoch(one.name, row)
                fit = loop.fit(tell, checkpoints.of(replace(config, method=one), data))
            net.to(device)
            answer = predict_answer(net, far_kept.exact(far, rule), device, aim)
            near_answer = (
                None if beside is None else predict_answer(net, near_kept.of(validation), device)
            )
        predictions = predictions_of(aim, far.genes, answer, halves)
        told = (
            target_words(one.name, split),
            *(f"{one.name}: {words}" for words in fit.changes),
            *aim.notes(one.name, "test genes of the target", answer[halves == TEST]),
        )
        scores, fusion = score(one.name, answer), None
        if beside is not None and near_answer is not None:
            fused = fuse(
                beside, one.name, genes_near.take(validation), near_answer,
                genes_near.take(train | validation), tested, answer, sources[0],
            )  # fmt: skip
            fusion, told, scores = fused.fusion, (*told, *fused.notes), scores + fused.scores
            predictions = Predictions(far.genes, fused.told.probability, halves, fused.told)
        return _Outcome(
            Finished(
                replace(config, method=one), net, fit, way.columns, scores,
                (*notes, *told), predictions, None if np.isnan(agreement) else agreement, fusion,
            ),
            fit,
        )  # fmt: skip

    # A method that cannot work on the model says so before anything is trained.
    fresh(component, way, near.layout, training, sources[0], task)
    outcomes = {
        one.name: run(one) for one in {SOURCE_ONLY: Component(SOURCE_ONLY), method: way}.values()
    }
    scores = [entry for outcome in outcomes.values() for entry in outcome.finished.scores]
    if baseline and far_kept.whole is not None:
        flat = aim.fit_baseline(*labelled())(far_kept.whole)
        scores += score(f"{aim.baseline}, source only", flat)
    for name, said in aim.trivial(len(far.genes)):
        scores += score(name, said)
    if lookup.found[test].any():
        scores += score(lookup.name, lookup.score)
    if beside is not None:
        scores += trivial_scores(beside.speakers.panel, tested)
    told = dict.fromkeys(note for one in outcomes.values() for note in one.finished.notes)
    with run_folder(folder_out) as folder:
        # The adapted run's metrics hold all of the table.
        write_run(folder, outcomes[method].finished._replace(scores=scores, notes=tuple(told)))
        if method != SOURCE_ONLY:
            (folder / SOURCE_ONLY).mkdir()
            write_run(folder / SOURCE_ONLY, outcomes[SOURCE_ONLY].finished)
    checkpoints.remove()
    fits = {name: outcome.fit for name, outcome in outcomes.items()}
    return Adapted(tuple(scores), fits, tuple(told), agreement, shared, seen, config, folder_out)
