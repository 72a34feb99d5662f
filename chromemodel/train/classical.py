"""How is a model fitted that scikit-learn knows? Once, and told as a history of one epoch."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from chromemodel.evaluate.metrics import auroc
from chromemodel.models.base import ClassicalNet, Labelled
from chromemodel.train.device import derive_seed
from chromemodel.train.loop import Epoch, Fit, high_probability, predict_logits


def fit_classical(
    model: ClassicalNet, genes: Labelled, held_out: Labelled | None, seed: int
) -> Fit:
    """Fit a model on the CPU, in place.

    Parameters
    ----------
    model
        On the CPU.
    genes, held_out
        Labelled genes to fit to, and those that choose its options, or None.
    seed
        Of the run; 32 bits of a seed of its own go to scikit-learn.
    """
    model.fit(genes, held_out, derive_seed(seed, "scikit-learn") % 2**32)
    model.eval()
    train_loss, _ = _score(model, genes)
    loss, area = (math.nan, math.nan) if held_out is None else _score(model, held_out)
    return Fit((Epoch(1, train_loss, loss, area),), 1, False)


def _score(model: ClassicalNet, genes: Labelled) -> tuple[float, float]:
    logits = predict_logits(model, torch.from_numpy(genes.signal))
    loss = cross_entropy(logits, torch.from_numpy(genes.label.astype("int64")))
    return float(loss), auroc(genes.label, high_probability(logits).numpy())
