"""What do the command lines of the measurements share?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def parser(doc: str | None, *, real_data: bool = False) -> argparse.ArgumentParser:
    """Return a parser that describes itself by the first line of a module's docstring.

    Parameters
    ----------
    doc
        The module's ``__doc__``.
    real_data
        Add ``--data``, the folder of real data, by default ``$CHROME_REAL_DATA``.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    if real_data:
        named = os.environ.get("CHROME_REAL_DATA")
        made.add_argument("--data", type=Path, default=named, required=named is None,
                          help="folder of real data; by default $CHROME_REAL_DATA")  # fmt: skip
    return made
