from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chromemodel.config import Normalisation
from chromemodel.data.dataset import check_classes, read_signals
from chromeprep.errors import FormatError, InputError, MismatchError
from chromeprep.format import ChromeBins

MakeBins = Callable[..., ChromeBins]
MakeFile = Callable[..., Path]
MARKS = ("H3K4me3", "H3K27me3", "H3K36me3")


def test_marks_are_found_by_name(make_bins: MakeBins, make_file: MakeFile) -> None:
    first = read_signals(make_file("a.h5"))
    data = make_bins()
    order = [2, 0, 1]
    mixed = replace(data, marks=data.marks.take(np.array(order)), signal=data.signal[:, order])
    second = read_signals(make_file("b.h5", mixed), layout=first.layout)
    assert second.layout.marks == MARKS
    np.testing.assert_array_equal(first.raw, second.raw)
    np.testing.assert_array_equal(first.own.mean, second.own.mean)
    for rule in ("file", "none"):
        np.testing.assert_array_equal(
            first.normalised(Normalisation(rule)), second.normalised(Normalisation(rule))
        )


def test_a_missing_mark_is_named(make_file: MakeFile) -> None:
    layout = read_signals(make_file("a.h5")).layout
    path = make_file("b.h5", marks=MARKS[:2])
    with pytest.raises(MismatchError, match="lacks H3K36me3; the marks expected are") as caught:
        read_signals(path, layout=layout)
    assert "--mark H3K4me3 --mark H3K27me3" in str(caught.value)
    assert str(path) in str(caught.value)
    # A run cannot be made to use the file by naming fewer marks.
    for marks in ((), MARKS, MARKS[:2]):
        with pytest.raises(MismatchError) as caught:
            read_signals(path, layout=layout, marks=marks, trained=True)
        assert "this run cannot use the file; train one that can" in str(caught.value)
        assert "-o RUN --mark H3K4me3 --mark H3K27me3" in str(caught.value)


def test_an_extra_mark_is_named_unless_marks_are_chosen(
    make_bins: MakeBins, make_file: MakeFile
) -> None:
    layout = read_signals(make_file("a.h5")).layout
    path = make_file("b.h5", marks=("CTCF", *MARKS))
    with pytest.raises(MismatchError, match="has CTCF besides"):
        read_signals(path, layout=layout)
    chosen = read_signals(path, layout=layout, marks=MARKS[::-1])
    assert chosen.layout.marks == MARKS
    np.testing.assert_array_equal(chosen.raw, make_bins(marks=("CTCF", *MARKS)).signal[:, 1:])
    with pytest.raises(MismatchError, match="the model was trained on"):
        read_signals(path, layout=layout, marks=MARKS[:2])


def test_marks_named_once_excuse_others_later(
    make_bins: MakeBins, make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_file()
    layout = read_signals(path, marks=MARKS[:2]).layout
    assert layout.marks_named
    caplog.set_level(logging.INFO)
    later = read_signals(path, layout=layout)
    np.testing.assert_array_equal(later.raw, make_bins().signal[:, :2])
    assert "marks that are not used: H3K36me3" in caplog.text
    with pytest.raises(MismatchError, match="lacks H3K27me3 and has H3K36me3 besides"):
        read_signals(make_file("b.h5", marks=(MARKS[0], MARKS[2])), layout=layout)


def test_marks_of_a_first_file_are_chosen(make_bins: MakeBins, make_file: MakeFile) -> None:
    path = make_file()
    chosen = read_signals(path, marks=("H3K36me3", "H3K4me3"))
    np.testing.assert_array_equal(chosen.raw, make_bins().signal[:, [2, 0]])
    with pytest.raises(MismatchError, match="no mark 'H3K4m3'; did you mean 'H3K4me3'"):
        read_signals(path, marks=("H3K4m3",))
    with pytest.raises(MismatchError, match="named twice"):
        read_signals(path, marks=("H3K4me3", "H3K4me3"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bin_size": 50}, "bin size is 50 bp, expected 100 bp; flank is 200 bp, expected 400 bp"),
        ({"n_bins": 10}, "flank is 500 bp, expected 400 bp; number of bins is 10, expected 8"),
        ({"orientation": "genome"}, "orientation is genome, expected 5p-to-3p"),
    ],
)
def test_other_windows_are_refused(
    make_file: MakeFile, change: dict[str, object], message: str
) -> None:
    layout = read_signals(make_file("a.h5")).layout
    with pytest.raises(MismatchError, match=message):
        read_signals(make_file("b.h5", **change), layout=layout)


def test_other_units_are_warned_of_and_another_assembly_told(
    make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    first = read_signals(make_file("a.h5"))
    caplog.set_level(logging.INFO)
    read_signals(make_file("same.h5"), layout=first.layout, known=first.record)
    assert not caplog.records
    path = make_file("b.h5", units="reads", assembly="mm10")
    read_signals(path, layout=first.layout, known=first.record)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert "H3K4me3 is in units 'reads'" in warnings[0].getMessage()
    assert "it was 'signal'" in warnings[0].getMessage()
    assert "mm10" in caplog.records[-1].getMessage()
    assert "hg19" in caplog.records[-1].getMessage()


def test_bad_signal(
    make_bins: MakeBins, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_bins()
    data.signal[3, 1, 2] = np.inf
    with pytest.raises(FormatError, match="mark H3K27me3 has infinite values"):
        read_signals(make_file("a.h5", data))
    none = np.zeros(0, dtype=int)
    empty = replace(data, genes=data.genes.take(none), signal=data.signal[none])
    monkeypatch.setattr("chromemodel.data.dataset.read_bins", lambda path: empty)
    with pytest.raises(FormatError, match="holds no genes"):
        read_signals(make_file("b.h5"))


def test_training_statistics_come_from_the_rows_given(make_file: MakeFile) -> None:
    signals = read_signals(make_file())
    rows = np.arange(120) < 30
    rule = signals.fitted(Normalisation("training"), rows)
    np.testing.assert_allclose(
        rule.mean, signals.raw[:30].astype(np.float64).mean(axis=(0, 2)), rtol=1e-9
    )
    assert signals.fitted(Normalisation("file"), rows) == Normalisation("file")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([-1, -1], "x.h5: no gene has a label\n  bin it with --expression"),
        ([-1, -1, -1, 0, 1], "too few genes have a label: none of the 2 is among the test genes"),
        ([1, 1, -1], r"all 2 labels among the test genes are high \(1\)"),
        ([0], r"all 1 labels among the test genes are low \(0\)"),
    ],
)
def test_both_classes_are_needed(label: list[int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_classes(
            np.array(label, dtype=np.int8), np.arange(len(label)) < 3, "test genes", "x.h5"
        )
    assert re.search(message, str(caught.value))
