"""How do summaries read as tables, tab-separated and in Markdown?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from chromemodel.benchmark.published import NOT_COMPARABLE, published
from chromemodel.benchmark.rows import COMMON, LOOKUP, OWN
from chromemodel.benchmark.series import Series
from chromemodel.benchmark.spec import BenchmarkSpec
from chromemodel.benchmark.summaries import OfCellType, Summary, by_cell_type

TABLE_COLUMNS = (
    "model", "method", "test_set", "status", "auroc_min", "auroc_mean", "auroc_max",
    "auroc_median", "auprc", "accuracy", "f1", "auroc_seed_sd", "cell_types", "cell_types_asked",
    "seeds", "seeds_asked", "runs", "runs_asked", "failed", "seconds_a_run",
    "drop_from_origin_points", "against", "pairs", "pairs_won", "pairs_tied", "auroc_difference",
    "published",
)  # fmt: skip
CELL_TYPE_COLUMNS = (
    "model", "method", "test_set", "cell_type", "seeds", "genes", "auroc", "auroc_sd", "auprc",
    "accuracy", "f1",
)  # fmt: skip

#: The sets of test genes in words, as headings.
SET_WORDS = {
    OWN: "Each protocol's own test genes",
    COMMON: "Test genes common to origin, uncross and cross",
}
NEW_GENES_WORDS = "Protocol new-genes: the genes of the test chromosomes, the same for all methods"

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
    return _tsv(
        TABLE_COLUMNS,
        (
            (
                *one.series[:3], one.status, one.low, one.mean, one.high, one.median, one.auprc,
                one.accuracy, one.f1, one.seed_sd, len(one.series.cell_types()),
                one.cell_types_asked, len(one.series.seeds()), len(spec.seeds),
                len(one.series.runs), one.runs_asked, one.failed, f"{one.seconds:.1f}", one.drop,
                "" if one.against is None else series_name(one.against), one.pairs.total,
                one.pairs.won, one.pairs.tied, one.pairs.difference,
                _published(one.series),
            )
            for one in summaries
        ),
    )  # fmt: skip


def cell_types_tsv(everything: Sequence[Series]) -> str:
    """Return a line a model, method, set of test genes and cell type."""
    return _tsv(
        CELL_TYPE_COLUMNS,
        (
            (*series[:3], one.cell_type, one.seeds, f"{one.genes:.1f}", *one[3:])
            for series in everything
            for one in by_cell_type(series)
        ),
    )


def table_md(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    """Return the table for people, one a set of test genes, and what its columns mean."""
    parts = []
    cross = spec.protocol == "cross"
    for test_set in (OWN, COMMON):
        chosen = [one for one in summaries if one.series.test_set == test_set]
        if not chosen:
            continue
        if cross:
            words = SET_WORDS[test_set] if spec.common_genes else NEW_GENES_WORDS
            parts.append(f"**{words}**\n")
        parts.append(_summary_table(spec, chosen))
    return "\n".join([*parts, _legend(spec, summaries)])


def cell_types_md(order: Sequence[str], everything: Sequence[Series]) -> str:
    """Return AUROC, a row a cell type in that order and a column a series, by set of test genes."""
    parts = []
    for test_set in (OWN, COMMON):
        chosen = [one for one in everything if one.test_set == test_set and one.runs]
        if not chosen:
            continue
        columns = [{cell.cell_type: cell for cell in by_cell_type(one)} for one in chosen]
        rows = [[name, *(_mean_sd(column.get(name)) for column in columns)] for name in order]
        table = markdown(["AUROC", *map(series_name, chosen)], rows)
        parts.append(f"**{SET_WORDS[test_set]}**\n\n{table}" if test_set == COMMON else table)
    parts.append("Mean ± standard deviation over seeds; the latter from two seeds on.\n")
    return "\n".join(parts)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *, names: int = 1) -> str:
    r"""Return a Markdown table; the first ``names`` columns are text, the others numbers.

    Examples
    --------
    >>> print(markdown(["model", "AUROC"], [["a|b", "0.9"]]), end="")
    | model | AUROC |
    |---|---:|
    | a\|b | 0.9 |
    """
    rule = ["---" if index < names else "---:" for index in range(len(header))]
    lines = [f"|{'|'.join(rule)}|"]
    lines += [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(map(escaped, header))} |", *lines]) + "\n"


def escaped(text: str) -> str:
    """Return text that cannot break a Markdown table: on one line, its bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def series_name(series: Series) -> str:
    """Return the model, and its method where there could be another.

    Examples
    --------
    >>> series_name(Series("logistic", "uncross", "own", {}))
    'logistic, uncross'
    >>> series_name(Series("logistic", "within", "own", {}))
    'logistic'
    """
    return series.model if series.method == "within" else f"{series.model}, {series.method}"


def number(value: float, digits: int = 4, *, signed: bool = False) -> str:
    """Return a number, or nothing where it is not known; minus is a minus sign.

    Examples
    --------
    >>> number(0.5), number(float("nan")), number(-0.25, 2, signed=True), number(-0.00001)
    ('0.5000', '', '−0.25', '0.0000')
    """
    if not math.isfinite(value):
        return ""
    rounded = round(value, digits) + 0.0  # no minus before a nought
    return f"{rounded:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def _summary_table(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    cross = spec.protocol == "cross"
    # Papers score each protocol's own test genes: their numbers stand beside those.
    told = any(_published(one.series) for one in summaries)
    header = ["model"] + ["method"] * cross
    header += ["min", "mean", "max", "median"] + ["drop"] * cross
    header += ["sd of seeds", "AUPRC", "accuracy", "F1", "cell types", "seeds", "runs", "s a run"]
    header += ["difference", "pairs won"] + ["published"] * told
    rows = []
    for one in summaries:
        row = [one.series.model] + [one.series.method] * cross
        row += [number(value) for value in (one.low, one.mean, one.high, one.median)]
        row += [number(one.drop, 1)] * cross
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
        if any(one.series.method == LOOKUP for one in summaries):
            lines.append(
                f"lookup: nothing is trained, no chromatin is read. Held against `{first}` "
                "adapted, or not adapted where that has no runs."
            )
    if told:
        lines.append(f"published: what a paper reports. {NOT_COMPARABLE}")
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _published(series: Series) -> str:
    return published(series.model, series.method) if series.test_set == OWN else ""


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


def count(number_of: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "run"), count(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number_of} {noun}" + ("" if number_of == 1 else "s")


def _tsv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["\t".join(header)]
    lines += ["\t".join(map(_field, row)) for row in rows]
    return "\n".join(lines) + "\n"


def _field(value: object) -> str:
    if isinstance(value, float):
        return f"{round(value, 6) + 0.0:.6f}" if math.isfinite(value) else ""
    text = " ".join(str(value).split())
    return "" if text == "nan" else text
