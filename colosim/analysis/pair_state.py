"""How the pair stands at a moment of a run, and the run up to there with what is kept of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.analysis.buffers import FullSince, buffer_levels
from colosim.analysis.releases import releases
from colosim.analysis.timeline import FAULT_EVENTS, Excerpt
from colosim.analysis.wait_for import SIDES, colo_end, losses, open_waits, wait_for_graph
from colosim.runs.simulation import Simulation
from colosim.trace import events as ev
from colosim.trace.purpose import Purpose
from colosim.trace.record import typed

if TYPE_CHECKING:
    from colosim.analysis.buffers import BufferLevels
    from colosim.analysis.graph import WaitForGraph
    from colosim.analysis.outlook import Outlook
    from colosim.analysis.ways_out import Release
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario
    from colosim.trace.record import Timed

_KEPT_CHUNKS = 16
_MARKS = (
    *FAULT_EVENTS,
    ev.FaultEnded,
    ev.FaultsOver,
    ev.ByManager,
    ev.OperatorSends,
    ev.AgentYanks,
    ev.ProcessChanged,
    ev.CommandReceived,
    ev.CommandServed,
    ev.ServesAlone,
)
"""What faults and manager do, and what comes of it."""


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
class PairState:
    """How the pair stands at `at_ns`; `lost` says of each side that is lost how."""

    at_ns: int
    lost: dict[str, str]
    graph: WaitForGraph
    holds: tuple[Hold, ...]
    buffers: tuple[BufferLevels, BufferLevels]
    releases: tuple[Release, ...]


class _Tail:
    """Keeps of a record its last transactions, the last one in which a fault struck, and marks."""

    def __init__(self, simulation: Simulation) -> None:
        self._last: deque[list[Timed]] = deque(maxlen=_KEPT_CHUNKS)
        self._struck: list[Timed] = []
        self._marks: list[Timed] = []
        simulation.record.sinks.append(self._hear)
        for direction in (simulation.connection.to_secondary, simulation.connection.to_primary):
            direction.listeners.append(FullSince(simulation.scenario.network))

    def _hear(self, chunk: list[int]) -> None:
        events = list(typed(chunk))
        marks = [one for one in events if isinstance(one[1], _MARKS)]
        self._last.append(events)
        self._marks += marks
        if any(isinstance(event, FAULT_EVENTS) for _, event, _ in marks):
            self._struck = events

    def excerpt(self) -> Excerpt:
        """Return what is kept, in order."""
        chunks = list(self._last)
        if not any(chunk is self._struck for chunk in chunks):
            chunks.insert(0, self._struck)
        return Excerpt([one for chunk in chunks for one in chunk], self._marks)


def observe(
    scenario: Scenario,
    design: str | type[Design],
    seed: int | None,
    until_ns: int | None = None,
    *,
    checks: bool = False,
) -> tuple[Simulation, Excerpt]:
    """Run one design, up to `until_ns` if that is given; return it with what is kept of it.

    A run that stops earlier is the longer one's beginning, event by event.  `checks`: whether the
    safety checkers watch it, as they do a run's.
    """
    if until_ns is not None:
        scenario = scenario.model_copy(
            update={"checkpoints": None, "duration_ns": until_ns, "warmup": 0}
        )
    tails: list[_Tail] = []
    simulation = Simulation(
        scenario, design, seed=seed, keep=False, prepare=lambda one: tails.append(_Tail(one))
    )
    if checks:
        simulation.check()
    if not simulation.missing_steps():
        simulation.run()
    return simulation, tails[0].excerpt()


def pair_state(
    simulation: Simulation, excerpt: Excerpt, outlook: Outlook | None = None
) -> PairState:
    """Return how the pair stands at the end of a simulation.

    `outlook` looks on from there; without one nothing is said of what would release anybody.
    """
    lost = losses(excerpt.marks)
    graph = wait_for_graph(simulation, *excerpt)
    return PairState(
        simulation.end_ns,
        {side: lost[side].how for side in SIDES if side in lost},
        graph,
        _holds(simulation, excerpt),
        buffer_levels(simulation),
        () if outlook is None else releases(simulation, graph, lost, outlook),
    )


def _holds(simulation: Simulation, excerpt: Excerpt) -> tuple[Hold, ...]:
    """Return who holds a lock in a process that is not dead."""
    waits, found = open_waits(excerpt.events), []
    for side, host in simulation.hosts.items():
        lock, colo = host.lock, colo_end(simulation, side)
        owner = lock.owner
        if owner is None or host.dead:
            continue
        leaked = colo.exited and owner is colo.thread
        wait = None if leaked or lock.purpose == Purpose.BUSY else waits.get((side, owner.name))
        step = "" if wait is None else wait.step
        found.append(Hold(side, owner.name, lock.purpose, step, lock.since_ns, leaked=leaked))
    return tuple(found)
