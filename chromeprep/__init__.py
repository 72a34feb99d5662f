"""From ChIP-seq tracks and a gene annotation to signal in bins round the TSS."""

from chromeprep._version import __version__

__all__ = ["__version__"]
