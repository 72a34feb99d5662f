"""Do the runs of several seeds say more together than each alone?

As `benchmarks.recipe`, but five seeds share their validation chromosomes, so that none has trained
on what judges their mean: the genes of the validation chromosomes, which decide, and of the test
chromosomes, which are only told. The mean is that of the logits. Tables of ``docs/accuracy.md``;
finished runs are kept.

    CHROME_REAL_DATA=… python -m benchmarks.averaging -o results
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np

from benchmarks.arguments import parser
from benchmarks.recipe import (
    CANDIDATES,
    CELL_TYPES,
    EVIDENCE,
    TEST,
    VALIDATION,
    make_panel,
    opinions,
    training,
)
from benchmarks.running import bin_calls, make_runs
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.evaluate.subsets import variable_in
from chromeprep.format.ids import bare_chromosome


class Row(NamedTuple):
    """AUROC of the seeds alone, their mean, and of their mean logit, on some genes."""

    model: str
    within: bool
    part: str
    genes: str
    evidence: str
    alone: float
    best: float
    together: float


def main() -> None:
    """Make the runs that are missing, score them alone and together, and print the table."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("--model", nargs="+", default=["deepchrome"], choices=list(CANDIDATES))
    options.add_argument("--folds", type=int, nargs="+", default=[0, 1],
                         choices=range(len(VALIDATION)))  # fmt: skip
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options.add_argument("--processes", type=int, default=2)
    arguments = options.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    panel = make_panel(arguments.data, output)
    files = {name: bin_calls(arguments.data, name, output) for name in CELL_TYPES}
    rows: list[Row] = []
    for model in arguments.model:
        for fold in arguments.folds:
            for source in CELL_TYPES:
                runs = [
                    training(files[source], model, seed, panel, output, fold)
                    for seed in arguments.seeds
                ]
                make_runs(runs, arguments.processes)
                for scored_on in CELL_TYPES:
                    folders = [run.folder for run in runs]
                    within = scored_on == source
                    rows += scores(folders, files[scored_on], model, fold, within=within)
    show(rows)


def scores(
    runs: Sequence[Path], data: Path, model: str, fold: int, *, within: bool
) -> Iterator[Row]:
    """Score runs on one file, alone and by their mean logit."""
    found = [evaluate_run(run, data).evidence for run in runs]
    genes, speakers = found[0].genes, found[0].speakers
    assert speakers is not None
    chromosome = np.array([bare_chromosome(str(name)) for name in genes.chrom])
    parts = {"validation": VALIDATION[fold], "test": TEST}
    subsets = {
        "all": np.ones(len(genes), dtype=bool),
        "variable": variable_in(speakers.panel, genes),
    }
    for place, name in enumerate(EVIDENCE):
        if name == "panel":  # the same in all runs
            continue
        said = np.array([opinions(one)[place].answer for one in found], dtype=np.float64)
        held = np.clip(said, 1e-7, 1 - 1e-7)
        together = np.log(held / (1 - held)).mean(axis=0)
        for part, of_part in parts.items():
            for words, of_subset in subsets.items():
                rows = np.isin(chromosome, of_part) & of_subset & (genes.label >= 0)
                label = genes.label[rows]
                alone = [auroc(label, one[rows]) for one in said]
                yield Row(
                    model, within, part, words, name,
                    mean(alone), max(alone), auroc(label, together[rows]),
                )  # fmt: skip


def show(rows: Sequence[Row]) -> None:
    """Print AUROC alone and together, means over sources and folds."""
    columns = ("part", "evidence", "genes", "model", "scored", "alone", "best seed", "mean logit")
    print("| " + " | ".join([*columns, "gain"]) + " |")
    print("|" + "---|" * (len(columns) + 1))
    keys = dict.fromkeys((r.part, r.evidence, r.genes, r.model, r.within) for r in rows)
    for key in sorted(keys, key=lambda one: (one[0] == "test", one[1:3])):
        mine = [r for r in rows if (r.part, r.evidence, r.genes, r.model, r.within) == key]
        gains = [row.together - row.alone for row in mine]
        values = [mean(row.alone for row in mine), mean(row.best for row in mine)]
        told = [f"{value:.4f}" for value in (*values, mean(row.together for row in mine))]
        where = "within" if key[4] else "across"
        gain = f"{mean(gains):+.4f} ({min(gains):+.4f} to {max(gains):+.4f})"
        print(f"| {' | '.join([*key[:4], where, *told, gain])} |")


if __name__ == "__main__":
    main()
