"""How does a biologist read the numbers of a file? One HTML page that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from chromeprep._version import __version__
from chromeprep.qc import figures
from chromeprep.qc.checks import CHECKS, Finding
from chromeprep.qc.history import commands
from chromeprep.qc.summary import FAR_BP, NEAR_BP, Summary
from chromeprep.qc.text import READING, STYLE


class _Section(NamedTuple):
    anchor: str
    title: str
    body: str


def page(summary: Summary, found: Sequence[Finding]) -> str:
    """Return the whole page: the same file gives the same text.

    Parameters
    ----------
    summary
        The numbers.
    found
        What the checks found.

    Raises
    ------
    ChromeError
        Where matplotlib is missing.
    """
    sections = [
        _Section("profiles", "Mean profiles round the TSS", figures.profiles(summary).html()),
        _Section("heatmap", f"Genes by {summary.heatmap.by}", _heatmap(summary)),
        _Section("marks", "Marks in numbers", _marks(summary)),
        _Section("correlation", "Marks against each other", _correlation(summary)),
        _Section("bins", "Each bin against expression", _bin_correlation(summary)),
        _Section("expression", "Expression and labels", _expression(summary)),
        _Section("genes", "Where genes were lost", _losses(summary)),
        _Section("made", "How the file was made", _made(summary)),
    ]
    name = escape(summary.name)
    links = "".join(f'<a href="#{entry.anchor}">{entry.title}</a>' for entry in sections)
    parts = "".join(
        f'<section id="{entry.anchor}"><h2>{entry.title}</h2>'
        f'<p class="reading">{_reading(entry.anchor, summary)}</p>{entry.body}</section>\n'
        for entry in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Whatever a file's strings hold, the page can fetch and run nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: quality control</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{name}</h1>{_header(summary)}</header>\n"
        f"{_findings(found)}\n<nav>{links}</nav>\n<main>\n{parts}</main>\n"
        f"<footer>chromeprep qc {escape(__version__)}</footer>\n</body>\n</html>\n"
    )


def _reading(anchor: str, summary: Summary) -> str:
    return READING[anchor].format(
        reach=f"{summary.reach_bp:,}",
        near=f"{NEAR_BP:,}",
        far=f"{FAR_BP:,}",
        rows=len(summary.heatmap.level),
        by=summary.heatmap.by,
        percentile=f"{figures.HEATMAP_PERCENTILE:g}",
    )


def _header(summary: Summary) -> str:
    attributes, labels = summary.data.attributes, summary.labels
    bins, flank = attributes.n_bins, attributes.flank_bp
    chromosomes = len({chrom for chrom in summary.data.genes.chrom if chrom})
    rows = {
        "cell type": attributes.cell_type,
        "assembly": attributes.assembly,
        "genes × marks × bins": f"{summary.n_genes:,} × {len(summary.marks)} × {bins:,}",
        "windows": f"TSS ±{flank:,} bp, bins of {attributes.bin_size_bp:,} bp, "
        f"{attributes.orientation}; bases without a value: {attributes.uncovered}",
        "genes on": f"{chromosomes} chromosome{'s' * (chromosomes != 1)}"
        if chromosomes
        else "positions unknown",
        "outside": f"{summary.bins_outside:,} bins ({100 * _share_outside(summary):.2g} %) of "
        f"{_count(summary.genes_outside, 'gene')} lie beyond the end of the chromosome",
        "labels": f"{labels.high:,} high, {labels.low:,} low, {labels.unknown:,} unknown",
        "made by": "; ".join(
            ", ".join(filter(None, (command.program, command.date, command.versions)))
            for command in commands(summary.data.provenance)
        )
        or "unknown",
    }
    listed = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())
    return f"<dl>{listed}</dl>"


def _share_outside(summary: Summary) -> float:
    return summary.bins_outside / (summary.n_genes * summary.data.attributes.n_bins)


def _findings(found: Sequence[Finding]) -> str:
    warnings = sum(entry.level == "warning" for entry in found)
    notes = len(found) - warnings
    title = f"{_count(warnings, 'warning')}, {_count(notes, 'note')}" if found else "No warnings"
    items = "".join(
        f'<li class="{entry.level}"><b>{entry.level}</b> {escape(entry.message)} '
        f"<code>{entry.code}</code></li>"
        for entry in found
    )
    fired = {entry.code for entry in found}
    rules = _table(
        ("check", "fires where", "here"),
        [
            (check.code, check.rule, "fired" if check.code in fired else "silent")
            for check in CHECKS
        ],
    )
    kind = "bad" if warnings else "good"
    return (
        f'<section id="warnings" class="box {kind}"><h2>{title}</h2>'
        f"{f'<ul>{items}</ul>' if items else ''}"
        f"<details><summary>What was checked</summary>{rules}</details></section>"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _heatmap(summary: Summary) -> str:
    left_out = summary.n_genes - summary.heatmap.n_genes
    said = f"<p>{left_out:,} genes without a value are left out.</p>" if left_out else ""
    return figures.heatmap(summary).html() + said


def _marks(summary: Summary) -> str:
    header = (
        "mark", "units", "mapped", "mean", "std", "p99", "empty bins", "empty genes", "NaN",
        "TSS enrichment", "AUC", "ρ expression",
    )  # fmt: skip
    rows = []
    for index, (mark, entry) in enumerate(zip(summary.mark_names, summary.marks, strict=True)):
        mapped = int(summary.data.marks.n_mapped[index])
        statistics = entry.statistics
        rows.append((
            mark, str(summary.data.marks.units[index]),
            f"{mapped:,}" if mapped >= 0 else "–",
            _number(statistics.mean), _number(statistics.std), _number(statistics.p99),
            _percent(1 - statistics.fraction_nonzero), _percent(entry.empty_genes),
            _percent(entry.nan_share), _number(entry.tss_enrichment, ".2f"),
            _number(entry.auc, ".3f"), _number(entry.expression_correlation, "+.3f"),
        ))  # fmt: skip
    rules: dict[str, list[str]] = {}
    for mark, rule in zip(summary.mark_names, map(str, summary.data.marks.count_rule), strict=True):
        rules.setdefault(rule, []).append(mark)
    return _table(header, rows, numbers_from=2) + _table(
        ("value of a bin", "marks"), [(rule, ", ".join(named)) for rule, named in rules.items()]
    )


def _correlation(summary: Summary) -> str:
    return figures.mark_correlation(summary).html()


def _bin_correlation(summary: Summary) -> str:
    if summary.heatmap.by != "expression":
        return '<p class="none">The file holds no expression.</p>'
    return figures.bin_correlation(summary).html()


def _expression(summary: Summary) -> str:
    attributes, labels = summary.data.attributes, summary.labels
    known = labels.high + labels.low
    share = _percent(labels.high / known) if known else "–"
    facts = _table(
        ("source", "rule", "threshold", "high", "low", "unknown", "share of high"),
        [(attributes.expression_source or "–", attributes.label_rule,
          _number(attributes.label_threshold), f"{labels.high:,}", f"{labels.low:,}",
          f"{labels.unknown:,}", share)],
        numbers_from=2,
    )  # fmt: skip
    if summary.heatmap.by != "expression":
        return f'<p class="none">The file holds no expression.</p>{facts}'
    return figures.expression(summary).html() + facts


def _losses(summary: Summary) -> str:
    if not summary.steps:
        return '<p class="none">The file does not say how its genes were chosen.</p>'
    rows = [
        (step.what, f"{step.n_genes:,}", f"{step.lost:,}" if step.lost else "")
        for step in summary.steps
    ]
    table = _table(("step", "genes", "left out"), rows, numbers_from=1)
    return figures.losses(summary).html() + table


def _made(summary: Summary) -> str:
    parts = []
    for command in commands(summary.data.provenance):
        parts.append(f"<p>{escape(command.date)} <code>{escape(command.line)}</code></p>")
        if command.versions:
            parts.append(f"<p>{escape(command.versions)}</p>")
        if command.inputs:
            parts.append(_table(("input", "file", "fingerprint"), command.inputs, code=True))
    if not parts:
        parts = ['<p class="none">The file does not say.</p>']
    marks = summary.data.marks
    sources = zip(summary.mark_names, map(str, marks.source), map(str, marks.fingerprint),
                  strict=True)  # fmt: skip
    parts.append(_table(("mark", "source", "fingerprint"), sources, code=True))
    return "".join(parts)


def _table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers_from: int | None = None,
    code: bool = False,
) -> str:
    """Make a table of escaped cells; columns from `numbers_from` on are aligned as numbers."""

    def cell(tag: str, column: int, text: str) -> str:
        number = numbers_from is not None and column >= numbers_from
        kind = ' class="number"' if number else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    body = "".join(
        f"<tr>{''.join(cell('td', column, text) for column, text in enumerate(row))}</tr>"
        for row in rows
    )
    titles = "".join(cell("th", column, text) for column, text in enumerate(header))
    kind = ' class="code"' * code
    return (
        f'<div class="wide"><table{kind}><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _number(value: float, how: str = ".4g") -> str:
    return format(value, how).replace("-", "−") if math.isfinite(value) else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"
