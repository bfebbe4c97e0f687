"""The two ends of one direction: a thread in its send, a thread in its receive, and their calls.

What follows the bytes between them, `colosim.network.calm` or `colosim.network.disturbed`, tells
here when a thread goes on; `colosim.network.direction` chooses which of the two it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from colosim.engine.environment import hand_over, pending
from colosim.engine.record import code_of
from colosim.network.pace import Pace
from colosim.network.small import SmallSegments

if TYPE_CHECKING:
    from collections.abc import Callable

    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.engine.ledger import Ledger
    from colosim.engine.record import Record
    from colosim.network.tcp import StreamError
    from colosim.network.transfer import Transfer
    from colosim.scenario.model import Network

WRITE, READ = "write", "read"


class Ends(ABC):
    """The ends of the bytes from `sender` to `receiver`.

    `writing` and `reading` are what the thread at either end waits for, until it goes on or its
    call fails; `price` is that of a reader whose bulk write has not begun (bytes -> ns of work).
    """

    def __init__(
        self,
        env: Environment,
        record: Record,
        network: Network,
        ledgers: tuple[Ledger, Ledger],
        ack_phase_ns: int,
    ) -> None:
        self.env = env
        self.record = record
        self.network = network
        self.sender_ledger, self.receiver_ledger = ledgers
        self.sender = self.sender_ledger.side
        self.receiver = self.receiver_ledger.side
        self.name = f"{self.sender} to {self.receiver}"
        self.reverse: Ends = self
        self.pace = Pace(network)
        self.small = SmallSegments(network, ack_phase_ns)
        self.drained_ns = 0
        """When all that is written so far will have left."""
        self.bytes_written = 0
        self.bytes_read = 0
        self.frozen = {WRITE: False, READ: False}
        self.write_error: StreamError | None = None
        self.read_error: StreamError | None = None
        self.writing: Event | None = None
        self.reading: Event | None = None
        self.price: Callable[[int], int] | None = None
        self.transfers: list[Transfer] | None = None
        """Bulk transfers whose both ends are known, if somebody wants them for tables."""
        self.levels: list[tuple[int, int, int]] | None = None
        """(time in ns, send buffer, receive buffer) at each breakpoint, if somebody wants them."""

    # ---- what the two models of the bytes between ask for --------------------------------------

    @abstractmethod
    def offer_bulk(self, amount: int) -> None:
        """A bulk write of `amount` bytes has begun: bring it and its reader together."""

    @abstractmethod
    def tell_progress(self) -> None:
        """Tell those who asked when a share of the stream passes, as far as it is known."""

    @abstractmethod
    def ack_rides(self, leaves_ns: int, arrives_ns: int) -> None:
        """A segment the other way brings the ACK of this way's last small segment along."""

    @abstractmethod
    def meet_closed_peer(self) -> None:
        """The receiver has shut its socket down: it reads no more, and resets what comes."""

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

    # ---- how their calls fail ------------------------------------------------------------------

    def refused(self, end: str, error: StreamError) -> StreamError:
        """Record that a call at this end fails with `error`, and return it to be raised."""
        self.note_failure(end, error)
        return error

    def fail_writer(self, error: StreamError) -> None:
        """Make the sender's present and later writes fail with `error`."""
        if self.write_error is None:
            self.write_error = error
        if self.writing is not None and pending(self.writing) and not self.frozen[WRITE]:
            self.note_failure(WRITE, error)
            hand_over(self.writing, self.env.event()).fail(error)
            self.writing = None
            self.stop_writing()

    def fail_reader(self, error: StreamError) -> None:
        """Make the receiver's present and later reads fail with `error`."""
        if self.read_error is None:
            self.read_error = error
        if self.reading is not None and pending(self.reading) and not self.frozen[READ]:
            self.note_failure(READ, error)
            hand_over(self.reading, self.env.event()).fail(error)
            self.reading = None

    def note_failure(self, end: str, error: StreamError) -> None:
        """Record that a send or a receive fails, and why."""
        call = f"{self.sender}: send" if end is WRITE else f"{self.receiver}: receive"
        self.record.add(code_of(f"{call} fails ({error.reason})"))

    def wake_failed(self) -> None:
        """After a thaw: let ends go on whose connection failed meanwhile."""
        if self.write_error is not None:
            self.fail_writer(self.write_error)
        if self.read_error is not None:
            self.fail_reader(self.read_error)
