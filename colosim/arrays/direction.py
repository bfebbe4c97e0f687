"""One direction of a connection in closed form, at many points at once.

What `colosim.network.calm`, `small` and `pace` say of one run, in the same words and without
branches on a point.  Where the simulation would leave its closed form, and where it hangs on chance
who of two threads acts first, points are taken out by name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.column import Column, Refused, column, everywhere, made_plain, plain, some
from colosim.arrays.threads import Call
from colosim.arrays.transfer import MOST_BYTES, NEVER, Transfer
from colosim.engine.clock import agreed
from colosim.network.calm import TSO_BYTES
from colosim.network.ends import READ
from colosim.network.pace import Pace
from colosim.network.small import SmallSegments

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks
    from colosim.arrays.threads import Environment
    from colosim.network.section import Section

LARGE_BEHIND = "a large write behind a backlog"
LARGE_BEHIND_READ = "a large write behind a stream that is being read"
ORDER = "calls out of their order in time"
TIE = "both ends act in one instant"


@dataclass(eq=False, slots=True)
class Message:
    """A small write: when it arrives, when it was written, whether its reader has asked for it.

    `is_fixed`: whether it arrives then whatever happens, for it left as it was written.
    """

    arrives: Ints
    put_ns: Ints
    is_fixed: bool
    taken: bool = False
    is_stream: bool = False


class Direction:
    """Bytes from one end to the other, at each point as a `colosim.network.calm.Calm` has them."""

    STATE = ("drained", "bulk_left", "bucket_full")
    """What changes as the last byte of a transfer leaves."""
    instance = ""
    write_error = read_error = None
    shuts_down = False
    unwritten_bytes = 0
    reverse: Direction

    def __init__(
        self, env: Environment, _record: Any, network: Any, _sides: Any, ack_phase_ns: Any
    ) -> None:
        zero = env.begin.view(np.ndarray)
        numbers = {
            name: env.begin + value
            for name, value in network
            if type(value) is int or isinstance(value, Column)
        }
        self.env, self.network = env, (network := network.model_copy(update=numbers))
        self.bytes_written: Any = 0
        self.bytes_read: Any = 0
        self.values: deque[Any] = deque()
        self.inbox: deque[Message | Transfer] = deque()
        self.movable: deque[Message] = deque(maxlen=8)
        self.writer: Call | None = None
        self.reader: Call | None = None
        self._backlog: list[Transfer] = []
        self._last: Transfer | None = None
        self._last_put: Message | Transfer | None = None
        self._leaves_by_itself: Masks = zero > 0
        # When the thread at the sending and at the receiving end last did something, and when it
        # last hung on how far the stream before was read.
        self.wrote_at = self.read_at = self.looked_at = zero - 1
        self.drained = self.bulk_left = self.bucket_full = zero
        self.unmet = False
        """Whether the reader of the last bulk write has yet to come."""
        self._unproven = False
        """Whether nothing was written since, so that it may be come too late."""
        self.pace = made_plain(Pace(network))
        self.latency = self.pace.latency_ns
        self._in_no_time = bool(some(self.latency == 0))
        self.small = made_plain(SmallSegments(network, ack_phase_ns))
        self.send_buffer, self.receive_buffer = (
            plain(network.send_buffer_bytes),
            plain(network.receive_buffer_bytes),
        )
        self.mss = plain(network.mss_bytes)

    # ---- what a thread calls ------------------------------------------------------------------

    def send(self, amount: int) -> Call:
        """Write a message and flush it."""
        self.bytes_written = self.bytes_written + amount
        self.writer = call = Call(self, self._send, sends=True, amount=amount)
        return call

    def write(self, section: Section, write_ns: int) -> Call:
        """Write a section."""
        self.bytes_written = self.bytes_written + section.size_bytes
        does = partial(self._write, section=section, write_ns=write_ns)
        self.writer = call = Call(self, does, sends=True)
        return call

    def receive(self, amount: int, wake_ns: int) -> Call:
        """Read a message: one that nothing can push on any more is taken at once."""
        self.bytes_read = self.bytes_read + amount
        does = partial(self._receive, wake_ns=wake_ns)
        self.reader = call = Call(self, does, sends=False)
        if self.inbox and self.inbox[0].is_fixed:
            self.serve(call)
        return call

    def read(self, price: Callable[[Section], int]) -> Call:
        """Read the next section."""
        self.reader = call = Call(self, partial(self._join, price=price), sends=False)
        return call

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
        else:
            self.reader = None
        call.does(call)

    def _only(self, where: Masks, does: Callable[[], None]) -> None:
        """Let something happen at some points: elsewhere the state of both ends stays as it is."""
        if not some(where):
            return
        if everywhere(where):
            does()
            return
        ends = (self, self.reverse, self.small, self.reverse.small)
        before = [(of, name, getattr(of, name)) for of in ends for name in of.STATE]
        arrives = [message.arrives for message in self.reverse.movable]
        does()
        for of, name, old in before:
            if (value := getattr(of, name)) is not old:
                setattr(of, name, np.where(where, value, old))
        for message, late in zip(self.reverse.movable, arrives, strict=True):
            message.arrives = np.where(where, message.arrives, late)

    def _acts(self, now: Ints) -> None:
        """The sending thread changes what both ends depend on: it must be its turn."""
        if self._unproven and self._last is not None:
            self._unproven = False
            reader = self._last.reader_ns
            has_come = ((reader >= 0) & (reader <= now)) | self._leaves_by_itself
            self.env.refuse(~has_come, "a write behind a stream whose reader has not come")
        self.in_turn(np.maximum(self.reverse.wrote_at, self.read_at) - now)
        self.wrote_at = now

    def may_push(self, now: Ints, message: Message) -> bool:
        """Whether who acts now at the other end may push a message on."""
        return bool(some(self.small.held_until_ns > now)) or everywhere(now <= message.arrives)

    def in_turn(self, late_ns: Ints) -> None:
        """Take points out where the other end has acted after this one does, or in that instant."""
        if some(late_ns >= 0):
            self.env.part(late_ns > 0, ORDER)
            self.env.refuse(late_ns == 0, TIE)

    # ---- messages -----------------------------------------------------------------------------

    def _send(self, call: Call) -> None:
        now, small = call.now, self.small
        leaves = np.maximum(self.drained, now)
        free = leaves == now
        acked: Any = small.may_leave_ns(now)
        waits = free & (acked > now)
        is_held = bool(some(waits))
        if is_held:
            leaves = np.where(waits, acked, leaves)
            self.drained = np.where(waits, leaves, self.drained)
            small.held_until_ns = np.where(waits, leaves, small.held_until_ns)
        arrives = leaves + self.latency
        small.left(arrives)
        self.reverse.ack_rides(leaves, arrives, now)
        is_fixed = not small.nagle or (not is_held and everywhere(free))
        message = Message(arrives, now, is_fixed)
        self.inbox.append(message)
        self._last_put = message
        if not is_fixed:
            self.movable.append(message)
        elif self.reader is not None and len(self.inbox) == 1:
            self.serve(self.reader)
        call.happen(now)

    def _receive(self, call: Call, wake_ns: Any) -> None:
        message, now = self.inbox.popleft(), call.now
        if isinstance(message, Transfer):
            raise Refused("the design reads a message where its peer has written a stream")
        arrives = message.arrives
        if self._in_no_time:
            at_once = (message.put_ns == now) & (arrives == now)
            self.env.refuse(at_once, "a message that is asked for as it is sent")
        message.taken = True
        call.happen(np.where(arrives <= now, now, arrives + wake_ns))

    def ack_rides(self, leaves: Ints, arrives: Ints, now: Ints) -> None:
        """A segment the other way brings the ACK of this way's last small segment along."""
        overtaken: Any = self.small.ack_rides(leaves, arrives)
        if overtaken is not None:
            pushed = self.small.held_until_ns == overtaken
            self._move_held(pushed, overtaken, np.maximum(arrives, now))

    def _move_held(self, where: Masks, until: Ints, leaves: Ints) -> None:
        """Let the small writes that were to leave at `until` leave earlier."""
        if not some(where):
            return
        self.small.held_until_ns = np.where(where, 0, self.small.held_until_ns)
        late, soon = until + self.latency, leaves + self.latency
        moved = np.zeros_like(where)
        for message in self.movable:
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
        small = self.small
        until: Any = small.held_until_ns
        pushes = until > now
        if not some(pushes):
            return
        leaves = np.where(amount < TSO_BYTES, np.minimum(until, now + self.pace.rtt_ns), now)
        sooner = pushes & (leaves < until)
        small.acknowledged(leaves, sooner)
        self._move_held(sooner, until, leaves)
        self.drained = np.where(sooner, leaves, self.drained)
        small.held_until_ns = np.where(pushes, 0, until)

    def _write(self, call: Call, section: Section, write_ns: Any) -> None:
        now, env, last = call.now, self.env, self._last
        amount = plain(section.size_bytes)
        amount = amount if amount.ndim else amount + np.zeros_like(now)
        env.refuse(amount > MOST_BYTES, "a stream beyond 3 GB, whose square is beyond 63 bits")
        self._takes_along(amount, now)
        behind = self.drained > now
        any_behind = bool(some(behind))
        follows = np.zeros_like(behind)
        if last is not None:
            env.refuse(last.leaves_by_itself & (last.reader_ns == now), TIE)
            reading, large = last.read_end >= now, amount > self.send_buffer
            if some(reading) and (not everywhere(behind) or some(large)):
                fits = last.size_bytes + amount <= self.receive_buffer
                if not everywhere(fits):
                    unread = last.size_bytes - last.as_of(now).read_bytes(now)
                    fits = unread + amount <= self.receive_buffer
                    env.refuse(large & (unread > 0) & ~fits, LARGE_BEHIND_READ)
                if last is self._last_put:
                    has_reader = (last.reader_ns >= 0) & (last.reader_ns <= now)
                    follows = has_reader & reading & fits
                    env.refuse(~behind & fits & (last.read_end == now), TIE)
        transfer = self._begin(section, amount, write_ns, now, behind)
        if any_behind:
            self._fit_in(transfer, now, behind)
            for one in self._backlog:
                one.ahead = np.where(behind, one.ahead, 0)
        else:
            self._backlog.clear()
        self._backlog.append(transfer)
        self._last = self._last_put = transfer
        self.looked_at = now
        self._unproven = True
        self.inbox.append(transfer)
        self._leaves_by_itself = leaves = behind | follows
        needs = transfer.needs_reader & ~leaves
        if some(leaves):
            left: Ints = transfer.left_ns(amount)
            self.drained = np.where(leaves, left, self.drained)
            transfer.leaves_by_itself = leaves & (amount <= self.receive_buffer)
            has_left = partial(self._has_left, transfer, left, now)
            self._only(transfer.leaves_by_itself, has_left)
            if not some(needs) or column(leaves):
                call.happen(transfer.written_ns())
                return
        self.unmet = True
        if column(needs) if self.env.has_channels else some(needs):
            transfer.call = call  # who goes on when its reader has come
        else:
            call.happen(transfer.written_ns())

    def _begin(
        self, section: Section, amount: Ints, write_ns: Any, now: Ints, behind: Masks
    ) -> Transfer:
        pace = self.pace
        write_ns, link_ns = plain(write_ns + now * 0), pace.link_ns(amount)
        slow_ns = pace.slow_start_ns(amount, write_ns, now - self.bulk_left)
        start = now + np.where(behind, 0, slow_ns)
        head: Any = 0
        if some(pace.burst_bytes):
            head = np.where((link_ns > 0) & ~behind, pace.tokens(self.bucket_full - now), 0)
        one = Transfer(
            start,
            amount,
            write_ns,
            link_ns,
            self.latency,
            self.send_buffer,
            self.receive_buffer,
            head,
            read_ns=0,
            reader_ns=now * 0 - 1,
            write_from_ns=start,
            leaves_by_itself=behind & False,
            section=section,
            put_ns=now,
            read_end=now * 0 + NEVER,
            ahead=amount,
        )
        if self.network.nagle:
            self._wait_for_ack(one, now, ~behind)
        return one

    def _wait_for_ack(self, one: Any, now: Ints, where: Masks) -> None:
        """Let the last segment, if it is not full, wait for the ACK that the full ones hasten."""
        hastened = now + self.pace.rtt_ns
        # What passes at once leaves sooner than the link tells.
        least = (
            one.write_ns if some(self.pace.burst_bytes) else np.maximum(one.write_ns, one.link_ns)
        )
        where = where & (one.start_ns + least < hastened)
        where &= one.size_bytes % self.mss != 0
        if not some(where):
            return
        left = one.left_ns(one.size_bytes)
        where &= left < hastened
        small = self.small
        acked: Any = small.acked_ns
        waits = np.minimum(acked, hastened) - left
        where &= (acked > now) & (waits > 0)
        one.start_ns = np.where(where, one.start_ns + waits, one.start_ns)

    def _fit_in(self, one: Any, now: Ints, behind: Masks) -> None:
        """Put a bulk write behind the backlog: it ends when it fits, not when it leaves."""
        ahead = sum(other.ahead for other in self._backlog) + one.size_bytes - self.send_buffer
        room = now
        for other in self._backlog:
            last = (ahead > 0) & (ahead <= other.ahead)
            if some(last):
                room = np.where(last, np.maximum(now, other.left_ns(np.maximum(ahead, 1))), room)
            ahead = ahead - other.ahead
        start = np.maximum(room, self.drained - one.write_ns)
        large = behind & (one.size_bytes > self.send_buffer // 4)
        if self._last is not None and some(large):
            written = np.maximum(now + one.write_ns, room)
            left = self._left_behind_stream(one, self._last, now, written, large)
            start = np.where(large, left - np.maximum(one.write_ns, one.link_ns), start)
        one.start_ns = np.where(behind, start, one.start_ns)
        filled = np.maximum(now, room - one.write_ns)
        one.write_from_ns = np.where(behind, filled, one.write_from_ns)

    def _left_behind_stream(
        self, one: Any, last: Transfer, now: Ints, written: Ints, large: Masks
    ) -> Ints:
        """Return when a large write behind a stream has left, where that is in closed form."""
        if last is not self._last_put:
            self.env.refuse(large, LARGE_BEHIND)
            return now
        size, stream = one.size_bytes, last.as_of(now)
        left = np.maximum(written, self.drained + one.link_ns)
        over = stream.size_bytes + size - self.receive_buffer
        opens = stream.passed_ns(READ, np.maximum(over, 1)) + self.latency
        left = np.where(over > 0, np.maximum(left, opens), left)
        alone = sum(other.ahead for other in self._backlog) == stream.size_bytes
        is_read = (stream.reader_ns >= 0) & (stream.reader_ns < now)
        fits = size <= np.minimum(self.send_buffer, self.receive_buffer)
        arrives = left + self.latency <= stream.read_end
        known = alone & is_read & fits & arrives & (self.pace.burst_bytes == 0)
        self.env.refuse(large & ~known, LARGE_BEHIND)
        return left

    def _join(self, call: Call, price: Callable[[Section], int]) -> None:
        """Bring a transfer and its reader together: now both ends are known."""
        one: Any = self.inbox.popleft()
        if isinstance(one, Message):
            raise Refused("the design reads a stream where its peer has sent a message")
        env, came = self.env, call.now
        self.unmet = self.unmet and one is not self._last
        one.reader_ns = reader = np.maximum(one.put_ns, came)
        waits = ~one.leaves_by_itself
        late = came > one.put_ns
        if some(late):
            acted = np.maximum(self.wrote_at, self.reverse.read_at) - reader
            looked = -1 if one is self._last else self.looked_at - reader
            self.in_turn(np.where(late, np.where(waits, acted, looked), -1))
            closed = (reader > one.start_ns + one.latency_ns) & one.blocks_before(reader)
            env.refuse(closed, "a reader that comes after the window has closed")
            self.read_at = np.where(waits & late, reader, self.read_at)
        env.part(waits & ~late & (self.wrote_at > reader), ORDER)
        one.read_ns = plain(price(one.section) + came * 0)
        self.bytes_read = self.bytes_read + one.section.size_bytes
        left = one.left_ns(one.size_bytes)
        one.read_end = np.maximum(one.begun_ns + one.read_ns, left + one.latency_ns)
        if one.call is not None:
            timeout_ns = self.network.send_timeout_ns
            if timeout_ns is not None:
                is_over = one.needs_reader & (reader >= one.put_ns + timeout_ns)
                env.refuse(is_over, "a send that times out")
            one.call.happen(one.written_ns())
            one.call = None
        self._only(waits, partial(self._leave, one, left, reader))
        call.happen(one.read_end)

    def _leave(self, one: Any, left: Ints, now: Ints) -> None:
        """The last byte of a transfer leaves when its reader has come."""
        self.drained = np.where(self._leaves_by_itself, np.maximum(self.drained, left), left)
        self._has_left(one, left, now)

    def _has_left(self, one: Any, left: Ints, now: Ints) -> None:
        """The last byte of a transfer leaves then: that is in the state of either end."""
        pace, self.bulk_left = self.pace, left
        if some(pace.burst_bytes):
            full = left + pace.burst_ns
            self.bucket_full = np.where(pace.burst_bytes > 0, full, self.bucket_full)
        arrived = left + one.latency_ns
        self.small.bulk_left(arrived)
        self.small.tail_left(arrived, agreed(one.size_bytes % self.mss != 0))
        self.reverse.ack_rides(left, arrived, now)
