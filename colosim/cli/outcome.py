"""The exit status that a run asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.cli.main import STATUS_NOBODY_SERVES, STATUS_VIOLATED

if TYPE_CHECKING:
    from colosim.runs.run import Run

__all__ = ["status_of"]


def status_of(run: Run) -> int:
    """Return 4 if a safety rule broke, 3 if nobody serves and that was not foreseen, else 0."""
    from colosim.runs.check import foreseen
    from colosim.runs.verdict import VIOLATED

    if run.verdict == VIOLATED:
        return STATUS_VIOLATED
    return 0 if foreseen(run) else STATUS_NOBODY_SERVES
