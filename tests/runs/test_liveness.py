"""After a safety phase with faults, the pair or a survivor must go on within a limit."""

from __future__ import annotations

import pytest

from colosim.designs import load_designs
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import judge
from colosim.scenario import loads

CONDITIONS = """
name: liveness
checkpoints: 60
checkpoint_delay: 500 ms
guest: {ram: 128 MiB, dirty: {pages: 4096}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}
"""
FROZEN = "faults: [{freeze: secondary, at: {checkpoint: 2, step: 'primary: RAM stream'}}]\n"
WAIT = "manager: {policy: wait}\n"


def run(design: str, *more: str) -> Simulation:
    """Run one design."""
    text = CONDITIONS + "".join(more)
    return Simulation(loads(text, known_designs=tuple(load_designs())), design).run()


def names(simulation: Simulation) -> list[str]:
    """Return the names of all events."""
    return [str(event) for _, event, _ in simulation.record]


@pytest.mark.parametrize("design", ["qsb", "split", "qemu-5.1"])
def test_a_pair_whose_faults_end_commits_again(design: str) -> None:
    """Without a manager that acts, a frozen peer goes on when faults end, and so does the pair."""
    simulation = run(design, FROZEN, WAIT, "liveness: {until: 20 s, within: 2 s}\n")
    assert judge(simulation).verdict == "completed"
    assert simulation.committed == 60
    assert "secondary: process thawed" in names(simulation)


def test_who_is_late_is_named() -> None:
    """A pair that does not commit in time is judged then, and its waiting threads are named."""
    killed = FROZEN.replace("freeze", "kill")
    simulation = run("qsb", killed, WAIT, "liveness: {until: 20 s, within: 2 s}\n")
    judgement = judge(simulation)
    assert simulation.end_ns == 22 * 10**9
    assert judgement.verdict == "stopped"
    assert "within 2.000 s after the faults ended" in judgement.reason
    assert "primary checkpoint thread waits for x-colo-lost-heartbeat" in judgement.reason


def test_a_survivor_that_serves_is_live() -> None:
    """A failover within the limit is as good as a commit."""
    simulation = run("qsb", FROZEN, "liveness: {until: 20 s, within: 2 s}\n")
    assert judge(simulation).verdict == "failed_over"
    assert "liveness: the limit has passed" not in names(simulation)


def test_no_fault_strikes_after_the_end_of_faults() -> None:
    """A fault that still waits for its step then never strikes, and the verdict says so."""
    late = FROZEN.replace("checkpoint: 2", "checkpoint: 50")
    simulation = run("split", late, "liveness: {until: 5 s, within: 2 s}\n")
    assert simulation.injector.struck == []
    judgement = judge(simulation)
    assert judgement.verdict == "not_applicable"
    assert judgement.reason == (
        "freeze secondary at primary: RAM stream of checkpoint 50 never came; without it "
        "completed: the run reached its length and the pair commits"
    )


def test_a_link_that_was_lost_is_there_again() -> None:
    """What vanished heals when faults end: the next retransmission gets through."""
    lost = "faults: [{vanish: network, at: 3 s}]\n"
    simulation = run("split", lost, WAIT, "liveness: {until: 10 s, within: 20 s}\n")
    assert judge(simulation).verdict == "completed"


def test_a_host_that_was_powered_off_stays_off() -> None:
    """The end of faults does not bring a fenced host back."""
    fence = "manager: {fence: true}\n"
    simulation = run("qsb", FROZEN, fence, "liveness: {until: 20 s, within: 2 s}\n")
    assert judge(simulation).verdict == "failed_over"
    assert simulation.hosts["secondary"].dead
    assert simulation.connection.down
