"""Which numbers do the finished runs of a benchmark give, on which genes?

A run is scored on its own test genes, as in its ``metrics.json``. In ``cross`` those of ``origin``
and of the others differ (but for new genes), so all are scored once more on the genes that test in
both.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.benchmark.folder import Folder, Record
from chromemodel.benchmark.jobs import Job, plan_jobs
from chromemodel.benchmark.rows import COMMON, CROSS, LOOKUP, ORIGIN, OWN, UNCROSS, Row
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.data.splits import TEST
from chromemodel.evaluate.lookup import source_expression
from chromemodel.evaluate.metrics import Metrics, binary_metrics
from chromemodel.evaluate.predictions import COLUMNS
from chromemodel.train.checkpoint import METRICS, PREDICTIONS, SOURCE_ONLY
from chromeprep.errors import FormatError
from chromeprep.format import GeneTable, read_description

_Case = tuple[str, str, int]  # model, target, seed
_FIELDS = tuple(name for name in Metrics._fields if name != "genes")


class Predicted(NamedTuple):
    """What a run said of each gene: all arrays of shape (genes,)."""

    gene_id: NDArray[np.object_]
    probability: NDArray[np.float32]
    label: NDArray[np.int8]
    part: NDArray[np.object_]

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which genes are labelled test genes."""
        return np.asarray((self.part == TEST) & (self.label >= 0))


def read_predictions(path: Path) -> Predicted:
    """Read ``predictions.tsv`` of a run folder; probabilities are as they were, bit by bit.

    Raises
    ------
    FormatError
        Where it is not one.
    """
    columns = (*COLUMNS, "part")
    wanted = [columns.index(name) for name in ("gene_id", "probability", "label", "part")]
    try:
        with path.open(encoding="utf-8") as handle:
            header = tuple(handle.readline().rstrip("\n").split("\t"))
            rows = [line.rstrip("\n").split("\t") for line in handle]
        if header != columns:
            raise FormatError(f"columns are {', '.join(header)}", path=path)
        gene_id, probability, label, part = ([row[i] for row in rows] for i in wanted)
        return Predicted(
            np.array(gene_id, dtype=object),
            np.array([float(text) for text in probability], dtype=np.float32),
            np.array([int(text) for text in label], dtype=np.int8),
            np.array(part, dtype=object),
        )
    except (OSError, ValueError, IndexError) as error:
        raise FormatError(f"cannot be read: {error}", path=path) from error


def common_genes(origin: Predicted, other: Predicted) -> set[str]:
    """Return the ids of the labelled genes that are test genes of both.

    Examples
    --------
    >>> def predicted(*part):
    ...     genes = np.array(["a", "b", "c"][: len(part)], dtype=object)
    ...     return Predicted(genes, np.zeros(len(part)), np.zeros(len(part)), np.array(part))
    >>> common_genes(predicted("test", "test", "train"), predicted("test", "adapting", "test"))
    {'a'}
    """
    return set(origin.gene_id[origin.test]) & set(other.gene_id[other.test])


class Collector:
    """Keeps the rows of the runs that are finished.

    Parameters
    ----------
    folder, spec
        The benchmark.

    Attributes
    ----------
    records
        Of the finished runs, by their keys.
    notes
        What a reader of the numbers must know.
    """

    def __init__(self, folder: Folder, spec: BenchmarkSpec) -> None:
        self.folder, self.spec = folder, spec
        self.jobs = {job.key: job for job in plan_jobs(spec)}
        self.records: dict[str, Record] = {}
        self.notes: dict[str, None] = {}
        self._rows: dict[str, list[Row]] = {}
        self._predicted: dict[str, dict[str, Predicted]] = {}
        self._cases: dict[_Case, list[Job]] = defaultdict(list)
        for job in self.jobs.values():
            self._cases[_case(job)].append(job)
        self._common: dict[_Case, list[Row]] = {}
        self._looked_up: dict[tuple[str, int], list[Row]] = {}
        self._source: GeneTable | None = None

    def add(self, job: Job, record: Record) -> None:
        """Take the numbers of a finished run, and those that it completes.

        Raises
        ------
        FormatError
            Where its ``metrics.json`` or ``predictions.tsv`` is damaged; then nothing is taken.
        """
        outcomes = _outcomes(job, self.folder.run(job))
        rows = [
            row
            for method, path in outcomes
            for row in _rows(
                job, method, OWN, _own_metrics(path / METRICS, job, method), record.seconds
            )
        ]
        if self.spec.protocol == "cross":
            self._predicted[job.key] = {
                method: read_predictions(path / PREDICTIONS) for method, path in outcomes
            }
        self.records[job.key] = record
        self._rows[job.key] = rows
        if self.spec.protocol == "cross":
            self._complete(_case(job))

    def rows(self) -> list[Row]:
        """Return all rows, in the order of the plan whatever finished first."""
        found: list[Row] = []
        for key, job in self.jobs.items():
            found += self._rows.get(key, [])
            if job.adapts:
                found += self._common.get(_case(job), [])
        for key_ in sorted(self._looked_up, key=self._position):
            found += self._looked_up[key_]
        return found

    def _position(self, case: tuple[str, int]) -> tuple[int, int]:
        names = [one.name for one in self.spec.cell_types]
        return names.index(case[0]), self.spec.seeds.index(case[1])

    def _complete(self, case: _Case) -> None:
        """Score what waits until all runs of a model on a target are there.

        The common test genes of `origin`, `uncross` and `cross`, where they differ, and the lookup.
        """
        done = [job for job in self._cases[case] if job.key in self._predicted]
        if len(done) < len(self._cases[case]):
            return
        predicted = {job.key: self._predicted.pop(job.key) for job in done}
        by_method = {name: one for of in predicted.values() for name, one in of.items()}
        other = by_method[UNCROSS]
        _, target, seed = case
        common: set[str] | None = None
        if self.spec.common_genes:
            common = common_genes(by_method[ORIGIN], other)
            self._common[case] = self._on_common(done, predicted, common)
            if not self._common[case]:
                self.notes[
                    f"warning: {target}, seed {seed}: the {len(common)} genes that test in origin "
                    "and in uncross are not of both classes; there is no common test set"
                ] = None
        if (target, seed) not in self._looked_up:
            self._look_up(next(job for job in done if job.adapts), other, common)

    def _on_common(
        self, done: list[Job], predicted: Mapping[str, Mapping[str, Predicted]], common: set[str]
    ) -> list[Row]:
        return [
            row
            for job in done
            for method, one in predicted[job.key].items()
            for row in _rows(
                job,
                method,
                COMMON,
                _metrics_of(one, common, one.probability),
                self.records[job.key].seconds,
            )
        ]

    def _look_up(self, job: Job, target: Predicted, common: set[str] | None) -> None:
        if self._source is None:
            self._source = read_description(job.source.path).genes
        lookup = source_expression(self._source, read_description(job.target.path).genes)
        missing = int((~lookup.found).sum())
        if missing:
            self.notes[
                f"notice: {job.target.name}: {missing} of {len(lookup.found)} genes have no "
                f"{lookup.kind} in {job.source.name}; the lookup puts them at its median"
            ] = None
        score = np.where(lookup.found, lookup.score, 0.5)
        own = set(target.gene_id[target.test])
        self._looked_up[job.target.name, job.seed] = [
            row._replace(model=f"source {lookup.kind}")
            for test_set, genes in ((OWN, own), (COMMON, common))
            if genes is not None
            for row in _rows(job, LOOKUP, test_set, _metrics_of(target, genes, score), 0.0)
        ]


def _case(job: Job) -> _Case:
    return job.model, job.target.name, job.seed


def _outcomes(job: Job, run: Path) -> list[tuple[str, Path]]:
    if job.method == CROSS:
        return [(UNCROSS, run / SOURCE_ONLY), (CROSS, run)]
    return [(job.method, run)]


def _own_metrics(path: Path, job: Job, method: str) -> Metrics:
    """Return the scores of a run on the genes that test it."""
    name = job.model
    if job.adapts:
        name = job.adaptation if method == CROSS else SOURCE_ONLY
    try:
        scores: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["scores"]
        own = [
            one
            for one in scores
            if one["model"] == name and one["part"] in (TEST, job.split.test_words)
        ]
        return Metrics(**{field: own[0][field] for field in Metrics._fields})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FormatError(f"has no scores of test genes: {error}", path=path) from error


def _metrics_of(
    predicted: Predicted, genes: set[str], score: NDArray[np.floating[Any]]
) -> Metrics | None:
    rows = predicted.test & np.array([name in genes for name in predicted.gene_id], dtype=bool)
    label = predicted.label[rows]
    return binary_metrics(label, score[rows]) if len(np.unique(label)) == 2 else None


def _rows(
    job: Job, method: str, test_set: str, metrics: Metrics | None, seconds: float
) -> Iterator[Row]:
    if metrics is None:
        return
    for name in _FIELDS:
        yield Row(
            model=job.model,
            method=method,
            source=job.source.name,
            target=job.target.name,
            split=job.split.rule,
            seed=job.seed,
            test_set=test_set,
            genes=metrics.genes,
            metric=name,
            value=getattr(metrics, name),
            seconds=seconds,
        )
