"""What does a model get from a file: signal, labels, statistics?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import FileRecord, Layout, Normalisation, Transform
from chromemodel.data.layout import check_window, layout_of, mark_columns, match_marks
from chromemodel.data.normalise import (
    Scale,
    Signal,
    fit_normalisation,
    fit_scale,
    normalise,
    transform_signal,
    usable,
)
from chromeprep.errors import FormatError, InputError
from chromeprep.format import ChromeBins, GeneTable, read_bins

logger = logging.getLogger(__name__)


class RawSignal:
    """The raw signal of a file, in memory until it is let go, and from then on in the file.

    Parameters
    ----------
    path
        The file.
    columns
        The file's column of each mark, negative where it has none.
    n_bins
        So many in the middle of its windows.
    signal
        What was read: (genes, marks, bins).
    """

    def __init__(
        self, path: str | Path, columns: NDArray[np.int64], n_bins: int, signal: Signal
    ) -> None:
        self._path, self._columns, self._n_bins = path, columns, n_bins
        self._shape, self._signal = signal.shape, signal
        self._here = True

    @contextmanager
    def at_hand(self) -> Iterator[Signal]:
        """Hold the signal in memory inside the block; one that was let go is read again.

        Raises
        ------
        FormatError
            Where the file cannot be read any more, or has become another.
        """
        here = self._here
        if not here:
            signal = take_marks(read_bins(self._path).signal, self._columns, self._n_bins)
            if signal.shape != self._shape:
                raise FormatError("became another file while it was in use", path=self._path)
            self._signal, self._here = signal, True
        try:
            yield self._signal
        finally:
            if not here:
                self.let_go()

    def let_go(self) -> None:
        """Free the memory."""
        self._signal, self._here = np.empty((0, *self._shape[1:]), dtype=np.float32), False


@dataclass(frozen=True, eq=False)
class GeneSignals:
    """Genes of a file with the marks of a layout.

    ``own`` are the statistics of the file itself, of the raw signal.
    """

    path: Path
    genes: GeneTable
    held: RawSignal
    own: Scale
    layout: Layout
    record: FileRecord

    @property
    def raw(self) -> Signal:
        """The signal in the file's units, shape (genes, marks, bins), 5' to 3'.

        NaN for a mark that the file does without.
        """
        with self.held.at_hand() as signal:
            return signal

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which marks of the layout the file has and gives, shape (marks,)."""
        return np.asarray(~np.isnan(self.raw).all(axis=(0, 2)))

    def normalised(self, rule: Normalisation) -> Signal:
        """Return a model's input, shape (genes, marks, bins).

        Raises
        ------
        InputError
            Where the transform is ``log1p`` and a mark has negative values.
        """
        signal = self.transformed(rule.transform)
        # The statistics in the file are of raw values.
        return normalise(signal, rule, self.own if rule.transform == "none" else None)

    def scale(self, rule: Normalisation) -> Scale:
        """Return what `normalised` subtracts from each transformed mark, and what it divides by.

        Not of ``quantile``, which has more than a scale.
        """
        marks = len(self.layout.marks)
        if rule.rule == "none":
            return Scale(np.zeros(marks), np.ones(marks))
        if rule.by_training:
            return usable(Scale(np.array(rule.mean), np.array(rule.std)))
        return usable(self._own(rule))

    def gap_value(self, rule: Normalisation) -> NDArray[np.float64]:
        """Return what unknown values of each mark become, shape (marks,)."""
        if rule.rule == "none":
            return np.nan_to_num(self._own(rule).mean, nan=0.0)
        return np.zeros(len(self.layout.marks))

    def _own(self, rule: Normalisation) -> Scale:
        # The statistics in the file are of raw values.
        if rule.transform == "none":
            return self.own
        return fit_scale(self.transformed(rule.transform))

    def fitted(self, rule: Normalisation, rows: NDArray[np.bool_]) -> Normalisation:
        """Fill in what a rule keeps of the training genes, some rows of this file; others stay.

        Raises
        ------
        InputError
            As `normalised`.
        """
        if not rule.by_training:
            return rule
        return fit_normalisation(self.transformed(rule.transform)[rows], rule)

    def transformed(self, transform: Transform, marks: slice = slice(None)) -> Signal:
        """Return the signal of some marks after a transform, shape (genes, marks, bins).

        Raises
        ------
        InputError
            As `normalised`.
        """
        raw = self.raw[:, marks]
        names = self.layout.marks[marks] if transform == "log1p" else ()
        for index, mark in enumerate(names):
            values = raw[:, index]
            negative = int((values < 0).sum())
            if negative:
                raise InputError(
                    f"mark {mark} has {negative:,} negative values, down to "
                    f"{np.nanmin(values):g}; log1p takes none",
                    path=self.path,
                    hint="use --transform arcsinh, in training and so for every file of the run",
                )
        return transform_signal(raw, transform)


def read_signals(
    path: str | Path,
    *,
    layout: Layout | None = None,
    known: FileRecord | None = None,
    marks: Sequence[str] = (),
    window_bp: int | None = None,
    trained: bool = False,
    may_lack: bool = False,
    available: Sequence[str] = (),
) -> GeneSignals:
    """Read a file of bins and take from it what a model expects.

    Parameters
    ----------
    path
        A file that ``chromeprep bin`` made.
    layout
        What the model expects; None takes the file as it is (or its ``marks``).
    known
        The file the layout comes from: other units are warned of, another assembly is told.
    marks
        Marks to use, by name; then the file may hold others as well.
    window_bp
        With no layout: take this much on either side of the TSS, the middle of wider windows. The
        statistics of the file are then those of the middle.
    trained
        The layout is that of a run: a hint then says how to train another.
    may_lack
        The file may lack marks of the layout, not all: the run was trained with mark dropout.
    available
        The marks of the layout to use where it may lack some; by default those in the file.

    Raises
    ------
    FormatError
        Where the file is none of ours, has no genes, or infinite values.
    MismatchError
        Where marks are missing or left over, or the windows differ.
    """
    data = read_bins(path)
    if not len(data.genes):
        raise FormatError("holds no genes", path=path, hint="see the counts of `chromeprep bin`")
    if layout is None:
        layout = layout_of(data, path, marks, window_bp)
        columns = mark_columns(data, layout.marks)
    else:
        check_window(layout, data, path)
        columns = match_marks(
            layout, data, path, marks, trained=trained, may_lack=may_lack, available=available
        )
    raw = take_marks(data.signal, columns, layout.n_bins)
    lacking = columns < 0
    for index, mark in enumerate(layout.marks):
        if np.isinf(raw[:, index]).any():
            raise FormatError(f"mark {mark} has infinite values", path=path)
    signals = GeneSignals(
        path=Path(path),
        genes=data.genes,
        held=RawSignal(path, columns, layout.n_bins, raw),
        own=fit_scale(raw)
        if layout.n_bins < data.attributes.n_bins
        else Scale(
            np.where(lacking, np.nan, data.marks.mean[columns]),
            np.where(lacking, np.nan, data.marks.std[columns]),
        ),
        layout=layout,
        record=_record(data, path, columns),
    )
    if known is not None:
        _compare(known, signals)
    return signals


def take_marks(signal: Signal, columns: NDArray[np.int64], n_bins: int) -> Signal:
    """Return some columns of signal (genes, marks, bins) and the bins in the middle.

    A negative column is that of a mark which is not there, NaN throughout.

    Examples
    --------
    >>> signal = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    >>> take_marks(signal, np.array([1, -1]), 2).tolist()
    [[[5.0, 6.0], [nan, nan]]]
    """
    cut = (signal.shape[2] - n_bins) // 2
    if not cut and columns.tolist() == list(range(signal.shape[1])):
        return signal
    taken = signal[:, columns, cut : cut + n_bins]
    taken[:, columns < 0] = np.nan
    return taken


def labelled(signals: GeneSignals) -> NDArray[np.bool_]:
    """Return which genes have a label, shape (genes,)."""
    return np.asarray(signals.genes.label >= 0)


def check_classes(
    label: NDArray[np.int8],
    rows: NDArray[np.bool_],
    genes: str,
    path: str | Path,
    hint: str | None = None,
) -> None:
    """Refuse a file's genes of some rows, named in words, that do not hold both classes.

    Raises
    ------
    InputError
        It says how many genes of which class there are.
    """
    low, high = int((label[rows] == 0).sum()), int((label[rows] == 1).sum())
    if low and high:
        return
    if not (label >= 0).any():
        raise InputError(
            "no gene has a label",
            path=path,
            hint="bin it with --expression to have labels, or use `chromeprep label`",
        )
    if not low + high:
        raise InputError(
            f"too few genes have a label: none of the {int((label >= 0).sum())} is among the "
            f"{genes}",
            path=path,
            hint=hint,
        )
    raise InputError(
        f"all {low + high} labels among the {genes} are {'low (0)' if low else 'high (1)'}; "
        "both classes are needed",
        path=path,
        hint=hint,
    )


def _compare(known: FileRecord, signals: GeneSignals) -> None:
    for mark, before, now in zip(
        signals.layout.marks, known.units, signals.record.units, strict=True
    ):
        if now and before != now:
            logger.warning(
                "warning: %s: %s is in units '%s', in %s it was '%s'; "
                "z-scores do not make counts and other signal the same "
                "(--normalise quantile comes nearer)",
                signals.path, mark, now, known.path, before,
            )  # fmt: skip
    if known.assembly != signals.record.assembly:
        logger.info(
            "notice: %s: assembly is %s, that of %s is %s",
            signals.path, signals.record.assembly, known.path, known.assembly,
        )  # fmt: skip


def _record(data: ChromeBins, path: str | Path, columns: NDArray[np.int64]) -> FileRecord:
    return FileRecord(
        path=str(Path(path).resolve()),
        cell_type=data.attributes.cell_type,
        assembly=data.attributes.assembly,
        genes=len(data.genes),
        gene_digest=data.genes.digest(),
        units=tuple("" if one < 0 else str(data.marks.units[one]) for one in columns),
    )
