"""``chromemodel benchmark``: which model is best, on which cell types?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from chromemodel.adapt import METHODS
from chromemodel.benchmark.spec import DEFAULT_MODELS, NINE, PROTOCOLS, Protocol
from chromemodel.cli._options import (
    device_option,
    folder_of,
    in_order,
    input_options,
    json_option,
    option_name,
    positive_int,
    processors,
    recipe_options,
    usage_errors,
)
from chromemodel.config import FileSplitRule, GeneProtocol, Split, TrainConfig
from chromemodel.models import MODELS

if TYPE_CHECKING:
    from chromemodel.benchmark.run import Benchmarked
    from chromemodel.benchmark.spec import CellType

F = TypeVar("F", bound=Callable[..., Any])

ALL = "all"
_SPLIT = Split()


def all_models() -> list[str]:
    """Return the registered models, those that are another by a second name left out."""
    seen: dict[tuple[object, TrainConfig], str] = {}
    for entry in MODELS:
        if "classification" not in entry.tasks:
            continue
        seen.setdefault((entry.target, entry.recipe), entry.name)
    return list(seen.values())


_what_options = in_order(
    click.option(
        "-o",
        "--output",
        "out",
        required=True,
        metavar="DIR",
        callback=folder_of("a benchmark"),
        help="Folder to write; where it holds this benchmark, it goes on there.",
    ),
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME",
        help="A model of `chromemodel models`, or all; repeat for more. By default those of the "
        "paper's figure.",
    ),
    click.option(
        "--seeds",
        type=positive_int,
        default=3,
        show_default=True,
        metavar="N",
        help="Train each so often, with seeds 0 to N - 1.",
    ),
    click.option(
        "--cell-type",
        "cell_types",
        multiple=True,
        metavar="NAME",
        help="Take only this cell type of those given; repeat for more.",
    ),
    click.option(
        "--split",
        type=click.Choice(get_args(FileSplitRule)),
        help="How the genes of a cell type are cut into training, validation and test; as for "
        "`chromemodel train`.  [default: thirds; with --protocol new-genes chromosome]",
    ),
)
_cross_options = in_order(
    click.option(
        "--source",
        metavar="NAME|FILE",
        help="cross: the cell type to learn from, by name or file. The paper's is E085.",
    ),
    click.option(
        "--method",
        metavar="NAME",
        help=f"cross: how to adapt, one of {', '.join(METHODS.names())}.  [default: dann]",
    ),
    click.option(
        "--protocol",
        "gene_protocol",
        type=click.Choice(get_args(GeneProtocol)),
        help="cross: as for `chromemodel adapt`; with new-genes all is tested on the same "
        "chromosomes, held out of source and target.  [default: same-genes]",
    ),
    click.option(
        "--target-fraction",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="cross: share of the target's genes that adapt, without labels; the others test.  "
        f"[default: {_SPLIT.target_fraction}]",
    ),
    click.option(
        "--validation-fraction",
        type=click.FloatRange(0, 1, max_open=True),
        help="cross: share of the source's genes that choose the epoch.  "
        f"[default: {_SPLIT.validation_fraction}]",
    ),
)
_run_options = in_order(
    click.option(
        "--max-epochs",
        type=positive_int,
        metavar="N",
        help="Cut each model's epochs to N: for a first look.",
    ),
    click.option(
        "--tune",
        is_flag=True,
        help="Choose learning rate and batch size (for cross, the method's weight too) run by run, "
        "by the validation genes: six to nine times as long.",
    ),
    device_option,
    click.option(
        "-p",
        "--processes",
        "workers",
        type=positive_int,
        metavar="N",
        help="Runs at the same time, each in one thread.  [default: number of processors]",
    ),
    click.option(
        "-f",
        "--force",
        is_flag=True,
        help="Begin anew: remove the benchmark's runs at -o.",
    ),
)


@click.command("benchmark")
@click.argument("protocol", metavar="EXPERIMENT", type=click.Choice(PROTOCOLS))
@click.argument("inputs", metavar="FILES_OR_SHEET...", nargs=-1, required=True)
@_what_options
@_cross_options
@input_options
@recipe_options
@_run_options
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
    cell types or seeds may be added to it.
    """
    cross_values = {
        "source": source,
        "method": method,
        "gene_protocol": gene_protocol,
        "target_fraction": target_fraction,
        "validation_fraction": validation_fraction,
    }
    names = _model_names(protocol, models)
    _check_usage(protocol, cross_values, tune)
    split = _split(split, gene_protocol, target_fraction)

    from dataclasses import replace

    from chromemodel.benchmark.folder import Folder
    from chromemodel.benchmark.inputs import check_files, choose_source, read_inputs, restrict
    from chromemodel.benchmark.jobs import training_of
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
        found = _paper_cell_types(protocol, restrict(found, cell_types), named=bool(cell_types))
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


def _model_names(protocol: Protocol, models: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for name in models or DEFAULT_MODELS[protocol]:
        if name != ALL:
            with usage_errors("--model"):
                MODELS.check_task(name, "classification")
        names += all_models() if name == ALL else [name]
    return tuple(dict.fromkeys(names))


def _check_usage(protocol: Protocol, cross_values: dict[str, Any], tune: bool) -> None:
    if protocol != "cross":
        for name, value in cross_values.items():
            if value is not None:
                name = "protocol" if name == "gene_protocol" else name
                raise click.UsageError(f"{option_name(name)} is for cross, not for {protocol}")
        return
    if tune and cross_values["validation_fraction"] == 0:
        raise click.UsageError("--tune needs validation genes: --validation-fraction above 0")
    if cross_values["source"] is None:
        raise click.UsageError("cross needs --source, the cell type to learn from")
    if cross_values["method"] is not None:
        with usage_errors("--method"):
            METHODS.entry(cross_values["method"])


def _split(
    split: FileSplitRule | None, protocol: GeneProtocol | None, target_fraction: float | None
) -> FileSplitRule:
    """Return the split of a target for itself; options that contradict a protocol are refused."""
    if protocol != "new-genes":
        return split or "thirds"
    if split not in (None, "chromosome"):
        raise click.UsageError(f"--protocol new-genes holds out chromosomes, not --split {split}")
    if target_fraction is not None:
        raise click.UsageError(
            "--target-fraction is for --protocol same-genes; with new-genes all target genes adapt "
            "but those of the test chromosomes"
        )
    return "chromosome"


def _paper_cell_types(protocol: Protocol, found: list[CellType], *, named: bool) -> list[CellType]:
    """Return the paper's nine cell types where a protocol is of these and some are there."""
    if named or protocol not in ("positions", "architecture"):
        return found
    there = [one for one in found if one.name in NINE]
    if there and len(there) < len(found):
        click.echo(
            f"notice: {len(there)} of the paper's nine cell types are there and run "
            f"({', '.join(one.name for one in there)}); name others with --cell-type",
            err=True,
        )
    elif not there:
        click.echo(
            "notice: none of the paper's nine cell types is there; all given ones run",
            err=True,
        )
    return there or found


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
