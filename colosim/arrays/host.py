"""What a side asks of its QEMU process, at many points at once, as long as nothing fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import Refused
from colosim.arrays.threads import Thread

if TYPE_CHECKING:
    from colosim.arrays.column import Column
    from colosim.arrays.threads import Environment, Event

CONTENDED = "two threads want the iothread lock"


class Stub:
    """A part of the pair that a run without faults asks only for what it is given."""

    def __init__(self, name: str, **given: Any) -> None:
        self.__dict__.update(given, _name=name)

    def __getattr__(self, name: str) -> Any:
        """Refuse what only the simulation has."""
        raise Refused(f"a design that uses {self._name}.{name}")


class Lock:
    """The iothread lock, as long as no two threads want it at once."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.owner: Thread | None = None
        self.purpose: Any = None
        self.since = env.begin
        self.queue = ()
        self.holds: list[tuple[Any, Column, Column]] = []
        """Purpose, begin and end of every hold."""
        self._last: Thread | None = None
        self.on_release: Callable[[Thread, Column], None] | None = None

    def acquire(self, thread: Thread, purpose: Any) -> Sequence[Event]:
        """Take the lock.

        :raises Refused: if a thread has it.
        """
        if self.owner is not None:
            raise Refused(CONTENDED)
        if self._last not in {None, thread}:
            self._env.refuse(self.holds[-1][2] >= thread.now, CONTENDED)
        self.owner, self.purpose, self.since = thread, purpose, thread.now
        return ()

    def release(self, thread: Thread, *, sleeps: bool = False) -> None:  # noqa: ARG002 - nobody waits
        """Give it back.

        :raises Refused: if `thread` lacks it.
        """
        if self.owner is not thread:
            raise Refused("a design that releases a lock that it lacks")
        self.owner, self._last = None, thread
        self.holds.append((self.purpose, self.since, thread.now))
        if self.on_release is not None:
            self.on_release(thread, self.since)


class Ledger:
    """The accounts of a host, which never fall as long as nothing fails."""

    def __init__(self) -> None:
        self.levels: dict[str, Any] = {}

    def hold(self, account: str, level_bytes: Any) -> None:
        """Set an account to a level."""
        self.levels[account] = np.maximum(self.levels.get(account, 0), level_bytes)


class Host(Stub):
    """One side's QEMU process."""

    def thread(self, name: str) -> Thread:
        """Return a new thread of the process."""
        return Thread(self, name)

    @staticmethod
    def remembered(function: Any) -> Any:
        """Return `function` with a memory of its latest answer, as a simulation's host does."""
        latest: tuple[Any, ...] = ()
        answer: Any = None

        def remembering(*given: Any) -> Any:
            nonlocal latest, answer
            if not latest or not all(map(_same, given, latest)):
                latest, answer = given, function(*given)
            return answer

        return remembering


def _same(one: Any, other: Any) -> bool:
    return one is other or np.array_equal(one, other)
