"""Signal files, one reader a kind, behind the contract of `chromeprep.signals.base.Track`.

A reader is imported when it is first asked for: a call seldom needs two.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from chromeprep.signals.base import Track, TrackBins, TrackInfo
from chromeprep.signals.reads import EXCLUDED_FLAGS, ReadRule
from chromeprep.signals.targets import Targets

if TYPE_CHECKING:
    from chromeprep.signals.bam.track import BamTrack
    from chromeprep.signals.bigwig.track import BigWigTrack
    from chromeprep.signals.cram.track import CramTrack
    from chromeprep.signals.text.bed import BedTrack, TagAlignTrack
    from chromeprep.signals.text.bedgraph import BedGraphTrack

__all__ = [
    "EXCLUDED_FLAGS",
    "BamTrack",
    "BedGraphTrack",
    "BedTrack",
    "BigWigTrack",
    "CramTrack",
    "ReadRule",
    "TagAlignTrack",
    "Targets",
    "Track",
    "TrackBins",
    "TrackInfo",
]

_READERS = {
    "BamTrack": "bam.track",
    "BedGraphTrack": "text.bedgraph",
    "BedTrack": "text.bed",
    "BigWigTrack": "bigwig.track",
    "CramTrack": "cram.track",
    "TagAlignTrack": "text.bed",
}


def __getattr__(name: str) -> Any:
    if name not in _READERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_READERS[name]}"), name)
