"""Genes in codes, rounded or streamed: the same numbers as float32, in less memory."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from chromemodel.config import Memory, Normalisation, NormaliseRule, Quantiles, Transform
from chromemodel.data.codes import MOST, Coded, encode
from chromemodel.data.dataset import read_signals
from chromemodel.data.normalise import normalise, transform_signal
from chromemodel.data.sources import Sources, read_sources
from chromemodel.train import free, keeping
from chromemodel.train.keeping import Keeper, Kept
from chromemodel.train.loop import FitData
from chromemodel.train.resume import data_digest
from chromemodel.train.store import Store, blocks
from chromeprep.errors import ChromeError, FormatError, OutputError
from chromeprep.format import ChromeBins, MarkTable, write_bins

CPU = torch.device("cpu")
RULES, TRANSFORMS = get_args(NormaliseRule), get_args(Transform)
OTHERS: tuple[Memory, ...] = ("compact", "float16", "stream")

MakeBins = Callable[..., ChromeBins]


def bits(values: Any) -> NDArray[np.uint32]:
    """0 and -0 are equal, and NaN is not; bits say it all."""
    return np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)


def with_signal(data: ChromeBins, signal: NDArray[Any]) -> ChromeBins:
    signal = signal.astype(np.float32)
    marks = MarkTable.build(data.mark_names, signal, units=["signal"] * len(data.marks))
    return replace(data, signal=signal, marks=marks)


@pytest.fixture
def paths(make_bins: MakeBins, tmp_path: Path) -> list[Path]:
    """Three cell types: calls; counts of up to thousands, some unknown; fractions."""
    found = []
    for seed, name in enumerate("ABC"):
        data = make_bins(n_genes=40 + 10 * seed, seed=seed, cell_type=name)
        whole = np.maximum(np.round(2 * data.signal - 4), 0)
        if name == "A":
            whole = np.minimum(whole, 1)
        elif name == "B":
            whole = np.round(whole**5)
            whole[3, 1, :] = np.nan
        else:
            whole = whole * 0.37
        found.append(tmp_path / f"{name}.h5")
        write_bins(found[-1], with_signal(data, whole))
    return found


def kept(memory: Memory, paths: list[Path], rule: Normalisation) -> Kept:
    keeper = Keeper(memory, paths, (), CPU, paths[0].parent / "run")
    near = read_sources(paths, hold=keeper.hold)
    fitted = near.fitted(rule, np.arange(len(near.rows)) % 3 > 0)
    return keeper.keep(near, fitted)


# --- codes ----------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 255.0, 256.0, 65_534.0, 65_535.0, float("nan")]),
    st.sampled_from([0.5, 1.25, 3e-8, 1e30, 70_000.0]),
)
LEVELS = (Quantiles((0.25, 0.75), (0.0, 4.0)),) * 4


@given(
    arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=4), elements=VALUES),
    st.sampled_from(RULES),
    st.sampled_from(TRANSFORMS),
)
def test_codes_are_worth_the_very_values(
    raw: NDArray[np.float32], rule: NormaliseRule, transform: Transform
) -> None:
    n_marks = raw.shape[1]
    fitted = Normalisation(rule, (0.3,) * n_marks, (1.7,) * n_marks, transform, LEVELS[:n_marks])
    with np.errstate(over="ignore", invalid="ignore"):
        signal = normalise(transform_signal(raw, transform), fitted)
        coded = encode(raw, signal)
    if isinstance(coded, int):  # 0 and -0 in one mark, which only "none" keeps apart
        assert (raw[:, coded] == 0).any()
        assert len(np.unique(bits(signal[:, coded]))) > len(np.unique(signal[:, coded]))
        return
    np.testing.assert_array_equal(bits(coded.decoded()), bits(signal))


def test_codes_take_one_byte_while_they_can() -> None:
    few = np.arange(256, dtype=np.float32).reshape(1, 1, 256)
    for raw, dtype in ((few, np.uint8), (few * 0.1, np.uint8), (few + 1, np.uint16)):
        coded = encode(raw, raw)
        assert isinstance(coded, Coded)
        assert coded.codes.dtype == dtype
        np.testing.assert_array_equal(bits(coded.decoded()), bits(raw))


def test_more_values_than_codes_are_told_by_their_mark() -> None:
    many = np.linspace(0, 1, MOST, dtype=np.float64).astype(np.float32).reshape(64, 1, -1)
    assert isinstance(encode(many, many), Coded)
    unknown = np.append(many, np.full((1, *many.shape[1:]), np.nan, np.float32), axis=0)
    assert encode(unknown, unknown) == 0
    late = np.zeros((400, 2, 1024), dtype=np.float32)  # the first values do not tell
    late[-70:, 1] = np.random.default_rng(0).normal(size=(70, 1024))
    assert encode(late, late) == 1


# --- all forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("memory", OTHERS)
def test_every_form_gives_the_genes_of_float32(
    memory: Memory, rule: NormaliseRule, transform: Transform, paths: list[Path]
) -> None:
    asked = Normalisation(rule, transform=transform)
    if memory == "float16" and rule == "none" and transform == "none":
        asked = Normalisation("file")  # the counts are larger than float16 knows
    expected = kept("float32", paths, asked).whole
    assert expected is not None
    own = kept(memory, paths, asked)
    assert own.whole is None
    rows = np.arange(len(expected)) % 4 != 1
    x = own.of(rows)
    assert (x.shape, x.dtype, x.device) == (expected[rows].shape, torch.float32, CPU)
    every = torch.cat(list(blocks(x))).numpy()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(bits(x.index_select(0, order)), bits(every[order]))
    if memory == "float16":
        np.testing.assert_allclose(every, expected[rows], rtol=2**-11, atol=2**-25)
        assert not np.array_equal(every, expected[rows])
    else:
        np.testing.assert_array_equal(bits(every), bits(expected[rows]))


def test_what_the_forms_take(paths: list[Path]) -> None:
    rule = Normalisation()
    size = kept("float32", paths, rule).whole.nbytes  # type: ignore[union-attr]
    found = {memory: kept(memory, paths, rule).shelf for memory in OTHERS}
    one = kept("compact", paths[:1], rule).shelf
    assert found["stream"].nbytes == size  # type: ignore[union-attr]
    assert found["float16"].nbytes == size / 2  # type: ignore[union-attr]
    assert (one.kept.dtype, one.tables.values.nbytes) == (torch.uint8, 3 * 2 * 4)  # type: ignore[union-attr]
    assert found["compact"].kept.dtype == torch.int16  # type: ignore[union-attr]


def test_a_store_gives_whole_genes_and_copies_none(paths: list[Path]) -> None:
    own = kept("compact", paths, Normalisation())
    first, second = (own.of(np.arange(150) % 2 == part) for part in (0, 1))
    assert isinstance(first, Store)
    assert isinstance(second, Store)
    assert first.shelf is second.shelf
    with pytest.raises(ValueError, match="axis 1"):
        first.index_select(1, torch.tensor([0]))


def test_a_digest_is_of_what_a_fit_sees(paths: list[Path]) -> None:
    def digest(memory: Memory) -> str:
        own, rows = kept(memory, paths, Normalisation()), np.arange(150) < 90
        y = torch.zeros(90, dtype=torch.int64)
        return data_digest(FitData(own.of(rows), y, own.of(~rows)))

    assert digest("float32") == digest("compact") == digest("stream") != digest("float16")


def test_files_come_into_memory_one_at_a_time(make_bins: MakeBins, tmp_path: Path) -> None:
    paths = []
    for seed in range(24):
        data = make_bins(n_genes=200, n_bins=100, seed=seed, cell_type=f"C{seed}")
        paths.append(tmp_path / f"{seed}.h5")
        write_bins(paths[-1], with_signal(data, np.maximum(np.round(data.signal), 0)))
    one = 200 * 3 * 100 * 4
    peaks = {}
    for memory in (*OTHERS, "float32"):
        tracemalloc.start()
        own = kept(memory, paths, Normalisation())
        peaks[memory] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del own
    # numpy tells what it allocates; what a file of ids and the like takes is the same for all.
    assert peaks["stream"] < 12 * one
    assert peaks["compact"] < peaks["stream"] + (24 / 4 + 2) * one
    assert peaks["float16"] < peaks["stream"] + (24 / 2 + 2) * one
    assert peaks["float32"] > 24 * 2 * one


# --- which form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("free_mb", "form"), [(8, "float32"), (7, "compact"), (1.9, "stream")])
def test_auto_goes_by_what_is_free(
    free_mb: float, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "free_bytes", lambda device: int(free_mb * 1e6))
    assert keeping.chosen(1_000_000, CPU) == form
    monkeypatch.setattr(keeping, "free_bytes", lambda device: None)
    assert keeping.chosen(10**18, CPU) == "float32"


def test_auto_says_what_it_chose(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert kept("auto", paths, Normalisation()).whole is not None
    assert "memory" not in caplog.text
    monkeypatch.setattr(keeping, "free_bytes", lambda device: 4 * 150 * 3 * 8 * 4)
    assert kept("auto", paths, Normalisation()).shelf.tables is not None  # type: ignore[union-attr]
    assert "kept in codes of one or two bytes (--memory compact)" in caplog.text
    monkeypatch.setattr("chromemodel.data.codes.MOST", 5)
    monkeypatch.setattr("chromemodel.data.codes._GLANCE", 0)
    own = kept("auto", paths, Normalisation())
    assert own.shelf is not None
    assert own.shelf.tables is None
    assert "B.h5 mark H3K4me3 has more than 65,536" in caplog.text
    assert own.shelf.kept.dtype == torch.float32
    with pytest.raises(ChromeError, match=r"H3K4me3 has more than 65,536") as error:
        kept("compact", paths, Normalisation())
    assert "--memory stream" in str(error.value.hint)


def test_float16_refuses_what_it_cannot_hold(paths: list[Path]) -> None:
    with pytest.raises(ChromeError, match=r"B\.h5.*float16 ends at 65,504"):
        kept("float16", paths, Normalisation("none"))


# --- the file that is streamed --------------------------------------------------------------------


def test_the_file_has_no_name(paths: list[Path]) -> None:
    before = sorted(paths[0].parent.iterdir())
    own = kept("stream", paths, Normalisation())
    assert sorted(paths[0].parent.iterdir()) == before
    assert own.shelf is not None
    assert own.shelf.kept.abs().sum() > 0
    whole = (paths[0].parent / "not" / "there" / "yet" / "run").absolute()
    assert keeping.mapped((2, 3, 4), whole).shape == (2, 3, 4)
    assert sorted(paths[0].parent.iterdir()) == before


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"no file of 4\.0 GB.*No space left") as error:
        keeping.mapped((1000, 1000, 1000), tmp_path / "run")
    assert error.value.path == tmp_path


# --- raw signal -----------------------------------------------------------------------------------


def test_raw_signal_is_read_again_once_it_was_let_go(
    paths: list[Path], make_bins: MakeBins
) -> None:
    signals = read_signals(paths[1], marks=("H3K36me3", "H3K4me3"), window_bp=200)
    before = signals.raw
    assert before.shape == (50, 2, 4)
    assert signals.raw is before
    signals.held.let_go()
    again = signals.raw
    assert again is not before
    assert signals.raw is not again
    np.testing.assert_array_equal(bits(again), bits(before))
    with signals.held.at_hand() as one, signals.held.at_hand() as two:
        assert one is two
    write_bins(paths[1], make_bins(n_genes=49))
    with pytest.raises(FormatError, match=r"B\.h5.*another file"):
        _ = signals.raw


def test_keeping_lets_raw_signal_go(paths: list[Path]) -> None:
    for memory in get_args(Memory):
        signals = read_signals(paths[0])
        Keeper(memory, paths[:1], (), CPU, paths[0]).keep(Sources((signals,)), Normalisation())
        assert signals.raw is not signals.raw, memory


# --- what is free ---------------------------------------------------------------------------------


def test_what_is_free_is_limited_by_the_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_here = free.free_bytes(CPU)
    assert free_here is not None
    assert free_here > 2**20
    monkeypatch.setattr(free, "_groups", lambda: [tmp_path, tmp_path / "none"])
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700\n")
    assert free.free_bytes(CPU) > 2**20  # type: ignore[operator]
    (tmp_path / "memory.max").write_text("1000\n")
    assert free.free_bytes(CPU) == 300
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 50\nactive_file 10\n")
    assert free.free_bytes(CPU) == 350
    (tmp_path / "memory.current").write_text("2000\n")
    assert free.free_bytes(CPU) == 0
    assert free.free_bytes(torch.device("mps")) is None
