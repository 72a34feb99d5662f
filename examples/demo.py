"""What does transferchrome do, from raw tracks to adapted predictions? On a simulated world.

`make demo` runs this. It drives the commands as a user would, shows each of them, and at last does
what a user cannot: it looks at the expression of the target, which no command was given, and
compares. Everything is written below demo/; a second run repeats only what has changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from chromemodel.data.normalise import fit_scale, z_score
from chromemodel.evaluate.baselines import fit_logistic

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parent.parent
OUT = Path("demo")
WORLD = OUT / "world"
SOURCE, TARGET = "S01", "T01"

PAPERS = f"{TARGET}_paper"

# The paper's network and adaptation, quicker than by its SGD of 0.001, momentum 0.85, batches of 32
# and up to 200 epochs. With this optimizer the adversary must be gentle: a lambda of 1 makes
# training diverge.
PAPERS_WAY = (
    "--recipe paper --optimizer adamw --lr 0.0005 --batch-size 64 --epochs 12 --domain-weight 0.03"
)

BAMS = ("H3K4me3", "H3K36me3", "H3K27me3")
BIGWIGS = ("H3K4me1", "H3K9me3")


class Step(NamedTuple):
    """A command, what it is for, and its output: what it writes, or only reads."""

    why: str
    command: str
    output: Path
    written: bool = True


def steps() -> list[Step]:
    """Return the commands, in order."""
    return [
        Step(
            "A world to try it on: two cell types, ChIP-seq of five marks in each, expression.",
            f"chromeprep simulate -o {WORLD} --cell-types {SOURCE},{TARGET}",
            WORLD,
        ),
        Step(
            "The source: signal in bins round every TSS, with labels from expression.",
            f"chromeprep bin {tracks(SOURCE)} --gtf {WORLD}/annotation.gtf.gz "
            f"--expression {WORLD}/rpkm.tsv.gz --expression-column {SOURCE} "
            f"--cell-type {SOURCE} --assembly sim1 -p 2 -o {OUT}/source.h5",
            OUT / "source.h5",
        ),
        Step(
            "The target: the same genes and windows, and no expression.",
            f"chromeprep bin {tracks(TARGET)} --like {OUT}/source.h5 "
            f"--cell-type {TARGET} -p 2 -o {OUT}/target.h5",
            OUT / "target.h5",
        ),
        Step(
            "How well do the marks tell high genes from low ones within the source?",
            f"chromemodel train {OUT}/source.h5 -o {OUT}/runs/{SOURCE}",
            OUT / "runs" / SOURCE,
        ),
        Step(
            "The same numbers again, from the run folder.",
            f"chromemodel evaluate {OUT}/runs/{SOURCE}",
            OUT / "runs" / SOURCE,
            written=False,
        ),
        Step(
            "Carry it over to the target, whose expression is not known.",
            f"chromemodel adapt --source {OUT}/source.h5 --target {OUT}/target.h5 "
            f"-o {OUT}/runs/{TARGET}",
            OUT / "runs" / TARGET,
        ),
        Step(
            "Every gene of the target, with a probability and a call.",
            f"chromemodel predict {OUT}/runs/{TARGET} {OUT}/target.h5 -o {OUT}/{TARGET}.tsv",
            OUT / f"{TARGET}.tsv",
        ),
        Step(
            "The paper's way beside it: a network that adapts to the signal of the target.",
            f"chromemodel adapt --source {OUT}/source.h5 --target {OUT}/target.h5 "
            f"-o {OUT}/runs/{PAPERS} {PAPERS_WAY}",
            OUT / "runs" / PAPERS,
        ),
    ]


def tracks(cell_type: str) -> str:
    """Return the options that name a cell type's tracks; the mark is read from the file name."""
    bams = [f"--bam {WORLD}/{cell_type}-{mark}.bam" for mark in BAMS]
    bigwigs = [f"--bigwig {WORLD}/{cell_type}-{mark}.bw" for mark in BIGWIGS]
    return " ".join(bams + bigwigs)


def run_steps() -> None:
    """Run the commands; those whose results are there already, by the same code, only speak."""
    log = OUT / "log"
    log.mkdir(parents=True, exist_ok=True)
    (OUT / "runs").mkdir(exist_ok=True)
    code = digest_of_code()
    fresh = True
    for number, step in enumerate(steps(), start=1):
        say(f"\n# {step.why}")
        say(f"$ {wrapped(step.command)}")
        record = log / f"{number}.json"
        key = [step.command, code]
        done = json.loads(record.read_text()) if record.exists() else {}
        fresh = fresh and done.get("key") == key and step.output.exists()
        if fresh:
            say(done["said"] + "(up to date)")
            continue
        record.unlink(missing_ok=True)
        if step.written:
            remove(step.output)
        began = time.monotonic()
        said = run(step.command)
        say(f"({time.monotonic() - began:.0f} s)")
        record.write_text(json.dumps({"key": key, "said": said}))


def run(command: str) -> str:
    """Run one command with its output shown; return what it wrote to stdout.

    Raises
    ------
    SystemExit
        Where it fails.
    """
    name, *rest = shlex.split(command)
    words = [str(Path(sys.executable).parent / name), *rest]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    # stdout is shown line by line and kept; stderr, with its progress, goes to the terminal.
    said = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
    if process.returncode != 0:
        sys.exit(f"demo: `{name} {rest[0]}` failed with exit code {process.returncode}")
    return "".join(said)


def remove(path: Path) -> None:
    """Remove a result of an earlier run of the demo."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def digest_of_code() -> str:
    """Digest the packages, so that a change of code makes every result out of date."""
    digest = hashlib.sha256()
    for package in ("chromeprep", "chromemodel"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def wrapped(command: str) -> str:
    """Break a command before its options, so that it can be read and pasted."""
    lines = [""]
    for word in command.replace(" -", "\n-").split("\n"):
        if lines[-1] and len(lines[-1]) + len(word) > 88:
            lines.append("")
        lines[-1] += f"{word} "
    return " \\\n    ".join(line.rstrip() for line in lines)


class Cell(NamedTuple):
    """A file of bins with what is known of its genes."""

    gene_id: list[str]
    marks: list[str]
    signal: NDArray[np.float32]
    expression: Floats
    label: NDArray[np.int64]


def read_cell(path: Path, cell_type: str) -> Cell:
    """Read a file of bins with plain h5py, and its expression from the withheld table."""
    with h5py.File(path) as file:
        gene_id = [name.decode() for name in file["genes/gene_id"][:]]
        marks = [name.decode() for name in file["marks/mark"][:]]
        signal = file["signal"][:]
    with gzip.open(WORLD / "rpkm.tsv.gz", "rt") as handle:
        header, *rows = (line.split("\t") for line in handle.read().splitlines())
    column = header.index(cell_type)
    table = {row[0]: float(row[column]) for row in rows}
    expression = np.array([table[name.partition(".")[0]] for name in gene_id])
    label = (expression >= np.median(expression)).astype(np.int64)
    return Cell(gene_id, marks, signal, expression, label)


def read_predictions(path: Path) -> dict[str, list[str]]:
    """Read a table of predictions, by column."""
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


class Row(NamedTuple):
    """A row of the last table; ``accuracy`` of calls at a probability of 0.5, or NaN."""

    what: str
    auc: float
    accuracy: float
    given: str


def compare(source: Cell, target: Cell) -> list[Row]:
    """Score everything on the half of the target's genes that took no part in adaptation."""
    from sklearn.metrics import accuracy_score, roc_auc_score

    usual, adapted, only = (
        read_predictions(OUT / "runs" / name / "predictions.tsv")
        for name in (TARGET, PAPERS, f"{PAPERS}/source_only")
    )
    assert adapted["gene_id"] == only["gene_id"] == usual["gene_id"]
    assert adapted["part"] == usual["part"]
    assert usual["gene_id"] == target.gene_id == source.gene_id
    test = np.array(usual["part"]) == "test"
    truth = target.label[test]

    def row(what: str, score: Floats, given: str, *, probability: bool = True) -> Row:
        accuracy = accuracy_score(truth, score[test] >= 0.5) if probability else float("nan")
        return Row(what, float(roc_auc_score(truth, score[test])), float(accuracy), given)

    return [
        row(
            f"expression of the same gene in {SOURCE}, no chromatin",
            source.expression,
            f"{SOURCE} RPKM",
            probability=False,
        ),
        row(
            "logistic regression, source only",
            logistic(source, np.full(len(test), True), target),
            f"{SOURCE} signal and labels",
        ),
        row(
            "ensemble, source only (the default)",
            np.array(usual["probability"], float),
            f"{SOURCE} signal and labels",
        ),
        row(
            "TransferChrome, source only",
            np.array(only["probability"], float),
            f"{SOURCE} signal and labels",
        ),
        row(
            "TransferChrome, adapted (the paper's way)",
            np.array(adapted["probability"], float),
            f"the same, and {TARGET} signal",
        ),
        row(
            f"logistic regression with {TARGET}'s own labels",
            logistic(target, ~test, target),
            f"{TARGET} signal and labels",
        ),
    ]


def logistic(cell: Cell, rows: NDArray[np.bool_], target: Cell) -> Floats:
    """Fit a logistic regression on some genes of one cell; return its probabilities in another."""
    return fit_logistic(z_scores(cell)[rows], cell.label[rows]).probability(z_scores(target))


def z_scores(cell: Cell) -> NDArray[np.float32]:
    """Standardise each mark over all genes and bins of its file, as the paper does."""
    return z_score(cell.signal, fit_scale(cell.signal))


def draw(cells: dict[str, Cell], path: Path) -> None:
    """Draw the mean signal of high and low genes round the TSS: marks across, cell types down."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    colours = {1: ("#c8501e", "high-expression"), 0: ("#2b6ca3", "low-expression")}
    with plt.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        marks = next(iter(cells.values())).marks
        figure, axes = plt.subplots(
            len(cells), len(marks), figsize=(15, 6.6), sharex=True, layout="constrained"
        )
        for row, (name, cell) in zip(axes, cells.items(), strict=True):
            n_bins = cell.signal.shape[2]
            kb = (np.arange(n_bins) + 0.5) * 0.1 - n_bins * 0.05
            for axis, mark, values in zip(row, marks, cell.signal.swapaxes(0, 1), strict=True):
                for label, (colour, words) in colours.items():
                    group = values[cell.label == label].astype(np.float64)
                    mean = group.mean(axis=0)
                    error = 1.96 * group.std(axis=0) / np.sqrt(len(group))
                    axis.fill_between(kb, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
                    axis.plot(kb, mean, color=colour, lw=1.8, label=words)
                axis.axvline(0, color="0.6", lw=0.8, ls=":", zorder=0)
                axis.set_ylim(bottom=0)
                axis.margins(x=0)
                axis.set_ylabel("reads per 100 bp" if mark in BAMS else "−log₁₀ p")
                axis.set_xticks([-10, -5, 0, 5, 10], ["−10", "−5", "TSS", "5", "10"])
            row[0].annotate(
                name,
                (-0.42, 0.5),
                xycoords="axes fraction",
                rotation=90,
                va="center",
                ha="center",
                fontsize=13,
                fontweight="bold",
            )
        for axis, mark in zip(axes[0], marks, strict=True):
            axis.set_title(mark, fontweight="bold")
        figure.supxlabel("distance from the TSS in the direction of transcription (kb)")
        handles, words = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles,
            [f"mean of {text} genes" for text in words],
            loc="outside upper center",
            ncols=2,
            frameon=False,
            title="Simulated ChIP-seq round the TSS; bands: 95 % confidence interval of the mean",
            title_fontsize=13,
        )
        figure.savefig(path, dpi=110)
        plt.close(figure)


def say(text: str) -> None:
    """Print at once: the commands print to the same place."""
    print(text, flush=True)


def timed(what: Callable[[], None]) -> float:
    """Return how many seconds a call takes."""
    began = time.monotonic()
    what()
    return time.monotonic() - began


def finish() -> None:
    """Compare with the target's expression, draw, and say where everything is."""
    source = read_cell(OUT / "source.h5", SOURCE)
    target = read_cell(OUT / "target.h5", TARGET)
    table = compare(source, target)
    say(f"\n# At last, the expression of {TARGET} that no command was given, on the genes of the")
    say("# test half, which took no part in adaptation:\n")
    say(f"  {'':<48}  AUC    accuracy  was given")
    for row in table:
        accuracy = "-" if np.isnan(row.accuracy) else f"{row.accuracy:.3f}"
        say(f"  {row.what:<48}  {row.auc:.3f}  {accuracy:<8}  {row.given}")
    lines = [f"{row.what}\t{row.auc:.4f}\t{row.accuracy:.4f}\t{row.given}\n" for row in table]
    (OUT / "auc.tsv").write_text("what\tauc\taccuracy\tgiven\n" + "".join(lines))
    draw({f"{SOURCE} (source)": source, f"{TARGET} (target)": target}, OUT / "signal.png")
    say(
        f"""
For the network the settings of the optimiser are not the paper's but quicker ones. Simulated data
say nothing about how well this works on real cells: docs/accuracy.md does. Results:

  {OUT}/signal.png        mean signal of high and low genes round the TSS
  {OUT}/auc.tsv           the table above
  {OUT}/{TARGET}.tsv           predictions for every gene of the target
  {OUT}/runs/             the run folders: weights, configuration, history, metrics
  {OUT}/source.h5, {OUT}/target.h5    signal in bins; try `chromeprep info {OUT}/source.h5`
  {OUT}/world/README.txt  what was simulated"""
    )


def main() -> None:
    """Run the demo."""
    os.chdir(ROOT)
    OUT.mkdir(exist_ok=True)
    taken = timed(run_steps) + timed(finish)
    say(f"\nDone in {taken / 60:.1f} min.")


if __name__ == "__main__":
    main()
