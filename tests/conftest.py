"""Small inputs of every kind, made on the spot, and the command line in this process."""

from __future__ import annotations

import gzip
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).parents[1]


class Gene(NamedTuple):
    """A gene as a GTF has it, but 0-based half-open."""

    gene_id: str
    chrom: str
    start: int
    end: int
    strand: str
    gene_type: str = "protein_coding"

    @property
    def tss(self) -> int:
        return self.start if self.strand == "+" else self.end - 1

    def line(self, feature: str = "gene", source: str = "HAVANA", key: str = "gene_type") -> str:
        attributes = f'gene_id "{self.gene_id}"; {key} "{self.gene_type}"; gene_name "{self.name}";'
        place = [str(self.start + 1), str(self.end), ".", self.strand, "."]
        return "\t".join([self.chrom, source, feature, *place, attributes])

    @property
    def name(self) -> str:
        return f"N{self.gene_id}"


class Read(NamedTuple):
    """An alignment; without `cigar` it is mapped but has none.

    `mate` is where the other read of a pair begins: chromosome and first base.
    """

    chrom: str
    start: int
    cigar: str | None = "36M"
    flag: int = 0
    mapq: int = 30
    mate: tuple[str, int] | None = None
    template: int = 0


class Workshop:
    """Writes inputs into one folder."""

    Gene = Gene
    Read = Read

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text(self, name: str, text: str | bytes) -> Path:
        data = text if isinstance(text, bytes) else text.encode()
        path = self.folder / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def gtf(
        self, genes: Iterable[Gene], name: str = "genes.gtf", feature: str = "gene", **kwargs: str
    ) -> Path:
        return self.text(name, "".join(gene.line(feature, **kwargs) + "\n" for gene in genes))

    def table(
        self, values: Mapping[str, float | str], name: str = "rpkm.tsv", column: str = "E003"
    ) -> Path:
        rows = "".join(f"{gene}\t{value}\n" for gene, value in values.items())
        return self.text(name, f"gene_id\t{column}\n{rows}")

    def bigwig(
        self,
        entries: Sequence[tuple[str, int, int, float]],
        chromosomes: Mapping[str, int],
        name: str = "H3K4me3.bw",
    ) -> Path:
        import pyBigWig

        path = self.folder / name
        track = pyBigWig.open(str(path), "w")
        track.addHeader(list(chromosomes.items()))
        order = {chrom: rank for rank, chrom in enumerate(chromosomes)}
        for chrom, start, end, value in sorted(entries, key=lambda e: (order[e[0]], e[1])):
            track.addEntries([chrom], [start], ends=[end], values=[float(value)])
        track.close()
        return path

    def bam(
        self,
        reads: Sequence[Read],
        chromosomes: Mapping[str, int],
        name: str = "H3K4me3.bam",
        *,
        index: bool = True,
        sort: bool = True,
        order: str | None = "coordinate",
    ) -> Path:
        import pysam

        header: dict[str, Any] = {"HD": {"VN": "1.6"}}
        if order is not None:
            header["HD"]["SO"] = order
        header["SQ"] = [{"SN": chrom, "LN": size} for chrom, size in chromosomes.items()]
        layout = pysam.AlignmentHeader.from_dict(header)
        names = list(chromosomes)
        if sort:
            reads = sorted(reads, key=lambda read: (names.index(read.chrom), read.start))
        path = self.folder / name
        with pysam.AlignmentFile(str(path), "wb", header=layout) as out:
            for number, read in enumerate(reads):
                entry = pysam.AlignedSegment(layout)
                entry.query_name = f"r{number}"
                entry.flag = read.flag
                entry.reference_id = names.index(read.chrom)
                entry.reference_start = read.start
                entry.mapping_quality = read.mapq
                entry.template_length = read.template
                if read.mate is not None:
                    entry.next_reference_id = names.index(read.mate[0])
                    entry.next_reference_start = read.mate[1]
                if read.cigar is not None:
                    entry.cigarstring = read.cigar
                    length = entry.infer_query_length() or 0
                else:
                    length = 36
                if length:
                    entry.query_sequence = "A" * length
                out.write(entry)
        if index:
            pysam.index(str(path))
        return path


class World(NamedTuple):
    """A small set of inputs that fit each other."""

    folder: Path
    genes: tuple[Gene, ...]
    chromosomes: Mapping[str, int]
    gtf: Path
    table: Path
    bigwig: Path
    bam: Path

    def arguments(self, *more: object, tracks: bool = True) -> list[str]:
        """Arguments of `chromeprep bin` with small windows, but no output."""
        own = ["bin", "--gtf", self.gtf, "--flank", 500, "--bin-size", 100]
        own += ["--neighbour-distance", 100]
        if tracks:
            own += ["--bigwig", self.bigwig, "--bam", self.bam]
        return [str(part) for part in [*own, *more]]


class Result(NamedTuple):
    """What a command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def workshop_in() -> type[Workshop]:
    """Give the class itself, for tests that make many inputs in folders of their own."""
    return Workshop


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Twenty genes on two chromosomes, a bigWig of H3K4me3, a BAM of H3K27me3, expression."""
    make = Workshop(tmp_path_factory.mktemp("world"))
    rng = np.random.default_rng(0)
    chromosomes = {"chr1": 40_000, "chr2": 30_000}
    genes = []
    for number in range(20):
        chrom = "chr1" if number < 12 else "chr2"
        start = 200 + 3000 * (number if number < 12 else number - 12)
        strand = "+-"[number % 2]
        genes.append(Gene(f"ENSG{number:011d}.{number % 3}", chrom, start, start + 900, strand))
    entries = [
        (chrom, start, start + int(rng.integers(1, 120)), float(rng.integers(1, 50)) / 4)
        for chrom, size in chromosomes.items()
        for start in range(0, size - 150, 170)
    ]
    reads = [
        Read(chrom, int(rng.integers(0, size - 40)), flag=int(rng.choice([0, 16, 0x400])))
        for chrom, size in chromosomes.items()
        for _ in range(600)
    ]
    return World(
        folder=make.folder,
        genes=tuple(genes),
        chromosomes=chromosomes,
        gtf=make.gtf(genes),
        table=make.table({gene.gene_id.split(".")[0]: n for n, gene in enumerate(genes)}),
        bigwig=make.bigwig(entries, chromosomes, "E003-H3K4me3.bw"),
        bam=make.bam(reads, chromosomes, "E003-H3K27me3.bam"),
    )


def _run_here(
    main: Callable[[], object],
    program: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Result]:
    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def keep_process_as_it_is() -> Iterator[None]:
    """Put back what a command line changes for the whole process: logging and SIGTERM."""
    import signal

    handler = signal.getsignal(signal.SIGTERM)
    loggers = [logging.getLogger(name) for name in ("chromeprep", "chromemodel")]
    before = [(list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before, strict=True):
        logger.handlers = handlers
        logger.setLevel(level)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def chromeprep(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    keep_process_as_it_is: None,
) -> Callable[..., Result]:
    """Run `chromeprep ARGUMENTS…` in this process; what C libraries print is caught too."""
    from chromeprep.cli import main

    return _run_here(main, "chromeprep", monkeypatch, capfd)


@pytest.fixture
def chromemodel(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    keep_process_as_it_is: None,
) -> Callable[..., Result]:
    """Run `chromemodel ARGUMENTS…` in this process: it need not import torch again."""
    from chromemodel.cli import main

    return _run_here(main, "chromemodel", monkeypatch, capfd)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Give the folder of public measurements that is not part of the project."""
    named = os.environ.get("CHROME_REAL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "bigwig").is_dir():
        pytest.skip(f"no real data: {folder} is not there (set CHROME_REAL_DATA)")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the root of the repository."""
    return ROOT
