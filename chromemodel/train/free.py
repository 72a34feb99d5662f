"""How much memory is free, on the machine and on an accelerator?"""

from __future__ import annotations

import os
from pathlib import Path

import torch

_CGROUPS = Path("/sys/fs/cgroup")
# Of a control group, the first of each that is there (version 2, version 1): what it may have,
# what it has, and the line that says how much of that is cached files, which give way.
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")
_CACHED = ("inactive_file", "total_inactive_file")


def free_bytes(device: torch.device) -> int | None:
    """Return how many bytes are free where a device keeps its tensors; None if it is not known.

    On the CPU what the system can give without swapping, within the limit of the process's control
    group.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    found = [_available(), *(_left(folder) for folder in _groups())]
    return min((one for one in found if one is not None), default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return None


def _groups() -> list[Path]:
    """Return the folders of the control groups that may limit the memory of the process."""
    folders = [_CGROUPS, _CGROUPS / "memory"]
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            folders.append(_CGROUPS / controllers / path.lstrip("/"))
    return folders


def _left(folder: Path) -> int | None:
    """Return what a control group may still take; None where nothing limits it."""
    limit, used = (_first(folder, names) for names in (_LIMITS, _USED))
    if limit is None or used is None or not limit.isdigit():
        return None
    cached = 0
    for line in (_first(folder, ("memory.stat",)) or "").splitlines():
        name, _, value = line.partition(" ")
        if name in _CACHED:
            cached = max(cached, int(value))
    return max(0, int(limit) - int(used) + cached)


def _first(folder: Path, names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return (folder / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
    return None
