"""Every array and attribute that a panel file holds, declared once.

The writer, the reader, the validator and ``docs/panel.md`` are held to these tables (a test
compares the document with them). Version 1 of the format.
"""

from __future__ import annotations

from chromeprep.format.schema import Attribute, Column, Table

FORMAT = "HDF5::ChromePanel"
FORMAT_VERSION = 1

LABEL_RULE = "expression >= median"
CORRELATION_RULE = "spearman"
GENE_KEYS = ("id", "symbol")

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("gene-keys", "string", "what `gene_id` holds: `id` or `symbol`"),
    Attribute("label-rule", "string", "`expression >= median`"),
    Attribute("correlation-rule", "string", "`spearman`"),
    Attribute("near-duplicate", "float", "correlation from which two cell types are nearly one"),
)

TABLES: tuple[Table, ...] = (
    Table(
        "genes",
        "gene",
        (
            Column("gene_id", "string", "unique id, version cut; or symbol"),
            Column("gene_name", "string", "symbol; empty where unknown"),
            Column("mean_log1p", "float64", "mean of log(1 + expression)"),
            Column("std_log1p", "float64", "standard deviation of the same (population)"),
            Column("median", "float64", "median of expression"),
            Column("min", "float64", "least expression"),
            Column("max", "float64", "most expression"),
            Column("share_high", "float64", "share of cell types in which the gene is high"),
        ),
        "one row a gene, in the order of /expression; summaries over all cell types",
    ),
    Table(
        "cell_types",
        "cell_type",
        (
            Column("cell_type", "string", "unique name"),
            Column("source", "string", "expression table and column, TABLE:COLUMN"),
            Column("threshold", "float64", "median over all genes: from here a gene is high"),
        ),
        "one row a cell type, in the order of /expression",
    ),
)

EXPRESSION_DIMS = ("gene", "cell_type")
CORRELATION_DIMS = ("cell_type", "cell_type")
EXPRESSION_CHUNK_GENES = 1024
