"""Blocks of whole lines, whatever the packing and wherever a block ends."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chromeprep import textfiles
from chromeprep.errors import AnnotationError, InputError
from chromeprep.textfiles import read_blocks, read_lines


def pack(path: Path, data: bytes, how: str) -> Path:
    if how == "bgzip":
        import pysam

        with pysam.BGZFile(str(path), "wb", None) as handle:
            for at in range(0, len(data), 7):  # a member of its own for every few bytes
                handle.write(data[at : at + 7])
                handle.flush()
    elif how == "members":
        path.write_bytes(
            b"".join(gzip.compress(data[at : at + 5]) for at in range(0, len(data), 5))
        )
    else:
        path.write_bytes(gzip.compress(data) if how == "gzip" else data)
    return path


@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip", "members"])
@pytest.mark.parametrize("block", [1, 3, 8, 1 << 20])
@pytest.mark.parametrize(
    "text", ["a\nbb\n\nccc\n", "a\nbb", "\n", "one long line without an end", "a\r\nb\r\n", ""]
)
def test_lines_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, block: int, text: str
) -> None:
    monkeypatch.setattr(textfiles, "_BLOCK_BYTES", block)
    path = pack(tmp_path / "a", text.encode(), how)
    assert list(read_lines(path)) == list(enumerate(text.splitlines(), start=1))
    assert all(part.endswith(b"\n") and part for part in read_blocks(path))


@given(lines=st.lists(st.text(st.characters(exclude_characters="\0\n\r\ufeff",
                                            exclude_categories=["Cs"]))),
       block=st.integers(1, 40))  # fmt: skip
def test_any_text(tmp_path_factory: pytest.TempPathFactory, lines: list[str], block: int) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfiles, "_BLOCK_BYTES", block)
        assert [line for _, line in read_lines(path)] == lines


def test_byte_order_mark_is_cut_off(workshop: Any) -> None:
    path = workshop.text("a.txt", "\ufeffgene\n\ufeffkept\n")
    assert [line for _, line in read_lines(path)] == ["gene", "\ufeffkept"]


def broken(kind: str) -> bytes:
    whole = gzip.compress(os.urandom(40_000).hex().encode() + b"\n")
    return {
        "half": whole[: len(whole) // 2],
        "no trailer": whole[:-8],
        "checksum": whole[:-8] + b"\1\2\3\4" + whole[-4:],
        "scrambled": whole[:100] + bytes(1000) + whole[1100:],
        "magic only": b"\x1f\x8b",
        "junk": b"\x1f\x8b" + b"junk" * 100,
    }[kind]


@pytest.mark.parametrize(
    "kind", ["half", "no trailer", "checksum", "scrambled", "magic only", "junk"]
)
def test_damaged_gzip(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(broken(kind))
    with pytest.raises(AnnotationError, match="damaged gzip data") as caught:
        list(read_blocks(path, AnnotationError))
    assert caught.value.path == path


def test_places_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(read_blocks(tmp_path / "absent"))
    with pytest.raises(InputError, match="is a folder, not a file"):
        list(read_blocks(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe or device, not a file"):
        list(read_blocks(tmp_path / "pipe"))


def test_what_is_no_text(workshop: Any) -> None:
    with pytest.raises(InputError, match="zero bytes"):
        list(read_lines(workshop.text("a", "chr1\tx\n".encode("utf-16"))))
    with pytest.raises(InputError, match="line 2: is not a text file in UTF-8"):
        list(read_lines(workshop.text("b", b"fine\n\xe9t\xe9\n")))
