"""The options of `chromeprep bin` as one value: what is checked of them, what is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from chromeprep.cli._options import ControlFile, MarkFile

if TYPE_CHECKING:
    from chromeprep.assay import Assay, Combination, ControlRule, Scale
    from chromeprep.expression import Ids
    from chromeprep.request import BinRequest, BlacklistAction
    from chromeprep.samplesheet import Sample
    from chromeprep.signals.means import Uncovered
    from chromeprep.signals.reads import CountRule
    from chromeprep.tracks import TrackOptions

# What --like takes from the other file, and so cannot be chosen beside it.
_FIXED_BY_LIKE = {
    "gtf": "--gtf",
    "flank": "--flank",
    "bin_size": "--bin-size",
    "gene_types": "--gene-type",
    "neighbour_distance": "--neighbour-distance",
    "gene_list": "--genes",
    "regions": "--regions",
}
# What is of use only beside another option.
_NEEDS = {
    "expression_column": ("expression", "--expression-column", "--expression"),
    "blacklist_action": ("blacklist", "--blacklist-action", "--blacklist"),
}
# What a sample sheet says of each cell type.
_IN_SHEET = {
    "controls": "--control",
    "cell_type": "--cell-type",
    "expression_column": "--expression-column",
}
_TRACKS = ("bam", "cram", "tagalign", "bed", "bedgraph", "bigwig")
_READS = _TRACKS[:4]


@dataclass(frozen=True)
class BinOptions:
    """The options of ``chromeprep bin``, as click gives them."""

    samples: Path | None
    bams: tuple[MarkFile, ...]
    crams: tuple[MarkFile, ...]
    tagaligns: tuple[MarkFile, ...]
    beds: tuple[MarkFile, ...]
    bedgraphs: tuple[MarkFile, ...]
    bigwigs: tuple[MarkFile, ...]
    controls: tuple[ControlFile, ...]
    reference: Path | None
    chrom_sizes: Path | None
    gtf: Path | None
    like: Path | None
    gene_types: tuple[str, ...]
    neighbour_distance: int
    gene_list: Path | None
    regions: Path | None
    flank: int
    bin_size: int
    expression: Path | None
    expression_column: str | None
    expression_ids: Ids
    count: CountRule
    extend: int | None
    min_mapq: int
    exclude_flags: int
    keep_duplicates: bool
    uncovered: Uncovered
    scale: Scale
    control_rule: ControlRule
    pseudocount: float
    blacklist: Path | None
    blacklist_action: BlacklistAction
    cell_type: str | None
    assembly: str | None
    engine: str
    output: Path
    threads: int
    force: bool

    @property
    def tracks(self) -> list[tuple[str, MarkFile]]:
        """(kind, mark and file) of every track, in the order of the kinds."""
        return [(kind, entry) for kind in _TRACKS for entry in getattr(self, f"{kind}s")]

    def inputs(self) -> Iterator[Path]:
        """Yield every file that is read."""
        yield from (entry.path for _, entry in self.tracks)
        yield from (entry.path for entry in self.controls)
        others = (
            self.reference, self.chrom_sizes, self.gtf, self.like, self.gene_list, self.regions,
            self.expression, self.blacklist,
        )  # fmt: skip
        yield from (path for path in others if path is not None)

    def check_usage(self, ctx: click.Context) -> None:
        """Raise a usage error where the options do not go together."""
        if self.samples is not None:
            self._check_none_beside_sheet(ctx)
        elif not self.tracks:
            names = ", ".join(f"--{kind}" for kind in _TRACKS)
            raise click.UsageError(
                f"no tracks: give one of {names}, once for each file, or --samples", ctx
            )
        else:
            self._check_files(ctx)
            kinds = {kind for kind, _ in self.tracks}
            self.check_contents(ctx, kinds, controlled=bool(self.controls))
        self._check_rules(ctx)
        if str(self.output) == "-":
            raise click.UsageError("HDF5 cannot be written to a pipe; name a file with -o", ctx)
        if self.flank % self.bin_size:
            raise click.UsageError(
                f"--flank {self.flank} is not a multiple of --bin-size {self.bin_size}", ctx
            )
        if (self.gtf is None) == (self.like is None):
            raise click.UsageError("give either --gtf or --like", ctx)
        if self.like is not None:
            for name, option in _FIXED_BY_LIKE.items():
                if _given(ctx, name):
                    raise click.UsageError(
                        f"{option} does not go with --like, which decides it", ctx
                    )
            if self.blacklist is not None and self.blacklist_action == "drop":
                raise click.UsageError(
                    "--blacklist-action drop does not go with --like, which decides the genes", ctx
                )
        for name, (needed, option, other) in _NEEDS.items():
            if _given(ctx, name) and not getattr(self, needed):
                raise click.UsageError(f"{option} needs {other}", ctx)

    def _check_files(self, ctx: click.Context) -> None:
        from chromeprep.tracks import kind_of

        files = [entry for _, entry in self.tracks]
        for path, count in Counter(entry.path.resolve() for entry in files).items():
            if count > 1:
                marks = ", ".join(entry.mark for entry in files if entry.path.resolve() == path)
                raise click.UsageError(f"{path} is given {count} times: for {marks}", ctx)
        marks_given = {entry.mark for entry in files}
        for mark, path in self.controls:
            if mark is not None and mark not in marks_given:
                raise click.UsageError(f"--control {mark}={path}: no track of {mark} is given", ctx)
            if kind_of(path) is None:
                raise click.UsageError(
                    f"--control {path}: its name does not say what it is; expected one that ends "
                    "in .bam, .cram, .tagAlign, .bed, .bedGraph or .bigWig (.gz)", ctx
                )  # fmt: skip
            if path.resolve() in {entry.path.resolve() for entry in files}:
                raise click.UsageError(f"{path} is given as a track and as a control", ctx)

    def _check_none_beside_sheet(self, ctx: click.Context) -> None:
        named = {f"{kind}s": f"--{kind}" for kind in _TRACKS} | _IN_SHEET
        for name, option in named.items():
            if getattr(self, name):
                raise click.UsageError(
                    f"{option} does not go with --samples: the sheet says it", ctx
                )

    def check_contents(self, ctx: click.Context, kinds: set[str], *, controlled: bool) -> None:
        """Raise a usage error where options are of no use to tracks of these kinds."""
        if not kinds & set(_READS):
            for name, option in (("count", "--count"), ("extend", "--extend"),
                                 ("scale", "--scale"), ("min_mapq", "--min-mapq")):  # fmt: skip
                if _given(ctx, name):
                    raise click.UsageError(f"{option} is for reads, and no track holds any", ctx)
        for name, option in (
            ("control_rule", "--control-rule"),
            ("pseudocount", "--pseudocount"),
        ):
            if _given(ctx, name) and not controlled:
                raise click.UsageError(f"{option} needs --control", ctx)
        if self.reference is not None and "cram" not in kinds:
            raise click.UsageError("--reference needs --cram", ctx)

    def _check_rules(self, ctx: click.Context) -> None:
        if self.scale == "rpkm" and self.count == "coverage":
            raise click.UsageError(
                "--scale rpkm is for counts; with --count coverage take --scale cpm", ctx
            )
        if self.keep_duplicates and _given(ctx, "exclude_flags"):
            raise click.UsageError(
                "--keep-duplicates and --exclude-flags do not go together: leave 0x400 out of the "
                "flags", ctx
            )  # fmt: skip

    def track_options(self) -> TrackOptions:
        """Return how every file is read."""
        from chromeprep.signals.reads import DUPLICATE_FLAG, ReadRule
        from chromeprep.tracks import TrackOptions

        flags = self.exclude_flags & ~DUPLICATE_FLAG if self.keep_duplicates else self.exclude_flags
        rule = ReadRule(
            count=self.count,
            extend_bp=self.extend,
            min_mapq=self.min_mapq,
            exclude_flags=flags,
            total=self.scale != "none",
        )
        return TrackOptions(rule, self.uncovered, self.reference, self.engine)

    def combination(self) -> Combination:
        """Return what is made of replicates and controls."""
        from chromeprep.assay import Combination

        return Combination(self.scale, self.control_rule, self.pseudocount)

    def assays(self) -> tuple[Assay, ...]:
        """Return the marks with their replicates and controls."""
        from chromeprep.tracks import assays, kind_of

        return assays(
            [(mark, kind, path) for kind, (mark, path) in self.tracks],
            [(mark, kind_of(path) or "", path) for mark, path in self.controls],
            self.track_options(),
        )

    def request_of(self, sample: Sample, argv: tuple[str, ...]) -> BinRequest:
        """Return what `chromeprep.pipeline.bin_tracks` takes, of a cell type of a sheet."""
        from chromeprep.tracks import assays

        return replace(
            self.request(argv),
            assays=assays(
                [(file.mark, file.kind, file.path) for file in sample.tracks],
                [(file.mark, file.kind, file.path) for file in sample.controls],
                self.track_options(),
            ),
            cell_type=sample.cell_type,
            expression_column=sample.expression_column if self.expression is not None else None,
        )

    def request(self, argv: tuple[str, ...]) -> BinRequest:
        """Return what `chromeprep.pipeline.bin_tracks` takes."""
        from chromeprep.request import BinRequest
        from chromeprep.windows import Windows

        return BinRequest(
            assays=self.assays(),
            gtf=self.gtf,
            like=self.like,
            expression=self.expression,
            expression_column=self.expression_column,
            expression_ids=self.expression_ids,
            cell_type=self.cell_type,
            assembly=self.assembly,
            chrom_sizes=self.chrom_sizes,
            windows=Windows(self.flank, self.bin_size),
            neighbour_distance_bp=self.neighbour_distance,
            gene_types=self.gene_types,
            gene_list=self.gene_list,
            regions=self.regions,
            blacklist=self.blacklist,
            blacklist_action=self.blacklist_action,
            uncovered=self.uncovered,
            combination=self.combination(),
            engine=self.engine,
            threads=self.threads,
            argv=argv,
        )


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
