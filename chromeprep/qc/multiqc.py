"""How does MultiQC read the numbers of a file? As custom content: one row a mark, one table.

MultiQC finds files named ``*_mqc.json`` and puts those of one ``id`` into one section, so a folder
with the pages of many cell types becomes one table.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from chromeprep.qc.checks import Finding, findings
from chromeprep.qc.summary import Summary

Number = float | int | None
Rows = dict[str, dict[str, Number]]

_SHARE = {"min": 0, "max": 100, "suffix": " %", "format": "{:,.1f}"}
_HEADERS: dict[str, dict[str, object]] = {
    "auc": {"title": "AUC", "description": "Mean signal round the TSS, genes of high against low "
            "expression; 0.5 says nothing", "min": 0, "max": 1, "format": "{:,.3f}",
            "scale": "PuOr"},
    "expression_correlation": {"title": "rho expression", "description": "Spearman of mean signal "
                               "round the TSS with expression", "min": -1, "max": 1,
                               "format": "{:,.3f}", "scale": "PuOr"},
    "tss_enrichment": {"title": "TSS enrichment", "description": "Mean within 1 kb of the TSS over "
                       "mean beyond 3 kb", "min": 0, "format": "{:,.2f}", "scale": "Blues"},
    "empty_genes_percent": {"title": "Empty genes", "description": "Genes without signal in any "
                            "bin", "scale": "OrRd", **_SHARE},
    "empty_bins_percent": {"title": "Empty bins", "description": "Known bins that are 0",
                           "scale": "Greys", **_SHARE},
    "nan_percent": {"title": "NaN", "description": "Bins without a value", "scale": "OrRd",
                    **_SHARE},
    "mean": {"title": "Mean", "description": "Over genes and bins", "min": 0, "format": "{:,.4g}",
             "scale": "Greens"},
    "p99": {"title": "p99", "description": "99th percentile over genes and bins", "min": 0,
            "format": "{:,.4g}", "scale": "Greens"},
    "n_mapped": {"title": "Mapped", "description": "Mapped alignments in the track", "min": 0,
                 "format": "{:,.0f}", "scale": "Purples"},
    "n_genes": {"title": "Genes", "description": "Genes in the file", "min": 0,
                "format": "{:,.0f}", "hidden": True},
    "n_warnings": {"title": "Warnings", "description": "Warnings for the whole file; the page "
                   "beside it says which", "min": 0, "format": "{:,.0f}", "scale": "Reds"},
}  # fmt: skip


def mark_rows(summary: Summary, found: list[Finding] | None = None) -> Rows:
    """Return the numbers of each mark, by ``FILE MARK``; None where there is no answer."""
    if found is None:
        found = findings(summary)
    warnings = sum(finding.level == "warning" for finding in found)
    rows: Rows = {}
    for index, (mark, numbers) in enumerate(zip(summary.mark_names, summary.marks, strict=True)):
        n_mapped = int(summary.data.marks.n_mapped[index])
        rows[f"{Path(summary.name).stem} {mark}"] = {
            "auc": _finite(numbers.auc),
            "expression_correlation": _finite(numbers.expression_correlation),
            "tss_enrichment": _finite(numbers.tss_enrichment),
            "empty_genes_percent": _finite(100 * numbers.empty_genes),
            "empty_bins_percent": _finite(100 * (1 - numbers.statistics.fraction_nonzero)),
            "nan_percent": _finite(100 * numbers.nan_share),
            "mean": _finite(numbers.statistics.mean),
            "p99": _finite(numbers.statistics.p99),
            "n_mapped": n_mapped if n_mapped >= 0 else None,
            "n_genes": summary.n_genes,
            "n_warnings": warnings,
        }
    return rows


def multiqc_text(summary: Summary, found: list[Finding] | None = None) -> str:
    """Return the text of a ``*_mqc.json``."""
    # A missing cell must be left out: MultiQC shows None as a word.
    data = {
        name: {key: value for key, value in row.items() if value is not None}
        for name, row in mark_rows(summary, found).items()
    }
    document = {
        "id": "chromeprep_qc",
        "section_name": "chromeprep: histone marks round the TSS",
        "description": "Signal of each mark in bins round the TSS of genes, as "
        "<code>chromeprep qc</code> sees it.",
        "plot_type": "table",
        "pconfig": {
            "id": "chromeprep_qc_table",
            "namespace": "chromeprep",
            "title": "chromeprep: marks",
            "col1_header": "File and mark",
        },
        "headers": _HEADERS,
        "data": data,
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def numbers(summary: Summary, found: list[Finding]) -> dict[str, object]:
    """Return the numbers of the page for programs: those for MultiQC and of the whole file."""
    return {
        "file": summary.name,
        "cell_type": summary.data.attributes.cell_type,
        "genes": summary.n_genes,
        "labels": summary.labels._asdict(),
        "genes_with_bins_outside": summary.genes_outside,
        "reach_bp": summary.reach_bp,
        "findings": [finding._asdict() for finding in found],
        "steps": [step._asdict() for step in summary.steps],
        "marks": mark_rows(summary, found),
        "mark_correlation": {
            one: {
                other: _finite(float(value))
                for other, value in zip(summary.mark_names, row, strict=True)
            }
            for one, row in zip(summary.mark_names, summary.mark_correlation, strict=True)
        },
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
