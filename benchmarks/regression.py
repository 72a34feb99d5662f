"""How much of expression do the marks tell, where log(1 + expression) itself is learned?

Trains on the genome-wide presence calls of two cell types with whole chromosomes held out, and
scores the genes of these in the same cell type and in the other. Writes the table of
``docs/regression.md``; finished runs are kept.

    CHROME_REAL_DATA=… python -m benchmarks.regression -o results
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from benchmarks.arguments import parser
from benchmarks.running import Run, bin_calls, make_runs, spread
from chromemodel.evaluate.lookup import LOOKUP
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.regression import RegressionMetrics
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.tasks import MEAN

CELL_TYPES = ("E003", "E116")
PAPER_BY_ADAM = ("--recipe=paper", "--optimizer=adam", "--batch-size=64", "--epochs=6")
#: Seeds and options of each model. Few trees and epochs: all runs together take minutes.
MODELS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "ridge": ((0, 1, 2), ()),
    "random_forest": ((0, 1, 2), ("--set=trees=100",)),
    "transferchrome": ((0,), PAPER_BY_ADAM),
}


class Row(NamedTuple):
    """One score of a cell type's test genes; ``source`` trained the model."""

    source: str
    target: str
    model: str
    seed: int
    genes: int
    pearson: float
    spearman: float
    r2: float
    rmse: float


def main() -> None:
    """Make the runs that are missing, score them and print the table."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("--processes", type=int, default=1)
    arguments = options.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    files = {name: bin_calls(arguments.data, name, output) for name in CELL_TYPES}
    cases = [
        (source, model, seed, chosen)
        for source in CELL_TYPES
        for model, (seeds, chosen) in MODELS.items()
        for seed in seeds
    ]
    runs = [
        Run(output / f"regression-{source}-{model}-{seed}", (
            "train", str(files[source]), "--task=regression", f"--model={model}",
            "--split=chromosome", f"--seed={seed}", "--no-baseline", *chosen,
        ))
        for source, model, seed, chosen in cases
    ]  # fmt: skip
    make_runs(runs, arguments.processes)
    rows = [
        row
        for (source, model, seed, _), run in zip(cases, runs, strict=True)
        for target in CELL_TYPES
        for row in scores(run.folder, files[target], source, target, model, seed)
    ]
    with (output / "regression.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    show(rows)


def scores(
    run: Path, data: Path, source: str, target: str, model: str, seed: int
) -> list[Row]:  # fmt: skip
    """Score the test genes by a model, and by what stands beside it in the runs of ridge."""
    evaluation = evaluate_run(run, None if source == target else data, threads=1)
    part = evaluation.seen[0].part
    wanted = (model, MEAN, LOOKUP) if model == "ridge" else (model,)
    return [
        _row(score, source, target, seed)
        for score in evaluation.scores
        if score.part == part and score.model in wanted
    ]


def _row(score: Score, source: str, target: str, seed: int) -> Row:
    got = score.metrics
    assert isinstance(got, RegressionMetrics)
    return Row(source, target, score.model, seed, *got)


def show(rows: list[Row]) -> None:
    """Print mean and deviation over the seeds."""
    print("| from → to | model | seeds | Pearson | Spearman | R2 | RMSE |")
    print("|---|---|---|---|---|---|---|")
    for key in dict.fromkeys((row.source, row.target, row.model) for row in rows):
        mine = [row for row in rows if (row.source, row.target, row.model) == key]
        cells = [f"{key[0]} → {key[1]}", key[2], str(len(mine))]
        cells += [
            spread([getattr(row, name) for row in mine])
            for name in ("pearson", "spearman", "r2", "rmse")
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
