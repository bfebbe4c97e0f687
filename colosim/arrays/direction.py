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

from colosim.arrays.column import (
    Refused,
    everywhere,
    made_plain,
    plain,
    plain_once,
    some,
)
from colosim.arrays.threads import Call
from colosim.arrays.transfer import MOST_BYTES, Transfer
from colosim.engine.clock import agreed, choose
from colosim.network.calm import TSO_BYTES
from colosim.network.ends import READ
from colosim.network.pace import Pace
from colosim.network.small import SmallSegments
from colosim.network.transfer import NEVER, reached, room_ns

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks
    from colosim.arrays.threads import Environment
    from colosim.network.section import Section

UNOPENED = "a write into a window that is yet to open"
CLOSED = "a reader that comes after a window has closed, while a token bucket fills"
PUSHED = "a write that pushes on what a reader has asked for"
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
    waits: bool = False


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
        self.env, self.network = env, network
        self.bytes_written: Any = 0
        self.bytes_read: Any = 0
        self.values: deque[Any] = deque()
        self.inbox: deque[Message | Transfer] = deque()
        self.movable: deque[Message] = deque(maxlen=8)
        self.writer: Call | None = None
        self.reader: Call | None = None
        # Those whose bytes may still be in a buffer, as far as the sender knows; the last of all.
        self._ahead: deque[Transfer] = deque()
        self._last: Transfer | None = None
        # When the thread at the sending and at the receiving end last did something.
        self.wrote_at = self.read_at = zero - 1
        self.drained = self.bulk_left = self.bucket_full = zero
        self.pace = made_plain(Pace(network))
        self.latency = self.pace.latency_ns
        self._in_no_time = bool(some(self.latency == 0))
        self._has_burst = bool(some(self.pace.burst_bytes))
        self.small = made_plain(SmallSegments(network, ack_phase_ns))
        self.send_buffer, self.receive_buffer = (
            plain_once(network.send_buffer_bytes),
            plain_once(network.receive_buffer_bytes),
        )
        self.mss = plain_once(network.mss_bytes)

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
        if self.inbox and self.inbox[0].is_fixed:
            self.serve(call)
        return call

    @property
    def unmet(self) -> bool:
        """Whether it hangs on a reader yet to come when what is written leaves."""
        last = self._last
        return last is not None and last.waits and not last.taken

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
        where = agreed(where)
        if where is False:
            return
        if where is True:
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
            if message.arrives is not late:
                message.arrives = np.where(where, message.arrives, late)

    def _acts(self, now: Ints) -> None:
        """The sending thread changes what both ends depend on: it must be its turn."""
        last = self._last
        if last is not None and last.waits:
            is_late = last.beyond & (last.reader_ns > now)
            self.env.refuse(is_late, "a write behind a stream whose reader has not come")
        self.in_turn(now, np.maximum(self.reverse.wrote_at, self.read_at))
        self.wrote_at = now

    def may_push(self, now: Ints, held: Message | Transfer) -> bool:
        """Whether who acts now at the other end may push on what is held back."""
        may_come_sooner = now <= held.arrives
        is_held = self.small.held_until_ns > now
        return bool(some(is_held & may_come_sooner)) or everywhere(may_come_sooner)

    def in_turn(self, now: Ints, acted: Ints) -> None:
        """Take points out where the other end has acted after this one does, or in that instant."""
        if some(acted >= now):
            self.env.part(acted > now, ORDER)
            self.env.refuse(acted == now, TIE)

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
            if self._last is not None:
                self._last.held = self._last.held & ~waits
        arrives = leaves + self.latency
        small.left(arrives)
        self.reverse.ack_rides(leaves, arrives, now)
        bulk_left = self.reverse.bulk_left
        if some(in_time := arrives <= bulk_left):
            rides = partial(self.ack_rides, bulk_left, bulk_left + self.latency, now)
            self.reverse._only(in_time, rides)  # noqa: SLF001 - the other half
        is_fixed = not small.nagle or (not is_held and everywhere(free))
        message = Message(arrives, now, is_fixed)
        self.inbox.append(message)
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
                self.env.part(its, PUSHED)
            message.arrives = np.where(its, soon, message.arrives)
            moved |= its
        self.drained = np.where(moved, np.minimum(self.drained, leaves), self.drained)

    # ---- bulk ---------------------------------------------------------------------------------

    def _takes_along(self, amount: Ints, now: Ints) -> None:
        """Let a bulk write take along what Nagle held back before it."""
        small = self.small
        until: Any = small.held_until_ns
        pushes = until > now
        if not some(pushes):
            return
        leaves = np.where(amount < TSO_BYTES, np.minimum(until, now + self.pace.rtt_ns), now)
        acked, last = leaves, self._last
        if last is not None and some(held := pushes & last.held):
            if last.taken:
                self.env.part(held, PUSHED)
            left = last.left = last.release(now, where=held)
            last.held = last.held & ~held
            self._only(held, partial(self._has_left, last, left, now))
            leaves, acked = np.where(held, left, leaves), np.where(held, until, leaves)
        sooner = pushes & (leaves < until)
        small.acknowledged(acked, sooner)
        self._move_held(sooner, until, leaves)
        self.drained = np.where(sooner, leaves, self.drained)
        small.held_until_ns = np.where(pushes, 0, until)

    def _write(self, call: Call, section: Section, write_ns: Any) -> None:
        now, env, ahead = call.now, self.env, self._ahead
        amount = plain(section.size_bytes)
        amount = amount if amount.ndim else amount + np.zeros_like(now)
        env.refuse(amount > MOST_BYTES, "a stream beyond 3 GB, whose square is beyond 63 bits")
        self._takes_along(amount, now)
        while ahead and everywhere(ahead[0].opens_ns <= now):
            ahead.popleft()
        behind = agreed(self.drained > now)
        one = self._begin(section, amount, write_ns, now, behind)
        one.left = one.left_ns(amount)
        if ahead or behind is not False:
            self._wait_for_window(one, now, behind)
        ahead.append(one)
        self._last = one
        self.inbox.append(one)
        if one.beyond is not True:
            does = partial(self._has_left, one, one.left, now)
            self._only(~one.beyond if one.waits else True, does)
        needs = agreed(one.needs_reader)
        if needs is not False:
            one.call = call  # who goes on when its reader has come
            if needs is not True and env.waits_somewhere is None:
                env.waits_somewhere = needs
        else:
            call.happen(one.written_ns())
        if one.is_fixed and self.reader is not None and len(self.inbox) == 1:
            self.serve(self.reader)

    def _begin(
        self, section: Section, amount: Ints, write_ns: Any, now: Ints, behind: Masks
    ) -> Any:
        pace = self.pace
        write_ns, link_ns = plain(write_ns), pace.link_ns(amount)
        slow_ns = pace.slow_start_ns(amount, write_ns, now - self.bulk_left)
        head: Any = 0
        if self._has_burst:
            head = choose(behind, 0, pace.tokens(self.bucket_full - now))
        one: Any = Transfer(
            plain(now + slow_ns),
            amount,
            write_ns,
            link_ns,
            self.latency,
            self.send_buffer,
            self.receive_buffer,
            head,
            reader_ns=NEVER,
            section=section,
            put_ns=now,
            beyond=agreed(amount > self.receive_buffer),
            has_tail=agreed(amount % self.mss != 0),
        )
        one.is_fixed = not one.waits
        if self.network.nagle and behind is not True:
            self._wait_for_ack(one, now, behind)
        if behind is not False:
            room = room_ns(self._ahead, amount - self.send_buffer, now)
            one.delay_ns = choose(behind, 0, one.delay_ns)
            one.queue(self.drained, now, room, where=behind)
        return one

    def _wait_for_window(self, one: Any, now: Ints, behind: Masks) -> None:
        """Let the last byte wait for the window that what is unread still takes."""
        amount, window = one.size_bytes, self.receive_buffer
        opens, unread = now, behind
        for other, over in reached(self._ahead, amount - window, now):
            unread = unread | (other.opens_ns > now)
            if (here := agreed(over > 0)) is not False:
                self.env.refuse(here & (other.reader_ns > now), UNOPENED)
                self.env.refuse(here & (other.reader_ns == now), TIE)
                known = other.passed_ns(READ, over) + self.latency
                opens = choose(here, known, opens)
        if one.waits:
            self.env.refuse(unread & one.beyond, UNOPENED)
        self.env.refuse((opens > now) & (amount > self.send_buffer), UNOPENED)
        if (waits := agreed(opens > one.left)) is not False:
            one.leave_at(opens, where=waits)
            one.left = choose(waits, opens, one.left)

    def _wait_for_ack(self, one: Any, now: Ints, behind: Masks) -> None:
        """Let the last segment, if it is not full, wait for the ACK that the full ones hasten."""
        hastened = now + self.pace.rtt_ns
        # What passes at once leaves sooner than the link tells.
        least = one.write_ns if self._has_burst else np.maximum(one.write_ns, one.link_ns)
        where = one.start_ns + least < hastened
        if behind is not False:
            where &= ~behind
        if not some(where):
            return
        left = one.left_ns(one.size_bytes)
        where = where & (left < hastened) & one.has_tail
        small = self.small
        acked: Any = small.acked_ns
        waits = np.minimum(acked, hastened) - left
        where &= (acked > now) & (waits > 0)
        if not some(where):
            return
        one.hold_back(waits, left, where=where)
        small.held_until_ns = np.where(where, left + waits, small.held_until_ns)
        one.held, one.is_fixed = where, False

    def _join(self, call: Call, price: Callable[[Section], int]) -> None:
        """Bring a transfer and its reader together: now both ends are known."""
        one: Any = self.inbox.popleft()
        if isinstance(one, Message):
            raise Refused("the design reads a stream where its peer has sent a message")
        env, came = self.env, call.now
        one.taken, waits = True, one.beyond
        one.reader_ns = reader = np.maximum(one.put_ns, came)
        if one.waits:
            late = waits & (came > one.put_ns)
            acted = np.maximum(self.wrote_at, self.reverse.read_at)
            self.in_turn(reader, np.where(late, acted, -1))
            if self._has_burst:
                is_late = (self.pace.burst_bytes > 0) & (reader > one.start_ns + one.latency_ns)
                env.refuse(is_late & one.blocks_before(reader), CLOSED)
            self.read_at = np.where(late, reader, self.read_at)
            env.part(waits & (came <= one.put_ns) & (self.wrote_at > reader), ORDER)
        one.read_ns = plain(price(one.section))
        self.bytes_read = self.bytes_read + one.section.size_bytes
        if one.waits:
            one.left = one.left_ns(one.size_bytes)
        read_end = np.maximum(one.begun_ns + one.read_ns, one.arrives)
        one.opens_ns = read_end + one.latency_ns
        if one.call is not None:
            timeout_ns = self.network.send_timeout_ns
            if timeout_ns is not None:
                is_over = one.needs_reader & (reader >= one.put_ns + timeout_ns)
                env.refuse(is_over, "a send that times out")
            one.call.happen(one.written_ns())
            one.call = None
        if one.waits:
            self._only(waits, partial(self._has_left, one, one.left, reader))
        call.happen(read_end)

    def _has_left(self, one: Any, left: Ints, now: Ints) -> None:
        """The last byte of a transfer leaves then: that is in the state of either end."""
        pace, self.drained, self.bulk_left = self.pace, left, left
        if self._has_burst:
            full = left + pace.burst_ns
            self.bucket_full = np.where(pace.burst_bytes > 0, full, self.bucket_full)
        arrived = left + one.latency_ns
        self.small.bulk_left(arrived)
        self.small.tail_left(arrived, one.has_tail)
        self.reverse.ack_rides(left, arrived, now)
