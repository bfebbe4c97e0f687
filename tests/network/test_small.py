"""Which receivers delay the acknowledgement of a small segment (tcp_in_quickack_mode)."""

from __future__ import annotations

import pytest

from colosim.network.small import SmallSegments
from colosim.scenario import loads

MS = 10**6
LATENCY = 5 * MS


def segments() -> SmallSegments:
    """Return a way whose ACKs' timer fires 40 to 44 ms on, 5 ms from end to end."""
    return SmallSegments(loads("name: x\nnetwork: {preset: lab-veth, latency: 5 ms}").network, 0)


def settled(*, interactive: bool = False) -> SmallSegments:
    """Return a way of which a delayed ACK has expired in vain, and what came after a silence."""
    way = segments()
    way.left(100 * MS)
    way.left(1000 * MS)
    if interactive:
        way.ack_rides(1001 * MS, 1006 * MS, may_hold=False)
    return way


@pytest.mark.parametrize(
    ("answers_after_ms", "delayed"), [(0, True), (30, True), (36, True), (40, False), (42, False)]
)
def test_who_answers_late_acknowledges_at_once(answers_after_ms: int, delayed: bool) -> None:  # noqa: FBT001 - a column
    """An answer within the ticks of 40 ms makes it one that answers, and the next ACK waits."""
    way = settled()
    leaves = (1000 + answers_after_ms) * MS
    way.ack_rides(leaves, leaves + LATENCY, may_hold=False)
    way.left(1100 * MS)
    assert way.acked_ns - LATENCY == (1144 if delayed else 1100) * MS


def test_a_timer_that_expires_in_vain_ends_it() -> None:
    """Who answered once and then let the timer expire acknowledges the next at once."""
    way = settled(interactive=True)
    way.left(1100 * MS)
    assert way.acked_ns - LATENCY == 1144 * MS
    way.left(1145 * MS)
    assert way.acked_ns - LATENCY == 1145 * MS


def test_quick_acks_are_used_up() -> None:
    """Sixteen a silence, none after bulk: then the ACK is delayed by whoever receives."""
    way = settled()
    for count in range(1, 20):
        way.left((1000 + count) * MS)
        assert (way.acked_ns - LATENCY > (1000 + count) * MS) == (count > 15)
    way = settled()
    way.bulk_left(1001 * MS)
    way.left(1002 * MS)
    assert way.acked_ns - LATENCY == 1044 * MS
