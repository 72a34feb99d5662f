"""How far does the way of normalising carry a simple model from one cell type to another?

Logistic regression, trained on a source and asked of a target as it is (``chromemodel adapt --model
logistic --method source_only``), for each ``--normalise`` and ``--transform``: on the genome-wide
presence calls of E116 and E003, and on simulated worlds. Writes the tables of
``docs/normalisation.md``; finished runs are kept.

    CHROME_REAL_DATA=… python -m benchmarks.normalisations -o results
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import simulated
from benchmarks.arguments import parser
from benchmarks.running import bin_calls, call, spread

WAYS = (
    ("file", "none"),
    ("file", "log1p"),
    ("file", "arcsinh"),
    ("training", "none"),
    ("training", "log1p"),
    ("training", "arcsinh"),
    ("quantile", "none"),
    ("quantile", "log1p"),
    ("quantile", "arcsinh"),
    ("none", "none"),
)
REAL = (("E116", "E003"), ("E003", "E116"))


class Pair(NamedTuple):
    """A labelled source and a target, and where their files are."""

    name: str
    source: Path
    target: Path
    seed: int


class Row(NamedTuple):
    """One score of one way on the target's test half."""

    pair: str
    normalise: str
    transform: str
    seed: int
    auroc: float
    auprc: float
    accuracy: float


def main() -> None:
    """Run what is missing and print the tables."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = options.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = [
        run(pair, *way, arguments.output)
        for pair in pairs(arguments.data, arguments.output, arguments.seeds)
        for way in WAYS
    ]
    with (arguments.output / "normalisations.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    print("| from, to | `--normalise` | `--transform` | seeds | AUROC | AUPRC | accuracy |")
    print("|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(row.pair for row in rows):
        for way in WAYS:
            print(line([row for row in rows if row[:3] == (name, *way)]))


def pairs(data: Path, output: Path, seeds: list[int]) -> Iterator[Pair]:
    """Bin what is not yet binned; a seed of a simulated pair draws its world, too."""
    for seed in seeds:
        worlds = output / "simulated"
        worlds.mkdir(exist_ok=True)
        source, target = simulated.SOURCE, simulated.TARGET
        for name in (source, target):
            simulated.read(worlds, seed, name)
        source_file, target_file = (worlds / f"{name}-{seed}.h5" for name in (source, target))
        yield Pair(f"{source}, {target} (simulated)", source_file, target_file, seed)
    for source, target in REAL:
        for cell_type in (source, target):
            bin_calls(data, cell_type, output)
        for seed in seeds:
            yield Pair(
                f"{source}, {target}", output / f"{source}.h5", output / f"{target}.h5", seed
            )


def run(pair: Pair, normalise: str, transform: str, output: Path) -> Row:
    """Train and score one way, unless that is done."""
    name = f"{pair.source.stem}-{pair.target.stem}-{normalise}-{transform}-seed-{pair.seed}"
    folder = output / "normalisations" / name
    if not folder.exists():
        call("chromemodel", "adapt", f"--source={pair.source}", f"--target={pair.target}",
             "--model=logistic", "--method=source_only", f"--normalise={normalise}",
             f"--transform={transform}", f"--seed={pair.seed}", "--threads=1",
             "-o", str(folder))  # fmt: skip
    score = json.loads((folder / "metrics.json").read_text())["scores"][0]
    scores = (score["auroc"], score["auprc"], score["accuracy"])
    return Row(pair.name, normalise, transform, pair.seed, *scores)


def line(rows: list[Row]) -> str:
    """Return a row of the Markdown table: mean and spread over seeds."""
    cells = [
        spread([getattr(row, name) for row in rows]) for name in ("auroc", "auprc", "accuracy")
    ]
    return "| " + " | ".join([*rows[0][:3], str(len(rows)), *cells]) + " |"


if __name__ == "__main__":
    main()
