"""What does each choice that the paper leaves open change in the test AUROC?

For each point of ``docs/paper.md`` that has an option: one change from a common base, trained with
the same seeds, and the difference from the base, seed by seed. The base is TransferChrome with Adam
(learning rate 0.001, no weight decay, batches of 64) on the genome-wide presence calls of E116 in
random thirds. For adaptation it is the paper's own recipe, for with Adam and a lambda of 1 DANN
diverges (docs/adaptation.md), at most 60 epochs, from E116 to E003 on the five core marks in the
ENCODE pilot regions: some 310 genes, which is little, but can be afforded. Finished runs are kept,
under names that tell the epochs and the patience too.

Epochs are few by default, so that it can be afforded: a run takes a minute or two on one thread. A
setting that needs longer, such as the paper's SGD, is then judged by what it reaches in that time.
Other splits have other test genes, so their differences are of the genes too. Left out:
``--uncovered`` (the calls have no gaps), ``--target-fraction`` (other test genes), ``pool`` and
``dense_kernels`` (they change more than their point).

Adversarial training may diverge, and differences between such runs tell nothing: so the run
without adaptation, ``adapt-not``, stands beside the others. A run whose loss is no longer a number
has no score.

    CHROME_REAL_DATA=… python -m benchmarks.ambiguities -o results
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks.arguments import parser
from benchmarks.running import Run, bin_calls, bin_pilot, diverged, make_runs, spread

SOURCE, TARGET = "E116", "E003"
BASE, ADAPT, SINUSOIDAL = "base", "adapt", "position-sinusoidal"
ADAPT_LIMITS = ("--epochs=60", "--patience=60")
ADAM = ("--optimizer", "adam", "--lr", "0.001", "--weight-decay", "0", "--batch-size", "64")


class Setting(NamedTuple):
    """One change.

    Attributes
    ----------
    name
        Of its run folders.
    point
        The row of ``docs/paper.md``.
    options
        Of ``chromemodel``; they come after the base's and overrule them.
    against
        The setting that differs from this one in nothing else; a base has none.
    suffix
        Of the file of bins, where it is not the base's.
    """

    name: str
    point: str
    options: tuple[str, ...] = ()
    against: str = BASE
    suffix: str = ""

    @property
    def adapts(self) -> bool:
        """Whether it is one of ``chromemodel adapt``."""
        return ADAPT in (self.name, self.against)


class Score(NamedTuple):
    """The test score of one run of one setting."""

    setting: str
    seed: int
    auroc: float
    best_epoch: int
    epochs: int


def of_model(*settings: str) -> tuple[str, ...]:
    """Return options of the model as the command line takes them."""
    return tuple(f"--set={setting}" for setting in settings)


def settings_of(epochs: int) -> tuple[Setting, ...]:
    """Return all settings, each after the one it is held against."""
    attention = ("attention_scale=true", "attention_residual=true")
    sgd = ("--optimizer=sgd", "--momentum=0.85", "--weight-decay=0.001", "--batch-size=32")
    adapting = {"against": ADAPT}
    return (
        Setting(BASE, "the base", against=""),
        Setting("bins-200bp", "window and bins", suffix="-200bp"),
        Setting("window-5kb", "window and bins", ("--window-bp=5000",)),
        Setting("normalise-training", "z-score: over what", ("--normalise=training",)),
        Setting("normalise-none", "z-score: over what", ("--normalise=none",)),
        Setting("split-deepchrome", "order of the parts", ("--split=deepchrome",)),
        Setting("split-chromosome", "order of the parts", ("--split=chromosome",)),
        Setting("relu-first", "ReLU and convolution", of_model("relu_first=true")),
        Setting("dropout-0", "dropout: its rate", of_model("dropout=0")),
        Setting("dropout-0.2", "dropout: its rate", of_model("dropout=0.2")),
        Setting("position-signed", "position: formula", of_model("position=signed")),
        Setting(SINUSOIDAL, "position: formula", of_model("position=sinusoidal")),
        Setting("position-none", "position: formula", of_model("position=none")),
        Setting(
            "position-channels-32", "sinusoidal: how",
            of_model("position=sinusoidal", "position_channels=32"), SINUSOIDAL,
        ),
        Setting("attention-scale", "scaling of the scores", of_model(attention[0])),
        Setting("attention-residual", "residual, normalisation", of_model(attention[1])),
        Setting("attention-both", "residual, normalisation", of_model(*attention)),
        Setting("features-64", "length of the feature vector", of_model("features=64")),
        Setting("features-256", "length of the feature vector", of_model("features=256")),
        Setting("feature-relu", "ReLU after it", of_model("feature_relu=true")),
        Setting("label-widths-32-8", "widths of the label head", of_model("label_widths=32,8")),
        Setting("label-widths-128-64", "widths of the label head", of_model("label_widths=128,64")),
        Setting("batch-32", "batch size", ("--batch-size=32",)),
        Setting("batch-128", "batch size", ("--batch-size=128",)),
        Setting("patience-2", "early stopping: patience", ("--patience=2",)),
        Setting("patience-all", "early stopping: patience", (f"--patience={epochs}",)),
        Setting("weight-decay-0.001", "weight decay", ("--weight-decay=0.001",)),
        Setting("sgd", "the paper's SGD, batches of 32", sgd),
        Setting(ADAPT, "the base, E116 to E003", against=""),
        Setting("adapt-not", "the run without adaptation", ("--method=source_only",), **adapting),
        Setting("adapt-fixed", "its schedule", ("--domain-schedule=fixed",), **adapting),
        Setting("adapt-0.1", "λ of the gradient reversal", ("--domain-weight=0.1",), **adapting),
        Setting(
            "adapt-widths-128", "widths of the domain head", of_model("domain_widths=128"),
            **adapting,
        ),
        Setting("adapt-no-validation", "validation", ("--validation-fraction=0",), **adapting),
        Setting(
            "adapt-training", "statistics of the target", ("--normalise=training",), **adapting
        ),
    )  # fmt: skip


def main() -> None:
    """Run what is missing and print the table."""
    options = parser(__doc__, real_data=True)
    options.add_argument("-o", "--output", type=Path, default=Path("results"))
    options.add_argument("-p", "--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--epochs", type=int, default=8, help="at most so many; default 8")
    options.add_argument("--patience", type=int, default=4, help="in epochs; default 4")
    options.add_argument("--only", nargs="+", metavar="SETTING", default=[],
                         choices=[one.name for one in settings_of(1)],
                         help="by name, and what they are held against")  # fmt: skip
    arguments = options.parse_args()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    chosen = with_bases(settings_of(arguments.epochs), arguments.only)
    bin_calls(arguments.data, SOURCE, output)
    if any(one.suffix for one in chosen):
        bin_calls(arguments.data, SOURCE, output, options=["--bin-size=200"], suffix="-200bp")
    if any(one.adapts for one in chosen):
        for cell_type in (SOURCE, TARGET):
            bin_pilot(arguments.data, cell_type, output)
    limits = (f"--epochs={arguments.epochs}", f"--patience={arguments.patience}")
    folder = output / f"ambiguities-{arguments.epochs}-epochs-patience-{arguments.patience}"
    folder.mkdir(exist_ok=True)
    runs = {
        (one, seed): as_run(one, seed, limits, output, folder)
        for one in chosen
        for seed in arguments.seeds
    }
    make_runs(runs.values(), arguments.processes)
    scores = [read_score(one, seed, run) for (one, seed), run in runs.items() if not diverged(run)]
    with (folder / "ambiguities.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(Score._fields)
        writer.writerows(scores)
    print(table(chosen, scores))


def with_bases(settings: Sequence[Setting], only: Sequence[str]) -> list[Setting]:
    """Return the settings of some names, and those they are held against; all for no name."""
    wanted = set(only) or {one.name for one in settings}
    for one in reversed(settings):
        if one.name in wanted:
            wanted.add(one.against)
    return [one for one in settings if one.name in wanted]


def as_run(one: Setting, seed: int, limits: tuple[str, ...], output: Path, folder: Path) -> Run:
    """Return what ``chromemodel`` is asked for one setting and seed."""
    if one.adapts:
        files = [f"--source={output}/{SOURCE}-pilot.h5", f"--target={output}/{TARGET}-pilot.h5"]
        task = ["adapt", *files, "--no-baseline", *ADAPT_LIMITS]
    else:
        task = ["train", f"{output}/{SOURCE}{one.suffix}.h5", "--no-baseline", *ADAM, *limits]
    words = (*task, "--recipe=paper", *one.options, f"--seed={seed}")
    return Run(folder / f"{one.name}-seed-{seed}", words)


def read_score(one: Setting, seed: int, run: Run) -> Score:
    """Read the score of a run on its test genes."""
    summary, config = (
        json.loads((run.folder / name).read_text()) for name in ("metrics.json", "config.json")
    )
    model = config["method" if one.adapts else "model"]["name"]
    (auroc,) = (
        score["auroc"]
        for score in summary["scores"]
        if score["model"] == model and score["part"] not in ("train", "validation")
    )
    return Score(one.name, seed, auroc, summary["best_epoch"], summary["epochs"])


def table(settings: Sequence[Setting], scores: Sequence[Score]) -> str:
    """Return AUROC and the paired difference, mean ± deviation over seeds, as Markdown.

    Runs that diverged have no score; the number of seeds tells how many have one.

    Examples
    --------
    >>> two = [Setting("base", "the base", against=""), Setting("a", "b")]
    >>> scores = [Score("base", 0, 0.8, 3, 8), Score("base", 1, 0.9, 5, 8)]
    >>> scores += [Score("a", 0, 0.81, 4, 8), Score("a", 1, 0.93, 4, 8)]
    >>> print(table(two, scores).splitlines()[-1])
    | b | a | 2 | 0.8700 ± 0.0849 | base | +0.0200 ± 0.0141 | 4.0 |
    """
    lines = [
        "| point | setting | seeds | test AUROC | against | difference, by seed | best epoch |",
        "|---|---|---|---|---|---|---|",
    ]
    of = {one.name: [score for score in scores if score.setting == one.name] for one in settings}
    for one in settings:
        here = of[one.name]
        before = {score.seed: score.auroc for score in of.get(one.against, ())}
        if not here:
            lines.append(f"| {one.point} | {one.name} | 0 | diverged | {one.against} | | |")
            continue
        both = [score.auroc - before[score.seed] for score in here if score.seed in before]
        difference = spread(both, "+") if both else ""
        cells = (
            one.point, one.name, str(len(here)), spread([score.auroc for score in here]),
            one.against, difference, f"{mean(score.best_epoch for score in here):.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
