"""Clients, guests and comparison as stock SimPy processes, a process a request.

Slow and obviously right.  Time is counted in eighths of a nanosecond, so that what happens in one
ns has its order: arrivals, guests' work, the primary's frames, the secondary's, the scan for old
frames, the stops, the flush, the resumes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

ARRIVES, DONE, PRIMARY_FRAME, SECONDARY_FRAME, SCAN, STOP, FLUSH, RUN = range(8)
TICK = SECONDARY_FRAME
TAP_FRAMES = 1000
Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Case:
    """One small case: requests, the proxy, and a pair that does nothing but checkpoints."""

    arrived: list[int]
    work: list[int]
    own: list[int]
    """What a request takes the secondary."""
    differs: list[bool]
    connections: int
    mode: str
    newest_first: bool
    crossing_ns: int
    request_ns: int
    """What the bytes of a request take on the link on top."""
    response_ns: int
    hop_ns: int
    queue: int
    timeout_ns: int
    scan_ns: int
    phase_ns: int
    first_ns: list[int]
    more_ns: list[int]
    """What the second takes longer if it is near the first one's answer, or soon; likewise the
    third; and the first that waited for the resume."""
    near_ns: int
    soon_ns: int
    delay_ns: int
    message_ns: int
    stop_gap_ns: int
    save_ns: int
    load_ns: int
    resume_gap_ns: int
    end_ns: int
    opening: tuple[int, ...] = ()
    """What handshakes take the primary's guest, in turn; none: requests open no connection."""
    own_opening: tuple[int, ...] = ()
    """Likewise the secondary's."""
    way_ns: int = 0
    """Between client and tap, one way."""
    think_ns: int = -1
    """Of as many clients as there are connections; negative: requests come as they are given."""
    pace_ns: int | None = None
    tap_ns: int = 0
    tail_ns: int = 0
    probe_ns: int = 0
    """How long the secondary's guest waits for an ACK before it sends an answer's end again."""
    rto_ns: int = 10**9
    """How far ahead its clock must be for it to send an answer of one segment again."""
    stays: tuple[bool, ...] = (False,)
    """Of each flush of a connection, whether its TCP stays out of step."""
    drift_ns: tuple[int, ...] = ()
    """How long after each load the guests have drifted apart, in turn; none: never."""
    interval_ns: int | None = None
    """Of the filter-buffer."""
    ticks_at_ns: int = 0


@dataclass
class Outcome:
    """What came of it."""

    left: dict[int, int] = field(default_factory=dict)
    forced: list[tuple[int, str]] = field(default_factory=list)
    checkpoints: int = 0
    dropped: set[int] = field(default_factory=set)
    met: set[int] = field(default_factory=set)


def request_of(number: int) -> int:
    """Return the request that a frame is of, or the SYN before it."""
    return number if number >= 0 else -1 - number


@dataclass
class Job:
    """A request in a guest: what it still has to do, and since when."""

    number: int
    left: int
    since: int
    again: bool = False
    """Whether TCP sends its answer once more."""
    differs: bool = False


class Reference:
    """The model of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.env = simpy.Environment()
        self.out = Outcome()
        self.primary_runs = True
        self.secondary_runs = True
        self.resumed = self.env.event()
        self.first_of_pause: int | None = None
        self.at_tap: list[int] = []
        self.guest: list[Job] = []  # in the primary's guest
        self.twin: list[Job] = []  # in the secondary's
        self.nic: list[int] = []  # copies before the stopped secondary
        self.kick = {"primary": self.env.event(), "secondary": self.env.event()}
        self.mine: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self.theirs: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self.sent: set[int] = set()  # answers of the primary that have left the comparison
        self.held: list[int] = []
        self.through: list[int] = []  # compared, and before the tap of the stopped primary
        self.cut: set[int] = set()  # answers that both guests' TCP are out of step in
        self.odd: set[int] = set()  # connections whose next answer will be
        self.flushes = 0  # of connections
        self.buffer: list[int] = []
        self.stopped = self.env.event()
        self.drifted: set[int] = set()
        self.apart_ns = 0
        self.waits = True
        self.base_ns = 0
        self.flushed_ns = 0
        self.wake = self.env.event()
        self.loads = 0
        self.fresh = False  # whether the secondary has loaded a state
        self.served = 0  # requests since
        self.resumes_ns = 0
        self.first_done_ns = self.last_done_ns = self.ahead = self.ran_alone = 0
        self.burst: int | None = None  # the first of those that waited for the resume
        self.arrived = list(case.arrived)
        self.connection = [number % case.connections for number in range(len(case.arrived))]
        self.answered: dict[int, simpy.Event] = {}

    # ---- time ----------------------------------------------------------------------------------

    @property
    def ns(self) -> int:
        """The time in ns."""
        return int(self.env.now) // 8

    def until(self, at_ns: int, phase: int) -> simpy.Event:
        """Wait for a phase of a nanosecond."""
        return self.env.timeout(max(0, 8 * at_ns + phase - int(self.env.now)))

    # ---- requests ------------------------------------------------------------------------------

    def request(self, number: int) -> Steps:
        """Take a request from the wire to the guest, or first the SYN of its connection.

        A SYN is told from its request by its number: -1 - number.
        """
        yield from self.frame(-1 - number if self.case.opening else number, self.arrived[number])

    def follow(self, number: int) -> Steps:
        """Take the request of a connection that is open now."""
        yield from self.frame(number, self.ns + 2 * self.case.way_ns)

    def frame(self, number: int, at_ns: int) -> Steps:
        """Take a frame from the wire to the guest; the first of a pause is mirrored at once."""
        yield self.until(at_ns, ARRIVES)
        if not self.primary_runs:
            first = self.first_of_pause is None
            if first:
                self.first_of_pause = number
                self.env.process(self.copy(number))
            elif len(self.at_tap) >= TAP_FRAMES:
                self.out.dropped.add(request_of(number))
                return
            else:
                self.at_tap.append(number)
            self.out.met.add(request_of(number))
            yield self.resumed
            if first:
                self.enter(number)
                return
        self.env.process(self.copy(number))
        self.enter(number)

    def client(self, connection: int) -> Steps:
        """Send, wait for the answer, think, and send again."""
        case = self.case
        at_ns = case.think_ns * connection // case.connections + case.way_ns
        while True:
            yield self.until(at_ns, ARRIVES)
            number = len(self.arrived)
            self.arrived.append(self.ns)
            self.connection.append(connection)
            if connection in self.odd:
                self.odd.discard(connection)
                self.cut.add(number)
            answered = self.answered[number] = self.env.event()
            self.env.process(self.request(number))
            yield answered
            at_ns = self.ns + 2 * case.way_ns + case.think_ns

    def flow(self, number: int) -> int:
        """Return whose frames one is compared among."""
        return request_of(number) if self.case.opening else self.connection[number]

    def work(self, number: int) -> int:
        """Return how long a request takes the primary."""
        if number < 0:
            return self.case.opening[request_of(number) % len(self.case.opening)]
        return self.case.work[number % len(self.case.work)]

    def own(self, number: int) -> int:
        """Return how long it takes the secondary."""
        if number < 0:
            return self.case.own_opening[request_of(number) % len(self.case.own_opening)]
        return self.case.own[number % len(self.case.own)]

    def differs(self, number: int) -> bool:
        """Return whether the answers to a request differ, which have something in them."""
        if number < 0:
            return False
        odd = number in self.drifted or number in self.cut
        return odd or self.case.differs[number % len(self.case.differs)]

    def left(self, number: int) -> None:
        """Let an answer be at its client; that to a SYN lets its request follow."""
        if number < 0:
            self.env.process(self.follow(request_of(number)))
            return
        self.out.left[number] = self.ns
        if number in self.answered:
            self.answered[number].succeed()

    def enter(self, number: int) -> None:
        """Put a request into the primary guest."""
        self.guest.append(Job(number, self.work(number), self.ns))
        self.poke("primary")

    def copy(self, number: int) -> Steps:
        """Mirror a request to the secondary: to its guest, or before its stopped NIC."""
        yield self.until(self.ns + self.case.crossing_ns + self.case.request_ns, ARRIVES)
        if self.secondary_runs:
            self.twin.append(Job(number, self.own(number), self.ns))
            self.poke("secondary")
        else:
            self.nic.append(number)

    def poke(self, side: str) -> None:
        """Wake an idle guest."""
        kick, self.kick[side] = self.kick[side], self.env.event()
        kick.succeed()

    # ---- guests --------------------------------------------------------------------------------

    def head_takes(self, jobs: list[Job]) -> int:
        """Return how long the first of a guest's requests still takes."""
        if self.case.pace_ns is None:
            return jobs[0].left
        return max(0, jobs[0].left - (self.ns - jobs[0].since))

    def run_primary(self) -> Steps:
        """Serve one request after the other, or all at once; a stop keeps the rest of the work."""
        pace, rests_until = self.case.pace_ns, 0
        for job in self.guest:
            job.since = self.ns
        while True:
            while not self.guest:
                yield self.kick["primary"]
            begun = self.ns
            try:
                yield self.until(max(begun + self.head_takes(self.guest), rests_until), DONE)
            except simpy.Interrupt:
                for job in self.guest[: 1 if pace is None else None]:
                    since = begun if pace is None else job.since
                    job.left = max(0, job.left - (self.ns - since))
                    if self.probes and 0 < job.left < self.case.tail_ns:
                        self.cut.add(job.number)
                return
            self.env.process(self.answer(self.guest.pop(0).number))
            rests_until = self.ns + (pace or 0)

    def run_secondary(self) -> Steps:
        """Serve likewise, the first after a load slowly, and the next two if they are behind it."""
        rests_until = 0
        while True:
            while not self.twin:
                yield self.kick["secondary"]
            job, before = self.twin[0], self.served
            if self.fresh and before == 0:
                first = self.case.first_ns[self.loads % len(self.case.first_ns)]
                job.left += first * (7 if self.ns >= self.resumes_ns else 10) // 10
            yield self.until(max(self.ns + self.head_takes(self.twin), rests_until), DONE)
            if before == 0:
                self.first_done_ns = self.ns
            elif self.fresh:
                yield self.until(self.ns + self.takes_longer(job), DONE)
            self.served += 1
            self.last_done_ns = self.ns
            self.twin.pop(0)
            if not job.again or job.differs:
                self.env.process(self.echo(job.number, again=job.again))
            rests_until = self.ns + (self.case.pace_ns or 0)

    def takes_longer(self, job: Job) -> int:
        """Return what a request takes the secondary longer that comes soon after a load."""
        case = self.case
        second_near, second_soon, third_near, third_soon, burst = case.more_ns
        waited = job.since <= self.last_done_ns
        if job.number == self.burst or (self.served == 1 and waited):
            return burst
        if self.served not in {1, 2} or waited:
            return 0
        if job.since - self.first_done_ns < case.near_ns:
            return second_near if self.served == 1 else third_near
        if job.since - self.first_done_ns < case.soon_ns:
            return second_soon if self.served == 1 else third_soon
        return 0

    def start_guest(self, side: str) -> None:
        """Let a guest run from now on."""
        body = self.run_primary() if side == "primary" else self.run_secondary()
        setattr(self, f"{side}_guest", self.env.process(self.until_interrupted(body)))

    def until_interrupted(self, body: Steps) -> Steps:
        """Run a guest until it is stopped."""
        try:
            yield from body
        except simpy.Interrupt:
            return

    # ---- comparison ----------------------------------------------------------------------------

    def answer(self, number: int) -> Steps:
        """Take the primary's answer to where its output goes."""
        case = self.case
        if case.drift_ns and self.ns >= self.apart_ns:
            self.drifted.add(number)
        if case.mode == "filter-buffer":
            self.buffer.append(number)
            return
        if case.mode == "direct":
            self.left(number)
            return
        if case.mode == "held":
            self.held.append(number)
            return
        yield self.until(self.ns + case.hop_ns, PRIMARY_FRAME)
        frames = self.mine[self.flow(number)]
        if len(frames) > case.queue:
            self.out.dropped.add(number)
        else:
            frames.append((self.ns, number))
        self.compare(self.flow(number))

    def echo(self, number: int, *, again: bool = False) -> Steps:
        """Take the secondary's answer to the comparison, where bytes that it has had are freed."""
        yield self.until(self.ns + self.case.crossing_ns + self.case.response_ns, SECONDARY_FRAME)
        frames = self.theirs[self.flow(number)]
        freed = not self.case.newest_first and (
            number in self.sent or any(one == number for _, one in frames)
        )
        if freed and not again:
            return
        if len(frames) <= self.case.queue:
            frames.append((self.ns, number))
        self.compare(self.flow(number))

    def compare(self, connection: int) -> None:
        """Compare what waits of a connection (colo_compare_connection)."""
        mine, theirs = self.mine[connection], self.theirs[connection]
        at = -1 if self.case.newest_first else 0
        while mine and theirs:
            number = mine[at][1]
            among = theirs if self.case.newest_first else theirs[:1]
            if self.differs(number) or all(one != number for _, one in among):
                oldest = min(one for _, one in mine)
                surplus = any(one < oldest for _, one in theirs)
                self.notify("replay" if surplus else "mismatch")
                return
            mine.pop(at)
            theirs.remove(next(frame for frame in theirs if frame[1] == number))
            self.sent.add(number)
            self.env.process(self.leave(number))

    def leave(self, number: int) -> Steps:
        """Go through the loopback, and out of the tap while the primary runs."""
        phase = int(self.env.now) % 8
        yield self.until(self.ns + self.case.hop_ns, phase)
        if self.primary_runs:
            self.left(number)
        else:
            self.out.met.add(request_of(number))
            self.through.append(number)

    def filter_buffer(self) -> Steps:
        """Let go what is in the buffer, again and again in time that the guest runs."""
        left = self.case.ticks_at_ns
        while True:
            while not self.primary_runs:
                yield self.resumed
            begun = self.ns
            yield self.until(begun + left, TICK) | self.stopped
            left -= self.ns - begun
            if left:
                continue
            for number in self.buffer:
                self.left(number)
            self.buffer.clear()
            left = self.case.interval_ns or 0

    def drift(self) -> None:
        """Let the guests be alike, and drift apart some time after that."""
        if self.case.drift_ns:
            self.drifted.clear()
            self.apart_ns = self.ns + self.case.drift_ns[self.loads % len(self.case.drift_ns)]

    def scan(self) -> Steps:
        """Look for old frames, again and again."""
        case = self.case
        for at_ns in range(case.phase_ns, case.end_ns, case.scan_ns):
            if 8 * at_ns + SCAN < self.env.now:
                continue
            yield self.until(at_ns, SCAN)
            if not self.primary_runs:
                continue
            lists = [*self.mine.values(), *self.theirs.values()]
            if any(at_ns - came > case.timeout_ns for frames in lists for came, _ in frames):
                self.notify("timeout")

    def notify(self, cause: str) -> None:
        """Ask for a checkpoint: arm the timer anew, and wake whoever waits."""
        self.base_ns = self.ns
        if self.waits:
            self.waits = False
            self.out.forced.append((self.ns, cause))
            self.wake.succeed()

    # ---- the pair ------------------------------------------------------------------------------

    def due_ns(self) -> int:
        """Return when the timer is due next."""
        base, delay = self.base_ns, self.case.delay_ns
        return base + ((self.flushed_ns - base) // delay + 1) * delay

    def pair(self) -> Steps:
        """Do checkpoints for ever."""
        case = self.case
        while True:
            self.waits, self.wake = True, self.env.event()
            due = max(self.due_ns(), self.ns)
            yield self.env.timeout(max(0, 8 * due + STOP - int(self.env.now))) | self.wake
            self.waits = False
            yield self.until(self.ns + case.message_ns, STOP)
            self.secondary_runs = False
            self.secondary_guest.interrupt()  # type: ignore[attr-defined]
            self.twin.clear()
            yield self.until(self.ns + case.stop_gap_ns, STOP)
            self.primary_runs, self.first_of_pause = False, None
            self.stopped.succeed()
            self.resumed = self.env.event()
            self.primary_guest.interrupt()  # type: ignore[attr-defined]
            yield self.env.timeout(0)
            state = list(self.guest)
            self.out.met |= {request_of(job.number) for job in state}
            yield self.until(self.ns + case.save_ns, FLUSH)
            self.flushed_ns = self.ns
            self.go_out_of_step({c: max(n for _, n in f) for c, f in self.mine.items() if f})
            resent = self.sent_again()
            flushed = [one for frames in self.mine.values() for _, one in frames] + self.held
            self.held.clear()
            self.sent |= set(flushed)
            self.mine.clear()
            self.theirs.clear()
            self.out.met |= set(map(request_of, flushed))
            yield self.until(self.ns + case.load_ns, RUN)
            self.secondary_runs, self.fresh = True, True
            self.resumes_ns = self.ns + case.resume_gap_ns
            self.served = 0
            again = [(job.number, job.left) for job in state]
            again += [(number, self.own(number)) for number in self.nic]
            self.twin = [Job(number, left, self.ns) for number, left in again]
            self.twin[len(state) : len(state)] = [
                Job(number, 0, self.ns, again=True, differs=differs) for number, differs in resent
            ]
            self.nic.clear()
            self.burst = None
            self.start_guest("secondary")
            self.loads += 1
            yield self.until(self.ns + case.resume_gap_ns, RUN)
            self.primary_runs, self.stopped = True, self.env.event()
            self.drift()
            self.burst = self.at_tap[0] if self.at_tap else None
            self.at_tap.clear()
            self.out.checkpoints += 1
            self.start_guest("primary")
            self.resumed.succeed()
            self.env.process(self.let_out(flushed))

    def sent_again(self) -> list[tuple[int, bool]]:
        """Return the first flushed answers of connections, if the secondary's clock is far ahead.

        With each, whether it differed.
        """
        case = self.case
        self.ahead = max(0, self.ahead + self.ran_alone - case.stop_gap_ns)
        self.ran_alone = case.resume_gap_ns
        if case.newest_first or case.opening or case.tail_ns:
            return []
        if self.ahead + self.ran_alone < case.rto_ns:
            return []
        first = (min(number for _, number in frames) for frames in self.mine.values() if frames)
        return [(number, self.differs(number)) for number in sorted(first)]

    @property
    def probes(self) -> bool:
        """Whether the secondary runs alone for long enough to send what was flushed again."""
        return bool(self.case.tail_ns) and self.case.resume_gap_ns >= self.case.probe_ns

    def go_out_of_step(self, flushed: dict[int, int]) -> None:
        """Let the answer differ that follows the last one flushed of a connection."""
        if not self.probes or self.case.opening:
            return
        for connection in sorted(flushed):
            stays = self.case.stays[self.flushes % len(self.case.stays)]
            self.flushes += 1
            if not stays:
                continue
            if self.case.think_ns >= 0:
                self.odd.add(connection)
            else:
                self.cut.add(flushed[connection] + self.case.connections)

    def in_order(self, number: int) -> tuple[int, int]:
        """Return by what frames leave the tap together."""
        return self.connection[request_of(number)], request_of(number)

    def let_out(self, flushed: list[int]) -> Steps:
        """Let out of the tap what waited before it, then what was flushed, one after the other."""
        newest = -1 if self.case.newest_first else 1
        self.through.sort(key=self.in_order)
        flushed.sort(key=lambda one: (self.in_order(one)[0], newest * request_of(one)))
        waited, self.through = self.through + flushed, []
        for number in waited:
            self.left(number)
            if self.case.tap_ns:
                yield self.env.timeout(8 * self.case.tap_ns)

    def run(self) -> Outcome:
        """Run the case to its end."""
        case = self.case
        for number in range(len(case.arrived)):
            self.env.process(self.request(number))
        for connection in range(case.connections if case.think_ns >= 0 else 0):
            self.env.process(self.client(connection))
        self.start_guest("primary")
        self.start_guest("secondary")
        self.env.process(self.pair())
        self.drift()
        if case.mode == "compared":
            self.env.process(self.scan())
        if case.mode == "filter-buffer":
            self.env.process(self.filter_buffer())
        self.env.run(8 * case.end_ns)
        return self.out
