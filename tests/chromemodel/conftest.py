"""A small world for the models: genes whose marks follow a hidden activity."""

from __future__ import annotations

import logging
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chromemodel.cli import main
from chromemodel.config import TrainConfig
from chromeprep.format import ChromeBins, FileAttributes, GeneTable, MarkTable, write_bins

MARKS = ("H3K4me3", "H3K27me3", "H3K36me3")


def small_world(
    n_genes: int = 120,
    *,
    marks: Sequence[str] = MARKS,
    n_bins: int = 8,
    bin_size: int = 100,
    seed: int = 0,
    scale: float = 1.0,
    noise: float = 1.0,
    labels: bool = True,
    cell_type: str = "A",
    assembly: str = "hg19",
    orientation: str = "5p-to-3p",
    units: str = "signal",
    chroms: int = 6,
) -> ChromeBins:
    """Genes g0.. of all worlds share most of their activity; ``seed`` draws the rest."""
    activity = np.random.default_rng(99).normal(size=n_genes)
    rng = np.random.default_rng(seed)
    activity = activity + 0.3 * rng.normal(size=n_genes)
    effect = {mark: 1.0 if index % 2 == 0 else -1.0 for index, mark in enumerate(MARKS)}
    shape = np.exp(-(((np.arange(n_bins) + 0.5 - n_bins / 2) / 3) ** 2))
    signal = np.stack(
        [
            3
            + effect.get(mark, 0.5) * activity[:, None] * shape
            + noise * rng.normal(size=(n_genes, n_bins))
            for mark in marks
        ],
        axis=1,
    ).astype(np.float32)
    signal *= np.float32(scale)
    start = 10_000 * np.arange(n_genes)
    label = (activity >= np.median(activity)).astype(np.int8)
    genes = GeneTable.build(
        [f"ENSG{index:011d}.{1 + index % 9}" for index in range(n_genes)],
        [f"chr{1 + index % chroms}" for index in range(n_genes)],
        start,
        start + 500,
        ["+", "-"] * (n_genes // 2) + ["+"] * (n_genes % 2),
        gene_name=[f"GENE{index}" for index in range(n_genes)],
        expression=activity if labels else None,
        label=label if labels else None,
    )
    attributes = FileAttributes(
        bin_size_bp=bin_size,
        flank_bp=n_bins * bin_size // 2,
        n_bins=n_bins,
        assembly=assembly,
        cell_type=cell_type,
        orientation=orientation,
    )
    table = MarkTable.build(list(marks), signal, units=[units] * len(marks))
    lengths = {f"chr{1 + index}": 10**9 for index in range(chroms)}
    return ChromeBins(attributes, genes, table, lengths, (), signal=signal)


@pytest.fixture(scope="session")
def make_bins() -> Callable[..., ChromeBins]:
    return small_world


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "a.h5", data: ChromeBins | None = None, **kwargs: Any) -> Path:
        path = tmp_path / name
        write_bins(path, small_world(**kwargs) if data is None else data)
        return path

    return make


@pytest.fixture
def quick() -> TrainConfig:
    return TrainConfig(optimizer="adam", lr=0.01, batch_size=16, epochs=4, threads=1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def script() -> Path:
    path = Path(sysconfig.get_path("scripts")) / "chromemodel"
    assert path.exists(), "install the package: pip install -e ."
    return path


@pytest.fixture
def inside(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    keep_process_as_it_is: None,
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """The command line as `main` runs it, in this process: it need not import torch again."""
    handlers, level = logging.root.handlers[:], logging.root.level
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> subprocess.CompletedProcess[str]:
        logging.root.handlers.clear()  # else basicConfig closes those of pytest
        arguments = ["chromemodel", *map(str, args)]
        monkeypatch.setattr("sys.argv", arguments)
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        code = stop.value.code
        return subprocess.CompletedProcess(
            arguments, code if isinstance(code, int) else 1, out, err
        )

    yield call
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def cli(script: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*args: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script), *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )

    return call
