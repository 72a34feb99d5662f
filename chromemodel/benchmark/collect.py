"""Which numbers do the finished runs of a benchmark give, on which genes?

A run is scored on its own test genes, as in its ``metrics.json``. In ``cross`` those of ``origin``
and of the others differ (but for new genes), so all are scored once more on the genes that test in
both. What is known without any model stands beside, and some of the genes are scored apart
(`chromemodel.benchmark.beside`).
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chromemodel.benchmark.beside import Beside, ids_digest, known_beside
from chromemodel.benchmark.folder import Folder, Record
from chromemodel.benchmark.jobs import Job, plan_jobs
from chromemodel.benchmark.panels import Spoken, read_again, spoken_in
from chromemodel.benchmark.predicted import Predicted, common_genes, read_predictions
from chromemodel.benchmark.rows import (
    AGREEMENT,
    ALL,
    COMMON,
    CROSS,
    LOOKUP,
    ORIGIN,
    OWN,
    UNCROSS,
    Row,
)
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.data.splits import TEST
from chromemodel.evaluate.metrics import Metrics
from chromemodel.fusion.steps import fused_name
from chromemodel.train.checkpoint import METRICS, PREDICTIONS, SOURCE_ONLY, read_config
from chromeprep.errors import FormatError
from chromeprep.format import GeneTable, Panel, read_description

_Case = tuple[str, str, int]  # model, target, seed
_FIELDS = tuple(name for name in Metrics._fields if name != "genes")


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
    spoken
        Which cell types of the panel spoke in the finished runs, by source and target.
    """

    def __init__(self, folder: Folder, spec: BenchmarkSpec) -> None:
        self.folder, self.spec = folder, spec
        self.jobs = {job.key: job for job in plan_jobs(spec)}
        self.records: dict[str, Record] = {}
        self.notes: dict[str, None] = {}
        self.spoken: dict[tuple[str, str], Spoken] = {}
        self._rows: dict[str, list[Row]] = {}
        self._predicted: dict[str, dict[str, Predicted]] = {}
        self._cases: dict[_Case, list[Job]] = defaultdict(list)
        for job in self.jobs.values():
            self._cases[_case(job)].append(job)
        self._common: dict[_Case, list[Row]] = {}
        self._looked_up: dict[tuple[str, int], list[Row]] = {}
        self._beside: dict[tuple[str, str], Beside] = {}
        self._source: GeneTable | None = None
        self._panel: Panel | None = None

    def add(self, job: Job, record: Record) -> None:
        """Take the numbers of a finished run, and those that it completes.

        Raises
        ------
        FormatError
            Where its ``metrics.json`` or ``predictions.tsv`` is damaged; then nothing is taken.
        MismatchError
            Where the panel is another one now.
        """
        outcomes = _outcomes(job, self.folder.run(job))
        rows: list[Row] = []
        predicted: dict[str, Predicted] = {}
        if self.spec.protocol != "cross" and job.panel is None:
            for method, path in outcomes:
                metrics = _own_metrics(path / METRICS, job)
                rows += _rows(job, job.model, method, OWN, ALL, metrics, record.seconds)
        else:
            beside = self._known_beside(job)
            for method, path in outcomes:
                predicted[method] = one = read_predictions(path / PREDICTIONS)
                if ids_digest(one.gene_id) != beside.ids:
                    raise FormatError(
                        f"has other genes than {job.target.path}", path=path / PREDICTIONS
                    )
                found = list(_scored(job, method, OWN, one, one.test, beside, record.seconds))
                if not found:
                    raise FormatError("has no test genes of both labels", path=path / PREDICTIONS)
                rows += found
        self.records[job.key] = record
        self._rows[job.key] = rows
        if self.spec.protocol == "cross":
            self._predicted[job.key] = predicted
            self._complete(_case(job))
        elif job.panel is not None:
            self._look_up(job, predicted[job.method], None)

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

        The common test genes of `origin`, `uncross` and `cross`, where they differ, and the
        lookups.
        """
        done = [job for job in self._cases[case] if job.key in self._predicted]
        if len(done) < len(self._cases[case]):
            return
        predicted = {job.key: self._predicted.pop(job.key) for job in done}
        by_method = {name: one for of in predicted.values() for name, one in of.items()}
        _, target, seed = case
        carried = next(job for job in done if job.adapts)
        common: NDArray[np.bool_] | None = None
        if self.spec.common_genes:
            common = common_genes(by_method[ORIGIN], by_method[UNCROSS])
            # The same genes for all: variable in the panel of the run that left out the most.
            beside = self._known_beside(carried)
            self._common[case] = [
                row
                for job in done
                for method, one in predicted[job.key].items()
                for row in _scored(
                    job, method, COMMON, one, common, beside, self.records[job.key].seconds
                )
            ]
            if not self._common[case]:
                self.notes[
                    f"warning: {target}, seed {seed}: the {int(common.sum())} genes that test in "
                    "origin and in uncross are not of both classes; there is no common test set"
                ] = None
        self._look_up(carried, by_method[UNCROSS], common)

    def _look_up(self, job: Job, target: Predicted, common: NDArray[np.bool_] | None) -> None:
        """Score what is known without a model, once for all models of a target and seed."""
        if (job.target.name, job.seed) in self._looked_up:
            return
        beside = self._known_beside(job)
        if beside.missing:
            kind = "expression" if "source expression" in beside.lookups else "label"
            self.notes[
                f"notice: {job.target.name}: {beside.missing} of {beside.genes} genes have "
                f"no {kind} in {job.source.name}; the lookup puts them at its median"
            ] = None
        self._looked_up[job.target.name, job.seed] = [
            row
            for name, score in beside.lookups.items()
            for test_set, rows in ((OWN, target.test), (COMMON, common))
            if rows is not None
            for row in _subsets(job, name, LOOKUP, test_set, target, rows, score, beside, 0.0)
        ]

    def _known_beside(self, job: Job) -> Beside:
        """Return what is known of the genes that a run predicts; the same for every seed."""
        key = job.source.name, job.target.name
        if key not in self._beside:
            if self.spec.protocol == "cross" and self._source is None:
                named = (one for one in self.spec.cell_types if one.name == self.spec.source)
                self._source = read_description(next(named).path).genes
            genes = read_description(job.target.path).genes
            self._beside[key] = known_beside(genes, self._source, self._speakers(job))
        return self._beside[key]

    def _speakers(self, job: Job) -> Panel | None:
        """Return the panel of those that spoke in a finished run."""
        record = read_config(self.folder.run(job)).panel
        if job.panel is None or record is None:
            return None
        if self._panel is None:
            self._panel = read_again(job.panel)
        self.spoken[job.source.name, job.target.name] = spoken_in(job, record)
        return self._panel.without(record.left_out) if record.left_out else self._panel


def _case(job: Job) -> _Case:
    return job.model, job.target.name, job.seed


def _outcomes(job: Job, run: Path) -> list[tuple[str, Path]]:
    if job.method == CROSS:
        return [(UNCROSS, run / SOURCE_ONLY), (CROSS, run)]
    return [(job.method, run)]


def _own_metrics(path: Path, job: Job) -> Metrics:
    """Return the scores of a run of one cell type on the genes that test it."""
    try:
        scores: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["scores"]
        own = [one for one in scores if one["model"] == job.model and one["part"] == TEST]
        return Metrics(**{field: own[0][field] for field in Metrics._fields})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FormatError(f"has no scores of test genes: {error}", path=path) from error


def _scored(
    job: Job,
    method: str,
    test_set: str,
    one: Predicted,
    rows: NDArray[np.bool_],
    beside: Beside,
    seconds: float,
) -> Iterator[Row]:
    """Score the marks, and marks and panel together, on some genes and subsets of them."""
    yield from _subsets(
        job, job.model, method, test_set, one, rows, one.probability, beside, seconds
    )
    if one.both is not None:
        name = fused_name(job.model)
        yield from _subsets(job, name, method, test_set, one, rows, one.both, beside, seconds)


def _subsets(
    job: Job,
    model: str,
    method: str,
    test_set: str,
    one: Predicted,
    rows: NDArray[np.bool_],
    said: NDArray[np.floating[Any]],
    beside: Beside,
    seconds: float,
) -> Iterator[Row]:
    for subset, chosen in beside.subsets(rows, one.label):
        metrics = one.score(chosen, said)
        if metrics is not None:
            same = beside.agreement(chosen, one.label)
            yield from _rows(job, model, method, test_set, subset, metrics, seconds, same)


def _rows(
    job: Job,
    model: str,
    method: str,
    test_set: str,
    subset: str,
    metrics: Metrics,
    seconds: float,
    agreement: float = math.nan,
) -> Iterator[Row]:
    values = {name: getattr(metrics, name) for name in _FIELDS}
    if math.isfinite(agreement):
        values[AGREEMENT] = agreement
    for name, value in values.items():
        yield Row(
            model=model,
            method=method,
            source=job.source.name,
            target=job.target.name,
            split=job.split.rule,
            seed=job.seed,
            test_set=test_set,
            subset=subset,
            genes=metrics.genes,
            metric=name,
            value=value,
            seconds=seconds,
        )
