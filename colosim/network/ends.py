"""The two ends of one direction: a thread in its send, a thread in its receive, and their calls.

What follows the bytes between them, `colosim.network.calm` or `colosim.network.disturbed`, tells
here when a thread goes on; `colosim.network.direction` chooses which of the two it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from colosim.engine.environment import hand_over, pending
from colosim.network.pace import Pace
from colosim.network.small import SmallSegments
from colosim.network.tcp import StreamError
from colosim.trace.events import CallFailed, ConnectionTimedOut, SocketFailed

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.network.fluid import Fluid, Point
    from colosim.network.section import Section
    from colosim.network.transfer import Transfer
    from colosim.scenario.network import Network
    from colosim.trace.record import Record

WRITE, READ = "write", "read"
MIGRATION, BLOCK_NODE, CHARDEV = "migration", "block-node", "chardev"
"""Connections, by QEMU's names for what can be yanked."""
RETRANSMISSION, WINDOW_PROBE, KEEPALIVE_PROBE = "retransmission", "window probe", "keepalive probe"


class Listener(Protocol):
    """Somebody who wants to know how the levels of a direction's buffers move."""

    def bulk_begins(self, transfer: Transfer) -> None:
        """A bulk write has begun that is in closed form."""
        ...

    def levels(self, sending: Point, receiving: Point) -> None:
        """A direction that is followed step by step is at a breakpoint of its buffers' levels."""
        ...


class Disturbable(Protocol):
    """What a disturbance of one direction acts on: the direction itself, or the fluid it became."""

    def freeze(self, end: str, *, frozen: bool) -> None:
        """Freeze or thaw the thread at one end (`WRITE` or `READ`); the kernel goes on."""
        ...

    def cut(self) -> None:
        """Let the link carry nothing from now on; what is in flight is lost."""
        ...

    def mend(self) -> None:
        """Let the link carry again: the next retransmission or probe gets through."""
        ...

    def close(self) -> None:
        """The sender's side is shut down: what is buffered still goes, then the stream ends."""
        ...

    def meet_closed_peer(self) -> None:
        """The receiver has shut its socket down: it reads no more, and resets what comes."""
        ...


class Ends(ABC):
    """The ends of the bytes from `sender` to `receiver`.

    `price` is that of a reader whose bulk write has not begun: what reading a section takes the
    thread alone, in ns.
    """

    def __init__(
        self,
        env: Environment,
        record: Record,
        network: Network,
        sides: tuple[str, str],
        ack_phase_ns: int,
    ) -> None:
        self.env = env
        self.record = record
        self.network = network
        self.sender, self.receiver = sides
        self.name = f"{self.sender} to {self.receiver}"
        self.reverse: Ends = self
        self.instance = MIGRATION
        """The connection that it is of."""
        self.pace = Pace(network)
        self.ack_phase_ns = ack_phase_ns
        """Phase of the tick on which the receiver's kernel sends delayed ACKs."""
        self.bytes_written = 0
        self.bytes_read = 0
        self.write_error: StreamError | None = None
        self.read_error: StreamError | None = None
        self.price: Callable[[Section], int] | None = None
        self.values: deque[int] = deque()
        """What messages with a value carry, of those that are not read."""
        self.listeners: list[Listener] = []
        self.shuts_down = False
        """Whether GUEST_SHUTDOWN, after which nothing is sent, is what is read next or last."""
        self.unwritten_bytes = 0
        """What the last bulk write had not got into the socket when it failed."""

    # ---- what a direction does, whatever model follows its bytes -------------------------------

    @abstractmethod
    def send(self, amount: int) -> Event | None:
        """Write a message of `amount` bytes and flush it; return what to wait for if it blocks.

        :raises StreamError: if the connection is no more.
        """

    @abstractmethod
    def write(self, section: Section, write_ns: int) -> Event | None:
        """Write a section, which alone takes the thread `write_ns`; return what to wait for.

        :raises StreamError: if the connection is no more, before or while it is written.
        """

    @abstractmethod
    def wrote(self) -> None:
        """The writer goes on."""

    @abstractmethod
    def receive(self, amount: int, wake_ns: int) -> Event | None:
        """Read a message of `amount` bytes; return what to wait for if it is not there.

        `wake_ns`: what it costs if the reader sleeps until the message comes.

        :raises StreamError: if the connection is no more or ends before the message.
        """

    @abstractmethod
    def read(self, price: Callable[[Section], int]) -> Event | None:
        """Read the next section, which is known once its write begins; return what to wait for.

        `price`: what reading a section takes the thread alone, in ns.

        :raises StreamError: if the connection is no more or ends before the last byte.
        """

    @abstractmethod
    def has_read(self) -> None:
        """The reader goes on with what it has got."""

    @abstractmethod
    def when_passed(self, what: str, share_ppm: int, plan: Callable[[int], None]) -> None:
        """Tell `plan` when `share_ppm` of the stream under way will have passed one end.

        It is told once that is known; if that share never passes, not at all.
        """

    @abstractmethod
    def set_factors(self, *, bandwidth_ppm: int, latency_ppm: int) -> None:
        """Multiply bandwidth or latency by millionths; bytes in flight keep their latency."""

    @abstractmethod
    def disturb(self) -> Disturbable:
        """Return what a disturbance of the direction acts on, brought up to now."""

    @abstractmethod
    def levels_now(self) -> tuple[int, int]:
        """Return the levels of send and receive buffer in bytes, now."""

    @abstractmethod
    def levels_at(self, at_ns: int, see: Callable[[int, int, int], None]) -> tuple[int, int]:
        """Return the levels that the buffers come to by themselves at a time to come.

        A look ahead that changes nothing.  `see` is told (time in ns, levels) on the way.  A
        buffer that has no room for what is to come next counts as full.
        """

    @property
    @abstractmethod
    def starved(self) -> bool:
        """Whether a thread waits in its receive for more than has been written."""

    @property
    @abstractmethod
    def retry(self) -> str:
        """By what the sender's kernel would find out that the peer is back or gone."""

    @property
    def fluid(self) -> Fluid | None:
        """The exact fluid that it is followed as just now, if it is."""
        return None

    @property
    def transfer(self) -> Transfer | None:
        """The last bulk transfer in closed form, if there was one."""
        return None

    @property
    @abstractmethod
    def writer_blocked(self) -> bool:
        """Whether a thread waits in its send."""

    @property
    @abstractmethod
    def reader_blocked(self) -> bool:
        """Whether a thread waits in its receive."""

    # ---- how calls fail ------------------------------------------------------------------------

    @abstractmethod
    def fail_writer(self, error: StreamError) -> None:
        """Make the sender's present and later writes fail with `error`."""

    @abstractmethod
    def fail_reader(self, error: StreamError) -> None:
        """Make the receiver's present and later reads fail with `error`."""

    def fail(self, reason: str) -> None:
        """Let the sender's socket fail: its writes, and its reads of the other direction."""
        self.fail_writer(StreamError(reason))
        self.reverse.fail_reader(StreamError(reason))

    def give_up(self) -> None:
        """Let the sender's kernel give up (ETIMEDOUT), unless the connection has ended before."""
        if self.write_error is None:
            if self.instance == MIGRATION:
                self.record.note(ConnectionTimedOut(self.sender))
            self.fail("connection timed out")

    def refused(self, end: str, error: StreamError) -> StreamError:
        """Record that a call at this end fails with `error`, and return it to be raised."""
        self.note_failure(end, error)
        return error

    def note_failure(self, end: str, error: StreamError) -> None:
        """Record that a send or a receive fails, and why."""
        side, call = (self.sender, "send") if end is WRITE else (self.receiver, "receive")
        if self.instance == MIGRATION:
            self.record.note(CallFailed(side, call, error.reason))
        else:
            self.record.note(SocketFailed(side, self.instance, error.reason))

    def wake_failed(self) -> None:
        """After a thaw: let ends go on whose connection failed meanwhile."""
        if self.write_error is not None:
            self.fail_writer(self.write_error)
        if self.read_error is not None:
            self.fail_reader(self.read_error)


class FastEnds(Ends):
    """Ends with what the closed form and the fluid need to hand a direction on to each other.

    `writing` and `reading` are what the thread at either end waits for, until it goes on or its
    call fails.
    """

    reverse: FastEnds

    def __init__(self, *ends: Any) -> None:
        super().__init__(*ends)
        self.small = SmallSegments(self.network, self.ack_phase_ns)
        self.drained_ns = 0
        """When all that is written so far will have left."""
        self.bulk_left_ns = 0
        """When the last bulk in closed form will have left, as far as that is known."""
        self.frozen = {WRITE: False, READ: False}
        self.writing: Event | None = None
        self.reading: Event | None = None

    @property
    @abstractmethod
    def left_ns(self) -> int:
        """When the last byte left its sender, if none is under way."""

    @abstractmethod
    def offer_bulk(self, section: Section) -> None:
        """The write of a section has begun: bring it and its reader together."""

    @abstractmethod
    def report_progress(self) -> None:
        """Tell those who asked when a share of the stream passes, as far as it is known."""

    @abstractmethod
    def ack_rides(self, leaves_ns: int, arrives_ns: int) -> None:
        """A segment the other way brings the ACK of this way's last small segment along."""

    @abstractmethod
    def stop_writing(self) -> None:
        """The sender's blocked send has failed: what did not fit is never written."""

    # ---- how threads go on ---------------------------------------------------------------------

    def writer_goes_on(self, at_ns: int | None) -> None:
        """Let the thread in its send go on at `at_ns`, now if that has passed; None: not yet."""
        self.writing = self._moved(self.writing, at_ns)

    def reader_goes_on(self, at_ns: int | None) -> None:
        """Let the thread in its receive go on at `at_ns`, now if that has passed; None: not yet."""
        self.reading = self._moved(self.reading, at_ns)

    def _moved(self, wait: Event | None, at_ns: int | None) -> Event | None:
        if wait is None or wait.callbacks is None:
            return wait
        if at_ns is None:
            return hand_over(wait, self.env.event()) if wait.triggered else wait
        return hand_over(wait, self.env.timeout(max(0, at_ns - self.env.now)))

    @property
    def writer_blocked(self) -> bool:
        """Whether a thread waits in its send."""
        return pending(self.writing)

    @property
    def reader_blocked(self) -> bool:
        """Whether a thread waits in its receive."""
        return pending(self.reading)

    def fail_writer(self, error: StreamError) -> None:
        """Make the sender's present and later writes fail with `error`."""
        self.write_error = self.write_error or error
        if self._fails(WRITE, self.writing, error):
            self.writing = None
            self.stop_writing()

    def fail_reader(self, error: StreamError) -> None:
        """Make the receiver's present and later reads fail with `error`."""
        self.read_error = self.read_error or error
        if self._fails(READ, self.reading, error):
            self.reading = None

    def _fails(self, end: str, wait: Event | None, error: StreamError) -> bool:
        """Let the call under way at this end fail, if there is one and its thread goes on."""
        if wait is None or not pending(wait) or self.frozen[end]:
            return False
        self.note_failure(end, error)
        hand_over(wait, self.env.event()).fail(error)
        return True
