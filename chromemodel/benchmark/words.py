"""What ran on what, in words? The README of a benchmark's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chromemodel.benchmark.cells import count, markdown, series_name
from chromemodel.benchmark.findings import findings
from chromemodel.benchmark.panel_words import panel_words
from chromemodel.benchmark.panels import Spoken
from chromemodel.benchmark.rows import ALL, COMMON, LOOKUP, OWN, RESULTS, Failure
from chromemodel.benchmark.series import is_deep, targets
from chromemodel.benchmark.spec import BenchmarkSpec, Protocol
from chromemodel.benchmark.summaries import Summary
from chromemodel.benchmark.tables import SEED_WORDS, seeds_draw_split
from chromemodel.config import Normalisation
from chromemodel.models import MODELS
from chromeprep._version import __version__

_TITLES: dict[Protocol, str] = {
    "within": "each cell type on its own",
    "cross": "from one cell type to others",
    "positions": "how positions are told to TransferChrome",
    "architecture": "the convolutions of TransferChrome",
}
#: Rules by which all genes of a file scale its signal.
_BY_FILE = ("file", "quantile")
_MOST_FAILURES = 30
_SPLITS = {
    "thirds": "a third of the genes trains, a third validates and a third tests, drawn by a hash "
    "of gene id and seed: the same genes in every file",
    "deepchrome": "the genes in the order of the file, cut in thirds: training, validation, test "
    "(DeepChrome's cut; sorted by gene id, its thirds differ in their share of high genes)",
    "chromosome": "whole chromosomes train, validate and test, some third of the genes each, drawn "
    "by the seed",
    "published": "the parts that the published files were cut into: training, validation, test",
}


def readme(
    spec: BenchmarkSpec,
    summaries: Sequence[Summary],
    failures: Sequence[Failure],
    spoken: Sequence[Spoken],
    *,
    table: str,
    figure: bool,
) -> str:
    """Return the README.

    ``spoken`` says who of the panel spoke in which runs; ``table`` is that of ``table.md``,
    ``figure`` whether there is one.
    """
    parts = [
        f"# Benchmark: {_TITLES[spec.protocol]}",
        _bullets(findings(spec, summaries)),
        "## Results",
        table,
        "![AUROC by cell type](figure.png)" if figure else _NO_FIGURE,
        "By cell type: [by_cell_type.md](by_cell_type.md).",
        "## What ran",
        _bullets(_setting(spec, summaries)),
        *([] if spec.panel is None else ["## The panel", panel_words(spec.panel, spoken)]),
        "## What did not run",
        _missing(summaries, failures),
        "## Cell types",
        markdown(["cell type", "file"], [[one.name, one.path] for one in spec.cell_types], names=2),
        "## Files here",
        _bullets(_files(figure)),
        "## How to go on",
        f"`chromemodel benchmark {spec.protocol} … -o` this folder, with the same options, runs "
        "what is missing or failed and keeps the rest; more models, cell types or seeds may be "
        "named. All files above are then written anew. What a column means and how to read it: "
        "docs/benchmark.md of the program.",
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_NO_FIGURE = (
    "No figure: there is nothing to draw, or matplotlib is missing "
    "(`pip install 'transferchrome[plot]'`, then the same command again)."
)


def _setting(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> Iterator[str]:
    yield f"**Models**: {', '.join(f'`{name}`' for name in spec.models)}."
    if spec.protocol == "cross":
        yield from _cross_setting(spec)
    else:
        yield (
            f"**Split**: {_SPLITS[spec.split]}. A model is tested on the cell type that it was "
            "trained on, on genes that it has not seen there."
        )
    yield f"**Test genes**: {_genes(spec, summaries)}."
    yield f"**Input**: {_input(spec)}."
    yield f"**Selection**: {_selection(spec)}."
    seeds = ", ".join(map(str, spec.seeds))
    yield f"**Seeds**: {seeds}; {SEED_WORDS[seeds_draw_split(spec)]}."
    yield f"**Training**: {_training(spec)}."
    yield (
        f"**Versions**: chromemodel {__version__}; each run's `config.json` names those of torch, "
        "numpy and scikit-learn."
    )


def _cross_setting(spec: BenchmarkSpec) -> Iterator[str]:
    adapting = f"{spec.target_fraction:.0%} of the target genes"
    tested = "the target genes that do not adapt"
    if spec.new_genes:
        adapting = "the target genes off the test chromosomes"
        tested = "the target genes of the test chromosomes"
    yield (
        f"**Source**: `{spec.source}`. **Targets**: {len(targets(spec))}, one at a time, "
        f"independent of each other. **Protocol**: {spec.gene_protocol}."
    )
    yield (
        f"`origin` trains on the target itself. Split: {_SPLITS[spec.split]}. No cell type but the "
        f"target is seen{', but in the panel' * (spec.panel is not None)}."
    )
    yield (
        f"`uncross` trains on the genes of the source, {spec.validation_fraction:.0%} of which "
        f"validate, and is tested on {tested}. Nothing of the target is "
        "trained on"
        + (", but its marks are scaled by all of its genes." if spec.normalise in _BY_FILE else ".")
    )
    yield (
        f"`cross` is trained as `uncross`, and sees the signal of {adapting} "
        f"(method `{spec.method}`), never their labels: it is transductive for these genes, and "
        "tested on the others. Models that scikit-learn fits are not adapted."
    )
    if spec.new_genes:
        yield (
            "All methods are tested on the same genes, those of the target's test chromosomes. "
            "**These genes were held out of the source too**: no model has seen a label of theirs "
            "in any cell type. The lookups have, which is all they do."
        )
        return
    yield (
        "Test genes of `uncross` and `cross` are in the source where the files share genes: their "
        "**labels in the source were trained on**. How far that alone goes is what the lookups say."
    )
    yield (
        "The test genes of `origin` and of the others differ; on those that they have in common, "
        "they are scored once more."
    )


def _genes(spec: BenchmarkSpec, summaries: Sequence[Summary]) -> str:
    told = []
    for test_set in (OWN, COMMON) if spec.common_genes else (OWN,):
        counts = [
            run.genes
            for one in summaries
            if (one.series.test_set, one.series.subset) == (test_set, ALL)
            and one.series.method != LOOKUP
            for run in one.series.runs.values()
        ]
        if counts:
            low, high = f"{min(counts):,}", f"{max(counts):,}"
            words = low if low == high else f"{low} to {high}"
            told.append(f"{words} a run{' in common' if test_set == COMMON else ''}")
    return ", ".join(told) or "none scored"


def _input(spec: BenchmarkSpec) -> str:
    marks = ", ".join(spec.marks) if spec.marks else "all marks of the files"
    window = "whole windows" if spec.window_bp is None else f"TSS ±{spec.window_bp:,} bp"
    scale = Normalisation(spec.normalise, transform=spec.transform).words
    if spec.normalise in _BY_FILE:
        scale += ". The signal of test genes, but no label, has a part in that"
    return f"{marks}, {window}; {scale}"


def _selection(spec: BenchmarkSpec) -> str:
    words = "the epoch with the best AUROC on the validation genes"
    if spec.protocol == "cross" and spec.validation_fraction > 0:
        words += " of the source, or of the target for `origin`"
    elif spec.protocol == "cross":
        words = "none but for `origin` (no gene of the source validates): the last epoch"
    words += "; of what scikit-learn fits, the penalty where there is one"
    if spec.tune:
        words += (
            "; learning rate, batch size and the weight of the method by the same genes, run by "
            "run (`tuning.csv`)"
        )
    return f"{words}. Test genes take no part in it"


def _training(spec: BenchmarkSpec) -> str:
    words = "by each paper's recipe (`chromemodel models NAME`)"
    if spec.overrides:
        changed = ", ".join(
            f"`--{key.replace('_', '-')} {value}`" for key, value in sorted(spec.overrides.items())
        )
        words += f", but for all deep models {changed}"
    if spec.max_epochs is not None:
        recipes = {name: MODELS.entry(name).recipe.epochs for name in spec.models if is_deep(name)}
        asked = spec.overrides.get("epochs")
        cut = {
            name: epochs if asked is None else asked
            for name, epochs in recipes.items()
            if int(epochs if asked is None else asked) > spec.max_epochs
        }
        listed = ", ".join(f"`{name}` {epochs}" for name, epochs in cut.items())
        words += f"; **capped at {count(spec.max_epochs, 'epoch')}**"
        words += f", where the recipe has more: {listed}" if cut else ", which no recipe exceeds"
    return f"{words}; device `{spec.device}`"


def _missing(summaries: Sequence[Summary], failures: Sequence[Failure]) -> str:
    asked = [one for one in summaries if one.series.subset == ALL and not one.series.with_panel]
    incomplete = [one for one in asked if one.status != "complete"]
    # What lacks its own test genes lacks the common ones too: said once.
    without = {one.series[:2] for one in incomplete if one.series.test_set == OWN}
    lacking = [
        one for one in incomplete if one.series.test_set == OWN or one.series[:2] not in without
    ]
    if not lacking and not failures:
        return "Every run that was asked for is there."
    lines = [
        f"`{series_name(one.series)}`{' on common genes' * (one.series.test_set == COMMON)}: "
        f"{len(one.series.runs)} of {count(one.runs_asked, 'run')} ({one.status})"
        for one in lacking
    ]
    parts = [_bullets(lines)] if lines else []
    if failures:
        rows = [
            [one.model, one.method, one.target, str(one.seed), one.message, f"runs/{one.key}.log"]
            for one in sorted(failures)
        ]
        header = ["model", "method", "cell type", "seed", "what went wrong", "log"]
        parts.append(markdown(header, rows[:_MOST_FAILURES], names=len(header)))
        if len(rows) > _MOST_FAILURES:
            parts.append(f"And {len(rows) - _MOST_FAILURES} more.")
    return "\n\n".join(parts)


def _files(figure: bool) -> Iterator[str]:
    yield "`table.md`, `table.tsv`: a row a model; the second has all digits and columns."
    yield "`by_cell_type.md`, `by_cell_type.tsv`: AUROC by cell type and model; all metrics."
    if figure:
        yield "`figure.png`, `figure.svg`: the same as a picture."
    yield (
        f"`{RESULTS}`: a row a run, set of test genes, subset and metric: all of this follows from "
        "it."
    )
    yield "`benchmark.json`: what was asked. `runs/`: run folders, with weights and predictions."


def _bullets(lines: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
