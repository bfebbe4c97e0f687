"""Monitors that are deaf for so long, with nothing wrong, that whoever asks them is misled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from colosim.runs.wording import TIMES, with_unit
from colosim.trace.events import OTHER

if TYPE_CHECKING:
    from colosim.scenario.manager import Manager


def deaf_beyond_timeout(manager: Manager, deaf_ns: Mapping[str, int]) -> list[str]:
    """Return the sides whose monitor is deaf for as long as the manager's timeout, or longer.

    `deaf_ns`: the longest time by side.  Such a side is taken for lost if the manager asks its
    monitor (``answered_by: monitor``): at the latest a heartbeat later, and never if its heartbeats
    happen to fall so that the time between two of them and the answer before is short enough.
    """
    return [side for side in OTHER if deaf_ns[side] >= manager.watch(side)[1]]


def warning_of(manager: Manager, deaf_ns: Mapping[str, int]) -> str | None:
    """Say whom of a healthy pair a manager that asks the monitors could take for lost."""
    said = [
        f"the {side}, whose monitor is deaf for up to {with_unit(deaf_ns[side], TIMES)} "
        f"(timeout {with_unit(manager.watch(side)[1], TIMES)})"
        for side in deaf_beyond_timeout(manager, deaf_ns)
    ]
    if not said:
        return None
    asks = "asks" if manager.answered_by == "monitor" else "asked"
    return (
        f"nothing has failed, yet a manager that {asks} the monitors could take for lost "
        f"{' and '.join(said)}"
    )
