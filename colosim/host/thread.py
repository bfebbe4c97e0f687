"""A thread of a QEMU process, run by a SimPy process: it works, waits, freezes and thaws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.environment import Process, Wait

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event

    from colosim.host.host import Host


class Thread:
    """One thread; what it does is a generator that the environment runs as a process."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self._env = host.env
        self._timer = Wait.ended(host.env)
        self._ends_ns = 0
        self._left_ns = -1
        self._sleeps = False
        self.waits_for = ""
        self.ended = False
        host.threads.append(self)

    def __str__(self) -> str:
        """Return the side and the name."""
        return f"{self.host.side} {self.name}"

    @property
    def asleep_until_ns(self) -> int | None:
        """When its sleep ends, None if it is in none."""
        if not self._sleeps or self._timer.over:
            return None
        return self._ends_ns

    def start(self, body: Generator[Event, None, None]) -> None:
        """Let the thread run `body`."""
        process = Process(self._env, body)
        process.callbacks.append(self._end)

    def _end(self, _process: Event) -> None:
        self.ended = True

    def work(self, duration_ns: int) -> Wait:
        """Return the event that ends `duration_ns` of work on the CPU."""
        now: int = self._env._now  # type: ignore[assignment]  # noqa: SLF001
        self._sleeps = False
        self._ends_ns = ends = now + duration_ns
        self._timer = timer = self._timer.again_until(ends)
        return timer

    def sleep(self, duration_ns: int) -> Wait:
        """Return the event that ends a sleep; time goes on for it while the process is frozen."""
        timer = self.work(duration_ns)
        self._sleeps = True
        return timer

    def freeze(self) -> None:
        """Stop where it is: what is left of its work is kept."""
        timer = self._timer
        if not timer.over:
            timer.suspend()
            self._left_ns = self._ends_ns - self._env.now

    def thaw(self) -> None:
        """Go on with what was left; a sleep that should be over by now is."""
        timer = self._timer
        if self._left_ns < 0 or timer.over:
            return
        if not self._sleeps:
            self._ends_ns = self._env.now + self._left_ns
        self._left_ns = -1
        timer.end_at(self._ends_ns)
