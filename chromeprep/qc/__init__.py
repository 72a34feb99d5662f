"""Quality control of a file of bins: numbers, checks, figures, a page, and a file for MultiQC.

`summarise` computes, `findings` judges, `page` and `multiqc_text` put it into words. Only the
figures need matplotlib, the extra ``plot``.
"""

from chromeprep.qc.checks import CHECKS, Check, Finding, findings
from chromeprep.qc.multiqc import multiqc_text
from chromeprep.qc.page import page
from chromeprep.qc.style import require_matplotlib
from chromeprep.qc.summary import Summary, summarise

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Summary",
    "findings",
    "multiqc_text",
    "page",
    "require_matplotlib",
    "summarise",
]
