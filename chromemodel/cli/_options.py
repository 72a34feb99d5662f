"""Which options do the commands share, and how do they become configuration?

Nothing heavy at the top: ``chromemodel train --help`` must not wait for torch.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, get_args

import click

from chromemodel.adapt import METHODS
from chromemodel.config import (
    Memory,
    NormaliseRule,
    Optimizer,
    PanelChoice,
    Precision,
    TaskName,
    TrainConfig,
    Transform,
    check_panel,
)
from chromemodel.defaults import (
    BEST_METHOD,
    BEST_MODEL,
    PAPER_METHOD,
    PAPER_MODEL,
    Choice,
    Recipe,
    choose,
)
from chromemodel.models import MODELS
from chromemodel.registry import Registry
from chromemodel.serial import parse_options

F = TypeVar("F", bound=Callable[..., Any])

#: The training options; a recipe gives all but these.
NO_RECIPE = ("seed", "mark_dropout", "shift_bins", "thin", "precision", "memory")
TRAINING = tuple(
    name for name in TrainConfig.__dataclass_fields__ if name not in ("device", "threads")
)


def in_order(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Apply option decorators so that the help page lists them in this order."""
    return lambda function: functools.reduce(lambda f, one: one(f), reversed(options), function)


positive_int = click.IntRange(min=1)

mark_option = click.option(
    "--mark",
    "marks",
    multiple=True,
    metavar="NAME",
    help="A mark to use; repeat for more. Then a file may hold others as well.",
)


def _names(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...]:
    names = () if value is None else tuple(name.strip() for name in value.split(","))
    if "" in names:
        raise click.BadParameter("a name is empty; write them as H3K4me3,H3K27ac")
    return names


available_option = click.option(
    "--marks-available",
    "available",
    metavar="NAME,NAME",
    callback=_names,
    help="Use these marks only; for a RUN trained with --mark-dropout.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, no table.")
force_option = click.option("-f", "--force", is_flag=True, help="Replace what is at -o.")
resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on from an interrupted run with another --lr, --epochs or the like; the same command "
    "goes on without this.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|mps",
    help="Where to compute.",
)
compute_options = in_order(
    device_option,
    click.option("-p", "--threads", type=positive_int, help="Threads of the CPU."),
)
bootstrap_option = click.option(
    "--bootstrap",
    "replicates",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="N",
    help="Samples of the genes for intervals; 0: none.",
)


def folder_of(what: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """Return a callback for -o that refuses stdout; ``what`` is written: ``"a run"``."""

    def check(context: click.Context, parameter: click.Parameter, value: str) -> str:
        if value == "-":
            raise click.BadParameter(f"{what} is a folder and cannot go to stdout")
        return value

    return check


run_option = click.option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="RUN",
    callback=folder_of("a run"),
    help="Run folder to write.",
)
input_options = in_order(
    mark_option,
    click.option(
        "--window-bp",
        type=positive_int,
        metavar="BP",
        help="Use only so much on either side of the TSS: the middle of wider windows.",
    ),
    click.option(
        "--normalise",
        type=click.Choice(get_args(NormaliseRule)),
        default="file",
        show_default=True,
        help="z-score by each file's own statistics, or by those of the training genes (with "
        "quantile after a map onto their quantiles), or none.",
    ),
    click.option(
        "--transform",
        type=click.Choice(get_args(Transform)),
        default="none",
        show_default=True,
        help="Taken of every value before --normalise.",
    ),
)
task_option = click.option(
    "--task",
    type=click.Choice(get_args(TaskName)),
    default="classification",
    show_default=True,
    help="Learn whether a gene is high, or its log(1 + expression).",
)
_BEST_MODELS = f"{BEST_MODEL['classification']}, of regression {BEST_MODEL['regression']}"
model_options = in_order(
    click.option(
        "--recipe",
        type=click.Choice(get_args(Recipe)),
        help="What holds where nothing is said: what is best by the evidence of docs/accuracy.md "
        f"({_BEST_MODELS}, no adaptation, Adam for networks), or what the papers did "
        f"({PAPER_MODEL}, {PAPER_METHOD}, each model's own optimizer).  [default: best; paper "
        "beside a --method that adapts]",
    ),
    click.option(
        "--model",
        metavar="NAME",
        help="A model of `chromemodel models`, such as deepchrome or logistic.  "
        f"[default: {_BEST_MODELS}; with --recipe paper {PAPER_MODEL}]",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the model (see `chromemodel models NAME`); repeat for more.",
    ),
    input_options,
)
recipe_options = in_order(
    click.option(
        "--optimizer",
        type=click.Choice(get_args(Optimizer)),
        help="This and the next seven are for networks, and the recipe's where not given; "
        "those of a model's paper: `chromemodel models NAME`.",
    ),
    click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Learning rate."),
    click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), help="For sgd."),
    click.option("--weight-decay", type=click.FloatRange(min=0)),
    click.option("--batch-size", type=positive_int, help="Genes of a step."),
    click.option("--epochs", type=positive_int, help="At most so many."),
    click.option(
        "--patience",
        type=positive_int,
        help="Stop after so many epochs without a better validation AUROC (regression: R2).",
    ),
    click.option(
        "--clip-norm",
        type=click.FloatRange(min=0, min_open=True),
        help="Cut gradients to this length.",
    ),
)
precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    help="bfloat16: networks compute with fewer digits, where the CPU or GPU has that faster.  "
    f"[default: {TrainConfig.precision}]",
)
training_options = in_order(
    recipe_options,
    click.option(
        "--seed",
        type=int,
        default=TrainConfig.seed,
        show_default=True,
        help="For the split, the weights, the order and dropout.",
    ),
    click.option(
        "--mark-dropout",
        type=click.FloatRange(0, 1, max_open=True),
        metavar="P",
        help="Each gene loses each mark with this probability, never all: then the run can be "
        "asked with some of its marks.",
    ),
    click.option(
        "--shift-bins",
        type=click.IntRange(min=0),
        metavar="N",
        help="In training each gene is shifted by up to N bins either way, anew in every epoch.",
    ),
    click.option(
        "--thin",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="P",
        help="In training each gene keeps a share of its reads, drawn from P to 1 for each mark; "
        "for files that hold counts. Not for models that scikit-learn fits.",
    ),
    precision_option,
    click.option(
        "--memory",
        type=click.Choice(get_args(Memory)),
        help="How signal is kept: in codes of a byte or two that lose nothing, rounded to float16, "
        "in a temporary file beside RUN, or auto by what is free, never rounded.  [default: auto]",
    ),
)
baseline_option = click.option(
    "--baseline/--no-baseline",
    default=True,
    help="Fit a logistic (ridge) regression beside the model (default), or not.",
)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_named(marks: Sequence[str], available: Sequence[str]) -> None:
    """Refuse marks that are named by both options.

    Raises
    ------
    click.UsageError
        It names the options.
    """
    if marks and available:
        raise click.UsageError("--mark and --marks-available: the second names all that is used")


panel_options = in_order(
    click.option(
        "--panel",
        metavar="PANEL.h5",
        help="Predict with a panel of other cell types (`chromeprep panel`) beside the marks; the "
        "cell types of the files are left out of it.",
    ),
    click.option(
        "--panel-leave-out",
        multiple=True,
        metavar="NAME",
        help="Leave this cell type out of the panel as well; repeat for more.",
    ),
    click.option(
        "--panel-leave-out-like/--panel-keep-like",
        "panel_relatives",
        default=True,
        help="Leave out also what is nearly the same as these (default), or keep it.",
    ),
)


def panel_choice(
    panel: str | None, leave_out: Sequence[str], relatives: bool
) -> PanelChoice | None:
    """Return which panel was chosen, None without one.

    Raises
    ------
    click.UsageError
        Where something is to be left out of no panel.
    """
    if panel is None:
        if leave_out or not relatives:
            raise click.UsageError("--panel-leave-out and --panel-keep-like need a --panel")
        return None
    return PanelChoice(panel, tuple(leave_out), relatives)


def chosen(
    values: Mapping[str, Any],
    task: TaskName,
    recipe: Recipe | None,
    model: str | None,
    method: str | None = None,
) -> Choice:
    """Return what a command's parameters name, and the recipe's for the rest.

    Raises
    ------
    click.UsageError
        Where there is no such model, a value is wrong, or training is spoken of that the default
        model has not.
    """
    with usage_errors("--model"):
        choice = choose(task, recipe, model, method)
    said = {name: values[name] for name in TRAINING if values[name] is not None}
    of_networks = [option_name(name) for name in said if name not in ("seed", "shift_bins")]
    if of_networks and model is None and (way := _way_out(MODELS, choice.model)):
        raise click.UsageError(f"{', '.join(of_networks)}: only networks are trained so\n  {way}")
    with usage_errors():
        training = replace(
            choice.training, **said, device=values["device"], threads=values["threads"]
        )
    return choice._replace(training=training)


def _way_out(registry: Registry[Any], default: str) -> str:
    """Return what to do where a default lacks what is asked for; empty for the papers'."""
    if default == BEST_METHOD:
        lacks, usual = "does not adapt", PAPER_METHOD
    elif registry.entry(default).fitter != "torch":
        lacks, usual = "is no network", PAPER_MODEL
    else:
        return ""
    return (
        f"the default {registry.kind}, {default}, {lacks}; name one, such as --{registry.kind} "
        f"{usual}, or take the paper's: --recipe paper"
    )


def check_task(
    task: TaskName, model: str, panel: PanelChoice | None, method: str = "source_only"
) -> None:
    """Refuse what cannot do a task.

    Raises
    ------
    click.UsageError
        It names the option, and what can.
    """
    with usage_errors("--model"):
        MODELS.check_task(model, task)
    with usage_errors("--method"):
        METHODS.check_task(method, task)
    with usage_errors("--panel"):
        check_panel(task, panel)


def chosen_options(
    registry: Registry[Any], name: str, settings: Sequence[str], flag: str, *, named: bool
) -> dict[str, Any]:
    """Read ``KEY=VALUE`` settings by the options of a registered model or method.

    Where it was not `named`, an error says how to choose another.

    Raises
    ------
    click.UsageError
        Where the name, a key or a value is wrong.
    """
    with usage_errors(f"--{registry.kind}"):
        cls = registry.load(name)
    with usage_errors(flag, "" if named else _way_out(registry, name)):
        options = parse_options(cls.Config, settings)
    with usage_errors(flag):
        cls.Config(**options)
    return options


@contextmanager
def usage_errors(flag: str | None = None, hint: str = "") -> Iterator[None]:
    """Make a wrong value (ValueError) an error of the command line, which exits with 2.

    Without a flag, a message that begins with a parameter's name begins with its option's. It ends
    with the hint, if there is one.
    """
    try:
        yield
    except ValueError as error:
        text = str(error)
        name = text.split(" ", 1)[0]
        if flag:
            text = f"{flag}: {text}"
        elif name in click.get_current_context().params:
            text = option_name(name) + text[len(name) :]
        raise click.UsageError(f"{text}\n  {hint}" if hint else text) from error


def option_name(parameter: str) -> str:
    """Return the option of a parameter: ``"--domain-weight"`` of ``domain_weight``."""
    return f"--{parameter.replace('_', '-')}"
