"""What was a benchmark asked to do?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from chromemodel.config import FileSplitRule, GeneProtocol, NormaliseRule, PanelChoice, Transform
from chromemodel.serial import UNLESS_DEFAULT

Protocol = Literal["within", "cross", "positions", "architecture"]
PROTOCOLS: tuple[Protocol, ...] = ("within", "cross", "positions", "architecture")

#: Models that run where none is named; the first is the one the others are held against.
DEFAULT_MODELS: dict[Protocol, tuple[str, ...]] = {
    "within": (
        "transferchrome", "deepchrome", "attentivechrome", "convchrome.cnn1d", "logistic",
    ),
    "cross": ("transferchrome", "deepchrome", "convchrome.cnn1d", "logistic"),
    "positions": ("transferchrome", "transferchrome.alpha", "transferchrome.beta"),
    "architecture": (
        "transferchrome", "transferchrome.v1", "transferchrome.v2", "transferchrome.v3",
    ),
}  # fmt: skip

#: The cell types of the paper's Figures 5 and 6: its worst, its median and its best.
NINE = ("E079", "E084", "E112", "E114", "E120", "E128", "E116", "E117", "E123")


@dataclass(frozen=True)
class CellType:
    """A cell type of a benchmark and its file of bins, absolute; ``digest`` of all its bytes.

    ``file_says`` is what the file itself calls it, where a sheet calls it otherwise.
    """

    name: str
    path: str
    digest: str = ""
    file_says: str = field(default="", metadata=UNLESS_DEFAULT)


@dataclass(frozen=True)
class PanelFile:
    """A panel of other cell types beside the marks, and what each run leaves out of it besides.

    It is known again by its ``digest`` wherever it lies; ``cell_types`` are all that it holds.
    """

    path: str
    digest: str
    cell_types: tuple[str, ...]
    leave_out: tuple[str, ...] = ()
    relatives: bool = True

    @property
    def choice(self) -> PanelChoice:
        """What ``train`` and ``adapt`` are told of it."""
        return PanelChoice(self.path, self.leave_out, self.relatives)

    def beside(self, *cells: CellType) -> PanelFile:
        """Return the panel for a run of some cell types.

        Runs leave out what their files name; what only a sheet names is left out here.
        """
        names = [one.name for one in cells if one.file_says and one.name in self.cell_types]
        return replace(self, leave_out=tuple(dict.fromkeys((*self.leave_out, *names))))


@dataclass(frozen=True)
class BenchmarkSpec:
    """All that decides the numbers of a benchmark, and so of ``benchmark.json``.

    ``overrides`` replace fields of each deep model's recipe; ``max_epochs`` caps its epochs.
    ``source``, ``method`` and ``gene_protocol`` are for ``cross``; with ``new-genes`` all of its
    runs test on the same chromosomes, so the split is ``chromosome``. ``tune`` is whether learning
    rate, batch size and the method's weight were chosen by validation, run by run. ``panel`` stands
    beside the marks in every run.
    """

    protocol: Protocol
    models: tuple[str, ...]
    cell_types: tuple[CellType, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    split: FileSplitRule = "thirds"
    source: str | None = None
    method: str = "dann"
    target_fraction: float = 0.5
    validation_fraction: float = 0.1
    marks: tuple[str, ...] = ()
    window_bp: int | None = None
    normalise: NormaliseRule = "file"
    transform: Transform = "none"
    max_epochs: int | None = None
    overrides: dict[str, float | int | str | None] = field(default_factory=dict)
    tune: bool = False
    device: str = "cpu"
    gene_protocol: GeneProtocol = field(default="same-genes", metadata=UNLESS_DEFAULT)
    panel: PanelFile | None = field(default=None, metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        if self.new_genes and (self.protocol != "cross" or self.split != "chromosome"):
            raise ValueError("gene_protocol new-genes is for cross with split chromosome")
        if self.panel is not None and self.protocol == "cross" and not self.validation_fraction:
            raise ValueError("panel needs validation genes: validation_fraction above 0")

    @property
    def new_genes(self) -> bool:
        """Whether the test genes of a target are held out of the source too."""
        return self.gene_protocol == "new-genes"

    @property
    def common_genes(self) -> bool:
        """Whether methods have other test genes, and so are scored on the common ones too."""
        return self.protocol == "cross" and not self.new_genes
