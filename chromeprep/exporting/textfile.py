"""How is a text file written, plain or gzipped?"""

from __future__ import annotations

import contextlib
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LEVEL = 6


@contextlib.contextmanager
def open_text(path: Path, *, zipped: bool) -> Iterator[IO[str]]:
    """Open for writing in UTF-8, lines ending in a newline only.

    The gzip header holds neither name nor time: the same text gives the same bytes.
    """
    with path.open("wb") as raw:
        if not zipped:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as handle:
                yield handle
            return
        with (
            gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as handle,
        ):
            yield handle


def is_gzip_name(path: Path) -> bool:
    """Say whether a file of this name is to be gzipped.

    Examples
    --------
    >>> is_gzip_name(Path("a.csv.gz")), is_gzip_name(Path("a.csv"))
    (True, False)
    """
    return path.name.endswith(".gz")
