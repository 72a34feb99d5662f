"""How does raw signal become a model's input: transformed how, z-scored by whose statistics?

TransferChrome (Chen et al. 2022, Eq. 1) subtracts the mean and divides by the standard deviation
of a mark over all genes and bins of a cell type. Before it may come a transform and a map onto the
quantiles of the training genes (`chromemodel.data.quantiles`), in this order; NaN becomes the
mark's mean at the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import Normalisation, Quantiles, Transform
from chromemodel.data.quantiles import fit_quantiles, map_quantiles

Signal = NDArray[np.float32]


class Scale(NamedTuple):
    """Mean and standard deviation of each mark, shape (marks,), in the units of the signal."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def transform_signal(signal: Signal, transform: Transform) -> Signal:
    """Return ``log(1 + x)`` or ``arcsinh(x)`` of each value, or the signal itself.

    Parameters
    ----------
    signal
        Any shape, 0 or more for ``log1p``; not changed. NaN stays NaN.

    Examples
    --------
    >>> transform_signal(np.array([0, np.e - 1], dtype=np.float32), "log1p").tolist()
    [0.0, 1.0]
    """
    if transform == "log1p":
        return np.log1p(signal)
    return np.arcsinh(signal) if transform == "arcsinh" else signal


def fit_scale(signal: Signal) -> Scale:
    """Measure each mark over genes and bins, NaN left out.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins).

    Examples
    --------
    >>> fit_scale(np.array([[[1, 3], [5, np.nan]]], dtype=np.float32))
    Scale(mean=array([2., 5.]), std=array([1., 0.]))
    """
    mean = np.zeros(signal.shape[1])
    std = np.zeros(signal.shape[1])
    for index in range(signal.shape[1]):
        values = signal[:, index].astype(np.float64)
        known = values[~np.isnan(values)]
        if known.size:
            mean[index] = known.mean()
            std[index] = known.std()
    return Scale(mean, std)


def z_score(signal: Signal, scale: Scale) -> Signal:
    """Return ``(signal - mean) / std`` by mark; NaN becomes the mean, 0.

    A standard deviation of 0 (or unknown) divides by 1: a mark that never varies is 0 throughout.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins), raw; not changed.
    scale
        Shape (marks,) each.

    Examples
    --------
    >>> raw = np.array([[[1, 3], [5, np.nan]]], dtype=np.float32)
    >>> z_score(raw, fit_scale(raw)).tolist()
    [[[-1.0, 1.0], [0.0, 0.0]]]
    """
    mean, std = usable(scale)
    out = np.empty(signal.shape, dtype=np.float32)
    for index in range(signal.shape[1]):
        # In double precision: counts may be large beside their spread.
        out[:, index] = (signal[:, index].astype(np.float64) - mean[index]) / std[index]
    return np.nan_to_num(out, copy=False, nan=0.0, posinf=None, neginf=None)


def usable(scale: Scale) -> Scale:
    """Return what is subtracted and divided by: where unknown, or without spread, 0 and 1."""
    std = np.where(np.isfinite(scale.std) & (scale.std > 0), scale.std, 1.0)
    return Scale(np.nan_to_num(scale.mean, nan=0.0), std)


def fit_normalisation(signal: Signal, rule: Normalisation) -> Normalisation:
    """Fill in what ``training`` and ``quantile`` keep of the training genes.

    Parameters
    ----------
    signal
        Of the training genes, shape (genes, marks, bins), transformed already.
    """
    scale = fit_scale(signal)
    found = replace(rule, mean=tuple(scale.mean.tolist()), std=tuple(scale.std.tolist()))
    if rule.rule != "quantile":
        return found
    marks = range(signal.shape[1])
    return replace(found, quantiles=tuple(fit_quantiles(signal[:, mark]) for mark in marks))


def normalise(signal: Signal, rule: Normalisation, own: Scale | None = None) -> Signal:
    """Turn transformed signal into a model's input.

    Parameters
    ----------
    signal
        Shape (genes, marks, bins), transformed already (`transform_signal`); not changed.
    rule
        ``file``: z-score by ``own``. ``training``: by the statistics in the rule, whatever the
        file. ``quantile``: each mark mapped onto the quantiles in the rule, then as ``training``.
        ``none``: as it is, NaN replaced by the mean in ``own``.
    own
        Statistics of the very file, of the transformed signal; measured where not given.
    """
    if rule.by_training:
        if rule.rule == "quantile":
            signal = _onto(signal, rule.quantiles)
        return z_score(signal, Scale(np.array(rule.mean), np.array(rule.std)))
    own = own or fit_scale(signal)
    if rule.rule == "file":
        return z_score(signal, own)
    mean = np.nan_to_num(own.mean, nan=0.0).astype(np.float32)
    return np.where(np.isnan(signal), mean[:, None], signal)


def _onto(signal: Signal, quantiles: tuple[Quantiles, ...]) -> Signal:
    mapped = np.empty(signal.shape, dtype=np.float32)
    for mark, onto in enumerate(quantiles):
        values = signal[:, mark]
        mapped[:, mark] = map_quantiles(values, fit_quantiles(values), onto)
    return mapped
