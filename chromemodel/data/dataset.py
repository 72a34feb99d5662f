"""Does a file fit what a model expects, and what does the model get from it?

Marks are found by name, whatever their order in the file.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import FileRecord, Layout, Normalisation
from chromemodel.data.normalise import Scale, Signal, fit_scale, normalise
from chromeprep.errors import FormatError, InputError, MismatchError, did_you_mean, shorten
from chromeprep.format import ChromeBins, Description, GeneTable, read_bins

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class GeneSignals:
    """Genes of a file with the marks of a layout.

    ``raw`` has shape (genes, marks, bins) in the file's units, 5' to 3'; ``own`` are the
    statistics of the file itself.
    """

    path: Path
    genes: GeneTable
    raw: Signal
    own: Scale
    layout: Layout
    record: FileRecord

    def normalised(self, rule: Normalisation) -> Signal:
        """Return a model's input, shape (genes, marks, bins)."""
        return normalise(self.raw, rule, self.own)

    def fitted(self, rule: Normalisation, rows: NDArray[np.bool_]) -> Normalisation:
        """Fill in the statistics of a ``training`` rule from some rows; others stay."""
        if rule.rule != "training":
            return rule
        scale = fit_scale(self.raw[rows])
        return Normalisation("training", tuple(scale.mean.tolist()), tuple(scale.std.tolist()))


def read_signals(
    path: str | Path,
    *,
    layout: Layout | None = None,
    known: FileRecord | None = None,
    marks: Sequence[str] = (),
    trained: bool = False,
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
    trained
        The layout is that of a run: a hint then says how to train another.

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
        layout = layout_of(data, path, marks)
        columns = _columns(data, layout.marks)
    else:
        check_window(layout, data, path)
        columns = match_marks(layout, data, path, marks, trained=trained)
    raw = data.signal[:, columns]
    for index, mark in enumerate(layout.marks):
        if np.isinf(raw[:, index]).any():
            raise FormatError(f"mark {mark} has infinite values", path=path)
    signals = GeneSignals(
        path=Path(path),
        genes=data.genes,
        raw=raw,
        own=Scale(data.marks.mean[columns], data.marks.std[columns]),
        layout=layout,
        record=_record(data, path, columns),
    )
    if known is not None:
        _compare(known, signals)
    return signals


def layout_of(data: Description, path: str | Path, marks: Sequence[str] = ()) -> Layout:
    """Return the layout of a file, with all of its marks or only those named, in that order.

    Raises
    ------
    MismatchError
        Where a named mark is not there, or named twice.
    """
    present = data.mark_names
    _check_chosen(marks, present, path)
    attributes = data.attributes
    return Layout(
        marks=tuple(marks) or tuple(present),
        bin_size_bp=attributes.bin_size_bp,
        flank_bp=attributes.flank_bp,
        n_bins=attributes.n_bins,
        orientation=attributes.orientation,
        marks_named=bool(marks),
    )


def check_window(layout: Layout, data: Description, path: str | Path) -> None:
    """Refuse a file whose windows are not those of the layout.

    Raises
    ------
    MismatchError
        It says which of bin size, flank, bins and orientation differ.
    """
    found = data.attributes
    differing = [
        f"{words} is {getattr(found, name)}{units}, expected {getattr(layout, name)}{units}"
        for name, words, units in (
            ("bin_size_bp", "bin size", " bp"),
            ("flank_bp", "flank", " bp"),
            ("n_bins", "number of bins", ""),
            ("orientation", "orientation", ""),
        )
        if getattr(found, name) != getattr(layout, name)
    ]
    if differing:
        raise MismatchError(
            "; ".join(differing),
            path=path,
            hint=f"bin it again: chromeprep bin --flank {layout.flank_bp} "
            f"--bin-size {layout.bin_size_bp} (or --like the other file)",
        )


def match_marks(
    layout: Layout,
    data: Description,
    path: str | Path,
    marks: Sequence[str] = (),
    *,
    trained: bool = False,
) -> NDArray[np.int64]:
    """Find the marks of a layout in a file, by name.

    Parameters
    ----------
    marks
        The marks as the user named them: the layout's, in any order. Then others in the file are
        no error, nor where the user named those of the layout.
    trained
        As for `read_signals`.

    Returns
    -------
    NDArray
        Shape (marks,): index of each mark of the layout in the file.

    Raises
    ------
    MismatchError
        Where a mark is missing, or left over and not excused by ``marks``.
    """
    expected = list(layout.marks)
    present = data.mark_names
    if marks:
        if set(marks) != set(expected):
            _check_chosen(marks, present, path)
            raise MismatchError(
                f"the marks to use are {shorten(marks)}; the model was trained on "
                f"{shorten(expected)}",
                path=path,
                hint=_way_out(expected, present, trained),
            )
        _check_chosen(marks, [*present, *expected], path)
    missing = [mark for mark in expected if mark not in present]
    extra = [mark for mark in present if mark not in expected]
    if missing or (extra and not (marks or layout.marks_named)):
        found = [f"lacks {shorten(missing)}"] if missing else []
        if extra:
            found.append(f"has {shorten(extra)} besides")
        raise MismatchError(
            f"{' and '.join(found)}; the marks expected are {shorten(expected)}",
            path=path,
            hint=_way_out(expected, present, trained),
        )
    if extra and not marks:
        logger.info("notice: %s: marks that are not used: %s", path, shorten(extra))
    return _columns(data, layout.marks)


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
            "no gene has a label", path=path, hint="bin it with --expression to have labels"
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
        if before != now:
            logger.warning(
                "warning: %s: %s is in units '%s', in %s it was '%s'; "
                "z-scores do not make counts and other signal the same",
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
        units=tuple(str(units) for units in data.marks.units[columns]),
    )


def _columns(data: Description, marks: Sequence[str]) -> NDArray[np.int64]:
    present = data.mark_names
    return np.array([present.index(mark) for mark in marks], dtype=np.int64)


def _check_chosen(marks: Sequence[str], present: Sequence[str], path: str | Path) -> None:
    for mark in marks:
        if mark not in present:
            raise MismatchError(f"no mark '{mark}'; {did_you_mean(mark, present)}", path=path)
        if list(marks).count(mark) > 1:
            raise MismatchError(f"mark '{mark}' is named twice", path=path)


def _way_out(expected: Sequence[str], present: Sequence[str], trained: bool) -> str:
    common = [mark for mark in expected if mark in present]
    options = " ".join(f"--mark {mark}" for mark in common)
    if not common:
        return "no mark is common to both"
    if trained and len(common) < len(expected):
        return (
            "this run cannot use the file; train one that can: "
            f"chromemodel train DATA.h5 -o RUN {options}"
        )
    return f"name the marks to use: {options}"
