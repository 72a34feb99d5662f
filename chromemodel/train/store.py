"""How are batches taken of genes that do not lie in memory as float32?

A `Store` answers as a tensor does to those that take batches of it (`Signals`), and gives float32.
What it looks into, a `Shelf`, holds the genes of all files once; stores of the genes that train,
that validate and that adapt look into the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

#: Genes that are at hand as float32 at once where all are passed over.
BLOCK = 512
# Codes of two bytes are kept from here on, for torch knows few operations on uint16.
LEAST_CODE = -(2**15)


class Signals(Protocol):
    """Signal of genes, (genes, marks, bins): a tensor, or what gives batches like one."""

    @property
    def shape(self) -> torch.Size:
        """(genes, marks, bins)."""

    @property
    def dtype(self) -> torch.dtype:
        """That of batches."""

    @property
    def device(self) -> torch.device:
        """That of batches."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Tensor: ...

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Return a batch of genes by their numbers; ``dim`` is 0."""


class Tables(NamedTuple):
    """What codes are worth: ``values`` from ``starts[file, mark]`` on, for the file of a gene."""

    values: Tensor
    starts: Tensor
    file: Tensor


class Shelf(NamedTuple):
    """Genes of one or more files, once.

    ``kept`` (genes, marks, bins) holds float32, float16, or codes of ``tables`` as uint8 or, from
    `LEAST_CODE` on, int16. It lies on the device of the batches or, mapped from a file, on the CPU.
    """

    kept: Tensor
    device: torch.device
    tables: Tables | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        tensors = [self.kept, *(self.tables or ())]
        return sum(tensor.nbytes for tensor in tensors)

    def take(self, rows: Tensor) -> Tensor:
        """Return the signal of rows, float32 on the device; rows lie where ``kept`` does."""
        taken = self.kept.index_select(0, rows)
        if self.tables is None:
            return taken.to(self.device, torch.float32)
        values, starts, file = self.tables
        start = starts.index_select(0, file.index_select(0, rows))
        places = taken.to(torch.int32).add_(start[:, :, None])
        return values.index_select(0, places.flatten()).view(taken.shape)


class Store:
    """Some genes of a shelf, in an order; nothing is copied but batches.

    Parameters
    ----------
    shelf
        Of all genes.
    rows
        Which of its genes, (genes,), where its ``kept`` lies.
    """

    def __init__(self, shelf: Shelf, rows: Tensor) -> None:
        self.shelf, self.rows = shelf, rows

    @property
    def shape(self) -> torch.Size:
        """(genes, marks, bins)."""
        return torch.Size((len(self), *self.shelf.kept.shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        """That of batches."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """That of batches."""
        return self.shelf.device

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.shelf.take(self.rows[rows])

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Return genes by their number here, as a tensor does; ``dim`` is 0."""
        if dim:
            raise ValueError(f"a store gives whole genes, no part of axis {dim}")
        return self.shelf.take(self.rows.index_select(0, index.to(self.rows.device)))


def blocks(signal: Signals) -> Iterator[Tensor]:
    """Return all genes in order, block by block; a tensor as one."""
    if isinstance(signal, Tensor):
        yield signal
        return
    for start in range(0, len(signal), BLOCK):
        yield signal[start : start + BLOCK]
