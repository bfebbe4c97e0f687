"""A design's protocol as the simulator itself runs it: what happens on each side, in what order.

Nothing here is written by hand: the order of a checkpoint's events is read off the event record of
a dry run of one checkpoint, and whether a design goes on with a new request after a checkpoint
whose connection broke is seen in a run whose secondary is killed in the middle of the RAM stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from colosim.designs.messages import SET_UP
from colosim.designs.registry import load_design, load_designs
from colosim.host.failover import BY_COMMAND
from colosim.measured.events import MONITOR, REQUEST, STAGES
from colosim.measured.stage_log import SHOWN
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.trace import steps
from colosim.trace.events import (
    ABORTED,
    PRIMARY,
    SECONDARY,
    CheckpointEnded,
    GuestRunning,
    GuestStopped,
    OnSide,
    Received,
    Sent,
    StepDone,
    StreamEnded,
)
from colosim.trace.steps import RAM_LOAD

if TYPE_CHECKING:
    from colosim.measured.events import History

_BEGINS: dict[str, OnSide] = {
    PRIMARY: Sent(PRIMARY, REQUEST),
    SECONDARY: Received(SECONDARY, REQUEST),
}

_QUIET = "name: dry-run\ncheckpoints: 1\nguest: {ram: 16 MiB, dirty: {pages: 64}}\n"
_BROKEN = """\
name: broken
checkpoints: 4
horizon: 100 s
guest: {ram: 128 MiB, dirty: {pages: 20000}}
manager: {policy: wait}
faults:
  - kill: secondary
    at: {checkpoint: 1, step: "primary: RAM stream", progress: 40%}
"""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What one design does on each side in one checkpoint, in order.

    ``requests_again``: after a checkpoint whose connection broke the primary begins another one
    (which then fails), as the lost error of the RAM stream makes `split` and `qemu-5.1` do.
    """

    design: str
    events: dict[str, tuple[OnSide, ...]]
    requests_again: bool

    def streams_ram(self) -> bool:
        """Whether RAM is streamed, and so loaded before VMSTATE_SIZE is read."""
        return StreamEnded(SECONDARY, RAM_LOAD) in self.events[SECONDARY]

    def seen_by(self, history: History) -> tuple[OnSide, ...]:
        """Return the events of one checkpoint that this kind of log would show, in order."""
        events = self.events[history.side]
        if history.kind == STAGES:
            return _once(event for event in events if event in SHOWN)
        if history.kind == MONITOR:
            guest = (GuestRunning, GuestStopped)
            return tuple(event for event in events if isinstance(event, guest))
        return _once(event for event in events if _visible(event, history.shows))


def _once(events: Iterable[OnSide]) -> tuple[OnSide, ...]:
    """Return events without repetitions: RAM that comes in parts is loaded once for a log."""
    return tuple(event for event, _ in groupby(events))


def _visible(event: OnSide, shows: frozenset[str]) -> bool:
    """Tell whether a trace log that shows these kinds of step would show this event."""
    match event:
        case Sent(_, SET_UP.name) | Received(_, SET_UP.name):
            return False  # no call of colo_send_message
        case Sent() | Received():
            return True
        case GuestRunning() | GuestStopped():
            return "guest" in shows
        case StepDone(_, steps.BITMAP_SYNC | steps.CACHE_FLUSH) | StreamEnded(_, steps.RAM_LOAD):
            return event.step in shows
    return False


def _events_of(simulation: Simulation, side: str) -> tuple[OnSide, ...]:
    """Return what `side` did from its first request on."""
    events = (event for _, event, _ in simulation.record if isinstance(event, OnSide))
    own = [event for event in events if event.side == side]
    begins = _BEGINS[side]
    return tuple(own[own.index(begins) :]) if begins in own else ()


def _requests_again(design: str) -> bool:
    """Tell what the design does after a broken checkpoint; one that streams no RAM has none."""
    simulation = Simulation(loads(_BROKEN, file="broken"), design).run()
    aborted = CheckpointEnded(ABORTED)
    return sum(event == aborted for _, event, _ in simulation.record) > 1


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
    """Return the protocol of every design of COLO, in the registry's order."""
    return tuple(
        protocol_of(name)
        for name, design in load_designs().items()
        if design.traits.failover == BY_COMMAND
    )
