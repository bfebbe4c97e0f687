"""Who serves, and since when: worked out from the events of a run alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from colosim.trace.events import (
    FailureInjected,
    FaultEnded,
    FaultStruck,
    GuestRunning,
    GuestStopped,
    PoweredOff,
    ProcessChanged,
    ServesAlone,
)
from colosim.trace.quantities import TAKES_OVER

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.trace.events import Event

PPM = 10**6


@dataclass
class Serving:
    """The times in which no guest served, and when faults struck.

    A guest serves while it runs and its process is neither frozen nor cut off; the secondary's only
    after its failover.
    """

    stops: list[tuple[int, int]] = field(default_factory=list)
    """From when to when no guest served, but for the stop of a primary that takes over."""
    faults: list[int] = field(default_factory=list)
    stopped_longest_ns: int = 0
    served_ns: int = 0
    since_ns: int = 0
    serves: bool = False

    def follow(self, run: Run) -> None:
        """Read a run's events."""
        running: set[str] = set()
        away: set[tuple[str, str]] = set()
        alone = {"primary"}
        told = False
        for at_ns, event, _ in run.iter_events():
            _apply(event, running, away, alone)
            told = (told or event == TAKES_OVER) and event != ServesAlone("primary")
            match event:
                case FaultStruck(kind) if kind not in {"thaw", "heal"}:
                    self.faults.append(at_ns)
                case FailureInjected():
                    self.faults.append(at_ns)
            serves = any(
                side in alone and not any(whose == side for _, whose in away) for side in running
            )
            if serves is not self.serves:
                takes_over = told and event == GuestStopped("primary")
                self._turn(at_ns, serves=serves, takes_over=takes_over)
        self._turn(run.summary["end_ns"], serves=self.serves, takes_over=False)

    def _turn(self, at_ns: int, *, serves: bool, takes_over: bool) -> None:
        lasted_ns = at_ns - self.since_ns
        if self.serves:
            self.served_ns += lasted_ns
        else:
            self.stopped_longest_ns = max(self.stopped_longest_ns, lasted_ns)
            if not self._takes_over:
                self.stops.append((self.since_ns, at_ns))
        self._takes_over = takes_over
        self.since_ns, self.serves = at_ns, serves

    _takes_over: bool = False


def _apply(event: Event, running: set[str], away: set[tuple[str, str]], alone: set[str]) -> None:
    """Bring up to date whose guest runs, who is frozen or cut off, and who has taken over."""
    match event:
        case GuestRunning(side):
            running.add(side)
        case GuestStopped(side):
            running.discard(side)
        case ProcessChanged(side, "thawed"):
            away.discard(("frozen", side))
        case ProcessChanged(side):
            away.add(("frozen", side))
        case FaultStruck("vanish", side):
            away.add(("vanished", side))
        case FaultEnded(side):
            away.discard(("vanished", side))
        case PoweredOff(side):
            away.add(("off", side))
        case ServesAlone(side):
            alone.add(side)


def by_the_events(run: Run) -> dict[str, Any]:
    """Return the figures of a summary that say how a guest served."""
    serving = Serving()
    serving.follow(run)
    end_ns = run.summary["end_ns"]
    last_begun_ns, last_ended_ns = serving.stops[-1]
    lasts = not serving.serves and last_begun_ns < last_ended_ns == end_ns
    return {
        "guest_stopped_ns_longest": serving.stopped_longest_ns,
        "guest_stopped_open": lasts and end_ns - last_begun_ns == serving.stopped_longest_ns,
        "guest_running_share": serving.served_ns * PPM // max(1, end_ns),
    }


def hold_time_to_guest(run: Run) -> None:
    """Hold the time to a guest to the stops and the faults of the record.

    It is from a fault to the end of a stop that was under way then or came later; of a single fault
    that lasts, to the end of the first such stop.
    """
    serving = Serving()
    serving.follow(run)
    value = run.summary["time_to_guest_ns"]
    after = [
        (begun_ns, ended_ns, fault_ns)
        for begun_ns, ended_ns in serving.stops
        for fault_ns in serving.faults
        if fault_ns <= ended_ns and begun_ns < ended_ns
    ]
    if not serving.faults:
        assert value is None
    elif value is None:
        assert not serving.serves
    else:
        assert value in {0, *(ended_ns - fault_ns for _, ended_ns, fault_ns in after)}
    fault = run.scenario.faults[0] if len(run.scenario.faults) == 1 and serving.faults else None
    if fault is not None and fault.kind in {"freeze", "kill"} and fault.for_ns is None:
        first = after[0] if after else None
        open_ = first is not None and first[1] == run.summary["end_ns"] and not serving.serves
        expected = None if open_ else 0 if first is None else first[1] - first[2]
        assert value == expected or (value is None and not serving.serves)
