"""Outages of the link: what was lost arrives with a retransmission while the link carries."""

from __future__ import annotations

import pytest

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
