"""Is one run better than another, on genes that neither was trained on?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.evidence import Evidence, gather
from chromemodel.evaluate.metrics import Score
from chromemodel.evaluate.seen import Seen, seen_of, warning_words
from chromemodel.evaluate.uncertainty import Difference
from chromeprep.errors import MismatchError

logger = logging.getLogger(__name__)

ONE_SEED = (
    "the intervals and the p-value are over genes; how much another seed of the training would "
    "change is not in them"
)


class Comparison(NamedTuple):
    """Two runs on the same genes of one file.

    ``scores`` and ``seen`` are those of the first and the second; ``difference`` is first minus
    second, and ``notes`` what a reader must know.
    """

    data: Path
    scores: tuple[Score, Score]
    seen: tuple[Seen, Seen]
    difference: Difference
    notes: tuple[str, ...]


def compare_runs(
    first: str | Path,
    second: str | Path,
    data: str | Path | None = None,
    *,
    common_genes: bool = False,
    marks: Sequence[str] = (),
    device: str = "cpu",
    threads: int | None = None,
    replicates: int = 1000,
) -> Comparison:
    """Compare two runs on the test genes of their file, or of another.

    Both runs predict anew, so runs of different marks, models and commands can be compared, and
    labels are those that the file holds now.

    Parameters
    ----------
    first, second
        Run folders.
    data
        A file of bins with labels; by default the one that both runs are tested on.
    common_genes
        Where the runs have different test genes, take those that both have.
    marks, device, threads
        As for `evaluate_run`.
    replicates
        Of the paired bootstrap; 0: no intervals.

    Raises
    ------
    MismatchError
        Where the runs are tested on different files or genes or are of different tasks, or one was
        trained on these labels.
    RunError, FormatError, InputError
        As `evaluate_run`.
    """
    runs = (Path(first), Path(second))
    one, two = (gather(run, data, marks=marks, device=device, threads=threads) for run in runs)
    if one.path.resolve() != two.path.resolve():
        raise MismatchError(
            f"is tested on {one.path}, {runs[1]} on {two.path}",
            path=runs[0],
            hint="name one file for both: --data FILE",
        )
    task = one.task
    if task.learned != two.task.learned:
        raise MismatchError(
            f"predicts the {task.learned} of genes, {runs[1]} their {two.task.learned}",
            path=runs[0],
            hint="compare runs of one --task",
        )
    rows = _test_genes(runs, one, two, common_genes)
    task.check(one.genes, rows, "common test genes", one.path)
    names = _names(*runs)
    seen = (_seen(runs[0], one, rows), _seen(runs[1], two, rows))
    for entry in seen if data is not None else ():
        if entry.protocol == "same-genes":
            logger.warning(warning_words(entry, one.path))
    if seen[0].protocol != seen[1].protocol:
        logger.warning(
            "warning: %s is scored as %s, %s as %s: one knows more of these genes than the other",
            names[0], seen[0].protocol, names[1], seen[1].protocol,
        )  # fmt: skip
    scores = [
        task.score(name, "test genes of both", one.genes, rows, evidence.own, replicates)
        for name, evidence in zip(names, (one, two), strict=True)
    ]
    difference = task.compare(one.genes, rows, one.own, two.own, replicates)
    words = [f"{name}: {entry.words}" for name, entry in zip(names, seen, strict=True)]
    return Comparison(one.path, (scores[0], scores[1]), seen, difference, (*words, ONE_SEED))


def _test_genes(
    runs: tuple[Path, Path], one: Evidence, two: Evidence, common: bool
) -> NDArray[np.bool_]:
    ours, theirs = one.parts[0][1], two.parts[0][1]
    both = ours & theirs
    if not common and not np.array_equal(ours, theirs):
        raise MismatchError(
            f"has {int(ours.sum()):,} test genes in {one.path}, {runs[1]} has "
            f"{int(theirs.sum()):,}; {int(both.sum()):,} are common",
            path=runs[0],
            hint="train with the same split and seed, or score the common ones: --common-genes",
        )
    return both


def _seen(run: Path, evidence: Evidence, rows: NDArray[np.bool_]) -> Seen:
    seen = seen_of(
        evidence.config, evidence.near, evidence.genes, evidence.parts[0][0], rows,
        here=evidence.here, target=evidence.target,
    )._replace(panel=evidence.in_panel(rows))  # fmt: skip
    if seen.protocol == "training-genes":
        raise MismatchError(
            f"was trained on labels of {evidence.path} itself, of {seen.known:,} of the "
            f"{seen.genes:,} genes; they cannot test it",
            path=run,
        )
    return seen


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Return short names of two folders that tell them apart."""
    if first.name and second.name and first.name != second.name:
        return first.name, second.name
    return str(first), str(second)
