"""A closed window is probed, and an idle connection too if it is to be: when TCP gives up."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.network.tcp import (
    keepalive_gives_up_ns,
    timer_ns,
    window_gives_up_ns,
    window_probe_ns,
    window_probes_ns,
)
from colosim.scenario.network import Keepalive
from colosim.trace.events import PRIMARY, SECONDARY
from tests.reference.conversation import Conversation, Passes, scenario_of

if TYPE_CHECKING:
    from colosim.engine.environment import Environment
    from colosim.scenario.network import Network

MS, S = 10**6, 10**9
MIB = 1 << 20
MODELS = ("fast", "reference")
BUFFERS = "latency: 25 us, bandwidth: 1 GB/s, send_buffer: 1 MiB, receive_buffer: 2 MiB"
FROZEN = "{freeze: secondary, at: 100 us}"
KEEPALIVE = Keepalive(idle_ns=3 * S, interval_ns=S, probes=4)


def network_of(keys: str) -> Network:
    """Return a network between two hosts, with these keys of its own."""
    return scenario_of(f"{{{keys}}}", "[]", "fast").network


@pytest.mark.parametrize(
    ("retries2", "closed_s", "rule_s", "measured_s"),
    [
        (6, 0.6, 39.9, 41.0),
        (6, 0.6, 39.9, 40.05),
        (6, 3.34, None, 78.15),
        (6, 27.47, None, 94.59),
        (6, 30, 91.9, 94.6),
        (15, 0.6, 1048, None),
        (15, 30, 1739, None),
        (15, 600, 1889, None),
        (15, 1000, 1849, None),
    ],
)
def test_a_vanished_peer_with_a_closed_window_is_given_up_after_its_probes(
    retries2: int, closed_s: float, rule_s: float | None, measured_s: float | None
) -> None:
    """Within 4% of what a real kernel took, and of its rule without the grid of its timers."""
    cut_ns = round(closed_s * S)
    end_ns = window_gives_up_ns(network_of(f"retries2: {retries2}"), 0, cut_ns)
    assert end_ns is not None
    for seconds in (rule_s, measured_s):
        assert seconds is None or abs((end_ns - cut_ns) / S / seconds - 1) < 0.04


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 4000 * S), st.integers(0, 10 * S))
def test_probes_go_on_as_if_none_had_been_passed_over(
    retries2: int, rto_ms: int, after_ns: int, closed_ns: int
) -> None:
    """Those after any moment are those of a loop over all, timer by timer."""
    network = network_of(f"retries2: {retries2}, rto: {rto_ms} ms")
    every, at = [], closed_ns
    for backoff in range(22_000):
        at = window_probe_ns(network, backoff, at)
        every.append(at)
        if at > after_ns + 1000 * S:
            break
    after = [at for at in every if at > after_ns][:5]
    assert list(islice(window_probes_ns(network, closed_ns, after_ns), 5)) == after


@given(st.integers(0, 10**14), st.integers(1, 120 * S), st.sampled_from([MS, 4 * MS, 10 * MS]))
def test_a_kernel_timer_is_late_by_an_eighth_at_most(set_ns: int, delay_ns: int, tick: int) -> None:
    """It is never early, and on a grid that is as coarse as its delay is long."""
    late_ns = timer_ns(set_ns, delay_ns, tick) - set_ns - delay_ns
    assert 0 < late_ns <= max(2 * tick, delay_ns // 7 + tick)


@pytest.mark.parametrize(
    ("user_timeout_ns", "cut_s", "measured_s"),
    [(None, 1, 7.24), (None, 8, 13.31), (3_500 * MS, 8, 10.06), (5 * S, 1, 5.06)],
)
def test_an_idle_connection_is_given_up_after_its_keepalive_probes(
    user_timeout_ns: int | None, cut_s: int, measured_s: float
) -> None:
    """As on a real kernel with 3 s, 1 s and 4 probes, counted from the last segment."""
    end_ns = keepalive_gives_up_ns(KEEPALIVE, user_timeout_ns, 0, cut_s * S)
    assert abs(end_ns / S / measured_s - 1) < 0.04


def writes_into(model: str, keys: str, faults: str) -> Conversation:
    """Return a conversation: the primary writes 64 MiB to a reader that faults strike."""
    script = [Passes(PRIMARY, 64 * MIB, (0, 0))]
    network = f"{{{BUFFERS}, retries2: 3{keys}}}"
    return Conversation(scenario_of(network, f"[{FROZEN}{faults}]", model), script)


@pytest.mark.parametrize("model", MODELS)
def test_a_vanished_host_of_a_frozen_reader_is_probed_in_vain(model: str) -> None:
    """With 3 retries: probes at 0.2, 0.6, 1.5, 3.2 s and so on; three have no answer."""
    told = writes_into(model, "", ", {vanish: secondary, at: 2 s}").run()
    at_ns, reason = told.ends[PRIMARY, 0]
    assert reason == "connection timed out"
    assert at_ns == 8288 * MS


@pytest.mark.parametrize("model", MODELS)
def test_a_host_that_comes_back_in_time_answers_the_next_probe(model: str) -> None:
    """Its reader, thawed meanwhile, is heard of at 6.7 s, though the link carries at 5.1 s."""
    faults = ", {vanish: secondary, at: 2 s, for: 3100 ms}, {thaw: secondary, at: 4 s}"
    told = writes_into(model, "", faults).run()
    assert told.ends[PRIMARY, 0][1] == told.ends[SECONDARY, 0][1] == ""
    assert 6_600 * MS < told.ends[SECONDARY, 0][0] < 6_900 * MS


@pytest.mark.parametrize("model", MODELS)
def test_answered_probes_do_not_keep_a_run_alive(model: str) -> None:
    """Behind a frozen reader nothing is left to happen: the run is over, whoever still waits."""
    conversation = writes_into(model, "", "")
    env: Environment = conversation.env
    assert env.drive(10**13) == "quiet"
    assert conversation.told.ends == {}
    assert env.now < S


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("vanish", "measured_s"), [("", 5.50), (", {vanish: secondary, at: 2 s}", 5.51)]
)
def test_the_user_timeout_counts_from_the_first_probe(
    model: str, vanish: str, measured_s: float
) -> None:
    """A peer that answers with a closed window is given up, and so is one that answers no more."""
    told = writes_into(model, ", user_timeout: 5 s", vanish).run()
    at_ns, reason = told.ends[PRIMARY, 0]
    assert reason == "connection timed out"
    assert 5_200 * MS < at_ns < 5_230 * MS
    assert abs(at_ns / S / measured_s - 1) < 0.06


@pytest.mark.parametrize("model", MODELS)
def test_with_an_open_window_the_user_timeout_counts_from_the_first_retransmission(
    model: str,
) -> None:
    """What is lost is sent again after 204 ms, and given up 5 s later (measured: 5.60 s)."""
    network = f"{{{BUFFERS}, user_timeout: 5 s}}"
    script = [Passes(PRIMARY, 4, before_ns=(S, 0)), Passes(SECONDARY, 4)]
    faults = "[{vanish: secondary, at: 500 ms}]"
    told = Conversation(scenario_of(network, faults, model), script).run()
    assert told.ends[PRIMARY, 1] == (S + 5204 * MS, "connection timed out")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("cut_s", "end_s"), [(1, 7), (8, 13)])
def test_keepalive_frees_who_waits_for_a_vanished_peer(model: str, cut_s: int, end_s: int) -> None:
    """With nothing out no other timer runs; what had answered before is no matter."""
    network = f"{{{BUFFERS}, keepalive: {{idle: 3 s, interval: 1 s, probes: 4}}}}"
    script = [Passes(SECONDARY, 4), Passes(SECONDARY, 4, before_ns=(2**60, 0))]
    faults = f"[{{vanish: secondary, at: {cut_s} s}}]"
    told = Conversation(scenario_of(network, faults, model), script).run()
    at_ns, reason = told.ends[PRIMARY, 1]
    assert reason == "connection timed out"
    assert abs(at_ns - end_s * S) < 50 * MS


@pytest.mark.parametrize("model", MODELS)
def test_keepalive_leaves_a_peer_that_answers(model: str) -> None:
    """One whose process is frozen, or whose host comes back in time, is waited for."""
    network = f"{{{BUFFERS}, keepalive: {{idle: 3 s, interval: 1 s, probes: 4}}}}"
    script = [Passes(SECONDARY, 4, before_ns=(20 * S, 0))]
    faults = "[{freeze: secondary, at: 1 s, for: 10 s}, {vanish: secondary, at: 12 s, for: 3 s}]"
    told = Conversation(scenario_of(network, faults, model), script).run()
    assert told.ends[PRIMARY, 0][1] == ""
