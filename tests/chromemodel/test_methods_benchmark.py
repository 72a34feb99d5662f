"""The measurement of methods shifts only the signal, and counts what diverged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chromemodel.adapt import METHODS
from chromeprep.format import ChromeBins, read_bins, write_bins

FIVE = ("H3K4me3", "H3K36me3", "H3K27me3", "H3K4me1", "H3K9me3")


@pytest.fixture
def methods(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(root)
    from benchmarks import methods

    return methods


def test_another_batch_has_the_same_genes(
    methods: ModuleType, make_bins: Callable[..., ChromeBins], tmp_path: Path
) -> None:
    world = make_bins(marks=FIVE)
    counts = np.random.default_rng(0).poisson(5, world.signal.shape).astype(np.float32)
    path = tmp_path / "poor.h5"
    write_bins(path, replace(world, signal=counts))
    found = read_bins(methods.write_shifted(path, tmp_path / "shifted.h5", 0))
    given = read_bins(path)
    assert list(found.genes.gene_id) == list(given.genes.gene_id)
    np.testing.assert_array_equal(found.genes.label, given.genes.label)
    for index in range(len(FIVE)):
        assert not np.array_equal(found.signal[:, index], given.signal[:, index])
    np.testing.assert_allclose(found.marks.mean, found.signal.mean(axis=(0, 2)), rtol=1e-5)


def test_every_method_takes_part(methods: ModuleType) -> None:
    named = {one.method for one in (*methods.METHODS, methods.PLAIN)}
    assert named == set(METHODS.names())


def test_a_run_that_diverged_is_counted_and_has_no_score(
    methods: ModuleType, tmp_path: Path
) -> None:
    job = methods.Job(
        tmp_path / "run", methods.CASES[1], 0, methods.SMALL_DANN, *methods.USUAL,
        tmp_path / "a.h5", tmp_path / "b.h5",
    )  # fmt: skip
    assert methods.read(job) is None
    methods.said(job).write_text("the loss is nan in epoch 3; training diverged\n")
    row = methods.read(job)
    assert row.diverged
    kept = row._replace(diverged=False, difference=0.02, domain_loss=7.0)
    assert methods.gains([row, kept, kept]).endswith("1 of 3 | 2 of 2")
