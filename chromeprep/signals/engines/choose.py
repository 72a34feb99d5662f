"""Other ways to read a track, which must come to the same: to check the usual one against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from chromeprep.signals.base import Tick, Track, TrackBins, TrackInfo, no_tick
from chromeprep.signals.targets import Targets

ENGINES = ("fast", "pysam", "bedtools")


@dataclass(frozen=True)
class EngineTrack:
    """A track read by an engine of `ENGINES` other than the first.

    Parameters
    ----------
    track
        The file and its options.
    engine
        ``pysam``: by pysam, pyBigWig and plain Python. ``bedtools``: by bedtools, which must be on
        PATH; the same libraries open the file for it.
    """

    track: Track
    engine: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.track.path

    @property
    def kind(self) -> str:
        """The kind of file."""
        return self.track.kind

    def info(self) -> TrackInfo:
        """Describe the file; see `chromeprep.signals.base.Track`."""
        if self.engine == "bedtools":
            from chromeprep.signals.engines.by_bedtools import check_bedtools

            check_bedtools(self.track)
        return self.track.info()

    def read(self, targets: Targets, *, threads: int = 1, tick: Tick = no_tick) -> TrackBins:
        """Read all windows; see `chromeprep.signals.base.Track`."""
        if self.engine == "bedtools":
            from chromeprep.signals.engines.by_bedtools import read_with_bedtools

            return read_with_bedtools(self.track, targets, threads, tick)
        from chromeprep.signals.engines.by_pysam import read_with_pysam

        return read_with_pysam(self.track, targets, threads, tick)


def with_engine(track: Track, engine: str) -> Track:
    """Return a track that reads the same file with another engine.

    Parameters
    ----------
    engine
        One of `ENGINES`; ``fast`` is the track itself.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; there are {', '.join(ENGINES)}")
    if engine == ENGINES[0]:
        return track
    return cast(Track, EngineTrack(track, engine))  # whose kind is not of the class
