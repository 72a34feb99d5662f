"""How accurate is TransferChrome on real chromatin, and beside what?

Bins the genome-wide presence calls of H1 (E003) and GM12878 (E116), trains each setting below with
each seed through the command line, and writes the table of ``docs/results.md``. Finished runs are
kept, so an interrupted measurement goes on where it stopped.

    python -m benchmarks.accuracy -o results
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3")
SCRIPTS = Path(sysconfig.get_path("scripts"))


class Setting(NamedTuple):
    """A way to train or adapt; ``options`` go to the command line as they are."""

    name: str
    source: str
    target: str | None
    options: tuple[str, ...]


ADAM = ("--optimizer", "adam", "--lr", "0.001", "--weight-decay", "0", "--batch-size", "64")
SHORT = (*ADAM, "--epochs", "40", "--patience", "8")
CROSS = (*ADAM, "--epochs", "10", "--patience", "3")
RESIDUAL = ("--set", "attention_scale=true", "--set", "attention_residual=true")
# The logistic regression is the same for every setting of one split: fitted beside the first only.
ALONE = ("--no-baseline",)
SETTINGS = (
    Setting("Adam", "E116", None, SHORT),
    Setting("Adam", "E003", None, SHORT),
    Setting("the paper's", "E116", None, ALONE),
    Setting("the paper's, batches of 8", "E116", None, ("--batch-size", "8", *ALONE)),
    Setting("Adam, scaled residual attention", "E116", None, (*SHORT, *RESIDUAL, *ALONE)),
    Setting("Adam", "E116", "E003", CROSS),
    Setting("Adam", "E003", "E116", CROSS),
)


class Job(NamedTuple):
    """One run of one setting."""

    setting: Setting
    seed: int
    folder: Path


class Row(NamedTuple):
    """One score of one run."""

    source: str
    target: str
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = os.environ.get("CHROME_REAL_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="folder of real data")
    parser.add_argument("-o", "--output", type=Path, default=Path("results"))
    parser.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of settings, from 0")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for cell_type in ("E003", "E116"):
        bin_calls(arguments.data, cell_type, arguments.output)
    chosen = range(len(SETTINGS)) if arguments.only is None else arguments.only
    jobs = [
        Job(SETTINGS[number], seed, arguments.output / f"run-{number}-seed-{seed}")
        for number in chosen
        for seed in arguments.seeds
    ]
    with ThreadPoolExecutor(arguments.processes) as pool:
        list(pool.map(lambda job: run(job, arguments.output), jobs))
    rows = [row for job in jobs for row in scores(job)]
    with (arguments.output / "accuracy.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    print(table(rows))


def bin_calls(data: Path, cell_type: str, output: Path) -> None:
    """Bin the genome-wide calls of one cell type, unless that is done."""
    target = output / f"{cell_type}.h5"
    if target.exists():
        return
    tracks = [
        f"--bigwig={data}/bigwig/genomewide/{cell_type}-{mark}.calls200bp.hg19.bw" for mark in MARKS
    ]
    call("chromeprep", "bin", *tracks, f"--gtf={data}/annotation/gencode_10_genes.gtf.gz",
         f"--expression={data}/roadmap/57epigenomes.RPKM.pc.gz", f"--cell-type={cell_type}",
         "--assembly=hg19", "--threads=2", f"--output={target}")  # fmt: skip


def run(job: Job, output: Path) -> None:
    """Train or adapt once, unless that is done."""
    if job.folder.exists():
        return
    setting = job.setting
    source = str(output / f"{setting.source}.h5")
    common = [*setting.options, f"--seed={job.seed}", "--threads=1", "-o", str(job.folder)]
    start = time.perf_counter()
    if setting.target is None:
        call("chromemodel", "train", source, *common)
    else:
        target = str(output / f"{setting.target}.h5")
        call("chromemodel", "adapt", f"--source={source}", f"--target={target}", *common)
    print(f"{job.folder}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def call(program: str, *arguments: str) -> None:
    """Run one of our commands and stop with its message where it fails."""
    done = subprocess.run([str(SCRIPTS / program), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program} {' '.join(arguments)}\n{done.stderr}")


def scores(job: Job) -> list[Row]:
    """Read the scores that a run left."""
    summary = json.loads((job.folder / "metrics.json").read_text())
    return [
        Row(
            job.setting.source, job.setting.target or job.setting.source, job.setting.name,
            job.seed, score["model"], score["part"], score["genes"], score["auroc"],
            score["auprc"], score["accuracy"], score["f1"], summary["epochs"],
            summary["best_epoch"],
        )
        for score in summary["scores"]
    ]  # fmt: skip


def table(rows: list[Row]) -> str:
    """Return mean and spread over seeds as a Markdown table."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        if row.part.startswith("test"):
            key = (f"{row.source} → {row.target}", row.setting, row.model, row.part)
            groups.setdefault(key, []).append(row)
    lines = [
        "| cells | setting | model | part | seeds | AUROC | AUPRC | accuracy | epochs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, group in groups.items():
        cells = [
            spread([getattr(row, name) for row in group]) for name in ("auroc", "auprc", "accuracy")
        ]
        epochs = f"{mean(row.epochs for row in group):.0f}"
        lines.append("| " + " | ".join([*key, str(len(group)), *cells, epochs]) + " |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation."""
    return f"{mean(values):.4f} ± {stdev(values):.4f}" if len(values) > 1 else f"{values[0]:.4f}"


if __name__ == "__main__":
    main()
