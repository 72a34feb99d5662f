"""What do the numbers of a benchmark say, in sentences?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chromemodel.benchmark.rows import CROSS, LOOKUP, ORIGIN, OWN, UNCROSS
from chromemodel.benchmark.series import Series, find, is_deep
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import Pairs, Summary, pairs
from chromemodel.benchmark.tables import count, number, series_name


def findings(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> list[str]:
    """Say in sentences what the numbers say of simple models, lookups and adaptation."""
    own = [one for one in summaries if one.series.test_set == OWN and one.series.runs]
    if not own:
        return ["No run has finished: there are no numbers."]
    everything = [one.series for one in own]
    trained = [one for one in own if one.series.method != LOOKUP]
    lines = [
        *_highest(spec, trained),
        *_simple(trained, everything),
        *_adaptation(spec, everything),
    ]
    lines += [
        f"Without any chromatin, looking up `{one.series.model}` beats "
        f"`{series_name(one.against)}` {_score(one.pairs)}."
        for one in own
        if one.series.method == LOOKUP and one.against is not None and one.pairs.total
    ]
    if any(one.pairs.total for one in own) or list(_adaptation(spec, everything)):
        lines.append("A pair is of one cell type and one seed; differences are of AUROC.")
    if any(one.status != "complete" for one in summaries):
        lines.append(
            "**Not all runs are there** (see the columns of counts): means over other cell types "
            "or seeds are not to be compared; the pairs are."
        )
    if len(spec.seeds) == 1:
        lines.append("One seed: how much of a difference is chance is not known.")
    return lines


def _highest(spec: BenchmarkSpec, trained: Sequence[Summary]) -> Iterator[str]:
    blind = [one for one in trained if one.series.method != ORIGIN]
    what = "trained without labels of the target" if spec.protocol == "cross" else "trained"
    for best in sorted(blind, key=lambda one: -one.mean)[:1]:
        yield (
            f"Highest mean AUROC of what was {what}: `{series_name(best.series)}`, "
            f"{number(best.mean)} over {count(len(best.series.cell_types()), 'cell type')}."
        )


def _simple(trained: Sequence[Summary], everything: Sequence[Series]) -> Iterator[str]:
    """Hold the best model without depth against every deep one, adapted where it is."""
    simple = [one for one in trained if not is_deep(one.series.model)]
    # Where models are carried over, a simple one is to show how well it carries.
    carried = [one for one in simple if one.series.method == UNCROSS]
    for best in sorted(carried or simple, key=lambda one: -one.mean)[:1]:
        rivals = {}
        for series in everything:
            same = series.method == best.series.method
            if is_deep(series.model) and (same or (carried and series.method == CROSS)):
                rivals[series.model] = series  # cross follows uncross and takes its place
        scored = [(series, pairs(best.series, series)) for series in rivals.values()]
        told = [f"`{series_name(series)}` {_score(one)}" for series, one in scored if one.total]
        if told:
            name = series_name(best.series)
            yield f"The simple model `{name}` beats {', '.join(told)}."


def _adaptation(spec: BenchmarkSpec, everything: Sequence[Series]) -> Iterator[str]:
    told = []
    for model in spec.models:
        adapted = find(everything, model, CROSS, OWN)
        plain = find(everything, model, UNCROSS, OWN)
        if adapted is not None and plain is not None:
            told.append(f"`{model}` {_score(pairs(adapted, plain))}")
    if told:
        yield f"Adapting (`{spec.method}`) beats not adapting for {', '.join(told)}."


def _score(against: Pairs) -> str:
    tied = f", equal in {against.tied}" if against.tied else ""
    return (
        f"in {against.won} of {against.total} pairs{tied} "
        f"(mean difference {number(against.difference, signed=True)})"
    )
