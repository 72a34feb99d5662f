"""``chromemodel benchmark``: which model is best, on which cell types?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chromemodel.benchmark.spec import PROTOCOLS, Protocol
from chromemodel.cli._benchmark import (
    check_usage,
    cross_options,
    model_names,
    paper_cell_types,
    run_options,
    split_rule,
    what_options,
)
from chromemodel.cli._options import (
    input_options,
    json_option,
    panel_choice,
    panel_options,
    processors,
    recipe_options,
    usage_errors,
)
from chromemodel.config import GeneProtocol

if TYPE_CHECKING:
    from chromemodel.benchmark.run import Benchmarked


@click.command("benchmark")
@click.argument("protocol", metavar="EXPERIMENT", type=click.Choice(PROTOCOLS))
@click.argument("inputs", metavar="FILES_OR_SHEET...", nargs=-1, required=True)
@what_options
@cross_options
@input_options
@recipe_options
@panel_options
@run_options
@json_option
def command(
    protocol: Protocol,
    inputs: tuple[str, ...],
    out: str,
    models: tuple[str, ...],
    seeds: int,
    cell_types: tuple[str, ...],
    split: Any,
    source: str | None,
    method: str | None,
    gene_protocol: GeneProtocol | None,
    target_fraction: float | None,
    validation_fraction: float | None,
    marks: tuple[str, ...],
    window_bp: int | None,
    normalise: Any,
    transform: Any,
    panel: str | None,
    panel_leave_out: tuple[str, ...],
    panel_relatives: bool,
    max_epochs: int | None,
    tune: bool,
    device: str,
    workers: int | None,
    force: bool,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Train and test several models on several cell types, several times, and compare them.

    EXPERIMENT says what is compared, after the figures of the TransferChrome paper:

    \b
    within        each model trained and tested on each cell type (Figure 3)
    cross         trained on --source and tested on each other cell type, with and
                  without adaptation, beside training on it (Figure 4)
    positions     ways to tell TransferChrome where a bin is (Figure 5)
    architecture  TransferChrome's convolutions and simpler ones (Figure 6)

    The cell types are files of `chromeprep bin --expression`, named by what they hold, or a sheet
    of them: a table with the columns cell_type and path, separated by tabs.

    DIR gets results.csv (every number), tables, figures and README.md, and in runs/ a run folder
    for each model, cell type and seed. After an interrupt the same command goes on; more models,
    cell types or seeds may be added to it. With --panel each model is scored with the panel beside
    it as well, and so is the panel alone.
    """
    cross_values = {
        "source": source,
        "method": method,
        "gene_protocol": gene_protocol,
        "target_fraction": target_fraction,
        "validation_fraction": validation_fraction,
    }
    names = model_names(protocol, models)
    beside = panel_choice(panel, panel_leave_out, panel_relatives)
    check_usage(protocol, cross_values, tune, beside)
    split = split_rule(split, gene_protocol, target_fraction)

    from dataclasses import replace

    from chromemodel.benchmark.folder import Folder
    from chromemodel.benchmark.inputs import check_files, choose_source, read_inputs, restrict
    from chromemodel.benchmark.jobs import training_of
    from chromemodel.benchmark.panels import check_panel
    from chromemodel.benchmark.run import run_benchmark
    from chromemodel.benchmark.spec import BenchmarkSpec
    from chromemodel.cli._progress import Progress
    from chromemodel.train.device import pick_device

    said: dict[str, Any] = {
        name: value for name, value in cross_values.items() if value is not None
    }
    spec = BenchmarkSpec(
        protocol=protocol,
        models=names,
        cell_types=(),
        seeds=tuple(range(seeds)),
        split=split,
        marks=marks,
        window_bp=window_bp,
        normalise=normalise,
        transform=transform,
        max_epochs=max_epochs,
        overrides={name: value for name, value in overrides.items() if value is not None},
        tune=tune,
        device=str(pick_device(device)),
        **said,
    )
    with usage_errors():
        for name in names:
            training_of(spec, name, 0)

    found = read_inputs(inputs)
    if source is None:
        found = paper_cell_types(protocol, restrict(found, cell_types), named=bool(cell_types))
    else:
        chosen, everything = choose_source(source, found)
        wanted = (*cell_types, chosen) if cell_types else ()
        found = restrict(everything, wanted)
        spec = replace(spec, source=chosen)
        if len(found) < 2:
            raise click.UsageError(f"there is no cell type but the source, {chosen}")
    checked = check_files(
        found,
        marks=marks,
        window_bp=window_bp,
        split=split,
        source=spec.source,
        split_source=spec.new_genes,
    )
    spec = replace(spec, cell_types=tuple(checked))
    if beside is not None:
        spec = replace(spec, panel=check_panel(beside, checked, spec.source))

    workers = workers or processors()
    progress = Progress(workers)
    try:
        done = run_benchmark(spec, out, processes=workers, force=force, listener=progress)
    except (KeyboardInterrupt, SystemExit) as stop:
        progress.close()
        kept = f"{progress.done} of {progress.total} runs" if progress.total else "runs that"
        click.echo(
            f"interrupted; {kept} are finished and kept. The same command goes on from here.",
            err=True,
        )
        code = stop.code if isinstance(stop, SystemExit) else 130
        raise click.exceptions.Exit(code if isinstance(code, int) else 1) from None
    progress.close()
    _tell(done, Folder(out).path, as_json)


def _tell(done: Benchmarked, folder: Path, as_json: bool) -> None:
    from chromemodel.benchmark.jobs import RUNS
    from chromeprep.cli._shell import echo_json

    logs = {one.key: folder / RUNS / f"{one.key}.log" for one in done.failures}
    if as_json:
        echo_json(
            {
                "folder": str(folder),
                "protocol": done.spec.protocol,
                "kept": done.kept,
                "run": done.run - len(done.failures),
                "failed": [{**one._asdict(), "log": str(logs[one.key])} for one in done.failures],
                "written": [str(path) for path in done.written],
            }
        )
    else:
        click.echo((folder / "table.md").read_text(encoding="utf-8"), nl=False)
    click.echo(f"benchmark: {folder / 'README.md'}", err=True)
    if not done.failures:
        return
    noun = "run" if len(done.failures) == 1 else "runs"
    click.echo(f"chromemodel: error: {len(done.failures)} {noun} failed", err=True)
    for one in done.failures:
        click.echo(f"  {one.key}: {one.message}\n    log: {logs[one.key]}", err=True)
    click.echo("  the same command tries them again", err=True)
    raise click.exceptions.Exit(1)
