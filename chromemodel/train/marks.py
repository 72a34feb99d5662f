"""Which marks does a gene lose in a step of training, so that a model learns to do without?

As dropout of units (Srivastava et al. 2014), but of whole inputs: a mark that is dropped is 0 in
all bins. After z-scores that is the mean, what an unknown value becomes, and so what a file that
lacks the mark gives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from chromemodel.config import NormaliseRule
from chromemodel.registry import Fitter
from chromeprep.errors import ChromeError


def check_mark_dropout(
    probability: float, model: str, fitter: Fitter, rule: NormaliseRule, n_marks: int
) -> None:
    """Refuse mark dropout where it cannot be.

    Raises
    ------
    ChromeError
        Where scikit-learn fits the model, where 0 is not a mark's mean, or there is one mark.
    """
    if not probability:
        return
    if fitter != "torch":
        raise ChromeError(
            f"{model} is fitted by {fitter}, all genes at once; it cannot lose marks at random",
            hint="leave out --mark-dropout, and train a run for each set of marks (--mark); or "
            "train a network, such as --model transferchrome",
        )
    if rule == "none":
        raise ChromeError(
            "--mark-dropout puts 0 for a mark that is missing, which is its mean after z-scores "
            "only; with --normalise none it is a value like others",
            hint="use another --normalise",
        )
    if n_marks < 2:
        raise ChromeError("--mark-dropout needs two marks; one is never dropped")


def draw_kept(genes: int, marks: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw which marks genes keep, shape (genes, marks), at least one each.

    Each is dropped with the probability; a gene that would lose all keeps one, any with the same
    chance. So a little fewer are dropped than the probability says.

    Examples
    --------
    >>> draw_kept(3, 2, 0.0, torch.Generator()).all().item()
    True
    """
    kept = torch.rand(genes, marks, generator=generator) >= probability
    spared = torch.randint(marks, (genes,), generator=generator)
    none = ~kept.any(dim=1)
    kept[none, spared[none]] = True
    return kept


def drop_marks(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Return signal (genes, marks, bins) with some marks of each gene 0; `x` is not changed.

    Parameters
    ----------
    generator
        On the CPU, so that the same marks are dropped on every device.
    """
    if not probability:
        return x
    kept = draw_kept(x.shape[0], x.shape[1], probability, generator).to(x.device)
    return x * kept[:, :, None]
