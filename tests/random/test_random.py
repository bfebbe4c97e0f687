"""Any scenario whatever: nothing raises, no safety rule breaks, the same again is the same.

The usual run takes a sample, the slow one many more.  A long search, new each time::

    pytest tests/random -m slow --hypothesis-profile long

What fails is told as the text of a scenario file: saved in tests/scenarios/found/ it is run by
every test run from then on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.random.holding import hold
from tests.random.scenarios import scenarios

FOUND = Path(__file__).parents[1] / "scenarios" / "found"
SAMPLE = 3 * settings().max_examples // 5
EVERYTHING = settings(max_examples=SAMPLE, suppress_health_check=list(HealthCheck))
TIMES_THE_SAMPLE = 10


def told(scenario: dict[str, Any]) -> str:
    """Return a scenario's text, which is told if it fails."""
    text = json.dumps(scenario, indent=1)
    note(f"save as tests/scenarios/found/NAME.yaml:\n{text}")
    return text


@given(scenario=scenarios())
@EVERYTHING
def test_any_scenario_holds_every_rule(scenario: dict[str, Any]) -> None:
    """Random sizes, networks, managers, designs, remedies and up to three faults."""
    hold(told(scenario))


@pytest.mark.slow
@given(scenario=scenarios())
@settings(EVERYTHING, max_examples=TIMES_THE_SAMPLE * settings().max_examples)
def test_many_scenarios_hold_every_rule(scenario: dict[str, Any]) -> None:
    """So do many more of them."""
    hold(told(scenario))


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_was_found_once_stays_mended(path: Path) -> None:
    """Each example that failed once holds now."""
    hold(path.read_text(encoding="utf-8"))
