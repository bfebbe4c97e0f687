"""A failover that is asked for while the secondary loads is postponed and redone (RELAUNCH)."""

from __future__ import annotations

import pytest

from colosim.designs.secondary import POST_LOAD_PART
from colosim.host.failover import COMMAND, State
from tests.cluster.test_outcomes import send_command, simulate
from tests.designs.own import COLO

LOAD = "secondary: device load"


def of_third_load(design: str) -> tuple[int, int]:
    """Return begin and length of the third device load of an undisturbed run."""
    loads = [(at_ns, took) for at_ns, event, took in simulate(design).record if str(event) == LOAD]
    end_ns, took = loads[2]
    return end_ns - took, took


@pytest.mark.parametrize("design", COLO)
def test_a_command_in_mid_load_is_served_postponed_and_redone(design: str) -> None:
    """The lock is let go in the load's middle: the bottom half sees the load and comes again."""
    begins_ns, took = of_third_load(design)
    sent_ns = begins_ns + took // 10
    run = simulate(design, prepare=send_command("secondary", sent_ns))
    thread, costs = "COLO incoming thread", run.hosts["secondary"].costs
    let_go_ns = begins_ns + took // POST_LOAD_PART
    back_ns = let_go_ns + costs.lost_heartbeat_ns
    left_ns = took - took // POST_LOAD_PART
    starts = design.startswith("qemu-")
    ends_ns = back_ns + left_ns + (costs.vm_start_ns if starts else 0)
    told = [
        (at_ns, str(event).removeprefix("secondary: "))
        for at_ns, event, _ in run.record
        if at_ns >= sent_ns and str(event).startswith("secondary: ") and "memory" not in str(event)
    ]
    assert told[: 13 + 2 * starts] == [
        (sent_ns, f"monitor receives {COMMAND}"),
        (sent_ns, "iothread lock wanted by main loop for monitor"),
        (let_go_ns, f"iothread lock released by {thread} for load"),
        (let_go_ns, f"iothread lock wanted by {thread} for load"),
        (let_go_ns, "iothread lock got by main loop for monitor"),
        (let_go_ns, f"monitor serves {COMMAND}"),
        (back_ns, "failover postponed (loading)"),
        (back_ns, "iothread lock released by main loop for monitor"),
        (back_ns, f"iothread lock got by {thread} for load"),
        (back_ns + left_ns, "device load"),
        *([(ends_ns, "start"), (ends_ns, "guest running")] if starts else []),
        (ends_ns, f"iothread lock released by {thread} for load"),
        (ends_ns, "main loop schedules failover bottom half, again"),
        (ends_ns, "COLO exit (request)"),
    ]
    assert run.failovers["secondary"].state is State.COMPLETED
    assert told[-1][1] in {"serves alone", "iothread lock released by main loop for monitor"}


@pytest.mark.parametrize("design", COLO)
def test_a_postponed_failover_keeps_loaded_from_the_primary(design: str) -> None:
    """The load ends without VMSTATE_LOADED: the primary's guest stays stopped, and one serves."""
    begins_ns, took = of_third_load(design)
    run = simulate(design, prepare=send_command("secondary", begins_ns + took // 10))
    names = [str(event) for _, event, _ in run.record]
    assert names.count("secondary: sends VMSTATE_LOADED") == 2
    assert not run.hosts["primary"].guest.running
    assert run.secondary.ram_epoch == run.secondary.device_epoch == 2
    assert run.service.both_ns is None


@pytest.mark.parametrize("design", COLO)
def test_a_command_after_the_pause_of_the_load_waits_for_its_end(design: str) -> None:
    """Nothing is postponed: the load is over, and VMSTATE_LOADED sent, when it is served."""
    begins_ns, took = of_third_load(design)
    run = simulate(design, prepare=send_command("secondary", begins_ns + took // 2))
    names = [str(event) for _, event, _ in run.record]
    assert "secondary: failover postponed (loading)" not in names
    assert names.count("secondary: sends VMSTATE_LOADED") == 3


def test_a_load_that_nobody_disturbs_takes_no_longer_for_its_pause() -> None:
    """Who waits for the lock decides whether it is let go: alone, the load is the same hold."""
    quiet = simulate("split")
    told = simulate("split", prepare=send_command("secondary", 10**12))
    assert told.record.digest == quiet.record.digest


def test_a_failover_before_the_stop_leaves_at_once() -> None:
    """A primary that is told while it waits for its lock to stop the guest saves nothing any more.

    As colo_do_checkpoint_transaction: the failover is looked for before vm_stop_force_state.
    """
    stop = "primary: iothread lock got by checkpoint thread for stop"
    at_ns = [at for at, event, _ in simulate("qsb").record if str(event) == stop][2]
    run = simulate("qsb", prepare=send_command("primary", at_ns - 1000))
    names = [str(event) for at, event, _ in run.record if at >= at_ns]
    assert names.count("primary: vmstate save") == 0
    assert "primary: COLO exit (request)" in names
    assert run.failovers["primary"].done
