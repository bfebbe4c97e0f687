r"""One bulk transfer through a TCP connection, in closed form.

A transfer of `n` bytes passes five stages: the writing thread, the send buffer, the link, the
receive buffer, the reading thread.  Each stage moves bytes at a constant rate, given here as the
time that it would need for all `n` bytes alone.  With all buffers empty at the start, the level of
every stage is a minimum of straight lines (min-plus algebra), so the times below are exact in
integers and their cost does not depend on `n`::

    X(t) = min(a t, head + c t, receive buffer + d (t - reader - latency))    left the sender
    W(t) = min(a t, X(t) + send buffer)                                       accepted
    C(t) = min(d (t - reader), X(t - latency))                                read

Behind a reader who comes after the window has closed, link and writer resume as its coming is
known: then also X(t) <= receive buffer + c (t - reader - latency), and with the send buffer full
X(t) <= receive buffer + send buffer + a (t - reader - latency).

What is written behind others fills the send buffer before its first byte leaves: ``a`` begins
`lead_ns` sooner.  Where it waits for a window that opens late, ``c`` begins `delay_ns` later.

It holds as long as no token bucket fills while the window is closed (`blocks_before`), and the
receive buffer takes what the link carries in a round trip.
What is not in this form (anything that changes while bytes are under way) is computed by
`colosim.network.fluid`, which must and does agree with it; `tests/reference` holds both to a
page-by-page model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from colosim.engine.clock import agreed, anywhere, ceil_share, choose, larger

NEVER: Final = 1 << 60


@dataclass(slots=True)
class Transfer:
    """A bulk transfer: what it is given, and when its stages end.

    Durations are those of the whole transfer at one stage alone, in ns; all times are absolute.
    From `start_ns` on its bytes leave.  `head_bytes` pass the link at once (a token bucket that is
    full).  `reader_ns` is when the reading thread has come, or -1 as long as it has not.
    """

    start_ns: int
    size_bytes: int
    write_ns: int
    link_ns: int
    latency_ns: int
    send_buffer_bytes: int
    receive_buffer_bytes: int
    head_bytes: int = 0
    read_ns: int = 0
    reader_ns: int = -1
    lead_ns: int = 0
    delay_ns: int = 0
    leaves_by_itself: bool = False
    """Whether it hangs on no reader yet to come when it leaves."""
    opens_ns: int = NEVER
    """When the sender knows that all of it is read; `NEVER` as long as no reader has come."""

    @property
    def filled_from_ns(self) -> int:
        """When it begins to fill the send buffer."""
        return self.start_ns - self.lead_ns

    @property
    def begun_ns(self) -> int:
        """When the reader begins to read: it is there and the first byte is."""
        return larger(self.reader_ns, self.start_ns + self.latency_ns)

    def left_ns(self, amount: int) -> int:
        """When the first `amount` bytes have left the sender."""
        size = self.size_bytes
        taken = ceil_share(self.write_ns, amount, size) - self.lead_ns
        since = self.start_ns + larger(taken, self._carried_ns(amount) + self.delay_ns)
        over = amount - self.receive_buffer_bytes
        is_over = over > 0
        return larger(since, self._resumed_ns(over) * is_over) if anywhere(is_over) else since

    def _carried_ns(self, amount: int) -> int:
        """Return how long the link alone takes for the first `amount` bytes."""
        head = self.head_bytes
        past_head = larger(amount - head, 0) if anywhere(head > 0) else amount
        return ceil_share(self.link_ns, past_head, self.size_bytes)

    def _resumed_ns(self, over: int) -> int:
        """When what is `over` bytes beyond the window has left: the reader has to make room for it.

        A late reader finds both buffers full: as its coming is known, link and writer resume.
        """
        size, over = self.size_bytes, larger(over, 0)
        resumed = ceil_share(self.read_ns, over, size)
        first = self.start_ns + self.latency_ns
        begun = larger(self.reader_ns, first)
        if anywhere(begun > first):
            resumed = larger(resumed, ceil_share(self.link_ns, over, size) * (self.head_bytes == 0))
            unwritten = larger(over - self.send_buffer_bytes, 0)
            resumed = larger(resumed, ceil_share(self.write_ns, unwritten, size))
        return begun + self.latency_ns + resumed

    def leave_at(self, left_ns: int, *, where: bool = True) -> None:
        """Let the last byte leave at `left_ns`, which is not sooner than it would."""
        delay_ns = left_ns - self.start_ns - self._carried_ns(self.size_bytes)
        self.delay_ns = choose(where, delay_ns, self.delay_ns)

    def queue(self, drained_ns: int, now_ns: int, room_ns: int, *, where: bool = True) -> None:
        """Begin behind a backlog, which has left at `drained_ns` and leaves room at `room_ns`.

        The write ends when it fits.  A small one leaves with the backlog's end, as if nothing of it
        had waited for the link.
        """
        write_ns = self.write_ns
        lead_ns = drained_ns - larger(now_ns, room_ns - write_ns)
        self.start_ns = choose(where, drained_ns, self.start_ns)
        self.lead_ns = choose(where, lead_ns, self.lead_ns)
        is_small = agreed(where & (self.size_bytes <= self.send_buffer_bytes // 4))
        if is_small is not False:
            alone_ns = larger(room_ns, drained_ns - write_ns)
            self.leave_at(alone_ns + larger(write_ns, self.link_ns), where=is_small)

    def hold_back(self, waits_ns: int, left_ns: int, *, where: bool = True) -> None:
        """Let all but its writer, who is done, wait so long; it would have left at `left_ns`."""
        self.start_ns = choose(where, self.start_ns + waits_ns, self.start_ns)
        self.lead_ns = choose(where, waits_ns, self.lead_ns)
        self.leave_at(left_ns + waits_ns, where=where)

    def release(self, now_ns: int, *, where: bool = True) -> int:
        """Let what was held back leave by now; return when the last byte does."""
        self.start_ns = choose(where, self.filled_from_ns, self.start_ns)
        self.lead_ns = choose(where, 0, self.lead_ns)
        self.delay_ns = choose(where, 0, self.delay_ns)
        left_ns = larger(self.left_ns(self.size_bytes), now_ns)
        self.leave_at(left_ns, where=where)
        return left_ns

    @property
    def needs_reader(self) -> bool:
        """Whether the writer cannot end before the reader has come."""
        return self.size_bytes > self.send_buffer_bytes + self.receive_buffer_bytes

    def blocks_before(self, reader_ns: int) -> bool:
        """Whether a reader that comes at `reader_ns` finds the window closed."""
        window, size = self.receive_buffer_bytes, self.size_bytes
        since = reader_ns + self.latency_ns - self.start_ns
        blocks = (size > window) & (since > 2 * self.latency_ns)
        if anywhere(blocks):
            past_head = larger(window - self.head_bytes, 0)
            blocks &= ceil_share(self.write_ns, window, size) <= since
            blocks &= ceil_share(self.link_ns, past_head, size) <= since
        return blocks

    def written_ns(self) -> int:
        """When the last byte is in the send buffer."""
        over = self.size_bytes - self.send_buffer_bytes
        taken = self.filled_from_ns + self.write_ns
        waits = over > 0
        if not anywhere(waits):
            return taken
        taken = larger(taken, self.left_ns(larger(over, 1)) * waits)
        unwritten = over - self.receive_buffer_bytes
        if not anywhere(unwritten > 0):
            return taken
        resumed = ceil_share(self.write_ns, larger(unwritten, 0), self.size_bytes)
        resumed += self.begun_ns + self.latency_ns
        return larger(taken, resumed * (unwritten > 0))

    def read_end_ns(self) -> int:
        """When the reading thread has the last byte."""
        arrived = self.left_ns(self.size_bytes) + self.latency_ns
        return larger(self.begun_ns + self.read_ns, arrived)

    def passed_ns(self, end: str, amount: int) -> int:
        """When the first `amount` bytes have passed the writer (``write``) or the reader."""
        if end == "write":
            taken = self.filled_from_ns + ceil_share(self.write_ns, amount, self.size_bytes)
            over = amount - self.send_buffer_bytes
            return max(taken, self.left_ns(over)) if over > 0 else taken
        taken = self.begun_ns + ceil_share(self.read_ns, amount, self.size_bytes)
        return larger(taken, self.left_ns(amount) + self.latency_ns)

    def left_bytes(self, at_ns: int) -> int:
        """How many bytes have left the sender at `at_ns`, rounded down."""
        size = self.size_bytes
        since = at_ns - self.start_ns
        if since < 0:
            return 0
        left = size
        if self.write_ns:
            left = min(left, size * (since + self.lead_ns) // self.write_ns)
        if self.link_ns:
            carried_ns = max(0, since - self.delay_ns)
            left = min(left, self.head_bytes + size * carried_ns // self.link_ns)
        window = self.receive_buffer_bytes
        if left > window:
            later = at_ns - self.begun_ns - self.latency_ns
            if later <= 0:
                return window
            if slowest_ns := max(self.read_ns, self.link_ns * (self.head_bytes == 0)):
                left = min(left, window + size * later // slowest_ns)
            if self.write_ns:
                room = window + self.send_buffer_bytes
                left = min(left, room + size * later // self.write_ns)
        return left

    def read_bytes(self, at_ns: int) -> int:
        """How many bytes have been read at `at_ns`, rounded down."""
        since = at_ns - self.begun_ns
        if since < 0:
            return 0
        arrived = self.left_bytes(at_ns - self.latency_ns)
        if not self.read_ns:
            return arrived
        return min(arrived, self.size_bytes * since // self.read_ns)

    def sending_peak_bytes(self) -> int:
        """Return the highest level of the send buffer."""
        unblocked = self.filled_from_ns + self.write_ns
        over = self.size_bytes - self.send_buffer_bytes
        if over > 0 and self.left_ns(over) > unblocked:
            return self.send_buffer_bytes
        peak = max(0, self.size_bytes - self.left_bytes(unblocked))
        resumed, filled = self.begun_ns + self.latency_ns, self.filled_from_ns
        if filled < resumed < unblocked:  # the window may have been closed
            written = self.size_bytes * (resumed - filled) // self.write_ns
            peak = max(peak, min(written - self.left_bytes(resumed), self.send_buffer_bytes))
        return peak


def reached(ahead: Sequence[Transfer], beyond: int, now_ns: int) -> Iterator[tuple[Transfer, int]]:
    """Find the place `beyond` bytes behind all of `ahead`, of what the sender does not know read.

    Yield each transfer with how many of its bytes are up to that place, or 0 if it is elsewhere.
    """
    sizes = [one.size_bytes * (one.opens_ns > now_ns) for one in ahead]
    over = beyond + sum(sizes)
    for one, size in zip(ahead, sizes, strict=True):
        is_behind = over > 0
        if not anywhere(is_behind):
            return
        yield one, over * (is_behind & (over <= size))
        over = over - size


def room_ns(ahead: Sequence[Transfer], beyond: int, now_ns: int) -> int:
    """Return when all but so many bytes of `ahead` have left; a place beyond all of it is none."""
    room = now_ns
    for one, over in reached(ahead, beyond, now_ns):
        if (here := agreed(over > 0)) is not False:
            room = choose(here, larger(now_ns, one.left_ns(over)), room)
    return room
