"""What Linux TCP does that bites COLO: delayed ACK, Nagle, giving up, slow start after idle.

Each rule is a pure function of integers, with its origin.
"""

from __future__ import annotations

INITIAL_WINDOW_SEGMENTS = 10
RTO_MIN_NS = 200_000_000
RTO_MAX_NS = 120_000_000_000


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
    if not tick_ns:
        return arrived_ns + delay_ns
    ticks = (arrived_ns - phase_ns) // tick_ns - (-delay_ns // tick_ns) + 1
    return ticks * tick_ns + phase_ns


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
    doublings = (RTO_MAX_NS // RTO_MIN_NS).bit_length() - 1
    if retries2 <= doublings:
        boundary = ((2 << retries2) - 1) * RTO_MIN_NS
    else:
        boundary = ((2 << doublings) - 1) * RTO_MIN_NS + (retries2 - doublings) * RTO_MAX_NS
    return retransmissions_ns(rto_ns, boundary + rto_ns)[-1]


def slow_start_ns(
    size_bytes: int, rate_bytes_per_s: int, window_bytes: int, rtt_ns: int, idle_ns: int, mss: int
) -> int:
    """Return what restarting from a small window after idleness costs a transfer, in ns.

    `tcp_cwnd_restart` halves the window for each RTO of idleness, down to ten segments; then it
    doubles each round trip (assumed: no delayed-ACK effect on the doubling).  The cost is the
    time of the rounds in which the window was the limit, less what those rounds moved.
    """
    halvings = max(0, idle_ns) // RTO_MIN_NS
    window = max(INITIAL_WINDOW_SEGMENTS * mss, window_bytes >> min(halvings, 60))
    full = min(window_bytes, rate_bytes_per_s * rtt_ns // 1_000_000_000)
    lost = moved = 0
    while window < full and moved + window < size_bytes:
        lost += rtt_ns - window * 1_000_000_000 // rate_bytes_per_s
        moved += window
        window *= 2
    return lost


def keeps_window_ns(rate_bytes_per_s: int, window_bytes: int, rtt_ns: int, mss: int) -> int | None:
    """Return the idleness below which `slow_start_ns` is 0 for any size; None: it always is."""
    full = min(window_bytes, rate_bytes_per_s * rtt_ns // 1_000_000_000)
    if INITIAL_WINDOW_SEGMENTS * mss >= full:
        return None
    halvings = 1
    while window_bytes >> halvings >= full:
        halvings += 1
    return halvings * RTO_MIN_NS
