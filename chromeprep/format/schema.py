"""Every array and attribute that a file of bins holds, declared once.

The writer, the reader, the validator and ``docs/format.md`` are held to these tables (a test
compares the document with them). Version 1 of the format.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

FORMAT = "HDF5::ChromeBins"
FORMAT_VERSION = 1

ANCHOR = "tss"
ORIENTATIONS = ("5p-to-3p", "genome", "unknown")
COORDINATES = "0-based half-open"
AS_PUBLISHED = "as published"
LABEL_RULES = ("expression >= median", "none", AS_PUBLISHED)
UNCOVERED = ("zero", "nan")
BLACKLIST_ACTIONS = ("none", "mask", "drop")

UNKNOWN_LABEL = -1
UNKNOWN_COUNT = -1
UNKNOWN_POSITION = -1

Kind = Literal["string", "int", "float"]


class Attribute(NamedTuple):
    """An attribute of the root group; ``field`` is its name in `FileAttributes`."""

    name: str
    kind: Kind
    doc: str
    optional: bool = False  # files of the first releases lack it

    @property
    def field(self) -> str:
        """The Python name."""
        return self.name.replace("-", "_")


class Column(NamedTuple):
    """A column of a table."""

    name: str
    dtype: str
    doc: str
    fill: float | None = None
    units: str | None = None


class Table(NamedTuple):
    """A group of columns of one length, encoded as AnnData's ``dataframe``; the first is the index.

    ``dim`` names the dimension scale at the root that the rows run along, or None.
    """

    name: str
    dim: str | None
    columns: tuple[Column, ...]
    doc: str


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("assembly", "string", "genome assembly, such as hg19; `unknown` where not given"),
    Attribute("cell-type", "string", "cell type or epigenome, such as E003; `unknown`"),
    Attribute("bin-size-bp", "int", "width of a bin"),
    Attribute("n-bins", "int", "bins of a gene: 2 x flank-bp / bin-size-bp"),
    Attribute("flank-bp", "int", "how far the window reaches on either side of the TSS"),
    Attribute("anchor", "string", "what the window is centred on: `tss`"),
    Attribute("orientation", "string", "`5p-to-3p` (bin 0 farthest upstream), `genome`, `unknown`"),
    Attribute("coordinates", "string", "`0-based half-open`"),
    Attribute("label-rule", "string", "`expression >= median`, `as published` or `none`"),
    Attribute("label-threshold", "float", "the median; NaN under any other label-rule"),
    Attribute("neighbour-distance-bp", "int", "distance of the neighbour filter; 0: not applied"),
    Attribute(
        "uncovered", "string", "uncovered bases of signal tracks: `zero` or `nan` (left out)"
    ),
    Attribute("expression-source", "string", "expression table and column; empty where none"),
    Attribute("blacklist", "string", "BED of regions left out; empty where none", optional=True),
    Attribute(
        "blacklist-action",
        "string",
        "`mask` (bins that touch them are NaN), `drop` (genes whose window does), `none`",
        optional=True,
    ),
)

TABLES: tuple[Table, ...] = (
    Table(
        "genes",
        "gene",
        (
            Column("gene_id", "string", "unique id, version kept as the annotation has it"),
            Column("gene_name", "string", "symbol; empty where unknown"),
            Column("gene_type", "string", "biotype; empty where unknown"),
            Column("chrom", "string", "chromosome, as the annotation names it; empty: not known"),
            Column("start", "int64", "first base of the gene; -1: not known", units="bp"),
            Column("end", "int64", "one past the last base of the gene; -1: not known", units="bp"),
            Column("strand", "string", "`+` or `-`; empty: not known"),
            Column("tss", "int64", "5' base: start on +, end - 1 on -; -1: not known", units="bp"),
            Column("bins_outside", "int32", "bins that leave the chromosome, in whole or in part"),
            Column("expression", "float64", "value of the expression table", fill=float("nan")),
            Column("label", "int8", "1 high, 0 low, -1 unknown", fill=UNKNOWN_LABEL),
        ),
        "one row a gene, in the order of /signal",
    ),
    Table(
        "marks",
        "mark",
        (
            Column("mark", "string", "unique name, such as H3K4me3"),
            Column("source", "string", "file the signal was read from"),
            Column(
                "units", "string", "`reads` for counted alignments, else as the track: `signal`"
            ),
            Column("count_rule", "string", "how a bin gets its value"),
            Column("fingerprint", "string", "size, time and digest of both ends of the source"),
            Column("n_mapped", "int64", "mapped alignments in the source", fill=UNKNOWN_COUNT),
            Column("mean", "float64", "mean over genes and bins"),
            Column("std", "float64", "standard deviation over genes and bins (population)"),
            Column("p50", "float64", "median over genes and bins"),
            Column("p99", "float64", "99th percentile over genes and bins"),
            Column("fraction_nonzero", "float64", "share of values that are not 0"),
        ),
        "one row a mark, in the order of /signal; statistics leave NaN out",
    ),
    Table(
        "bins",
        "bin",
        (
            Column("name", "string", "start of the bin, as text (the table's index)"),
            Column(
                "start", "int64", "first offset from the TSS, in transcript direction", units="bp"
            ),
            Column("end", "int64", "one past the last offset", units="bp"),
        ),
        "one row a bin, in the order of /signal",
    ),
    Table(
        "chromosomes",
        None,
        (
            Column("name", "string", "chromosome, as /genes/chrom has it"),
            Column("length", "int64", "length in the signal tracks", units="bp"),
        ),
        "chromosomes of the genes; tells assemblies apart",
    ),
)

SIGNAL_DIMS = ("gene", "mark", "bin")
SIGNAL_CHUNK_GENES = 64


def table(name: str) -> Table:
    """Return the declaration of a table by name."""
    return next(entry for entry in TABLES if entry.name == name)
