"""How do summaries read as tables, tab-separated and in Markdown?"""

from __future__ import annotations

from collections.abc import Sequence

from chromemodel.benchmark.by_genes import subset_words, subsets_table
from chromemodel.benchmark.cells import markdown, number, series_name, tsv
from chromemodel.benchmark.published import NOT_COMPARABLE, published
from chromemodel.benchmark.rows import ALL, COMMON, LOOKUP, OWN, UNCROSS
from chromemodel.benchmark.series import Series
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import OfCellType, Summary, by_cell_type

TABLE_COLUMNS = (
    "model", "method", "test_set", "subset", "status", "auroc_min", "auroc_mean", "auroc_max",
    "auroc_median", "auprc", "accuracy", "f1", "label_agreement", "auroc_seed_sd", "cell_types",
    "cell_types_asked", "seeds", "seeds_asked", "runs", "runs_asked", "failed", "seconds_a_run",
    "drop_from_origin_points", "against", "pairs", "pairs_won", "pairs_tied", "auroc_difference",
    "published",
)  # fmt: skip
CELL_TYPE_COLUMNS = (
    "model", "method", "test_set", "subset", "cell_type", "seeds", "genes", "auroc", "auroc_sd",
    "auprc", "accuracy", "f1", "label_agreement",
)  # fmt: skip

#: The sets of test genes in words, as headings.
SET_WORDS = {
    OWN: "Each protocol's own test genes",
    COMMON: "Test genes common to origin, uncross and cross",
}
NEW_GENES_WORDS = "Protocol new-genes: the genes of the test chromosomes, the same for all methods"

_SAME_LABEL = (
    "same label: share of the test genes with the label that they have in the source, genes "
    "without a label there left out."
)

#: What a seed draws, by whether it draws the split.
SEED_WORDS = {
    True: "a seed draws the split, the first weights and the order of genes",
    False: "a seed draws the first weights and the order of genes; the split is fixed",
}


def seeds_draw_split(spec: BenchmarkSpec) -> bool:
    """Return whether seeds split the genes anew; those of a source and a target always do."""
    return spec.protocol == "cross" or spec.split in ("thirds", "chromosome")


def table_tsv(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    """Return a line a summary; six decimals, empty where a number is not known."""
    return tsv(
        TABLE_COLUMNS,
        (
            (
                *one.series[:3], one.series.subset, one.status, one.low, one.mean, one.high,
                one.median, one.auprc, one.accuracy, one.f1, one.label_agreement, one.seed_sd,
                len(one.series.cell_types()), one.cell_types_asked, len(one.series.seeds()),
                len(spec.seeds),
                len(one.series.runs), one.runs_asked, one.failed, f"{one.seconds:.1f}", one.drop,
                "" if one.against is None else series_name(one.against), one.pairs.total,
                one.pairs.won, one.pairs.tied, one.pairs.difference,
                _published(one.series),
            )
            for one in summaries
        ),
    )  # fmt: skip


def cell_types_tsv(everything: Sequence[Series]) -> str:
    """Return a line a model, method, set of test genes, subset of it and cell type."""
    return tsv(
        CELL_TYPE_COLUMNS,
        (
            (*series[:3], series.subset, one.cell_type, one.seeds, f"{one.genes:.1f}", *one[3:])
            for series in everything
            for one in by_cell_type(series)
        ),
    )


def table_md(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    """Return the tables for people, by set of test genes, and what their columns mean."""
    parts = []
    cross = spec.protocol == "cross"
    for test_set in (OWN, COMMON):
        chosen = [one for one in summaries if one.series.test_set == test_set]
        whole = [one for one in chosen if one.series.subset == ALL]
        if not whole:
            continue
        if cross:
            words = SET_WORDS[test_set] if spec.common_genes else NEW_GENES_WORDS
            parts.append(f"**{words}**\n")
        parts.append(_summary_table(spec, whole))
        if len(chosen) > len(whole):
            parts.append(f"**Of these{':' if cross else ' test genes:'} AUROC by genes**\n")
            parts.append(subsets_table(spec, chosen))
    return "\n".join([*parts, _legend(spec, summaries)])


def cell_types_md(order: Sequence[str], everything: Sequence[Series]) -> str:
    """Return AUROC, a row a cell type in that order and a column a series, by set of test genes.

    Where models are carried over, also the share of the genes with the label that they have in the
    source.
    """
    parts = []
    for test_set in (OWN, COMMON):
        chosen = [one for one in everything if one.test_set == test_set and one.runs]
        chosen = [one for one in chosen if one.subset == ALL]
        if not chosen:
            continue
        columns = [{cell.cell_type: cell for cell in by_cell_type(one)} for one in chosen]
        rows = [[name, *(_mean_sd(column.get(name)) for column in columns)] for name in order]
        header = ["AUROC", *map(series_name, chosen)]
        carried = [
            column for one, column in zip(chosen, columns, strict=True) if one.method == UNCROSS
        ]
        if carried:
            header.append("same label")
            for row, name in zip(rows, order, strict=True):
                same = [column[name].label_agreement for column in carried if name in column]
                row.append(number(same[0]) if same else "")
        table = markdown(header, rows)
        parts.append(f"**{SET_WORDS[test_set]}**\n\n{table}" if test_set == COMMON else table)
    parts.append("Mean ± standard deviation over seeds; the latter from two seeds on.\n")
    if any(one.method == UNCROSS and one.runs for one in everything):
        parts.append(f"{_SAME_LABEL} Of the test genes of `uncross`.\n")
    return "\n".join(parts)


def _summary_table(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    cross = spec.protocol == "cross"
    # Papers score each protocol's own test genes: their numbers stand beside those.
    told = any(_published(one.series) for one in summaries)
    header = ["model"] + ["method"] * cross
    header += ["min", "mean", "max", "median"] + ["drop", "same label"] * cross
    header += ["sd of seeds", "AUPRC", "accuracy", "F1", "cell types", "seeds", "runs", "s a run"]
    header += ["difference", "pairs won"] + ["published"] * told
    rows = []
    for one in summaries:
        row = [one.series.model] + [one.series.method] * cross
        row += [number(value) for value in (one.low, one.mean, one.high, one.median)]
        row += [number(one.drop, 1), number(one.label_agreement)] * cross
        row += [number(value) for value in (one.seed_sd, one.auprc, one.accuracy, one.f1)]
        row += [
            f"{len(one.series.cell_types())} of {one.cell_types_asked}",
            f"{len(one.series.seeds())} of {len(spec.seeds)}",
            _runs(one),
            number(one.seconds, 0 if one.seconds >= 10 else 1),
            number(one.pairs.difference, signed=True),
            _won(one),
        ]
        rows.append(row + [_published(one.series)] * told)
    return markdown(header, rows, names=2 if cross else 1)


def _legend(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    first = spec.models[0]
    told = any(_published(one.series) for one in summaries)
    lines = [
        "min, mean, max, median: AUROC over cell types, each cell type's being the mean over its "
        "seeds. AUPRC, accuracy and F1 are means likewise.",
        "sd of seeds: standard deviation over seeds (n − 1) of the mean AUROC over the cell types "
        f"that have all seeds; {SEED_WORDS[seeds_draw_split(spec)]}.",
        f"difference, pairs won: AUROC against `{first}`"
        + (" by the same method" if spec.protocol == "cross" else "")
        + ", on the same cell type and seed: the mean difference, and how often it is higher.",
    ]
    if spec.protocol == "cross":
        lines.insert(
            1,
            "drop: points (hundredths of AUROC) below the same model's origin, on the targets and "
            "seeds that both have.",
        )
        lines.insert(2, _SAME_LABEL)
    if any(one.series.method == LOOKUP for one in summaries):
        adapted = " adapted, or not adapted where that has no runs" * (spec.protocol == "cross")
        lines.append(
            f"lookup: nothing is trained, no chromatin is read. Held against `{first}`{adapted}."
        )
    lines += subset_words(spec)
    if told:
        lines.append(f"published: what a paper reports. {NOT_COMPARABLE}")
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _published(series: Series) -> str:
    papers = (series.test_set, series.subset) == (OWN, ALL)
    return published(series.model, series.method) if papers else ""


def _runs(one: Summary) -> str:
    there = f"{len(one.series.runs)} of {one.runs_asked}"
    if one.status in ("failed", "not run"):
        return f"{there}: {one.status}"
    return f"{there}, {one.failed} failed" if one.failed else there


def _won(one: Summary) -> str:
    if not one.pairs.total:
        return ""
    tied = f", {one.pairs.tied} equal" if one.pairs.tied else ""
    return f"{one.pairs.won} of {one.pairs.total}{tied}"


def _mean_sd(cell: OfCellType | None) -> str:
    if cell is None:
        return ""
    return number(cell.auroc) + (f" ± {number(cell.auroc_sd)}" if cell.seeds > 1 else "")
