"""Which device computes, and which random numbers does it draw?

Seeds and devices are arguments: the caller's random state, threads and cuDNN settings are as they
were after each block.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

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

    On some CPUs products of float32 matrices go to oneDNN: `onednn_multiplies_float32`. Freed
    memory stays with the process, also after the block: `keep_freed_memory`.

    Raises
    ------
    ChromeError
        Where memory runs out, with no smaller batch to try.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    products: Any = getattr(torch.backends.mkldnn, "matmul", None)  # since torch 2.9
    precision = getattr(products, "fp32_precision", None)
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        if precision is not None and onednn_multiplies_float32():
            products.fp32_precision = "bf16"
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ChromeError(
            f"out of memory: {error}", hint="use --device cpu, or narrower windows (--window-bp)"
        ) from error
    finally:
        if precision is not None:
            products.fp32_precision = precision
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags


def onednn_multiplies_float32() -> bool:
    """Return whether oneDNN keeps float32 where torch allows it bfloat16 within a product.

    torch multiplies float32 matrices by MKL, which on processors that are not Intel's leaves half
    of AVX-512 unused, and by oneDNN only where it may round to bfloat16. Without AMX oneDNN has
    nothing faster for that than its float32, and does not round.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    return capability == "AVX512" and not torch.cpu._is_amx_tile_supported()


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GiB of freed memory; nothing where there is no glibc.

    Otherwise it hands the tensors of a step back to the system and asks for them anew in the next:
    some 1,000 page faults a step, a sixth of its time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # malloc.h
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # the most that glibc takes
