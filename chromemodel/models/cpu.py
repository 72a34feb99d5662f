"""How are the parts of TransferChrome computed at the speed of a CPU?

Every function takes and returns what its plain counterpart in torch does, shapes (genes, channels,
bins) included; only the order in memory differs. Channels lie next to one another, so that all that
a convolution sees of one gene at one bin is one run of memory. What that and the rest is worth:
``docs/benchmarks.md``, "Training".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, max_pool2d

LOG2_E = math.log2(math.e)


def is_plain_cpu(x: Tensor) -> bool:
    """Return whether x lies on the CPU, outside of ``torch.func``'s transforms."""
    transformed = torch._C._are_functorch_transforms_active()
    return x.device.type == "cpu" and not transformed


def channels_last(x: Tensor) -> Tensor:
    """Return x, (genes, channels, bins), with channels next to one another in memory.

    Examples
    --------
    >>> channels_last(torch.zeros(2, 5, 7)).stride()
    (35, 1, 5)
    """
    return x.mT.contiguous().mT


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Return ``torch.cat(parts, dim=1)``, channels last."""
    return torch.cat([part.mT for part in parts], dim=2).mT


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``conv1d`` of channels-last x, of the same length; weight (kernels, channels, width).

    It is written as one of images one bin high: torch knows channels-last images, but no
    channels-last sequences.
    """
    padding = (0, weight.shape[2] // 2)
    return conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias, padding=padding).squeeze(2)


def relu(x: Tensor) -> Tensor:
    """Return ``relu`` of what a layer has just computed, in its place if no gradient is asked."""
    return torch.relu(x) if torch.is_grad_enabled() else x.relu_()


def max_pool(x: Tensor, width: int) -> Tensor:
    """Return ``max_pool1d`` of channels-last x; the last position may have fewer bins."""
    if width == 2 and x.shape[2] % 2 == 0 and not torch.is_grad_enabled():
        # A fifth of the time; on the way back it would have to keep who was larger.
        return torch.maximum(x[..., ::2], x[..., 1::2])
    return max_pool2d(x.unsqueeze(2), (1, width), ceil_mode=True).squeeze(2)


def dropout_factors(x: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Return what dropout multiplies x by: 0 with probability p, else ``1 / (1 - p)``."""
    return factors_by_bits(dropout_bits(x, generator), p, x.dtype)


def dropout_bits(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return 16 random bits for each value of x, in the layout of x.

    Four values share 64 bits. They are torch's own and drawn in order, so they depend on its seed
    and not on the number of threads.
    """
    count = x.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64)
    bits.random_(-(2**63), None, generator=generator)
    # A product of two layouts takes several times as long.
    return bits.view(torch.int16)[:count].as_strided(x.shape, torch.empty_like(x).stride())


def factors_by_bits(bits: Tensor, p: float, dtype: torch.dtype) -> Tensor:
    """Return what dropout multiplies values by; p is met to 1 / 65,536, and the bits go."""
    return bits.ge_(min(round(p * 2**16), 2**16 - 1) - 2**15).to(dtype).mul_(1 / (1 - p))


class _Attention(torch.autograd.Function):
    """``softmax(Q K^T) V`` of one (genes, positions, channels) of Q, K and V side by side.

    With scores ``S = f Q K^T``, ``P = softmax(S)`` and ``O = P V``: ``dV = P^T dO``,
    ``dP = dO V^T``, ``dS = P (dP - sum_j P dP)``, ``dQ = f dS K``, ``dK = f dS^T Q``. torch's own
    way back gives K's gradient with positions next to one another and has to turn it round.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, half: int, factor: float) -> Tensor:
        """Return (genes, positions, channels of V)."""
        query, key, value = qkv[..., :half], qkv[..., half : 2 * half], qkv[..., 2 * half :]
        scores = query @ key.mT
        if scores.dtype == torch.bfloat16:
            shares = powers(scores.float().mul_(factor * LOG2_E))
            shares = shares.div_(shares.sum(-1, keepdim=True)).to(scores.dtype)
        else:
            shares = torch.softmax(scores if factor == 1 else scores.mul_(factor), dim=-1)
        ctx.save_for_backward(qkv, shares)
        ctx.half, ctx.factor = half, factor
        return shares @ value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of Q, K and V side by side."""
        qkv, shares = ctx.saved_tensors
        half = ctx.half
        query, key, value = qkv[..., :half], qkv[..., half : 2 * half], qkv[..., 2 * half :]
        of_scores = torch.ops.aten._softmax_backward_data(
            gradients[0] @ value.mT, shares, -1, shares.dtype
        )
        if ctx.factor != 1:
            of_scores.mul_(ctx.factor)
        parts = (of_scores @ key, of_scores.mT @ query, shares.mT @ gradients[0])
        return torch.cat(parts, dim=-1), None, None


def powers(scores: Tensor) -> Tensor:
    """Return 2 to the power of scores less the largest of their row, in their place.

    On processors that are not Intel's torch's ``exp2`` takes a fifth of the time of its ``exp``.
    """
    return scores.sub_(scores.amax(-1, keepdim=True)).exp2_()


def attend(
    x: Tensor,
    query: nn.Conv1d,
    key: nn.Conv1d,
    value: nn.Conv1d,
    factor: float,
) -> Tensor:
    """Return ``softmax(factor Q K^T) V`` of channels-last x; Q, K and V by convolutions of width 1.

    Returns
    -------
    Tensor
        (genes, channels of V, positions), channels last.
    """
    layers = (query, key, value)
    bias = torch.cat([layer.bias for layer in layers if layer.bias is not None])
    qkv = convolve(x, torch.cat([layer.weight for layer in layers]), bias).mT
    out: Tensor = _Attention.apply(qkv, query.out_channels, factor)  # type: ignore[no-untyped-call]
    return out.mT
