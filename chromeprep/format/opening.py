"""Is this an HDF5 file of ours, of which kind, and can this version read it?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py

from chromeprep.errors import FormatError
from chromeprep.format import panel_schema, schema


class Kind(NamedTuple):
    """A kind of file: its format and the version that is read here, and how messages speak of it.

    ``what`` completes "a file …", ``command`` makes one, ``again`` mends a damaged one.
    """

    format: str
    version: int
    what: str
    command: str
    again: str


BINS = Kind(
    schema.FORMAT, schema.FORMAT_VERSION, "of bins", "chromeprep bin", "bin the tracks again"
)
PANEL = Kind(
    panel_schema.FORMAT,
    panel_schema.FORMAT_VERSION,
    "of a panel",
    "chromeprep panel",
    "make the panel again",
)


def is_panel(path: str | Path) -> bool:
    """Say whether a file is, or means to be, a panel; what is wrong with it its reader will say."""
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("format")
    except (OSError, RuntimeError):
        return False
    return isinstance(found, str) and found == PANEL.format


@contextlib.contextmanager
def open_kind(path: str | Path, kind: Kind) -> Iterator[h5py.File]:
    """Open a file for reading and check that it is of a kind, in a version that is known here.

    Errors that h5py raises inside the block come out as `FormatError` with the path.
    """
    source = Path(path)
    if not source.exists():
        raise FormatError("no such file", path=source)
    if source.is_dir():
        raise FormatError(f"is a folder, not a file {kind.what}", path=source)
    try:
        with h5py.File(source, "r") as file:
            _check_version(file, kind)
            yield file
    except FormatError as error:
        if error.path is None:
            raise FormatError(error.message, path=source, hint=error.hint) from error
        raise
    except PermissionError as error:
        raise FormatError("cannot be read: permission denied", path=source) from error
    except (OSError, RuntimeError, KeyError) as error:
        if not h5py.is_hdf5(source):
            raise FormatError(
                "is not an HDF5 file", path=source, hint=f"make one with `{kind.command}`"
            ) from error
        raise FormatError(f"damaged: {error}", path=source, hint=kind.again) from error


def _check_version(file: h5py.File, kind: Kind) -> None:
    found = file.attrs.get("format")
    if not isinstance(found, str) or found != kind.format:
        raise FormatError(
            f"is an HDF5 file, but not one {kind.what}: attribute 'format' is {found!r}, "
            f"expected {kind.format!r}",
            hint=f"make one with `{kind.command}`",
        )
    stored = file.attrs.get("format-version", 0)
    try:
        version = int(stored)
    except (TypeError, ValueError):
        raise FormatError(
            f"attribute 'format-version' is {stored!r}, which cannot be read as int"
        ) from None
    if version > kind.version:
        raise FormatError(
            f"has format version {version}; this chromeprep reads up to {kind.version}",
            hint="upgrade transferchrome",
        )
    if version < 1:
        raise FormatError(f"has format version {version}; the first one is 1")
