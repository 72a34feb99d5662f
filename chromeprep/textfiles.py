"""Text files, plain or gzipped, in whole lines with their numbers."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, isal_zlib

from chromeprep.errors import InputError

_BLOCK_BYTES = 8 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_IsalError = cast(type[Exception], isal_zlib.error)


def read_blocks(path: str | Path, error: type[InputError] = InputError) -> Iterator[bytes]:
    """Yield a file's bytes in blocks of whole lines; gzip and bgzip are unpacked.

    Every block ends in a newline, the last one too. A byte order mark is cut off.

    Raises
    ------
    InputError
        Or the class given as `error`, where the file cannot be read or its gzip data are damaged.
    """
    source = Path(path)
    if source.exists() and not source.is_file():
        what = "a folder" if source.is_dir() else "a pipe or device"
        raise error(f"is {what}, not a file", path=source)
    try:
        with source.open("rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            handle = cast(BinaryIO, igzip.open(raw, "rb")) if zipped else raw
            rest: list[bytes] = []  # of a line that goes on in the next block
            first = True
            while block := handle.read(_BLOCK_BYTES):
                if b"\0" in block:
                    raise error("is not a text file (it holds zero bytes)", path=source)
                if first:
                    block, first = block.removeprefix(_BYTE_ORDER_MARK), False
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield b"".join([*rest, block[:cut]])
                    rest = []
                rest.append(block[cut:])
            if any(rest):
                yield b"".join([*rest, b"\n"])
    except (EOFError, zlib.error, _IsalError, gzip.BadGzipFile) as failure:
        raise error(
            f"damaged gzip data: {failure}", path=source, hint="is the download complete?"
        ) from failure
    except OSError as failure:
        raise error(f"cannot be read: {failure.strerror or failure}", path=source) from failure


def read_lines(path: str | Path, error: type[InputError] = InputError) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end), as `read_blocks` reads them."""
    number = 0
    for block in read_blocks(path, error):
        for line in block.split(b"\n")[:-1]:
            number += 1
            try:
                yield number, line.rstrip(b"\r").decode()
            except UnicodeDecodeError as failure:
                raise error("is not a text file in UTF-8", path=path, line=number) from failure
