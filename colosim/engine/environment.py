"""SimPy's environment on an integer clock, with a count of steps and an end that is noticed.

Plain SimPy ends a run silently when its queue is empty, whoever still waits.  Here `drive`
tells why it stopped, and counts the steps of the pair itself apart from those of onlookers
(cluster manager, probes, clients).  SimPy's own `step` does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

import simpy

if TYPE_CHECKING:
    from simpy.events import Event, Timeout

E = TypeVar("E", bound="Event")


class Environment(simpy.Environment):
    """SimPy's environment on an integer nanosecond clock."""

    def __init__(self) -> None:
        super().__init__(0)
        for name in ("event", "timeout", "process"):
            # SimPy binds what makes events once, but only for its own class.
            setattr(self, name, getattr(self, name))
        self.steps = 0
        self.onlooker_steps = 0
        self.periodic_events = 0
        """How many periodic events are scheduled: alone they do not keep the run alive."""
        self.pending_timeouts: list[Callable[[], bool]] = []
        """Each tells whether a periodic event is about to find something out."""
        self.finished = False

    now: int = property(attrgetter("_now"))  # type: ignore[assignment]
    """The time in ns since COLO was entered."""

    @property
    def events(self) -> int:
        """Steps of the pair itself: all steps less those of onlookers."""
        return self.steps - self.onlooker_steps

    def drive(self, horizon_ns: int) -> str:
        """Run until somebody calls `finish`, nothing is left, or the horizon has come.

        Returns ``finished``, ``quiet`` (only periodic events of onlookers remain, or none) or
        ``horizon``.  An exception that no process handles is raised.
        """
        queue = self._queue
        while not self.finished:
            if len(queue) <= self.periodic_events and not (queue and self._timeout_pending()):
                return "quiet"
            if queue[0][0] > horizon_ns:
                return "horizon"
            self.steps += 1
            self.step()
        return "finished"

    def _timeout_pending(self) -> bool:
        return any(pending() for pending in self.pending_timeouts)

    def finish(self) -> None:
        """End the run after the present event."""
        self.finished = True

    def onlooker(self, delay_ns: int) -> Timeout:
        """Return a timeout whose step is an onlooker's, not the pair's."""
        timeout = self.timeout(delay_ns)
        timeout.callbacks.append(self._count_onlooker)
        return timeout

    def tick(self, delay_ns: int) -> Timeout:
        """Return a timeout of something periodic: alone it does not keep the run alive."""
        timeout = self.onlooker(delay_ns)
        self.periodic_events += 1
        timeout.callbacks.append(self._count_tick)
        return timeout

    def call_at(
        self, at_ns: int, action: Callable[[], object], *, onlooker: bool = False
    ) -> Timeout:
        """Call `action` at `at_ns` and return the timeout that does."""

        def act(_event: Event) -> None:
            action()

        timeout = (self.onlooker if onlooker else self.timeout)(at_ns - self.now)
        timeout.callbacks.append(act)
        return timeout

    def _count_onlooker(self, _event: Event) -> None:
        self.onlooker_steps += 1

    def _count_tick(self, _event: Event) -> None:
        self.periodic_events -= 1


def pending(event: Event | None) -> bool:
    """Whether there is such an event and it has not happened yet."""
    return event is not None and event.callbacks is not None


def hand_over(event: Event, successor: E) -> E:
    """Let all who wait for `event`, which has not happened yet, wait for `successor` instead.

    SimPy can neither move nor take back what is scheduled.  So a process whose wait is to end at
    another time waits for another event; the first one still happens, without effect.
    """
    waiting = event.callbacks
    for callback in waiting:
        process = getattr(callback, "__self__", None)
        if isinstance(process, simpy.Process) and process.target is event:
            # An interrupt looks here for what the process waits for.
            process._target = successor  # noqa: SLF001
    successor.callbacks.extend(waiting)
    waiting.clear()
    return successor
