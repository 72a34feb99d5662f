"""Which cell types and genes of expression tables make a panel, and which are left out of it?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chromeprep.errors import ExpressionError, did_you_mean, shorten
from chromeprep.expression import ExpressionColumn, ExpressionTable, Ids
from chromeprep.format.panel import FEWEST_CELL_TYPES, NEAR_DUPLICATE, Pair, Panel
from chromeprep.provenance import record

_log = logging.getLogger(__name__)

_MIXTURE = "E000"  # of Roadmap's tables


class NamedTable(NamedTuple):
    """An expression table, and the cell type it is of where its columns do not say."""

    path: Path
    cell_type: str | None = None


class LeftOut(NamedTuple):
    """A cell type that was left out; ``like`` which other, where it was for that."""

    cell_type: str
    like: str | None = None
    correlation: float | None = None


class MadePanel(NamedTuple):
    """A panel, and how it came to be.

    Attributes
    ----------
    panel
        Of the cell types that are left.
    left_out
        Cell types that the tables have and the panel has not.
    left_in
        Pairs of a cell type that was left out and a near duplicate of it that was not.
    n_genes_dropped
        Genes that some column does not know.
    """

    panel: Panel
    left_out: tuple[LeftOut, ...]
    left_in: tuple[Pair, ...]
    n_genes_dropped: int


class _Choice(NamedTuple):
    """A column to read."""

    cell_type: str
    table: ExpressionTable
    path: Path
    column: str


def make_panel(
    tables: Sequence[NamedTable],
    *,
    columns: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    leave_out_like: Sequence[str] = (),
    near_duplicate: float = NEAR_DUPLICATE,
    ids: Ids = "id",
    argv: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> MadePanel:
    """Read expression tables into one panel.

    Genes are those that every column knows, also the columns that are left out afterwards: so a
    panel does not depend on what was left out of it but for the cell types.

    Parameters
    ----------
    tables
        Matrices of one column a cell type, or tables of one sample with their cell type.
    columns
        Cell types to take; by default all.
    leave_out
        Cell types to leave out.
    leave_out_like
        Cell types to leave out with all near duplicates of theirs.
    near_duplicate
        From this rank correlation over all genes on two cell types are near duplicates.
    ids
        What genes go by.
    argv
        The command line, for the record.
    progress
        Called with how many columns are read, and of how many.

    Raises
    ------
    ExpressionError
        Where a table cannot be read, has no such column, or holds what is no expression; where too
        few cell types or no genes are left.
    """
    chosen = _choose(tables, columns)
    names = [choice.cell_type for choice in chosen]
    for name in (*leave_out, *leave_out_like):
        if name not in names:
            raise ExpressionError(
                f"there is no cell type '{name}' to leave out; {did_you_mean(name, names)}"
            )
    read: list[ExpressionColumn] = []
    seen: set[Path] = set()
    for number, choice in enumerate(chosen, start=1):
        read.append(choice.table.read(choice.column, ids=ids, quiet=choice.path in seen))
        seen.add(choice.path)
        if progress is not None:
            progress(number, len(chosen))
    whole, n_dropped = _join(chosen, read, ids, near_duplicate)
    left_out = _left_out(whole, leave_out, leave_out_like)
    gone = {entry.cell_type for entry in left_out}
    n_left = len(names) - len(gone)
    if n_left < FEWEST_CELL_TYPES:
        raise ExpressionError(
            f"{n_left} of {len(names)} cell types {'is' if n_left == 1 else 'are'} left; a panel "
            f"needs at least {FEWEST_CELL_TYPES}",
            hint="leave fewer out, or give more tables" if gone else "give more tables",
        )
    if _MIXTURE in names and _MIXTURE not in gone:
        _log.warning(
            "E000 of Roadmap's tables is a mixture and no cell type; --leave-out E000 leaves it out"
        )
    left_in = tuple(
        pair for pair in whole.near_duplicates() if (pair.first in gone) != (pair.second in gone)
    )
    line = record(
        argv,
        {
            "expression" if len(tables) == 1 else f"expression {number}": table.path
            for number, table in enumerate(tables, start=1)
        },
        {
            "genes": [
                {"n_genes": len(whole.gene_id) + n_dropped, "what": "known to some column"},
                {"n_genes": len(whole.gene_id), "what": "known to every column"},
            ],
            "left_out": [entry._asdict() for entry in left_out],
        },
    )
    panel = replace(whole.without(gone), provenance=(line,))
    return MadePanel(panel, left_out, left_in, n_dropped)


def _choose(tables: Sequence[NamedTable], columns: Sequence[str]) -> list[_Choice]:
    offered = [choice for table in tables for choice in _offered(table)]
    names = [choice.cell_type for choice in offered]
    for name in columns:
        if name not in names:
            raise ExpressionError(
                f"no column '{name}'; {did_you_mean(name, names)}",
                path=tables[0].path if len(tables) == 1 else None,
            )
    chosen = [choice for choice in offered if not columns or choice.cell_type in columns]
    first: dict[str, _Choice] = {}
    for choice in chosen:
        other = first.setdefault(choice.cell_type, choice)
        if other is not choice:
            where = "" if other.path == choice.path else f", the other one in {other.path}"
            raise ExpressionError(
                f"the cell type '{choice.cell_type}' has two columns{where}",
                path=choice.path,
                hint="a table of one sample can be given a name: --expression NAME=TABLE",
            )
    return chosen


def _offered(table: NamedTable) -> list[_Choice]:
    opened = ExpressionTable(table.path)
    names = opened.cell_types
    if table.cell_type is not None:
        try:
            column = opened.choose(cell_type=table.cell_type)
        except ExpressionError as error:
            raise ExpressionError(
                error.message,
                path=table.path,
                hint=f"leave '{table.cell_type}=' out: the columns of a matrix have names",
            ) from error
        return [_Choice(table.cell_type, opened, table.path, column)]
    if not names:
        raise ExpressionError(
            "does not say which cell type it is of",
            path=table.path,
            hint=f"give it a name: --expression NAME={table.path}",
        )
    return [_Choice(name, opened, table.path, name) for name in names]


def _join(
    chosen: Sequence[_Choice], read: Sequence[ExpressionColumn], ids: Ids, near_duplicate: float
) -> tuple[Panel, int]:
    """Return the panel of all columns, and how many genes some of them do not know."""
    anywhere = set().union(*(column.values for column in read))
    everywhere = anywhere.intersection(*(column.values for column in read))
    genes = [gene for gene in read[0].values if gene in everywhere]
    dropped = anywhere - everywhere
    if not genes:
        raise ExpressionError(
            "no gene has a value in every column",
            hint="do all tables name genes alike? --expression-ids symbol joins by symbols",
        )
    if dropped:
        _log.warning(
            "%s of %s genes have no value in some column and are left out: %s",
            f"{len(dropped):,}", f"{len(anywhere):,}", shorten(sorted(dropped), 5),
        )  # fmt: skip
    values = np.array([[column.values[gene] for column in read] for gene in genes])
    _check(values, genes, chosen)
    symbols: dict[str, str] = {}
    for table in {id(choice.table): choice.table for choice in chosen}.values():
        symbols = table.symbols | symbols
    panel = Panel.build(
        genes,
        [choice.cell_type for choice in chosen],
        values,
        gene_name=genes if ids == "symbol" else [symbols.get(gene, "") for gene in genes],
        source=[
            f"{choice.path}:{column.described}" for choice, column in zip(chosen, read, strict=True)
        ],
        gene_keys=ids,
        near_duplicate=near_duplicate,
    )
    return panel, len(dropped)


def _check(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    genes: Sequence[str],
    chosen: Sequence[_Choice],
) -> None:
    """Refuse what is no expression."""
    wrong = np.argwhere((values < 0) | (values > np.finfo(np.float32).max))
    if len(wrong):
        row, column = wrong[0]
        found = values[row, column]
        raise ExpressionError(
            f"column '{chosen[column].column}' of gene {genes[row]} is {found:g}, and expression "
            + ("should not be negative" if found < 0 else "should fit into 32 bits"),
            path=chosen[column].path,
            hint="is the table one of logarithms? give RPKM, FPKM or TPM" if found < 0 else None,
        )
    stored = values.astype(np.float32)
    alike = np.flatnonzero((stored == stored[:1]).all(axis=0))
    if len(alike):
        raise ExpressionError(
            f"column '{chosen[alike[0]].column}' has the same value, {stored[0, alike[0]]:g}, for "
            f"{'its only gene' if len(genes) == 1 else f'all of {len(genes):,} genes'}",
            path=chosen[alike[0]].path,
            hint="choose the others with --column NAME",
        )


def _left_out(
    whole: Panel, leave_out: Sequence[str], leave_out_like: Sequence[str]
) -> tuple[LeftOut, ...]:
    found = {name: LeftOut(name) for name in (*leave_out, *leave_out_like)}
    for name in leave_out_like:
        for other in whole.relatives(name):
            found.setdefault(other, LeftOut(other, name, whole.correlation_of(name, other)))
    return tuple(found.values())
