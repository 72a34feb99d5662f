"""How good is each model, and what stands beside it, on which of the test genes?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chromemodel.benchmark.cells import markdown, number
from chromemodel.benchmark.rows import ALL, DIFFERS, PANEL_MEAN, VARIABLE
from chromemodel.benchmark.series import Series, subsets_of
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import Summary
from chromemodel.evaluate.subsets import DIFFERS as DIFFERS_WORDS
from chromemodel.evaluate.subsets import VARIABLE as VARIABLE_WORDS

#: The subsets of test genes in words, as headings.
SUBSET_WORDS = {
    ALL: "all genes",
    VARIABLE: VARIABLE_WORDS,
    DIFFERS: DIFFERS_WORDS,
}


def subsets_table(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    """Return mean AUROC, a row a model and method and a column a subset of the test genes."""
    subsets = subsets_of(spec)
    found = {(*one.series[:2], one.series.subset): one for one in summaries}
    cross = spec.protocol == "cross"
    rows = []
    for model, method in dict.fromkeys(key[:2] for key in found):
        of = [found.get((model, method, subset)) for subset in subsets]
        values = ["" if one is None else number(one.mean) for one in of]
        genes = ["" if one is None else _genes(one.series) for one in of]
        rows.append([model] + [method] * cross + values + genes[1:])
    words = [SUBSET_WORDS[subset] for subset in subsets]
    return markdown(
        ["model"] + ["method"] * cross + words + [f"genes: {one}" for one in words[1:]],
        rows,
        names=2 if cross else 1,
    )


def subset_words(spec: BenchmarkSpec) -> Iterator[str]:
    """Say what the panel and the subsets of the genes are."""
    if spec.panel is not None:
        yield (
            "MODEL + panel: marks and panel together, held against MODEL, the marks alone. "
            f"`{PANEL_MEAN}`, a lookup of the panel alone: genes ranked by their mean log(1 + "
            "expression) in the cell types that may speak."
        )
        yield f"{VARIABLE_WORDS}: genes that are high in 10 to 90 % of these cell types."
    if spec.protocol == "cross":
        yield (
            f"{DIFFERS_WORDS}: the source's labels are all wrong there. So a lookup of the source "
            "is near 0 by the choice of the genes, and what repeats the source is below 0.5."
        )


def _genes(series: Series) -> str:
    """Return how many genes a run has, as a mean; nothing without runs."""
    counts = [run.genes for run in series.runs.values()]
    return f"{sum(counts) / len(counts):,.0f}" if counts else ""
