"""A run as a timeline: events of its last checkpoint, or of one that a fault struck, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from colosim.scenario.service import SOCKETS
from colosim.trace import events as ev
from colosim.trace.events import COMMITTED, PRIMARY
from colosim.trace.purpose import Purpose
from colosim.trace.steps import BITMAP_SYNC, FAILOVER, START, STOP

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation
    from colosim.trace.record import Timed

MS, S = 1_000_000, 1_000_000_000
MIB = 1 << 20


class Excerpt(NamedTuple):
    """What is kept of a run's record: its last events, and all that faults and manager did."""

    events: list[Timed]
    marks: list[Timed]


class Phrase(NamedTuple):
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


_FAULT_WORDS = {
    "freeze": "the {0}'s process freezes; its kernel goes on",
    "thaw": "the {0}'s process is to go on",
    "kill": "the {0}'s process is killed",
    "vanish": "{1} vanishes: nothing comes back from it",
    "close": "{1} is closed",
    "heal": "{1} heals",
    "slow": "{1} gets slow",
    "fail": "a function of the {0} is to fail",
    "busy": "the {0}'s main loop is busy with what is none of COLO's",
    "panic": "the {0} panics: QEMU stops it",
    "shutdown": "the {0} powers itself off",
    "disconnect": "the cluster manager loses its connection to the {0}'s monitor",
}
_SOCKET_WORDS = {"freeze": "{1} is read no more", "thaw": "{1} is to be read again"}
_PURPOSES = {
    Purpose.STOP: "stop the guest",
    Purpose.START: "start the guest",
    Purpose.MONITOR: "serve the monitor",
    Purpose.FAILOVER: "fail over",
    Purpose.SAVE: "save the state",
    Purpose.LOAD: "load the state",
    Purpose.RECEIVE: "receive RAM",
    Purpose.DISK: "wait for the disk",
    Purpose.PROXY: "write to the proxy's socket",
    Purpose.BUSY: "do work of its own",
}
_CHANGES = {
    "frozen": "its threads stop",
    "thawed": "its threads go on",
    "killed": "its kernel tears its memory down, then resets",
}
_EXITS = {"error": "leaves COLO with an error", "request": "leaves COLO on request"}
#: Steps that only say again what another event beside them says.
_SAID_TWICE = {STOP, START, BITMAP_SYNC, FAILOVER}
FAULT_EVENTS = (ev.FaultStruck, ev.FailureInjected)
_COMMITTED = ev.CheckpointEnded(COMMITTED)
_REQUEST = ev.Sent(PRIMARY, "CHECKPOINT_REQUEST")


def place(where: str) -> str:
    """Return the network, or the host of a side."""
    links = {
        "network": "the network",
        "channel": "a channel",
        "disk": "the connection of the disk",
        "mirror": "the mirror's socket",
        "compare": "the comparison's socket",
    }
    return links.get(where, f"the {where}'s host")


def purpose_of(purpose: str) -> str:
    """Return what a lock is held for, as a verb."""
    return _PURPOSES[Purpose(purpose)]


def describe(event: ev.Event, value: int) -> Phrase | None:  # noqa: C901 - a case for each kind
    """Return an event of the record in words, or None if it is bookkeeping."""
    match event:
        case ev.MemoryLevel() | ev.WaitBegan() | ev.WaitEnded():
            return None
        case ev.StepDone(_, step) if step in _SAID_TWICE:
            return None
        case ev.FailureInjected(side, function, leaks):
            return Phrase("fault", f"the {side}'s {function} fails{' and leaks the lock' * leaks}")
        case ev.OnSide(side):
            return Phrase(side, _of_side(event, value))
        case ev.FaultStruck(kind, where):
            own = _SOCKET_WORDS if where in SOCKETS else {}
            words = (_FAULT_WORDS | own).get(kind, f"{kind} {where}")
            return Phrase("fault", words.format(where, place(where)))
        case ev.FaultEnded(where):
            return Phrase("fault", f"{place(where)} is as before")
        case ev.FaultsOver():
            return Phrase("fault", "all faults end")
        case ev.PeerLost(side):
            return Phrase("manager", f"takes the {side} for lost")
        case ev.PoweredOff(side):
            return Phrase("manager", f"powers the {side} off")
        case ev.ByManager():
            return Phrase("manager", event.what)
        case ev.CheckpointEnded(outcome):
            return Phrase("pair", f"checkpoint {value} {outcome}")
        case ev.LivenessMissed():
            return Phrase("liveness", "the limit has passed")
    return Phrase("pair", str(event))


def _of_side(event: ev.OnSide, value: int) -> str:  # noqa: C901, PLR0912 - a case for each kind
    match event:
        case ev.LockWanted(_, thread, purpose):
            return f"{thread} waits for the iothread lock ({purpose})"
        case ev.LockGot(_, thread, purpose):
            late = f", after {duration(value)}" if value else ""
            return f"{thread} takes the iothread lock ({purpose}){late}"
        case ev.LockReleased(_, thread):
            return f"{thread} releases the lock, {duration(value)}"
        case ev.Sent() | ev.Received() | ev.StreamEnded() | ev.ServesAlone():
            return event.what
        case ev.StreamBegan(_, step):
            return f"{step} begins: {size(value)}"
        case ev.StreamBroken(_, step):
            return f"the send of the {step} fails"
        case ev.StepDone(_, step):
            return f"{step}, {duration(value)}" if value else step
        case ev.PagesCounted(_, "dirty"):
            return f"{value} dirty pages"
        case ev.PagesCounted(_, "flushed"):
            return f"{value} pages from the RAM cache"
        case ev.Staged():
            return f"{size(value)} in the staging buffer"
        case ev.GuestRunning():
            return "guest runs"
        case ev.GuestStopped():
            return f"guest stops, had run {duration(value)}"
        case ev.ProcessChanged(_, state):
            return _CHANGES[state]
        case ev.ConnectionTimedOut():
            return "its kernel gives the connection up: timed out"
        case ev.CommandServed(_, command, True):
            return f"{command}, served out of band, without the lock"
        case ev.CommandServed(_, command):
            late = f"after {duration(value)}" if value else "at once"
            return f"monitor serves {command}, {late}"
        case ev.ColoExit(_, reason):
            return _EXITS[reason]
        case ev.FailoverPostponed():
            return "postpones the failover: it is just loading a checkpoint"
        case ev.AgentYanks():
            return f"{event.what}, no answer for {duration(value)}"
        case ev.JobScheduled():
            return "asks for the postponed failover again"
    return f"{event.what} ({value})" if value else event.what


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """An event of the story: when, since its beginning, who does what."""

    time_ns: int
    since_ns: int
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Story:
    """The events that matter, from `begins_ns` on.

    `checkpoint` is the number of the checkpoint with which it begins, None if it begins between
    two with a fault.
    """

    begins_ns: int
    checkpoint: int | None
    events: tuple[StoryEvent, ...]


# ---- the events that are told --------------------------------------------------------------------


def story(simulation: Simulation, excerpt: Excerpt, *, recovered: bool) -> Story:
    """Return the story of a run's last checkpoint, or of the one that a fault struck.

    `recovered`: the pair went on, so that the story ends with a commit; else it is told up to the
    takeover or to the end.
    """
    if not excerpt.events:
        return Story(0, None, ())
    first, checkpoint, end = _Chapter(simulation, excerpt.events, recovered=recovered).bounds()
    begins = excerpt.events[first][0]
    narrator = _Narrator(excerpt.marks, begins, starts_apart=simulation.starts_apart)
    told = []
    for at_ns, event, value in excerpt.events[first:end]:
        words = narrator.describe(event, value)
        if words is not None:
            told.append(StoryEvent(at_ns, at_ns - begins, *words))
    return Story(begins, checkpoint, tuple(told))


class _Chapter:
    """The part of a run's events that is its story."""

    def __init__(self, simulation: Simulation, events: list[Timed], *, recovered: bool) -> None:
        self._simulation = simulation
        self._events = events
        self._recovered = recovered
        self._commits = [index for index, one in enumerate(events) if one[1] == _COMMITTED]
        self._faults = [
            index for index, one in enumerate(events) if isinstance(one[1], FAULT_EVENTS)
        ]

    def bounds(self) -> tuple[int, int | None, int]:
        """Return where the story begins, with which checkpoint (None: between two), and its end.

        It begins with the request of the checkpoint that the fault struck.  If the pair went on,
        that is the first fault after the last commit, else the last one; if it did not, the first
        one of the last committed checkpoint or after it.  Without such a fault it is the last
        committed checkpoint, or what came after it.
        """
        commits, events = self._commits, self._events
        last = commits[-1] if commits else -1
        if not self._recovered:
            before = commits[-2] if len(commits) > 1 else -1
            late = [index for index in self._faults if index > before]
            return self._from(late[0] if late else self._request_after(last))
        if self._faults:
            after = [index for index in self._faults if index > last]
            return self._from(after[0] if after else self._faults[-1])
        if not commits:
            return 0, 0, len(events)
        return self._request_before(last), events[last][2], last + 1

    def _from(self, struck: int) -> tuple[int, int | None, int]:
        """Return the bounds of the story of what struck."""
        events, commits, end = self._events, self._commits, self._end()
        committed = next((index for index in commits if index > struck), None)
        if self._recovered and committed is not None:
            end = committed + 1
        before = [index for index in commits if index < struck]
        request = self._request_before(struck)
        if before and request <= before[-1]:
            if events[struck][1] == _REQUEST:
                return struck, self._number(struck, committed), end
            return struck, None, end
        return request, self._number(struck, committed), end

    def _end(self) -> int:
        """Return where the story ends at the latest: with the takeover, if one guest serves."""
        events, simulation = self._events, self._simulation
        serving = [side for side in simulation.hosts if simulation.service.serves(side)]
        alone = [at_ns for at_ns, event, _ in events if isinstance(event, ev.ServesAlone)]
        if len(serving) != 1 or not alone:
            return len(events)
        return next((at for at, one in enumerate(events) if one[0] > alone[-1]), len(events))

    def _number(self, struck: int, committed: int | None) -> int:
        """Return the number of the checkpoint to which an event belongs."""
        if committed is not None:
            return self._events[committed][2]
        before = [index for index in self._commits if index < struck]
        return self._events[before[-1]][2] + 1 if before else self._simulation.committed

    def _request_after(self, index: int) -> int:
        """Return the index of the first request after `index`, or of the event after it."""
        events = self._events
        later = range(index + 1, len(events))
        return next((at for at in later if events[at][1] == _REQUEST), later.start - (not later))

    def _request_before(self, index: int) -> int:
        """Return the index of the last request before `index`, or of the first event."""
        events = self._events
        return next((at for at in range(index, -1, -1) if events[at][1] == _REQUEST), 0)


class _Narrator:
    """Tells events in words, as they are meant by what came before them."""

    def __init__(self, marks: list[Timed], begins_ns: int, *, starts_apart: bool) -> None:
        self._starts_apart = starts_apart
        self._off: set[str] = set()
        self._dead: set[str] = set()
        self._silent: set[str] = set()
        for at_ns, event, _ in marks:
            if at_ns < begins_ns:
                self._see(event)

    def _see(self, event: ev.Event) -> None:
        """Keep what an event says of hosts, processes and the network."""
        match event:
            case ev.PoweredOff(side):
                self._off.add(side)
            case ev.ProcessChanged(side, "killed"):
                self._dead.add(side)
            case ev.FaultStruck("vanish" | "slow", where):
                self._silent.add(where)
            case ev.FaultEnded(where):
                self._silent.discard(where)

    def describe(self, event: ev.Event, value: int) -> Phrase | None:
        """Return an event in words, None if there is nothing to be told."""
        down, silent = self._dead | self._off, set(self._silent)
        self._see(event)
        match event:
            case ev.FaultEnded(where) if where not in silent:
                return None
            case ev.ProcessChanged(side, "killed") if side in self._off:
                return Phrase(side, "is off: nothing runs on it, and no reset is sent")
            case ev.ProcessChanged(_, "frozen"):
                pass
            case ev.OnSide(side) if side in down:
                return None
            case ev.CheckpointEnded(outcome) if self._starts_apart and not value:
                return Phrase("pair", f"checkpoint 0, COLO's start, {outcome}")
        return describe(event, value)
