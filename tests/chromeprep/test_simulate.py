"""Is a simulated world what docs/simulate.md says, and the same every time?"""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path

import numpy as np
import pyBigWig
import pysam
import pytest

from chromeprep.errors import OutputError
from chromeprep.simulate import SimulationConfig, simulate
from chromeprep.simulate.assay import CLEAN, POOR, assay_of, experiments
from chromeprep.simulate.bam import reg2bin
from chromeprep.simulate.bigwig import minus_log10_p
from chromeprep.simulate.config import BAM_MARKS, MARKS, STEP_BP, stream
from chromeprep.simulate.enrichment import draw_enrichment
from chromeprep.simulate.expression import draw_cell_type, draw_traits
from chromeprep.simulate.genome import CODING, draw_transcripts, lay_out_genome

SMALL = SimulationConfig(seed=3, n_genes=120)
WINDOW_BP = 10_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "world", SMALL)


def records(path):
    with pysam.AlignmentFile(str(path)) as bam:
        return [read.to_string() for read in bam.fetch(until_eof=True)]


def gtf_rows(path):
    with gzip.open(path, "rt") as handle:
        return [line.rstrip("\n").split("\t") for line in handle if not line.startswith("#")]


def attribute(row, name):
    return row[8].split(f'{name} "')[1].split('"')[0]


# --- the same every time -------------------------------------------------------------------------


def test_same_seed_same_world(world, tmp_path):
    again = simulate(tmp_path / "again", SMALL)
    for name in ("annotation.gtf.gz", "rpkm.tsv.gz", "chrom.sizes", "README.txt"):
        assert (again.path / name).read_bytes() == (world.path / name).read_bytes()
    for track, other in zip(world.tracks, again.tracks, strict=True):
        assert track.name == other.name
        if track.suffix == ".bam":
            assert records(track) == records(other)
        else:
            with pyBigWig.open(str(track)) as a, pyBigWig.open(str(other)) as b:
                assert all(a.intervals(chrom) == b.intervals(chrom) for chrom in a.chroms())


def test_other_seed_other_world(world, tmp_path):
    other = simulate(tmp_path / "other", SimulationConfig(seed=4, n_genes=120))
    assert other.chromosomes != world.chromosomes


def test_a_cell_type_does_not_depend_on_the_others(world, tmp_path):
    more = simulate(tmp_path / "more", SimulationConfig(3, 120, ("S01", "T01", "U01")))
    assert len(more.tracks) == 15
    assert records(more.path / "S01-H3K4me3.bam") == records(world.path / "S01-H3K4me3.bam")
    assert records(more.path / "T01-H3K27me3.bam") == records(world.path / "T01-H3K27me3.bam")


# --- what the files hold -------------------------------------------------------------------------


def test_files_are_all_there(world):
    tracks = {
        f"{cell}-{mark}.{'bam' if mark in BAM_MARKS else 'bw'}"
        for cell in ("S01", "T01")
        for mark in MARKS
    }
    indices = {f"{name}.bai" for name in tracks if name.endswith(".bam")}
    rest = {"annotation.gtf.gz", "rpkm.tsv.gz", "chrom.sizes", "README.txt"}
    assert {path.name for path in world.path.iterdir()} == tracks | indices | rest
    assert all(name in (world.path / "README.txt").read_text() for name in tracks)


def test_gtf_nests_exons_in_transcripts_in_genes(world):
    genes, transcripts = {}, {}
    for row in gtf_rows(world.path / "annotation.gtf.gz"):
        chrom, feature, start, end, strand = row[0], row[2], int(row[3]), int(row[4]), row[6]
        assert 1 <= start <= end <= world.chromosomes[chrom]
        assert "." in attribute(row, "gene_id")
        place = (chrom, strand, start, end)
        if feature == "gene":
            assert attribute(row, "gene_id") not in genes
            genes[attribute(row, "gene_id")] = place
            continue
        outer = genes[attribute(row, "gene_id")]
        if feature == "transcript":
            transcripts[attribute(row, "transcript_id")] = place
        else:
            assert feature == "exon"
            outer = transcripts[attribute(row, "transcript_id")]
        assert place[:2] == outer[:2]
        assert outer[2] <= start <= end <= outer[3]
    assert len(genes) == world.n_genes
    assert len(transcripts) > len(genes)


def test_gtf_has_several_types_on_both_strands(world):
    rows = [row for row in gtf_rows(world.path / "annotation.gtf.gz") if row[2] == "gene"]
    types = [attribute(row, "gene_type") for row in rows]
    assert types.count(CODING) == world.n_coding == 120
    assert {"lncRNA", "processed_pseudogene", "miRNA", "snRNA"} < set(types)
    strands = [row[6] for row in rows if attribute(row, "gene_type") == CODING]
    assert 0.3 < strands.count("+") / len(strands) < 0.7


def test_one_coding_window_leaves_its_chromosome(world):
    outside = 0
    for row in gtf_rows(world.path / "annotation.gtf.gz"):
        if row[2] == "gene" and attribute(row, "gene_type") == CODING:
            tss = int(row[3]) - 1 if row[6] == "+" else int(row[4]) - 1
            outside += tss < WINDOW_BP or tss + WINDOW_BP > world.chromosomes[row[0]]
    assert outside == 1


def test_rpkm_has_the_form_of_roadmap(world):
    with gzip.open(world.path / "rpkm.tsv.gz", "rt") as handle:
        header, *rows = handle.read().splitlines()
    assert header == "gene_id\tS01\tT01"
    assert len(rows) == 120
    for row in rows:
        gene_id, *values, stray = row.split("\t")
        assert "." not in gene_id
        assert stray == ""
        assert all(len(value.partition(".")[2]) == 3 and float(value) >= 0 for value in values)


@pytest.mark.parametrize("cell_type", ["S01", "T01"])
@pytest.mark.parametrize("mark", BAM_MARKS)
def test_bam_is_sorted_indexed_and_imperfect(world, cell_type, mark):
    path = world.path / f"{cell_type}-{mark}.bam"
    pysam.quickcheck(str(path))
    with pysam.AlignmentFile(str(path)) as bam:
        assert bam.header.to_dict()["HD"]["SO"] == "coordinate"
        assert dict(zip(bam.references, bam.lengths, strict=True)) == world.chromosomes
        reads = list(bam.fetch(until_eof=True))
        counted = sum(bam.count(chrom, read_callback="nofilter") for chrom in bam.references)
    placed = [read for read in reads if read.reference_id >= 0]
    assert counted == len(placed)
    places = [(read.reference_id, read.reference_start) for read in placed]
    assert places == sorted(places)
    assert all(read.reference_id < 0 for read in reads[len(placed) :])
    assert all(read.cigarstring == "36M" and read.query_length == 36 for read in placed)
    assert len({read.query_name for read in reads}) == len(reads)
    share = {
        "duplicate": np.mean([read.is_duplicate for read in reads]),
        "unmapped": np.mean([read.is_unmapped for read in reads]),
        "failed": np.mean([read.is_qcfail for read in reads]),
        "poorly mapped": np.mean([read.mapping_quality < 4 for read in placed]),
        "reverse": np.mean([read.is_reverse for read in placed]),
    }
    low = {"duplicate": 0.01, "unmapped": 0.01, "failed": 0, "poorly mapped": 0.02, "reverse": 0.45}
    high = {
        "duplicate": 0.15,
        "unmapped": 0.05,
        "failed": 0.01,
        "poorly mapped": 0.1,
        "reverse": 0.55,
    }
    assert all(low[kind] < value < high[kind] for kind, value in share.items()), share


def test_reads_at_one_place_have_one_sequence(world):
    seen = {}
    with pysam.AlignmentFile(str(world.path / "S01-H3K4me3.bam")) as bam:
        for read in bam.fetch():
            assert seen.setdefault((read.reference_id, read.reference_start), read.seq) == read.seq


@pytest.mark.parametrize("name", ["S01-H3K4me1.bw", "T01-H3K9me3.bw"])
def test_bigwig_holds_merged_runs_of_whole_steps(world, name):
    with pyBigWig.open(str(world.path / name)) as track:
        assert track.chroms() == world.chromosomes
        for chrom, length in world.chromosomes.items():
            runs = track.intervals(chrom)
            for (_, end, value), (start, _, following) in itertools.pairwise(runs):
                assert end <= start
                assert end < start or value != following  # else they were one run
            assert all(s % STEP_BP == 0 and (e % STEP_BP == 0 or e == length) for s, e, _ in runs)
            assert all(value > 0 for _, _, value in runs)


# --- what is drawn -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def landscape():
    genome = lay_out_genome(600, stream(0, "genome"))
    traits, domains = draw_traits(genome, 0)
    cell = draw_cell_type(genome, traits, domains, 0, "S01")
    return genome, traits, cell, draw_enrichment(genome, traits, cell, 0, "S01")


def profile(landscape, mark, chosen, reach_bp=5_000):
    """Return the mean enrichment over genes by offset from the TSS, 5' to 3'."""
    genome, _, _, tracks = landscape
    steps = np.arange(-reach_bp, reach_bp, STEP_BP) // STEP_BP
    rows = []
    for gene in np.flatnonzero(chosen):
        data = tracks[mark].chromosomes[genome.genes.chrom[gene]]
        at = genome.genes.tss[gene] // STEP_BP + genome.genes.strand[gene] * steps
        if at.min() >= 0 and at.max() < len(data):
            rows.append(data[at])
    return steps * STEP_BP, np.mean(rows, axis=0)


@pytest.fixture(scope="module")
def active_and_silent(landscape):
    genome, traits, cell, _ = landscape
    plain = genome.genes.coding & (traits.promoter_shift_bp == 0)
    return plain & (cell.transcription > 2), plain & (cell.transcription < -2)


def test_h3k4me3_has_a_gap_at_the_tss_and_its_summit_at_the_first_nucleosome(
    landscape, active_and_silent
):
    active, silent = active_and_silent
    offsets, mean = profile(landscape, "H3K4me3", active)
    assert 75 <= offsets[mean.argmax()] <= 400
    gap = mean[(offsets >= -75) & (offsets <= 25)].min()
    assert gap < 0.6 * mean.max()
    assert gap < 0.8 * mean[(offsets >= -300) & (offsets <= -150)].max()
    _, other = profile(landscape, "H3K4me3", silent)
    assert mean.max() > 3 * other.max()


def test_h3k4me1_flanks_active_promoters(landscape, active_and_silent):
    offsets, mean = profile(landscape, "H3K4me1", active_and_silent[0])
    centre = mean[np.abs(offsets) < 200].mean()
    assert mean[(offsets > 1_200) & (offsets < 2_500)].mean() > 2 * centre
    assert mean[(offsets > -2_500) & (offsets < -1_200)].mean() > 1.5 * centre


def test_h3k36me3_lies_downstream_and_rises(landscape, active_and_silent):
    genome = landscape[0]
    long = active_and_silent[0] & (genome.genes.end - genome.genes.start > 10_000)
    offsets, mean = profile(landscape, "H3K36me3", long, 10_000)
    downstream = mean[(offsets > 7_000) & (offsets < 9_000)].mean()
    assert downstream > 1.2 * mean[(offsets > 2_000) & (offsets < 4_000)].mean()
    assert downstream > 2 * mean[(offsets > -2_000) & (offsets < 0)].mean()


@pytest.mark.parametrize("mark", ["H3K27me3", "H3K9me3"])
def test_repressive_marks_lie_broad_over_silent_genes(landscape, active_and_silent, mark):
    active, silent = active_and_silent
    _, over_active = profile(landscape, mark, active)
    _, over_silent = profile(landscape, mark, silent)
    assert over_silent.mean() > 1.5 * over_active.mean()
    assert over_silent.min() > 0.4 * over_silent.max()


def test_expression_agrees_partly_between_cell_types():
    genome = lay_out_genome(2500, stream(0, "genome"))
    traits, domains = draw_traits(genome, 0)
    source, target = (draw_cell_type(genome, traits, domains, 0, name) for name in ("S01", "T01"))
    coding = genome.genes.coding
    logs = [np.log2(cell.rpkm[coding] + 0.1) for cell in (source, target)]
    assert 0.5 < np.corrcoef(*logs)[0, 1] < 0.85
    assert 0.35 < np.mean(source.rpkm[coding] > 1) < 0.65
    # Chromatin follows transcription, which RNA shows only in part.
    assert 0.6 < np.corrcoef(source.transcription[coding], logs[0])[0, 1] < 0.95


def test_neighbour_filter_drops_about_a_tenth():
    dropped = []
    for seed in range(3):
        genes = lay_out_genome(2500, stream(seed, "genome")).genes
        kept = 0
        for chrom in range(4):
            last = -math.inf
            for tss in np.sort(genes.tss[genes.coding & (genes.chrom == chrom)]):
                if tss - last > 5_000:
                    kept, last = kept + 1, tss
        dropped.append(1 - kept / 2500)
    assert 0.07 < np.mean(dropped) < 0.15


def test_the_second_experiment_is_poorer_and_has_less_depth(landscape):
    genome, _, _, tracks = landscape
    clean = dict(experiments(genome, tracks, 0, "S01", 0))
    poor = dict(experiments(genome, tracks, 0, "S01", 1))
    for mark in MARKS:
        assert len(poor[mark][1].start) < len(clean[mark][1].start)
        assert poor[mark][0].signal_share < clean[mark][0].signal_share


def test_further_experiments_lie_between():
    for mark in MARKS:
        assay = assay_of(2, mark, np.random.default_rng(0))
        assert POOR[mark].reads_per_kb < assay.reads_per_kb < CLEAN[mark].reads_per_kb


def test_exons_do_not_overlap():
    genome = lay_out_genome(200, stream(1, "genome"))
    for transcripts in draw_transcripts(genome.genes, stream(1, "transcripts")):
        for start, end, exons in transcripts:
            assert exons[0][0] == start
            assert exons[-1][1] == end
            assert all(first < last for first, last in exons)
            assert all(a[1] < b[0] for a, b in itertools.pairwise(exons))


def test_bins_of_the_index_are_htslib_s(tmp_path):
    # A read over a border of 16 kb, 128 kb, 1 Mb and 8 Mb goes to ever larger bins.
    starts = np.array([100, 16_384 - 18, 131_072 - 18, 1_048_576 - 18, 8_388_608 - 18])
    assert reg2bin(starts, starts + 36).tolist() == [4681, 585, 73, 9, 1]


def test_minus_log10_p_is_a_poisson_tail():
    rate = 3.7
    terms = [math.exp(-rate) * rate**k / math.factorial(k) for k in range(80)]
    expected = [-math.log10(sum(terms[k:])) for k in range(20)]
    np.testing.assert_allclose(minus_log10_p(rate, 19), expected, atol=1e-9)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"n_genes": 3}, "3 genes"),
        ({"cell_types": ()}, "no cell type"),
        ({"cell_types": ("a/b",)}, "'a/b' cannot name"),
        ({"cell_types": ("S01", "s01")}, "named twice"),
    ],
)
def test_bad_configurations(config, message):
    with pytest.raises(ValueError, match=message):
        SimulationConfig(**config)


def test_an_existing_world_is_replaced_only_with_force(world, tmp_path):
    path = tmp_path / "world"
    simulate(path, SimulationConfig(0, 50, ("A",)))
    before = (path / "annotation.gtf.gz").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        simulate(path, SimulationConfig(1, 50, ("A",)))
    assert (path / "annotation.gtf.gz").read_bytes() == before
    simulate(path, SimulationConfig(1, 50, ("A",)), force=True)
    assert (path / "annotation.gtf.gz").read_bytes() != before
    assert [entry.name for entry in tmp_path.iterdir()] == ["world"]


def test_force_does_not_delete_other_folders(tmp_path):
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "README.txt").write_text("all my work\n")
    with pytest.raises(OutputError, match="holds no simulated world"):
        simulate(precious, SMALL, force=True)
    assert (precious / "README.txt").read_text() == "all my work\n"


def test_a_failure_leaves_nothing(tmp_path):
    def stop(name: str) -> None:
        if name.startswith("T01"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "world", SMALL, report=stop)
    assert list(Path(tmp_path).iterdir()) == []
