"""Where a file came from: command line, versions, fingerprints of the inputs."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from chromeprep._version import __version__

_ENDS_BYTES = 1 << 20
_PACKAGES = ("h5py", "isal", "numba", "numpy", "pyBigWig", "pybedtools", "pysam")


def fingerprint(path: str | Path) -> str:
    """Tell one file from another without reading it whole.

    Returns
    -------
    str
        ``"size=… mtime=… blake2b=…"``, the digest over the first and the last MiB.
    """
    source = Path(path)
    status = source.stat()
    digest = blake2b(digest_size=16)
    with source.open("rb") as handle:
        digest.update(handle.read(_ENDS_BYTES))
        handle.seek(max(0, status.st_size - _ENDS_BYTES))
        digest.update(handle.read(_ENDS_BYTES))
    when = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    return f"size={status.st_size} mtime={when} blake2b={digest.hexdigest()}"


def record(
    argv: Sequence[str],
    inputs: Mapping[str, str | Path],
    details: Mapping[str, object] | None = None,
) -> str:
    """Return the line of JSON that a command leaves in a file's ``/provenance``.

    Parameters
    ----------
    argv
        The command line; empty where a library call was made.
    inputs
        Role (``gtf``, ``H3K4me3``, …) to file.
    details
        Anything else worth keeping, JSON.
    """
    return json.dumps(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "argv": list(argv),
            "versions": {"transferchrome": __version__, "python": platform.python_version()}
            | _versions(),
            "inputs": {
                role: {"path": str(path), "fingerprint": fingerprint(path)}
                for role, path in inputs.items()
            },
            **(details or {}),
        }
    )


def _versions() -> dict[str, str]:
    """Return the versions of those packages that this process uses."""
    loaded = {name: sys.modules[name] for name in _PACKAGES if name in sys.modules}
    return {
        name: str(module.__version__)
        for name, module in loaded.items()
        if hasattr(module, "__version__")
    }
