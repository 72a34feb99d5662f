"""Where do the genes of many models lie, and how do their batches reach the device?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Genes:
    """Signal and labels of many models, one after another.

    Parameters
    ----------
    x, y
        Of each model: (genes, marks, bins) and (genes,); numbers of genes may differ.
    """

    def __init__(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> None:
        self.counts = [len(one) for one in y]
        self.x, self.y = torch.cat([*x]), torch.cat([*y])
        first = [0, *torch.tensor(self.counts).cumsum(0).tolist()]
        self.starts = first[:-1]

    def of(self, members: Sequence[int]) -> Genes:
        """Return the genes of some of the models; nothing is copied."""
        some = object.__new__(Genes)
        some.x, some.y = self.x, self.y
        some.counts = [self.counts[number] for number in members]
        some.starts = [self.starts[number] for number in members]
        return some

    def rows(self, orders: Sequence[Tensor]) -> Tensor:
        """Return which rows are the genes of each model in its order, (models, most genes).

        Behind a model's last gene stands its first, again and again.
        """
        table = torch.stack(
            [torch.nn.functional.pad(order, (0, max(self.counts) - len(order))) for order in orders]
        )
        return table + torch.tensor(self.starts, device=table.device)[:, None]

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return signal (models, genes, marks, bins) and labels of rows (models, genes)."""
        x = self.x.index_select(0, rows.flatten())
        return x.view(*rows.shape, *x.shape[1:]), self.y[rows]
