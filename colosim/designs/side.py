"""What both ends of a checkpoint transaction can do: send, receive, work, take the lock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from colosim.designs.messages import CHECKPOINT_REQUEST, GUEST_SHUTDOWN
from colosim.errors import DesignError
from colosim.network.tcp import StreamError
from colosim.trace.events import (
    ROOM_FOR,
    FunctionFailed,
    Received,
    Sent,
    StepDone,
    StreamBegan,
    StreamEnded,
)
from colosim.trace.purpose import Purpose
from colosim.trace.record import Codes

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.designs.disk import Disk
    from colosim.designs.messages import Message
    from colosim.designs.traits import Traits
    from colosim.host.failover import Failover
    from colosim.host.host import Host
    from colosim.host.lock import IothreadLock
    from colosim.host.process import Thread
    from colosim.host.staging import StagingBuffer
    from colosim.network.ends import Ends
    from colosim.network.section import Section
    from colosim.trace.events import Event as TraceEvent

    Steps = Generator[Event, None, None]


def nothing() -> None:
    """Do nothing: for a step after which there is nothing else to do."""


class VmstateError(Exception):
    """A function that saves or loads state returned an error.

    `leaks_lock`: the error path leaves without giving the iothread lock back, as that of the RAM
    save did in the developing branches of 2015 (v5 to v8).
    """

    def __init__(self, message: str, *, leaks_lock: bool = False) -> None:
        super().__init__(message)
        self.leaks_lock = leaks_lock


class GuestShutDown(Exception):  # noqa: N818 - nothing has failed
    """The guest has powered itself off: the thread ends, and QEMU with it."""


class Watch(Protocol):
    """Somebody who wants to know at which protocol step a side is (fault injection)."""

    def reached(self, side: Side, step: str, when: str, duration_ns: int) -> bool:
        """`side` is ``before`` or ``after`` `step`; return whether something strikes right now.

        `duration_ns` is the step's work, 0 if it waits for others.
        """
        ...

    def streaming(self, side: Side, step: str, what: str) -> None:
        """`side` has begun to ``write`` or ``read`` a stream as `step`."""
        ...

    def error_of(self, side: Side, what: str) -> VmstateError | None:
        """Return the error that the function `what` is to return this time."""
        ...


class Held:
    """The iothread lock as a thread holds it: given back at the end of a ``with`` block."""

    def __init__(self, lock: IothreadLock, thread: Thread) -> None:
        self._lock = lock
        self._thread = thread

    def __enter__(self) -> None:
        """Hold what `lock` has taken."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release, unless the process is only being cleared away after the run."""
        leaks = isinstance(error, VmstateError) and error.leaks_lock
        if kind is not GeneratorExit and not leaks:
            self._lock.release(self._thread)


def _purpose_called(name: str) -> Purpose:
    try:
        return Purpose(name)
    except ValueError as error:
        raise DesignError(str(error)) from error


class Side:
    """One end of the transaction, as a design's code sees it.

    Every verb that may wait is used with ``yield from``, and is recorded as it ends.
    """

    def __init__(
        self,
        traits: Traits,
        host: Host,
        thread: Thread,
        outgoing: Ends,
        incoming: Ends,
        staging: StagingBuffer,
        failover: Failover,
    ) -> None:
        self.traits = traits
        self.host = host
        self.env = host.env
        self.costs = host.costs
        self.thread = thread
        self.outgoing = outgoing
        self.incoming = incoming
        self.bulk_out, self.bulk_in = outgoing, incoming
        """Where RAM goes and comes: of several channels the first."""
        self.staging = staging
        self.failover = failover
        self.name = host.side
        self.disk: Disk | None = None
        self.held = Held(host.lock, thread)
        self.watch: Watch | None = None
        """Who is told of every step: set before the run."""
        self.checkpoint = 0
        self.exit_reason = ""
        self.exited = False
        self.received_at_ns: dict[str, int] = {}
        self.sent_at_ns: dict[str, int] = {}
        self._record = host.record
        self._codes = Codes(host.side, host.record)

    @property
    def bytes_written(self) -> int:
        """What it has written so far."""
        return self.outgoing.bytes_written

    @property
    def bytes_read(self) -> int:
        """What it has read so far."""
        return self.incoming.bytes_read

    # ---- the lock ------------------------------------------------------------------------------

    def lock(self, purpose: Purpose | str) -> Generator[Event, None, Held]:
        """Take the iothread lock for `purpose`: ``with (yield from p.lock(Purpose.SAVE)):``.

        The block's end gives it back, and so does every error return but a leak.

        :raises DesignError: if that is no purpose; the message has the nearest one.
        """
        if not isinstance(purpose, Purpose):
            purpose = _purpose_called(purpose)
        yield from self.host.lock.acquire(self.thread, purpose)
        return self.held

    @property
    def holds_lock(self) -> bool:
        """Whether the COLO thread has the iothread lock."""
        return self.host.lock.owner is self.thread

    def unlock(self) -> None:
        """Give the iothread lock back."""
        self.host.lock.release(self.thread)

    # ---- what is seen of a step ----------------------------------------------------------------

    def note(self, event: TraceEvent, value: int = 0) -> None:
        """Record an event, now."""
        self._record.note(event, value)

    def _reached(self, watch: Watch, step: str, when: str, duration_ns: int = 0) -> Steps:
        """Tell the watch; if something strikes now, let it before this thread goes on."""
        if watch.reached(self, step, when, duration_ns):
            yield self.thread.work(0)

    def check(self, what: str) -> None:
        """Raise if fault injection lets the function `what` fail now."""
        error = None if self.watch is None else self.watch.error_of(self, what)
        if error is not None:
            self.note(FunctionFailed(self.name, what))
            raise error

    # ---- messages ------------------------------------------------------------------------------

    def send(self, message: Message, value: int = 0) -> Steps:
        """Send a protocol message (colo_send_message): its own flush, so its own send call.

        `value`: what one with a value carries (colo_send_message_value).

        :raises StreamError: if the connection is no more.
        """
        name, amount = message.name, message.size_bytes
        step = message.sent_in or name
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before")
        if message.has_value:
            self.outgoing.values.append(value)
        blocks = self.outgoing.send(amount)
        if blocks is not None:
            yield from self.thread.wait(blocks, ROOM_FOR.format(step))
        self.outgoing.wrote()
        self.sent_at_ns[step] = self.env.now
        self._record.add(self._codes[Sent, name], amount)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")

    def receive(self, message: Message, wake_ns: int | None = None) -> Generator[Event, None, int]:
        """Wait for a protocol message (colo_receive_check_message); return its value, 0 if none.

        `wake_ns`: what waking up for it takes, if not what it takes for any message.

        :raises StreamError: if the connection is no more.
        :raises GuestShutDown: if GUEST_SHUTDOWN comes instead of a request (colo_wait_handle_cmd).
        """
        name, amount = message.name, message.size_bytes
        step = message.read_in or name
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before")
        wake_ns = self.varied("message", self.costs.message_ns if wake_ns is None else wake_ns)
        blocks = self.incoming.receive(amount, wake_ns)
        if blocks is not None:
            yield from self.thread.wait(blocks, step)
        self.incoming.has_read()
        if message is CHECKPOINT_REQUEST:
            name = step = self._came().name
        self.received_at_ns[step] = self.env.now
        self._record.add(self._codes[Received, name], amount)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")
        return self.incoming.values.popleft() if message.has_value else 0

    def _came(self) -> Message:
        """Return the message that has come where a request may.

        :raises GuestShutDown: if it is GUEST_SHUTDOWN.
        """
        if self.incoming.shuts_down:
            self.note(Received(self.name, GUEST_SHUTDOWN.name), GUEST_SHUTDOWN.size_bytes)
            raise GuestShutDown
        return CHECKPOINT_REQUEST

    # ---- work ----------------------------------------------------------------------------------

    def varied(self, stage: str, spent_ns: int) -> int:
        """Return what work that costs `spent_ns` takes in this checkpoint (`spread` of a scenario).

        `stage`: of `colosim.scenario.spread.STAGES`; another does not scatter.
        """
        spread = self.host.spread
        return spent_ns if spread is None else spread.of(stage, self.checkpoint, spent_ns)

    def work(
        self,
        step: str,
        duration_ns: int,
        then: Callable[[], None] = nothing,
        noted: tuple[TraceEvent, int] | None = None,
        *,
        then_ns: int = 0,
    ) -> Steps:
        """Spend `duration_ns` on the CPU on `step`, `varied`, and record its end.

        `then`: what to do once it is done; `noted`: an event to record after that.  `then_ns` is
        spent on top, as it is.
        """
        begun = self.env.now
        duration_ns = self.varied(step, duration_ns) + then_ns
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before", duration_ns)
        yield self.thread.work(duration_ns)
        self._record.add(self._codes[StepDone, step], self.env.now - begun)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")
        then()
        if noted is not None:
            self.note(*noted)

    def work_releasing_lock(
        self, step: str, duration_ns: int, part: int, then: Callable[[], None]
    ) -> Steps:
        """Work as `work` does, under the lock; after one part in `part` others can have the lock.

        What run_on_cpu does in a post_load function: it waits for the vCPU with the lock let go.
        """
        duration_ns = self.varied(step, duration_ns)
        pause_ns = duration_ns // part
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before", duration_ns)
        begun = self.env.now
        yield self.thread.work(pause_ns)
        lock = self.host.lock
        if lock.queue:
            purpose = lock.purpose
            lock.release(self.thread, sleeps=True)
            yield from lock.acquire(self.thread, purpose)
        yield self.thread.work(duration_ns - pause_ns)
        self._record.add(self._codes[StepDone, step], self.env.now - begun)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")
        then()

    # ---- bulk ----------------------------------------------------------------------------------

    def write(self, step: str, section: Section, write_ns: int) -> Steps:
        """Write a section to the socket; blocks until its last byte is in the buffer.

        :raises StreamError: if the connection is no more.
        :raises DesignError: if there is nothing to write.
        """
        amount = section.size_bytes
        if amount < 1:
            raise DesignError(f"writes {amount} bytes as {step!r}")
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before")
        self._record.add(self._codes[StreamBegan, step], amount)
        blocks = self.outgoing.write(section, write_ns)
        if self.watch is not None:
            self.watch.streaming(self, step, "write")
        if blocks is not None:
            yield from self.thread.wait(blocks, step)
        self.outgoing.wrote()
        self._record.add(self._codes[StreamEnded, step], amount)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")

    def read(self, step: str, price: Callable[[Section], int]) -> Generator[Event, None, Section]:
        """Read the peer's next section from the socket, and return it.

        `price` gives the work that it is, in ns.

        :raises StreamError: if the connection is no more.
        """
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before")
        read: list[Section] = []

        def learn(section: Section) -> int:
            read.append(section)
            return price(section)

        blocks = self.incoming.read(learn)
        if self.watch is not None:
            self.watch.streaming(self, step, "read")
        if blocks is not None:
            yield from self.thread.wait(blocks, step)
        self.incoming.has_read()
        self._record.add(self._codes[StreamEnded, step], read[0].size_bytes)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")
        return read[0]


Failure = (StreamError, VmstateError)
"""What ends a transaction with an error."""
