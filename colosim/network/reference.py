"""`model: reference`: one direction of the connection as stock SimPy processes, chunk by chunk.

Slow, and meant to be obviously right::

    writer -> [send buffer] -> link -> on its way -> [receive buffer] -> reader
    Process    Container      Process   Process         Container       Process
                                 ^------ window: Container, a latency after a read ------'

A thread works on a chunk and puts it into the buffer, or takes it out and works on it: only that
stops while its process is frozen.  Link, what is on its way and acknowledgements are the kernels'.
With the fast network it shares rates, sizes and the rules of `colosim.network.tcp`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import simpy

from colosim.engine.clock import NS_PER_S, PPM
from colosim.network.ends import READ, WRITE
from colosim.network.fluid import Point
from colosim.network.reference_thread import End
from colosim.network.reference_timers import TimedEnds
from colosim.network.tcp import RTO_MIN_NS, StreamError, delayed_ack_ns

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.network.section import Section

    Steps = Generator[Event, Any, Any]

CHUNK_BYTES = 128 * 1024


class Piece(NamedTuple):
    """What the link carries in one go: a chunk, the short rest of a bulk write, a message, FIN.

    Nagle keeps a small one back that does not ride along with others; the acknowledgement of a
    message may be delayed.
    """

    size_bytes: int
    small: bool = False
    alone: bool = False
    message: bool = False
    fin: bool = False
    not_before_ns: int = 0


class ReferenceDirection(TimedEnds):
    """Bytes from `sender` to `receiver`, in order, blocking at both ends as sockets do."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        env, network = self.env, self.network
        buffers = network.send_buffer_bytes, network.receive_buffer_bytes
        self.send_buffer, self.receive_buffer = (simpy.Container(env, size) for size in buffers)
        self.window = simpy.Container(env, init=buffers[1])
        # Two fit into any buffer, so nobody waits for ever for the rest of a chunk.
        self.chunk_bytes = min(CHUNK_BYTES, *(size // 2 for size in buffers))
        self.pieces, self.streams = simpy.Store(env), simpy.Store(env)
        self.writer = End(env, partial(self.note_failure, WRITE))
        self.reader = End(env, partial(self.note_failure, READ))
        self.shares: list[tuple[str, int, Callable[[int], None]]] = []
        self.departs, self.filled, self.paces = (env.event() for _ in range(3))
        self.small_acked: Event | None = None
        self.came_ns = -1
        self.interactive, self.quick_acks = True, 0
        """The receiver's kernel: whether it delays ACKs, and how many it sends at once else."""
        self.idle = True
        self.end_has_come = self.peer_closed = False
        self.wrote_ns = self.left_ns = self.paced_ns = 0
        self.in_order_ns = {WRITE: 0, READ: 0}
        self.tokens = Fraction(self.pace.burst_bytes)
        env.process(self._link())

    # ---- the writer ----------------------------------------------------------------------------

    def send(self, amount: int) -> Event:
        """Write a message."""
        self._enter(WRITE, self.write_error)
        self.bytes_written += amount
        piece = Piece(amount, small=True, message=True)
        return self.writer.start(self.writer.wait(partial(self._put, piece)))

    def write(self, section: Section, write_ns: int) -> Event:
        """Write a section, which alone takes the thread `write_ns`."""
        amount = section.size_bytes
        self._enter(WRITE, self.write_error)
        self.bytes_written += amount
        behind = any(not piece.message for piece in self.pieces.items)
        later_ns = (
            0 if behind else self.pace.slow_start_ns(amount, write_ns, self.env.now - self.left_ns)
        )
        self.streams.put(section)
        return self.writer.start(self._write(amount, write_ns, self.env.now + later_ns))

    def _write(self, amount: int, write_ns: int, not_before_ns: int) -> Steps:
        whole = amount - amount % self.network.mss_bytes
        for done, size in self._chunks(WRITE, amount, whole):
            until = done + size
            self.unwritten_bytes = amount - done
            yield from self.writer.work(write_ns * until // amount - write_ns * done // amount)
            piece = Piece(size, small=done >= whole, not_before_ns=not_before_ns)
            yield from self.writer.wait(partial(self._put, piece))

    def _enter(self, end: str, error: StreamError | None) -> None:
        self.wrote_ns = self.env.now
        if error is not None:
            self.note_failure(end, error)
            raise error

    def _chunks(self, end: str, amount: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield what is done and the next chunk; it ends at `stop`, or where a share is awaited."""
        done = 0
        while True:
            shares = [(amount * ppm // PPM, plan) for what, ppm, plan in self.shares if what == end]
            others = [one for one in self.shares if one[0] != end]
            self.shares = others + [
                one for one in self.shares if one[0] == end and amount * one[1] // PPM > done
            ]
            for share, plan in shares:
                if share <= done:
                    plan(self.env.now)
            if done == amount:
                return
            ends = (done + self.chunk_bytes, amount, stop, *(share for share, _ in shares))
            size = min(end for end in ends if end > done) - done
            yield done, size
            done += size

    def when_passed(self, what: str, share_ppm: int, plan: Callable[[int], None]) -> None:
        """Tell `plan` when `share_ppm` of the stream under way has passed one end."""
        self.shares.append((what, share_ppm, plan))

    def _put(self, piece: Piece) -> Event:
        """Ask for room in the send buffer; as soon as there is, the link has the piece."""
        put = self.send_buffer.put(piece.size_bytes)
        put.callbacks.append(lambda _put: self._is_in(piece))
        if self.network.send_timeout_ns is not None and not put.triggered:
            self.env.process(self._watch(put, self.wrote_ns + self.network.send_timeout_ns))
        return put

    def _is_in(self, piece: Piece) -> None:
        self.wrote_ns = self.env.now
        self.out_bytes += piece.size_bytes
        alone = piece.small and self.idle and not self.pieces.items
        self.pieces.put(piece._replace(alone=alone))
        self.filled = self.happens(self.filled)
        self._see()

    def _watch(self, put: Event, until_ns: int) -> Steps:
        yield self.env.timeout(max(0, until_ns - self.env.now))
        if put in self.send_buffer.put_queue:
            self.fail_writer(StreamError("send timed out"))

    # ---- the kernels and the link --------------------------------------------------------------

    def _link(self) -> Steps:
        """Carry one piece after the other, when TCP lets it leave, at the link's rate."""
        while True:
            piece = yield self.pieces.get()
            yield self.env.timeout(max(0, piece.not_before_ns - self.env.now))
            # What has waited is filled up by what follows it.
            follows = not piece.alone
            while piece.alone and (acked := self._held_until()) is not None:
                follows = True
                yield acked | self.filled
            self.idle = small = piece.small and not (follows and self.pieces.items)
            yield from self._pace(piece.size_bytes)
            yield from self._pass_window(piece.size_bytes)
            while self.down:
                yield self.up
            yield self.send_buffer.get(piece.size_bytes)
            self._see()
            self.departs = self.happens(self.departs)
            self.reverse.answered()  # type: ignore[attr-defined]
            if not piece.message:
                self.left_ns = self.env.now
            if small:
                self.small_acked = self.env.event()
            self.idle = True
            self.env.process(self._carry(piece, self.small_acked))

    def _held_until(self) -> Event | None:
        """Return what Nagle holds a small piece back for: an ACK, unless bulk follows it."""
        acked = self.small_acked
        if acked is None or acked.triggered or not self.network.nagle:
            return None
        return acked if all(piece.message for piece in self.pieces.items) else None

    def _pace(self, size_bytes: int) -> Steps:
        """Wait until the link, or its token bucket, has let so many bytes pass."""
        self.disturb()
        self.tokens -= size_bytes
        while self.pace.bandwidth is not None and self.tokens < 0:
            left_ns = -self.tokens * NS_PER_S / self.pace.bandwidth
            yield self.env.timeout(-int(-left_ns // 1)) | self.paces
            self.disturb()

    def disturb(self) -> Any:
        """Bring the tokens up to now, and return what bears all disturbances: the direction."""
        come = Fraction((self.env.now - self.paced_ns) * (self.pace.bandwidth or 0), NS_PER_S)
        self.tokens = min(Fraction(self.pace.burst_bytes), self.tokens + come)
        self.paced_ns = self.env.now
        return self

    def set_factors(self, *, bandwidth_ppm: int, latency_ppm: int) -> None:
        """Let the link go on at another rate."""
        self.disturb()
        self.pace.set_factors(bandwidth_ppm, latency_ppm)
        self.paces = self.happens(self.paces)

    def _pass_window(self, size_bytes: int) -> Steps:
        """Wait until the receiver has room, as far as the sender knows."""
        room = self.window.get(size_bytes)
        if not room.triggered:
            self.env.process(self.probe(room))
        yield room
        self.probing = False

    def _travel(self, way: str) -> Steps:
        """Be under way for a latency, behind what went before; what is lost is sent again."""
        cuts = -1
        while cuts != self.cuts:
            cuts = self.cuts
            at_ns = max(self.env.now + self.pace.latency_ns, self.in_order_ns[way])
            self.in_order_ns[way] = at_ns
            yield self.env.timeout(at_ns - self.env.now)
            while self.down:
                yield self.up

    def _carry(self, piece: Piece, acked: Event | None) -> Steps:
        """Bring a piece to the receiver's kernel, which acknowledges it."""
        yield from self._travel(WRITE)
        self.out_bytes -= piece.size_bytes
        self.heard_ns = self.reverse.heard_ns = self.env.now  # type: ignore[attr-defined]
        if piece.fin:
            self.end_has_come = True
            self.streams.put(None)
            there = self.receive_buffer.level
            if any(get.amount > there for get in self.receive_buffer.get_queue):
                self.fail_reader(StreamError("end of stream"))
            return
        self.receive_buffer.put(piece.size_bytes)
        self._see()
        if self.peer_closed:
            self.env.process(self._reset())
        delays = self._comes(piece)
        if acked is None or acked.triggered:
            return
        network, now = self.network, self.env.now
        if delays:
            due_ns = delayed_ack_ns(
                now, network.delayed_ack_ns, network.ack_tick_ns, self.ack_phase_ns
            )
            expires = self.env.timeout(due_ns - now)
            yield expires | self.reverse.departs  # type: ignore[attr-defined]
            if expires.processed:
                self.interactive = False
        yield from self._travel(READ)
        if not acked.triggered:
            acked.succeed()

    def _comes(self, piece: Piece) -> bool:
        """Note that a piece has come; return whether its ACK is delayed."""
        silent_ns, self.came_ns = self.env.now - self.came_ns, self.env.now
        if not piece.message:
            self.quick_acks = 0
            return False
        if silent_ns > RTO_MIN_NS + 2 * self.pace.latency_ns:
            self.quick_acks = 16
        if not self.network.delayed_ack or (not self.interactive and self.quick_acks):
            self.quick_acks -= self.quick_acks > 0
            return False
        return True

    def answered(self) -> None:
        """The receiver sends: if soon after what came, it delays ACKs from now on."""
        tick, phase = self.network.ack_tick_ns or 1, self.ack_phase_ns
        ticks = (self.env.now - phase) // tick - (self.came_ns - phase) // tick
        if self.came_ns >= 0 and ticks < -(-self.network.delayed_ack_ns // tick):
            self.interactive = True

    # ---- the reader ----------------------------------------------------------------------------

    def receive(self, amount: int, wake_ns: int) -> Event:
        """Read a message; if it is not there, waking up when it comes takes `wake_ns`."""
        self._enter(READ, self.read_error)
        self.bytes_read += amount
        there = self.receive_buffer.level >= amount
        return self.reader.start(self._receive(amount, 0 if there else wake_ns))

    def _receive(self, amount: int, wake_ns: int) -> Steps:
        yield from self.reader.wait(partial(self._take, amount))
        yield from self.reader.work(wake_ns)

    def read(self, price: Callable[[Section], int]) -> Event:
        """Read the next section, which is known once its write begins."""
        self._enter(READ, self.read_error)
        self.price = None if self.streams.items else price
        return self.reader.start(self._read(price))

    def _read(self, price: Callable[[Section], int]) -> Steps:
        section = yield from self.reader.wait(self.streams.get)
        if section is None:
            raise StreamError("end of stream")
        self.price, read_ns, amount = None, price(section), section.size_bytes
        for done, size in self._chunks(READ, amount, amount):
            yield from self.reader.wait(partial(self._take, size))
            self.bytes_read += size
            until = done + size
            yield from self.reader.work(read_ns * until // amount - read_ns * done // amount)

    def _take(self, size_bytes: int) -> Event:
        """Ask for bytes out of the receive buffer; as soon as they are out, the window opens."""
        if self.end_has_come and self.receive_buffer.level < size_bytes:
            raise StreamError("end of stream")
        get = self.receive_buffer.get(size_bytes)
        get.callbacks.append(lambda _get: self._is_out(size_bytes))
        return get

    def _is_out(self, size_bytes: int) -> None:
        self._see()
        self.env.process(self._open_window(size_bytes))

    def _open_window(self, size_bytes: int) -> Steps:
        yield from self._travel(READ)
        self.window.put(size_bytes)

    def wrote(self) -> None:
        """The writer goes on: nothing is left to do, and for `has_read` neither."""

    has_read = wrote

    # ---- what happens to it --------------------------------------------------------------------

    def freeze(self, what: str, *, frozen: bool) -> None:
        """Freeze or thaw the thread at one end."""
        end = self.writer if what is WRITE else self.reader
        end.frozen = frozen
        end.stir()

    def fail_writer(self, error: StreamError) -> None:
        """Make the sender's present and later writes fail."""
        self.write_error = self.writer.error = self.write_error or error
        self.writer.stir()

    def fail_reader(self, error: StreamError) -> None:
        """Make the receiver's present and later reads fail."""
        self.read_error = self.reader.error = self.read_error or error
        self.reader.stir()

    def cut(self) -> None:
        """Let the link carry nothing; what is on its way is lost."""
        self.down = True
        self.cuts += 1
        self._see()

    def close(self) -> None:
        """The sender has shut its side down: what is buffered still goes, then the stream ends."""
        self._put(Piece(1, fin=True))
        self.reverse.disturb().meet_closed_peer()

    def meet_closed_peer(self) -> None:
        """The receiver has shut its socket down: it reads no more, and resets what comes."""
        self.peer_closed = True
        if self.receive_buffer.level:
            self.env.process(self._reset())

    def _reset(self) -> Steps:
        yield from self._travel(READ)
        self.fail("connection reset")

    # ---- what is known of it -------------------------------------------------------------------

    def _see(self) -> None:
        """Book the levels, and start the retransmission timer if what is out cannot arrive."""
        levels = self.levels_now()
        at = Fraction(self.env.now)
        sending, receiving = (Point(at, Fraction(level), Fraction(0)) for level in levels)
        for listener in self.listeners:
            listener.levels(sending, receiving)
        if self.down and self.first_loss_ns is None and self.out_bytes and not self.probing:
            self.first_loss_ns = self.env.now
            self.env.process(self.time_out(self.env.now))

    def levels_now(self) -> tuple[int, int]:
        """Return the levels of send and receive buffer in bytes, now."""
        return int(self.send_buffer.level), int(self.receive_buffer.level)

    def levels_at(self, at_ns: int, see: Callable[[int, int, int], None]) -> tuple[int, int]:  # noqa: ARG002 - nothing is seen ahead
        """Return the levels; a buffer that has no room for the next chunk is full."""
        sending, receiving = self.levels_now()
        if self.send_buffer.put_queue:
            sending = self.network.send_buffer_bytes
        if self.window.get_queue and receiving + self.chunk_bytes > self.receive_buffer.capacity:
            receiving = self.network.receive_buffer_bytes
        return sending, receiving

    @property
    def starved(self) -> bool:
        """Whether a thread waits in its receive for more than has been written."""
        there = self.out_bytes + self.receive_buffer.level
        wants = any(get.amount > there for get in self.receive_buffer.get_queue)
        return wants or self.price is not None

    @property
    def writer_blocked(self) -> bool:
        """Whether a thread waits in its send."""
        return self.writer.busy

    @property
    def reader_blocked(self) -> bool:
        """Whether a thread waits in its receive."""
        return self.reader.busy
