"""Several faults at once: each ends for itself, and what is lost to two is back when both ended."""

from __future__ import annotations

import re

import pytest

from colosim.checkers import RULES
from colosim.errors import ScenarioError
from colosim.runs.run import simulate as checked
from colosim.runs.verdict import judge
from colosim.scenario import loads
from colosim.trace.events import FaultEnded, PoweredOff, Sent
from tests.faults.test_injection import BASE, simulate, struck, when

S = 10**9
WAIT = "manager: {policy: wait}"


def ended(run: object) -> list[tuple[int, str]]:
    """Return when what was as before again."""
    record = run.record  # type: ignore[attr-defined]
    return [(at_ns, event.target) for at_ns, event, _ in record if isinstance(event, FaultEnded)]


def test_the_end_of_a_slow_link_does_not_bring_a_lost_one_back() -> None:
    """What vanished stays away when a latency that had grown is as before."""
    faults = (
        "{slow: network, what: latency, factor: 10, at: 1 s, for: 5 s}, "
        "{vanish: network, at: 2.27 s}"
    )
    run = simulate("split", faults, WAIT)
    assert ended(run) == []
    assert run.connection.down


def test_a_host_that_vanished_twice_is_back_when_both_have_ended() -> None:
    """The end of the shorter fault does not end the longer one."""
    faults = "{vanish: secondary, at: 2.27 s, for: 1 s}, {vanish: secondary, at: 2.5 s, for: 4 s}"
    run = simulate("split", faults, WAIT)
    assert ended(run) == [(6_500_000_000, "secondary")]
    lasting = faults.replace(", for: 4 s", "")
    assert ended(simulate("split", lasting, WAIT)) == []


def test_of_two_slow_links_the_worst_counts_and_each_ends_for_itself() -> None:
    """What is in effect at once does not multiply; the end of one leaves the other."""
    faults = (
        "{slow: network, what: latency, factor: 100, at: 1 s, for: 1 s}, "
        "{slow: primary, what: latency, factor: 3, at: 1.5 s}, "
        "{slow: network, what: bandwidth, factor: 0.01, at: 1.5 s, for: 9 s}"
    )
    run = simulate("split", faults, WAIT)
    latency = run.scenario.network.latency_ns
    assert run.connection.to_primary.pace.latency_ns == 3 * latency
    assert ended(run) == [(10_500_000_000, "network")]


def test_a_process_that_was_frozen_twice_goes_on_when_both_have_ended() -> None:
    """The thaw after the first second leaves the second freeze; a `thaw` ends both."""
    twice = "{freeze: secondary, at: 2 s, for: 1 s}, {freeze: secondary, at: 2.5 s, for: 3 s}"
    run = simulate("split", twice, WAIT)
    assert when(run, "secondary: process thawed") == 5_500_000_000
    thawed = simulate("split", f"{twice}, {{thaw: secondary, at: 2.7 s}}", WAIT)
    assert when(thawed, "secondary: process thawed") == 2_700_000_000


def test_healing_what_is_not_lost_changes_nothing() -> None:
    """It is no event but the fault itself."""
    slow = "{slow: network, factor: 0.9, at: 1 s}, {heal: network, at: 1500 ms}"
    run = simulate("split", f"{slow}, {{heal: network, at: 2 s}}")
    assert struck(run)[-1] == (2 * S, "fault: heal network")
    assert ended(run) == [(1_500_000_000, "network")]


@pytest.mark.parametrize(
    ("faults", "wrong"),
    [
        ("{thaw: primary, at: 2 s}", "thaw; expected {freeze: primary}"),
        ("{thaw: mirror, at: 2 s}, {freeze: mirror, at: 3 s}", "thaw; expected {freeze: mirror}"),
        ("{freeze: primary, at: 1 s, for: 1 s}, {thaw: primary, at: 2 s}", "thaw; expected"),
        (
            "{vanish: primary, at: 1 s}, {heal: network, at: 2 s}",
            "heal; expected {vanish: network}",
        ),
    ],
)
def test_what_can_have_nothing_to_end_is_refused(faults: str, wrong: str) -> None:
    """A thaw or heal of what by the file is not frozen, lost or slow at that time does nothing."""
    with pytest.raises(ScenarioError, match=re.escape(f"there is nothing to {wrong}")):
        simulate("split", faults)


@pytest.mark.parametrize(
    ("design", "error"),
    [("split", "connection reset"), ("qsb", "end of stream"), ("qemu-5.1", "end of stream")],
)
def test_what_a_dying_peer_could_not_say_is_made_up_for(design: str, error: str) -> None:
    """A peer is killed while its link is down: when that carries again, its kernel is heard.

    With RAM unread what is sent again meets no socket; else the end of its stream is sent again.
    """
    faults = "{vanish: secondary, at: 2.25 s, for: 1 s}, {kill: secondary, at: 2.3 s}"
    run = simulate(design, faults)
    assert judge(run).verdict == "failed_over"
    failed = when(run, f"primary: receive fails ({error})")
    assert 3_270_000_000 < failed < 5 * S


def test_a_manager_that_fences_never_powers_both_hosts_off() -> None:
    """A lost link makes both silent at once: the secondary is powered off, the primary goes on."""
    cut = "{vanish: network, at: {checkpoint: 2, step: 'primary: RAM stream', progress: 40%}}"
    run = simulate("qsb", cut, "manager: {fence: true}")
    off = [str(event) for _, event, _ in run.record if isinstance(event, PoweredOff)]
    assert off == ["cluster manager: powers secondary off"]
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "primary")


@pytest.mark.parametrize("design", ["split", "qemu-5.1"])
def test_a_process_frozen_in_the_instant_of_an_error_does_nothing(design: str) -> None:
    """A send or receive fails, and the host is powered off at the same nanosecond: no rule breaks.

    The manager of either side yanks the survivor and then powers a host off, both for a lost link.
    """
    scenario = loads(
        BASE
        + "faults: [{freeze: primary, at: {checkpoint: 2, step: 'primary: RAM stream'}}, "
        + "{freeze: secondary, at: 7 s}]\n"
        + "manager: {policy: yank-then-lost-heartbeat, yank_wait: 1 s, "
        + "primary: {heartbeat: 1 s, timeout: 4 s}}\n",
        file="instant.yaml",
    )
    run = checked(scenario, design)
    assert len(RULES) > 5
    assert run.verdict != "violated", run.summary["reason"]


def test_the_end_of_a_long_latency_counts_at_once() -> None:
    """A round trip that is longer than the pause between two checkpoints does not keep it long."""
    slow = "{slow: network, what: latency, factor: 30000, at: 2.2 s, for: 5 s}"
    run = simulate("split", slow, WAIT)
    last = [at_ns for at_ns, event, _ in run.record if str(event) == "checkpoint committed"][-1]
    request = [
        at_ns for at_ns, event, _ in run.record if event == Sent("primary", "CHECKPOINT_REQUEST")
    ][-1]
    assert run.committed == 4
    assert last - request < S
