"""What did a finished run say of each gene, and how good was that on some of them?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.data.splits import TEST
from chromemodel.evaluate.metrics import Metrics, binary_metrics
from chromemodel.evaluate.predictions import COLUMNS, TOLD
from chromeprep.errors import FormatError


class Predicted(NamedTuple):
    """What a run said of each gene: all arrays of shape (genes,).

    ``probability`` is that of the marks; ``both`` that of marks and panel, None without a panel.
    """

    gene_id: NDArray[np.object_]
    probability: NDArray[np.float32]
    label: NDArray[np.int8]
    part: NDArray[np.object_]
    both: NDArray[np.float32] | None = None

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which genes are labelled test genes."""
        return np.asarray((self.part == TEST) & (self.label >= 0))

    def score(self, rows: NDArray[np.bool_], said: NDArray[np.floating[Any]]) -> Metrics | None:
        """Score what was said (genes,) on some genes; None where they are of one class."""
        label = self.label[rows]
        return binary_metrics(label, said[rows]) if len(np.unique(label)) == 2 else None


def read_predictions(path: Path) -> Predicted:
    """Read ``predictions.tsv`` of a run folder; probabilities are as they were, bit by bit.

    Raises
    ------
    FormatError
        Where it is not one.
    """
    try:
        with path.open(encoding="utf-8") as handle:
            header = tuple(handle.readline().rstrip("\n").split("\t"))
            rows = [line.rstrip("\n").split("\t") for line in handle]
        told = header == (*COLUMNS, *TOLD, "part")
        if not told and header != (*COLUMNS, "part"):
            raise FormatError(f"columns are {', '.join(header)}", path=path)
        column = {name: [row[i] for row in rows] for i, name in enumerate(header)}
        said = _numbers(column["probability"])
        return Predicted(
            gene_id=np.array(column["gene_id"], dtype=object),
            probability=_numbers(column["marks_probability"]) if told else said,
            label=np.array([int(text) for text in column["label"]], dtype=np.int8),
            part=np.array(column["part"], dtype=object),
            both=said if told else None,
        )
    except (OSError, ValueError, IndexError) as error:
        raise FormatError(f"cannot be read: {error}", path=path) from error


def common_genes(origin: Predicted, other: Predicted) -> NDArray[np.bool_]:
    """Return which genes (genes,) of a file are labelled test genes of two runs on it.

    Examples
    --------
    >>> def predicted(*part):
    ...     genes = np.array(["a", "b", "c"][: len(part)], dtype=object)
    ...     return Predicted(genes, np.zeros(len(part)), np.zeros(len(part)), np.array(part))
    >>> common_genes(predicted("test", "test", "train"), predicted("test", "adapting", "test"))
    array([ True, False, False])
    """
    return origin.test & other.test


def _numbers(texts: list[str]) -> NDArray[np.float32]:
    return np.array([float(text) for text in texts], dtype=np.float32)
