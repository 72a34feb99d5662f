"""The version of the distribution, kept apart so that the build can read it without importing."""

__version__ = "0.1.0"
