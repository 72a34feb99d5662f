"""How much memory do the genes of many cell types take in training, and what does saving it cost?

Makes cell types of counts in a folder where they stay. For each form of ``--memory`` a process of
its own reads them, trains, and watches its anonymous memory and its mapped files apart; then all
forms train in turn in one process. With ``--pass-only`` nothing is trained: batches of all genes
are taken once, as for a set that would train for days. Prints the tables of
``docs/benchmarks.md``, "Memory".

    python -m benchmarks.memory --folder FOLDER
    python -m benchmarks.memory --folder FOLDER --cells 56 --genes 17170 --pass-only
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.arguments import parser
from benchmarks.running import CORE_MARKS
from chromemodel.adapt import create_method
from chromemodel.config import Memory, Normalisation, TrainConfig
from chromemodel.data.sources import read_sources
from chromemodel.models import create_model
from chromemodel.models.base import ChromeNet
from chromemodel.train.device import computing, derive_seed, seeded
from chromemodel.train.keeping import Keeper, Kept
from chromemodel.train.loop import FitData, Loop
from chromemodel.train.store import Signals
from chromeprep.format import ChromeBins, FileAttributes, GeneTable, MarkTable, write_bins

T = TypeVar("T")

BINS, BIN_BP = 200, 100
MEMORY: tuple[Memory, ...] = tuple(form for form in get_args(Memory) if form != "auto")
CPU = torch.device("cpu")


class Set(NamedTuple):
    """The files, what is trained on them, and in what form they are kept."""

    paths: tuple[Path, ...]
    model: str
    epochs: int
    memory: Memory


class Watched(NamedTuple):
    """Peaks of a process in MB: anonymous memory, and mapped files."""

    anonymous: float
    mapped: float


class Found(NamedTuple):
    """What a process saw: before all else, while genes were kept, and in each epoch or pass.

    ``size`` are the bytes of the genes as they are kept, and ``seconds`` those of each step.
    """

    before: Watched
    keeping: Watched
    epochs: list[Watched]
    size: int
    seconds: list[float]


def main() -> None:
    """Print the tables that were asked for."""
    options = parser(__doc__)
    options.add_argument("--folder", type=Path, required=True, help="of the files, which stay")
    options.add_argument("--cells", type=int, default=12)
    options.add_argument("--genes", type=int, default=4000, help="of each cell type")
    options.add_argument("--memory", nargs="+", default=MEMORY, choices=MEMORY)
    options.add_argument("--model", default="deepchrome", help="that is trained to see the memory")
    options.add_argument("--timed", default="transferchrome", help="that is timed")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("-n", "--rounds", type=int, default=5, help="of the timing")
    options.add_argument("--pass-only", action="store_true", help="take batches, do not train")
    arguments = options.parse_args()
    paths = tuple(
        made(arguments.folder, number, arguments.genes) for number in range(arguments.cells)
    )
    epochs = 0 if arguments.pass_only else arguments.epochs
    whole = 4 * arguments.cells * arguments.genes * len(CORE_MARKS) * BINS / 1e6
    sizes = f"{arguments.cells} cell types of {arguments.genes:,} genes"
    print(f"{sizes}: {whole:,.0f} MB as float32; peaks of anonymous memory, MB\n")
    steps = [f"epoch {number + 1}" for number in range(epochs)] or ["a pass, s", "a pass"]
    head = ["", "genes, MB", "before", "keeping, s", "keeping", *steps, "mapped files"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for memory in arguments.memory:
        asked = Set(paths, arguments.model, epochs, memory)
        print(row(memory, in_process(watch, asked), trained=epochs > 0), flush=True)
    if not arguments.pass_only:
        show_speed(Set(paths[:1], arguments.timed, 0, "auto"), arguments.memory, arguments.rounds)


def row(memory: str, found: Found, *, trained: bool) -> str:
    """Return a row of the table of memory; mapped files are those that came after the imports."""
    first, *rest = found.seconds
    cells = [memory, f"{found.size / 1e6:,.0f}", f"{found.before.anonymous:,.0f}", f"{first:.0f}"]
    cells += [f"{found.keeping.anonymous:,.0f}"]
    cells += [] if trained else [f"{rest[0]:.0f}"]
    cells += [f"{one.anonymous:,.0f}" for one in found.epochs]
    mapped = max(one.mapped for one in (found.keeping, *found.epochs)) - found.before.mapped
    cells += [f"{mapped:,.0f}"]
    return f"| {' | '.join(cells)} |"


def show_speed(asked: Set, forms: tuple[Memory, ...], rounds: int) -> None:
    """Print how many genes a second each form trains, and its ratio to the first."""
    rates = in_process(speeds, asked, tuple(forms), rounds)
    print(f"\n{asked.model}\n\n| | genes/s | / {forms[0]} | rounds |\n|---|---|---|---|")
    for form, own in zip(forms, rates, strict=True):
        ratios = sorted(mine / theirs for mine, theirs in zip(own, rates[0], strict=True))
        print(
            f"| {form} | {median(own):,.0f} | {median(ratios):.3f} "
            f"| {ratios[0]:.3f}-{ratios[-1]:.3f} |"
        )


def in_process(work: Callable[..., T], *arguments: object) -> T:
    """Return the result of work in a fresh process, in which nothing is left of another."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def watch(asked: Set) -> Found:
    """Keep genes and train on them, or take all of them once, in this process."""
    with computing(1):
        with watching() as before:
            step_on_nothing(asked.model)  # imports what there is to import
        start = time.perf_counter()
        with watching() as keeping:
            kept, label = keep(asked)
        seconds = [time.perf_counter() - start]
        held_out = np.random.default_rng(0).random(len(label)) < 0.1
        if asked.epochs:
            loop = new_loop(asked.model, kept, label, held_out)
        epochs: list[list[Watched]] = []
        for _ in range(asked.epochs or 1):
            start = time.perf_counter()
            with watching() as one:
                if asked.epochs:
                    loop.run_epoch()
                else:
                    passed(kept.of(~held_out))
            epochs.append(one)
            seconds.append(time.perf_counter() - start)
    size = kept.shelf.nbytes if kept.whole is None and kept.shelf else 0
    if kept.whole is not None:
        size = kept.whole.nbytes
    return Found(before[0], keeping[0], [one[0] for one in epochs], size, seconds)


def passed(x: Signals) -> None:
    """Take each gene once, in batches and a random order, and touch every value."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    total = 0.0
    for start in range(0, len(x), 32):
        total += float(x.index_select(0, order[start : start + 32]).sum())
    if not np.isfinite(total):
        raise ValueError("a gene is not what it should be")


def speeds(asked: Set, forms: tuple[Memory, ...], rounds: int) -> list[list[float]]:
    """Train an epoch with each form in turn, and return genes a second of processor time."""
    found: list[list[float]] = [[] for _ in forms]
    with computing(1):
        loops = []
        for memory in forms:
            kept, label = keep(asked._replace(memory=memory))
            rows = np.arange(len(label)) >= 1024  # held out of the training, and so of the time
            loops.append(new_loop(asked.model, kept, label, rows, validate=False))
        for turn in range(rounds + 1):
            for loop, own in zip(loops, found, strict=True):
                start = time.process_time()
                loop.run_epoch()
                if turn:  # the first does not count
                    own.append(len(loop.data.x) / (time.process_time() - start))
    return found


def keep(asked: Set) -> tuple[Kept, NDArray[np.int8]]:
    """Read files as the commands do, and return their genes and labels."""
    keeper = Keeper(asked.memory, asked.paths, (), CPU, asked.paths[0])
    sources = read_sources(asked.paths, hold=keeper.hold)
    return keeper.keep(sources, Normalisation()), sources.label


def new_loop(
    model: str,
    kept: Kept,
    label: NDArray[np.int8],
    held_out: NDArray[np.bool_],
    *,
    validate: bool = True,
) -> Loop:
    """Return a fit that stands at its beginning."""
    held = kept.batched(label, held_out) if validate else (None, None)
    data = FitData(*kept.batched(label, ~held_out), None, *held)
    net = new_model(model)
    return Loop(net, create_method("source_only", {}, net), data, TrainConfig(epochs=1000))


def step_on_nothing(model: str) -> None:
    """Take a step with a gene of zeros."""
    net, y = new_model(model), torch.zeros(1, dtype=torch.int64)
    data = FitData(torch.zeros(1, len(CORE_MARKS), BINS), y)
    Loop(net, create_method("source_only", {}, net), data, TrainConfig()).run_epoch()


def new_model(name: str) -> ChromeNet:
    """Return a network of default options, with the same weights every time."""
    with seeded(derive_seed(0, "init"), CPU):
        return create_model(name, {}, n_marks=len(CORE_MARKS), n_bins=BINS)


@contextmanager
def watching() -> Iterator[list[Watched]]:
    """Watch the memory of this process inside the block; the list has the peaks behind it."""
    found: list[Watched] = []
    seen = [_memory()]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            seen.append(_memory())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
        seen.append(_memory())
        found.append(Watched(*(max(column) for column in zip(*seen, strict=True))))


def _memory() -> tuple[float, float]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
    anonymous, file, shared = (
        1024 * int(sizes[name].split()[0]) / 1e6 for name in ("RssAnon", "RssFile", "RssShmem")
    )
    return anonymous, file + shared


def made(folder: Path, number: int, genes: int) -> Path:
    """Return the file of a cell type, made where it is not there: counts of reads in bins."""
    path = folder / f"cell-{number}-{genes}.h5"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(number)
    rate = draws.gamma(0.5, 6.0, size=(genes, len(CORE_MARKS), 1))
    signal = draws.poisson(rate, size=(genes, len(CORE_MARKS), BINS)).astype(np.float32)
    label = (rate[:, 0, 0] >= np.median(rate[:, 0, 0])).astype(np.int8)
    start = 10_000 * np.arange(genes)
    table = GeneTable.build(
        [f"ENSG{gene:011d}" for gene in range(genes)],
        [f"chr{1 + gene % 22}" for gene in range(genes)],
        start, start + 500, ["+"] * genes, label=label,
    )  # fmt: skip
    attributes = FileAttributes(
        bin_size_bp=BIN_BP, flank_bp=BINS * BIN_BP // 2, n_bins=BINS, assembly="none",
        cell_type=f"cell-{number}",
    )  # fmt: skip
    marks = MarkTable.build(list(CORE_MARKS), signal, units=["reads"] * len(CORE_MARKS))
    lengths = {f"chr{one}": 10**9 for one in range(1, 23)}
    write_bins(path, ChromeBins(attributes, table, marks, lengths, (), signal=signal))
    return path


if __name__ == "__main__":
    main()
