"""The main loop and its monitor: commands are served in order, each under the iothread lock.

An out-of-band command (`yank`) is served at once by the monitor's own I/O thread, without the lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from colosim.trace.events import CommandReceived, CommandServed, JobScheduled
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.host.lock import IothreadLock
    from colosim.host.process import Process, Thread

    Job = Callable[[Thread], Generator[Event, None, None]]


@dataclass(slots=True)
class Command:
    """A monitor command: what it runs in the main loop, and when it was sent, served or dropped."""

    name: str
    run: Job
    sent_ns: int
    served_ns: int | None = None
    answered_ns: int | None = None
    """When what it runs was through: only then is it answered."""
    dropped_ns: int | None = None
    """When it was lost with its client, before it was served."""


@dataclass(slots=True)
class _Task:
    """Something for the main loop to do under the lock; a command, or work of its own."""

    purpose: Purpose
    run: Job
    command: Command | None = field(default=None)


class Monitor:
    """The main loop of one QEMU process as far as COLO needs it: it serves commands."""

    def __init__(self, host: Process, lock: IothreadLock) -> None:
        self.host = host
        self._lock = lock
        self.thread = host.thread("main loop")
        self.commands: list[Command] = []
        self.expects_commands = False
        """Whether a command may come in this run: else nobody but COLO wants the lock.

        Whoever sends commands of his own says so before the run.
        """
        self.has_client = True
        """Whether the cluster manager is connected to it."""
        self._waiting: deque[_Task] = deque()
        self._busy = False
        self._idle: Event | None = None
        self._turns: list[Event] = []
        self.busy_since_ns: int | None = None
        """Since when it has had something to do or to wait for, None if it has not."""
        self.thread.start(self._serve())

    def send(self, name: str, run: Job) -> Command:
        """Put a command into the monitor's socket; the main loop serves it when it can."""
        host = self.host
        command = Command(name, run, host.env.now)
        self.commands.append(command)
        host.record.note(CommandReceived(host.side, name))
        self._add(_Task(Purpose.MONITOR, run, command))
        return command

    def schedule(self, name: str, run: Job) -> None:
        """Let the main loop do something of its own under the lock, such as a bottom half."""
        host = self.host
        host.record.note(JobScheduled(host.side, name))
        self.do(run)

    def do(self, run: Job) -> None:
        """Let the main loop do something under the lock that is not recorded."""
        self._add(_Task(Purpose.MONITOR, run))

    def keep_busy(self, duration_ns: int) -> None:
        """Let the main loop work for so long, with the lock, on what is none of COLO's.

        It serves what came before; what comes later waits.  (Such as a block job's synchronous
        I/O, or a monitor command that takes long.)
        """

        def work(main_loop: Thread) -> Generator[Event, None, None]:
            self._busy = True
            yield main_loop.work(duration_ns)
            self._busy = False

        self._add(_Task(Purpose.BUSY, work))

    def be_idle(self) -> None:
        """End the work that is none of COLO's, and do none that was still to come."""
        self._waiting = deque(task for task in self._waiting if task.purpose is not Purpose.BUSY)
        if self._busy and not self.host.frozen:
            self.thread.stop_working()

    def turn(self) -> Event:
        """Return what happens once the main loop has done all that it has: its timers run then."""
        self._turns.append(self.host.env.event())
        return self._turns[-1]

    def _add(self, task: _Task) -> None:
        self.expects_commands = True
        if self.busy_since_ns is None:
            self.busy_since_ns = self.host.env.now
        self._waiting.append(task)
        self.wake()

    def wake(self) -> None:
        """Let the main loop look at its commands, unless the process is frozen."""
        if self._idle is not None and self._waiting and not self.host.frozen:
            idle, self._idle = self._idle, None
            idle.succeed()

    @property
    def unserved(self) -> list[Command]:
        """Commands that wait to be served."""
        return [
            command
            for command in self.commands
            if command.served_ns is None and command.dropped_ns is None
        ]

    # ---- the client ----------------------------------------------------------------------------

    def lose_client(self, *, drops: bool) -> list[Command]:
        """Lose the client; `drops`: with it the commands that it sent and that wait.

        Returns what was dropped.

        QEMU has had a queue of requests, which is emptied when the client is gone, since 2.12
        (monitor_qmp_cleanup_queues).  Before, what the main loop had not read stayed in its socket
        and was read, and served, all the same (inferred).
        """
        self.has_client = False
        dropped = self.unserved if drops else []
        for command in dropped:
            command.dropped_ns = self.host.env.now
        self._waiting = deque(task for task in self._waiting if task.command not in dropped)
        return dropped

    def _serve(self) -> Generator[Event, None, None]:
        host = self.host
        lock = self._lock
        while True:
            while not self._waiting:
                self.busy_since_ns = None
                for turn in self._turns:
                    turn.succeed()
                self._turns.clear()
                self._idle = host.env.event()
                yield self._idle
            purpose = self._waiting[0].purpose
            yield from lock.acquire(self.thread, purpose)
            # What the main loop wanted the lock for may have been dropped meanwhile.
            if self._waiting and self._waiting[0].purpose == purpose:
                task = self._waiting.popleft()
                self._begin(task)
                yield from task.run(self.thread)
                if task.command is not None:
                    task.command.answered_ns = host.env.now
            if lock.owner is self.thread:
                # Assumed: poll() lasts longer than a woken waiter takes.  With something to read it
                # may be shorter; then a command is served before the COLO thread goes on.
                lock.release(self.thread, sleeps=True)

    def _begin(self, task: _Task) -> None:
        command, host = task.command, self.host
        if command is not None:
            command.served_ns = host.env.now
            event = CommandServed(host.side, command.name)
            host.record.note(event, command.served_ns - command.sent_ns)
