"""How do several files with labels become one source, to train on and to look genes up in?

To train on, genes of all files stand one below the other, each file normalised as it would be
alone. To look up, every gene has one row that says what the files say of it together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import FileRecord, Layout, Normalisation, Split
from chromemodel.data.dataset import GeneSignals, read_signals
from chromemodel.data.normalise import Signal, fit_normalisation
from chromemodel.data.splits import Parts, split_source
from chromeprep.errors import MismatchError
from chromeprep.format import GeneTable
from chromeprep.format.ids import cut_version

if TYPE_CHECKING:
    from chromemodel.tasks import Task


@dataclass(frozen=True, eq=False)
class Sources:
    """One or more files of the same marks and windows, read; rows are those of all files."""

    files: tuple[GeneSignals, ...]

    @property
    def layout(self) -> Layout:
        """The layout of the first file, which all have."""
        return self.files[0].layout

    @property
    def records(self) -> tuple[FileRecord, ...]:
        """The record of each file."""
        return tuple(one.record for one in self.files)

    @property
    def label(self) -> NDArray[np.int8]:
        """The label of each row, shape (genes,)."""
        return np.concatenate([one.genes.label for one in self.files])

    @property
    def rows(self) -> GeneTable:
        """The genes of each row; extra columns, which files may not share, are left out."""
        tables = [one.genes for one in self.files]
        names = [entry.name for entry in fields(GeneTable) if entry.name != "extra"]
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(table, name) for table in tables]) for name in names
        }
        return GeneTable(**columns)

    def parts(self, split: Split) -> Parts:
        """Return the part of each row, shape (genes,), by the same rule in all files."""
        return np.concatenate([split_source(one.genes, split, one.path) for one in self.files])

    def merged(self) -> GeneTable:
        """Return every gene once, as `merge_genes`; of one file its genes as they are."""
        return merge_genes([one.genes for one in self.files])

    def fitted(self, rule: Normalisation, rows: NDArray[np.bool_]) -> Normalisation:
        """Fill in what a rule keeps of the training genes, some rows of all files together.

        Raises
        ------
        InputError
            As `GeneSignals.normalised`; it names the file.
        """
        if not rule.by_training:
            return rule
        if len(self.files) == 1:
            return self.files[0].fitted(rule, rows)
        pieces = self.split(rows)
        # A mark at a time: of many files not all of the signal need be at hand.
        found = [
            fit_normalisation(
                np.concatenate(
                    [
                        one.transformed(rule.transform, slice(mark, mark + 1))[piece]
                        for one, piece in zip(self.files, pieces, strict=True)
                    ]
                ),
                rule,
            )
            for mark in range(len(self.layout.marks))
        ]
        return replace(
            rule,
            mean=tuple(value for one in found for value in one.mean),
            std=tuple(value for one in found for value in one.std),
            quantiles=tuple(value for one in found for value in one.quantiles),
        )

    def normalised(self, rule: Normalisation, *, let_go: bool = False) -> Signal:
        """Return a model's input (genes, marks, bins), each file normalised on its own.

        Parameters
        ----------
        rule
            Fitted already.
        let_go
            Free the raw signal of each file once it is done; whoever asks for it later has it read
            again.

        Raises
        ------
        InputError
            As `GeneSignals.normalised`; it names the file.
        """
        whole: Signal | None = None
        if len(self.files) > 1:
            whole = np.empty(self.shape, dtype=np.float32)
        for one, rows in self.placed():
            signal = one.normalised(rule)
            if let_go:
                one.held.let_go()
            if whole is None:
                return signal
            whole[rows] = signal
        assert whole is not None
        return whole

    @property
    def shape(self) -> tuple[int, int, int]:
        """Genes of all files, marks, bins."""
        return sum(self.counts), len(self.layout.marks), self.layout.n_bins

    def placed(self) -> list[tuple[GeneSignals, slice]]:
        """Return each file, and which rows are its genes."""
        ends = np.cumsum(self.counts).tolist()
        return [
            (one, slice(end - len(one.genes), end))
            for one, end in zip(self.files, ends, strict=True)
        ]

    @property
    def counts(self) -> list[int]:
        """The number of genes of each file."""
        return [len(one.genes) for one in self.files]

    def split(self, rows: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        """Return what stands of a mask of all rows for each file."""
        return np.split(rows, np.cumsum(self.counts)[:-1])

    def check(
        self, task: Task, rows: NDArray[np.bool_], genes: str, hint: str | None = None
    ) -> None:
        """Refuse a file whose genes of some rows, named in words, cannot serve a task.

        Raises
        ------
        InputError
            It names the file.
        """
        for one, part in zip(self.files, self.split(rows), strict=True):
            task.check(one.genes, part, genes, one.path, hint)


def read_sources(
    paths: Sequence[str | Path],
    *,
    marks: Sequence[str] = (),
    window_bp: int | None = None,
    hold: bool = True,
) -> Sources:
    """Read files to train on together.

    Parameters
    ----------
    paths
        The first decides on marks and windows; one at least.
    marks, window_bp
        As for `read_signals`.
    hold
        Keep the raw signal of all in memory; else of one at a time, and read it again when it is
        asked for.

    Raises
    ------
    FormatError
        Where a file is wrong.
    MismatchError
        Where a file or a cell type stands there twice, or marks or windows differ; it names the
        file.
    """
    if not paths:
        raise ValueError("no source")
    check_distinct(paths)
    first = read_signals(paths[0], marks=marks, window_bp=window_bp)
    files = [first]
    for path in paths[1:]:
        if not hold:
            files[-1].held.let_go()
        files.append(read_signals(path, layout=first.layout, known=first.record, marks=marks))
        for before in files[:-1]:
            check_cell_types(before.record, files[-1].record, "another source")
    if not hold and len(files) > 1:
        files[-1].held.let_go()
    return Sources(tuple(files))


def check_distinct(sources: Sequence[str | Path], target: str | Path | None = None) -> None:
    """Refuse a file that is named twice.

    Raises
    ------
    MismatchError
        It names the file.
    """
    for index, path in enumerate(sources):
        if any(_same(path, before) for before in sources[:index]):
            raise MismatchError("is named twice among the sources", path=path)
    if target is not None and any(_same(path, target) for path in sources):
        words = "the source" if len(sources) == 1 else "among the sources"
        raise MismatchError(f"is {words} and the target; adaptation needs two", path=target)


def check_cell_types(before: FileRecord, now: FileRecord, words: str) -> None:
    """Refuse a file of the cell type of another, which is called so in words.

    Raises
    ------
    MismatchError
        It names both files.
    """
    if before.cell_type == now.cell_type:
        raise MismatchError(
            f"is of cell type {now.cell_type}, as is {words}, {before.path}",
            path=now.path,
            hint="every cell type once; bin replicates together: `chromeprep bin` averages them",
        )


def merge_genes(tables: Sequence[GeneTable]) -> GeneTable:
    """Return what several sources say of each gene together; one table comes back as it is.

    Genes are matched by id without version; of genes with one id in a file the first counts. The
    expression is the mean, over the sources that know it, of the gene's rank in each: the share
    of its genes with less expression, equal ones counted half. So tables in other units, counts
    among them, count alike. The label is that of most sources; where they are even, high from the
    median of that mean rank on, and low where there is no expression.

    Returns
    -------
    GeneTable
        Each gene once, in the order of first appearance, where the first file that places it has
        it.

    Examples
    --------
    >>> def table(ids, expression, label):
    ...     n = len(ids)
    ...     return GeneTable.build(
    ...         list(ids), ["1"] * n, [0] * n, [1] * n, ["+"] * n,
    ...         expression=expression, label=label,
    ...     )
    >>> both = merge_genes([table("ab", [0, 9], [0, 1]), table("bc", [100, 500], [0, 1])])
    >>> both.gene_id.tolist(), both.expression.tolist(), both.label.tolist()
    (['a', 'b', 'c'], [0.25, 0.5, 0.75], [0, 1, 1])
    """
    if len(tables) == 1:
        return tables[0]
    row_of: dict[str, int] = {}
    rows = []
    for table in tables:
        names = [cut_version(str(name)) for name in table.gene_id]
        first = np.zeros(len(names), dtype=np.bool_)
        first[list({name: row for row, name in reversed(list(enumerate(names)))}.values())] = True
        rows.append((first, np.array([row_of.setdefault(name, len(row_of)) for name in names])))
    rank_sum, rank_count, high, labelled = np.zeros((4, len(row_of)))
    for table, (first, into) in zip(tables, rows, strict=True):
        known = first & ~np.isnan(table.expression)
        rank_sum[into[known]] += ranks(table.expression[known])
        rank_count[into[known]] += 1
        known = first & (table.label >= 0)
        high[into[known]] += table.label[known]
        labelled[into[known]] += 1
    rank = np.divide(
        rank_sum, rank_count, out=np.full(len(row_of), np.nan), where=rank_count > 0
    )  # fmt: skip
    upper = np.zeros(len(row_of), dtype=np.bool_)
    if rank_count.any():
        upper = rank >= np.nanmedian(rank)
    label = np.where(2 * high == labelled, upper, 2 * high > labelled).astype(np.int8)
    label[labelled == 0] = -1
    chrom, strand = np.full(len(row_of), "", object), np.full(len(row_of), "+", object)
    start, end = np.zeros((2, len(row_of)), dtype=np.int64)
    for table, (first, into) in zip(tables, rows, strict=True):
        new = first & (table.chrom != "") & (chrom[into] == "")
        for column, values in (
            (chrom, table.chrom), (start, table.start), (end, table.end), (strand, table.strand),
        ):  # fmt: skip
            column[into[new]] = values[new]
    return GeneTable.build(list(row_of), chrom, start, end, strand, expression=rank, label=label)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of values below each, equal ones counted half, shape (genes,).

    Examples
    --------
    >>> ranks(np.array([0.0, 0.0, 3.0, 9.0])).tolist()
    [0.25, 0.25, 0.625, 0.875]
    """
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(values)))


def _same(one: str | Path, other: str | Path) -> bool:
    return Path(one).exists() and Path(other).exists() and Path(one).samefile(other)
