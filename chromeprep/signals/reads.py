"""How an alignment is counted: which are, what of the genome each stands for, what a bin gets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

CountRule = Literal["overlap", "five-prime", "coverage"]
COUNT_RULES: tuple[CountRule, ...] = ("overlap", "five-prime", "coverage")

# Unmapped, secondary, QC-failed, duplicate, supplementary.
EXCLUDED_FLAGS = 0xF04
DUPLICATE_FLAG = 0x400

# Mates further apart are no fragment of a ChIP-seq library, whatever the aligner says.
MAX_FRAGMENT_BP = 2000


@dataclass(frozen=True)
class ReadRule:
    """How reads are counted; the same for every kind of file that holds reads.

    Parameters
    ----------
    count
        ``overlap``: an alignment counts once in every bin that its span on the reference touches,
        from its first base to its last, gaps included: the rule of ``bedtools multicov``.
        ``five-prime``: once, in the bin of its 5' base. ``coverage``: a bin is the mean depth over
        its bases (those of the bin outside the chromosome counted as bases without reads); gaps of
        the alignment (N and D) are left out: the rule of ``samtools bedcov -j``, by bin width.
    extend_bp
        Where not None, a read stands for its fragment, without gaps: mates that are properly
        paired (flag 0x2, at most 2,000 bp from end to end) for the |TLEN| bases from the first
        base of either, once, at the first of the pair; any other read for `extend_bp` from its 5'
        base in the direction of its strand, and never for less than itself.
    min_mapq
        Alignments with a smaller mapping quality are left out. BED and tagAlign hold none.
    exclude_flags
        Alignments with any of these SAM flags are left out. BED and tagAlign hold none.
    total
        Count the reads of the whole file, to scale by.
    """

    count: CountRule = "overlap"
    extend_bp: int | None = None
    min_mapq: int = 0
    exclude_flags: int = EXCLUDED_FLAGS
    total: bool = False

    @property
    def reach_bp(self) -> int:
        """How far beyond its alignment a read may count."""
        return 0 if self.extend_bp is None else max(self.extend_bp, MAX_FRAGMENT_BP)

    @property
    def code(self) -> int:
        """The number of the count rule, for compiled code."""
        return COUNT_RULES.index(self.count)

    def words(self, *, flags: bool = True) -> str:
        """Say the rule in words, without flags and mapping quality where the file has none."""
        fragments = self.extend_bp is not None
        what = "fragments" if fragments else "alignments"
        rule = {
            "overlap": f"{what} overlapping the bin" + ("" if fragments else ", gaps included"),
            "five-prime": f"{what} with their 5' base in the bin",
            "coverage": f"mean depth of {what}" + ("" if fragments else ", gaps left out"),
        }[self.count]
        if fragments:
            rule += f" (proper pairs once; other reads extended to {self.extend_bp} bp)"
        if flags:
            rule += f", not flagged {self.exclude_flags:#x}"
            if self.min_mapq:
                rule += f", mapping quality at least {self.min_mapq}"
        return rule

    def with_total(self) -> ReadRule:
        """Return the rule with the reads of the whole file counted too."""
        return replace(self, total=True)


DEFAULT_RULE = ReadRule()
