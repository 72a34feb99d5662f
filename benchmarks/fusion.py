"""What does a panel of other cell types add to the marks, on genes and a cell type that are new?

Trains on the genome-wide presence calls of a source with whole chromosomes held out and a panel
without source, target and their near relatives beside the marks; scores the target's genes on the
chromosomes of the test. Writes the table of ``docs/fusion.md``; finished runs are kept.

    CHROME_REAL_DATA=… python -m benchmarks.fusion -o results
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from benchmarks.arguments import parser
from benchmarks.running import Run, bin_calls, call, make_runs, spread
from chromemodel.evaluate.metrics import Metrics, Score
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.evaluate.subsets import CERTAIN, VARIABLE

PAIRS = (("E116", "E003"), ("E003", "E116"))
MIXTURE = "E000"  # of cell types, and none itself
SUBSETS = {"": "all", VARIABLE: "variable", CERTAIN: "not uncertain"}
EVIDENCE = ("marks", "panel", "both")


class Row(NamedTuple):
    """One score of the target's test genes."""

    source: str
    target: str
    model: str
    seed: int
    genes: str
    evidence: str
    scored: int
    auroc: float
    accuracy: float
    ece: float


def main() -> None:
    """Make the runs that are missing, score them and print the table."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("--model", nargs="+", default=["logistic", "gradient_boosting"])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--processes", type=int, default=1)
    arguments = options.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    panel = make_panel(arguments.data, output)
    files = {name: bin_calls(arguments.data, name, output) for pair in PAIRS for name in pair}
    cases = [
        (source, target, model, seed)
        for source, target in PAIRS
        for model in arguments.model
        for seed in arguments.seeds
    ]
    runs = [
        training(files[source], target, model, seed, panel, output / "-".join(
            ("fusion", source, target, model, str(seed))))
        for source, target, model, seed in cases
    ]  # fmt: skip
    make_runs(runs, arguments.processes)
    rows = []
    for (source, target, model, seed), run in zip(cases, runs, strict=True):
        rows += scores(run.folder, files[target], source, target, model, seed)
    with (output / "fusion.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    show(rows)


def make_panel(data: Path, output: Path) -> Path:
    """Make the panel of Roadmap's cell types, unless that is done."""
    panel = output / "panel.h5"
    if not panel.exists():
        call("chromeprep", "panel", f"--expression={data}/roadmap/57epigenomes.RPKM.pc.gz",
             f"--leave-out={MIXTURE}", f"--output={panel}")  # fmt: skip
    return panel


def training(source: Path, target: str, model: str, seed: int, panel: Path, folder: Path) -> Run:
    """Return the run of one model of one source, its panel without the target."""
    return Run(folder, (
        "train", str(source), f"--model={model}", "--split=chromosome", f"--seed={seed}",
        "--no-baseline", f"--panel={panel}", f"--panel-leave-out={target}",
    ))  # fmt: skip


def scores(
    run: Path, data: Path, source: str, target: str, model: str, seed: int
) -> list[Row]:  # fmt: skip
    """Score the target's test genes by marks, panel and both."""
    evaluation = evaluate_run(run, data)
    part = evaluation.seen[0].part
    found = []
    for words, genes in SUBSETS.items():
        wanted = f"{part}, {words}" if words else part
        by_name = {score.model: score for score in evaluation.scores if score.part == wanted}
        names = (model, "panel mean (no model)", f"{model} + panel")
        found += [
            _row(by_name[name], source, target, model, seed, genes, evidence)
            for name, evidence in zip(names, EVIDENCE, strict=True)
        ]
    return found


def _row(
    score: Score, source: str, target: str, model: str, seed: int, genes: str, evidence: str
) -> Row:
    got = score.metrics
    assert isinstance(got, Metrics)
    return Row(
        source, target, model, seed, genes, evidence, got.genes, got.auroc, got.accuracy, got.ece
    )


def show(rows: list[Row]) -> None:
    """Print the AUROC of each evidence, and of both the accuracy and calibration error."""
    print("| from → to | model | genes | share | marks | panel | both | accuracy | ECE |")
    print("|---|---|---|---|---|---|---|---|---|")
    for key in dict.fromkeys((row.source, row.target, row.model, row.genes) for row in rows):
        mine = [row for row in rows if (row.source, row.target, row.model, row.genes) == key]
        of = {one: [row for row in mine if row.evidence == one] for one in EVIDENCE}
        whole = [row.scored for row in rows if row[:3] == key[:3] and row.genes == "all"]
        share = sum(row.scored for row in mine) / sum(whole)
        cells = [f"{key[0]} → {key[1]}", key[2], key[3], f"{share:.0%}"]
        cells += [spread([row.auroc for row in of[one]]) for one in EVIDENCE]
        cells += [spread([row.accuracy for row in of["both"]])]
        cells += [spread([row.ece for row in of["both"]])]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
