"""What does each method of adaptation, and each way of normalising, gain or lose?

Three cases: a simulated cell type with a strong batch shift (``benchmarks.shift``), and real
-log10 p in the ENCODE pilot regions, from H1 (E003) to GM12878 (E116) and back. The network is
TransferChrome on 5 kb on either side, with small files and few epochs, so that it can be afforded;
logistic regression and the ensemble stand beside it. Each seed has a split, weights and a simulated
world of its own. Every run of a method holds one without adaptation with the same seed, and the
difference is from that one. Intervals are of Student's t over seeds, 95 %; those over all cases
take each case and seed as one more draw. Finished runs are kept; a run that diverges is counted and
has no score. The tables are those of ``docs/adaptation.md`` and ``docs/normalisation.md``.

    CHROME_REAL_DATA=… python -m benchmarks.methods -o results/methods
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from benchmarks import simulated
from benchmarks.arguments import parser
from benchmarks.running import DIVERGED, bin_pilot
from benchmarks.shift import write_shifted
from chromemodel.config import NormaliseRule, TrainConfig, Transform

PILOT = (("E003", "E116"), ("E116", "E003"))
SIMULATED = "simulated, shifted"
CASES = (SIMULATED, *(f"{source} → {target}" for source, target in PILOT))
GENES, WINDOW_BP = 1000, 5000
ADAM = TrainConfig("adam", lr=0.001, weight_decay=0.0, batch_size=32, patience=1000)
#: The simulated source has three times the genes. The paper's SGD needs more, and runs in the pilot
#: regions alone.
EPOCHS = {SIMULATED: 10, CASES[1]: 24, CASES[2]: 24}
SGD = TrainConfig(epochs=60, patience=60)
BATCH_NORM = {"batch_norm": True}
NETWORK = "transferchrome"


class Setting(NamedTuple):
    """A model and how it is carried over; ``options`` are the method's."""

    name: str
    method: str = "source_only"
    options: dict[str, Any] = {}  # noqa: RUF012
    model: str = NETWORK
    model_options: dict[str, Any] = {}  # noqa: RUF012
    sgd: bool = False


SMALL_DANN = Setting("dann, λ 0.03", "dann", {"domain_weight": 0.03})
PUBLISHED = Setting("dann, λ 1, the paper's SGD", "dann", sgd=True)
METHODS = (
    Setting("dann, λ 1", "dann"),
    SMALL_DANN,
    Setting("cdan, λ 0.03", "cdan", {"domain_weight": 0.03}),
    *(Setting(name, name) for name in ("deep_coral", "mmd", "mcc", "self_training")),
    Setting("adabn", "adabn", model_options=BATCH_NORM),
    PUBLISHED,
)
PLAIN = Setting("source_only")
LOGISTIC, ENSEMBLE = (Setting(name, model=name) for name in ("logistic", "ensemble"))
Way = tuple[NormaliseRule, Transform]
WAYS: tuple[Way, ...] = (
    ("file", "none"), ("file", "log1p"), ("file", "arcsinh"),
    ("training", "none"), ("training", "log1p"),
    ("quantile", "none"), ("quantile", "log1p"),
    ("none", "none"), ("none", "log1p"),
)  # fmt: skip
#: Of the network without adaptation; each run of dann has one, too.
PLAIN_WAYS = (WAYS[1], WAYS[2], WAYS[7])
DANN_WAYS = (WAYS[3], WAYS[5])
ENSEMBLE_WAYS = (WAYS[0], WAYS[1], WAYS[3], WAYS[5])
USUAL = WAYS[0]


class Job(NamedTuple):
    """One run: its folder and all that makes it."""

    folder: Path
    case: str
    seed: int
    setting: Setting
    normalise: NormaliseRule
    transform: Transform
    source: Path
    target: Path


class Row(NamedTuple):
    """One run's test AUROC, that of the run without adaptation within, and their difference.

    All are NaN where the run diverged; ``domain_loss`` is that of the last epoch, NaN without one.
    """

    case: str
    seed: int
    setting: str
    normalise: str
    transform: str
    diverged: bool
    auroc: float
    source_only: float
    difference: float
    domain_loss: float


def main() -> None:
    """Run what is missing and print the tables."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results/methods"))
    options.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--only-print", action="store_true", help="of the runs that are there")
    arguments = options.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    todo = list(jobs(arguments.data, arguments.output, arguments.seeds))
    if not arguments.only_print:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
            for _ in pool.map(make, todo):
                pass
    rows = [row for job in todo if (row := read(job)) is not None]
    with (arguments.output / "methods.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    print_methods(rows)
    print_ways(rows)


def jobs(data: Path, output: Path, seeds: Sequence[int]) -> Iterator[Job]:
    """Return all runs, what matters most first, and make the files they need."""
    stages: tuple[list[tuple[Setting, Way]], ...] = (
        [(one, USUAL) for one in METHODS if one is not PUBLISHED],
        [(SMALL_DANN, way) for way in DANN_WAYS] + [(LOGISTIC, way) for way in WAYS],
        [(PLAIN, way) for way in PLAIN_WAYS],
        [(PUBLISHED, USUAL), (PUBLISHED, DANN_WAYS[0])],
        [(ENSEMBLE, way) for way in ENSEMBLE_WAYS],
    )
    for stage in stages:
        for seed in seeds:
            for case in CASES:
                source, target = files(data, output, case, seed)
                for setting, way in stage:
                    words = "-".join((case, str(seed), setting.name, *way))
                    for old, new in ((" → ", "-"), (", ", "-"), ("λ ", ""), ("'", ""), (" ", "-")):
                        words = words.replace(old, new)
                    if not (setting is PUBLISHED and case == SIMULATED):
                        yield Job(output / words, case, seed, setting, *way, source, target)


def files(data: Path, output: Path, case: str, seed: int) -> tuple[Path, Path]:
    """Return the files of bins of a case; what is missing is made."""
    if case == SIMULATED:
        source, poor, target = (
            output / f"{name}-{seed}{suffix}.h5"
            for name, suffix in (
                (simulated.SOURCE, ""), (simulated.TARGET, ""), (simulated.TARGET, "-shifted")
            )
        )  # fmt: skip
        if not target.exists():
            for name in (simulated.SOURCE, simulated.TARGET):
                simulated.read(output, seed, name, genes=GENES)
            write_shifted(poor, target, seed)
        return source, target
    source, target = (bin_pilot(data, name, output) for name in case.split(" → "))
    return source, target


def make(job: Job) -> None:
    """Make one run unless it is done, or has diverged before."""
    if job.folder.exists() or said(job).exists():
        return
    from chromemodel import adapt_model
    from chromemodel.models import MODELS
    from chromeprep.errors import ChromeError

    setting, start = job.setting, time.perf_counter()
    training = MODELS.entry(setting.model).recipe
    if setting.model == NETWORK:
        training = SGD if setting.sgd else replace(ADAM, epochs=EPOCHS[job.case])
    try:
        adapt_model(
            job.source, job.target, job.folder, method=setting.method,
            method_options=setting.options, model=setting.model, options=setting.model_options,
            window_bp=WINDOW_BP if setting.model == NETWORK else None,
            normalise=job.normalise, transform=job.transform, baseline=False,
            training=replace(training, seed=job.seed, threads=1, device="cpu"),
        )  # fmt: skip
    except ChromeError as error:
        if DIVERGED not in str(error):
            raise
        said(job).write_text(f"{error}\n", encoding="utf-8")
    print(f"{job.folder.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def said(job: Job) -> Path:
    """Return the file that says that a run diverged."""
    return job.folder.with_name(f"{job.folder.name}.diverged")


def read(job: Job) -> Row | None:
    """Return the row of a run, None where it has not been made."""
    row = Row(*job[1:3], job.setting.name, *job[4:6], True, *[float("nan")] * 4)
    if said(job).exists():
        return row
    if not job.folder.exists():
        return None
    told = json.loads((job.folder / "metrics.json").read_text())["scores"]
    scores = {one["model"]: float(one["auroc"]) for one in told}
    method = job.setting.method
    row = row._replace(diverged=False, auroc=scores[method], source_only=scores["source_only"])
    with (job.folder / "history.csv").open(newline="") as handle:
        *_, last = [{}, *csv.DictReader(handle)]
    return row._replace(
        difference=row.auroc - row.source_only,
        domain_loss=float(last.get("domain_loss", "nan")),
    )


def print_methods(rows: Sequence[Row]) -> None:
    """Print the gain of each method, case by case and over all."""
    print(f"| method | {' | '.join(CASES)} | all | stopped | domain loss above 1 |")
    print("|---|" + "---|" * (len(CASES) + 3))
    usual = [row for row in rows if (row.normalise, row.transform) == USUAL]
    print(f"| source_only, AUROC | {' | '.join(levels(usual, case) for case in CASES)} | | | |")
    for setting in METHODS:
        mine = [row for row in usual if row.setting == setting.name]
        print(f"| {setting.name} | {gains(mine)} |")
    for setting, normalise, transform in (
        *((SMALL_DANN, *way) for way in DANN_WAYS), (PUBLISHED, "training", "none"),
    ):  # fmt: skip
        way = (setting.name, normalise, transform)
        print(
            f"| {setting.name}, `{normalise}` | {gains([row for row in rows if row[2:5] == way])} |"
        )


def gains(rows: Sequence[Row]) -> str:
    """Return the cells of one method."""
    cells = [
        interval([row.difference for row in rows if row.case == case and not row.diverged])
        for case in CASES
    ]
    good = [row for row in rows if not row.diverged]
    cells.append(interval([row.difference for row in good]))
    cells.append(f"{len(rows) - len(good)} of {len(rows)}")
    losses = [row.domain_loss for row in good if row.domain_loss == row.domain_loss]
    cells.append(f"{sum(loss > 1 for loss in losses)} of {len(losses)}" if losses else "")
    return " | ".join(cells)


def levels(rows: Sequence[Row], case: str) -> str:
    """Return the mean and spread of the network's AUROC without adaptation in one case."""
    found = [row.source_only for row in rows if (row.setting, row.case) == (SMALL_DANN.name, case)]
    return f"{mean(found):.3f} ± {stdev(found):.3f}" if len(found) > 1 else ""


def print_ways(rows: Sequence[Row]) -> None:
    """Print for each model carried over and each way its AUROC, and the gain over the usual way."""
    heads = [head for case in CASES for head in (case, "less the default")]
    print(
        f"\n| model | `--normalise` | `--transform` | {' | '.join(heads)} | all, less the default |"
    )
    print("|---|" + "---|" * (len(heads) + 3))
    for setting in (PLAIN, LOGISTIC, ENSEMBLE):
        names = {PLAIN.name, SMALL_DANN.name} if setting is PLAIN else {setting.name}
        found = {row[:2] + row[3:5]: row.source_only for row in rows if row.setting in names}
        for way in WAYS:
            if way not in {how[2:] for how in found}:
                continue
            cells, all_of_them = [], []
            for case in CASES:
                mine = {seed: area for (of, seed, *how), area in found.items()
                        if of == case and (*how,) == way and area == area}  # fmt: skip
                gained = [
                    area - found[case, seed, *USUAL]
                    for seed, area in mine.items()
                    if (case, seed, *USUAL) in found
                ]
                all_of_them += gained
                cells.append(f"{mean(mine.values()):.3f}" if mine else "")
                cells.append("" if way == USUAL else interval(gained))
            cells.append("" if way == USUAL else interval(all_of_them))
            print(f"| {setting.name} | `{way[0]}` | `{way[1]}` | {' | '.join(cells)} |")


def interval(values: Sequence[float]) -> str:
    """Return the mean, half of its 95 % interval by Student's t, and how many are above 0.

    Examples
    --------
    >>> interval([0.01, 0.02, 0.03])
    '+0.020 ± 0.025 (3/3)'
    """
    if len(values) < 2:
        return ""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    above = sum(value > 0 for value in values)
    return f"{mean(values):+.3f} ± {half:.3f} ({above}/{len(values)})"


if __name__ == "__main__":
    main()
