"""How do all models do on real chromatin, within and across cell types?

Bins what is there of H1 (E003) and GM12878 (E116), imports the published tables, and lets
``chromemodel benchmark`` train every model with every seed on each. Finished runs are kept, so an
interrupted measurement goes on where it stopped. The tables of ``docs/results.md`` are its output.

    CHROME_REAL_DATA=… python -m benchmarks.comparison -o results
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.arguments import parser
from benchmarks.running import SCRIPTS, bin_calls, bin_pilot, call

CELL_TYPES = ("E003", "E116")
# One optimiser for all deep models: their papers' recipes need up to 500 epochs, or single genes.
ADAM = ("--optimizer=adam", "--lr=0.001", "--weight-decay=0", "--batch-size=64")
# DANN with a lambda of 1 diverges with Adam (docs/adaptation.md): here the paper's own optimiser.
CROSS_MODELS = ("transferchrome", "logistic", "gradient_boosting")


class Comparison(NamedTuple):
    """A call of ``chromemodel benchmark``; ``epochs`` are the cap unless the user says another."""

    name: str
    protocol: str
    files: tuple[Path, ...]
    options: tuple[str, ...]
    epochs: int


def main() -> None:
    """Make the files, run what is missing and print the tables."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seeds", type=int, default=3, help="so many; default 3")
    options.add_argument("--epochs", type=int, help="at most so many, instead of each one's own")
    options.add_argument("--only", nargs="+", metavar="NAME", help="of these comparisons only")
    arguments = options.parse_args()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    chosen = comparisons(arguments.data, output)
    names = [one.name for one in chosen]
    for name in arguments.only or ():
        if name not in names:
            options.error(f"--only {name}: there are {', '.join(names)}")
    for one in chosen:
        if arguments.only and one.name not in arguments.only:
            continue
        epochs = arguments.epochs or one.epochs
        done = subprocess.run(
            [
                str(SCRIPTS / "chromemodel"), "benchmark", one.protocol, *map(str, one.files),
                "-o", str(output / one.name), f"--max-epochs={epochs}", f"--patience={epochs}",
                f"--seeds={arguments.seeds}", f"--processes={arguments.processes}", *one.options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            print(f"{one.name}: exit code {done.returncode}, see above", file=sys.stderr)
        print(f"\n## {one.name}\n\n{condensed(output / one.name)}", flush=True)


def comparisons(data: Path, output: Path) -> list[Comparison]:
    """Make the files of bins that are missing and return what is compared on them."""
    calls = tuple(bin_calls(data, cell_type, output) for cell_type in CELL_TYPES)
    pilot = tuple(bin_pilot(data, cell_type, output) for cell_type in CELL_TYPES)
    toy = import_tables(data, output, "deepchrome", "toy", "deepchrome_toy.{}.csv")
    diff = import_tables(data, output, "deepdiff", "E003-deepdiff", "deepdiff_E003.{}.csv.gz")
    every = ("--model=all", *ADAM)
    cross = tuple(f"--model={name}" for name in CROSS_MODELS)
    return [
        Comparison("deepdiff", "within", (diff,), (*every, "--split=published"), 20),
        Comparison("toy", "within", (toy,), (*every, "--split=published"), 20),
        Comparison("pilot", "within", pilot, every, 20),
        Comparison("within", "within", calls, every, 4),
        Comparison("E116-to-E003", "cross", calls, (*cross, "--source=E116"), 20),
        Comparison("E003-to-E116", "cross", calls, (*cross, "--source=E003"), 20),
        Comparison("positions", "positions", calls, ADAM, 4),
        Comparison("architecture", "architecture", calls, ADAM, 4),
    ]


def condensed(folder: Path) -> str:
    """Return the table of a benchmark in fewer columns, the best first; all are in its folder.

    Of all genes; scores of those whose label differs from the source's are in the folder, too.
    """
    whole = [row for row in read_table(folder / "table.tsv") if row["subset"] == "all"]
    cells = {
        (row["model"], row["method"], row["test_set"], row["cell_type"]): row
        for row in read_table(folder / "by_cell_type.tsv")
        if row["subset"] == "all"
    }
    names = sorted({key[-1] for key in cells})
    several = len({(row["method"], row["test_set"]) for row in whole}) > 1
    what = ["method", "test genes"] * several
    header = ["model", *what, *names, "mean", "AUPRC", "accuracy"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    there = [row for row in whole if row["auroc_mean"]]
    for row in sorted(there, key=lambda row: -float(row["auroc_mean"])):
        key = (row["model"], row["method"], row["test_set"])
        own = [spread_of(cells[(*key, name)]) if (*key, name) in cells else "" for name in names]
        mean = f"{float(row['auroc_mean']):.4f}"
        scores = [f"{float(row[name]):.3f}" for name in ("auprc", "accuracy")]
        chosen = [*key] if several else [row["model"]]
        lines.append("| " + " | ".join([*chosen, *own, mean, *scores]) + " |")
    return "\n".join(lines)


def spread_of(row: Mapping[str, str]) -> str:
    """Return an AUROC, mean ± standard deviation over seeds."""
    told = f"{float(row['auroc']):.4f}"
    return told + (f" ± {float(row['auroc_sd']):.4f}" if row["auroc_sd"] else "")


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table with a header, separated by tabs."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def import_tables(data: Path, output: Path, layout: str, name: str, pattern: str) -> Path:
    """Import published tables with their split, unless that is done; DeepDiff's get labels."""
    target = output / f"{name}.h5"
    if not target.exists():
        files = [str(data / "deepchrome_csv" / pattern.format(part))
                 for part in ("train", "valid", "test")]  # fmt: skip
        labels: Sequence[str] = ()
        if layout == "deepdiff":
            labels = (f"--expression={data}/roadmap/57epigenomes.RPKM.pc.gz",)
        call("chromeprep", "import", *files, f"--layout={layout}", "--cell-type=E003", *labels,
             f"--output={target}")  # fmt: skip
    return target


if __name__ == "__main__":
    main()
