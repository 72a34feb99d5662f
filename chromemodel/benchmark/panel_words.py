"""Who of the panel spoke in a benchmark, in words?"""

from __future__ import annotations

from collections.abc import Sequence

from chromemodel.benchmark.cells import count, markdown
from chromemodel.benchmark.panels import Spoken
from chromemodel.benchmark.spec import PanelFile


def panel_words(panel: PanelFile, spoken: Sequence[Spoken]) -> str:
    """Return a section of the README: what the panel holds, and who was left out of which runs."""
    parts = [
        f"`{panel.path}`, {count(len(panel.cell_types), 'cell type')}: "
        f"{', '.join(panel.cell_types)}.",
        _rule(panel),
    ]
    if not spoken:
        return "\n\n".join([*parts, "No run has finished: none has spoken."])
    rows = [
        [
            one.source if one.source == one.target else f"{one.source} to {one.target}",
            ", ".join(sorted(one.left_out)) or "none",
            str(len(one.spoke)),
        ]
        for one in spoken
    ]
    parts += [
        "Left out of the runs of one cell type, or of a source and a target; all others spoke:",
        markdown(["runs", "left out", "spoke"], rows, names=2),
    ]
    names = sorted({name for one in spoken for name in one.unnamed})
    if names:
        parts.append(
            f"**The panel names no {', no '.join(f'`{name}`' for name in names)}.** What trains is "
            "then compared with all by its expression; what is only predicted cannot be. If the "
            "panel holds it by another name, that told the answer: leave it out "
            "(`--panel-leave-out`)."
        )
    return "\n\n".join(part.strip("\n") for part in parts)


def _rule(panel: PanelFile) -> str:
    words = "Each run leaves out the cell types of its own files"
    if panel.leave_out:
        words += f", and {', '.join(panel.leave_out)}"
    words += (
        ", and what is nearly the same as one of these"
        if panel.relatives
        else "; what is nearly the same as one of these was **kept** (`--panel-keep-like`)"
    )
    return (
        f"{words}. Of a gene that is predicted, the expression in those that speak is known; of no "
        "gene the expression in the cell type itself."
    )
