"""`chromeprep bin --samples`: the cell types of a sheet, one after another."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from chromeprep.cli._bin_options import BinOptions

if TYPE_CHECKING:
    from chromeprep.batch import Job, Outcome
    from chromeprep.binning import Progress
    from chromeprep.samplesheet import SampleSheet
    from chromeprep.shared import Shared

_log = logging.getLogger(__name__)


def bin_samples(
    ctx: click.Context,
    chosen: BinOptions,
    with_bar: Callable[[Callable[[Progress], Outcome]], Outcome],
) -> None:
    """Check all of a sheet, then make the files that are not there yet.

    Parameters
    ----------
    ctx
        Of the command.
    chosen
        Its options.
    with_bar
        Calls what it is given with something that shows the progress.
    """
    from chromeprep import batch
    from chromeprep.shared import Shared

    assert chosen.samples is not None
    shared = Shared(many=True)
    batch.check_folder(chosen.output)
    jobs = _checked(ctx, chosen, shared)
    batch.check_replaceable(jobs, chosen.samples)
    done = {} if chosen.force else batch.find_done(jobs, chosen.output)
    _make_folder(chosen)
    outcomes: list[Outcome] = []
    try:
        for number, job in enumerate(jobs, start=1):
            place = f"[{number}/{len(jobs)}] {job.cell_type}"
            if job.cell_type in done:
                outcomes.append(done[job.cell_type])
                click.echo(f"{place}: is there already", err=True)
                continue
            click.echo(f"{place}: {_files(job)}", err=True)
            started = time.monotonic()

            def work(progress: Progress, job: Job = job) -> Outcome:
                return batch.bin_one(job, shared, progress)

            outcome = with_bar(work)
            outcomes.append(outcome)
            if outcome.state == "failed":
                click.echo(f"{place}: failed: {outcome.why}", err=True)
            else:
                click.echo(f"{place}: {job.output}, {time.monotonic() - started:.1f} s", err=True)
    except KeyboardInterrupt:
        n_done = sum(outcome.state != "failed" for outcome in outcomes)
        click.echo(
            f"interrupted; {n_done} of {len(jobs)} files are there, and the same command goes on "
            "from there", err=True
        )  # fmt: skip
        ctx.exit(130)
    _summarise(jobs, outcomes)
    _fail_if_any(chosen, outcomes)


def _checked(ctx: click.Context, chosen: BinOptions, shared: Shared) -> list[Job]:
    """Return what is to be done, or raise one error that names all wrong rows of the sheet."""
    from chromeprep.batch import Job
    from chromeprep.samplecheck import check_samples
    from chromeprep.samplesheet import read_samplesheet, refuse

    assert chosen.samples is not None
    sheet = read_samplesheet(chosen.samples)
    if not sheet.problems:
        chosen.check_contents(
            ctx,
            {file.kind for sample in sheet.samples for file in sample.tracks},
            controlled=any(sample.controls for sample in sheet.samples),
        )
    requests = [chosen.request_of(sample, tuple(sys.argv)) for sample in sheet.samples]
    problems = sheet.problems + check_samples(
        sheet.samples, requests, shared, whole=not sheet.problems
    )
    if problems:
        refuse(sheet.path, problems)
    _tell(sheet, labelled=chosen.expression is not None)
    return [
        Job(sample.cell_type, request, chosen.output / f"{sample.cell_type}.h5")
        for sample, request in zip(sheet.samples, requests, strict=True)
    ]


def _tell(sheet: SampleSheet, *, labelled: bool) -> None:
    from chromeprep.errors import shorten
    from chromeprep.samplesheet import lacking_marks

    if sheet.ignored:
        _log.info("%s: columns that are not used: %s", sheet.path, shorten(sheet.ignored))
    if not labelled and any(sample.expression_column for sample in sheet.samples):
        _log.info("%s: expression_column is not used without --expression", sheet.path)
    for mark, names in lacking_marks(sheet.samples).items():
        _log.warning(
            "warning: no %s in %s; models need the same marks in all files", mark, shorten(names)
        )


def _make_folder(chosen: BinOptions) -> None:
    from chromeprep.errors import OutputError

    try:
        chosen.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made: {error.strerror}", path=chosen.output) from error


def _files(job: Job) -> str:
    files = sum(len(assay.files) for assay in job.request.assays)
    marks = len(job.request.assays)
    return f"{marks} mark{'s' * (marks > 1)}, {files} file{'s' * (files > 1)}"


def _summarise(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Print a table of what became of each cell type."""
    rows = [("cell type", "", "genes", "marks", "file")]
    rows += [
        (
            outcome.cell_type,
            outcome.state,
            f"{outcome.n_genes:,}" if outcome.n_genes else "-",
            f"{outcome.n_marks}" if outcome.n_marks else "-",
            "-" if outcome.state == "failed" else str(job.output),
        )
        for job, outcome in zip(jobs, outcomes, strict=True)
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        name, state, genes, marks = (
            f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}", f"{row[2]:>{widths[2]}}",
            f"{row[3]:>{widths[3]}}",
        )  # fmt: skip
        click.echo(f"{name}  {state}  {genes}  {marks}  {row[4]}", err=True)


def _fail_if_any(chosen: BinOptions, outcomes: Sequence[Outcome]) -> None:
    from chromeprep.errors import ChromeError, shorten

    failed = [outcome.cell_type for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise ChromeError(
            f"{len(failed)} of {len(outcomes)} cell types failed: {shorten(failed, 60)}",
            path=chosen.samples,
            hint="why stands above; call again once it is mended: files that are there are kept",
        )
