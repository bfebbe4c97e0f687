"""The iothread lock (BQL) of one QEMU process: one owner, and a queue of who waits for it.

Built on SimPy's events: a stock `simpy.Resource` costs two events a cycle, ten a checkpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from colosim.errors import InvariantError
from colosim.trace.events import LockGot, LockReleased, LockWanted
from colosim.trace.purpose import Purpose
from colosim.trace.record import Codes

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.host.process import Thread
    from colosim.trace.record import Record

WAKE_UP_NS = 20_000
"""From a release until the thread that it wakes runs and can take the lock.

Measured on Linux 6 with pthread mutexes, a waiter asleep in futex(): the releasing thread had the
lock again in 300, 299, 236 and 133 of 300 trials when it asked 0, 5, 10 and 20 us later.
"""


class IothreadLock:
    """`qemu_mutex_lock_iothread` / `bql_lock`.

    It is handed on in the order in which it was wanted, at the release.  With `barging` a release
    only wakes the first who waits, as that of a pthread mutex does: the lock is free for
    `WAKE_UP_NS`, and whoever asks meanwhile has it first, in practice the thread that released it.

    A hold has a purpose.  While a thread other than the main loop holds it, no monitor command is
    served.
    """

    def __init__(self, side: str, env: Environment, record: Record, *, barging: bool) -> None:
        self.side = side
        self._env = env
        self._record = record
        self._codes = Codes(side, record)
        self._barging = barging
        self.owner: Thread | None = None
        self.purpose = Purpose.STOP
        self.since_ns = 0
        self.queue: deque[tuple[Thread, Purpose, Event]] = deque()
        self.contested = False
        """Whether somebody asked so soon after a release with others waiting that it is chance who
        has the lock next.
        """
        self._chance_until_ns = -1
        self.on_change: Callable[[], None] | None = None
        """Is called when somebody may have it who had not, or nobody any more."""
        self.on_release: Callable[[Thread, int], None] | None = None
        """Is told who gives it back, and since when he had it (ns)."""

    def acquire(self, thread: Thread, purpose: Purpose) -> Generator[Event, None, None]:
        """Take the lock for `purpose`; yields only if another thread has it.

        :raises InvariantError: if `thread` has it already: the real one would deadlock on itself.
        """
        wanted_ns = self._env.now
        if wanted_ns <= self._chance_until_ns:
            self.contested = True
        if self.owner is None:
            self.owner, self.purpose = thread, purpose
            if self.on_change is not None:
                self.on_change()
        else:
            if self.owner is thread:
                raise self._broken(thread, "takes a lock that it holds")
            self._record.add(self._codes[LockWanted, thread.name, purpose])
            event = self._env.event()
            self.queue.append((thread, purpose, event))
            thread.waits_for = f"the iothread lock ({purpose})"
            thread.waits_since_ns = wanted_ns
            yield event
            thread.waits_for = ""
        self.since_ns = self._env.now
        self._record.add(self._codes[LockGot, thread.name, purpose], self.since_ns - wanted_ns)

    def release(self, thread: Thread, *, sleeps: bool = False) -> None:
        """Give the lock back; the first in the queue has it now, or when it has woken up.

        `sleeps`: whether `thread` then sleeps or polls, so that it comes too late to be first.

        :raises InvariantError: if `thread` does not have it.
        """
        if self.owner is not thread:
            raise self._broken(thread, "releases a lock that it lacks")
        now = self._env.now
        self._record.add(self._codes[LockReleased, thread.name, self.purpose], now - self.since_ns)
        self.owner = None
        if self.on_release is not None:
            self.on_release(thread, self.since_ns)
        is_chance = bool(self.queue) and not sleeps
        self._chance_until_ns = now + WAKE_UP_NS if is_chance else -1
        if is_chance and self._barging:
            self._env.call_at(self._chance_until_ns, self._hand_on)
        else:
            self._hand_on()
        if self.on_change is not None:
            self.on_change()

    def hold_for(self, thread: Thread, purpose: Purpose) -> None:
        """Go on with the lock for another purpose; nobody gets it in between."""
        now = self._env.now
        self._record.add(self._codes[LockReleased, thread.name, self.purpose], now - self.since_ns)
        self.purpose, self.since_ns = purpose, now
        self._record.add(self._codes[LockGot, thread.name, purpose])

    def _hand_on(self) -> None:
        """Let the first in the queue have the lock, unless somebody has taken it meanwhile."""
        if self.queue and self.owner is None:
            self.owner, self.purpose, event = self.queue.popleft()
            self.since_ns = self._env.now
            event.succeed()
            if self.on_change is not None:
                self.on_change()

    def _broken(self, thread: Thread, detail: str) -> InvariantError:
        return InvariantError("one owner of the lock", self._env.now, str(thread), detail)
