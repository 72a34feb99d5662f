"""What was a run asked to do? Frozen dataclasses; `chromemodel.serial` turns them into JSON.

Nothing heavy is imported here; the command line takes its defaults from these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

from chromemodel.serial import UNLESS_DEFAULT
from chromeprep.errors import did_you_mean

RUN_FORMAT = "chromemodel-run"
RUN_VERSION = 5

NormaliseRule = Literal["file", "training", "quantile", "none"]
Transform = Literal["none", "log1p", "arcsinh"]
FileSplitRule = Literal["thirds", "deepchrome", "chromosome", "published"]
SplitRule = Literal[FileSplitRule, "adapt", "adapt-chromosome"]
#: Protocols of an adaptation: were labels of the test genes trained on in the source?
GeneProtocol = Literal["same-genes", "new-genes"]
Optimizer = Literal["sgd", "adam", "adamw"]
TaskName = Literal["classification", "regression"]
#: In what a network computes the features of genes; weights are float32 in both.
Precision = Literal["float32", "bfloat16"]
#: Forms in which the genes that train are kept; see ``docs/training.md``, "Memory".
Memory = Literal["auto", "float32", "compact", "float16", "stream"]


@dataclass(frozen=True)
class Component:
    """A model or a method by name, with all of its options written out."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def check_name(what: str, value: str, known: Any) -> None:
    """Refuse a value that is none of a ``Literal``'s.

    Raises
    ------
    ValueError
        It tells what is known.
    """
    if value not in get_args(known):
        raise ValueError(f"no {what} '{value}'; {did_you_mean(value, get_args(known))}")


@dataclass(frozen=True)
class TaskConfig:
    """What a run says of a gene: whether it is high, or its log(1 + expression).

    ``mean`` and ``deviation`` are those of log(1 + expression) over the training genes, for
    ``regression``; its models learn the standardised values. See ``docs/regression.md``.
    """

    name: TaskName = "classification"
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        check_name("task", self.name, TaskName)
        if not self.deviation > 0:
            raise ValueError(f"deviation is {self.deviation}, expected more than 0")


@dataclass(frozen=True)
class Layout:
    """What a model expects of a file: its marks in order, and the window of a gene.

    ``marks_named`` is whether the user chose the marks; then later files may hold others.
    ``window_named`` is whether the user chose the window; then files may have wider ones, of which
    the middle is taken.
    """

    marks: tuple[str, ...]
    bin_size_bp: int
    flank_bp: int
    n_bins: int
    orientation: str
    marks_named: bool = False
    window_named: bool = False


@dataclass(frozen=True)
class FileRecord:
    """A file of bins that a run was made from; ``units`` are those of the layout's marks."""

    path: str
    cell_type: str
    assembly: str
    genes: int
    gene_digest: str
    units: tuple[str, ...]


class Quantiles(NamedTuple):
    """The distribution of a mark: rising values, and the share of all values below each.

    A value's own ties count by half. Both are empty for a mark without a known value.
    """

    level: tuple[float, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class Normalisation:
    """How raw signal becomes a model's input; see ``docs/normalisation.md``.

    ``mean`` and ``std`` (marks,) are those of the training genes after the transform, for
    ``training`` and ``quantile``. ``quantiles`` (marks,), for ``quantile``, stand in a file beside
    ``config.json``, not in it.
    """

    rule: NormaliseRule = "file"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    transform: Transform = "none"
    quantiles: tuple[Quantiles, ...] = field(default=(), repr=False, metadata={"beside": True})

    def __post_init__(self) -> None:
        check_name("normalisation", self.rule, NormaliseRule)
        check_name("transform", self.transform, Transform)

    @property
    def by_training(self) -> bool:
        """Whether the training genes scale every file, not each file itself."""
        return self.rule in ("training", "quantile")

    @property
    def words(self) -> str:
        """The normalisation in words, for reports."""
        rule = {
            "file": "z-scores by mark, by each file's own mean and deviation over all of its genes",
            "training": "z-scores by mark, by mean and deviation of the training genes",
            "quantile": "each file's values mapped by mark onto the quantiles of the training "
            "genes, then z-scores by these genes",
            "none": "no scaling",
        }[self.rule]
        return rule if self.transform == "none" else f"{self.transform}, then {rule}"


@dataclass(frozen=True)
class Split:
    """Which genes train, validate and test.

    ``adapt`` (protocol same-genes) and ``adapt-chromosome`` (new-genes) are for a source and a
    target, the others for one file. The chromosomes, and for ``deepchrome`` the two ``cut_genes``
    (ids of the first validation and the first test gene), are empty until they are drawn from a
    file; a run's configuration has them filled in.
    """

    rule: SplitRule = "thirds"
    seed: int = 0
    validation_chromosomes: tuple[str, ...] = ()
    test_chromosomes: tuple[str, ...] = ()
    cut_genes: tuple[str, ...] = ()
    validation_fraction: float = 0.1
    target_fraction: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction is {self.validation_fraction}, expected [0, 1)")
        if not 0 < self.target_fraction < 1:
            raise ValueError(f"target_fraction is {self.target_fraction}, expected (0, 1)")
        if len(self.cut_genes) not in (0, 2):
            raise ValueError(f"cut_genes are {len(self.cut_genes)}, expected none or two")

    @property
    def new_genes(self) -> bool:
        """Whether an adaptation holds its test genes out of the source too."""
        return self.rule == "adapt-chromosome"

    @property
    def adapts(self) -> bool:
        """Whether it is for a source and a target."""
        return self.rule in ("adapt", "adapt-chromosome")

    @property
    def test_words(self) -> str:
        """The test genes of an adaptation, in words."""
        if self.new_genes:
            return "target genes of the test chromosomes"
        return "target half that did not adapt"

    @property
    def asked(self) -> Split:
        """The split without what was drawn from a file, or could have been."""
        return replace(self, validation_chromosomes=(), test_chromosomes=(), cut_genes=())

    @property
    def words(self) -> str:
        """The split in words, for tables and reports."""
        if self.rule == "thirds":
            return f"random thirds of the genes, by a hash of gene id and seed {self.seed}"
        if self.rule == "chromosome":
            return (
                f"whole chromosomes (seed {self.seed}): validation "
                f"{', '.join(self.validation_chromosomes)}; test {', '.join(self.test_chromosomes)}"
            )
        if self.rule == "deepchrome":
            words = "thirds of the genes in the order of their ids, as DeepChrome's (no seed)"
            if self.cut_genes:
                words += "; validation from {}, test from {}".format(*self.cut_genes)
            return words
        if self.rule == "published":
            return "as published with the data, by the column /genes/split (no seed)"
        if self.new_genes:
            return (
                f"whole chromosomes (seed {self.seed}), held out in source and target: test "
                f"{', '.join(self.test_chromosomes)}; the other target genes adapt without labels; "
                f"{self.validation_fraction:.0%} of the other source genes validate"
            )
        return (
            f"{self.target_fraction:.0%} of the target genes adapt without labels, the others "
            f"test; {self.validation_fraction:.0%} of the source genes validate (by a hash of gene "
            f"id and seed {self.seed})"
        )


@dataclass(frozen=True)
class TrainConfig:
    """How a model is fitted; the defaults are those of the paper ("Model training").

    ``batch_size`` and ``patience`` (epochs without a better validation AUROC, or R2 of
    a regression, before training stops) are our choices, the paper is silent; see
    ``docs/paper.md``. ``clip_norm`` is the length to which longer gradients are cut, None for no
    limit. ``mark_dropout`` is the probability that a gene of a batch loses a mark; see
    ``docs/marks.md``. Genes of a batch are shifted by up to ``shift_bins``, and keep a share of
    their reads from ``thin`` on; ``precision`` is that of training steps, ``memory`` the form in
    which genes are kept: see ``docs/training.md`` for all four.
    """

    optimizer: Optimizer = "sgd"
    lr: float = 0.001
    momentum: float = 0.85
    weight_decay: float = 0.001
    batch_size: int = 32
    epochs: int = 200
    patience: int = 20
    clip_norm: float | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    mark_dropout: float = field(default=0.0, metadata=UNLESS_DEFAULT)
    shift_bins: int = field(default=0, metadata=UNLESS_DEFAULT)
    thin: float = field(default=1.0, metadata=UNLESS_DEFAULT)
    precision: Precision = field(default="float32", metadata=UNLESS_DEFAULT)
    memory: Memory = field(default="auto", metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        if not 0 <= self.mark_dropout < 1:
            raise ValueError(f"mark_dropout is {self.mark_dropout}, expected [0, 1)")
        if self.shift_bins < 0:
            raise ValueError(f"shift_bins is {self.shift_bins}, expected 0 or more")
        if not 0 < self.thin <= 1:
            raise ValueError(f"thin is {self.thin}, expected (0, 1]")
        check_name("optimizer", self.optimizer, Optimizer)
        check_name("precision", self.precision, Precision)
        check_name("memory", self.memory, Memory)
        for name in ("batch_size", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}, expected more than 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}, expected [0, 1)")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}, expected 0 or more")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm is {self.clip_norm}, expected more than 0")

    @property
    def settled(self) -> TrainConfig:
        """What a run keeps of it: of the forms of memory only the one that changes numbers."""
        return self if self.memory == "float16" else replace(self, memory="auto")

    @property
    def augments(self) -> bool:
        """Whether the genes of a step are shifted or thinned."""
        return self.shift_bins > 0 or self.thin < 1


@dataclass(frozen=True)
class PanelChoice:
    """Which panel of other cell types stands beside the marks (``docs/fusion.md``).

    Source and target are always left out of it, and ``leave_out`` as well; with ``relatives`` also
    the cell types that are nearly the same as one of these.
    """

    path: str
    leave_out: tuple[str, ...] = ()
    relatives: bool = True


@dataclass(frozen=True)
class PanelRecord:
    """A panel that a run was made with: by its ``digest`` it is known again wherever it lies.

    ``cell_types`` were asked; ``left_out`` are all others that it holds.
    """

    path: str
    digest: str
    cell_types: tuple[str, ...]
    left_out: tuple[str, ...]
    relatives: bool


@dataclass(frozen=True)
class Provenance:
    """Where and when a run was made: the only part that differs between equal runs."""

    created: str
    command: tuple[str, ...]
    chromemodel: str
    python: str
    torch: str
    numpy: str
    scikit_learn: str
    platform: str


@dataclass(frozen=True)
class RunConfig:
    """All of ``config.json``; ``source`` is the one file of a run of ``chromemodel train``.

    ``more_sources`` are the other files of an adaptation from several. ``version`` is 1 where the
    run has nothing that later ones added (`run_version`).
    """

    kind: Literal["train", "adapt"]
    model: Component
    method: Component
    layout: Layout
    normalisation: Normalisation
    split: Split
    training: TrainConfig
    source: FileRecord
    target: FileRecord | None
    provenance: Provenance
    panel: PanelRecord | None = field(default=None, metadata=UNLESS_DEFAULT)
    format: str = RUN_FORMAT
    version: int = 1
    more_sources: tuple[FileRecord, ...] = field(default=(), metadata=UNLESS_DEFAULT)
    task: TaskConfig = field(default=TaskConfig(), metadata=UNLESS_DEFAULT)

    @property
    def sources(self) -> tuple[FileRecord, ...]:
        """All files with the labels the run was trained on."""
        return (self.source, *self.more_sources)

    @property
    def source_words(self) -> str:
        """The cell types of the sources, in words."""
        return " and ".join(one.cell_type for one in self.sources)


def run_version(config: RunConfig) -> int:
    """Return the oldest version of the format that can hold a run.

    Version 2 added several sources, mark dropout and the panel, version 3 regression, version 4
    adaptation with new genes, version 5 genes that are shifted or thinned in training, precision
    and signal rounded to float16.
    """
    training = config.training
    rounded = training.precision != "float32" or training.memory == "float16"
    if training.augments or rounded:
        return 5
    if config.split.new_genes:
        return 4
    if config.task.name != "classification":
        return 3
    return 2 if config.more_sources or config.training.mark_dropout or config.panel else 1


def check_panel(task: TaskName, panel: PanelChoice | None) -> None:
    """Refuse a panel beside the marks where expression is learned.

    Raises
    ------
    ValueError
        It says what to do without.
    """
    if panel is not None and task != "classification":
        raise ValueError(f"a panel beside the marks cannot do {task}; train without it")
