"""Which reader a file of reads or signal needs, and what is known of its chromosomes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

from chromeprep import signals
from chromeprep.assay import Assay
from chromeprep.errors import InputError, SignalError
from chromeprep.selection import TrackFile
from chromeprep.signals import Track, TrackInfo
from chromeprep.signals.means import Uncovered
from chromeprep.signals.reads import DEFAULT_RULE, ReadRule
from chromeprep.textfiles import read_lines

# Ends of file names, without .gz, -> kind.
_ENDINGS = {
    ".bam": "bam",
    ".cram": "cram",
    ".tagalign": "tagalign",
    ".ta": "tagalign",
    ".bed": "bed",
    ".bedgraph": "bedgraph",
    ".bdg": "bedgraph",
    ".bg": "bedgraph",
    ".bigwig": "bigwig",
    ".bw": "bigwig",
}
KINDS = ("bam", "cram", "tagalign", "bed", "bedgraph", "bigwig")
READ_KINDS = ("bam", "cram", "tagalign", "bed")


@dataclass(frozen=True)
class TrackOptions:
    """How files are read.

    Parameters
    ----------
    rule
        How reads count.
    uncovered
        What bases without a value in a signal track are: see `BigWigTrack`.
    reference
        FASTA for CRAM files that need one.
    engine
        ``fast``, or one of the independent references ``pysam`` and ``bedtools``.
    """

    rule: ReadRule = DEFAULT_RULE
    uncovered: Uncovered = "zero"
    reference: Path | None = None
    engine: str = "fast"


def kind_of(path: str | Path) -> str | None:
    """Return the kind of a file from the end of its name, None where that tells nothing.

    Examples
    --------
    >>> kind_of("E003-H3K4me3.tagAlign.gz"), kind_of("E003-H3K4me3.pval.signal.bigwig")
    ('tagalign', 'bigwig')
    >>> kind_of("E003-H3K4me3.txt")
    """
    name = Path(path).name.lower()
    name = name.removesuffix(".gz").removesuffix(".bgz")
    return _ENDINGS.get(Path(name).suffix)


def open_track(kind: str, path: Path, options: TrackOptions) -> Track:
    """Return the reader of a file of a kind of `KINDS`; the file itself is not touched."""
    rule, uncovered = options.rule, options.uncovered
    track: Track
    if kind == "bam":
        track = signals.BamTrack(path, rule)
    elif kind == "cram":
        track = signals.CramTrack(path, rule, options.reference)
    elif kind == "tagalign":
        track = signals.TagAlignTrack(path, rule)
    elif kind == "bed":
        track = signals.BedTrack(path, rule)
    elif kind == "bedgraph":
        track = signals.BedGraphTrack(path, uncovered)
    elif kind == "bigwig":
        track = signals.BigWigTrack(path, uncovered)
    else:
        raise ValueError(f"no kind of file: {kind!r}; there are {', '.join(KINDS)}")
    if options.engine == "fast":
        return track
    from chromeprep.signals.engines.choose import with_engine

    return with_engine(track, options.engine)


def read_chrom_sizes(path: str | Path) -> dict[str, int]:
    """Read chromosome lengths: two columns, name and bp, as UCSC's chrom.sizes or a .fai has them.

    Raises
    ------
    InputError
        Where a line is none of these, or a name stands twice.
    """
    sizes: dict[str, int] = {}
    for number, line in read_lines(path):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) < 2 or not fields[1].isdecimal() or int(fields[1]) < 1:
            raise InputError(
                f"expected a chromosome and its length in bp, found '{line[:60]}'",
                path=path,
                line=number,
            )
        if fields[0] in sizes:
            raise InputError(f"chromosome {fields[0]} stands twice", path=path, line=number)
        sizes[fields[0]] = int(fields[1])
    if not sizes:
        raise InputError("holds no chromosome", path=path)
    return sizes


def assembly_sizes(assembly: str | None) -> dict[str, int] | None:
    """Return the chromosome lengths of an assembly that pybedtools knows, such as hg19, or None."""
    name = (assembly or "").lower()
    known = getattr(_assemblies(), name, None) if name.isalnum() else None
    if not isinstance(known, dict):
        return None
    return {chrom: int(end) for chrom, (_, end) in known.items()}


@cache
def _assemblies() -> ModuleType:
    """Load pybedtools' table of assemblies, without all the rest of it."""
    package = importlib.util.find_spec("pybedtools")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "genome_registry.py"
    spec = importlib.util.spec_from_file_location("_genome_registry", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def describe(
    tracks: Sequence[Track],
    *,
    chrom_sizes: Path | None = None,
    like: Mapping[str, int] | None = None,
    assembly: str | None = None,
) -> list[TrackFile]:
    """Open every track and describe it, with chromosome lengths for those that do not say them.

    They are taken from `chrom_sizes`, else from another of the tracks, else from the file of bins
    that the genes are taken from, else from what is known of the assembly.

    Raises
    ------
    SignalError
        Where a track cannot be read, or nothing says how long its chromosomes are.
    """
    infos = [track.info() for track in tracks]
    return place(tracks, infos, chrom_sizes=chrom_sizes, like=like, assembly=assembly)


def place(
    tracks: Sequence[Track],
    infos: Sequence[TrackInfo],
    *,
    chrom_sizes: Path | None = None,
    like: Mapping[str, int] | None = None,
    assembly: str | None = None,
) -> list[TrackFile]:
    """Do what `describe` does with tracks that have been opened: `infos` are what they said."""
    sizes: Mapping[str, int] | None = None
    if chrom_sizes is not None:
        sizes = read_chrom_sizes(chrom_sizes)
    known = sizes or next((info.chromosomes for info in infos if info.chromosomes), None) or like
    if known is None and not all(info.chromosomes for info in infos):
        known = assembly_sizes(assembly)
    files = []
    for track, info in zip(tracks, infos, strict=True):
        chromosomes = known if info.chromosomes is None else info.chromosomes
        if chromosomes is None:
            raise SignalError(
                f"a {track.kind} does not say how long the chromosomes are",
                path=track.path,
                hint="give --chrom-sizes FILE (name and length a line, or a .fai), or "
                f"--assembly with one of {', '.join(_known_assemblies())}",
            )
        files.append(TrackFile(track.path, chromosomes, info))
    if sizes is not None and chrom_sizes is not None:
        # Last, so that it is held against the tracks without naming their chromosomes.
        files.append(TrackFile(chrom_sizes, sizes, TrackInfo(sizes, "", "")))
    return files


def _known_assemblies() -> list[str]:
    return [name for name in vars(_assemblies()) if assembly_sizes(name)]


def assays(
    tracks: Sequence[tuple[str, str, Path]],
    controls: Sequence[tuple[str | None, str, Path]],
    options: TrackOptions,
) -> tuple[Assay, ...]:
    """Put files of the same mark together.

    Parameters
    ----------
    tracks
        (mark, kind, path) of each.
    controls
        The same; one without a mark is the control of every mark that has none of its own.
    options
        How they are read. Where a mark has a control, its reads are counted in the whole file too.
    """
    own = {mark for mark, _, _ in controls if mark is not None}
    found = []
    for name in dict.fromkeys(mark for mark, _, _ in tracks):
        wanted = name if name in own else None
        background = [(kind, path) for mark, kind, path in controls if mark == wanted]
        how = replace(options, rule=options.rule.with_total()) if background else options
        found.append(
            Assay(
                name,
                tuple(open_track(kind, path, how) for mark, kind, path in tracks if mark == name),
                tuple(open_track(kind, path, how) for kind, path in background),
            )
        )
    return tuple(found)
