"""What is asked of `chromeprep bin`, and what of it a file of bins remembers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chromeprep.assay import Assay, Combination
from chromeprep.expression import Ids
from chromeprep.signals import Track
from chromeprep.windows import Windows

DEFAULT_WINDOWS = Windows()
DEFAULT_COMBINATION = Combination()

BlacklistAction = Literal["mask", "drop"]

_FILES = ("gtf", "like", "expression", "chrom_sizes", "gene_list", "regions", "blacklist")


@dataclass(frozen=True)
class BinRequest:
    """What to bin; the fields are the options of ``chromeprep bin``.

    Either `gtf` or `like` must be given; with `like` the genes, the windows and the order of the
    marks are those of that file.
    """

    assays: tuple[Assay, ...]
    gtf: Path | None = None
    like: Path | None = None
    expression: Path | None = None
    expression_column: str | None = None
    expression_ids: Ids = "id"
    cell_type: str | None = None
    assembly: str | None = None
    chrom_sizes: Path | None = None
    windows: Windows = DEFAULT_WINDOWS
    neighbour_distance_bp: int = 5000
    gene_types: tuple[str, ...] = ("protein_coding",)
    gene_list: Path | None = None
    regions: Path | None = None
    blacklist: Path | None = None
    blacklist_action: BlacklistAction = "mask"
    uncovered: str = "zero"
    combination: Combination = DEFAULT_COMBINATION
    engine: str = "fast"
    threads: int = 1
    argv: tuple[str, ...] = ()

    def inputs(self) -> dict[str, Path]:
        """Return every file that is read by its role: ``H3K4me3``, ``H3K4me3 #2``, ``gtf``."""
        found: dict[str, Path] = {}
        for assay in self.assays:
            for role, tracks in (
                (assay.mark, assay.tracks),
                (f"{assay.mark} control", assay.controls),
            ):
                for number, track in enumerate(tracks, start=1):
                    found[role if number == 1 else f"{role} #{number}"] = track.path
        for role in _FILES:
            path = getattr(self, role)
            if path is not None:
                found[role] = path
        return found

    def options(self) -> dict[str, object]:
        """Return the options that the result depends on, as JSON has them.

        Threads and file names are none of these; nor is what has no effect on this request.
        """
        how = self.combination
        kept: dict[str, object] = {
            "cell_type": self.cell_type,
            "assembly": self.assembly,
            "uncovered": self.uncovered,
            "scale": how.scale,
            "engine": self.engine,
        }
        if self.like is None:
            kept |= {
                "flank_bp": self.windows.flank_bp,
                "bin_size_bp": self.windows.bin_size_bp,
                "neighbour_distance_bp": self.neighbour_distance_bp,
                "gene_types": sorted(self.gene_types),
            }
        if self.expression is not None:
            kept |= {
                "expression_column": self.expression_column or self.cell_type,
                "expression_ids": self.expression_ids,
            }
        if any(assay.controls for assay in self.assays):
            kept |= {"control_rule": how.control}
            if how.control == "log2":
                kept |= {"pseudocount": how.pseudocount}
        if self.blacklist is not None:
            kept |= {"blacklist_action": self.blacklist_action}
        kept["reads"] = {
            assay.mark: sorted({_how_read(track) for track in assay.files})
            for assay in sorted(self.assays, key=lambda assay: assay.mark)
        }
        return kept


def _how_read(track: Track) -> str:
    rule = getattr(getattr(track, "track", track), "rule", None)
    if rule is None:
        return track.kind
    return f"{track.kind}: {rule.words(flags=track.kind in ('BAM', 'CRAM'))}"
