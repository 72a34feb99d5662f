from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chromemodel.config import Split
from chromemodel.data.splits import (
    draw_chromosomes,
    hash_unit,
    split_genes,
    split_source,
    split_target,
)
from chromeprep.errors import MismatchError
from chromeprep.format import ChromeBins, GeneTable
from chromeprep.format.ids import cut_version

MakeBins = Callable[..., ChromeBins]


@pytest.fixture(scope="module")
def genes(make_bins: MakeBins) -> GeneTable:
    return make_bins(3000, n_bins=2, marks=("m",)).genes


@pytest.mark.parametrize(
    ("gene_id", "expected"),
    [
        ("ENSG00000000003.10", "ENSG00000000003"),
        ("ENSMUSG00000000001.4", "ENSMUSG00000000001"),
        ("ENST00000000003.1", "ENST00000000003"),
        ("ENSG00000182378.10_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378", "ENSG00000182378"),
        ("AT1G01010.1", "AT1G01010.1"),
        ("ENSG00000000003.10.5", "ENSG00000000003.10.5"),
    ],
)
def test_versions_are_cut_from_ensembl_ids_only(gene_id: str, expected: str) -> None:
    assert cut_version(gene_id) == expected


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=20), unique=True, min_size=1, max_size=20),
    st.integers(-5, 5),
    st.randoms(use_true_random=False),
)
def test_a_number_depends_on_its_gene_alone(names: list[str], seed: int, random: object) -> None:
    unit = hash_unit(names, seed, "split")
    assert ((unit >= 0) & (unit < 1)).all()
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = dict(zip(shuffled, hash_unit(shuffled, seed, "split"), strict=True))
    assert [again[name] for name in names] == unit.tolist()
    assert hash_unit(names[:1], seed, "split")[0] == unit[0]


def test_numbers_are_spread_evenly_and_purposes_are_independent(genes: GeneTable) -> None:
    one = hash_unit(genes.gene_id, 0, "split")
    assert np.histogram(one, bins=10, range=(0, 1))[0].min() > 240
    for other in (hash_unit(genes.gene_id, 1, "split"), hash_unit(genes.gene_id, 0, "target-half")):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.06


def test_known_values_stay() -> None:
    # A change here would move genes between the parts of every run ever made.
    unit = hash_unit(["ENSG00000000003.10", "ENSG00000000005"], 0, "split")
    np.testing.assert_allclose(unit, [0.005329, 0.775641], atol=1e-6)


def test_thirds(genes: GeneTable) -> None:
    parts = split_genes(genes, Split(seed=1))
    shares = {part: float(np.mean(parts == part)) for part in ("train", "validation", "test")}
    assert sum(shares.values()) == pytest.approx(1)
    assert all(abs(share - 1 / 3) < 0.03 for share in shares.values())
    unit = hash_unit(genes.gene_id, 1, "split")
    assert ((parts == "train") == (unit < 1 / 3)).all()
    assert ((parts == "test") == (unit >= 2 / 3)).all()
    rows = np.random.default_rng(0).permutation(3000)[:50]
    assert (split_genes(genes.take(rows), Split(seed=1)) == parts[rows]).all()
    assert (split_genes(genes, Split(seed=2)) != parts).any()


def test_halves(genes: GeneTable) -> None:
    split = Split("adapt", seed=4, target_fraction=0.25, validation_fraction=0.1)
    assert np.mean(split_target(genes, split) == "adapting") == pytest.approx(0.25, abs=0.03)
    assert np.mean(split_source(genes, split) == "validation") == pytest.approx(0.1, abs=0.02)
    assert set(split_target(genes, split)) == {"adapting", "test"}
    none = split_source(genes, Split("adapt", validation_fraction=0.0))
    assert set(none) == {"train"}


def test_purposes_do_not_share_genes(genes: GeneTable) -> None:
    """The half that adapts is as likely to be in any third, and to validate, as the other."""
    split = Split("adapt", seed=2, validation_fraction=0.5)
    adapting = split_target(genes, split) == "adapting"
    for other in (
        split_genes(genes, Split(seed=2)) == "train",
        split_source(genes, split) == "validation",
    ):
        assert np.mean(adapting[other]) == pytest.approx(np.mean(adapting[~other]), abs=0.06)


def test_chromosomes_go_whole(make_bins: MakeBins) -> None:
    genes = make_bins(900, n_bins=2, marks=("m",), chroms=15).genes
    drawn = draw_chromosomes(genes, Split("chromosome", seed=0))
    parts = split_genes(genes, drawn)
    for chrom in np.unique(genes.chrom.astype(str)):
        assert len(set(parts[genes.chrom == chrom])) == 1
    for part in ("train", "validation", "test"):
        assert np.mean(parts == part) == pytest.approx(1 / 3, abs=0.07)
    assert draw_chromosomes(genes, Split("chromosome", seed=0)) == drawn
    seeds = {
        draw_chromosomes(genes, Split("chromosome", seed=s)).test_chromosomes for s in range(5)
    }
    assert len(seeds) > 1
    rows = np.random.default_rng(0).permutation(900)
    assert draw_chromosomes(genes.take(rows), Split("chromosome", seed=0)) == drawn


def test_named_chromosomes(genes: GeneTable) -> None:
    split = Split("chromosome", test_chromosomes=("2",), validation_chromosomes=("chr3", "chr4"))
    drawn = draw_chromosomes(genes, split)
    assert drawn.test_chromosomes == ("chr2",)
    parts = split_genes(genes, drawn)
    assert ((parts == "test") == (genes.chrom == "chr2")).all()
    assert ((parts == "validation") == np.isin(genes.chrom.astype(str), ["chr3", "chr4"])).all()
    # A file that names chromosomes without "chr" is cut the same way.
    bare = GeneTable.build(["a", "b"], ["2", "3"], [0, 0], [1, 1], ["+", "+"])
    assert split_genes(bare, drawn).tolist() == ["test", "validation"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"test_chromosomes": ("chr77",)}, "no gene on chromosome 'chr77'"),
        (
            {"test_chromosomes": ("chr1",), "validation_chromosomes": ("1",)},
            "chr1 is named for validation and for test",
        ),
        (
            {"test_chromosomes": tuple(f"chr{n}" for n in range(1, 6))},
            "genes are on 6 chromosomes, 5 of them named; training, validation",
        ),
    ],
)
def test_impossible_chromosomes(
    genes: GeneTable, named: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(MismatchError, match=message):
        draw_chromosomes(genes, Split("chromosome", **named))  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"target_fraction": 1.0}, {"validation_fraction": 1.0}])
def test_impossible_fractions(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"fraction is 1\.0"):
        Split(**values)  # type: ignore[arg-type]
