"""A direction that something has disturbed: followed as an exact fluid, breakpoint by breakpoint.

It begins by replaying what is still under way, and ends when every byte has been read and nothing
disturbs the direction any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.environment import Wait
from colosim.engine.record import code_of
from colosim.network.fluid import Fluid, rate_of
from colosim.network.tcp import StreamError, give_up_ns, retransmissions_ns

if TYPE_CHECKING:
    from fractions import Fraction

    from simpy.events import Event

    from colosim.network.direction import Direction

    Past = tuple[str, int, int, int, int]
    """What was done (`WRITE` or `READ`), when, how many bytes, how long it takes alone, and until
    when Nagle holds it back (0: not at all)."""

WRITE, READ = "write", "read"


class Disturbed:
    """One direction's bytes as a fluid, with its threads' waits."""

    def __init__(self, direction: Direction, past: list[Past]) -> None:
        self._direction = direction
        self.env = direction.env
        self._network = network = direction.network
        self.frozen = {WRITE: False, READ: False}
        self.down = False
        self._mended = False
        self.ended = False
        self._end_arrives_ns = -1
        self.peer_closed = False
        self._epoch = 0
        self._first_loss_ns = -1
        self._send_began_ns = -1
        # Up to where small writes that wait for nothing are on the link, if not beyond it.
        self._small_until = -1
        start = min((entry[1] for entry in past), default=self.env.now)
        self.fluid = fluid = Fluid(
            start,
            latency_ns=direction.latency_ns,
            send_buffer_bytes=network.send_buffer_bytes,
            receive_buffer_bytes=network.receive_buffer_bytes,
            link=rate_of(direction.bandwidth),
            head_bytes=direction.head_bytes,
        )
        self._bulk_before_ns = direction.bulk_left_ns
        now, blocked = self.env.now, direction.writer_blocked
        for what, at_ns, amount, spent_ns, held_until_ns in sorted(past, key=_when):
            fluid.advance(min(at_ns, now))
            if what is READ:
                fluid.want(amount, spent_ns)
                continue
            later = max(0, at_ns - now)
            # What a send that has returned took is in the buffer.
            fluid.write(amount, spent_ns + later if blocked or not later else 0)
            if spent_ns:
                fluid.mark()
            if later:
                # What slow start puts off leaves no sooner.
                fluid.hold(fluid.write_goal - amount, at_ns)
            if held_until_ns and fluid.held_until != held_until_ns:
                fluid.hold(fluid.write_goal - amount, held_until_ns)
        fluid.on_levels = self._see_levels

    # ---- following -----------------------------------------------------------------------------

    def _see_levels(self, at: Fraction, sending: Fraction, receiving: Fraction) -> None:
        direction = self._direction
        levels = -int(-sending // 1), -int(-receiving // 1)
        direction.sender_ledger.passing_level("socket_send_buffer", levels[0])
        direction.receiver_ledger.passing_level("socket_receive_buffer", levels[1])
        if direction.levels is not None:
            direction.levels.append((-int(-at // 1), *levels))

    def catch_up(self) -> None:
        """Bring the fluid up to now."""
        if self.fluid.now < self.env.now:
            self.fluid.advance(self.env.now)

    def levels_now(self) -> tuple[int, int]:
        """Return the levels of send and receive buffer in bytes, now."""
        self.catch_up()
        fluid = self.fluid
        return int(fluid.written - fluid.left), int(fluid.arrived.value - fluid.read)

    def at_rest(self) -> bool:
        """Whether the closed form can take over again."""
        direction = self._direction
        if self.down or self.ended or self.peer_closed or any(self.frozen.values()):
            return False
        if direction.write_error is not None or direction.read_error is not None:
            return False
        self.catch_up()
        if not self.fluid.empty:
            return False
        done = self.fluid.read_goal <= self.fluid.write_goal
        # A reader that has its bytes goes on at this very instant: not yet.
        return not (done and direction.reading is not None and direction.price is None)

    @property
    def bulk_left_ns(self) -> int:
        """When the last bulk had left; now, if it has not yet."""
        fluid = self.fluid
        if not fluid.marked:
            return self._bulk_before_ns
        return self.env.now if fluid.mark_left is None else -int(-fluid.mark_left // 1)

    def unread_want(self) -> tuple[int, int] | None:
        """Return what a reader waits for beyond all that was written: bytes, and their time."""
        fluid = self.fluid
        waiting = fluid.read_goal - fluid.write_goal
        if waiting <= 0:
            return None
        rate = fluid.read_step[1]
        return waiting, 0 if rate is None else int(waiting / rate)

    # ---- writing and reading -------------------------------------------------------------------

    def send(self, amount: int) -> Event | None:
        """Write a small message."""
        fluid, direction, now = self.fluid, self._direction, self.env.now
        empty = fluid.left >= fluid.write_goal or fluid.write_goal == self._small_until
        fluid.write(amount, 0)
        leaves = now
        if empty and self._network.nagle:
            leaves = max(now, direction.small_acked_ns())
            if leaves > now:
                fluid.hold(fluid.write_goal - amount, leaves)
        if empty and leaves == now:
            self._small_until = fluid.write_goal
        if not self.down:
            # Behind what has not left yet it rides along.
            direction.fluid_left(leaves, small=empty)
        return self.await_written()

    def write(self, amount: int, write_ns: int) -> Event | None:
        """Write in bulk: whatever Nagle held back goes along."""
        fluid, direction = self.fluid, self._direction
        if fluid.held_at is not None:
            fluid.held_until = min(fluid.held_until, fluid.now)
        later = direction.slow_start_of(amount, max(0, self.env.now - self.bulk_left_ns))
        fluid.write(amount, write_ns + later)
        fluid.mark()
        if later:
            fluid.hold(fluid.write_goal - amount, self.env.now + later)
        direction.claim_or_keep(amount)
        if not self.down:
            direction.fluid_left(self.env.now, small=False)
        return self.await_written()

    def await_written(self) -> Event | None:
        """Return what the writer waits for, or None if all it wrote is in the buffer."""
        if self.peer_closed:
            self._reset_later()
        self._note_loss()
        written, _ = self.fluid.ends()
        if written is not None and written <= self.env.now and not self.frozen[WRITE]:
            self.replan()
            return None
        wait = self._direction.writing = Wait(self.env)
        self._send_began_ns = self.env.now
        self.replan()
        return wait

    def receive(self, amount: int, wake_ns: int) -> Event | None:
        """Read a message."""
        direction, fluid = self._direction, self.fluid
        if direction.read_error is not None:
            direction.note_failure(READ, direction.read_error)
            raise direction.read_error
        self.catch_up()
        direction.bytes_read += amount
        there = fluid.arrived.value >= fluid.read_goal + amount
        wait = direction.reading = Wait(self.env)
        fluid.want(amount, 0 if there else wake_ns)
        self.replan()
        return wait

    def want(self, amount: int, read_ns: int) -> None:
        """Let the waiting reader read `amount` bytes."""
        self.fluid.want(amount, read_ns)
        self.replan()

    def release(self, held_until: int, acked_ns: int) -> None:
        """Let small writes that wait for an ACK at `held_until` leave at `acked_ns`."""
        fluid = self.fluid
        if fluid.held_at is not None and fluid.held_until == held_until:
            self.catch_up()
            fluid.hold(fluid.held_at, acked_ns)
            self.replan()

    # ---- planning ------------------------------------------------------------------------------

    def replan(self) -> None:
        """Set anew when the waiting ends go on, after something changed."""
        direction = self._direction
        self.catch_up()
        self._epoch += 1
        written, read = self.fluid.ends()
        now = self.env.now
        writing, reading = direction.writing, direction.reading
        if writing is not None and not writing.over:
            if written is None or self.frozen[WRITE]:
                writing.suspend()
            else:
                writing.end_at(max(now, written))
        if reading is not None and not reading.over:
            if read is not None and direction.price is None and not self.frozen[READ]:
                reading.end_at(max(now, read))
            else:
                reading.suspend()
                if self.ended and not self.frozen[READ]:
                    self._end_of_stream()
        self._watch_window()
        self._watch_send()
        direction.tell_passings()

    def _end_of_stream(self) -> None:
        """Fail the reader once it has read all there is and the end (FIN) has come."""
        if self.down:
            return
        epoch, direction = self._epoch, self._direction
        ahead = self.fluid.twin()
        ahead.read_goal = min(ahead.read_goal, ahead.write_goal)
        _, done = ahead.ends()
        if done is None:
            return

        def end() -> None:
            if self._epoch == epoch:
                direction.fail_reader(StreamError("end of stream"))

        self.env.call_at(max(self.env.now, done, self._end_arrives_ns), end)

    def _watch_window(self) -> None:
        """With TCP_USER_TIMEOUT, give up a peer whose window stays closed."""
        timeout = self._network.user_timeout_ns
        if timeout is None or self.down:
            return
        closed = self.fluid.twin().rest()
        if closed is None:
            return
        epoch = self._epoch

        def expire() -> None:
            if self._epoch == epoch:
                self._give_up()

        self.env.call_at(max(self.env.now, closed) + timeout, expire)

    def _watch_send(self) -> None:
        """With a send timeout, fail a send of which nothing has found room for so long."""
        due = self.send_times_out_at_ns
        if due is None:
            return
        epoch = self._epoch

        def expire() -> None:
            if self._epoch == epoch:
                self.catch_up()
                self.fluid.stop_writing()
                self._direction.fail_writer(StreamError("send timed out"))

        self.env.call_at(max(self.env.now, due), expire)

    @property
    def send_times_out_at_ns(self) -> int | None:
        """When the send under way times out if nothing more finds room; None: it does not."""
        timeout, writing = self._network.send_timeout_ns, self._direction.writing
        if timeout is None or writing is None or writing.over or self.frozen[WRITE]:
            return None
        stalled = self.fluid.twin().stalls()
        return None if stalled is None else max(stalled, self._send_began_ns) + timeout

    # ---- what happens to it --------------------------------------------------------------------

    def freeze(self, end: str, *, frozen: bool) -> None:
        """Freeze or thaw the thread at one end (`WRITE` or `READ`); the kernel goes on.

        Only a send or receive under way stops: what one that has returned took is the kernel's.
        """
        self.catch_up()
        self.frozen[end] = frozen
        if end is WRITE:
            self.fluid.writer_frozen = frozen and self._direction.writer_blocked
        else:
            self.fluid.reader_frozen = frozen and self._direction.reader_blocked
        self.replan()

    def rates_changed(self) -> None:
        """The direction's bandwidth or latency has another value."""
        self.catch_up()
        self.fluid.link = rate_of(self._direction.bandwidth)
        self.fluid.set_latency(self._direction.latency_ns)
        self.replan()

    def cut(self) -> None:
        """Let the link carry nothing from now on; what is in flight is lost."""
        self.catch_up()
        self.down = True
        self._mended = False
        self.fluid.lose_flight()
        self.fluid.link_down = True
        self.replan()
        self._note_loss()

    def mend(self) -> None:
        """Let the link carry again: the next retransmission gets through."""
        if not self.down:
            return
        self._mended = True
        if self._first_loss_ns < 0:
            self._through()
            return
        first = self._first_loss_ns
        since = self.env.now - first
        again = first + retransmissions_ns(self._network.rto_ns, since)[-1]

        def through() -> None:
            if self.down and self._mended and self._first_loss_ns == first:
                self._through()

        self.env.call_at(again, through)

    def _through(self) -> None:
        self.catch_up()
        self.down = False
        if self.ended:
            self._end_arrives_ns = max(
                self._end_arrives_ns, self.env.now + self._direction.latency_ns
            )
        self._first_loss_ns = -1
        self.fluid.link_down = False
        self.fluid.probe_window()
        self.replan()
        if self.peer_closed and self.fluid.write_goal > self.fluid.read:
            self._reset_later()

    def _note_loss(self) -> None:
        """Start the retransmission timer if something is out and the link is down."""
        fluid = self.fluid
        if not self.down or self._first_loss_ns >= 0:
            return
        if not self.ended and fluid.write_goal <= fluid.arrived.value:
            return
        self._first_loss_ns = first = self.env.now

        def expire() -> None:
            if self.down and self._first_loss_ns == first:
                self._give_up()

        self.env.call_at(first + self._give_up_after_ns(), expire)

    def _give_up_after_ns(self) -> int:
        """Return how long after the first loss the sender's kernel gives up."""
        network = self._network
        after = give_up_ns(network.rto_ns, network.retries2)
        if network.user_timeout_ns is not None:
            after = min(after, max(network.rto_ns, network.user_timeout_ns))
        return after

    def _give_up(self) -> None:
        """Let the sender's kernel give the connection up (ETIMEDOUT)."""
        direction = self._direction
        if direction.write_error is not None:
            return  # it had ended before
        direction.record.add(code_of(f"{direction.sender}: connection timed out"))
        direction.fail_writer(StreamError("connection timed out"))
        direction.reverse.fail_reader(StreamError("connection timed out"))

    def close(self) -> None:
        """The sender's side was shut down: what is buffered still goes, then the stream ends."""
        self.ended = True
        self._end_arrives_ns = self.env.now + self._direction.latency_ns
        self._direction.reverse.disturb().meet_closed_peer()
        self.replan()
        self._note_loss()

    def stop_writing(self) -> None:
        """The sender's blocked send has failed: what did not fit is never written."""
        self.catch_up()
        self.fluid.stop_writing()
        self.replan()

    def meet_closed_peer(self) -> None:
        """The receiver has shut its socket down: it reads no more, and resets what comes."""
        self.peer_closed = True
        self.catch_up()
        fluid = self.fluid
        fluid.stop_reading()
        if fluid.write_goal > fluid.read:
            self._reset_later()
        self.replan()

    def _reset_later(self) -> None:
        """A write to a closed peer: the reset comes back a round trip later."""
        if self.down:
            return
        direction = self._direction

        def reset() -> None:
            direction.fail_writer(StreamError("connection reset"))
            direction.reverse.fail_reader(StreamError("connection reset"))

        self.env.call_at(self.env.now + 2 * direction.latency_ns, reset)


def _when(entry: Past) -> int:
    """Return when something was done."""
    return entry[1]
