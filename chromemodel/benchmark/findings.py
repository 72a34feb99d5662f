"""What do the numbers of a benchmark say, in sentences?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from chromemodel.benchmark.cells import count, number, series_name
from chromemodel.benchmark.rows import (
    ALL,
    CROSS,
    DIFFERS,
    LOOKUP,
    ORIGIN,
    OWN,
    PANEL_MEAN,
    UNCROSS,
    VARIABLE,
)
from chromemodel.benchmark.series import Series, find, is_deep, subsets_of
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import Pairs, Summary, by_cell_type, pairs

_WHERE = {
    VARIABLE: "genes are variable in the panel",
    DIFFERS: "the label differs from the source",
}


def findings(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> list[str]:
    """Say in sentences what the numbers say of simple models, lookups and adaptation."""
    asked = [one for one in summaries if (one.series.test_set, one.series.subset) == (OWN, ALL)]
    own = [one for one in asked if one.series.runs]
    if not own:
        return ["No run has finished: there are no numbers."]
    everything = [one.series for one in own]
    trained = [one for one in own if one.series.method != LOOKUP]
    marks = [one for one in trained if not one.series.with_panel]
    both = [one for one in trained if one.series.with_panel]
    lines = [
        *_highest(spec, marks),
        *_highest(spec, both, ", with the panel beside it"),
        *_panel(both, everything),
        *_simple(marks, everything),
        *_adaptation(spec, everything),
    ]
    lines += [
        f"Without any chromatin, looking up `{one.series.model}` beats "
        f"`{series_name(one.against)}` {_score(one.pairs)}."
        for one in own
        if one.series.method == LOOKUP and one.against is not None and one.pairs.total
    ]
    lines += [*_agreement(spec, everything), *_of_interest(spec, summaries)]
    if any(one.pairs.total for one in own) or list(_adaptation(spec, everything)):
        lines.append("A pair is of one cell type and one seed; differences are of AUROC.")
    if any(one.status != "complete" for one in summaries if one.series.subset == ALL):
        lines.append(
            "**Not all runs are there** (see the columns of counts): means over other cell types "
            "or seeds are not to be compared; the pairs are."
        )
    if len(spec.seeds) == 1:
        lines.append("One seed: how much of a difference is chance is not known.")
    return lines


def _highest(spec: BenchmarkSpec, trained: Sequence[Summary], beside: str = "") -> Iterator[str]:
    blind = [one for one in trained if one.series.method != ORIGIN]
    what = "trained without labels of the target" if spec.protocol == "cross" else "trained"
    for best in sorted(blind, key=lambda one: -one.mean)[:1]:
        yield (
            f"Highest mean AUROC of what was {what}{beside}: `{series_name(best.series)}`, "
            f"{number(best.mean)} over {count(len(best.series.cell_types()), 'cell type')}."
        )


def _panel(both: Sequence[Summary], everything: Sequence[Series]) -> Iterator[str]:
    """Hold marks and panel together against either alone."""
    told = [f"`{series_name(one.series)}` {_score(one.pairs)}" for one in both if one.pairs.total]
    if told:
        yield f"Marks and panel together beat the marks alone: {', '.join(told)}."
    mean = find(everything, PANEL_MEAN, LOOKUP, OWN)
    scored = [
        (one.series, pairs(one.series, mean))
        for one in both
        if mean is not None and one.series.method != ORIGIN
    ]
    told = [f"`{series_name(series)}` {_score(one)}" for series, one in scored if one.total]
    if told:
        yield f"They beat the panel alone (`{PANEL_MEAN}`): {', '.join(told)}."


def _agreement(spec: BenchmarkSpec, everything: Sequence[Series]) -> Iterator[str]:
    """Say how often the source's labels are right, on the genes that test what is carried over."""
    for series in everything:
        if series.method == UNCROSS:
            shares = [cell.label_agreement for cell in by_cell_type(series)]
            known = [share for share in shares if math.isfinite(share)]
            if known:
                low, high = f"{min(known):.1%}", f"{max(known):.1%}"
                yield (
                    f"{low if low == high else f'{low} to {high}'} of the test genes of `uncross` "
                    f"have the label that they have in `{spec.source}`."
                )
            return


def _of_interest(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> Iterator[str]:
    """Name the best on each subset of the test genes, by what it knows."""
    for subset in subsets_of(spec)[1:]:
        found = [
            one
            for one in summaries
            if (one.series.test_set, one.series.subset) == (OWN, subset)
            and one.series.runs
            and one.series.method != ORIGIN
        ]
        best: dict[str, Summary] = {}
        for one in sorted(found, key=lambda one: -one.mean):
            words = "marks and panel" if one.series.with_panel else "marks"
            if one.series.method == LOOKUP:
                words = f"lookup of {one.series.model}"
            best.setdefault(words, one)
        told = [
            words
            + ("" if one.series.method == LOOKUP else f" (`{series_name(one.series)}`)")
            + f" {number(one.mean)}"
            for words, one in best.items()
        ]
        if told:
            yield f"Highest mean AUROC where {_WHERE[subset]}: {', '.join(told)}."


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
