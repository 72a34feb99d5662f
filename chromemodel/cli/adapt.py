"""``chromemodel adapt``: what do labelled genes of one cell type say of another?"""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import click

from chromemodel.adapt import METHODS
from chromemodel.cli._options import (
    baseline_option,
    check_task,
    chosen,
    chosen_options,
    compute_options,
    force_option,
    json_option,
    model_options,
    option_name,
    panel_choice,
    panel_options,
    resume_option,
    run_option,
    task_option,
    training_options,
    usage_errors,
)
from chromemodel.cli._resuming import telling_how_to_resume
from chromemodel.config import GeneProtocol, Split
from chromemodel.defaults import BEST_METHOD, PAPER_METHOD
from chromemodel.models import MODELS

if TYPE_CHECKING:
    from chromemodel.cli._report import EpochReporter
    from chromemodel.train.loop import Epoch

_SPLIT = Split()


@click.command("adapt")
@click.option(
    "--source",
    "sources",
    required=True,
    multiple=True,
    metavar="S.h5",
    help="File of bins with labels; repeat for more cell types, which train together.",
)
@click.option("--target", required=True, metavar="T.h5", help="File of bins to adapt to.")
@run_option
@task_option
@click.option(
    "--method",
    metavar="NAME",
    help=f"One of: {', '.join(METHODS.names())}.  [default: {BEST_METHOD}; with --recipe "
    f"paper {PAPER_METHOD}]",
)
@click.option(
    "--method-set",
    "method_settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the method (see `chromemodel models NAME`); repeat for more.",
)
@click.option(
    "--domain-weight",
    metavar="NUMBER",
    help="Lambda of dann and cdan; the same as --method-set.",
)
@click.option("--domain-schedule", metavar="ganin|fixed", help="How that lambda grows; likewise.")
@click.option(
    "--protocol",
    type=click.Choice(get_args(GeneProtocol)),
    help="same-genes: the labels of the target's test genes are seen in the source, as in the "
    "paper; new-genes: genes of whole chromosomes are held out in source and target, and test.  "
    "[default: same-genes]",
)
@click.option(
    "--test-chromosome",
    "test_chromosomes",
    multiple=True,
    metavar="CHROM",
    help="Hold out for the test; repeat for more. Implies --protocol new-genes, which draws about "
    "a third of the target's genes without.",
)
@click.option(
    "--target-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="same-genes: share of the target's genes that adapt, without labels; the others test.  "
    f"[default: {_SPLIT.target_fraction}]",
)
@click.option(
    "--validation-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=_SPLIT.validation_fraction,
    show_default=True,
    help="Share of the source's genes that choose the epoch; 0: none, all epochs are run.",
)
@model_options
@training_options
@compute_options
@panel_options
@baseline_option
@json_option
@force_option
@resume_option
def command(
    sources: tuple[str, ...],
    target: str,
    out: str,
    task: Any,
    method: str | None,
    method_settings: tuple[str, ...],
    domain_weight: str | None,
    domain_schedule: str | None,
    protocol: Any,
    test_chromosomes: tuple[str, ...],
    target_fraction: float | None,
    validation_fraction: float,
    recipe: Any,
    model: str | None,
    settings: tuple[str, ...],
    marks: tuple[str, ...],
    window_bp: int | None,
    normalise: Any,
    transform: Any,
    panel: str | None,
    panel_leave_out: tuple[str, ...],
    panel_relatives: bool,
    baseline: bool,
    as_json: bool,
    force: bool,
    resume: bool,
    **values: Any,
) -> None:
    """Carry a model of a labelled source over to an unlabelled target, and write a run folder.

    By default the best model by the evidence is carried over as it is; --method NAME adapts a
    network to the target, and --recipe paper is TransferChrome's way. A run that adapted is at -o,
    one of the same seed without adaptation in its folder source_only. All predict every gene of
    the target; where the target has labels, they are scored on its test genes, which did not adapt.
    """
    split = _split(protocol, test_chromosomes, target_fraction)
    name, way, training = chosen(values, task, recipe, model, method)
    with usage_errors():
        split = replace(split, seed=training.seed, validation_fraction=validation_fraction)
    shortcuts = {"domain_weight": domain_weight, "domain_schedule": domain_schedule}
    method_named = method is not None
    method_options = chosen_options(
        METHODS, way, method_settings, "--method-set", named=method_named
    )
    for key, value in shortcuts.items():
        if value is not None:
            method_options |= chosen_options(
                METHODS, way, [f"{key}={value}"], option_name(key), named=method_named
            )
    options = chosen_options(MODELS, name, settings, "--set", named=model is not None)
    beside = panel_choice(panel, panel_leave_out, panel_relatives)
    check_task(task, name, beside, way)

    from chromemodel.adapt.protocol import adapt_model
    from chromemodel.cli._report import METRICS, EpochReporter, score_table
    from chromeprep.cli._shell import echo_json

    reports: dict[str, EpochReporter] = {}
    last = ExitStack()

    def on_epoch(name: str, row: Epoch) -> None:
        if name not in reports:
            last.close()
            reports[name] = EpochReporter(training.epochs, name, metric=METRICS[task])
            last.callback(reports[name].close)
        reports[name](row)

    with telling_how_to_resume(out), last:
        adapted = adapt_model(
            sources,
            target,
            out,
            task=task,
            method=way,
            method_options=method_options,
            model=name,
            options=options,
            marks=marks,
            window_bp=window_bp,
            normalise=normalise,
            transform=transform,
            split=split,
            training=training,
            panel=beside,
            baseline=baseline,
            force=force,
            resume=resume,
            command=("chromemodel", *sys.argv[1:]),
            on_epoch=on_epoch,
        )
    for note in adapted.notes:
        click.echo(note, err=True)
    click.echo(f"run: {adapted.path}", err=True)
    if as_json:
        agreement = adapted.label_agreement
        echo_json(
            {
                "run": str(adapted.path),
                "protocol": adapted.protocol,
                "test_genes": adapted.test_genes,
                "test_genes_in_source": adapted.shared_genes,
                "split": adapted.config.split.words,
                "best_epoch": {name: fit.best_epoch for name, fit in adapted.fits.items()},
                "label_agreement": None if math.isnan(agreement) else agreement,
                "notes": list(adapted.notes),
                "scores": [score.to_json() for score in adapted.scores],
            }
        )
    elif adapted.scores:
        click.echo(score_table(adapted.scores))


def _split(
    protocol: GeneProtocol | None, test_chromosomes: tuple[str, ...], target_fraction: float | None
) -> Split:
    """Return the split of a protocol; options that contradict it are refused."""
    if protocol == "same-genes" and test_chromosomes:
        raise click.UsageError("--protocol same-genes has no chromosomes to name")
    if protocol != "new-genes" and not test_chromosomes:
        share = _SPLIT.target_fraction if target_fraction is None else target_fraction
        with usage_errors():
            return Split("adapt", target_fraction=share)
    if target_fraction is not None:
        raise click.UsageError(
            "--target-fraction is for --protocol same-genes; with new-genes all target genes adapt "
            "but those of the test chromosomes"
        )
    return Split("adapt-chromosome", test_chromosomes=test_chromosomes)
