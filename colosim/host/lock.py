"""The iothread lock (BQL) of one QEMU process: one owner, a queue in arrival order.

Built on SimPy's events: a stock `simpy.Resource` costs two events a cycle, ten a checkpoint.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from colosim.errors import InvariantError
from colosim.trace.events import LockGot, LockReleased, LockWanted
from colosim.trace.purpose import Purpose
from colosim.trace.record import Codes

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.host.process import Thread
    from colosim.trace.record import Record


class IothreadLock:
    """`qemu_mutex_lock_iothread` / `bql_lock`: handed on in the order in which it was wanted.

    A hold has a purpose.  While a thread other than the main loop holds it, no monitor command is
    served.
    """

    def __init__(self, side: str, env: Environment, record: Record) -> None:
        self.side = side
        self._env = env
        self._record = record
        self._codes = Codes(side, record)
        self.owner: Thread | None = None
        self.purpose = Purpose.STOP
        self.since_ns = 0
        self.queue: deque[tuple[Thread, Purpose, Event]] = deque()

    def acquire(self, thread: Thread, purpose: Purpose) -> Generator[Event, None, None]:
        """Take the lock for `purpose`; yields only if another thread has it.

        :raises InvariantError: if `thread` has it already: the real one would deadlock on itself.
        """
        wanted_ns = self._env.now
        if self.owner is None:
            self.owner, self.purpose = thread, purpose
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

    def release(self, thread: Thread) -> None:
        """Give the lock back; the first in the queue has it from now on.

        :raises InvariantError: if `thread` does not have it.
        """
        if self.owner is not thread:
            raise self._broken(thread, "releases a lock that it lacks")
        purpose, held_ns = self.purpose, self._env.now - self.since_ns
        self._record.add(self._codes[LockReleased, thread.name, purpose], held_ns)
        if self.queue:
            self.owner, self.purpose, event = self.queue.popleft()
            self.since_ns = self._env.now
            event.succeed()
        else:
            self.owner = None

    def _broken(self, thread: Thread, detail: str) -> InvariantError:
        return InvariantError("one owner of the lock", self._env.now, str(thread), detail)
