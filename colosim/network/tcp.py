"""What COLO meets of Linux TCP: delayed ACK, giving up, probes, slow start after idle.

Each rule is a pure function of integers, with its origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import TYPE_CHECKING

from colosim.engine.clock import NS_PER_S, anywhere, larger, smaller

if TYPE_CHECKING:
    from colosim.scenario.network import Keepalive, Network

INITIAL_WINDOW_SEGMENTS = 10
RTO_MIN_NS = 200_000_000
RTO_MAX_NS = 120_000_000_000
_DOUBLINGS = (RTO_MAX_NS // RTO_MIN_NS).bit_length() - 1
_SLOTS, _COARSER = 63, 8
NEVER_NS = 1 << 62


class StreamError(Exception):
    """A send or receive failed: ``reason`` is the errno's meaning (reset, timed out, ...)."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def delayed_ack_ns(arrived_ns: int, delay_ns: int, tick_ns: int, phase_ns: int) -> int:
    """Return when the kernel sends a delayed ACK for data that came at `arrived_ns`.

    The timer lives on the kernel's tick grid: it fires one tick after the first that is at least
    `delay_ns` after the tick in progress (measured: 40.0 to 44.0 ms at 250 ticks/s).
    """
    later = 1 - -delay_ns // tick_ns
    return ((arrived_ns - phase_ns) // tick_ns + later) * tick_ns + phase_ns


def retransmissions_ns(rto_ns: int, until_ns: int) -> list[int]:
    """Return the offsets at which a lost segment is sent again, up to the first past `until_ns`."""
    offsets: list[int] = []
    at, rto = 0, rto_ns
    while not offsets or offsets[-1] < until_ns:
        at += rto
        offsets.append(at)
        rto = min(rto * 2, RTO_MAX_NS)
    return offsets


def give_up_ns(rto_ns: int, retries2: int) -> int:
    """Return how long after the first loss Linux gives a connection up.

    `retransmits_timed_out` (net/ipv4/tcp_timer.c): when a retransmission timer fires and the
    time since the first retransmission is at least what `tcp_retries2` doublings of 200 ms
    (capped at 120 s) add up to.  929 s at 15, 6.3 s at 3 with an RTO of 204 ms.
    """
    doublings = min(retries2, _DOUBLINGS)
    boundary = ((2 << doublings) - 1) * RTO_MIN_NS + (retries2 - doublings) * RTO_MAX_NS
    return retransmissions_ns(rto_ns, boundary + rto_ns)[-1]


def timer_ns(set_ns: int, delay_ns: int, tick_ns: int) -> int:
    """Return when a kernel timer fires that is set at `set_ns` to expire `delay_ns` later.

    The timer wheel (calc_index in kernel/time/timer.c) looks at long timers only each 8th, 64th,
    512th tick, so they fire up to an eighth late.  Where these ticks lie is assumed.
    """
    delay = -(-delay_ns // tick_ns)
    expires = set_ns // tick_ns + delay
    every = 1
    while delay >= _SLOTS * every:
        every *= _COARSER
    return (expires // every + 1) * every * tick_ns


def window_probe_ns(network: Network, backoff: int, set_ns: int) -> int:
    """Return when a closed window is probed whose timer is set at `set_ns` after `backoff` probes.

    `tcp_probe_timer`, `tcp_send_probe0` (net/ipv4): each probe doubles the interval, answered or
    not (`tcp_ack_probe` sets the timer anew to the interval that was reached), `tcp_retries2` times
    at most, up to 120 s (`tcp_probe0_when`).  It begins with the retransmission timeout, of which
    the last delayed ACK was a sample: an eighth of it is in the smoothed round trip
    (`tcp_rtt_estimator`; measured at closed windows: 208 and 212 ms for 204).
    """
    late_ns = network.delayed_ack_ns // 8 if network.delayed_ack else 0
    first_ns = max(network.rto_ns + late_ns, RTO_MIN_NS)
    interval = first_ns << min(backoff, network.retries2, _DOUBLINGS + 1)
    return timer_ns(set_ns, min(interval, RTO_MAX_NS), network.ack_tick_ns)


def window_probes_ns(network: Network, closed_ns: int, after_ns: int) -> Iterator[int]:
    """Yield when a window that closed at `closed_ns` is probed, beginning after `after_ns`."""
    at = closed_ns
    for backoff in count():
        probe = window_probe_ns(network, backoff, at)
        if backoff > _DOUBLINGS + 1:
            # From here on the interval stays the same: pass over what is past.
            probe += max(0, (after_ns - at) // (probe - at)) * (probe - at)
        at = probe
        if at > after_ns:
            yield at


def window_gives_up_ns(network: Network, closed_ns: int, cut_ns: int | None) -> int | None:
    """Return when the sender gives up a peer whose window closed at `closed_ns`; None: never.

    After `tcp_retries2` probes without an answer, which is none from `cut_ns` on (None: all are
    answered); with TCP_USER_TIMEOUT so long after the first probe, answered or not.  Measured with
    6 retries: 40.7 and 122.1 s after the window closed (cut after 0.6 and 27.5 s); with a timeout
    of 5 s: 5.5 s.
    """
    ends: list[int] = []
    if network.user_timeout_ns is not None:
        ends.append(next(window_probes_ns(network, closed_ns, 0)) + network.user_timeout_ns)
    if cut_ns is not None:
        probes = window_probes_ns(network, closed_ns, cut_ns)
        ends.append(next(islice(probes, network.retries2, None)))
    return min(ends, default=None)


def keepalive_gives_up_ns(
    keepalive: Keepalive, user_timeout_ns: int | None, heard_ns: int, cut_ns: int
) -> int:
    """Return when an idle sender gives up a peer that is silent from `cut_ns` on.

    `tcp_keepalive_timer` (net/ipv4/tcp_timer.c): a probe after `idle` without a segment, of which
    the last came at `heard_ns`; unless it is answered the next ones after each `interval`.  It ends
    when one more would be due than `probes`; with TCP_USER_TIMEOUT when so much silence is over and
    one probe has no answer (measured with 3 s, 1 s and 4 probes: 7.2 s; 5.1 s with 5 s).
    """
    period = max(keepalive.idle_ns, keepalive.interval_ns)
    first = heard_ns + keepalive.idle_ns
    # Those before the cut were answered.
    answered = max(0, (cut_ns - first) // period + 1)
    first += answered * period
    unanswered = keepalive.probes
    if user_timeout_ns is not None:
        silent_ns = period if answered else keepalive.idle_ns
        unanswered = max(1, -((silent_ns - user_timeout_ns) // keepalive.interval_ns))
    return first + unanswered * keepalive.interval_ns


def slow_start_ns(
    size_bytes: int, rate_bytes_per_s: int, window_bytes: int, rtt_ns: int, idle_ns: int, mss: int
) -> int:
    """Return what restarting from a small window after idleness costs a transfer, in ns.

    `tcp_cwnd_restart` halves the window for each RTO of idleness, down to ten segments; then it
    doubles each round trip (assumed: no delayed-ACK effect on the doubling).  The cost is the
    time of the rounds in which the window was the limit, less what those rounds moved.
    """
    halvings = smaller(larger(idle_ns, 0) // RTO_MIN_NS, 60)
    window = larger(INITIAL_WINDOW_SEGMENTS * mss, window_bytes >> halvings)
    full = smaller(window_bytes, rate_bytes_per_s * rtt_ns // NS_PER_S)
    lost = moved = 0
    while anywhere(grows := (window < full) & (moved + window < size_bytes)):
        lost = lost + (rtt_ns - window * NS_PER_S // rate_bytes_per_s) * grows
        moved = moved + window * grows
        window = window * (1 + grows)
    return lost
