"""What do the rows of a benchmark come to? Arithmetic alone; no word of it, no picture."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median, stdev
from typing import Literal, NamedTuple

from chromemodel.benchmark.rows import CROSS, LOOKUP, ORIGIN, UNCROSS, WITHIN, Failure, Row
from chromemodel.benchmark.series import Series, collect, find, targets
from chromemodel.benchmark.spec import BenchmarkSpec

Status = Literal["complete", "incomplete", "failed", "not run"]

#: AUROC times this is points.
POINTS = 100
_UNKNOWN = float("nan")


class OfCellType(NamedTuple):
    """A series on one cell type: means over ``seeds`` runs, standard deviation of the AUROC."""

    cell_type: str
    seeds: int
    genes: float
    auroc: float
    auroc_sd: float
    auprc: float
    accuracy: float
    f1: float
    label_agreement: float


class Pairs(NamedTuple):
    """Two series on the same cell types and seeds.

    ``difference`` is the mean of AUROC minus that of the other, over pairs; ``won`` counts pairs
    with the higher AUROC, ``tied`` equal ones.
    """

    total: int
    difference: float
    won: int
    tied: int


class Summary(NamedTuple):
    """A line of the table.

    ``low`` to ``median`` are of AUROC over cell types, each cell type's being the mean over its
    seeds; the other metrics are means likewise, and so is ``label_agreement``, the share of the
    genes with the label that they have in the source. ``seed_sd`` is the standard deviation over
    seeds of the mean over the cell types that have all of them. ``drop`` is in points below
    ``origin`` over the pairs of cell type and seed that both have. ``against`` is what `pairs` is
    held against.
    """

    series: Series
    status: Status
    low: float
    mean: float
    high: float
    median: float
    auprc: float
    accuracy: float
    f1: float
    label_agreement: float
    seed_sd: float
    cell_types_asked: int
    runs_asked: int
    failed: int
    seconds: float
    drop: float
    against: Series | None
    pairs: Pairs


def by_cell_type(series: Series) -> list[OfCellType]:
    """Average a series over its seeds, cell type by cell type; sorted by name."""
    result = []
    for cell_type in series.cell_types():
        runs = series.of(cell_type)
        result.append(
            OfCellType(
                cell_type,
                len(runs),
                _mean(run.genes for run in runs),
                _mean(run.auroc for run in runs),
                _sd([run.auroc for run in runs]),
                _mean(run.auprc for run in runs),
                _mean(run.accuracy for run in runs),
                _mean(run.f1 for run in runs),
                _mean(run.label_agreement for run in runs),
            )
        )
    return result


def pairs(one: Series, other: Series) -> Pairs:
    """Compare two series where both have a run of the same cell type and seed.

    Examples
    --------
    >>> from chromemodel.benchmark.series import Run
    >>> def series(name, *aurocs):
    ...     runs = {("A", seed): Run(9, 1, auroc, 0, 0, 0) for seed, auroc in enumerate(aurocs)}
    ...     return Series(name, "within", "own", runs)
    >>> pairs(series("x", 0.75, 0.5, 0.5), series("y", 0.5, 0.5))
    Pairs(total=2, difference=0.125, won=1, tied=1)
    """
    shared = [key for key in one.runs if key in other.runs]
    gaps = [one.runs[key].auroc - other.runs[key].auroc for key in shared]
    return Pairs(
        len(gaps), _mean(gaps), sum(gap > 0 for gap in gaps), sum(gap == 0 for gap in gaps)
    )


def summarise(
    spec: BenchmarkSpec, rows: Sequence[Row], failures: Sequence[Failure]
) -> list[Summary]:
    """Return the lines of the table; a model without any run has a line too."""
    everything = collect(spec, rows, failures)
    return [_summary(spec, series, everything, failures) for series in everything]


def _summary(
    spec: BenchmarkSpec,
    series: Series,
    everything: Sequence[Series],
    failures: Sequence[Failure],
) -> Summary:
    cells = by_cell_type(series)
    aurocs = [cell.auroc for cell in cells]
    asked = len(targets(spec)) * len(spec.seeds)
    failed = sum(_concerns(failure, series) for failure in failures)
    status: Status = "complete" if len(series.runs) >= asked else "incomplete"
    if not series.runs:
        status = "failed" if failed else "not run"
    origin = find(everything, series.model, ORIGIN, series.test_set, series.subset)
    below = _UNKNOWN
    if origin is not None and series.method in (UNCROSS, CROSS):
        below = _drop(series, origin)
    against = _reference(spec, series, everything)
    return Summary(
        series=series,
        status=status,
        low=min(aurocs, default=_UNKNOWN),
        mean=_mean(aurocs),
        high=max(aurocs, default=_UNKNOWN),
        median=median(aurocs) if aurocs else _UNKNOWN,
        auprc=_mean(cell.auprc for cell in cells),
        accuracy=_mean(cell.accuracy for cell in cells),
        f1=_mean(cell.f1 for cell in cells),
        label_agreement=_mean(cell.label_agreement for cell in cells),
        seed_sd=_seed_sd(series),
        cell_types_asked=len(targets(spec)),
        runs_asked=asked,
        failed=failed,
        seconds=_mean(run.seconds for run in series.runs.values()),
        drop=below,
        against=against,
        pairs=Pairs(0, _UNKNOWN, 0, 0) if against is None else pairs(series, against),
    )


def _concerns(failure: Failure, series: Series) -> bool:
    # One run gives both uncross and cross; it fails under the name of the latter.
    methods = {series.method, CROSS} if series.method == UNCROSS else {series.method}
    return failure.model == series.base and failure.method in methods


def _reference(spec: BenchmarkSpec, series: Series, everything: Sequence[Series]) -> Series | None:
    """Return what a series is held against.

    The first model's by the same method; for a lookup the first model's most adapted one; with a
    panel the same model without.
    """
    first = series.base if series.with_panel else spec.models[0]
    if series.model == first:
        return None
    methods = [CROSS, UNCROSS, WITHIN] if series.method == LOOKUP else [series.method]
    for method in methods:
        found = find(everything, first, method, series.test_set, series.subset)
        if found is not None:
            return found
    return None


def _drop(series: Series, origin: Series) -> float:
    gaps = defaultdict(list)
    for key, run in series.runs.items():
        if key in origin.runs:
            gaps[key[0]].append(origin.runs[key].auroc - run.auroc)
    return POINTS * _mean(fmean(cell) for cell in gaps.values())


def _seed_sd(series: Series) -> float:
    seeds = series.seeds()
    whole = [name for name in series.cell_types() if len(series.of(name)) == len(seeds)]
    if not whole:
        return _UNKNOWN
    return _sd([fmean(series.runs[name, seed].auroc for name in whole) for seed in seeds])


def _mean(values: Iterable[float]) -> float:
    # NaN stays NaN: a metric that one run lacks is not the mean of the others.
    listed = list(values)
    mean = fmean(listed) if listed else _UNKNOWN
    return _UNKNOWN if math.isnan(mean) else mean  # the same NaN, so that summaries can be equal


def _sd(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else _UNKNOWN
