"""How does a fit go on after its process was ended?

Beside a run folder that is to come lies ``RUN.checkpoint``, a folder with a file for each fit of
the run: ``source_only.safetensors``, ``dann.safetensors``. Each is written whole or not at all,
never unpickled, and removed with the folder once the run is written.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from chromemodel.config import RunConfig, TrainConfig
from chromemodel.serial import to_json
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.state import State
from chromemodel.train.state_file import digest_of, packed, read_state
from chromemodel.train.store import Store
from chromeprep._version import __version__
from chromeprep.errors import ChromeError, MismatchError, OutputError, RunError
from chromeprep.format import atomic_file

logger = logging.getLogger(__name__)

#: Seconds between two writings: short runs are not slowed, a kill costs these and an epoch.
EVERY_S = 10.0
#: What may be another when a fit is resumed, if that is said.
CHANGEABLE = (
    *("lr", "momentum", "weight_decay", "batch_size", "epochs", "patience", "clip_norm"),
    *("precision", "device", "threads", "chromemodel", "torch"),
)
#: What a configuration says of the files and of the run folder, not of the fit.
_ELSEWHERE = (
    *("source", "target", "more_sources", "panel"),
    *("provenance", "format", "version"),
)
_TRAINING = tuple(entry.name for entry in fields(TrainConfig))
_ENDING = ".safetensors"


def checkpoint_folder(run: str | Path) -> Path:
    """Return where the checkpoints of a run folder lie, while there are any."""
    path = Path(run)
    if path.name in ("", ".."):
        path = path.resolve()
    return path.with_name(f"{path.name}.checkpoint")


class Checkpoints:
    """The fits of a run that is under way.

    Parameters
    ----------
    run
        The run folder to come.
    methods
        The names of its fits.
    resume
        Go on with other settings (`CHANGEABLE`) than the fits began with.
    force
        Begin anew where a checkpoint does not fit.

    Raises
    ------
    RunError
        Where there is nothing to resume, or something else lies there.
    MismatchError
        Where a fit of another method lies there.
    """

    def __init__(
        self, run: Path, methods: Sequence[str], *, resume: bool = False, force: bool = False
    ) -> None:
        self.folder, self.resume, self.force = checkpoint_folder(run), resume, force
        if self.folder.exists() and not self.folder.is_dir():
            raise RunError("is a file; checkpoints are kept there", path=self.folder)
        names = sorted(path.name.removesuffix(_ENDING) for path in self.folder.glob(f"*{_ENDING}"))
        if resume and not names:
            raise RunError(
                "there is no checkpoint to go on from", path=self.folder, hint="leave out --resume"
            )
        others = [name for name in names if name not in methods]
        if others and (resume or not force):
            raise MismatchError(
                f"holds the training of {', '.join(others)}, not of {methods[-1]}",
                path=self.folder,
                hint="choose another -o, or begin anew with --force",
            )

    def of(self, config: RunConfig, data: FitData) -> Checkpoint:
        """Return the checkpoint of the fit that a configuration asks for."""
        path = self.folder / f"{config.method.name}{_ENDING}"
        return Checkpoint(path, config, data, resume=self.resume, force=self.force)

    def refuse_others(self, config: RunConfig) -> None:
        """Refuse what other fits have left here, for a model that leaves none: it would be lost.

        Raises
        ------
        MismatchError
            It names their model.
        RunError
            Where a file is damaged.
        """
        if self.force and not self.resume:
            return
        for path in self.folder.glob(f"*{_ENDING}"):
            before, state = read_state(path)
            raise MismatchError(
                f"is of another training: model was {before['model']['name']}, now it is "
                f"{config.model.name}",
                path=path,
                hint=f"to go on after epoch {len(state.history)} give the --model or --recipe it "
                "began with; or choose another -o, or begin anew with --force",
            )

    def remove(self) -> None:
        """Remove all, once the run is written."""
        remove_checkpoints(self.folder)


def remove_checkpoints(folder: Path) -> None:
    """Remove a folder of checkpoints and what killed processes left in it, but nothing else."""
    for pattern in (f"*{_ENDING}", f".*{_ENDING}.*.part"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


class Checkpoint:
    """A fit that is under way, in a file; as `Checkpoints`."""

    def __init__(
        self,
        path: Path,
        config: RunConfig,
        data: FitData,
        *,
        resume: bool = False,
        force: bool = False,
    ) -> None:
        self.path, self.config, self.data = path, config, data
        self.resume, self.force = resume, force
        self._kept = 0
        self._written = time.monotonic()

    def restore(self, loop: Loop) -> State:
        """Put a loop where the checkpoint stands, if there is one; return its state.

        Raises
        ------
        RunError
            Where the file is damaged or newer than this version.
        MismatchError
            Where it is of another fit; it names what differs.
        """
        if not self.path.is_file():
            return State.of(loop)
        try:
            state = self._fitting(*read_state(self.path))
            self._put(state, loop)
        except ChromeError as error:
            if not self.force or self.resume:
                raise
            logger.warning("%s: %s; training begins anew", self.path, error.message)
            self.path.unlink()
            return State.of(loop)
        self._kept = len(state.history)
        logger.info("%s: goes on after epoch %d", self.path, self._kept)
        return state

    def _put(self, state: State, loop: Loop) -> None:
        try:
            loop.take_up(state)
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(
                "does not hold the weights of this model",
                path=self.path,
                hint="begin anew with --force",
            ) from error

    def offer(self, state: State) -> None:
        """Write a state if the last writing is `EVERY_S` ago."""
        if time.monotonic() - self._written >= EVERY_S:
            self.write(state)

    def keep(self, state: State, error: BaseException) -> None:
        """Write the last good state of a fit that an error ended; the error says where."""
        if len(state.history) > self._kept:
            self.write(state)
        if isinstance(error, ChromeError) and self._kept:
            way = (
                f"the state after epoch {self._kept} is kept in {self.path}; "
                "--resume goes on from it with other settings"
            )
            error.hint = way if error.hint is None else f"{error.hint}\n  {way}"

    def write(self, state: State) -> None:
        """Write a state; where the disk refuses, training goes on."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self.path) as temporary:
                temporary.write_bytes(packed(state, self._asked))
        except (OSError, OutputError) as error:
            logger.warning("warning: %s; training goes on without", error)
        else:
            self._kept = len(state.history)
        self._written = time.monotonic()

    def _fitting(self, before: dict[str, Any], state: State) -> State:
        changed = list(_differences(before, self._asked))
        if not changed:
            return state
        names = [name for name, _ in changed]
        able = all(name in CHANGEABLE for name in names)
        words = [text for _, text in changed]
        if not (able and self.resume):
            fresh = "choose another -o, or begin anew with --force"
            after = len(state.history)
            raise MismatchError(
                f"is of another training: {'; '.join(words)}",
                path=self.path,
                hint=f"--resume goes on after epoch {after} with these settings; or {fresh}"
                if able
                else fresh,
            )
        mine = {name: getattr(self.config.training, name) for name in names if name in _TRAINING}
        return state.changed(replace(state.training, **mine), words)

    @cached_property
    def _asked(self) -> dict[str, Any]:
        """All that decides how the fit ends, as JSON gives it back; the files by their content."""
        document = to_json(self.config)
        asked = {name: value for name, value in document.items() if name not in _ELSEWHERE}
        asked["data"] = data_digest(self.data)
        asked["versions"] = {"chromemodel": __version__, "torch": str(torch.__version__)}
        return dict(json.loads(json.dumps(asked)))


def data_digest(data: FitData) -> str:
    """Return a digest of the tensors of a fit: signal, labels, and which genes are which.

    It is of what the fit sees, in whatever form of memory it lies.
    """
    tensors = {
        name: value
        for name, value in data._asdict().items()
        if isinstance(value, (torch.Tensor, Store))
    }
    for name, counts in (("counts", data.counts), ("target_counts", data.target_counts)):
        if counts is not None:
            tensors |= {f"{name}.mean": counts.mean, f"{name}.std": counts.std}
    return digest_of(tensors)


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Return the names of settings that differ, and how, in words; the data last and if alone."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now}, key=lambda key: (key == "data", key))
        found = False
        for key in keys:
            if key == "data" and found:
                continue
            whole = key if name in ("", "training", "versions") else f"{name}.{key}"
            for one in _differences(before.get(key), now.get(key), whole):
                found = True
                yield one
    elif before != now:
        if name == "data":
            yield name, "the genes, their signal or their labels were others"
        else:
            yield name, f"{name} was {_shown(before)}, now it is {_shown(now)}"


def _shown(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
