"""The lines of files that somebody else wrote, packed or not, in a memory that does not grow."""

from __future__ import annotations

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
_ENCODED: Final = re.compile(r"content-transfer-encoding:\s*quoted-printable", re.IGNORECASE)


def decoded(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, those of a mail in quoted-printable as they were written.

    Of parts that were one line the last stands for it, the others are blank.
    """
    encoded, parts = False, ""
    for line in lines:
        encoded = encoded or bool(_ENCODED.match(line))
        if not encoded:
            yield line
        elif line.rstrip("\r\n").endswith("="):
            parts += line
            yield "\n"
        else:
            whole = (parts + line).encode("utf-8", "surrogateescape")
            parts = ""
            yield quopri.decodestring(whole).decode("utf-8", errors="replace")


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
            while line := stream.readline(LINE_BYTES_MAX):
                last = line
                while not last.endswith(b"\n") and (part := stream.readline(LINE_BYTES_MAX)):
                    last = part
                text = line.decode("utf-8", errors="replace")
                yield text if last is line or not last.endswith(b"\n") else f"{text}\n"


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
