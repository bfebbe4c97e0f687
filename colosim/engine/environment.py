"""The SimPy environment with an integer clock, an exact event count and an end that is noticed.

Plain SimPy ends a run silently when its queue is empty, whoever still waits.  Here `drive`
tells why it stopped, and counts the steps of the pair itself apart from those of onlookers
(cluster manager, probes, clients).
"""

from __future__ import annotations

import sys
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import simpy
from simpy.events import Event, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Environment", "Event", "Process", "Timeout", "Wait"]

_NO_QUEUE_IS_LONGER = sys.maxsize


class Environment(simpy.Environment):
    """SimPy's environment on an integer nanosecond clock."""

    def __init__(self) -> None:
        super().__init__(0)
        self.steps = 0
        self.steps_apart = 0
        self.periodic = 0
        self.finished = False
        self.dues: list[Callable[[], bool]] = []
        """Each tells whether a periodic event is about to find something out."""
        # The processes whose bodies `drive` resumes.
        self.bodies: dict[object, Process] = {}

    @property
    def now(self) -> int:
        """The time in ns since COLO was entered."""
        return self._now  # type: ignore[return-value]

    @property
    def events(self) -> int:
        """Steps of the pair itself: all steps less those of onlookers."""
        return self.steps - self.steps_apart

    def drive(self, horizon_ns: int) -> str:
        """Run until somebody calls `finish`, nothing is left, or the horizon has come.

        Returns ``finished``, ``quiet`` (only periodic events of onlookers remain, or none) or
        ``horizon``.  An exception that no process handles is raised.
        """
        queue: list[Any] = self._queue
        # What was ever scheduled and is no longer in the queue has happened.
        before = next(self._eid) - len(queue)
        try:
            # `finish` raises `periodic` above any length of the queue.
            while not self.periodic or len(queue) > self.periodic or self._due():
                try:
                    at_ns, priority, number, event = heappop(queue)
                except IndexError:
                    break
                if at_ns > horizon_ns:
                    heappush(queue, (at_ns, priority, number, event))
                    return "horizon"
                self._now = at_ns
                callbacks = event.callbacks
                event.callbacks = None
                if not event._ok:  # noqa: SLF001 - as simpy.Environment.step
                    self._fail(event, callbacks)
                    continue
                for callback in callbacks:
                    try:
                        target = callback(event)
                    except StopIteration as end:
                        self._body_ends(callback, end)
                    else:
                        # A body goes on when what it yields has happened.
                        if target is not None and callback not in target.callbacks:
                            target.callbacks.append(callback)
        finally:
            self.steps += next(self._eid) - 1 - len(queue) - before
        return "finished" if self.finished else "quiet"

    def _due(self) -> bool:
        """Whether the run goes on, though only periodic events are left."""
        return not self.finished and bool(self._queue) and any(due() for due in self.dues)

    def _fail(self, event: Event, callbacks: list[Any]) -> None:
        """Raise the failure of `event` in the bodies that wait for it, or out of the run."""
        error = event._value  # noqa: SLF001 - as simpy.Environment.step
        for callback in callbacks:
            body = getattr(callback, "__self__", None)
            if body in self.bodies:
                event.defused = True
                self.resume(callback, error)
            else:
                callback(event)
        if not event.defused:
            raise error

    def resume(self, send: Any, error: Exception | None) -> None:
        """Let the body of `send` begin, or raise `error` in it."""
        try:
            target = send(None) if error is None else send.__self__.throw(error)
        except StopIteration as end:
            self._body_ends(send, end)
        else:
            if send not in target.callbacks:
                target.callbacks.append(send)

    def _body_ends(self, send: Any, end: StopIteration) -> None:
        self.bodies.pop(send.__self__).succeed(end.value)

    def finish(self) -> None:
        """End the run after the present event."""
        self.finished = True
        self.periodic = _NO_QUEUE_IS_LONGER

    def apart(self, delay_ns: int) -> Timeout:
        """Return a timeout whose step is an onlooker's, not the pair's."""
        timeout = Timeout(self, delay_ns)
        timeout.callbacks.append(self._count_apart)
        return timeout

    def tick(self, delay_ns: int) -> Timeout:
        """Return a timeout of something periodic: alone it does not keep the run alive."""
        timeout = self.apart(delay_ns)
        self.periodic += 1
        timeout.callbacks.append(self._count_tick)
        return timeout

    def call_at(self, at_ns: int, action: Callable[[], None], *, apart: bool = False) -> Timeout:
        """Call `action` at `at_ns` and return the timeout that does."""

        def act(_event: Event) -> None:
            action()

        timeout = (self.apart if apart else self.timeout)(at_ns - self.now)
        timeout.callbacks.append(act)
        return timeout

    def _count_apart(self, _event: Event) -> None:
        self.steps_apart += 1

    def _count_tick(self, _event: Event) -> None:
        self.periodic -= 1


class Process(simpy.Process):
    """SimPy's process whose body the environment resumes itself, without a call in between.

    What is among an event's callbacks is the body's own `send`: `drive` calls it and has it wait
    for the event that it yields.  The body must be generators all the way down (`yield from` of
    a list has nothing to send to), and an error that it does not handle ends the run.
    """

    env: Environment

    def _resume(self, _event: Event) -> None:
        """Begin the body."""
        env, body = self.env, self._generator
        env.bodies[body] = self
        env.resume(body.send, None)


class Wait(Event):
    """An event whose time can be set, moved, taken back, or turned into a failure.

    A process yields it.  Setting the time once costs no more than a timeout.  Moving it hands
    the process over to a successor; what was scheduled before fires without effect.  `set_ns` is
    the time that was first set (or that of the failure), or -1.
    """

    env: Environment
    _value: object = None

    def __init__(self, env: Environment, at_ns: int = -1) -> None:
        # As simpy.events.Event, and as its Timeout if the time is known.
        self.env = env
        # Whoever waits once waits again: it stays in the list.
        self._waiting: list[Any] = []
        self.callbacks = self._waiting
        self._ok = True
        self._successor: Event | None = None
        self.failed = False
        self.set_ns = at_ns
        if at_ns >= 0:
            # As simpy.Environment.schedule.
            heappush(env._queue, (at_ns, 1, next(env._eid), self))  # type: ignore[misc]  # noqa: SLF001

    @classmethod
    def ended(cls, env: Environment) -> Wait:
        """Return a wait that is over: the first of those that follow each other by `again`."""
        wait = cls(env)
        wait.callbacks = None  # type: ignore[assignment]
        return wait

    def again(self) -> Wait:
        """Return what `Wait(env)` would: itself, if it has ended without being moved.

        A thread waits a dozen times a checkpoint, one wait after the other: one object does, if
        no other thread waits for it.
        """
        if self.callbacks is not None:
            return Wait(self.env)
        self.callbacks = self._waiting
        self.set_ns = -1
        return self

    def again_until(self, at_ns: int) -> Wait:
        """Return what `Wait(env, at_ns)` would: itself, if it has ended without being moved."""
        env = self.env
        if self.callbacks is not None:
            return Wait(env, at_ns)
        self.callbacks = self._waiting
        self.set_ns = at_ns
        heappush(env._queue, (at_ns, 1, next(env._eid), self))  # noqa: SLF001
        return self

    @property
    def triggered(self) -> bool:
        """Whether a time has been set."""
        return self.set_ns >= 0

    @property
    def over(self) -> bool:
        """Whether the process has gone on, or is about to with an error."""
        return self.failed or (self._successor or self).callbacks is None

    def _hand_over(self, event: Event) -> None:
        before = self._successor or self
        callbacks = before.callbacks
        event.callbacks.extend(callbacks or ())
        if callbacks:
            callbacks.clear()
        if before is self:
            self._waiting.append(self._stays)
        self._successor = event

    def _stays(self, _event: Event) -> None:
        """Keep what is moved from being taken `again`: its first time has come, without effect."""
        self.callbacks = self._waiting

    def end_at(self, at_ns: int) -> None:
        """Let the process go on at `at_ns`, whatever was set before.

        A time that has passed by then, as it may when it is moved, is now.
        """
        if self.set_ns < 0:
            env = self.env
            self.set_ns = at_ns
            heappush(env._queue, (at_ns, 1, next(env._eid), self))  # type: ignore[misc]  # noqa: SLF001
        elif not self.over:
            self._hand_over(Timeout(self.env, max(0, at_ns - self.env.now)))

    def suspend(self) -> None:
        """Take back the time that was set: the process waits until another is."""
        if (self._successor or self).triggered and not self.over:
            self._hand_over(Event(self.env))

    def break_off(self, error: Exception) -> None:
        """Raise `error` in the process, now."""
        if not self.over:
            event = Event(self.env)
            self._hand_over(event)
            self.failed = True
            if self.set_ns < 0:
                self.set_ns = self.env.now
            event.fail(error)
