"""How do the layers of many models become few operations of a GPU?

Under ``torch.func.vmap`` a convolution with weights of many models is one of as many groups, which
cuDNN computes group by group. Products of matrices have a batch dimension of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def products_suit(x: Tensor) -> bool:
    """Return whether x is of many models and lies on a GPU."""
    return x.is_cuda and torch._C._are_functorch_transforms_active()


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``conv1d`` of the same length, as a product; weight (kernels, channels, odd width).

    What a kernel sees of a gene at a bin is a row of the one matrix, a kernel a row of the other.

    Examples
    --------
    >>> convolve(torch.ones(1, 2, 4), torch.ones(1, 2, 3), None)
    tensor([[[4., 6., 6., 4.]]])
    """
    width = weight.shape[2]
    seen = pad(x, (width // 2, width // 2)).unfold(2, width, 1).permute(0, 2, 1, 3)
    genes, bins = seen.shape[:2]
    out = seen.reshape(genes * bins, -1) @ weight.flatten(1).mT
    out = out if bias is None else out + bias
    return out.view(genes, bins, -1).mT
