"""What do `panel` and `info` tell of a panel?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chromeprep.format import Panel

_SHOWN = 10


def panel_summary(panel: Panel) -> dict[str, Any]:
    """Return the numbers of a panel, as JSON has them."""
    share = panel.summary.share_high
    return {
        "kind": "panel",
        "genes": len(panel.gene_id),
        "gene_keys": panel.gene_keys,
        "genes_high_everywhere": int((share == 1).sum()),
        "genes_high_nowhere": int((share == 0).sum()),
        "genes_variable": int(panel.variable_genes().sum()),
        "near_duplicate": panel.near_duplicate,
        "near_duplicates": [pair._asdict() for pair in panel.near_duplicates()],
        "cell_types": [
            {"cell_type": str(name), "threshold": float(threshold), "source": str(source)}
            for name, threshold, source in zip(
                panel.cell_type, panel.threshold, panel.source, strict=True
            )
        ],
    }


def panel_lines(summary: dict[str, Any]) -> list[str]:
    """Return the lines in which `info` shows a panel."""
    from chromeprep.errors import shorten

    names = [entry["cell_type"] for entry in summary["cell_types"]]
    by = "symbols" if summary["gene_keys"] == "symbol" else "ids"
    sources = dict.fromkeys(entry["source"].rpartition(":")[0] for entry in summary["cell_types"])
    return [
        "  kind         panel: expression in other cell types",
        f"  genes        {summary['genes']:,}, by {by}",
        f"  cell types   {len(names)}: {shorten(names, _SHOWN)}",
        f"  high         in all cell types {summary['genes_high_everywhere']:,}, in none "
        f"{summary['genes_high_nowhere']:,}, in 10 to 90 % of them {summary['genes_variable']:,} "
        "genes (expression >= the cell type's median)",
        f"  alike        {alike(summary)}",
        *(f"  expression   {source}" for source in sources),
    ]


def alike(summary: dict[str, Any]) -> str:
    """Return the pairs of cell types that are nearly the same, in one line."""
    from chromeprep.errors import shorten

    found = summary["near_duplicates"]
    rule = f"rank correlation >= {summary['near_duplicate']:g}"
    if not found:
        return f"no pair of cell types ({rule})"
    pairs = [f"{pair['first']} {pair['second']} {pair['correlation']:.3f}" for pair in found]
    noun = "pair" if len(found) == 1 else "pairs"
    return f"{len(found)} {noun} of cell types ({rule}): {shorten(pairs, _SHOWN)}"
