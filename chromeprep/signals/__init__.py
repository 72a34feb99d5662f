"""Signal files, one reader a kind, behind the contract of `chromeprep.signals.base.Track`."""

from chromeprep.signals.bam import EXCLUDED_FLAGS, BamTrack
from chromeprep.signals.base import Track, TrackInfo
from chromeprep.signals.bigwig import BigWigTrack

__all__ = ["EXCLUDED_FLAGS", "BamTrack", "BigWigTrack", "Track", "TrackInfo"]
