"""Does a panel fit the runs of a benchmark, and which of its cell types speak in each of them?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chromemodel.benchmark.inputs import refuse
from chromemodel.benchmark.jobs import Job
from chromemodel.benchmark.spec import CellType, PanelFile
from chromemodel.config import PanelChoice, PanelRecord
from chromemodel.evaluate.subsets import rows_in
from chromemodel.fusion.features import turns
from chromemodel.fusion.speakers import leave_out, panel_digest
from chromeprep.errors import ChromeError, InputError, MismatchError
from chromeprep.format import GeneTable, Panel, read_description, read_panel

logger = logging.getLogger(__name__)


class Spoken(NamedTuple):
    """Which cell types of a panel spoke in the runs of a source and a target, and which not.

    ``source`` and ``target`` are the same where a run is of one cell type; ``unnamed`` are those of
    them that the panel does not name.
    """

    source: str
    target: str
    spoke: tuple[str, ...]
    left_out: tuple[str, ...]
    unnamed: tuple[str, ...] = ()


def spoken_in(job: Job, record: PanelRecord) -> Spoken:
    """Return who spoke in a finished run."""
    held = {*record.cell_types, *record.left_out}
    unnamed = dict.fromkeys(
        one.name for one in (job.source, job.target) if not held & {one.name, named(one)}
    )
    return Spoken(
        job.source.name, job.target.name, record.cell_types, record.left_out, tuple(unnamed)
    )


def check_panel(
    choice: PanelChoice, cell_types: Sequence[CellType], source: str | None = None
) -> PanelFile:
    """Check that a panel can stand beside the marks in every run; nothing is trained.

    Of a cell type that the panel does not name, a warning is logged.

    Parameters
    ----------
    choice
        The panel, and what all runs leave out of it.
    cell_types
        Of the benchmark; their files have been checked (`check_files`).
    source
        Where given, runs go from this cell type to the others, which have runs of their own too.

    Raises
    ------
    FormatError
        Where the file is no panel.
    InputError
        Where it lacks a cell type that is to be left out, too few are left for a run, or it knows
        no genes of both labels of a file. It names all that is wrong.
    """
    whole = read_panel(choice.path)
    panel = PanelFile(
        path=str(Path(choice.path).resolve()),
        digest=panel_digest(whole),
        cell_types=tuple(map(str, whole.cell_type)),
        leave_out=tuple(sorted(set(choice.leave_out))),
        relatives=choice.relatives,
    )
    near = [one for one in cell_types if one.name == source]
    of_source = read_description(near[0].path).genes if near else None
    warnings: dict[str, None] = {}
    problems: dict[str, None] = {}
    for one, other in _cases(cell_types, source):
        genes = of_source if one in near else None
        try:
            genes = read_description(one.path).genes if genes is None else genes
            _check_genes(whole, genes, one, panel)
            told = panel.beside(one, *([] if other is None else [other]))
            out = leave_out(
                whole, told.choice, [(named(one), genes)],
                None if other is None else named(other),
            )  # fmt: skip
            turns(whole, [name for name in panel.cell_types if name not in out.why])
        except ChromeError as error:
            problems[str(error)] = None
        else:
            warnings |= dict.fromkeys(out.notes)
    refuse(list(problems))
    for warning in warnings:
        logger.warning("%s", warning)
    return panel


def named(cell: CellType) -> str:
    """Return what the file of a cell type calls it, as a run knows it."""
    return cell.file_says or cell.name


def _cases(
    cell_types: Sequence[CellType], source: str | None
) -> Iterator[tuple[CellType, CellType | None]]:
    """Return whose labels train and whom else the runs are asked about."""
    for one in cell_types:
        if source is None or one.name != source:
            yield one, None
    for one in cell_types if source is not None else ():
        if one.name != source:
            yield next(near for near in cell_types if near.name == source), one


def _check_genes(whole: Panel, genes: GeneTable, cell: CellType, panel: PanelFile) -> None:
    """Refuse a panel that does not know labelled genes of both classes."""
    known = rows_in(whole, genes).found & (genes.label >= 0)
    if len(np.unique(genes.label[known])) < 2:
        raise InputError(
            f"knows {int(known.sum())} of the {int((genes.label >= 0).sum())} labelled genes of "
            f"{cell.path}; genes of both labels are needed to weigh marks and panel",
            path=panel.path,
            hint="are its genes of the same species, named alike (--expression-ids)?",
        )


def read_again(panel: PanelFile) -> Panel:
    """Read the panel of a benchmark.

    Raises
    ------
    FormatError, MismatchError
        Where it is gone, or another one now.
    """
    whole = read_panel(panel.path)
    if panel_digest(whole) != panel.digest:
        raise MismatchError(
            "has other content than when the benchmark began", path=panel.path,
            hint="put the old file back, or choose another -o",
        )  # fmt: skip
    return whole
