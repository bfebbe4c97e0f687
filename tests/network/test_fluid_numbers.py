"""The exact numbers of a fluid stay short, however many calls follow each other without a rest."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings, target
from hypothesis import strategies as st

from colosim.network.fluid import Fluid

BITS_MAX = 256
"""A rate has some 34, a breakpoint that two of them make some 70; none is made of many."""
TINY = (4096, 4097, 5003, 20_000, 65_537)
CALLS = st.tuples(
    st.integers(1, 300_000),  # bytes
    st.integers(0, 20_000_000),  # what they take the writer alone, in ns
    st.integers(0, 20_000_000),  # and the reader
    st.integers(0, 5_000_000),  # until the next call
    st.sampled_from(["", "", "", "writer", "reader", "latency", "link", "loss"]),
)


@settings(max_examples=settings().max_examples // 2)
@given(
    st.sampled_from(TINY),
    st.sampled_from(TINY),
    st.integers(0, 5_000_000),
    st.integers(10**6, 10**10),
    st.lists(CALLS, min_size=1, max_size=30),
)
def test_denominators_do_not_grow_with_the_calls(
    send_buffer: int,
    receive_buffer: int,
    latency_ns: int,
    bandwidth: int,
    calls: list[tuple[int, int, int, int, str]],
) -> None:
    """Through tiny buffers, with freezes, losses, other links and latencies on the way."""
    fluid = Fluid(
        0,
        latency_ns=latency_ns,
        send_buffer_bytes=send_buffer,
        receive_buffer_bytes=receive_buffer,
        link=Fraction(bandwidth, 10**9),
    )
    bits = 0

    def look(*_: object) -> None:
        nonlocal bits
        numbers = (fluid.now, fluid.written, fluid.left, fluid.read, fluid.window.value)
        bits = max(bits, *(number.denominator.bit_length() for number in numbers))

    fluid.on_levels = look
    now = 0
    for amount, write_ns, read_ns, gap_ns, what in calls:
        fluid.advance(now)
        fluid.writes.add(amount, write_ns)
        fluid.reads.add(amount, read_ns)
        match what:
            case "writer":
                fluid.writes.frozen = not fluid.writes.frozen
            case "reader":
                fluid.reads.frozen = not fluid.reads.frozen
            case "latency":
                fluid.set_latency(gap_ns)
            case "link":
                fluid.link = Fraction(write_ns + 1, 10**6)
            case "loss" if fluid.link_down:
                fluid.link_down = False
                fluid.probe_window()
            case "loss":
                fluid.lose_flight()
                fluid.link_down = True
        now += gap_ns
    fluid.advance(now + 10**10)
    target(float(bits))
    assert bits <= BITS_MAX
