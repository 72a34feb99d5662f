"""What do train and adapt do with a panel, once the model of the marks has spoken?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import FileRecord, PanelChoice
from chromemodel.data.dataset import GeneSignals
from chromemodel.evaluate.metrics import Score, binary_metrics
from chromemodel.evaluate.subsets import CERTAIN, VARIABLE, rows_in, variable_in
from chromemodel.fusion.combine import SURE, Fusion, Told, fit_fusion
from chromemodel.fusion.features import PanelModel, fit_panel_model
from chromemodel.fusion.speakers import Speakers, open_speakers
from chromeprep.format import GeneTable, Panel

PANEL_ONLY = "panel mean (no model)"


class Tested(NamedTuple):
    """The genes of a file, which of them (genes,) are tested, and these in words."""

    genes: GeneTable
    rows: NDArray[np.bool_]
    part: str


class Beside(NamedTuple):
    """A panel beside the marks: who may speak, and the panel's own model."""

    speakers: Speakers
    model: PanelModel

    def words(self, tested: Tested) -> tuple[str, ...]:
        """Return what a reader of the scores must know of the panel."""
        return (*self.speakers.notes, known_words(self.speakers, tested))


class Fused(NamedTuple):
    """What came of one model of the marks and the panel; ``notes`` in words."""

    fusion: Fusion
    told: Told
    scores: list[Score]
    notes: tuple[str, ...]


def put_beside(
    choice: PanelChoice | None,
    sources: Sequence[GeneSignals],
    target: FileRecord | None = None,
) -> Beside | None:
    """Read a panel and fit its own model; as `open_speakers` and `fit_panel_model`."""
    if choice is None:
        return None
    known = [(one.record, one.genes) for one in sources]
    speakers = open_speakers(choice, known, target)
    return Beside(speakers, fit_panel_model(speakers.panel))


def fuse(
    beside: Beside,
    name: str,
    held_out: GeneTable,
    held_out_marks: NDArray[Any],
    seen: GeneTable,
    tested: Tested,
    marks: NDArray[Any],
    path: str | Path,
) -> Fused:
    """Weigh marks and panel on held-out genes, and put them together for all genes of a file.

    Parameters
    ----------
    beside
        The panel.
    name
        Of the model of the marks.
    held_out, held_out_marks
        Labelled genes of the source that did not train it, and its probability (genes,) for them.
    seen
        All labelled genes of the source but those of the test.
    tested, marks
        The file to predict, and its probability (genes,) for all of its genes. Labels are looked
        at for the scores alone.
    path
        Of the source, for errors.

    Raises
    ------
    InputError
        As `fit_fusion`.
    """
    panel = beside.speakers.panel
    fusion = fit_fusion(beside.model, panel, held_out, held_out_marks, seen, path)
    told = fusion.tell(marks, panel, tested.genes)
    notes = (
        _fit_words(fused_name(name), fusion),
        *like_words(told),
        _uncertain_words(name, told, tested),
    )
    return Fused(fusion, told, panel_scores(name, told, panel, tested), notes)


def panel_scores(name: str, told: Told, panel: Panel, tested: Tested) -> list[Score]:
    """Score marks and panel together, and on the variable genes also the marks alone.

    Genes of one class have no score.
    """
    rows, part = tested.rows, tested.part
    variable = rows & variable_in(panel, tested.genes)
    found = [
        (fused_name(name), part, told.probability, rows),
        (name, f"{part}, {VARIABLE}", told.marks, variable),
        (fused_name(name), f"{part}, {VARIABLE}", told.probability, variable),
        (fused_name(name), f"{part}, {CERTAIN}", told.probability, rows & ~told.uncertain),
    ]
    return _scored(found, tested.genes)


def trivial_scores(panel: Panel, tested: Tested) -> list[Score]:
    """Score the panel alone, by mean log(1 + expression), on tested and variable genes."""
    ranked = mean_rank(panel, tested.genes)
    variable = tested.rows & variable_in(panel, tested.genes)
    found = [
        (PANEL_ONLY, tested.part, ranked, tested.rows),
        (PANEL_ONLY, f"{tested.part}, {VARIABLE}", ranked, variable),
    ]
    return _scored(found, tested.genes)


def mean_rank(panel: Panel, genes: GeneTable) -> NDArray[np.float64]:
    """Return the share (genes,) of the panel's genes of lower mean log(1 + expression).

    Equal ones count by half; 0.5 where the panel does not know the gene. It is a rank and no
    calibrated probability.
    """
    values = panel.summary.mean_log1p
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    rows = rows_in(panel, genes)
    return np.where(rows.found, ((below + upto) / (2 * len(values)))[rows.row], 0.5)


def fused_name(name: str) -> str:
    """Return what to call a model with the panel beside it.

    Examples
    --------
    >>> fused_name("logistic")
    'logistic + panel'
    """
    return f"{name} + panel"


def known_words(speakers: Speakers, tested: Tested) -> str:
    """Say that the panel's values of the very genes that are predicted are used."""
    scored = int(tested.rows.sum())
    known = speakers.known(tested.genes, tested.rows)
    words = (
        f"panel: {known:,} of {scored:,} genes ({tested.part}) are predicted with their own "
        f"expression in {len(speakers.panel.cell_type)} other cell types"
    )
    return words + (f"; {scored - known:,} by the marks alone" if scored > known else "")


def like_words(told: Told) -> tuple[str, ...]:
    """Say which cell types of the panel a file is most like, where that was asked.

    Examples
    --------
    >>> one = np.zeros(1)
    >>> like_words(Told(one, one, one, one > 0, (("E062", 0.61), ("E047", 0.25))))
    ('panel: by its marks it is most like E062 (0.61), E047 (0.25)',)
    """
    if not told.like:
        return ()
    named = ", ".join(f"{name} ({correlation:.2f})" for name, correlation in told.like)
    return (f"panel: by its marks it is most like {named}",)


def _uncertain_words(name: str, told: Told, tested: Tested) -> str:
    share = told.uncertain[tested.rows].mean()
    return (
        f"{fused_name(name)}: {share:.1%} of the genes ({tested.part}) are uncertain; on the "
        f"source's validation genes {SURE:.0%} of the calls of such as are not were right"
    )


def _fit_words(name: str, fusion: Fusion) -> str:
    weights = fusion.three or fusion.two
    like = f" + {weights.resemblance:.2f} cell types it is like" if fusion.three else ""
    return (
        f"{name}: logit = {weights.intercept:.2f} + {weights.marks:.2f} marks + "
        f"{weights.panel:.2f} panel{like}, fitted to and so calibrated on {fusion.genes:,} "
        "validation genes of the source, which fitted no weight of the marks' model (they may have "
        "chosen its epoch or penalty)"
    )


def _scored(
    found: list[tuple[str, str, NDArray[Any], NDArray[np.bool_]]], genes: GeneTable
) -> list[Score]:
    scores = []
    for name, part, probability, rows in found:
        chosen = rows & (genes.label >= 0)
        label = genes.label[chosen]
        if len(np.unique(label)) == 2:
            scores.append(Score(name, part, binary_metrics(label, probability[chosen])))
    return scores
