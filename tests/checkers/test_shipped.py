"""No scenario that colosim ships breaks a safety rule."""

from __future__ import annotations

import pytest

from colosim.runs.run import as_scenario, simulate
from colosim.scenario import shipped


@pytest.mark.parametrize("name", shipped())
def test_no_shipped_scenario_breaks_a_rule(name: str) -> None:
    """Every design of it runs with every checker on, and none is violated."""
    scenario = as_scenario(name)
    for design in scenario.designs:
        run = simulate(scenario, design, tables=False)
        assert run.verdict != "violated", run.reason
