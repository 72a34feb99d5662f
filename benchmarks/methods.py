"""What does each method of adaptation reach in the simulated world, and when does DANN diverge?

One world, one seed: the two tables of ``docs/adaptation.md``. Finished runs are kept.

    python -m benchmarks.methods -o results/methods
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import NamedTuple

from benchmarks.arguments import parser
from benchmarks.running import Run, make_runs
from benchmarks.simulated import SOURCE, TARGET, read

ADAMW = ("--optimizer=adamw", "--lr=0.0005", "--batch-size=64", "--epochs=12")
SGD = ("--epochs=45",)
BATCH_NORM = "--set=batch_norm=true"


class Setting(NamedTuple):
    """A way to adapt; ``diverges`` says that it is one of the second table."""

    name: str
    options: tuple[str, ...]
    diverges: bool = False


SETTINGS = (
    Setting("source_only", ("--method=source_only", *ADAMW)),
    Setting("dann, lambda 0.03", ("--domain-weight=0.03", *ADAMW), diverges=True),
    Setting("cdan, lambda 0.03", ("--method=cdan", "--domain-weight=0.03", *ADAMW)),
    *(
        Setting(name, (f"--method={name}", *ADAMW))
        for name in ("deep_coral", "mmd", "mcc", "self_training")
    ),
    Setting("source_only, batch norm", ("--method=source_only", BATCH_NORM, *ADAMW)),
    Setting("adabn", ("--method=adabn", BATCH_NORM, *ADAMW)),
    Setting("lambda 1", ADAMW, diverges=True),
    Setting("lambda 1, clipped at 1", ("--clip-norm=1", *ADAMW), diverges=True),
    Setting("lambda 1, clipped at 0.1", ("--clip-norm=0.1", *ADAMW), diverges=True),
    Setting("lambda 1 fixed", ("--domain-schedule=fixed", *ADAMW), diverges=True),
    Setting(
        "lambda 1 fixed, clipped at 1", ("--domain-schedule=fixed", "--clip-norm=1", *ADAMW),
        diverges=True,
    ),
    Setting("lambda 0.1", ("--domain-weight=0.1", *ADAMW), diverges=True),
    Setting("SGD, lambda 1", SGD, diverges=True),
)  # fmt: skip


def main() -> None:
    """Run what is missing and print the tables."""
    options = parser(__doc__)
    options.add_argument("-o", "--output", type=Path, default=Path("results/methods"))
    options.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    output, seed = arguments.output, arguments.seed
    output.mkdir(parents=True, exist_ok=True)
    for name in (SOURCE, TARGET):
        read(output, seed, name)
    runs = {
        one: Run(
            output / f"{one.name.replace(' ', '-').replace(',', '')}-{seed}",
            ("adapt", f"--source={output}/{SOURCE}-{seed}.h5",
             f"--target={output}/{TARGET}-{seed}.h5", "--no-baseline", f"--seed={seed}",
             *one.options),
        )
        for one in SETTINGS
    }  # fmt: skip
    make_runs(runs.values(), arguments.processes)
    print("| method | test AUROC | best epoch |\n|---|---|---|")
    for one, run in runs.items():
        area, epoch = result(run.folder)
        print(f"| {one.name} | {area:.3f} | {epoch} |")
    print("\n| dann | domain loss, a third of the way | in the last epoch |\n|---|---|---|")
    for one, run in runs.items():
        if one.diverges:
            losses = domain_losses(run.folder)
            print(f"| {one.name} | {losses[len(losses) // 3 - 1]:.3g} | {losses[-1]:.3g} |")


def result(folder: Path) -> tuple[float, int]:
    """Return the test AUROC of the run itself, and its epoch."""
    method = json.loads((folder / "config.json").read_text())["method"]["name"]
    summary = json.loads((folder / "metrics.json").read_text())
    (area,) = (one["auroc"] for one in summary["scores"] if one["model"] == method)
    return float(area), int(summary["best_epoch"])


def domain_losses(folder: Path) -> list[float]:
    """Return the loss of the domain head, epoch by epoch."""
    with (folder / "history.csv").open(newline="") as handle:
        return [float(row["domain_loss"]) for row in csv.DictReader(handle)]


if __name__ == "__main__":
    main()
