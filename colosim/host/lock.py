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
        self._env = env
        self._record = record
        self._pending = record.pending
        self._release_code = 0
        self.owner: Thread | None = None
        self.purpose = ""
        self.since_ns = 0
        self.queue: deque[tuple[Thread, str, Event]] = deque()
        self._name = f"{side}: iothread lock"
        # Of got and released, by thread and purpose.
        self._codes: dict[Thread, dict[str, tuple[int, int]]] = {}
        self.deaf_longest_ns = 0
        # The longest hold by purpose, since somebody last took it from here.
        self.longest_ns: dict[str, int] = {}

    def _codes_of(self, thread: Thread, purpose: str) -> tuple[int, int]:
        who = f"by {thread.name} for {purpose}"
        codes = code_of(f"{self._name} got {who}"), code_of(f"{self._name} released {who}")
        self._codes.setdefault(thread, {})[purpose] = codes
        return codes

    def acquire(self, thread: Thread, purpose: str) -> Iterable[Event]:
        """Take the lock for `purpose`; yields only if another thread has it.

        :raises InvariantError: if `thread` has it already: the real one would deadlock on itself.
        """
        if self.owner is not None:
            if self.owner is thread:
                raise InvariantError(
                    "one owner of the lock",
                    self._env.now,
                    str(thread),
                    "takes a lock that it holds",
                )
            return self._wait(thread, purpose)
        self.owner = thread
        self.purpose = purpose
        try:
            got, self._release_code = self._codes[thread][purpose]
        except KeyError:
            got, self._release_code = self._codes_of(thread, purpose)
        self.since_ns = now = self._env._now  # type: ignore[assignment]  # noqa: SLF001
        self._pending.extend((now, got, 0))  # type: ignore[arg-type]
        return ()

    def _wait(self, thread: Thread, purpose: str) -> Iterable[Event]:
        self._record.add(code_of(f"{self._name} wanted by {thread.name} for {purpose}"))
        got, released = self._codes_of(thread, purpose)
        event = Event(self._env)
        self.queue.append((thread, purpose, event))
        wanted_ns = self._env.now
        thread.waits_for = f"the iothread lock ({purpose})"
        yield event
        thread.waits_for = ""
        yield from thread.host.while_frozen()
        self.since_ns = self._env.now
        self._release_code = released
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
        self._pending.extend((now, self._release_code, held))
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
