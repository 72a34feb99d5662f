"""Where do the genes of many models lie, and how do their batches reach the device?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chromemodel.train.store import Signals


class Genes:
    """Signal and labels of many models, one after another.

    Tensors are put together, and `part` gives each model its own back: then nobody needs what was
    handed in. Signal of another form (`chromemodel.train.store`) stays where it is.

    Parameters
    ----------
    x, y
        Of each model: (genes, marks, bins) and (genes,); numbers of genes may differ.
    """

    def __init__(self, x: Sequence[Signals], y: Sequence[Tensor]) -> None:
        self.counts = [len(one) for one in y]
        tensors = [one for one in x if isinstance(one, Tensor)]
        self.x = torch.cat(tensors) if len(tensors) == len(x) else None
        self.apart = [] if self.x is not None else [*x]
        self.y = torch.cat([*y])
        first = [0, *torch.tensor(self.counts).cumsum(0).tolist()]
        self.starts = first[:-1]

    def of(self, members: Sequence[int]) -> Genes:
        """Return the genes of some of the models; nothing is copied."""
        some = object.__new__(Genes)
        some.x, some.y = self.x, self.y
        some.apart = [self.apart[number] for number in members] if self.apart else []
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

    def part(self, number: int) -> tuple[Signals, Tensor]:
        """Return the signal and the labels of a model; nothing is copied."""
        rows = slice(self.starts[number], self.starts[number] + self.counts[number])
        return self.apart[number] if self.x is None else self.x[rows], self.y[rows]

    def take(self, rows: Tensor, members: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Return signal (models, genes, marks, bins) and labels of rows (models, genes).

        Parameters
        ----------
        rows
            Of some models or all, as `rows`.
        members
            Which; None for all.
        """
        if self.x is None:
            numbers = range(len(self.apart)) if members is None else members
            each = zip(numbers, rows, strict=True)
            taken = [self.apart[n].index_select(0, mine - self.starts[n]) for n, mine in each]
            return torch.stack(taken), self.y[rows]
        x = self.x.index_select(0, rows.flatten())
        return x.view(*rows.shape, *x.shape[1:]), self.y[rows]
