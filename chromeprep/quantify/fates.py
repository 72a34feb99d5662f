"""What can become of a fragment?"""

from __future__ import annotations

# The reasons, in the words of featureCounts; `REASONS[code]`.
REASONS = (
    "Assigned",
    "Unassigned_Unmapped",
    "Unassigned_MappingQuality",
    "Unassigned_Duplicate",
    "Unassigned_MultiMapping",
    "Unassigned_Secondary",
    "Unassigned_Supplementary",
    "Unassigned_NoFeatures",
    "Unassigned_Ambiguity",
)
ASSIGNED, UNMAPPED, LOW_QUALITY, DUPLICATE, MULTI, SECONDARY, SUPPLEMENTARY, NO_GENE, AMBIGUOUS = (
    range(len(REASONS))
)
PASSED = 0  # of one end: nothing against it yet
