"""What open and closed loops of clients have in common: settings, counts, and answers on their way.

The pair tells of its life in four calls, an epoch after the other, each with a time in ns: `begin`
(both guests run again), `stop` (both have stopped), `commit` (the checkpoint is acknowledged), and
in between `forces`, which says when the comparison will ask for a checkpoint, if nothing stops the
guests before.  What happens in one ns happens in this order: the primary's frames, the secondary's,
old frames are looked for, the guests stop; an arrival in the ns of the stop is before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.engine.streams import Streams
from colosim.network.tcp import RTO_MIN_NS, retransmissions_ns
from colosim.scenario.service import BUFFERED, COMPARED, DIRECT, HELD
from colosim.service.comparison import NEVER, Comparison
from colosim.service.draws import Divergence, Works, after_loads
from colosim.service.requests import MET, MET_FORCED
from colosim.service.server import paced
from colosim.service.stream import ByteStream

if TYPE_CHECKING:
    from colosim.scenario.service import Output, Service
    from colosim.service.draws import Times
    from colosim.service.requests import Index, Requests

SLOW: Final = 3
"""How many requests the secondary serves slowly after a load."""
NEAR_NS: Final = 3_000_000
SOON_NS: Final = 50_000_000
"""Behind the first one's answer it is busy for so long, and for so long a little (measured)."""
TAP_FRAMES: Final = 1000
"""Frames that the kernel keeps for a tap that is not read (its default txqueuelen)."""
NAGLE_WAYS: Final = 3
"""One-way times that a frame takes after its length, which waits for an ACK (measured)."""

TAP_NS: Final = 15_000
"""Between frames that leave the tap together (measured: 10 to 36 us in the median)."""
AT_ONCE: Final = 1 << 14
"""Answers that are told of together."""
LATE_TENTHS: Final = 7
"""Of the lag of the secondary's first request, what one has that comes as the primary runs again
(measured within 7 runs, one outstanding: 0.69 of 24 against 105 that came in the pause, in which
the lag is the same whenever)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scenario says of clients, for one design.

    `link_ns`: one way between the hosts; `link_bytes_per_s`: how fast it is, None if that is no
    limit.  Requests, answers and the checkpoint's stream do not queue for it (assumed).
    """

    service: Service
    output: Output
    mode: str
    link_ns: int
    seed: int
    link_bytes_per_s: int | None = None

    def crossing_ns(self, size_bytes: int) -> int:
        """Return how long a frame of that size is on its way between the hosts' proxies."""
        bytes_ns = 0
        if self.link_bytes_per_s is not None:
            bytes_ns = size_bytes * 10**9 // self.link_bytes_per_s
        return self.link_ns * (1 if self.output.nodelay else NAGLE_WAYS) + bytes_ns


class Workload:
    """Clients of one run: counts, and whom to tell of answers (times of arrival, latencies)."""

    burst_at = -1
    """Which of the secondary's requests is the first that waited for the resume, if any did."""
    mute_ns: int | None = None
    """Since when nothing comes from the secondary any more."""
    was_forced = False
    """Whether the comparison forced the last stop."""
    on_over: Callable[[Requests, Times], None] | None = None
    """Is told of requests that are over, and when their answers left, -1 for never."""
    _resent: tuple[Times, Times] | None = None
    """Requests that came once more, by their numbers, and when they came first."""
    part = 1 << 14
    """How many are answered at once where nothing is compared."""

    def __init__(self, settings: Settings, on_answers: Callable[[Times, Times], None]) -> None:
        service, output = settings.service, settings.output
        self.settings = settings
        self.mode = settings.mode
        self.on_answers = on_answers
        self.latency_ns = service.latency_ns
        self.hop_ns = output.loopback_ns if self.mode == COMPARED else 0
        self.mirror_ns = settings.crossing_ns(service.request_bytes) + output.copy_ns
        self.echo_ns = settings.crossing_ns(service.response_bytes)
        self.pace_ns = service.pace_ns
        self.newest_first = service.protocol != "tcp"
        self.tap_ns = TAP_NS if self.mode == COMPARED else 0
        self.stream = ByteStream(service, output, settings.seed, compared=self.mode == COMPARED)
        self.works = Works(
            service, settings.seed, self.stream.transfer_ns, stall=not output.nodelay
        )
        phase = Streams(settings.seed).below("old packet scan", output.scan_ns)
        self.comparison = Comparison(
            newest_first=self.newest_first,
            queue=output.queue,
            timeout_ns=output.timeout_ns,
            scan_ns=output.scan_ns,
            phase_ns=phase,
        )
        self._lags = after_loads(service.secondary_lag, settings.seed)
        self.divergence = Divergence(service, settings.seed)
        self.drifted_ns = NEVER
        """Since when every answer differs."""
        self.interval_ns = output.interval_ns or 1
        self.phase_ns = Streams(settings.seed).below("filter-buffer", self.interval_ns)
        self.shift_ns = 0
        """How long the guest has stood: its own time is so far behind the clock."""
        self.first_ns = 0
        """Lag of the secondary's first request of this epoch, if it comes with the load."""
        self.more_ns, self.burst_ns = [(0, 0)] * 2, 0
        """What the second takes longer if it comes near the first one's answer, or soon; likewise
        the third; and of those that waited the first behind it, or that waited for the resume."""
        self.near_ns, self.soon_ns = NEAR_NS, SOON_NS
        self.running = self.committed = False
        self.run_ns = self.secondary_run_ns = 0
        self.stop_ns = self.secondary_stop_ns = -1
        self.copies_until_ns = -1
        """Copies that come later are before the stopped secondary, and are executed once more."""
        self.retransmits = service.protocol == "tcp" and self.mode in {COMPARED, HELD}
        """Whether a connection outlives the primary: what its client has seen the survivor has."""
        self.flushed: dict[int, Any] = {}
        """Of connections the first answer that the last stop's checkpoint flushes."""
        self.emulated = bool(self._lags)
        self.ahead_ns = 0
        """How far the secondary's guest has its clock ahead of the primary's."""
        self.sent_again: set[int] = set()
        """Answers that its TCP sends again in this epoch, and which differed."""
        self._untold: list[tuple[Times, Times]] = []
        """When requests arrived and their answers left, of which nobody was told yet."""
        self.copied = self.copies = self.copies_free_ns = 0
        """Requests mirrored in epochs that are over; how many the secondary's guest has done since
        it runs; when it is free."""
        self._first_done_ns = NEVER
        self._told = self.requests = self.answered = 0
        self.dropped = self.met_pause = self.held_peak = 0

    # ---- for each kind of loop -----------------------------------------------------------------

    def forces(self, until_ns: int) -> tuple[int, str] | None:
        """Return when the comparison asks for a checkpoint, up to `until_ns`, and why."""
        raise NotImplementedError

    def _go_out_of_step(self) -> None:
        """Let answers differ that the stop found half sent, or that follow what was flushed."""
        raise NotImplementedError

    def _send_again(self) -> None:
        """Let the secondary send once more what was flushed, before all else."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Let what waited for the resume leave, and both guests go on."""
        raise NotImplementedError

    def _stop(self) -> None:
        """Stop both guests."""
        raise NotImplementedError

    def _let_go(self, at_ns: int) -> None:
        """Let go what was held at the last stop."""
        raise NotImplementedError

    def _forget(self, until_ns: int) -> None:
        """Lose what has come up to `until_ns` and is not answered, or let it come once more."""
        raise NotImplementedError

    def _close(self, end_ns: int) -> None:
        """Count requests up to the end of the run, and lose those that are not answered."""
        raise NotImplementedError

    def copies_by(self, at_ns: int) -> int:
        """Return how many requests this epoch has mirrored up to then."""
        raise NotImplementedError

    def copy_at(self, index: int, until_ns: int) -> int | None:
        """Return when this epoch mirrors its request `index`, None if that is not known to come.

        `until_ns`: from when on any time behind it will do, for nobody looks that far.
        """
        raise NotImplementedError

    def lag_at(self, begun_ns: int) -> int:
        """Return the lag of the secondary's first request of an epoch, begun then."""
        tenths = LATE_TENTHS if begun_ns >= self.run_ns else 10
        return self.first_ns * tenths // 10

    def tick_after(self, done: Any) -> Any:
        """Return when an answer, or each of several, leaves that is done then and not compared.

        At once; or with the next tick of the filter, which comes in time that the guest runs.
        """
        if self.mode != BUFFERED:
            return done
        since = self.shift_ns + self.phase_ns
        done = done + (done == self.run_ns)  # a tick of the guest's time is not seen twice
        return -(-(done - since) // self.interval_ns) * self.interval_ns + since

    # ---- what the pair tells -------------------------------------------------------------------

    def begin(self, run_ns: int, secondary_run_ns: int, *, loaded: bool = True) -> None:
        """Both guests run, the secondary's with the primary's state if it has `loaded` it."""
        self.shift_ns += run_ns - max(0, self.stop_ns)
        self.run_ns, self.secondary_run_ns = run_ns, min(run_ns, secondary_run_ns)
        if loaded or self.drifted_ns == NEVER:
            self.drifted_ns = run_ns + (self.divergence.drifts_after_ns() or NEVER - run_ns)
        self.first_ns, self.more_ns, self.burst_ns = 0, [(0, 0)] * 2, 0
        if self._lags and loaded:
            self.first_ns, *more, self.burst_ns = (int(lag.take(1)[0]) for lag in self._lags)
            self.more_ns = [(more[0], more[1]), (more[2], more[3])]
        if loaded:
            alone_ns = run_ns - self.secondary_run_ns
            self.sent_again.clear()
            if not self.stream.tail_ns:
                if self.emulated and self.ahead_ns + alone_ns >= self.stream.rto_ns:
                    self._send_again()
            elif alone_ns >= self.stream.probe_ns:
                self._go_out_of_step()
            self.flushed = {}
        self.running = True
        self._begin()
        self.was_forced = False

    def stop(self, at_ns: int, secondary_at_ns: int) -> int | None:
        """Both guests stop; return when a checkpoint was asked for last in this epoch, if it was.

        What they had sent is compared before the flush; assumed, for the state that must cross the
        link before VMSTATE_RECEIVED takes longer than a frame does.
        """
        self.stop_ns, self.secondary_stop_ns = at_ns, min(at_ns, secondary_at_ns)
        self.copies_until_ns = self.secondary_stop_ns
        longer_ns = self.run_ns - self.secondary_run_ns - (at_ns - self.secondary_stop_ns)
        self.ahead_ns = max(0, self.ahead_ns + longer_ns)
        if self.mute_ns is not None:
            self.secondary_stop_ns = min(self.secondary_stop_ns, self.mute_ns)
        self.running = self.committed = False
        self._stop()
        notified = self.comparison.notified
        return notified[-1][0] if notified else None

    def commit(self, at_ns: int) -> None:
        """Take note that the checkpoint is acknowledged (VMSTATE_RECEIVED): what it held may leave.

        A frame that leaves while the primary is stopped waits before the tap until it runs.
        """
        self.committed = True
        if self.running:
            self._let_go(at_ns)

    def secondary_lost(self, at_ns: int) -> None:
        """Nothing comes from the secondary any more."""
        if self.mute_ns is None:
            self.mute_ns = at_ns

    def serve_alone(self, at_ns: int, *, anew: bool, compared: bool) -> None:
        """A survivor's guest runs alone from now on, its output released at once.

        `anew`: it is the secondary's, and what the primary had not answered is lost, or sent once
        more by TCP.
        `compared`: the comparison was left in place, and nothing leaves it.
        """
        if anew:
            self._forget(at_ns)
        self.tell()
        if anew or not (compared or self.mode == BUFFERED):
            self.mode, self.hop_ns, self.committed = DIRECT, 0, True
        self.begin(at_ns, at_ns, loaded=False)

    def leaving_order(self, number: Any, connection: Any, through_ns: Any) -> tuple[Any, Any, Any]:
        """Return by what answers leave the tap together, one after the other, the last key first.

        First what was compared before the stop and went through the loopback; then what the flush
        released: of datagrams the newest first, of a byte stream the lowest (colo_flush_packets).
        """
        flushed = through_ns == 0
        sign = 1 - 2 * (flushed * self.newest_first)
        return sign * number, connection, flushed

    def close(self, end_ns: int) -> None:
        """Count requests and answers up to the end of the run."""
        if self.running:
            self.stop(end_ns, end_ns)
        self._close(end_ns)
        self.tell()

    # ---- the secondary's guest -----------------------------------------------------------------

    @property
    def slow(self) -> int:
        """How many requests the secondary's guest serves before all are as fast as ever."""
        lags = self.first_ns or self.burst_ns or any(map(any, self.more_ns))
        return max(SLOW, self.burst_at + 1) if lags else 0

    def note_burst(self, again: int, taken: int, waiting: int) -> None:
        """Note which request is the first that is mirrored as the primary runs again.

        Of those `waiting` `taken` were in the state, and one was mirrored as it came.
        """
        self.burst_at = taken + again + 1 if waiting > taken + 1 else -1

    def start_copies(self) -> None:
        """Let the secondary's guest begin with what it has loaded."""
        self.copies, self.copies_free_ns = 0, self.secondary_run_ns

    def execute_copy(self, came_ns: int, work_ns: int) -> int:
        """Return when the secondary has done its next request.

        The first is slower than others, and so are the next two, unless the third came while the
        guest was at work, and the first of those that waited for the resume.
        """
        pace, free_ns = self.pace_ns, self.copies_free_ns
        begun = max(came_ns, free_ns if pace is None else self.secondary_run_ns)
        lag_ns = 0 if self.copies else self.lag_at(begun)
        done = max(begun + work_ns + lag_ns, free_ns)
        waited = came_ns <= free_ns - (pace or 0)
        if not self.copies:
            self._first_done_ns = done
        elif self.copies == self.burst_at or (self.copies == 1 and waited):
            done += self.burst_ns
        elif self.copies < SLOW and not waited:
            behind_ns = came_ns - self._first_done_ns
            if behind_ns < self.soon_ns:
                near, soon = self.more_ns[self.copies - 1]
                done += near if behind_ns < self.near_ns else soon
        self.copies += 1
        self.copies_free_ns = done + (pace or 0)
        return done

    def execute_loaded(self, work: Times) -> Times:
        """Return when the secondary has done what was in the state that it has loaded."""
        slow = [self.execute_copy(self.secondary_run_ns, one) for one in work[:SLOW].tolist()]
        if len(slow) == len(work):
            return np.array(slow, np.int64)
        takes, free_ns, pace_ns = work[SLOW:], self.copies_free_ns, self.pace_ns
        if pace_ns is None:
            done = takes.cumsum() + free_ns
        else:
            done = paced(takes + self.secondary_run_ns, free_ns, pace_ns)
        self.copies += len(done)
        self.copies_free_ns = done.item(-1) + (pace_ns or 0)
        return np.concatenate((slow, done))

    # ---- answers -------------------------------------------------------------------------------

    def answer(self, some: Requests, index: Index, leaves: Times) -> None:
        """Answers to some of these leave what they waited for then, and the tap a hop later."""
        if len(leaves):
            if self._resent is not None:
                some, index = self._as_sent(some.where(index), *self._resent), slice(None)
            self.answered += len(leaves)
            self._untold.append((some.arrived[index], leaves))
            if self.answered - self._told >= AT_ONCE:
                self.tell()
            if self.on_over is not None:
                self.on_over(some.where(index), leaves + self.hop_ns)

    def _as_sent(self, some: Requests, numbers: Times, arrived: Times) -> Requests:
        """Return requests as they came first."""
        at = np.minimum(numbers.searchsorted(some.number), len(numbers) - 1)
        some.arrived = np.where(numbers[at] == some.number, arrived[at], some.arrived)
        return some

    def resend(self, arrived: Times, until_ns: int) -> Times:
        """Return when requests come once more that came then and are not answered by `until_ns`.

        With the first retransmission from then on: RFC 6298, with the least RTO of Linux beyond
        the round trip, doubled each time (assumed: that of the way, the guest's part left out).
        """
        way_ns = 2 * self.latency_ns
        ages = retransmissions_ns(
            RTO_MIN_NS + way_ns, until_ns - int(arrived.min(initial=until_ns))
        )
        again = np.array(ages, np.int64)
        return arrived + again[again.searchsorted(until_ns - arrived)]

    def note_resent(self, numbers: Times, arrived: Times) -> None:
        """Let latencies of these requests count from when they came first."""
        order = np.argsort(numbers)
        self._resent = numbers[order], arrived[order]

    def tell(self) -> None:
        """Tell of the answers that have left, many at once."""
        if self._untold:
            arrived, left = map(np.concatenate, zip(*self._untold, strict=True))
            self._untold.clear()
            self._told = self.answered
            left += self.hop_ns + self.latency_ns
            self.on_answers(left, left - arrived + self.latency_ns)

    def lose(self, some: Requests, index: Index = slice(None)) -> None:
        """Some of these requests are never answered."""
        if self.on_over is not None and len(some := some.where(index)):
            self.on_over(some, np.full(len(some), -1))

    @property
    def met(self) -> int:
        """What a request has met that was under way in the last pause."""
        return MET | (MET_FORCED * self.was_forced)
