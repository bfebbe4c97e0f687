"""Every exception that colosim raises on purpose.

::

    ColosimError
    ├── ScenarioError         a scenario file (or --set) is wrong; carries every fault and its place
    ├── DesignError           a design is unknown, or its code breaks the rules of the model
    ├── HangError             a run that must serve does not; carries the wait-for graph
    ├── InvariantError        a safety rule broke; carries time, thread and the rule
    ├── RunDirectoryError     a run directory is missing, damaged, or something else stands there
    ├── GridError             a point of a grid is another on arrays than simulated
    ├── LogError              a QEMU log or lab run cannot be read
    └── WriteError            a file or a folder cannot be written; nothing of it is there

`str()` of each is for people; the attributes are for programs. Each can be pickled: a worker
process hands it over whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ColosimError(Exception):
    """Base of every error that colosim raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class ScenarioFault:
    """One thing wrong in a scenario: where it stands (1-based) and what was expected."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return ``file:line:column: message``."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ScenarioError(ColosimError):
    """A scenario is wrong; ``faults`` has every fault, in file order."""

    def __init__(self, faults: Sequence[ScenarioFault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__(self.faults)

    def __str__(self) -> str:
        """Return every fault, one a line."""
        return "\n".join(str(fault) for fault in self.faults)


class DesignError(ColosimError):
    """A design is unknown, or its code breaks a rule of the model."""


class GridError(ColosimError):
    """A point of a grid is another on arrays than simulated."""


class HangError(ColosimError):
    """No guest serves and nobody can be told; ``wait_for`` has one line a blocked thread."""

    def __init__(self, message: str, wait_for: Sequence[str]) -> None:
        self.message = message
        self.wait_for = tuple(wait_for)
        super().__init__(message, self.wait_for)

    def __str__(self) -> str:
        """Return the message and, below it, who waits for whom."""
        return "\n".join((self.message, *self.wait_for))


class InvariantError(ColosimError):
    """A safety rule of the model broke."""

    def __init__(self, rule: str, at_ns: int, thread: str, detail: str) -> None:
        self.rule = rule
        self.at_ns = at_ns
        self.thread = thread
        self.detail = detail
        super().__init__(rule, at_ns, thread, detail)

    def __str__(self) -> str:
        """Return the rule, when it broke, by whom and how."""
        return f"{self.rule} broken at {self.at_ns} ns by {self.thread}: {self.detail}"


class RunDirectoryError(ColosimError):
    """A run directory is missing or damaged, or something else stands in its place."""


class LogError(ColosimError):
    """A QEMU log or a measured run cannot be read."""


class WriteError(ColosimError):
    """A file or a folder cannot be written: no space, no permission, and what else may be."""
