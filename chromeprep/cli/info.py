"""`chromeprep info`: what is in a file of bins, or a panel."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chromeprep.cli._options import INPUT_FILE, json_option
from chromeprep.cli._shell import echo_json

if TYPE_CHECKING:
    from chromeprep.format import Description


@click.command()
@click.argument("file", type=INPUT_FILE)
@json_option
def info(file: Path, as_json: bool) -> None:
    """Show what is in a file: cell type, genes, labels, marks and how it was made.

    Of a panel: its cell types, which of them are nearly the same, and how many genes vary.
    """
    from chromeprep.format import read_description
    from chromeprep.format.opening import is_panel

    if is_panel(file):
        _show_panel(file, as_json)
        return
    summary = _summary(read_description(file))
    if as_json:
        echo_json(summary)
    else:
        click.echo(_table(file, summary))


def _show_panel(file: Path, as_json: bool) -> None:
    from chromeprep.cli._panel import panel_lines, panel_summary
    from chromeprep.format import read_panel

    panel = read_panel(file)
    summary = panel_summary(panel) | {"provenance": [_loads(line) for line in panel.provenance]}
    if as_json:
        echo_json(summary)
        return
    for line in (file, *panel_lines(summary)):
        click.echo(line)
    for line in _commands(summary):
        click.echo(f"  made by      {line}")


def _summary(data: Description) -> dict[str, object]:
    from dataclasses import asdict

    labels = data.genes.label
    attributes = asdict(data.attributes)
    return {
        "attributes": {key: _finite(value) for key, value in attributes.items()},
        "genes": len(data.genes),
        "labels": {
            "high": int((labels == 1).sum()),
            "low": int((labels == 0).sum()),
            "unknown": int((labels < 0).sum()),
        },
        "genes_without_position": int((data.genes.chrom == "").sum()),
        "chromosomes": dict(data.chromosomes),
        "genes_with_bins_outside": int((data.genes.bins_outside > 0).sum()),
        "gene_digest": data.genes.digest(),
        "marks": [
            {
                name: _finite(getattr(data.marks, name)[row])
                for name in (
                    "mark", "units", "count_rule", "n_mapped", "mean", "std", "p50", "p99",
                    "fraction_nonzero", "source", "fingerprint",
                )
            }
            | {name: _finite(column[row]) for name, column in data.marks.extra.items()}
            for row in range(len(data.marks))
        ],
        "provenance": [_loads(line) for line in data.provenance],
    }  # fmt: skip


def _loads(line: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return line  # `validate` complains; here it is shown as it is


def _commands(summary: dict[str, object]) -> list[str]:
    """Return the command lines that made the file, without the folder of the program."""
    provenance = summary["provenance"]
    assert isinstance(provenance, list)
    lines = []
    for entry in provenance:
        program, *arguments = entry.get("argv") or ["a library call"]
        lines.append(shlex.join([Path(program).name, *arguments]) if arguments else program)
    return lines


def _finite(value: object) -> object:
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _genes(summary: dict[str, object]) -> str:
    chromosomes, without = summary["chromosomes"], summary["genes_without_position"]
    assert isinstance(chromosomes, dict)
    text = f"{summary['genes']:,}"
    if chromosomes:
        text += f" on {len(chromosomes)} chromosome{'s' * (len(chromosomes) != 1)}"
    if without == summary["genes"]:
        return f"{text}, positions unknown"
    return f"{text}, positions of {without:,} unknown" if without else text


def _table(file: Path, summary: dict[str, object]) -> str:
    attributes, labels = summary["attributes"], summary["labels"]
    assert isinstance(attributes, dict)
    assert isinstance(labels, dict)
    marks = summary["marks"]
    assert isinstance(marks, list)
    known = labels["high"] + labels["low"]
    label = f"{labels['high']:,} high, {labels['low']:,} low, {labels['unknown']:,} unknown"
    if known:
        threshold = attributes["label_threshold"]
        rule = attributes["label_rule"] + ("" if threshold is None else f", {threshold:.4g}")
        label += f" ({100 * labels['high'] / known:.1f}% high; {rule})"
    wide = max(7, *(len(mark["units"]) for mark in marks)) if marks else 7
    lines = [
        str(file),
        f"  cell type    {attributes['cell_type']}",
        f"  assembly     {attributes['assembly']}",
        f"  genes        {_genes(summary)}",
        f"  labels       {label}",
        f"  bins         {attributes['n_bins']} of {attributes['bin_size_bp']} bp, "
        f"TSS ±{attributes['flank_bp']:,} bp, {attributes['orientation']}",
        f"  neighbours   {attributes['neighbour_distance_bp']:,} bp filter",
        f"  uncovered    {attributes['uncovered']}",
        *(
            [f"  blacklist    {attributes['blacklist']}, {attributes['blacklist_action']}"]
            if attributes["blacklist"]
            else []
        ),
        f"  expression   {attributes['expression_source'] or '-'}",
        *(f"  made by      {line}" for line in _commands(summary)),
        "",
        f"  {'mark':<12} {'units':<{wide}} {'mean':>9} {'std':>9} {'median':>9} {'p99':>9} "
        f"{'nonzero':>8}  source",
    ]
    for mark in marks:
        numbers = " ".join(
            f"{'-' if mark[name] is None else format(mark[name], '.4g'):>9}"
            for name in ("mean", "std", "p50", "p99")
        )
        nonzero = mark["fraction_nonzero"]
        share = "-" if nonzero is None else f"{100 * nonzero:.1f}%"
        lines.append(
            f"  {mark['mark']:<12} {mark['units']:<{wide}} {numbers} {share:>8}  {mark['source']}"
            + (f" (control {mark['control']})" if mark.get("control") else "")
        )
    return "\n".join(lines)
