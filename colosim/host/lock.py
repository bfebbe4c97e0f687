"""The iothread lock (BQL) of one QEMU process: one owner, a queue in arrival order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simpy.events import Event

from colosim.engine.record import code_of
from colosim.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colosim.engine.environment import Environment
    from colosim.engine.record import Record
    from colosim.host.thread import Thread

SAVING = "save"
LOADING = "load"
RECEIVING = "receive"
MONITOR = "monitor"
BUSY = "busy"
"""The main loop's own work: no command is served meanwhile."""


class IothreadLock:
    """`qemu_mutex_lock_iothread` / `bql_lock`: handed on in the order in which it was wanted.

    A hold has a purpose (``stop``, ``save``, ``load``, ``start``, ``monitor``, ...).  While a
    thread other than the main loop holds it, no monitor command is served.
    """

    def __init__(self, side: str, env: Environment, record: Record) -> None:
        self.side = side
        self.name = f"{side}: iothread lock"
        self._env = env
        self._record = record
        self._pending = record.pending
        self.release_code = 0
        self.owner: Thread | None = None
        self.purpose = ""
        self.since_ns = 0
        self.queue: deque[tuple[Thread, str, Event]] = deque()
        self._by: dict[Thread, LockOfThread] = {}
        self.deaf_longest_ns = 0
        # The longest hold by purpose, since somebody last took it from here.
        self.longest_ns: dict[str, int] = {}

    def by(self, thread: Thread) -> LockOfThread:
        """Return the lock as `thread` takes it, always the same."""
        one = self._by.get(thread)
        if one is None:
            one = self._by[thread] = LockOfThread(self, thread, self._env, self._pending)
        return one

    def acquire(self, thread: Thread, purpose: str) -> Iterable[Event]:
        """Take the lock for `purpose`; yields only if another thread has it.

        :raises InvariantError: if `thread` has it already: the real one would deadlock on itself.
        """
        return self.by(thread).acquire(purpose)

    def wait(self, thread: Thread, purpose: str, codes: tuple[int, int]) -> Iterable[Event]:
        """Wait for the lock, in the queue of those who want it; `codes` of got and released."""
        if self.owner is thread:
            raise InvariantError(
                "one owner of the lock", self._env.now, str(thread), "takes a lock that it holds"
            )
        return self._wait(thread, purpose, codes)

    def _wait(self, thread: Thread, purpose: str, codes: tuple[int, int]) -> Iterable[Event]:
        self._record.add(code_of(f"{self.name} wanted by {thread.name} for {purpose}"))
        got, released = codes
        event = Event(self._env)
        self.queue.append((thread, purpose, event))
        wanted_ns = self._env.now
        thread.waits_for = f"the iothread lock ({purpose})"
        yield event
        thread.waits_for = ""
        yield from thread.host.while_frozen()
        self.since_ns = self._env.now
        self.release_code = released
        self._record.add(got, self.since_ns - wanted_ns)

    def release(self, thread: Thread) -> None:
        """Give the lock back; the first in the queue has it from now on.

        :raises InvariantError: if `thread` does not have it.
        """
        if self.owner is not thread:
            raise InvariantError(
                "one owner of the lock", self._env.now, str(thread), "releases a lock that it lacks"
            )
        now: int = self._env._now  # type: ignore[assignment]  # noqa: SLF001
        held = now - self.since_ns
        self._pending.extend((now, self.release_code, held))
        purpose, longest_ns = self.purpose, self.longest_ns
        if purpose not in longest_ns or held > longest_ns[purpose]:
            longest_ns[purpose] = held
            if held > self.deaf_longest_ns and purpose is not MONITOR:
                self.deaf_longest_ns = held
        if self.queue:
            self.owner, self.purpose, event = self.queue.popleft()
            self.since_ns = now
            event.succeed()
        else:
            self.owner = None


class LockOfThread:
    """The lock as one thread takes it, which a COLO thread does several times a checkpoint."""

    __slots__ = ("_codes", "_env", "_lock", "_pending", "_thread")

    def __init__(
        self, lock: IothreadLock, thread: Thread, env: Environment, pending: list[int]
    ) -> None:
        self._lock = lock
        self._thread = thread
        self._env = env
        self._pending = pending
        # Of got and released, by purpose.
        self._codes: dict[str, tuple[int, int]] = {}

    def acquire(self, purpose: str) -> Iterable[Event]:
        """Take the lock for `purpose`; see `IothreadLock.acquire`."""
        try:
            codes = self._codes[purpose]
        except KeyError:
            codes = self._codes[purpose] = self._codes_of(purpose)
        lock = self._lock
        if lock.owner is not None:
            return lock.wait(self._thread, purpose, codes)
        lock.owner = self._thread
        lock.purpose = purpose
        got, lock.release_code = codes
        lock.since_ns = now = self._env._now  # type: ignore[assignment]  # noqa: SLF001
        self._pending.extend((now, got, 0))  # type: ignore[arg-type]
        return ()

    def _codes_of(self, purpose: str) -> tuple[int, int]:
        name, who = self._lock.name, f"by {self._thread.name} for {purpose}"
        return code_of(f"{name} got {who}"), code_of(f"{name} released {who}")
