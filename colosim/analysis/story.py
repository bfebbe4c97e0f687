"""A run as a story: its last checkpoint's events, and how the pair stands at a moment of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from colosim.analysis.levels import FullSince, buffer_levels
from colosim.analysis.release import releases
from colosim.analysis.waiting import losses, step_of, wait_for_graph
from colosim.analysis.wording import Told, tell
from colosim.runs.simulation import Simulation
from colosim.trace.events import (
    COMMITTED,
    PRIMARY,
    ByManager,
    CheckpointEnded,
    CommandReceived,
    CommandServed,
    FailureInjected,
    FaultEnded,
    FaultsOver,
    FaultStruck,
    OnSide,
    PoweredOff,
    ProcessChanged,
    Sent,
    ServesAlone,
)
from colosim.trace.purpose import Purpose
from colosim.trace.record import event_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.analysis.ahead import Outlook
    from colosim.analysis.graph import WaitForGraph
    from colosim.analysis.levels import BufferLevels
    from colosim.analysis.release import Release
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]

__all__ = ["Happening", "Hold", "Seen", "Standing", "Story", "observe", "standing", "story"]

_KEPT_CHUNKS = 16
_COMMITTED = CheckpointEnded(COMMITTED)
_REQUEST = Sent(PRIMARY, "CHECKPOINT_REQUEST")
_FAULTS = (FaultStruck, FailureInjected)
_MARKS = (
    *_FAULTS,
    FaultEnded,
    FaultsOver,
    ByManager,
    ProcessChanged,
    CommandReceived,
    CommandServed,
    ServesAlone,
)
"""What faults and manager do, and what comes of it."""


class Seen(NamedTuple):
    """What is kept of a run's record: its last events, and all that faults and manager did."""

    events: list[Timed]
    marks: list[Timed]


class _Tail:
    """Keeps of a record its last transactions, the last one in which a fault struck, and marks."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._last: deque[list[int]] = deque(maxlen=_KEPT_CHUNKS)
        self._struck: list[int] = []
        self._faults = 0
        self._marks: list[Timed] = []

    def __call__(self, chunk: list[int]) -> None:
        kept = list(chunk)
        self._last.append(kept)
        faults = len(self._simulation.injector.struck)
        if faults > self._faults:
            self._faults = faults
            self._struck = kept
        self._marks += [one for one in _typed(kept) if isinstance(one[1], _MARKS)]

    def seen(self) -> Seen:
        """Return what is kept, in order."""
        chunks = list(self._last)
        if self._struck and not any(chunk is self._struck for chunk in chunks):
            chunks.insert(0, self._struck)
        return Seen([one for chunk in chunks for one in _typed(chunk)], self._marks)


def _typed(chunk: list[int]) -> Iterator[Timed]:
    flat = iter(chunk)
    for at_ns, code, value in zip(flat, flat, flat, strict=True):
        yield at_ns, event_of(code), value


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the story: when, since its beginning, who does what."""

    time_ns: int
    since_ns: int
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds the iothread lock of one side, since when, for what and at which step.

    `leaked`: the thread has left COLO, and nothing in it gives the lock back.
    """

    side: str
    thread: str
    purpose: str
    step: str
    since_ns: int
    leaked: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How the pair stands at `at_ns`; `lost` says of each side that is lost how."""

    at_ns: int
    lost: dict[str, str]
    graph: WaitForGraph
    holds: tuple[Hold, ...]
    buffers: tuple[BufferLevels, BufferLevels]
    releases: tuple[Release, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """The events that matter, from `begins_ns` on.

    `checkpoint` is the number of the checkpoint with which it begins, None if it begins between
    two with a fault.
    """

    begins_ns: int
    checkpoint: int | None
    happenings: tuple[Happening, ...]


def observe(
    scenario: Scenario,
    design: str | type[Design],
    seed: int | None,
    until_ns: int | None = None,
    *,
    checks: bool = False,
) -> tuple[Simulation, Seen]:
    """Run one design, up to `until_ns` if that is given; return it with what was seen of it.

    A run that stops earlier is the longer one's beginning, event by event.  `checks`: whether the
    safety checkers watch it, as they do a run's.
    """
    if until_ns is not None:
        scenario = scenario.model_copy(
            update={"checkpoints": None, "duration_ns": until_ns, "warmup": 0}
        )
    tails: list[_Tail] = []

    def listen(simulation: Simulation) -> None:
        tail = _Tail(simulation)
        tails.append(tail)
        simulation.record.sinks.append(tail)
        network = simulation.scenario.network
        capacities = (network.send_buffer_bytes, network.receive_buffer_bytes)
        for direction in (simulation.connection.to_secondary, simulation.connection.to_primary):
            direction.listeners.append(FullSince(capacities))

    simulation = Simulation(scenario, design, seed=seed, keep=False, prepare=listen)
    if checks:
        simulation.check()
    if not simulation.missing_steps():
        simulation.run()
    return simulation, tails[0].seen()


def standing(simulation: Simulation, seen: Seen, outlook: Outlook | None = None) -> Standing:
    """Return how the pair stands at the end of a simulation.

    `outlook` looks on from there; without one nothing is said of what would release anybody.
    """
    graph = wait_for_graph(simulation, seen.events, seen.marks)
    holds = tuple(
        _hold(simulation, side)
        for side, host in simulation.hosts.items()
        if host.lock.owner is not None and not host.dead
    )
    lost = losses(simulation, seen.marks)
    return Standing(
        simulation.end_ns,
        {side: loss.how for side, loss in lost.items()},
        graph,
        holds,
        buffer_levels(simulation),
        () if outlook is None else releases(simulation, graph, lost, outlook),
    )


def _hold(simulation: Simulation, side: str) -> Hold:
    lock = simulation.hosts[side].lock
    owner = lock.owner
    assert owner is not None  # noqa: S101 - asked by the caller
    end = simulation.primary if side == "primary" else simulation.secondary
    leaked = end.exited and owner is end.thread
    step = "" if leaked or lock.purpose == Purpose.BUSY else step_of(owner)
    return Hold(side, owner.name, lock.purpose, step, lock.since_ns, leaked=leaked)


# ---- the events that are told --------------------------------------------------------------------


def story(simulation: Simulation, seen: Seen, *, recovered: bool) -> Story:
    """Return the story of a run's last checkpoint, or of the one that a fault struck.

    `recovered`: the pair went on, so that the story ends with a commit; else it is told up to the
    takeover or to the end.
    """
    if not seen.events:
        return Story(0, None, ())
    first, checkpoint, end = _Chapter(simulation, seen.events, recovered=recovered).bounds()
    begins = seen.events[first][0]
    teller = _Teller(seen.marks, begins)
    told = []
    for at_ns, event, value in seen.events[first:end]:
        words = teller.tell(event, value)
        if words is not None:
            told.append(Happening(at_ns, at_ns - begins, *words))
    return Story(begins, checkpoint, tuple(told))


class _Chapter:
    """The part of a run's events that is its story."""

    def __init__(self, simulation: Simulation, events: list[Timed], *, recovered: bool) -> None:
        self._simulation = simulation
        self._events = events
        self._recovered = recovered
        self._commits = [index for index, one in enumerate(events) if one[1] == _COMMITTED]
        self._faults = [index for index, one in enumerate(events) if isinstance(one[1], _FAULTS)]

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
        alone = [at_ns for at_ns, event, _ in events if isinstance(event, ServesAlone)]
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


class _Teller:
    """Tells events in words, as they are meant by what came before them."""

    def __init__(self, marks: list[Timed], begins_ns: int) -> None:
        self._off: set[str] = set()
        self._dead: set[str] = set()
        self._silent: set[str] = set()
        for at_ns, event, _ in marks:
            if at_ns < begins_ns:
                self._see(event)

    def _see(self, event: Event) -> None:
        """Keep what an event says of hosts, processes and the network."""
        match event:
            case PoweredOff(side):
                self._off.add(side)
            case ProcessChanged(side, "killed"):
                self._dead.add(side)
            case FaultStruck("vanish" | "slow", where):
                self._silent.add(where)
            case FaultEnded(where):
                self._silent.discard(where)

    def tell(self, event: Event, value: int) -> Told | None:
        """Return an event in words, None if there is nothing to be told."""
        down, silent = self._dead | self._off, set(self._silent)
        self._see(event)
        match event:
            case FaultEnded(where) if where not in silent:
                return None
            case ProcessChanged(side, "killed") if side in self._off:
                return Told(side, "is off: nothing runs on it, and no reset is sent")
            case ProcessChanged(_, "frozen"):
                pass
            case OnSide(side) if side in down:
                return None
        return tell(event, value)
