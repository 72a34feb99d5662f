"""Which runs are there of each model, by cell type and seed?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from chromemodel.benchmark.rows import (
    AGREEMENT,
    ALL,
    COMMON,
    CROSS,
    DIFFERS,
    LOOKUP,
    ORIGIN,
    OWN,
    UNCROSS,
    VARIABLE,
    WITHIN,
    Failure,
    Row,
)
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.fusion.steps import fused_name
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
    label_agreement: float = _UNKNOWN


class Series(NamedTuple):
    """All runs of one model by one method, on one set of test genes, by cell type and seed.

    ``model`` may have the panel beside it (`with_panel`); ``subset`` says which of the test genes.
    """

    model: str
    method: str
    test_set: str
    runs: Mapping[tuple[str, int], Run]
    subset: str = ALL

    @property
    def base(self) -> str:
        """The model without the panel beside it."""
        return self.model.removesuffix(fused_name(""))

    @property
    def with_panel(self) -> bool:
        """Whether the panel stands beside the model."""
        return self.method != LOOKUP and self.base != self.model

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


def subsets_of(spec: BenchmarkSpec) -> list[str]:
    """Return which of the test genes are scored: all, and those of interest."""
    return [ALL] + [VARIABLE] * (spec.panel is not None) + [DIFFERS] * (spec.protocol == "cross")


def is_deep(model: str) -> bool:
    """Return whether the training loop fits a model, and not scikit-learn."""
    return model in MODELS and MODELS.entry(model).fitter == "torch"


def collect(
    spec: BenchmarkSpec, rows: Iterable[Row], failures: Iterable[Failure] = ()
) -> list[Series]:
    """Sort rows into series: the models of the spec with or without runs, then lookups by name.

    Each model has the panel beside it in the next series, where there is one. Cell types and seeds
    that the spec does not have are left out.
    """
    known, seeds = set(targets(spec)), set(spec.seeds)
    found: dict[tuple[str, ...], dict[tuple[str, int], dict[str, float]]] = defaultdict(dict)
    for row in rows:
        if row.target in known and row.seed in seeds and math.isfinite(row.value):
            key = row.model, row.method, row.test_set, row.subset
            run = found[key].setdefault((row.target, row.seed), {})
            run |= {"genes": row.genes, "seconds": row.seconds, row.metric: row.value}
    lookups = {key[0] for key in found if key[1] == LOOKUP}
    lookups |= {one.model for one in failures if one.method == LOOKUP}
    order = []
    for test_set in [OWN, COMMON] if spec.common_genes else [OWN]:
        for subset in subsets_of(spec):
            order += [
                (name, method, test_set, subset)
                for model in spec.models
                for method in methods_of(model, spec)
                for name in [model] + [fused_name(model)] * (spec.panel is not None)
            ]
            of_lookups = [(name, LOOKUP, test_set, subset) for name in sorted(lookups)]
            order += [key for key in of_lookups if key[2:] == (OWN, ALL) or key in found]
    return [
        Series(model, method, test_set, _runs(found.get(key, {})), subset)
        for key in order
        for model, method, test_set, subset in [key]
    ]


def _runs(found: Mapping[tuple[str, int], Mapping[str, float]]) -> dict[tuple[str, int], Run]:
    return {
        key: Run(
            int(values["genes"]), values["seconds"], values["auroc"],
            *(values.get(name, _UNKNOWN) for name in ("auprc", "accuracy", "f1", AGREEMENT)),
        )
        for key, values in sorted(found.items())
        if "auroc" in values
    }  # fmt: skip


def find(
    everything: Iterable[Series], model: str, method: str, test_set: str, subset: str = ALL
) -> Series | None:
    """Return the series of that name if it has runs."""
    for series in everything:
        if (*series[:3], series.subset) == (model, method, test_set, subset) and series.runs:
            return series
    return None
