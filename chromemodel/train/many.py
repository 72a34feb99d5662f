"""How are many models of one architecture fitted at the same time, each as if it were alone?

Each has its own data, seed, order of genes, dropout, numbers of the optimizer, early stopping and
checkpoint; one that has ended leaves the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from chromemodel.train.genes import Genes
from chromemodel.train.interrupts import held_back
from chromemodel.train.loop import Fit, FitData
from chromemodel.train.member import Member
from chromemodel.train.memory import free_memory, out_of_memory
from chromemodel.train.stack import Stack, may_stack
from chromeprep.errors import ChromeError


def quicker_together(device: torch.device) -> bool:
    """Return whether models are quicker in common steps than in processes of their own.

    On a CPU they are not: ``docs/benchmarks.md``, "Many models".
    """
    return device.type == "cuda"


def fit_many(members: Sequence[Member]) -> list[Fit | ChromeError]:
    """Fit models at the same time, where `may_stack` says so, else one after another.

    Each comes to what `Loop.fit` comes to, up to the rounding of sums: history, best epoch, early
    stopping, weights, checkpoint. Where memory runs out, half of them go first.

    Returns
    -------
    list of Fit or ChromeError
        Of each; an error where its loss is no longer a number, or its checkpoint does not fit. It
        ends that model alone.
    """
    for member in members:
        member.start()
    going = [member for member in members if member.result is None]
    try:
        with held_back() as after_step:
            for group in _groups(going):
                _fit(group, after_step)
    except BaseException as error:
        for member in members:
            if member.result is None:
                member.keep(error)
        raise
    return [member.result for member in members if member.result is not None]


def _groups(members: list[Member]) -> list[list[Member]]:
    """Return the members that take steps of one size; memory may have run out for some before."""
    sizes = sorted({member.loop.config.batch_size for member in members})
    return [[one for one in members if one.loop.config.batch_size == size] for size in sizes]


def _fit(members: list[Member], after_step: Callable[[], None]) -> None:
    if len(members) == 1 or not may_stack([member.loop for member in members]):
        for member in members:
            _fit_alone(member, after_step)
        return
    try:
        _fit_together(members, after_step)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    free_memory()
    going = [member for member in members if member.result is None]
    for member in going:
        member.loop.take_up(member.good)
    half = len(members) // 2
    for part in (going[:half], going[half:]):
        if part:
            _fit(part, after_step)


def _fit_alone(member: Member, after_step: Callable[[], None]) -> None:
    member.loop.after_step = after_step
    while member.result is None:
        member.end_epoch(lambda: member.loop.run_epoch_in_memory(member.good))


def _fit_together(members: list[Member], after_step: Callable[[], None]) -> None:
    data = [member.loop.data for member in members]
    genes = Genes([one.x for one in data], [one.y for one in data])
    held_out = _held_out(data)
    del data
    for number, member in enumerate(members):
        member.look_into(genes.part(number), None if held_out is None else held_out.part(number))
    places = list(range(len(members)))
    while places:
        going = [members[place] for place in places]
        stack = Stack(
            [member.loop for member in going],
            genes.of(places),
            None if held_out is None else held_out.of(places),
        )
        try:
            while all(member.result is None for member in going):
                _run_epoch(stack, going, after_step)
        finally:
            stack.release()
        places = [place for place in places if members[place].result is None]


def _run_epoch(stack: Stack, members: list[Member], after_step: Callable[[], None]) -> None:
    losses = stack.run_epoch(after_step)
    # A CPU is quicker with the forms of the layers that are its own: models/cpu.py.
    known = stack.predict() if stack.device.type != "cpu" else []
    for number, (member, loss) in enumerate(zip(members, losses, strict=True)):
        logits = known[number] if known else None
        member.end_epoch(partial(member.loop.close_epoch, loss, logits=logits))


def _held_out(data: list[FitData]) -> Genes | None:
    signal = [one.validation_x for one in data if one.validation_x is not None]
    label = [one.validation_y for one in data if one.validation_y is not None]
    return Genes(signal, label) if signal else None
