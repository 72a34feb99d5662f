"""Which device computes, and which random numbers does it draw?

Seeds and devices are arguments: the caller's random state, threads and cuDNN settings are as they
were after each block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from hashlib import blake2b

import torch

from chromemodel.train.memory import out_of_memory
from chromeprep.errors import ChromeError


def pick_device(name: str) -> torch.device:
    """Return a device by name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises
    ------
    ChromeError
        Where this machine, or this build of torch, does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ChromeError(f"no device '{name}'", hint="use auto, cpu, cuda or mps") from error
    if not available.get(device.type, False):
        raise ChromeError(f"device '{name}' is not available here", hint="use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ChromeError(f"device '{name}' is not there; {torch.cuda.device_count()} are")
    return device


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed of 63 bits for one purpose; purposes do not share random numbers.

    Examples
    --------
    >>> derive_seed(0, "order", 1) == derive_seed(0, "order", 1)
    True
    >>> derive_seed(0, "order", 1) == derive_seed(0, "order", 2)
    False
    """
    text = ":".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the random numbers of the CPU and of one device inside the block.

    Dropout draws from these and takes no generator of its own.
    """
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        torch.default_generator.manual_seed(seed)
        if cuda is not None:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if mps is not None:
            torch.mps.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)
        if mps is not None:
            torch.mps.set_rng_state(mps)


@contextlib.contextmanager
def computing(threads: int | None) -> Iterator[None]:
    """Inside the block torch uses this many threads (None: its default), cuDNN repeatable ways.

    Raises
    ------
    ChromeError
        Where memory runs out, with no smaller batch to try.
    """
    before = torch.get_num_threads()
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ChromeError(
            f"out of memory: {error}", hint="use --device cpu, or narrower windows (--window-bp)"
        ) from error
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
