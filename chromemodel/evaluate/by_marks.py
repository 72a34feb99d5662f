"""What is each mark worth to a run that can do without?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.evaluate.evidence import Evidence
from chromemodel.evaluate.metrics import auroc
from chromemodel.evaluate.predictions import predict_answer
from chromemodel.tasks import check_classifies
from chromemodel.train.device import computing, pick_device
from chromeprep.errors import ChromeError


class Worth(NamedTuple):
    """AUROC with a mark alone, and with all but it."""

    mark: str
    alone: float
    left_out: float


class ByMarks(NamedTuple):
    """AUROC of some genes, in words, with all marks of a file and with some of them."""

    part: str
    genes: int
    all_marks: float
    marks: tuple[Worth, ...]

    def to_json(self) -> dict[str, Any]:
        """Return one object, the marks in a list."""
        return self._asdict() | {"marks": [one._asdict() for one in self.marks]}


def by_marks(evidence: Evidence, *, device: str = "cpu", threads: int | None = None) -> ByMarks:
    """Score a run on the first part of its genes with each mark alone and each left out.

    One model answers all; a run trained on the one mark may do better with it.

    Raises
    ------
    ChromeError
        Where the run was trained without mark dropout or is a regression, or where one mark only
        is there.
    """
    run, marks = evidence.run, evidence.config.layout.marks
    used = evidence.signals.used
    check_classifies(evidence.config.task.name, run.path, "a table by marks")
    if not evidence.config.training.mark_dropout:
        raise ChromeError(
            "was trained with all of its marks, so it cannot say what each is worth",
            path=run.path,
            hint="train it again with --mark-dropout 0.3",
        )
    if used.sum() < 2:
        raise ChromeError("has one mark to use; nothing can be left out", path=evidence.path)
    part, rows = evidence.parts[0]
    label = evidence.genes.label[rows]
    place = pick_device(device)
    with computing(threads):
        x = evidence.signals.normalised(evidence.config.normalisation)[rows]
        model = run.model.to(place)

        def area(kept: NDArray[np.bool_]) -> float:
            masked = np.where(kept[:, None], x, np.float32(0))
            return auroc(label, predict_answer(model, masked, place))

        found = []
        for index in np.flatnonzero(used):
            one = np.arange(len(marks)) == index
            found.append(Worth(marks[index], area(one), area(used & ~one)))
        return ByMarks(part, len(label), area(used), tuple(found))


def by_marks_table(found: ByMarks) -> str:
    """Return a table, one mark a line, with what is lost without it.

    Examples
    --------
    >>> print(by_marks_table(ByMarks("test", 9, 0.9, (Worth("H3K4me3", 0.85, 0.7),))))
    AUROC by marks, test: 9 genes, 0.9000 with all
    mark      alone  left out     lost
    H3K4me3  0.8500    0.7000  +0.2000
    """
    width = max(len("mark"), *(len(one.mark) for one in found.marks))
    lines = [
        f"AUROC by marks, {found.part}: {found.genes:,} genes, {found.all_marks:.4f} with all",
        f"{'mark'.ljust(width)}   alone  left out     lost",
    ]
    for one in found.marks:
        lost = found.all_marks - one.left_out
        lines.append(f"{one.mark.ljust(width)}  {one.alone:.4f}    {one.left_out:.4f}  {lost:+.4f}")
    return "\n".join(lines)
