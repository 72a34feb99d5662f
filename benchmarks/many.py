"""How much faster do many models train together than each in a process of its own?

Times both in turn for growing numbers of models: all in steps that they take together
(`chromemodel.train.many`), and in independent processes of one thread each, as many at a time as
there are cores. Prints the table of ``docs/benchmarks.md``, "Many models".

    python -m benchmarks.many
    python -m benchmarks.many --device cuda --models 1 8 56
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import NamedTuple

import torch

from benchmarks.arguments import parser
from chromemodel.adapt import create_method
from chromemodel.config import TrainConfig
from chromemodel.models import MODELS, create_model
from chromemodel.train.device import computing, derive_seed, seeded
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.many import fit_many
from chromemodel.train.member import Member

CORES = 2


class Size(NamedTuple):
    """What each of the models is, and sees."""

    model: str
    marks: int
    bins: int
    genes: int
    epochs: int
    device: str
    threads: int


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--models", type=int, nargs="+", default=[1, 2, 4, 8])
    options.add_argument("--model", default="transferchrome")
    options.add_argument("--threads", type=int, default=CORES, help="of those together")
    options.add_argument("--bins", type=int, default=200)
    options.add_argument("--genes", type=int, default=256, help="that train each model")
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--device", default="cpu")
    options.add_argument("-n", "--rounds", type=int, default=3)
    arguments = options.parse_args()
    # As the commands do: threads that wait by spinning starve each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    size = Size(
        arguments.model,
        5,
        arguments.bins,
        arguments.genes,
        arguments.epochs,
        arguments.device,
        arguments.threads,
    )
    where = platform.machine()
    if arguments.device != "cpu":
        where = torch.cuda.get_device_name(arguments.device)
    print(f"{where}, torch {torch.__version__}, {size.model}, {size.bins} bins\n")
    columns = ("models", "together, s", "genes/s", "processes, s", "genes/s", "ratio", "rounds")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for count in arguments.models:
        print(row(size, count, arguments.rounds), flush=True)


def row(size: Size, count: int, rounds: int) -> str:
    """Return a row of the table: medians over the rounds, and ratios of rounds."""
    spawn = get_context("spawn")
    with (
        ProcessPoolExecutor(1, spawn) as one,
        ProcessPoolExecutor(min(CORES, count), spawn) as many,
    ):
        ways: tuple[Callable[[], float], ...] = (
            lambda: one.submit(together, size, count).result(),
            lambda: in_processes(many, size, count),
        )
        seconds: list[list[float]] = [[], []]
        for turn in range(rounds + 1):
            for way, found in zip(ways, seconds, strict=True):
                spent = way()
                if turn:  # the first imports torch
                    found.append(spent)
    mine, processes = (median(found) for found in seconds)
    ratios = sorted(theirs / ours for ours, theirs in zip(*seconds, strict=True))
    genes = count * size.genes * size.epochs
    rates = (f"{spent:.2f} | {genes / spent:,.0f}" for spent in (mine, processes))
    return (
        f"| {count} | {' | '.join(rates)} | {processes / mine:.2f} "
        f"| {ratios[0]:.2f}-{ratios[-1]:.2f} |"
    )


def together(size: Size, count: int) -> float:
    """Return the seconds of models that take their steps together, in as many threads as cores."""
    loops = [new_loop(size, seed) for seed in range(count)]
    with computing(size.threads):
        start = time.perf_counter()
        fit_many([Member(loop) for loop in loops])
        return time.perf_counter() - start


def in_processes(pool: ProcessPoolExecutor, size: Size, count: int) -> float:
    """Return the seconds of models in processes of one thread."""
    start = time.perf_counter()
    list(pool.map(fit_one, [size] * count, range(count)))
    return time.perf_counter() - start


def fit_one(size: Size, seed: int) -> None:
    """Fit one model, in one thread."""
    loop = new_loop(size, seed)
    with computing(1):
        loop.fit()


def new_loop(size: Size, seed: int) -> Loop:
    """Return a fit that stands at its beginning, on genes of noise, by the paper's recipe."""
    device = torch.device(size.device)
    config = TrainConfig(**{**vars(MODELS.entry(size.model).recipe), "seed": seed})
    config = TrainConfig(**{**vars(config), "epochs": size.epochs, "device": size.device})
    with seeded(derive_seed(seed, "init"), torch.device("cpu")):
        model = create_model(size.model, {}, n_marks=size.marks, n_bins=size.bins)
        x = torch.randn(size.genes, size.marks, size.bins).to(device)
    y = (torch.arange(size.genes) % 2).to(device)
    half = size.genes // 2
    data = FitData(x, y, None, x[:half], y[:half])
    return Loop(model.to(device), create_method("source_only", {}, model), data, config)


if __name__ == "__main__":
    main()
