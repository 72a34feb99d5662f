"""How may the genes of a step of training differ from those of the file, and mean the same?

An annotated TSS is off by some bins, and the next experiment has fewer reads: genes are shifted,
and their reads thinned. Both draw random numbers of their own, by epoch and purpose, so that a
fit without them, and one that goes on, has the numbers it would have had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chromemodel.config import Normalisation, TrainConfig, Transform
from chromemodel.data.dataset import GeneSignals
from chromemodel.models.base import Labelled
from chromemodel.registry import Fitter
from chromeprep.errors import ChromeError, InputError

#: Makes the random numbers of a purpose: `Loop.generator`.
Draws = Callable[..., torch.Generator]


class Counts(NamedTuple):
    """How normalised signal goes back to the counts of reads it came from.

    ``mean`` and ``std`` (genes, marks) in double precision are what was subtracted from the
    transformed counts of each gene, and what they were divided by; ``unknown`` (genes, marks) is
    what NaN became.
    """

    mean: Tensor
    std: Tensor
    unknown: Tensor
    transform: Transform


def check_augmentation(
    training: TrainConfig,
    model: str,
    fitter: Fitter,
    rule: Normalisation,
    files: Sequence[GeneSignals],
) -> None:
    """Refuse shifts and thinning where they cannot be.

    Raises
    ------
    ChromeError
        Where a shift would lose the middle of a window, or a model cannot be thinned for.
    InputError
        Where a file's signal is not whole numbers of reads; it names the mark.
    """
    bins = files[0].layout.n_bins
    if 2 * training.shift_bins >= bins:
        raise ChromeError(
            f"--shift-bins {training.shift_bins} is half of the {bins} bins of a gene or more",
            hint="shift by a few: the annotated TSS is hardly off by more",
        )
    if training.thin == 1:
        return
    if fitter != "torch":
        raise ChromeError(
            f"{model} is fitted by {fitter}, all genes at once; it cannot lose reads at random",
            hint="leave out --thin",
        )
    if rule.rule == "quantile":
        raise ChromeError(
            "--thin puts fewer reads on the scale of the file, and --normalise quantile has none: "
            "it keeps ranks",
            hint="use another --normalise, or leave out --thin",
        )
    if training.memory == "float16":
        raise ChromeError(
            "--thin needs counts, and --memory float16 rounds them",
            hint="use --memory compact or stream, or leave out --thin",
        )
    for one in files:
        _check_counts(one)


def _check_counts(signals: GeneSignals) -> None:
    hint = "leave out --thin, or name the marks that are counts: --mark"
    for index, (mark, units) in enumerate(
        zip(signals.layout.marks, signals.record.units, strict=True)
    ):
        if units != "reads":
            raise InputError(
                f"mark {mark} is in units '{units}'; --thin takes counts of reads",
                path=signals.path,
                hint=hint,
            )
        values = signals.raw[:, index]
        wrong = (values < 0) | (values != np.floor(values))
        wrong &= ~np.isnan(values)
        if wrong.any():
            raise InputError(
                f"mark {mark} has values that are no whole numbers of reads, such as "
                f"{values[wrong][0]:g}; --thin takes counts",
                path=signals.path,
                hint=f"{hint}; of `chromeprep bin`, --count overlap and five-prime make them",
            )


def counts_of(files: Sequence[GeneSignals], rule: Normalisation, rows: NDArray[np.bool_]) -> Counts:
    """Return how the signal of some rows of files, one below the other, goes back to counts."""
    means, deviations, unknown = [], [], []
    for one in files:
        scale, shape = one.scale(rule), (len(one.genes), len(one.layout.marks))
        # Without z-scores NaN becomes the mean as a single-precision number.
        gap = np.float32(np.nan_to_num(one.gap_value(rule)))
        means.append(np.broadcast_to(scale.mean, shape))
        deviations.append(np.broadcast_to(scale.std, shape))
        unknown.append(np.broadcast_to(gap, shape))
    mean, std, gaps = (
        torch.from_numpy(np.concatenate(some)[rows].astype(np.float64))
        for some in (means, deviations, unknown)
    )
    return Counts(mean, std, gaps, rule.transform)


class Augmentation:
    """Changes the batches of one epoch, of the source or of the target.

    Parameters
    ----------
    config
        How far genes are shifted, and how many reads they keep at least.
    counts
        Of all genes that batches are taken from; needed where reads are thinned.
    draws, part, number
        Random numbers by purpose; ``source`` or ``target``; the epoch.
    """

    def __init__(
        self, config: TrainConfig, counts: Counts | None, draws: Draws, part: str, number: int
    ) -> None:
        self.config, self.counts = config, counts
        self.shifting = draws("shift", part, number)
        self.thinning = draws("thin", part, number)

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor:
        """Return the signal (genes, marks, bins) of some rows, thinned and shifted, in this order.

        ``x`` is not changed, and is what comes back where nothing is to be done.
        """
        if self.config.thin < 1:
            if self.counts is None:
                raise ValueError("thinning needs to know the counts")
            at = rows.cpu()
            some = Counts(
                self.counts.mean[at], self.counts.std[at], self.counts.unknown[at],
                self.counts.transform,
            )  # fmt: skip
            share = draw_shares(x.shape[0], x.shape[1], self.config.thin, self.thinning)
            x = thin_reads(x, some, share, self.thinning)
        if self.config.shift_bins:
            x = shift_genes(x, draw_shifts(len(x), self.config.shift_bins, self.shifting))
        return x


def draw_shifts(genes: int, most: int, generator: torch.Generator) -> Tensor:
    """Draw by how many bins each gene is shifted, from -most to most, each as likely.

    Examples
    --------
    >>> draw_shifts(3, 0, torch.Generator()).tolist()
    [0, 0, 0]
    """
    return torch.randint(-most, most + 1, (genes,), generator=generator)


def shift_genes(x: Tensor, shifts: Tensor) -> Tensor:
    """Return signal (genes, marks, bins) with each gene moved by so many bins downstream.

    All marks move together; where nothing comes from, the outermost bin is repeated.

    Examples
    --------
    >>> shift_genes(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([1]))
    tensor([[[1., 1., 2.]]])
    """
    bins = x.shape[2]
    source = (torch.arange(bins) - shifts[:, None]).clamp(0, bins - 1).to(x.device)
    return x.gather(2, source[:, None, :].expand(x.shape))


def shifted_copies(genes: Labelled, most: int) -> Labelled:
    """Return every gene with every shift from -most to most, for what is fitted in one go."""
    if not most:
        return genes
    x = torch.from_numpy(genes.signal)
    copies = [
        shift_genes(x, torch.full((len(x),), shift)).numpy() for shift in range(-most, most + 1)
    ]
    return Labelled(np.concatenate(copies), np.tile(genes.label, len(copies)))


def draw_shares(genes: int, marks: int, least: float, generator: torch.Generator) -> Tensor:
    """Draw which share of its reads each mark of each gene keeps, (genes, marks), from `least` on.

    Examples
    --------
    >>> draw_shares(1, 2, 1.0, torch.Generator()).tolist()
    [[1.0, 1.0]]
    """
    drawn = torch.rand(genes, marks, generator=generator, dtype=torch.float64)
    return least + (1 - least) * drawn


def thin_reads(x: Tensor, counts: Counts, share: Tensor, generator: torch.Generator) -> Tensor:
    """Return signal (genes, marks, bins) as if fewer reads had been sequenced, on the same scale.

    Every read is kept with the probability that is the share (genes, marks), by which what is left
    is divided: the mean stays, the noise grows. Bins that were unknown stay.

    Parameters
    ----------
    generator
        On the CPU, so that the same reads are lost on every device.
    """
    normal, share = x.cpu().double(), share[..., None]
    mean, std, unknown = counts.mean[..., None], counts.std[..., None], counts.unknown[..., None]
    reads = _raw(normal * std + mean, counts.transform).round().clamp(min=0)
    kept = torch.binomial(reads, share.expand(reads.shape), generator=generator)
    thinned = (_transformed(kept / share, counts.transform) - mean) / std
    return torch.where(normal == unknown, normal, thinned).to(x)


def _raw(values: Tensor, transform: Transform) -> Tensor:
    if transform == "log1p":
        return torch.expm1(values)
    return torch.sinh(values) if transform == "arcsinh" else values


def _transformed(values: Tensor, transform: Transform) -> Tensor:
    if transform == "log1p":
        return torch.log1p(values)
    return torch.asinh(values) if transform == "arcsinh" else values
