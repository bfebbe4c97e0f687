"""A run as a story: its last checkpoint's events, and how the pair stands at a moment of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.analysis.release import releases
from colosim.analysis.waiting import (
    FullSince,
    buffer_levels,
    lost_how,
    step_of,
    wait_for_graph,
)
from colosim.analysis.wording import tell
from colosim.engine.record import code_of, name_of
from colosim.runs.simulation import Simulation

if TYPE_CHECKING:
    from colosim.analysis.release import Release
    from colosim.analysis.waiting import BufferLevels, WaitForGraph
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario

__all__ = ["Happening", "Hold", "Standing", "Story", "observe", "standing"]

_KEPT_CHUNKS = 16
_COMMITTED = code_of("checkpoint committed")
_REQUEST = "primary: sends CHECKPOINT_REQUEST"

Event = tuple[int, str, int]


class _Tail:
    """Keeps of a record its last transactions, and the last one in which a fault struck."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._last: deque[list[int]] = deque(maxlen=_KEPT_CHUNKS)
        self._struck: list[int] = []
        self._faults = 0

    def __call__(self, chunk: list[int]) -> None:
        kept = list(chunk)
        self._last.append(kept)
        faults = len(self._simulation.injector.struck)
        if faults > self._faults:
            self._faults = faults
            self._struck = kept

    def events(self) -> list[Event]:
        """Return what is kept, in order."""
        chunks = list(self._last)
        if self._struck and not any(chunk is self._struck for chunk in chunks):
            chunks.insert(0, self._struck)
        return [
            (chunk[index], name_of(chunk[index + 1]), chunk[index + 2])
            for chunk in chunks
            for index in range(0, len(chunk), 3)
        ]


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the story: when, since its beginning, who does what."""

    time_ns: int
    since_ns: int
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds the iothread lock of one side, since when, for what and at which step."""

    side: str
    thread: str
    purpose: str
    step: str
    since_ns: int


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
    scenario: Scenario, design: str | type[Design], seed: int | None, until_ns: int | None = None
) -> tuple[Simulation, list[Event]]:
    """Run one design, up to `until_ns` if that is given; return it with its last events.

    A run that stops earlier is the longer one's beginning, event by event.
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
            direction.levels = FullSince(capacities)

    simulation = Simulation(scenario, design, seed=seed, keep=False, prepare=listen)
    if not simulation.missing_steps():
        simulation.run()
    return simulation, tails[0].events()


def standing(simulation: Simulation, events: list[Event]) -> Standing:
    """Return how the pair stands at the end of a simulation."""
    graph = wait_for_graph(simulation, events)
    holds = tuple(
        Hold(
            side,
            host.lock.owner.name,
            host.lock.purpose,
            step_of(host.lock.owner),
            host.lock.since_ns,
        )
        for side, host in simulation.hosts.items()
        if host.lock.owner is not None and not host.dead
    )
    lost = {side: lost_how(simulation, side) for side in simulation.hosts}
    return Standing(
        simulation.end_ns,
        {side: how[0] for side, how in lost.items() if how is not None},
        graph,
        holds,
        buffer_levels(simulation),
        releases(simulation, graph),
    )


def _begins(simulation: Simulation, events: list[Event]) -> tuple[int, int | None, int]:
    """Return where the story begins: its index, its checkpoint, and where it ends at the latest.

    It begins with the request of the checkpoint that the fault struck: of the first fault after
    the last commit, else of the last fault.  Without a fault it is the last committed checkpoint.
    """
    commits = [index for index, event in enumerate(events) if event[1] == "checkpoint committed"]
    faults = [
        index
        for index, event in enumerate(events)
        if event[1].startswith("fault: ") or ": fault " in event[1]
    ]
    last = commits[-1] if commits else -1
    if not faults:
        if not commits:
            return 0, 0, len(events)
        return _request_before(events, last), events[last][2], last + 1
    after = [index for index in faults if index > last]
    struck = after[0] if after else faults[-1]
    ends = next((index for index in commits if index > struck), len(events) - 1) + 1
    before = [index for index in commits if index < struck]
    number = events[before[-1]][2] + 1 if before else simulation.primary.checkpoint
    if before and not after and ends <= len(events):
        number = events[ends - 1][2]
    if not before:
        committed = [event for event in events[:ends] if event[1] == "checkpoint committed"]
        number = committed[0][2] if committed else simulation.committed
    request = _request_before(events, struck)
    if before and request <= before[-1]:
        return struck, None, ends
    return request, number, ends


def _request_before(events: list[Event], index: int) -> int:
    """Return the index of the last request before `index`, or of the first event."""
    return next((at for at in range(index, -1, -1) if events[at][1] == _REQUEST), 0)


def story(simulation: Simulation, events: list[Event]) -> Story:
    """Return the story of a run's last checkpoint, or of the one that a fault struck."""
    if not events:
        return Story(0, None, ())
    first, checkpoint, end = _begins(simulation, events)
    begins = events[first][0]
    told: list[Happening] = []
    for at_ns, name, value in events[first:end]:
        words = tell(name, value)
        if words is not None:
            told.append(Happening(at_ns, at_ns - begins, *words))
    return Story(begins, checkpoint, tuple(told))
