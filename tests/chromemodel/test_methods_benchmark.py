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
def carrying(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(root)
    from benchmarks import carrying

    return carrying


def test_another_batch_has_the_same_genes(
    carrying: ModuleType, make_bins: Callable[..., ChromeBins], tmp_path: Path
) -> None:
    world = make_bins(marks=FIVE)
    counts = np.random.default_rng(0).poisson(5, world.signal.shape).astype(np.float32)
    path = tmp_path / "poor.h5"
    write_bins(path, replace(world, signal=counts))
    found = read_bins(carrying.write_shifted(path, tmp_path / "shifted.h5", 0))
    given = read_bins(path)
    assert list(found.genes.gene_id) == list(given.genes.gene_id)
    np.testing.assert_array_equal(found.genes.label, given.genes.label)
    for index in range(len(FIVE)):
        assert not np.array_equal(found.signal[:, index], given.signal[:, index])
    np.testing.assert_allclose(found.marks.mean, found.signal.mean(axis=(0, 2)), rtol=1e-5)


def test_every_method_takes_part(carrying: ModuleType) -> None:
    named = {one.method for one in (*carrying.METHODS, carrying.PLAIN)}
    assert named == set(METHODS.names())


def test_a_run_that_diverged_is_counted_and_has_no_score(
    carrying: ModuleType, tmp_path: Path
) -> None:
    job = carrying.Job(
        tmp_path / "run", carrying.CASES[1], 0, carrying.SMALL_DANN, *carrying.USUAL,
        tmp_path / "a.h5", tmp_path / "b.h5",
    )  # fmt: skip
    assert carrying.read(job) is None
    carrying.said(job).write_text("the loss is nan in epoch 3; training diverged\n")
    from benchmarks.methods import gains

    row = carrying.read(job)
    assert row.diverged
    kept = row._replace(diverged=False, difference=0.02, domain_loss=7.0)
    assert gains([row, kept, kept]).endswith("1 of 3 | 2 of 2")
