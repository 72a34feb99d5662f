"""A file of bins in memory: plain arrays in frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chromeprep.format.schema import ANCHOR, COORDINATES, UNKNOWN_COUNT, UNKNOWN_LABEL

Strings = NDArray[np.object_]


def strings(values: ArrayLike) -> Strings:
    """Return values as an array of Python strings.

    Examples
    --------
    >>> strings(["a", "b"])
    array(['a', 'b'], dtype=object)
    """
    return np.array([str(value) for value in np.asarray(values, dtype=object)], dtype=object)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of one length; the first field is the index."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, rows: NDArray[Any]) -> Self:
        """Return the rows chosen by an index or mask array, in its order."""
        taken: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Mapping):
                taken[entry.name] = {name: column[rows] for name, column in value.items()}
            else:
                taken[entry.name] = value[rows]
        return replace(self, **taken)


@dataclass(frozen=True, eq=False)
class GeneTable(_Columns):
    """Genes, one row each; the columns are those of ``/genes`` in ``docs/format.md``.

    ``extra`` holds columns beyond the specified ones, kept when a file is read and written.
    """

    gene_id: Strings
    gene_name: Strings
    gene_type: Strings
    chrom: Strings
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: Strings
    tss: NDArray[np.int64]
    bins_outside: NDArray[np.int32]
    expression: NDArray[np.float64]
    label: NDArray[np.int8]
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        gene_id: ArrayLike,
        chrom: ArrayLike,
        start: ArrayLike,
        end: ArrayLike,
        strand: ArrayLike,
        gene_name: ArrayLike | None = None,
        gene_type: ArrayLike | None = None,
        expression: ArrayLike | None = None,
        label: ArrayLike | None = None,
    ) -> GeneTable:
        """Make a table from what an annotation gives; the TSS follows from the strand.

        Examples
        --------
        >>> GeneTable.build(["a", "b"], ["chr1", "chr1"], [10, 20], [15, 30], ["+", "-"]).tss
        array([10, 29])
        """
        ids = strings(gene_id)
        count = len(ids)
        empty = np.full(count, "", dtype=object)
        starts = np.asarray(start, dtype=np.int64)
        ends = np.asarray(end, dtype=np.int64)
        strands = strings(strand)
        return cls(
            gene_id=ids,
            gene_name=empty if gene_name is None else strings(gene_name),
            gene_type=empty if gene_type is None else strings(gene_type),
            chrom=strings(chrom),
            start=starts,
            end=ends,
            strand=strands,
            tss=np.where(strands == "-", ends - 1, starts).astype(np.int64),
            bins_outside=np.zeros(count, dtype=np.int32),
            expression=np.full(count, np.nan)
            if expression is None
            else np.asarray(expression, dtype=np.float64),
            label=np.full(count, UNKNOWN_LABEL, dtype=np.int8)
            if label is None
            else np.asarray(label, dtype=np.int8),
        )

    def digest(self) -> str:
        """Return a digest of the gene ids, the same for the same genes in any order."""
        return blake2b("\n".join(sorted(self.gene_id)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False)
class MarkTable(_Columns):
    """Marks, one row each; the columns are those of ``/marks`` in ``docs/format.md``."""

    mark: Strings
    source: Strings
    units: Strings
    count_rule: Strings
    fingerprint: Strings
    n_mapped: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    p50: NDArray[np.float64]
    p99: NDArray[np.float64]
    fraction_nonzero: NDArray[np.float64]
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        mark: ArrayLike,
        signal: NDArray[np.float32],
        *,
        source: ArrayLike | None = None,
        units: ArrayLike | None = None,
        count_rule: ArrayLike | None = None,
        fingerprint: ArrayLike | None = None,
        n_mapped: ArrayLike | None = None,
    ) -> MarkTable:
        """Make the table of a signal of shape (genes, marks, bins), with its statistics."""
        from chromeprep.stats import mark_statistics

        names = strings(mark)
        count = len(names)
        statistics = [mark_statistics(signal[:, index, :]) for index in range(count)]

        def text(values: ArrayLike | None, default: str) -> Strings:
            return np.full(count, default, dtype=object) if values is None else strings(values)

        return cls(
            mark=names,
            source=text(source, ""),
            units=text(units, "signal"),
            count_rule=text(count_rule, "unknown"),
            fingerprint=text(fingerprint, ""),
            n_mapped=np.full(count, UNKNOWN_COUNT, dtype=np.int64)
            if n_mapped is None
            else np.asarray(n_mapped, dtype=np.int64),
            mean=np.array([entry.mean for entry in statistics]),
            std=np.array([entry.std for entry in statistics]),
            p50=np.array([entry.p50 for entry in statistics]),
            p99=np.array([entry.p99 for entry in statistics]),
            fraction_nonzero=np.array([entry.fraction_nonzero for entry in statistics]),
        )


@dataclass(frozen=True)
class FileAttributes:
    """Attributes of the root group; ``-`` in the file is ``_`` here.

    See ``ATTRIBUTES`` in `chromeprep.format.schema` for what each one says.
    """

    bin_size_bp: int
    flank_bp: int
    assembly: str = "unknown"
    cell_type: str = "unknown"
    n_bins: int = -1
    anchor: str = ANCHOR
    orientation: str = "5p-to-3p"
    coordinates: str = COORDINATES
    label_rule: str = "none"
    label_threshold: float = float("nan")
    neighbour_distance_bp: int = 0
    uncovered: str = "zero"
    expression_source: str = ""
    blacklist: str = ""
    blacklist_action: str = "none"

    def __post_init__(self) -> None:
        if self.n_bins < 0:
            object.__setattr__(self, "n_bins", 2 * self.flank_bp // self.bin_size_bp)


@dataclass(frozen=True, eq=False)
class Description:
    """All of a file but its signal."""

    attributes: FileAttributes
    genes: GeneTable
    marks: MarkTable
    chromosomes: Mapping[str, int]
    provenance: tuple[str, ...] = ()

    @property
    def mark_names(self) -> list[str]:
        """Names of the marks, in the order of the signal."""
        return [str(name) for name in self.marks.mark]

    @property
    def bin_starts(self) -> NDArray[np.int64]:
        """First offset of each bin from the TSS in bp, in transcript direction."""
        attributes = self.attributes
        return (
            np.arange(attributes.n_bins, dtype=np.int64) * attributes.bin_size_bp
            - attributes.flank_bp
        )


@dataclass(frozen=True, eq=False)
class ChromeBins(Description):
    """A whole file: ``signal`` is float32 of shape (genes, marks, bins), raw, 5' to 3'."""

    signal: NDArray[np.float32] = field(kw_only=True)
