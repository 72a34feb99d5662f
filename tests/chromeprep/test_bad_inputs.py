"""Each bad input: one clear message that names the file, exit 1, and nothing written.

Every case runs twice: without an output there, and with one that `--force` would let go.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES: dict[str, tuple[Callable[[Any, Any], tuple[list[object], Path]], str]] = {}

A = "ENSG00000000000"


def case(name: str, message: str) -> Callable[[Any], Any]:
    """Register a function (world, workshop) -> (arguments, file that is at fault)."""

    def register(make: Any) -> Any:
        CASES[name] = make, message
        return make

    return register


def track(name: str, message: str, option: str, write: Callable[[Any, Any], Path | str]) -> None:
    """Register a bad signal file, as the only track."""

    def make(world: Any, workshop: Any) -> tuple[list[object], Path]:
        path = Path(write(world, workshop))
        return world.arguments(option, f"H3K9ac={path}", tracks=False), path

    CASES[name] = make, message


def other(name: str, message: str, option: str, write: Callable[[Any, Any], Path | str]) -> None:
    """Register another bad file, given with an option beside good tracks."""

    def make(world: Any, workshop: Any) -> tuple[list[object], Path]:
        path = Path(write(world, workshop))
        return world.arguments(option, path), path

    CASES[name] = make, message


def text(content: str | bytes, name: str = "x.txt") -> Callable[[Any, Any], Path]:
    return lambda world, workshop: workshop.text(name, content)


def cut(source: Callable[[Any], Path], share: float) -> Callable[[Any, Any], Path]:
    """Cut a file short; the index of a BAM stays whole."""

    def write(world: Any, workshop: Any) -> Path:
        path = source(world)
        data = path.read_bytes()
        new = workshop.folder / f"cut{path.suffix}"
        new.write_bytes(data[: int(len(data) * share)])
        if Path(f"{path}.bai").exists():
            shutil.copy(f"{path}.bai", f"{new}.bai")
        return Path(new)

    return write


def absent(world: Any, workshop: Any) -> Path:
    return Path(workshop.folder / "absent.file")


def folder(world: Any, workshop: Any) -> Path:
    (workshop.folder / "folder").mkdir()
    return Path(workshop.folder / "folder")


for option in ("--bam", "--bigwig"):
    track(f"{option} missing", "no such file", option, absent)
    track(f"{option} folder", "is a folder, not a file", option, folder)
    track(f"{option} empty", "is empty", option, text(b""))
for option in ("--gtf", "--expression", "--genes", "--regions"):
    other(f"{option} missing", "cannot be read: No such file", option, absent)
    other(f"{option} folder", "is a folder, not a file", option, folder)
    other(f"{option} binary", "is not a text file", option, text(random.Random(0).randbytes(9999)))
    other(f"{option} damaged gzip", "damaged gzip data", option,
          text(gzip.compress(b"chr1\t1\t2\n" * 9999)[:-9]))  # fmt: skip

track(
    "truncated BAM",
    "truncated BAM: its end-of-file mark is missing",
    "--bam",
    cut(lambda world: world.bam, 0.6),
)
track("truncated BAM header", "truncated BAM", "--bam", cut(lambda world: world.bam, 0.01))
track("garbage BAM", "is not a BAM file", "--bam", text(random.Random(1).randbytes(5000), "x.bam"))
track(
    "SAM",
    "is not a BAM file but another kind of alignments",
    "--bam",
    text("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\nr\t0\tchr1\t1\t9\t1M\t*\t0\t0\tA\t*\n", "x.bam"),
)
track("bigWig as BAM", "is not a BAM file", "--bam", lambda world, workshop: world.bigwig)
track(
    "BAM as bigWig",
    "is not a bigWig; expected a bigWig",
    "--bigwig",
    lambda world, workshop: world.bam,
)
track(
    "bigBed",
    "is a bigBed; expected a bigWig",
    "--bigwig",
    text(0x8789F2EB.to_bytes(4, "little") + bytes(500), "x.bb"),
)
track("garbage bigWig", "is not a bigWig", "--bigwig", text(random.Random(1).randbytes(999)))
for share in (0.02, 0.2, 0.5, 0.9, 0.999):
    track(f"truncated bigWig {share}", "truncated bigWig: its end mark is missing", "--bigwig",
          cut(lambda world: world.bigwig, share))  # fmt: skip
track(
    "infinite bigWig",
    "has an infinite value at chr1:",
    "--bigwig",
    lambda world, w: w.bigwig([("chr1", 0, 9000, float("inf"))], world.chromosomes, "x.bw"),
)

GENE = 'chr1\tx\tgene\t5000\t9000\t.\t+\t.\tgene_id "G1"; gene_type "protein_coding";\n'
other("GTF empty", "has no gene, transcript or exon lines", "--gtf", text(b""))
other(
    "GTF line",
    "line 2: malformed GTF: 8 columns separated by tabs, expected 9",
    "--gtf",
    text(GENE + GENE.replace("\t.\t+", "\t+")),
)
other(
    "GTF position",
    "line 3: malformed GTF: start and end must be whole numbers",
    "--gtf",
    text("#\n" + GENE + GENE.replace("9000", "end")),
)
other(
    "GFF3",
    "line 2: malformed GTF: no gene_id",
    "--gtf",
    text("##gff-version 3\nchr1\tx\tgene\t5\t9\t.\t+\t.\tID=gene:G1;biotype=protein_coding\n"),
)
other(
    "GTF two places",
    "1 gene id on more than one chromosome or strand",
    "--gtf",
    text(GENE + GENE.replace("chr1", "chr2")),
)
other(
    "GTF type",
    "no gene of type 'protein_coding'; did you mean 'protein_codin'",
    "--gtf",
    text(GENE.replace("protein_coding", "protein_codin")),
)
other(
    "GTF truncated",
    "damaged gzip data",
    "--gtf",
    lambda world, w: w.text("x.gtf", gzip.compress(GENE.encode() * 999)[:-12]),
)

ROWS = f"{A}\t1\nENSG00000000001\t2\n"
other("table empty", "is empty", "--expression", text(b""))
other("table header only", "has a header but no rows", "--expression", text("gene_id\tE003\n"))
other(
    "table no header",
    "line 1: the first line should name the columns",
    "--expression",
    text(ROWS.replace("\n", "\t7\n")),
)
other(
    "table no number",
    f"line 3: column 'E003' of gene {A}: 'x' is not a number",
    "--expression",
    text(f"gene_id\tE003\nENSG00000000001\t2\n{A}\tx\n"),
)
other(
    "table doubled",
    f"gene {A} stands in two rows, lines 2 and 4",
    "--expression",
    text(f"gene_id\tE003\n{ROWS}{A}.7\t3\n"),
)
other(
    "table no common ids",
    "knows none of the 20 genes of ",
    "--expression",
    text("gene_id\tE003\nTP53\t1\nMYC\t2\n"),
)
other(
    "table too many columns",
    "choose one with --expression-column NAME",
    "--expression",
    text(f"gene_id\tE003\tE116\n{A}\t1\t2\n"),
)


@case("table no such column", "no column 'E03'; did you mean 'E003'?")
def _no_column(world: Any, workshop: Any) -> tuple[list[object], Path]:
    path = workshop.text("t.tsv", f"gene_id\tE003\tE116\n{A}\t1\t2\n")
    return world.arguments("--expression", path, "--expression-column", "E03"), path


other("list empty", "names no gene", "--genes", text("# nothing\n"))
other(
    "list of others",
    "none of its 2 genes is left after the filters: X, Y",
    "--genes",
    text("X\nY\n"),
)
other("BED empty", "holds no region", "--regions", text("track x\n"))
other("BED line", "line 2: malformed BED", "--regions", text("chr1\t0\t9\nchr1\t9\n"))
other(
    "BED elsewhere",
    "no gene's window of 1,000 bp lies wholly inside its regions",
    "--regions",
    text("chr7\t0\t900000\n"),
)


@case("no chromosome in common", "no chromosome in common: ")
def _no_chromosome(world: Any, workshop: Any) -> tuple[list[object], Path]:
    path = workshop.bam([workshop.Read("2L", 5)], {"2L": 900, "3R": 900}, "fly.bam")
    return world.arguments("--bam", f"H3K9ac={path}"), path


@case("TSS beyond the chromosome", "gene ENSG00000000011.2 has its TSS at chr1:34,100, beyond the "
      "end of chr1 in ")  # fmt: skip
def _beyond(world: Any, workshop: Any) -> tuple[list[object], Path]:
    sizes = {"chr1": 34_000, "chr2": 30_000}
    path = workshop.bam([workshop.Read("chr1", 5)], sizes, "short.bam")
    return world.arguments("--bam", f"H3K9ac={path}", tracks=False), path


@case("tracks of two assemblies", "chr2 has 30,000 bp in ")
def _lengths(world: Any, workshop: Any) -> tuple[list[object], Path]:
    sizes = {"chr1": 40_000, "chr2": 31_000}
    path = workshop.bam([workshop.Read("chr1", 5)], sizes, "other.bam")
    return world.arguments("--bam", f"H3K9ac={path}"), path


@case("no chromosome in all tracks", "no chromosome is in all of ")
def _apart(world: Any, workshop: Any) -> tuple[list[object], Path]:
    one = workshop.bam([workshop.Read("chr1", 5)], {"chr1": 40_000}, "one.bam")
    two = workshop.bam([workshop.Read("chr2", 5)], {"chr2": 30_000}, "two.bam")
    more = ["--bam", f"H3K9ac={one}", "--bam", f"H3K4me1={two}"]
    return world.arguments(*more, tracks=False), two


@case("like is no file of bins", "is not an HDF5 file")
def _like(world: Any, workshop: Any) -> tuple[list[object], Path]:
    return ["bin", "--like", world.gtf, "--bam", world.bam], world.gtf


def listing(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("existing", [False, True], ids=["new", "force"])
@pytest.mark.parametrize("name", CASES)
def test_one_clear_message(
    chromeprep: Any, world: Any, workshop: Any, name: str, existing: bool
) -> None:
    make, message = CASES[name]
    arguments, path = make(world, workshop)
    out = workshop.folder / "results" / "out.h5"
    out.parent.mkdir()
    if existing:
        out.write_bytes(b"precious")
        arguments = [*arguments, "--force"]
    before, around = listing(workshop.folder), listing(world.folder)
    done = chromeprep(*arguments, "-o", out)
    assert done.code == 1, done.err
    assert done.out == ""
    assert listing(workshop.folder) == before
    assert listing(world.folder) == around
    # Notices may come before it, but there is one error, and nothing after it but its hint.
    notices, error = done.err.split("chromeprep: error: ")
    assert message in error
    assert str(path) in error
    assert "Traceback" not in done.err
    assert all(line.startswith("  ") for line in error.splitlines()[1:])
    assert not any(word in notices.lower() for word in ("error", "[e::", "[w::", "bwg", "null"))
    assert error.isprintable() or set(error) - set(filter(str.isprintable, error)) <= {"\n", "\t"}


def test_no_chromosome_in_common_shows_both_sides(
    chromeprep: Any, world: Any, workshop: Any
) -> None:
    arguments, path = _no_chromosome(world, workshop)
    done = chromeprep(*arguments, "-o", workshop.folder / "a.h5")
    assert f"{path} has 2L, 3R; the genes of {world.gtf} are on chr1, chr2" in done.err


def test_one_id_in_two_places_shows_both_lines(chromeprep: Any, world: Any, workshop: Any) -> None:
    path = workshop.text("a.gtf", GENE + "#\n" + GENE.replace("chr1", "chr2"))
    done = chromeprep(*world.arguments("--gtf", path, "-o", workshop.folder / "a.h5"))
    assert "  line 1: chr1\tx\tgene" in done.err
    assert "  line 3: chr2\tx\tgene" in done.err


# Outputs.


def test_an_output_that_exists(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    out.write_bytes(b"precious")
    done = chromeprep(*world.arguments("-o", out))
    assert done.code == 1
    assert done.err == f"chromeprep: error: {out}: exists already\n  use --force to replace it\n"
    assert out.read_bytes() == b"precious"
    assert chromeprep(*world.arguments("-o", out, "-f")).code == 0
    assert chromeprep("validate", out).code == 0
    assert list(tmp_path.iterdir()) == [out]


def test_outputs_that_cannot_be(
    chromeprep: Any, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = chromeprep(*world.arguments("-o", tmp_path / "absent" / "a.h5"))
    assert done.code == 1
    assert f"the folder {tmp_path / 'absent'} does not exist\n  mkdir -p" in done.err
    done = chromeprep(*world.arguments("-o", tmp_path, "-f"))
    assert done.code == 1
    assert "is a folder, not a file that can be replaced" in done.err
    done = chromeprep(*world.arguments("-o", "/dev/null", "-f"))
    assert done.code == 1
    assert Path("/dev/null").is_char_device()
    access = os.access  # by pretence, as root may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))
    done = chromeprep(*world.arguments("-o", tmp_path / "a.h5"))
    assert done.code == 1
    assert f"{tmp_path / 'a.h5'}: the folder {tmp_path} cannot be written to" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["gtf", "bam", "bigwig"])
def test_an_input_is_never_replaced(chromeprep: Any, world: Any, which: str) -> None:
    path = getattr(world, which)
    before = path.read_bytes()
    done = chromeprep(*world.arguments("-o", path, "--force"))
    assert done.code == 1
    assert f"{path}: is one of the inputs and would be replaced" in done.err
    assert path.read_bytes() == before


def test_nothing_is_read_where_the_output_cannot_be(
    chromeprep: Any, world: Any, tmp_path: Path
) -> None:
    out = tmp_path / "a.h5"
    out.write_bytes(b"")
    done = chromeprep("bin", "--gtf", "absent", "--bam", "H3K4me3=absent", "-o", out)
    assert "exists already" in done.err
