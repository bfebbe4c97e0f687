"""The record's events, times and sizes in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colosim.trace.events import (
    ByManager,
    CheckpointEnded,
    ColoExit,
    CommandServed,
    ConnectionTimedOut,
    FailoverPostponed,
    FailureInjected,
    FaultEnded,
    FaultsOver,
    FaultStruck,
    GuestRunning,
    GuestStopped,
    JobScheduled,
    LivenessMissed,
    LockGot,
    LockReleased,
    LockWanted,
    MemoryLevel,
    OnSide,
    PagesCounted,
    PeerLost,
    PoweredOff,
    ProcessChanged,
    Received,
    Sent,
    ServesAlone,
    Staged,
    StepDone,
    StreamBegan,
    StreamBroken,
    StreamEnded,
    WaitBegan,
    WaitEnded,
)
from colosim.trace.purpose import Purpose
from colosim.trace.steps import step_of

if TYPE_CHECKING:
    from colosim.trace.events import Event

__all__ = ["Told", "duration", "moment_of", "place", "purpose_of", "seconds", "size", "tell"]

MS, S = 1_000_000, 1_000_000_000
MIB = 1 << 20


class Told(NamedTuple):
    """An event in words: who does it (a side, or the fault, manager or pair), and what."""

    who: str
    what: str


def duration(time_ns: int) -> str:
    """Return a duration as people read it: ms up to ten seconds, s beyond."""
    return f"{time_ns / MS:.3f} ms" if abs(time_ns) < 10 * S else f"{time_ns / S:.3f} s"


def seconds(time_ns: int) -> str:
    """Return a setting in seconds."""
    return f"{time_ns / S:g} s"


def moment_of(time_ns: int) -> str:
    """Return a point in time, in seconds since COLO was entered."""
    return f"{time_ns / S:.6f} s"


def size(amount: int) -> str:
    """Return an amount of bytes: MiB from one on, else bytes."""
    return f"{amount / MIB:.2f} MiB" if amount >= MIB else f"{amount} B"


_FAULTS = {
    "freeze": "the {0}'s process freezes; its kernel goes on",
    "thaw": "the {0}'s process is to go on",
    "kill": "the {0}'s process is killed",
    "vanish": "{1} vanishes: nothing comes back from it",
    "heal": "{1} heals",
    "slow": "{1} gets slow",
    "fail": "a function of the {0} is to fail",
    "busy": "the {0}'s main loop is busy with what is none of COLO's",
    "disconnect": "the cluster manager loses its connection to the {0}'s monitor",
}
_PURPOSES = {
    Purpose.STOP: "stop the guest",
    Purpose.START: "start the guest",
    Purpose.MONITOR: "serve the monitor",
    Purpose.FAILOVER: "fail over",
    Purpose.SAVE: "save the state",
    Purpose.LOAD: "load the state",
    Purpose.RECEIVE: "receive RAM",
    Purpose.BUSY: "do work of its own",
}
_CHANGES = {
    "frozen": "its threads stop",
    "thawed": "its threads go on",
    "killed": "its kernel tears its memory down, then resets",
}
_EXITS = {"error": "leaves COLO with an error", "request": "leaves COLO on request"}
#: Steps that only say again what another event beside them says.
_LEFT_OUT = {"stop", "start", "bitmap sync", "failover"}


def place(where: str) -> str:
    """Return the network, or the host of a side."""
    links = {"network": "the network", "channel": "a channel"}
    return links.get(where, f"the {where}'s host")


def purpose_of(purpose: str) -> str:
    """Return what a lock is held for, as a verb."""
    return _PURPOSES[Purpose(purpose)]


def tell(event: Event, value: int) -> Told | None:  # noqa: C901 - a case for each kind
    """Return an event of the record in words, or None if it is bookkeeping."""
    match event:
        case MemoryLevel() | WaitBegan() | WaitEnded():
            return None
        case StepDone(_, step) if step in _LEFT_OUT:
            return None
        case FailureInjected(side, function, leaks):
            return Told("fault", f"the {side}'s {function} fails{' and leaks the lock' * leaks}")
        case OnSide(side):
            return Told(side, _of_side(event, value))
        case FaultStruck(kind, where):
            words = _FAULTS.get(kind, f"{kind} {where}")
            return Told("fault", words.format(where, place(where)))
        case FaultEnded(where):
            return Told("fault", f"{place(where)} is as before")
        case FaultsOver():
            return Told("fault", "all faults end")
        case PeerLost(side):
            return Told("manager", f"takes the {side} for lost")
        case PoweredOff(side):
            return Told("manager", f"powers the {side} off")
        case ByManager():
            return Told("manager", event.what)
        case CheckpointEnded(outcome):
            return Told("pair", f"checkpoint {value} {outcome}")
        case LivenessMissed():
            return Told("liveness", "the limit has passed")
    return Told("pair", str(event))


def _of_side(event: OnSide, value: int) -> str:  # noqa: C901, PLR0912 - a case for each kind
    match event:
        case LockWanted(_, thread, purpose):
            return f"{thread} waits for the iothread lock ({purpose})"
        case LockGot(_, thread, purpose):
            late = f", after {duration(value)}" if value else ""
            return f"{thread} takes the iothread lock ({purpose}){late}"
        case LockReleased(_, thread):
            return f"{thread} releases the lock, {duration(value)}"
        case Sent() | Received() | StreamEnded() | ServesAlone():
            return event.what
        case StreamBegan(_, step):
            return f"{step} begins: {size(value)}"
        case StreamBroken(_, step):
            return f"the send of the {step} fails"
        case StepDone(side, step) if step_of(side, step) is not None:
            return f"{step}, {duration(value)}"
        case PagesCounted(_, "dirty"):
            return f"{value} dirty pages"
        case PagesCounted(_, "flushed"):
            return f"{value} pages from the RAM cache"
        case Staged():
            return f"{size(value)} in the staging buffer"
        case GuestRunning():
            return "guest runs"
        case GuestStopped():
            return f"guest stops, had run {duration(value)}"
        case ProcessChanged(_, state):
            return _CHANGES[state]
        case ConnectionTimedOut():
            return "its kernel gives the connection up: timed out"
        case CommandServed(_, command, True):
            return f"{command}, served out of band, without the lock"
        case CommandServed(_, command):
            late = f"after {duration(value)}" if value else "at once"
            return f"monitor serves {command}, {late}"
        case ColoExit(_, reason):
            return _EXITS[reason]
        case FailoverPostponed():
            return "postpones the failover: it is just loading a checkpoint"
        case JobScheduled():
            return "asks for the postponed failover again"
    return f"{event.what} ({value})" if value else event.what
