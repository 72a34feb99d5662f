"""How good is a run on the genes it has not seen, of its own file or of another?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chromemodel.evaluate.evidence import Evidence, gather
from chromemodel.evaluate.lookup import (
    agreement_words,
    missing_words,
    source_label,
)
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.seen import (
    Seen,
    seen_of,
    selection_words,
    sources_note,
    target_words,
    warning_words,
)
from chromemodel.evaluate.subsets import variable_in
from chromemodel.fusion.speakers import panel_digest
from chromemodel.fusion.steps import Tested, known_words
from chromemodel.models import MODELS
from chromemodel.train.checkpoint import read_config
from chromeprep.format import Panel, read_panel

logger = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """What is known of a run's quality on a file.

    Attributes
    ----------
    scores
        Of each part of the genes and each subset of it: the run beside its source-only run and the
        lookup.
    seen
        What the run has seen of the genes of each part.
    label_agreement
        Share of the first part's genes with the label they have in the source, None where that is
        not known or the same file.
    notes
        What a reader of the scores must know, in words.
    evidence
        What the scores were made from.
    """

    scores: tuple[Score, ...]
    seen: tuple[Seen, ...]
    label_agreement: float | None
    notes: tuple[str, ...]
    evidence: Evidence

    @property
    def data(self) -> Path:
        """The file the scores are of."""
        return self.evidence.path

    @property
    def split(self) -> str:
        """The split in words."""
        return self.evidence.config.split.words


def evaluate_run(
    run: str | Path,
    data: str | Path | None = None,
    *,
    marks: Sequence[str] = (),
    available: Sequence[str] = (),
    device: str = "cpu",
    threads: int | None = None,
    panel: str | Path | None = None,
    replicates: int = 0,
) -> Evaluation:
    """Score a run on the test genes of its own file, or on another file.

    A run of ``chromemodel adapt`` is scored on the target's test genes, beside its source-only run
    and the source's expression alone.

    Parameters
    ----------
    run
        A run folder.
    data
        A file of bins with labels; the run's own (the target of an adaptation) by default.
    marks
        The run's marks, named; then the file may hold others. Not needed where they were named in
        training.
    available
        As for `predict_genes`.
    panel
        A panel file; genes that are high in some of its cell types and low in others are then
        scored on their own as well. By default that of the run, where it has one; given, it is
        also where the run's own lies, if it is the same.
    replicates
        Of the bootstrap for intervals; 0: none.

    Raises
    ------
    RunError
        Where the run is incomplete, or its own file is gone or has other genes now.
    FormatError, MismatchError, InputError
        Where the file or the panel is wrong, does not fit or has no labels.
    """
    others = None if panel is None else read_panel(panel)
    own = _own_panel(run, panel, others)
    evidence = gather(
        run, data, marks=marks, available=available, device=device, threads=threads, panel=own
    )
    config, genes, near = evidence.config, evidence.genes, evidence.near
    if others is None and evidence.speakers is not None:
        others = evidence.speakers.panel
    task = evidence.task
    before = None if near is None or evidence.here else source_label(near, genes)
    variable = None if others is None else variable_in(others, genes)
    scores, all_seen = [], []
    for name, rows in evidence.parts:
        seen = seen_of(
            config, near, genes, name, rows,
            here=evidence.here, target=evidence.target,
        )._replace(panel=evidence.in_panel(rows))  # fmt: skip
        all_seen.append(seen)
        if data is not None and seen.protocol != "new-genes":
            logger.warning(warning_words(seen, evidence.path))
        for words, subset in task.subsets(genes, rows, before, variable, evidence.certain):
            part = f"{name}, {words}" if words else name
            scores += [
                task.score(opinion.name, part, genes, subset, opinion.answer, replicates)
                for opinion in evidence.opinions
            ]
    agreement = None
    if near is not None and not evidence.here:
        same = task.agreement(near, genes, evidence.parts[0][1])
        agreement = None if np.isnan(same) else same
    return Evaluation(
        tuple(scores), tuple(all_seen), agreement, _notes(evidence, all_seen, agreement), evidence
    )


def _own_panel(run: str | Path, path: str | Path | None, panel: Panel | None) -> Path | None:
    """Return the path of a panel that was named if it is the run's, else None."""
    record = None if panel is None else read_config(Path(run)).panel
    if record is None or panel is None or path is None:
        return None
    return Path(path) if panel_digest(panel) == record.digest else None


def _notes(evidence: Evidence, seen: Sequence[Seen], agreement: float | None) -> tuple[str, ...]:
    config = evidence.config
    notes = [f"split: {config.split.words}", *sources_note(config)]
    notes += (one.words for one in seen)
    if evidence.near is None:
        notes.append(
            f"{' or '.join(one.path for one in config.sources)} is gone or has other genes now: "
            "what was seen is counted by the split alone, and there is no lookup"
        )
    used = evidence.signals.used
    if not used.all():
        names = [mark for mark, one in zip(config.layout.marks, used, strict=True) if one]
        notes.append(f"marks used: {', '.join(names)}, {len(names)} of {len(used)}")
    if config.kind == "adapt":
        notes.append(target_words(config.method.name, config.split))
    fitter = MODELS.entry(config.model.name).fitter
    notes.append(selection_words(config.split, config.training, fitter, evidence.task.metric))
    notes.append(f"normalisation: {config.normalisation.words}")
    if evidence.speakers is not None:
        name, rows = evidence.parts[0]
        notes += evidence.speakers.notes
        notes.append(known_words(evidence.speakers, Tested(evidence.genes, rows, name)))
    if agreement is not None:
        notes.append(agreement_words(agreement, config.source_words))
    if evidence.lookup is not None:
        name, rows = evidence.parts[0]
        notes += missing_words(evidence.lookup, rows, name)
    return tuple(notes)
