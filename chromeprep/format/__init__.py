"""The file of bins and the panel file: schema, writing, reading, validation, views.

This package and `chromeprep.errors` are all that `chromemodel` knows of `chromeprep` (and, for its
command line, `chromeprep.cli._shell`).
"""

from chromeprep.format.atomic import atomic_file, atomic_folder, check_writable
from chromeprep.format.model import (
    ChromeBins,
    Description,
    FileAttributes,
    GeneTable,
    MarkTable,
)
from chromeprep.format.panel import GeneSummary, Panel
from chromeprep.format.panel_file import read_panel, write_panel
from chromeprep.format.read import read_bins, read_description, read_signal_shape
from chromeprep.format.schema import FORMAT, FORMAT_VERSION
from chromeprep.format.write import write_bins

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "ChromeBins",
    "Description",
    "FileAttributes",
    "GeneSummary",
    "GeneTable",
    "MarkTable",
    "Panel",
    "atomic_file",
    "atomic_folder",
    "check_writable",
    "read_bins",
    "read_description",
    "read_panel",
    "read_signal_shape",
    "write_bins",
    "write_panel",
]
