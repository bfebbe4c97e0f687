"""A healthy pair whose monitors are deaf for long: what a manager that asks them would do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colosim.analysis.explain import explain
from colosim.runs.deaf_monitor import deaf_beyond_timeout
from colosim.runs.run import run
from colosim.runs.simulation import Simulation
from colosim.scenario import Scenario, loads
from tests.fast_host import ON_FAST_HOSTS

HEALTHY = """
name: healthy
checkpoints: 3
checkpoint_delay: 1 s
guest: {ram: 16 GiB, dirty: {pages: 131072}}
network: {preset: 1gbe}
"""


def healthy(**values: object) -> Scenario:
    """Return the scenario with other settings of the cluster manager."""
    return loads(HEALTHY + ON_FAST_HOSTS).vary(
        {f"manager.{key}": value for key, value in values.items()}
    )


@pytest.mark.parametrize(
    ("design", "whom"),
    [
        ("split", "the primary, whose monitor is deaf for up to 4.539 s (timeout 3.000 s)"),
        ("qemu-5.1", "the secondary, whose monitor is deaf for up to 4.575 s (timeout 3.000 s)"),
        ("qsb", ""),
    ],
)
def test_a_healthy_run_warns_of_a_manager_that_asks_the_monitors(design: str, whom: str) -> None:
    """RAM is sent, or received, under the lock for longer than the timeout; qsb stages it."""
    told = "nothing has failed, yet a manager that asked the monitors could take for lost"
    said = f"{told} {whom}" if whom else None
    ended = run(healthy(), design, tables=False)
    assert (ended.verdict, ended.summary["warning"]) == ("completed", said)
    if said is not None:
        patient = healthy().vary({"manager.timeout": "8 s"})
        assert said[1:] in " ".join(str(explain(healthy(), design)).split())
        assert run(patient, design, tables=False).summary["warning"] is None


@settings(max_examples=12)
@given(
    st.sampled_from(["split", "qemu-5.1", "qsb"]),
    st.integers(1, 60).map(lambda tenths: tenths * 10**8),
    st.integers(1, 20).map(lambda tenths: tenths * 10**8),
)
def test_what_is_warned_of_is_what_such_a_manager_does(
    design: str, timeout_ns: int, heartbeat_ns: int
) -> None:
    """Deaf for less than the timeout nobody is lost, for a heartbeat longer somebody is."""
    settings_ = {"timeout": max(timeout_ns, heartbeat_ns), "heartbeat": heartbeat_ns}
    quiet = Simulation(healthy(**settings_), design).run()
    asked = Simulation(healthy(**settings_, answered_by="monitor"), design).run()
    manager, deaf_ns = quiet.scenario.manager, quiet.tally.deaf_ns
    if not deaf_beyond_timeout(manager, deaf_ns):
        assert not asked.manager.lost
    if max(deaf_ns.values()) >= manager.timeout_ns + heartbeat_ns:
        assert asked.manager.lost
