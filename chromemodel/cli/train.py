"""``chromemodel train``: what do the marks of one cell type say of its genes?"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from typing import Any, get_args

import click

from chromemodel.cli._options import (
    baseline_option,
    check_task,
    chosen,
    chosen_options,
    compute_options,
    force_option,
    json_option,
    model_options,
    panel_choice,
    panel_options,
    positive_int,
    processors,
    resume_option,
    run_option,
    task_option,
    training_options,
    usage_errors,
)
from chromemodel.cli._resuming import telling_how_to_resume
from chromemodel.config import FileSplitRule, Split
from chromemodel.models import MODELS


@click.command("train")
@click.argument("data", metavar="DATA.h5")
@run_option
@task_option
@model_options
@click.option(
    "--split",
    "split_rule",
    type=click.Choice(get_args(FileSplitRule)),
    help="Random thirds of the genes (default); thirds by gene id, as DeepChrome's; whole "
    "chromosomes; or as the file's column /genes/split says.",
)
@click.option(
    "--validation-chromosome",
    "validation_chromosomes",
    multiple=True,
    metavar="CHROM",
    help="Hold out for validation; repeat for more. Implies --split chromosome.",
)
@click.option(
    "--test-chromosome",
    "test_chromosomes",
    multiple=True,
    metavar="CHROM",
    help="Hold out for the test; repeat for more. Implies --split chromosome.",
)
@training_options
@click.option(
    "--seeds",
    type=positive_int,
    metavar="N",
    help="Make N runs, with --seed and those after it: RUN/seed-0, RUN/seed-1 and so on, and how "
    "their scores spread. On a CPU -p is then how many at a time, each in one thread.",
)
@compute_options
@panel_options
@baseline_option
@json_option
@force_option
@resume_option
def command(
    data: str,
    out: str,
    task: Any,
    recipe: Any,
    model: str | None,
    settings: tuple[str, ...],
    marks: tuple[str, ...],
    window_bp: int | None,
    normalise: Any,
    transform: Any,
    split_rule: Any,
    validation_chromosomes: tuple[str, ...],
    test_chromosomes: tuple[str, ...],
    seeds: int | None,
    panel: str | None,
    panel_leave_out: tuple[str, ...],
    panel_relatives: bool,
    baseline: bool,
    as_json: bool,
    force: bool,
    resume: bool,
    **values: Any,
) -> None:
    """Train a model on the labelled genes of DATA.h5 and write a run folder.

    The model is the best by the evidence, or TransferChrome as published with --recipe paper. The
    genes are cut into training, validation and test genes; the scores of each are printed, beside
    those of a logistic regression on the same genes; for --task regression those of a ridge
    regression.
    """
    named = validation_chromosomes + test_chromosomes
    if split_rule not in (None, "chromosome") and named:
        raise click.UsageError(f"--split {split_rule} has no chromosomes to name")
    name, _, training = chosen(values, task, recipe, model)
    with usage_errors():
        split = Split(
            rule=split_rule or ("chromosome" if named else "thirds"),
            seed=training.seed,
            validation_chromosomes=validation_chromosomes,
            test_chromosomes=test_chromosomes,
        )
    options = chosen_options(MODELS, name, settings, "--set", named=model is not None)
    beside = panel_choice(panel, panel_leave_out, panel_relatives)
    check_task(task, name, beside)
    if seeds is not None and resume:
        raise click.UsageError("--resume is for one run; the same command goes on with all --seeds")
    asked: dict[str, Any] = {
        "task": task,
        "model": name,
        "options": options,
        "marks": marks,
        "window_bp": window_bp,
        "normalise": normalise,
        "transform": transform,
        "split": split,
        "training": training,
        "panel": beside,
        "baseline": baseline,
        "force": force,
        "command": ("chromemodel", *sys.argv[1:]),
    }
    if seeds is None:
        _train_one(data, out, asked, resume=resume, as_json=as_json)
    else:
        _train_seeds(data, out, asked, seeds, as_json=as_json)


def _train_one(data: str, out: str, asked: dict[str, Any], *, resume: bool, as_json: bool) -> None:
    from chromemodel.cli._report import METRICS, EpochReporter, score_table
    from chromemodel.train.single import train_model
    from chromeprep.cli._shell import echo_json

    report = EpochReporter(asked["training"].epochs, metric=METRICS[asked["task"]])
    with telling_how_to_resume(out), closing(report):
        trained = train_model(data, out, **asked, resume=resume, on_epoch=report)
    for note in trained.notes:
        click.echo(note, err=True)
    click.echo(f"run: {trained.path}", err=True)
    if as_json:
        echo_json(
            {
                "run": str(trained.path),
                "split": trained.config.split.words,
                "best_epoch": trained.fit.best_epoch,
                "epochs": len(trained.fit.history),
                "notes": list(trained.notes),
                "scores": [score.to_json() for score in trained.scores],
            }
        )
    else:
        click.echo(score_table(trained.scores))


def _train_seeds(data: str, out: str, asked: dict[str, Any], count: int, *, as_json: bool) -> None:
    from chromemodel.cli._report import METRICS, EpochReporter, spread_table
    from chromemodel.train.seeds import seed_folder, train_seeds
    from chromeprep.cli._shell import echo_json

    training = asked["training"]
    seeds = range(training.seed, training.seed + count)
    folders = [str(seed_folder(out, seed)) for seed in seeds]
    with ExitStack() as stack:
        stack.enter_context(telling_how_to_resume(*folders))
        reports = {
            seed: stack.enter_context(
                closing(
                    EpochReporter(training.epochs, f"seed {seed}", metric=METRICS[asked["task"]])
                )
            )
            for seed in seeds
        }
        found = train_seeds(
            data, out, seeds, processes=training.threads or processors(),
            on_epoch=lambda seed, row: reports[seed](row), **asked,
        )  # fmt: skip
    click.echo(f"runs: {' '.join(folders)}", err=True)
    if as_json:
        echo_json({"runs": folders, "scores": [one.to_json() for one in found]})
    else:
        click.echo(spread_table(found))
