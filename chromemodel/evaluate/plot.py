"""What do probabilities look like against the truth: calibrated, ROC, precision and recall?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.calibration import calibration, equal_edges
from chromemodel.evaluate.evidence import Evidence
from chromemodel.evaluate.metrics import binary_metrics
from chromemodel.evaluate.plot_expression import expression_figure
from chromemodel.style import COLOURS, DARK, GREY, can_draw, render
from chromemodel.train.checkpoint import check_outside_runs
from chromeprep.errors import ChromeError, OutputError
from chromeprep.format import atomic_file, check_writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMS = ("png", "svg")


class _Line(NamedTuple):
    """A model to draw: ``probability`` (genes,), ``style`` for matplotlib's lines."""

    name: str
    probability: NDArray[Any]
    style: dict[str, Any]


def check_plot(path: str | Path, run: str | Path, *, force: bool) -> None:
    """Check, before work starts, that a figure can be drawn and written.

    Raises
    ------
    ChromeError
        Where matplotlib is missing.
    OutputError
        Where the name ends in neither ``.png`` nor ``.svg``, or the file cannot be written.
    """
    if Path(path).suffix.lower().lstrip(".") not in _FORMS:
        raise OutputError("ends in neither .png nor .svg", path=path)
    if not can_draw():
        raise ChromeError(
            "figures need matplotlib, which cannot be imported",
            hint="pip install 'transferchrome[plot]'",
        )
    check_outside_runs(path, run)
    check_writable(path, force=force)


def draw_evaluation(evidence: Evidence, path: str | Path) -> None:
    """Draw the first part of the genes; the same evidence gives the same file."""
    form = cast(Literal["png", "svg"], Path(path).suffix.lower().lstrip("."))
    draw = _figure if evidence.config.task.name == "classification" else expression_figure
    data = render(lambda: draw(evidence), form)
    with atomic_file(path) as temporary:
        Path(temporary).write_bytes(data)


def _figure(evidence: Evidence) -> Figure:
    from matplotlib.figure import Figure

    part, rows = evidence.parts[0]
    label = evidence.genes.label[rows]
    lines = [
        _Line(one.name, one.answer[rows].astype(np.float64), style)
        for one, style in zip(evidence.opinions, _styles(evidence), strict=True)
    ]
    figure = Figure(figsize=(11, 4.6))
    figure.set_layout_engine("constrained", wspace=0.06)
    grid = figure.add_gridspec(2, 3, height_ratios=(4, 1))
    reliability = figure.add_subplot(grid[0, 0])
    spread = figure.add_subplot(grid[1, 0], sharex=reliability)
    _draw_reliability(reliability, label, lines)
    _draw_spread(spread, lines)
    roc, precision = figure.add_subplot(grid[:, 1]), figure.add_subplot(grid[:, 2])
    _draw_roc(roc, label, lines)
    _draw_precision(precision, label, lines)
    figure.suptitle(
        f"{evidence.path.name}, {part}: {len(label):,} genes, {np.mean(label == 1):.0%} high",
        x=0.008, ha="left", fontsize=10,
    )  # fmt: skip
    handles = reliability.get_lines()[1:]
    figure.legend(handles, [line.name for line in lines], loc="outside lower center", ncols=3)
    for axes, corner in (
        (reliability, "upper left"),
        (roc, "lower right"),
        (precision, "lower left"),
    ):
        axes.legend(loc=corner, handlelength=1.6)
    return figure


def _styles(evidence: Evidence) -> list[dict[str, Any]]:
    """Return how to draw each opinion: the run in front, a lookup in grey."""
    styles: list[dict[str, Any]] = []
    colours = iter((COLOURS[0], *COLOURS[2:]))
    for one in evidence.opinions:
        if evidence.lookup is not None and one.name == evidence.lookup.name:
            styles.append({"color": GREY, "ls": (0, (4, 2)), "lw": 1.2, "zorder": 2, "marker": "s"})
        elif one.answer is evidence.own:
            styles.append({"color": COLOURS[1], "ls": "-", "lw": 1.8, "zorder": 4, "marker": "o"})
        else:
            styles.append(
                {"color": next(colours), "ls": "-", "lw": 1.3, "zorder": 3, "marker": "D"}
            )
    return styles


def _draw_reliability(axes: Axes, label: NDArray[Any], lines: list[_Line]) -> None:
    axes.plot([0, 1], [0, 1], color=DARK, lw=0.8, ls=":", zorder=1)
    for line in lines:
        found = calibration(label, line.probability)
        low, high = _wilson(found.positive_share, found.genes)
        axes.vlines(found.probability, low, high, color=line.style["color"], lw=0.9, alpha=0.6)
        axes.plot(
            found.probability, found.positive_share, markersize=4,
            label=f"ECE {found.error:.3f}", **line.style,
        )  # fmt: skip
    axes.set(title="Reliability", ylabel="share of high genes", ylim=(-0.02, 1.02))
    axes.tick_params(labelbottom=False)


def _draw_spread(axes: Axes, lines: list[_Line]) -> None:
    edges = equal_edges()
    for line in lines:
        share = np.histogram(line.probability, edges)[0] / len(line.probability)
        axes.stairs(share, edges, **{k: v for k, v in line.style.items() if k != "marker"})
    axes.set(xlabel="probability of high expression", ylabel="share\nof genes", xlim=(-0.02, 1.02))
    axes.set_ylim(bottom=0)


def _draw_roc(axes: Axes, label: NDArray[Any], lines: list[_Line]) -> None:
    from sklearn.metrics import roc_curve

    axes.plot([0, 1], [0, 1], color=DARK, lw=0.8, ls=":", zorder=1)
    for line in lines:
        false, true, _ = roc_curve(label, line.probability)
        area = binary_metrics(label, line.probability).auroc
        _curve(axes, false, true, line, f"AUROC {area:.3f}")
    axes.set(
        title="ROC", xlabel="share of low genes called high", ylabel="share of high genes found"
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _draw_precision(axes: Axes, label: NDArray[Any], lines: list[_Line]) -> None:
    from sklearn.metrics import precision_recall_curve

    base = float(np.mean(label == 1))
    axes.plot([0, 1], [base, base], color=DARK, lw=0.8, ls=":", zorder=1)
    for line in lines:
        precision, recall, _ = precision_recall_curve(
            label, line.probability, drop_intermediate=True
        )
        area = binary_metrics(label, line.probability).auprc
        _curve(axes, recall, precision, line, f"AUPRC {area:.3f}")
    axes.set(
        title="Precision and recall", xlabel="recall: share of high genes found",
        ylabel="precision: share of calls right", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02),
    )  # fmt: skip


def _curve(
    axes: Axes, x: NDArray[Any], y: NDArray[Any], line: _Line, value: str
) -> None:  # fmt: skip
    style = {key: entry for key, entry in line.style.items() if key != "marker"}
    axes.plot(x, y, label=value, solid_joinstyle="round", **style)


def _wilson(
    share: NDArray[np.float64], genes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95 % interval of shares of some genes (Wilson 1927)."""
    z = 1.96
    middle = share + z**2 / (2 * genes)
    half = z * np.sqrt(share * (1 - share) / genes + z**2 / (4 * genes**2))
    scale = 1 + z**2 / genes
    return (middle - half) / scale, (middle + half) / scale
