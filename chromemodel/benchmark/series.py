"""Which runs are there of each model, by cell type and seed?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from chromemodel.benchmark.rows import (
    COMMON,
    CROSS,
    LOOKUP,
    ORIGIN,
    OWN,
    UNCROSS,
    WITHIN,
    Failure,
    Row,
)
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.models import MODELS
from chromemodel.train.checkpoint import SOURCE_ONLY

_UNKNOWN = float("nan")


class Run(NamedTuple):
    """Metrics of one run on one set of test genes; NaN where a metric is not in the rows."""

    genes: int
    seconds: float
    auroc: float
    auprc: float
    accuracy: float
    f1: float


class Series(NamedTuple):
    """All runs of one model by one method, on one set of test genes, by cell type and seed."""

    model: str
    method: str
    test_set: str
    runs: Mapping[tuple[str, int], Run]

    def cell_types(self) -> list[str]:
        """Return the cell types there are runs of, sorted."""
        return sorted({cell_type for cell_type, _ in self.runs})

    def seeds(self) -> list[int]:
        """Return the seeds there are runs of, sorted."""
        return sorted({seed for _, seed in self.runs})

    def of(self, cell_type: str) -> list[Run]:
        """Return the runs on a cell type in the order of seeds."""
        keys = sorted(key for key in self.runs if key[0] == cell_type)
        return [self.runs[key] for key in keys]


def targets(spec: BenchmarkSpec) -> list[str]:
    """Return the cell types that are tested on, in the order of the spec."""
    return [entry.name for entry in spec.cell_types if entry.name != spec.source]


def methods_of(model: str, spec: BenchmarkSpec) -> list[str]:
    """Return the methods a model is to run by; what scikit-learn fits cannot be adapted."""
    if spec.protocol != "cross":
        return [WITHIN]
    adapted = is_deep(model) and spec.method != SOURCE_ONLY
    return [ORIGIN, UNCROSS, CROSS] if adapted else [ORIGIN, UNCROSS]


def is_deep(model: str) -> bool:
    """Return whether the training loop fits a model, and not scikit-learn."""
    return model in MODELS and MODELS.entry(model).fitter == "torch"


def collect(
    spec: BenchmarkSpec, rows: Iterable[Row], failures: Iterable[Failure] = ()
) -> list[Series]:
    """Sort rows into series: the models of the spec with or without runs, then lookups by name.

    Cell types and seeds that the spec does not have are left out.
    """
    known, seeds = set(targets(spec)), set(spec.seeds)
    found: dict[tuple[str, str, str], dict[tuple[str, int], dict[str, float]]] = defaultdict(dict)
    for row in rows:
        if row.target in known and row.seed in seeds and math.isfinite(row.value):
            run = found[row.model, row.method, row.test_set].setdefault((row.target, row.seed), {})
            run |= {"genes": row.genes, "seconds": row.seconds, row.metric: row.value}
    sets = [OWN, COMMON] if spec.common_genes else [OWN]
    order = [
        (model, method, test_set)
        for test_set in sets
        for model in spec.models
        for method in methods_of(model, spec)
    ]
    lookups = {(model, LOOKUP) for model, method, _ in found if method == LOOKUP}
    lookups |= {(one.model, LOOKUP) for one in failures if one.method == LOOKUP}
    order += [
        (*lookup, test_set)
        for test_set in sets
        for lookup in sorted(lookups)
        if test_set == OWN or (*lookup, test_set) in found
    ]
    return [Series(*key, _runs(found.get(key, {}))) for key in order]


def _runs(found: Mapping[tuple[str, int], Mapping[str, float]]) -> dict[tuple[str, int], Run]:
    return {
        key: Run(
            int(values["genes"]), values["seconds"], values["auroc"],
            *(values.get(name, _UNKNOWN) for name in ("auprc", "accuracy", "f1")),
        )
        for key, values in sorted(found.items())
        if "auroc" in values
    }  # fmt: skip


def find(everything: Iterable[Series], model: str, method: str, test_set: str) -> Series | None:
    """Return the series of that name if it has runs."""
    for series in everything:
        if series[:3] == (model, method, test_set) and series.runs:
            return series
    return None
