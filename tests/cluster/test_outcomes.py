"""Failover inside QEMU: what a lost-heartbeat command does, and when it can be served at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.designs import load_designs
from colosim.host.failover import COMMAND, State
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import judge
from colosim.scenario import loads
from colosim.trace.events import LockGot
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

LAB = """
name: outcomes
checkpoints: 6
checkpoint_delay: 500 ms
guest: {ram: 512 MiB, dirty: {pages: 16386}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth-1gbit, send_buffer: 4 MiB, receive_buffer: 2 MiB}
"""
MID_STREAM = "at: {checkpoint: 3, step: 'primary: RAM stream', progress: 40%}"


def simulate(
    design: str, more: str = "", prepare: Callable[[Simulation], None] | None = None
) -> Simulation:
    """Run one design under the lab's conditions with `more` added."""
    scenario = loads(LAB + more, file="outcomes.yaml", known_designs=tuple(load_designs()))
    return Simulation(scenario, design, prepare=prepare).run()


def send_command(side: str, at_ns: int) -> Callable[[Simulation], None]:
    """Return what makes a run send the lost-heartbeat command to `side` at `at_ns`."""

    def prepare(simulation: Simulation) -> None:
        monitor = simulation.hosts[side].monitor
        monitor.expects_commands = True
        command = simulation.failovers[side].lost_heartbeat

        def send() -> None:
            monitor.send(COMMAND, command)

        simulation.env.call_at(at_ns, send)

    return prepare


@pytest.mark.parametrize("design", ["split", "device-first"])
def test_a_blocked_sender_keeps_the_monitor_deaf_for_ever(design: str) -> None:
    """The checkpoint thread waits in its send with the lock; the command is never served."""
    run = simulate(design, f"faults: [{{freeze: secondary, {MID_STREAM}}}]")
    host = run.hosts["primary"]
    assert judge(run).verdict == "hung"
    assert (str(host.lock.owner), host.lock.purpose) == ("primary checkpoint thread", "save")
    assert [command.name for command in host.monitor.unserved] == [COMMAND]
    assert not host.guest.running
    assert run.service.time_to_guest_ns is None
    assert run.end_ns == 1000 * 10**9


@pytest.mark.parametrize("design", ["qsb", "flat", "qemu-5.1"])
def test_a_sender_without_the_lock_leaves_the_monitor_able_to_serve(design: str) -> None:
    """The command is served at once and the guest runs within the failover's own few ms."""
    run = simulate(design, f"faults: [{{freeze: secondary, {MID_STREAM}}}]")
    (command,) = run.hosts["primary"].monitor.commands
    costs = run.hosts["primary"].costs
    assert judge(run).verdict == "failed_over"
    assert command.served_ns == command.sent_ns
    running = run.hosts["primary"].guest.since_ns
    assert running == command.sent_ns + costs.lost_heartbeat_ns + costs.failover_ns


def test_the_secondary_takes_over_when_the_primary_is_frozen() -> None:
    """Under `split` the secondary receives without its lock: it frees its cache and serves."""
    run = simulate("split", f"faults: [{{freeze: primary, {MID_STREAM}}}]")
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("failed_over", "secondary")
    assert run.hosts["secondary"].ledger.levels["ram_cache"] == 0
    assert run.secondary.ram_epoch == run.secondary.device_epoch == 2


def test_only_a_yank_frees_a_secondary_that_receives_under_its_lock() -> None:
    """Under `qemu-5.1` the lost-heartbeat command hangs, unless an out-of-band yank came before."""
    fault = f"faults: [{{freeze: primary, {MID_STREAM}}}]\n"
    deaf = simulate("qemu-5.1", fault)
    freed = simulate("qemu-5.1", fault + "manager: {policy: yank-then-lost-heartbeat}")
    assert [judge(run).verdict for run in (deaf, freed)] == ["hung", "failed_over"]
    assert deaf.hosts["secondary"].monitor.unserved
    assert not freed.hosts["secondary"].monitor.unserved


def test_a_second_command_is_refused() -> None:
    """A lost-heartbeat command that comes during a failover changes nothing (already activated)."""

    def twice(simulation: Simulation) -> None:
        for at_ns in (700_000_000, 700_000_001):
            send_command("primary", at_ns)(simulation)

    run = simulate("qsb", prepare=twice)
    names = [str(event) for _, event, _ in run.record]
    assert names.count(f"primary: refuses {COMMAND}") == 1
    assert run.failovers["primary"].state is State.COMPLETED


def failover_while_the_incoming_thread_wants_the_lock(design: str) -> Simulation:
    """Send the secondary its command so that its load wants the lock while the handler has it."""
    quiet = simulate(design)
    loads_at = next(
        at_ns
        for at_ns, event, _ in quiet.record
        if event == LockGot("secondary", "COLO incoming thread", Purpose.LOAD)
    )
    return simulate(design, prepare=send_command("secondary", loads_at - 1000))


def test_joining_under_the_lock_deadlocks_with_a_thread_that_wants_it() -> None:
    """Up to v16 the secondary joins its COLO thread holding the lock that this thread waits for."""
    run = failover_while_the_incoming_thread_wants_the_lock("split")
    lock = run.hosts["secondary"].lock
    assert str(lock.owner) == "secondary main loop"
    assert [str(thread) for thread, _, _ in lock.queue] == ["secondary COLO incoming thread"]
    assert not run.failovers["secondary"].done


def test_qemu_5_1_drops_the_lock_around_the_join() -> None:
    """Later QEMUs give the lock up while they join: the load ends, then the secondary serves."""
    run = failover_while_the_incoming_thread_wants_the_lock("qemu-5.1")
    assert run.failovers["secondary"].done


def test_a_primary_whose_peer_is_told_that_it_is_lost_stays_stopped() -> None:
    """No error path runs the guest again: with policy `wait` a killed peer leaves it stopped."""
    run = simulate("qsb", f"faults: [{{kill: secondary, {MID_STREAM}}}]\nmanager: {{policy: wait}}")
    judgement = judge(run)
    assert (judgement.verdict, judgement.survivor) == ("stopped", "primary")
    assert run.primary.exit_reason == "error: connection reset"


def test_an_idle_fault_with_nobody_to_act_leaves_the_guest_unprotected() -> None:
    """The secondary dies between checkpoints: the guest runs on, but nothing commits any more."""
    run = simulate("split", "faults: [{freeze: secondary, at: 200 ms}]\nmanager: {policy: wait}")
    assert judge(run).verdict == "unprotected"


def test_two_managers_without_fencing_make_a_split_brain() -> None:
    """A lost link makes each side the other's survivor; fencing would have kept one off."""
    cut = "faults: [{vanish: network, at: 2.3 s}]\n"
    assert judge(simulate("split", cut)).verdict == "split_brain"
