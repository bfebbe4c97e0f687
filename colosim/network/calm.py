"""A direction that nothing disturbs: every write and read answered in closed form.

A message or a bulk transfer (`colosim.network.transfer`) costs the thread at each end at most one
event.  All times are known as soon as both ends of a transfer are.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from colosim.engine.clock import PPM
from colosim.errors import DesignError
from colosim.network.ends import READ, WRITE
from colosim.network.transfer import Transfer, reached, room_ns

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.network.ends import FastEnds
    from colosim.network.section import Section

    UnderWay = tuple[str, int, int, int, int]
    """What is under way: `WRITE` or `READ`, since when, how many bytes, how long it takes alone,
    and until when Nagle holds it back (0: not at all)."""

TSO_BYTES = 65_536
"""Largest packet that the stack hands to the device in one piece (size_goal with GSO)."""
_SHAPES = 4096


class Calm:
    """The bytes between two ends, in closed form."""

    def __init__(self, ends: FastEnds) -> None:
        self._ends = ends
        self.env = ends.env
        network = ends.network
        self._mss_bytes = network.mss_bytes
        self._send_buffer_bytes = network.send_buffer_bytes
        self._receive_buffer_bytes = network.receive_buffer_bytes
        self.transfer: Transfer | None = None
        """The last bulk transfer."""
        # Those whose bytes may still be in a buffer, as far as the sender knows.
        self._ahead: deque[Transfer] = deque()
        # What has arrived or will, and is not read: a message (when it does, when it was written,
        # its bytes), or a transfer.
        self._inbox: deque[tuple[int, int, int] | Transfer] = deque()
        # The stream whose last segment Nagle holds back.
        self._held: Transfer | None = None
        # Whether the reader waits for a message that has not been sent; its bytes; its wake-up.
        self._awaited = False
        self._wants = 0
        self._wake_ns = 0
        self._written_ns = 0
        self._bucket_full_ns = 0
        self._shapes: dict[tuple[int, ...], tuple[int, int, int]] = {}

    def rates_changed(self) -> None:
        """The direction's pace is another one."""
        self._shapes.clear()

    @property
    def end_is_known(self) -> bool:
        """Whether it is known when all that is written will have left.

        Of a stream beyond the receive window it is once that has met its reader.  Else nothing that
        is written behind it is in closed form.
        """
        last = self.transfer
        return last is None or last.leaves_by_itself or last.reader_ns >= 0

    # ---- messages ------------------------------------------------------------------------------

    def send(self, amount: int) -> None:
        """Write a message of `amount` bytes and flush it; it never blocks.

        Behind a backlog it rides along; one may overshoot the buffer (sk_stream_memory_free).
        """
        ends, now = self._ends, self.env.now
        small = ends.small
        leaves = ends.drained_ns
        if leaves <= now:
            leaves = small.may_leave_ns(now)
            if leaves > now:
                ends.drained_ns = small.held_until_ns = leaves
                self._held = None
        arrives = leaves + ends.pace.latency_ns
        small.left(arrives)
        ends.reverse.ack_rides(leaves, arrives)
        bulk_left = ends.reverse.bulk_left_ns
        if arrives <= bulk_left:  # its ACK goes with what still leaves the other way
            ends.ack_rides(bulk_left, bulk_left + ends.reverse.pace.latency_ns)
        self._inbox.append((arrives, now, amount))
        if self._awaited:
            self._awaited = False
            ends.reader_goes_on(arrives + self._wake_ns)

    def receive(self, amount: int, wake_ns: int) -> Event | None:
        """Read a message of `amount` bytes; return what to wait for if it is not there.

        `wake_ns`: what it costs if the reader sleeps until the message comes.
        """
        now = self.env.now
        self._wants, self._wake_ns = amount, wake_ns
        if not self._inbox:
            self._awaited = True
            self._ends.reading = self.env.event()
            return self._ends.reading
        first = self._inbox[0]
        if isinstance(first, Transfer):
            raise DesignError("reads a message where its peer has written a stream")
        arrives = first[0]
        if arrives <= now:
            return None
        self._ends.reading = self.env.timeout(arrives + wake_ns - now)
        return self._ends.reading

    def has_read(self) -> None:
        """Take what the reader has got off the inbox."""
        self._inbox.popleft()

    def move_held(self, held_until: int, leaves: int) -> None:
        """Let the small writes that were to leave at `held_until` leave earlier."""
        ends = self._ends
        latency = ends.pace.latency_ns
        late, soon = held_until + latency, leaves + latency
        inbox = self._inbox
        held = [isinstance(item, tuple) and item[0] == late for item in inbox]
        if not any(held):
            return
        ends.drained_ns = min(ends.drained_ns, leaves)
        for place, (item, was_held) in enumerate(zip(tuple(inbox), held, strict=True)):
            if was_held and isinstance(item, tuple):
                inbox[place] = (soon, item[1], item[2])
        if ends.reading is not None and ends.price is None and held[0]:
            ends.reader_goes_on(soon + self._wake_ns)

    # ---- bulk ----------------------------------------------------------------------------------

    def takes_along(self, amount: int) -> None:
        """Let a bulk write take along what Nagle held back before it.

        That is the last segment of a stream, which it fills up, or small writes.  Of these a large
        one fills segments at once; a small one is deferred with them until the next ACK, which its
        first full segment would bring within a round trip (tcp_tso_should_defer).
        """
        ends, now = self._ends, self.env.now
        held_until = ends.small.held_until_ns
        if held_until <= now:
            return
        ends.small.held_until_ns = 0
        leaves, held = now, self._held
        if held is not None:
            leaves = self._release(held)
        elif amount < TSO_BYTES:
            leaves = min(held_until, now + 2 * ends.pace.latency_ns)
        if leaves < held_until:
            ends.small.acknowledged(leaves if held is None else held_until)
            self.move_held(held_until, leaves)
            ends.drained_ns = leaves

    def _release(self, held: Transfer) -> int:
        """Let the last segment of a stream go; return when it leaves."""
        self._held = None
        left = held.release(self.env.now)
        self._has_left(held, left)
        if held.reader_ns >= 0:
            self._ends.reader_goes_on(held.read_end_ns())
            held.opens_ns = held.read_end_ns() + held.latency_ns
        return left

    def write(self, section: Section, write_ns: int) -> Event | None:
        """Write a section, which alone takes the thread `write_ns`; return what to wait for.

        None: it is not in closed form.
        """
        ends, now = self._ends, self.env.now
        begun = self._transfer(section.size_bytes, write_ns)
        if begun is None:
            return None
        transfer, left = begun
        self.transfer = transfer
        self._ahead.append(transfer)
        self._inbox.append(transfer)
        for listener in ends.listeners:
            listener.bulk_begins(transfer)
        if transfer.leaves_by_itself:
            self._has_left(transfer, left)
        price = ends.price
        if price is not None and len(self._inbox) == 1:
            transfer.reader_ns = now
            transfer.read_ns = price(section)
            self._join(transfer)
        else:
            ends.offer_bulk(section)
        if transfer.reader_ns < 0 and transfer.needs_reader:
            ends.writing = self.env.event()
        else:
            ends.writing = self.env.timeout(transfer.written_ns() - now)
        return ends.writing

    def _transfer(self, amount: int, write_ns: int) -> tuple[Transfer, int] | None:
        """Return the transfer that a bulk write begins, and when it leaves if by itself.

        It is in closed form if nothing ahead is unread, or else if the window takes all of it in
        the end and, where that must open first, the send buffer does.  None: it is not.
        """
        now, ahead = self.env.now, self._ahead
        while ahead and ahead[0].opens_ns <= now:
            ahead.popleft()
        if not self.end_is_known:
            return None
        is_behind = self._ends.drained_ns > now
        opens = None
        if ahead or is_behind:
            opens = self._opens_ns(amount)
            if opens is None or (opens > now and amount > self._send_buffer_bytes):
                return None
        if is_behind:
            drained, room = self._ends.drained_ns, amount - self._send_buffer_bytes
            transfer = self._begun(drained, amount, write_ns)
            transfer.queue(drained, now, room_ns(ahead, room, now))
        else:
            transfer = self._alone(amount, write_ns)
        transfer.leaves_by_itself = amount <= self._receive_buffer_bytes
        left = transfer.left_ns(amount)
        if opens is not None and opens > left:
            transfer.leave_at(opens)
            left = opens
        return transfer, left

    def _opens_ns(self, amount: int) -> int | None:
        """Return when the sender knows of room for `amount` bytes in the window, behind all ahead.

        None: that hangs on a reader who has not come.  Messages take next to nothing of it.
        """
        now, beyond = self.env.now, amount - self._receive_buffer_bytes
        for one, over in reached(self._ahead, beyond, now):
            if over:
                return one.passed_ns(READ, over) + one.latency_ns if one.reader_ns >= 0 else None
        return None if beyond > 0 else now

    def _begun(self, start: int, amount: int, write_ns: int, head: int = 0) -> Transfer:
        pace = self._ends.pace
        return Transfer(
            start,
            amount,
            write_ns,
            pace.link_ns(amount),
            pace.latency_ns,
            self._send_buffer_bytes,
            self._receive_buffer_bytes,
            head,
        )

    def _alone(self, amount: int, write_ns: int) -> Transfer:
        """Return the transfer that a bulk write begins when all before it has left."""
        pace, now = self._ends.pace, self.env.now
        # The request shrank the window; only bulk grows it again.
        slow_ns = pace.slow_start_ns(amount, write_ns, now - self._ends.bulk_left_ns)
        head = pace.tokens(self._bucket_full_ns - now)
        transfer = self._begun(now + slow_ns, amount, write_ns, head)
        if self._ends.network.nagle and amount % self._mss_bytes:
            # Its full segments go; the rest waits for the ACK that they hasten.  Its writer does
            # not: all is in the send buffer.
            hastened, left = now + 2 * pace.latency_ns, transfer.left_ns(amount)
            if left < hastened:
                acked = self._ends.small.acked_ns
                waits = min(acked, hastened) - left
                if acked > now and waits > 0:
                    transfer.hold_back(waits, left)
                    self._ends.small.held_until_ns = left + waits
                    self._held = transfer
        return transfer

    def meet_reader(self, read_ns: int) -> bool:
        """A reader has come for the bulk write that is first in line, and needs `read_ns` for it.

        Returns whether that is in closed form.
        """
        now = self.env.now
        transfer = self._inbox[0] if self._inbox else None
        if not isinstance(transfer, Transfer):
            return False
        late = max(0, now - transfer.start_ns - transfer.latency_ns)
        if late and self._ends.pace.burst_bytes and transfer.blocks_before(now):
            return False  # its bucket fills meanwhile
        transfer.reader_ns = now
        transfer.read_ns = read_ns
        self._join(transfer, late)
        if transfer.needs_reader:
            self._ends.writer_goes_on(self._written_ns)
        return True

    def _join(self, transfer: Transfer, late: int = 0) -> None:
        """Bring a transfer and its reader together: now both ends are known.

        `late`: how long after the first byte the reader has come.
        """
        ends = self._ends
        ends.price = None
        start, size = transfer.start_ns, transfer.size_bytes
        ends.bytes_read += size
        key = (
            size,
            transfer.write_ns,
            transfer.link_ns,
            transfer.read_ns,
            transfer.head_bytes,
            transfer.lead_ns,
            transfer.delay_ns,
            late,
        )
        try:
            left, end, written = self._shapes[key]
        except KeyError:
            left, end, written = self._shape(transfer, key)
        self._written_ns = start + written
        transfer.opens_ns = start + end + transfer.latency_ns
        ends.reader_goes_on(start + end)
        if not transfer.leaves_by_itself:
            self._has_left(transfer, start + left)
        ends.report_progress()

    def _has_left(self, transfer: Transfer, left: int) -> None:
        """The last byte of a transfer leaves then: that is in the state of either end."""
        ends, pace = self._ends, self._ends.pace
        ends.drained_ns = ends.bulk_left_ns = left
        if pace.burst_bytes:
            # A bulk transfer has emptied the token bucket (a message hardly touches it).
            self._bucket_full_ns = left + pace.burst_ns
        arrived = left + transfer.latency_ns
        ends.small.bulk_left(arrived)
        if transfer.size_bytes % self._mss_bytes:
            ends.small.tail_left(arrived)
        ends.reverse.ack_rides(left, arrived)

    def _shape(self, transfer: Transfer, key: tuple[int, ...]) -> tuple[int, int, int]:
        """Work out the times of a transfer, from the start; like ones share them."""
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        start = transfer.start_ns
        shape = self._shapes[key] = (
            transfer.left_ns(transfer.size_bytes) - start,
            transfer.read_end_ns() - start,
            transfer.written_ns() - start,
        )
        return shape

    # ---- to the fluid and back -----------------------------------------------------------------

    def under_way(self) -> list[UnderWay]:
        """Return what a fluid must replay: all that is not read, and a reader that waits."""
        found: list[UnderWay] = []
        for item in self._inbox:
            if isinstance(item, tuple):
                arrives, written_ns, amount = item
                leaves = arrives - self._ends.pace.latency_ns
                held_ns = leaves if leaves == self._ends.small.held_until_ns > self.env.now else 0
                found.append((WRITE, written_ns, amount, 0, held_ns))
                continue
            # Of what it waited for, some may be read by now, and is not replayed.
            held_ns = item.start_ns + max(0, item.delay_ns) if item.lead_ns else 0
            found.append((WRITE, item.filled_from_ns, item.size_bytes, item.write_ns, held_ns))
            if item.reader_ns >= 0:
                found.append((READ, item.reader_ns, item.size_bytes, item.read_ns, 0))
        if self._ends.reading is not None and self._wants:
            # It came before what it waits for.
            since = min((entry[1] for entry in found), default=self.env.now)
            found.insert(0, (READ, since, self._wants, self._wake_ns, 0))
        return found

    def leave(self) -> None:
        """Leave the bytes under way to the fluid."""
        self._inbox.clear()
        self._held = None
        self._awaited = False

    def resume(self, bulk_left_ns: int, waiting: tuple[int, int] | None) -> None:
        """Go on where a fluid has come to rest; `waiting`: what a reader wants, and its wake-up."""
        ends = self._ends
        self.transfer = None
        self._ahead.clear()
        ends.drained_ns = min(ends.drained_ns, self.env.now)
        ends.bulk_left_ns = bulk_left_ns
        if waiting is not None:
            self._wants, self._wake_ns = waiting
            self._awaited = ends.reading is not None

    def expects_bulk(self) -> None:
        """The reader waits for a bulk write, not for a message."""
        self._wants = 0

    def passed_ns(self, end: str, share_ppm: int) -> int | None:
        """Return when a share of the last transfer passes one end; None if that is not known."""
        transfer = self.transfer
        if transfer is None:
            return None
        if transfer.reader_ns < 0 and (end is READ or transfer.needs_reader):
            return None
        return transfer.passed_ns(end, transfer.size_bytes * share_ppm // PPM)
