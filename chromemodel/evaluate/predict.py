"""Which genes of a file are on, by a trained run?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from chromemodel.config import Precision
from chromemodel.data.dataset import GeneSignals, read_signals
from chromemodel.evaluate.averaging import mean_of
from chromemodel.evaluate.predictions import (
    ExpressionPredictions,
    Predictions,
    predict_answer,
    predictions_of,
)
from chromemodel.fusion.speakers import Speakers, find_panel, speakers_for
from chromemodel.tasks import task_of
from chromemodel.train.checkpoint import Run, check_outside_runs, read_run
from chromemodel.train.device import computing, pick_device
from chromemodel.train.seeds import runs_in
from chromeprep.errors import ChromeError
from chromeprep.format import Panel, atomic_file, check_writable

logger = logging.getLogger(__name__)


def predict_genes(
    run: str | Path,
    data: str | Path,
    out: str | Path | None = None,
    *,
    marks: Sequence[str] = (),
    available: Sequence[str] = (),
    panel: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
    force: bool = False,
) -> Predictions | ExpressionPredictions:
    """Predict every gene of a file, normalised as the run has it.

    Parameters
    ----------
    run
        A run folder, or one of runs by seed (`chromemodel.train.seeds`), of which the mean answers.
    data
        A file of bins of the run's marks and windows.
    out
        A table to write (tab-separated), or None.
    marks
        The run's marks, named; then the file may hold others. Not needed where they were named in
        training.
    available
        Of the run's marks, those to predict from; by default those of the file. Only of a run
        trained with mark dropout.
    precision
        ``bfloat16`` is quicker where the CPU or GPU has it, and moves probabilities a little.
    panel
        Where the panel lies that the run was made with; by default where it was then.

    Raises
    ------
    RunError, FormatError, MismatchError
        Where an input is wrong or does not fit.
    OutputError
        Where the table cannot be written, or would lie in a run folder.
    ChromeError
        Where a panel is named, and the run was made without.
    """
    if out is not None:
        check_outside_runs(out, run)
        check_writable(out, force=force, inputs=[data])
    members = [read_run(folder) for folder in runs_in(run)]
    loaded = members[0]
    if panel is not None and loaded.config.panel is None:
        raise ChromeError(
            f"{loaded.path} was trained without a panel and cannot use one",
            hint="train with --panel",
        )
    whole = panel_of(loaded, panel)
    signals = read_for(loaded, data, marks=marks, available=available)
    speakers = speaking(loaded, signals, whole)
    for note in () if speakers is None else speakers.notes:
        logger.warning("%s", note)
    said = [
        ask(one, signals, speakers, device=device, threads=threads, precision=precision)
        for one in members
    ]
    predictions = mean_of(said)
    if out is not None:
        with atomic_file(out) as temporary:
            predictions.write(temporary)
    return predictions


def read_for(
    run: Run, path: str | Path, *, marks: Sequence[str] = (), available: Sequence[str] = ()
) -> GeneSignals:
    """Read a file as a run expects it; arguments and errors as `predict_genes`."""
    return read_signals(
        path,
        layout=run.config.layout,
        known=run.known,
        marks=marks,
        trained=True,
        may_lack=run.config.training.mark_dropout > 0,
        available=available,
    )


def panel_of(run: Run, given: str | Path | None = None) -> Panel | None:
    """Read the panel that a run was made with, None where it was made without; as `find_panel`."""
    record = run.config.panel
    return None if record is None else find_panel(record, run.path, given)


def speaking(run: Run, signals: GeneSignals, whole: Panel | None) -> Speakers | None:
    """Return who of a run's panel may speak of a file, None without a panel."""
    record = run.config.panel
    if record is None or whole is None:
        return None
    known = [one.cell_type for one in (*run.config.sources, run.config.target) if one is not None]
    return speakers_for(whole, record, signals.record, known)


def ask(
    run: Run,
    signals: GeneSignals,
    speakers: Speakers | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
) -> Predictions | ExpressionPredictions:
    """Predict the genes of signals that fit the run, with those of its panel that may speak."""
    task = task_of(run.config.task)
    place = pick_device(device)
    with computing(threads):
        x = signals.normalised(run.config.normalisation)
        answer = predict_answer(run.model.to(place), x, place, task, precision)
    if run.fusion is None or speakers is None:
        return predictions_of(task, signals.genes, answer)
    told = run.fusion.tell(answer, speakers.panel, signals.genes)
    return Predictions(signals.genes, told.probability, told=told)
