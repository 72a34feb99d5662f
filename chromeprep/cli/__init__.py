"""The command line of chromeprep: one file a command, imported when it is called."""

from __future__ import annotations

from typing import NoReturn

import click

from chromeprep._version import __version__
from chromeprep.cli._shell import LazyGroup, end_with, run

_COMMANDS = {
    "bin": ("chromeprep.cli.bin:bin_", "Bin tracks round the TSS of genes into an HDF5 file."),
    "import": (
        "chromeprep.cli.import_:import_",
        "Turn a published data set (DeepChrome, DeepDiff) into a file.",
    ),
    "quantify": (
        "chromeprep.cli.quantify:quantify",
        "Count RNA-seq reads in genes: a table for --expression.",
    ),
    "label": ("chromeprep.cli.label:label", "Add labels from an expression table to a file."),
    "panel": (
        "chromeprep.cli.panel:panel",
        "Gather what other cell types say about each gene.",
    ),
    "info": ("chromeprep.cli.info:info", "Show what is in a file."),
    "validate": ("chromeprep.cli.validate:validate", "Check a file against the specification."),
    "export": ("chromeprep.cli.export:export", "Write a file as AnnData, NumPy, CSV or bedGraph."),
    "qc": ("chromeprep.cli.qc:qc", "Draw a page of quality control, for readers and MultiQC."),
    "simulate": ("chromeprep.cli.simulate:simulate", "Write a small world to try things on."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
@click.version_option(__version__, "-V", "--version", prog_name="chromeprep")
def cli() -> None:
    """Turn ChIP-seq of histone marks into signal in bins round the TSS of genes."""


def main() -> NoReturn:
    """Run the command line and exit."""
    run(cli, "chromeprep")


def program() -> NoReturn:
    """Be the console script."""
    end_with(main)
