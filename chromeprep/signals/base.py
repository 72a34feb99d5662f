"""What every reader of a signal file offers, and what they share."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import SignalError


class TrackInfo(NamedTuple):
    """What a file of bins records of a track before a bin is read.

    Attributes
    ----------
    chromosomes
        Name -> length in bp, as the file has them.
    units
        ``reads`` for counted alignments, ``signal`` where the track says nothing.
    count_rule
        How a bin gets its value, in words.
    n_mapped
        Mapped alignments in the file, -1 where it holds none.
    """

    chromosomes: Mapping[str, int]
    units: str
    count_rule: str
    n_mapped: int


class Track(Protocol):
    """A signal file that can be read in bins.

    A track is a frozen dataclass of its path and options; it opens the file for the time of a call,
    so that it can be sent to another process.
    """

    kind: ClassVar[str]

    @property
    def path(self) -> Path:
        """The file."""

    def info(self) -> TrackInfo:
        """Open the file, check that it can be read, and describe it.

        Raises
        ------
        SignalError
            Where the file is missing, of another kind, damaged or without its index.
        """

    def read_bins(
        self, chrom: str, starts: NDArray[np.int64], n_bins: int, bin_size_bp: int
    ) -> NDArray[np.float32]:
        """Read windows of one chromosome.

        Parameters
        ----------
        chrom
            As this file names it.
        starts
            First base of each window, 0-based, shape (windows,); windows may overlap, stand in any
            order and leave the chromosome.

        Returns
        -------
        ndarray of float32, shape (windows, n_bins)
            In genome orientation; 0 in bins wholly outside the chromosome.
        """


def check_file(path: Path, option: str) -> None:
    """Raise `SignalError` where `path` is not a file that can be opened."""
    if not path.exists():
        raise SignalError("no such file", path=path, hint=f"it was given with {option}")
    if path.is_dir():
        raise SignalError("is a folder, not a file", path=path)
    try:
        with path.open("rb") as handle:
            if not handle.read(1):
                raise SignalError("is empty", path=path)
    except OSError as error:
        raise SignalError(f"cannot be read: {error.strerror or error}", path=path) from error


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep C libraries from printing on the process's stderr inside the block.

    What they have to say is raised as an error by the caller, in words that name the file.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # there is no stderr to keep quiet
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
