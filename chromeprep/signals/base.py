"""What every reader of a signal file offers, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from numpy.typing import NDArray

from chromeprep.errors import SignalError
from chromeprep.signals.targets import Targets

# Called from any thread with the share of a file that was read since the last call. It may raise,
# to stop the reading.
Tick = Callable[[float], None]


def no_tick(share: float) -> None:
    """Take no notice of progress."""


class TrackInfo(NamedTuple):
    """What a file of bins records of a track before a bin is read.

    Attributes
    ----------
    chromosomes
        Name -> length in bp, as the file has them; None where files of this kind do not say.
    units
        ``reads`` for counted alignments, ``signal`` where the track says nothing.
    count_rule
        How a bin gets its value, in words.
    """

    chromosomes: Mapping[str, int] | None
    units: str
    count_rule: str


class TrackBins(NamedTuple):
    """What was read of a track.

    Attributes
    ----------
    values
        Shape (windows, bins), in the order in which the windows were asked for and in genome
        orientation; 0 in bins wholly outside the chromosome. float64, or integers where reads are
        counted.
    n_counted
        Reads (or fragments) of the whole file that passed the filters; -1 where they were not
        asked for or the file holds none.
    n_mapped
        Mapped alignments of the whole file, before the filters; -1 where unknown.
    """

    values: NDArray[Any]
    n_counted: int = -1
    n_mapped: int = -1


class Track(Protocol):
    """A signal file that can be read in bins.

    A track is a frozen dataclass of its path and options; it opens the file for the time of a call.
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
            Where the file is missing, of another kind, damaged or with an index that does not fit.
        """

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows.

        Parameters
        ----------
        targets
            The windows; their chromosomes are named as this file names them, or, where it does not
            say which it has, in any of the usual ways.
        threads
            How many may work at a time.
        tick
            Told of the progress; the shares add up to 1.

        Raises
        ------
        SignalError
            Where the file is damaged.
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
