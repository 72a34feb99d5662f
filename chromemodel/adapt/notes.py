"""What must a reader of an adaptation's scores know?"""

from __future__ import annotations

import numpy as np

from chromemodel.config import RunConfig
from chromemodel.evaluate.lookup import agreement_words
from chromemodel.evaluate.predictions import selection_notes
from chromemodel.evaluate.seen import Seen, selection_words, sources_note
from chromemodel.models import MODELS
from chromemodel.tasks import task_of


def adapt_notes(
    config: RunConfig, seen: Seen, agreement: float, scored: bool, held_out: int
) -> tuple[str, ...]:
    """Return notes; ``seen`` is what was seen of the test genes, ``held_out`` validation genes."""
    split, fitter = config.split, MODELS.entry(config.model.name).fitter
    notes = [f"model: {config.model.name}", f"split: {split.words}"]
    notes += [*sources_note(config), seen.words]
    if split.new_genes:
        notes.append(
            "a lookup of the source looks up the test genes there, which no model here has seen"
        )
    task = task_of(config.task)
    if not scored:
        notes.append(f"the test genes of the target have no {task.lacking}: no scores")
    notes.append(selection_words(split, config.training, fitter, task.metric))
    if fitter == "torch":
        notes += selection_notes(held_out)
    if not np.isnan(agreement):
        notes.append(agreement_words(agreement, config.source_words))
    return tuple(notes)
