"""Where do the page and its numbers for MultiQC go? Both appear, or neither."""

from __future__ import annotations

import os
from pathlib import Path

from chromeprep.format import atomic_file


def multiqc_path(output: str | Path) -> Path:
    """Return where the numbers of a page go: a name that MultiQC looks for.

    Examples
    --------
    >>> multiqc_path("results/E003.html").name
    'E003_mqc.json'
    """
    target = Path(output)
    return target.with_name(f"{target.stem}_mqc.json")


def write_both(output: str | Path, page: str, multiqc: str) -> None:
    """Write the page and, beside it, the numbers for MultiQC.

    Raises
    ------
    OutputError
        Where the system refuses to write.
    """
    with atomic_file(output) as one, atomic_file(multiqc_path(output)) as other:
        # Both are whole on the disk before either is given its name.
        for path, text in ((one, page), (other, multiqc)):
            with path.open("wb") as handle:
                handle.write(text.encode("utf-8", "replace"))
                handle.flush()
                os.fsync(handle.fileno())
