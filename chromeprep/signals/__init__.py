"""Signal files, one reader a kind, behind the contract of `chromeprep.signals.base.Track`."""

from chromeprep.signals.bam import BamTrack
from chromeprep.signals.base import Track, TrackBins, TrackInfo
from chromeprep.signals.bed import BedTrack, TagAlignTrack
from chromeprep.signals.bedgraph import BedGraphTrack
from chromeprep.signals.bigwig import BigWigTrack
from chromeprep.signals.cram import CramTrack
from chromeprep.signals.reads import EXCLUDED_FLAGS, ReadRule
from chromeprep.signals.targets import Targets

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
