"""Which cell types of a sheet are binned already, and what becomes of each of the others?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from chromeprep.binning import Progress
from chromeprep.errors import ChromeError, FormatError, OutputError
from chromeprep.format import Description, check_writable, write_bins
from chromeprep.format.read import open_bins, read_description
from chromeprep.pipeline import bin_tracks
from chromeprep.provenance import fingerprint
from chromeprep.request import BinRequest
from chromeprep.shared import Shared

_SHOWN = 20


class Job(NamedTuple):
    """A file to make."""

    cell_type: str
    request: BinRequest
    output: Path


class Outcome(NamedTuple):
    """What became of a job; genes and marks are 0 where there is no file, `why` is empty else."""

    cell_type: str
    state: Literal["binned", "skipped", "failed"]
    n_genes: int = 0
    n_marks: int = 0
    why: str = ""


def check_folder(folder: Path) -> None:
    """Check that files can be put into a folder, or that it can be made.

    Raises
    ------
    OutputError
        Where neither is so.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            "is a file", path=folder, hint="with --samples, -o names the folder of the files"
        )
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {there} cannot be written to", path=folder)


def find_done(jobs: Sequence[Job], folder: Path) -> dict[str, Outcome]:
    """Return the jobs that need no work, by cell type: their files are there, made just so.

    Raises
    ------
    OutputError
        Where files are there that were made in another way, or are none of ours: all are named.
    """
    done, wrong = {}, []
    for job in jobs:
        if not job.output.exists():
            continue
        try:
            description = _description(job.output)
            reason = _difference(job.request, description.provenance)
        except FormatError as error:
            wrong.append(f"{job.output}: {error.message}")
            continue
        if reason is not None:
            wrong.append(f"{job.output}: {reason}")
            continue
        shape = len(description.genes), len(description.marks)
        done[job.cell_type] = Outcome(job.cell_type, "skipped", *shape)
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        text = "\n".join(f"  {line}" for line in [*wrong[:_SHOWN], *more])
        raise OutputError(
            f"files are there that this call would not make as they are\n{text}",
            path=folder,
            hint="--force makes all files of the sheet anew; or name another folder with -o",
        )
    return done


def check_replaceable(jobs: Iterable[Job], sheet: Path) -> None:
    """Raise `OutputError` where an output is a folder, or one of the inputs."""
    for job in jobs:
        if job.output.exists():
            inputs = [*job.request.inputs().values(), sheet]
            check_writable(job.output, force=True, inputs=inputs)


def bin_one(job: Job, shared: Shared, progress: Progress | None = None) -> Outcome:
    """Do a job; what is wrong with its inputs is told in the outcome.

    Raises
    ------
    OutputError
        Where the file cannot be written, which would be so of the others too.
    """
    try:
        data = bin_tracks(job.request, progress, shared)
    except OutputError:
        raise
    except ChromeError as error:
        return Outcome(job.cell_type, "failed", why=str(error))
    write_bins(job.output, data)
    return Outcome(job.cell_type, "binned", len(data.genes), len(data.marks))


def _description(path: Path) -> Description:
    description = read_description(path)
    shape = (len(description.genes), len(description.marks), description.attributes.n_bins)
    with open_bins(path) as file:
        if "signal" not in file or file["signal"].shape != shape:
            raise FormatError("has no signal, or not of all genes", path=path)
    return description


def _difference(request: BinRequest, provenance: Sequence[str]) -> str | None:
    """Say in what a file differs from what a request would make, None where in nothing."""
    made = _last_binning(provenance)
    if made is None:
        return "does not say how it was made"
    options = json.loads(json.dumps(request.options()))
    for name in dict.fromkeys([*options, *made["options"]]):
        before, now = made["options"].get(name), options.get(name)
        if before != now:
            return f"made with {name} {_words(before)}, not {_words(now)}"
    before = _by_role({role: entry["fingerprint"] for role, entry in made["inputs"].items()})
    now = _by_role({role: fingerprint(path) for role, path in request.inputs().items()})
    for role in dict.fromkeys([*now, *before]):
        if role not in before:
            return f"made without {role}"
        if role not in now:
            return f"made with {role}, which is not given now"
        if before[role] != now[role]:
            return f"made from another {role}, or that was changed since"
    return None


def _last_binning(provenance: Sequence[str]) -> Mapping[str, Any] | None:
    for line in reversed(provenance):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"options", "inputs"} <= record.keys():
            return record
    return None


def _by_role(fingerprints: Mapping[str, str]) -> dict[str, list[str]]:
    """Put the replicates of a mark together: their order is of no effect."""
    found: dict[str, list[str]] = {}
    for role, entry in fingerprints.items():
        found.setdefault(role.partition(" #")[0], []).append(entry)
    return {role: sorted(entries) for role, entries in found.items()}


def _words(value: object) -> str:
    return "none" if value is None else json.dumps(value)
