"""A QEMU process and its threads, each run by a SimPy process: they work, sleep and freeze."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from colosim.engine.environment import hand_over, pending
from colosim.errors import DesignError
from colosim.trace.events import ProcessChanged, WaitBegan, WaitEnded
from colosim.trace.record import code_of

if TYPE_CHECKING:
    import simpy

    from colosim.engine.environment import Environment
    from colosim.trace.record import Record


class Process:
    """One QEMU process on one side of the pair."""

    def __init__(self, side: str, env: Environment, record: Record) -> None:
        self.side = side
        self.env = env
        self.record = record
        self.threads: list[Thread] = []
        self.frozen = False
        self.frozen_ns = -1
        self.dead = False
        self._thawed: Event | None = None

    def thread(self, name: str) -> Thread:
        """Return a new thread of the process."""
        return Thread(self, name)

    @property
    def thawed(self) -> Event:
        """The thaw to come of a frozen process, as an event."""
        if self._thawed is None:
            self._thawed = self.env.event()
        return self._thawed

    def freeze(self) -> None:
        """Stop every thread where it is (SIGSTOP); the host's kernel goes on."""
        if self.frozen:
            return
        self.frozen = True
        self.frozen_ns = self.env.now
        self.record.note(ProcessChanged(self.side, "frozen"))
        for thread in self.threads:
            thread.freeze()

    def thaw(self) -> None:
        """Let every thread go on (SIGCONT)."""
        if not self.frozen or self.dead:
            return
        self.frozen = False
        self.record.note(ProcessChanged(self.side, "thawed"), self.env.now - self.frozen_ns)
        for thread in self.threads:
            thread.thaw()
        if self._thawed is not None:
            thawed, self._thawed = self._thawed, None
            thawed.succeed()

    def kill(self) -> None:
        """End the process (SIGKILL): no thread ever goes on."""
        self.freeze()
        self.dead = True
        self.record.note(ProcessChanged(self.side, "killed"))


class _WaitCodes(dict[str, tuple[int, int]]):
    """Codes of the beginning and the end of a thread's waits, by what it waits for."""

    def __init__(self, side: str, thread: str) -> None:
        super().__init__()
        self._who = (side, thread)

    def __missing__(self, what_for: str) -> tuple[int, int]:
        """Return and keep the codes of a wait that was not met before."""
        began, ended = WaitBegan(*self._who, what_for), WaitEnded(*self._who, what_for)
        codes = self[what_for] = code_of(began), code_of(ended)
        return codes


class Thread:
    """One thread; what it does is a generator that a SimPy process runs.

    While its QEMU process is frozen, its work stands still and its generator does not go on;
    timeouts and whatever else it waits for happen on time.
    """

    def __init__(self, host: Process, name: str) -> None:
        self.host = host
        self.name = name
        self.process: simpy.Process | None = None
        self.waits_for = ""
        """What it waits for now, as in the record; nothing if it works, sleeps, or has ended."""
        self.waits_since_ns = 0
        self.ended = False
        self._env = host.env
        self._waits = _WaitCodes(host.side, name)
        self._work: Event | None = None
        self._work_ends_ns = 0
        self._work_left_ns = -1
        self._sleep: Event | None = None
        self._sleep_ends_ns = 0
        host.threads.append(self)

    def __str__(self) -> str:
        """Return the side and the name."""
        return f"{self.host.side} {self.name}"

    def start(self, body: Generator[Event, Any, None]) -> None:
        """Let the thread run `body`."""
        self.process = self._env.process(self._unless_frozen(body))
        self.process.callbacks.append(self._end)

    def _end(self, _process: Event) -> None:
        self.ended = True

    def _unless_frozen(self, body: Generator[Event, Any, None]) -> Generator[Event, Any, None]:
        """Run `body`, letting it go on only while the QEMU process is not frozen."""
        host = self.host
        value: Any = None
        error: Exception | None = None
        while True:
            try:
                event = body.send(value) if error is None else body.throw(error)
            except StopIteration:
                return
            value = error = None
            if not isinstance(event, Event):
                error = DesignError(f"yields {event!r}, which is no event of SimPy")
                continue
            try:
                value = yield event
            except Exception as raised:  # noqa: BLE001 - it is the body's to handle
                error = raised
            while host.frozen:
                try:
                    yield host.thawed
                except Exception as raised:  # noqa: BLE001 - likewise (an interrupt)
                    error = raised

    # ---- waiting -------------------------------------------------------------------------------

    def wait(self, event: Event, what_for: str) -> Generator[Event, Any, None]:
        """Wait for `event`, which stands for `what_for`; its beginning and its end are recorded."""
        record, begun_ns = self.host.record, self._env.now
        begins, ends = self._waits[what_for]
        self.waits_for, self.waits_since_ns = what_for, begun_ns
        record.add(begins)
        try:
            yield event
        except Exception:
            self.waits_for = ""
            record.add(ends, self._env.now - begun_ns)
            raise
        self.waits_for = ""
        record.add(ends, self._env.now - begun_ns)

    # ---- work and sleep ------------------------------------------------------------------------

    def work(self, duration_ns: int) -> Event:
        """Return the event that ends `duration_ns` of work on the CPU."""
        self._work_ends_ns = self._env.now + duration_ns
        self._work = self._env.timeout(duration_ns)
        return self._work

    def stop_working(self) -> None:
        """End its work now."""
        if self._work is not None and pending(self._work):
            self._work = hand_over(self._work, self._env.timeout(0))

    def sleep(self, duration_ns: int) -> Event:
        """Return the event that ends a sleep; time goes on for it while the process is frozen."""
        self._sleep_ends_ns = self._env.now + duration_ns
        self._sleep = self._env.timeout(duration_ns)
        return self._sleep

    def sleep_until(self, at_ns: int, what_for: str) -> Generator[Event, Any, None]:
        """Wait for `what_for`, a timer that fires at `at_ns`; not at all if it has."""
        now = self._env.now
        if at_ns > now:
            yield from self.wait(self.sleep(at_ns - now), what_for)

    def wake(self) -> None:
        """End its sleep now."""
        if self._sleep is not None and pending(self._sleep):
            self._sleep = hand_over(self._sleep, self._env.timeout(0))

    @property
    def asleep_until_ns(self) -> int | None:
        """When its sleep ends, None if it is in none."""
        return self._sleep_ends_ns if pending(self._sleep) else None

    # ---- frozen and thawed ---------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop where it is: what is left of its work is kept."""
        if self._work is not None and pending(self._work):
            self._work = hand_over(self._work, self._env.event())
            self._work_left_ns = self._work_ends_ns - self._env.now

    def thaw(self) -> None:
        """Go on with what was left of its work."""
        if self._work is not None and self._work_left_ns >= 0:
            self._work_ends_ns = self._env.now + self._work_left_ns
            self._work = hand_over(self._work, self._env.timeout(self._work_left_ns))
        self._work_left_ns = -1
