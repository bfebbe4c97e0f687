"""A direction that something has disturbed: followed as an exact fluid, breakpoint by breakpoint.

Its network buffers are a SimPy process then: it sleeps until something is due that happens by
itself (a retransmission, a timer that expires, the end of the stream), and whoever changes
something wakes or puts it off.  It begins by replaying what is still under way, and is left when
every byte has been read and nothing disturbs the direction any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from colosim.engine.environment import hand_over
from colosim.network.ends import READ, WRITE
from colosim.network.fluid import Fluid, rate_of
from colosim.network.tcp import (
    StreamError,
    give_up_ns,
    keepalive_gives_up_ns,
    retransmissions_ns,
    window_gives_up_ns,
    window_probes_ns,
)

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.network.calm import UnderWay
    from colosim.network.ends import FastEnds
    from colosim.network.fluid import Point
    from colosim.network.section import Section


class Disturbed:
    """One direction's bytes as a fluid, with its threads' waits."""

    def __init__(self, ends: FastEnds, fluid: Fluid, bulk_left_ns: int) -> None:
        self._ends = ends
        self.env = ends.env
        self._network = ends.network
        self.down = False
        self.ended = False
        self._end_arrives_ns = -1
        self.peer_closed = False
        # What is due by itself, by name: when, and what happens then.
        self._due: dict[str, tuple[int, Callable[[], None]]] = {}
        self._alarm: Event = self.env.event()
        self._alarm_ns: int | None = None
        self.process = self.env.process(self._run())
        # Since when the link is down, and something is sent again that was lost.
        self._cut_ns = self._first_loss_ns = -1
        self._send_began_ns = -1
        # Up to where small writes that wait for nothing are on the link, if not beyond it.
        self._small_until = -1
        self.fluid = fluid
        fluid.on_levels = self._see_levels
        self._bulk_before_ns = bulk_left_ns

    # ---- the process ---------------------------------------------------------------------------

    def _run(self) -> Generator[Event, None, None]:
        """Do what is due, when it is; what comes of that is planned anew."""
        while True:
            yield self._alarm
            self._alarm, self._alarm_ns = self.env.event(), None
            for name in [name for name, (at, _) in self._due.items() if at <= self.env.now]:
                _, act = self._due.pop(name)
                act()
            self._set_alarm()

    def _plan(self, name: str, at_ns: int | None, act: Callable[[], None] | None = None) -> None:
        """Let `act` happen at `at_ns`, now if that has passed; None: not at all."""
        if at_ns is not None and act is not None:
            self._due[name] = (max(self.env.now, at_ns), act)
        elif name not in self._due:
            return
        else:
            del self._due[name]
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Let the process go on when the first of what is due comes."""
        first = min((at for at, _ in self._due.values()), default=None)
        if first == self._alarm_ns:
            return
        self._alarm_ns = first
        event = self.env.event() if first is None else self.env.timeout(first - self.env.now)
        self._alarm = hand_over(self._alarm, event)

    # ---- following -----------------------------------------------------------------------------

    def _see_levels(self, sending: Point, receiving: Point) -> None:
        for listener in self._ends.listeners:
            listener.levels(sending, receiving)

    def catch_up(self) -> None:
        """Bring the fluid up to now, with what happens in this very instant."""
        self.fluid.advance(self.env.now)

    def levels_now(self) -> tuple[int, int]:
        """Return the levels of send and receive buffer in bytes, now."""
        self.catch_up()
        fluid = self.fluid
        return int(fluid.written - fluid.left), int(fluid.arrived.value - fluid.read)

    def at_rest(self) -> bool:
        """Whether the closed form can take over again."""
        ends = self._ends
        if self.down or self.ended or self.peer_closed or any(self._ends.frozen.values()):
            return False
        if ends.write_error is not None or ends.read_error is not None:
            return False
        self.catch_up()
        if not self.fluid.empty:
            return False
        done = self.fluid.reads.goal <= self.fluid.writes.goal
        # A reader that has its bytes goes on at this very instant: not yet.
        return not (done and ends.reading is not None and ends.price is None)

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
        waiting = fluid.reads.goal - fluid.writes.goal
        if waiting <= 0:
            return None
        rate = fluid.reads.step[1]
        return waiting, 0 if rate is None else int(waiting / rate)

    # ---- writing and reading -------------------------------------------------------------------

    def send(self, amount: int) -> Event | None:
        """Write a small message."""
        fluid, ends, now = self.fluid, self._ends, self.env.now
        empty = fluid.left >= fluid.writes.goal or fluid.writes.goal == self._small_until
        fluid.writes.add(amount, 0)
        leaves = now
        if empty and self._network.nagle:
            leaves = max(now, ends.small.acked_ns)
            if leaves > now:
                fluid.hold(fluid.writes.goal - amount, leaves)
        if empty and leaves == now:
            self._small_until = fluid.writes.goal
        if not self.down:
            # Behind what has not left yet it rides along.
            self._leaves(leaves, small=empty)
        return self.await_written()

    def write(self, section: Section, write_ns: int) -> Event | None:
        """Write a section: whatever Nagle held back goes along."""
        fluid, ends, amount = self.fluid, self._ends, section.size_bytes
        if fluid.held_at is not None:
            fluid.held_until = min(fluid.held_until, fluid.now)
        later = ends.pace.slow_start_ns(amount, write_ns, max(0, self.env.now - self.bulk_left_ns))
        fluid.writes.add(amount, write_ns + later)
        fluid.mark()
        if later:
            fluid.hold(fluid.writes.goal - amount, self.env.now + later)
        ends.offer_bulk(section)
        if not self.down:
            self._leaves(self.env.now, small=False)
        return self.await_written()

    def _leaves(self, leaves: int, *, small: bool) -> None:
        """A write leaves at `leaves`: keep what Nagle and the other way's ACKs need."""
        ends = self._ends
        ends.drained_ns = max(ends.drained_ns, leaves)
        arrives = leaves + ends.pace.latency_ns
        if small:
            ends.small.left(arrives)
        else:
            ends.small.acknowledged(leaves)
            ends.small.bulk_left(arrives)
        ends.reverse.ack_rides(leaves, arrives)

    def await_written(self) -> Event | None:
        """Return what the writer waits for, or None if all it wrote is in the buffer."""
        if self.peer_closed:
            self._reset_later()
        written, _ = self.fluid.ends()
        if written is not None and written <= self.env.now and not self._ends.frozen[WRITE]:
            self.replan()
            return None
        self._ends.writing = self.env.event()
        self._send_began_ns = self.env.now
        self.replan()
        return self._ends.writing

    def receive(self, amount: int, wake_ns: int) -> Event | None:
        """Read a message."""
        ends, fluid = self._ends, self.fluid
        self.catch_up()
        ends.bytes_read += amount
        there = fluid.arrived.value >= fluid.reads.goal + amount
        ends.reading = self.env.event()
        fluid.reads.add(amount, 0 if there else wake_ns)
        self.replan()
        return ends.reading

    def want(self, amount: int, read_ns: int) -> None:
        """Let the waiting reader read `amount` bytes."""
        self.fluid.reads.add(amount, read_ns)
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
        ends = self._ends
        self.catch_up()
        self._note_loss()
        written, read = self.fluid.ends()
        ends.writer_goes_on(None if ends.frozen[WRITE] else written)
        # A reader whose bulk write has not begun wants more than anybody has written.
        goes_on = None if ends.frozen[READ] or ends.price is not None else read
        ends.reader_goes_on(goes_on)
        self._plan("end of stream", self._stream_ends_ns(goes_on), self._end_stream)
        self._plan("give up", self._gives_up_ns(), ends.give_up)
        self._plan("send timeout", self.send_times_out_at_ns, self._time_out_send)
        ends.report_progress()

    def _stream_ends_ns(self, goes_on_ns: int | None) -> int | None:
        """When a reader that does not go on has read all there is and the end (FIN) has come."""
        ends = self._ends
        waits = ends.reader_blocked and goes_on_ns is None and not ends.frozen[READ]
        if not waits or not self.ended or self.down:
            return None
        ahead = self.fluid.twin()
        ahead.reads.goal = min(ahead.reads.goal, ahead.writes.goal)
        _, done = ahead.ends()
        return None if done is None else max(done, self._end_arrives_ns)

    def _end_stream(self) -> None:
        self._ends.fail_reader(StreamError("end of stream"))

    def _gives_up_ns(self) -> int | None:
        """When the sender's kernel gives up if nothing gets through meanwhile; None: never."""
        network, ends = self._network, self._ends
        if ends.write_error is not None:
            return None
        if self._first_loss_ns >= 0:
            after = give_up_ns(network.rto_ns, network.retries2)
            if network.user_timeout_ns is not None:
                after = min(after, network.rto_ns + network.user_timeout_ns)
            return self._first_loss_ns + after
        closed_ns = self._closed_ns()
        cut_ns = self._cut_ns if self.down else None
        if closed_ns is not None:
            return window_gives_up_ns(network, closed_ns, cut_ns)
        if cut_ns is None or network.keepalive is None:
            return None
        heard_ns = min(cut_ns, max(ends.left_ns, ends.reverse.left_ns) + ends.pace.latency_ns)
        return keepalive_gives_up_ns(network.keepalive, network.user_timeout_ns, heard_ns, cut_ns)

    def _closed_ns(self) -> int | None:
        """Since when, or from when on, the window is closed until something changes."""
        if not self.down and self._network.user_timeout_ns is None:
            return None
        fluid = self.fluid if self.down else self.fluid.at_rest()
        return None if fluid.closed_at is None else -int(-fluid.closed_at // 1)

    def _time_out_send(self) -> None:
        """Fail a send of which nothing has found room for too long."""
        self.catch_up()
        self._drop_rest()
        self._ends.fail_writer(StreamError("send timed out"))

    @property
    def send_times_out_at_ns(self) -> int | None:
        """When the send under way times out if nothing more finds room; None: it does not."""
        timeout = self._network.send_timeout_ns
        if timeout is None or self._ends.frozen[WRITE] or not self._ends.writer_blocked:
            return None
        ahead = self.fluid.at_rest()
        if ahead.written >= ahead.writes.goal:
            return None
        return max(-int(-ahead.wrote_at // 1), self._send_began_ns) + timeout

    # ---- what happens to it --------------------------------------------------------------------

    def freeze(self, end: str, *, frozen: bool) -> None:
        """Freeze or thaw the thread at one end (`WRITE` or `READ`); the kernel goes on.

        Only a send or receive under way stops: what one that has returned took is the kernel's, and
        is delivered also if it returned in this very instant.
        """
        self.catch_up()
        self._ends.frozen[end] = frozen
        if end is WRITE:
            self.fluid.writes.frozen = frozen and self._ends.writer_blocked
        else:
            self.fluid.reads.frozen = frozen and self._ends.reader_blocked
        self.replan()

    def rates_changed(self) -> None:
        """The direction's bandwidth or latency has another value."""
        self.catch_up()
        self.fluid.link = rate_of(self._ends.pace.bandwidth)
        self.fluid.set_latency(self._ends.pace.latency_ns)
        self.replan()

    def cut(self) -> None:
        """Let the link carry nothing from now on; what is in flight is lost."""
        self.catch_up()
        if not self.down:
            self.down, self._cut_ns = True, self.env.now
        self._plan("retransmission", None)
        self.fluid.lose_flight()
        self.fluid.link_down = True
        self.replan()

    def mend(self) -> None:
        """Let the link carry again: the next retransmission or window probe gets through."""
        if not self.down:
            return
        network, now, first = self._network, self.env.now, self._first_loss_ns
        if first >= 0:
            at_ns = first + retransmissions_ns(network.rto_ns, now - first)[-1]
        elif (closed_ns := self._closed_ns()) is not None:
            at_ns = next(window_probes_ns(network, closed_ns, now))
        else:
            self._through()
            return
        self._plan("retransmission", at_ns, self._through)

    def _through(self) -> None:
        """A retransmission gets through: the link carries again."""
        self.catch_up()
        self.down = False
        if self.ended:
            self._end_arrives_ns = max(
                self._end_arrives_ns, self.env.now + self._ends.pace.latency_ns
            )
        self._first_loss_ns = -1
        self.fluid.link_down = False
        self.fluid.probe_window()
        self.replan()
        if self.peer_closed and self.fluid.writes.goal > self.fluid.read:
            self._reset_later()

    def _note_loss(self) -> None:
        """Note that something is sent in vain from now on, and will be sent again."""
        fluid, now = self.fluid, self.env.now
        if not self.down or self._first_loss_ns >= 0:
            return
        is_closed = fluid.closed_at is not None and fluid.closed_at <= now
        if not is_closed and (self.ended or fluid.writes.goal > fluid.arrived.value):
            self._first_loss_ns = now

    def close(self) -> None:
        """The sender's side was shut down: what is buffered still goes, then the stream ends."""
        self.catch_up()
        if self._ends.writer_blocked:
            self._drop_rest()
        self.fluid.take_all()
        self.ended = True
        self._end_arrives_ns = self.env.now + self._ends.pace.latency_ns
        self._ends.reverse.disturb().meet_closed_peer()
        self.replan()

    def stop_writing(self) -> None:
        """The sender's blocked send has failed: what did not fit is never written."""
        self.catch_up()
        self._drop_rest()
        self.replan()

    def _drop_rest(self) -> None:
        before = self.fluid.writes.goal
        self.fluid.stop_writing()
        self._ends.unwritten_bytes += before - self.fluid.writes.goal

    def meet_closed_peer(self) -> None:
        """The receiver has shut its socket down: it reads no more, and resets what comes."""
        self.peer_closed = True
        self.catch_up()
        fluid = self.fluid
        fluid.reads.stop(fluid.read)
        if fluid.writes.goal > fluid.read:
            self._reset_later()
        self.replan()

    def _reset_later(self) -> None:
        """A write to a closed peer: the reset comes back a round trip later."""
        if self.down:
            return
        at_ns = self.env.now + 2 * self._ends.pace.latency_ns
        self._plan("reset", at_ns, lambda: self._ends.fail("connection reset"))


def fluid_of(ends: FastEnds, under_way: list[UnderWay]) -> Fluid:
    """Return a fluid that has replayed `under_way`, what is under way in closed form, up to now."""
    network, pace, now = ends.network, ends.pace, ends.env.now
    blocked = ends.writer_blocked
    fluid = Fluid(
        min((entry[1] for entry in under_way), default=now),
        latency_ns=pace.latency_ns,
        send_buffer_bytes=network.send_buffer_bytes,
        receive_buffer_bytes=network.receive_buffer_bytes,
        link=rate_of(pace.bandwidth),
        head_bytes=pace.burst_bytes,
    )
    for what, at_ns, amount, spent_ns, held_until_ns in sorted(under_way, key=_when):
        fluid.advance(min(at_ns, now))
        if what is READ:
            fluid.reads.add(amount, spent_ns)
            continue
        fluid.take_all()  # the send before has returned
        later = max(0, at_ns - now)
        # What a send that has returned took is in the buffer.
        fluid.writes.add(amount, spent_ns + later if blocked or not later else 0)
        if spent_ns:
            fluid.mark()
        if later:
            # What slow start puts off leaves no sooner.
            fluid.hold(fluid.writes.goal - amount, at_ns)
        if held_until_ns and fluid.held_until <= fluid.now:
            fluid.hold(fluid.writes.goal - amount, held_until_ns)
    return fluid


def _when(entry: UnderWay) -> int:
    """Return when something was done."""
    return entry[1]
