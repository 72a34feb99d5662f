"""Can all files of a sample sheet be opened, and do they fit each other and the genes?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chromeprep.assay import Assay
from chromeprep.chromosomes import is_mitochondrial, natural_key, reconcile
from chromeprep.errors import ChromeError, shorten
from chromeprep.like import like_marks
from chromeprep.request import BinRequest
from chromeprep.samplesheet import Problem, Sample
from chromeprep.selection import TrackFile
from chromeprep.shared import Shared
from chromeprep.signals import Track, TrackInfo
from chromeprep.tracks import place


def check_samples(
    samples: Sequence[Sample], requests: Sequence[BinRequest], shared: Shared, *, whole: bool
) -> list[Problem]:
    """Open all files, but read no signal, and return what is wrong.

    Parameters
    ----------
    samples
        Of a sheet.
    requests
        What is to be binned of each.
    shared
        What they have in common; it is read here.
    whole
        The rows of the sheet are all right in themselves, so that what does not fit is no mere
        consequence of a file left out.

    Raises
    ------
    ChromeError
        Where what they have in common is wrong.
    """
    opened = _Opened()
    problems: list[Problem] = []
    for sample, request in zip(samples, requests, strict=True):
        lines = {file.path: file.line for file in sample.controls + sample.tracks}
        tracks = [track for assay in request.assays for track in assay.files]
        failed = opened.open(tracks, lines)
        problems += failed
        if whole and not failed:
            problems += _misfits(sample, request, opened, lines, shared)
    if whole:
        problems += _check_columns(samples, requests, shared)
    return problems


class _Opened:
    """What files said when they were opened, once each."""

    def __init__(self) -> None:
        self._found: dict[Path, TrackInfo | ChromeError] = {}

    def open(self, tracks: Sequence[Track], lines: Mapping[Path, int]) -> list[Problem]:
        problems = []
        for track in tracks:
            if track.path not in self._found:
                try:
                    self._found[track.path] = track.info()
                except ChromeError as error:
                    self._found[track.path] = error
            found = self._found[track.path]
            if isinstance(found, ChromeError):
                problems.append(_problem(lines[track.path], found))
        return problems

    def info(self, track: Track) -> TrackInfo:
        found = self._found[track.path]
        assert not isinstance(found, ChromeError)
        return found


def _misfits(
    sample: Sample,
    request: BinRequest,
    opened: _Opened,
    lines: Mapping[Path, int],
    shared: Shared,
) -> Iterator[Problem]:
    like = None if request.like is None else shared.like(request.like, request.assembly)
    if like is not None and request.like is not None:
        genes, source = like.genes, request.like
        try:
            like_marks(request.like, like, sample.marks)
        except ChromeError as error:
            yield Problem(sample.line, f"{sample.cell_type}: {error.path} {error.message}")
    else:
        assert request.gtf is not None
        genes, source = shared.annotation(request.gtf, request.gene_types).genes, request.gtf
    tracks = _tracks(request.assays)
    try:
        files = place(
            tracks,
            [opened.info(track) for track in tracks],
            chrom_sizes=request.chrom_sizes,
            like=None if like is None else like.chromosomes,
            assembly=request.assembly,
        )
    except ChromeError as error:
        if error.path is None or error.path not in lines:  # --chrom-sizes, which all have in common
            raise
        yield _problem(lines[error.path], error)
        return
    chroms = list(dict.fromkeys(genes.chrom))
    for file in files:
        wrong = _chromosomes(chroms, file, files[0], source)
        if wrong is not None:
            yield Problem(lines.get(file.path, sample.line), f"{file.path}: {wrong}")


def _tracks(assays: Sequence[Assay]) -> list[Track]:
    return [track for assay in assays for track in assay.files]


def _chromosomes(
    chroms: Sequence[str], file: TrackFile, first: TrackFile, source: Path
) -> str | None:
    names = reconcile(chroms, file.chromosomes)
    if not names:
        theirs = shorten(sorted(file.chromosomes, key=natural_key), 5)
        ours = shorten(sorted(chroms, key=natural_key), 5)
        return f"has {theirs}; the genes of {source} are on {ours}"
    others = reconcile(chroms, first.chromosomes)
    for chrom, name in names.items():
        here, there = file.chromosomes[name], first.chromosomes.get(others.get(chrom, ""))
        if there not in (None, here) and not is_mitochondrial(chrom):
            return (
                f"{chrom} has {here:,} bp, in {first.path} of the same cell type {there:,}: are "
                "they of the same assembly?"
            )
    return None


def _check_columns(
    samples: Sequence[Sample], requests: Sequence[BinRequest], shared: Shared
) -> Iterator[Problem]:
    """Yield what is wrong with the choice of columns of the expression table."""
    taken = defaultdict(list)
    for sample, request in zip(samples, requests, strict=True):
        if request.expression is None:
            continue
        table = shared.table(request.expression)
        try:
            column = table.choose(request.expression_column, request.cell_type)
        except ChromeError as error:
            yield Problem(
                sample.line,
                f"{sample.cell_type}: {error.path} {_without_verb(error.message)} (the sheet may "
                "say which in its column expression_column)",
            )
            continue
        if request.expression_column is None and column != sample.cell_type:
            taken[column].append(sample)
    for column, of in taken.items():
        for sample in of if len(of) > 1 else []:
            yield Problem(
                sample.line,
                f"{sample.cell_type}: no column of the expression table has its name, and "
                f"'{column}' would be taken for {len(of)} cell types; name its column in "
                "expression_column",
            )


def _without_verb(message: str) -> str:
    return f"has {message}" if message.startswith("no column") else message


def _problem(line: int, error: ChromeError) -> Problem:
    return Problem(line, str(error).replace("\n  ", "; "))
