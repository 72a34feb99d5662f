"""In which form do the genes of a fit lie in memory, and how do they get there?

As float32, as everything once was; in codes, which lose nothing (`chromemodel.data.codes`); as
float16; or as float32 in a file that the system reads as it is needed.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.config import Memory, Normalisation
from chromemodel.data.codes import Coded, encode
from chromemodel.data.dataset import GeneSignals
from chromemodel.data.normalise import Signal
from chromemodel.data.sources import Sources
from chromemodel.models.base import Labelled
from chromemodel.registry import Fitter
from chromemodel.train.free import free_bytes
from chromemodel.train.loop import label_tensor
from chromemodel.train.store import LEAST_CODE, Shelf, Signals, Store, Tables
from chromeprep.errors import ChromeError, OutputError
from chromeprep.format import read_signal_shape

logger = logging.getLogger(__name__)

Form = Literal["float32", "compact", "float16", "stream"]

#: Of free memory: ``auto`` keeps float32 up to this share, for it is there more than once while
#: files are read; codes while float32 would take no more than this, then they take half at most.
SMALL, LARGE = 1 / 8, 1 / 2
_CPU = torch.device("cpu")


class Kept(NamedTuple):
    """Normalised genes of one or more files; ``whole`` (genes, marks, bins) only as float32."""

    device: torch.device
    whole: Signal | None
    shelf: Shelf | None = None

    def of(self, rows: NDArray[np.bool_]) -> Signals:
        """Return the signal of some genes, as batches are taken of it on the device."""
        if self.whole is not None:
            return torch.from_numpy(self.whole[rows]).to(self.device)
        assert self.shelf is not None
        numbers = torch.from_numpy(np.flatnonzero(rows)).to(self.shelf.kept.device)
        return Store(self.shelf, numbers)

    def batched(self, label: NDArray[Any], rows: NDArray[np.bool_]) -> tuple[Signals, Tensor]:
        """Return signal and labels (genes,) of some genes, on the device."""
        return self.of(rows), label_tensor(label[rows]).to(self.device)

    def labelled(self, label: NDArray[Any], rows: NDArray[np.bool_]) -> Labelled:
        """Return what is fitted to all of some genes at once; only as float32."""
        assert self.whole is not None
        return Labelled(self.whole[rows], label[rows])

    def exact(self, file: GeneSignals, rule: Normalisation) -> Signal:
        """Return the genes of the one file that is kept, as float32 that nothing rounded."""
        return file.normalised(rule) if self.whole is None else self.whole


class _TooManyValuesError(Exception):
    """A mark of a file has too many different values for codes."""

    def __init__(self, file: GeneSignals, mark: int) -> None:
        super().__init__()
        self.path, self.mark = file.path, file.layout.marks[mark]


class Keeper:
    """Keeps the genes of a run in the form that was asked for.

    Parameters
    ----------
    asked
        ``auto`` chooses by the size of the files and what is free; it never rounds.
    paths
        All files of the run.
    marks
        Those that are used, by name; none for all.
    device
        That of the batches.
    beside
        Where the run folder will be: a file of ``stream`` lies in the same folder, without a name,
        so that it is gone when the process is, however that ends.
    fitter
        Of the model: scikit-learn takes float32 alone.
    """

    def __init__(
        self,
        asked: Memory,
        paths: Sequence[str | Path],
        marks: Sequence[str],
        device: torch.device,
        beside: Path,
        fitter: Fitter = "torch",
    ) -> None:
        self.asked, self.device, self.beside = asked, device, beside
        self.form: Form = asked if asked != "auto" else "float32"
        if asked == "auto" and fitter == "torch":
            shapes = [read_signal_shape(path) for path in paths]
            size = sum(4 * genes * (len(marks) or all_) * bins for genes, all_, bins in shapes)
            self.form = chosen(size, device)
            if self.form != "float32":
                self._tell(self.form, f"as float32 it would take {size / 1e9:.1f} GB")

    @property
    def hold(self) -> bool:
        """Whether raw signal may stay in memory until it is normalised."""
        return self.form == "float32"

    def keep(self, sources: Sources, rule: Normalisation) -> Kept:
        """Normalise genes, each file on its own, and keep them; raw signal is let go.

        Raises
        ------
        InputError
            As `GeneSignals.normalised`.
        ChromeError
            Where the signal has values that the form cannot hold.
        OutputError
            Where there is no room for a file to stream from.
        """
        if self.form == "compact":
            try:
                return self._kept(_in_codes(sources, rule, self.device))
            except _TooManyValuesError as found:
                words = f"mark {found.mark} has more than 65,536 different values"
                if self.asked != "auto":
                    raise ChromeError(
                        f"{words}; --memory compact loses none, and cannot hold so many",
                        path=found.path,
                        hint="use --memory stream, or float16, which rounds",
                    ) from found
                self.form = "stream"
                self._tell(self.form, f"in {found.path} {words}")
        if self.form == "float16":
            return self._kept(_rounded(sources, rule, self.device))
        if self.form == "stream":
            return self._kept(_streamed(sources, rule, self.device, self.beside))
        return Kept(self.device, sources.normalised(rule, let_go=True))

    def _kept(self, shelf: Shelf) -> Kept:
        return Kept(self.device, None, shelf)

    def _tell(self, form: Form, why: str) -> None:
        words = {"compact": "in codes of one or two bytes", "stream": "in a temporary file"}
        logger.info("notice: the signal is kept %s (--memory %s): %s", words[form], form, why)


def chosen(size: int, device: torch.device) -> Form:
    """Return the form of ``auto`` for signal that takes so many bytes as float32."""
    free = [free_bytes(one) for one in {_CPU, device}]
    least = min((one for one in free if one is not None), default=None)
    if least is None or size <= SMALL * least:
        return "float32"
    return "compact" if size <= LARGE * least else "stream"


def check_memory(asked: Memory, model: str, fitter: Fitter) -> None:
    """Refuse a form that a model cannot be fitted from.

    Raises
    ------
    ChromeError
        Where scikit-learn fits the model.
    """
    if fitter != "torch" and asked not in ("auto", "float32"):
        raise ChromeError(
            f"{model} is fitted by {fitter}, to all genes at once as float32; it cannot do with "
            f"--memory {asked}",
            hint="leave out --memory",
        )


def memory_notes(form: Form, baseline: str | None) -> tuple[str, ...]:
    """Return what a reader of the scores must know; ``baseline`` was to stand beside, or None."""
    notes = []
    if form == "float16":
        notes.append("the signal was rounded to float16 to train, not to predict")
    if form != "float32" and baseline is not None:
        notes.append(f"no {baseline} beside: it is fitted to all genes at once (--memory float32)")
    return tuple(notes)


def _in_codes(sources: Sources, rule: Normalisation, device: torch.device) -> Shelf:
    """Return codes, of two bytes once a file needs them."""
    kept: NDArray[np.uint8] | NDArray[np.int16] = np.empty(sources.shape, dtype=np.uint8)
    tables: list[Signal] = []
    file = np.empty(len(kept), dtype=np.int32)
    for number, (one, rows) in enumerate(sources.placed()):
        with one.held.at_hand() as raw:
            coded = encode(raw, one.normalised(rule))
        del raw
        one.held.let_go()
        if not isinstance(coded, Coded):
            raise _TooManyValuesError(one, coded)
        if kept.dtype == np.uint8 and coded.codes.dtype != np.uint8:
            wider = np.empty(kept.shape, dtype=np.int16)
            done = slice(rows.start)
            np.add(kept[done], LEAST_CODE, out=wider[done], dtype=np.int16)
            kept = wider
        least = 0 if kept.dtype == np.uint8 else LEAST_CODE
        np.add(coded.codes, least, out=kept[rows], dtype=np.int32, casting="unsafe")
        file[rows] = number
        tables += coded.tables
    ends = np.cumsum([len(table) for table in tables], dtype=np.int32)
    starts = (ends - [len(table) for table in tables]).reshape(-1, kept.shape[1])
    if kept.dtype != np.uint8:
        starts -= LEAST_CODE
    values, first, of = (
        torch.from_numpy(array).to(device)
        for array in (np.concatenate(tables), starts.astype(np.int32), file)
    )
    return Shelf(torch.from_numpy(kept).to(device), device, Tables(values, first, of))


def _rounded(sources: Sources, rule: Normalisation, device: torch.device) -> Shelf:
    kept = np.empty(sources.shape, dtype=np.float16)
    for one, rows in sources.placed():
        signal = one.normalised(rule)
        one.held.let_go()
        most = float(np.abs(signal).max(initial=0))
        if most > float(np.finfo(np.float16).max):
            raise ChromeError(
                f"a value is {most:g} after --normalise {rule.rule}; float16 ends at 65,504",
                path=one.path,
                hint="use another --normalise, or --memory compact or stream",
            )
        kept[rows] = signal
    return Shelf(torch.from_numpy(kept).to(device), device)


def _streamed(sources: Sources, rule: Normalisation, device: torch.device, beside: Path) -> Shelf:
    kept = mapped(sources.shape, beside)
    for one, rows in sources.placed():
        kept[rows] = one.normalised(rule)
        one.held.let_go()
    return Shelf(torch.from_numpy(kept), device)


def mapped(shape: tuple[int, ...], beside: Path) -> Signal:
    """Return float32 values that lie in a file without a name, in the folder of a path.

    Raises
    ------
    OutputError
        Where it cannot be made, or the disk has no room for it.
    """
    folder = next(one for one in beside.absolute().parents if one.is_dir())
    size = 4 * int(np.prod(shape))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk is told by a signal that kills
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"no file of {size / 1e9:.1f} GB to stream from: {error.strerror or error}",
            path=folder,
            hint="choose -o on a larger disk, or another --memory",
        ) from error
