"""How do several trainings share their fits, and keep all else to themselves?"""

from __future__ import annotations

from collections.abc import Sequence

from chromemodel.train.device import computing
from chromemodel.train.loop import Fit
from chromemodel.train.many import fit_many
from chromemodel.train.member import Member
from chromemodel.train.single import Trained, Training
from chromeprep.errors import ChromeError


def train_together(
    trainings: Sequence[Training], threads: int | None
) -> list[Trained | ChromeError]:
    """Carry out trainings of networks, their fits at the same time.

    Parameters
    ----------
    trainings
        As `train_steps` gives them.
    threads
        Of the CPU.

    Returns
    -------
    list of Trained or ChromeError
        Of each; an error ends that training alone.
    """
    found: list[Trained | ChromeError | Member] = [_begun(training) for training in trainings]
    with computing(threads):
        fits = iter(fit_many([one for one in found if isinstance(one, Member)]))
    return [
        _ended(training, next(fits)) if isinstance(one, Member) else one
        for training, one in zip(trainings, found, strict=True)
    ]


def _begun(training: Training) -> Trained | ChromeError | Member:
    try:
        return next(training)
    except StopIteration as end:
        trained: Trained = end.value
        return trained
    except ChromeError as error:
        return error


def _ended(training: Training, fit: Fit | ChromeError) -> Trained | ChromeError:
    if isinstance(fit, ChromeError):
        training.close()
        return fit
    try:
        training.send(fit)
    except StopIteration as end:
        trained: Trained = end.value
        return trained
    except ChromeError as error:
        return error
    raise AssertionError("a training has one fit")
