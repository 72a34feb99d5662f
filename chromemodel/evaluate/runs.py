"""How good is a run on the genes it has not seen, of its own file or of another?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.adapt.protocol import TEST_PART
from chromemodel.config import FileRecord, RunConfig
from chromemodel.data.dataset import GeneSignals, check_classes, labelled, read_signals
from chromemodel.data.splits import TEST, split_genes, split_target
from chromemodel.evaluate.metrics import Score, binary_metrics
from chromemodel.evaluate.predict import ask
from chromemodel.train.checkpoint import CONFIG, SOURCE_ONLY, Run, read_run
from chromeprep.errors import RunError

logger = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """Scores, the file they are of, and the split in words."""

    scores: tuple[Score, ...]
    data: Path
    split: str


def evaluate_run(
    run: str | Path,
    data: str | Path | None = None,
    *,
    marks: Sequence[str] = (),
    device: str = "cpu",
    threads: int | None = None,
) -> Evaluation:
    """Score a run on the test genes of its own file, or on another file.

    A run of ``chromemodel adapt`` is scored on the target's half that did not adapt, beside its
    source-only run.

    Parameters
    ----------
    run
        A run folder.
    data
        A file of bins with labels; the run's own (the target of an adaptation) by default.
    marks
        The run's marks, named; then the file may hold others. Not needed where they were named in
        training.

    Raises
    ------
    RunError
        Where the run is incomplete, or its own file is gone or has other genes now.
    FormatError, MismatchError, InputError
        Where the file is wrong, does not fit or has no labels.
    """
    loaded = read_run(run)
    config = loaded.config
    runs = [loaded]
    beside = loaded.path / SOURCE_ONLY
    if config.kind == "adapt" and config.method.name != SOURCE_ONLY:
        if (beside / CONFIG).is_file():
            runs.insert(0, read_run(beside))
        else:
            logger.warning(
                "warning: %s: its folder %s is missing; there is no score without adaptation",
                loaded.path, SOURCE_ONLY,
            )  # fmt: skip
    own = config.target or config.source
    path = _own_file(loaded, own) if data is None else Path(data)
    signals = read_signals(
        path, layout=config.layout, known=loaded.known, marks=marks, trained=True
    )
    if data is None and signals.record.gene_digest != own.gene_digest:
        raise RunError(
            f"was made from other genes than {path} holds now "
            f"({own.genes} then, {signals.record.genes} now)",
            path=loaded.path,
            hint=f"to score the file as it is: --data {path}",
        )
    parts = _parts(config, signals, own_only=data is None)
    scores = []
    for one in runs:
        probability = ask(one, signals, device=device, threads=threads).probability
        for name, rows in parts:
            label = signals.genes.label
            check_classes(label, rows, name, path)
            scores.append(Score(_name(one), name, binary_metrics(label[rows], probability[rows])))
    return Evaluation(tuple(scores), path, config.split.words)


def _own_file(run: Run, own: FileRecord) -> Path:
    path = Path(own.path)
    if not path.exists():
        raise RunError(
            f"was made from {path}, which is no longer there",
            path=run.path,
            hint="name the file: --data FILE",
        )
    return path


def _parts(
    config: RunConfig, signals: GeneSignals, *, own_only: bool
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the rows to score, each set with what the run has seen of it, in words."""
    known = labelled(signals)
    path = signals.record.path
    if config.kind == "train":
        test = known & (split_genes(signals.genes, config.split) == TEST)
        all_words = "all genes"
        if path == config.source.path:
            all_words += " (training genes among them)"
        parts = [("test genes (unseen in training)", test), (all_words, known)]
    elif path == config.source.path:
        return [("source genes (their labels trained it)", known)]
    else:
        test = known & (split_target(signals.genes, config.split) == TEST)
        words = TEST_PART if own_only else "genes of the half that did not adapt"
        parts = [(words, test), ("all genes", known)]
    return parts[:1] if own_only else parts


def _name(run: Run) -> str:
    config = run.config
    return config.model.name if config.kind == "train" else config.method.name
