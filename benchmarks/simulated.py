"""How hard is the simulated world, and what does adaptation recover in it?

For worlds of several seeds: logistic regression and gradient boosting within and between the two
cell types, and the paper's ``chromemodel adapt`` as in the demo. Writes the tables of
``docs/simulate.md``; finished steps are kept.

    python -m benchmarks.simulated -o results/simulated
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import parser
from benchmarks.running import call
from chromemodel.data.normalise import fit_scale, z_score
from chromemodel.data.splits import hash_unit
from chromemodel.evaluate.baselines import fit_logistic
from chromemodel.evaluate.metrics import auroc
from chromeprep.format import ChromeBins, read_bins

SOURCE, TARGET = "S01", "T01"
BAMS, BIGWIGS = ("H3K4me3", "H3K36me3", "H3K27me3"), ("H3K4me1", "H3K9me3")
DEMO = ("--recipe=paper", "--optimizer=adamw", "--lr=0.0005", "--batch-size=64", "--epochs=12")
LAMBDAS = ("0.03", "0.1")


class Cell(NamedTuple):
    """A cell type: signal z-scored by its own statistics, label, and which half trains."""

    data: ChromeBins
    signal: NDArray[np.float32]
    label: NDArray[np.int8]
    trains: NDArray[np.bool_]


def main() -> None:
    """Run what is missing and print the tables."""
    options = parser(__doc__)
    options.add_argument("-o", "--output", type=Path, default=Path("results/simulated"))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = options.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    classical: dict[str, list[tuple[float, ...]]] = {}
    adapted: dict[str, list[float]] = {}
    for seed in arguments.seeds:
        cells = {name: read(arguments.output, seed, name) for name in (SOURCE, TARGET)}
        for name, scores in classical_scores(cells).items():
            classical.setdefault(name, []).append(scores)
        for name, score in adapted_scores(arguments.output, seed, cells).items():
            adapted.setdefault(name, []).append(score)
    print("| trained on | tested on | logistic regression | gradient boosting (1 kb bins) |")
    print("|---|---|---|---|")
    for name, rows in classical.items():
        print(f"| {name} | " + " | ".join(listed(column) for column in zip(*rows, strict=True)))
    print("\n| on the target's test half | seeds | mean |\n|---|---|---|")
    for name, values in adapted.items():
        print(f"| {name} | {listed(values)} | {mean(values):.3f} |")


def listed(values: list[float] | tuple[float, ...]) -> str:
    """Return numbers with three decimals."""
    return ", ".join(f"{value:.3f}" for value in values)


def read(output: Path, seed: int, name: str, *, genes: int = 2500) -> Cell:
    """Simulate and bin one cell type of one world, unless that is done, and read it.

    ``genes`` are those of the world; a folder of output holds worlds of one size.
    """
    world, path = output / f"world-{seed}", output / f"{name}-{seed}.h5"
    if not world.exists():
        call("chromeprep", "simulate", f"--seed={seed}", f"--genes={genes}",
             f"--cell-types={SOURCE},{TARGET}", "-o", str(world))  # fmt: skip
    if not path.exists():
        tracks = [f"--bam={world}/{name}-{mark}.bam" for mark in BAMS]
        tracks += [f"--bigwig={world}/{name}-{mark}.bw" for mark in BIGWIGS]
        annotated = (
            [f"--gtf={world}/annotation.gtf.gz", "--assembly=sim1"]
            if name == SOURCE
            else [f"--like={output}/{SOURCE}-{seed}.h5"]
        )
        call("chromeprep", "bin", *tracks, *annotated, f"--expression={world}/rpkm.tsv.gz",
             f"--cell-type={name}", "-o", str(path))  # fmt: skip
    data = read_bins(path)
    trains = hash_unit(data.genes.gene_id, seed, "half") < 0.5
    return Cell(data, z_score(data.signal, fit_scale(data.signal)), data.genes.label, trains)


def classical_scores(cells: dict[str, Cell]) -> dict[str, tuple[float, ...]]:
    """Score both simple models; keys are the first two columns of the table."""
    source, target = cells[SOURCE], cells[TARGET]
    everything = np.ones(len(source.label), bool)
    cases = {
        f"{SOURCE}, half of the genes | {SOURCE}": (source, source.trains, source),
        f"{TARGET}, half of the genes | {TARGET}": (target, target.trains, target),
        f"{SOURCE}, all genes | {TARGET}": (source, everything, target),
    }
    scores = {}
    for name, (trained, rows, tested) in cases.items():
        test = ~tested.trains
        flat = fit_logistic(trained.signal[rows], trained.label[rows]).probability(tested.signal)
        trees = boosting(trained.signal[rows], trained.label[rows], tested.signal)
        scores[name] = tuple(auroc(tested.label[test], found[test]) for found in (flat, trees))
    return scores


def boosting(
    signal: NDArray[np.float32], label: NDArray[np.int8], tested: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return probabilities of gradient boosting on the marks summed in 1 kb bins."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def summed(values: NDArray[np.float32]) -> NDArray[np.float32]:
        genes, marks, bins = values.shape
        kb = values.reshape(genes, marks, bins // 10, 10).sum(axis=3)
        return np.asarray(kb.reshape(genes, -1))

    model = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, random_state=0)
    model.fit(summed(signal), label)
    return np.asarray(model.predict_proba(summed(tested))[:, 1])


def adapted_scores(output: Path, seed: int, cells: dict[str, Cell]) -> dict[str, float]:
    """Score ``chromemodel adapt`` and what stands beside it on the target's test half."""
    scores: dict[str, float] = {}
    for weight in LAMBDAS:
        folder = output / f"adapt-{seed}-{weight}"
        if not folder.exists():
            call("chromemodel", "adapt", f"--source={output}/{SOURCE}-{seed}.h5",
                 f"--target={output}/{TARGET}-{seed}.h5", *DEMO, f"--domain-weight={weight}",
                 f"--seed={seed}", "--threads=1", "--no-baseline", "-o", str(folder))  # fmt: skip
        found = json.loads((folder / "metrics.json").read_text())["scores"]
        for score in found:
            words = f", lambda {weight}" if score["model"] == "dann" else ""
            scores[score["model"] + words] = score["auroc"]
        parts = [line.split("\t") for line in (folder / "predictions.tsv").read_text().splitlines()]
        test = np.array([row[parts[0].index("part")] == "test" for row in parts[1:]])
    source, target = cells[SOURCE], cells[TARGET]
    flat = fit_logistic(source.signal, source.label).probability(target.signal)
    scores["logistic regression, source only"] = auroc(target.label[test], flat[test])
    own = fit_logistic(target.signal[~test], target.label[~test]).probability(target.signal)
    lookup = source.data.genes.expression
    scores[f"RPKM of the same gene in {SOURCE}"] = auroc(target.label[test], lookup[test])
    scores[f"logistic regression with {TARGET}'s own labels"] = auroc(target.label[test], own[test])
    return scores


if __name__ == "__main__":
    main()
