"""The cluster manager: how it watches each host, what it can tell whom, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.host.failover import COMMAND
from colosim.runs.verdict import judge
from colosim.trace.events import ExitHeard
from tests.cluster.test_outcomes import MID_STREAM, simulate

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation

S = 10**9
FROZEN = "faults: [{freeze: secondary, at: 3.2 s}]\n"


def at(run: Simulation, name: str) -> int:
    """Return when an event first happened."""
    return next(at_ns for at_ns, event, _ in run.record if str(event) == name)


def test_each_host_has_a_heartbeat_and_a_timeout_of_its_own() -> None:
    """A host is lost its own timeout after its own last heartbeat; what is not said is shared."""
    for manager, lost_s in (
        ("{heartbeat: 1 s, timeout: 3 s}", 6),
        ("{heartbeat: 1 s, timeout: 3 s, secondary: {timeout: 5 s}}", 8),
        ("{heartbeat: 1 s, timeout: 3 s, secondary: {heartbeat: 2 s, timeout: 4 s}}", 6),
        ("{heartbeat: 1 s, timeout: 3 s, primary: {timeout: 50 s}}", 6),
    ):
        run = simulate("qsb", f"{FROZEN}manager: {manager}")
        assert at(run, "cluster manager: secondary is lost") == lost_s * S, manager


def test_heartbeats_that_the_monitor_answers_are_each_hosts_own_too() -> None:
    """The same with `answered_by: monitor`: asked at its period, lost after its timeout."""
    manager = (
        "manager: {answered_by: monitor, heartbeat: 1 s, timeout: 3 s, "
        "secondary: {heartbeat: 500 ms, timeout: 4 s}}"
    )
    run = simulate("qsb", FROZEN + manager)
    assert at(run, "cluster manager: secondary is lost") == 7 * S


def test_fencing_takes_its_time_before_the_survivor_is_told() -> None:
    """Found lost, then the manager's own delay, then the power-off, then the command."""
    more = "manager: {heartbeat: 1 s, timeout: 3 s, delay: 1 s, fence: true, fence_time: 4 s}"
    run = simulate("qsb", FROZEN + more)
    assert [
        at(run, "cluster manager: secondary is lost"),
        at(run, "cluster manager: powers secondary off"),
        at(run, f"primary: monitor receives {COMMAND}"),
    ] == [6 * S, 11 * S, 11 * S]
    assert judge(run).verdict == "failed_over"


def test_a_manager_without_a_connection_cannot_tell_the_survivor() -> None:
    """The monitor's client is lost: nothing reaches it, and the guest is never run again."""
    lost = f"{{disconnect: primary, at: 0 s}}, {{freeze: secondary, {MID_STREAM}}}"
    run = simulate("qsb", f"faults: [{lost}]")
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("stopped", "primary")
    assert run.manager.unsaid == {"primary": [COMMAND]}
    assert not run.hosts["primary"].monitor.commands


def test_a_manager_that_is_connected_again_says_what_it_could_not() -> None:
    """It sends the command as soon as it can; with `yank` first, if that is the policy."""
    lost = f"{{disconnect: primary, at: 0 s, for: 60 s}}, {{freeze: secondary, {MID_STREAM}}}"
    for policy, told_s in (("lost-heartbeat", 60), ("yank-then-lost-heartbeat", 61)):
        run = simulate("qsb", f"faults: [{lost}]\nmanager: {{policy: {policy}}}")
        (command,) = run.hosts["primary"].monitor.commands
        assert (command.name, command.sent_ns) == (COMMAND, told_s * S)
        assert judge(run).verdict == "failed_over"


@pytest.mark.parametrize("design", ["split", "qemu-5.1"])
def test_a_lost_client_takes_queued_commands_along_since_there_is_a_queue(design: str) -> None:
    """qemu-5.1 empties its queue of requests; an old monitor still finds the bytes in its socket.

    The survivor's lock is held by a blocked thread when the command comes; 20 s later the client
    is gone, another 20 s later the frozen peer goes on and the lock is given back.
    """
    drops = design == "qemu-5.1"
    frozen, survivor = ("secondary", "primary") if design == "split" else ("primary", "secondary")
    faults = f"{{freeze: {frozen}, {MID_STREAM}, for: 40 s}}, {{disconnect: {survivor}, at: 20 s}}"
    run = simulate(design, f"faults: [{faults}]")
    (command,) = run.hosts[survivor].monitor.commands
    assert command.name == COMMAND
    assert (command.dropped_ns == 20 * S, command.served_ns is None) == (drops, drops)


def test_a_command_that_was_dropped_is_sent_again_on_the_next_connection() -> None:
    """Under qemu-5.1 the manager sends anew what its lost connection took along."""
    faults = (
        f"{{freeze: primary, {MID_STREAM}, for: 40 s}}, "
        "{disconnect: secondary, at: 20 s, for: 10 s}"
    )
    run = simulate("qemu-5.1", f"faults: [{faults}]")
    commands = run.hosts["secondary"].monitor.commands
    assert [(one.name, one.sent_ns, one.dropped_ns) for one in commands] == [
        (COMMAND, 6 * S, 20 * S),
        (COMMAND, 30 * S, None),
    ]
    assert run.failovers["secondary"].done


def test_heartbeats_over_a_lost_connection_make_a_live_host_look_lost() -> None:
    """With `answered_by: monitor` a lost client alone is enough for a split brain."""
    lost = "faults: [{disconnect: primary, at: 1 s}]\n"
    run = simulate("qsb", lost + "manager: {answered_by: monitor, heartbeat: 1200 ms}")
    assert at(run, "cluster manager: primary is lost") == 3_600_000_000
    assert judge(run).verdict == "split_brain"


def test_a_monitor_that_nobody_can_serve_is_found_lost_though_nothing_else_happens() -> None:
    """The primary's main loop waits for a blocked sender: deaf, it is taken for lost in time.

    Then the secondary, frozen itself, is told in vain.
    """
    fault = f"faults: [{{freeze: secondary, {MID_STREAM}}}]\n"
    run = simulate("split", fault + "manager: {answered_by: monitor, secondary: {timeout: 90 s}}")
    assert list(run.manager.lost) == ["primary", "secondary"]
    assert judge(run).verdict == "hung"


@pytest.mark.parametrize("what", ["RAM save", "device save"])
@pytest.mark.parametrize("design", ["qsb", "split", "qemu-5.1"])
def test_a_manager_that_hears_colo_exit_ends_the_stop_of_an_error(design: str, what: str) -> None:
    """Nobody acts on an error return by himself: the guest stays stopped unless it is heard."""
    fault = f"faults: [{{fail: primary, what: {what}, at: 2 s}}]\n"
    assert judge(simulate(design, fault)).verdict == "stopped"
    run = simulate(design, fault + "manager: {hears_exit: true, delay: 300 ms}")
    heard = next(at_ns for at_ns, event, _ in run.record if isinstance(event, ExitHeard))
    (command,) = run.hosts["primary"].monitor.commands
    assert command.sent_ns == heard + 300_000_000
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "primary")


def test_a_failed_load_lets_the_primary_go_on_not_the_secondary() -> None:
    """The secondary is half loaded: whoever hears its exit tells the primary."""
    fault = "faults: [{fail: secondary, what: device load, at: 2 s}]\n"
    run = simulate("split", fault + "manager: {hears_exit: true}")
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "primary")
    assert not run.hosts["secondary"].monitor.commands


def test_a_dead_primary_is_told_in_vain_and_then_the_secondary() -> None:
    """The secondary's exit is heard first; when the primary is taken for lost it takes over."""
    fault = f"faults: [{{kill: primary, {MID_STREAM}}}]\n"
    run = simulate("split", fault + "manager: {hears_exit: true}")
    assert [one.served_ns for one in run.hosts["primary"].monitor.commands] == [None]
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "secondary")


def test_a_secondary_that_colo_has_left_behind_is_not_promoted_later() -> None:
    """The primary serves alone since the error; when it dies, the old checkpoint stays where it is.

    To promote it would take back what clients have seen since.
    """
    faults = "{fail: primary, what: device save, at: 1 s}, {kill: primary, at: 20 s}"
    run = simulate("split", f"faults: [{faults}]\nmanager: {{hears_exit: true}}")
    assert "primary" in run.manager.lost
    assert not run.hosts["secondary"].monitor.commands
    assert judge(run).verdict == "stopped"


def test_a_vanished_host_is_neither_heard_nor_told() -> None:
    """Its COLO_EXIT reaches nobody and no command reaches it: its peer takes over as ever."""
    lost = "faults: [{vanish: primary, at: 2.6 s}]\n"
    for manager in ("", "manager: {hears_exit: true}"):
        run = simulate("qsb+user-timeout=1s", lost + manager)
        judgement = judge(run)
        assert (judgement.verdict, judgement.survivor) == ("failed_over", "secondary")
        assert not run.hosts["primary"].monitor.commands
        assert run.primary.exit_reason == "error: connection timed out"


def test_a_side_that_has_served_alone_is_not_followed_by_the_other() -> None:
    """The primary serves alone, then falls silent: the secondary's state is too old by then."""
    faults = "{freeze: secondary, at: 2.6 s, for: 10 s}, {freeze: primary, at: 13 s}"
    run = simulate("qemu-5.1", f"faults: [{faults}]\n")
    assert list(run.manager.lost) == ["secondary", "primary"]
    assert not run.hosts["secondary"].monitor.commands
    assert judge(run).verdict == "stopped"


def test_a_host_that_answers_again_within_the_delay_is_not_acted_on() -> None:
    """The manager looks again before it acts; the pair goes on, and the next loss counts anew."""
    faults = "faults: [{freeze: secondary, at: 3.2 s, for: 4 s}"
    manager = "manager: {heartbeat: 1 s, timeout: 3 s, delay: 3 s}"
    run = simulate("qsb", f"{faults}]\n{manager}")
    assert at(run, "cluster manager: secondary is lost") == 6 * S
    assert judge(run).verdict == "completed"
    assert not run.manager.lost
    again = simulate("qsb", f"{faults}, {{kill: secondary, at: 9.1 s}}]\n{manager}")
    assert judge(again).verdict == "failed_over"


def test_what_could_not_be_said_is_left_unsaid_when_it_no_longer_holds() -> None:
    """Connected again after the peer has come back, the manager does not end COLO."""
    faults = "{disconnect: primary, at: 1 s, for: 15 s}, {freeze: secondary, at: 3.2 s, for: 4 s}"
    run = simulate("qsb", f"faults: [{faults}]")
    assert run.manager.lost == {} or "secondary" in run.manager.acted_on
    assert not run.hosts["primary"].monitor.commands
    assert judge(run).verdict == "completed"
