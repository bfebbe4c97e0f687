"""Designs of other packages: whatever is wrong with one becomes one `DesignError`.

It names the design, its file and its line, whatever its code did: raise something, yield what is
no event, do nothing at all, end the interpreter as it is imported, or never come back from that.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Collection, Iterator
from threading import Thread
from typing import Final, Protocol

from colosim.designs.design import Design
from colosim.errors import DesignError
from colosim.trace.events import OTHER
from colosim.trace.steps import OwnNames

_ACCOUNT: Final = re.compile(r"[a-z][a-z0-9_]*")
IMPORT_S = 20.0
"""How long the import of a plug-in may take, in seconds."""


def checked_name(design: type[Design], taken: Collection[str]) -> type[Design]:
    """Return `design`, whose name has to be its own and nobody else's.

    :raises DesignError: if its name is missing, inherited, or one of `taken`.
    """
    name = vars(design).get("name")
    if name is None:
        inherited = getattr(design, "name", None)
        of = next((base.__name__ for base in design.__mro__ if "name" in vars(base)), "")
        problem = f"inherits the name {inherited!r} of {of}" if of else "has no name"
        raise DesignError(f"{_place(design)}: {design.__name__} {problem}; give it its own")
    if not isinstance(name, str) or not name or "+" in name:
        raise DesignError(
            f"{_place(design)}: {design.__name__} has the name {name!r}; "
            "expected a text without '+'"
        )
    if name in taken:
        raise DesignError(
            f"{_place(design)}: the name {name!r} of {design.__name__} is taken by a design of "
            "colosim; give it its own"
        )
    return design


def own_names(design: type[Design]) -> OwnNames:
    """Return the steps and the accounts of memory that a design and its bases declare.

    :raises DesignError: if one is no text, or a step has no side.
    """
    steps: list[tuple[str, str]] = []
    accounts: list[str] = []
    for base in reversed(design.__mro__):
        declared = vars(base)
        for text in declared.get("new_steps", ()):
            side, _, step = str(text).partition(":")
            if side not in OTHER or not step.strip():
                raise DesignError(
                    f"{_place(design)}: design {design.name!r} has {text!r} among its new_steps; "
                    "expected a side and a name, such as ('primary: compress pages',)"
                )
            steps.append((side, step.strip()))
        for name in declared.get("new_accounts", ()):
            if not _ACCOUNT.fullmatch(str(name)):
                raise DesignError(
                    f"{_place(design)}: design {design.name!r} has {name!r} among its "
                    "new_accounts; expected lower-case letters, digits and '_', such as "
                    "('compression_buffer',)"
                )
            accounts.append(name)
    return OwnNames(tuple(dict.fromkeys(steps)), tuple(dict.fromkeys(accounts)))


class Entry(Protocol):
    """What names a design: an entry point of another package, or a place in a file."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def value(self) -> str:
        """Where it is."""
        ...

    def load(self) -> object:
        """Import it."""
        ...


def imported(entry: Entry) -> type[Design]:
    """Return the design of another package or of a file, imported in a thread of its own.

    :raises DesignError: if it cannot be imported, takes longer than `IMPORT_S`, or is no design.
    """
    found: list[object] = []
    failed: list[BaseException] = []

    def load() -> None:
        try:
            found.append(entry.load())
        except BaseException as error:  # noqa: BLE001 - also SystemExit: it is told as an error
            failed.append(error)

    thread = Thread(target=load, name=f"import of design {entry.name}", daemon=True)
    thread.start()
    thread.join(IMPORT_S)
    called = f"design {entry.name!r} ({entry.value})"
    if thread.is_alive():
        frames = traceback.extract_stack(sys._current_frames()[thread.ident or 0])  # noqa: SLF001 - the only way to see where it stands
        raise DesignError(
            f"{called} has not been imported after {IMPORT_S:g} s: it is at "
            f"{frames[-1].filename}:{frames[-1].lineno}"
        )
    if failed:
        error = failed[0]
        raise DesignError(f"{called} cannot be loaded: {_told(error)}{_at(error)}") from error
    (design,) = found
    if not (isinstance(design, type) and issubclass(design, Design)):
        raise DesignError(f"{called} is not a subclass of colosim.designs.Design")
    return design


def blame(design: type[Design], error: BaseException) -> DesignError:
    """Return the `DesignError` for what a design's code raised while it ran."""
    place = _last_line_in(_file(design), error) or _place(design)
    return DesignError(f"{place}: design {design.name!r}: {_told(error)}")


def _told(error: BaseException) -> str:
    if isinstance(error, DesignError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _at(error: BaseException) -> str:
    if isinstance(error, DesignError):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it: SimPy raises a copy where an error passes a process."""
    while error is not None:
        yield error
        error = error.__cause__


def _last_line_in(file: str, error: BaseException) -> str:
    lines = [
        f"{frame.filename}:{frame.lineno}"
        for one in _chain(error)
        for frame in traceback.extract_tb(one.__traceback__)
        if frame.filename == file
    ]
    return lines[-1] if lines else ""


def _file(design: type[Design]) -> str:
    """Return the file of a class, ``""`` where it has none (typed into a notebook, say)."""
    try:
        return inspect.getsourcefile(design) or ""
    except (OSError, TypeError):
        return ""


def _place(design: type[Design]) -> str:
    """Return where a class begins, ``file:line``; its module where that is not known."""
    try:
        return f"{_file(design)}:{inspect.getsourcelines(design)[1]}"
    except (OSError, TypeError):
        return _file(design) or design.__module__
