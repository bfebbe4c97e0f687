"""A busy main loop, a lock that an error path leaks, and faults at random times."""

from __future__ import annotations

import pytest

from colosim.designs import load_designs
from colosim.host.failover import COMMAND
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import judge
from colosim.scenario import loads
from tests.faults.test_injection import simulate, struck, when

S = 10**9


def test_a_busy_main_loop_keeps_the_lock_and_serves_no_command() -> None:
    """It works for as long as it is told, with the lock; a command waits for the end of it."""
    faults = "{busy: primary, at: 800 ms, for: 7 s}, {freeze: secondary, at: 900 ms}"
    run = simulate("qsb", faults)
    got = when(run, "primary: iothread lock got by main loop for busy")
    released = when(run, "primary: iothread lock released by main loop for busy")
    (command,) = run.hosts["primary"].monitor.commands
    assert (got, released) == (800_000_000, 7_800_000_000)
    assert command.name == COMMAND
    assert command.sent_ns < released == command.served_ns
    assert run.tally.deaf_ns["primary"] == 7 * S
    assert judge(run).verdict == "failed_over"


def test_a_busy_main_loop_delays_the_checkpoint_that_needs_the_lock() -> None:
    """Only the stop of the guest waits for it: the same checkpoints, later by the rest of it."""
    quiet, busy = simulate("split", ""), simulate("split", "{busy: primary, at: 1 ms, for: 1 s}")
    stop = "primary: iothread lock got by checkpoint thread for stop"
    assert when(quiet, stop) < 1_001_000_000 == when(busy, stop)
    assert busy.committed == quiet.committed == 4


def test_the_work_of_a_frozen_main_loop_goes_on_when_it_is_thawed() -> None:
    """What is left of it when the process freezes is done afterwards."""
    faults = "{busy: primary, at: 100 ms, for: 200 ms}, {freeze: primary, at: 150 ms, for: 1 s}"
    run = simulate("split", faults, "manager: {policy: wait}")
    assert when(run, "primary: iothread lock released by main loop for busy") == 1_300_000_000


@pytest.mark.parametrize(
    ("design", "what"),
    [
        ("qsb", "RAM save"),
        ("qsb", "device save"),
        ("split", "RAM save"),
        ("split", "device save"),
        ("device-first", "RAM save"),
        ("qemu-5.1", "device save"),
    ],
)
def test_an_error_path_that_leaks_the_lock_hangs_the_primary(design: str, what: str) -> None:
    """The COLO thread leaves with the lock and waits for a command that needs it: for ever.

    Where the lock is given back, the same error stops the guest until somebody sends the command.
    """
    fault = f"fail: primary, what: {what}, at: {{checkpoint: 2, step: 'primary: stop'}}"
    leaks = simulate(design, f"{{{fault}, leaks_lock: true}}")
    returns = simulate(design, f"{{{fault}}}")
    assert judge(leaks).verdict == "hung"
    assert judge(returns).verdict == "stopped"
    assert judge(leaks).reason == (
        "the primary's iothread lock is held by its checkpoint thread, which has left COLO "
        "without giving it back, and waits for x-colo-lost-heartbeat"
    )
    assert [str(event) for _, event, _ in leaks.record if "leaks" in str(event)] == [
        f"primary: fault {what} fails and leaks the lock"
    ]


def test_a_leaked_lock_of_the_secondary_keeps_it_from_taking_over() -> None:
    """Its device load fails under the lock: the command to the secondary is never served."""
    faults = (
        "{fail: secondary, what: device load, leaks_lock: true, "
        "at: {checkpoint: 1, step: 'secondary: device load'}}, {kill: primary, at: 5 s}"
    )
    run = simulate("qsb", faults)
    assert judge(run).verdict == "hung"
    assert [command.name for command in run.hosts["secondary"].monitor.unserved] == [COMMAND]


def at_random(seed: int, rate: str, more: str = "", design: str = "qsb") -> Simulation:
    """Run a minute in which the secondary freezes at random times for 10 ms."""
    scenario = loads(
        "name: random\nduration: 60 s\ncheckpoint_delay: 500 ms\n"
        f"faults: [{{freeze: secondary, at: {{rate: {rate}}}, for: 10 ms}}{more}]\n",
        file="random.yaml",
        known_designs=tuple(load_designs()),
    )
    return Simulation(scenario, design, seed=seed).run()


def test_random_faults_strike_at_their_rate() -> None:
    """In ten minutes at thirty a minute some three hundred, by chance a few more or fewer."""
    strikes = sum(len(struck(at_random(seed, "30 /min"))) for seed in range(10))
    assert abs(strikes - 300) < 3 * 300**0.5


def test_random_faults_are_the_seeds_and_nothing_elses() -> None:
    """The same seed gives the same moments to every design, another seed other ones."""
    first = struck(at_random(1, "20 /min"))
    assert first == struck(at_random(1, "20 /min", design="qemu-5.1"))
    assert first != struck(at_random(2, "20 /min"))


def test_another_random_fault_moves_none_of_the_first() -> None:
    """Each has a stream of its own, named after what it does unless it is told."""
    alone = struck(at_random(1, "20 /min"))
    both = struck(at_random(1, "20 /min", ", {busy: primary, at: {rate: 9 /min}, for: 1 ms}"))
    assert [one for one in both if "freeze" in one[1]] == alone
    assert any("busy" in name for _, name in both)


def test_faults_of_one_stream_strike_together() -> None:
    """A common cause: the same stream and rate are the same moments."""
    shared = "at: {rate: 10 /min, stream: power}, for: 1 ms"
    scenario = loads(
        "name: random\nduration: 60 s\n"
        f"faults: [{{freeze: secondary, {shared}}}, {{freeze: primary, {shared}}}]\n",
        file="random.yaml",
    )
    run = Simulation(scenario, "qsb").run()
    moments = {
        side: [at_ns for at_ns, name in struck(run) if name == f"fault: freeze {side}"]
        for side in ("primary", "secondary")
    }
    assert moments["primary"] == moments["secondary"] != []


def test_a_random_fault_that_lasts_strikes_once() -> None:
    """What does not end by itself cannot strike again."""
    scenario = loads(
        "name: random\nduration: 60 s\nfaults: [{kill: secondary, at: {rate: 20 /min}}]\n",
        file="random.yaml",
    )
    assert len(struck(Simulation(scenario, "qsb").run())) == 1


def test_no_random_fault_strikes_in_the_liveness_phase() -> None:
    """After `until` nothing strikes any more."""
    scenario = loads(
        "name: random\nduration: 60 s\nliveness: {until: 20 s, within: 10 s}\n"
        "faults: [{freeze: secondary, at: {rate: 60 /min}, for: 10 ms}]\n",
        file="random.yaml",
    )
    moments = [at_ns for at_ns, _ in struck(Simulation(scenario, "qsb").run())]
    assert moments
    assert max(moments) < 20 * S
