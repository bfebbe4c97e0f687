"""Outages of the link: what was lost arrives with a retransmission while the link carries."""

from __future__ import annotations

import pytest

from colosim.trace.events import SECONDARY
from tests.reference.conversation import Conversation, Passes, scenario_of

MS = 10**6


@pytest.mark.parametrize("model", ["fast", "reference"])
def test_a_link_that_is_lost_anew_before_the_retransmission_carries_nothing(model: str) -> None:
    """The first outage ends before the retransmission at 205 ms, which falls into the second.

    The next that gets through is the one of 1429 ms (204 + 408 + 816).
    """
    faults = (
        "[{vanish: network, at: 500 us, for: 9 ms}, {vanish: network, at: 50 ms, for: 1000 ms}]"
    )
    network = "{latency: 1 ms, bandwidth: unlimited, nagle: false}"
    script = [Passes("primary", 4)]
    told = Conversation(scenario_of(network, faults, model), script).run()
    assert told.ends["secondary", 0][0] // MS == 1429


@pytest.mark.parametrize("model", ["fast", "reference"])
def test_the_end_of_a_stream_does_not_overtake_what_was_lost_before_it(model: str) -> None:
    """Both are sent again in one instant: the message is read, then the stream ends."""
    network = "{latency: 1 ms, bandwidth: 1 GB/s, burst: 64 KiB, nagle: false}"
    faults = "[{vanish: network, at: 500 us, for: 9 ms}]"
    script = [Passes(SECONDARY, 4, before_ns=(MS, 0)), Passes(SECONDARY, 4, before_ns=(2**60, 0))]
    conversation = Conversation(scenario_of(network, faults, model), script)
    conversation.env.call_at(2 * MS, lambda: conversation.connection.shutdown(SECONDARY))
    told = conversation.run()
    assert [told.ends["primary", index][1] for index in (0, 1)] == ["", "end of stream"]
