"""How do measurements bin real presence calls and make the runs that are missing?"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3")
CORE_MARKS = (*MARKS, "H3K9me3")
SCRIPTS = Path(sysconfig.get_path("scripts"))


class Run(NamedTuple):
    """A run folder, and the arguments of ``chromemodel`` that make it."""

    folder: Path
    arguments: tuple[str, ...]


DIVERGED = "training diverged"


def make_runs(runs: Iterable[Run], processes: int) -> None:
    """Make the runs whose folders are not there, some at a time; a folder is there when done.

    One that diverges leaves a file beside its folder that says so, and is not made again.
    """
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(_make, runs))


def diverged(run: Run) -> bool:
    """Return whether a run has diverged."""
    return _said(run).exists()


def _said(run: Run) -> Path:
    return run.folder.with_name(f"{run.folder.name}.diverged")


def _make(run: Run) -> None:
    if run.folder.exists() or diverged(run):
        return
    start = time.perf_counter()
    done = tried("chromemodel", *run.arguments, "--threads=1", "--force", "-o", str(run.folder))
    if done.returncode and DIVERGED in done.stderr:
        _said(run).write_text(done.stderr, encoding="utf-8")
    elif done.returncode:
        sys.exit(f"{run.folder}: {done.stderr}")
    print(f"{run.folder}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def bin_calls(
    data: Path, cell_type: str, output: Path, *, options: Sequence[str] = (), suffix: str = ""
) -> Path:
    """Bin the genome-wide calls of one cell type, unless that is done.

    Parameters
    ----------
    data
        The folder of real data.
    options
        More options of ``chromeprep bin``.
    suffix
        What they are called in the name of the file.
    """
    target = output / f"{cell_type}{suffix}.h5"
    if target.exists():
        return target
    tracks = [
        f"--bigwig={data}/bigwig/genomewide/{cell_type}-{mark}.calls200bp.hg19.bw" for mark in MARKS
    ]
    call("chromeprep", "bin", *tracks, *annotation(data), f"--cell-type={cell_type}",
         "--assembly=hg19", "--threads=2", *options, f"--output={target}")  # fmt: skip
    return target


def bin_pilot(data: Path, cell_type: str, output: Path) -> Path:
    """Bin the five core marks in the ENCODE pilot regions, unless that is done."""
    target = output / f"{cell_type}-pilot.h5"
    if not target.exists():
        folder = data / "bigwig" / "pilot"
        tracks = [
            f"--bigwig={folder}/{cell_type}-{mark}.pilot.neglog10p.hg19.bw" for mark in CORE_MARKS
        ]
        call("chromeprep", "bin", *tracks, f"--regions={folder}/covered_regions.bed",
             *annotation(data), f"--cell-type={cell_type}", "--assembly=hg19",
             f"--output={target}")  # fmt: skip
    return target


def annotation(data: Path) -> list[str]:
    """Return the options of the genes and their expression."""
    return [
        f"--gtf={data}/annotation/gencode_10_genes.gtf.gz",
        f"--expression={data}/roadmap/57epigenomes.RPKM.pc.gz",
    ]


def call(program: str, *arguments: str) -> None:
    """Run one of our commands and stop with its message where it fails."""
    done = tried(program, *arguments)
    if done.returncode:
        sys.exit(f"{program} {' '.join(arguments)}\n{done.stderr}")


def tried(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of our commands, however it ends."""
    return subprocess.run([str(SCRIPTS / program), *arguments], capture_output=True, text=True)


def spread(values: Sequence[float], sign: str = "") -> str:
    """Return mean ± standard deviation; ``sign`` ``+`` writes that of the mean.

    Examples
    --------
    >>> spread([0.25, 0.75]), spread([0.5], "+")
    ('0.5000 ± 0.3536', '+0.5000')
    """
    told = f"{mean(values):{sign}.4f}"
    return f"{told} ± {stdev(values):.4f}" if len(values) > 1 else told
