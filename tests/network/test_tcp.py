"""What Linux TCP does, against formulas and step-by-step loops."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.network.tcp import (
    RTO_MAX_NS,
    RTO_MIN_NS,
    delayed_ack_ns,
    give_up_ns,
    retransmissions_ns,
    slow_start_ns,
)

MS = 1_000_000
RTO_NS = 204 * MS


@given(st.integers(0, 10**12), st.integers(0, 4 * MS - 1))
def test_a_delayed_ack_fires_on_the_tick_grid(arrived_ns: int, phase_ns: int) -> None:
    """At 250 ticks a second it fires 40 to 44 ms on, at a tick of the host's phase."""
    at = delayed_ack_ns(arrived_ns, 40 * MS, 4 * MS, phase_ns)
    assert at == ((arrived_ns - phase_ns) // (4 * MS) + 11) * 4 * MS + phase_ns
    assert 40 * MS < at - arrived_ns <= 44 * MS
    assert (at - phase_ns) % (4 * MS) == 0


@given(st.integers(0, 10**10), st.integers(0, 10**8), st.integers(1, 10**7), st.integers(0, 10**7))
def test_a_delayed_ack_is_never_early(arrived: int, delay: int, tick: int, phase: int) -> None:
    """Whatever delay and tick, the ACK is later than the delay and by at most two ticks."""
    at = delayed_ack_ns(arrived, delay, tick, phase)
    assert delay < at - arrived < delay + 2 * tick + 1


@pytest.mark.parametrize(("retries2", "seconds"), [(3, "6.3"), (15, "928.7"), (8, "104.2")])
def test_linux_gives_up_when_the_manual_says(retries2: int, seconds: str) -> None:
    """About 929 s at the default of 15 retries and 6.3 s at 3, with an RTO of 204 ms."""
    assert f"{give_up_ns(RTO_NS, retries2) / 1e9:.1f}" == seconds


def linux_gives_up(rto_ns: int, retries2: int) -> int:
    """Step through timers as tcp_retransmit_timer and retransmits_timed_out do."""
    boundary = 0
    for k in range(retries2 + 1):
        boundary += min(RTO_MIN_NS << k, RTO_MAX_NS)
    now, rto, first = 0, rto_ns, None
    while True:
        now += rto
        if first is not None and now - first >= boundary:
            return now
        first = now if first is None else first
        rto = min(2 * rto, RTO_MAX_NS)


@given(st.integers(RTO_MIN_NS, 4 * 10**9), st.integers(1, 30))
def test_giving_up_follows_the_timers(rto_ns: int, retries2: int) -> None:
    """The closed boundary equals the sum of its doublings, each capped at 120 s."""
    assert give_up_ns(rto_ns, retries2) == linux_gives_up(rto_ns, retries2)


@given(st.integers(1, 10**10), st.integers(0, 10**12))
def test_retransmissions_double_up_to_two_minutes(rto_ns: int, until_ns: int) -> None:
    """Each gap is twice the one before, at most 120 s, and only the last is not before the end."""
    offsets = retransmissions_ns(rto_ns, until_ns)
    gaps = [b - a for a, b in zip([0, *offsets], offsets, strict=False)]
    assert gaps[0] == rto_ns
    assert all(b == min(2 * a, RTO_MAX_NS) for a, b in pairwise(gaps))
    assert offsets[-1] >= until_ns
    assert all(offset < until_ns for offset in offsets[:-1])


def round_by_round(
    size: int, rate: int, window_bytes: int, rtt_ns: int, idle_ns: int, mss: int
) -> Fraction:
    """Send in rounds of a doubling window; return how much later than at full rate it ends."""
    window = window_bytes
    while idle_ns >= RTO_MIN_NS and window > 10 * mss:
        window, idle_ns = window // 2, idle_ns - RTO_MIN_NS
    window = max(window, 10 * mss)
    now, left = Fraction(0), size
    full = min(window_bytes, rate * rtt_ns // 10**9)
    while window < full and window < left:
        now += rtt_ns
        left -= window
        window *= 2
    now += Fraction(left * 10**9, rate)
    return now - Fraction(size * 10**9, rate)


@given(
    st.integers(1, 10**9),
    st.integers(10**5, 10**10),
    st.integers(1 << 14, 1 << 25),
    st.integers(0, 10**8),
    st.integers(0, 10**10),
)
def test_slow_start_costs_what_its_rounds_take(
    size: int, rate: int, window: int, rtt_ns: int, idle_ns: int
) -> None:
    """The cost is that of sending round by round from the small window, to a ns a round."""
    cost = slow_start_ns(size, rate, window, rtt_ns, idle_ns, 1448)
    reference = round_by_round(size, rate, window, rtt_ns, idle_ns, 1448)
    assert cost >= 0
    assert abs(cost - reference) <= 32


def test_slow_start_needs_idleness() -> None:
    """A connection that was not idle keeps its window; each RTO of idleness halves it once more."""
    costs = [
        slow_start_ns(10**9, 10**8, 1 << 20, 10**7, halvings * RTO_MIN_NS, 1448)
        for halvings in range(8)
    ]
    assert costs[0] == 0
    assert costs == sorted(costs)
    assert costs[1] == 10**7 - (1 << 19) * 10  # one round of 512 KiB instead of 1,000,000 bytes
