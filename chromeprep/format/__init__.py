"""The file of bins: schema, writing, reading, validation, views.

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
from chromeprep.format.read import read_bins, read_description
from chromeprep.format.schema import FORMAT, FORMAT_VERSION
from chromeprep.format.write import write_bins

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "ChromeBins",
    "Description",
    "FileAttributes",
    "GeneTable",
    "MarkTable",
    "atomic_file",
    "atomic_folder",
    "check_writable",
    "read_bins",
    "read_description",
    "write_bins",
]
