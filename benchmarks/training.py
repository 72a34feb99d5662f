"""How fast does one TransferChrome train and predict on a CPU, beside plain torch?

Times ours and `benchmarks.plain` in turn, each measurement in a process of its own, and prints the
tables of ``docs/benchmarks.md``, "Training". ``--profile`` shows what bounds each of them,
``--accuracy`` trains both with five seeds on real chromatin, ``--start`` times ``chromemodel
predict`` from a cold start on all genes of a real file.

    python -m benchmarks.training
    python -m benchmarks.training --profile
    python -m benchmarks.training --accuracy --data DATA -o results
    python -m benchmarks.training --start --data DATA -o results
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.profiler import ProfilerActivity, profile

from benchmarks.arguments import parser
from benchmarks.plain import PlainTransferChrome, plain_copy, predict, train_epoch
from benchmarks.running import SCRIPTS, Run, bin_calls, make_runs, spread
from chromemodel.adapt import create_method
from chromemodel.config import Precision, Split, TrainConfig
from chromemodel.data.normalise import fit_scale, z_score
from chromemodel.data.splits import split_genes
from chromemodel.evaluate.metrics import auroc
from chromemodel.models.transferchrome import TransferChrome, TransferChromeConfig
from chromemodel.train.device import computing
from chromemodel.train.loop import FitData, Loop, predict_logits
from chromeprep.format import read_bins

MARKS, BINS, TRAINED, PREDICTED = 5, 200, 512, 4096
SEEDS, EPOCHS = range(5), 4


class Measurement(NamedTuple):
    """What is timed: ``train``, ``predict`` or ``dann``, with the batch of the plain way."""

    name: str
    kind: str
    batch: int
    threads: int
    precision: Precision = "float32"


BOTH = (1, 2)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
MEASUREMENTS = (
    *(
        Measurement(name, kind, size, threads, precision)
        for name, kind, sizes in (
            ("training", "train", (32, 64)),
            ("prediction", "predict", (64, 512)),
        )
        for precision in PRECISIONS
        for threads in BOTH
        for size in sizes
    ),
    *(Measurement("DANN beside plain training, both ours", "dann", 32, n) for n in BOTH),
)


class Rates(NamedTuple):
    """Genes a second of each round; genes of the source alone for DANN."""

    other: list[float]
    ours: list[float]


def main() -> None:
    """Print the tables that were asked for."""
    options = parser(__doc__)
    options.add_argument("-n", "--rounds", type=int, default=9)
    options.add_argument("--profile", action="store_true")
    options.add_argument("--accuracy", action="store_true")
    options.add_argument("--start", action="store_true")
    options.add_argument("--data", type=Path, help="folder of real data, for the last two")
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    arguments = options.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.profile:
        show_profiles()
    elif arguments.accuracy:
        show_accuracy(bin_calls(arguments.data, "E116", arguments.output))
    elif arguments.start:
        show_start(bin_calls(arguments.data, "E116", arguments.output), arguments.rounds)
    else:
        show_speed(arguments.rounds)


def show_speed(rounds: int) -> None:
    """Print genes a second of both, medians over the rounds, and ratios of rounds."""
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{platform.machine()}, {capability}, torch {torch.__version__}\n")
    columns = (
        *("", "ours in", "batch", "threads"),
        *("plain, genes/s", "ours, genes/s", "ratio", "rounds"),
    )
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for measurement in MEASUREMENTS:
        # A fresh process each: threads and memory of one do not reach the next.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            other, ours = pool.submit(measure, measurement, rounds).result()
        ratios = sorted(mine / theirs for mine, theirs in zip(ours, other, strict=True))
        print(
            f"| {measurement.name} | {measurement.precision} "
            f"| {measurement.batch} | {measurement.threads} "
            f"| {median(other):,.0f} | {median(ours):,.0f} "
            f"| {median(ours) / median(other):.2f} | {ratios[0]:.2f}-{ratios[-1]:.2f} |",
            flush=True,
        )  # fmt: skip


def measure(measurement: Measurement, rounds: int) -> Rates:
    """Time both in turn, after a round that does not count.

    One thread is timed by what it computes, so that other work on the machine counts for less.
    """
    clock = time.process_time if measurement.threads == 1 else time.perf_counter
    other, ours = both_ways(measurement)
    found = Rates([], [])
    for turn in range(rounds + 1):
        for way, rates in zip((other, ours), found, strict=True):
            start = clock()
            genes = way()
            if turn:
                rates.append(genes / (clock() - start))
    return found


def both_ways(measurement: Measurement) -> tuple[Callable[[], int], Callable[[], int]]:
    """Return two functions that do the other's and our work once and say of how many genes."""
    torch.set_num_threads(measurement.threads)
    torch.manual_seed(0)
    x, y = torch.randn(PREDICTED, MARKS, BINS), torch.randint(0, 2, (TRAINED,))
    genes = x[:TRAINED]
    model = new_model(MARKS)
    plain = plain_copy(model, MARKS, BINS)
    if measurement.kind == "predict":
        return (
            lambda: len(predict(plain, x, measurement.batch)),
            within(
                measurement.threads,
                lambda: len(predict_logits(model, x, measurement.precision)),
            ),
        )
    config = TrainConfig(batch_size=measurement.batch, precision=measurement.precision)
    ours = within(measurement.threads, epochs_of(model, "source_only", FitData(genes, y), config))
    if measurement.kind == "dann":
        data = FitData(genes, y, target=x[TRAINED : 2 * TRAINED])
        return ours, within(
            measurement.threads, epochs_of(new_model(MARKS), "dann", data, config)
        )  # fmt: skip
    optimizer = SGD(
        plain.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay
    )

    def train_plain() -> int:
        train_epoch(plain, optimizer, genes, y, measurement.batch)
        return len(genes)

    return train_plain, ours


def new_model(n_marks: int) -> TransferChrome:
    """Return a model of default options with fresh weights."""
    return TransferChrome(TransferChromeConfig(), n_marks=n_marks, n_bins=BINS)


def epochs_of(
    model: TransferChrome, method: str, data: FitData, config: TrainConfig
) -> Callable[[], int]:
    """Return a function that trains for one more epoch and says of how many genes."""
    loop = Loop(model, create_method(method, {}, model), data, config)

    def run() -> int:
        loop.run_epoch()
        return len(data.x)

    return run


def within(threads: int, work: Callable[[], int]) -> Callable[[], int]:
    """Return the work, done as the commands do theirs."""

    def run() -> int:
        with computing(threads):
            return work()

    return run


def show_profiles() -> None:
    """Print which of torch's operations take most of the time of each, on one thread."""
    for kind in ("train", "predict"):
        ways = both_ways(Measurement(kind, kind, 64, 1))
        for name, way in zip(("plain", "ours"), ways, strict=True):
            way()
            with quiet_profile() as watched:
                way()
            shares: Counter[str] = Counter()
            for event in watched.key_averages():
                shares[event.key] += event.self_cpu_time_total
            total = shares.total()
            print(f"\n{name}, {kind}\n\n| operation | share of time |\n|---|---|")
            for operation, spent in shares.most_common(10):
                print(f"| {operation} | {100 * spent / total:.0f} % |")


@contextlib.contextmanager
def quiet_profile() -> Iterator[profile]:
    """Watch the CPU's operations inside the block."""
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        yield watched


def show_accuracy(path: Path, trained: int = 3000) -> None:
    """Print test AUROCs of both over seeds: the same genes, first weights and optimizer."""
    x, y, train, test = real_genes(path, trained)
    config = TrainConfig("adam", weight_decay=0.0, batch_size=64, epochs=EPOCHS)
    found: dict[str, list[float]] = {"plain": [], **{name: [] for name in PRECISIONS}}
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = new_model(x.shape[1])
        plain = plain_copy(model, x.shape[1], BINS)
        train_plain(plain, Adam(plain.parameters(), config.lr), x[train], y[train], config)
        found["plain"].append(score(predict(plain, x[test]), y[test]))
        data = FitData(x[train], y[train])
        for precision in PRECISIONS:
            ours = deepcopy(model)
            method = create_method("source_only", {}, ours)
            own = replace(config, seed=seed, precision=precision)
            with computing(1):
                Loop(ours, method, data, own).fit()
                found[precision].append(score(predict_logits(ours, x[test], precision), y[test]))
    print(f"\n{len(train):,} genes of {path.stem} train for {EPOCHS} epochs, {len(test):,} test")
    for name, values in found.items():
        print(f"| {name} | {spread(values)} | {', '.join(f'{v:.4f}' for v in values)} |")


def train_plain(
    model: PlainTransferChrome, optimizer: Optimizer, x: Tensor, y: Tensor, config: TrainConfig
) -> None:
    """Train all epochs on one thread."""
    torch.set_num_threads(1)
    for _ in range(config.epochs):
        train_epoch(model, optimizer, x, y, config.batch_size)


def show_start(path: Path, rounds: int) -> None:
    """Print the seconds that a whole ``chromemodel predict`` takes, and importing torch alone."""
    run = path.with_name(f"{path.stem}-one-epoch")
    task = ("train", str(path), "--model=transferchrome", "--recipe=paper", "--epochs=1")
    make_runs([Run(run, (*task, "--no-baseline"))], 1)
    asked = (str(SCRIPTS / "chromemodel"), "predict", str(run), str(path), "-o", "-")
    commands: dict[str, tuple[str, ...]] = {
        "importing torch": (sys.executable, "-c", "import torch"),
        **{name: (*asked, "--precision", name) for name in PRECISIONS},
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            seconds[name].append(time.perf_counter() - start)
    for name, found in seconds.items():
        print(f"| {name} | {median(found):.2f} | {min(found):.2f}-{max(found):.2f} |")


def real_genes(path: Path, trained: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return signal, labels, and rows that train (the first so many) and test."""
    data = read_bins(path)
    parts = split_genes(data.genes, Split())
    train = np.flatnonzero(parts == "train")[:trained]
    test = np.flatnonzero(parts == "test")
    signal = z_score(data.signal, fit_scale(data.signal[train]))
    labels = torch.from_numpy(data.genes.label.astype(np.int64))
    return torch.from_numpy(signal), labels, torch.from_numpy(train), torch.from_numpy(test)


def score(logits: Tensor, y: Tensor) -> float:
    """Return the AUROC of logits (genes, 2)."""
    return auroc(y.numpy(), (logits[:, 1] - logits[:, 0]).numpy())


if __name__ == "__main__":
    main()
