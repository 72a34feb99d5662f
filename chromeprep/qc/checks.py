"""What in a file of bins should make its reader suspicious?

Each check has one rule with its threshold, printed on the page whether it fires or not. Thresholds
were set so that all are silent on real genome-wide tracks and on the simulated world, and fire on
the mistakes they are named after (``docs/qc.md``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Literal, NamedTuple

from chromeprep.qc.summary import FAR_BP, NEAR_BP, REACH_BP, Summary

PROMOTER_MARKS = frozenset({"H3K4me3", "H3K4me2", "H3K9ac", "H3K27ac"})
ACTIVE_MARKS = PROMOTER_MARKS | {"H3K36me3", "H3K79me2"}
REPRESSIVE_MARKS = frozenset({"H3K27me3", "H3K9me3"})

MOST_EMPTY = 0.8
LEAST_GENES = 50
"""Genes of each label, or with values, that AUC and correlations are judged by at least."""
NO_DIFFERENCE, LOWER, HIGHER = 0.55, 0.45, 0.65
LEAST_PEAK, MOST_PEAK = 1.5, 3.0
TWINS = 0.99
UNRELATED = 0.05
MOST_OUTSIDE = 0.05
MOST_UNKNOWN = 0.2

Level = Literal["warning", "note"]


class Check(NamedTuple):
    """A rule, and what finds the cases that break it."""

    code: str
    level: Level
    rule: str
    find: Callable[[Summary], Iterator[str]]


class Finding(NamedTuple):
    """A case that breaks a rule."""

    code: str
    level: Level
    message: str


def findings(summary: Summary) -> list[Finding]:
    """Return everything suspicious, in the order of `CHECKS`."""
    return [
        Finding(check.code, check.level, message)
        for check in CHECKS
        for message in check.find(summary)
    ]


def _judged(summary: Summary) -> bool:
    return min(summary.labels.high, summary.labels.low) >= LEAST_GENES


def _empty(summary: Summary) -> Iterator[str]:
    for mark, numbers in zip(summary.mark_names, summary.marks, strict=True):
        if numbers.empty_genes > MOST_EMPTY:
            yield (
                f"{mark} has no signal in {_percent(numbers.empty_genes)} of the genes. Does its "
                "track cover the whole genome, and does it name chromosomes as the others do?"
            )


def _unrelated(summary: Summary) -> Iterator[str]:
    if not _judged(summary):
        return
    best = [abs(numbers.auc - 0.5) for numbers in summary.marks if numbers.auc == numbers.auc]
    if best and max(best) < UNRELATED:
        yield (
            "no mark tells genes of high from genes of low expression: every AUC is within "
            f"{UNRELATED} of 0.5. Is the expression that of this cell type, under the same gene "
            "ids, and are tracks and annotation of one assembly?"
        )


def _no_difference(summary: Summary) -> Iterator[str]:
    # Where the labels fit no mark at all, that is said once.
    if not _judged(summary) or any(_unrelated(summary)):
        return
    for mark, numbers in zip(summary.mark_names, summary.marks, strict=True):
        if mark in ACTIVE_MARKS and LOWER <= numbers.auc < NO_DIFFERENCE:
            yield (
                f"{mark} hardly differs between genes of high and low expression (AUC "
                f"{numbers.auc:.2f}), though it marks active genes. Is it a control, or the track "
                "of a failed experiment?"
            )


def _direction(summary: Summary) -> Iterator[str]:
    if not _judged(summary):
        return
    for mark, numbers in zip(summary.mark_names, summary.marks, strict=True):
        if mark in ACTIVE_MARKS and numbers.auc < LOWER:
            yield (
                f"{mark} is lower in genes of high expression (AUC {numbers.auc:.2f}), though it "
                "marks active genes. Are two tracks exchanged?"
            )
        if mark in REPRESSIVE_MARKS and numbers.auc > HIGHER:
            like = numbers.tss_enrichment >= LEAST_PEAK
            yield (
                f"{mark} is higher in genes of high expression (AUC {numbers.auc:.2f})"
                + (", with a peak at the TSS as marks of active promoters have" if like else "")
                + ", though it marks silent genes. Are two tracks exchanged, or is the antibody "
                "unspecific?"
            )


def _shape(summary: Summary) -> Iterator[str]:
    if summary.n_genes < LEAST_GENES:
        return
    for mark, numbers in zip(summary.mark_names, summary.marks, strict=True):
        height = numbers.tss_enrichment
        if mark in PROMOTER_MARKS and height < LEAST_PEAK:
            yield (
                f"{mark} has no peak at the TSS (enrichment {height:.2f}), though it marks "
                "promoters. Is it the track of another mark, a control, or of another assembly?"
            )
        if mark == "H3K36me3" and height > MOST_PEAK:
            yield (
                f"{mark} peaks at the TSS (enrichment {height:.2f}), though it marks the bodies of "
                "transcribed genes. Is it the track of a promoter mark?"
            )


def _twins(summary: Summary) -> Iterator[str]:
    if summary.n_genes < LEAST_GENES:
        return
    names = summary.mark_names
    digests = [_digest(str(entry)) for entry in summary.data.marks.fingerprint]
    for one, other in combinations(range(len(names)), 2):
        if summary.mark_correlation[one, other] > TWINS:
            same = digests[one] is not None and digests[one] == digests[other]
            yield (
                f"{names[one]} and {names[other]} are nearly identical (Spearman "
                f"{summary.mark_correlation[one, other]:.4f} over genes)"
                + (": their sources are the same file. " if same else ". ")
                + "Was one file given twice?"
            )


def _outside(summary: Summary) -> Iterator[str]:
    if summary.genes_outside > MOST_OUTSIDE * summary.n_genes:
        yield (
            f"the windows of {summary.genes_outside:,} of {summary.n_genes:,} genes leave their "
            "chromosome; their outer bins are empty. Are chromosomes short, or are annotation and "
            "tracks of different assemblies?"
        )


def _labels(summary: Summary) -> Iterator[str]:
    unknown = summary.labels.unknown / summary.n_genes
    if unknown == 1:
        yield "no gene has a label: nothing here tells whether marks follow expression."
    elif unknown > MOST_UNKNOWN:
        yield (
            f"{_percent(unknown)} of the genes have no label. Do the expression table and the "
            "annotation use the same gene ids?"
        )


def _orientation(summary: Summary) -> Iterator[str]:
    found = summary.data.attributes.orientation
    if found != "5p-to-3p":
        yield (
            f"bins are not known to run from 5' to 3' (orientation: {found}): left is not always "
            "upstream, and profiles of both strands are laid over each other."
        )


def _digest(fingerprint: str) -> str | None:
    match = re.search(r"blake2b=([0-9a-f]+)", fingerprint)
    return match[1] if match else None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


_ENOUGH = f"with at least {LEAST_GENES} genes of each label"
CHECKS = (
    Check("no-signal", "warning",
          f"a mark is 0 or unknown in every bin of more than {100 * MOST_EMPTY:.0f} % of the genes",
          _empty),
    Check("labels-unrelated", "warning",
          f"the AUC of every mark is within {UNRELATED} of 0.5, {_ENOUGH}", _unrelated),
    Check("no-difference", "warning",
          f"{', '.join(sorted(ACTIVE_MARKS))}: AUC from {LOWER} to {NO_DIFFERENCE}, {_ENOUGH}",
          _no_difference),
    Check("wrong-direction", "warning",
          f"one of these has an AUC below {LOWER}, or {' or '.join(sorted(REPRESSIVE_MARKS))} "
          f"one above {HIGHER:.2f}, {_ENOUGH}", _direction),
    Check("wrong-shape", "warning",
          f"{', '.join(sorted(PROMOTER_MARKS))}: TSS enrichment (mean within {NEAR_BP:,} bp over "
          f"mean beyond {FAR_BP:,} bp) below {LEAST_PEAK}; H3K36me3: above {MOST_PEAK:.0f}",
          _shape),
    Check("twins", "warning",
          f"Spearman of two marks over genes (mean within {REACH_BP:,} bp) above {TWINS}", _twins),
    Check("outside", "warning",
          f"windows of more than {100 * MOST_OUTSIDE:.0f} % of the genes leave the chromosome",
          _outside),
    Check("labels-missing", "note",
          f"more than {100 * MOST_UNKNOWN:.0f} % of the genes have no label", _labels),
    Check("orientation", "note", "bins are not said to run from 5' to 3'", _orientation),
)  # fmt: skip
