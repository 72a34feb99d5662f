"""Which marks and which window does a model take of a file, and does the file have them?

Marks are found by name, whatever their order in the file.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import Layout
from chromeprep.errors import MismatchError, did_you_mean, shorten
from chromeprep.format import Description

logger = logging.getLogger(__name__)


def layout_of(
    data: Description,
    path: str | Path,
    marks: Sequence[str] = (),
    window_bp: int | None = None,
) -> Layout:
    """Return the layout of a file, with all of its marks or only those named, in that order.

    Parameters
    ----------
    window_bp
        On either side of the TSS; None for the windows of the file.

    Raises
    ------
    MismatchError
        Where a named mark is not there, or named twice; where the window is none of whole bins in
        the middle of the file's.
    """
    present = data.mark_names
    _check_chosen(marks, present, path)
    attributes = data.attributes
    flank_bp, n_bins = attributes.flank_bp, attributes.n_bins
    if window_bp is not None:
        check_middle(window_bp, data, path)
        flank_bp, n_bins = window_bp, n_bins - 2 * (flank_bp - window_bp) // attributes.bin_size_bp
    return Layout(
        marks=tuple(marks) or tuple(present),
        bin_size_bp=attributes.bin_size_bp,
        flank_bp=flank_bp,
        n_bins=n_bins,
        orientation=attributes.orientation,
        marks_named=bool(marks),
        window_named=window_bp is not None,
    )


def check_middle(window_bp: int, data: Description, path: str | Path) -> None:
    """Refuse a window that is not of whole bins in the middle of a file's.

    Raises
    ------
    MismatchError
        It says what the file has.
    """
    bin_size_bp, flank_bp = data.attributes.bin_size_bp, data.attributes.flank_bp
    has = f"the file has {flank_bp} bp on either side in bins of {bin_size_bp} bp"
    if window_bp > flank_bp:
        raise MismatchError(
            f"a window of {window_bp} bp on either side is wider than the file's; {has}",
            path=path,
            hint=f"bin it again: chromeprep bin --flank {window_bp} --bin-size {bin_size_bp}",
        )
    if window_bp < bin_size_bp or (flank_bp - window_bp) % bin_size_bp:
        raise MismatchError(
            f"a window of {window_bp} bp on either side does not end between two bins; {has}",
            path=path,
            hint=f"choose a window that is {flank_bp} less some times {bin_size_bp}",
        )


def check_window(layout: Layout, data: Description, path: str | Path) -> None:
    """Refuse a file whose windows are not those of the layout.

    Raises
    ------
    MismatchError
        It says which of bin size, flank, bins and orientation differ.
    """
    found = data.attributes
    named = layout.window_named and found.bin_size_bp == layout.bin_size_bp
    if named and found.flank_bp != layout.flank_bp:
        check_middle(layout.flank_bp, data, path)
    skipped = ("flank_bp", "n_bins") if named else ()
    differing = [
        f"{words} is {getattr(found, name)}{units}, expected {getattr(layout, name)}{units}"
        for name, words, units in (
            ("bin_size_bp", "bin size", " bp"),
            ("flank_bp", "flank", " bp"),
            ("n_bins", "number of bins", ""),
            ("orientation", "orientation", ""),
        )
        if name not in skipped and getattr(found, name) != getattr(layout, name)
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
    may_lack: bool = False,
    available: Sequence[str] = (),
) -> NDArray[np.int64]:
    """Find the marks of a layout in a file, by name.

    Parameters
    ----------
    marks
        The marks as the user named them: the layout's, in any order. Then others in the file are
        no error, nor where the user named those of the layout.
    trained, may_lack, available
        As for `read_signals`.

    Returns
    -------
    NDArray
        Shape (marks,): index of each mark of the layout in the file, -1 where it does without.

    Raises
    ------
    MismatchError
        Where a mark is missing and may not be, or left over and not excused by ``marks``.
    """
    expected = list(layout.marks)
    present = data.mark_names
    if available:
        return _available(layout, present, path, available, may_lack)
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
    if may_lack and 0 < len(missing) < len(expected):
        logger.info("notice: %s: predicted without %s, which it lacks", path, shorten(missing))
        missing = []
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
    return mark_columns(data, layout.marks)


def mark_columns(data: Description, marks: Sequence[str]) -> NDArray[np.int64]:
    """Return the index in a file of each mark, -1 where it is not there, shape (marks,)."""
    return _columns(data.mark_names, marks)


def _columns(present: Sequence[str], marks: Sequence[str]) -> NDArray[np.int64]:
    return np.array(
        [present.index(mark) if mark in present else -1 for mark in marks], dtype=np.int64
    )


def _available(
    layout: Layout,
    present: Sequence[str],
    path: str | Path,
    available: Sequence[str],
    may_lack: bool,
) -> NDArray[np.int64]:
    """Return the columns of the marks that are to be used, -1 for the others of the layout."""
    if not may_lack:
        raise MismatchError(
            "the run was trained with all of its marks, and cannot do without any",
            path=path,
            hint="train one with --mark-dropout, or one for these marks: "
            + " ".join(f"--mark {mark}" for mark in available),
        )
    for mark in available:
        if mark not in layout.marks:
            raise MismatchError(
                f"the run knows no mark '{mark}'; {did_you_mean(mark, layout.marks)}", path=path
            )
    _check_chosen(available, present, path)
    return _columns([mark if mark in available else "" for mark in present], layout.marks)


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
            f"chromemodel train DATA.h5 -o RUN {options} (or, for any marks, --mark-dropout 0.3)"
        )
    return f"name the marks to use: {options}"
