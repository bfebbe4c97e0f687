"""`model: reference`: the iothread lock as a stock `simpy.Resource`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from colosim.host.lock import IothreadLock
from colosim.trace.events import LockGot, LockWanted

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.host.process import Thread
    from colosim.trace.purpose import Purpose


class ReferenceLock(IothreadLock):
    """A resource of which there is one: whoever has its request granted has the lock.

    While a woken waiter is on its way the resource is not given back, and whoever asks takes it
    over.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._resource = simpy.Resource(self._env)
        self._granted: Any = None

    def acquire(self, thread: Thread, purpose: Purpose) -> Generator[Event, Any, None]:
        """Take the lock for `purpose`, when it is this thread's turn."""
        if self.owner is thread:
            raise self._broken(thread, "takes a lock that it holds")
        wanted_ns = self._env.now
        self.contested = self.contested or wanted_ns <= self._chance_until_ns
        if self._granted is not None and self.owner is None:
            self.owner, self.purpose = thread, purpose
        else:
            request = self._resource.request()
            waits = (thread, purpose, request)
            if not request.triggered:
                self._record.add(self._codes[LockWanted, thread.name, purpose])
                self.queue.append(waits)
                thread.waits_for = f"the iothread lock ({purpose})"
                thread.waits_since_ns = wanted_ns
            request.callbacks.append(lambda _request: self._grant(waits))
            yield request
            if self._env.now > wanted_ns:
                thread.waits_for = ""
        self.since_ns = self._env.now
        self._record.add(self._codes[LockGot, thread.name, purpose], self.since_ns - wanted_ns)

    def _grant(self, waits: tuple[Thread, Purpose, Event]) -> None:
        if waits in self.queue:
            self.queue.remove(waits)
        self.owner, self.purpose, self._granted = waits
        self.since_ns = self._env.now

    def _hand_on(self) -> None:
        if self._granted is not None and self.owner is None:
            granted, self._granted = self._granted, None
            self._resource.release(granted)
