"""Which runs does a benchmark consist of, and what is each of them asked to do?"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from chromemodel.benchmark.rows import CROSS, UNCROSS
from chromemodel.benchmark.series import methods_of
from chromemodel.benchmark.spec import BenchmarkSpec, CellType, PanelFile
from chromemodel.config import NormaliseRule, Split, TrainConfig, Transform
from chromemodel.models import MODELS
from chromemodel.serial import UNLESS_DEFAULT
from chromemodel.train.checkpoint import SOURCE_ONLY

RUNS = "runs"

JobMethod = Literal["within", "origin", "uncross", "cross"]


@dataclass(frozen=True)
class Job:
    """One run: what a worker is told.

    ``method`` is the benchmark's word for it, ``adaptation`` the registered method of a run of two
    cell types. ``cross`` makes ``uncross`` too.
    """

    model: str
    method: JobMethod
    source: CellType
    target: CellType
    seed: int
    split: Split
    training: TrainConfig
    adaptation: str = SOURCE_ONLY
    method_options: dict[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    window_bp: int | None = None
    normalise: NormaliseRule = "file"
    transform: Transform = "none"
    tune: bool = False
    panel: PanelFile | None = field(default=None, metadata=UNLESS_DEFAULT)

    @property
    def adapts(self) -> bool:
        """Whether it is a run of two cell types."""
        return self.method in (UNCROSS, CROSS)

    @property
    def key(self) -> str:
        """The run's folder below ``runs``; names of cell types are quoted as in a URL."""
        cells = folder_name(self.source.name)
        if self.adapts:
            cells += f"--{folder_name(self.target.name)}"
        return f"{self.model}/{self.method}/{cells}/seed-{self.seed}"

    @property
    def words(self) -> str:
        """The run in words, for progress."""
        cells = self.source.name + (f" to {self.target.name}" if self.adapts else "")
        return f"{self.model} {self.method} {cells} seed {self.seed}"

    @property
    def cost(self) -> float:
        """A guess of how long it takes beside others: steps of training at most."""
        if MODELS.entry(self.model).fitter != "torch":
            return 1.0
        steps = 1000.0 * self.training.epochs * (1 / self.training.batch_size + 1 / 64)
        return steps * (3 if self.method == CROSS else 1) * (8 if self.tune else 1)

    def command(self, out: Path) -> tuple[str, ...]:
        """Return the command line of ``chromemodel`` that makes the same run at `out`."""
        recipe = MODELS.entry(self.model).recipe
        if self.adapts:
            words = ["adapt", "--source", self.source.path, "--target", self.target.path]
            words += ["--method", self.adaptation]
            for key, value in self.method_options.items():
                words += ["--method-set", f"{key}={value}"]
            if self.split.new_genes:
                words += ["--protocol", "new-genes"]
            else:
                words += ["--target-fraction", str(self.split.target_fraction)]
            words += ["--validation-fraction", str(self.split.validation_fraction)]
        else:
            words = ["train", self.source.path, "--split", self.split.rule]
        words += ["-o", str(out), "--recipe", "paper", "--model", self.model]
        words += ["--normalise", self.normalise]
        words += ["--transform", self.transform]
        for mark in self.marks:
            words += ["--mark", mark]
        if self.window_bp is not None:
            words += ["--window-bp", str(self.window_bp)]
        if self.panel is not None:
            words += ["--panel", self.panel.path]
            for name in self.panel.leave_out:
                words += ["--panel-leave-out", name]
            words += [] if self.panel.relatives else ["--panel-keep-like"]
        for entry in fields(TrainConfig):
            name, value = entry.name, getattr(self.training, entry.name)
            if name in ("device", "threads", "seed") or value == getattr(recipe, name):
                continue
            words += [f"--{name.replace('_', '-')}", str(value)]
        words += ["--seed", str(self.seed), "--device", self.training.device]
        words += ["-p", str(self.training.threads), "--no-baseline"]
        return ("chromemodel", *words)


def plan_jobs(spec: BenchmarkSpec) -> list[Job]:
    r"""Return the runs of a benchmark, by model, cell type and seed.

    Examples
    --------
    >>> cells = (CellType("E003", "/x/E003.h5"), CellType("E116", "/x/E116.h5"))
    >>> spec = BenchmarkSpec("cross", ("deepchrome", "logistic"), cells, (0,), source="E003")
    >>> print(*[job.key for job in plan_jobs(spec)], sep="\n")
    deepchrome/origin/E116/seed-0
    deepchrome/cross/E003--E116/seed-0
    logistic/origin/E116/seed-0
    logistic/uncross/E003--E116/seed-0
    """
    return [
        job
        for model in spec.models
        for job in (_cross(spec, model) if spec.protocol == "cross" else _within(spec, model))
    ]


def training_of(spec: BenchmarkSpec, model: str, seed: int) -> TrainConfig:
    """Return how a model is trained: its recipe, what is said apart, one thread.

    Raises
    ------
    ValueError
        Where there is no such model, or a value is wrong.
    """
    entry = MODELS.entry(model)
    said: dict[str, Any] = dict(spec.overrides) if entry.fitter == "torch" else {}
    training = replace(entry.recipe, **said, seed=seed, device=spec.device, threads=1)
    if spec.max_epochs is not None:
        training = replace(training, epochs=min(training.epochs, spec.max_epochs))
    return training


def folder_name(cell_type: str) -> str:
    """Return the name of a cell type as that of a folder.

    Examples
    --------
    >>> folder_name("H1 cells"), folder_name("CD4+/CD8+"), folder_name("..")
    ('H1 cells', 'CD4+%2FCD8+', '%2E.')
    """
    name = quote(cell_type, safe=" +,=@()'!&$")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _within(spec: BenchmarkSpec, model: str) -> list[Job]:
    return [
        _job(spec, model, "within", one, one, seed)
        for one in spec.cell_types
        for seed in spec.seeds
    ]


def _cross(spec: BenchmarkSpec, model: str) -> list[Job]:
    source = next(one for one in spec.cell_types if one.name == spec.source)
    jobs = []
    for target in spec.cell_types:
        if target.name == spec.source:
            continue
        for seed in spec.seeds:
            jobs.append(_job(spec, model, "origin", target, target, seed))
            # A run that adapts holds the one that does not.
            method: JobMethod = "cross" if CROSS in methods_of(model, spec) else "uncross"
            jobs.append(_job(spec, model, method, source, target, seed))
    return jobs


def _job(
    spec: BenchmarkSpec,
    model: str,
    method: JobMethod,
    source: CellType,
    target: CellType,
    seed: int,
) -> Job:
    split = Split(rule=spec.split, seed=seed)
    if method in (UNCROSS, CROSS):
        split = Split(
            rule="adapt-chromosome" if spec.new_genes else "adapt",
            seed=seed,
            validation_fraction=spec.validation_fraction,
            target_fraction=spec.target_fraction,
        )
    deep = MODELS.entry(model).fitter == "torch"
    return Job(
        model=model,
        method=method,
        source=source,
        target=target,
        seed=seed,
        split=split,
        training=training_of(spec, model, seed),
        adaptation=spec.method if method == CROSS else SOURCE_ONLY,
        marks=spec.marks,
        window_bp=spec.window_bp,
        normalise=spec.normalise,
        transform=spec.transform,
        tune=spec.tune and deep,
        panel=None if spec.panel is None else spec.panel.beside(source, target),
    )
