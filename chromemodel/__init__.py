"""Train, evaluate and adapt models of gene expression from histone marks round the TSS."""

from chromeprep._version import __version__

__all__ = ["__version__"]
