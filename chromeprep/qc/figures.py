"""What do the numbers of a file look like? One function a figure, each giving a `Picture`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chromeprep.qc.arithmetic import Floats, mean_known
from chromeprep.qc.style import (
    ALL,
    COLUMNS,
    DIVERGING,
    HIGH,
    LOW,
    OTHERS,
    SEQUENTIAL,
    Picture,
    clean,
    panels,
    picture,
)
from chromeprep.qc.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_COLOURS = {"high": HIGH, "low": LOW, "all": ALL}
_FROM_TSS = "kb from the TSS"
HEATMAP_PERCENTILE = 99.0
_MOST_PIXELS = 200


def profiles(summary: Summary) -> Picture:
    """Draw the mean profile of each mark with its 95 % confidence interval."""

    def draw() -> Figure:
        figure, axes = panels(len(summary.marks), 2.0)
        centre = _centre_kb(summary)
        units = _units(summary)
        for index, (axis, mark) in enumerate(zip(axes, summary.mark_names, strict=True)):
            for profile in summary.profiles:
                mean, error = profile.marks[index]
                colour = _COLOURS[profile.group]
                label = f"{profile.group} ({profile.n_genes:,} genes)"
                dashed = "--" if profile.group == "low" else "-"
                axis.plot(centre, mean, dashed, color=colour, label=label, marker=_marker(centre))
                band = 1.96 * np.nan_to_num(error)
                axis.fill_between(centre, mean - band, mean + band, color=colour, alpha=0.25, lw=0)
            _window(axis, summary)
            if np.nanmin(_or_zero(np.stack([p.marks[index].mean for p in summary.profiles]))) >= 0:
                axis.set_ylim(bottom=0)
            axis.set_title(clean(mark))
            if index % COLUMNS == 0 or units[index] != units[index - 1]:
                axis.set_ylabel(f"mean {clean(units[index], 14)} per bin")
        _label_lowest(axes)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
        return figure

    groups = " and ".join(
        f"{profile.n_genes:,} genes{'' if profile.group == 'all' else f' labelled {profile.group}'}"
        for profile in summary.profiles
    )
    return picture(
        draw, f"Mean signal in each bin from the TSS, one panel a mark ({_listed(summary)}), "
        f"over {groups}, with 95 % confidence intervals.",
    )  # fmt: skip


def heatmap(summary: Summary) -> Picture:
    """Draw genes pooled into rows by expression, one panel a mark."""
    rows = len(summary.heatmap.level)

    def draw() -> Figure:
        figure, axes = panels(len(summary.marks) + 1, 3.0)
        _levels(axes[0], summary)
        flank, units = summary.data.attributes.flank_bp / 1000, _units(summary)
        for index, (axis, mark) in enumerate(zip(axes[1:], summary.mark_names, strict=True)):
            values = _narrow(summary.heatmap.signal[index])
            image = axis.imshow(
                np.ma.masked_invalid(values), aspect="auto", interpolation="none",
                cmap=_with_grey(SEQUENTIAL), vmin=min(0.0, _lowest(values)), vmax=_ceiling(values),
                extent=(-flank, flank, rows, 0),
            )  # fmt: skip
            axis.set_yticks([])
            axis.set_title(clean(mark))
            axis.spines[:].set_visible(True)
            _window(axis, summary, line=False)
            bar = figure.colorbar(image, ax=axis, location="bottom", aspect=25, pad=0.02)
            bar.outline.set_linewidth(0.4)
            bar.ax.tick_params(labelsize=7, length=2)
            bar.set_label(f"mean {clean(units[index], 20)} per bin", fontsize=7)
            axis.set_xlabel(_FROM_TSS, fontsize=7, labelpad=1)
        return figure

    return picture(
        draw, f"Heat map: {summary.heatmap.n_genes:,} genes sorted by {summary.heatmap.by}, the "
        f"highest on top, pooled into {rows} rows; one panel a mark ({_listed(summary)}).",
    )  # fmt: skip


def mark_correlation(summary: Summary) -> Picture:
    """Draw the correlation of marks over genes."""
    values, names = summary.mark_correlation, [clean(name, 14) for name in summary.mark_names]

    def draw() -> Figure:
        from matplotlib.figure import Figure

        side = 1.9 + 0.42 * len(names)
        figure = Figure(figsize=(side + 0.9, side), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(
            np.ma.masked_invalid(values), vmin=-1, vmax=1, cmap=_with_grey(DIVERGING)
        )
        ticks = range(len(names))
        axis.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(ticks, names)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        for row in ticks:
            for column in ticks:
                value = values[row, column]
                shown = "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
                dark = abs(value) > 0.6
                axis.text(column, row, shown, ha="center", va="center", fontsize=7,
                          color="white" if dark else "black")  # fmt: skip
        bar = figure.colorbar(image, ax=axis, shrink=0.8, aspect=20)
        bar.outline.set_linewidth(0.4)
        bar.set_label("Spearman correlation over genes")
        return figure

    return picture(draw, f"Matrix of Spearman correlations between {_listed(summary)}.")


def bin_correlation(summary: Summary) -> Picture:
    """Draw the correlation of each bin with expression, each mark over the others in grey."""

    def draw() -> Figure:
        figure, axes = panels(len(summary.marks), 1.8, sharey=True)
        centre = _centre_kb(summary)
        highest = float(np.nanmax(np.abs(_or_zero(summary.bin_correlation))))
        for index, (axis, mark) in enumerate(zip(axes, summary.mark_names, strict=True)):
            others = np.delete(summary.bin_correlation, index, axis=0)
            if len(others):
                axis.plot(centre, others.T, lw=0.6, color=OTHERS)
            axis.axhline(0, color="#555555", lw=0.6)
            axis.plot(centre, summary.bin_correlation[index], color=ALL, lw=1.4,
                      marker=_marker(centre))  # fmt: skip
            _window(axis, summary)
            axis.set_title(clean(mark))
            axis.set_ylim(-1.1 * max(highest, 0.1), 1.1 * max(highest, 0.1))
        _label_lowest(axes)
        figure.supylabel("Spearman with expression", fontsize=8)
        return figure

    return picture(
        draw, "Spearman correlation of the signal in each bin with expression along the window, "
        f"one panel a mark ({_listed(summary)}).",
    )  # fmt: skip


def expression(summary: Summary) -> Picture:
    """Draw the distribution of expression, with the threshold of the labels."""
    genes = summary.data.genes
    known = ~np.isnan(genes.expression)
    values, label = genes.expression[known], genes.label[known]

    def draw() -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.2, 2.4), layout="constrained")
        axis = figure.subplots()
        # Tables of logarithms go below 0 and are shown as they are.
        logs = bool(values.min() >= 0)
        shown = np.log10(values + 0.1) if logs else values
        low, high = float(shown.min()), float(shown.max())
        edges = np.linspace(low, high if high > low else low + 1, 51).tolist()
        parts = [("low", label == 0, LOW), ("high", label == 1, HIGH),
                 ("without label", label < 0, "#999999")]  # fmt: skip
        parts = [part for part in parts if part[1].any()]
        axis.hist(
            [shown[chosen] for _, chosen, _ in parts], edges, stacked=True,
            color=[colour for *_, colour in parts],
            label=[f"{name} ({int(chosen.sum()):,})" for name, chosen, _ in parts],
            edgecolor="white", linewidth=0.3,
        )  # fmt: skip
        threshold = summary.data.attributes.label_threshold
        if np.isfinite(threshold) and (not logs or threshold > -0.1):
            at = np.log10(threshold + 0.1) if logs else threshold
            axis.axvline(at, color="black", lw=1, ls="--", label=f"threshold {threshold:.4g}")
        if logs:
            top = max(0, int(np.ceil(np.log10(max(values.max(), 1.0)))))
            ticks = [0.0, *(10.0**power for power in range(top + 1))]
            axis.set_xticks(np.log10(np.array(ticks) + 0.1), [f"{tick:,.0f}" for tick in ticks])
        axis.set_xlabel("expression, units of the table" + (" (log scale of value + 0.1)" * logs))
        axis.set_ylabel("genes")
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.legend(loc="upper right")
        return figure

    return picture(
        draw, f"Histogram of the expression of {len(values):,} genes, median "
        f"{float(np.median(values)):.4g}; {summary.labels.high:,} labelled high, "
        f"{summary.labels.low:,} low.",
    )  # fmt: skip


def losses(summary: Summary) -> Picture:
    """Draw how many genes were left after each step."""
    steps = summary.steps

    def draw() -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.8, 0.5 + 0.3 * len(steps)), layout="constrained")
        axis = figure.subplots()
        places = list(range(len(steps)))
        kept = np.array([step.n_genes for step in steps], dtype=np.float64)
        lost = np.array([max(step.lost, 0) for step in steps], dtype=np.float64)
        axis.barh(places, kept, color=LOW, height=0.7, label="left")
        axis.barh(places, lost, left=kept, color=OTHERS, height=0.7, label="left out")
        most = float((kept + lost).max())
        for place, step in zip(places, steps, strict=True):
            axis.text(kept[place] + lost[place] + 0.01 * most, place,
                      f"{step.n_genes:,}" + (f"  (−{step.lost:,})" if step.lost > 0 else ""),
                      va="center", fontsize=7.5)  # fmt: skip
        axis.set_yticks(places, [clean(step.what, 46) for step in steps])
        axis.invert_yaxis()
        axis.set_xlim(0, 1.22 * max(most, 1))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set_xlabel("genes (grey: left out by the step)")
        return figure

    ends = f"from {steps[0].n_genes:,} to {steps[-1].n_genes:,}"
    return picture(draw, f"Bars: genes left after each of {len(steps)} steps, {ends}.")


def _levels(axis: Axes, summary: Summary) -> None:
    """Draw what the rows of the heat map are sorted by, beside them."""
    level = summary.heatmap.level
    logs = summary.heatmap.by == "expression" and level.min() >= 0
    shown = np.log10(level + 0.1) if logs else level
    axis.plot(shown, np.arange(len(level)) + 0.5, color=ALL, marker=_marker(level))
    if logs:
        top = max(0, int(np.floor(np.log10(max(level.max(), 1.0)))))
        ticks = [0.0, *(10.0**power for power in range(top + 1))]
        axis.set_xticks(np.log10(np.array(ticks) + 0.1), [f"{tick:,.0f}" for tick in ticks])
    axis.set_ylim(len(level), 0)
    axis.set_yticks([])
    axis.set_ylabel(f"{summary.heatmap.n_genes:,} genes in {len(level)} rows")
    axis.set_xlabel("mean of the row", fontsize=7)
    axis.set_title(summary.heatmap.by)


def _window(axis: Axes, summary: Summary, *, line: bool = True) -> None:
    flank = summary.data.attributes.flank_bp / 1000
    if line:
        axis.axvline(0, color="#888888", lw=0.6, ls=":")
    axis.set_xlim(-flank, flank)
    axis.set_xticks([-flank, 0, flank], [f"−{flank:g}", "TSS", f"{flank:g}"])


def _label_lowest(axes: list[Axes]) -> None:
    """Name the x axis of the lowest panel in each column."""
    for axis in axes[-COLUMNS:]:
        axis.set_xlabel(_FROM_TSS)


def _units(summary: Summary) -> list[str]:
    return [str(units) for units in summary.data.marks.units]


def _centre_kb(summary: Summary) -> Floats:
    attributes = summary.data.attributes
    return np.asarray((summary.data.bin_starts + attributes.bin_size_bp / 2) / 1000)


def _marker(along: Floats) -> str | None:
    # A line needs two points; of few, one between NaN would not be seen.
    return "." if len(along) <= 3 else None


def _or_zero(values: Floats) -> Floats:
    return np.nan_to_num(values)


def _narrow(values: Floats) -> Floats:
    """Average neighbouring bins, equally many, where there are more than a panel has pixels for.

    Examples
    --------
    >>> _narrow(np.arange(300.0)[None, :])[0, :2].tolist()
    [0.5, 2.5]
    """
    rows, bins = values.shape
    least = -(-bins // _MOST_PIXELS)
    sizes = [size for size in range(least, 4 * least + 1) if bins % size == 0]
    return mean_known(values.reshape(rows, -1, sizes[0]), 2) if sizes else values


def _ceiling(values: Floats) -> float:
    """Return where the colour scale ends: a high percentile, so that towers do not darken all."""
    known = values[~np.isnan(values)]
    if not known.size or known.max() <= 0:
        return 1.0
    top = float(np.percentile(known, HEATMAP_PERCENTILE))
    return top if top > 0 else float(known.max())


def _lowest(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.min()) if known.size else 0.0


def _with_grey(name: str) -> Colormap:
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad="#DDDDDD")


def _listed(summary: Summary) -> str:
    return ", ".join(clean(name) for name in summary.mark_names)
