"""``chromemodel evaluate``: how good is a run on genes it has not seen?"""

from __future__ import annotations

import click

from chromemodel.cli._options import (
    available_option,
    bootstrap_option,
    check_named,
    compute_options,
    force_option,
    json_option,
    mark_option,
)


@click.command("evaluate")
@click.argument("run", metavar="RUN")
@click.option(
    "--data",
    metavar="FILE.h5",
    help="A file of bins with labels; by default the run's own test genes.",
)
@click.option(
    "--panel",
    metavar="PANEL.h5",
    help="Score genes that are on in some cell types of a panel and off in others apart; by "
    "default those of the panel that RUN was trained with.",
)
@bootstrap_option
@click.option(
    "--plot",
    metavar="FILE",
    help="Draw reliability, ROC and precision-recall into a .png or .svg; for a regression "
    "predicted against measured values.",
)
@click.option(
    "--by-marks",
    "with_marks",
    is_flag=True,
    help="AUROC with each mark alone and each left out; for a RUN trained with --mark-dropout.",
)
@mark_option
@available_option
@compute_options
@json_option
@force_option
def command(
    run: str,
    data: str | None,
    panel: str | None,
    replicates: int,
    plot: str | None,
    with_marks: bool,
    marks: tuple[str, ...],
    available: tuple[str, ...],
    device: str,
    threads: int | None,
    as_json: bool,
    force: bool,
) -> None:
    """Score RUN on its test genes, or on another file.

    AUROC, AUPRC, accuracy, F1, MCC, Brier score and expected calibration error, each with its 95 %
    interval over genes; for a RUN of --task regression Pearson, Spearman, R2 and RMSE. A run of
    `chromemodel adapt` is scored on the target's test genes, beside its source-only run. Wherever
    the labels trained on are of another cell type, the expression there, without any model, stands
    beside it, and genes whose label differs have rows of their own. What the run has seen of the
    genes is said on stderr.
    """
    check_named(marks, available)

    from chromemodel.cli._report import score_table
    from chromemodel.evaluate.by_marks import by_marks, by_marks_table
    from chromemodel.evaluate.runs import evaluate_run
    from chromeprep.cli._shell import echo_json

    if plot is not None:
        from chromemodel.evaluate.plot import check_plot, draw_evaluation

        check_plot(plot, run, force=force)
    evaluation = evaluate_run(
        run,
        data,
        marks=marks,
        available=available,
        device=device,
        threads=threads,
        panel=panel,
        replicates=replicates,
    )
    worth = by_marks(evaluation.evidence, device=device, threads=threads) if with_marks else None
    if plot is not None:
        draw_evaluation(evaluation.evidence, plot)
    if as_json:
        echo_json(
            {
                "run": run,
                "data": str(evaluation.data),
                "split": evaluation.split,
                "label_agreement": evaluation.label_agreement,
                "notes": list(evaluation.notes),
                "seen": [seen.to_json() for seen in evaluation.seen],
                "scores": [score.to_json() for score in evaluation.scores],
            }
            | ({} if worth is None else {"by_marks": worth.to_json()})
        )
        return
    click.echo(evaluation.data, err=True)
    for note in evaluation.notes:
        click.echo(note, err=True)
    click.echo(score_table(evaluation.scores))
    if worth is not None:
        click.echo("")
        click.echo(by_marks_table(worth))
