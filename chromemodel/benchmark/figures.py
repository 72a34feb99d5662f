"""Which model is best on which cell type, as a picture?

Dots throughout: a bar of AUROC would have to start at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from chromemodel.benchmark.cells import number
from chromemodel.benchmark.rows import ALL, COMMON, CROSS, LOOKUP, ORIGIN, OWN, PANEL_MEAN, UNCROSS
from chromemodel.benchmark.series import Series, find, targets
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import OfCellType, Summary, by_cell_type
from chromemodel.fusion.steps import fused_name
from chromemodel.style import COLOURS, DARK, FAINT, GREY, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More models than this are not told apart as lines: each has a row of dots of its own then.
MOST_LINES = 6
#: Up to so many cell types stand apart, with seeds' standard deviations; more become lines.
MOST_APART = 12
_METHODS = (ORIGIN, UNCROSS, CROSS)


class _Look(NamedTuple):
    label: str
    colour: str
    marker: str


def draw(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> Figure:
    """Draw the AUROC on all test genes of all series that have runs; there must be one."""
    measured = [one for one in summaries if one.series.runs and one.series.subset == ALL]
    if spec.protocol == "cross":
        return _cross(spec, measured)
    marks = [one for one in measured if not one.series.with_panel]
    models = [one for one in marks if one.series.method != LOOKUP]
    if len(models) > MOST_LINES or not models or len(targets(spec)) == 1:
        return _rows(spec, measured)
    return _side_by_side(spec, measured)


def ordered(spec: BenchmarkSpec, everything: Sequence[Series]) -> list[str]:
    """Return the cell types that were tested: by the first model's AUROC, highest first.

    Those of `positions` and `architecture` keep the order of the spec, as do cell types that the
    first model lacks, after the others.
    """
    there = {name for series in everything for name in series.cell_types()}
    names = [name for name in targets(spec) if name in there]
    if spec.protocol in ("positions", "architecture") or not names:
        return names
    first = {
        cell.cell_type: cell.auroc
        for series in reversed(everything)
        if series.model == spec.models[0] and series.method in (ORIGIN, "within")
        for cell in by_cell_type(series)
    }
    return sorted(names, key=lambda name: -first.get(name, -math.inf))


def _side_by_side(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> Figure:
    """Cell types on x, models beside each other."""
    from matplotlib.figure import Figure

    everything = [one.series for one in summaries]
    shown = [one for one in summaries if not one.series.with_panel]
    names = ordered(spec, everything)
    apart = len(names) <= MOST_APART
    inches = len(names) * (max(0.55, 0.16 * len(shown)) if apart else 0.17)
    figure = Figure(figsize=(min(max(inches + 1.2, 5.2), 12.0), 4.0), layout="constrained")
    axes = figure.subplots()
    looks = [
        _Look(f"{_name(one.series)} ({number(one.mean, 3)})", *_colour(index))
        if one.series.method != LOOKUP
        else _lookup_look(one.series)._replace(label=f"{_name(one.series)} ({number(one.mean, 3)})")
        for index, one in enumerate(shown)
    ]
    hollow = [_with_panel(everything, one.series) for one in shown]
    _columns(axes, names, [by_cell_type(one.series) for one in shown], looks, hollow)
    axes.set_ylabel("AUROC on test genes")
    _legend(figure, axes, f"model (mean over cell types){_told(spec, apart)}")
    return figure


def _cross(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> Figure:
    """Targets on x, origin, uncross and cross beside each other, a panel a model."""
    from matplotlib.figure import Figure

    everything = [one.series for one in summaries]
    # On the same genes where all methods have them; else the sets differ with the method.
    models = [
        model
        for model in spec.models
        if any(series.model == model and series.method != LOOKUP for series in everything)
    ]
    have = {series[:2] for series in everything if series.test_set == OWN}
    common = {series[:2] for series in everything if series.test_set == COMMON}
    test_set = COMMON if have <= common else OWN
    shown = [one for one in summaries if one.series.test_set == test_set]
    names = ordered(spec, [one.series for one in shown])
    lookups = [one for one in shown if one.series.method == LOOKUP]
    apart = len(names) <= MOST_APART
    across = 1 if len(names) > 24 or len(models) <= 1 else 2 if len(names) > 5 else 3
    across = max(1, min(across, len(models)))
    down = max(1, math.ceil(len(models) / across))
    width = min(max(len(names) * (0.5 if apart else 0.17) * across + 1.2, 3.6 * across, 5.2), 12.0)
    figure = Figure(figsize=(width, 2.6 * down + 1.0), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
    for spare in panels[max(1, len(models)) :]:
        spare.remove()
    for axes, model in zip(panels, models or [""], strict=False):
        columns = []
        hollow = []
        looks = []
        drops = []
        for index, method in enumerate(_METHODS):
            if not any(one.series.method == method for one in shown):
                continue
            series = find(everything, model, method, test_set)
            columns.append([] if series is None else by_cell_type(series))
            hollow.append([] if series is None else _with_panel(everything, series))
            looks.append(_Look(method, *_colour(index)))
            drops += [
                f"{method} {number(one.drop, 1)}"
                for one in shown
                if one.series is series and math.isfinite(one.drop)
            ]
        columns += [by_cell_type(one.series) for one in lookups]
        hollow += [[] for _ in lookups]
        looks += [_lookup_look(one.series) for one in lookups]
        _columns(axes, names, columns, looks, hollow)
        axes.set_title(_short(model), pad=15 if drops else 6)
        if drops:
            axes.annotate(
                f"below origin: {', '.join(drops)}", (0, 1), (0, 4), xycoords="axes fraction",
                textcoords="offset points", fontsize=8, color=GREY,
            )  # fmt: skip
    for axes in panels[0 : len(models) : across]:
        axes.set_ylabel("AUROC on test genes")
    same = test_set == COMMON or spec.new_genes
    genes = "the same test genes for all" if same else "each protocol's test genes"
    source = "" if spec.source is None else f"source {_short(spec.source)}; "
    _legend(figure, panels[0], f"{source}{genes}; points below origin{_told(spec, apart)}")
    return figure


def _rows(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> Figure:
    """Models on y, highest mean on top; a dot a cell type, or a seed where there is one."""
    from matplotlib.figure import Figure

    shown = sorted(summaries, key=lambda one: one.mean)
    names = ordered(spec, [one.series for one in summaries])
    figure = Figure(figsize=(6.8, 0.27 * len(shown) + 1.3), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.hlines(
        range(len(shown)),
        0,
        1,
        transform=axes.get_yaxis_transform(),
        color=FAINT,
        lw=0.6,
        zorder=0.5,
    )
    few = 1 < len(names) <= len(COLOURS) - 1
    for row, one in enumerate(shown):
        if len(names) == 1:
            points = [run.auroc for run in one.series.runs.values()]
            axes.scatter(points, [row] * len(points), s=18, color=COLOURS[0], lw=0, alpha=0.7)
        else:
            cells = by_cell_type(one.series)
            for cell in cells:
                colour, marker = _colour(names.index(cell.cell_type)) if few else (COLOURS[0], "o")
                label = _short(cell.cell_type) if few and one is shown[-1] else None
                axes.scatter(
                    cell.auroc, row, s=18 if few else 14, color=colour, marker=marker, lw=0,
                    alpha=0.85 if few else 0.4, label=label,
                )  # fmt: skip
        axes.plot([one.mean] * 2, [row - 0.34, row + 0.34], color=DARK, lw=1.6, zorder=3)
        axes.annotate(
            number(one.mean, 3), (1.01, row), xycoords=("axes fraction", "data"), va="center",
            fontsize=8, annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(
        range(len(shown)),
        [_name(one.series) for one in shown],
    )
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("AUROC on test genes")
    seeds = "a dot is a seed" if len(names) == 1 else "a dot is a cell type (mean over seeds)"
    only = f"{_short(names[0])}; " if len(names) == 1 else ""
    _legend(figure, axes, f"{only}{seeds}; the bar and the number are the mean")
    return figure


def _columns(
    axes: Axes,
    names: Sequence[str],
    columns: Sequence[Sequence[OfCellType]],
    looks: Sequence[_Look],
    hollow: Sequence[Sequence[OfCellType]],
) -> None:
    """Draw series over cell types; apart where they are few, else as lines.

    Where they are apart, hollow marks of the same series with a panel stand at the same places.
    """
    apart = len(names) <= MOST_APART
    place = {name: index for index, name in enumerate(names)}
    step = min(0.16, 0.68 / max(1, len(columns) - 1))
    for index, (cells, over, look) in enumerate(zip(columns, hollow, looks, strict=True)):
        listed = sorted(cells, key=lambda cell: place[cell.cell_type])
        shift = (index - (len(columns) - 1) / 2) * step if apart and len(columns) > 1 else 0.0
        x = [place[cell.cell_type] + shift for cell in listed]
        axes.errorbar(
            x,
            [cell.auroc for cell in listed],
            yerr=[cell.auroc_sd for cell in listed] if apart else None,
            fmt=look.marker, color=look.colour, label=look.label,
            markersize=5 if apart else 3.5, markeredgewidth=1.2 if look.marker in "_x+1" else 0,
            linestyle="none" if apart else "-", linewidth=0.7, elinewidth=1.0,
        )  # fmt: skip
        axes.plot(
            [place[cell.cell_type] + shift for cell in (over if apart else ())],
            [cell.auroc for cell in (over if apart else ())],
            look.marker, color=look.colour, markerfacecolor="none", markersize=5, linestyle="none",
        )  # fmt: skip
    for edge in range(1, len(names)) if apart else ():
        axes.axvline(edge - 0.5, color=FAINT, lw=0.8, zorder=0)
    long = max(map(len, names), default=0) > 6 or not apart
    axes.set_xticks(
        range(len(names)), [_short(name) for name in names], rotation=90 if long else 0,
        fontsize=8 if apart else 7,
    )  # fmt: skip
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.margins(y=0.08)


def _legend(figure: Figure, axes: Axes, title: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        figure.suptitle(title, x=0.01, ha="left", fontsize=8.5)
        return
    # A letter is some 0.075 inches wide; all in one row where they fit.
    inches = [0.075 * len(label) + 0.45 for label in labels]
    width = figure.get_figwidth()
    columns = len(labels) if sum(inches) < width else max(1, int(width / max(inches)))
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, title=title,
        title_fontsize=8.5, alignment="left", columnspacing=1.4, handletextpad=0.4,
    )  # fmt: skip


def _told(spec: BenchmarkSpec, apart: bool) -> str:
    """Say what the bars and the hollow marks are."""
    bars = "; bars: sd over seeds" if apart and len(spec.seeds) > 1 else ""
    return bars + ("; hollow: with the panel" if apart and spec.panel is not None else "")


def _with_panel(everything: Sequence[Series], series: Series) -> list[OfCellType]:
    found = find(everything, fused_name(series.model), series.method, series.test_set)
    return [] if found is None else by_cell_type(found)


def _lookup_look(series: Series) -> _Look:
    return _Look(_name(series), GREY, "_" if series.model == PANEL_MEAN else "x")


def _name(series: Series) -> str:
    return ("lookup: " if series.method == LOOKUP else "") + _short(series.model)


def _colour(index: int) -> tuple[str, str]:
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _short(text: str, most: int = 34) -> str:
    """Return a name that can be drawn: printable, and not longer than there is room."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
