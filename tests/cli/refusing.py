"""Run commands in a process whose system refuses to write; started by `test_refusals`.

Standard input has a JSON array of pairs: a key of `REFUSALS`, and the words of a command.  For
each, standard output has a line of JSON: the exit status, what was told, and the files that were
left in the folder in which the command wrote.
"""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

import matplotlib.font_manager  # noqa: F401 - it keeps a file of its own

from colosim.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

refused_with: list[int] = []
"""The error with which the system refuses to write in a temporary folder."""


def refuse(event: str, details: tuple[Any, ...]) -> None:
    """Refuse what writes: an audit hook is told of it before the system is asked."""
    if not refused_with or event not in {"open", "os.mkdir", "os.rename", "os.link"}:
        return
    read = event == "open" and not (isinstance(details[1], str) and set(details[1]) & set("wxa+"))
    if not read and os.path.realpath(str(details[0])).startswith(os.path.realpath(gettempdir())):
        raise OSError(refused_with[0], "refused", details[0])


@contextmanager
def full() -> Iterator[None]:
    """Let no file have a single byte, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def refused(number: int) -> Iterator[None]:
    """Refuse with this error number."""
    refused_with.append(number)
    try:
        yield
    finally:
        refused_with.clear()


REFUSALS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "full": full,
    "read-only": lambda: refused(errno.EROFS),
    "forbidden": lambda: refused(errno.EACCES),
}


def outcome(arguments: list[str], refusal: str) -> tuple[int, str, list[str]]:
    """Return a command's exit status, its words on standard error, and the files that it left."""
    errors = io.StringIO()
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(errors):
        filled = [word.replace("HERE", folder) for word in arguments]
        with REFUSALS[refusal]():
            status = main(filled)
        files = [
            str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()
        ]
        return status, errors.getvalue().replace(folder, "HERE"), sorted(files)


if __name__ == "__main__":
    sys.addaudithook(refuse)
    for refusal, arguments in json.load(sys.stdin):
        print(json.dumps(outcome(arguments, refusal)))  # noqa: T201 - its answer
