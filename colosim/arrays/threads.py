"""Threads whose clocks are columns: each runs on alone until it needs another.

A design yields events, which happen at a time of their own at each point, and calls into a
connection, which are served in the order of their times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import INT64, Column, Diverged, Refused, column, everywhere, plain, some

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks

    Body = Generator["Event", Any, None]


class Event:
    """Something that happens: at no known time yet, or `at`."""

    __slots__ = ("_waiting", "at", "begun", "env", "is_timer", "value")

    def __init__(
        self, env: Environment, at: Any = None, begun: Column | None = None, *, timer: bool = False
    ) -> None:
        self.env = env
        self.begun = begun
        """The time to which it is not before, if that is known."""
        self.at: Column | None = at
        self.value: Any = None
        self.is_timer = timer
        """Whether it is one that, if it has fired, the simulation's thread does not yield."""
        self._waiting: tuple[Callable[[], object], ...] = ()

    def succeed(self, value: Any = None) -> None:
        """Happen now."""
        self.value = value
        self.happen(self.env.now)

    def happen(self, at: Any) -> None:
        """Happen at a time; whoever waits for it goes on."""
        self.at = column(at)
        for tell in self._waiting:
            tell()

    def when_known(self, tell: Callable[[], object]) -> None:
        """Call `tell` once its time is known."""
        if self.at is None:
            self._waiting = (*self._waiting, tell)
        else:
            tell()


class Call(Event):
    """A call of a thread at one end of a direction: when it is its turn, it is done (`does`).

    It `sends` something, `amount` bytes of it as a message, or reads.
    """

    __slots__ = ("amount", "direction", "does", "now", "sends", "thread")

    def __init__(
        self, direction: Any, does: Callable[[Call], None], *, sends: bool, amount: Any = 0
    ) -> None:
        self.thread: Thread = direction.env.running
        super().__init__(direction.env, None, self.thread.now)
        self.direction, self.does, self.sends, self.amount = direction, does, sends, amount
        self.now: Ints = plain(self.thread.now)
        self.env.calls.append(self)

    @property
    def can_be_served(self) -> bool:
        """Whether what it reads is there, or nobody has yet to come for what was sent before."""
        return not self.direction.unmet if self.sends else bool(self.direction.inbox)

    @property
    def takes_held(self) -> bool:
        """Whether it takes what somebody may yet push on."""
        return not self.sends and not self.direction.inbox[0].waits

    @property
    def peer(self) -> Call | None:
        """The call that is made at the other end of its connection."""
        one = self.direction
        found: Call | None = one.reader if self.sends else one.writer
        return found or (one.reverse.writer if self.sends else one.reverse.reader)

    def comes_before(self, other: Call) -> Any:
        """Where it is before `other` in time.

        Whoever takes a message, or a stream that has left without a reader, changes nothing: it
        waits only for who may push that on first.
        """
        mine = None if self.sends else self.direction.inbox[0]
        its = None if other.sends else other.direction.inbox[0]
        if mine and not mine.waits:
            if other.sends:
                return not self.direction.may_push(other.now, mine)
            # Who has its own sooner may send then.
            return not (its and not its.waits and everywhere(its.arrives < mine.arrives))
        if its and not its.waits:
            return not other.comes_before(self)
        at = np.maximum(self.now, mine.put_ns) if mine else self.now
        return at <= (np.maximum(other.now, its.put_ns) if its else other.now)


class Thread:
    """A thread of a QEMU process, with a clock of its own."""

    def __init__(self, host: Any, name: str) -> None:
        self.host = host
        self.name = name
        self.env: Environment = host.env
        self.now: Column = self.env.begin
        self.waits_for = ""
        self.yields = 0
        """How often it has yielded, timers apart, which may have fired."""
        self._body: Body | None = None

    def start(self, body: Body) -> None:
        """Let the thread run `body`."""
        self._body = body
        self.env.ready.append((self, None))

    def stop(self) -> None:
        """Do nothing more."""
        if self._body is not None:
            self._body.close()
        self._body = None

    def run_on(self, event: Event | None) -> None:
        """Go on with an event, until one is yielded whose time is not known."""
        env = self.env
        env.running, env.now = self, self.now
        while self._body is not None:
            value = None
            if event is not None:
                at: Any = event.at
                if event.begun is not self.now:  # it may have happened before
                    at = np.maximum(self.now, at)
                self.now, value = at, event.value
                env.now = at
            try:
                event = self._body.send(value)
            except StopIteration:
                return
            if not isinstance(event, Event):
                raise Refused("a design that yields what is no event of the array engine")
            env.steps += 1
            self.yields += not event.is_timer
            if event.at is None:
                event.when_known(partial(env.ready.append, (self, event)))
                return

    def wait(self, event: Event, what_for: str) -> Generator[Event, Any, None]:  # noqa: ARG002
        """Wait for `event`."""
        yield event

    def work(self, duration_ns: int) -> Event:
        """Return the event that ends `duration_ns` of work on the CPU."""
        return self.env.timeout(duration_ns)

    sleep = work

    def sleep_until(self, at_ns: Column, _what_for: str) -> Generator[Event, Any, None]:
        """Sleep until `at_ns`, not at all where it has passed."""
        yield Event(self.env, np.maximum(self.now, at_ns), self.now, timer=True)


class Environment:
    """Runs threads, and serves their calls into connections."""

    running: Thread

    def __init__(self, points: int) -> None:
        self.now = self.begin = column(np.zeros(points))
        """The time of the thread that runs; that of the beginning."""
        self.ready: deque[tuple[Thread, Event | None]] = deque()
        self.calls: list[Call] = []
        self.steps = 0
        self.refused: dict[str, Masks] = {}
        """The points that are not for arrays, by why."""
        self.apart: Masks = np.zeros(points, bool)
        """Those that are to run again, without the others."""
        self.waits_somewhere: Masks | None = None
        """Where the first writer that waits for its reader at some points, not at all, does so."""

    def event(self) -> Event:
        """Return an event that somebody lets happen."""
        return Event(self)

    def timeout(self, delay_ns: int) -> Event:
        """Return what happens after a time."""
        at = self.now + delay_ns
        if at.dtype != INT64:
            raise Refused("a design that calculates with fractions")
        if type(delay_ns) is not int or delay_ns < 0:
            self.refuse(at < self.now, "a time that is negative")
        return Event(self, at, self.now)

    def all_of(self, events: Sequence[Event]) -> Event:
        """Return what happens with the last of `events`."""
        last = Event(self)

        def one_more() -> None:
            times = [event.at for event in events if event.at is not None]
            if last.at is None and len(times) == len(events):
                last.happen(np.maximum.reduce(times))

        for event in events:
            event.when_known(one_more)
        return last

    def __getattr__(self, name: str) -> Any:
        """Refuse what only SimPy's environment has."""
        raise Refused(f"a design that uses env.{name}")

    def refuse(self, mask: Any, why: str) -> None:
        """Take points out; the others go on."""
        if some(mask):
            self.refused[why] = self.refused.get(why, False) | np.asarray(mask)

    def part(self, mask: Any, why: str) -> None:
        """Set points apart for which the order of calls was not theirs; if all are, refuse them.

        :raises Diverged: if all are, and it may be another if writers that wait for a reader at
            some points go on at the others.
        """
        if not some(mask):
            return
        gone = np.logical_or.reduce([self.apart, *self.refused.values()])
        if some(wrong := mask & ~gone):
            if everywhere(wrong | gone):
                self.part_writers()
                self.refuse(mask, why)
            else:
                self.apart = self.apart | wrong

    def part_writers(self) -> None:
        """Run the points apart at which a writer waits for its reader, if that differs.

        :raises Diverged: with those points.
        """
        if self.waits_somewhere is not None:
            raise Diverged(self.waits_somewhere)

    def drive(self, is_over: Callable[[], bool]) -> bool:
        """Run threads, and serve calls where none can run; return whether it got to the end."""
        while not is_over():
            if self.ready:
                thread, event = self.ready.popleft()
                thread.run_on(event)
                continue
            if not self._serve_next():
                return False
        return True

    def _serve_next(self) -> bool:
        """Serve the next call; return whether one could be.

        On one connection that is the first in time.  One whose other end waits for something else
        comes last: that end may have a call of its own to make before; last of all, whoever takes
        a message that may be pushed on by that.
        """
        last = None
        for call in self.calls:
            if not call.can_be_served:
                continue
            peer = call.peer
            if peer is None:
                last = call if last is None or last.takes_held else last
            elif not peer.can_be_served or column(call.comes_before(peer)):
                last = call
                break
        if last is not None:
            last.direction.serve(last)
        return last is not None
