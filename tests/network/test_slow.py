"""A link that is slower for a time: what is left takes as much longer, and then goes on."""

from __future__ import annotations

import pytest

from colosim.trace.events import PRIMARY, SECONDARY
from tests.reference.conversation import Conversation, Passes, scenario_of

MS = 10**6
MODELS = ("fast", "reference")
NETWORK = "{latency: 25 us, bandwidth: 1 GB/s, framing: 1/1, burst: 0 B}"
BYTES = 50_000_000
"""50 ms on the link."""


def end_ns(model: str, faults: str) -> int:
    """Return when a reader has 50 MB that are written as fast as the link takes them."""
    script = [Passes(PRIMARY, BYTES, (0, 0))]
    told = Conversation(scenario_of(NETWORK, f"[{faults}]", model), script).run()
    at_ns, reason = told.ends[SECONDARY, 0]
    assert reason == ""
    return at_ns


GLITCH = "{slow: network, what: bandwidth, factor: 0.01, at: 10 ms, for: 1 ms}"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("beside", "costs_ms"),
    [
        ("{slow: network, what: latency, factor: 1, at: 0 ms}", 0),
        ("{slow: primary, what: bandwidth, factor: 0.5, at: 20 ms, for: 10 ms}", 5),
        ("{slow: network, what: bandwidth, factor: 0.5, at: 5 ms, for: 10 ms}", 4.5),
        ("{slow: secondary, what: bandwidth, factor: 1, at: 5 ms}", 0),
    ],
)
def test_a_glitch_of_a_millisecond_ends_beside_another(
    model: str, beside: str, costs_ms: float
) -> None:
    """It costs what it takes away, and what is beside it goes on; the worst counts at a time."""
    expected = end_ns(model, "") + round((0.99 + costs_ms) * MS)
    assert abs(end_ns(model, f"{beside}, {GLITCH}") - expected) < MS // 5


@pytest.mark.parametrize("model", MODELS)
def test_the_rest_of_a_stream_over_a_link_of_a_ten_thousandth_takes_as_many_times_longer(
    model: str,
) -> None:
    """Nothing is lost and nothing ends early: 40 ms of the link become 400 s."""
    slow = "{slow: network, what: bandwidth, factor: 1e-4, at: 10 ms}"
    assert abs(end_ns(model, slow) - 400_010 * MS) < 2_000 * MS
