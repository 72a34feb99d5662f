"""Which genes of a file are on, by a trained run?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chromemodel.data.dataset import GeneSignals, read_signals
from chromemodel.evaluate.predictions import Predictions, predict_probability
from chromemodel.train.checkpoint import Run, check_outside_runs, read_run
from chromemodel.train.device import computing, pick_device
from chromeprep.format import atomic_file, check_writable


def predict_genes(
    run: str | Path,
    data: str | Path,
    out: str | Path | None = None,
    *,
    marks: Sequence[str] = (),
    available: Sequence[str] = (),
    device: str = "cpu",
    threads: int | None = None,
    force: bool = False,
) -> Predictions:
    """Predict every gene of a file, normalised as the run has it.

    Parameters
    ----------
    run
        A run folder.
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

    Raises
    ------
    RunError, FormatError, MismatchError
        Where an input is wrong or does not fit.
    OutputError
        Where the table cannot be written, or would lie in a run folder.
    """
    if out is not None:
        check_outside_runs(out, run)
        check_writable(out, force=force, inputs=[data])
    loaded = read_run(run)
    signals = read_for(loaded, data, marks=marks, available=available)
    predictions = ask(loaded, signals, device=device, threads=threads)
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


def ask(
    run: Run, signals: GeneSignals, *, device: str = "cpu", threads: int | None = None
) -> Predictions:
    """Predict the genes of signals that fit the run."""
    place = pick_device(device)
    with computing(threads):
        x = signals.normalised(run.config.normalisation)
        probability = predict_probability(run.model.to(place), x, place)
    return Predictions(signals.genes, probability)
