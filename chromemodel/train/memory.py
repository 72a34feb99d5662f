"""What is done where memory runs out? The same work again, in halves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from chromeprep.errors import ChromeError

T = TypeVar("T")

logger = logging.getLogger(__name__)

# What allocators without an error class of their own say: the CPU's and that of MPS.
_WORDS = ("can't allocate memory", "not enough memory", "MPS backend out of memory")


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory of the CPU or of an accelerator ran out.

    Examples
    --------
    >>> out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    True
    >>> out_of_memory(RuntimeError("shapes cannot be multiplied"))
    False
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def halved(size: int, what: str, error: BaseException) -> int:
    """Say that memory ran out, and return half of the batch size; raise other errors again.

    Parameters
    ----------
    size
        Genes of the batch that was too large.
    what
        The work, in words: ``"training"``.
    error
        What was raised.

    Raises
    ------
    ChromeError
        Where a single gene is too much.
    """
    if not out_of_memory(error):
        raise error
    if size == 1:
        raise ChromeError(
            f"out of memory in {what}, even with one gene at a time",
            hint="use --device cpu, a smaller model or narrower windows (--window-bp)",
        ) from error
    logger.warning("out of memory in %s with batches of %d genes; now %d", what, size, size // 2)
    return size // 2


def in_halves(work: Callable[[int], T], size: int, what: str) -> T:
    """Return the result of work with a batch size; where memory runs out, with half of it.

    Raises
    ------
    ChromeError
        As `halved`.
    """
    while True:
        try:
            return work(size)
        except (RuntimeError, MemoryError) as error:
            size = halved(size, what, error)
        # After the except block, which holds on to the tensors of the work that failed.
        free_memory()


def free_memory() -> None:
    """Give memory that torch keeps for later back to the accelerator."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
