"""The exit status that a run asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.cli.main import STATUS_FAILED, STATUS_NOBODY_SERVES, STATUS_VIOLATED

if TYPE_CHECKING:
    from colosim.runs.run import Run


def status_of(run: Run) -> int:
    """Return the exit status of a run: 0 if it is a success, or ended as was foreseen.

    4 if a safety rule broke, 3 if nobody serves, 1 if it is unfinished or unprotected, or says
    nothing.
    """
    from colosim.runs.check import NOBODY_SERVES, foreseen
    from colosim.runs.verdict import VIOLATED

    if run.verdict == VIOLATED:
        return STATUS_VIOLATED
    if foreseen(run):
        return 0
    return STATUS_NOBODY_SERVES if run.verdict in NOBODY_SERVES else STATUS_FAILED
