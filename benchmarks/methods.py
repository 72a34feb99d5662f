"""What does each method of adaptation, and each way of normalising, gain or lose?

Three cases: a simulated cell type with a strong batch shift (``benchmarks.shift``), and real
-log10 p in the ENCODE pilot regions, from H1 (E003) to GM12878 (E116) and back. The network is
TransferChrome on 5 kb on either side, with small files and few epochs, so that it can be afforded;
logistic regression and the ensemble stand beside it. Each seed has a split, weights and a simulated
world of its own. Every run of a method holds one without adaptation with the same seed, and the
difference is from that one. Intervals are of Student's t over seeds, 95 %; those over all cases
take each case and seed as one more draw. Finished runs are kept. A run whose loss is no number
stops and has no score; one whose domain loss has run away has that of its best epoch. Both are
counted. The tables are those of ``docs/adaptation.md`` and ``docs/normalisation.md``.

    CHROME_REAL_DATA=… python -m benchmarks.methods -o results/methods
"""

from __future__ import annotations

import csv
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean, stdev

from benchmarks.arguments import parser
from benchmarks.carrying import (
    CASES,
    DANN_WAYS,
    ENSEMBLE,
    LOGISTIC,
    METHODS,
    PLAIN,
    PUBLISHED,
    SMALL_DANN,
    USUAL,
    WAYS,
    Row,
    jobs,
    make,
    read,
)


def main() -> None:
    """Run what is missing and print the tables."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results/methods"))
    options.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--cheap-seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4],
                         help="of logistic regression and the ensemble")  # fmt: skip
    options.add_argument("--only-print", action="store_true", help="of the runs that are there")
    arguments = options.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    seeds = arguments.seeds, arguments.cheap_seeds
    todo = list(jobs(arguments.data, arguments.output, *seeds))
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
