"""The one way in which colosim writes: a file or a folder, whole or not at all.

What is written has a name of its own beside its target, ``.colosim-….partial``, and takes the
target's when it is whole; so any number of processes may write the same target, and the last one's
stays.  What a process leaves when it is killed outright has such a name, and goes when the next one
writes there: the name has the writer's process, and says by which kernel that was started, so that
nobody takes a writer on another machine for one that has ended.  Where no kernel says who it is
(Linux alone does) it stays, and is in nobody's way.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Self

from colosim.errors import WriteError

_READ_BYTES_MAX = 1 << 24

_REASONS = {
    errno.EACCES: "that is not permitted; write to a folder of your own",
    errno.EPERM: "that is not permitted; write to a folder of your own",
    errno.EDQUOT: "the quota is used up; free some space, or write elsewhere",
    errno.EEXIST: "something stands in its place; move it, or write elsewhere",
    errno.EFBIG: "a file may not become that large; raise its limit (ulimit -f)",
    errno.EISDIR: "a folder stands in its place; name a file in it",
    errno.ELOOP: "its links lead in a circle; name a file",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOENT: "its folder is not there; make it first",
    errno.ENOSPC: "no space is left; free some, or write elsewhere",
    errno.ENOTDIR: "a file stands where a folder has to be; move it, or write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
}
"""Why nothing can be written, and what to do."""
_TRIES = 100
"""How often a folder is made anew that another process, finding it empty, has removed."""
_UNKNOWN = "any"
"""The kernel that does not say who it is."""
_partials: list[Path] = []
"""What this process is writing."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV, its header first, a line feed behind each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def reason(error: OSError) -> str:
    """Return why something cannot be written, and what to do."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


@contextmanager
def writing(target: Path | str) -> Iterator[None]:
    """Tell an `OSError` of the block as a `WriteError` about what is written in it."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {target}: {reason(error)}") from error


def remove_partials() -> None:
    """Remove what this process has begun to write; an interrupt may have kept others from it."""
    while _partials:
        _remove(_partials[0])


def _beside(target: Path, ending: str) -> Path:
    return target.parent / f".colosim-{_kernel()}-{os.getpid()}-{os.urandom(4).hex()}.{ending}"


def _begin(target: Path) -> Path:
    path = _beside(target, "partial")
    _partials.append(path)
    _sweep(target.parent)
    return path


@cache
def _kernel() -> str:
    """Return what this boot of this machine, and the container in it, are known by."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        processes = Path("/proc/self/ns/pid").stat().st_ino
        return f"{zlib.crc32(b'%d %b' % (processes, boot)):08x}"
    return _UNKNOWN


def _sweep(folder: Path) -> None:
    """Remove what processes that have ended, on this machine, had begun to write in a folder."""
    if _kernel() == _UNKNOWN:
        return
    for path in folder.glob(f".colosim-{_kernel()}-*.partial"):
        process = path.name.split("-")[2]
        if process.isdecimal() and _has_ended(int(process)):
            _remove(path)


def _has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    with suppress(ValueError):
        _partials.remove(path)


def read_file(path: Path) -> bytes:
    """Return the content of a file that somebody may have damaged.

    :raises OSError: if it cannot be read, is no plain file, or larger than 16 MiB.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    with path.open("rb") as stream:
        content = stream.read(_READ_BYTES_MAX + 1)
    if len(content) > _READ_BYTES_MAX:
        raise OSError(errno.EFBIG, "it is larger than 16 MiB", str(path))
    return content


def write_file(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file whole or not at all.

    A link stays, and what it leads to is written; a device or a pipe is written to.

    :param replace: whether what is there may be replaced.
    :raises WriteError: if the file cannot be written, or is there and may not be replaced.
    """
    with writing(path):
        target = Path(os.path.realpath(path)) if replace else path
        if replace and target.is_symlink():
            raise OSError(errno.ELOOP, "")
        if replace and path.exists():
            if not path.is_file():
                path.write_bytes(content)
                return
            with target.open("ab"):
                pass  # a file that must not be written may stand in a folder that may be
        partial = _begin(target)
        try:
            partial.write_bytes(content)
            if replace:
                partial.replace(target)
            else:
                # A link, unlike a rename, fails where a file stands, also one that came just now.
                target.hardlink_to(partial)
        except FileExistsError as error:
            raise WriteError(f"{path} is there already; --force replaces it") from error
        finally:
            _remove(partial)


class NewFolder:
    """A folder that is filled at `path`, beside `target`, until `put` gives it the target's name.

    Used with ``with``: what was not put in place is removed at its end, and so are the folders
    that were made for it.  Where the target is a link, it is what that leads to that is written.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target
        self._place = Path(os.path.realpath(target))
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Make the folder, and those around it.

        :raises WriteError: if it cannot be made.
        """
        with writing(self.target):
            self.target.is_dir()  # a name that is too long is told now, not when all has been done
            self.path = _begin(self._place)
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._make()
                except FileNotFoundError:
                    if not tries_left:
                        raise
                else:
                    break
        return self

    def _make(self) -> None:
        for folder in reversed(self.path.parents):
            with suppress(FileExistsError):
                if not folder.exists():
                    folder.mkdir()
                    self._made.append(folder)
        self.path.mkdir()

    def __exit__(self, *_: object) -> None:
        """Remove what is left at `path`, and the folders around it that nothing has come into."""
        _remove(self.path)
        with suppress(OSError):
            for folder in reversed(self._made):
                folder.rmdir()

    def put(self, *, replace: bool) -> bool:
        """Give the folder the target's name, and say whether that was still free, or still taken.

        :param replace: whether a folder stands there, to be exchanged for this one. Its content is
            what is left at `path`.
        """
        with writing(self.target):
            try:
                if replace:
                    _exchange(self.path, self._place)
                else:
                    self.path.rename(self._place)
            except OSError as error:
                changed = error.errno in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}
                if not (changed and self.path.is_dir()):
                    raise
                return False
        return True


def _exchange(new: Path, old: Path) -> None:
    """Let two folders exchange their names, at once where the system can."""
    try:
        _exchange_at_once(new, old)
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
            raise
    else:
        return
    aside = _beside(old, "replaced")  # nobody sweeps it: for a moment nothing else stands
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        with suppress(OSError):
            aside.rename(old)
        raise
    finally:
        if old.exists():
            shutil.rmtree(aside, ignore_errors=True)


_HERE = -100
"""AT_FDCWD of Linux: paths count from the current folder."""
_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux's renameat2."""


def _exchange_at_once(new: Path, old: Path) -> None:
    import ctypes  # noqa: PLC0415 - most that is written replaces no folder

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError) as error:  # not glibc 2.28 or later
        raise OSError(errno.ENOSYS, "") from error
    if renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE):
        raise OSError(ctypes.get_errno(), "")
