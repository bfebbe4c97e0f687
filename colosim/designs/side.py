"""What both ends of a checkpoint transaction can do: send, receive, work, take the lock."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

from colosim.engine.record import Codes
from colosim.network.tcp import StreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

    from simpy.events import Event

    from colosim.designs.design import Design
    from colosim.designs.messages import Message
    from colosim.failover.state import Failover
    from colosim.host.host import Host
    from colosim.host.lock import IothreadLock
    from colosim.host.staging import StagingBuffer
    from colosim.host.thread import Thread
    from colosim.network.direction import Direction

    Steps = Generator[Event, None, None]
    Ends = tuple[Direction, Direction]


P = ParamSpec("P")
T = TypeVar("T")
_REMEMBERED = 256


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """Return `function` with a memory of its latest answers.

    What a checkpoint costs follows from its pages and bytes, and many a guest dirties as many
    pages time and again.
    """
    return cast("Callable[P, T]", lru_cache(_REMEMBERED)(function))


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
    """``with side.held:`` gives the lock back at its end and on every error return but a leak."""

    __slots__ = ("_lock", "_thread")

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
        if kind is not None and (
            kind is GeneratorExit or (isinstance(error, VmstateError) and error.leaks_lock)
        ):
            return
        self._lock.release(self._thread)


class Verbs:
    """What a COLO thread does on either side, each verb recorded as it ends.

    Every method that may wait is used with ``yield from``.  One class for both sides, apart from
    `Side` and its subclasses: CPython looks attributes up fastest where it always meets one class.
    """

    __slots__ = (
        "_begins",
        "_codes",
        "_ends",
        "_message_ns",
        "_pending",
        "_receives",
        "_sends",
        "_side",
        "_steps",
        "env",
        "incoming",
        "name",
        "outgoing",
        "received_at_ns",
        "sent_at_ns",
        "thread",
        "watch",
    )

    def __init__(self, side: Side, host: Host, thread: Thread, ends: Ends) -> None:
        self._side = side
        self.env = host.env
        self.thread = thread
        self.outgoing, self.incoming = ends
        self.name = host.side
        self.watch: Watch | None = None
        self._pending = host.record.pending
        self._codes = Codes(f"{host.side}: ")
        # Those met most often are also in plain dictionaries, which CPython looks up faster.
        self._steps: dict[str, int] = {}
        self._sends: dict[str, int] = {}
        self._receives: dict[str, int] = {}
        self._begins = Codes(f"{host.side}: ", " begins")
        self._ends = Codes(f"{host.side}: ", " ends")
        self._message_ns = host.costs.message_ns
        self.received_at_ns: dict[str, int] = {}
        self.sent_at_ns: dict[str, int] = {}

    def note(self, event: str, value: int = 0) -> None:
        """Record an event of this side, now."""
        self._pending.extend((self.env._now, self._codes[event], value))  # type: ignore[arg-type]  # noqa: SLF001

    def _while_frozen(self) -> Iterable[Event]:
        """Wait, as a thread whose wait has failed in the instant at which its process froze."""
        return self._side.host.while_frozen()

    # ---- messages ------------------------------------------------------------------------------

    def send(self, message: Message) -> Iterable[Event]:
        """Send a protocol message (colo_send_message): its own flush, so its own send call.

        :raises StreamError: if the connection is no more.
        """
        name, amount = message.name, message.size_bytes
        waits = self.outgoing.send(amount)
        if waits is not None:
            return self._send_blocked(message, waits)
        try:
            code = self._sends[name]
        except KeyError:
            code = self._sends[name] = self._codes[f"sends {name}"]
        self._pending.extend((self.env._now, code, amount))  # type: ignore[arg-type]  # noqa: SLF001
        return ()

    def _send_blocked(self, message: Message, waits: Event) -> Steps:
        self.thread.waits_for = f"room in its send buffer ({message.name})"
        try:
            yield waits
        except StreamError:
            yield from self._while_frozen()
            raise
        self.outgoing.wrote()
        self.thread.waits_for = ""
        self.note(f"sends {message.name}", message.size_bytes)

    def receive(self, message: Message) -> Steps:
        """Wait for a protocol message (colo_receive_check_message).

        :raises StreamError: if the connection is no more.
        """
        name = message.name
        incoming = self.incoming
        amount = message.size_bytes
        waits = incoming.receive(amount, self._message_ns)
        if waits is not None:
            thread = self.thread
            thread.waits_for = name
            try:
                yield waits
            except StreamError:
                yield from self._while_frozen()
                raise
            thread.waits_for = ""
            incoming.has_read()
        now: int = self.env._now  # type: ignore[assignment]  # noqa: SLF001
        self.received_at_ns[name] = now
        try:
            code = self._receives[name]
        except KeyError:
            code = self._receives[name] = self._codes[f"receives {name}"]
        self._pending.extend((now, code, amount))

    # ---- work ----------------------------------------------------------------------------------

    def work(
        self,
        step: str,
        duration_ns: int,
        then: Callable[[], None] | None = None,
        noted: tuple[str, int] | None = None,
    ) -> Steps:
        """Spend `duration_ns` on the CPU on `step`, and record its end.

        `then`: what to do once it is done; `noted`: an event to record after that.
        """
        env, thread = self.env, self.thread
        begun: int = env._now  # type: ignore[assignment]  # noqa: SLF001
        # As `Thread.work`, without the call.
        thread.timer = timer = thread.timer.again_until(begun + duration_ns)
        yield timer
        now: int = env._now  # type: ignore[assignment]  # noqa: SLF001
        try:
            code = self._steps[step]
        except KeyError:
            code = self._steps[step] = self._codes[step]
        self._pending.extend((now, code, now - begun))
        if then is not None:
            then()
        if noted is not None:
            self._pending.extend((now, self._codes[noted[0]], noted[1]))

    def pausing(
        self, step: str, duration_ns: int, pause_ns: int, then: Callable[[], None]
    ) -> Steps:
        """Work as `work` does, under the lock; after `pause_ns` whoever waits for the lock has it.

        What run_on_cpu does in a post_load function: it waits for the vCPU with the lock let go.
        """
        begun = self.env.now
        thread, lock = self.thread, self._side.host.lock
        yield thread.work(pause_ns)
        if lock.queue:
            purpose = lock.purpose
            lock.release(thread)
            yield from lock.acquire(thread, purpose)
        yield thread.work(duration_ns - pause_ns)
        self.note(step, self.env.now - begun)
        then()

    def check(self, what: str) -> None:
        """Raise if fault injection lets the function `what` fail now: it does only if watched."""

    def write(self, step: str, amount: int, write_ns: int) -> Steps:
        """Write `amount` bytes to the socket; blocks until the last one is in its buffer.

        :raises StreamError: if the connection is no more.
        """
        pending, env, thread = self._pending, self.env, self.thread
        pending.extend((env._now, self._begins[step], amount))  # type: ignore[arg-type]  # noqa: SLF001
        waits = self.outgoing.write(amount, write_ns)
        if self.watch is not None:
            self.watch.streaming(self._side, step, "write")
        if waits is not None:
            thread.waits_for = step
            try:
                yield waits
            except StreamError:
                yield from self._while_frozen()
                raise
            thread.waits_for = ""
            self.outgoing.wrote()
        pending.extend((env._now, self._ends[step], amount))  # type: ignore[arg-type]  # noqa: SLF001

    def read(self, step: str, price: Callable[[int], int]) -> Steps:
        """Read the peer's next bulk write from the socket; `price` gives the work in ns by bytes.

        :raises StreamError: if the connection is no more.
        """
        pending, env, thread = self._pending, self.env, self.thread
        incoming = self.incoming
        begun = incoming.bytes_read
        waits = incoming.read(price)
        if self.watch is not None:
            self.watch.streaming(self._side, step, "read")
        if waits is not None:
            thread.waits_for = step
            try:
                yield waits
            except StreamError:
                yield from self._while_frozen()
                raise
            thread.waits_for = ""
            incoming.has_read()
        pending.extend((env._now, self._ends[step], incoming.bytes_read - begun))  # type: ignore[arg-type]  # noqa: SLF001


class WatchedVerbs(Verbs):
    """The same verbs, each told to the watch before and after."""

    __slots__ = ()

    def _reached(self, step: str, when: str, duration_ns: int = 0) -> Steps:
        """Tell the watch; if something strikes now, let it, before this thread goes on."""
        watch = self.watch
        if watch is not None and watch.reached(self._side, step, when, duration_ns):
            yield self.thread.work(0)

    def check(self, what: str) -> None:
        """Raise if fault injection lets the function `what` fail now."""
        error = None if self.watch is None else self.watch.error_of(self._side, what)
        if error is not None:
            self.note(f"{what} fails")
            raise error

    def send(self, message: Message) -> Steps:
        """Send a protocol message, as a watched step."""
        yield from self._reached(message.name, "before")
        yield from super().send(message)
        self.sent_at_ns[message.name] = self.env.now
        yield from self._reached(message.name, "after")

    def receive(self, message: Message) -> Steps:
        """Wait for a protocol message, as a watched step."""
        yield from self._reached(message.name, "before")
        yield from super().receive(message)
        yield from self._reached(message.name, "after")

    def work(
        self,
        step: str,
        duration_ns: int,
        then: Callable[[], None] | None = None,
        noted: tuple[str, int] | None = None,
    ) -> Steps:
        """Work, as a watched step; what strikes as it begins is in its time."""
        begun = self.env.now
        yield from self._reached(step, "before", duration_ns)
        yield self.thread.work(duration_ns)
        self.note(step, self.env.now - begun)
        yield from self._reached(step, "after")
        if then is not None:
            then()
        if noted is not None:
            self.note(*noted)

    def pausing(
        self, step: str, duration_ns: int, pause_ns: int, then: Callable[[], None]
    ) -> Steps:
        """Work with a pause, as a watched step."""
        yield from self._reached(step, "before", duration_ns)
        yield from super().pausing(step, duration_ns, pause_ns, nothing)
        yield from self._reached(step, "after")
        then()

    def write(self, step: str, amount: int, write_ns: int) -> Steps:
        """Write to the socket, as a watched step."""
        yield from self._reached(step, "before")
        yield from super().write(step, amount, write_ns)
        yield from self._reached(step, "after")

    def read(self, step: str, price: Callable[[int], int]) -> Steps:
        """Read the peer's next bulk write, as a watched step."""
        yield from self._reached(step, "before")
        yield from super().read(step, price)
        yield from self._reached(step, "after")


class Side:
    """One end of the transaction, as a design's code sees it.

    Its verbs are those of `Verbs`, and the lock's.
    """

    def __init__(
        self,
        design: Design,
        host: Host,
        thread: Thread,
        outgoing: Direction,
        incoming: Direction,
        staging: StagingBuffer,
        failover: Failover,
    ) -> None:
        self.design = design
        self.host = host
        self.env = host.env
        self.costs = host.costs
        self.thread = thread
        self.outgoing = outgoing
        self.incoming = incoming
        self.staging = staging
        self.failover = failover
        self.name = host.side
        self.lock = host.lock.by(thread).acquire
        self.held = Held(host.lock, thread)
        self.checkpoint = 0
        self.exit_reason = ""
        self.exited = False
        self._iothread_lock = host.lock
        self._speak(Verbs)

    @property
    def holds_lock(self) -> bool:
        """Whether the COLO thread has the iothread lock."""
        return self._iothread_lock.owner is self.thread

    def unlock(self) -> None:
        """Give the iothread lock back."""
        self._iothread_lock.release(self.thread)

    def _speak(self, kind: type[Verbs]) -> None:
        """Use verbs of this kind."""
        ends = (self.outgoing, self.incoming)
        self.verbs = verbs = kind(self, self.host, self.thread, ends)
        self.send = verbs.send
        self.receive = verbs.receive
        self.work = verbs.work
        self.pausing = verbs.pausing
        self.write = verbs.write
        self.read = verbs.read
        self.note = verbs.note
        self.check = verbs.check
        self.received_at_ns = verbs.received_at_ns
        self.sent_at_ns = verbs.sent_at_ns

    def watched_by(self, watch: Watch) -> None:
        """Tell `watch` of every step, from the first on."""
        self._speak(WatchedVerbs)
        self.verbs.watch = watch


Failure = (StreamError, VmstateError)
"""What ends a transaction with an error."""
