"""One direction of a connection in closed form, at many points at once.

What `colosim.network.calm`, `small` and `pace` say of one run, in the same words and without
branches on a point.  Where the simulation would leave its closed form, and where it hangs on chance
who of two threads acts first, points are taken out by name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import Refused, column, everywhere, plain, some
from colosim.arrays.small import SmallSegments
from colosim.arrays.threads import Call
from colosim.arrays.transfer import MOST_BYTES, Transfer, ceil_div
from colosim.engine.clock import NS_PER_S, larger, smaller
from colosim.network.calm import TSO_BYTES
from colosim.network.tcp import INITIAL_WINDOW_SEGMENTS, RTO_MIN_NS

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks
    from colosim.arrays.threads import Environment
    from colosim.network.section import Section

LARGE_BEHIND = "a large write behind a backlog"
ORDER = "calls out of their order in time"


@dataclass(eq=False, slots=True)
class Message:
    """A small write: when it arrives, when it was written, whether its reader has asked for it.

    `is_fixed`: whether it arrives then whatever happens, for it left as it was written.
    """

    arrives: Ints
    begun: Ints
    is_fixed: bool
    taken: bool = False
    is_stream: bool = False


class Direction:
    """Bytes from one end to the other, at each point as a `colosim.network.calm.Calm` has them."""

    instance = ""
    write_error = read_error = None
    shuts_down = False
    unwritten_bytes = 0
    reverse: Direction

    def __init__(
        self, env: Environment, _record: Any, network: Any, _sides: Any, ack_phase_ns: Any
    ) -> None:
        self.env, self.network, self._phase = env, network, plain(ack_phase_ns)
        zero = env.begin.view(np.ndarray)
        self.bytes_written: Any = 0
        self.bytes_read: Any = 0
        self.values: deque[Any] = deque()
        self.inbox: deque[Message | Transfer] = deque()
        self._movable: deque[Message] = deque(maxlen=8)
        self.writer: Call | None = None
        self.reader: Call | None = None
        self._backlog: list[Transfer] = []
        self._last: Transfer | None = None
        self._last_put: Message | Transfer | None = None
        self._leaves_by_itself: Masks = zero > 0
        # When the thread at the sending and at the receiving end last did something.
        self.wrote_at = self.read_at = zero - 1
        self.drained = self.bulk_left = self.bucket_full = zero
        self.unmet = False
        """Whether the reader of the last bulk write has yet to come."""
        self._unproven = False
        """Whether nothing was written since, so that it may be come too late."""
        self._set_pace()

    def _set_pace(self) -> None:
        """Work out what `colosim.network.pace.Pace` does, as columns: they notice an overflow."""
        net, zero = self.network, self.env.begin
        latency, rtt = zero + net.latency_ns, 2 * (zero + net.latency_ns)
        window = smaller(zero + net.send_buffer_bytes, net.receive_buffer_bytes)
        by_window = window * NS_PER_S * (rtt > 0) // larger(rtt, 1)
        rate, burst = by_window, zero
        if net.bandwidth_bytes_per_s is not None:
            link = zero + net.bandwidth_bytes_per_s * net.payload_bytes // net.frame_bytes
            link = larger(link, 1)
            by_link = (rtt == 0) | (link <= by_window)
            rate = by_window + (link - by_window) * by_link
            has_burst = by_link & (window > net.burst_bytes + link * rtt // NS_PER_S)
            burst = zero + net.burst_bytes * NS_PER_S // NS_PER_S * has_burst
        self._in_no_time = bool(some(latency == 0))
        self._limited, self._none = plain(rate > 0), plain(zero - 1)
        self._never = plain(zero + (1 << 60))
        rate = larger(rate, 1)
        full_window = smaller(window, rate * rtt // NS_PER_S)
        first_window = zero + INITIAL_WINDOW_SEGMENTS * net.mss_bytes
        slow = self._limited & (rtt > 0) & (first_window < full_window)
        self._starts_slowly = plain(slow & net.slow_start_after_idle)
        self.latency, self.rtt, self.window = plain(latency), plain(rtt), plain(window)
        self.rate, self.burst, self._first_window = plain(rate), plain(burst), plain(first_window)
        self._has_burst = bool(some(self.burst))
        self.send_buffer = plain(zero + net.send_buffer_bytes)
        self.receive_buffer = plain(zero + net.receive_buffer_bytes)
        self._mss = plain(zero + net.mss_bytes)
        self._small = SmallSegments(net, self.latency, self._phase)

    # ---- what a thread calls ------------------------------------------------------------------

    def send(self, amount: int) -> Call:
        """Write a message and flush it."""
        self.bytes_written = self.bytes_written + amount
        self.writer = Call(self, sends=True, amount=amount)
        return self.writer

    def write(self, section: Section, write_ns: int) -> Call:
        """Write a section."""
        self.bytes_written = self.bytes_written + section.size_bytes
        self.writer = Call(self, sends=True, section=section, write_ns=write_ns)
        return self.writer

    def receive(self, amount: int, wake_ns: int) -> Call:
        """Read a message: one that nothing can push on any more is taken at once."""
        self.bytes_read = self.bytes_read + amount
        self.reader = call = Call(self, sends=False, wake_ns=wake_ns)
        if self.inbox and self.inbox[0].is_fixed:
            self.serve(call)
        return call

    def read(self, price: Callable[[Section], int]) -> Call:
        """Read the next section."""
        self.reader = Call(self, sends=False, price=price)
        return self.reader

    def wrote(self) -> None:
        """The writer goes on."""

    def has_read(self) -> None:
        """The reader goes on."""

    def serve(self, call: Call) -> None:
        """Do what a thread has called for."""
        self.env.calls.remove(call)
        if call.sends:
            self.writer = None
            self._acts(call.now)
            if call.section is None:
                self._send(call.now)
                call.happen(call.now)
            else:
                self._write(call, call.section)
            return
        self.reader = None
        item = self.inbox.popleft()
        if call.price is None:
            if isinstance(item, Transfer):
                raise Refused("the design reads a message where its peer has written a stream")
            self._receive(call, item)
        elif isinstance(item, Message):
            raise Refused("the design reads a stream where its peer has sent a message")
        else:
            self._join(call, item)

    def _acts(self, now: Ints) -> None:
        """The sending thread changes what both ends depend on: it must be its turn."""
        if self._unproven and self._last is not None:
            self._unproven = False
            reader = self._last.reader
            has_come = ((reader >= 0) & (reader <= now)) | self._leaves_by_itself
            self.env.refuse(~has_come, "a write behind a stream whose reader has not come")
        self.in_turn(np.maximum(self.reverse.wrote_at, self.read_at) - now)
        self.wrote_at = now

    def may_push(self, now: Ints, message: Message) -> bool:
        """Whether who acts now at the other end may push a message on."""
        return bool(some(self._small.held_until > now)) or everywhere(now <= message.arrives)

    def in_turn(self, late_ns: Ints) -> None:
        """Take points out where the other end has acted after this one does, or in that instant."""
        if some(late_ns >= 0):
            self.env.part(late_ns > 0, ORDER)
            self.env.refuse(late_ns == 0, "both ends act in one instant")

    # ---- messages -----------------------------------------------------------------------------

    def _send(self, now: Ints) -> None:
        small = self._small
        leaves = np.maximum(self.drained, now)
        free = leaves == now
        waits = small.waits(now, free)
        if waits is not None:
            leaves = np.where(waits, small.acked, leaves)
            self.drained = np.where(waits, leaves, self.drained)
            small.held_until = np.where(waits, leaves, small.held_until)
        arrives = leaves + self.latency
        small.left(arrives)
        self.reverse.ack_rides(leaves, arrives, now)
        is_fixed = not small.nagle or (waits is None and everywhere(free))
        message = Message(arrives, now, is_fixed)
        self.inbox.append(message)
        self._last_put = message
        if not is_fixed:
            self._movable.append(message)
        elif self.reader is not None and len(self.inbox) == 1:
            self.serve(self.reader)

    def _receive(self, call: Call, message: Message) -> None:
        now, arrives = call.now, message.arrives
        if self._in_no_time:
            at_once = (message.begun == now) & (arrives == now)
            self.env.refuse(at_once, "a message that is asked for as it is sent")
        message.taken = True
        call.happen(np.where(arrives <= now, now, arrives + call.wake_ns))

    def ack_rides(self, leaves: Ints, arrives: Ints, now: Ints) -> None:
        """A segment the other way brings the ACK of this way's last small segment along."""
        found = self._small.ack_rides(leaves, arrives)
        if found is not None:
            rides, overtaken = found
            pushed = rides & (self._small.held_until == overtaken)
            self._move_held(pushed, overtaken, np.maximum(arrives, now))

    def _move_held(self, where: Masks, until: Ints, leaves: Ints) -> None:
        """Let the small writes that were to leave at `until` leave earlier."""
        if not some(where):
            return
        self._small.held_until = np.where(where, 0, self._small.held_until)
        late, soon = until + self.latency, leaves + self.latency
        moved = np.zeros_like(where)
        for message in self._movable:
            its = where & (message.arrives == late)
            if not some(its):
                continue
            if message.taken:
                self.env.part(its, "a message that is pushed on after its reader has asked")
            message.arrives = np.where(its, soon, message.arrives)
            moved |= its
        self.drained = np.where(moved, np.minimum(self.drained, leaves), self.drained)

    # ---- bulk ---------------------------------------------------------------------------------

    def _takes_along(self, amount: Ints, now: Ints) -> None:
        """Let a bulk write take along the small writes that Nagle held back before it."""
        small = self._small
        until = small.held_until
        pushes = until > now
        if not some(pushes):
            return
        leaves = np.where(amount < TSO_BYTES, np.minimum(until, now + self.rtt), now)
        sooner = pushes & (leaves < until)
        small.acknowledged(sooner, leaves)
        self._move_held(sooner, until, leaves)
        self.drained = np.where(sooner, leaves, self.drained)
        small.held_until = np.where(pushes, 0, small.held_until)

    def _write(self, call: Call, section: Section) -> None:
        now, env, before = call.now, self.env, self._last
        amount = plain(section.size_bytes)
        amount = amount if amount.ndim else amount + np.zeros_like(now)
        env.refuse(amount > MOST_BYTES, "a stream beyond 3 GB, whose square is beyond 63 bits")
        self._takes_along(amount, now)
        behind = self.drained > now
        any_behind = bool(some(behind))
        follows = np.zeros_like(behind)
        if before is not None:
            reading = before.read_end >= now
            large = amount > self.send_buffer
            if some(reading) and (not everywhere(behind) or some(large)):
                unread = before.size - before.read_bytes(now)
                fits = unread + amount <= self.receive_buffer
                env.refuse(
                    large & (unread > 0) & ~fits,
                    "a large write behind a stream that is being read",
                )
                if before is self._last_put:
                    follows = (before.reader >= 0) & reading & fits
                    env.refuse(
                        ~behind & fits & (before.read_end == now), "both ends act in one instant"
                    )
        transfer = self._begin(call, section, amount, behind)
        if any_behind:
            self._fit_in(transfer, now, behind)
            for one in self._backlog:
                one.ahead = np.where(behind, one.ahead, 0)
        else:
            self._backlog.clear()
        self._backlog.append(transfer)
        self._last = self._last_put = transfer
        self._unproven = True
        self.inbox.append(transfer)
        self._leaves_by_itself = leaves = behind | follows
        needs = transfer.needs_reader() & ~leaves
        if some(leaves) and (not some(needs) or column(leaves)):
            self.drained = np.where(leaves, transfer.left(amount), self.drained)
            call.happen(transfer.written())
            return
        self.unmet = True
        if column(needs) if self.env.has_channels else some(needs):
            transfer.call = call  # who goes on when its reader has come
        else:
            call.happen(transfer.written())

    def _begin(self, call: Call, section: Section, amount: Ints, behind: Masks) -> Transfer:
        now, write_ns, head = call.now, plain(call.write_ns), None
        write_ns = write_ns if write_ns.ndim else write_ns + np.zeros_like(now)
        start = now
        if some(self._starts_slowly):
            start = now + self._slow_start(amount, write_ns, now, ~behind)
        link_ns = ceil_div(amount * NS_PER_S, self.rate) * self._limited
        if self._has_burst:
            missing = np.maximum(0, self.bucket_full - now) * self.rate // NS_PER_S
            head = np.where((link_ns > 0) & ~behind, np.maximum(0, self.burst - missing), 0)
        one = Transfer(
            section,
            amount,
            write_ns,
            link_ns,
            self.latency,
            self.send_buffer,
            self.receive_buffer,
            begun=now,
            start=start,
            filled_from=start,
            reader=self._none,
            read_ns=self._none + 1,
            read_end=self._never,
            ahead=amount,
            head=head,
        )
        if self.network.nagle:
            self._wait_for_ack(one, now, ~behind)
        return one

    def _slow_start(self, amount: Ints, write_ns: Ints, now: Ints, where: Masks) -> Ints:
        """Return what slow start after idleness puts a transfer off by."""
        halvings = np.maximum(0, now - self.bulk_left) // RTO_MIN_NS
        slow = self._starts_slowly & where & (halvings > 0)
        lost = moved = np.zeros_like(now)
        if not some(slow):
            return lost
        rate = np.where(
            write_ns > amount * NS_PER_S // self.rate,
            np.maximum(1, amount * NS_PER_S // np.maximum(write_ns, 1)),
            self.rate,
        )
        window = np.maximum(self._first_window, self.window >> np.minimum(halvings, 60))
        full = np.minimum(self.window, rate * self.rtt // NS_PER_S)
        while some(slow := slow & (window < full) & (moved + window < amount)):
            lost = np.where(slow, lost + self.rtt - window * NS_PER_S // rate, lost)
            moved = np.where(slow, moved + window, moved)
            window = np.where(slow, window * 2, window)
        return lost

    def _wait_for_ack(self, one: Transfer, now: Ints, where: Masks) -> None:
        """Let the last segment, if it is not full, wait for the ACK that the full ones hasten."""
        hastened = now + self.rtt
        # What passes at once leaves sooner than the link tells.
        least = one.write_ns if self._has_burst else np.maximum(one.write_ns, one.link_ns)
        where = where & (one.start + least < hastened)
        where &= one.size % self._mss != 0
        if not some(where):
            return
        left = one.left(one.size)
        where &= left < hastened
        small = self._small
        small.work_out_ack(where)
        waits = np.minimum(small.acked, hastened) - left
        where &= (small.acked > now) & (waits > 0)
        one.start = np.where(where, one.start + waits, one.start)

    def _fit_in(self, one: Transfer, now: Ints, behind: Masks) -> None:
        """Put a bulk write behind the backlog: it ends when it fits, not when it leaves."""
        ahead = sum(other.ahead for other in self._backlog) + one.size - self.send_buffer
        room = now
        for other in self._backlog:
            last = (ahead > 0) & (ahead <= other.ahead)
            if some(last):
                room = np.where(last, np.maximum(now, other.left(np.maximum(ahead, 1))), room)
            ahead = ahead - other.ahead
        start = np.maximum(room, self.drained - one.write_ns)
        large = behind & (one.size > self.send_buffer // 4)
        if self._last is not None and some(large):
            written = np.maximum(now + one.write_ns, room)
            left = self._left_behind_stream(one, self._last, now, written, large)
            start = np.where(large, left - np.maximum(one.write_ns, one.link_ns), start)
        one.start = np.where(behind, start, one.start)
        one.filled_from = np.where(behind, np.maximum(now, room - one.write_ns), one.filled_from)

    def _left_behind_stream(
        self, one: Transfer, stream: Transfer, now: Ints, written: Ints, large: Masks
    ) -> Ints:
        """Return when a large write behind a stream has left, where that is in closed form."""
        if stream is not self._last_put:
            self.env.refuse(large, LARGE_BEHIND)
            return now
        left = np.maximum(written, self.drained + one.link_ns)
        over = stream.size + one.size - self.receive_buffer
        opens = stream.read_at(np.maximum(over, 1)) + self.latency
        left = np.where(over > 0, np.maximum(left, opens), left)
        alone = sum(other.ahead for other in self._backlog) == stream.size
        is_read = (stream.reader >= 0) & (stream.reader < now)
        fits = one.size <= np.minimum(self.send_buffer, self.receive_buffer)
        arrives = left + self.latency <= stream.read_end
        self.env.refuse(
            large & ~(alone & is_read & fits & arrives & (self.burst == 0)), LARGE_BEHIND
        )
        return left

    def _join(self, call: Call, one: Transfer) -> None:
        """Bring a transfer and its reader together: now both ends are known."""
        env, came = self.env, call.now
        self.unmet = self.unmet and one is not self._last
        one.reader = reader = np.maximum(one.begun, came)
        late = came > one.begun
        if some(late):
            acted = np.maximum(self.wrote_at, self.reverse.read_at) - reader
            self.in_turn(np.where(late, acted, -1))
            env.refuse(
                (reader > one.start + one.latency) & one.blocks_before(reader),
                "a reader that comes after the window has closed",
            )
            self.read_at = np.where(late, reader, self.read_at)
        env.part(~late & (self.wrote_at > reader), ORDER)
        section = one.section
        one.read_ns = plain(call.price(section)) + np.zeros_like(came)
        self.bytes_read = self.bytes_read + section.size_bytes
        left = one.left(one.size)
        arrived = left + one.latency
        begun = np.maximum(reader, one.start + one.latency)
        one.read_end = end = np.maximum(begun + one.read_ns, arrived)
        if one.call is not None:
            timeout_ns = self.network.send_timeout_ns
            if timeout_ns is not None:
                env.refuse(
                    one.needs_reader() & (reader >= one.begun + timeout_ns),
                    "a send that times out",
                )
            one.call.happen(one.written())
            one.call = None
        self.bulk_left = left
        alone = ~self._leaves_by_itself
        self.drained = np.where(alone, left, np.maximum(self.drained, left))
        if self._has_burst:
            full = left + self.burst * NS_PER_S // self.rate
            self.bucket_full = np.where((self.burst > 0) & self._limited, full, self.bucket_full)
        self._small.bulk_left(arrived, one.size % self._mss != 0)
        self.reverse.ack_rides(left, arrived, reader)
        call.happen(end)
