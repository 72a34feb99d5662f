"""GTF -> its genes, as plain values.

Nothing here needs numpy: a process of its own can read the genes at once (`chromeprep.cli._ahead`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from chromeprep.errors import AnnotationError
from chromeprep.textfiles import read_blocks

_GTF_COLUMNS = 9
_FEATURES = (b"gene", b"transcript", b"exon")
# At the start of an attribute only: there are also ref_gene_id, and notes that speak of a gene_id.
_ATTRIBUTES = {
    name: re.compile(rb'(?:^|;)[ \t]*%b[ \t]+(?:"([^"]*)"|([^";]*))' % name.encode())
    for name in ("gene_id", "gene_name", "gene_type", "gene_biotype")
}
# Chromosome, start, end, strand, attributes of a line that is in order.
_LINE = re.compile(
    rb"([^\t]*)\t[^\t]*\t[^\t]*\t(\d+)\t(\d+)\t[^\t]*\t([+.-])\t[^\t]*\t([^\t]*)[\t\r]*"
)
_PAR_Y = re.compile(r".*_PAR_Y|ENS[A-Z]{0,4}GR\d{10}(?:\.\d+)?")
_CONFLICTS_SHOWN = 3


class Feature(NamedTuple):
    """One line of a GTF, 0-based half-open; `text` is all of it, `attributes` its last column."""

    line: int
    chrom: str
    start: int
    end: int
    strand: str
    gene_id: str
    attributes: bytes
    text: bytes

    @property
    def gene_name(self) -> str:
        """The symbol, or nothing."""
        return _attribute(self.attributes, "gene_name") or ""

    @property
    def gene_type(self) -> str:
        """The biotype, or nothing."""
        return (
            _attribute(self.attributes, "gene_type")
            or _attribute(self.attributes, "gene_biotype")
            or ""
        )


class _Gene(NamedTuple):
    """A gene as it grows from one or more lines of the same id."""

    first: Feature
    start: int
    end: int


class GtfGenes(NamedTuple):
    """Genes of a GTF in file order, each column a list, 0-based half-open.

    ``feature`` is what they were read from; ``n_par_y`` copies of pseudo-autosomal genes on the Y
    and ``n_unstranded`` genes without a strand are left out.
    """

    gene_id: list[str]
    gene_name: list[str]
    gene_type: list[str]
    chrom: list[str]
    start: list[int]
    end: list[int]
    strand: list[str]
    feature: str
    n_par_y: int
    n_unstranded: int


def read_genes(path: Path) -> GtfGenes:
    """Read the genes of every type; see `chromeprep.annotation.read_gtf`.

    Raises
    ------
    AnnotationError
        Where a line is malformed, an id stands on several chromosomes or strands, or there is no
        gene that can be used.
    """
    for feature in _FEATURES:
        genes, n_par_y, n_unstranded = _collect(path, feature)
        if genes or n_par_y or n_unstranded:
            break
    else:
        raise AnnotationError(
            "has no gene, transcript or exon lines", path=path, hint="is it a GTF?"
        )
    if not genes:
        raise AnnotationError(
            f"none of its genes can be used: {n_par_y:,} are copies of pseudo-autosomal genes on "
            f"the Y, {n_unstranded:,} have no strand",
            path=path,
        )
    found = genes.values()
    return GtfGenes(
        gene_id=list(genes),
        gene_name=[gene.first.gene_name for gene in found],
        gene_type=[gene.first.gene_type for gene in found],
        chrom=[gene.first.chrom for gene in found],
        start=[gene.start for gene in found],
        end=[gene.end for gene in found],
        strand=[gene.first.strand for gene in found],
        feature=feature.decode(),
        n_par_y=n_par_y,
        n_unstranded=n_unstranded,
    )


def _collect(path: Path, feature: bytes) -> tuple[dict[str, _Gene], int, int]:
    genes: dict[str, _Gene] = {}
    conflicts: dict[str, list[Feature]] = {}
    par_y: set[str] = set()
    unstranded: set[str] = set()
    for entry in read_features(path, feature):
        if is_par_y(entry.gene_id):
            par_y.add(entry.gene_id)
        elif entry.strand == ".":
            unstranded.add(entry.gene_id)
        elif (known := genes.get(entry.gene_id)) is None:
            genes[entry.gene_id] = _Gene(entry, entry.start, entry.end)
        elif (known.first.chrom, known.first.strand) != (entry.chrom, entry.strand):
            conflicts.setdefault(entry.gene_id, [known.first]).append(entry)
        else:
            genes[entry.gene_id] = _Gene(
                known.first, min(known.start, entry.start), max(known.end, entry.end)
            )
    if conflicts:
        raise _conflict(path, conflicts)
    return genes, len(par_y), len(unstranded - genes.keys())


def is_par_y(gene_id: str) -> bool:
    """Say whether an id is GENCODE's copy, on the Y, of a pseudo-autosomal gene.

    New releases mark it ``_PAR_Y``, old ones with an R in the place of the id's first zero.

    Examples
    --------
    >>> is_par_y("ENSG00000182378.15_PAR_Y"), is_par_y("ENSGR0000182378.8")
    (True, True)
    >>> is_par_y("ENSG00000182378.8")
    False
    """
    return "R" in gene_id and _PAR_Y.fullmatch(gene_id) is not None


def read_features(path: Path, feature: bytes) -> Iterator[Feature]:
    """Yield the lines of one feature; the others are only checked for their number of columns.

    Raises
    ------
    AnnotationError
        Where a line is malformed.
    """
    needle = b"\t" + feature + b"\t"
    lines_before = 0
    for block in read_blocks(path, AnnotationError):
        lines = block.count(b"\n")
        # Counting is many times as fast as splitting, and enough where every line is in order.
        if block.count(b"\t") != (_GTF_COLUMNS - 1) * lines:
            _check_columns(path, block, lines_before)
        number, counted = lines_before, 0
        at = block.find(needle)
        while at >= 0:
            start = block.rfind(b"\n", 0, at) + 1
            end = block.find(b"\n", at)
            number += block.count(b"\n", counted, start)
            counted = start
            text = block[start:end]
            if text.split(b"\t", 3)[2] == feature and not text.startswith(b"#"):
                yield _parse(path, number + 1, text)
            at = block.find(needle, end)
        lines_before += lines


def _check_columns(path: Path, block: bytes, lines_before: int) -> None:
    for offset, line in enumerate(block.split(b"\n")[:-1], start=1):
        text = line.rstrip(b"\r")
        if not text.strip() or text.startswith(b"#"):
            continue
        if text.rstrip(b"\t").count(b"\t") + 1 != _GTF_COLUMNS:
            raise AnnotationError(
                f"malformed GTF: {_columns(text)}: {_show(text)}",
                path=path,
                line=lines_before + offset,
            )


def _columns(text: bytes) -> str:
    count = text.rstrip(b"\r\t").count(b"\t") + 1
    return f"{count} column{'s' * (count > 1)} separated by tabs, expected {_GTF_COLUMNS}"


def _parse(path: Path, number: int, text: bytes) -> Feature:
    match = _LINE.fullmatch(text)
    if match is None:
        raise _fault(path, number, text)
    chrom, first, end, strand, attributes = match.groups()
    gene_id = _attribute(attributes, "gene_id") if text.isascii() or _is_text(text) else None
    if not gene_id or not 1 <= int(first) <= int(end):
        raise _fault(path, number, text)
    return Feature(
        number, chrom.decode(), int(first) - 1, int(end), strand.decode(), gene_id, attributes, text
    )


def _fault(path: Path, number: int, text: bytes) -> AnnotationError:
    """Say what is wrong with a line that cannot be read."""
    hint = None
    fields = text.split(b"\t")
    if len(fields) != _GTF_COLUMNS and text.rstrip(b"\r\t").count(b"\t") != _GTF_COLUMNS - 1:
        what = _columns(text)
    elif not (fields[3].isdigit() and fields[4].isdigit()):
        what = "start and end must be whole numbers"
    elif not 1 <= int(fields[3]) <= int(fields[4]):
        what = "start must be at least 1 and not beyond end"
    elif fields[6] not in (b"+", b"-", b"."):
        what = f"strand is '{fields[6].decode(errors='replace')}', expected + or -"
    elif not _is_text(text):
        what = "is not text in UTF-8"
    else:
        what = "no gene_id"
        if b"ID=" in fields[8] or b"Parent=" in fields[8]:
            hint = "this looks like GFF3; convert it: gffread -T in.gff3 -o out.gtf"
    return AnnotationError(
        f"malformed GTF: {what}: {_show(text)}", path=path, line=number, hint=hint
    )


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _attribute(attributes: bytes, name: str) -> str | None:
    found = _ATTRIBUTES[name].search(attributes)
    return None if found is None else (found[1] or found[2] or b"").strip().decode()


def _show(text: bytes, most: int = 120) -> str:
    shown = text[: 4 * most].decode(errors="replace").rstrip()
    # Control characters would reach the terminal.
    shown = "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in shown)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _conflict(path: Path, conflicts: dict[str, list[Feature]]) -> AnnotationError:
    lines = []
    for features in list(conflicts.values())[:_CONFLICTS_SHOWN]:
        lines += [f"  line {entry.line}: {_show(entry.text)}" for entry in features[:2]]
    count = len(conflicts)
    shown = "" if count <= _CONFLICTS_SHOWN else f" (the first {_CONFLICTS_SHOWN} shown)"
    return AnnotationError(
        f"{count} gene id{'s' * (count > 1)} on more than one chromosome or strand{shown}:\n"
        + "\n".join(lines),
        path=path,
        hint="a gene needs one TSS: give the copies ids of their own, or leave all but one out",
    )
