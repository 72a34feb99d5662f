"""How is a model fitted that scikit-learn knows? Once, and told as a history of one epoch."""

from __future__ import annotations

import math

import torch

from chromemodel.models.base import ClassicalNet, Labelled
from chromemodel.tasks import CLASSIFICATION, Task
from chromemodel.train.augment import shifted_copies
from chromemodel.train.device import derive_seed
from chromemodel.train.loop import Epoch, Fit, label_tensor, predict_logits


def fit_classical(
    model: ClassicalNet,
    genes: Labelled,
    held_out: Labelled | None,
    seed: int,
    task: Task = CLASSIFICATION,
    *,
    shift_bins: int = 0,
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
    task
        What the labels are.
    shift_bins
        Fit to all copies of the genes that are shifted by up to so many bins.
    """
    model.fit(
        shifted_copies(genes, shift_bins), held_out, derive_seed(seed, "scikit-learn") % 2**32
    )
    model.eval()
    train_loss, _ = _score(model, genes, task)
    loss, score = (math.nan, math.nan) if held_out is None else _score(model, held_out, task)
    return Fit((Epoch(1, train_loss, loss, score),), 1, False)


def _score(model: ClassicalNet, genes: Labelled, task: Task) -> tuple[float, float]:
    logits = predict_logits(model, torch.from_numpy(genes.signal))
    y = label_tensor(genes.label)
    return float(task.loss(logits, y)), task.selection(logits, y)
