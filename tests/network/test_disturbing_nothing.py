"""Following a direction as a fluid, with nothing wrong, changes nothing of what happens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colosim.designs import load_designs
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.trace.events import CallFailed, WaitBegan, WaitEnded

TOLERANCE_NS = 50_000
"""Behind a backlog the closed form lets a small write leave with its end, the fluid after it."""
CASES = {
    "10gbe": "network: {preset: 10gbe}",
    "wan-5ms": "network: {preset: wan-5ms}",
    "lab-veth-1gbit": "network: {preset: lab-veth-1gbit}",
}


def stages(network: str, design: str, at_ns: list[int]) -> list[tuple[str, int]]:
    """Return what happened when, with both directions followed as fluids from `at_ns` on.

    Without the waits: one may be as short as the tolerance, and so be there in one run alone.
    """
    text = f"""
name: nothing
checkpoints: 3
checkpoint_delay: 100 ms
guest: {{ram: 64 MiB, dirty: {{pages: 3000}}}}
{CASES[network]}
"""
    scenario = loads(text, file="nothing.yaml", known_designs=tuple(load_designs()))

    def prepare(simulation: Simulation) -> None:
        for moment in at_ns:
            for direction in (simulation.connection.to_secondary, simulation.connection.to_primary):
                simulation.env.call_at(moment, lambda direction=direction: direction.disturb())  # type: ignore[misc]

    run = Simulation(scenario, design, prepare=prepare).run()
    return [
        (str(event), at)
        for at, event, _ in run.record
        if not isinstance(event, (WaitBegan, WaitEnded))
    ]


@pytest.mark.parametrize("design", ["qsb", "split", "qemu-5.1"])
@pytest.mark.parametrize("network", list(CASES))
@settings(max_examples=8)
@given(at_ns=st.lists(st.integers(0, 900_000_000), min_size=1, max_size=4))
def test_a_disturbance_that_changes_nothing_changes_nothing(
    design: str, network: str, at_ns: list[int]
) -> None:
    """Every event comes in the same order, at the same time but for rounding."""
    quiet, followed = stages(network, design, []), stages(network, design, at_ns)
    assert sorted(name for name, _ in followed) == sorted(name for name, _ in quiet)
    late = {}
    for (name, at), (other, then) in zip(sorted(quiet), sorted(followed), strict=True):
        if abs(at - then) > TOLERANCE_NS:
            late[name] = (at, then, other)
    assert late == {}


@pytest.mark.parametrize("network", list(CASES))
def test_the_end_of_a_stream_takes_a_latency(network: str) -> None:
    """A shutdown is seen by the peer one way later, not at once; over a dead link not at all."""
    lost = "faults: [{vanish: network, at: 900 ms}]\n" if network == "wan-5ms" else ""
    scenario = loads(
        f"name: end\ncheckpoints: 3\ncheckpoint_delay: 1 s\n{CASES[network]}\n{lost}",
        file="end.yaml",
    )

    def prepare(simulation: Simulation) -> None:
        simulation.env.call_at(950_000_000, lambda: simulation.connection.shutdown("primary"))

    run = Simulation(scenario, "qsb", prepare=prepare).run()
    failed = CallFailed("secondary", "receive", "end of stream")
    ends = [at for at, event, _ in run.record if event == failed]
    expected = [] if lost else [950_000_000 + scenario.network.latency_ns]
    assert ends == expected
