"""Does a network that loses reads in training do better on an experiment of fewer reads?

Trains on the counts of S01 of simulated worlds with and without ``--thin`` and by two ways of
normalising, whole chromosomes held out, and scores the genes of the test chromosome in T01, as it
is and with a part of its reads. Writes the table of ``docs/training.md``; finished runs are kept.

    python -m benchmarks.thinning -o results/thinning
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.arguments import parser
from benchmarks.running import Run, make_runs, spread
from benchmarks.simulated import BAMS, SOURCE, TARGET, read
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.runs import evaluate_run
from chromeprep.format import read_bins
from chromeprep.format.model import ChromeBins, MarkTable
from chromeprep.format.write import write_bins

VALIDATION, TEST = "chr3", "chr2"
#: Shares of the target's reads that are left.
DEPTHS = (1.0, 0.3, 0.1, 0.03)
WAYS: dict[str, tuple[str, ...]] = {
    "logistic": ("--model=logistic",),
    "logistic, quantile": ("--model=logistic", "--normalise=quantile"),
    "network": (),
    "network, thin 0.3": ("--thin=0.3",),
    "network, thin 0.1": ("--thin=0.1",),
    "network, thin 0.03": ("--thin=0.03",),
    "network, quantile": ("--normalise=quantile",),
}
GENES = 5000


def main() -> None:
    """Make the runs that are missing, score them and print the table."""
    options = parser(__doc__)
    options.add_argument("-o", "--output", type=Path, default=Path("results/thinning"))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--model", default="deepchrome", help="the network")
    arguments = options.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    scores: dict[tuple[str, str], list[float]] = {}
    for seed in arguments.seeds:
        for name in (SOURCE, TARGET):
            read(output, seed, name, genes=GENES)
        runs = {way: training(output, way, seed, arguments.model) for way in WAYS}
        make_runs(runs.values(), arguments.processes)
        tested = {f"{SOURCE}": output / f"{SOURCE}-{seed}.h5"}
        tested |= {
            f"{TARGET}, {depth:.0%} of its reads": write_thinned(output, seed, depth)
            for depth in DEPTHS
        }
        for way, run in runs.items():
            for words, path in tested.items():
                scores.setdefault((way, words), []).append(score(run.folder, path))
    columns = list(dict.fromkeys(words for _, words in scores))
    print(f"| | {' | '.join(columns)} | mean of {TARGET} |")
    print("|" + "---|" * (len(columns) + 2))
    for way in WAYS:
        rows = [scores[way, words] for words in columns]
        over = mean(value for row in rows[1:] for value in row)
        print(f"| {way} | {' | '.join(spread(row) for row in rows)} | {over:.4f} |")


def training(output: Path, way: str, seed: int, model: str) -> Run:
    """Return the run of one way and world."""
    name = way.replace(", ", "-").replace(" ", "-").replace("network", model)
    return Run(output / f"thinning-{name}-{seed}", (
        "train", f"{output}/{SOURCE}-{seed}.h5", "--recipe=best", f"--model={model}", *WAYS[way],
        *(f"--mark={mark}" for mark in BAMS), f"--validation-chromosome={VALIDATION}",
        f"--test-chromosome={TEST}", f"--seed={seed}", "--no-baseline",
    ))  # fmt: skip


def write_thinned(output: Path, seed: int, share: float) -> Path:
    """Write the target with so many of its reads, unless that is done."""
    path = output / f"{TARGET}-{seed}-{share:g}.h5"
    if not path.exists():
        write_bins(path, thinned(read_bins(output / f"{TARGET}-{seed}.h5"), share, seed))
    return path


def thinned(data: ChromeBins, share: float, seed: int) -> ChromeBins:
    """Return the same genes with a share of the reads of each mark that was counted."""
    rng = np.random.default_rng([seed, 2])
    signal = data.signal.copy()
    for index in np.flatnonzero(data.marks.units == "reads"):
        signal[:, index] = rng.binomial(data.signal[:, index].astype(np.int64), share)
    return replace(data, signal=signal, marks=MarkTable.build(data.marks.mark, signal,
                                                             units=data.marks.units))  # fmt: skip


def score(run: Path, data: Path) -> float:
    """Return the AUROC of a run on the genes of the test chromosome of a file."""
    evidence = evaluate_run(run, data).evidence
    genes = evidence.genes
    rows = (genes.chrom == TEST) & (genes.label >= 0)
    return auroc(genes.label[rows], evidence.own[rows])


if __name__ == "__main__":
    main()
