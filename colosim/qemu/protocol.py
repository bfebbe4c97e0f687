"""A design's protocol as the simulator itself runs it: what happens on each side, in what order.

Nothing here is written by hand: the order of a checkpoint's events is read off the event record of
a dry run of one checkpoint, and whether a design goes on with a new request after a checkpoint
whose connection broke is seen in a run whose secondary is killed in the middle of the RAM stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from colosim.designs.registry import load_design, load_designs
from colosim.engine.record import name_of
from colosim.qemu.history import GUEST, STAGES
from colosim.runs.simulation import Simulation
from colosim.runs.tables import ABORTED
from colosim.scenario import loads

if TYPE_CHECKING:
    from colosim.qemu.history import History

__all__ = ["Protocol", "protocol_of", "protocols"]

REQUEST = "CHECKPOINT_REQUEST"
_BEGINS = {"primary": f"sends {REQUEST}", "secondary": f"receives {REQUEST}"}

_QUIET = "name: dry-run\ncheckpoints: 1\nguest: {dirty: {pages: 64}}\n"
_BROKEN = """\
name: broken
checkpoints: 4
horizon: 100 s
guest: {dirty: {pages: 20000}}
manager: {policy: wait}
faults:
  - kill: secondary
    at: {checkpoint: 1, step: "primary: RAM stream", progress: 40%}
"""

_LOCKS = tuple(
    f"iothread lock {what} by {who}"
    for what in ("got", "released")
    for who in ("checkpoint thread for save", "COLO incoming thread for load")
)
_STAGE_EVENTS = {
    "primary": frozenset(
        {
            f"sends {REQUEST}",
            "receives CHECKPOINT_REPLY",
            "guest stopped",
            "bitmap sync",
            "RAM stream ends",
            "staged",
            "device stream ends",
            "receives VMSTATE_RECEIVED",
            "receives VMSTATE_LOADED",
            "guest running",
            *_LOCKS,
        }
    ),
    "secondary": frozenset(
        {
            f"receives {REQUEST}",
            "receives VMSTATE_SEND",
            "RAM load ends",
            "receives VMSTATE_SIZE",
            "vmstate fill ends",
            "device fill ends",
            "reset",
            "cache flush",
            "sends VMSTATE_LOADED",
            *_LOCKS,
        }
    ),
}
"""What the lab's stage lines show of a checkpoint: always all of it."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What one design does on each side in one checkpoint, in order, as event names.

    ``requests_again``: after a checkpoint whose connection broke the primary begins another one
    (which then fails), as the lost error of the RAM stream makes `split` and `mainline` do.
    """

    design: str
    events: dict[str, tuple[str, ...]]
    requests_again: bool

    def streams_ram(self) -> bool:
        """Whether RAM is streamed, and so loaded before VMSTATE_SIZE is read."""
        events = self.events["secondary"]
        return "RAM load ends" in events

    def seen_by(self, history: History) -> tuple[str, ...]:
        """Return the events of one checkpoint that this kind of log would show, in order."""
        events = self.events[history.side]
        if history.kind == STAGES:
            visible = _STAGE_EVENTS[history.side]
            return tuple(name for name in events if name in visible)
        return tuple(name for name in events if _visible(name, history.shows))


def _visible(name: str, shows: frozenset[str]) -> bool:
    """Tell whether a trace log that shows these kinds of step would show this event."""
    if name.startswith(("sends ", "receives ")):
        return True
    if name in GUEST:
        return "guest" in shows
    return {"bitmap sync": "bitmap sync", "RAM load ends": "RAM load"}.get(name, name) in (
        shows & {"bitmap sync", "RAM load", "cache flush"}
    )


def _events_of(simulation: Simulation, side: str) -> tuple[str, ...]:
    """Return what `side` did from its first request on."""
    prefix = f"{side}: "
    names = [str(event) for _, event, _ in simulation.record]
    own = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    begins = _BEGINS[side]
    return tuple(own[own.index(begins) :]) if begins in own else ()


def _requests_again(design: str) -> bool:
    """Tell what the design does after a broken checkpoint; one that streams no RAM has none."""
    simulation = Simulation(loads(_BROKEN, file="broken"), design).run()
    aborted = name_of(ABORTED)
    return sum(str(event) == aborted for _, event, _ in simulation.record) > 1


@lru_cache(maxsize=32)
def protocol_of(design: str) -> Protocol:
    """Return a design's protocol, from dry runs of it.

    :raises colosim.errors.DesignError: if there is no such design.
    """
    load_design(design)
    dry = Simulation(loads(_QUIET, file="dry-run"), design).run()
    return Protocol(
        design=design,
        events={side: _events_of(dry, side) for side in _BEGINS},
        requests_again=_requests_again(design),
    )


def protocols() -> tuple[Protocol, ...]:
    """Return the protocol of every design, in the registry's order."""
    return tuple(protocol_of(name) for name in load_designs())
