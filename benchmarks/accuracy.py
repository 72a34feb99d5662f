"""How accurate is TransferChrome on real chromatin, and beside what?

Bins the genome-wide presence calls of H1 (E003) and GM12878 (E116), trains each setting below with
each seed through the command line, and writes the table of ``docs/results.md``. Finished runs are
kept, so an interrupted measurement goes on where it stopped.

    python -m benchmarks.accuracy -o results
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks.arguments import parser
from benchmarks.running import Run, bin_calls, make_runs, spread
from chromemodel.config import Split
from chromemodel.data.normalise import fit_scale, z_score
from chromemodel.data.splits import split_genes
from chromemodel.evaluate.baselines import Labelled, fit_logistic
from chromemodel.evaluate.metrics import binary_metrics
from chromeprep.format import read_bins


class Setting(NamedTuple):
    """A way to train; ``options`` overrule the paper's on the command line."""

    name: str
    cell_type: str
    options: tuple[str, ...]


ADAM = ("--optimizer", "adam", "--lr", "0.001", "--weight-decay", "0", "--batch-size", "64")
SHORT = (*ADAM, "--epochs", "40", "--patience", "8")
RESIDUAL = ("--set", "attention_scale=true", "--set", "attention_residual=true")
SETTINGS = (
    Setting("Adam", "E116", SHORT),
    Setting("Adam", "E003", SHORT),
    Setting("the paper's", "E116", ()),
    Setting("Adam, scaled residual attention", "E116", (*SHORT, *RESIDUAL)),
)


class Job(NamedTuple):
    """One run of one setting."""

    setting: Setting
    seed: int
    folder: Path


class Row(NamedTuple):
    """One score of one run."""

    cell_type: str
    setting: str
    seed: int
    model: str
    part: str
    genes: int
    auroc: float
    auprc: float
    accuracy: float
    f1: float
    epochs: int
    best_epoch: int


def main() -> None:
    """Run what is missing and write the tables."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--only", type=int, nargs="+", help="numbers of settings, from 0")
    arguments = options.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for cell_type in ("E003", "E116"):
        bin_calls(arguments.data, cell_type, arguments.output)
    chosen = range(len(SETTINGS)) if arguments.only is None else arguments.only
    jobs = [
        Job(SETTINGS[number], seed, arguments.output / f"run-{number}-seed-{seed}")
        for number in chosen
        for seed in arguments.seeds
    ]
    make_runs([as_run(job, arguments.output) for job in jobs], arguments.processes)
    rows = [row for job in jobs for row in scores(job)]
    rows += [
        logistic(arguments.output / f"{cell_type}.h5", cell_type, seed)
        for cell_type in dict.fromkeys(job.setting.cell_type for job in jobs)
        for seed in arguments.seeds
    ]
    with (arguments.output / "accuracy.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    print(table(rows))


def as_run(job: Job, output: Path) -> Run:
    """Return what ``chromemodel`` is asked for one job."""
    # The logistic regression is fitted once a split, below.
    arguments = ("train", str(output / f"{job.setting.cell_type}.h5"), "--recipe=paper",
                 *job.setting.options, f"--seed={job.seed}", "--no-baseline")  # fmt: skip
    return Run(job.folder, arguments)


def scores(job: Job) -> list[Row]:
    """Read the scores that a run left."""
    summary = json.loads((job.folder / "metrics.json").read_text())
    return [
        Row(
            job.setting.cell_type, job.setting.name, job.seed, score["model"], score["part"],
            score["genes"], score["auroc"], score["auprc"], score["accuracy"], score["f1"],
            summary["epochs"], summary["best_epoch"],
        )
        for score in summary["scores"]
    ]  # fmt: skip


def logistic(path: Path, cell_type: str, seed: int) -> Row:
    """Score the baseline of ``chromemodel train`` on the split of one seed."""
    data = read_bins(path)
    signal, label = z_score(data.signal, fit_scale(data.signal)), data.genes.label
    parts = split_genes(data.genes, Split(seed=seed))
    train, validation, test = ((parts == part) for part in ("train", "validation", "test"))
    held_out = Labelled(signal[validation], label[validation])
    fitted = fit_logistic(signal[train], label[train], held_out)
    found = binary_metrics(label[test], fitted.probability(signal[test]))
    return Row(
        cell_type, "penalty by validation", seed, "logistic regression", "test",
        found.genes, found.auroc, found.auprc, found.accuracy, found.f1, 0, 0,
    )  # fmt: skip


def table(rows: list[Row]) -> str:
    """Return mean and spread over seeds as a Markdown table."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.part == "test":
            key = (row.cell_type, row.setting, row.model)
            groups.setdefault(key, []).append(row)
    lines = [
        "| cell type | setting | model | seeds | AUROC | AUPRC | accuracy | epochs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, group in groups.items():
        cells = [
            spread([getattr(row, name) for row in group]) for name in ("auroc", "auprc", "accuracy")
        ]
        epochs = f"{mean(row.epochs for row in group):.0f}"
        lines.append("| " + " | ".join([*key, str(len(group)), *cells, epochs]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
