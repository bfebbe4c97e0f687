"""The clients of a scenario, what the guest does for them, and what its output waits for."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from pydantic import Field

from colosim.scenario import units
from colosim.scenario.checks import check
from colosim.scenario.fields import (
    A_SHARE,
    TIME_NS_MAX,
    Choice,
    Measure,
    Share,
    Size,
    Switch,
    Time,
    TimeOrNone,
)
from colosim.scenario.measured_values import COLUMN_NAME, FromColumn, Values
from colosim.scenario.section import Forms, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECT, COMPARED, HELD, BUFFERED = "direct", "compared", "held", "filter-buffer"
MODES = (DIRECT, COMPARED, HELD, BUFFERED)
MIRROR, COMPARE = "mirror", "compare"
SOCKETS = (MIRROR, COMPARE)
"""The connections of the proxy between the hosts, as what faults strike: of the requests' copies to
the secondary, and of its answers to the comparison."""

_TIME_NS_MAX = 100 * 10**9
_RequestRate = Annotated[int, Measure(units.REQUEST_RATE, 1, 10**14)]
_Drawn = Annotated[int, Measure(units.TIME, 0, _TIME_NS_MAX)]
_DrawnAbove0 = Annotated[int, Measure(units.TIME, 1, _TIME_NS_MAX)]


class Poisson(Section):
    """Requests arrive on their own, with exponentially distributed gaps."""

    example = "{poisson: 200 /s}"

    rate: _RequestRate = Field(alias="poisson")
    """Requests a second in the mean."""


class Regular(Section):
    """Requests arrive on their own, at equal distances."""

    example = "{regular: 20 /s}"

    rate: _RequestRate = Field(alias="regular")
    """Requests a second."""


class ClosedLoop(Section):
    """Each client has a connection, and sends when it has thought about the last answer."""

    example = "{clients: 8, think: 5 ms}"

    clients: Annotated[int, Measure(units.COUNT, 1, 16384)]
    """How many clients; their first requests are spread over one think time."""
    think_ns: _Drawn = 0
    """From an answer to the next request of the same client."""


class FixedTime(Section):
    """The same time whenever."""

    example = "{fixed: 1 ms}"

    fixed_ns: _Drawn
    """The time."""


class ExponentialTime(Section):
    """Exponentially distributed times."""

    example = "{exponential: 1 ms}"

    exponential_ns: _DrawnAbove0
    """Their mean."""


class Percentiles(Section):
    """A lognormal distribution by its median and one high quantile."""

    example = "{p50: 1 ms, p99: 5 ms}"

    p50_ns: _DrawnAbove0
    """Median."""
    p90_ns: TimeOrNone = None
    """90% quantile; this one or p99."""
    p99_ns: TimeOrNone = None
    """99% quantile; this one or p90."""

    @check("p50", "p90", "p99")
    def _has_one_high_quantile(self) -> Iterator[str]:
        given = [value for value in (self.p90_ns, self.p99_ns) if value is not None]
        if len(given) != 1:
            yield "a distribution has a p50 and one of p90 and p99"
        elif given[0] < self.p50_ns or given[0] > _TIME_NS_MAX:
            yield "the high quantile is below the median or above 100 s"


class LognormalTime(Section):
    """Lognormally distributed times."""

    example = "{lognormal: {p50: 1 ms, p99: 5 ms}}"

    lognormal: Percentiles
    """Their quantiles."""


class MeasuredTime(FromColumn):
    """Times drawn from measured ones, each as likely as another."""

    example = "{csv: requests.csv, column: guest}"
    values_name = "measured_ns"
    one = Measure(units.TIME, 0, _TIME_NS_MAX)

    column: Annotated[str, COLUMN_NAME] = "time"
    """Column that has the times."""
    measured_ns: Annotated[tuple[int, ...], Values(one)] = Field(alias="values")
    """The measured times; read from the file unless they stand here already."""


class MeasuredArrivals(FromColumn):
    """Requests arrive on their own, when they were sent in a measured run."""

    example = "{csv: requests.csv, column: t}"
    values_name = "sent_ns"
    one = Measure(units.TIME, 0, TIME_NS_MAX)

    column: Annotated[str, COLUMN_NAME] = "t"
    """Column that says when each is sent, since the start of the run, in order."""
    sent_ns: Annotated[tuple[int, ...], Values(one)] = Field(alias="values")
    """The measured times; read from the file unless they stand here already."""

    @check("csv", "column")
    def _goes_forward(self) -> Iterator[str]:
        for before, after in pairwise(self.sent_ns):
            if after < before:
                yield f"a request of {after} ns stands behind one of {before} ns"
                return


_OF_COLUMN: Final = {"csv", "column", "values"}


def _arrivals(value: object) -> type[Section]:
    keys = value.keys() if isinstance(value, dict) else ()
    if {"clients", "think", "think_ns"} & set(keys):
        return ClosedLoop
    if _OF_COLUMN & set(keys):
        return MeasuredArrivals
    return Regular if "regular" in keys else Poisson


def _time(value: object) -> type[Section]:
    keys = value.keys() if isinstance(value, dict) else ()
    if "lognormal" in keys:
        return LognormalTime
    if _OF_COLUMN & set(keys):
        return MeasuredTime
    return ExponentialTime if {"exponential", "exponential_ns"} & set(keys) else FixedTime


AnyArrivals: TypeAlias = Annotated[
    Poisson | Regular | ClosedLoop | MeasuredArrivals,
    Forms(_arrivals, Poisson, Regular, ClosedLoop, MeasuredArrivals),
]
AnyTime: TypeAlias = Annotated[
    FixedTime | ExponentialTime | LognormalTime | MeasuredTime,
    Forms(_time, FixedTime, ExponentialTime, LognormalTime, MeasuredTime),
]


def _first(value: object) -> type[Section]:
    keys = value.keys() if isinstance(value, dict) else ()
    return MeasuredTime if _OF_COLUMN & set(keys) else Percentiles


AnyFirst: TypeAlias = Annotated[
    Percentiles | MeasuredTime, Forms(_first, Percentiles, MeasuredTime)
]


def _later(value: object) -> type[Section] | Measure:
    return _first(value) if isinstance(value, dict) else _LATER


_LATER: Final = Measure(units.TIME, 0, _TIME_NS_MAX)
AnyLater: TypeAlias = Annotated[
    Annotated[int, _LATER] | Percentiles | MeasuredTime,
    Forms(_later, _LATER, Percentiles, MeasuredTime),
]


class SecondaryLag(Section):
    """What the secondary's guest needs beyond the primary's time for a request."""

    example = "{first: {p50: 45 ms, p90: 83 ms}, later: 2 ms}"

    first: AnyFirst | None = None
    """For the first request after a load; 0.7 of it for one that comes as the primary runs again.
    Emulation throws its translated code away (measured, QEMU 7.2 under TCG: 43 to 78 ms in the
    median, by the run; the second and the third request are slow, too). KVM has none, so none is
    inferred there.
    """
    later: AnyLater = 0
    """For every other request; given by quantiles or measured, each draws its own."""


class Drift(Section):
    """The guests drift apart some time after each checkpoint; from then on every answer differs."""

    example = "{rate: 0.2 /s}"

    rate: _RequestRate
    """At this rate since the last checkpoint: the time to it is exponentially distributed."""


class DifferingResponses(Section):
    """These answers differ, and no others."""

    example = "{responses: [7, 19]}"

    responses: Annotated[tuple[int, ...], Values(Measure(units.COUNT, 0, 10**12))]
    """Numbers of the requests that they answer, counted from 0."""


def _divergence(value: object) -> type[Section] | Measure:
    if not isinstance(value, dict):
        return A_SHARE
    return DifferingResponses if "responses" in value else Drift


AnyDivergence: TypeAlias = Annotated[
    Share | Drift | DifferingResponses,
    Forms(_divergence, A_SHARE, Drift, DifferingResponses),
]


def _takes_time(time: Section | None) -> bool:
    if isinstance(time, MeasuredTime):
        return any(time.measured_ns)
    return bool(time.fixed_ns) if isinstance(time, FixedTime) else time is not None


class Service(Section):
    """What the guest does for clients."""

    example = "{protocol: udp, arrivals: {poisson: 200 /s}, time: {fixed: 1 ms}}"

    protocol: Annotated[str, Choice(("udp", "icmp", "tcp"), "a protocol")] = "udp"
    """Datagrams (udp, icmp: of a connection the newest is compared first) or byte streams (tcp)."""
    arrivals: AnyArrivals
    """When requests arrive."""
    time: AnyTime = FixedTime.model_construct(fixed_ns=10**6)
    """What a request takes in the guest."""
    pace_ns: Annotated[int | None, Measure(units.TIME, 1, _TIME_NS_MAX, "none")] = None
    """If given, the guest works on all requests at once, and its answers leave in the order of
    arrival, at least so far apart; else it works on one after the other. (Measured, QEMU 7.2: a
    request takes 2.2 ms by itself, but of those that wait at a resume the eighth is answered 2.7
    to 4.7 ms behind the first.)
    """
    handshake: AnyTime | None = None
    """If given, each request opens a connection of its own: what the guest takes to answer the SYN,
    which is compared, too. The request follows as that answer is there (tcp).
    """
    own_times: Switch = False
    """Whether each guest draws its own time for a request; else both take the same."""
    request_bytes: Size = 200
    """What a request has: its copy crosses the link in so many bytes."""
    response_bytes: Size = 1024
    """What an answer has: the secondary's crosses the link; of it consists what is held."""
    connections: Annotated[int, Measure(units.COUNT, 1, 16384)] = 1
    """Connections, used in turn; a client of a closed loop has its own."""
    outstanding: Annotated[int | None, Measure(units.COUNT, 1, 10**6, "none")] = None
    """How many requests of a connection may wait for an answer; further ones are sent later."""
    latency_ns: Time = 100_000
    """Between client and primary, one way."""
    divergence: AnyDivergence = 0
    """Which answers of primary and secondary differ: a share of them, those since the guests have
    drifted apart, or those of certain requests.
    """
    secondary_lag: SecondaryLag = SecondaryLag.model_construct()
    """What the secondary needs beyond the primary's time."""

    @check("handshake", "protocol", "connections")
    def _opens_what_can_be_opened(self) -> Iterator[str]:
        if self.handshake is not None and self.protocol != "tcp":
            yield f"{self.protocol} has no handshake; expected protocol: tcp"
        if self.handshake is not None and self.connections != 1:
            yield "with a handshake each request has a connection of its own; leave out connections"

    @check("arrivals", "time", "latency")
    def _lets_time_pass(self) -> Iterator[str]:
        closed = self.arrivals
        if not isinstance(closed, ClosedLoop) or closed.think_ns or self.latency_ns or self.pace_ns:
            return
        if not any(map(_takes_time, (self.time, self.handshake))):
            yield "a closed loop in which nothing takes time never ends; give think or time"

    @check("arrivals", "connections", "outstanding")
    def _closes_the_loop_once(self) -> Iterator[str]:
        closed = isinstance(self.arrivals, ClosedLoop)
        if closed and (self.connections != 1 or self.outstanding is not None):
            yield (
                "a client of a closed loop has one connection and one request outstanding; leave "
                "out connections and outstanding"
            )


class Output(Section):
    """What the output of the guest waits for before clients see it."""

    example = "{mode: compared, timeout: 3 s}"

    mode: Annotated[str, Choice(MODES, "a mode of output")] | None = None
    """direct: for nothing; compared: for the secondary's (colo-compare); held: for the checkpoint's
    acknowledgement; filter-buffer: for the next tick of that filter. By the design unless stated:
    unprotected direct, remus held, others compared.
    """
    interval_ns: Annotated[int | None, Measure(units.TIME, 1, 10**13)] = None
    """From tick to tick of the filter-buffer, in time that the guest runs; what a checkpoint does
    is nothing to it (net/filter-buffer.c).
    """
    timeout_ns: Annotated[int, Measure(units.TIME, 1, 10**13)] = 3 * 10**9
    """Older frames force a checkpoint (compare_timeout)."""
    scan_ns: Annotated[int, Measure(units.TIME, 1, 10**13)] = 10**9
    """How often old frames are looked for (expired_scan_cycle)."""
    queue: Annotated[int, Measure(units.COUNT, 1, 10**9)] = 1024
    """How many frames of a connection and side may wait already when one comes (max_queue_size)."""
    nodelay: Switch = False
    """Whether the proxy's sockets send at once; else a frame waits for the ACK of its length, and
    its way over the link is one and a half round trips (measured: 15.5 for 6.4 ms at 4 ms of RTT).
    """
    loopback_ns: Annotated[int, Measure(units.TIME, 0, 10**9)] = 100_000
    """A hop within the primary, to the comparison and back (measured: 0.2 ms for the two)."""

    copy_ns: Annotated[int, Measure(units.TIME, 0, 10**9)] = 0
    """What a request's copy takes to the secondary beyond the link: QEMU's main loop reads it, and
    its length before, without ``nodelay`` (measured under TCG: 0.2 ms and more, with it 0.1 ms).
    What comes while the secondary is stopped is executed twice.
    """

    @check("mode", "interval")
    def _has_an_interval(self) -> Iterator[str]:
        if (self.mode == BUFFERED) != (self.interval_ns is not None):
            yield f"mode {BUFFERED} has an interval, and no other has"
