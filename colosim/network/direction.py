"""One direction of a TCP connection: what the sender's and the receiver's kernel do with bytes.

As long as nothing disturbs it, every write and read is answered in closed form
(`colosim.network.calm`).  From the first disturbance on (a freeze, a lost link, a write into a
window that a late reader has yet to open) the direction is followed as an exact fluid
(`colosim.network.disturbed`), until that is empty and calm again.

A thread that writes or reads yields the event it is given, if any, and then calls `wrote`
or `has_read`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from colosim.network.calm import Calm
from colosim.network.disturbed import Disturbed, fluid_of
from colosim.network.ends import (
    KEEPALIVE_PROBE,
    READ,
    RETRANSMISSION,
    WINDOW_PROBE,
    WRITE,
    FastEnds,
)

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.network.fluid import Fluid
    from colosim.network.section import Section
    from colosim.network.transfer import Transfer


class Direction(FastEnds):
    """Bytes from `sender` to `receiver`, in order, blocking at both ends as sockets do."""

    reverse: Direction

    def __init__(self, *ends: Any) -> None:
        super().__init__(*ends)
        self._calm = Calm(self)
        self.disturbed: Disturbed | None = None
        # What is written that no reader has come for yet.
        self._unclaimed: deque[Section] = deque()
        self._progress_marks: list[tuple[str, int, Callable[[int], None]]] = []

    # ---- writing -------------------------------------------------------------------------------

    def send(self, amount: int) -> Event | None:
        """Write a message of `amount` bytes and flush it; return what to wait for if it blocks.

        :raises StreamError: if the connection is no more.
        """
        if self.write_error is not None:
            raise self.refused(WRITE, self.write_error)
        self.bytes_written += amount
        if (
            self.disturbed is None or self._has_come_to_rest(self.disturbed)
        ) and self._calm.end_is_known:
            self._calm.send(amount)
            return None
        return self.disturb().send(amount)

    def write(self, section: Section, write_ns: int) -> Event | None:
        """Write a section, which alone takes the thread `write_ns`; return what to wait for.

        :raises StreamError: if the connection is no more, before or while it is written.
        """
        if self.write_error is not None:
            raise self.refused(WRITE, self.write_error)
        self.bytes_written += section.size_bytes
        self.unwritten_bytes = 0
        if self.disturbed is None:
            self._calm.takes_along(section.size_bytes)
        if self.disturbed is None or self._has_come_to_rest(self.disturbed):
            waits = self._calm.write(section, write_ns)
            if waits is not None:
                self._look_after(self._calm.transfer)
                return waits
        return self.disturb().write(section, write_ns)

    def _look_after(self, transfer: Transfer | None) -> None:
        """With a send timeout, see to it that a send ends whose reader has not come by then."""
        timeout_ns = self.network.send_timeout_ns
        if timeout_ns is None or transfer is None or transfer.reader_ns >= 0:
            return
        if not transfer.needs_reader:
            return

        def look() -> None:
            unread = self._calm.transfer is transfer and transfer.reader_ns < 0
            if unread and self.disturbed is None:
                self.disturb().replan()

        self.env.call_at(self.env.now + timeout_ns, look, onlooker=True)

    def wrote(self) -> None:
        """The writer goes on."""
        self.writing = None
        if self.disturbed is not None:
            self.disturbed.catch_up()

    def stop_writing(self) -> None:
        """The sender's blocked send has failed: what did not fit is never written."""
        if self.disturbed is not None:
            self.disturbed.stop_writing()

    # ---- reading -------------------------------------------------------------------------------

    def receive(self, amount: int, wake_ns: int) -> Event | None:
        """Read a message of `amount` bytes; return what to wait for if it is not there.

        `wake_ns`: what it costs if the reader sleeps until the message comes.

        :raises StreamError: if the connection is no more or ends before the message.
        """
        if self.read_error is not None:
            raise self.refused(READ, self.read_error)
        if self.disturbed is None:
            self.bytes_read += amount
            return self._calm.receive(amount, wake_ns)
        return self.disturbed.receive(amount, wake_ns)

    def read(self, price: Callable[[Section], int]) -> Event | None:
        """Read the next section, which is known once its write begins; return what to wait for.

        `price`: what reading a section takes the thread alone, in ns.

        :raises StreamError: if the connection is no more or ends before the last byte.
        """
        if self.read_error is not None:
            raise self.refused(READ, self.read_error)
        self.price = price
        self._calm.expects_bulk()
        self.reading = self.env.event()
        if self._unclaimed:
            self._match_reader(self._unclaimed.popleft())
        elif self.disturbed is not None:
            self.disturbed.replan()
        return self.reading

    def has_read(self) -> None:
        """The reader goes on with what it has got."""
        self.reading = None
        if self.disturbed is None:
            self._calm.has_read()
        else:
            self.disturbed.catch_up()

    def offer_bulk(self, section: Section) -> None:
        """A write has begun: give it to the waiting reader, or keep it for one that comes."""
        if self.price is not None and self.disturbed is not None:
            self._match_reader(section)
        else:
            self._unclaimed.append(section)

    def _match_reader(self, section: Section) -> None:
        """The waiting reader knows now what it reads: bring it and the bytes together."""
        price = self.price
        assert price is not None  # noqa: S101 - a reader waits
        read_ns = price(section)
        if self.disturbed is None and self._calm.meet_reader(read_ns):
            return
        self.price = None
        self.bytes_read += section.size_bytes
        self.disturb().want(section.size_bytes, read_ns)

    # ---- when part of a stream has passed ------------------------------------------------------

    def when_passed(self, what: str, share_ppm: int, plan: Callable[[int], None]) -> None:
        """Tell `plan` when `share_ppm` of the stream under way will have passed one end.

        It is told once that is known; if that share never passes, not at all.
        """
        self._progress_marks.append((what, share_ppm, plan))
        self.report_progress()

    def report_progress(self) -> None:
        """Tell those who asked when a share of the stream passes, as far as it is known."""
        if not self._progress_marks:
            return
        marks, self._progress_marks = self._progress_marks, []
        for what, share_ppm, plan in marks:
            if self.disturbed is not None:
                at = self.disturbed.fluid.passed_time(what, share_ppm)
            else:
                at = self._calm.passed_ns(what, share_ppm)
            if at is None:
                self._progress_marks.append((what, share_ppm, plan))
            else:
                plan(max(self.env.now, at))

    # ---- acknowledgements ----------------------------------------------------------------------

    def ack_rides(self, leaves_ns: int, arrives_ns: int) -> None:
        """A segment the other way brings the ACK of this way's last small segment along."""
        disturbed, small = self.disturbed, self.small
        overtaken = small.ack_rides(leaves_ns, arrives_ns, may_hold=disturbed is not None)
        if overtaken is None:
            return
        if disturbed is not None:
            disturbed.release(overtaken, arrives_ns)
        elif small.held_until_ns == overtaken:
            small.held_until_ns = 0
            self._calm.move_held(overtaken, max(arrives_ns, self.env.now))

    # ---- to the fluid and back -----------------------------------------------------------------

    def _has_come_to_rest(self, disturbed: Disturbed) -> bool:
        """Whether nothing disturbs the direction any more: then the fluid is left."""
        if not disturbed.at_rest():
            return False
        self.disturbed = None
        self._calm.resume(disturbed.bulk_left_ns, disturbed.unread_want())
        return True

    def disturb(self) -> Disturbed:
        """Go over to the fluid, if that is not so already, and return it brought up to now."""
        if self.disturbed is None:
            self.disturbed = Disturbed(self, self._fluid(), self.bulk_left_ns)
            self._calm.leave()
        self.disturbed.catch_up()
        return self.disturbed

    # ---- disturbances --------------------------------------------------------------------------

    def set_factors(self, *, bandwidth_ppm: int, latency_ppm: int) -> None:
        """Multiply bandwidth or latency by millionths; bytes in flight keep their latency."""
        if self.pace.has_factors(bandwidth_ppm, latency_ppm):
            return
        disturbed = self.disturb()
        self.pace.set_factors(bandwidth_ppm, latency_ppm)
        self.small.set_latency(self.pace.latency_ns)
        self._calm.rates_changed()
        disturbed.rates_changed()

    def _fluid(self) -> Fluid:
        """Return a fluid of what is under way in closed form, as it stands now."""
        return fluid_of(self, self._calm.under_way())

    # ---- what is known of it -------------------------------------------------------------------

    def _twin(self) -> Fluid:
        """Return a copy of the fluid, or what would be it: to look ahead with, without effect."""
        return self._fluid() if self.disturbed is None else self.disturbed.fluid.twin()

    def levels_at(self, at_ns: int, see: Callable[[int, int, int], None]) -> tuple[int, int]:
        """Return the levels that the buffers come to by themselves at a time to come."""
        fluid = self._twin()
        fluid.on_levels = lambda sending, receiving: see(
            -int(-sending.at // 1), -int(-sending.level // 1), -int(-receiving.level // 1)
        )
        fluid.advance(max(at_ns, self.env.now))
        sending, receiving = fluid.written - fluid.left, fluid.arrived.value - fluid.read
        return -int(-sending // 1), -int(-receiving // 1)

    @property
    def starved(self) -> bool:
        """Whether a thread waits in its receive for more than has been written."""
        fluid = self._twin()
        return self.price is not None or fluid.reads.goal > fluid.written

    @property
    def retry(self) -> str:
        """By what the sender's kernel would find out that the peer is back or gone."""
        fluid = self._twin()
        fluid.advance(self.env.now)
        if fluid.closed_at is not None:
            return WINDOW_PROBE
        return RETRANSMISSION if fluid.writes.goal > fluid.arrived.value else KEEPALIVE_PROBE

    @property
    def fluid(self) -> Fluid | None:
        """The exact fluid that it is followed as just now, if it is."""
        return None if self.disturbed is None else self.disturbed.fluid

    @property
    def transfer(self) -> Transfer | None:
        """The last bulk transfer in closed form."""
        return self._calm.transfer

    @property
    def left_ns(self) -> int:
        """When the last byte left its sender, if none is under way."""
        bulk = self if self.disturbed is None else self.disturbed
        return max(self.drained_ns, bulk.bulk_left_ns, self.small.left_ns)

    def levels_now(self) -> tuple[int, int]:
        """Return the levels of send and receive buffer in bytes, now."""
        return self.disturb().levels_now()
