"""Binning other tracks like an existing file: its genes, windows and order of marks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from chromeprep.errors import FormatError, MismatchError, shorten
from chromeprep.expression import ExpressionColumn, Labels, median_labels
from chromeprep.format import Description, GeneTable, read_description
from chromeprep.selection import (
    Selection,
    Step,
    TrackFile,
    check_positions,
    chromosome_lengths,
    join_known,
    missing_chromosomes,
    with_expression,
)

_log = logging.getLogger(__name__)


def read_like(path: Path, assembly: str | None) -> Description:
    """Read all of a file but its signal, to bin other tracks like it.

    Parameters
    ----------
    path
        The file.
    assembly
        What the other tracks are said to be of.

    Raises
    ------
    FormatError
        Where it does not say where its genes are.
    MismatchError
        Where it is of another assembly.
    """
    like = read_description(path)
    if like.attributes.orientation != "5p-to-3p" or not all(like.genes.chrom):
        raise FormatError(
            "does not say where its genes are, so no other tracks can be binned like it", path=path
        )
    known = like.attributes.assembly
    if assembly not in (None, known) and "unknown" not in (known, assembly):
        raise MismatchError(
            f"is of assembly {known}, not {assembly}",
            path=path,
            hint="genes keep their positions only within one assembly; give --gtf instead",
        )
    return like


def like_marks(path: Path, like: Description, given: Sequence[str]) -> list[str]:
    """Return the marks in the order of the file.

    Raises
    ------
    MismatchError
        Where those given are not the same.
    """
    marks = like.mark_names
    missing = [mark for mark in marks if mark not in given]
    extra = [mark for mark in given if mark not in marks]
    if missing or extra:
        found = [f"no track for {shorten(missing)}"] if missing else []
        found += [f"{shorten(extra)} not in it"] if extra else []
        raise MismatchError(
            f"has the marks {', '.join(marks)}: {'; '.join(found)}",
            path=path,
            hint="give one track for each of its marks, or leave --like out and give --gtf",
        )
    return marks


def select_like(
    path: Path,
    like: Description,
    tracks: Sequence[TrackFile],
    table: ExpressionColumn | None,
    expression: Path | None,
) -> Selection:
    """Return the genes of a file, with the expression and labels of another cell type.

    Raises
    ------
    MismatchError
        Where a track lacks a chromosome of the genes, or has it in another length.
    """
    genes = like.genes
    for track in tracks:
        missing = missing_chromosomes(genes, track)
        if missing:
            raise MismatchError(
                f"has no {shorten(missing)}, where {sum(missing.values()):,} of the genes of "
                f"{path} are",
                path=track.path,
                hint="bin that file again without them (--genes, --regions), or give --gtf here",
            )
    check_positions(genes, tracks)
    for chrom, length in chromosome_lengths(genes, tracks).items():
        if like.chromosomes.get(chrom, length) != length:
            raise MismatchError(
                f"was binned where {chrom} has {like.chromosomes[chrom]:,} bp; "
                f"in {tracks[0].path} it has {length:,}",
                path=path,
                hint="another assembly? give --gtf instead of --like",
            )
    blank = GeneTable.build(genes.gene_id, genes.chrom, genes.start, genes.end, genes.strand,
                            genes.gene_name, genes.gene_type)  # fmt: skip
    steps: tuple[Step, ...] = (Step(len(genes), f"genes as in {path}"),)
    if table is None:
        return Selection(blank, float("nan"), steps)
    values = join_known(blank, table, str(path), expression)
    labels: Labels = median_labels(values)
    steps += (
        Step(
            int((labels.label >= 0).sum()),
            "of them known to the expression table; the median is theirs",
        ),
    )
    return Selection(with_expression(blank, values, labels), labels.threshold, steps)


def warn_of_differences(path: Path, like: Description, uncovered: str, blacklist: str) -> None:
    """Say in the log where a file was made by other rules."""
    if uncovered != like.attributes.uncovered:
        _log.warning(
            "%s: was binned with --uncovered %s, this file is with %s",
            path, like.attributes.uncovered, uncovered,
        )  # fmt: skip
    if Path(blacklist).name != Path(like.attributes.blacklist).name:
        _log.warning(
            "%s: was binned with %s, this file is with %s", path,
            f"--blacklist {like.attributes.blacklist}" if like.attributes.blacklist else
            "no blacklist",
            f"--blacklist {blacklist}" if blacklist else "none",
        )  # fmt: skip
