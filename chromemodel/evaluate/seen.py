"""What has a run seen of the genes that it is scored on, and how does one say so?

Which genes are on is largely the same in all cell types. So a gene whose label in one cell type was
trained on is half known in all others, and its score must say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import RunConfig, Split, TrainConfig
from chromemodel.data.splits import (
    ADAPTING,
    TRAIN,
    VALIDATION,
    split_genes,
    split_source,
    split_target,
)
from chromemodel.evaluate.lookup import match_genes
from chromemodel.registry import Fitter
from chromemodel.tasks import task_of
from chromeprep.format import GeneTable

Protocol = Literal["new-genes", "same-genes", "training-genes"]


class Seen(NamedTuple):
    """What a run has seen of some genes.

    Attributes
    ----------
    part
        The genes, in words.
    genes
        How many are scored.
    known
        Of them, those whose label trained the run or chose its epoch.
    here
        Whether these were the labels of the very file that is scored; else of another cell type.
    cell_type
        Where the labels were from.
    adapting
        Of them, those whose signal in the scored file adapted the run, without labels.
    panel
        Of them, those whose expression in a panel of other cell types is a part of the prediction.
    learned
        What of a gene is learned (`Task.learned`).
    """

    part: str
    genes: int
    known: int
    here: bool
    cell_type: str
    adapting: int = 0
    panel: int = 0
    learned: str = "label"

    @property
    def protocol(self) -> Protocol:
        """The genes' part in training, in one word; a single known gene decides it."""
        if not self.known:
            return "new-genes"
        return "training-genes" if self.here else "same-genes"

    def to_json(self) -> dict[str, Any]:
        """Return one flat object."""
        return {
            "part": self.part,
            "protocol": self.protocol,
            "genes": self.genes,
            "labels_seen_in_training": self.known,
            "labels_seen_in": self.cell_type,
            "signal_adapted_to": self.adapting,
            "expression_in_panel": self.panel,
        }

    @property
    def words(self) -> str:
        """One sentence.

        Examples
        --------
        >>> Seen("test half", 50, 50, False, "K562").words
        'protocol same-genes: 50 of 50 genes (test half) had their label in K562 seen in training'
        """
        told = f"{self.known:,} of {self.genes:,} genes ({self.part}) had their {self.learned}"
        if not self.known:
            article = "an" if self.learned == "expression" else "a"
            told = f"none of {self.genes:,} genes ({self.part}) had {article} {self.learned}"
        elif not self.here:
            told += f" in {self.cell_type}"
        told = f"protocol {self.protocol}: {told} seen in training"
        if self.adapting:
            told += f"; the signal of {self.adapting:,} adapted the run (transductive)"
        if self.panel:
            told += f"; the expression of {self.panel:,} in other cell types is known (panel)"
        return told


def seen_of(
    config: RunConfig, near: GeneTable | None, far: GeneTable, part: str, rows: NDArray[np.bool_],
    *, here: bool, target: bool,
) -> Seen:  # fmt: skip
    """Count what a run has seen of some genes of a file.

    Parameters
    ----------
    config
        The run's.
    near
        Genes of the file with the labels it was trained on (of several, merged); where it is
        gone, None: then every gene that the split would have trained on counts as known.
    far
        Genes of the file that is scored.
    part, rows
        The genes that are scored, in words and (genes,).
    here, target
        Whether the scored file is the one with those labels, or the target of the adaptation.
    """
    source = far if near is None else near
    split = split_genes if config.kind == "train" else split_source
    used = np.isin(split(source, config.split), (TRAIN, VALIDATION))
    if near is not None:
        used &= task_of(config.task).known(near)
        match = match_genes(near, far)
        used = (match >= 0) & used[match]
    adapting = np.zeros(len(far), dtype=np.bool_)
    if target and config.kind == "adapt" and config.method.name != "source_only":
        adapting = split_target(far, config.split) == ADAPTING
    return Seen(
        part=part,
        genes=int(rows.sum()),
        known=int((used & rows).sum()),
        here=here,
        cell_type=config.source_words,
        adapting=int((adapting & rows).sum()),
        learned=task_of(config.task).learned,
    )


def sources_note(config: RunConfig) -> tuple[str, ...]:
    """Say what several sources are to a run and to what stands beside it; nothing of one."""
    if not config.more_sources:
        return ()
    return (
        f"sources: {config.source_words}, trained on together; what a gene is in the source is its "
        "mean rank of expression and its commonest label in these",
    )


def target_words(method: str, split: Split) -> str:
    """Say what a method of adaptation sees of the target."""
    if method == "source_only":
        return f"{method}: nothing of the target was seen in training"
    whose = "genes off the test chromosomes" if split.new_genes else "adapting half"
    return (
        f"{method}: the signal of the target's {whose} was seen in training (transductive "
        "for these genes); no label of the target was used anywhere but for the scores"
    )


def warning_words(seen: Seen, path: Path) -> str:
    """Return what must not be missed of a score on another file."""
    told = f"warning: {path}: {seen.known:,} of {seen.genes:,} genes ({seen.part}) had "
    if seen.here:
        told += f"these very {seen.learned}s seen in training"
        return f"{told}; their scores say nothing of new genes"
    return (
        f"{told}their {seen.learned} in {seen.cell_type} seen in training; which genes are on is "
        "largely the same in all cell types, so their scores say little of new genes"
    )


def selection_words(
    split: Split, training: TrainConfig, fitter: Fitter, metric: str = "AUROC"
) -> str:
    """Say how the weights of a run were chosen; by which metric, where by one."""
    whose = "source's " if split.adapts else ""
    if fitter != "torch":
        return f"model selection: by {fitter}, on the {whose or 'labelled '}genes alone"
    if split.adapts and split.validation_fraction == 0:
        return f"model selection: none, the last of {training.epochs} epochs"
    return f"model selection: the epoch of the best {metric} on the {whose}validation genes"
