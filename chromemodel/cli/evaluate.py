"""``chromemodel evaluate``: how good is a run on genes it has not seen?"""

from __future__ import annotations

import click

from chromemodel.cli._options import compute_options, json_option, mark_option


@click.command("evaluate")
@click.argument("run", metavar="RUN")
@click.option(
    "--data",
    metavar="FILE.h5",
    help="A file of bins with labels; by default the run's own test genes.",
)
@mark_option
@compute_options
@json_option
def command(
    run: str,
    data: str | None,
    marks: tuple[str, ...],
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score RUN: AUROC, AUPRC, accuracy and F1 of its test genes, or of another file.

    A run of `chromemodel adapt` is scored on the target's half that did not adapt, beside its
    source-only run.
    """
    from chromemodel.cli._report import score_table
    from chromemodel.evaluate.runs import evaluate_run
    from chromeprep.cli._shell import echo_json

    evaluation = evaluate_run(run, data, marks=marks, device=device, threads=threads)
    if as_json:
        echo_json(
            {
                "run": run,
                "data": str(evaluation.data),
                "split": evaluation.split,
                "scores": [score.to_json() for score in evaluation.scores],
            }
        )
        return
    click.echo(f"{evaluation.data}\nsplit: {evaluation.split}", err=True)
    click.echo(score_table(evaluation.scores))
