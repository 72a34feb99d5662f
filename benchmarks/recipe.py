"""What may be expected for a new cell type, of the marks alone and beside a panel of others?

Trains on the genome-wide presence calls of H1 (E003) or GM12878 (E116) with whole chromosomes held
out, and scores the genes of the test chromosomes in the same and in the other cell type: there
genes *and* cell type are new. Each seed has validation chromosomes of its own. The panel has
neither cell type, no mixture of them, and no relative of H1. ``--search`` shows what the validation
chromosomes say, which is what the default was chosen by. The tables are those of
``docs/accuracy.md``; finished runs are kept.

    CHROME_REAL_DATA=… python -m benchmarks.recipe -o results
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.arguments import parser
from benchmarks.running import Run, bin_calls, call, make_runs, spread
from chromemodel.evaluate.evidence import Evidence, Opinion
from chromemodel.evaluate.metrics import binary_metrics
from chromemodel.evaluate.runs import evaluate_run
from chromemodel.evaluate.subsets import variable_in
from chromeprep.format.ids import bare_chromosome

CELL_TYPES = ("E003", "E116")
MIXTURE = "E000"  # of cell types, and none itself
#: The other stem cells of the table, and what was derived from them.
RELATIVES = ("E004", "E005", "E006", "E007", "E011", "E012", "E013", "E016", "E024")
TEST = ("2", "5", "8", "11", "14", "17", "20")
#: Of seeds 0 to 4: each about a tenth of the other genes, and every one of these once.
VALIDATION = (("3", "21"), ("6", "9"), ("7", "13"), ("12", "18"), ("10", "15", "22"))
ADAM = ("--recipe=best",)
CANDIDATES: dict[str, tuple[str, ...]] = {
    "logistic": ("--model=logistic",),
    "random_forest": ("--model=random_forest",),
    "gradient_boosting": ("--model=gradient_boosting",),
    "ensemble": ("--recipe=best",),
    "ensemble, shifts": ("--recipe=best", "--shift-bins=2"),
    "deepchrome": ("--model=deepchrome", *ADAM),
    "deepchrome, shifts": ("--model=deepchrome", *ADAM, "--shift-bins=2"),
    "transferchrome": ("--model=transferchrome", *ADAM),
    "transferchrome, as published": ("--model=transferchrome", "--recipe=paper"),
}
USUAL = ("logistic", "gradient_boosting", "ensemble")
EVIDENCE = ("marks", "panel", "both")


class Row(NamedTuple):
    """One score of one run; ``part`` is ``test`` or ``validation``, as chromosomes go."""

    model: str
    source: str
    scored_on: str
    seed: int
    part: str
    genes: str
    evidence: str
    scored: int
    auroc: float
    auprc: float
    accuracy: float
    ece: float


def main() -> None:
    """Make the runs that are missing, score them and print the tables."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("--model", nargs="+", default=list(USUAL), choices=list(CANDIDATES))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4],
                         choices=range(len(VALIDATION)))  # fmt: skip
    options.add_argument("--source", nargs="+", default=list(CELL_TYPES), choices=CELL_TYPES)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--search", action="store_true", help="score the validation chromosomes")
    arguments = options.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    panel = make_panel(arguments.data, output)
    files = {name: bin_calls(arguments.data, name, output) for name in CELL_TYPES}
    cases = [
        (model, source, seed)
        for model in arguments.model
        for source in arguments.source
        for seed in arguments.seeds
    ]
    runs = [training(files[source], model, seed, panel, output) for model, source, seed in cases]
    make_runs(runs, arguments.processes)
    rows: list[Row] = []
    for (model, source, seed), run in zip(cases, runs, strict=True):
        for scored_on in CELL_TYPES:
            rows += scores(run.folder, files[scored_on], Case(model, source, scored_on, seed))
    with (output / "recipe.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)
    for part in ("test", "validation") if arguments.search else ("test",):
        print(f"\n{part} chromosomes, within a cell type\n")
        show([row for row in rows if row.part == part and row.scored_on == row.source])
        print(f"\n{part} chromosomes, across cell types\n")
        show([row for row in rows if row.part == part and row.scored_on != row.source])


def make_panel(data: Path, output: Path) -> Path:
    """Make the panel of Roadmap's cell types, unless that is done."""
    panel = output / "panel.h5"
    if not panel.exists():
        call("chromeprep", "panel", f"--expression={data}/roadmap/57epigenomes.RPKM.pc.gz",
             f"--leave-out={MIXTURE}", f"--output={panel}")  # fmt: skip
    return panel


def training(
    source: Path, model: str, seed: int, panel: Path, output: Path, fold: int | None = None
) -> Run:
    """Return the run of one model of one source and seed; no panel has what it is scored on.

    ``fold`` is the seed whose validation chromosomes it has, by default its own.
    """
    fold = seed if fold is None else fold
    held_out = [f"--test-chromosome={name}" for name in TEST]
    held_out += [f"--validation-chromosome={name}" for name in VALIDATION[fold]]
    gone = [f"--panel-leave-out={name}" for name in (*CELL_TYPES, *RELATIVES)]
    name = model.replace(", ", "-").replace(" ", "-")
    number = f"{seed}" if fold == seed else f"{seed}-fold-{fold}"
    return Run(output / f"recipe-{name}-{source.stem}-{number}", (
        "train", str(source), *CANDIDATES[model], *held_out, f"--seed={seed}", "--no-baseline",
        f"--panel={panel}", *gone,
    ))  # fmt: skip


class Case(NamedTuple):
    """Whose scores they are."""

    model: str
    source: str
    scored_on: str
    seed: int


def scores(run: Path, data: Path, case: Case) -> Iterator[Row]:
    """Score marks, panel and both on the test and on the validation chromosomes."""
    evidence = evaluate_run(run, data).evidence
    assert evidence.speakers is not None
    genes = evidence.genes
    chromosome = np.array([bare_chromosome(str(name)) for name in genes.chrom])
    parts = {"test": np.isin(chromosome, TEST)}
    parts["validation"] = np.isin(chromosome, VALIDATION[case.seed])
    subsets = {
        "all": np.ones(len(genes), dtype=bool),
        "variable": variable_in(evidence.speakers.panel, genes),
    }
    for part, of_part in parts.items():
        for words, of_subset in subsets.items():
            chosen = of_part & of_subset & (genes.label >= 0)
            for name, opinion in zip(EVIDENCE, opinions(evidence), strict=True):
                got = binary_metrics(genes.label[chosen], opinion.answer[chosen])
                yield Row(
                    *case, part, words, name, got.genes, got.auroc, got.auprc, got.accuracy, got.ece
                )


def opinions(evidence: Evidence) -> Sequence[Opinion]:
    """Return what the marks, the panel and both say, in this order."""
    model = evidence.config.model.name
    by_name = {opinion.name: opinion for opinion in evidence.opinions}
    return [by_name[name] for name in (model, "panel mean (no model)", f"{model} + panel")]


def show(rows: Sequence[Row]) -> None:
    """Print AUROC by evidence, all genes and variable ones; accuracy and ECE of all by both."""
    columns = [(evidence, genes) for evidence in EVIDENCE for genes in ("all", "variable")]
    header = ["from → to", "model", "seeds", *(f"{one}: {genes}" for one, genes in columns)]
    print("| " + " | ".join([*header, "accuracy", "ECE"]) + " |")
    print("|" + "---|" * (len(header) + 2))
    for key in dict.fromkeys((row.source, row.scored_on, row.model) for row in rows):
        mine = [row for row in rows if (row.source, row.scored_on, row.model) == key]
        cells = [f"{key[0]} → {key[1]}", key[2], str(len({row.seed for row in mine}))]
        for evidence, genes in columns:
            found = [row.auroc for row in mine if (row.evidence, row.genes) == (evidence, genes)]
            cells.append(spread(found))
        last = [row for row in mine if (row.evidence, row.genes) == ("both", "all")]
        cells += [spread([row.accuracy for row in last]), spread([row.ece for row in last])]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
