"""How are sequenced fragments written as a sorted, indexed BAM file?

Records of one length are laid out in numpy and compressed by htslib's BGZF writer, which is some
ten times faster than building them one by one. Layout: SAM specification, section 4.2.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from chromeprep._version import __version__
from chromeprep.simulate.assay import READ_BP, Fragments

UNMAPPED, REVERSE, QC_FAIL, DUPLICATE = 0x4, 0x10, 0x200, 0x400

_UNMAPPED_SHARE, _PLACED_UNMAPPED_SHARE = 0.03, 0.001
_QC_FAIL_SHARE, _LOW_MAPQ_SHARE = 0.004, 0.05
_NAME_DIGITS = 8
_CHUNK = 50_000  # records laid out at a time

_RECORD = np.dtype(
    [
        ("block_size", "<i4"),
        ("ref_id", "<i4"),
        ("pos", "<i4"),
        ("l_read_name", "u1"),
        ("mapq", "u1"),
        ("bin", "<u2"),
        ("n_cigar_op", "<u2"),
        ("flag", "<u2"),
        ("l_seq", "<i4"),
        ("next_ref_id", "<i4"),
        ("next_pos", "<i4"),
        ("tlen", "<i4"),
        ("read_name", "u1", (_NAME_DIGITS + 2,)),
        ("cigar", "<u4"),
        ("seq", "u1", (READ_BP // 2,)),
        ("qual", "u1", (READ_BP,)),
    ]
)
_CIGAR_FIELD = slice(_RECORD.fields["cigar"][1], _RECORD.fields["seq"][1])  # type: ignore[index]
_BASES = np.array([1, 2, 4, 8], dtype=np.uint8)  # A C G T as BAM codes


def draw_sequences(
    chromosomes: dict[str, int], rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """Draw the bases of every chromosome, as BAM codes; they carry no meaning."""
    return [_BASES[rng.integers(0, 4, n, dtype=np.uint8)] for n in chromosomes.values()]


def write_bam(
    path: Path,
    fragments: Fragments,
    chromosomes: dict[str, int],
    sequences: list[NDArray[np.uint8]],
    duplicate_share: float,
    sample: str,
    rng: np.random.Generator,
) -> int:
    """Write the 5' ends of fragments as 36 bp single-end reads, sorted, and index them.

    Besides plain reads there are, as everywhere: copies flagged as duplicates, reads of mapping
    quality 0 to 3, reads that failed quality control, unmapped ones at the end of the file and a
    few that are flagged unmapped but placed, as BWA leaves those that hang over a chromosome's end.

    Returns
    -------
    int
        Records written.
    """
    n = len(fragments.start)
    copied = rng.choice(n, round(n * duplicate_share / (1 - duplicate_share)))
    which = np.concatenate([np.arange(n), copied])
    chrom, reverse = fragments.chrom[which], fragments.reverse[which]
    pos = np.where(reverse, fragments.end[which] - READ_BP, fragments.start[which])
    flag = np.where(reverse, REVERSE, 0)
    flag[n:] |= DUPLICATE
    mapq = np.where(rng.random(len(which)) < _LOW_MAPQ_SHARE, rng.integers(0, 4, len(which)), 37)
    draw = rng.random(len(which))
    flag[draw < _QC_FAIL_SHARE] |= QC_FAIL
    placed = draw > 1 - _PLACED_UNMAPPED_SHARE
    flag[placed] |= UNMAPPED
    mapq[placed] = 0
    order = np.lexsort((np.arange(len(which)), pos, chrom))
    chrom, pos, flag, mapq = chrom[order], pos[order], flag[order], mapq[order]
    n_unmapped = round(_UNMAPPED_SHARE * len(which))
    with pysam.BGZFile(str(path), "wb", None) as handle:
        handle.write(_header(chromosomes, sample))
        for first in range(0, len(pos), _CHUNK):
            part = slice(first, first + _CHUNK)
            records = _records(first, chrom[part], pos[part], flag[part], mapq[part], rng)
            records["seq"] = _pack(_read_bases(sequences, chrom[part], pos[part]))
            handle.write(records.tobytes())
        handle.write(_unmapped(len(pos), n_unmapped, rng))
    pysam.index(str(path))
    return len(pos) + n_unmapped


def _header(chromosomes: dict[str, int], sample: str) -> bytes:
    lines = ["@HD\tVN:1.6\tSO:coordinate"]
    lines += [f"@SQ\tSN:{name}\tLN:{length}" for name, length in chromosomes.items()]
    lines += [f"@RG\tID:{sample}\tSM:{sample.partition('-')[0]}"]
    lines += [f"@PG\tID:chromeprep\tPN:chromeprep simulate\tVN:{__version__}"]
    text = ("\n".join(lines) + "\n").encode()
    parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(chromosomes))]
    for name, length in chromosomes.items():
        parts.append(struct.pack("<i", len(name) + 1) + name.encode() + b"\0")
        parts.append(struct.pack("<i", length))
    return b"".join(parts)


def _records(
    first: int,
    chrom: NDArray[np.int64],
    pos: NDArray[np.int64],
    flag: NDArray[np.int64],
    mapq: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.void]:
    n = len(pos)
    records = np.zeros(n, dtype=_RECORD)
    records["block_size"] = _RECORD.itemsize - 4
    records["ref_id"], records["pos"] = chrom, pos
    records["l_read_name"] = _NAME_DIGITS + 2
    records["mapq"], records["flag"] = mapq, flag
    records["bin"] = reg2bin(pos, pos + READ_BP)
    records["n_cigar_op"], records["cigar"] = 1, READ_BP << 4
    records["l_seq"] = READ_BP
    records["next_ref_id"] = records["next_pos"] = -1
    records["read_name"][:, 0] = ord("r")
    powers = 10 ** np.arange(_NAME_DIGITS - 1, -1, -1)
    numbers = np.arange(first + 1, first + n + 1)
    records["read_name"][:, 1:-1] = numbers[:, None] // powers % 10 + ord("0")
    records["qual"] = rng.choice(np.array([40, 38, 33, 27], dtype=np.uint8), n)[:, None]
    return records


def _unmapped(first: int, n: int, rng: np.random.Generator) -> bytes:
    nowhere = np.full(n, -1)
    records = _records(first, nowhere, nowhere, np.full(n, UNMAPPED), np.zeros(n, int), rng)
    records["bin"] = 4680  # of the region [-1, 0), as the specification has it
    records["n_cigar_op"] = 0
    records["block_size"] -= 4
    records["seq"] = _pack(_BASES[rng.integers(0, 4, (n, READ_BP))])
    data = np.frombuffer(records.tobytes(), np.uint8).reshape(n, _RECORD.itemsize)
    return np.delete(data, np.r_[_CIGAR_FIELD], axis=1).tobytes()


def _read_bases(
    sequences: list[NDArray[np.uint8]], chrom: NDArray[np.int64], pos: NDArray[np.int64]
) -> NDArray[np.uint8]:
    result = np.empty((len(pos), READ_BP), np.uint8)
    for index, sequence in enumerate(sequences):
        here = chrom == index
        result[here] = sequence[pos[here, None] + np.arange(READ_BP)]
    return result


def _pack(bases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.left_shift(bases[:, ::2], np.uint8(4)) | bases[:, 1::2]


def reg2bin(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bin of the BAI scheme that holds each region (SAM specification, 5.3).

    Examples
    --------
    >>> reg2bin(np.array([0, 16_380]), np.array([36, 16_416])).tolist()
    [4681, 585]
    """
    last = end - 1
    result = np.zeros(len(start), dtype=np.int64)
    for shift, offset in ((26, 1), (23, 9), (20, 73), (17, 585), (14, 4681)):
        fits = start >> shift == last >> shift
        result[fits] = offset + (start[fits] >> shift)
    return result
