"""Replicates, controls and scaling, against the arithmetic written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep.assay import (
    Assay,
    Combination,
    check_assay,
    combine,
    rule_in_words,
    units_in_words,
)
from chromeprep.errors import MismatchError, SignalError
from chromeprep.signals import BamTrack, BigWigTrack, TrackBins

PATH = Path("H3K4me3.bam")


def assay(n_tracks: int = 1, n_controls: int = 0) -> Assay:
    return Assay("H3K4me3", (BamTrack(PATH),) * n_tracks, (BamTrack(Path("in.bam")),) * n_controls)


def bins(values: Any, n_counted: int = -1, n_mapped: int = -1) -> TrackBins:
    return TrackBins(np.array(values, dtype=np.float64), n_counted, n_mapped)


def test_reads_of_replicates_add_and_signals_are_averaged() -> None:
    both = [bins([[1, 2]], n_mapped=5), bins([[10, 20]], n_mapped=7)]
    reads = combine(assay(2), both, "reads", Combination(), 100)
    assert reads.values.tolist() == [[11, 22]]
    assert reads.values.dtype == np.float32
    assert reads[1:4] == (-1, 12, 1.0)
    assert np.isnan(reads.control_factor)
    signal = combine(assay(2), both, "signal", Combination(), 100)
    assert signal.values.tolist() == [[5.5, 11]]
    unknown = combine(assay(2), [both[0], bins([[0, 0]])], "reads", Combination(), 100)
    assert unknown.n_mapped == -1


def test_a_bin_that_one_replicate_does_not_cover() -> None:
    nan = float("nan")
    found = combine(
        assay(2), [bins([[nan, 2, nan]]), bins([[3, 4, nan]])], "signal", Combination(), 100
    )
    np.testing.assert_array_equal(found.values, [[3, 3, nan]])


def test_scaling_by_the_reads_of_all_replicates() -> None:
    both = [bins([[1, 2]], 300_000), bins([[3, 4]], 200_000)]
    cpm = combine(assay(2), both, "reads", Combination("cpm"), 50)
    assert cpm.values.tolist() == [[8, 12]]
    assert (cpm.n_counted, cpm.scale_factor) == (500_000, 2)
    rpkm = combine(assay(2), both, "reads", Combination("rpkm"), 50)
    assert rpkm.values.tolist() == [[160, 240]]  # per million and per kilobase of 50 bp
    untouched = combine(assay(2), both, "signal", Combination("cpm"), 50)
    assert untouched.values.tolist() == [[2, 3]]


def test_a_control_of_reads_is_scaled_to_the_depth_of_the_mark() -> None:
    all_bins = [bins([[10, 2]], 1000), bins([[3, 1]], 100), bins([[1, 0]], 150)]
    found = combine(assay(1, 2), all_bins, "reads", Combination(), 100)
    assert found.control_factor == 4  # 1,000 reads over 250
    assert found.values.tolist() == [[10 - 16, 2 - 4]]
    log2 = combine(assay(1, 2), all_bins, "reads", Combination(control="log2"), 100)
    np.testing.assert_allclose(log2.values, np.log2([[11 / 17, 3 / 5]]), rtol=1e-6)
    scaled = combine(assay(1, 2), all_bins, "reads", Combination("cpm", "log2", 0.5), 100)
    np.testing.assert_allclose(
        scaled.values, np.log2([[10_000.5 / 16_000.5, 2000.5 / 4000.5]]), rtol=1e-6
    )


def test_a_control_of_signal_is_taken_as_it_is() -> None:
    found = combine(assay(1, 1), [bins([[5.0]]), bins([[2.0]])], "signal", Combination(), 100)
    assert found.values.tolist() == [[3]]
    assert found.control_factor == 1


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=6),
    st.lists(st.integers(1, 10**6), min_size=2, max_size=2),
    st.sampled_from(["none", "cpm", "rpkm"]),
)
def test_a_mark_less_itself_is_nothing(values: list[int], depths: list[int], scale: Any) -> None:
    """A control with the same profile as the mark leaves nothing, at whatever depth."""
    own = np.array([values], dtype=np.float64)
    pair = [bins(own * depths[0], depths[0]), bins(own * depths[1], depths[1])]
    for rule in ("subtract", "log2"):
        found = combine(assay(1, 1), pair, "reads", Combination(scale, rule), 100)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.values, 0, atol=1e-6 * max(1, found.scale_factor * 5e7))


def test_nothing_to_scale_by() -> None:
    for counts in ((0, 5), (5, 0)):
        pair = [bins([[0.0]], counts[0]), bins([[0.0]], counts[1])]
        with pytest.raises(SignalError, match="has no read that passes the filters") as caught:
            combine(assay(1, 1), pair, "reads", Combination(), 100)
        assert caught.value.path == (PATH if counts[0] == 0 else Path("in.bam"))


def test_no_ratio_of_what_is_not_above_zero() -> None:
    pair = [bins([[-1.0, 3.0]]), bins([[1.0, 1.0]])]
    with pytest.raises(SignalError, match=r"goes down to -1, and the pseudocount is 1\n  give a"):
        combine(assay(1, 1), pair, "signal", Combination(control="log2"), 100)
    found = combine(assay(1, 1), pair, "signal", Combination("none", "log2", 2.0), 100)
    np.testing.assert_allclose(found.values, np.log2([[1 / 3, 5 / 3]]), rtol=1e-6)


def test_reads_and_signal_do_not_mix(workshop: Any) -> None:
    bam = workshop.bam([workshop.Read("chr1", 5)], {"chr1": 100})
    bigwig = workshop.bigwig([("chr1", 0, 5, 1.0)], {"chr1": 100})
    mixed = Assay("H3K4me3", (BamTrack(bam), BigWigTrack(bigwig)))
    with pytest.raises(MismatchError, match=r"holds signal, .*bam of the same mark reads"):
        check_assay(mixed, [track.info() for track in mixed.files])
    same = Assay("H3K4me3", (BamTrack(bam),), (BamTrack(bam),))
    assert check_assay(same, [track.info() for track in same.files]) == "reads"


def test_what_is_said() -> None:
    assert units_in_words("reads", Combination(), controlled=False) == "reads"
    assert units_in_words("signal", Combination("cpm"), controlled=False) == "signal"
    assert units_in_words("reads", Combination("rpkm", "log2"), controlled=True) == (
        "log2 of rpkm over control"
    )
    said = rule_in_words("counted", "reads", Combination(control="log2"), assay(2, 2))
    assert said == (
        "counted; 2 replicates added; control of 2 files, scaled to the depth of the mark, "
        "log2 ratio with pseudocount 1"
    )
