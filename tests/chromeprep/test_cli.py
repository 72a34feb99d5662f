"""`chromeprep bin`, `info`, `validate` as a user types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromeprep.format import ChromeBins, read_bins
from chromeprep.format.validate import violations


@pytest.fixture(scope="session")
def script() -> Path:
    path = Path(sysconfig.get_path("scripts")) / "chromeprep"
    assert path.exists(), "install the package: pip install -e ."
    return path


def same(one: ChromeBins, other: ChromeBins) -> None:
    assert list(one.genes.gene_id) == list(other.genes.gene_id)
    assert one.mark_names == other.mark_names
    np.testing.assert_array_equal(one.signal, other.signal)
    np.testing.assert_array_equal(one.genes.bins_outside, other.genes.bins_outside)


def test_the_installed_script(script: Path, world: Any, tmp_path: Path) -> None:
    """Data go to stdout, all else to stderr; one process or two give the same file."""
    outs = [tmp_path / "one.h5", tmp_path / "two.h5"]
    for threads, out in enumerate(outs, start=1):
        more = ["--expression", world.table, "--expression-column", "E003", "--cell-type", "E003",
                "--assembly", "toy1", "-p", threads, "-o", out]  # fmt: skip
        done = subprocess.run(
            [script, *world.arguments(*more)], capture_output=True, text=True, check=True
        )
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "       20  genes of the wanted types in the annotation",
            "       20  known to the expression table",
            "       20  after the 100 bp neighbour filter",
            "       20  on chromosomes that every track has",
            "    50.0%  of the labels are high (expression >= 9.5, the median)",
            f"{out}: 20 genes x 2 marks (H3K4me3, H3K27me3) x 10 bins",
        ]
        assert violations(out) == []
    one, two = map(read_bins, outs)
    same(one, two)
    assert (one.attributes.cell_type, one.attributes.assembly) == ("E003", "toy1")
    assert sorted(tmp_path.iterdir()) == outs


def test_what_is_in_the_file(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    assert chromeprep(*world.arguments("-o", out, "--expression", world.table)).code == 0
    data = read_bins(out)
    attributes = data.attributes
    assert (attributes.flank_bp, attributes.bin_size_bp, attributes.n_bins) == (500, 100, 10)
    assert (attributes.neighbour_distance_bp, attributes.uncovered) == (100, "zero")
    assert (attributes.label_rule, attributes.label_threshold) == ("expression >= median", 9.5)
    assert attributes.expression_source == f"{world.table}:E003"
    assert attributes.assembly == "unknown"
    assert attributes.cell_type == "E003"  # the only column of the table
    assert list(data.genes.gene_id) == [gene.gene_id for gene in world.genes]
    assert list(data.genes.tss) == [gene.tss for gene in world.genes]
    assert list(data.genes.label) == [0] * 10 + [1] * 10
    assert list(data.genes.expression) == list(range(20))
    assert (data.genes.bins_outside > 0).sum() == 2  # the first gene of each chromosome
    assert dict(data.chromosomes) == world.chromosomes
    assert list(data.marks.source) == [str(world.bigwig), str(world.bam)]
    assert list(data.marks.units) == ["signal", "reads"]
    assert list(data.marks.n_mapped) == [-1, 1200]
    assert all(re.match(r"size=\d+ mtime=2.* blake2b=", mark) for mark in data.marks.fingerprint)
    np.testing.assert_allclose(data.marks.mean, data.signal.mean(axis=(0, 2)), rtol=1e-5)
    (line,) = map(json.loads, data.provenance)
    assert line["argv"][:2] == ["chromeprep", "bin"]
    assert set(line["inputs"]) == {"H3K4me3", "H3K27me3", "gtf", "expression"}
    assert line["inputs"]["gtf"]["path"] == str(world.gtf)
    assert {"chromeprep", "transferchrome"} & set(line["versions"])
    assert [step["n_genes"] for step in line["genes"]] == [20, 20, 20, 20]


def test_without_expression(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    assert chromeprep(*world.arguments("-o", out)).code == 0
    data = read_bins(out)
    assert set(data.genes.label) == {-1}
    assert np.isnan(data.genes.expression).all()
    assert data.attributes.label_rule == "none"
    assert data.attributes.cell_type == "unknown"
    assert violations(out) == []


@pytest.mark.parametrize(("column", "cell_type"), [("TPM", "unknown"), ("K562", "K562")])
def test_cell_type_of_a_column(
    chromeprep: Any, world: Any, workshop: Any, column: str, cell_type: str
) -> None:
    table = workshop.table({gene.gene_id: 1 for gene in world.genes}, column=column)
    out = workshop.folder / "a.h5"
    assert chromeprep(*world.arguments("-o", out, "--expression", table)).code == 0
    assert read_bins(out).attributes.cell_type == cell_type


@pytest.fixture
def binned(chromeprep: Any, world: Any, tmp_path: Path) -> Callable[..., ChromeBins]:
    """Bin the world with more options, and read what comes."""

    def run(*options: object, tracks: bool = True) -> ChromeBins:
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"
        done = chromeprep(*world.arguments(*options, "-o", out, tracks=tracks))
        assert done.code == 0, done.err
        assert done.out == ""
        assert violations(out) == []
        return read_bins(out)

    return run


def test_windows(binned: Any) -> None:
    data = binned("--flank", 300, "--bin-size", 50)
    assert data.signal.shape == (20, 2, 12)
    assert list(data.bin_starts[:2]) == [-300, -250]


def test_neighbour_distance(binned: Any) -> None:
    # TSS lie 3,899 and 2,101 apart by turns.
    assert len(binned("--neighbour-distance", 0).genes) == 20
    assert len(binned("--neighbour-distance", 2100).genes) == 20
    assert len(binned("--neighbour-distance", 2101).genes) < 20
    assert binned("--neighbour-distance", 0).attributes.neighbour_distance_bp == 0


def test_expression_decides_who_enters_the_filter(
    chromeprep: Any, world: Any, workshop: Any
) -> None:
    """The second of two neighbours is kept where the table does not know the first."""
    gene = workshop.Gene
    gtf = workshop.gtf([gene("A", "chr1", 5000, 5100, "+"), gene("B", "chr1", 5050, 5100, "+"),
                        gene("C", "chr1", 9000, 9100, "+")])  # fmt: skip
    table = workshop.table({"B": 1, "C": 5})
    out = workshop.folder / "a.h5"
    arguments = ["bin", "--gtf", gtf, "--bigwig", world.bigwig, "-o", out, "-f"]
    assert chromeprep(*arguments).code == 0
    assert list(read_bins(out).genes.gene_id) == ["A"]
    arguments += ["--neighbour-distance", 100]
    assert chromeprep(*arguments).code == 0
    assert list(read_bins(out).genes.gene_id) == ["A", "C"]
    assert chromeprep(*arguments, "--expression", table).code == 0
    data = read_bins(out)
    assert list(data.genes.gene_id) == ["B", "C"]
    assert data.attributes.label_threshold == 3


def test_gene_types(chromeprep: Any, world: Any, workshop: Any) -> None:
    genes = [gene._replace(gene_type=("lncRNA", "protein_coding", "snRNA")[number % 3])
             for number, gene in enumerate(world.genes)]  # fmt: skip
    for key in ("gene_type", "gene_biotype"):
        gtf = workshop.gtf(genes, key=key)
        for options, kept in [
            ([], {1}),
            (["--gene-type", "lncRNA"], {0}),
            (["--gene-type", "lncRNA", "--gene-type", "snRNA"], {0, 2}),
            (["--gene-type", "any"], {0, 1, 2}),
        ]:
            out = workshop.folder / "a.h5"
            done = chromeprep(*world.arguments("--gtf", gtf, *options, "-o", out, "-f"))
            assert done.code == 0
            expected = [gene.gene_id for n, gene in enumerate(world.genes) if n % 3 in kept]
            assert list(read_bins(out).genes.gene_id) == expected


def test_genes_of_a_list(binned: Any, workshop: Any, world: Any) -> None:
    wanted = workshop.text("list.txt", "ENSG00000000003\nNENSG00000000007.1\n")
    data = binned("--genes", wanted, "--expression", world.table)
    assert list(data.genes.gene_id) == ["ENSG00000000003.0", "ENSG00000000007.1"]
    assert data.attributes.label_threshold == 9.5  # of all that the filter kept
    assert list(data.genes.label) == [0, 0]


def test_genes_in_regions(binned: Any, workshop: Any, world: Any) -> None:
    whole = binned()
    bed = workshop.text("a.bed", "1\t2600\t4700\n1\t4700\t8000\nchr2\t0\t29000\n")
    data = binned("--regions", bed)
    kept = [
        gene.gene_id
        for gene in world.genes
        for start in [gene.tss - 500 + (gene.strand == "-")]
        if (gene.chrom == "chr2" and start >= 0) or (start >= 2600 and start + 1000 <= 8000)
    ]
    assert list(data.genes.gene_id) == kept
    rows = np.isin(whole.genes.gene_id, kept)
    np.testing.assert_array_equal(data.signal, whole.signal[rows])


def test_uncovered(binned: Any, workshop: Any, world: Any) -> None:
    zero, nan = binned(), binned("--uncovered", "nan")
    assert nan.attributes.uncovered == "nan"
    assert np.isnan(nan.signal[:, 0]).any()
    assert not np.isnan(nan.signal[:, 1]).any()  # reads are counted in either case
    assert (np.nan_to_num(nan.signal) >= zero.signal).all()
    known = nan.signal[:, 0].astype(np.float64)
    assert nan.marks.mean[0] == pytest.approx(np.nanmean(known))
    assert nan.marks.std[0] == pytest.approx(np.nanstd(known))


def test_exclude_flags(binned: Any) -> None:
    default, more = binned(), binned("--exclude-flags", "0xB04")
    same(default, binned("--exclude-flags", "3844"))
    assert more.signal[:, 1].sum() > default.signal[:, 1].sum()  # duplicates count too
    assert "0xb04" in more.marks.count_rule[1]


def test_marks_and_their_order(binned: Any, world: Any, tmp_path: Path) -> None:
    bam, bigwig = tmp_path / "copy.bam", tmp_path / "copy.bw"
    shutil.copy(world.bam, bam)
    shutil.copy(f"{world.bam}.bai", f"{bam}.bai")
    shutil.copy(world.bigwig, bigwig)
    data = binned(
        *("--bam", f"Input={world.bam}", "--bam", f"H3K9ac={bam}"),
        *("--bigwig", f"H3K4me1={world.bigwig}", "--bigwig", f"H3K4me3={bigwig}"),
        tracks=False,
    )
    assert data.mark_names == ["H3K4me3", "H3K4me1", "H3K9ac", "Input"]


def test_one_file_for_two_marks(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    link = tmp_path / "H3K9ac.bam"
    link.symlink_to(world.bam)
    done = chromeprep("bin", "--bam", f"H3K4me3={world.bam}", "--bam", link, "--gtf", world.gtf,
                      "-o", tmp_path / "a.h5")  # fmt: skip
    assert done.code == 2
    assert "is given 2 times: for H3K4me3, H3K9ac" in done.err


def test_no_file_on_stdout(chromeprep: Any, world: Any) -> None:
    done = chromeprep(*world.arguments("-o", "-"))
    assert done.code == 2
    assert "cannot be written to a pipe" in done.err
    assert not Path("-").exists()


def test_tracks_that_cover_next_to_nothing(chromeprep: Any, workshop: Any, tmp_path: Path) -> None:
    genes = [workshop.Gene(f"G{n}", "chr1", 2000 * n, 2000 * n + 9, "+") for n in range(1, 5)]
    arguments = ("--neighbour-distance", 0, "--gene-type", "any", "--flank", 100, "--bin-size", 10)

    def binned(covered: int) -> Any:
        values = [("chr1", 2000 * n, 2000 * n + 50, 1.0) for n in range(1, covered + 1)]
        track = workshop.bigwig(values, {"chr1": 10_000}, name=f"H3K4me3-{covered}.bw")
        return chromeprep("bin", "--bigwig", track, "--gtf", workshop.gtf(genes), *arguments,
                          "-o", tmp_path / f"{covered}.h5")  # fmt: skip

    assert "3 of 4 genes have no signal in any mark" in binned(1).err
    assert "no signal" not in binned(2).err


def test_a_full_disk_behind_stdout(script: Path, like: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [script, "info", like], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "chromeprep: error: cannot write: No space left on device\n"


def test_names_of_chromosomes(chromeprep: Any, world: Any, workshop: Any) -> None:
    bare = [gene._replace(chrom=gene.chrom[3:]) for gene in world.genes]
    one, two = workshop.folder / "1.h5", workshop.folder / "2.h5"
    done = chromeprep(*world.arguments("--gtf", workshop.gtf(bare), "-o", two))
    assert done.code == 0
    for track in (world.bigwig, world.bam):
        assert (
            f"{track}: names chromosomes otherwise; 1 of the annotation is read from chr1"
            in done.err
        )
    plain = chromeprep(*world.arguments("-o", one))
    assert "names chromosomes otherwise" not in plain.err
    same(read_bins(one), read_bins(two))
    assert set(read_bins(two).genes.chrom) == {"1", "2"}
    assert violations(two) == []


def test_genes_on_missing_chromosomes(chromeprep: Any, world: Any, workshop: Any) -> None:
    genes = [*world.genes, *[workshop.Gene(f"Y{n}", "chrY", 5000 * n, 5000 * n + 9, "+")
                             for n in range(3)]]  # fmt: skip
    table = workshop.table({gene.gene_id.split(".")[0]: n for n, gene in enumerate(genes)})
    out = workshop.folder / "a.h5"
    done = chromeprep(
        *world.arguments("--gtf", workshop.gtf(genes), "--expression", table, "-o", out)
    )
    assert done.code == 0
    assert "       20  on chromosomes that every track has (3 left out: chrY 3)" in done.err
    data = read_bins(out)
    assert len(data.genes) == 20
    assert data.attributes.label_threshold == 11  # the median was taken before


# --like


@pytest.fixture
def like(chromeprep: Any, world: Any, tmp_path: Path) -> Path:
    out = tmp_path / "like.h5"
    more = ["--assembly", "hg19", "--cell-type", "A", "--expression", world.table]
    assert chromeprep(*world.arguments(*more, "-o", out)).code == 0
    return out


def test_like(chromeprep: Any, world: Any, like: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.h5"
    tracks = ["--bam", f"H3K27me3={world.bam}", "--bigwig", f"H3K4me3={world.bigwig}"]
    done = chromeprep("bin", "--like", like, *tracks, "--cell-type", "B", "-o", out)
    assert done.code == 0, done.err
    one, two = read_bins(like), read_bins(out)
    same(one, two)
    for name in ("gene_name", "gene_type", "chrom", "start", "end", "strand", "tss"):
        np.testing.assert_array_equal(getattr(one.genes, name), getattr(two.genes, name))
    # Nothing of the other cell type's expression may come along.
    assert set(two.genes.label) == {-1}
    assert np.isnan(two.genes.expression).all()
    attributes = two.attributes
    assert (attributes.cell_type, attributes.assembly) == ("B", "hg19")
    assert (attributes.flank_bp, attributes.bin_size_bp) == (500, 100)
    assert (attributes.neighbour_distance_bp, attributes.label_rule) == (100, "none")
    assert violations(out) == []


def test_like_with_uncovered_bases_otherwise(
    chromeprep: Any, world: Any, like: Path, tmp_path: Path
) -> None:
    arguments = ["bin", "--like", like, "--bam", world.bam, "--bigwig", world.bigwig]
    done = chromeprep(*arguments, "--uncovered", "nan", "-o", tmp_path / "b.h5")
    assert done.code == 0
    assert f"{like}: was binned with --uncovered zero, this file is with nan\n" in done.err


def test_like_with_expression(
    chromeprep: Any, world: Any, like: Path, workshop: Any, tmp_path: Path
) -> None:
    ids = [gene.gene_id.split(".")[0] for gene in world.genes]
    table = workshop.table({name: -n for n, name in enumerate(ids[1:])})
    arguments = ["bin", "--like", like, "--bam", world.bam, "--bigwig", world.bigwig]
    assert chromeprep(*arguments, "--expression", table, "-o", tmp_path / "b.h5").code == 0
    assert list(read_bins(tmp_path / "b.h5").genes.label) == [-1] + [1] * 10 + [0] * 9
    none = workshop.table({"X": 1}, "none.tsv")
    done = chromeprep(*arguments, "--expression", none, "-o", tmp_path / "c.h5")
    assert done.code == 1
    assert f"{none}: knows none of the 20 genes of {like}" in done.err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--assembly", "hg38"], 1, "is of assembly hg19, not hg38"),
        (["--gtf", "x"], 2, "give either --gtf or --like"),
        (["--flank", "500"], 2, "--flank does not go with --like"),
        (["--bin-size", "100"], 2, "--bin-size does not go with --like"),
        (["--gene-type", "any"], 2, "--gene-type does not go with --like"),
        (["--neighbour-distance", "5"], 2, "--neighbour-distance does not go with --like"),
        (["--genes", "x"], 2, "--genes does not go with --like"),
        (["--regions", "x"], 2, "--regions does not go with --like"),
        (["--bam", "H3K9ac=x.bam"], 1, "H3K9ac not in it"),
    ],
)
def test_what_does_not_go_with_like(
    chromeprep: Any, world: Any, like: Path, tmp_path: Path, options: Any, code: int, message: str
) -> None:
    arguments = ["bin", "--like", like, "--bam", world.bam, "--bigwig", world.bigwig]
    done = chromeprep(*arguments, *options, "-o", tmp_path / "b.h5")
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert list(tmp_path.iterdir()) == [like]


def test_like_with_other_marks_or_chromosomes(
    chromeprep: Any, world: Any, like: Path, workshop: Any, tmp_path: Path
) -> None:
    out = tmp_path / "b.h5"
    done = chromeprep("bin", "--like", like, "--bam", world.bam, "-o", out)
    assert done.code == 1
    assert f"{like}: has the marks H3K4me3, H3K27me3: no track for H3K4me3" in done.err
    short = workshop.bam([workshop.Read("chr1", 5)], {"chr1": 40_000}, "H3K27me3.bam")
    done = chromeprep("bin", "--like", like, "--bam", short, "--bigwig", world.bigwig, "-o", out)
    assert done.code == 1
    assert f"{short}: has no chr2, where 8 of the genes of {like} are" in done.err
    sizes = {"chr1": 41_000, "chr2": 30_000}
    tracks = [workshop.bam([workshop.Read("chr1", 5)], sizes, "H3K27me3.bam"),
              workshop.bam([workshop.Read("chr1", 5)], sizes, "H3K4me3.bam")]  # fmt: skip
    done = chromeprep("bin", "--like", like, "--bam", tracks[0], "--bam", tracks[1], "-o", out)
    assert done.code == 1
    assert f"{like}: was binned where chr1 has 40,000 bp; in {tracks[1]} it has 41,000" in done.err
    assert not out.exists()


# The command line itself.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no tracks: give one of --bam, --cram, --tagalign, --bed, --bedgraph, --bigwig"),
        (["--bam", "sample.bam"], "no mark in the name of 'sample.bam'; say which: MARK="),
        (["--bigwig", "H3K4me3_H3K9ac.bw"], "more than one mark (H3K4me3, H3K9ac) in the name"),
        (["--bam", "H3K4me3.bam", "--bam", "./H3K4me3.bam"], "is given 2 times: for H3K4me3, H3K4"),
        (["--bam", "H3K4me3.bam", "--control", "H3K4me1=x.bam"], "no track of H3K4me1 is given"),
        (["--bam", "H3K4me3.bam", "--control", "x.txt"], "its name does not say what it is"),
        (["--bam", "H3K4me3.bam", "--control", "H3K4me3.bam"], "as a track and as a control"),
        (["--bam", "H3K4me3.bam", "--control", "H3K4me3="], "no file after 'H3K4me3='"),
        (["--bam", "H3K4me3.bam", "--control-rule", "log2"], "--control-rule needs --control"),
        (["--bam", "H3K4me3.bam", "--pseudocount", "2"], "--pseudocount needs --control"),
        (["--bam", "H3K4me3.bam", "--reference", "x.fa"], "--reference needs --cram"),
        (["--bam", "H3K4me3.bam", "--blacklist-action", "drop"], "needs --blacklist"),
        (["--bam", "H3K4me3.bam", "--extend", "-1"], "Invalid value for '--extend'"),
        (["--bam", "H3K4me3.bam", "--min-mapq", "256"], "Invalid value for '--min-mapq'"),
        (["--bam", "H3K4me3.bam", "--scale", "rpkm", "--count", "coverage"], "--scale rpkm is for"),
        (["--bam", "H3K4me3.bam", "--keep-duplicates", "--exclude-flags", "4"], "do not go togeth"),
        (["--bigwig", "H3K4me3.bw", "--scale", "cpm"], "--scale is for reads, and no track holds"),
        (["--bigwig", "H3K4me3.bw", "--extend", "9"], "--extend is for reads"),
        (["--bam", "H3K4me3.bam", "--engine", "quick"], "Invalid value for '--engine'"),
        (["--bam", "H3K4me3="], "no file after 'H3K4me3='"),
        (["--bam", "H3K4me3.bam", "--flank", "150"], "--flank 150 is not a multiple of --bin-size"),
        (["--bam", "H3K4me3.bam", "--flank", "0"], "Invalid value for '--flank'"),
        (["--bam", "H3K4me3.bam", "--bin-size", "x"], "Invalid value for '--bin-size'"),
        (["--bam", "H3K4me3.bam", "--neighbour-distance", "-1"], "'--neighbour-distance'"),
        (["--bam", "H3K4me3.bam", "-p", "0"], "Invalid value for '-p'"),
        (["--bam", "H3K4me3.bam", "--uncovered", "one"], "Invalid value for '--uncovered'"),
        (["--bam", "H3K4me3.bam", "--exclude-flags", "dup"], "'dup' is not a set of SAM flags"),
        (["--bam", "H3K4me3.bam", "--exclude-flags", "4096"], "is not a set of SAM flags"),
        (["--bam", "H3K4me3.bam", "--expression-column", "x"], "--expression-column needs"),
        (["--bam", "H3K4me3.bam", "--no-such"], "No such option"),
    ],
)
def test_usage(chromeprep: Any, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = chromeprep("bin", "--gtf", "x.gtf", *arguments, "-o", tmp_path / "a.h5")
    assert (done.code, done.out) == (2, "")
    assert message in re.sub(r"\s+", " ", done.err)
    assert "Usage: chromeprep bin " in done.err
    assert list(tmp_path.iterdir()) == []


def test_no_gtf_and_no_output(chromeprep: Any, tmp_path: Path) -> None:
    done = chromeprep("bin", "--bam", "H3K4me3.bam", "-o", tmp_path / "a.h5")
    assert done.code == 2
    assert "give either --gtf or --like" in done.err
    done = chromeprep("bin", "--bam", "H3K4me3.bam", "--gtf", "x")
    assert done.code == 2
    assert "'-o'" in done.err


def test_unknown_commands(chromeprep: Any) -> None:
    done = chromeprep("validte", "x")
    assert done.code == 2
    assert "no command 'validte'; did you mean 'validate'?" in done.err


def test_help_and_version(chromeprep: Any) -> None:
    from chromeprep import __version__

    for flag in ("-h", "--help"):
        done = chromeprep(flag)
        assert (done.code, done.err) == (0, "")
        assert all(name in done.out for name in ("bin", "info", "validate", "simulate"))
    assert chromeprep("-V").out == f"chromeprep, version {__version__}\n"
    done = chromeprep("bin", "--help")
    for option in ("--bigwig", "--bam", "--gtf", "--like", "--expression", "--expression-column",
                   "--cell-type", "--assembly", "--flank", "--bin-size", "--neighbour-distance",
                   "--gene-type", "--genes", "--regions", "--uncovered", "--exclude-flags",
                   "--threads", "--force", "--output"):  # fmt: skip
        assert option in done.out


def test_info(chromeprep: Any, like: Path, world: Any) -> None:
    done = chromeprep("info", like)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:8] == [
        str(like),
        "  cell type    A",
        "  assembly     hg19",
        "  genes        20 on 2 chromosomes",
        "  labels       10 high, 10 low, 0 unknown (50.0% high; expression >= median, 9.5)",
        "  bins         10 of 100 bp, TSS ±500 bp, 5p-to-3p",
        "  neighbours   100 bp filter",
        "  uncovered    zero",
    ]
    assert "\n  made by      chromeprep bin " in done.out
    assert str(world.bam) in done.out
    summary = json.loads(chromeprep("info", like, "--json").out)
    assert summary["genes"] == 20
    assert summary["labels"] == {"high": 10, "low": 10, "unknown": 0}
    assert [mark["mark"] for mark in summary["marks"]] == ["H3K4me3", "H3K27me3"]
    assert summary["marks"][1]["mean"] == pytest.approx(read_bins(like).signal[:, 1].mean())
    assert summary["attributes"]["assembly"] == "hg19"
    assert summary["genes_with_bins_outside"] == 2
    assert summary["provenance"][0]["argv"][1] == "bin"


def test_info_without_labels(chromeprep: Any, world: Any, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    chromeprep(*world.arguments("-o", out))
    assert "  labels       0 high, 0 low, 20 unknown\n" in chromeprep("info", out).out
    summary = json.loads(chromeprep("info", out, "--json").out)
    assert summary["attributes"]["label_threshold"] is None


def test_validate(chromeprep: Any, like: Path) -> None:
    import h5py

    assert chromeprep("validate", like) == (0, f"{like}: valid\n", "")
    done = chromeprep("validate", like, "--json")
    assert json.loads(done.out) == {"file": str(like), "valid": True, "violations": []}
    with h5py.File(like, "r+") as file:
        del file.attrs["assembly"]
        file["genes/label"][0] = 7
    done = chromeprep("validate", like)
    assert done.code == 1
    assert done.out == f"{like}: attribute 'assembly' is missing\n"
    assert done.err == f"{like}: 1 violation\n"
    done = chromeprep("validate", like, "--json")
    assert done.code == 1
    assert json.loads(done.out)["violations"] == ["attribute 'assembly' is missing"]


@pytest.mark.parametrize("command", ["info", "validate"])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_no_file_of_bins(
    chromeprep: Any, world: Any, tmp_path: Path, command: str, option: Any
) -> None:
    for path in (tmp_path / "absent.h5", tmp_path, world.gtf, world.bam):
        done = chromeprep(command, path, *option)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"chromeprep: error: {path}: ")


def test_a_reader_that_goes_away(script: Path, like: Path) -> None:
    done = subprocess.run(
        f"set -o pipefail; {script} info {like} --json | head -n 1", shell=True,
        capture_output=True, text=True, executable="/bin/bash", check=False,
    )  # fmt: skip
    assert done.stdout == "{\n"
    assert done.stderr == ""


# Interrupts.

SLOW = """
import os, time
import chromeprep.signals as signals

class Slow(signals.BigWigTrack):
    def read(self, targets, threads, tick):
        os.write(2, b"reading\\n")
        for _ in range(600):
            time.sleep(0.1)
            tick(0)

if __name__ == "__main__":
    import slow
    signals.BigWigTrack = slow.Slow
    from chromeprep.cli import main
    main()
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
@pytest.mark.parametrize("whole_group", [True, False])
def test_interrupts(
    world: Any, tmp_path: Path, threads: int, number: int, code: int, whole_group: bool
) -> None:
    """As Ctrl-C sends it, to the whole group, or `kill`, to one process."""
    (tmp_path / "slow.py").write_text(SLOW)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.h5").write_bytes(b"precious")
    arguments = world.arguments("-o", folder / "a.h5", "-f", "-p", threads, tracks=False)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "slow.py"), *arguments, "--bigwig", str(world.bigwig)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(folder)},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        before = []
        for line in process.stderr:
            before.append(line)
            if "reading" in line:
                break
        else:
            pytest.fail("".join(before))
        time.sleep(0.3 if threads > 1 else 0)  # let the other process come as far
        started = time.monotonic()
        if whole_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - started < 15
    finally:
        process.kill()
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "interrupted; no output was changed" in err
    assert [path.name for path in folder.iterdir()] == ["a.h5"]
    assert (folder / "a.h5").read_bytes() == b"precious"
    for _ in range(50):  # until nobody of the group is left
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process is left")
