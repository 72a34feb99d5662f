"""Which options has ``chromemodel benchmark``, and which of them contradict each other?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import click

from chromemodel.adapt import METHODS
from chromemodel.benchmark.spec import DEFAULT_MODELS, NINE, Protocol
from chromemodel.cli._options import (
    device_option,
    folder_of,
    in_order,
    option_name,
    positive_int,
    usage_errors,
)
from chromemodel.config import FileSplitRule, GeneProtocol, PanelChoice, Split, TrainConfig
from chromemodel.models import MODELS

if TYPE_CHECKING:
    from chromemodel.benchmark.spec import CellType

ALL = "all"
_SPLIT = Split()

what_options = in_order(
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
cross_options = in_order(
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
run_options = in_order(
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


def all_models() -> list[str]:
    """Return the registered models, those that are another by a second name left out."""
    seen: dict[tuple[object, TrainConfig], str] = {}
    for entry in MODELS:
        if "classification" not in entry.tasks:
            continue
        seen.setdefault((entry.target, entry.recipe), entry.name)
    return list(seen.values())


def model_names(protocol: Protocol, models: Sequence[str]) -> tuple[str, ...]:
    """Return the models that were named, or else those of the experiment.

    Raises
    ------
    click.UsageError
        Where there is no such model, or it cannot classify.
    """
    names: list[str] = []
    for name in models or DEFAULT_MODELS[protocol]:
        if name != ALL:
            with usage_errors("--model"):
                MODELS.check_task(name, "classification")
        names += all_models() if name == ALL else [name]
    return tuple(dict.fromkeys(names))


def check_usage(
    protocol: Protocol, cross_values: dict[str, Any], tune: bool, panel: PanelChoice | None
) -> None:
    """Refuse options that contradict each other.

    Raises
    ------
    click.UsageError
        It names the option.
    """
    if protocol != "cross":
        for name, value in cross_values.items():
            if value is not None:
                name = "protocol" if name == "gene_protocol" else name
                raise click.UsageError(f"{option_name(name)} is for cross, not for {protocol}")
        return
    if tune and cross_values["validation_fraction"] == 0:
        raise click.UsageError("--tune needs validation genes: --validation-fraction above 0")
    if panel is not None and cross_values["validation_fraction"] == 0:
        raise click.UsageError(
            "--panel needs validation genes, to weigh it: --validation-fraction above 0"
        )
    if cross_values["source"] is None:
        raise click.UsageError("cross needs --source, the cell type to learn from")
    if cross_values["method"] is not None:
        with usage_errors("--method"):
            METHODS.entry(cross_values["method"])


def split_rule(
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


def paper_cell_types(protocol: Protocol, found: list[CellType], *, named: bool) -> list[CellType]:
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
