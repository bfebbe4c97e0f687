"""Nagle's small segments when a direction is followed through a disturbance."""

from __future__ import annotations

import pytest

from tests.reference.conversation import Conversation, Passes, scenario_of

MS = 10**6
NETWORK = "{latency: 100 us, bandwidth: 20 MB/s, delayed_ack_time: 40 ms, ack_tick: 1 ns}"
SLOWS = "[{slow: network, what: latency, factor: 2, at: 500 us, for: 1 us}]"
MODELS = ("fast", "reference")


@pytest.mark.parametrize("model", MODELS)
def test_a_message_that_has_arrived_stays_there_though_the_next_is_held_back(model: str) -> None:
    """The first is read at once when its reader comes; the second waits for the delayed ACK."""
    script = [Passes("primary", 4, before_ns=(0, MS)), Passes("primary", 4)]
    told = Conversation(scenario_of(NETWORK, SLOWS, model), script).run()
    first, second = (told.ends["secondary", index][0] for index in (0, 1))
    assert first == MS
    assert 40 * MS < second < 41 * MS


@pytest.mark.parametrize("model", MODELS)
def test_a_message_right_behind_another_on_the_link_is_held_back(model: str) -> None:
    """The first has gone to the link and is no backlog that the second could ride along with."""
    script = [Passes("primary", 4, before_ns=(MS, 0)), Passes("primary", 4), Passes("primary", 4)]
    faults = "[{freeze: secondary, at: 500 us, for: 1 ms}]"
    told = Conversation(scenario_of(NETWORK, faults, model), script).run()
    first, second, third = (told.ends["secondary", index][0] for index in (0, 1, 2))
    assert first < 2 * MS
    assert 40 * MS < second < 42 * MS
    assert third - second < MS
