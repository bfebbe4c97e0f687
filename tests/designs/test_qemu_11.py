"""QEMU by version: what each does to a peer that is lost, as measured on 11.1.3 and 10.0.13."""

from __future__ import annotations

import pytest

from colosim.designs import load_design
from colosim.errors import DesignError
from colosim.host.failover import COMMAND
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation
from colosim.scenario import Scenario, loads
from colosim.trace.events import PRIMARY, SECONDARY


def scenario(fault: str, pages: int = 15_400, network: str = "lab-veth-1gbit") -> Scenario:
    """Return the conditions of the lab's fault runs: a secondary or a primary lost, 10 s on."""
    return loads(
        f"""
name: lost
checkpoints: 8
checkpoint_delay: 1100 ms
horizon: 60 s
guest: {{ram: 128 MiB, dirty: {{pages: {pages}}}}}
hosts: {{preset: lab-qemu72}}
network: {{preset: {network}, send_buffer: 4 MiB, receive_buffer: 2 MiB}}
faults: [{{{fault}}}]
manager: {{heartbeat: 1 s, timeout: 10 s, fence: false}}
"""
    )


STREAM = "at: {checkpoint: 4, step: 'primary: RAM stream', progress: 20%}"
IDLE = "at: 5 s"
SERVED, DEAF = "failed_over", "hung"
LIMIT, NONE = "lab-veth-1gbit", "lab-veth"
V11, MULTIFD, V5 = "qemu-11", "qemu-11+multifd=4", "qemu-5.1"
BIG = 15_400
RUNS = [
    # run, design, fault, pages, network, what the survivor did with the command alone
    ("fault_s_stop_stream_c0", V11, f"freeze: secondary, {STREAM}", BIG, LIMIT, DEAF),
    ("fault_s_stop_stream_c0_kvm", V11, f"freeze: secondary, {STREAM}", 7_700, LIMIT, DEAF),
    ("fault_s_blackhole_stream_c0", V11, f"vanish: secondary, {STREAM}", BIG, LIMIT, DEAF),
    ("fault_s_kill_stream_c0", V11, f"kill: secondary, {STREAM}", BIG, LIMIT, SERVED),
    ("fault_s_stop_idle_c0", V11, f"freeze: secondary, {IDLE}", 506, NONE, SERVED),
    ("fault_s_stop_stream_small_c0", V11, f"freeze: secondary, {STREAM}", 300, NONE, SERVED),
    ("fault_p_stop_stream_c0", V11, f"freeze: primary, {STREAM}", BIG, LIMIT, SERVED),
    ("fault_p_kill_stream_c0", V11, f"kill: primary, {STREAM}", BIG, LIMIT, SERVED),
    # multifd, 4 channels
    ("fault_s_stop_stream_c4", MULTIFD, f"freeze: secondary, {STREAM}", BIG, LIMIT, DEAF),
    ("fault_s_kill_stream_c4", MULTIFD, f"kill: secondary, {STREAM}", BIG, LIMIT, SERVED),
    ("fault_p_stop_stream_c4", MULTIFD, f"freeze: primary, {STREAM}", BIG, LIMIT, SERVED),
    ("fault_p_stop_idle_c4", MULTIFD, f"freeze: primary, {IDLE}", 506, NONE, SERVED),
    # 10.0.13
    ("q10_fault_s_stop_stream_c0", V5, f"freeze: secondary, {STREAM}", BIG, LIMIT, SERVED),
    ("q10_fault_p_stop_stream_c0", V5, f"freeze: primary, {STREAM}", BIG, LIMIT, DEAF),
]  # fmt: skip
"""Every fault run of the lab but those with one channel cut off (below).

A DEAF survivor served neither query nor command, and an out-of-band yank freed it within 40 ms; one
that SERVED did so and ran.
"""


@pytest.mark.parametrize(("run", "design", "fault", "pages", "network", "alone"), RUNS)
def test_a_survivor_is_as_deaf_as_it_was_measured(
    run: str, design: str, fault: str, pages: int, network: str, alone: str
) -> None:
    """What only a yank freed hangs without one and fails over with it; the rest needs none."""
    del run
    conditions = scenario(fault, pages, network)
    by_itself = simulate(conditions, design, tables=False)
    helped = simulate(conditions, f"{design}+yank", tables=False)
    assert (by_itself.verdict, helped.verdict) == (alone, "failed_over")


@pytest.mark.parametrize(("survivor", "needs_yank"), [(PRIMARY, True), (SECONDARY, False)])
def test_one_channel_alone_blocks_the_primary(survivor: str, needs_yank: bool) -> None:  # noqa: FBT001
    """With one of four channels cut off nobody is silent, and the primary serves no command.

    fault_channel_stream_c4 and fault_p_channel_stream_c4: the primary needed a yank 25 s on, the
    secondary, which waits for its main channel without a lock, nothing but the command.
    """
    conditions = scenario(f"vanish: channel, {STREAM}").vary({"manager": {"policy": "wait"}})
    served: list[int | None] = []

    def operate(simulation: Simulation) -> None:
        monitor, failover = simulation.hosts[survivor].monitor, simulation.failovers[survivor]
        monitor.expects_commands = True
        simulation.env.call_at(20 * 10**9, lambda: monitor.send(COMMAND, failover.lost_heartbeat))
        simulation.env.call_at(30 * 10**9, lambda: served.append(monitor.commands[0].served_ns))
        simulation.env.call_at(30 * 10**9 + 1, failover.yank)

    run = Simulation(conditions, "qemu-11+multifd=4", prepare=operate).run()
    assert (served == [None]) is needs_yank
    assert run.failovers[survivor].done
    served_ns = run.hosts[survivor].monitor.commands[0].served_ns
    assert served_ns is not None
    assert served_ns - (30 if needs_yank else 20) * 10**9 < 40 * 10**6


def test_a_channel_that_no_design_has_is_said_so() -> None:
    """To cut a channel off makes a design without one `not_applicable`."""
    run = simulate(scenario(f"vanish: channel, {STREAM}"), "qemu-11", tables=False)
    assert (run.verdict, run.reason) == (
        "not_applicable",
        "the design has no step 'vanish: channel'",
    )


def test_a_stopped_secondary_runs_beside_the_primary_once_it_goes_on() -> None:
    """fault_s_stop_stream_small_c0: what fitted into the buffers it loads when thawed, and runs."""
    fault = f"freeze: secondary, for: 20 s, {STREAM}"
    run = Simulation(scenario(fault, 300, NONE), "qemu-11").run()
    assert [host.guest.running for host in run.hosts.values()] == [True, True]
    assert run.failovers[PRIMARY].done


@pytest.mark.parametrize("design", ["qemu-3.1", "qemu-5.1", "qemu-11"])
def test_up_to_5_0_a_primary_that_dies_before_the_size_leaves_a_torn_secondary(design: str) -> None:
    """Its RAM is the new checkpoint's, its devices the old one's: the flush came too early."""
    fault = "kill: primary, at: {checkpoint: 4, step: 'primary: after RAM stream'}"
    run = simulate(scenario(fault), design, tables=False)
    torn = "takes over with RAM of checkpoint 4, but device state of checkpoint 3"
    assert run.verdict == ("violated" if design == "qemu-3.1" else "failed_over")
    assert (torn in run.reason) is (design == "qemu-3.1")


def test_the_join_under_the_lock_deadlocks_a_secondary_whose_primary_is_well() -> None:
    """684bfd1820: told just before its COLO thread wants the lock to load, it waits for itself."""
    conditions = scenario("busy: primary, for: 1 ns, at: 1 s").vary({"manager": {"policy": "wait"}})
    quiet = simulate(conditions, "qemu-5.1").checkpoints
    at_ns = int(quiet.secondary_received_at_ns[4]) - 1000

    def tell(simulation: Simulation) -> None:
        monitor, failover = simulation.hosts[SECONDARY].monitor, simulation.failovers[SECONDARY]
        simulation.env.call_at(at_ns, lambda: monitor.send(COMMAND, failover.lost_heartbeat))

    ends = [
        Simulation(conditions, design, prepare=tell).run()
        for design in ("qemu-5.1", "qemu-5.1+join-under-lock")
    ]
    assert [end.failovers[SECONDARY].done for end in ends] == [True, False]
    lock = ends[1].hosts[SECONDARY].lock
    assert lock.owner is ends[1].hosts[SECONDARY].monitor.thread
    assert [str(thread) for thread, _, _ in lock.queue] == ["secondary COLO incoming thread"]


def test_a_broken_socket_is_rate_limited_page_by_page_in_5_0() -> None:
    """773861274a: of what was still to be sent each page waits 100 ms, and the guest with it."""
    fault = f"freeze: secondary, {STREAM}"
    plain = simulate(scenario(fault), "qemu-3.1", tables=False)
    conditions = scenario(fault).vary({"horizon": "3000 s"})
    limited = simulate(conditions, "qemu-3.1+rate-limit", tables=False)
    waits = limited.summary["time_to_guest_ns"] - plain.summary["time_to_guest_ns"]
    assert waits % (100 * 10**6) == 0
    # 4 MiB of send and 2 MiB of receive buffer had taken what came after a fifth.
    assert 15_400 * 8 // 10 - 2_000 < waits // (100 * 10**6) < 15_400 * 8 // 10


def test_options_of_their_own_are_refused_elsewhere() -> None:
    """A design that has no such capability, or had the bug mended, says which have it."""
    with pytest.raises(DesignError, match=r"qemu-5\.1 cannot have 'multifd'; qemu-11 can"):
        load_design("qemu-5.1+multifd=4")
    with pytest.raises(DesignError, match=r"'join-under-lock'; qemu-3\.1, qemu-5\.1 can"):
        load_design("qemu-11+join-under-lock")
    with pytest.raises(DesignError, match="17 is out of range"):
        load_design("qemu-11+multifd=17")


def test_mainline_is_the_newest_and_shown_as_that() -> None:
    """The alias is the class of the version that it means, with options too."""
    assert load_design("mainline") is load_design("qemu-11")
    assert load_design("mainline+multifd=2").name == "qemu-11+multifd=2"
