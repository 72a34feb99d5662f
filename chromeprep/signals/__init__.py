"""Signal files, one reader a kind, behind the contract of `chromeprep.signals.base.Track`."""

from chromeprep.signals.bam.track import BamTrack
from chromeprep.signals.base import Track, TrackBins, TrackInfo
from chromeprep.signals.bigwig.track import BigWigTrack
from chromeprep.signals.cram.track import CramTrack
from chromeprep.signals.reads import EXCLUDED_FLAGS, ReadRule
from chromeprep.signals.targets import Targets
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
