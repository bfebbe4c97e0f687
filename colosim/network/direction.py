"""One direction of the migration connection: what the sender's QEMUFile and kernel do with bytes.

As long as nothing disturbs it, every write and read is answered in closed form
(`colosim.network.transfer`) and costs its thread at most one event.  From the first disturbance on
(a freeze, a lost link, a reader that comes after the window has closed) the direction is followed
as an exact fluid (`colosim.network.disturbed`), until that is empty and calm again.

A thread that writes or reads yields the event it is given, if any, and then calls `wrote`
or `has_read`.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from colosim.engine.clock import NS_PER_S
from colosim.engine.environment import Environment, Event, Wait
from colosim.engine.plain import plain
from colosim.engine.record import code_of
from colosim.network.disturbed import READ, WRITE, Disturbed
from colosim.network.tcp import (
    INITIAL_WINDOW_SEGMENTS,
    RTO_MIN_NS,
    StreamError,
    delayed_ack_ns,
    keeps_window_ns,
    slow_start_ns,
)
from colosim.network.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.engine.ledger import Ledger
    from colosim.engine.record import Record
    from colosim.network.disturbed import Past
    from colosim.scenario.model import Network

TSO_BYTES = 65_536
"""Largest packet that the stack hands to the device in one piece (size_goal with GSO)."""
PPM = 1_000_000
NEVER_NS = 1 << 63
_SHAPES = 4096

_slow_start_ns = lru_cache(_SHAPES)(slow_start_ns)

__all__ = ["READ", "WRITE", "Direction"]


class Direction:
    """Bytes from `sender` to `receiver`, in order, blocking at both ends as sockets do."""

    __slots__ = (
        "_ack_bound_ns",
        "_ack_delay_ns",
        "_ack_tick_ns",
        "_acked_ns",
        "_awaited",
        "_bulk_left_ns",
        "_delays_ack",
        "_drained_ns",
        "_factors_ppm",
        "_fits_ns",
        "_full_ns",
        "_held_until_ns",
        "_inbox",
        "_keeps_window_ns",
        "_most_halvings",
        "_mss_bytes",
        "_nagle",
        "_passings",
        "_phase",
        "_plain",
        "_read_wait",
        "_receive_buffer_bytes",
        "_send_buffer_bytes",
        "_shapes",
        "_small_arrival_ns",
        "_unclaimed",
        "_wake_ns",
        "_wants",
        "_window_bytes",
        "_write_wait",
        "_written_ns",
        "bandwidth",
        "bytes_read",
        "bytes_written",
        "disturbed",
        "env",
        "head_bytes",
        "latency_ns",
        "levels",
        "name",
        "network",
        "price",
        "read_error",
        "reading",
        "receiver",
        "receiver_ledger",
        "record",
        "reverse",
        "sender",
        "sender_ledger",
        "transfer",
        "transfers",
        "write_error",
        "writing",
    )

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
        self.network = network = plain(network, "payload_bytes", "frame_bytes")
        self.sender_ledger, self.receiver_ledger = ledgers
        self.sender = self.sender_ledger.side
        self.receiver = self.receiver_ledger.side
        self.name = f"{self.sender} to {self.receiver}"
        self.reverse: Direction = self
        self.bytes_written = 0
        self.bytes_read = 0
        self.write_error: StreamError | None = None
        self.read_error: StreamError | None = None
        self.disturbed: Disturbed | None = None
        self.writing: Wait | None = None
        self.reading: Wait | None = None
        self._write_wait = Wait.ended(env)
        self._read_wait = Wait.ended(env)
        # That of a reader for whom the next message is.
        self._awaited: Wait | None = None
        self.transfer: Transfer | None = None
        self._plain = True
        self.transfers: list[Transfer] | None = None
        self.levels: list[tuple[int, int, int]] | None = None
        # A reader of a bulk write that has not begun, and bulk writes that no reader has claimed.
        self.price: Callable[[int], int] | None = None
        self._unclaimed: deque[int] = deque()
        self._passings: list[tuple[str, int, Callable[[int], None]]] = []
        # What has arrived or will, and is not read: a message (when it does, when it was written,
        # its bytes), or a transfer.
        self._inbox: deque[tuple[int, int, int] | Transfer] = deque()
        # What the reader of a message waits for, and what it costs to wake it.
        self._wants = 0
        self._wake_ns = 0
        # Nagle in Minshall's form: when the last small segment came, and its ACK (None: not asked).
        self._small_arrival_ns = -1
        self._acked_ns: int | None = 0
        self._held_until_ns = 0
        self._drained_ns = 0
        self._bulk_left_ns = 0
        self._full_ns = 0
        self._phase = ack_phase_ns
        self._nagle = network.nagle
        self._mss_bytes = network.mss_bytes
        self._send_buffer_bytes = network.send_buffer_bytes
        self._receive_buffer_bytes = network.receive_buffer_bytes
        self._delays_ack = network.delayed_ack
        self._ack_delay_ns = network.delayed_ack_ns
        self._ack_tick_ns = network.ack_tick_ns
        self.latency_ns = network.latency_ns
        self._factors_ppm = (PPM, PPM)
        self._shapes: dict[tuple[int, ...], tuple[int, int, int, int, int]] = {}
        self._set_rates()

    # ---- rates ---------------------------------------------------------------------------------

    def _set_rates(self) -> None:
        """Work out latency, bandwidth and token bucket from the scenario and the factors."""
        network = self.network
        bandwidth_ppm, latency_ppm = self._factors_ppm
        self.latency_ns = network.latency_ns * latency_ppm // PPM
        self._ack_bound_ns = network.delayed_ack_ns + 2 * network.ack_tick_ns + 2 * self.latency_ns
        rtt_ns = 2 * self.latency_ns
        window = self._window_bytes = min(network.send_buffer_bytes, network.receive_buffer_bytes)
        by_window = window * NS_PER_S // rtt_ns if rtt_ns else None
        self.head_bytes = 0
        self.bandwidth: int | None = by_window
        if network.bandwidth_bytes_per_s is not None:
            payload = network.bandwidth_bytes_per_s * network.payload_bytes * bandwidth_ppm
            bandwidth = max(1, payload // (network.frame_bytes * PPM))
            if by_window is None or bandwidth <= by_window:
                self.bandwidth = bandwidth
                in_flight = bandwidth * rtt_ns // NS_PER_S
                if window > network.burst_bytes + in_flight:
                    self.head_bytes = network.burst_bytes
        # Beyond so many halvings of the window in idleness it is as small as it gets.
        self._most_halvings = (window // (INITIAL_WINDOW_SEGMENTS * network.mss_bytes)).bit_length()
        self._keeps_window_ns = NEVER_NS
        if network.slow_start_after_idle and self.bandwidth is not None and rtt_ns:
            idle = keeps_window_ns(self.bandwidth, window, rtt_ns, network.mss_bytes)
            if idle is not None:
                self._keeps_window_ns = idle
        self._shapes.clear()

    def set_factors(
        self, *, bandwidth_ppm: int | None = None, latency_ppm: int | None = None
    ) -> None:
        """Multiply bandwidth or latency by millionths; bytes in flight keep their latency."""
        before = self._factors_ppm
        after = (
            before[0] if bandwidth_ppm is None else bandwidth_ppm,
            before[1] if latency_ppm is None else latency_ppm,
        )
        if after != before:
            disturbed = self.disturb()
            self._factors_ppm = after
            self._set_rates()
            disturbed.rates_changed()

    # ---- messages ------------------------------------------------------------------------------

    def send(self, amount: int) -> Event | None:
        """Write a message of `amount` bytes and flush it; return what to wait for if it blocks.

        :raises StreamError: if the connection is no more.
        """
        if self.write_error is not None:
            self.note_failure(WRITE, self.write_error)
            raise self.write_error
        now: int = self.env._now  # type: ignore[assignment]  # noqa: SLF001
        self.bytes_written += amount
        if not self._plain and self._astray(now):
            return self.disturb().send(amount)
        # Behind a backlog it rides along; one may overshoot the buffer (sk_stream_memory_free).
        leaves = self._drained_ns
        if leaves <= now:
            leaves = now
            if self._nagle:
                acked = self._acked_ns
                if acked is None and now < self._small_arrival_ns + self._ack_bound_ns:
                    acked = self._ack_ns()
                if acked is not None and acked > now:
                    leaves = self._drained_ns = self._held_until_ns = acked
        self._small_arrival_ns = arrives = leaves + self.latency_ns
        self._acked_ns = None
        reverse = self.reverse
        acked = reverse._acked_ns  # noqa: SLF001 - its own kind
        if acked is None or acked > arrives:
            reverse.ack_rides(leaves, arrives)
        self._inbox.append((arrives, now, amount))
        awaited = self._awaited
        if awaited is not None:
            self._awaited = None
            awaited.end_at(arrives + self._wake_ns)
        return None

    def _ack_ns(self) -> int:
        """Return when the sender has the last small segment's ACK, if nothing brings it sooner."""
        acked = self._small_arrival_ns + self.latency_ns
        if self._delays_ack:
            acked = self.latency_ns + delayed_ack_ns(
                self._small_arrival_ns, self._ack_delay_ns, self._ack_tick_ns, self._phase
            )
        self._acked_ns = acked
        return acked

    def ack_rides(self, leaves: int, arrives: int) -> None:
        """A segment the other way, under way from `leaves` to `arrives`, brings the ACK along."""
        acked = self._acked_ns
        if acked is not None and acked <= arrives:
            return
        small = self._small_arrival_ns
        if small > leaves:
            return
        if self._delays_ack and arrives < small + self._ack_delay_ns:
            # Sooner than the delayed ACK would have come, and nothing waits for that.
            if self._held_until_ns <= leaves and self.disturbed is None:
                self._acked_ns = arrives
                return
        elif acked is None and arrives >= small + self._ack_bound_ns:
            return
        if acked is None:
            acked = self._ack_ns()
        if acked <= arrives:
            return
        self._acked_ns = arrives
        if self.disturbed is not None:
            self.disturbed.release(acked, arrives)
        elif self._held_until_ns == acked:
            self._move_held(acked, max(arrives, self.env.now))

    def _move_held(self, held_until: int, leaves: int) -> None:
        """Let the small writes that were to leave at `held_until` leave earlier."""
        self._held_until_ns = 0
        late, soon = held_until + self.latency_ns, leaves + self.latency_ns
        inbox = self._inbox
        held = [isinstance(item, tuple) and item[0] == late for item in inbox]
        if not any(held):
            return
        self._drained_ns = min(self._drained_ns, leaves)
        for place, (item, was_held) in enumerate(zip(tuple(inbox), held, strict=True)):
            if was_held and isinstance(item, tuple):
                inbox[place] = (soon, item[1], item[2])
        if self.reading is not None and self.price is None and held[0]:
            self.reading.end_at(soon + self._wake_ns)

    def receive(self, amount: int, wake_ns: int) -> Event | None:
        """Read a message of `amount` bytes; return what to wait for if it is not there.

        `wake_ns`: what it costs if the reader sleeps until the message comes.

        :raises StreamError: if the connection is no more or ends before the message.
        """
        if self.disturbed is not None:
            return self.disturbed.receive(amount, wake_ns)
        if self.read_error is not None:
            self.note_failure(READ, self.read_error)
            raise self.read_error
        self.bytes_read += amount
        inbox = self._inbox
        if inbox:
            arrives: int = inbox[0][0]  # type: ignore[index]
            if arrives <= self.env._now:  # noqa: SLF001
                inbox.popleft()
                return None
            wait = self._read_wait.again_until(arrives + wake_ns)
        else:
            wait = self._awaited = self._read_wait.again()
        self._wants = amount
        self._wake_ns = wake_ns
        self.reading = self._read_wait = wait
        return wait

    def has_read(self) -> None:
        """The reader goes on: take what it has got off the inbox."""
        self.reading = None
        if self.disturbed is None:
            self._inbox.popleft()
        else:
            self.disturbed.catch_up()

    # ---- bulk ----------------------------------------------------------------------------------

    def write(self, amount: int, write_ns: int) -> Event | None:
        """Write `amount` bytes, which alone take the thread `write_ns`; return what to wait for.

        :raises StreamError: if the connection is no more, before or while it is written.
        """
        if self.write_error is not None:
            self.note_failure(WRITE, self.write_error)
            raise self.write_error
        now: int = self.env._now  # type: ignore[assignment]  # noqa: SLF001
        self.bytes_written += amount
        if self.disturbed is None and self._held_until_ns > now:
            self._push_held(amount, now)
        drained = self._drained_ns
        if (
            (not self._plain and self._astray(now))
            or (drained > now and amount > self._send_buffer_bytes // 4)
            or self._meets_unread(amount, now)
        ):
            return self.disturb().write(amount, write_ns)
        behind = drained > now
        if behind:
            transfer = self._begin_behind(amount, write_ns, now)
        else:
            transfer = self._begin(amount, write_ns, now)
        self.transfer = transfer
        inbox, price = self._inbox, self.price
        inbox.append(transfer)
        if price is not None and len(inbox) == 1:
            transfer.reader_ns = now
            transfer.read_ns = price(amount)
            self._join(transfer)
        else:
            self._plain = False
            self._unclaimed.append(amount)
        if behind:
            written = self._fits_ns
        elif transfer.reader_ns >= 0:
            written = self._written_ns
        elif transfer.needs_reader:
            self.writing = self._write_wait = wait = self._write_wait.again()
            self._look_after(transfer)
            return wait
        else:
            written = transfer.written_ns()
        self.writing = self._write_wait = wait = self._write_wait.again_until(written)
        return wait

    def _meets_unread(self, amount: int, now: int) -> bool:
        """Whether what is not read of the transfer before keeps the window closed to this one.

        One that fits into the send buffer returns all the same.
        """
        before = self.transfer
        if before is None or amount <= self._send_buffer_bytes:
            return False
        unread = before.size_bytes - before.read_bytes(now)
        return unread > 0 and unread + amount > self._receive_buffer_bytes

    def _look_after(self, transfer: Transfer) -> None:
        """With a send timeout, see to it that a send ends whose reader has not come by then."""
        timeout_ns = self.network.send_timeout_ns
        if timeout_ns is None:
            return

        def look() -> None:
            if self.transfer is transfer and transfer.reader_ns < 0 and self.disturbed is None:
                self.disturb().replan()

        self.env.call_at(self.env.now + timeout_ns, look, apart=True)

    def _begin(self, amount: int, write_ns: int, now: int) -> Transfer:
        """Return the transfer that a bulk write begins when all before it has left."""
        bandwidth = self.bandwidth
        link_ns = 0 if bandwidth is None else -(-amount * NS_PER_S // bandwidth)
        start = now
        # The request shrank the window; only bulk grows it again.
        idle = now - self._bulk_left_ns
        if idle >= self._keeps_window_ns:
            start += self.slow_start_of(amount, idle)
        if self._nagle and amount % self._mss_bytes:
            # Its full segments go; the rest waits for the ACK that they hasten.
            hastened = now + 2 * self.latency_ns
            if start + write_ns < hastened and start + link_ns < hastened:
                acked = self.small_acked_ns()
                if acked > now:
                    start = max(start, min(acked, hastened) - max(write_ns, link_ns))
        return Transfer(
            start,
            amount,
            write_ns,
            link_ns,
            self.latency_ns,
            self._send_buffer_bytes,
            self._receive_buffer_bytes,
            self._tokens(now) if self.head_bytes and link_ns else 0,
        )

    def _tokens(self, now: int) -> int:
        """Return how many bytes pass the token bucket at once."""
        assert self.bandwidth is not None  # noqa: S101 - else there is no bucket
        missing = max(0, self._full_ns - now) * self.bandwidth // NS_PER_S
        return max(0, self.head_bytes - missing)

    def _begin_behind(self, amount: int, write_ns: int, now: int) -> Transfer:
        """Return the transfer that a small bulk write begins whose bytes follow a backlog."""
        room, before = now, self.transfer
        if before is not None:
            kept = before.size_bytes + amount - self._send_buffer_bytes
            if kept > 0:
                room = before.left_ns(kept)
                if room < now:  # noqa: PLR1730 - a call costs more
                    room = now
        # It ends when it fits, not when it leaves.
        self._fits_ns = room if room > now + write_ns else now + write_ns  # noqa: FURB136
        start = self._drained_ns - write_ns
        if start < room:  # noqa: PLR1730
            start = room
        bandwidth = self.bandwidth
        return Transfer(
            start,
            amount,
            write_ns,
            0 if bandwidth is None else -(-amount * NS_PER_S // bandwidth),
            self.latency_ns,
            self._send_buffer_bytes,
            self._receive_buffer_bytes,
        )

    def slow_start_of(self, amount: int, idle_ns: int) -> int:
        """Return what slow start after `idle_ns` without bulk puts off `amount` bytes by, in ns."""
        bandwidth = self.bandwidth
        if idle_ns < self._keeps_window_ns or bandwidth is None:
            return 0
        # Only whole times of `RTO_MIN_NS` count, and not many: like restarts share the answer.
        halvings = min(idle_ns // RTO_MIN_NS, self._most_halvings)
        return _slow_start_ns(
            amount,
            bandwidth,
            self._window_bytes,
            2 * self.latency_ns,
            halvings * RTO_MIN_NS,
            self._mss_bytes,
        )

    @property
    def bulk_left_ns(self) -> int:
        """When the last bulk had left, as the closed form knows it."""
        return self._bulk_left_ns

    def _push_held(self, amount: int, now: int) -> None:
        """Let a bulk write take along the small writes that Nagle held back before it.

        A large one fills segments at once; a small one is deferred with them until the next ACK,
        which its first full segment would bring within a round trip (tcp_tso_should_defer).
        """
        leaves = now
        if amount < TSO_BYTES:
            leaves = min(self._held_until_ns, now + 2 * self.latency_ns)
        if leaves < self._held_until_ns:
            self._acked_ns = leaves
            self._move_held(self._held_until_ns, leaves)
            self._drained_ns = leaves
        self._held_until_ns = 0

    def read(self, price: Callable[[int], int]) -> Event | None:
        """Read the next bulk write, whose size is known once it begins; return what to wait for.

        `price`: what reading so many bytes takes the thread alone, in ns.

        :raises StreamError: if the connection is no more or ends before the last byte.
        """
        if self.read_error is not None:
            self.note_failure(READ, self.read_error)
            raise self.read_error
        self.price = price
        self._wants = 0
        self.reading = self._read_wait = self._read_wait.again()
        if self._unclaimed:
            self.claim(self._unclaimed.popleft())
        elif self.disturbed is not None:
            self.disturbed.replan()
        return self.reading

    def claim(self, amount: int) -> None:
        """The waiting reader knows now how much it reads: bring it and the bytes together."""
        now: int = self.env._now  # type: ignore[assignment]  # noqa: SLF001
        price = self.price
        assert price is not None  # noqa: S101 - a reader waits
        read_ns = price(amount)
        transfer = self._inbox[0] if self._inbox else None
        if self.disturbed is None and isinstance(transfer, Transfer):
            late = now - transfer.start_ns - transfer.latency_ns
            if late < 0:  # noqa: PLR1730 - a call costs more
                late = 0
            if not late or not transfer.blocks_before(now):
                transfer.reader_ns = now
                transfer.read_ns = read_ns
                self._join(transfer, late)
                if self.writing is not None and transfer.needs_reader:
                    self.writing.end_at(self._written_ns)
                return
        self.price = None
        self.bytes_read += amount
        self.disturb().want(amount, read_ns)

    def _join(self, transfer: Transfer, late: int = 0) -> None:
        """Bring a transfer and its reader together: now both ends are known.

        `late`: how long after the first byte the reader has come.
        """
        wait = self.reading
        assert wait is not None  # noqa: S101 - a reader waits
        self.price = None
        self._plain = True
        start, size = transfer.start_ns, transfer.size_bytes
        self.bytes_read += size
        key = (
            size,
            transfer.write_ns,
            transfer.link_ns,
            transfer.read_ns,
            transfer.head_bytes,
            late,
        )
        try:
            left, end, written, sending, receiving = self._shapes[key]
        except KeyError:
            left, end, written, sending, receiving = self._shape(transfer, key)
        left += start
        end += start
        latency = transfer.latency_ns
        arrived = left + latency
        self._written_ns = written + start
        wait.end_at(end)
        self._drained_ns = self._bulk_left_ns = left
        if self.head_bytes and self.bandwidth is not None:
            # A bulk transfer has emptied the token bucket (a message hardly touches it).
            self._full_ns = left + self.head_bytes * NS_PER_S // self.bandwidth
        if size % self._mss_bytes:
            self._small_arrival_ns = arrived
            self._acked_ns = arrived + latency
        self.reverse.ack_rides(left, arrived)
        self.sender_ledger.passes(
            "socket_send_buffer", sending, transfer.sending_from, left, self._send_buffer_bytes
        )
        self.receiver_ledger.passes(
            "socket_receive_buffer",
            receiving,
            transfer.receiving_from,
            end,
            self._receive_buffer_bytes,
        )
        if self.transfers is not None:
            self.transfers.append(transfer)
        if self._passings:
            self._tell_passings()

    def _shape(self, transfer: Transfer, key: tuple[int, ...]) -> tuple[int, int, int, int, int]:
        """Work out the times (from the start) and peaks of a transfer; like ones share them."""
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        start = transfer.start_ns
        shape = self._shapes[key] = (
            transfer.left_ns(transfer.size_bytes) - start,
            transfer.read_end_ns() - start,
            transfer.written_ns() - start,
            transfer.sending_peak_bytes(),
            transfer.receiving_peak_bytes(),
        )
        return shape

    def wrote(self) -> None:
        """The writer goes on."""
        self.writing = None
        if self.disturbed is not None:
            self.disturbed.catch_up()

    # ---- when part of a stream has passed ------------------------------------------------------

    def when_passed(self, what: str, share_ppm: int, plan: Callable[[int], None]) -> None:
        """Tell `plan` when `share_ppm` of the stream under way will have passed one end.

        It is told once that is known; if that share never passes, not at all.
        """
        self._passings.append((what, share_ppm, plan))
        self._tell_passings()

    def _tell_passings(self) -> None:
        transfer, waiting = self.transfer, []
        for what, share_ppm, plan in self._passings:
            at = None
            if self.disturbed is not None:
                at = self.disturbed.fluid.passed_time(what, share_ppm)
            elif transfer is not None and (
                transfer.reader_ns >= 0 or (what is WRITE and not transfer.needs_reader)
            ):
                at = transfer.passed_ns(what, transfer.size_bytes * share_ppm // PPM)
            if at is None:
                waiting.append((what, share_ppm, plan))
            else:
                plan(max(self.env.now, at))
        self._passings = waiting

    def tell_passings(self) -> None:
        """Tell those who asked when a share of the stream passes, as far as it is known."""
        if self._passings:
            self._tell_passings()

    # ---- to the fluid and back -----------------------------------------------------------------

    def _astray(self, now: int) -> bool:
        """Whether the closed form cannot answer the next write."""
        disturbed = self.disturbed
        if disturbed is not None:
            if not disturbed.at_rest():
                return True
            self._resume(disturbed, now)
        transfer = self.transfer
        self._plain = transfer is None or transfer.reader_ns >= 0
        return not self._plain

    def _resume(self, disturbed: Disturbed, now: int) -> None:
        """Go back to the closed form: everything written has been read."""
        waiting = disturbed.unread_want()
        self.disturbed = None
        self.transfer = None
        self._inbox.clear()
        self._drained_ns = min(self._drained_ns, now)
        self._bulk_left_ns = disturbed.bulk_left_ns
        if waiting is not None:
            self._wants, self._wake_ns = waiting
            self._awaited = self.reading

    def _under_way(self) -> list[Past]:
        """Return what a fluid must replay: all that is not read, and a reader that waits."""
        past: list[Past] = []
        for item in self._inbox:
            if isinstance(item, tuple):
                arrives, written_ns, amount = item
                leaves = arrives - self.latency_ns
                held_ns = leaves if leaves == self._held_until_ns > self.env.now else 0
                past.append((WRITE, written_ns, amount, 0, held_ns))
                continue
            past.append((WRITE, item.start_ns, item.size_bytes, item.write_ns, 0))
            if item.reader_ns >= 0:
                past.append((READ, item.reader_ns, item.size_bytes, item.read_ns, 0))
        if self.reading is not None and self._wants:
            # It came before what it waits for.
            since = min((entry[1] for entry in past), default=self.env.now)
            past.insert(0, (READ, since, self._wants, self._wake_ns, 0))
        return past

    def disturb(self) -> Disturbed:
        """Go over to the fluid, if that is not so already, and return it brought up to now."""
        disturbed = self.disturbed
        if disturbed is None:
            self._plain = False
            disturbed = self.disturbed = Disturbed(self, self._under_way())
            self._inbox.clear()
            self._awaited = None
        disturbed.catch_up()
        return disturbed

    def fluid_left(self, leaves: int, *, small: bool) -> None:
        """A write leaves at `leaves`, as the fluid has it: keep what Nagle and ACKs need."""
        self._drained_ns = max(self._drained_ns, leaves)
        arrives = leaves + self.latency_ns
        if small:
            self._small_arrival_ns = arrives
            self._acked_ns = None
        else:
            self._acked_ns = leaves
        self.reverse.ack_rides(leaves, arrives)

    def small_acked_ns(self) -> int:
        """When the last small segment is acknowledged, as far as it is known."""
        return self._ack_ns() if self._acked_ns is None else self._acked_ns

    def claim_or_keep(self, amount: int) -> None:
        """A bulk write has begun in the fluid: give it to the waiting reader, or keep it."""
        if self.price is not None:
            self.claim(amount)
        else:
            self._unclaimed.append(amount)

    # ---- what happens to it --------------------------------------------------------------------

    def fail_writer(self, error: StreamError) -> None:
        """Make the sender's present and later writes fail with `error`."""
        if self.write_error is None:
            self.write_error = error
        frozen = self.disturbed is not None and self.disturbed.frozen[WRITE]
        if self.writing is not None and not self.writing.over and not frozen:
            self.note_failure(WRITE, error)
            self.writing.break_off(error)
            if self.disturbed is not None:
                self.disturbed.stop_writing()

    def fail_reader(self, error: StreamError) -> None:
        """Make the receiver's present and later reads fail with `error`."""
        if self.read_error is None:
            self.read_error = error
        frozen = self.disturbed is not None and self.disturbed.frozen[READ]
        if self.reading is not None and not self.reading.over and not frozen:
            self.note_failure(READ, error)
            self.reading.break_off(error)

    def note_failure(self, what: str, error: StreamError) -> None:
        """Record that a send or a receive fails, and why."""
        if what is WRITE:
            self.record.add(code_of(f"{self.sender}: send fails ({error.reason})"))
        else:
            self.record.add(code_of(f"{self.receiver}: receive fails ({error.reason})"))

    def wake_failed(self) -> None:
        """After a thaw: let ends go on whose connection failed meanwhile."""
        if self.write_error is not None:
            self.fail_writer(self.write_error)
        if self.read_error is not None:
            self.fail_reader(self.read_error)

    # ---- what is known of it -------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the sender has shut its side down."""
        return self.disturbed is not None and self.disturbed.ended

    @property
    def writer_blocked(self) -> bool:
        """Whether a thread waits in its send."""
        return self.writing is not None and not self.writing.over

    @property
    def reader_blocked(self) -> bool:
        """Whether a thread waits in its receive."""
        return self.reading is not None and not self.reading.over

    def levels_now(self) -> tuple[int, int]:
        """Return the levels of send and receive buffer in bytes, now."""
        if self.disturbed is not None:
            return self.disturbed.levels_now()
        transfer = self.transfer
        now = self.env.now
        if transfer is None or transfer.reader_ns < 0:
            return 0, 0
        return transfer.sending_from(now), transfer.receiving_from(now)
