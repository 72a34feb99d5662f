"""Write beside the target and rename, so that a reader never sees half of a result."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from chromeprep.errors import OutputError


def check_writable(
    path: str | Path, *, force: bool, inputs: Iterable[str | Path] | None = None
) -> Path:
    """Check, before work starts, that a result can be put at `path`.

    Parameters
    ----------
    path
        Where a file or a folder is to be written.
    force
        Something that is there already may be replaced.
    inputs
        Given where `path` is to be a file: then only another file may be replaced, and none of
        these, which it is made from.

    Raises
    ------
    OutputError
        Where something is there that must not be replaced, where the folder does not exist or
        cannot be written to.
    """
    target = Path(path)
    if inputs is not None and target.exists():
        if not target.is_file():
            what = "a folder" if target.is_dir() else "a pipe or device"
            raise OutputError(f"is {what}, not a file that can be replaced", path=target)
        if any(Path(entry).exists() and target.samefile(entry) for entry in inputs):
            raise OutputError(
                "is one of the inputs and would be replaced", path=target,
                hint="choose another name for the output",
            )  # fmt: skip
    if target.exists() and not force:
        raise OutputError("exists already", path=target, hint="use --force to replace it")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"the folder {folder} does not exist", path=target, hint=f"mkdir -p {folder}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} cannot be written to", path=target)
    return target


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it to `path` if the block succeeds.

    On any failure, interrupts too, the temporary file is removed and `path` is as it was.

    Raises
    ------
    OutputError
        Where the system refuses to write (disk full, a folder in the way, …).
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError("is a folder, not a file", path=target)
    temporary = _temporary(target, folder=False)
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", path=target) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` and put it at `path` if the block succeeds.

    A folder that is there already is replaced; on any failure it stays as it was.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise OutputError("is a file, not a folder", path=target)
    temporary = _temporary(target, folder=True)
    old = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        if target.exists():
            os.rename(target, old)
        try:
            os.rename(temporary, target)
        except OSError:
            if old.exists():
                os.rename(old, target)
            raise
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", path=target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _temporary(target: Path, *, folder: bool) -> Path:
    parent = target.absolute().parent
    try:
        if folder:
            made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=parent))
            mode = 0o777
        else:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=parent)
            os.close(handle)
            made = Path(name)
            mode = 0o666
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", path=target) from error
    umask = os.umask(0)
    os.umask(umask)
    made.chmod(mode & ~umask)  # tempfile makes private files; a result is as public as any other
    return made
