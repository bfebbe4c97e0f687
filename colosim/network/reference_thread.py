"""`model: reference`: the thread at one end of a direction, as a stock SimPy process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import URGENT

from colosim.network.tcp import StreamError

if TYPE_CHECKING:
    import simpy
    from simpy.events import Event

    Steps = Generator[Event, Any, Any]


class End:
    """A thread in its send or receive; it stands while its process is frozen."""

    def __init__(self, env: simpy.Environment, note: Callable[[StreamError], None]) -> None:
        self._env, self._note = env, note
        self.busy = self.frozen = False
        self.error: StreamError | None = None
        self._stirred = env.event()

    def start(self, body: Steps) -> Event:
        """Let the thread do `body`; return what happens when that is done or has failed."""
        self.busy = True
        done = self._env.event()
        self._env.process(self._run(body, done))
        return done

    def _run(self, body: Steps, done: Event) -> Steps:
        try:
            yield from body
        except StreamError as error:
            self._note(error)
            done.fail(error)
        else:
            # The thread goes on in this very step: a freeze in this instant is before or after.
            done._ok, done._value = True, None  # noqa: SLF001 - as Event.succeed
            self._env.schedule(done, URGENT)
        self.busy = False

    def stir(self) -> None:
        """Let the thread see that it is frozen or thawed, or that its connection has failed."""
        self._stirred.succeed()
        self._stirred = self._env.event()

    def _go_on(self) -> Steps:
        while self.frozen:
            yield self._stirred
        if self.error is not None:
            raise self.error

    def work(self, left_ns: int) -> Steps:
        """Spend so much of the thread's own time."""
        while left_ns > 0:
            begun_ns = self._env.now
            yield self._env.timeout(left_ns) | self._stirred
            left_ns -= int(self._env.now - begun_ns)
            yield from self._go_on()

    def wait(self, ask: Callable[[], Any]) -> Steps:
        """Wait for what `ask` asks a buffer for, and ask anew after a freeze."""
        while True:
            request = ask()
            yield request | self._stirred
            request.cancel()
            yield from self._go_on()
            if request.triggered:
                return request.value
