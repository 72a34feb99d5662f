"""What do a run, and what stands beside it, say of the genes of a file?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chromemodel.config import FileRecord, RunConfig
from chromemodel.data.dataset import GeneSignals
from chromemodel.data.sources import merge_genes
from chromemodel.data.splits import TEST, split_genes, split_target
from chromemodel.evaluate.lookup import Lookup, label_agreement
from chromemodel.evaluate.predict import ask, panel_of, read_for, speaking
from chromemodel.evaluate.predictions import Predictions
from chromemodel.fusion.speakers import Speakers
from chromemodel.fusion.steps import PANEL_ONLY, fused_name, mean_rank
from chromemodel.tasks import Task, task_of
from chromemodel.train.checkpoint import CONFIG, SOURCE_ONLY, Run, read_run
from chromeprep.errors import FormatError, RunError
from chromeprep.format import GeneTable, read_description

logger = logging.getLogger(__name__)


class Opinion(NamedTuple):
    """What a model, or a lookup, says of genes: ``answer`` (genes,) by the run's task."""

    name: str
    answer: NDArray[Any]


class Evidence(NamedTuple):
    """A run's answers for a file, and what they are held against.

    ``parts`` are the genes to score in words and (genes,); ``near`` are the genes of the file with
    the labels the run was trained on (of several files, merged), None where one is gone;
    ``lookup`` is what they say alone, None where they are those of the very file; ``signals`` are
    what ``run`` was asked of. ``speakers`` are the cell types of the run's panel that spoke, and
    ``certain`` (genes,) whether the run takes its call as such; both are None where it has none.
    ``here`` is whether the labels of this very file, or of one it is a copy of, trained the run.
    """

    path: Path
    config: RunConfig
    genes: GeneTable
    opinions: tuple[Opinion, ...]
    parts: tuple[tuple[str, NDArray[np.bool_]], ...]
    near: GeneTable | None
    lookup: Lookup | None
    run: Run
    signals: GeneSignals
    here: bool
    speakers: Speakers | None = None
    certain: NDArray[np.bool_] | None = None

    def in_panel(self, rows: NDArray[np.bool_]) -> int:
        """Return how many of some genes (genes,) the run's panel told something of."""
        return 0 if self.speakers is None else self.speakers.known(self.genes, rows)

    @property
    def task(self) -> Task:
        """What the run says of genes."""
        return task_of(self.config.task)

    @property
    def own(self) -> NDArray[Any]:
        """The answer (genes,) of the run itself."""
        name = _name(self.config)
        return next(one.answer for one in self.opinions if one.name == name)

    @property
    def target(self) -> bool:
        """Whether it is the target that the run was adapted to."""
        return self.config.target is not None and _is(self.path, self.config.target)


def gather(
    run: str | Path,
    data: str | Path | None = None,
    *,
    marks: Sequence[str] = (),
    available: Sequence[str] = (),
    device: str = "cpu",
    threads: int | None = None,
    panel: str | Path | None = None,
) -> Evidence:
    """Ask a run, and what stands beside it, for all genes of a file; as `evaluate_run`.

    ``panel`` is where the run's own panel lies, by default where it was in training.
    """
    loaded = read_run(run)
    config = loaded.config
    runs = [loaded]
    beside = loaded.path / SOURCE_ONLY
    if config.kind == "adapt" and config.method.name != SOURCE_ONLY:
        if (beside / CONFIG).is_file():
            runs.insert(0, read_run(beside))
        else:
            logger.warning(
                "warning: %s: its folder %s is missing; there is no score without adaptation",
                loaded.path, SOURCE_ONLY,
            )  # fmt: skip
    own = config.target or config.source
    path = _own_file(loaded, own) if data is None else Path(data)
    signals = read_for(loaded, path, marks=marks, available=available)
    if data is None and signals.record.gene_digest != own.gene_digest:
        raise RunError(
            f"was made from other genes than {path} holds now "
            f"({own.genes} then, {signals.record.genes} now)",
            path=loaded.path,
            hint=f"to score the file as it is: --data {path}",
        )
    task = task_of(config.task)
    here = _trained(path, signals, config)
    parts = _parts(config, signals, here=here, own_only=data is None)
    for name, rows in parts:
        task.check(signals.genes, rows, name, path)
    speakers = speaking(loaded, signals, panel_of(loaded, panel))
    opinions: list[Opinion] = []
    certain = None
    for one in runs:
        said = ask(one, signals, speakers, device=device, threads=threads)
        if isinstance(said, Predictions) and said.told is not None:
            opinions.append(Opinion(_marks_name(one.config), said.told.marks))
            certain = ~said.told.uncertain  # of the run itself, which is the last
        opinions.append(Opinion(_name(one.config), said.answer))
    if speakers is not None:
        opinions.append(Opinion(PANEL_ONLY, mean_rank(speakers.panel, signals.genes)))
    opinions += [Opinion(*trivial) for trivial in task.trivial(len(signals.genes))]
    tables = None if here else _source_genes(config.sources)
    near = signals.genes if here else None
    lookup = None
    if tables is not None:
        near = merge_genes(tables)
        lookup = task.lookup(tables, near, signals.genes)
    if lookup is not None and lookup.found[parts[0][1]].any():
        opinions.append(Opinion(lookup.name, lookup.score))
    return Evidence(
        path, config, signals.genes, tuple(opinions), tuple(parts), near, lookup, loaded, signals,
        here, speakers, certain,
    )  # fmt: skip


def _is(path: Path, record: FileRecord) -> bool:
    return str(path.resolve()) == record.path


def _trained(path: Path, signals: GeneSignals, config: RunConfig) -> bool:
    """Return whether a file's labels trained a run: it is a source, or a copy of one.

    A copy has the cell type, genes and labels of a source.
    """
    own = signals.record
    if any(_is(path, one) for one in config.sources):
        return True
    if config.target is not None and _is(path, config.target):
        return False
    for source in config.sources:
        if (own.cell_type, own.gene_digest) == (source.cell_type, source.gene_digest):
            tables = _source_genes([source])
            # Of a source that is gone, the name of the cell type is all that is left.
            if tables is None or label_agreement(tables[0], signals.genes) == 1:
                logger.warning(
                    "warning: %s: has cell type, genes and labels of %s, which trained; it is "
                    "taken for a copy",
                    path, source.path,
                )  # fmt: skip
                return True
    return False


def _source_genes(sources: Sequence[FileRecord]) -> list[GeneTable] | None:
    """Return the genes of each source of a run, None where a file is gone or is another now."""
    tables = []
    for source in sources:
        try:
            genes = read_description(source.path).genes
        except FormatError:
            return None
        if genes.digest() != source.gene_digest:
            return None
        tables.append(genes)
    return tables


def _own_file(run: Run, own: FileRecord) -> Path:
    path = Path(own.path)
    if not path.exists():
        raise RunError(
            f"was made from {path}, which is no longer there",
            path=run.path,
            hint="name the file: --data FILE",
        )
    return path


def _parts(
    config: RunConfig, signals: GeneSignals, *, here: bool, own_only: bool
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the rows to score, each set with what the run has seen of it, in words."""
    task = task_of(config.task)
    known = task.known(signals.genes)
    if config.kind == "train":
        test = known & (split_genes(signals.genes, config.split, signals.path) == TEST)
        all_words = "all genes"
        if here:
            all_words += " (training genes among them)"
        words = "test genes (unseen in training)"
        if config.split.rule == "published" and not here:
            # Another file may have been published with another split.
            words = "test genes by the file's own column"
        parts = [(words, test), (all_words, known)]
    elif here and not config.split.new_genes:
        return [(f"source genes (their {task.learned}s trained it)", known)]
    else:
        test = known & (split_target(signals.genes, config.split, signals.path) == TEST)
        words = "genes of the half that did not adapt"
        if config.split.new_genes:
            words = "genes of the test chromosomes"
        words = config.split.test_words if own_only else words
        parts = [(words, test), ("all genes", known)]
    return parts[:1] if own_only else parts


def _name(config: RunConfig) -> str:
    name = _marks_name(config)
    return name if config.panel is None else fused_name(name)


def _marks_name(config: RunConfig) -> str:
    return config.model.name if config.kind == "train" else config.method.name
