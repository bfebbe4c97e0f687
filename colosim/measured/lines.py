"""The lines of files that somebody else wrote, packed or not, in a memory that does not grow."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import os
import quopri
import re
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from colosim.errors import LogError

if TYPE_CHECKING:
    from pathlib import Path

LINE_BYTES_MAX: Final = 4096
"""What of a line is read; nothing that is known here is longer."""
_PACKED: Final[dict[bytes, Callable[[BinaryIO], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""How a packed file is read, by what it begins with."""
_UNREAD: Final = (
    (rb"\x28\xb5\x2f\xfd", "it is packed by zstd: unpack it (zstd -d)"),
    (rb"PK\x03\x04", "it is a zip file: unpack it"),
    (rb"\xff\xfe.\x00|\xfe\xff\x00", "it is UTF-16: make it UTF-8 (iconv -f UTF-16 -t UTF-8)"),
)
"""What files begin with that are not read, and what to do about it."""
_MAGIC_BYTES: Final = 6
_ENCODING: Final = re.compile(r"content-transfer-encoding:\s*(?P<name>[\w-]+)", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_ARRAY: Final = re.compile(rb"\s*\[\s*\{")
_BETWEEN: Final = re.compile(rb"(?<=\})\s*,\s*(?=\{)")
"""What stands between two objects of a JSON array."""


def decoded(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, those of a mail in quoted-printable or base64 as they were written.

    In quoted-printable, of parts that were one line the last stands for it, the others are blank.
    """
    encoding, parts, text = "", "", b""
    for line in lines:
        if found := _ENCODING.match(line):
            encoding = found["name"].lower()
        bare = line.rstrip("\r\n")
        if encoding == "base64" and _BASE64.fullmatch(bare) and len(bare) % 4 == 0:
            *whole, text = (text + base64.b64decode(bare)).split(b"\n")
            yield from (f"{one.decode('utf-8', errors='replace')}\n" for one in whole)
            text = text[:LINE_BYTES_MAX]
            continue
        if text:
            yield f"{text.decode('utf-8', errors='replace')}\n"
            text = b""
        if encoding != "quoted-printable":
            yield line
        elif bare.endswith("="):
            parts += line
            yield "\n"
        else:
            coded = (parts + line).encode("utf-8", "surrogateescape")
            parts = ""
            yield quopri.decodestring(coded).decode("utf-8", errors="replace")
    if text:
        yield text.decode("utf-8", errors="replace")


class Lines:
    """The lines of a file, from the first each time, each with the newline that ends it.

    What of a line goes beyond `LINE_BYTES_MAX` is left out; a byte that is no UTF-8 becomes U+FFFD.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def __iter__(self) -> Iterator[str]:
        """Yield the lines.

        :raises LogError: if they cannot be read.
        """
        with _reading(self._path):
            self._file.seek(0)
            head = self._file.read(_MAGIC_BYTES)
            self._file.seek(0)
            for begins, why in _UNREAD:
                if re.match(begins, head, re.DOTALL):
                    raise OSError(why)
            unpack = next((_PACKED[magic] for magic in _PACKED if head.startswith(magic)), None)
            stream: Any = self._file if unpack is None else unpack(self._file)
            for line in _lines(stream):
                yield line.decode("utf-8", errors="replace")


def _lines(stream: Any) -> Iterator[bytes]:
    """Yield lines, of a long one its beginning; objects of an array in one line are one each."""
    while line := stream.readline(LINE_BYTES_MAX):
        last, array = line, bool(_ARRAY.match(line))
        while True:
            if array:
                *whole, line = _BETWEEN.split(line)
                yield from (one + b"\n" for one in whole)
            if last.endswith(b"\n") or not (last := stream.readline(LINE_BYTES_MAX)):
                break
            line = line[:LINE_BYTES_MAX] + (last if array else b"")
        yield line if line.endswith(b"\n") or not last else line + b"\n"


@contextmanager
def opened(path: Path) -> Iterator[Lines]:
    """Open a file for its lines, ``-`` for those of standard input.

    What a pipe gives is kept, so that it may be read again.

    :raises LogError: if it cannot be read.
    """
    with ExitStack() as files:
        with _reading(path):
            piped = str(path) == "-"
            file: BinaryIO = sys.stdin.buffer if piped else files.enter_context(path.open("rb"))
            if not piped and stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty():
                raise OSError("it is a device")
            if piped or not file.seekable():
                copy = files.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(file, copy)
                file = copy
        yield Lines(path, file)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise LogError(f"{path}: cannot be read: {error}") from error
