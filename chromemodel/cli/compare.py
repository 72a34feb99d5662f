"""``chromemodel compare``: is one run better than another?"""

from __future__ import annotations

import click

from chromemodel.cli._options import bootstrap_option, compute_options, json_option, mark_option


@click.command("compare")
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option(
    "--data",
    metavar="FILE.h5",
    help="A file of bins with labels; by default the one both runs are tested on.",
)
@click.option(
    "--common-genes",
    is_flag=True,
    help="Where the runs have different test genes, score those that both have.",
)
@bootstrap_option
@mark_option
@compute_options
@json_option
def command(
    first: str,
    second: str,
    data: str | None,
    common_genes: bool,
    replicates: int,
    marks: tuple[str, ...],
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare RUN_A and RUN_B on the same test genes.

    Both predict anew. Each metric is printed with the difference, A minus B, and its 95 % interval
    by the paired bootstrap; for the AUROC also the p-value of DeLong's test.
    """
    from chromemodel.cli._report import difference_table, heading
    from chromemodel.evaluate.compare import compare_runs
    from chromeprep.cli._shell import echo_json

    found = compare_runs(
        first, second, data, common_genes=common_genes, marks=marks, device=device,
        threads=threads, replicates=replicates,
    )  # fmt: skip
    if as_json:
        echo_json(
            {
                "runs": [first, second],
                "data": str(found.data),
                "notes": list(found.notes),
                "seen": [seen.to_json() for seen in found.seen],
                "scores": [score.to_json() for score in found.scores],
                "difference": found.difference.to_json(),
            }
        )
        return
    for note in (str(found.data), *found.notes):
        click.echo(note, err=True)
    one, two = found.scores
    click.echo(f"{heading(one)}\n{difference_table(one, two, found.difference)}")
    if found.difference.delong_p is not None:
        click.echo(f"DeLong's test of equal AUROC: p = {found.difference.delong_p:.2g}")
