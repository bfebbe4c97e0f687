"""The lines of files that somebody else wrote, gzipped or not, in a memory that does not grow."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from colosim.errors import LogError

if TYPE_CHECKING:
    from pathlib import Path

LINE_BYTES_MAX: Final = 4096
"""What of a line is read; nothing that is known here is longer."""
_GZIP: Final = b"\x1f\x8b"


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
            packed = self._file.read(len(_GZIP)) == _GZIP
            self._file.seek(0)
            stream = gzip.GzipFile(fileobj=self._file) if packed else self._file
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
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path}: cannot be read: {error}") from error
