"""One direction of a TCP connection as an exact fluid, whatever happens to it on the way.

Four counters of bytes since the direction was opened: `written` into the send buffer, `left` the
sender, `arrived` at the receiver, `read` out of the receive buffer.  Each is piecewise linear in
time, in exact rationals; between two breakpoints nothing but the straight lines go on.  So
conservation (written >= left >= arrived >= read, and every level inside its buffer) holds by
construction, and the number of breakpoints depends on what changes, not on how many bytes pass.
(One level may be outside: after a loss the send buffer also has what was in flight, and takes
nothing more until that has left.)

    writer -> [send buffer] -> link -> latency -> [receive buffer] -> reader
                                 ^---- window: read, one latency later ----'

Either end can freeze (its thread stands, its kernel goes on), the link can change its rate or
vanish (what is in flight is lost and will be sent again).  The link carries at most a window a
round trip, evenly: which bytes of a window went first would otherwise come back each round trip.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from fractions import Fraction
from typing import NamedTuple

from colosim.engine.clock import NS_PER_S
from colosim.network.demand import Demand, Rate

_LIMIT = 100_000


class Point(NamedTuple):
    """A breakpoint of a buffer's level: from `at` on it is a straight line, in bytes a ns."""

    at: Fraction
    level: Fraction
    slope: Fraction


class FluidError(RuntimeError):
    """The fluid did not come to rest within its limit of breakpoints."""


class _Curve:
    """A delayed view of a counter: its value, its slope and the slopes to come."""

    __slots__ = ("coming", "slope", "value")

    def __init__(self) -> None:
        self.value = Fraction(0)
        self.slope = Fraction(0)
        self.coming: deque[tuple[Fraction, Fraction, Fraction]] = deque()

    def __copy__(self) -> _Curve:
        twin = _Curve.__new__(_Curve)
        twin.value, twin.slope, twin.coming = self.value, self.slope, deque(self.coming)
        return twin

    def stand(self, value: Fraction) -> None:
        """Stay at `value`; what was to come does not."""
        self.value, self.slope = value, Fraction(0)
        self.coming.clear()

    def follow(self, at: Fraction, value: Fraction, slope: Fraction) -> None:
        """Take over `value` and `slope` of the counter at time `at`."""
        self.coming.append((at, value, slope))


class Fluid:
    """The state of one direction at `now`, and what comes of it by itself."""

    def __init__(
        self,
        start_ns: int,
        *,
        latency_ns: int,
        send_buffer_bytes: int,
        receive_buffer_bytes: int,
        link: Rate,
        head_bytes: int = 0,
    ) -> None:
        self.now = Fraction(start_ns)
        self.latency = Fraction(max(1, latency_ns))
        self.send_buffer = send_buffer_bytes
        self.receive_buffer = receive_buffer_bytes
        self._head = head_bytes
        self._nominal: Rate = link
        self._limit_link()
        self.bucket = self.bucket_size
        self.written = Fraction(0)
        self.left = Fraction(0)
        self.read = Fraction(0)
        self.arrived = _Curve()
        self.window = _Curve()
        self.writes, self.reads = Demand(), Demand()
        self.link_down = False
        self.held_at: int | None = None
        self.held_until = Fraction(0)
        self.on_levels: Callable[[Point, Point], None] | None = None
        # When `written` and `left` last rose.
        self.wrote_at = self.now
        self._left_at = Fraction(0)
        self.closed_at: Fraction | None = None
        """Since when its sender knows that the window is closed before what is written."""
        # The slopes that the delayed views were last told of; None: they must be told anew.
        self._left_told: Rate = Fraction(0)
        self._read_told: Rate = Fraction(0)
        # How far the marked writes go, and when the last of their bytes had left.
        self.marked = 0
        self.mark_left: Fraction | None = None
        # What leaves from now on arrives no sooner than this: bytes do not overtake.
        self._in_order_from = self.now

    @property
    def link(self) -> Rate:
        """What the link carries in bytes a ns: at most a window a round trip."""
        return self._carries

    @link.setter
    def link(self, rate: Rate) -> None:
        self._nominal = rate
        self._limit_link()
        self.bucket = min(self.bucket, self.bucket_size)

    def _limit_link(self) -> None:
        """Keep link and token bucket within what the window takes in a round trip."""
        round_trip = 2 * self.latency
        by_window = self.receive_buffer / round_trip
        self._carries = by_window if self._nominal is None else min(self._nominal, by_window)
        self.bucket_size = min(
            Fraction(self._head), self.receive_buffer - self._carries * round_trip
        )

    # ---- what is done to it -------------------------------------------------------------------

    def twin(self) -> Fluid:
        """Return a copy to look ahead with; it reports no levels."""
        other = copy(self)
        other.arrived = copy(self.arrived)
        other.window = copy(self.window)
        other.writes = copy(self.writes)
        other.reads = copy(self.reads)
        other.on_levels = None
        return other

    def mark(self) -> None:
        """Let `mark_left` tell when all that is written so far has left."""
        self.marked, self.mark_left = self.writes.goal, None

    def hold(self, position: int, until_ns: int) -> None:
        """Keep bytes from `position` on from leaving before `until_ns` (Nagle)."""
        self.held_at = position
        self.held_until = Fraction(until_ns)

    def take_all(self) -> None:
        """Take all that is to be written into the send buffer, now: the send call has returned."""
        if self.written < self.writes.goal:
            self.written, self.wrote_at = Fraction(self.writes.goal), self.now

    def stop_writing(self) -> None:
        """Let the writer write no more than it has, in whole bytes: its send has failed."""
        whole = int(self.written // 1)
        if self.left <= whole:
            self.written = Fraction(whole)
        self.writes.stop(self.written)

    def lose_flight(self) -> None:
        """Put what is in flight back into the send buffer: it was lost."""
        self.left = self.arrived.value
        self.arrived.stand(self.left)
        self.window.stand(self.window.value)
        self._in_order_from = self.now
        self._left_told = self._read_told = None
        if self.left < self.marked:
            self.mark_left = None

    def probe_window(self) -> None:
        """Tell the sender the true window, as an answered probe does."""
        self.window.stand(self.read)
        self._read_told = None

    @property
    def empty(self) -> bool:
        """Whether every byte that was written has been read, and its sender knows."""
        return self.writes.goal == self.read == self.written == self.window.value

    # ---- what comes of it ---------------------------------------------------------------------

    def _settle(self) -> None:
        """Move what moves without limit, until only rates are left."""
        writable = self.writes.at_once(self.written)
        if not self.link_down:
            step = min(self._may_leave(writable) - self.left, self.bucket)
            if step > 0:
                self.bucket -= step
                self.left += step
                self._left_at = self.now
                self._left_told = None
                self._see_mark(self.now)
        written = min(writable, self.left + self.send_buffer)
        if written > self.written:
            self.written, self.wrote_at = written, self.now
        readable = min(self.reads.at_once(self.read), self.arrived.value)
        if readable > self.read:
            self.read = readable
            self._read_told = None
        self.writes.come_to(self.written)
        self.reads.come_to(self.read)

    def _see_mark(self, at: Fraction) -> None:
        """Note that what is marked had left at `at`, if it has by now."""
        if self.mark_left is None and self.left >= self.marked:
            self.mark_left = at

    def _held(self) -> bool:
        return self.held_at is not None and self.now < self.held_until

    def _may_leave(self, writable: Fraction) -> Fraction:
        """How far `left` may come now: what is written, the window, a held small write."""
        limit = min(writable, self.window.value + self.receive_buffer)
        return min(limit, Fraction(self.held_at or 0)) if self._held() else limit

    def _rates(self) -> tuple[Fraction, Fraction, Fraction]:
        """Return the slopes of written, left and read from now on."""
        writing = leaving = reading = Fraction(0)
        wants = self.written < self.writes.goal and not self.writes.frozen
        write_rate, read_rate = self.writes.step[1], self.reads.step[1]
        if wants and write_rate is not None:
            writing = write_rate
        room = self.left + self.send_buffer - self.written
        if not self.link_down and not (self._held() and self.left >= (self.held_at or 0)):
            bounds = []
            # With tokens left, nothing waits that could leave: settled.
            if self.bucket <= 0:
                bounds.append(self._carries)
            if self.left >= self.window.value + self.receive_buffer:
                bounds.append(self.window.slope)
            if self.written <= self.left:
                bounds.append(writing)
            leaving = min(bounds, default=writing)
        if wants and room <= 0:
            # Full: it takes what leaves. More than full (after a loss): nothing yet.
            if room < 0:
                writing = Fraction(0)
            else:
                writing = leaving if write_rate is None else min(writing, leaving)
        if self.read < self.reads.goal and not self.reads.frozen:
            bounds = [] if read_rate is None else [read_rate]
            if self.read >= self.arrived.value:
                bounds.append(self.arrived.slope)
            reading = min(bounds)
        return writing, leaving, reading

    def _next(self, slopes: tuple[Fraction, Fraction, Fraction]) -> Fraction | None:
        """Return when the straight lines end, or None if never."""
        writing, leaving, reading = slopes
        times: list[Fraction] = []

        def reach(gap: Fraction, speed: Fraction) -> None:
            if speed > 0 and gap > 0:
                times.append(self.now + gap / speed)

        reach(self.writes.step[0] - self.written, writing)
        room = self.left + self.send_buffer - self.written
        reach(room, writing - leaving)
        reach(-room, leaving - writing)
        reach(self.written - self.left, leaving - writing)
        reach(self.window.value + self.receive_buffer - self.left, leaving - self.window.slope)
        reach(self.reads.step[0] - self.read, reading)
        reach(self.arrived.value - self.read, reading - self.arrived.slope)
        reach(self.bucket, leaving - self._carries)
        if self._held():
            times.append(self.held_until)
            reach((self.held_at or 0) - self.left, leaving)
        times.extend(curve.coming[0][0] for curve in (self.arrived, self.window) if curve.coming)
        return min(times) if times else None

    def _go(self, until: Fraction, slopes: tuple[Fraction, Fraction, Fraction]) -> None:
        """Follow the straight lines until `until`."""
        gone = until - self.now
        writing, leaving, reading = slopes
        if writing > 0 and gone > 0:
            self.written += writing * gone
            self.wrote_at = until
        self.left += leaving * gone
        if leaving > 0:
            self._left_at = until
            self._see_mark(until - (self.left - self.marked) / leaving)
        self.read += reading * gone
        if self._head:
            self.bucket = min(self.bucket_size, self.bucket + (self._carries - leaving) * gone)
        for curve in (self.arrived, self.window):
            curve.value += curve.slope * gone
        self.now = until
        for curve in (self.arrived, self.window):
            while curve.coming and curve.coming[0][0] <= until:
                _, curve.value, curve.slope = curve.coming.popleft()

    def _turn(self) -> tuple[Fraction, Fraction, Fraction]:
        """Settle, and let the delayed views know of slopes that changed."""
        self._settle()
        slopes = writing, leaving, reading = self._rates()
        at = max(self.now + self.latency, self._in_order_from)
        # By how much what leaves now is put off by what went before: it arrives at once with what
        # leaves in that time.
        behind = at - self.now - self.latency
        if leaving != self._left_told:
            self.arrived.follow(at, self.left + leaving * behind, leaving)
            self._left_told = leaving
        if reading != self._read_told and not self.link_down:
            self.window.follow(at, self.read + reading * behind, reading)
            self._read_told = reading
        edge = self.window.value + self.receive_buffer
        if leaving or self.left < edge or self.written <= self.left:
            self.closed_at = None
        elif self.closed_at is None:
            self.closed_at = max(self.now, self._left_at + 2 * self.latency)
        if self.on_levels is not None:
            now, arrived = self.now, self.arrived
            self.on_levels(
                Point(now, self.written - self.left, writing - leaving),
                Point(now, arrived.value - self.read, arrived.slope - reading),
            )
        return slopes

    @property
    def _under_way(self) -> bool:
        """Whether bytes or window updates are in flight."""
        return any(curve.coming or curve.slope for curve in (self.arrived, self.window))

    def _course(self, until: Fraction | None = None) -> Iterator[None]:
        """Go on from breakpoint to breakpoint and stop at each, as far as `until` or to rest."""
        for _ in range(_LIMIT):
            slopes = self._turn()
            yield
            at = self._next(slopes)
            if at is None or (until is not None and at > until):
                if until is not None:
                    self._go(until, slopes)
                    self._turn()
                return
            self._go(at, slopes)
        message = f"no rest after {_LIMIT} breakpoints"
        raise FluidError(message)

    def advance(self, until_ns: int | Fraction) -> None:
        """Go on to `until_ns`, whatever happens on the way."""
        for _ in self._course(Fraction(until_ns)):
            pass

    def ends(self) -> tuple[int | None, int | None]:
        """Return when the writer and the reader reach their goals (ns, rounded up), by themselves.

        None where that does not come by itself.  The state stays as it is.
        """
        ahead = self.twin()
        written = read = None
        for _ in ahead._course():  # noqa: SLF001 - its own twin
            if written is None and ahead.written >= ahead.writes.goal:
                written = -int(-ahead.now // 1)
            if read is None and ahead.read >= ahead.reads.goal:
                read = -int(-ahead.now // 1)
            if written is not None and read is not None:
                break
        return written, read

    def at_rest(self) -> Fluid:
        """Return a copy that has come to rest, as far as it does by itself."""
        ahead = self.twin()
        for _ in ahead._course():  # noqa: SLF001 - its own twin
            pass
        return ahead

    def passed_time(self, end: str, share_ppm: int) -> int | None:
        """Return when `share_ppm` of the last write or want has passed its end, by itself."""
        ahead = self.twin()
        (ahead.writes if end == "write" else ahead.reads).stop_at_share(share_ppm)
        written, read = ahead.ends()
        return written if end == "write" else read

    def set_latency(self, latency_ns: int) -> None:
        """Let bytes that leave from now on be `latency_ns` under way.

        They do not overtake: behind a longer way they arrive with the last that took it.
        """
        if self._under_way:
            last = max(self.now + self.latency, self._in_order_from)
            self.arrived.follow(last, self.left, Fraction(0))
            self.window.follow(last, self.read, Fraction(0))
            self._left_told = self._read_told = None
            self._in_order_from = last
        self.latency = Fraction(max(1, latency_ns))
        self._limit_link()
        self.bucket = min(self.bucket, self.bucket_size)


def rate_of(bytes_per_s: int | None) -> Rate:
    """Return a rate in bytes a ns from bytes a second (None: without limit)."""
    return None if bytes_per_s is None else Fraction(bytes_per_s, NS_PER_S)
