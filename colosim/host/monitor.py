"""The main loop and its monitor: commands are served in order, each under the iothread lock.

An out-of-band command (`yank`) is served at once by the monitor's own I/O thread, without the lock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simpy.events import Event

from colosim.engine.record import code_of
from colosim.host.lock import MONITOR
from colosim.host.thread import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from colosim.host.host import Host


@dataclass(slots=True)
class Command:
    """A monitor command: what it runs in the main loop, and when it was sent and served."""

    name: str
    run: Callable[[Thread], Generator[Event, None, None]]
    sent_ns: int
    served_ns: int | None = None
    done: Event | None = field(default=None, repr=False)


class Monitor:
    """The main loop of one QEMU process as far as COLO needs it: it serves commands."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.thread = Thread(host, "main loop")
        self.commands: list[Command] = []
        self._waiting: deque[Command] = deque()
        self._idle: Event | None = None
        self.thread.start(self._serve())

    def send(self, name: str, run: Callable[[Thread], Generator[Event, None, None]]) -> Command:
        """Put a command into the monitor's socket; the main loop serves it when it can."""
        host = self.host
        command = Command(name, run, host.env.now)
        self.commands.append(command)
        host.record.add(code_of(f"{host.side}: monitor receives {name}"))
        self._waiting.append(command)
        self.wake()
        return command

    def wake(self) -> None:
        """Let the main loop look at its commands, unless the process is frozen."""
        if self._idle is not None and self._waiting and not self.host.frozen:
            idle, self._idle = self._idle, None
            idle.succeed()

    @property
    def unserved(self) -> list[Command]:
        """Commands that were sent and not served."""
        return [command for command in self.commands if command.served_ns is None]

    def _serve(self) -> Generator[Event, None, None]:
        host = self.host
        lock = host.lock
        while True:
            while not self._waiting:
                self._idle = Event(host.env)
                yield self._idle
                yield from host.while_frozen()
            command = self._waiting[0]
            yield from lock.acquire(self.thread, MONITOR)
            self._waiting.popleft()
            command.served_ns = host.env.now
            host.record.add(
                code_of(f"{host.side}: monitor serves {command.name}"),
                command.served_ns - command.sent_ns,
            )
            yield from command.run(self.thread)
            if lock.owner is self.thread:
                lock.release(self.thread)
