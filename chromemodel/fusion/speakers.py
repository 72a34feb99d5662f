"""Which cell types of a panel may speak of a cell type, so that the panel does not hold the answer?

The source, the target and their near relatives may not: neither the labels that are trained on nor
those that are predicted may stand among the features.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import FileRecord, PanelChoice, PanelRecord
from chromemodel.evaluate.subsets import rows_in
from chromeprep.errors import ChromeError, MismatchError
from chromeprep.format import GeneTable, Panel, read_panel
from chromeprep.format.panel import FEWEST_CELL_TYPES, spearman

#: The panel's own model (`fit_panel_model`) leaves out one more.
FEWEST_SPEAKERS = FEWEST_CELL_TYPES + 1
#: Below this number of genes a correlation tells nothing of two cell types.
FEWEST_COMPARED = 100


class Speakers(NamedTuple):
    """The cell types of a panel that may speak, what is kept of them, and notes in words."""

    panel: Panel
    record: PanelRecord
    notes: tuple[str, ...]

    def known(self, genes: GeneTable, rows: NDArray[np.bool_]) -> int:
        """Return how many of some rows (genes,) of genes the panel knows."""
        return int((rows_in(self.panel, genes).found & rows).sum())


class LeftOut(NamedTuple):
    """The cell types of a panel that may not speak with why, and notes in words."""

    why: dict[str, str]
    notes: tuple[str, ...]


def open_speakers(
    choice: PanelChoice,
    sources: Sequence[tuple[FileRecord, GeneTable]],
    target: FileRecord | None = None,
) -> Speakers:
    """Read a panel and leave out what a run must not see; as `leave_out`.

    Raises
    ------
    FormatError
        Where the file is no panel.
    MismatchError
        Where the panel has no such cell type to leave out, or fewer than three are left.
    """
    whole = read_panel(choice.path)
    known = [(record.cell_type, genes) for record, genes in sources]
    out = leave_out(whole, choice, known, None if target is None else target.cell_type)
    panel = _without(whole, out.why, choice.path)
    record_of = PanelRecord(
        path=str(Path(choice.path).resolve()),
        digest=panel_digest(whole),
        cell_types=tuple(map(str, panel.cell_type)),
        left_out=tuple(out.why),
        relatives=choice.relatives,
    )
    told = "; ".join(f"{name} ({why})" for name, why in out.why.items()) or "none"
    held = ", ".join(record_of.cell_types)
    first = f"panel: {len(panel.cell_type)} cell types: {held}; left out: {told}"
    return Speakers(panel, record_of, (first, *out.notes))


def leave_out(
    whole: Panel,
    choice: PanelChoice,
    sources: Iterable[tuple[str, GeneTable]],
    target: str | None = None,
) -> LeftOut:
    """Say which cell types of a panel a run must not see.

    A source that the panel does not name is compared with every cell type by its expression, and
    those that are nearly the same are left out. Of a target nothing but its name is looked at.

    Parameters
    ----------
    whole, choice
        The panel, and what to leave out besides.
    sources
        Their cell types are left out; and their genes, with expression where it is known.
    target
        Its cell type is left out.

    Raises
    ------
    MismatchError
        Where the panel has no such cell type to leave out, or fewer than three are left.
    """
    named = {str(name) for name in whole.cell_type}
    out = _with_relatives(whole, choice.leave_out, choice.relatives, choice.path)
    notes = []
    files: list[tuple[str, str, GeneTable | None]] = [("source", *one) for one in sources]
    for role, cell_type, genes in (*files, *([] if target is None else [("target", target, None)])):
        if cell_type in named:
            out |= _with_relatives(whole, [cell_type], choice.relatives, choice.path)
            continue
        like = _like(whole, genes) if genes is not None and choice.relatives else []
        out |= dict.fromkeys(like, f"nearly the {role} {cell_type} by its expression")
        if not like and not choice.leave_out and cell_type not in _left_out_before(whole):
            notes.append(_unknown_words(choice.path, role, cell_type))
    _check_enough(whole, out, choice.path)
    return LeftOut(out, tuple(notes))


def find_panel(record: PanelRecord, run: Path, given: str | Path | None = None) -> Panel:
    """Read the panel of a run again, where it was or where it lies now.

    Raises
    ------
    FormatError
        Where the file is no panel.
    MismatchError
        Where it is another panel than the run's, or gone.
    """
    path = Path(record.path if given is None else given)
    if given is None and not path.exists():
        raise MismatchError(
            f"was made with the panel {path}, which is no longer there",
            path=run,
            hint="say where it is, to predict or to evaluate: --panel PANEL.h5",
        )
    panel = read_panel(path)
    if panel_digest(panel) != record.digest:
        raise MismatchError(
            f"is not the panel of the run {run}: its genes, cell types or values are others",
            path=path,
            hint=f"name the panel that was {record.path} in training: --panel PANEL.h5",
        )
    return panel


def speakers_for(
    whole: Panel, record: PanelRecord, target: FileRecord, known: Iterable[str] = ()
) -> Speakers:
    """Return who may speak of a file that a run is asked about.

    The cell types of the run, without the file's own and its near relatives. Where the panel does
    not name it a note warns, unless it is one of the ``known``, of which the run has notes.

    Raises
    ------
    MismatchError
        Where fewer than three are left.
    """
    out = dict.fromkeys(record.left_out, "in training")
    names = [target.cell_type] if target.cell_type in whole.cell_type else []
    more = _with_relatives(whole, names, record.relatives, record.path)
    more = {name: why for name, why in more.items() if name not in out}
    notes = []
    if more:
        notes.append(f"notice: panel: left out for {target.path}: {', '.join(more)}")
    if not names and target.cell_type not in {*known, *_left_out_before(whole)}:
        notes.append(_unknown_words(record.path, "file", target.cell_type))
    return Speakers(_without(whole, out | more, record.path), record, tuple(notes))


def panel_digest(panel: Panel) -> str:
    """Return a digest of a panel's genes, cell types and values.

    Examples
    --------
    >>> panel = Panel.build(["a", "b"], ["X", "Y", "Z"], [[0, 1, 2], [3, 2, 1]])
    >>> panel_digest(panel) == panel_digest(panel.without(["Z"]))
    False
    """
    digest = blake2b(digest_size=16)
    for names in (panel.gene_id, panel.cell_type):
        digest.update(json.dumps([str(name) for name in names]).encode())
    digest.update(panel.gene_keys.encode())
    digest.update(np.ascontiguousarray(panel.expression, dtype="<f4").tobytes())
    return digest.hexdigest()


def _with_relatives(
    whole: Panel, names: Iterable[str], relatives: bool, path: str
) -> dict[str, str]:
    """Return cell types to leave out, and why."""
    out: dict[str, str] = {}
    for name in names:
        try:
            near = whole.relatives(name)
        except ChromeError as error:
            raise MismatchError(error.message, path=path) from error
        out[name] = "itself"
        if relatives:
            for other in near:
                out.setdefault(other, f"nearly {name}")
    return out


def _like(whole: Panel, genes: GeneTable) -> list[str]:
    """Return the cell types whose expression is nearly that of the genes."""
    rows = rows_in(whole, genes)
    both = rows.found & ~np.isnan(genes.expression)
    own = genes.expression[both].astype(np.float32)
    if len(own) < FEWEST_COMPARED or (own == own[0]).all():
        return []
    values = np.column_stack([own, whole.expression[rows.row[both]]])
    near = spearman(values)[0, 1:] >= whole.near_duplicate
    return [str(name) for name in whole.cell_type[near]]


def _left_out_before(whole: Panel) -> set[str]:
    """Return the cell types that `chromeprep panel` left out when it made the file."""
    names: set[str] = set()
    for line in whole.provenance:
        entries = json.loads(line).get("left_out", [])
        names.update(str(entry.get("cell_type")) for entry in entries)
    return names


def _without(whole: Panel, out: Iterable[str], path: str) -> Panel:
    gone = list(dict.fromkeys(out))
    _check_enough(whole, gone, path)
    return whole.without(gone) if gone else whole


def _check_enough(whole: Panel, gone: Collection[str], path: str) -> None:
    kept = len(whole.cell_type) - len(gone)
    if kept < FEWEST_SPEAKERS:
        raise MismatchError(
            f"{kept} of {len(whole.cell_type)} cell types are left without "
            f"{', '.join(gone)}; {FEWEST_SPEAKERS} are needed",
            path=path,
            hint="take a panel of more cell types; or keep relatives: --panel-keep-like",
        )


def _unknown_words(path: str, role: str, cell_type: str) -> str:
    return (
        f"warning: {path}: has no cell type '{cell_type}', the {role}'s; if it holds it by another "
        "name, leave that out (--panel-leave-out), else the panel tells the answer"
    )
