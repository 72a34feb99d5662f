"""How long does binning take, beside the tools that labs use for it?

Makes inputs as large as real ones (`benchmarks.inputs`) in a folder, kept for the next time, then
runs every program in turn, whole processes, several rounds, and prints medians and ratios. A peer
that is not installed is left out. With ``--curves`` it also shows how time grows with reads and
with windows.

    python -m benchmarks.binning --folder /tmp/bench
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import inputs
from benchmarks.arguments import parser

THREADS = 2
N_READS = 25_000_000
N_MARKS = 5
TABLES = ("bam", "bigwig", "tagalign", "five")
MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")
CHROMEPREP = str(Path(sys.executable).with_name("chromeprep"))


class Program(NamedTuple):
    """Something to time: a name, a shell command, and the program it needs."""

    name: str
    command: str
    needs: str = CHROMEPREP


class Measured(NamedTuple):
    """Wall time of each round, and the peak memory in one more."""

    seconds: list[float]
    anonymous_mb: float


def seconds_of(command: str) -> float:
    """Run a shell command and return its wall time."""
    start = time.perf_counter()
    process = _start(command)
    if process.wait():
        raise RuntimeError(f"failed with {process.returncode}: {command}")
    return time.perf_counter() - start


def memory_of(command: str) -> float:
    """Run a shell command and return its peak memory in MB, mapped files not counted."""
    process = _start(command)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _anonymous_mb(process.pid))
        time.sleep(0.01)
    return peak


def _start(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", command], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _anonymous_mb(session: int) -> float:
    """Sum the anonymous memory of all processes of a session."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) != session:
                continue
            for line in (entry / "status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
        except (OSError, ValueError):
            continue
    return total / 1024


def in_turn(programs: Sequence[Program], rounds: int) -> dict[str, Measured]:
    """Run programs in turn, `rounds` times, after one round to see their memory."""
    found: dict[str, Measured] = {}
    present = [program for program in programs if shutil.which(program.needs)]
    for program in programs:
        if program not in present:
            print(f"  (not installed: {program.needs})", flush=True)
    # Watching the memory takes time itself, so it has a round of its own, which also warms up.
    for program in present:
        found[program.name] = Measured([], memory_of(program.command))
    for _ in range(rounds):
        for program in present:
            found[program.name].seconds.append(seconds_of(program.command))
    return found


def report(title: str, found: dict[str, Measured], yardstick: str) -> None:
    """Print medians, their range, and the medians of the ratios round by round."""
    print(f"\n{title}\n")
    print(f"| program | seconds | range | / {yardstick} | memory, MB |")
    print("|---|---|---|---|---|")
    base = found[yardstick].seconds
    for name, (seconds, memory) in found.items():
        ratio = median(one / other for one, other in zip(seconds, base, strict=True))
        print(
            f"| {name} | {median(seconds):.2f} | {min(seconds):.2f}-{max(seconds):.2f} | "
            f"{ratio:.2f} | {memory:.0f} |",
            flush=True,
        )


def prepare(folder: Path, n_reads: int) -> None:
    """Make what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    steps: list[tuple[str, Callable[[Path], object]]] = [
        ("genes.gtf.gz", lambda path: inputs.write_gtf(path, 0)),
        ("gencode.gtf.gz", inputs.write_gtf),
        ("reads.bam", lambda path: inputs.write_bam(path, n_reads)),
        ("signal.bw", inputs.write_bigwig),
        ("reads.tagAlign.gz", lambda path: inputs.write_tagalign(path, n_reads)),
        ("windows.bed", inputs.write_windows),
        ("bins.bed", inputs.write_bins),
        ("bins.saf", inputs.write_saf),
        ("chrom.sizes", inputs.write_sizes),
    ]
    for name, make in steps:
        if not (folder / name).exists():
            print(f"making {name}", flush=True)
            make(folder / name)
    for number, mark in enumerate(MARKS):
        for name, ending in (("reads.bam", "bam"), ("reads.bam.bai", "bam.bai"),
                             ("signal.bw", "bw")):  # fmt: skip
            link = folder / f"{number}-{mark}.{ending}"
            if not link.exists():
                # Copies: the same file for all would be in every cache.
                shutil.copy(folder / name, link)
    plain = folder / "plain.bam"  # without an index
    if not plain.exists():
        plain.symlink_to("reads.bam")


def programs_for_bam(folder: Path, out: Path) -> list[Program]:
    """Return the programs that count a BAM in bins; samtools, that only reads it, first."""
    bam, bins = folder / "reads.bam", folder / "bins.bed"
    own = f"{CHROMEPREP} bin --gtf {folder}/genes.gtf.gz -o {out}/o.h5 -f -p {THREADS}"
    return [
        Program("samtools view -c", f"samtools view -@{THREADS} -c {bam}", "samtools"),
        Program("chromeprep bin", f"{own} --bam H3K4me3={bam}"),
        Program("chromeprep bin, no index", f"{own} --bam H3K4me3={folder}/plain.bam"),
        Program("chromeprep bin --scale cpm", f"{own} --bam H3K4me3={bam} --scale cpm"),
        Program(
            "megadepth",
            f"megadepth {bam} --threads {THREADS} --annotation {folder}/windows.bed "
            f"--no-auc-stdout --prefix {out}/m --no-annotation-stdout",
            "megadepth",
        ),
        Program(
            "featureCounts",
            f"featureCounts -T {THREADS} -O -F SAF -a {folder}/bins.saf -o {out}/f.txt {bam}",
            "featureCounts",
        ),
        Program(
            "bedtools intersect -c",
            f"bedtools intersect -c -sorted -g {folder}/chrom.sizes -a {bins} -b {bam}",
            "bedtools",
        ),
    ]  # fmt: skip


def programs_for_bigwig(folder: Path, out: Path, *, slow: bool) -> list[Program]:
    """Return the programs that average a bigWig in bins, the plain use of pyBigWig first."""
    own = f"{CHROMEPREP} bin --gtf {folder}/genes.gtf.gz -o {out}/o.h5 -f"
    python = f"{sys.executable} -m benchmarks.peers"
    track = folder / "signal.bw"
    found = [
        Program("pyBigWig values + reshape", f"{python} pybigwig {track} {folder}/windows.bed"),
        Program("pybigtools", f"{python} pybigtools {track} {folder}/windows.bed", "true"),
        Program("chromeprep bin -p 1", f"{own} --bigwig H3K4me3={track}"),
        Program("chromeprep bin -p 2", f"{own} --bigwig H3K4me3={track} -p 2"),
    ]
    if slow:
        matrix = Path(sys.executable).with_name("computeMatrix")
        found.append(
            Program(
                "deepTools computeMatrix",
                f"{matrix} reference-point -S {track} -R {folder}/windows.bed "
                f"--referencePoint center -b 10000 -a 10000 -bs 100 --missingDataAsZero "
                f"-p {THREADS} -o {out}/m.gz",
                str(matrix),
            )
        )
    return found


def programs_for_tagalign(folder: Path, out: Path) -> list[Program]:
    """Return the programs that count a tagAlign in bins; zcat, that only unpacks it, first."""
    own = f"{CHROMEPREP} bin --gtf {folder}/genes.gtf.gz -o {out}/o.h5 -f --assembly hg19"
    tags = folder / "reads.tagAlign.gz"
    return [
        Program("zcat", f"zcat {tags} > /dev/null", "zcat"),
        Program("chromeprep bin -p 2", f"{own} --tagalign H3K4me3={tags} -p 2"),
        Program("chromeprep bin -p 1", f"{own} --tagalign H3K4me3={tags}"),
        Program(
            "bedtools intersect -c",
            f"bedtools intersect -c -sorted -g {folder}/chrom.sizes -a {folder}/bins.bed -b {tags}",
            "bedtools",
        ),
    ]


def programs_for_five_marks(folder: Path, out: Path) -> list[Program]:
    """Return the whole job, beside the reading of one of its BAMs and of its GTF."""
    own = f"{CHROMEPREP} bin --gtf {folder}/gencode.gtf.gz -o {out}/o.h5 -f -p {THREADS}"
    bams = " ".join(f"--bam {folder}/{n}-{mark}.bam" for n, mark in enumerate(MARKS))
    bigwigs = " ".join(f"--bigwig {folder}/{n}-{mark}.bw" for n, mark in enumerate(MARKS))
    return [
        Program("samtools view -c", f"samtools view -@{THREADS} -c {folder}/reads.bam", "samtools"),
        Program("zcat GTF | wc -l", f"zcat {folder}/gencode.gtf.gz | wc -l", "zcat"),
        Program("read_gtf", f"{sys.executable} -m benchmarks.peers gtf {folder}/gencode.gtf.gz"),
        Program("five bigWigs", f"{own} {bigwigs}"),
        Program("five BAMs", f"{own} {bams}"),
    ]


def curves(folder: Path, out: Path) -> None:
    """Print how the time grows with reads and with windows."""
    print("\nTime of `chromeprep bin` by reads (20,000 genes) and by genes (25 million reads)\n")
    print("| reads | genes | seconds, index | seconds, no index |\n|---|---|---|---|")
    cases = [(n, 1.0) for n in (1, 5, 10, 25)] + [(25, share) for share in (0.5, 0.25, 0.05)]
    for millions, share in cases:
        bam = folder / f"reads-{millions}M.bam"
        if millions == N_READS // 1_000_000:
            bam = folder / "reads.bam"
        elif not bam.exists():
            inputs.write_bam(bam, millions * 1_000_000)
        plain = out / "plain.bam"
        plain.unlink(missing_ok=True)
        plain.symlink_to(bam)
        chosen = [f"ENSG{n:011d}" for n in range(0, inputs.N_GENES, round(1 / share))]
        (out / "genes.txt").write_text("\n".join(chosen) + "\n")
        times = []
        for track in (bam, plain):
            command = (
                f"{CHROMEPREP} bin --gtf {folder}/genes.gtf.gz -o {out}/o.h5 -f -p {THREADS} "
                f"--genes {out}/genes.txt --bam H3K4me3={track}"
            )
            times.append(median(seconds_of(command) for _ in range(3)))
        print(f"| {millions} M | {len(chosen):,} | {times[0]:.2f} | {times[1]:.2f} |", flush=True)


def main() -> None:
    """Make the inputs, time everything, print the tables."""
    options = parser(__doc__)
    options.add_argument("--folder", type=Path, required=True, help="where the inputs are kept")
    options.add_argument("-n", "--rounds", type=int, default=5)
    options.add_argument("--reads", type=int, default=N_READS, help="of the BAM and the tagAlign")
    options.add_argument("--slow", action="store_true", help="computeMatrix too (a minute a round)")
    options.add_argument("--curves", action="store_true", help="time by reads and by windows too")
    options.add_argument("--only", choices=TABLES, action="append", help="tables to make")
    arguments = options.parse_args()
    prepare(arguments.folder, arguments.reads)
    folder, rounds = arguments.folder, arguments.rounds
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        tables = arguments.only or TABLES
        if "bam" in tables:
            report("BAM", in_turn(programs_for_bam(folder, out), rounds), "samtools view -c")
        if "bigwig" in tables:
            programs = programs_for_bigwig(folder, out, slow=arguments.slow)
            report("bigWig", in_turn(programs, rounds), "pyBigWig values + reshape")
        if "tagalign" in tables:
            report("tagAlign.gz", in_turn(programs_for_tagalign(folder, out), rounds), "zcat")
        if "five" in tables:
            found = in_turn(programs_for_five_marks(folder, out), rounds)
            report("Five marks", found, "samtools view -c")
            pairs = zip(found["read_gtf"].seconds, found["zcat GTF | wc -l"].seconds, strict=True)
            print(f"\nread_gtf / (zcat GTF | wc -l): {median(a / b for a, b in pairs):.2f}")
        if arguments.curves:
            curves(folder, out)


if __name__ == "__main__":
    main()
