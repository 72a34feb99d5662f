"""How do names, numbers and rows stand in a table, tab-separated or in Markdown?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from chromemodel.benchmark.series import Series


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


def count(number_of: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "run"), count(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number_of} {noun}" + ("" if number_of == 1 else "s")


def tsv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of tabs; numbers have six decimals, and are empty where not known."""
    lines = ["\t".join(header)]
    lines += ["\t".join(map(_field, row)) for row in rows]
    return "\n".join(lines) + "\n"


def _field(value: object) -> str:
    if isinstance(value, float):
        return f"{round(value, 6) + 0.0:.6f}" if math.isfinite(value) else ""
    text = " ".join(str(value).split())
    return "" if text == "nan" else text
