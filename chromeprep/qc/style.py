"""How do figures of the page look, and how does one become text that is the same every time?"""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from chromeprep.errors import ChromeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by readers with any colour vision.
HIGH, LOW, ALL, OTHERS = "#D55E00", "#0072B2", "#222222", "#C4C4C4"
SEQUENTIAL, DIVERGING = "magma_r", "PuOr_r"

WIDTH_INCHES = 9.6
COLUMNS = 4

_STYLE: Mapping[str, Any] = {
    "axes.edgecolor": "#555555",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlepad": 4,
    "figure.dpi": 96,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "chromeprep",
    "text.parse_math": False,  # a "$" in a file's strings is a dollar
    "xtick.labelsize": 7.5,
    "xtick.color": "#444444",
    "ytick.labelsize": 7.5,
    "ytick.color": "#444444",
}


class Picture(NamedTuple):
    """A figure as SVG, and what it shows in words for those who cannot see it."""

    svg: str
    alt: str
    width_px: int

    def html(self) -> str:
        """Return an ``<img>`` that holds the whole picture."""
        code = base64.b64encode(self.svg.encode()).decode()
        return (
            f'<img src="data:image/svg+xml;base64,{code}" alt="{escape(self.alt)}" '
            f'width="{self.width_px}">'
        )


def require_matplotlib() -> None:
    """Raise `ChromeError` where figures cannot be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ChromeError(
            f"figures need matplotlib, which cannot be imported ({error})",
            hint="pip install 'transferchrome[plot]'",
        ) from error


def picture(draw: Callable[[], Figure], alt: str) -> Picture:
    """Draw in the page's style: the same figure gives the same text."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # Whatever the user's own settings are; a character without a glyph is drawn as a box.
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        figure = draw()
        text = io.StringIO()
        figure.savefig(
            text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return Picture(_tidy(text.getvalue()), alt, round(figure.get_figwidth() * 96))


def _tidy(svg: str) -> str:
    # Comments hold the drawn text once more, the prologue an address: a viewer needs neither.
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen; six decimals are a third of the page.
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)


def panels(
    count: int, height_inches: float, **sharing: Any
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """Make a figure of `count` small panels in rows of `COLUMNS`."""
    from matplotlib.figure import Figure

    rows = math.ceil(count / COLUMNS)
    columns = min(count, COLUMNS)
    figure = Figure(
        figsize=(
            WIDTH_INCHES * columns / COLUMNS + 0.4 * (columns < COLUMNS),
            height_inches * rows,
        ),
        layout="constrained",
    )
    axes = list(figure.subplots(rows, columns, squeeze=False, **sharing).flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def clean(text: str, most: int = 28) -> str:
    """Make a string of a file fit for a figure: printable, and not longer than there is room.

    Examples
    --------
    >>> clean("H3K4me3"), clean("a" * 9, most=5), clean("tab" + chr(9))
    ('H3K4me3', 'aaaa…', 'tab?')
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
