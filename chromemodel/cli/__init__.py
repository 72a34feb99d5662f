"""The command line ``chromemodel``: a group of commands, each in the file of its name."""

from __future__ import annotations

import os
from typing import NoReturn

import click

from chromeprep._version import __version__
from chromeprep.cli._shell import LazyGroup, end_with, run

_COMMANDS = {
    "train": ("chromemodel.cli.train:command", "Train a model on the labelled genes of a file."),
    "evaluate": ("chromemodel.cli.evaluate:command", "Score a run on genes it has not seen."),
    "compare": ("chromemodel.cli.compare:command", "Say whether one run is better than another."),
    "adapt": (
        "chromemodel.cli.adapt:command",
        "Adapt a model to a cell type without expression data.",
    ),
    "benchmark": (
        "chromemodel.cli.benchmark:command",
        "Compare models on many cell types.",
    ),
    "select": (
        "chromemodel.cli.select:command",
        "Choose among adapted runs without labels of the target.",
    ),
    "predict": ("chromemodel.cli.predict:command", "Say which genes of a file are on."),
    "models": ("chromemodel.cli.models:command", "List the models and methods, and their options."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
@click.version_option(__version__, "-V", "--version", prog_name="chromemodel")
def group() -> None:
    """Predict from histone marks round the TSS which genes are on.

    The files come from `chromeprep bin`. A run is a folder of weights, configuration, history,
    metrics and predictions.
    """


def main() -> NoReturn:
    """Run the command line."""
    # Before torch is loaded: threads that wait by spinning starve each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    run(group, "chromemodel")


def program() -> NoReturn:
    """Be the console script."""
    end_with(main)
