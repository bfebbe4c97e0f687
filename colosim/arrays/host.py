"""One side's QEMU process at many points at once, as long as nothing fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colosim.arrays.column import Refused, plain, some
from colosim.arrays.threads import Thread
from colosim.host.host import Host
from colosim.host.lock import IothreadLock
from colosim.trace.events import LockGot

if TYPE_CHECKING:
    from colosim.trace.purpose import Purpose

CONTENDED = "two threads want the iothread lock"


class Lock(IothreadLock):
    """The iothread lock, as long as no two threads want it at once."""

    _last: Any = None
    _free_since: Any = 0

    def acquire(self, thread: Any, purpose: Purpose) -> Any:
        """Take the lock.

        :raises Refused: if a thread has it.
        """
        if self.owner is not None:
            raise Refused(CONTENDED)
        if self._last not in {None, thread}:
            thread.env.refuse(self._free_since >= thread.now, CONTENDED)
        self.owner, self.purpose, self.since_ns = thread, purpose, thread.now
        self._record.add(self._codes[LockGot, thread.name, purpose], 0)
        return ()

    def release(self, thread: Any, *, sleeps: bool = False) -> None:
        """Give it back."""
        super().release(thread, sleeps=sleeps)
        self._last, self._free_since = thread, thread.now


def _differ(one: Any, other: Any) -> bool:
    return bool(some(plain(one) != plain(other)))


class ArrayHost(Host):
    """One side of the pair."""

    def thread(self, name: str) -> Any:
        """Return a new thread of the process."""
        return Thread(self, name)

    @staticmethod
    def remembered(function: Any) -> Any:
        """Return `function` with a memory of its latest answer: columns cannot be looked up."""
        latest: tuple[Any, ...] = ()
        answer: Any = None

        def remembering(*given: Any) -> Any:
            nonlocal latest, answer
            if not latest or any(map(_differ, given, latest)):
                latest, answer = given, function(*given)
            return answer

        return remembering
