"""What must not matter does not, and what helps does no harm: pairs of random scenarios."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colosim.runs.run import Run, simulate
from tests.random.holding import scenario_of
from tests.random.scenarios import DESIGNS, KIB, guests, pages, scenarios, sizes
from tests.random.test_random import told

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

FEW = settings(max_examples=settings().max_examples // 11, suppress_health_check=list(HealthCheck))
NEVER = {"kill": "secondary", "at": {"rate": "0.000001 /day", "stream": "never"}}
MESSAGES_BYTES = 100
"""More than what a checkpoint's small messages have: behind a backlog they take no link time."""


def brief(scenario: dict[str, Any]) -> dict[str, Any]:
    """Cut a scenario of a given duration: each is run several times, with much to do if idle."""
    if "duration" not in scenario:
        return scenario
    return {**scenario, "duration": "7 s", "liveness": {"until": "6 s", "within": "1 s"}}


SCENARIOS = scenarios().map(brief)


def run(scenario: dict[str, Any]) -> Run:
    """Run a scenario's only, or first, design."""
    made = scenario_of(told(scenario))
    return simulate(made, made.designs[0], tables=False)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Hold two scenarios to the same record of events."""
    first, second = run(one), run(other)
    assert first.simulation is not None
    assert second.simulation is not None
    assert list(first.simulation.record) == list(second.simulation.record)


def changed(scenario: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a scenario with other keys, those of its network under `network`."""
    network = {**scenario["network"], **keys.pop("network", {})}
    return {**deepcopy(scenario), **keys, "network": network}


@given(SCENARIOS)
@FEW
def test_a_remedy_that_has_no_part_in_it_changes_nothing(scenario: dict[str, Any]) -> None:
    """A timeout beyond the horizon, on the socket or in the design, is as none."""
    scenario["designs"] = [scenario["designs"][0].partition("+")[0]]
    plain = changed(scenario, network={"user_timeout": "none"})
    for remedy in ("user-timeout=900000s", "send-timeout=900000s"):
        same(plain, changed(plain, designs=[f"{scenario['designs'][0]}+{remedy}"]))


@given(SCENARIOS)
@FEW
def test_a_fault_that_never_strikes_changes_nothing(scenario: dict[str, Any]) -> None:
    """One that strikes every million days leaves the record as it is."""
    same(scenario, changed(scenario, faults=[*scenario["faults"], NEVER]))


@given(SCENARIOS, st.permutations(DESIGNS))
@FEW
def test_designs_in_another_order_are_the_same_runs(
    scenario: dict[str, Any], order: list[str]
) -> None:
    """What one run does to whatever is shared between runs is of no matter to the next."""
    digests = [
        {
            design: simulate(
                scenario_of(told({**scenario, "designs": names})), design, tables=False
            ).digest
            for design in names
        }
        for names in (list(DESIGNS[:3]), [name for name in order if name in DESIGNS[:3]])
    ]
    assert digests[0] == digests[1]


@given(SCENARIOS, st.integers(1, 2**64 - 1))
@FEW
def test_a_seed_without_random_parts_changes_nothing(scenario: dict[str, Any], seed: int) -> None:
    """With the phase of the ticks given and no fault at random moments nothing is drawn."""
    scenario["network"]["ack_tick_phase"] = "1 ms"
    faults = [one for one in scenario["faults"] if "rate" not in (one["at"] or {})]
    scenario = changed(scenario, faults=faults)
    same(scenario, changed(scenario, seed=seed))


@st.composite
def healthy(draw: DrawFn) -> dict[str, Any]:
    """Return a scenario without faults, token bucket and slow start, with pages that are given."""
    return {
        "name": "healthy",
        "designs": [draw(st.sampled_from(DESIGNS))],
        "checkpoints": 3,
        "checkpoint_delay": f"{draw(st.integers(0, 300_000))} us",
        "horizon": "900000 s",
        "guest": {**draw(guests()), "dirty": {"pages": draw(pages(3000))}},
        "hosts": {"preset": draw(st.sampled_from(["kvm-xeon", "lab-qemu25", "lab-qemu72"]))},
        "network": {
            "preset": "lab-veth",
            "send_buffer": f"{draw(sizes)} B",
            "receive_buffer": f"{draw(sizes)} B",
            "latency": f"{draw(st.integers(0, 5000))} us",
            "nagle": draw(st.booleans()),
            "delayed_ack": False,
            "slow_start_after_idle": False,
            "bandwidth": f"{draw(st.integers(1, 400)) * 1024 * KIB} B/s",
            "burst": "0 B",
        },
    }


@pytest.mark.parametrize("key", ["bandwidth", "send_buffer", "receive_buffer"])
@given(scenario=healthy(), factor=st.sampled_from([1.001, 1.1, 2, 10, 1000]))
@settings(FEW, max_examples=settings().max_examples // 6)
def test_more_of_it_never_lengthens_a_pause(
    key: str, scenario: dict[str, Any], factor: float
) -> None:
    """Neither bandwidth nor larger buffers do, but for the bytes of the messages."""
    number, unit = scenario["network"][key].split()
    more = changed(scenario, network={key: f"{min(int(int(number) * factor), 1 << 33)} {unit}"})
    before, after = run(scenario), run(more)
    assert before.simulation is not None
    bandwidth = before.simulation.connection.to_secondary.pace.bandwidth
    assert bandwidth is not None
    tolerance_ns = MESSAGES_BYTES * 10**9 // bandwidth
    assert after.summary["pause_ns"]["max"] <= before.summary["pause_ns"]["max"] + tolerance_ns
